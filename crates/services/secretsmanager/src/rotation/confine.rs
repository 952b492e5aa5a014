//! What a function may do, reach and say while it rotates a secret.
//!
//! A rotation function is somebody's program that holds passwords. Whatever its role allows, here it may do to the one secret what a
//! rotation needs, and read the secret that names the master user; it reaches the database that the secret names; and what it prints
//! is cleaned of the values it works with. All of it is read off the versions that carry labels. A rotator that comes along is ours: it has
//! no walls and says no values, and only the host of its database has to be known.
//!
//! INVARIANT: what is taken out of a text is something that the function's role may read. Else whoever owns a function could have it print
//! guesses, and see by what is left out which of them was right.

use std::{collections::BTreeSet, sync::Arc};

use coffer_core::{Cx, Principal, Resource, Scrub};
use coffer_crypto::sha256;
use coffer_model::{
    lambda::{self, GetFunctionConfiguration, GetFunctionConfigurationRequest},
    secretsmanager::{SERVICE, action},
};
use coffer_shape::ApiError;
use coffer_types::{Arn, Secret};
use serde_json::{Map, Value, json};

use crate::{
    error::SecretError,
    identifier::{Target, is_complete, secret},
    secret::{CURRENT, PREVIOUS, SecretRecord},
    value::{SecretValue, open_version},
};

/// Members of the JSON that AWS's templates agree on and that are no secret: host names in a log are of use.
const OPEN_MEMBERS: [&str; 9] = [
    "engine",
    "host",
    "port",
    "username",
    "dbname",
    "masterarn",
    "ssl",
    "dbInstanceIdentifier",
    "dbClusterIdentifier",
];
/// Longer ones are of no secret, and a policy of a session has little room.
const ARN_BYTES_MAX: usize = 640;
/// Shorter ones are in every text.
const SCRUBBED_BYTES_MIN: usize = 4;

/// What is known of the values of a secret and of the secret of its master user.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub endpoints: Vec<(String, u16)>,
    /// As the current value names it: an ARN, a part of one, or a name.
    pub master: Option<String>,
    /// What policies are asked about for it.
    master_arn: Option<String>,
    pub values: Vec<Secret<Vec<u8>>>,
    /// Of the values, to know each once however many there are.
    digests: BTreeSet<[u8; 32]>,
    /// The role of the function may not read the secret that it rotates. What it says is told to nobody.
    pub is_hidden: bool,
}

impl Known {
    /// Values of all versions that carry labels, and places of the one that counted before this rotation. A version that does not open is
    /// for the function to stumble over.
    pub(crate) fn of(cx: &mut Cx<'_>, record: &SecretRecord, rotating: Option<&str>) -> Self {
        let mut known = Self::default();
        let role = role(cx, record);
        let readable =
            role.as_ref().and_then(|role| permitted(cx, role, &record.arn)).and_then(Target::if_any);
        let is_readable = role.as_ref().zip(readable).is_some_and(|(role, record)| {
            cx.in_the_name_of(role, |cx| known.add_versions(cx, &record, rotating))
        });
        if !is_readable {
            // Its database is still the one that it is let through to.
            known.add_versions(cx, record, rotating);
            known.values.clear();
            known.digests.clear();
            known.is_hidden = true;
        }
        if let (Some(master), Some(role)) = (known.master.clone(), &role) {
            known.add_master(cx, role, &master);
        }
        let mut seen = BTreeSet::new();
        known.endpoints.retain(|endpoint| seen.insert(endpoint.clone()));
        known
    }

    fn add_master(&mut self, cx: &mut Cx<'_>, role: &Principal, master: &str) {
        let Some(target) = permitted(cx, role, master) else {
            // Perhaps it may in another way: then only what is named completely.
            let arn = master.parse::<Arn>().ok().filter(is_complete);
            self.master_arn = arn.map(|arn| arn.to_string());
            return;
        };
        let is_usable = |arn: &String| arn.len() <= ARN_BYTES_MAX && arn.parse::<Arn>().is_ok();
        self.master_arn = Some(target.arn()).filter(is_usable);
        let Some(record) = target.if_any() else { return };
        let mut of_master = Self::default();
        if cx.in_the_name_of(role, |cx| of_master.add_versions(cx, &record, None)) {
            self.endpoints.append(&mut of_master.endpoints);
            let is_told = !self.is_hidden;
            for value in of_master.values.iter().filter(|_| is_told) {
                self.add_value(value.expose());
            }
        }
    }

    /// Of the current version alone, for whoever needs no walls.
    pub(crate) fn of_current(cx: &mut Cx<'_>, record: &SecretRecord) -> Self {
        let mut known = Self::default();
        if let Some(current) = record.holder(CURRENT).filter(|version| version.has_value) {
            known.add_version(cx, record, &current.id, true);
        }
        known
    }

    pub(crate) fn of_text(text: &Secret<String>) -> Self {
        let mut known = Self::default();
        known.add_text(text, true);
        known
    }

    /// Whether nobody was refused any of them.
    fn add_versions(&mut self, cx: &mut Cx<'_>, record: &SecretRecord, rotating: Option<&str>) -> bool {
        let places = names_places(record, rotating);
        let mut is_all = true;
        for version_id in labelled(record) {
            is_all &= self.add_version(cx, record, version_id, places == Some(version_id));
        }
        is_all
    }

    fn add_version(
        &mut self,
        cx: &mut Cx<'_>,
        record: &SecretRecord,
        version_id: &str,
        has_places: bool,
    ) -> bool {
        match cx.attempt(|cx| open_version(cx, record, version_id)) {
            Ok(SecretValue::String(text)) => self.add_text(&text, has_places),
            Ok(SecretValue::Binary(bytes)) => self.add_value(bytes.expose()),
            Err(error) => {
                cx.goes_on_without(&error);
                return error.is_fault();
            }
        }
        true
    }

    fn add_text(&mut self, text: &Secret<String>, has_places: bool) {
        self.add_value(text.expose().as_bytes());
        let Ok(Value::Object(members)) = serde_json::from_str(text.expose()) else { return };
        if has_places {
            self.endpoints.extend(endpoint(&members));
            self.master = members.get("masterarn").and_then(Value::as_str).map(str::to_owned);
        }
        for (name, value) in members {
            if let Value::String(value) = value
                && !OPEN_MEMBERS.contains(&name.as_str())
            {
                self.add_value(value.as_bytes());
                drop(Secret::new(value));
            }
        }
    }

    fn add_value(&mut self, value: &[u8]) {
        if value.len() >= SCRUBBED_BYTES_MIN && self.digests.insert(sha256(value)) {
            self.values.push(Secret::new(value.to_vec()));
        }
    }

    /// The host of the database, of which one is changed at a time, however it is spelt.
    pub(crate) fn host(&self) -> Option<String> {
        self.endpoints.first().map(|(host, _)| host.trim_end_matches('.').to_ascii_lowercase())
    }

    /// A text of a function without the values.
    pub(crate) fn scrubbed(&self, text: String) -> String {
        self.values
            .iter()
            .filter_map(|value| std::str::from_utf8(value.expose()).ok())
            .fold(text, |text, value| if text.contains(value) { text.replace(value, "****") } else { text })
    }

    /// The policy of the session that the function has. It puts the version of this rotation and no other.
    pub(crate) fn session_policy(&self, secret_arn: &str, version_id: &str) -> String {
        let (secret_arn, version_id) = (literal(secret_arn), literal(version_id));
        let mut readable = vec![secret_arn.clone()];
        readable.extend(self.master_arn.as_deref().map(literal));
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "secretsmanager:PutSecretValue",
                    "Resource": secret_arn,
                    "Condition": { "StringEquals": { "coffer:ClientRequestToken": version_id } },
                },
                {
                    "Effect": "Allow",
                    "Action": "secretsmanager:UpdateSecretVersionStage",
                    "Resource": secret_arn,
                },
                {
                    "Effect": "Allow",
                    "Action": ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
                    "Resource": readable,
                },
                { "Effect": "Allow", "Action": "secretsmanager:GetRandomPassword", "Resource": "*" },
                {
                    "Effect": "Allow",
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                    "Resource": "*",
                    "Condition": { "StringLike": { "kms:ViaService": "secretsmanager.*.amazonaws.com" } },
                },
                {
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": "*",
                },
                {
                    "Effect": "Allow",
                    "Action": ["rds:DescribeDBInstances", "rds:DescribeDBClusters"],
                    "Resource": "*",
                },
            ],
        })
        .to_string()
    }
}

/// A secret of which somebody may read the value, if it is there.
fn permitted(cx: &mut Cx<'_>, who: &Principal, secret_id: &str) -> Option<Target> {
    let found = |cx: &mut Cx<'_>| secret(cx, secret_id)?.permit(cx, action::GET_SECRET_VALUE);
    cx.in_the_name_of(who, found).ok()
}

/// A text in a policy, where none of it is a sign for something else.
fn literal(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '*' | '?' | '$' => written.extend(["${", sign.encode_utf8(&mut [0; 4]), "}"]),
            _ => written.push(sign),
        }
    }
    written
}

/// Which version says where the database is and who its master is: the current one, or the one before it where a rotation has come that
/// far. What a function puts opens nothing to it in the same rotation, whichever labels it moves.
pub(crate) fn names_places<'r>(record: &'r SecretRecord, rotating: Option<&str>) -> Option<&'r str> {
    let holder = |label: &str| record.holder(label).map(|version| version.id.as_str());
    let counted = |id: &&str| rotating.is_none_or(|rotating| *id != rotating);
    holder(CURRENT).filter(counted).or_else(|| holder(PREVIOUS).filter(counted))
}

/// The versions that count while a secret is rotated. What one holds does not change any more.
pub(crate) fn labelled(record: &SecretRecord) -> impl Iterator<Item = &str> {
    let labelled = record.versions.iter().filter(|version| version.has_value && !version.labels.is_empty());
    labelled.map(|version| version.id.as_str())
}

/// The role in which the function of a secret runs, if it has one that lets it in.
fn role(cx: &mut Cx<'_>, record: &SecretRecord) -> Option<Principal> {
    let function_name = record.function_that_rotates()?.to_owned();
    let asked =
        GetFunctionConfigurationRequest { function_name, ..GetFunctionConfigurationRequest::default() };
    let found = cx.attempt(|cx| cx.consult::<GetFunctionConfiguration>(asked)).ok()?;
    let role: Arn = found.role?.parse().ok()?;
    let (name, about) = (found.function_name?, found.function_arn?);
    cx.session_for(&lambda::SERVICE, &role, &name, &about).ok()?
}

/// Where the database of a secret is. Without a port, where its engine usually listens.
fn endpoint(members: &Map<String, Value>) -> Option<(String, u16)> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let host = text("host").filter(|host| !host.is_empty())?;
    let port = match members.get("port") {
        Some(Value::String(port)) => port.parse().ok()?,
        Some(port) => port.as_u64().and_then(|port| u16::try_from(port).ok())?,
        None => match text("engine")? {
            "postgres" | "aurora-postgresql" => 5432,
            "mysql" | "aurora-mysql" | "mariadb" => 3306,
            "oracle" => 1521,
            "sqlserver" => 1433,
            "mongo" => 27017,
            "redshift" => 5439,
            "db2" => 50000,
            _ => return None,
        },
    };
    Some((host.to_owned(), port))
}

/// Asks for the values once the run is over: it may have made one.
pub(crate) fn scrub(caller: coffer_core::Caller, secret_name: String) -> Scrub {
    Arc::new(move |inside| {
        let (caller, name) = (caller.clone(), secret_name.clone());
        Box::pin(async move {
            let values = inside.work(&caller, &SERVICE, |cx| -> Result<_, ApiError> {
                let found = secret(cx, &name)?.permit(cx, action::GET_SECRET_VALUE)?.if_any();
                let known = found.map(|record| Known::of(cx, &record, None)).unwrap_or_default();
                if known.is_hidden { Err(SecretError::OutputHidden.into()) } else { Ok(known.values) }
            });
            values.await
        })
    })
}

#[cfg(test)]
mod tests {
    use coffer_policy::{self as policy, Context, Document, Key, Kind, Policies, Policy, Request, Values};

    use super::*;

    fn known(text: &str) -> Known {
        Known::of_text(&Secret::new(text.to_owned()))
    }

    #[test]
    fn the_endpoint_is_host_and_port_or_what_the_engine_usually_has() {
        for (text, found) in [
            (r#"{"engine":"postgres","host":"db","port":6432}"#, Some(("db", 6432))),
            (r#"{"engine":"postgres","host":"db","port":"6432"}"#, Some(("db", 6432))),
            (r#"{"engine":"postgres","host":"db"}"#, Some(("db", 5432))),
            (r#"{"engine":"mariadb","host":"db"}"#, Some(("db", 3306))),
            (r#"{"host":"db"}"#, None),
            (r#"{"host":"db","port":70000}"#, None),
            (r#"{"host":"","port":1}"#, None),
            ("plain", None),
        ] {
            let known = known(text);
            let first = known.endpoints.first().map(|(host, port)| (host.as_str(), *port));
            assert_eq!(first, found, "{text}");
        }
    }

    #[test]
    fn what_is_said_of_a_failure_has_no_values_in_it_but_hosts_and_users() {
        let known = known(r#"{"host":"db.example.com","username":"app","password":"hunter2!","pin":"1"}"#);
        let said = String::from("login of app at db.example.com with hunter2! failed 1 time");
        assert_eq!(known.scrubbed(said), "login of app at db.example.com with **** failed 1 time");
        assert_eq!(known.host(), None);
    }

    /// The token of a PutSecretValue.
    struct Put<'t>(&'t str);

    impl Context for Put<'_> {
        fn values<'a>(&'a self, key: &'a Key) -> Option<Values<'a>> {
            (key.as_lower() == "coffer:clientrequesttoken").then(|| Values::One(self.0.into()))
        }
    }

    fn allows(policy: &str, action: &str, resource: &str, token: &str) -> bool {
        let policy = Policy::new("session", &Document::parse(Kind::Inline, policy).unwrap());
        let account = "111122223333".parse().unwrap();
        let arn = "arn:aws:iam::111122223333:user/function";
        let request = Request {
            caller: policy::Caller::User { arn, account, id: None },
            action: &format!("secretsmanager:{action}"),
            resource: Some(resource),
            resource_account: None,
            context: &Put(token),
            encryption_context: &[],
        };
        Policies { identity: &[&policy], ..Policies::default() }.decide(&request).is_allowed()
    }

    #[test]
    fn a_session_reads_what_is_named_and_nothing_that_looks_like_it() {
        let secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-abcdef";
        let reads = |master: &str, version: &str, asked: &str, put: &str| {
            let known = Known { master_arn: Some(master.to_owned()), ..Known::default() };
            let policy = known.session_policy(secret_arn, version);
            (allows(&policy, "GetSecretValue", asked, ""), allows(&policy, "PutSecretValue", secret_arn, put))
        };
        let master = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:master-abcdef";
        let other = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:other-abcdef";
        let odd = "${coffer:ClientRequestToken}-0123456789";
        for (named, version, asked, put, expected) in [
            (master, "v", master, "v", (true, true)),
            (master, "v", other, "w", (false, false)),
            ("arn:aws:secretsmanager:*:*:secret:*", "*", other, "w", (false, false)),
            (
                "arn:aws:secretsmanager:eu-west-1:111122223333:secret:mast??-abcdef",
                "?",
                master,
                "w",
                (false, false),
            ),
            (
                "arn:aws:secretsmanager:eu-west-1:111122223333:secret:*",
                odd,
                other,
                "${}-0123456789",
                (false, false),
            ),
            (other, odd, other, odd, (true, true)),
        ] {
            assert_eq!(reads(named, version, asked, put), expected, "{named} {version}");
        }
    }

    #[test]
    fn a_host_is_one_however_it_is_spelt() {
        for spelt in ["db.example.com", "DB.Example.com", "db.example.com."] {
            let known = known(&format!(r#"{{"engine":"postgres","host":"{spelt}"}}"#));
            assert_eq!(known.host().as_deref(), Some("db.example.com"), "{spelt}");
        }
    }
}

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

use coffer_core::{Cx, Principal, Scrub};
use coffer_model::{
    lambda::{self, GetFunctionConfiguration, GetFunctionConfigurationRequest},
    secretsmanager::{SERVICE, action},
};
use coffer_shape::ApiError;
use coffer_types::{Arn, Secret};
use serde_json::{Map, Value, json};

use crate::{
    error::SecretError,
    identifier::secret,
    secret::{CURRENT, SecretRecord},
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
/// Shorter ones are in every text.
const SCRUBBED_BYTES_MIN: usize = 4;

/// What is known of the values of a secret and of the secret of its master user.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub endpoints: Vec<(String, u16)>,
    pub master_arn: Option<String>,
    pub values: Vec<Secret<Vec<u8>>>,
    /// The role of the function may not read the secret that it rotates. What it says is told to nobody.
    pub is_hidden: bool,
}

impl Known {
    /// Of all versions that carry labels. One that does not open is for the function to stumble over.
    pub(crate) fn of(cx: &mut Cx<'_>, record: &SecretRecord) -> Self {
        let mut known = Self::default();
        let role = role(cx, record);
        let is_readable =
            role.as_ref().is_some_and(|role| cx.in_the_name_of(role, |cx| known.add_secret(cx, &record.arn)));
        if !is_readable {
            // Its database is still the one that it is let through to.
            known.add_versions(cx, record);
            known.values.clear();
            known.is_hidden = true;
        }
        if let (Some(master), Some(role)) = (known.master_arn.clone(), &role) {
            let mut of_master = Self::default();
            if cx.in_the_name_of(role, |cx| of_master.add_secret(cx, &master)) {
                known.endpoints.append(&mut of_master.endpoints);
                let is_told = !known.is_hidden;
                for value in of_master.values.iter().filter(|_| is_told) {
                    known.add_value(value.expose());
                }
            }
        }
        let mut seen = BTreeSet::new();
        known.endpoints.retain(|endpoint| seen.insert(endpoint.clone()));
        known
    }

    /// What whoever is acting may read of a secret. Whether that is all of it.
    fn add_secret(&mut self, cx: &mut Cx<'_>, secret_id: &str) -> bool {
        let found = secret(cx, secret_id).and_then(|found| found.permit(cx, action::GET_SECRET_VALUE));
        match found {
            Ok(found) => found.if_any().is_some_and(|record| self.add_versions(cx, &record)),
            Err(_) => false,
        }
    }

    /// Of the current version alone, for whoever needs no walls.
    pub(crate) fn of_current(cx: &mut Cx<'_>, record: &SecretRecord) -> Self {
        let mut known = Self::default();
        if let Some(current) = record.holder(CURRENT).filter(|version| version.has_value) {
            known.add_version(cx, record, &current.id);
        }
        known
    }

    pub(crate) fn of_text(text: &Secret<String>) -> Self {
        let mut known = Self::default();
        known.add_text(text);
        known
    }

    /// Whether nobody was refused any of them.
    fn add_versions(&mut self, cx: &mut Cx<'_>, record: &SecretRecord) -> bool {
        let mut is_all = true;
        for version_id in labelled(record) {
            is_all &= self.add_version(cx, record, version_id);
        }
        is_all
    }

    fn add_version(&mut self, cx: &mut Cx<'_>, record: &SecretRecord, version_id: &str) -> bool {
        match cx.attempt(|cx| open_version(cx, record, version_id)) {
            Ok(SecretValue::String(text)) => self.add_text(&text),
            Ok(SecretValue::Binary(bytes)) => self.add_value(bytes.expose()),
            Err(error) => {
                cx.goes_on_without(&error);
                return error.is_fault();
            }
        }
        true
    }

    fn add_text(&mut self, text: &Secret<String>) {
        self.add_value(text.expose().as_bytes());
        let Ok(Value::Object(members)) = serde_json::from_str(text.expose()) else { return };
        self.endpoints.extend(endpoint(&members));
        if let Some(Value::String(arn)) = members.get("masterarn") {
            self.master_arn = Some(arn.clone());
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
        let is_new = || !self.values.iter().any(|known| known.expose() == value);
        if value.len() >= SCRUBBED_BYTES_MIN && is_new() {
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
        let mut readable = vec![secret_arn];
        readable.extend(self.master_arn.as_deref());
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
                let known = found.map(|record| Known::of(cx, &record)).unwrap_or_default();
                if known.is_hidden { Err(SecretError::OutputHidden.into()) } else { Ok(known.values) }
            });
            values.await
        })
    })
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_host_is_one_however_it_is_spelt() {
        for spelt in ["db.example.com", "DB.Example.com", "db.example.com."] {
            let known = known(&format!(r#"{{"engine":"postgres","host":"{spelt}"}}"#));
            assert_eq!(known.host().as_deref(), Some("db.example.com"), "{spelt}");
        }
    }
}

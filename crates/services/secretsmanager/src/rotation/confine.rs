//! What a function may do, reach and say while it rotates a secret.
//!
//! A rotation function is somebody's program that holds passwords. Whatever its role allows, here it may do to the one secret what a
//! rotation needs, and read the secret that names the master user; it reaches the database that the secret names; and what it prints
//! is cleaned of the values it works with. All of it is read off the versions that carry labels. A rotator that comes along is ours: it has
//! no walls and says no values, and only the host of its database has to be known.

use std::{collections::BTreeSet, sync::Arc};

use coffer_core::{Cx, Scrub};
use coffer_model::secretsmanager::{SERVICE, action};
use coffer_shape::ApiError;
use coffer_types::Secret;
use serde_json::{Map, Value, json};

use crate::{
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
}

impl Known {
    /// Of all versions that carry labels. One that does not open is for the function to stumble over.
    pub(crate) fn of(cx: &mut Cx<'_>, record: &SecretRecord) -> Self {
        let mut known = Self::default();
        known.add_versions(cx, record);
        if let Some(master) = known.master_arn.clone()
            && let Ok(found) =
                secret(cx, &master).and_then(|found| found.permit(cx, action::GET_SECRET_VALUE))
            && let Some(master) = found.if_any()
        {
            let arn = known.master_arn.take();
            known.add_versions(cx, &master);
            known.master_arn = arn;
        }
        let mut seen = BTreeSet::new();
        known.endpoints.retain(|endpoint| seen.insert(endpoint.clone()));
        known
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

    fn add_versions(&mut self, cx: &mut Cx<'_>, record: &SecretRecord) {
        let labelled =
            record.versions.iter().filter(|version| version.has_value && !version.labels.is_empty());
        for version in labelled {
            self.add_version(cx, record, &version.id);
        }
    }

    fn add_version(&mut self, cx: &mut Cx<'_>, record: &SecretRecord, version_id: &str) {
        match cx.attempt(|cx| open_version(cx, record, version_id)) {
            Ok(SecretValue::String(text)) => self.add_text(&text),
            Ok(SecretValue::Binary(bytes)) => self.add_value(bytes.expose()),
            Err(error) => cx.goes_on_without(&error),
        }
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

    /// The host of the database, of which one is changed at a time.
    pub(crate) fn host(&self) -> Option<&str> {
        self.endpoints.first().map(|(host, _)| host.as_str())
    }

    /// A text of a function without the values.
    pub(crate) fn scrubbed(&self, text: String) -> String {
        self.values
            .iter()
            .filter_map(|value| std::str::from_utf8(value.expose()).ok())
            .fold(text, |text, value| if text.contains(value) { text.replace(value, "****") } else { text })
    }

    /// The policy of the session that the function has.
    pub(crate) fn session_policy(&self, secret_arn: &str) -> String {
        let mut readable = vec![secret_arn];
        readable.extend(self.master_arn.as_deref());
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"],
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
                Ok(found.map(|record| Known::of(cx, &record).values).unwrap_or_default())
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
}

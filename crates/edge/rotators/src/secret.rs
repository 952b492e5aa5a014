//! What a secret says of its database, as AWS's functions understand it.

use coffer_types::Secret;
use serde_json::{Map, Value};

use crate::{database::Engine, failure::Failure};

/// The JSON of one version. What is not known in it is kept.
pub(crate) struct Words(Map<String, Value>);

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// Nothing is said: first with, and if that does not come to be, without.
    Preferred,
    Required,
    Off,
}

impl Words {
    /// The text of a version, if it says what is needed.
    pub(crate) fn parse(text: &Secret<String>, engine: Engine) -> Result<Self, Failure> {
        // The parser's own words could have a part of the value in them.
        let parsed: Value = serde_json::from_str(text.expose())
            .map_err(|_| Failure::value(String::from("The secret value is not valid JSON")))?;
        let Value::Object(members) = parsed else {
            return Err(Failure::value(String::from("The secret value is not a JSON object")));
        };
        let words = Self(members);
        if !words.text("engine").is_some_and(|named| engine.names().contains(&named)) {
            return Err(Failure::key(format!(
                "Database engine must be set to '{}' in order to use this rotation lambda",
                engine.name()
            )));
        }
        for name in ["host", "username", "password"] {
            if words.text(name).is_none() {
                return Err(Failure::key(format!("{name} key is missing from secret JSON")));
            }
        }
        Ok(words)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(crate) fn host(&self) -> &str {
        self.text("host").unwrap_or_default()
    }

    pub(crate) fn username(&self) -> &str {
        self.text("username").unwrap_or_default()
    }

    pub(crate) fn password(&self) -> &str {
        self.text("password").unwrap_or_default()
    }

    pub(crate) fn dbname(&self) -> Option<&str> {
        self.text("dbname").filter(|name| !name.is_empty())
    }

    pub(crate) fn master_arn(&self) -> Result<&str, Failure> {
        self.text("masterarn").ok_or_else(|| Failure::key(String::from("'masterarn'")))
    }

    pub(crate) fn port(&self, engine: Engine) -> Result<u16, Failure> {
        let port = match self.0.get("port") {
            None => return Ok(engine.port()),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(number) => number.as_u64().and_then(|port| u16::try_from(port).ok()),
        };
        port.ok_or_else(|| Failure::value(String::from("port in the secret JSON is no port")))
    }

    pub(crate) fn encryption(&self) -> Encryption {
        match self.0.get("ssl") {
            Some(Value::Bool(true)) => Encryption::Required,
            Some(Value::Bool(false)) => Encryption::Off,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Encryption::Required,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Encryption::Off,
            _ => Encryption::Preferred,
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        if let Some(Value::String(before)) = self.0.insert(name.to_owned(), Value::String(value.to_owned())) {
            drop(Secret::new(before));
        }
    }

    /// Takes over what another one says of this, or that it says nothing.
    pub(crate) fn take_over(&mut self, name: &str, from: &Self) {
        match from.0.get(name) {
            Some(value) => drop(self.0.insert(name.to_owned(), value.clone())),
            None => drop(self.0.shift_remove(name)),
        }
    }

    pub(crate) fn to_text(&self) -> Secret<String> {
        Secret::new(serde_json::to_string(&self.0).unwrap_or_default())
    }
}

/// The strings in it are wiped; the names of members are no secrets.
impl Drop for Words {
    fn drop(&mut self) {
        for value in self.0.values_mut() {
            if let Value::String(text) = value {
                drop(Secret::new(std::mem::take(text)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Words, Failure> {
        Words::parse(&Secret::new(text.to_owned()), Engine::Postgres)
    }

    #[test]
    fn what_is_missing_is_named_as_aws_names_it() {
        for (text, kind, message) in [
            ("x", "ValueError", "The secret value is not valid JSON"),
            ("[]", "ValueError", "The secret value is not a JSON object"),
            (
                "{}",
                "KeyError",
                "Database engine must be set to 'postgres' in order to use this rotation lambda",
            ),
            (
                r#"{"engine":"mysql"}"#,
                "KeyError",
                "Database engine must be set to 'postgres' in order to use this rotation lambda",
            ),
            (r#"{"engine":"postgres"}"#, "KeyError", "host key is missing from secret JSON"),
            (r#"{"engine":"postgres","host":"h"}"#, "KeyError", "username key is missing from secret JSON"),
            (
                r#"{"engine":"aurora-postgresql","host":"h","username":"u"}"#,
                "KeyError",
                "password key is missing from secret JSON",
            ),
        ] {
            let failure = words(text).err().unwrap();
            assert_eq!((failure.kind.as_str(), failure.message.as_str()), (kind, message), "{text}");
        }
    }

    fn with(more: &str) -> Words {
        words(&format!(r#"{{"engine":"postgres","host":"h","username":"u","password":"p"{more}}}"#)).unwrap()
    }

    #[test]
    fn a_port_is_a_number_or_a_text() {
        for (more, port) in [
            ("", Some(5432)),
            (r#","port":6432"#, Some(6432)),
            (r#","port":"6432""#, Some(6432)),
            (r#","port":"x""#, None),
            (r#","port":70000"#, None),
            (r#","port":null"#, None),
        ] {
            assert_eq!(with(more).port(Engine::Postgres).ok(), port, "{more}");
        }
    }

    #[test]
    fn encryption_is_as_it_is_said_and_preferred_where_nothing_is() {
        for (more, encryption) in [
            ("", Encryption::Preferred),
            (r#","ssl":"maybe""#, Encryption::Preferred),
            (r#","ssl":1"#, Encryption::Preferred),
            (r#","ssl":true"#, Encryption::Required),
            (r#","ssl":"True""#, Encryption::Required),
            (r#","ssl":false"#, Encryption::Off),
            (r#","ssl":"false""#, Encryption::Off),
        ] {
            assert_eq!(with(more).encryption(), encryption, "{more}");
        }
    }

    #[test]
    fn what_is_not_known_survives_and_stays_in_its_place() {
        let mut words = with(r#","port":"5432","pool":{"max":10},"tags":["a",1.5,null]"#);
        words.set("password", "new");
        assert_eq!(
            words.to_text().expose(),
            r#"{"engine":"postgres","host":"h","username":"u","password":"new","port":"5432","pool":{"max":10},"tags":["a",1.5,null]}"#
        );
    }
}

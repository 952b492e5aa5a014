//! Aliases: names that lead to a key, of the account or of a service that manages one.

use coffer_core::{Cx, Listed, Place, Resource, table};
use coffer_shape::ApiError;
use coffer_types::Timestamp;

use crate::{error::KmsError, key::KeyRecord};

/// Keys that a service manages for its account: the alias, and the one service that may use the key.
pub(crate) const SERVICE_KEYS: [(&str, &str); 1] = [("alias/aws/secretsmanager", "secretsmanager")];

pub(crate) const PREFIX: &str = "alias/";
const RESERVED: &str = "alias/aws/";
const NAME_MAX: usize = 250;
/// AWS's quota for one key.
const PER_KEY_MAX: usize = 50;

table! {
    0x21 "kms-alias", version 1, key (name), part;

    /// An alias as it was when services had the only ones.
    pub struct AliasRecordV1 {
        pub name: String,
        pub key_id: String,
    }
}

table! {
    0x21 "kms-alias", version 2 after AliasRecordV1, key (name), part;

    #[derive(Clone)]
    pub struct AliasRecord {
        pub name: String,
        pub key_id: String,
        /// None for those of the first version.
        pub created_at: Option<Timestamp>,
        pub updated_at: Option<Timestamp>,
    }
}

impl From<AliasRecordV1> for AliasRecord {
    fn from(old: AliasRecordV1) -> Self {
        Self { name: old.name, key_id: old.key_id, ..Self::default() }
    }
}

impl Listed for AliasRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: None, text: &self.name, tie: "" }
    }
}

/// An alias as something that can be permitted: policies name it by its ARN, and nothing hangs on it.
#[derive(Debug)]
pub(crate) struct Alias(String);

impl Alias {
    pub(crate) fn named(cx: &Cx<'_>, name: &str) -> Self {
        Self(cx.arn("kms", name).to_string())
    }
}

impl Resource for Alias {
    fn arn(&self) -> String {
        self.0.clone()
    }
}

/// The service that manages the key of this alias.
pub(crate) fn service_of(name: &str) -> Option<&'static str> {
    SERVICE_KEYS.iter().find(|(alias, _)| *alias == name).map(|(_, service)| *service)
}

/// An alias that belongs to users.
pub(crate) fn check_owner(name: &str) -> Result<&str, KmsError> {
    let Some(rest) = name.strip_prefix(PREFIX) else { return Err(KmsError::AliasWithoutPrefix) };
    if name.starts_with(RESERVED) { Err(KmsError::AliasReserved) } else { Ok(rest) }
}

/// A name that users may give away.
pub(crate) fn check_name(name: &str) -> Result<(), KmsError> {
    let rest = check_owner(name)?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
    if rest.is_empty() || rest.len() > NAME_MAX || !rest.bytes().all(good) {
        return Err(KmsError::AliasName);
    }
    Ok(())
}

/// The alias that a caller means, which exists.
pub(crate) fn existing(cx: &Cx<'_>, name: &str) -> Result<AliasRecord, ApiError> {
    let found = cx.part::<AliasRecord>(&[name])?;
    let found = found.ok_or_else(|| KmsError::AliasNotFound { arn: cx.arn("kms", name).to_string() })?;
    Ok((*found).clone())
}

impl KeyRecord {
    pub(crate) fn add_alias(&mut self, name: &str) -> Result<(), KmsError> {
        if self.aliases.len() >= PER_KEY_MAX {
            return Err(KmsError::TooManyAliases { arn: self.arn.clone() });
        }
        let place = self.aliases.partition_point(|known| known.as_str() < name);
        self.aliases.insert(place, name.to_owned());
        Ok(())
    }

    pub(crate) fn remove_alias(&mut self, name: &str) {
        self.aliases.retain(|known| known != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_aliases() {
        let long = format!("alias/{}", "a".repeat(250));
        let longer = format!("{long}a");
        for (name, expected) in [
            ("alias/a", Ok(())),
            ("alias/Team/db_1-x", Ok(())),
            (long.as_str(), Ok(())),
            (longer.as_str(), Err(KmsError::AliasName)),
            ("alias/", Err(KmsError::AliasName)),
            ("alias/a:b", Err(KmsError::AliasName)),
            ("alias/a b", Err(KmsError::AliasName)),
            ("alias/aws/ebs", Err(KmsError::AliasReserved)),
            ("alias/aws", Ok(())),
            ("db", Err(KmsError::AliasWithoutPrefix)),
            ("Alias/db", Err(KmsError::AliasWithoutPrefix)),
        ] {
            assert_eq!(check_name(name), expected, "{name}");
        }
    }

    #[test]
    fn a_key_knows_its_aliases_in_order_and_has_room_for_fifty() {
        let mut key = KeyRecord::default();
        for number in (0..50).rev() {
            key.add_alias(&format!("alias/{number:02}")).unwrap();
        }
        assert!(key.aliases.is_sorted());
        assert!(key.add_alias("alias/x").is_err());
        key.remove_alias("alias/07");
        assert_eq!(key.aliases.len(), 49);
    }
}

//! The versions of a managed policy: up to five, one of them in force.

use coffer_core::PolicyText;
use coffer_policy::Kind;
use coffer_types::Timestamp;

use crate::{
    error::IamError,
    holder::chars_that_count,
    managed::{PolicyRecord, PolicyVersion},
};

pub(crate) const VERSIONS_MAX: usize = 5;
/// Characters of a version, white space not counted.
pub(crate) const CHARS_MAX: usize = 6_144;

/// With white space, which AWS lets anybody have any amount of. A record has room for five such versions.
const BYTES_MAX: usize = 20 << 10;

/// A text that is a managed policy.
pub(crate) fn written(text: String) -> Result<PolicyText, IamError> {
    let text = PolicyText::parse(Kind::Managed, text).map_err(IamError::Malformed)?;
    if chars_that_count(text.as_str()) > CHARS_MAX || text.as_str().len() > BYTES_MAX {
        return Err(IamError::Quota { name: "PolicySize", limit: CHARS_MAX });
    }
    Ok(text)
}

impl PolicyRecord {
    /// Adds a version under the next number. The first is always in force, and the newest says when the policy was updated.
    pub(crate) fn add_version(
        &mut self,
        document: PolicyText,
        now: Timestamp,
        is_default: bool,
    ) -> Result<PolicyVersion, IamError> {
        if self.versions.len() >= VERSIONS_MAX {
            return Err(IamError::TooManyVersions { max: VERSIONS_MAX });
        }
        self.next_version = self.next_version.max(1);
        let version = PolicyVersion { id: format!("v{}", self.next_version), created_at: now, document };
        self.next_version = self.next_version.saturating_add(1);
        if is_default || self.versions.is_empty() {
            self.default_version.clone_from(&version.id);
        }
        self.versions.push(version.clone());
        self.updated_at = now;
        Ok(version)
    }

    pub(crate) fn version(&self, id: &str) -> Result<&PolicyVersion, IamError> {
        let found = self.versions.iter().find(|version| version.id == id);
        found.ok_or_else(|| IamError::NoSuchPolicyVersion { arn: self.arn.clone(), version: id.to_owned() })
    }

    pub(crate) fn put_in_force(&mut self, id: &str) -> Result<(), IamError> {
        self.default_version = self.version(id)?.id.clone();
        Ok(())
    }

    pub(crate) fn remove_version(&mut self, id: &str) -> Result<(), IamError> {
        self.version(id)?;
        if self.default_version == id {
            return Err(IamError::DefaultVersion);
        }
        self.versions.retain(|version| version.id != id);
        Ok(())
    }

    /// A version that is not in force is the work of somebody, so it goes by his word only.
    pub(crate) fn ensure_is_last_version(&self) -> Result<(), IamError> {
        if self.versions.len() > 1 { Err(IamError::MoreThanOneVersion) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: &str =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*"}]}"#;

    fn add(policy: &mut PolicyRecord, is_default: bool) -> Result<String, IamError> {
        let text = written(ALLOW.to_owned()).unwrap();
        policy.add_version(text, Timestamp::default(), is_default).map(|version| version.id)
    }

    fn ids(policy: &PolicyRecord) -> Vec<&str> {
        policy.versions.iter().map(|version| version.id.as_str()).collect()
    }

    #[test]
    fn a_number_is_never_given_twice_and_there_are_five_at_most() {
        let mut policy = PolicyRecord::default();
        assert_eq!(add(&mut policy, false).as_deref(), Ok("v1"));
        assert_eq!(policy.default_version, "v1");
        for _ in 2..=5 {
            add(&mut policy, false).unwrap();
        }
        assert_eq!(add(&mut policy, true), Err(IamError::TooManyVersions { max: 5 }));
        policy.remove_version("v5").unwrap();
        assert_eq!(add(&mut policy, true).as_deref(), Ok("v6"));
        assert_eq!(
            (ids(&policy), policy.default_version.as_str()),
            (vec!["v1", "v2", "v3", "v4", "v6"], "v6")
        );
    }

    #[test]
    fn what_is_in_force_stays() {
        let mut policy = PolicyRecord { arn: String::from("a"), ..PolicyRecord::default() };
        add(&mut policy, true).unwrap();
        add(&mut policy, false).unwrap();
        assert_eq!(policy.remove_version("v1"), Err(IamError::DefaultVersion));
        assert_eq!(policy.ensure_is_last_version(), Err(IamError::MoreThanOneVersion));
        policy.put_in_force("v2").unwrap();
        policy.remove_version("v1").unwrap();
        assert_eq!(policy.ensure_is_last_version(), Ok(()));
        let missing = IamError::NoSuchPolicyVersion { arn: String::from("a"), version: String::from("v1") };
        assert_eq!(policy.put_in_force("v1"), Err(missing));
        assert_eq!(policy.in_force().map(|version| version.id.as_str()), Some("v2"));
    }

    #[test]
    fn white_space_is_not_counted() {
        let action = "a".repeat(CHARS_MAX - chars_that_count(ALLOW));
        let long = |action: String| ALLOW.replacen("a:b", &format!("a:b{action}"), 1).replace(",", ",   \n");
        assert!(written(long(action.clone())).is_ok());
        let quota = IamError::Quota { name: "PolicySize", limit: CHARS_MAX };
        assert_eq!(written(long(action + "a")), Err(quota));
    }
}

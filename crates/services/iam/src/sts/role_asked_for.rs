//! The role that somebody wants to take on, which may be missing: whoever may not have it does not learn whether it is there.

use std::sync::Arc;

use coffer_core::{Cx, Guarded, Partition, Resource, WebIdentity};
use coffer_policy::Policy;
use coffer_shape::{ApiError, ConditionValue};
use coffer_types::{AccountId, Arn, Region};

use super::error::StsError;
use crate::{
    name::{key_of, name_in},
    role::RoleRecord,
};

/// What a request calls it.
pub(super) struct RoleName {
    arn: Arn,
    account: AccountId,
}

impl RoleName {
    pub(super) fn parse(text: &str) -> Result<Self, StsError> {
        let bad = || StsError::NotARole { arn: text.to_owned() };
        let arn: Arn = text.parse().map_err(|_| bad())?;
        let account = arn.account().parse().map_err(|_| bad())?;
        let is_role = arn.partition() == coffer_types::PARTITION
            && arn.service() == "iam"
            && arn.region().is_empty()
            && arn.resource().strip_prefix("role/").is_some_and(|name| !name_in(name).is_empty());
        if is_role { Ok(Self { arn, account }) } else { Err(bad()) }
    }

    pub(super) const fn account(&self) -> AccountId {
        self.account
    }

    /// Somebody who vouched for the caller, if somebody did, has claims that policies may ask about.
    pub(super) fn find(
        &self,
        cx: &Cx<'_>,
        identity: Option<Arc<WebIdentity>>,
    ) -> Result<Guarded<RoleAskedFor>, ApiError> {
        let key = key_of(name_in(self.arn.resource()));
        let home = Partition::new(self.account, Region::global());
        cx.find_abroad::<RoleRecord, RoleAskedFor>(&home, &[&key], |record| RoleAskedFor {
            arn: self.arn.as_str().to_owned(),
            record: record.filter(|role| role.arn == self.arn.as_str()),
            identity,
        })
    }
}

pub(super) struct RoleAskedFor {
    arn: String,
    record: Option<Arc<RoleRecord>>,
    identity: Option<Arc<WebIdentity>>,
}

impl RoleAskedFor {
    /// A role that is missing has no trust policy, so nobody was permitted to come here with one.
    pub(super) fn record(&self, cx: &Cx<'_>) -> Result<&Arc<RoleRecord>, ApiError> {
        self.record.as_ref().ok_or_else(|| cx.internal("a role that does not exist was permitted"))
    }
}

impl Resource for RoleAskedFor {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        self.record.as_ref().map(|role| Resource::tags(&**role)).unwrap_or_default()
    }

    fn condition(&self, _: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        let identity = self.identity.as_ref()?;
        let claim = key.strip_prefix(&identity.issuer.to_lowercase())?.strip_prefix(':')?;
        let found = identity.claims.iter().find(|(name, _)| name.to_lowercase() == claim);
        found.map(|(_, value)| value.clone())
    }

    fn policy(&self, _: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        Ok(self.record.as_ref().map(|role| role.trust_policy()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_asked_for_by_its_arn() {
        for (arn, is_role) in [
            ("arn:aws:iam::111122223333:role/app", true),
            ("arn:aws:iam::111122223333:role/team/blue/app", true),
            ("arn:aws:iam::111122223333:role/", false),
            ("arn:aws:iam::111122223333:role/team/", false),
            ("arn:aws:iam::111122223333:user/app", false),
            ("arn:aws:iam:eu-west-1:111122223333:role/app", false),
            ("arn:aws:iam::aws:role/app", false),
            ("arn:aws:sts::111122223333:assumed-role/app/s", false),
            ("app, which is long enough", false),
        ] {
            assert_eq!(RoleName::parse(arn).is_ok(), is_role, "{arn}");
        }
    }
}

//! What the rest of Coffer asks about identities: who one is, and which policies hold for a caller.

use std::sync::Arc;

use coffer_core::{
    AssumedRole, Db, FoundRole, Identities, LoadError, Partition, Principal, PrincipalKind, Session, Standing,
};
use coffer_policy::{Kind, Policy};
use coffer_types::{AccountId, Arn, Region};

use crate::{
    group::GroupRecord,
    holder::Held,
    managed,
    name::{key_of, name_in},
    role::RoleRecord,
    tags::TagRecord,
    trust::MovedRecord,
    user::UserRecord,
};

/// The keeper of users, groups and roles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Iam;

impl Identities for Iam {
    fn identity(&self, db: &Db, arn: &Arn) -> Result<Option<String>, LoadError> {
        let Ok(account) = arn.account().parse() else { return Ok(None) };
        let partition = Partition::new(account, Region::global());
        let Some((kind, path)) = arn.resource().split_once('/') else { return Ok(None) };
        let key = key_of(name_in(path));
        Ok(match kind {
            "user" => db
                .read::<UserRecord>(&partition, &[&key])?
                .filter(|user| user.arn == arn.as_str())
                .map(|user| user.user_id.clone()),
            "role" => db
                .read::<RoleRecord>(&partition, &[&key])?
                .filter(|role| role.arn == arn.as_str())
                .map(|role| role.role_id.clone()),
            _ => None,
        })
    }

    fn role(&self, db: &Db, arn: &Arn) -> Result<Option<FoundRole>, LoadError> {
        let Ok(account) = arn.account().parse() else { return Ok(None) };
        let Some(path) = arn.resource().strip_prefix("role/") else { return Ok(None) };
        let partition = Partition::new(account, Region::global());
        let role = db.read::<RoleRecord>(&partition, &[&key_of(name_in(path))])?;
        let role = role.filter(|role| role.arn == arn.as_str());
        Ok(role.map(|role| FoundRole { id: role.role_id.clone(), trust: role.trust_policy() }))
    }

    fn arn_of(&self, db: &Db, account: AccountId, unique_id: &str) -> Result<Option<String>, LoadError> {
        let partition = Partition::new(account, Region::global());
        Ok(db.read::<MovedRecord>(&partition, &[unique_id])?.map(|moved| moved.arn.clone()))
    }

    fn standing(&self, db: &Db, principal: &Principal) -> Result<Option<Arc<Standing>>, LoadError> {
        let partition = Partition::new(principal.account, Region::global());
        let desk = Desk { db, partition: &partition };
        let found = match &principal.kind {
            PrincipalKind::Root | PrincipalKind::WebIdentity(_) | PrincipalKind::Service { .. } => {
                Some(Arc::default())
            }
            PrincipalKind::User { name } => {
                let id = principal.user_id.as_str();
                let found = db.derived(&partition, &["user", name, id], || desk.of_user(name, id))?;
                Option::clone(&found)
            }
            PrincipalKind::AssumedRole(role) => {
                let found = db.derived(&partition, &["role", &role.arn, &role.id], || desk.of_role(role))?;
                Option::clone(&found)
            }
        };
        let (Some(standing), Some(session)) = (&found, &principal.session) else { return Ok(found) };
        let limits = desk.of_session(session)?;
        if limits.is_none() && session.tags.is_empty() {
            return Ok(found);
        }
        let mut standing = Standing { session: limits, ..Standing::clone(standing) };
        for (key, value) in &session.tags {
            standing.tags.retain(|(known, _)| !known.eq_ignore_ascii_case(key));
            standing.tags.push((key.clone(), value.clone()));
        }
        Ok(Some(Arc::new(standing)))
    }
}

/// Where the records of one account are looked up.
struct Desk<'a> {
    db: &'a Db,
    partition: &'a Partition,
}

impl Desk<'_> {
    /// Somebody of this name with another id is somebody else.
    fn of_user(&self, name: &str, id: &str) -> Result<Option<Arc<Standing>>, LoadError> {
        let user = self.db.read::<UserRecord>(self.partition, &[&key_of(name)])?;
        let Some(user) = user.filter(|user| user.user_id == id) else { return Ok(None) };
        let mut identity = Vec::new();
        self.add(&mut identity, &user.policies)?;
        for group in &user.groups {
            // A group that is deleted between two reads holds nothing any more.
            if let Some(group) = self.db.read::<GroupRecord>(self.partition, &[group])? {
                self.add(&mut identity, &group.policies)?;
            }
        }
        let boundary = user.boundary.as_deref().map(|arn| self.managed(arn)).transpose()?;
        let tags = owned(&user.tags);
        Ok(Some(Arc::new(Standing { identity, boundary, session: None, tags })))
    }

    fn of_role(&self, assumed: &AssumedRole) -> Result<Option<Arc<Standing>>, LoadError> {
        let name = assumed.arn.rsplit('/').next().unwrap_or_default();
        let role = self.db.read::<RoleRecord>(self.partition, &[&key_of(name)])?;
        let Some(role) = role.filter(|role| role.role_id == assumed.id) else { return Ok(None) };
        let mut identity = Vec::new();
        self.add(&mut identity, &role.policies)?;
        let boundary = role.boundary.as_deref().map(|arn| self.managed(arn)).transpose()?;
        let tags = owned(&role.tags);
        Ok(Some(Arc::new(Standing { identity, boundary, session: None, tags })))
    }

    /// What a session may do at most; nothing if nothing was said.
    fn of_session(&self, session: &Session) -> Result<Option<Vec<Arc<Policy>>>, LoadError> {
        if session.policies.is_empty() && session.policy_arns.is_empty() {
            return Ok(None);
        }
        let mut policies: Vec<_> = session
            .policies
            .iter()
            .map(|text| Arc::clone(text.policy(Kind::Inline, "the session policy")))
            .collect();
        for arn in &session.policy_arns {
            policies.push(self.managed(arn)?);
        }
        Ok(Some(policies))
    }

    fn add(&self, policies: &mut Vec<Arc<Policy>>, held: &Held) -> Result<(), LoadError> {
        for policy in &held.inline {
            policies.push(Arc::clone(policy.document.policy(Kind::Inline, &policy.name)));
        }
        for arn in &held.attached {
            policies.push(self.managed(arn)?);
        }
        Ok(())
    }

    /// A managed policy that is gone cannot be decided by. It denies everything, because leaving out what may deny would allow.
    fn managed(&self, arn: &str) -> Result<Arc<Policy>, LoadError> {
        let policy = managed::policy(self.db, self.partition, arn)?;
        Ok(policy.unwrap_or_else(|| Arc::new(Policy::denying(arn))))
    }
}

fn owned(tags: &[TagRecord]) -> Vec<(String, String)> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

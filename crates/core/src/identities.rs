//! What core asks whoever keeps identities: who exists, and which policies hold for a caller.
//!
//! Identities live in a partition of their own, so what is answered is true now and no check of the commit. Without a keeper nobody
//! exists, and nobody but root may do anything.

use std::sync::Arc;

use coffer_policy::Policy;
use coffer_types::{AccountId, Arn};

use crate::{Db, LoadError, Principal};

/// What holds for a caller, whatever he asks for.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// What a user and his groups hold, or a role.
    pub identity: Vec<Arc<Policy>>,
    /// Without one, nothing is limited by it.
    pub boundary: Option<Arc<Policy>>,
    /// None for those who were given none, whom nothing limits.
    pub session: Option<Vec<Arc<Policy>>>,
    /// Of the user or role, and over them those of the session.
    pub tags: Vec<(String, String)>,
}

/// A role that somebody wants to take on.
#[derive(Debug, Clone)]
pub struct FoundRole {
    pub id: String,
    /// Who may.
    pub trust: Arc<Policy>,
}

pub trait Identities: Send + Sync {
    /// The unique id of the user or role of this ARN, which nobody else will ever have, if its account has one.
    fn identity(&self, db: &Db, arn: &Arn) -> Result<Option<String>, LoadError>;

    /// The ARN that the user or role of this id has now, if it is known to have had another one.
    fn arn_of(&self, db: &Db, account: AccountId, unique_id: &str) -> Result<Option<String>, LoadError>;

    /// The role of this ARN, if its account has one.
    fn role(&self, db: &Db, arn: &Arn) -> Result<Option<FoundRole>, LoadError>;

    /// None for somebody who is no more: a user that was deleted since he signed, a role since it was taken on.
    fn standing(&self, db: &Db, principal: &Principal) -> Result<Option<Arc<Standing>>, LoadError>;
}

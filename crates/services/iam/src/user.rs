//! Users: people and programs with keys of their own.
//!
//! The first start makes one, the administrator. It is a user like any other, with the policy `AdministratorAccess`.

use coffer_core::{Cx, Db, Listed, LoadError, Partition, Place, Resource, ServiceEvent, table};
use coffer_model::iam::action;
use coffer_shape::ApiError;
use coffer_types::{AccountId, Region, Secret, Timestamp};

use crate::{
    access_key::{AccessKeyRecord, new_id, new_secret, unique_id},
    attachments, bundled,
    entity::{Bounded, Entity, Tagged},
    holder::{Held, Holder},
    name::{self, key_of},
    tags::{self, TagRecord},
};

table! {
    0x10 "iam-user", version 1, key (name);

    /// A user as the first builds kept one: there was only the administrator.
    pub struct UserRecordV1 {
        pub name: String,
        pub user_id: String,
        pub arn: String,
        pub created_at: Timestamp,
        pub administrator: bool,
    }
}

table! {
    0x10 "iam-user", version 2 after UserRecordV1, key (key);

    #[derive(Clone)]
    pub struct UserRecord {
        /// The name in small letters.
        pub key: String,
        pub name: String,
        pub path: String,
        pub user_id: String,
        pub arn: String,
        pub created_at: Timestamp,
        pub policies: Held,
        /// The ARN of a managed policy.
        pub boundary: Option<String>,
        pub tags: Vec<TagRecord>,
        /// Ids of the groups, in the order in which he came into them.
        pub groups: Vec<String>,
        /// Ids, oldest first.
        pub access_keys: Vec<String>,
    }
}

impl From<UserRecordV1> for UserRecord {
    fn from(old: UserRecordV1) -> Self {
        let attached =
            if old.administrator { vec![bundled::ADMINISTRATOR_ACCESS.to_owned()] } else { vec![] };
        Self {
            key: key_of(&old.name),
            name: old.name,
            path: String::from("/"),
            user_id: old.user_id,
            arn: old.arn,
            created_at: old.created_at,
            policies: Held { inline: vec![], attached },
            ..Self::default()
        }
    }
}

impl Resource for UserRecord {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        tags::pairs(&self.tags)
    }
}

impl Listed for UserRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: None, text: &self.key, tie: "" }
    }
}

impl Entity for UserRecord {
    const KIND: &'static str = "user";

    fn arn_of_missing(cx: &Cx<'_>, name: &str) -> String {
        name::arn(cx, "user", "/", name)
    }

    fn boundary(&self) -> Option<&str> {
        self.boundary.as_deref()
    }
}

impl Tagged for UserRecord {
    fn tags(&self) -> &[TagRecord] {
        &self.tags
    }

    fn tags_mut(&mut self) -> &mut Vec<TagRecord> {
        &mut self.tags
    }
}

impl Bounded for UserRecord {
    fn boundary_mut(&mut self) -> &mut Option<String> {
        &mut self.boundary
    }
}

impl Holder for UserRecord {
    const ATTACHED_QUOTA: &'static str = "PoliciesPerUser";
    const INLINE_CHARS_MAX: usize = 2_048;

    fn name(&self) -> &str {
        &self.name
    }

    fn held(&self) -> &Held {
        &self.policies
    }

    fn held_mut(&mut self) -> &mut Held {
        &mut self.policies
    }
}

impl UserRecord {
    pub(crate) fn new(cx: &Cx<'_>, path: &str, name: &str) -> Self {
        Self {
            key: key_of(name),
            name: name.to_owned(),
            path: path.to_owned(),
            user_id: unique_id(cx.entropy(), "AIDA"),
            arn: name::arn(cx, "user", path, name),
            created_at: cx.now(),
            ..Self::default()
        }
    }
}

/// A fresh key pair. The secret is shown once, to whoever writes it into a file.
#[derive(Debug)]
pub struct NewCredentials {
    pub user_arn: String,
    pub access_key_id: String,
    pub secret_access_key: Secret<String>,
}

/// Makes a user who may do everything, with one access key.
pub fn create_administrator(cx: &mut Cx<'_>, name: &str) -> Result<NewCredentials, ApiError> {
    let mut user = UserRecord::new(cx, "/", name);
    user.policies.attached.push(bundled::ADMINISTRATOR_ACCESS.to_owned());
    attachments::count(cx, bundled::ADMINISTRATOR_ACCESS, attachments::Use::Policy, 1)?;
    add_local_key(cx, user, "CreateAdministrator")
}

/// Gives a user one more access key. `None` if there is no such user.
pub fn create_access_key(cx: &mut Cx<'_>, name: &str) -> Result<Option<NewCredentials>, ApiError> {
    let Some(user) = cx.find::<UserRecord>(&[&key_of(name)])? else { return Ok(None) };
    let user = user.permit(cx, action::CREATE_ACCESS_KEY)?;
    add_local_key(cx, std::sync::Arc::unwrap_or_clone(user), "CreateAccessKey").map(Some)
}

pub(crate) fn add_local_key(
    cx: &mut Cx<'_>,
    mut user: UserRecord,
    event: &'static str,
) -> Result<NewCredentials, ApiError> {
    let key = new_key(cx, &mut user);
    cx.record_event(ServiceEvent {
        kind: coffer_core::EventKind::Local,
        source: "iam.amazonaws.com",
        name: event,
        details: vec![("userArn", user.arn.clone()), ("accessKeyId", key.id.clone())],
    });
    let credentials = NewCredentials {
        user_arn: user.arn.clone(),
        access_key_id: key.id.clone(),
        secret_access_key: Secret::new(key.secret.expose().clone()),
    };
    cx.save(key)?;
    cx.save(user)?;
    Ok(credentials)
}

/// A new key of a user; both are still to be saved.
pub(crate) fn new_key(cx: &Cx<'_>, user: &mut UserRecord) -> AccessKeyRecord {
    let id = new_id(cx.entropy(), cx.account());
    let secret = new_secret(cx.entropy());
    user.access_keys.push(id.clone());
    AccessKeyRecord { id, user_name: user.name.clone(), secret, active: true, created_at: cx.now() }
}

/// Whether the account has been set up: its administrator exists.
pub fn has_users(db: &Db, account: AccountId, administrator: &str) -> Result<bool, LoadError> {
    let partition = Partition::new(account, Region::global());
    Ok(db.read::<UserRecord>(&partition, &[&key_of(administrator)])?.is_some())
}

//! Users. For now there is one: the administrator that the first start makes.

use coffer_core::{Cx, Db, LoadError, Partition, Resource, ServiceEvent, table};
use coffer_model::iam::action;
use coffer_shape::ApiError;
use coffer_types::{AccountId, Arn, Region, Secret, Timestamp};

use crate::access_key::{AccessKeyRecord, new_id, new_secret, unique_id};

table! {
    0x10 "iam-user", version 1, key (name);

    pub struct UserRecord {
        pub name: String,
        pub user_id: String,
        pub arn: String,
        pub created_at: Timestamp,
        /// May do everything in the account, as if the policy `AdministratorAccess` were attached.
        pub administrator: bool,
    }
}

impl Resource for UserRecord {
    fn arn(&self) -> String {
        self.arn.clone()
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
    let user = UserRecord {
        name: name.to_owned(),
        user_id: unique_id(cx.entropy(), "AIDA"),
        arn: Arn::global("iam", cx.account(), &format!("user/{name}")).to_string(),
        created_at: cx.now(),
        administrator: true,
    };
    let credentials = add_key(cx, &user, "CreateAdministrator")?;
    cx.save(user)?;
    Ok(credentials)
}

/// Gives a user one more access key. `None` if there is no such user.
pub fn create_access_key(cx: &mut Cx<'_>, name: &str) -> Result<Option<NewCredentials>, ApiError> {
    let Some(user) = cx.find::<UserRecord>(&[name])? else { return Ok(None) };
    let user = user.permit(cx, action::CREATE_ACCESS_KEY)?;
    add_key(cx, &user, "CreateAccessKey").map(Some)
}

fn add_key(cx: &mut Cx<'_>, user: &UserRecord, event: &'static str) -> Result<NewCredentials, ApiError> {
    let id = new_id(cx.entropy(), cx.account());
    let secret = new_secret(cx.entropy());
    let credentials = NewCredentials {
        user_arn: user.arn.clone(),
        access_key_id: id.clone(),
        secret_access_key: Secret::new(secret.expose().clone()),
    };
    cx.record_event(ServiceEvent {
        kind: coffer_core::EventKind::Local,
        source: "iam.amazonaws.com",
        name: event,
        details: vec![("userArn", user.arn.clone()), ("accessKeyId", id.clone())],
    });
    let created_at = cx.now();
    cx.save(AccessKeyRecord { id, user_name: user.name.clone(), secret, active: true, created_at })?;
    Ok(credentials)
}

/// Whether the account has been set up: its administrator exists.
pub fn has_users(db: &Db, account: AccountId, administrator: &str) -> Result<bool, LoadError> {
    let partition = Partition::new(account, Region::global());
    Ok(db.read::<UserRecord>(&partition, &[administrator])?.is_some())
}

/// Whether there is such a user. There are no roles yet, so none exists.
pub(crate) fn identity_exists(db: &Db, arn: &Arn) -> Result<bool, LoadError> {
    let name = arn.resource().strip_prefix("user/").and_then(|path| path.rsplit('/').next());
    let (Some(name), Ok(account)) = (name, arn.account().parse()) else { return Ok(false) };
    let user = db.read::<UserRecord>(&Partition::new(account, Region::global()), &[name])?;
    Ok(user.is_some_and(|user| user.arn == arn.as_str()))
}

//! IAM and STS: who exists, with which keys, and who am I.
//!
//! The administrator of an account is made at the first start; the API to make others comes with the policy engine. Users and
//! their access keys live in the `global` region of their account. An access key id carries its account, so a request can be
//! looked up before anything else is known about it.

mod access_key;
mod examined;
mod sts;
mod user;

pub use access_key::{AccessKey, AccessKeyRecord, account_of, find_access_key};
pub use user::{NewCredentials, UserRecord, create_access_key, create_administrator, has_users};

use coffer_core::Registry;
use coffer_model::sts as model;

pub fn register(registry: &mut Registry) {
    registry.serve::<model::GetCallerIdentity>(sts::get_caller_identity);
    registry.examine::<UserRecord>();
    registry.examine::<AccessKeyRecord>();
    registry.identities(user::identity_exists);
}

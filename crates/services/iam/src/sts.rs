//! STS: who am I, and credentials that end by themselves.
//!
//! Nothing is stored of what is given out. A session travels sealed in its token, with the secret of its key, and whoever verifies a
//! signature opens it there ([`session_token`]). Whether a role may be taken on is asked like everything else: the role is a resource,
//! and its trust policy is the policy of that resource.

mod assume_role;
mod error;
mod limits;
mod ops;
mod role_asked_for;
mod session_token;
mod web_identity;

pub use self::{
    session_token::{OpenedSession, SessionKey, open_session},
    web_identity::{TrustedProvider, trusted_provider},
};

use coffer_core::Registry;
use coffer_model::sts as model;

pub(crate) fn register(registry: &mut Registry) {
    registry.serve::<model::AssumeRole>(assume_role::assume_role);
    registry.serve::<model::AssumeRoleWithWebIdentity>(web_identity::assume_role_with_web_identity);
    registry.serve::<model::DecodeAuthorizationMessage>(ops::decode_authorization_message);
    registry.serve::<model::GetAccessKeyInfo>(ops::get_access_key_info);
    registry.serve::<model::GetCallerIdentity>(ops::get_caller_identity);
    registry.serve::<model::GetSessionToken>(ops::get_session_token);
}

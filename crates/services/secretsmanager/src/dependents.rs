//! What depends on a KMS key.

use std::ops::ControlFlow;

use coffer_core::{Cx, Principal, Walk};
use coffer_model::secretsmanager::{SERVICE, action};
use coffer_shape::ApiError;

use crate::secret::SecretRecord;

/// How many versions of secrets of this account and region are under this key and under no other. Those of accounts that it is lent to are
/// their business.
pub(crate) fn on_key(cx: &mut Cx<'_>, key_arn: &str) -> Result<u64, ApiError> {
    let service = Principal::service(cx.account(), SERVICE.event_source);
    let permit = cx.in_the_name_of(&service, |cx| cx.ask_all::<SecretRecord>(action::LIST_SECRETS))?;
    let mut versions = 0;
    cx.walk(permit, Walk::default(), &mut |secret| {
        versions += secret.versions_under_alone(key_arn);
        ControlFlow::Continue(())
    })?;
    Ok(versions)
}

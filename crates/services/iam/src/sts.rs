//! STS operations.

use coffer_core::Cx;
use coffer_model::sts::{GetCallerIdentityRequest, GetCallerIdentityResponse};
use coffer_shape::ApiError;

/// Says who the caller is. Every client asks this first.
pub(crate) fn get_caller_identity(
    cx: &mut Cx<'_>,
    _: GetCallerIdentityRequest,
) -> Result<GetCallerIdentityResponse, ApiError> {
    cx.needs_no_permission("AWS answers this call even against an explicit deny");
    let caller = cx.caller();
    Ok(GetCallerIdentityResponse {
        user_id: Some(caller.user_id.clone()),
        account: Some(caller.account.to_string()),
        arn: Some(caller.arn.clone()),
    })
}

//! ValidateResourcePolicy.

use coffer_core::{Cx, Unscoped};
use coffer_model::secretsmanager::{ValidateResourcePolicyRequest, ValidateResourcePolicyResponse, action};
use coffer_shape::ApiError;

use crate::{
    identifier::secret,
    policy::{findings, understand},
};

/// Looks at a policy as if it were to be attached, and stores nothing. A text that is no policy is an error; a policy that opens a
/// secret to the world or locks the caller out is an answer.
pub(crate) fn validate_resource_policy(
    cx: &mut Cx<'_>,
    input: ValidateResourcePolicyRequest,
) -> Result<ValidateResourcePolicyResponse, ApiError> {
    // AWS asks for the permission to put the policy as well.
    let secret = match &input.secret_id {
        Some(secret_id) => {
            let target = secret(cx, secret_id)?.permit(cx, action::VALIDATE_RESOURCE_POLICY)?;
            cx.ask(action::PUT_RESOURCE_POLICY, &target)?;
            Some(target.existing()?)
        }
        None => {
            cx.ask(action::VALIDATE_RESOURCE_POLICY, &Unscoped)?;
            cx.ask(action::PUT_RESOURCE_POLICY, &Unscoped)?;
            None
        }
    };

    let document = understand(cx, &input.resource_policy)?;
    let findings = findings(cx, &document, secret.as_ref().map(|secret| secret.arn.as_str()));

    Ok(ValidateResourcePolicyResponse {
        policy_validation_passed: Some(findings.is_empty()),
        validation_errors: Some(findings),
    })
}

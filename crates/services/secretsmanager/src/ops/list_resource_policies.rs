//! ListResourcePolicies.

use coffer_core::Cx;
use coffer_model::secretsmanager::{
    ListResourcePoliciesRequest, ListResourcePoliciesResponse, ResourcePolicySummary, action,
};
use coffer_shape::ApiError;

use crate::{error::SecretError, identifier::secret, policy::rank};

const PAGE_DEFAULT: usize = 100;

/// Names the policies of a secret: `default` first, then those of the service.
pub(crate) fn list_resource_policies(
    cx: &mut Cx<'_>,
    input: ListResourcePoliciesRequest,
) -> Result<ListResourcePoliciesResponse, ApiError> {
    let page_size = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(PAGE_DEFAULT);
    let query = ListResourcePoliciesRequest { max_results: None, next_token: None, ..input };

    let secret = secret(cx, &query.secret_id)?.permit(cx, action::LIST_RESOURCE_POLICIES)?.existing()?;
    secret.ensure_live()?;
    let after = input.next_token.map(|token| last_name(cx, &query, &token)).transpose()?;

    let is_new = |name: &&String| after.as_ref().is_none_or(|after| rank(name) > rank(after));
    let mut names: Vec<&String> = secret.policies.iter().filter(is_new).collect();
    let more = names.len() > page_size;
    names.truncate(page_size);

    let last = names.last().filter(|_| more);
    Ok(ListResourcePoliciesResponse {
        next_token: last.map(|name| cx.seal_token(&query, name.as_bytes())),
        resource_policies: names
            .into_iter()
            .map(|name| ResourcePolicySummary { policy_name: Some(name.clone()) })
            .collect(),
    })
}

fn last_name(cx: &Cx<'_>, query: &ListResourcePoliciesRequest, token: &str) -> Result<String, SecretError> {
    let content = cx.open_token(query, token).ok_or(SecretError::InvalidNextToken)?;
    String::from_utf8(content.expose().clone()).map_err(|_| SecretError::InvalidNextToken)
}

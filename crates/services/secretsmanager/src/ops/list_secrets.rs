//! ListSecrets.

use coffer_core::Cx;
use coffer_model::secretsmanager::{ListSecretsRequest, ListSecretsResponse, SecretListEntry, action};
use coffer_shape::ApiError;

use super::describe_secret::labelled_versions;
use crate::{
    filter::Matcher,
    page::Search,
    rotation::Shown,
    secret::{SecretRecord, order},
    tags,
};

const PAGE_DEFAULT: usize = 100;

/// Lists the secrets of the caller's account and region, one page at a time.
pub(crate) fn list_secrets(
    cx: &mut Cx<'_>,
    input: ListSecretsRequest,
) -> Result<ListSecretsResponse, ApiError> {
    // The page token holds for this query, whatever page size the next call asks for.
    // A default is the same query whether it is spelt out or not.
    let query = ListSecretsRequest {
        max_results: None,
        next_token: None,
        include_planned_deletion: Some(input.include_planned_deletion.unwrap_or(false)),
        filters: input.filters.filter(|filters| !filters.is_empty()),
        sort_order: input.sort_order.or_else(|| Some(String::from("asc"))),
        sort_by: input.sort_by.or_else(|| Some(String::from("created-date"))),
    };
    let search = Search {
        matchers: Matcher::all(query.filters.clone())?,
        with_deleted: query.include_planned_deletion.unwrap_or(false),
        order: order_of(&query),
        descending: query.sort_order.as_deref() == Some("desc"),
        page_size: input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(PAGE_DEFAULT),
    };

    let permit = cx.ask_all(action::LIST_SECRETS)?;
    let (secrets, next_token) = search.page(cx, permit, &query, input.next_token.as_deref())?;

    let entries = secrets.iter().map(|secret| entry(secret));
    Ok(ListSecretsResponse { secret_list: Some(entries.collect()), next_token })
}

fn order_of(query: &ListSecretsRequest) -> usize {
    match query.sort_by.as_deref() {
        Some("last-accessed-date") => order::ACCESSED,
        Some("last-changed-date") => order::CHANGED,
        Some("name") => order::NAME,
        // AWS's default; the model admits no other word.
        _ => order::CREATED,
    }
}

fn entry(secret: &SecretRecord) -> SecretListEntry {
    let rotation = Shown::of(secret);
    SecretListEntry {
        arn: Some(secret.arn.clone()),
        name: Some(secret.name.clone()),
        r#type: secret.kind.clone(),
        description: secret.description.clone(),
        kms_key_id: secret.kms_key_id.clone(),
        rotation_enabled: rotation.enabled,
        rotation_lambda_arn: rotation.function_arn,
        rotation_rules: rotation.rules,
        external_secret_rotation_metadata: rotation.metadata,
        external_secret_rotation_role_arn: rotation.role_arn,
        last_changed_date: Some(secret.changed_at),
        last_accessed_date: secret.accessed_on,
        deleted_date: secret.deletion_asked_at,
        last_rotated_date: rotation.last_date,
        next_rotation_date: rotation.next_date,
        tags: tags::to_answer(secret.tags.as_ref()),
        secret_versions_to_stages: labelled_versions(secret),
        created_date: Some(secret.created_at),
        primary_region: secret.shown_primary_region().map(str::to_owned),
        ..SecretListEntry::default()
    }
}

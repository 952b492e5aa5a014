//! ListSecretVersionIds.

use coffer_core::Cx;
use coffer_model::secretsmanager::{
    ListSecretVersionIdsRequest, ListSecretVersionIdsResponse, SecretVersionsListEntry, action,
};
use coffer_shape::ApiError;
use coffer_types::Timestamp;

use crate::{error::SecretError, identifier::secret, secret::VersionEntry};

const PAGE_DEFAULT: usize = 100;
/// Lists the versions of a secret that hold a value, oldest first.
pub(crate) fn list_secret_version_ids(
    cx: &mut Cx<'_>,
    input: ListSecretVersionIdsRequest,
) -> Result<ListSecretVersionIdsResponse, ApiError> {
    let query = ListSecretVersionIdsRequest { max_results: None, next_token: None, ..input };
    let page_size = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(PAGE_DEFAULT);

    let secret = secret(cx, &query.secret_id)?.permit(cx, action::LIST_SECRET_VERSION_IDS)?.existing()?;
    let after = input.next_token.map(|token| open_place(cx, &query, &token)).transpose()?;

    let with_deprecated = query.include_deprecated.unwrap_or(false);
    let mut versions: Vec<&VersionEntry> = secret
        .versions
        .iter()
        .filter(|version| version.has_value && (with_deprecated || !version.labels.is_empty()))
        .filter(|version| after.as_ref().is_none_or(|after| place(version) > *after))
        .collect();
    versions.sort_by_key(|version| place(version));
    let more = versions.len() > page_size;
    versions.truncate(page_size);

    let next_token = versions.last().filter(|_| more).map(|version| {
        let (created, id) = place(version);
        cx.seal_token(&query, format!("{}\n{id}", created.millis()).as_bytes())
    });
    Ok(ListSecretVersionIdsResponse {
        versions: Some(versions.into_iter().map(entry).collect()),
        next_token,
        arn: Some(secret.arn.clone()),
        name: Some(secret.name.clone()),
    })
}

fn place(version: &VersionEntry) -> (Timestamp, String) {
    (version.created_at, version.id.clone())
}

fn open_place(
    cx: &Cx<'_>,
    query: &ListSecretVersionIdsRequest,
    token: &str,
) -> Result<(Timestamp, String), SecretError> {
    let content = cx.open_token(query, token).ok_or(SecretError::InvalidNextToken)?;
    let text = std::str::from_utf8(content.expose()).map_err(|_| SecretError::InvalidNextToken)?;
    let (created, id) = text.split_once('\n').ok_or(SecretError::InvalidNextToken)?;
    let created = created.parse().map_err(|_| SecretError::InvalidNextToken)?;
    Ok((Timestamp::from_millis(created), id.to_owned()))
}

fn entry(version: &VersionEntry) -> SecretVersionsListEntry {
    SecretVersionsListEntry {
        version_id: Some(version.id.clone()),
        version_stages: (!version.labels.is_empty()).then(|| version.labels.clone()),
        last_accessed_date: version.accessed_on,
        created_date: Some(version.created_at),
        kms_key_ids: Some(version.keys().map(str::to_owned).collect()),
    }
}

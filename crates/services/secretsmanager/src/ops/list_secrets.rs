//! ListSecrets.

use std::{ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, Listed, Place, Walk};
use coffer_model::secretsmanager::{ListSecretsRequest, ListSecretsResponse, SecretListEntry, action};
use coffer_shape::ApiError;

use super::describe_secret::labelled_versions;
use crate::{
    error::SecretError,
    filter::{Matcher, Texts},
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
    let matchers = Matcher::all(query.filters.clone())?;
    let order = order_of(&query);
    let descending = query.sort_order.as_deref() == Some("desc");
    let page_size = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(PAGE_DEFAULT);

    let permit = cx.ask_all(action::LIST_SECRETS)?;
    let after = input.next_token.map(|token| Position::open(cx, &query, &token)).transpose()?;

    let with_deleted = query.include_planned_deletion.unwrap_or(false);
    let mut found: Vec<Arc<SecretRecord>> = Vec::new();
    let how = Walk { order, descending, after: after.as_ref().map(Position::place) };
    cx.walk::<SecretRecord>(permit, how, &mut |secret| {
        let listed = with_deleted || secret.deletion_due_at.is_none();
        let texts = Texts::of(secret);
        // A secret that changes its place under the walk is shown where it was first met.
        if listed
            && matchers.iter().all(|matcher| matcher.matches(&texts))
            && found.iter().all(|seen| seen.arn != secret.arn)
        {
            found.push(Arc::clone(secret));
        }
        // One more than the page has, to know whether there is a next one.
        if found.len() > page_size { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;

    let more = found.len() > page_size;
    found.truncate(page_size);
    let last = found.last().filter(|_| more);
    Ok(ListSecretsResponse {
        secret_list: Some(found.iter().map(|secret| entry(secret)).collect()),
        next_token: last.map(|secret| Position::of(secret, order).seal(cx, &query)),
    })
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

/// Where a page ended: the place of its last secret, to be kept in a token.
#[derive(Debug)]
struct Position {
    number: Option<i64>,
    text: String,
    tie: String,
}

impl Position {
    fn of(secret: &SecretRecord, order: usize) -> Self {
        let Place { number, text, tie } = secret.place(order);
        Self { number, text: text.to_owned(), tie: tie.to_owned() }
    }

    fn place(&self) -> Place<'_> {
        Place { number: self.number, text: &self.text, tie: &self.tie }
    }

    fn seal(&self, cx: &Cx<'_>, query: &ListSecretsRequest) -> String {
        let number = self.number.map(|number| number.to_string()).unwrap_or_default();
        cx.seal_token(query, format!("{number}\n{}\n{}", self.text, self.tie).as_bytes())
    }

    fn open(cx: &Cx<'_>, query: &ListSecretsRequest, token: &str) -> Result<Self, SecretError> {
        let content = cx.open_token(query, token).ok_or(SecretError::InvalidNextToken)?;
        let content = std::str::from_utf8(content.expose()).map_err(|_| SecretError::InvalidNextToken)?;
        let mut parts = content.splitn(3, '\n');
        let (Some(number), Some(text), Some(tie)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SecretError::InvalidNextToken);
        };
        let number = (!number.is_empty()).then(|| number.parse()).transpose();
        Ok(Self {
            number: number.map_err(|_| SecretError::InvalidNextToken)?,
            text: text.to_owned(),
            tie: tie.to_owned(),
        })
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
        next_rotation_date: rotation.next_date,
        tags: tags::to_answer(secret.tags.as_ref()),
        secret_versions_to_stages: labelled_versions(secret),
        created_date: Some(secret.created_at),
        ..SecretListEntry::default()
    }
}

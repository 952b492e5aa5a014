//! ListSecrets.

use std::sync::Arc;

use coffer_core::{Cx, Unscoped};
use coffer_model::secretsmanager::{ListSecretsRequest, ListSecretsResponse, SecretListEntry, action};
use coffer_shape::ApiError;
use coffer_types::Timestamp;

use super::describe_secret::labelled_versions;
use crate::{
    error::SecretError,
    filter::{Matcher, Texts},
    secret::SecretRecord,
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
    let order = Order::of(&query);
    let page_size = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(PAGE_DEFAULT);

    let permit = cx.ask(action::LIST_SECRETS, &Unscoped)?;
    let after = input.next_token.map(|token| Place::open(cx, &query, &token)).transpose()?;

    let with_deleted = query.include_planned_deletion.unwrap_or(false);
    let mut found: Vec<(Place, Arc<SecretRecord>)> = Vec::new();
    cx.each::<SecretRecord>(permit, &mut |secret| {
        let listed = with_deleted || secret.deletion_due_at.is_none();
        let texts = Texts::of(secret);
        if listed && matchers.iter().all(|matcher| matcher.matches(&texts)) {
            let place = order.place(secret);
            if after.as_ref().is_none_or(|after| order.is_after(&place, after)) {
                found.push((place, Arc::clone(secret)));
            }
        }
    })?;
    found.sort_by(|(left, _), (right, _)| order.compare(left, right));

    let more = found.len() > page_size;
    found.truncate(page_size);
    let next_token = found.last().filter(|_| more).map(|(place, _)| place.seal(cx, &query));
    Ok(ListSecretsResponse {
        secret_list: Some(found.iter().map(|(_, secret)| entry(secret)).collect()),
        next_token,
    })
}

/// Where a secret stands in the list: its sort attribute, then its ARN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Absent times sort first ascending.
    time: Option<Timestamp>,
    name: String,
    arn: String,
}

impl Place {
    fn seal(&self, cx: &Cx<'_>, query: &ListSecretsRequest) -> String {
        let time = self.time.map(|time| time.millis().to_string()).unwrap_or_default();
        cx.seal_token(query, format!("{time}\n{}\n{}", self.name, self.arn).as_bytes())
    }

    fn open(cx: &Cx<'_>, query: &ListSecretsRequest, token: &str) -> Result<Self, SecretError> {
        let content = cx.open_token(query, token).ok_or(SecretError::InvalidNextToken)?;
        let text = std::str::from_utf8(content.expose()).map_err(|_| SecretError::InvalidNextToken)?;
        let mut parts = text.splitn(3, '\n');
        let (Some(time), Some(name), Some(arn)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SecretError::InvalidNextToken);
        };
        let time = (!time.is_empty()).then(|| time.parse().map(Timestamp::from_millis)).transpose();
        Ok(Self {
            time: time.map_err(|_| SecretError::InvalidNextToken)?,
            name: name.to_owned(),
            arn: arn.to_owned(),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SortBy {
    Created,
    Accessed,
    Changed,
    Name,
}

#[derive(Debug, Clone, Copy)]
struct Order {
    by: SortBy,
    descending: bool,
}

impl Order {
    fn of(query: &ListSecretsRequest) -> Self {
        let by = match query.sort_by.as_deref() {
            Some("last-accessed-date") => SortBy::Accessed,
            Some("last-changed-date") => SortBy::Changed,
            Some("name") => SortBy::Name,
            // AWS's default; the model admits no other word.
            _ => SortBy::Created,
        };
        Self { by, descending: query.sort_order.as_deref() == Some("desc") }
    }

    fn place(self, secret: &SecretRecord) -> Place {
        let time = match self.by {
            SortBy::Created => Some(secret.created_at),
            SortBy::Accessed => secret.accessed_on,
            SortBy::Changed => Some(secret.changed_at),
            SortBy::Name => None,
        };
        let name = if self.by == SortBy::Name { secret.name.clone() } else { String::new() };
        Place { time, name, arn: secret.arn.clone() }
    }

    fn compare(self, left: &Place, right: &Place) -> std::cmp::Ordering {
        if self.descending { right.cmp(left) } else { left.cmp(right) }
    }

    fn is_after(self, place: &Place, other: &Place) -> bool {
        self.compare(place, other).is_gt()
    }
}

fn entry(secret: &SecretRecord) -> SecretListEntry {
    SecretListEntry {
        arn: Some(secret.arn.clone()),
        name: Some(secret.name.clone()),
        r#type: secret.kind.clone(),
        description: secret.description.clone(),
        kms_key_id: secret.kms_key_id.clone(),
        last_changed_date: Some(secret.changed_at),
        last_accessed_date: secret.accessed_on,
        deleted_date: secret.deletion_asked_at,
        tags: tags::to_answer(secret.tags.as_ref()),
        secret_versions_to_stages: labelled_versions(secret),
        created_date: Some(secret.created_at),
        ..SecretListEntry::default()
    }
}

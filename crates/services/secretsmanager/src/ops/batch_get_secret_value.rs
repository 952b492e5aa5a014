//! BatchGetSecretValue.

use coffer_core::{Cx, Unscoped};
use coffer_model::secretsmanager::{
    APIErrorType, BatchGetSecretValueRequest, BatchGetSecretValueResponse, Filter, GetSecretValue,
    GetSecretValueRequest, GetSecretValueResponse, SecretValueEntry, action,
};
use coffer_shape::ApiError;

use crate::{
    error::SecretError,
    filter::Matcher,
    identifier::check_secret_id,
    page::Search,
    secret::{SecretRecord, order},
};

/// Also the most that a call may ask for.
const PAGE_DEFAULT: usize = 20;

/// What a batch is made of.
#[derive(Debug, PartialEq)]
enum Selection {
    Named(Vec<String>),
    Fitting(Vec<Filter>),
}

impl Selection {
    fn from_request(
        named: Option<Vec<String>>,
        filters: Option<Vec<Filter>>,
        has_size: bool,
    ) -> Result<Self, SecretError> {
        match (named, filters.filter(|filters| !filters.is_empty())) {
            (None, Some(filters)) => Ok(Self::Fitting(filters)),
            (Some(_), None) | (None, None) if has_size => Err(SecretError::BatchSizeWithoutFilters),
            (Some(named), None) => Ok(Self::Named(named)),
            _ => Err(SecretError::BatchOfBothOrNeither),
        }
    }
}

/// Opens the current versions of up to twenty secrets. One that cannot be opened is an entry among the errors and no failure of the
/// call.
pub(crate) fn batch_get_secret_value(
    cx: &mut Cx<'_>,
    input: BatchGetSecretValueRequest,
) -> Result<BatchGetSecretValueResponse, ApiError> {
    input.secret_id_list.iter().flatten().try_for_each(|secret_id| check_secret_id(secret_id))?;
    let selection =
        Selection::from_request(input.secret_id_list, input.filters, input.max_results.is_some())?;
    let page_size = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(PAGE_DEFAULT);

    let (secret_ids, next_token) = match selection {
        Selection::Named(secret_ids) => {
            cx.ask(action::BATCH_GET_SECRET_VALUE, &Unscoped)?;
            // A list of ids has no second page, so no token can be its own.
            if input.next_token.is_some() {
                return Err(SecretError::InvalidNextToken.into());
            }
            (secret_ids, None)
        }
        Selection::Fitting(filters) => fitting(cx, filters, page_size, input.next_token.as_deref())?,
    };

    let mut secret_values = Vec::with_capacity(secret_ids.len());
    let mut errors = Vec::new();
    for secret_id in secret_ids {
        // An operation of its own for permission and audit: AWS logs one GetSecretValue for each secret.
        let request =
            GetSecretValueRequest { secret_id: secret_id.clone(), ..GetSecretValueRequest::default() };
        match cx.invoke::<GetSecretValue>(request) {
            Ok(answer) => secret_values.push(entry(answer)),
            Err(error) => {
                cx.goes_on_without(&error);
                errors.push(APIErrorType {
                    secret_id: Some(secret_id),
                    error_code: Some(error.code().to_owned()),
                    message: Some(error.message),
                });
            }
        }
    }
    Ok(BatchGetSecretValueResponse { secret_values: Some(secret_values), next_token, errors: Some(errors) })
}

/// The ARNs of one page of secrets that fit, oldest first. Those scheduled for deletion do not.
fn fitting(
    cx: &Cx<'_>,
    filters: Vec<Filter>,
    page_size: usize,
    token: Option<&str>,
) -> Result<(Vec<String>, Option<String>), ApiError> {
    let query = BatchGetSecretValueRequest {
        filters: Some(filters.clone()),
        ..BatchGetSecretValueRequest::default()
    };
    let search = Search {
        matchers: Matcher::all(Some(filters))?,
        with_deleted: false,
        order: order::CREATED,
        descending: false,
        page_size,
    };
    cx.ask(action::BATCH_GET_SECRET_VALUE, &Unscoped)?;
    let permit = cx.ask_all::<SecretRecord>(action::LIST_SECRETS)?;
    let (secrets, next_token) = search.page(cx, permit, &query, token)?;
    Ok((secrets.iter().map(|secret| secret.arn.clone()).collect(), next_token))
}

fn entry(answer: GetSecretValueResponse) -> SecretValueEntry {
    SecretValueEntry {
        arn: answer.arn,
        name: answer.name,
        version_id: answer.version_id,
        secret_binary: answer.secret_binary,
        secret_string: answer.secret_string,
        version_stages: answer.version_stages,
        created_date: answer.created_date,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_of_names_or_of_filters() {
        let named = || Some(vec![String::from("a")]);
        let filters = || Some(vec![Filter::default()]);
        let both_or_neither = Err(SecretError::BatchOfBothOrNeither);
        for (ids, filters, has_size, expected) in [
            (named(), None, false, Ok(Selection::Named(vec![String::from("a")]))),
            (None, filters(), false, Ok(Selection::Fitting(vec![Filter::default()]))),
            (None, filters(), true, Ok(Selection::Fitting(vec![Filter::default()]))),
            (named(), filters(), false, both_or_neither),
            (named(), filters(), true, Err(SecretError::BatchOfBothOrNeither)),
            (None, None, false, Err(SecretError::BatchOfBothOrNeither)),
            (None, Some(Vec::new()), false, Err(SecretError::BatchOfBothOrNeither)),
            (named(), None, true, Err(SecretError::BatchSizeWithoutFilters)),
            (named(), Some(Vec::new()), true, Err(SecretError::BatchSizeWithoutFilters)),
            (None, None, true, Err(SecretError::BatchSizeWithoutFilters)),
        ] {
            let shown = format!("{ids:?} {filters:?} {has_size}");
            assert_eq!(Selection::from_request(ids, filters, has_size), expected, "{shown}");
        }
    }
}

//! One page of the secrets that fit a query, and where the next page begins.
//!
//! ListSecrets and BatchGetSecretValue search alike. The place where a page ended is sealed into a token that opens for the same
//! query only, so a client can neither read it nor bring it to another list.

use std::{ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, Listed, Permit, Place, Walk};
use coffer_shape::{ApiError, Shape};

use crate::{
    error::SecretError,
    filter::{Matcher, Texts},
    secret::SecretRecord,
};

/// So many secrets are looked at between two looks at the clock.
const CLOCK_EVERY: usize = 64;

#[derive(Debug)]
pub(crate) struct Search {
    pub matchers: Vec<Matcher>,
    /// Also secrets that are scheduled for deletion.
    pub with_deleted: bool,
    pub order: usize,
    pub descending: bool,
    pub page_size: usize,
}

impl Search {
    /// The secrets that come after a token, and the token of the next page if there is one.
    pub(crate) fn page<Q: Shape>(
        &self,
        cx: &Cx<'_>,
        permit: Permit<SecretRecord>,
        query: &Q,
        token: Option<&str>,
    ) -> Result<(Vec<Arc<SecretRecord>>, Option<String>), ApiError> {
        let after = token.map(|token| Position::open(cx, query, token)).transpose()?;
        let mut found: Vec<Arc<SecretRecord>> = Vec::new();
        // Where to go on if the walk is cut short. A page may be short, or empty, and not be the last one.
        let mut cut_at: Option<Arc<SecretRecord>> = None;
        let mut looked_at = 0_usize;
        let how = Walk {
            order: self.order,
            descending: self.descending,
            after: after.as_ref().map(Position::place),
            reads_texts: self.matchers.iter().any(Matcher::reads_texts),
        };
        cx.walk(permit, how, &mut |secret| {
            // A secret that changes its place under the walk is shown where it was first met.
            if self.admits(secret) && found.iter().all(|seen| seen.arn != secret.arn) {
                found.push(Arc::clone(secret));
            }
            // One more than the page has, to know whether there is a next one.
            if found.len() > self.page_size {
                return ControlFlow::Break(());
            }
            looked_at += 1;
            if looked_at.is_multiple_of(CLOCK_EVERY) && cx.has_run_long() {
                cut_at = Some(Arc::clone(secret));
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;

        let more = found.len() > self.page_size;
        found.truncate(self.page_size);
        let last = cut_at.as_ref().or_else(|| found.last().filter(|_| more));
        let next = last.map(|secret| Position::of(secret, self.order).seal(cx, query));
        Ok((found, next))
    }

    fn admits(&self, secret: &SecretRecord) -> bool {
        if !self.with_deleted && secret.deletion_due_at.is_some() {
            return false;
        }
        let texts = Texts::of(secret);
        self.matchers.iter().all(|matcher| matcher.matches(&texts))
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

    fn seal<Q: Shape>(&self, cx: &Cx<'_>, query: &Q) -> String {
        let number = self.number.map(|number| number.to_string()).unwrap_or_default();
        cx.seal_token(query, format!("{number}\n{}\n{}", self.text, self.tie).as_bytes())
    }

    fn open<Q: Shape>(cx: &Cx<'_>, query: &Q, token: &str) -> Result<Self, SecretError> {
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

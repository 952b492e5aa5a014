//! Pages of KMS lists.

use coffer_core::Pages;
use coffer_shape::Shape;

use crate::error::KmsError;

pub(crate) fn of<'a, Q: Shape>(query: &'a Q, marker: Option<&'a str>, limit: usize) -> Pages<'a, Q> {
    Pages { query, marker, limit, refusal: || KmsError::InvalidMarker.into() }
}

/// How many a page has: what was asked for, up to a maximum that the operation has of its own.
pub(crate) fn limit(written: Option<i64>, default: usize, max: usize) -> usize {
    written.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(default).clamp(1, max)
}

//! Pages of IAM lists.

use coffer_core::Pages;
use coffer_shape::Shape;

use crate::error::IamError;

const ITEMS_DEFAULT: usize = 100;

pub(crate) fn of<'a, Q: Shape>(
    query: &'a Q,
    marker: Option<&'a str>,
    max_items: Option<i64>,
) -> Pages<'a, Q> {
    let max = max_items.and_then(|max| usize::try_from(max).ok()).filter(|max| *max > 0);
    let limit = max.unwrap_or(ITEMS_DEFAULT);
    Pages { query, marker, limit, refusal: || IamError::InvalidMarker.into() }
}

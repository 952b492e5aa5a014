//! Pages of Lambda's lists.

use coffer_core::Pages;
use coffer_shape::Shape;

use crate::error::LambdaError;

/// AWS gives no more, whatever is asked for.
const PAGE_MAX: usize = 50;

pub(crate) fn of<'a, Q: Shape>(
    query: &'a Q,
    marker: Option<&'a str>,
    max_items: Option<i64>,
) -> Pages<'a, Q> {
    let asked = max_items.and_then(|asked| usize::try_from(asked).ok());
    Pages {
        query,
        marker: marker.filter(|marker| !marker.is_empty()),
        limit: asked.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX),
        refusal: || LambdaError::Marker.into(),
    }
}

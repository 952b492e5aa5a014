//! Pages of IAM lists: a marker where the last page ended, and whether there is more.

use coffer_core::{Cx, Listed, Permit, Place, Walk};
use coffer_shape::{ApiError, Shape};
use std::{ops::ControlFlow, sync::Arc};

use crate::error::IamError;

const ITEMS_DEFAULT: usize = 100;

#[derive(Debug)]
pub(crate) struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins; none if this is the last.
    pub marker: Option<String>,
}

impl<T> Page<T> {
    /// Absent when there is no more, as AWS leaves it out.
    pub(crate) const fn is_truncated(&self) -> Option<bool> {
        Some(self.marker.is_some())
    }
}

/// One page of the records of a table, in the order of their names. A marker opens for the same query only.
pub(crate) fn of_records<R: Listed, Q: Shape>(
    cx: &Cx<'_>,
    permit: Permit<R>,
    query: &Q,
    marker: Option<&str>,
    max_items: Option<i64>,
    admits: impl Fn(&R) -> bool,
) -> Result<Page<Arc<R>>, ApiError> {
    let after = marker.map(|marker| open(cx, query, marker)).transpose()?;
    let how =
        Walk { after: after.as_deref().map(|text| Place { number: None, text, tie: "" }), ..Walk::default() };
    let max = at_most(max_items);
    let mut items: Vec<Arc<R>> = Vec::new();
    cx.walk(permit, how, &mut |record| {
        if admits(record) {
            items.push(Arc::clone(record));
        }
        if items.len() > max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let more = items.len() > max;
    items.truncate(max);
    let marker = items.last().filter(|_| more).map(|last| seal(cx, query, last.place(0).text));
    Ok(Page { items, marker })
}

/// One page of what lies in a single record. `name` is what an item is called; the items are in the order of their names, or in
/// another that does not change.
pub(crate) fn of_items<T: Clone, Q: Shape>(
    cx: &Cx<'_>,
    all: &[T],
    query: &Q,
    marker: Option<&str>,
    max_items: Option<i64>,
    name: impl Fn(&T) -> &str,
) -> Result<Page<T>, ApiError> {
    let after = marker.map(|marker| open(cx, query, marker)).transpose()?;
    let begin = match &after {
        // What the marker names may be gone; then the list begins again, and nothing is missed.
        Some(after) => all.iter().position(|item| name(item) == after).map_or(0, |place| place + 1),
        None => 0,
    };
    let max = at_most(max_items);
    let rest = all.get(begin..).unwrap_or_default();
    let items: Vec<T> = rest.iter().take(max).cloned().collect();
    let marker = items.last().filter(|_| rest.len() > max).map(|last| seal(cx, query, name(last)));
    Ok(Page { items, marker })
}

/// One page of what was gathered from several places. Each item comes with the text that is its place among all.
pub(crate) fn of_gathered<T, Q: Shape>(
    cx: &Cx<'_>,
    mut all: Vec<(String, T)>,
    query: &Q,
    marker: Option<&str>,
    max_items: Option<i64>,
) -> Result<Page<T>, ApiError> {
    if let Some(marker) = marker {
        let after = open(cx, query, marker)?;
        all.retain(|(place, _)| *place > after);
    }
    all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let max = at_most(max_items);
    let more = all.len() > max;
    all.truncate(max);
    let marker = all.last().filter(|_| more).map(|(place, _)| seal(cx, query, place));
    Ok(Page { items: all.into_iter().map(|(_, item)| item).collect(), marker })
}

fn at_most(max_items: Option<i64>) -> usize {
    max_items.and_then(|max| usize::try_from(max).ok()).filter(|max| *max > 0).unwrap_or(ITEMS_DEFAULT)
}

fn seal<Q: Shape>(cx: &Cx<'_>, query: &Q, place: &str) -> String {
    cx.seal_token(query, place.as_bytes())
}

fn open<Q: Shape>(cx: &Cx<'_>, query: &Q, marker: &str) -> Result<String, IamError> {
    let content = cx.open_token(query, marker).ok_or(IamError::InvalidMarker)?;
    String::from_utf8(content.expose().clone()).map_err(|_| IamError::InvalidMarker)
}

//! Pages of lists: a marker where the last page ended, and whether there is more. A marker opens for the same query only.

use std::{ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, Listed, Permit, Place, Walk};
use coffer_shape::{ApiError, Shape};

use crate::error::KmsError;

#[derive(Debug)]
pub(crate) struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins; none if this is the last.
    pub marker: Option<String>,
}

impl<T> Page<T> {
    pub(crate) const fn is_truncated(&self) -> Option<bool> {
        Some(self.marker.is_some())
    }
}

/// What part of a table is listed: the records of one order whose place begins with a text, or all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Part<'a> {
    pub order: usize,
    pub of: Option<&'a str>,
}

/// One page of the records of a table.
pub(crate) fn of_records<R: Listed, Q: Shape>(
    cx: &Cx<'_>,
    permit: Permit<R>,
    part: Part<'_>,
    query: &Q,
    marker: Option<&str>,
    limit: usize,
    admits: impl Fn(&R) -> bool,
) -> Result<Page<Arc<R>>, ApiError> {
    let after = marker.map(|marker| open(cx, query, marker)).transpose()?;
    let begin = part.of.map(|text| Place { number: None, text, tie: "" });
    let place = after.as_deref().map(|after| {
        let (text, tie) = after.split_once('\n').unwrap_or((after, ""));
        Place { number: None, text, tie }
    });
    let how = Walk { order: part.order, after: place.or(begin), ..Walk::default() };
    let mut items: Vec<Arc<R>> = Vec::new();
    cx.walk(permit, how, &mut |record| {
        if part.of.is_some_and(|text| record.place(part.order).text != text) {
            return ControlFlow::Break(());
        }
        if admits(record) {
            items.push(Arc::clone(record));
        }
        if items.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let more = items.len() > limit;
    items.truncate(limit);
    let marker = items.last().filter(|_| more).map(|last| {
        let Place { text, tie, .. } = last.place(part.order);
        cx.seal_token(query, format!("{text}\n{tie}").as_bytes())
    });
    Ok(Page { items, marker })
}

/// The first records of a part.
pub(crate) fn first<R: Listed>(
    cx: &Cx<'_>,
    permit: Permit<R>,
    part: Part<'_>,
    limit: usize,
) -> Result<Vec<Arc<R>>, ApiError> {
    let begin = part.of.map(|text| Place { number: None, text, tie: "" });
    let how = Walk { order: part.order, after: begin, ..Walk::default() };
    let mut items = Vec::new();
    cx.walk(permit, how, &mut |record: &Arc<R>| {
        let is_beyond = part.of.is_some_and(|text| record.place(part.order).text != text);
        if is_beyond || items.len() >= limit {
            return ControlFlow::Break(());
        }
        items.push(Arc::clone(record));
        ControlFlow::Continue(())
    })?;
    Ok(items)
}

/// One page of what is at hand, sorted by name.
pub(crate) fn of_items<T, Q: Shape>(
    cx: &Cx<'_>,
    mut items: Vec<T>,
    query: &Q,
    marker: Option<&str>,
    limit: usize,
    name: impl Fn(&T) -> &str,
) -> Result<Page<T>, ApiError> {
    if let Some(marker) = marker {
        let after = open(cx, query, marker)?;
        items.retain(|item| name(item) > after.as_str());
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let marker = items.last().filter(|_| more).map(|last| cx.seal_token(query, name(last).as_bytes()));
    Ok(Page { items, marker })
}

/// How many a page has: what was asked for, up to a maximum that the operation has of its own.
pub(crate) fn limit(written: Option<i64>, default: usize, max: usize) -> usize {
    written.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(default).clamp(1, max)
}

fn open<Q: Shape>(cx: &Cx<'_>, query: &Q, marker: &str) -> Result<String, KmsError> {
    let content = cx.open_token(query, marker).ok_or(KmsError::InvalidMarker)?;
    String::from_utf8(content.expose().clone()).map_err(|_| KmsError::InvalidMarker)
}

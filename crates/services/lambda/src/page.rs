//! Pages of lists: a marker where the last page ended. It opens for the same query only.

use std::{ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, Listed, Permit, Place, Walk};
use coffer_shape::{ApiError, Shape};

use crate::error::LambdaError;

/// AWS gives no more, whatever is asked for.
const PAGE_MAX: usize = 50;

#[derive(Debug)]
pub(crate) struct Page<T> {
    pub items: Vec<T>,
    pub marker: Option<String>,
}

/// One page of the records of a table, in the order of their names.
pub(crate) fn of_records<R: Listed, Q: Shape>(
    cx: &Cx<'_>,
    permit: Permit<R>,
    query: &Q,
    asked: Asked<'_>,
    admits: impl Fn(&R) -> bool,
) -> Result<Page<Arc<R>>, ApiError> {
    let (after, limit) = (asked.after(cx, query)?, asked.limit());
    let after = after.as_deref().map(|text| Place { number: None, text, tie: "" });
    let mut items: Vec<Arc<R>> = Vec::new();
    cx.walk(permit, Walk { after, ..Walk::default() }, &mut |record| {
        if admits(record) {
            items.push(Arc::clone(record));
        }
        if items.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(cut(cx, items, query, limit, |record| record.place(0).text.to_owned()))
}

/// One page of what is at hand, sorted by the text that sets the items apart.
pub(crate) fn of_items<T, Q: Shape>(
    cx: &Cx<'_>,
    mut items: Vec<T>,
    query: &Q,
    asked: Asked<'_>,
    name: impl Fn(&T) -> String,
) -> Result<Page<T>, ApiError> {
    if let Some(after) = asked.after(cx, query)? {
        items.retain(|item| name(item) > after);
    }
    Ok(cut(cx, items, query, asked.limit(), name))
}

fn cut<T, Q: Shape>(
    cx: &Cx<'_>,
    mut items: Vec<T>,
    query: &Q,
    limit: usize,
    name: impl Fn(&T) -> String,
) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let marker = items.last().filter(|_| more).map(|last| cx.seal_token(query, name(last).as_bytes()));
    Page { items, marker }
}

/// What a request says of the page it wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub marker: Option<&'a str>,
    pub max_items: Option<i64>,
}

impl Asked<'_> {
    fn limit(&self) -> usize {
        let asked = self.max_items.and_then(|asked| usize::try_from(asked).ok());
        asked.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX)
    }

    fn after<Q: Shape>(&self, cx: &Cx<'_>, query: &Q) -> Result<Option<String>, ApiError> {
        let Some(marker) = self.marker.filter(|marker| !marker.is_empty()) else { return Ok(None) };
        let content = cx.open_token(query, marker).ok_or(LambdaError::Marker)?;
        Ok(Some(String::from_utf8(content.expose().clone()).map_err(|_| LambdaError::Marker)?))
    }
}

//! Pages of a list: a marker where the last page ended, and whether there is more. A marker opens for the same query only.
//!
//! It knows neither how many items an operation shows nor how its service refuses a marker: that comes with the [`Pages`].

use std::{ops::ControlFlow, sync::Arc};

use coffer_shape::{ApiError, Shape};

use crate::{Cx, Listed, Permit, Place, Walk};

#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins; none if this is the last.
    pub marker: Option<String>,
}

impl<T> Page<T> {
    /// Absent when there is no more, as AWS leaves it out.
    pub const fn is_truncated(&self) -> Option<bool> {
        Some(self.marker.is_some())
    }
}

/// What part of a table is listed: the records of one order whose place begins with a text, or all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part<'a> {
    pub order: usize,
    pub of: Option<&'a str>,
}

impl Part<'_> {
    fn begin(&self) -> Option<Place<'_>> {
        self.of.map(|text| Place { number: None, text, tie: "" })
    }

    fn is_beyond<R: Listed>(&self, record: &R) -> bool {
        self.of.is_some_and(|text| record.place(self.order).text != text)
    }
}

/// A list that somebody asks for, page by page.
#[derive(Debug)]
pub struct Pages<'a, Q> {
    /// The request without marker and limit.
    pub query: &'a Q,
    pub marker: Option<&'a str>,
    /// How many a page has.
    pub limit: usize,
    /// Of a marker that is not ours, or not for this query.
    pub refusal: fn() -> ApiError,
}

impl<Q: Shape> Pages<'_, Q> {
    /// One page of the records of a table.
    pub fn of_records<R: Listed>(
        &self,
        cx: &Cx<'_>,
        permit: Permit<R>,
        part: Part<'_>,
        admits: impl Fn(&R) -> bool,
    ) -> Result<Page<Arc<R>>, ApiError> {
        let after = self.open(cx)?;
        let place = after.as_deref().map(|after| {
            let (text, tie) = after.split_once('\n').unwrap_or((after, ""));
            Place { number: None, text, tie }
        });
        let how = Walk { order: part.order, after: place.or(part.begin()), ..Walk::default() };
        let mut items: Vec<Arc<R>> = Vec::new();
        cx.walk(permit, how, &mut |record| {
            if part.is_beyond(&**record) {
                return ControlFlow::Break(());
            }
            if admits(record) {
                items.push(Arc::clone(record));
            }
            if items.len() > self.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(self.cut(cx, items, |last| {
            let Place { text, tie, .. } = last.place(part.order);
            format!("{text}\n{tie}")
        }))
    }

    /// One page of what lies in a single record. `name` is what an item is called; the items are in the order of their names, or in
    /// another that does not change.
    pub fn of_items<T: Clone>(
        &self,
        cx: &Cx<'_>,
        all: &[T],
        name: impl Fn(&T) -> &str,
    ) -> Result<Page<T>, ApiError> {
        let begin = match self.open(cx)? {
            // What the marker names may be gone; then the list begins again, and nothing is missed.
            Some(after) => all.iter().position(|item| name(item) == after).map_or(0, |place| place + 1),
            None => 0,
        };
        let rest = all.get(begin..).unwrap_or_default();
        let items = rest.iter().take(self.limit.saturating_add(1)).cloned().collect();
        Ok(self.cut(cx, items, |last| name(last).to_owned()))
    }

    /// One page of what was gathered from several places. Each item comes with the text that is its place among all.
    pub fn of_gathered<T>(&self, cx: &Cx<'_>, mut all: Vec<(String, T)>) -> Result<Page<T>, ApiError> {
        if let Some(after) = self.open(cx)? {
            all.retain(|(place, _)| *place > after);
        }
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let Page { items, marker } = self.cut(cx, all, |(place, _)| place.clone());
        Ok(Page { items: items.into_iter().map(|(_, item)| item).collect(), marker })
    }

    fn cut<T>(&self, cx: &Cx<'_>, mut items: Vec<T>, place: impl Fn(&T) -> String) -> Page<T> {
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let last = items.last().filter(|_| more);
        let marker = last.map(|last| cx.seal_token(self.query, place(last).as_bytes()));
        Page { items, marker }
    }

    /// Where the last page ended.
    fn open(&self, cx: &Cx<'_>) -> Result<Option<String>, ApiError> {
        let Some(marker) = self.marker else { return Ok(None) };
        let content = cx.open_token(self.query, marker).ok_or_else(self.refusal)?;
        String::from_utf8(content.expose().clone()).map(Some).map_err(|_| (self.refusal)())
    }
}

/// The first records of a part.
pub fn first<R: Listed>(
    cx: &Cx<'_>,
    permit: Permit<R>,
    part: Part<'_>,
    limit: usize,
) -> Result<Vec<Arc<R>>, ApiError> {
    let how = Walk { order: part.order, after: part.begin(), ..Walk::default() };
    let mut items = Vec::new();
    cx.walk(permit, how, &mut |record: &Arc<R>| {
        if part.is_beyond(&**record) || items.len() >= limit {
            return ControlFlow::Break(());
        }
        items.push(Arc::clone(record));
        ControlFlow::Continue(())
    })?;
    Ok(items)
}

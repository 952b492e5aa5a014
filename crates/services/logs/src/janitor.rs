//! Clears up behind deletions, and removes what is older than its group keeps.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use coffer_core::{Cx, Listed, Next, PageOf, Permit, Place, Task, Walk, first_of, table};
use coffer_model::logs::action;
use coffer_shape::ApiError;
use coffer_types::Timestamp;

use crate::{
    batch::{BatchRecord, EntryRecord, IndexRecord, PieceRecord},
    group::GroupRecord,
    stream::StreamRecord,
};

pub(crate) const NAME: &str = "log-janitor";
/// A transaction holds 256 records.
const RECORDS_PER_STEP: usize = 200;
const STREAMS_PER_STEP: usize = 60;
/// AWS says that it takes up to three days; nobody sees events that are too old meanwhile.
const LOOK_EVERY: Duration = Duration::from_hours(1);

table! {
    0x55 "log-leaving", version 1, key (id), part;

    /// What a group or a stream left behind when it was deleted.
    pub struct LeavingRecord {
        /// Of the group or stream.
        pub id: String,
        pub is_group: bool,
        /// Of a stream: the pages of its index.
        pub first_page: i64,
        pub pages: i64,
        pub deleted_at: Timestamp,
    }
}

impl Listed for LeavingRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: None, text: &self.id, tie: "" }
    }
}

/// Takes a group's name away. Its streams follow.
pub(crate) fn delete_group(cx: &mut Cx<'_>, group: &GroupRecord) -> Result<(), ApiError> {
    cx.erase::<GroupRecord>(&[&group.name])?;
    let leaving = LeavingRecord { id: group.id.clone(), is_group: true, ..LeavingRecord::default() };
    leave(cx, leaving)
}

pub(crate) fn delete_stream(cx: &mut Cx<'_>, stream: &StreamRecord) -> Result<(), ApiError> {
    cx.erase::<StreamRecord>(&[&stream.group, &stream.name])?;
    if stream.first_page >= stream.pages {
        return Ok(());
    }
    let StreamRecord { id, first_page, pages, .. } = stream.clone();
    leave(cx, LeavingRecord { id, first_page, pages, ..LeavingRecord::default() })
}

fn leave(cx: &mut Cx<'_>, leaving: LeavingRecord) -> Result<(), ApiError> {
    cx.save(LeavingRecord { deleted_at: cx.now(), ..leaving })?;
    cx.activate(NAME);
    Ok(())
}

#[derive(Debug)]
pub(crate) struct Janitor;

impl Task for Janitor {
    const NAME: &'static str = NAME;

    fn step(&self, cx: &mut Cx<'_>) -> Result<Next, ApiError> {
        let permit = cx.ask_all::<LeavingRecord>(action::DELETE_LOG_GROUP)?;
        let leaving = first_of(cx, permit, PageOf::default(), 1)?;
        if let Some(listed) = leaving.first() {
            if let Some(leaving) = cx.part::<LeavingRecord>(&[&listed.id])? {
                clear(cx, &leaving)?;
            }
            return Ok(Next::Now);
        }
        expire(cx)
    }
}

fn clear(cx: &mut Cx<'_>, leaving: &LeavingRecord) -> Result<(), ApiError> {
    if leaving.is_group {
        let permit = cx.ask_all::<StreamRecord>(action::DELETE_LOG_STREAM)?;
        let part = PageOf { order: 0, of: Some(&leaving.id) };
        let streams = first_of(cx, permit, part, STREAMS_PER_STEP)?;
        for stream in &streams {
            // The list is no check of the commit.
            if let Some(stream) = cx.part::<StreamRecord>(&[&stream.group, &stream.name])? {
                delete_stream(cx, &stream)?;
            }
        }
        return if streams.is_empty() { cx.erase::<LeavingRecord>(&[&leaving.id]) } else { Ok(()) };
    }
    let first_page = clear_pages(cx, &leaving.id, leaving.first_page, leaving.pages, false, &|_| true)?;
    if first_page >= leaving.pages {
        return cx.erase::<LeavingRecord>(&[&leaving.id]);
    }
    cx.save(LeavingRecord {
        id: leaving.id.clone(),
        is_group: false,
        first_page,
        pages: leaving.pages,
        deleted_at: leaving.deleted_at,
    })
}

/// Removes batches for which that is so, as many as fit into a transaction. Answers which page is the first that is left. A stream that
/// lives keeps its last page, though there be nothing on it.
fn clear_pages(
    cx: &mut Cx<'_>,
    stream: &str,
    first_page: i64,
    pages: i64,
    lives: bool,
    is_gone: &dyn Fn(&EntryRecord) -> bool,
) -> Result<i64, ApiError> {
    let mut room = RECORDS_PER_STEP;
    let mut first = first_page;
    for number in first_page..pages {
        let number_text = number.to_string();
        let Some(page) = cx.part::<IndexRecord>(&[stream, &number_text])? else {
            if first == number {
                first = number.saturating_add(1);
            }
            continue;
        };
        let mut page = (*page).clone();
        let mut left = Vec::new();
        let mut changed = false;
        for entry in std::mem::take(&mut page.batches) {
            // With its pieces or not at all: what is half gone would be seen again if the group kept longer. A batch has few pieces,
            // so any of them fits into a step of its own.
            let records = usize::try_from(entry.pieces).unwrap_or(usize::MAX).saturating_add(1);
            if !is_gone(&entry) || records >= room {
                left.push(entry);
                continue;
            }
            changed = true;
            room -= records;
            let number = entry.number.to_string();
            for piece in 0..entry.pieces {
                cx.erase::<PieceRecord>(&[stream, &number, &piece.to_string()])?;
            }
            cx.erase::<BatchRecord>(&[stream, &number])?;
        }
        page.batches = left;
        let is_last = number.saturating_add(1) == pages;
        let is_empty = page.batches.is_empty() && !(lives && is_last);
        if is_empty {
            cx.erase::<IndexRecord>(&[stream, &number_text])?;
        } else if changed {
            cx.save(page)?;
        }
        room = room.saturating_sub(usize::from(changed || is_empty));
        if is_empty && first == number {
            first = number.saturating_add(1);
        }
        if room <= 1 {
            break;
        }
    }
    Ok(first)
}

/// Looks for a stream with something too old, and removes some of that.
fn expire(cx: &mut Cx<'_>) -> Result<Next, ApiError> {
    let now = cx.now();
    let mut groups = Vec::new();
    let permit = cx.ask_all::<GroupRecord>(action::DESCRIBE_LOG_GROUPS)?;
    cx.walk(permit, Walk::default(), &mut |group: &Arc<GroupRecord>| {
        if group.retention_days.is_some() {
            groups.push((group.id.clone(), group.oldest(now)));
        }
        ControlFlow::Continue(())
    })?;
    if groups.is_empty() {
        return Ok(Next::Idle);
    }
    for (group, oldest) in groups {
        let permit = cx.ask_all::<StreamRecord>(action::DESCRIBE_LOG_STREAMS)?;
        if let Some(name) = stale(cx, permit, &group, oldest)? {
            expire_stream(cx, &group, &name, oldest)?;
            return Ok(Next::Now);
        }
    }
    Ok(Next::At(now.plus(LOOK_EVERY)))
}

fn stale(
    cx: &Cx<'_>,
    permit: Permit<StreamRecord>,
    group: &str,
    oldest: i64,
) -> Result<Option<String>, ApiError> {
    let mut found = None;
    let how = Walk { after: Some(Place { number: None, text: group, tie: "" }), ..Walk::default() };
    cx.walk(permit, how, &mut |stream: &Arc<StreamRecord>| {
        if stream.group != group {
            return ControlFlow::Break(());
        }
        if stream.oldest_end.is_some_and(|end| end < oldest) {
            found = Some(stream.name.clone());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn expire_stream(cx: &mut Cx<'_>, group: &str, name: &str, oldest: i64) -> Result<(), ApiError> {
    let Some(stream) = cx.part::<StreamRecord>(&[group, name])? else { return Ok(()) };
    let mut stream = (*stream).clone();
    let is_gone = |entry: &EntryRecord| entry.until < oldest;
    stream.first_page = clear_pages(cx, &stream.id, stream.first_page, stream.pages, true, &is_gone)?;
    let (mut bytes, mut first, mut last, mut oldest_end) = (0_i64, None, None, None);
    for page in stream.page_numbers().collect::<Vec<_>>() {
        let Some(page) = cx.part::<IndexRecord>(&[&stream.id, &page])? else { continue };
        for entry in &page.batches {
            bytes = bytes.saturating_add(entry.bytes);
            first = Some(first.map_or(entry.from, |first: i64| first.min(entry.from)));
            last = Some(last.map_or(entry.until, |last: i64| last.max(entry.until)));
            oldest_end = Some(oldest_end.map_or(entry.until, |end: i64| end.min(entry.until)));
        }
    }
    (stream.bytes, stream.first_event, stream.last_event, stream.oldest_end) =
        (bytes, first, last, oldest_end);
    cx.save(stream)
}

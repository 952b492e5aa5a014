//! FilterLogEvents: the events of many streams that match a pattern, in order of time.
//!
//! A page ends when it is full or when it took its share of time, and its token says where the next one begins. So a page may be empty and
//! have another after it, as on AWS.

use coffer_core::{Cx, Permit};
use coffer_model::logs::{FilterLogEventsRequest, FilterLogEventsResponse, FilteredLogEvent, action};
use coffer_shape::ApiError;

use super::{
    events::{EVENTS_MAX, weight},
    streams::of_group,
};
use crate::{
    error::LogsError,
    group::{find, written},
    pattern::Pattern,
    place::Place,
    search::{Direction, Found, Range, Search},
    stream::{self, StreamRecord},
};

const BYTES_MAX: usize = 1_048_576;

pub(crate) fn filter_log_events(
    cx: &mut Cx<'_>,
    mut input: FilterLogEventsRequest,
) -> Result<FilterLogEventsResponse, ApiError> {
    if input.start_from_head == Some(false) {
        return Err(LogsError::FromTail.into());
    }
    let pattern = Pattern::parse(input.filter_pattern.as_ref().map_or("", |pattern| pattern.expose()))?;
    if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
        return Err(LogsError::NamesAndPrefix.into());
    }
    if let (Some(start), Some(end)) = (input.start_time, input.end_time)
        && start > end
    {
        return Err(LogsError::StartAfterEnd.into());
    }
    let (limit, token) = (input.limit.take(), input.next_token.take());
    let query = input;
    let after = token.as_deref().map(|token| opened(cx, &query, token)).transpose()?;
    let name = written(cx, query.log_group_name.clone(), query.log_group_identifier.as_deref())?;
    let (named, permit): (_, Permit<StreamRecord>) =
        find(cx, &name)?.permit_with(cx, action::FILTER_LOG_EVENTS)?;
    let group = named.existing()?;

    let mut streams = Vec::new();
    match &query.log_stream_names {
        Some(names) => {
            for name in names {
                streams.push(stream::existing(cx, &group, name)?);
            }
            // Named twice is wanted once.
            streams.sort_by(|one, other| one.name.cmp(&other.name));
            streams.dedup_by(|one, other| one.name == other.name);
        }
        None => {
            let prefix = query.log_stream_name_prefix.as_deref().unwrap_or_default();
            streams = of_group(cx, permit, &group, |stream| stream.name.starts_with(prefix))?;
        }
    }
    let from = Place::before(query.start_time.unwrap_or_default().max(group.oldest(cx.now())).max(0));
    let range = Range {
        from: after.map_or(from, |after| from.max(after)),
        before: query.end_time.map_or(Place::behind(i64::MAX), Place::behind),
    };
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(EVENTS_MAX);
    let mut search = Search::new(streams, range, Direction::Forward);
    let (events, next) = cx.at_length(|| matching(cx, &mut search, &pattern, limit))??;
    Ok(FilterLogEventsResponse {
        events: Some(events.into_iter().map(shown).collect()),
        searched_log_streams: Some(Vec::new()),
        next_token: next.map(|next| cx.seal_token(&query, next.to_string().as_bytes())),
    })
}

fn opened(cx: &Cx<'_>, query: &FilterLogEventsRequest, token: &str) -> Result<Place, LogsError> {
    let content = cx.open_token(query, token).ok_or(LogsError::Token)?;
    std::str::from_utf8(content.expose()).ok().and_then(Place::parse).ok_or(LogsError::Token)
}

/// What matches, and where to go on if that is not all.
fn matching(
    cx: &Cx<'_>,
    search: &mut Search,
    pattern: &Pattern,
    limit: usize,
) -> Result<(Vec<Found>, Option<Place>), ApiError> {
    let (mut events, mut bytes) = (Vec::new(), 0_usize);
    while let Some(found) = search.next(cx)? {
        if !pattern.matches(found.message.expose()) {
            if cx.has_run_long() {
                return Ok((events, Some(found.place.next())));
            }
            continue;
        }
        bytes = bytes.saturating_add(weight(std::slice::from_ref(&found)));
        if events.len() >= limit || (bytes > BYTES_MAX && !events.is_empty()) {
            return Ok((events, Some(found.place)));
        }
        events.push(found);
    }
    Ok((events, search.reached()))
}

fn shown(found: Found) -> FilteredLogEvent {
    FilteredLogEvent {
        log_stream_name: Some(found.stream.name.clone()),
        timestamp: Some(found.place.at),
        message: Some(found.message),
        ingestion_time: Some(found.ingested_at),
        event_id: Some(found.place.to_string()),
    }
}

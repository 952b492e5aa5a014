//! GetLogEvents: the events of one stream, from its end or from its beginning.
//!
//! A token is a place: `f/` goes on from it, `b/` goes back from it. Both stay what they are where there is nothing more, by which
//! clients know that they are done.

use std::slice;

use coffer_core::Cx;
use coffer_model::logs::{GetLogEventsRequest, GetLogEventsResponse, OutputLogEvent, action};
use coffer_shape::ApiError;

use crate::{
    error::LogsError,
    group::{permitted_stream, written},
    place::Place,
    search::{Direction, Found, Range, Search},
    stream::{self, EVENT_BYTES},
};

pub(super) const EVENTS_MAX: usize = 10_000;
/// What an answer has of messages, at least one of them.
const BYTES_MAX: usize = 1_048_576;

/// The way to go, and where it begins if that was said.
fn token(written: Option<&str>, from_head: bool) -> Result<(Direction, Option<Place>), LogsError> {
    let Some(written) = written else {
        return Ok((if from_head { Direction::Forward } else { Direction::Backward }, None));
    };
    let (way, rest) = written.split_at_checked(2).ok_or(LogsError::Token)?;
    let place = rest.strip_suffix("/s").and_then(Place::parse).ok_or(LogsError::Token)?;
    match way {
        "f/" => Ok((Direction::Forward, Some(place))),
        "b/" => Ok((Direction::Backward, Some(place))),
        _ => Err(LogsError::Token),
    }
}

pub(crate) fn get_log_events(
    cx: &mut Cx<'_>,
    input: GetLogEventsRequest,
) -> Result<GetLogEventsResponse, ApiError> {
    let (direction, place) = token(input.next_token.as_deref(), input.start_from_head.unwrap_or_default())?;
    let group = written(cx, input.log_group_name, input.log_group_identifier.as_deref())?;
    let group = permitted_stream(cx, &group, &input.log_stream_name, action::GET_LOG_EVENTS)?;
    let stream = stream::existing(cx, &group, &input.log_stream_name)?;

    let from = Place::before(input.start_time.unwrap_or_default().max(group.oldest(cx.now())).max(0));
    // What happened at the end itself is not wanted.
    let before = input.end_time.map_or(Place::behind(i64::MAX), Place::before);
    let range = match (direction, place) {
        (_, None) => Range { from, before },
        (Direction::Forward, Some(place)) => Range { from: from.max(place), before },
        (Direction::Backward, Some(place)) => Range { from, before: before.min(place) },
    };
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(EVENTS_MAX);
    let mut search = Search::new([stream], range, direction);
    let mut events = cx.at_length(|| take(cx, &mut search, limit))??;
    if direction == Direction::Backward {
        events.reverse();
    }
    let (forward, backward) = match events.as_slice() {
        [] => match search.reached().or(place) {
            Some(here) => (here, here),
            None => (range.from, range.before),
        },
        [first, .., last] => (last.place.next(), first.place),
        [only] => (only.place.next(), only.place),
    };
    Ok(GetLogEventsResponse {
        events: Some(events.into_iter().map(shown).collect()),
        next_forward_token: Some(format!("f/{forward}/s")),
        next_backward_token: Some(format!("b/{backward}/s")),
    })
}

fn take(cx: &Cx<'_>, search: &mut Search, limit: usize) -> Result<Vec<Found>, ApiError> {
    let (mut events, mut bytes) = (Vec::new(), 0_usize);
    while events.len() < limit
        && let Some(found) = search.next(cx)?
    {
        bytes = bytes.saturating_add(weight(slice::from_ref(&found)));
        let is_too_much = bytes > BYTES_MAX && !events.is_empty();
        if is_too_much {
            break;
        }
        events.push(found);
    }
    Ok(events)
}

pub(super) fn weight(events: &[Found]) -> usize {
    events.iter().map(|found| found.message.expose().len().saturating_add(EVENT_BYTES)).sum()
}

fn shown(found: Found) -> OutputLogEvent {
    OutputLogEvent {
        timestamp: Some(found.place.at),
        message: Some(found.message),
        ingestion_time: Some(found.ingested_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_where_and_which_way() {
        let place = Place { at: 5, stream: 6, batch: 7, index: 8 };
        for (written, expected) in [
            (format!("f/{place}/s"), Some((Direction::Forward, Some(place)))),
            (format!("b/{place}/s"), Some((Direction::Backward, Some(place)))),
            (format!("x/{place}/s"), None),
            (format!("f/{place}"), None),
            (String::from("f"), None),
            (String::from("\u{e9}\u{e9}"), None),
        ] {
            assert_eq!(token(Some(&written), false).ok(), expected, "{written}");
        }
        assert_eq!(token(None, true).unwrap().0, Direction::Forward);
        assert_eq!(token(None, false).unwrap().0, Direction::Backward);
    }
}

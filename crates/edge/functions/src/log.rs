//! The log of a function, written to CloudWatch Logs in the name of its role.
//!
//! Group and stream are made where they are missing. A role that may not write logs has none, as on AWS: nobody is told.

use coffer_core::{Caller, Inside, LogPlace};
use coffer_model::logs::{
    CreateLogGroup, CreateLogGroupRequest, CreateLogStream, CreateLogStreamRequest, InputLogEvent,
    PutLogEvents, PutLogEventsRequest, err,
};
use coffer_shape::{ApiError, ErrorSpec};

use crate::backing::LogEvent;

/// What one request takes, and what is counted for an event beside its message.
const BYTES_MAX: usize = 1_048_576;
const EVENTS_MAX: usize = 10_000;
const EVENT_BYTES: usize = 26;
/// Another run may be faster in making the group or the stream.
const ATTEMPTS: usize = 3;

pub(crate) async fn write(inside: &Inside, role: &Caller, place: &LogPlace, events: Vec<LogEvent>) {
    for part in parts(events) {
        if let Err(error) = put(inside, role, place, &part).await {
            // Its text may be secret, so nothing else gets it.
            let LogPlace { group, stream } = place;
            tracing::debug!(group, stream, code = error.code(), "the log of a run was not kept");
            return;
        }
    }
}

async fn put(inside: &Inside, role: &Caller, place: &LogPlace, events: &[LogEvent]) -> Result<(), ApiError> {
    let mut attempt = 0;
    loop {
        let event = |event: &LogEvent| InputLogEvent {
            timestamp: event.at.millis(),
            message: event.message.clone().into(),
        };
        let input = PutLogEventsRequest {
            log_group_name: place.group.clone(),
            log_stream_name: place.stream.clone(),
            log_events: events.iter().map(event).collect(),
            ..PutLogEventsRequest::default()
        };
        attempt += 1;
        match inside.call::<PutLogEvents>(role, input).await {
            Ok(_) => return Ok(()),
            Err(error) if is(&error, &err::RESOURCE_NOT_FOUND) && attempt < ATTEMPTS => {
                make(inside, role, place).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The stream, and the group if that is missing too.
async fn make(inside: &Inside, role: &Caller, place: &LogPlace) -> Result<(), ApiError> {
    let stream = || CreateLogStreamRequest {
        log_group_name: place.group.clone(),
        log_stream_name: place.stream.clone(),
    };
    match inside.call::<CreateLogStream>(role, stream()).await {
        Err(error) if is(&error, &err::RESOURCE_NOT_FOUND) => {
            let group = CreateLogGroupRequest {
                log_group_name: place.group.clone(),
                ..CreateLogGroupRequest::default()
            };
            unless_there(inside.call::<CreateLogGroup>(role, group).await)?;
            unless_there(inside.call::<CreateLogStream>(role, stream()).await)
        }
        made => unless_there(made),
    }
}

fn unless_there<T>(made: Result<T, ApiError>) -> Result<(), ApiError> {
    match made {
        Err(error) if !is(&error, &err::RESOURCE_ALREADY_EXISTS) => Err(error),
        _ => Ok(()),
    }
}

fn is(error: &ApiError, spec: &ErrorSpec) -> bool {
    error.code() == spec.code
}

/// In order of time, and in requests that are not too large. A day has passed within none of them: functions run for minutes.
fn parts(mut events: Vec<LogEvent>) -> Vec<Vec<LogEvent>> {
    events.retain(|event| !event.message.is_empty());
    events.sort_by_key(|event| event.at);
    let (mut parts, mut bytes): (Vec<Vec<LogEvent>>, usize) = (Vec::new(), 0);
    for event in events {
        let more = event.message.len().saturating_add(EVENT_BYTES);
        match parts.last_mut() {
            Some(part) if bytes.saturating_add(more) <= BYTES_MAX && part.len() < EVENTS_MAX => {
                bytes = bytes.saturating_add(more);
                part.push(event);
            }
            _ => {
                bytes = more;
                parts.push(vec![event]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use coffer_types::Timestamp;

    use super::*;

    fn event(at: i64, bytes: usize) -> LogEvent {
        LogEvent { at: Timestamp::from_millis(at), message: "x".repeat(bytes) }
    }

    #[test]
    fn a_long_log_is_several_requests_in_order_of_time() {
        let sizes = |events| parts(events).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(vec![]), [0; 0]);
        assert_eq!(sizes(vec![event(1, 0), event(2, 1)]), [1]);
        assert_eq!(sizes((0..25_000).map(|at| event(at, 1)).collect()), [10_000, 10_000, 5_000]);
        let half = BYTES_MAX / 2 - EVENT_BYTES;
        assert_eq!(sizes(vec![event(1, half), event(2, half), event(3, 1)]), [2, 1]);
        let mixed = parts(vec![event(3, 1), event(1, 2), event(2, 3)]);
        let times: Vec<i64> = mixed[0].iter().map(|event| event.at.millis()).collect();
        assert_eq!(times, [1, 2, 3]);
    }
}

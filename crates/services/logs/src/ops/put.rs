//! PutLogEvents.

use coffer_core::Cx;
use coffer_model::logs::{
    InputLogEvent, PutLogEventsRequest, PutLogEventsResponse, RejectedLogEventsInfo, action,
};
use coffer_shape::ApiError;
use coffer_types::Timestamp;

use crate::{
    error::LogsError,
    group::{GroupRecord, permitted_stream},
    place::Place,
    stream::{self, New},
};

/// With what is counted for each event.
const BYTES_MAX: usize = 1_048_576;
const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;
const TOO_OLD_MS: i64 = 14 * DAY_MS;
const TOO_NEW_MS: i64 = 2 * HOUR_MS;

pub(crate) fn put_log_events(
    cx: &mut Cx<'_>,
    input: PutLogEventsRequest,
) -> Result<PutLogEventsResponse, ApiError> {
    let name = input.log_stream_name;
    let new = |event: InputLogEvent| New { at: event.timestamp, message: event.message };
    let events: Vec<New> = input.log_events.into_iter().map(new).collect();
    check(&events)?;

    let group = permitted_stream(cx, &input.log_group_name, &name, action::PUT_LOG_EVENTS)?;
    let stream = stream::existing(cx, &group, &name)?;
    let (taken, rejected) = sorted_out(events, &group, cx.now());
    check_span(&taken)?;
    let last = if taken.is_empty() { None } else { stream::append(cx, &stream, taken)? };
    let next =
        last.map_or(Place { stream: stream.number(), ..Place::before(stream.last_time()) }, Place::next);
    Ok(PutLogEventsResponse {
        next_sequence_token: Some(next.to_string()),
        rejected_log_events_info: rejected,
        rejected_entity_info: None,
    })
}

fn check(events: &[New]) -> Result<(), LogsError> {
    let bytes = events.iter().map(New::bytes).fold(0_usize, usize::saturating_add);
    if bytes > BYTES_MAX {
        return Err(LogsError::TooLarge { bytes });
    }
    if events.is_sorted_by_key(|event| event.at) { Ok(()) } else { Err(LogsError::NotInOrder) }
}

/// Of what is taken.
fn check_span(taken: &[New]) -> Result<(), LogsError> {
    match (taken.first(), taken.last()) {
        (Some(first), Some(last)) if last.at.saturating_sub(first.at) > DAY_MS => Err(LogsError::TooLong),
        _ => Ok(()),
    }
}

/// Those that are taken, and which are not.
fn sorted_out(
    events: Vec<New>,
    group: &GroupRecord,
    now: Timestamp,
) -> (Vec<New>, Option<RejectedLogEventsInfo>) {
    let now_ms = now.millis();
    let (too_old, expired, too_new) =
        (now_ms.saturating_sub(TOO_OLD_MS), group.oldest(now), now_ms.saturating_add(TOO_NEW_MS));
    // They are in order, so the old ones are the first and the new ones the last.
    let index = |is_before: &dyn Fn(&New) -> bool| events.partition_point(|event| is_before(event));
    let old_end = index(&|event| event.at < too_old);
    let expired_end = index(&|event| event.at < expired);
    let new_start = index(&|event| event.at <= too_new);
    let is_clean = old_end == 0 && expired_end == 0 && new_start == events.len();
    let number = |index: usize| i64::try_from(index).ok();
    let rejected = (!is_clean).then(|| RejectedLogEventsInfo {
        too_old_log_event_end_index: number(old_end).filter(|end| *end > 0),
        expired_log_event_end_index: number(expired_end).filter(|end| *end > 0),
        too_new_log_event_start_index: number(new_start).filter(|_| new_start < events.len()),
    });
    let begin = old_end.max(expired_end);
    let taken = events.into_iter().take(new_start).skip(begin).collect();
    (taken, rejected)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 2_000_000_000_000;

    fn events(times: &[i64]) -> Vec<New> {
        times.iter().map(|at| New { at: *at, message: String::from("x").into() }).collect()
    }

    #[test]
    fn a_request_is_in_order_and_not_too_large() {
        assert_eq!(check(&events(&[1, 1, 2])), Ok(()));
        assert_eq!(check(&events(&[2, 1])), Err(LogsError::NotInOrder));
        assert_eq!(check_span(&events(&[0, DAY_MS])), Ok(()));
        assert_eq!(check_span(&events(&[0, DAY_MS + 1])), Err(LogsError::TooLong));
        let large = |bytes: usize| vec![New { at: 1, message: "x".repeat(bytes).into() }];
        assert_eq!(check(&large(BYTES_MAX - 26)), Ok(()));
        assert_eq!(check(&large(BYTES_MAX - 25)), Err(LogsError::TooLarge { bytes: BYTES_MAX + 1 }));
    }

    #[test]
    fn what_is_too_old_or_too_new_is_left_out_and_told() {
        let week = GroupRecord { retention_days: Some(7), ..GroupRecord::default() };
        let now = Timestamp::from_millis(NOW);
        let sort = |group: &GroupRecord, times: &[i64]| {
            let (taken, rejected) = sorted_out(events(times), group, now);
            let rejected = rejected.map(|info| {
                (
                    info.too_old_log_event_end_index,
                    info.expired_log_event_end_index,
                    info.too_new_log_event_start_index,
                )
            });
            (taken.len(), rejected)
        };
        let ever = GroupRecord::default();
        assert_eq!(sort(&ever, &[NOW - TOO_OLD_MS, NOW, NOW + TOO_NEW_MS]), (3, None));
        assert_eq!(sort(&ever, &[NOW - TOO_OLD_MS - 1, NOW]), (1, Some((Some(1), None, None))));
        assert_eq!(sort(&ever, &[NOW, NOW + TOO_NEW_MS + 1]), (1, Some((None, None, Some(1)))));
        assert_eq!(sort(&week, &[NOW - 8 * DAY_MS, NOW - 6 * DAY_MS]), (1, Some((None, Some(1), None))));
        assert_eq!(sort(&ever, &[NOW + TOO_NEW_MS + 1]), (0, Some((None, None, Some(0)))));
    }
}

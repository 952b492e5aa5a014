//! Streams: made, described and deleted.

use std::{ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, Permit, Place, Walk};
use coffer_model::logs::{
    CreateLogStreamRequest, DeleteLogStreamRequest, DescribeLogStreamsRequest, DescribeLogStreamsResponse,
    LogStream, OrderBy, action,
};
use coffer_shape::{ApiError, Empty};

use crate::{
    error::LogsError,
    group::{GroupRecord, find, permitted_stream, stream_arn, written},
    janitor,
    place::Place as EventPlace,
    stream::{self, StreamRecord},
};

const PAGE_MAX: usize = 50;

pub(crate) fn create_log_stream(cx: &mut Cx<'_>, input: CreateLogStreamRequest) -> Result<Empty, ApiError> {
    let name = input.log_stream_name;
    let group = permitted_stream(cx, &input.log_group_name, &name, action::CREATE_LOG_STREAM)?;
    if stream::find(cx, &group, &name)?.is_some() {
        return Err(LogsError::StreamExists.into());
    }
    let stream = stream::new(cx, &group, name);
    cx.save(stream)?;
    Ok(Empty {})
}

pub(crate) fn delete_log_stream(cx: &mut Cx<'_>, input: DeleteLogStreamRequest) -> Result<Empty, ApiError> {
    let name = input.log_stream_name;
    let group = permitted_stream(cx, &input.log_group_name, &name, action::DELETE_LOG_STREAM)?;
    if group.is_protected {
        return Err(LogsError::Protected.into());
    }
    let stream = stream::existing(cx, &group, &name)?;
    janitor::delete_stream(cx, &stream)?;
    Ok(Empty {})
}

pub(crate) fn describe_log_streams(
    cx: &mut Cx<'_>,
    input: DescribeLogStreamsRequest,
) -> Result<DescribeLogStreamsResponse, ApiError> {
    let by_time = input.order_by.as_deref() == Some(OrderBy::LastEventTime.as_str());
    let prefix = input.log_stream_name_prefix.as_deref();
    if by_time && prefix.is_some() {
        return Err(LogsError::TimeWithPrefix.into());
    }
    let name = written(cx, input.log_group_name.clone(), input.log_group_identifier.as_deref())?;
    let (named, permit) = find(cx, &name)?.permit_with(cx, action::DESCRIBE_LOG_STREAMS)?;
    let group = named.existing()?;

    let mut streams =
        of_group(cx, permit, &group, |stream| prefix.is_none_or(|prefix| stream.name.starts_with(prefix)))?;
    let time = |stream: &StreamRecord| if by_time { stream.last_time() } else { 0 };
    streams.sort_by(|one, other| (time(one), &one.name).cmp(&(time(other), &other.name)));
    let is_descending = input.descending.unwrap_or_default();
    if is_descending {
        streams.reverse();
    }

    let query = DescribeLogStreamsRequest { limit: None, next_token: None, ..input.clone() };
    if let Some(token) = input.next_token.as_deref() {
        let (last_time, last_name) = opened(cx, &query, token)?;
        streams.retain(|stream| {
            let (this, last) = ((time(stream), stream.name.as_str()), (last_time, last_name.as_str()));
            if is_descending { this < last } else { this > last }
        });
    }
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_MAX);
    let has_more = streams.len() > limit;
    streams.truncate(limit);
    let last = streams.last().filter(|_| has_more);
    let next_token =
        last.map(|last| cx.seal_token(&query, format!("{}\n{}", time(last), last.name).as_bytes()));
    let shown = streams.iter().map(|stream| shown(cx, &group, stream));
    Ok(DescribeLogStreamsResponse { log_streams: Some(shown.collect()), next_token })
}

/// Where a page ended: the time and name of its last stream.
fn opened(cx: &Cx<'_>, query: &DescribeLogStreamsRequest, token: &str) -> Result<(i64, String), LogsError> {
    let content = cx.open_token(query, token).ok_or(LogsError::Token)?;
    let text = std::str::from_utf8(content.expose()).map_err(|_| LogsError::Token)?;
    let (time, name) = text.split_once('\n').ok_or(LogsError::Token)?;
    Ok((time.parse().map_err(|_| LogsError::Token)?, name.to_owned()))
}

/// The streams of a group that are wanted, by name.
pub(super) fn of_group(
    cx: &Cx<'_>,
    permit: Permit<StreamRecord>,
    group: &GroupRecord,
    is_wanted: impl Fn(&StreamRecord) -> bool,
) -> Result<Vec<Arc<StreamRecord>>, ApiError> {
    let mut streams = Vec::new();
    let how = Walk { after: Some(Place { number: None, text: &group.id, tie: "" }), ..Walk::default() };
    cx.walk(permit, how, &mut |stream: &Arc<StreamRecord>| {
        if stream.group != group.id {
            return ControlFlow::Break(());
        }
        if is_wanted(stream) {
            streams.push(Arc::clone(stream));
        }
        ControlFlow::Continue(())
    })?;
    Ok(streams)
}

fn shown(cx: &Cx<'_>, group: &GroupRecord, stream: &StreamRecord) -> LogStream {
    let token = EventPlace { stream: stream.number(), ..EventPlace::before(stream.last_time()) };
    LogStream {
        log_stream_name: Some(stream.name.clone()),
        creation_time: Some(stream.created_at.millis()),
        first_event_timestamp: stream.first_event,
        last_event_timestamp: stream.last_event,
        last_ingestion_time: stream.ingested_at,
        upload_sequence_token: Some(token.to_string()),
        arn: Some(stream_arn(cx, &group.name, &stream.name)),
        stored_bytes: Some(0),
    }
}

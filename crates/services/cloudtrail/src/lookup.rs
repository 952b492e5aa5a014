//! LookupEvents.

use std::ops::ControlFlow;

use coffer_core::{AuditFacts, Cx, LooksBack, Span, TrailPlace, Wanted, resource_type};
use coffer_model::cloudtrail::{Event, LookupEventsRequest, LookupEventsResponse, Resource, action};
use coffer_shape::ApiError;

use crate::{ask::Ask, error::LookupError};

/// Shows the events of the caller's account in a region, the newest first, one page at a time. A page may be short, or empty, and not
/// be the last one.
pub(crate) fn lookup_events(
    cx: &mut Cx<'_>,
    input: LookupEventsRequest,
) -> Result<LookupEventsResponse, ApiError> {
    let ask = Ask::read(&input, cx.now())?;
    let permit = cx.ask(action::LOOKUP_EVENTS, &coffer_core::Unscoped)?;
    // The page token holds for this query, whatever page size the next call asks for.
    let query = LookupEventsRequest { max_results: None, next_token: None, ..input };
    let from = input.next_token.as_deref().map(|token| place(cx, &query, token)).transpose()?;
    if ask.is_empty {
        return Ok(LookupEventsResponse { events: Some(Vec::new()), next_token: None });
    }

    let mut page = Page { ask: &ask, cx, account: cx.account().to_string(), events: Vec::new() };
    let next = cx.look_back(permit, from, &mut page)?;
    let mut events = page.events;
    // The log is in the order of the times but for a moment; to the second it is shown in order.
    events.sort_by_key(|event| std::cmp::Reverse(event.event_time));
    let next_token = next.map(|next| cx.seal_token(&query, &bytes(next)));
    Ok(LookupEventsResponse { events: Some(events), next_token })
}

struct Page<'a, 'c> {
    ask: &'a Ask,
    cx: &'a Cx<'c>,
    account: String,
    events: Vec<Event>,
}

impl LooksBack for Page<'_, '_> {
    fn wants(&self, span: Span) -> Wanted {
        self.ask.wants(span)
    }

    fn see(&mut self, event: &str) -> ControlFlow<()> {
        if !self.ask.may_fit(event) {
            return ControlFlow::Continue(());
        }
        let Some(facts) = AuditFacts::read(event) else { return ControlFlow::Continue(()) };
        let is_ours =
            facts.recipient_account_id == self.account && facts.aws_region == self.cx.region().as_str();
        if !is_ours || !self.ask.fits(&facts) {
            return ControlFlow::Continue(());
        }
        if self.events.len() >= self.ask.page_size {
            // One more is there, so there is a next page, which begins with it.
            return ControlFlow::Break(());
        }
        // After a crash the log may have an event twice.
        if self.events.iter().all(|seen| seen.event_id.as_deref() != Some(&*facts.event_id)) {
            self.events.push(shown(&facts, event));
        }
        ControlFlow::Continue(())
    }

    fn is_late(&self) -> bool {
        self.cx.has_run_long()
    }
}

fn shown(facts: &AuditFacts<'_>, event: &str) -> Event {
    let resource = |arn: &str| Resource {
        resource_type: resource_type(arn).map(str::to_owned),
        resource_name: Some(arn.to_owned()),
    };
    Event {
        event_id: Some(facts.event_id.to_string()),
        event_name: Some(facts.event_name.to_string()),
        read_only: Some(facts.read_only.to_string()),
        access_key_id: facts.access_key_id().map(str::to_owned),
        event_time: facts.time(),
        event_source: Some(facts.event_source.to_string()),
        username: facts.user_name().map(str::to_owned),
        resources: Some(facts.resources().map(resource).collect()),
        cloud_trail_event: Some(event.to_owned()),
    }
}

fn bytes(place: TrailPlace) -> Vec<u8> {
    [place.segment, place.events].iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn place(cx: &Cx<'_>, query: &LookupEventsRequest, token: &str) -> Result<TrailPlace, ApiError> {
    let content = cx.open_token(query, token).ok_or(LookupError::Token)?;
    let (segment, events) = content.expose().split_first_chunk::<8>().ok_or(LookupError::Token)?;
    let events = events.first_chunk::<8>().ok_or(LookupError::Token)?;
    Ok(TrailPlace { segment: u64::from_be_bytes(*segment), events: u64::from_be_bytes(*events) })
}

//! Invocations that nobody waits for.
//!
//! The event is a record before the call is answered. A function that fails is invoked again after one minute and after two more, as on
//! AWS; one that cannot be run because too many are is tried for six hours.
//!
//! Known limit: what is given up goes nowhere. Its last log is all that is left of it.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc, time::Duration};

use coffer_core::{
    BlobRef, Cx, Errand, FunctionOutcome, Inside, Listed, Next, Partition, Picked, Place, Walk, World, table,
};
use coffer_model::lambda::{SERVICE, action};
use coffer_shape::{ApiError, ServiceSpec};
use coffer_types::{Secret, Timestamp, Uuid};

use crate::{
    function::FunctionRecord,
    ops::invoke::{Ready, ready},
};

pub(crate) const NAME: &str = "lambda-courier";
/// A larger event is a package.
const INLINE_BYTES_MAX: usize = 64 * 1024;
const ATTEMPTS_MAX: i64 = 3;
const RETRY_AFTER: Duration = Duration::from_secs(60);
const THROTTLED_RETRY: Duration = Duration::from_secs(10);
/// AWS's default for the age of an event.
const AGE_MAX: Duration = Duration::from_hours(6);

table! {
    0x46 "lambda-event", version 1, key (id), part;

    pub struct EventRecord {
        /// That of the request, which every run of it has too.
        pub id: String,
        pub function: String,
        /// As it was invoked; empty without one.
        pub qualifier: String,
        pub content: Secret<Vec<u8>>,
        /// Where the content is, if it is a large one.
        pub package: Option<BlobRef>,
        pub attempts: i64,
        pub queued_at: Timestamp,
        pub due_at: Timestamp,
    }
}

impl Listed for EventRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: Some(self.due_at.millis()), text: "", tie: &self.id }
    }
}

/// Puts an event into the queue.
pub(crate) fn queue(
    cx: &mut Cx<'_>,
    function: &str,
    qualifier: Option<&str>,
    content: Secret<Vec<u8>>,
) -> Result<(), ApiError> {
    let (mut inline, mut package) = (Secret::default(), None);
    if content.len() > INLINE_BYTES_MAX {
        let blob = cx.stage(&Arc::new(content))?;
        cx.attach(&blob)?;
        package = Some(blob);
    } else {
        inline = content;
    }
    let now = cx.now();
    cx.save(EventRecord {
        id: cx.request().to_string(),
        function: function.to_owned(),
        qualifier: qualifier.unwrap_or_default().to_owned(),
        content: inline,
        package,
        attempts: 0,
        queued_at: now,
        due_at: now,
    })?;
    cx.activate(NAME);
    Ok(())
}

#[derive(Debug)]
pub(crate) struct Courier;

/// Ours: runs of events leave most processors to those whose callers wait.
const AT_ONCE_MAX: usize = 10;

/// An event on its way.
#[derive(Debug)]
pub(crate) struct Load {
    ready: Ready,
    package: Option<BlobRef>,
    home: Partition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    Badly,
    NotRun,
}

impl Errand for Courier {
    const NAME: &'static str = NAME;
    const SERVICE: &'static ServiceSpec = &SERVICE;
    type Key = String;
    type Load = Load;
    type Outcome = Ended;

    fn at_once_max(&self, _: &World) -> usize {
        AT_ONCE_MAX
    }

    fn pick(&self, here: &mut Cx<'_>, under_way: &BTreeSet<String>) -> Result<Picked<Self>, ApiError> {
        let permit = here.ask_all::<EventRecord>(action::INVOKE_FUNCTION)?;
        let mut found: Option<Arc<EventRecord>> = None;
        here.walk(permit, Walk::default(), &mut |event| {
            if under_way.contains(&event.id) {
                return ControlFlow::Continue(());
            }
            found = Some(Arc::clone(event));
            ControlFlow::Break(())
        })?;
        let Some(listed) = found else { return Ok(Picked::Nothing(Next::Idle)) };
        if listed.due_at > here.now() {
            return Ok(Picked::Nothing(Next::At(listed.due_at)));
        }
        let Some(event) = here.part::<EventRecord>(&[&listed.id])? else {
            return Ok(Picked::Nothing(Next::Now));
        };
        let qualifier = Some(event.qualifier.as_str()).filter(|qualifier| !qualifier.is_empty());
        let content = Secret::new(event.content.expose().clone());
        let function = here.find::<FunctionRecord>(&[&event.function])?;
        let ready = match function {
            Some(function) => {
                let function = function.permit(here, action::INVOKE_FUNCTION)?;
                ready(here, &function, qualifier, content, None)
            }
            None => return gone(here, &event),
        };
        match ready {
            Ok(mut ready) => {
                if let Ok(id) = event.id.parse::<Uuid>() {
                    ready.request_id = id.into();
                }
                let home = Partition::new(here.account(), here.region().clone());
                let load = Load { ready, package: event.package.clone(), home };
                Ok(Picked::Load { key: event.id.clone(), load })
            }
            // The version is gone, or the role does not let Lambda in: that may be repaired meanwhile.
            Err(_) => {
                settle(here, &event, Ended::Badly)?;
                Ok(Picked::Nothing(Next::Now))
            }
        }
    }

    async fn run(self: Arc<Self>, load: Load, inside: Inside) -> Ended {
        let Load { mut ready, package, home } = load;
        if let Some(package) = package {
            match inside.blob(&home, &package).await {
                Ok(content) => ready.event = content,
                Err(_) => return Ended::NotRun,
            }
        }
        match ready.run(inside).await {
            FunctionOutcome::Done(answer) if answer.failed => Ended::Badly,
            FunctionOutcome::Done(_) => Ended::Well,
            FunctionOutcome::Throttled | FunctionOutcome::Unavailable(_) => Ended::NotRun,
        }
    }

    fn settle(&self, here: &mut Cx<'_>, key: &String, outcome: &Ended) -> Result<(), ApiError> {
        match here.part::<EventRecord>(&[key])? {
            Some(event) => settle(here, &event, *outcome),
            None => Ok(()),
        }
    }
}

/// There is no function any more.
fn gone(here: &mut Cx<'_>, event: &EventRecord) -> Result<Picked<Courier>, ApiError> {
    forget(here, event)?;
    Ok(Picked::Nothing(Next::Now))
}

fn settle(here: &mut Cx<'_>, event: &EventRecord, ended: Ended) -> Result<(), ApiError> {
    let Some((attempts, wait)) = again(event, ended, here.now()) else { return forget(here, event) };
    here.save(EventRecord {
        id: event.id.clone(),
        function: event.function.clone(),
        qualifier: event.qualifier.clone(),
        content: Secret::new(event.content.expose().clone()),
        package: event.package.clone(),
        attempts,
        queued_at: event.queued_at,
        due_at: here.now().plus(wait),
    })
}

/// How often it was tried, and when to try again; nothing if that is all.
fn again(event: &EventRecord, ended: Ended, now: Timestamp) -> Option<(i64, Duration)> {
    let (attempts, wait) = match ended {
        Ended::Well => return None,
        Ended::Badly => {
            let attempts = event.attempts.saturating_add(1);
            (attempts, RETRY_AFTER.saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX)))
        }
        Ended::NotRun => (event.attempts, THROTTLED_RETRY),
    };
    let is_old = now.plus(wait).since(event.queued_at) > AGE_MAX;
    (attempts < ATTEMPTS_MAX && !is_old).then_some((attempts, wait))
}

fn forget(here: &mut Cx<'_>, event: &EventRecord) -> Result<(), ApiError> {
    if let Some(package) = &event.package {
        here.detach(package)?;
    }
    here.erase::<EventRecord>(&[&event.id])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_after_one_minute_and_after_two() {
        let at = |minutes: i64| Timestamp::from_seconds(minutes * 60);
        let event = |attempts| EventRecord { attempts, ..EventRecord::default() };
        for (attempts, ended, minute, expected) in [
            (0, Ended::Well, 0, None),
            (0, Ended::Badly, 0, Some((1, 60))),
            (1, Ended::Badly, 1, Some((2, 120))),
            (2, Ended::Badly, 3, None),
            (0, Ended::NotRun, 0, Some((0, 10))),
            (0, Ended::NotRun, 359, Some((0, 10))),
            (0, Ended::NotRun, 360, None),
        ] {
            let expected = expected.map(|(attempts, seconds)| (attempts, Duration::from_secs(seconds)));
            assert_eq!(again(&event(attempts), ended, at(minute)), expected, "{attempts} {ended:?} {minute}");
        }
    }
}

//! Invocations that nobody waits for.
//!
//! The event is a record before the call is answered. A function that fails is invoked again after one minute and after two more, as on
//! AWS; one that cannot be run because too many are is tried for six hours, less and less often. A configuration of the function, version or alias can make
//! both less, and can name functions that are told how an event ended: after the last run, before the event is forgotten. A crash between
//! the two runs the event again, so that a destination may be told twice, and is told once at least.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc, time::Duration};

use coffer_core::{
    BlobRef, Cx, Errand, FunctionOutcome, Inside, Listed, Next, Partition, Picked, Place, Walk, World, table,
};
use coffer_model::lambda::{SERVICE, action};
use coffer_shape::{ApiError, ServiceSpec};
use coffer_types::{Secret, Timestamp, Uuid};

use crate::{
    destination::{Condition, Destinations, Response},
    error::LambdaError,
    event_config::{self, EventConfigRecord},
    function::FunctionRecord,
    ops::invoke::{Ready, ready},
    revision::LATEST,
};

pub(crate) const NAME: &str = "lambda-courier";
/// A larger event is a package.
const RECORD_BYTES_MAX: usize = 64 * 1024;
/// What is larger is a record of its own: the queue itself is a list, which is in memory for as long as somebody may look at it.
const INLINE_BYTES_MAX: usize = 1024;
/// Ours: events that wait in an account and region. AWS names no number.
const QUEUED_MAX: usize = 10_000;
/// AWS's default, and the most that can be said.
const RETRIES_MAX: i64 = 2;
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// AWS's, for an event that finds no room: after the first attempt, and at most.
const ROOM_AFTER: Duration = Duration::from_secs(1);
const ROOM_AFTER_MAX: Duration = Duration::from_secs(300);
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
        /// A small one. It is never empty, so that an empty one lies elsewhere.
        pub content: Secret<Vec<u8>>,
        /// Where the content is, if it is a large one. One of a middle size is in an [`EventContentRecord`].
        pub package: Option<BlobRef>,
        pub attempts: i64,
        pub queued_at: Timestamp,
        pub due_at: Timestamp,
        /// How often in a row there was no room for it.
        pub waits: i64,
    }
}

table! {
    0x48 "lambda-event-content", version 1, key (id), part;

    /// What an event says, if that is too much for a list and too little for a package.
    pub struct EventContentRecord {
        pub id: String,
        pub content: Secret<Vec<u8>>,
    }
}

impl EventRecord {
    pub(crate) fn has_content_beside(&self) -> bool {
        self.package.is_none() && self.content.is_empty()
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
    ensure_room(cx.count::<EventRecord>()?)?;
    let id = cx.request().to_string();
    let (mut inline, mut package) = (Secret::default(), None);
    if content.len() > RECORD_BYTES_MAX {
        let blob = cx.stage(&Arc::new(content))?;
        cx.attach(&blob)?;
        package = Some(blob);
    } else if content.len() > INLINE_BYTES_MAX {
        cx.save(EventContentRecord { id: id.clone(), content })?;
    } else {
        inline = content;
    }
    let now = cx.now();
    cx.save(EventRecord {
        id,
        function: function.to_owned(),
        qualifier: qualifier.unwrap_or_default().to_owned(),
        content: inline,
        package,
        attempts: 0,
        queued_at: now,
        due_at: now,
        waits: 0,
    })?;
    cx.activate(NAME);
    Ok(())
}

const fn ensure_room(queued: usize) -> Result<(), LambdaError> {
    if queued >= QUEUED_MAX { Err(LambdaError::QueueFull) } else { Ok(()) }
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
    tries: Tries,
    destinations: Option<Destinations>,
}

/// How often and how long an event is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tries {
    attempts: i64,
    waits: i64,
    queued_at: Timestamp,
    retries_max: i64,
    age_max: Duration,
    /// Nothing is reserved for the function, so that it will not be run.
    is_stopped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    Well,
    Badly,
    NotRun,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Again { attempts: i64, waits: i64, wait: Duration },
    Over { attempts: i64, condition: Condition },
}

impl Tries {
    fn new(event: &EventRecord, function: &FunctionRecord, config: Option<&EventConfigRecord>) -> Self {
        let age = config.and_then(|config| config.age_seconds);
        Self {
            attempts: event.attempts,
            waits: event.waits,
            queued_at: event.queued_at,
            retries_max: config.and_then(|config| config.retries).unwrap_or(RETRIES_MAX),
            age_max: age.map_or(AGE_MAX, |age| Duration::from_secs(age.unsigned_abs())),
            is_stopped: function.reserved == Some(0),
        }
    }

    fn after(&self, went: Went, now: Timestamp) -> Fate {
        let attempts = self.attempts.saturating_add(i64::from(went != Went::NotRun));
        let over = |condition| Fate::Over { attempts, condition };
        let (waits, wait) = match went {
            Went::Well => return over(Condition::Success),
            Went::Badly if attempts > self.retries_max => return over(Condition::RetriesExhausted),
            Went::Badly => (0, RETRY_AFTER.saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX))),
            // AWS tries none of those again.
            Went::NotRun if self.is_stopped => return over(Condition::RetriesExhausted),
            Went::NotRun => (self.waits.saturating_add(1), until_room(self.waits)),
        };
        if now.plus(wait).since(self.queued_at) > self.age_max {
            return over(Condition::EventAgeExceeded);
        }
        Fate::Again { attempts, waits, wait }
    }
}

/// Twice as long each time.
fn until_room(waits: i64) -> Duration {
    let times = u32::try_from(waits).ok().and_then(|waits| 2_u32.checked_pow(waits)).unwrap_or(u32::MAX);
    ROOM_AFTER.saturating_mul(times).min(ROOM_AFTER_MAX)
}

impl Errand for Courier {
    const NAME: &'static str = NAME;
    const SERVICE: &'static ServiceSpec = &SERVICE;
    type Key = String;
    type Load = Load;
    type Outcome = Fate;

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
        let content = if event.has_content_beside() {
            let beside = here.part::<EventContentRecord>(&[&event.id])?;
            let beside = beside.ok_or_else(|| here.internal("an event without its content"))?;
            Secret::new(beside.content.expose().clone())
        } else {
            Secret::new(event.content.expose().clone())
        };
        let function = here.find::<FunctionRecord>(&[&event.function])?;
        let Some(function) = function else {
            forget(here, &event)?;
            return Ok(Picked::Nothing(Next::Now));
        };
        let function = function.permit(here, action::INVOKE_FUNCTION)?;
        let config = event_config::of(here, &function, qualifier)?;
        let tries = Tries::new(&event, &function, config.as_ref());
        let Ok(mut ready) = ready(here, &function, qualifier, content, None) else {
            // The version is gone, or the role does not let Lambda in: that may be repaired meanwhile. Nobody can be told in its name.
            settle(here, &event, tries.after(Went::Badly, here.now()))?;
            return Ok(Picked::Nothing(Next::Now));
        };
        if let Ok(id) = event.id.parse::<Uuid>() {
            ready.request_id = id.into();
        }
        let home = Partition::new(here.account(), here.region().clone());
        let destinations = config
            .filter(|config| config.on_success.is_some() || config.on_failure.is_some())
            .map(|config| Destinations {
                on_success: config.on_success,
                on_failure: config.on_failure,
                role: ready.session.clone(),
                event: Secret::default(),
                invoked_arn: format!("{}:{}", function.arn, qualifier.unwrap_or(LATEST)),
                home: home.clone(),
                request_id: ready.request_id,
            });
        let load = Load { ready, package: event.package.clone(), home, tries, destinations };
        Ok(Picked::Load { key: event.id.clone(), load })
    }

    async fn run(self: Arc<Self>, load: Load, inside: Inside) -> Fate {
        let Load { mut ready, package, home, tries, mut destinations } = load;
        let clock = Arc::clone(&inside.world().clock);
        if let Some(package) = package {
            match inside.blob(&home, &package).await {
                Ok(content) => ready.event = content,
                Err(_) => return tries.after(Went::NotRun, clock.now()),
            }
        }
        if let Some(destinations) = &mut destinations {
            destinations.event = Secret::new(ready.event.expose().clone());
        }
        let version = ready.version().to_owned();
        let (went, response) = match ready.run(inside.clone()).await {
            FunctionOutcome::Done(answer) => {
                let went = if answer.failed { Went::Badly } else { Went::Well };
                let response = Response { version, failed: answer.failed, payload: answer.payload };
                (went, Some(response))
            }
            FunctionOutcome::Throttled | FunctionOutcome::Unavailable(_) => (Went::NotRun, None),
        };
        let fate = tries.after(went, clock.now());
        if let (Fate::Over { attempts, condition }, Some(destinations)) = (fate, destinations) {
            destinations.tell(&inside, condition, attempts, response).await;
        }
        fate
    }

    fn settle(&self, here: &mut Cx<'_>, key: &String, outcome: &Fate) -> Result<(), ApiError> {
        match here.part::<EventRecord>(&[key])? {
            Some(event) => settle(here, &event, *outcome),
            None => Ok(()),
        }
    }
}

fn settle(here: &mut Cx<'_>, event: &EventRecord, fate: Fate) -> Result<(), ApiError> {
    let Fate::Again { attempts, waits, wait } = fate else { return forget(here, event) };
    here.save(EventRecord {
        id: event.id.clone(),
        function: event.function.clone(),
        qualifier: event.qualifier.clone(),
        content: Secret::new(event.content.expose().clone()),
        package: event.package.clone(),
        attempts,
        queued_at: event.queued_at,
        due_at: here.now().plus(wait),
        waits,
    })
}

fn forget(here: &mut Cx<'_>, event: &EventRecord) -> Result<(), ApiError> {
    if let Some(package) = &event.package {
        here.detach(package)?;
    }
    if event.has_content_beside() {
        here.erase::<EventContentRecord>(&[&event.id])?;
    }
    here.erase::<EventRecord>(&[&event.id])
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWS: Tries = Tries {
        attempts: 0,
        waits: 0,
        queued_at: Timestamp::from_millis(0),
        retries_max: RETRIES_MAX,
        age_max: AGE_MAX,
        is_stopped: false,
    };

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_seconds(minutes * 60)
    }

    const fn again(attempts: i64, seconds: u64) -> Fate {
        Fate::Again { attempts, waits: 0, wait: Duration::from_secs(seconds) }
    }

    const fn no_room(attempts: i64, waits: i64, seconds: u64) -> Fate {
        Fate::Again { attempts, waits, wait: Duration::from_secs(seconds) }
    }

    const fn over(attempts: i64, condition: Condition) -> Fate {
        Fate::Over { attempts, condition }
    }

    #[test]
    fn what_fails_is_tried_after_one_minute_and_after_two() {
        use Condition::{EventAgeExceeded, RetriesExhausted, Success};
        for (attempts, went, minute, expected) in [
            (0, Went::Well, 0, over(1, Success)),
            (2, Went::Well, 3, over(3, Success)),
            (0, Went::Badly, 0, again(1, 60)),
            (1, Went::Badly, 1, again(2, 120)),
            (2, Went::Badly, 3, over(3, RetriesExhausted)),
            (1, Went::Badly, 359, over(2, EventAgeExceeded)),
            (0, Went::NotRun, 0, no_room(0, 1, 1)),
            (0, Went::NotRun, 359, no_room(0, 1, 1)),
            (0, Went::NotRun, 360, over(0, EventAgeExceeded)),
        ] {
            let tries = Tries { attempts, ..AWS };
            assert_eq!(tries.after(went, at(minute)), expected, "{attempts} {went:?} {minute}");
        }
    }

    #[test]
    fn what_finds_no_room_is_tried_less_and_less_often() {
        for (waits, seconds) in
            [(0, 1), (1, 2), (2, 4), (3, 8), (7, 128), (8, 256), (9, 300), (40, 300), (i64::MAX, 300)]
        {
            let tries = Tries { waits, ..AWS };
            let expected = no_room(0, waits.saturating_add(1), seconds);
            assert_eq!(tries.after(Went::NotRun, at(0)), expected, "{waits}");
        }
        // A run ends the row.
        let waited = Tries { waits: 9, ..AWS };
        assert_eq!(waited.after(Went::Badly, at(0)), again(1, 60));
    }

    #[test]
    fn so_many_events_wait_and_no_more() {
        assert!(ensure_room(QUEUED_MAX - 1).is_ok());
        let refused = ApiError::from(ensure_room(QUEUED_MAX).unwrap_err());
        assert_eq!((refused.code(), refused.status()), ("TooManyRequestsException", 429));
    }

    #[test]
    fn an_event_of_before_has_its_content_with_it() {
        let event = |content: &[u8], package| EventRecord {
            content: Secret::new(content.to_vec()),
            package,
            ..EventRecord::default()
        };
        assert!(!event(&[b'1'; 60_000], None).has_content_beside());
        assert!(!event(b"", Some(BlobRef::default())).has_content_beside());
        assert!(event(b"", None).has_content_beside());
    }

    #[test]
    fn a_configuration_allows_less() {
        use Condition::{EventAgeExceeded, RetriesExhausted};
        let never = Tries { retries_max: 0, ..AWS };
        assert_eq!(never.after(Went::Badly, at(0)), over(1, RetriesExhausted));
        let once = Tries { retries_max: 1, ..AWS };
        assert_eq!(once.after(Went::Badly, at(0)), again(1, 60));
        let briefly = Tries { age_max: Duration::from_secs(60), ..AWS };
        assert_eq!(briefly.after(Went::Badly, at(1)), over(1, EventAgeExceeded));
        assert_eq!(briefly.after(Went::NotRun, at(0)), no_room(0, 1, 1));
        let stopped = Tries { is_stopped: true, ..AWS };
        assert_eq!(stopped.after(Went::NotRun, at(0)), over(0, RetriesExhausted));
    }
}

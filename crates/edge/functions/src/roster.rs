//! The extensions of one environment, without their HTTP: who has registered, who waits for an event, and what has gone wrong with them.
//!
//! States, their names and the sentences are those of AWS's own runtime interface emulator.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coffer_types::{Entropy, Uuid};
use tokio::sync::Notify;

/// External and internal ones together, as on AWS.
pub(crate) const EXTENSIONS_MAX: usize = 10;
/// They are names of files.
const NAME_BYTES_MAX: usize = 255;
/// What an extension calls its error is in the log.
const ERROR_TYPE_CHARS_MAX: usize = 128;

/// What extensions hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Invoke { request_id: String, deadline_ms: i64, invoked_arn: String, trace_id: String },
    Shutdown { reason: Reason, deadline_ms: i64 },
}

/// Why an environment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Spindown,
    Timeout,
    Failure,
}

/// A no: the type of an error, and its sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) &'static str, pub(crate) String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Started,
    Registered,
    /// Waits for an event.
    Ready,
    Running,
    InitError,
    ExitError,
    LaunchError,
    Exited,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Registered => "Registered",
            Self::Ready => "Ready",
            Self::Running => "Running",
            Self::InitError => "InitError",
            Self::ExitError => "ExitError",
            Self::LaunchError => "LaunchError",
            Self::Exited => "Exited",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) hears_invoke: bool,
    pub(crate) hears_shutdown: bool,
    /// What it called its error itself.
    pub(crate) error_type: Option<String>,
    id: String,
    /// A program of its own, which the helper has started.
    is_external: bool,
    event: Option<Event>,
}

pub(crate) struct Roster {
    entropy: Arc<dyn Entropy>,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// The external ones first, in the order of the plan.
    members: Vec<Member>,
    is_closed: bool,
}

/// Which of its errors an extension tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    InitError,
    ExitError,
}

impl Roster {
    /// Those that are programs are known before they say anything.
    pub(crate) fn new(entropy: Arc<dyn Entropy>, external: &[String]) -> Self {
        let members =
            external.iter().map(|name| member(entropy.as_ref(), name, true, State::Started)).collect();
        Self { entropy, inner: Mutex::new(Inner { members, is_closed: false }), changed: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let changed = change(&mut self.inner());
        self.changed.notify_waiters();
        changed
    }

    async fn until<T>(&self, mut found: impl FnMut(&mut Inner) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Whoever changes something between the look and the wait is not missed.
            changed.as_mut().enable();
            if let Some(found) = found(&mut self.inner()) {
                return found;
            }
            changed.await;
        }
    }

    /// For an extension: its identifier from now on.
    pub(crate) fn register(&self, name: &str, events: &[String]) -> Result<String, Refused> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let what = if name.is_empty() { "Empty" } else { "Too long" };
            return Err(Refused("Extension.InvalidExtensionName", format!("{what} extension name")));
        }
        self.change(|inner| {
            let known = inner.members.iter_mut().find(|member| member.name == name);
            let is_internal = !known.as_ref().is_some_and(|known| known.is_external);
            for event in events {
                let wrong = match event.as_str() {
                    "INVOKE" => continue,
                    "SHUTDOWN" if !is_internal => continue,
                    "SHUTDOWN" => "ShutdownEventNotSupportedForInternalExtension",
                    _ => "ErrorInvalidEventType",
                };
                let event: String = event.chars().take(ERROR_TYPE_CHARS_MAX).collect();
                return Err(Refused("Extension.InvalidEventType", format!("{event}: {wrong}")));
            }
            let hears = |name: &str| events.iter().any(|event| event == name);
            let member = match known {
                Some(known) if known.is_external => {
                    if known.state != State::Started {
                        return Err(known.not_allowed(State::Registered, name));
                    }
                    known
                }
                known => {
                    if inner.is_closed {
                        let text = String::from("Extension registration closed already");
                        return Err(Refused("Extension.RegistrationClosed", text));
                    }
                    if known.is_some() {
                        let text = String::from("Extension with this name already registered");
                        return Err(Refused("Extension.InvalidExtensionState", text));
                    }
                    if inner.members.len() >= EXTENSIONS_MAX {
                        let text = format!("Extension limit ({EXTENSIONS_MAX}) reached");
                        return Err(Refused("Extension.TooManyExtensions", text));
                    }
                    let new = member(self.entropy.as_ref(), name, false, State::Started);
                    inner.members.push_mut(new)
                }
            };
            member.state = State::Registered;
            member.hears_invoke = hears("INVOKE");
            member.hears_shutdown = hears("SHUTDOWN");
            Ok(member.id.clone())
        })
    }

    /// For an extension: the next event, when there is one.
    pub(crate) async fn next(&self, id: &str) -> Result<Event, Refused> {
        let before = self.change(|inner| {
            let member = find(inner, id).ok_or_else(|| unknown(id))?;
            match member.state {
                before @ (State::Registered | State::Running) => {
                    member.state = State::Ready;
                    Ok(before)
                }
                _ => Err(member.not_allowed(State::Ready, id)),
            }
        })?;
        // Whoever hangs up while he waits does not wait any more.
        let waiting = Waiting { roster: self, id, before };
        let event = self
            .until(|inner| {
                let member = find(inner, id)?;
                let event = member.event.take()?;
                member.state = State::Running;
                Some(event)
            })
            .await;
        drop(waiting);
        Ok(event)
    }

    /// For an extension that will not go on.
    pub(crate) fn fail(&self, id: &str, told: Told, error_type: &str) -> Result<(), Refused> {
        self.change(|inner| {
            let member = find(inner, id).ok_or_else(|| {
                Refused(
                    "Extension.UnknownExtensionIdentifier",
                    String::from("Unknown Lambda-Extension-Identifier"),
                )
            })?;
            let becomes = match (told, member.state) {
                // Only the first counts.
                (Told::InitError, State::InitError) | (Told::ExitError, State::ExitError) => return Ok(()),
                (Told::InitError, State::Registered) => State::InitError,
                (Told::ExitError, State::Registered | State::Ready | State::Running) => State::ExitError,
                (Told::InitError, _) => return Err(member.not_allowed(State::InitError, id)),
                (Told::ExitError, _) => return Err(member.not_allowed(State::Exited, id)),
            };
            member.state = becomes;
            member.error_type = Some(error_type.chars().take(ERROR_TYPE_CHARS_MAX).collect());
            Ok(())
        })
    }

    /// The runtime waits for its first call. Whoever has not registered by now is too late.
    pub(crate) fn close(&self) {
        self.change(|inner| inner.is_closed = true);
    }

    /// Until all programs have registered.
    pub(crate) async fn registered(&self) {
        self.until(|inner| {
            let mut external = inner.members.iter().filter(|member| member.is_external);
            external.all(|member| member.state != State::Started).then_some(())
        })
        .await;
    }

    /// Until all of them wait for an event, and none is on its way.
    pub(crate) async fn settled(&self) {
        self.until(|inner| {
            let mut members = inner.members.iter();
            members.all(|member| member.state == State::Ready && member.event.is_none()).then_some(())
        })
        .await;
    }

    /// Until one says that it will not go on: its error, and what it calls that.
    pub(crate) async fn failed(&self) -> (Told, String) {
        self.until(|inner| {
            inner.members.iter().find_map(|member| {
                let told = member.told()?;
                Some((told, member.error_type.clone().unwrap_or_default()))
            })
        })
        .await
    }

    pub(crate) fn told(&self) -> Option<Told> {
        self.inner().members.iter().find_map(Member::told)
    }

    /// Gives an event to all that are to hear of it.
    pub(crate) fn offer(&self, event: &Event) {
        self.change(|inner| {
            for member in &mut inner.members {
                let hears = match event {
                    Event::Invoke { .. } => member.hears_invoke,
                    Event::Shutdown { .. } => member.hears_shutdown,
                };
                if hears {
                    member.event = Some(event.clone());
                }
            }
        });
    }

    /// What the kernel says of a program. The error that it told of before, if it did.
    pub(crate) fn left(&self, place: u8, state: State) -> Option<Told> {
        self.change(|inner| {
            let member = inner.members.get_mut(usize::from(place))?;
            let told = member.told();
            if told.is_none() {
                member.state = state;
            }
            told
        })
    }

    /// Whether somebody wants to know that the environment ends.
    pub(crate) fn awaits_shutdown(&self) -> bool {
        self.inner().members.iter().any(|member| {
            member.hears_shutdown && matches!(member.state, State::Registered | State::Ready | State::Running)
        })
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        self.inner().members.clone()
    }
}

fn member(entropy: &dyn Entropy, name: &str, is_external: bool, state: State) -> Member {
    Member {
        name: name.to_owned(),
        state,
        hears_invoke: false,
        hears_shutdown: false,
        error_type: None,
        id: Uuid::random(entropy).to_string(),
        is_external,
        event: None,
    }
}

/// Nobody has an identifier before he has registered.
fn find<'a>(inner: &'a mut Inner, id: &str) -> Option<&'a mut Member> {
    inner.members.iter_mut().find(|member| member.id == id && member.state != State::Started)
}

fn unknown(id: &str) -> Refused {
    Refused("Extension.UnknownExtensionIdentifier", format!("Unknown extension {id}"))
}

impl Member {
    fn not_allowed(&self, to: State, who: &str) -> Refused {
        let (from, to) = (self.state.name(), to.name());
        Refused(
            "Extension.InvalidExtensionState",
            format!(
                "State transition from {from} to {to} failed for extension {who}. Error: State transition is not allowed"
            ),
        )
    }

    const fn told(&self) -> Option<Told> {
        match self.state {
            State::InitError => Some(Told::InitError),
            State::ExitError => Some(Told::ExitError),
            _ => None,
        }
    }
}

struct Waiting<'a> {
    roster: &'a Roster,
    id: &'a str,
    before: State,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.roster.change(|inner| {
            if let Some(member) = find(inner, self.id)
                && member.state == State::Ready
            {
                member.state = self.before;
            }
        });
    }
}

//! A service of four operations, two records, and handlers that each test brings along.
//!
//! A handler is a plain function, so it cannot carry what a test wants it to do; instead the request names a script, and the
//! handler looks it up. `Look` only reads, `Change` writes, `Wait` has to do with the world outside, and `Inside` belongs to another service and is reached by `invoke`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use coffer_core::{Body, Cx, Listed, Outside, Place, Registry, Resource, table};
use coffer_policy::{Kind, Policy};
use coffer_shape::{
    Action, ApiError, AuditRule, ErrorSpec, Exposure, Load, Member, Operation, OperationSpec, Protocol, Read,
    ReadError, Reader, Schema, ServiceCodes, ServiceSpec, Shape, Writer, Wrote, record,
};
use coffer_types::{Secret, Timestamp};

pub(crate) const COUNT: Action = Action("till:Count");
pub(crate) const OPEN: Action = Action("safe:Open");

/// No event, no error and no file may ever hold these.
pub(crate) const PASSWORD_IN: &str = "canary-hunter2-in";
pub(crate) const PASSWORD_OUT: &str = "canary-hunter2-out";

table! {
    0x7001 "counter", version 1, key (name);

    /// Somebody's counter; a public one lets everybody in.
    pub(crate) struct Counter {
        pub name: String,
        pub count: i64,
        pub public: bool,
    }
}

/// By name, and by count.
impl Listed for Counter {
    const ORDERS: usize = 2;

    fn place(&self, order: usize) -> Place<'_> {
        match order {
            0 => Place { number: None, text: "", tie: &self.name },
            _ => Place { number: Some(self.count), text: "", tie: &self.name },
        }
    }
}

impl Resource for Counter {
    fn arn(&self) -> String {
        format!("arn:aws:till:eu-west-1:111122223333:counter/{}", self.name)
    }

    fn policy(&self, _: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        Ok(self.public.then(|| lets_in("")))
    }
}

table! {
    0x7002 "note", version 1, key (name), part;

    /// A record of another table, which belongs to no resource.
    pub(crate) struct Note {
        pub name: String,
        pub text: String,
    }
}

table! {
    0x7003 "diary", version 1, key (name), part => note_diary;

    /// A record whose changes are noted, whoever makes them.
    pub(crate) struct Diary {
        pub name: String,
        pub page: i64,
    }
}

fn note_diary(cx: &mut Cx<'_>, before: Option<&Diary>, after: &Diary) -> Result<(), ApiError> {
    let text = format!("{:?} -> {}", before.map(|diary| diary.page), after.page);
    cx.save(Note { name: after.name.clone(), text })
}

/// Something that lets in whoever comes through the till, as a managed key does.
pub(crate) struct Drawer;

impl Resource for Drawer {
    fn arn(&self) -> String {
        "arn:aws:safe:eu-west-1:111122223333:drawer".to_owned()
    }

    fn policy(&self, _: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        let through_the_till = r#","Condition":{"StringEquals":{"aws:CalledViaLast":"till.amazonaws.com"}}"#;
        Ok(Some(lets_in(through_the_till)))
    }
}

/// A policy that lets everybody in, on a condition.
fn lets_in(condition: &str) -> Arc<Policy> {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"{condition}}}]}}"#
    );
    Arc::new(Policy::stored("lets-in", Kind::Resource, &text))
}

record! {
    pub(crate) struct Ask {
        pub script: i64,
        pub name: String,
        pub unlisted: String,
        pub password: Secret<String>,
    }
}

record! {
    pub(crate) struct Told {
        pub value: i64,
        pub unlisted: String,
        pub password: Secret<String>,
    }
}

const fn code(code: &'static str, status: u16) -> ErrorSpec {
    ErrorSpec { code, status, message_member: "message" }
}

const CODES: ServiceCodes = ServiceCodes {
    validation: code("ValidationException", 400),
    serialization: code("SerializationException", 400),
    access_denied: code("AccessDeniedException", 400),
    throttling: code("ThrottlingException", 400),
    internal: code("InternalServiceError", 500),
    unavailable: code("ServiceUnavailable", 503),
    unknown_operation: code("UnknownOperationException", 400),
};

pub(crate) static TILL: ServiceSpec = ServiceSpec {
    name: "till",
    api_version: "2026-01-01",
    protocol: Protocol::AwsJson11 { target_prefix: "till" },
    event_source: "till.amazonaws.com",
    global: false,
    events_in: None,
    bare_denials: false,
    codes: CODES,
    operations: &[&LOOK, &CHANGE, &WAIT],
    unserved: &[],
};

pub(crate) static SAFE: ServiceSpec = ServiceSpec {
    name: "safe",
    api_version: "2026-01-01",
    protocol: Protocol::AwsJson11 { target_prefix: "safe" },
    event_source: "safe.amazonaws.com",
    global: false,
    events_in: None,
    bare_denials: false,
    codes: CODES,
    operations: &[&INSIDE],
    unserved: &[],
};

const fn spec(
    service: &'static ServiceSpec,
    name: &'static str,
    action: Action,
    read_only: bool,
) -> OperationSpec {
    OperationSpec {
        service,
        name,
        action,
        read_only,
        load: if read_only { Load::Read } else { Load::Change },
        body_limit: 1024,
        exposure: Exposure::Public,
        // The lists name the passwords by mistake, on purpose.
        audit: AuditRule { request: &["name", "password"], response: &["value", "password"], read_only },
        conditions: &[],
        rest: None,
        input: <Ask as Shape>::SCHEMA,
        output: <Told as Shape>::SCHEMA,
        errors: &[],
    }
}

pub(crate) static LOOK: OperationSpec = spec(&TILL, "Look", COUNT, true);
pub(crate) static CHANGE: OperationSpec = spec(&TILL, "Change", COUNT, false);
pub(crate) static WAIT: OperationSpec = spec(&TILL, "Wait", COUNT, true);
pub(crate) static INSIDE: OperationSpec = spec(&SAFE, "Inside", OPEN, false);

pub(crate) struct Look;
pub(crate) struct Change;
pub(crate) struct Inside;
pub(crate) struct Wait;

impl Operation for Wait {
    type Input = Ask;
    type Output = Told;
    const SPEC: &'static OperationSpec = &WAIT;
}

impl Operation for Look {
    type Input = Ask;
    type Output = Told;
    const SPEC: &'static OperationSpec = &LOOK;
}

impl Operation for Change {
    type Input = Ask;
    type Output = Told;
    const SPEC: &'static OperationSpec = &CHANGE;
}

impl Operation for Inside {
    type Input = Ask;
    type Output = Told;
    const SPEC: &'static OperationSpec = &INSIDE;
}

pub(crate) fn register(registry: &mut Registry) {
    registry.serve::<Look>(run);
    registry.serve::<Change>(run);
    registry.serve::<Inside>(run);
    registry.serve_outside::<Wait>(wait);
}

/// Its script says with which script the administrator is to look, once the call is on record.
fn wait(cx: &mut Cx<'_>, ask: Ask) -> Result<Outside<Told>, ApiError> {
    let next = run(cx, ask)?.value;
    Ok(Outside::run(move |inside| async move {
        inside.call::<Look>(&crate::house::admin(), self::ask(next)).await
    }))
}

type Script = Arc<dyn Fn(&mut Cx<'_>) -> Result<i64, ApiError> + Send + Sync>;

static SCRIPTS: Mutex<BTreeMap<i64, Script>> = Mutex::new(BTreeMap::new());

/// Keeps what a handler shall do, and answers the number by which a request asks for it.
pub(crate) fn script(run: impl Fn(&mut Cx<'_>) -> Result<i64, ApiError> + Send + Sync + 'static) -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    SCRIPTS.lock().unwrap().insert(number, Arc::new(run));
    number
}

fn run(cx: &mut Cx<'_>, ask: Ask) -> Result<Told, ApiError> {
    assert_eq!(ask.password.expose(), PASSWORD_IN);
    let script = Arc::clone(&SCRIPTS.lock().unwrap()[&ask.script]);
    let value = script(cx)?;
    Ok(Told { value, unlisted: "unlisted-out".to_owned(), password: Secret::new(PASSWORD_OUT.to_owned()) })
}

/// The request for a script, as another service would make it.
pub(crate) fn ask(script: i64) -> Ask {
    Ask {
        script,
        name: "asked".to_owned(),
        unlisted: "unlisted-in".to_owned(),
        password: Secret::new(PASSWORD_IN.to_owned()),
    }
}

/// How a body arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shipped {
    Whole,
    /// It breaks before the handler could be found.
    Broken,
    /// Its first part is a good request; that there is more after it is noticed only when the handler has run.
    WithMore,
}

pub(crate) struct Request(pub i64, pub Shipped);

impl Body for Request {
    fn read(&self, walk: &mut dyn FnMut(&mut dyn Reader)) -> Read<()> {
        match self.1 {
            Shipped::Whole => {
                walk(&mut Members(self.0, 0));
                Ok(())
            }
            Shipped::Broken => Err(ReadError::new("the body is broken")),
            Shipped::WithMore => {
                walk(&mut Members(self.0, 0));
                Err(ReadError::new("there is more"))
            }
        }
    }
}

/// Reads an [`Ask`] for a script; the second number is the member at hand.
struct Members(i64, usize);

impl Reader for Members {
    fn is_null(&mut self) -> Read<bool> {
        Ok(false)
    }
    fn string(&mut self, _: &'static Schema) -> Read<String> {
        Ok(["", "asked", "unlisted-in", PASSWORD_IN][self.1].to_owned())
    }
    fn long(&mut self, _: &'static Schema) -> Read<i64> {
        Ok(self.0)
    }
    fn structure(
        &mut self,
        _: &'static Schema,
        each: &mut dyn FnMut(usize, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        (0..4).try_for_each(|member| each(member, &mut Self(self.0, member)))
    }
    fn double(&mut self, _: &'static Schema) -> Read<f64> {
        Err(ReadError::new("no such member"))
    }
    fn boolean(&mut self, _: &'static Schema) -> Read<bool> {
        Err(ReadError::new("no such member"))
    }
    fn timestamp(&mut self, _: &'static Schema) -> Read<Timestamp> {
        Err(ReadError::new("no such member"))
    }
    fn blob(&mut self, _: &'static Schema) -> Read<Vec<u8>> {
        Err(ReadError::new("no such member"))
    }
    fn list(&mut self, _: &'static Schema, _: &mut dyn FnMut(&mut dyn Reader) -> Read<()>) -> Read<()> {
        Err(ReadError::new("no such member"))
    }
    fn map(
        &mut self,
        _: &'static Schema,
        _: &mut dyn FnMut(String, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        Err(ReadError::new("no such member"))
    }
}

/// Takes the one number out of an answer.
#[derive(Default)]
pub(crate) struct TheNumber(pub i64);

impl Writer for TheNumber {
    fn member(&mut self, _: usize, _: &'static Member) -> Wrote {
        Ok(())
    }
    fn key(&mut self, _: &str) -> Wrote {
        Ok(())
    }
    fn null(&mut self) -> Wrote {
        Ok(())
    }
    fn string(&mut self, _: &'static Schema, _: &str) -> Wrote {
        Ok(())
    }
    fn long(&mut self, _: &'static Schema, value: i64) -> Wrote {
        self.0 = value;
        Ok(())
    }
    fn double(&mut self, _: &'static Schema, _: f64) -> Wrote {
        Ok(())
    }
    fn boolean(&mut self, _: &'static Schema, _: bool) -> Wrote {
        Ok(())
    }
    fn timestamp(&mut self, _: &'static Schema, _: Timestamp) -> Wrote {
        Ok(())
    }
    fn blob(&mut self, _: &'static Schema, _: &[u8]) -> Wrote {
        Ok(())
    }
    fn structure(&mut self, _: &'static Schema, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        fill(self)
    }
    fn list(
        &mut self,
        _: &'static Schema,
        _: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        fill(self)
    }
    fn map(&mut self, _: &'static Schema, _: usize, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        fill(self)
    }
}

//! No answer without a question, no answer without a record, and nothing in the record that does not belong there.

use std::{sync::Arc, time::Duration};

use coffer_core::{
    Cx, Db, EventKind, FoundRole, Guarded, Identities, LoadError, Principal, PrincipalKind, ServiceEvent,
    Standing, Unscoped,
};
use coffer_shape::{Action, ApiError};
use coffer_store::{
    EngineError,
    testing::{Call, Fault},
};
use coffer_types::{AccountId, Arn};
use serde_json::{Value, json};

use crate::{
    cabinet::FileCall,
    house::{House, admin, count, guest, number, save},
    service::{CHANGE, COUNT, Counter, LOOK, Note, Request, Shipped, script},
};

/// Keeps identities, and knows nobody any more.
struct Nobody;

impl Identities for Nobody {
    fn identity(&self, _: &Db, _: &Arn) -> Result<Option<String>, LoadError> {
        Ok(None)
    }
    fn arn_of(&self, _: &Db, _: AccountId, _: &str) -> Result<Option<String>, LoadError> {
        Ok(None)
    }
    fn role(&self, _: &Db, _: &Arn) -> Result<Option<FoundRole>, LoadError> {
        Ok(None)
    }
    fn standing(&self, _: &Db, principal: &Principal) -> Result<Option<Arc<Standing>>, LoadError> {
        let is_root = matches!(principal.kind, PrincipalKind::Root);
        Ok(is_root.then(Arc::default))
    }
}

#[tokio::test]
async fn somebody_who_is_no_more_may_not_even_do_what_everybody_may() {
    let open = script(|cx| {
        let counter = cx.find::<Counter>(&["a"])?.ok_or_else(|| cx.internal("there is none"))?;
        Ok(counter.permit(cx, COUNT)?.count)
    });
    for (is_known, expected) in [(true, Some(7)), (false, None)] {
        let house = House::with(9, |registry| {
            if !is_known {
                registry.keep_identities(Nobody);
            }
        });
        let made = house.change(|cx| {
            cx.needs_no_permission("this test is about who may read it");
            cx.save(Counter { name: "a".to_owned(), count: 7, public: true })?;
            Ok(7)
        });
        made.await.unwrap();
        let came = number(house.call(&guest(), &LOOK, open).await.unwrap());
        assert_eq!(came.ok(), expected, "known: {is_known}");
    }
}

fn full() -> EngineError {
    EngineError::Full { reason: "test".to_owned() }
}

fn reaped() -> ServiceEvent {
    ServiceEvent {
        kind: EventKind::Service,
        source: "till.amazonaws.com",
        name: "Reaped",
        details: Vec::new(),
    }
}

#[tokio::test]
async fn an_answer_without_asking_is_an_internal_error_and_commits_nothing() {
    let house = House::seeded(1);
    let forgot = |cx: &mut Cx<'_>| {
        cx.save(Counter { name: "a".to_owned(), count: 7, public: true })?;
        Ok(7)
    };
    for error in [house.change(forgot).await.unwrap_err(), house.look(|_| Ok(7)).await.unwrap_err()] {
        assert_eq!((error.code(), error.status()), ("InternalServiceError", 500));
        assert_eq!(error.message, "An error occurred on the server side.");
        assert!(error.cause.unwrap().to_string().contains("without asking"));
    }
    assert_eq!(house.stored(0x7001).len(), 0);
    let errors: Vec<_> = house.events().iter().map(|event| event["errorCode"].clone()).collect();
    assert_eq!(errors, ["InternalServiceError", "InternalServiceError"]);
}

#[tokio::test]
async fn a_denied_caller_reads_the_sentence_of_aws_changes_nothing_and_is_on_record() {
    let house = House::seeded(2);
    house.set("a", 1).await;
    let grab = script(|cx| {
        cx.save(Note { name: "n".to_owned(), text: "before the question".to_owned() })?;
        let Some(counter) = cx.find::<Counter>(&["a"])? else { return Ok(-1) };
        Ok(counter.permit(cx, COUNT)?.count)
    });
    let list = script(|cx| cx.ask(Action("till:List"), &Unscoped).map(|_| 1));
    for (script, sentence, resources) in [
        (
            grab,
            "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: till:Count on resource: \
             arn:aws:till:eu-west-1:111122223333:counter/a because no identity-based policy allows the till:Count action",
            json!([{"accountId": "111122223333", "ARN": "arn:aws:till:eu-west-1:111122223333:counter/a"}]),
        ),
        (
            list,
            "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: till:List because no \
             identity-based policy allows the till:List action",
            Value::Null,
        ),
    ] {
        let answer = house.call(&guest(), &CHANGE, script).await.unwrap();
        let error = number(answer).unwrap_err();
        assert_eq!((error.code(), error.message.as_str()), ("AccessDeniedException", sentence));
        let logged = house.logged();
        let event = logged.last().unwrap();
        assert_eq!((&event["errorCode"], &event["errorMessage"]), (&json!("AccessDenied"), &json!(sentence)));
        assert_eq!(event["userIdentity"]["userName"], "bob");
        assert_eq!(event["resources"], resources);
    }
    assert_eq!(house.stored(0x7002).len(), 0);
    assert_eq!(number(house.call(&admin(), &CHANGE, grab).await.unwrap()).unwrap(), 1);
}

#[tokio::test]
async fn a_resource_that_grants_lets_anybody_in() {
    let house = House::seeded(3);
    for public in [false, true] {
        let open = script(move |cx| {
            let counter = Counter { name: "a".to_owned(), count: 5, public };
            Ok(Guarded::new(counter).permit(cx, COUNT)?.count)
        });
        let outcome = number(house.call(&guest(), &LOOK, open).await.unwrap());
        assert_eq!(outcome.is_ok(), public);
    }
}

/// Every way a call can end, and what its one event says of it.
#[tokio::test]
async fn every_outcome_leaves_exactly_one_event() {
    let house = House::seeded(4);
    house.set("a", 1).await;
    let ok_read = script(|cx| count(cx, "a"));
    let ok_write = script(|cx| save(cx, "a", 2));
    let broken_rule = script(|cx| Err(cx.internal("a rule was broken")));
    let denied = script(|cx| cx.ask(Action("till:Sing"), &Unscoped).map(|_| 1));
    let noisy_failure = script(|cx| {
        cx.record_event(reaped());
        save(cx, "a", 3)?;
        Err(cx.internal("too late"))
    });
    for (what, spec, script, shipped, error, response) in [
        ("a read", &LOOK, ok_read, Shipped::Whole, None, Value::Null),
        ("a write", &CHANGE, ok_write, Shipped::Whole, None, json!({"value": 2})),
        ("a change that changed nothing", &CHANGE, ok_read, Shipped::Whole, None, json!({"value": 2})),
        ("an error", &CHANGE, broken_rule, Shipped::Whole, Some("InternalServiceError"), Value::Null),
        ("a refusal", &LOOK, denied, Shipped::Whole, Some("AccessDenied"), Value::Null),
        ("a broken body", &LOOK, ok_read, Shipped::Broken, Some("SerializationException"), Value::Null),
        (
            "a body with more",
            &CHANGE,
            ok_write,
            Shipped::WithMore,
            Some("SerializationException"),
            Value::Null,
        ),
        (
            "a failure with events",
            &CHANGE,
            noisy_failure,
            Shipped::Whole,
            Some("InternalServiceError"),
            Value::Null,
        ),
    ] {
        let before = house.events().len();
        let stored = house.stored(0x7001);
        let caller = if what == "a refusal" { guest() } else { admin() };
        assert!(house.core.call(&caller, spec, &Request(script, shipped)).await.is_some(), "{what}");
        assert_eq!(house.events().len(), before + 1, "{what}");
        let events = if what == "a write" { house.rows() } else { house.logged() };
        let event = events.last().unwrap();
        assert_eq!(event["eventName"], spec.name, "{what}");
        assert_eq!(event["eventSource"], "till.amazonaws.com", "{what}");
        assert_eq!(event["eventTime"], "2026-01-02T03:04:05Z", "{what}");
        assert_eq!(event["readOnly"], spec.read_only, "{what}");
        assert_eq!(event["errorCode"].as_str(), error, "{what}");
        assert_eq!(event["responseElements"], response, "{what}");
        let seen = if shipped == Shipped::Broken { Value::Null } else { json!({"name": "asked"}) };
        assert_eq!(event["requestParameters"], seen, "{what}");
        assert_eq!(house.stored(0x7001) != stored, what == "a write", "{what}");
    }
}

#[tokio::test]
async fn what_is_secret_or_not_listed_has_no_way_into_an_event() {
    let house = House::seeded(5);
    house.set("a", 1).await;
    house.change(|cx| Err(cx.internal("no"))).await.unwrap_err();
    for event in house.events() {
        let text = event.to_string();
        for unwanted in ["canary", "hunter2", "unlisted", "password"] {
            assert!(!text.contains(unwanted), "{unwanted} in {text}");
        }
        assert!(text.contains("asked"));
    }
}

#[tokio::test]
async fn what_a_service_did_by_itself_is_on_record_only_if_it_was_done() {
    let house = House::seeded(6);
    let reap = |cx: &mut Cx<'_>| -> Result<i64, ApiError> {
        cx.record_event(reaped());
        save(cx, "a", 1)
    };
    house.engine.fail(Call::Commit, 1, Fault::Before(full()));
    assert_eq!(house.change(reap).await.unwrap_err().status(), 503);
    assert_eq!(house.events().iter().filter(|event| event["eventName"] == "Reaped").count(), 0);
    house.change(reap).await.unwrap();
    assert_eq!(house.events().iter().filter(|event| event["eventName"] == "Reaped").count(), 1);
    assert_eq!(house.events().len(), 3);
}

#[tokio::test]
async fn without_an_audit_log_there_is_no_answer_to_a_read() {
    let house = House::seeded(7);
    house.set("a", 1).await;
    let look = script(|cx| count(cx, "a"));
    for fault in [FileCall::Create, FileCall::Append] {
        house.files.fail_after(0, fault);
        assert!(house.call(&admin(), &LOOK, look).await.is_none(), "{fault:?}");
        house.clock.advance(Duration::from_millis(100));
        // The next file takes over as soon as there is room again.
        assert!(house.call(&admin(), &LOOK, look).await.is_some(), "{fault:?}");
        house.files.fail_after(0, FileCall::Append);
        assert!(house.call(&admin(), &LOOK, look).await.is_none(), "{fault:?} and append");
        house.clock.advance(Duration::from_millis(100));
        assert!(house.call(&admin(), &LOOK, look).await.is_some(), "{fault:?} and append");
    }
}

#[tokio::test]
async fn the_event_of_a_change_is_in_its_commit_and_needs_no_file() {
    let house = House::seeded(8);
    house.files.fail_after(0, FileCall::Create);
    house.set("a", 1).await;
    assert_eq!((house.rows().len(), house.logged().len()), (1, 0));
    assert_eq!(house.rows()[0]["responseElements"], json!({"value": 1}));
    // A change that was refused is told like a read, so it has no answer either.
    house.engine.fail(Call::Commit, 1, Fault::Before(full()));
    let change = script(|cx| save(cx, "a", 2));
    assert!(house.call(&admin(), &CHANGE, change).await.is_none());
    house.clock.advance(Duration::from_millis(100));
    assert_eq!(house.get("a").await.unwrap(), 1);
}

#[tokio::test]
async fn a_change_that_cannot_be_stored_says_so_and_nothing_else() {
    let house = House::seeded(9);
    house.set("a", 1).await;
    for error in [full(), EngineError::unavailable("secret reason"), EngineError::corrupt("secret reason")] {
        house.engine.fail(Call::Commit, 1, Fault::Before(error));
        let error = house.change(|cx| save(cx, "a", 2)).await.unwrap_err();
        assert_eq!((error.code(), error.status()), ("ServiceUnavailable", 503));
        assert_eq!(error.message, "Changes cannot be stored at the moment.");
        let event = house.logged().pop().unwrap();
        assert_eq!(
            (&event["errorCode"], &event["responseElements"]),
            (&json!("ServiceUnavailable"), &Value::Null)
        );
    }
    house.engine.fail(Call::Get, 1, Fault::Before(EngineError::unavailable("secret reason")));
    let error = house.look(|cx| count(cx, "never read before")).await.unwrap_err();
    assert_eq!(error.message, "An error occurred on the server side.");
    assert_eq!(house.get("a").await.unwrap(), 1);
}

#[tokio::test]
async fn a_change_that_may_be_lost_is_dropped_when_the_store_is_full_or_fails() {
    let house = House::seeded(10);
    house.set("a", 1).await;
    let touch = |cx: &mut Cx<'_>| {
        cx.needs_no_permission("this test is about something else");
        cx.save_if_possible(Note { name: "last-access".to_owned(), text: "today".to_owned() })?;
        count(cx, "a")
    };
    for error in [full(), EngineError::unavailable("test"), EngineError::corrupt("test")] {
        let before = house.events().len();
        house.engine.fail(Call::Commit, 1, Fault::Before(error));
        assert_eq!(house.look(touch).await.unwrap(), 1);
        assert_eq!((house.stored(0x7002).len(), house.events().len()), (0, before + 1));
    }
    // One change that matters makes all of them matter.
    house.engine.fail(Call::Commit, 1, Fault::Before(full()));
    let both = house.change(move |cx| touch(cx).and_then(|_| save(cx, "a", 2))).await;
    assert_eq!(both.unwrap_err().status(), 503);
    assert_eq!(house.look(touch).await.unwrap(), 1);
    assert_eq!(house.stored(0x7002).len(), 1);
}

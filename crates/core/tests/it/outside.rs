//! Calls that wait for the world outside: permitted and on record before they do, and calls of their own after.

use std::sync::Arc;

use coffer_core::{Cx, Resource};
use coffer_policy::{Kind, Policy};
use coffer_shape::{ApiError, stored};
use coffer_types::Secret;

use crate::{
    house::{House, admin, count, guest, number},
    service::{
        Ask, COUNT, Counter, LOOK, OPEN, PASSWORD_OUT, Request, Shipped, TILL, Told, WAIT, Wait, ask, script,
    },
};

fn names(house: &House) -> Vec<String> {
    house.logged().iter().map(|event| event["eventName"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_waits_is_on_record_first_and_what_it_does_then_is_too() {
    let house = House::seeded(1);
    house.set("seen", 7).await;
    let second = script(|cx| count(cx, "seen"));
    let first = script(move |cx| {
        count(cx, "asked")?;
        Ok(second)
    });
    let before = house.logged().len();
    let begun = house.core.begin(&admin(), &WAIT, &Request(first, Shipped::Whole), &mut || ()).await.unwrap();
    assert_eq!(names(&house)[before..], ["Wait"], "nobody has waited yet");
    let reply = begun.outcome.unwrap().finish(house.core.inside()).await.unwrap();
    let told = reply.into_any().downcast::<Told>().unwrap();
    assert_eq!((told.value, told.password.expose().as_str()), (7, PASSWORD_OUT));
    assert_eq!(names(&house)[before..], ["Wait", "Look"]);
}

#[tokio::test]
async fn who_is_refused_does_not_wait() {
    let house = House::seeded(2);
    let second = script(|_| panic!("the second half of a refused call"));
    let first = script(move |cx| {
        cx.ask(COUNT, &Counter { name: "private".to_owned(), count: 0, public: false })?;
        Ok(second)
    });
    let error = number(house.call(&guest(), &WAIT, first).await.unwrap()).unwrap_err();
    assert_eq!(error.code(), "AccessDeniedException");
    // The first half may be done by another service, the second one then is for whoever may wait.
    let nested = script(move |cx| {
        let refused = cx.prepare::<Wait>(ask(first)).unwrap_err();
        assert_eq!(refused.code(), "AccessDeniedException");
        Err(refused)
    });
    number(house.call(&guest(), &LOOK, nested).await.unwrap()).unwrap_err();
}

#[tokio::test]
async fn a_closed_store_is_not_reached_any_more() {
    let house = House::seeded(3);
    let inside = house.core.inside();
    let look = script(|cx| count(cx, "seen"));
    assert!(inside.call::<crate::service::Look>(&admin(), ask(look)).await.is_ok());
    drop(house);
    let closed = inside.call::<crate::service::Look>(&admin(), ask(look)).await.unwrap_err();
    assert_eq!((closed.code(), closed.message.as_str()), ("ServiceUnavailable", "The store is closed."));
}

/// Lets in the till, for what it does about one thing.
struct Door;

impl Resource for Door {
    fn arn(&self) -> String {
        "arn:aws:safe:eu-west-1:111122223333:door".to_owned()
    }

    fn policy(&self, _: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"till.amazonaws.com"},
            "Action":"safe:Open","Resource":"*","Condition":{
                "ArnEquals":{"aws:SourceArn":"arn:aws:till:eu-west-1:111122223333:counter/one"},
                "StringEquals":{"aws:SourceAccount":"111122223333"}}}]}"#;
        Ok(Some(Arc::new(Policy::stored("door", Kind::Resource, text))))
    }
}

#[tokio::test]
async fn a_service_that_acts_as_itself_must_be_admitted_for_what_it_acts_about() {
    let house = House::seeded(4);
    let look = script(|cx| {
        cx.ask(COUNT, &Counter { name: "p".to_owned(), count: 0, public: true })?;
        let about = |name: &str| format!("arn:aws:till:eu-west-1:111122223333:counter/{name}");
        let mut opens = |name| cx.as_itself(&TILL, &about(name), |cx| cx.ask(OPEN, &Door).is_ok());
        assert_eq!((opens("one"), opens("two")), (true, false));
        // Afterwards it is the caller again, whom the door does not know.
        Ok(i64::from(cx.ask(OPEN, &Door).is_ok()))
    });
    assert_eq!(number(house.call(&guest(), &LOOK, look).await.unwrap()).unwrap(), 0);
}

/// An input goes into a call from inside as bytes that can be read once for each attempt, secrets and all.
#[test]
fn an_input_can_be_read_again_and_again() {
    let bytes = stored::to_bytes(&Ask { password: Secret::new("p".to_owned()), ..ask(3) }).unwrap();
    for _ in 0..2 {
        let mut read = None;
        stored::walk(bytes.expose(), &mut |from| read = coffer_shape::decode::<Ask>(from).ok());
        let read = read.unwrap();
        assert_eq!((read.script, read.password.expose().as_str()), (3, "p"));
    }
}

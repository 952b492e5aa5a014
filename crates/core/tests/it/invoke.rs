//! Services that call each other: one transaction, two records, each with its own question.

use coffer_core::Cx;
use coffer_shape::ApiError;
use serde_json::json;

use crate::{
    house::{House, admin, count, guest, number, save},
    service::{CHANGE, COUNT, Counter, Drawer, Inside, LOOK, OPEN, ask, script},
};

fn open_drawer(cx: &mut Cx<'_>) -> Result<i64, ApiError> {
    cx.ask(OPEN, &Drawer)?;
    Ok(1)
}

fn public(cx: &Cx<'_>) -> Result<(), ApiError> {
    cx.ask(COUNT, &Counter { name: "p".to_owned(), count: 0, public: true }).map(|_| ())
}

#[tokio::test]
async fn a_call_between_services_has_an_event_of_its_own() {
    let house = House::seeded(1);
    let inside = script(|cx| {
        open_drawer(cx)?;
        save(cx, "inside", 5)
    });
    let outside = script(move |cx| {
        public(cx)?;
        let told = cx.invoke::<Inside>(ask(inside))?;
        save(cx, "outside", told.value + 1)
    });
    // The guest is let in by the drawer, because he comes through the till.
    assert_eq!(number(house.call(&guest(), &CHANGE, outside).await.unwrap()).unwrap(), 6);
    let (own, nested) = (&house.rows()[0], &house.rows()[1]);
    assert_eq!(house.events().len(), 2);
    assert_eq!((&own["eventName"], &nested["eventName"]), (&json!("Change"), &json!("Inside")));
    assert_eq!(
        own["resources"],
        json!([{"accountId": "111122223333", "ARN": "arn:aws:till:eu-west-1:111122223333:counter/p"}])
    );
    assert_eq!(
        nested["resources"],
        json!([{"accountId": "111122223333", "ARN": "arn:aws:safe:eu-west-1:111122223333:drawer"}])
    );
    assert_eq!(own["userIdentity"]["invokedBy"], json!(null));
    assert_eq!(nested["userIdentity"]["invokedBy"], "till.amazonaws.com");
    assert_eq!(nested["userIdentity"]["userName"], "bob");
    assert_eq!(nested["sourceIPAddress"], "till.amazonaws.com");
    assert_eq!(nested["userAgent"], "till.amazonaws.com");
    assert_eq!(nested["requestParameters"], json!({"name": "asked"}));
    assert_eq!(nested["responseElements"], json!({"value": 5}));
    assert_eq!(own["requestID"], nested["requestID"]);
    assert_ne!(own["eventID"], nested["eventID"]);
    assert!(!nested.to_string().contains("canary"));

    // Straight from outside it is the guest himself who asks.
    let error = number(house.call(&guest(), &crate::service::INSIDE, inside).await.unwrap()).unwrap_err();
    assert_eq!(error.code(), "AccessDeniedException");
}

#[tokio::test]
async fn an_error_inside_is_told_in_the_words_of_the_inner_service() {
    let house = House::seeded(2);
    let inside =
        script(|cx| cx.ask(COUNT, &Counter { name: "x".to_owned(), count: 0, public: false }).map(|_| 0));
    let outside = script(move |cx| {
        public(cx)?;
        cx.invoke::<Inside>(ask(inside)).map(|told| told.value)
    });
    let error = number(house.call(&guest(), &LOOK, outside).await.unwrap()).unwrap_err();
    assert!(error.message.contains("user/bob is not authorized to perform: till:Count on resource"));
    let logged = house.logged();
    assert_eq!(logged.len(), 2);
    for event in logged {
        assert_eq!(
            (event["errorCode"].as_str(), event["errorMessage"].as_str()),
            (Some("AccessDenied"), Some(error.message.as_str()))
        );
    }
}

#[tokio::test]
async fn an_inner_call_that_failed_has_changed_nothing() {
    let house = House::seeded(3);
    house.set("kept", 1).await;
    let inside = script(|cx| {
        save(cx, "kept", 7)?;
        save(cx, "half", 7)?;
        save(cx, "before", 7)?;
        Err(cx.internal("the second half failed"))
    });
    let outside = move |cx: &mut Cx<'_>| {
        save(cx, "before", 1)?;
        let _ = cx.invoke::<Inside>(ask(inside));
        assert_eq!((count(cx, "kept")?, count(cx, "half")?, count(cx, "before")?), (1, -1, 1));
        save(cx, "after", 1)
    };
    house.change(outside).await.unwrap();
    for (name, expected) in [("kept", 1), ("half", -1), ("before", 1), ("after", 1)] {
        assert_eq!(house.get(name).await.unwrap(), expected, "{name}");
    }
}

#[tokio::test]
async fn each_of_two_services_must_ask_for_itself() {
    let house = House::seeded(4);
    let asks = script(open_drawer);
    let forgets = script(|_| Ok(1));
    let outer_forgets = house.look(move |cx| cx.invoke::<Inside>(ask(asks)).map(|told| told.value)).await;
    let inner_forgets = house
        .look(move |cx| {
            cx.needs_no_permission("this test is about something else");
            cx.invoke::<Inside>(ask(forgets)).map(|told| told.value)
        })
        .await;
    for outcome in [outer_forgets, inner_forgets] {
        assert_eq!(outcome.unwrap_err().code(), "InternalServiceError");
    }
}

#[tokio::test]
async fn services_that_call_each_other_in_a_loop_are_stopped() {
    let house = House::seeded(5);
    let number_of_itself = std::sync::Arc::new(std::sync::OnceLock::new());
    let itself = std::sync::Arc::clone(&number_of_itself);
    let inside = script(move |cx| {
        cx.needs_no_permission("this test is about something else");
        cx.invoke::<Inside>(ask(*itself.get().unwrap())).map(|told| told.value)
    });
    number_of_itself.set(inside).unwrap();
    let answer = house.call(&admin(), &crate::service::INSIDE, inside).await.unwrap();
    let error = number(answer).unwrap_err();
    assert_eq!(error.message, "An error occurred on the server side.");
    assert!(error.cause.unwrap().to_string().contains("loop"));
    assert!(house.logged().len() < 20);
}

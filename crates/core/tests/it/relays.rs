//! Work in one region with an effect in another: picked here, delivered there, settled here, and begun again after a crash.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use coffer_core::{Caller, Cx, Next, Pick, Relay};
use coffer_shape::{ApiError, ErrorSpec, ServiceSpec};
use coffer_types::Clock;

use crate::{
    house::{House, admin, count, here, number, save},
    service::{CHANGE, Counter, Inside, LOOK, TILL, ask, script},
};

const THERE: &str = "us-east-1";
const REFUSED: ErrorSpec = ErrorSpec { code: "Refused", status: 400, message_member: "message" };

type Deliver = dyn Fn(&mut Cx<'_>, i64) -> Result<i64, ApiError> + Send + Sync;
type Settle = dyn Fn(&mut Cx<'_>, &Result<i64, ApiError>) -> Result<(), ApiError> + Send + Sync;

/// Carries the count of the counter `parcel` for as long as that is there.
struct Courier {
    deliver: Box<Deliver>,
    settle: Box<Settle>,
}

impl Relay for Courier {
    const NAME: &'static str = "courier";
    const SERVICE: &'static ServiceSpec = &TILL;
    type Load = i64;
    type Receipt = i64;

    fn pick(&self, here: &mut Cx<'_>) -> Result<Pick<i64>, ApiError> {
        Ok(match count(here, "parcel")? {
            -1 => Pick::Nothing(Next::Idle),
            load => Pick::Load { to: THERE.parse().unwrap(), load },
        })
    }

    fn deliver(&self, there: &mut Cx<'_>, load: &i64) -> Result<i64, ApiError> {
        (self.deliver)(there, *load)
    }

    fn settle(&self, here: &mut Cx<'_>, _: &i64, outcome: &Result<i64, ApiError>) -> Result<(), ApiError> {
        (self.settle)(here, outcome)
    }
}

async fn house(
    seed: u64,
    deliver: impl Fn(&mut Cx<'_>, i64) -> Result<i64, ApiError> + Send + Sync + 'static,
    settle: impl Fn(&mut Cx<'_>, &Result<i64, ApiError>) -> Result<(), ApiError> + Send + Sync + 'static,
) -> House {
    let courier = Courier { deliver: Box::new(deliver), settle: Box::new(settle) };
    let house = House::with(seed, |registry| registry.relay(courier));
    house.set("parcel", 7).await;
    house
}

fn there() -> Caller {
    Caller { region: THERE.parse().unwrap(), ..admin() }
}

async fn delivered(house: &House) -> i64 {
    let look = script(|cx| count(cx, "arrived"));
    number(house.call(&there(), &LOOK, look).await.unwrap()).unwrap()
}

fn erase(cx: &mut Cx<'_>) -> Result<(), ApiError> {
    cx.erase::<Counter>(&["parcel"])
}

#[tokio::test]
async fn what_is_picked_here_is_done_there_and_noted_here() {
    let house = house(
        1,
        |there, load| save(there, "arrived", load * 10),
        |here, outcome| {
            assert_eq!(outcome.as_ref().ok(), Some(&70));
            erase(here)
        },
    )
    .await;
    assert_eq!(house.core.run_due_tasks().await.unwrap(), Next::Idle);
    assert_eq!((house.get("parcel").await.unwrap(), delivered(&house).await), (-1, 70));
    let state = &house.core.task_states()[0];
    assert_eq!((state.name, state.last_error.as_deref()), ("courier", None));
}

/// As if the process had ended after the delivery: the intent is still there, and a delivery may be made twice.
#[tokio::test]
async fn what_was_delivered_and_not_settled_is_delivered_again() {
    let deliveries = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&deliveries);
    let house = house(
        2,
        move |there, load| {
            *counted.lock().unwrap() += 1;
            save(there, "arrived", load)
        },
        {
            let failed = Mutex::new(false);
            move |here, _| {
                let failed_before = std::mem::replace(&mut *failed.lock().unwrap(), true);
                if failed_before { erase(here) } else { Err(here.internal("the lights went out")) }
            }
        },
    )
    .await;
    assert!(matches!(house.core.run_due_tasks().await.unwrap(), Next::At(_)));
    assert_eq!((house.get("parcel").await.unwrap(), delivered(&house).await), (7, 7));
    assert!(house.core.task_states()[0].last_error.is_some());
    house.clock.advance(Duration::from_secs(30));
    assert_eq!(house.core.run_due_tasks().await.unwrap(), Next::Idle);
    assert_eq!((house.get("parcel").await.unwrap(), *deliveries.lock().unwrap()), (-1, 2));
    assert_eq!(house.core.task_states()[0].last_error, None);
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_a_fault_is_trouble_and_both_are_settled() {
    for (seed, error, trouble) in [
        (3, ApiError::new(REFUSED, "no such counter"), None),
        (
            4,
            ApiError::new(ErrorSpec { status: 500, ..REFUSED }, "the moon is wrong"),
            Some("Refused: the moon is wrong"),
        ),
    ] {
        let (spec, message) = (error.spec, error.message);
        let house = house(
            seed,
            move |there, load| {
                save(there, "arrived", load)?;
                Err(ApiError::new(spec, message.clone()))
            },
            |here, outcome| {
                assert_eq!(outcome.as_ref().err().map(ApiError::code), Some("Refused"));
                erase(here)
            },
        )
        .await;
        assert_eq!(house.core.run_due_tasks().await.unwrap(), Next::Idle);
        // A delivery that is refused has changed nothing.
        assert_eq!((house.get("parcel").await.unwrap(), delivered(&house).await), (-1, -1));
        assert_eq!(house.core.task_states()[0].last_error.as_deref(), trouble);
    }
}

/// A piece that was put off is not to do for a while. A run that finds nothing else to do does not show that it goes well.
#[tokio::test]
async fn a_piece_that_was_put_off_is_seen_until_it_had_its_turn_again() {
    let house = house(
        8,
        |there, _| Err(there.internal("the moon is wrong")),
        // Put off without end, as far as this test goes.
        |here, _| erase(here),
    )
    .await;
    house.core.run_due_tasks().await.unwrap();
    let failed_at = house.clock.now();
    for (minutes, is_shown) in [(1, true), (29, true), (30, false)] {
        house.clock.advance(Duration::from_secs(60 * minutes));
        let hint = script(|cx| {
            cx.needs_no_permission("this test is about something else");
            cx.activate("courier");
            Ok(0)
        });
        house.call(&admin(), &LOOK, hint).await.unwrap();
        house.core.run_due_tasks().await.unwrap();
        let state = &house.core.task_states()[0];
        assert_eq!(state.last_run_at, house.clock.now());
        assert_eq!(state.failed.as_ref().map(|(at, _)| *at), is_shown.then_some(failed_at), "{minutes}");
        assert_eq!(state.last_error.is_some(), is_shown, "{minutes}");
    }
}

#[tokio::test]
async fn a_service_comes_through_its_own_doors_also_when_nobody_called_it() {
    let house = house(
        5,
        |there, _| {
            let via = script(|cx| {
                cx.needs_no_permission("this test is about something else");
                save(cx, "arrived", i64::from(cx.via().is_some_and(|service| service.name == "till")))
            });
            Ok(there.invoke::<Inside>(ask(via))?.value)
        },
        |here, _| erase(here),
    )
    .await;
    house.core.run_due_tasks().await.unwrap();
    assert_eq!(delivered(&house).await, 1);
    let inside = house.events().into_iter().find(|event| event["eventName"] == "Inside").unwrap();
    assert_eq!(inside["awsRegion"], THERE);
    assert_eq!(inside["userIdentity"]["invokedBy"], "till.amazonaws.com");
}

#[tokio::test]
async fn each_region_is_looked_at_for_work_of_its_own() {
    let house = house(6, |there, load| save(there, "arrived", load), |here, _| erase(here)).await;
    let from = script(|cx| save(cx, "parcel", 9));
    let elsewhere = Caller { region: "eu-south-2".parse().unwrap(), ..admin() };
    house.call(&elsewhere, &CHANGE, from).await.unwrap();
    assert_ne!(elsewhere.region, here().region);
    house.core.run_due_tasks().await.unwrap();
    assert_eq!(house.get("parcel").await.unwrap(), -1);
    let look = script(|cx| count(cx, "parcel"));
    assert_eq!(number(house.call(&elsewhere, &LOOK, look).await.unwrap()).unwrap(), -1);
}

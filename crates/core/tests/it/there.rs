//! What is done in two accounts at once, and in somebody else's name.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use coffer_core::{Cx, Partition, Principal};
use coffer_shape::ApiError;
use serde_json::json;

use crate::{
    house::{House, admin, count, guest, here, number, save},
    service::{CHANGE, Drawer, Inside, LOOK, OPEN, ask, script},
};

fn there() -> Partition {
    Partition::new("222233334444".parse().unwrap(), here().region)
}

async fn count_there(house: &House, name: &'static str) -> i64 {
    let look = script(move |cx| {
        cx.needs_no_permission("what is asked in somebody's name is no question of the caller");
        cx.there(&there(), |cx| count_as_owner(cx, name))
    });
    number(house.call(&admin(), &LOOK, look).await.unwrap()).unwrap()
}

/// The counters of this service let in nobody from elsewhere.
fn count_as_owner(cx: &mut Cx<'_>, name: &str) -> Result<i64, ApiError> {
    cx.in_the_name_of(&Principal::service(there().account, "till.amazonaws.com"), |cx| count(cx, name))
}

#[tokio::test]
async fn what_is_done_here_and_there_is_done_at_once() {
    let house = House::seeded(1);
    house
        .change(|cx| {
            save(cx, "a", 1)?;
            cx.there(&there(), |cx| {
                assert_eq!((cx.account(), cx.is_from_abroad()), (there().account, true));
                save(cx, "a", 2)?;
                // Seen before it is committed, and only there.
                assert_eq!(count_as_owner(cx, "a")?, 2);
                Ok::<_, ApiError>(())
            })?;
            count(cx, "a")
        })
        .await
        .unwrap();
    assert_eq!((house.get("a").await.unwrap(), count_there(&house, "a").await), (1, 2));
    // A change there alone is a change too.
    house.change(|cx| cx.there(&there(), |cx| save(cx, "a", 3))).await.unwrap();
    assert_eq!((house.get("a").await.unwrap(), count_there(&house, "a").await), (1, 3));
    // What goes wrong goes wrong for both.
    let refused = house.change(|cx| {
        save(cx, "a", 7)?;
        cx.there(&there(), |cx| save(cx, "a", 7))?;
        Err(cx.internal("the lights went out"))
    });
    refused.await.unwrap_err();
    assert_eq!((house.get("a").await.unwrap(), count_there(&house, "a").await), (1, 3));
}

#[tokio::test]
async fn whoever_was_faster_there_makes_the_handler_run_again() {
    let house = Arc::new(House::seeded(2));
    house.change(|cx| cx.there(&there(), |cx| save(cx, "a", 10))).await.unwrap();
    let runs = Arc::new(AtomicI64::new(0));
    let (counted, meanwhile) = (Arc::clone(&runs), Arc::clone(&house));
    let add = house.change(move |cx| {
        let found = cx.there(&there(), |cx| count_as_owner(cx, "a"))?;
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            let house = Arc::clone(&meanwhile);
            let other = async move { house.change(|cx| cx.there(&there(), |cx| save(cx, "a", 20))).await };
            let handle = tokio::runtime::Handle::current();
            std::thread::spawn(move || handle.block_on(other)).join().unwrap().unwrap();
        }
        // Nothing is written there: what was read is a check all the same.
        save(cx, "sum", found + 1)
    });
    assert_eq!(add.await.unwrap(), 21);
    assert_eq!((house.get("sum").await.unwrap(), runs.load(Ordering::SeqCst)), (21, 2));
}

#[tokio::test]
async fn what_did_not_succeed_has_changed_nothing_anywhere() {
    let house = House::seeded(3);
    house
        .change(|cx| {
            cx.there(&there(), |cx| save(cx, "kept", 1))?;
            let tried: Result<(), ApiError> = cx.attempt(|cx| {
                save(cx, "a", 1)?;
                cx.there(&there(), |cx| {
                    save(cx, "a", 1)?;
                    save(cx, "kept", 2)
                })?;
                Err(cx.internal("the lights went out"))
            });
            assert!(tried.is_err());
            save(cx, "b", 1)
        })
        .await
        .unwrap();
    assert_eq!((house.get("a").await.unwrap(), house.get("b").await.unwrap()), (-1, 1));
    assert_eq!((count_there(&house, "a").await, count_there(&house, "kept").await), (-1, 1));
}

#[tokio::test]
async fn in_somebodys_name_his_policies_count_and_he_is_on_record() {
    let house = House::seeded(4);
    let open = script(|cx| {
        cx.ask(OPEN, &Drawer)?;
        Ok(1)
    });
    let somebody = guest().principal;
    // Root may; the one in whose name it is done comes through the till, and is let in for that.
    let change = script(move |cx| {
        let told = cx.in_the_name_of(&somebody, |cx| {
            assert_eq!(cx.caller().arn, "arn:aws:iam::111122223333:user/bob");
            assert!(cx.ask(OPEN, &Drawer).is_err(), "he does not come through anything here");
            cx.invoke::<Inside>(ask(open))
        })?;
        assert_eq!(cx.caller(), &admin().principal);
        save(cx, "a", told.value)
    });
    assert_eq!(number(house.call(&admin(), &CHANGE, change).await.unwrap()).unwrap(), 1);
    let (own, nested) = (&house.rows()[0], &house.rows()[1]);
    assert_eq!((&own["userIdentity"]["type"], &own["resources"]), (&json!("Root"), &json!(null)));
    assert_eq!(nested["userIdentity"]["userName"], "bob");
    assert_eq!(nested["userIdentity"]["invokedBy"], "till.amazonaws.com");
    assert_eq!(nested["sourceIPAddress"], "till.amazonaws.com");
}

#[tokio::test]
async fn both_accounts_have_on_record_what_was_done_there() {
    let house = House::seeded(5);
    let inside = script(|cx| save(cx, "inside", 5));
    let change = script(move |cx| {
        let told = cx.there(&there(), |cx| cx.invoke::<Inside>(ask(inside)))?;
        save(cx, "a", told.value)
    });
    number(house.call(&admin(), &CHANGE, change).await.unwrap()).unwrap();
    let told: Vec<_> = house
        .rows()
        .iter()
        .map(|event| (event["eventName"].clone(), event["recipientAccountId"].clone()))
        .collect();
    let expected = [("Change", "111122223333"), ("Inside", "111122223333"), ("Inside", "222233334444")];
    assert_eq!(told, expected.map(|(name, account)| (json!(name), json!(account))));
    let (mine, theirs) = (&house.rows()[1], &house.rows()[2]);
    assert_eq!(mine["sharedEventID"], theirs["sharedEventID"]);
    assert_eq!(theirs["userIdentity"]["type"], "AWSAccount");
}

#[tokio::test]
async fn a_reader_of_one_record_here_and_one_there_sees_both_of_one_instant() {
    let house = Arc::new(House::seeded(6));
    house.set("a", 1).await;
    house.change(|cx| cx.there(&there(), |cx| save(cx, "a", 1))).await.unwrap();
    let runs = Arc::new(AtomicI64::new(0));
    let (counted, meanwhile) = (Arc::clone(&runs), Arc::clone(&house));
    let look = house.look(move |cx| {
        let mine = count(cx, "a")?;
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            let house = Arc::clone(&meanwhile);
            let both = async move {
                let save_both = |cx: &mut Cx<'_>| {
                    save(cx, "a", 2)?;
                    cx.there(&there(), |cx| save(cx, "a", 2))
                };
                house.change(save_both).await
            };
            let handle = tokio::runtime::Handle::current();
            std::thread::spawn(move || handle.block_on(both)).join().unwrap().unwrap();
        }
        Ok(mine * 10 + cx.there(&there(), |cx| count_as_owner(cx, "a"))?)
    });
    assert_eq!(look.await.unwrap(), 22);
}

//! What a handler sees of its own changes, and what becomes of bytes that somebody else put into the store.

use std::{ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, Kept, Partition, Walk, open_record};
use coffer_shape::ApiError;
use coffer_store::{Engine, Entry, Txn, TxnToken, Write};

use crate::{
    house::{House, count, here, save},
    service::{COUNT, Counter, Diary, Note},
};

fn erase(cx: &mut Cx<'_>, name: &str) -> Result<(), ApiError> {
    cx.needs_no_permission("this test is about something else");
    cx.erase::<Counter>(&[name])
}

#[tokio::test]
async fn a_handler_reads_back_what_it_wrote() {
    let house = House::seeded(1);
    house.set("a", 1).await;
    house
        .change(|cx| {
            save(cx, "a", 2)?;
            assert_eq!(count(cx, "a")?, 2);
            erase(cx, "a")?;
            assert_eq!(count(cx, "a")?, -1);
            save(cx, "a", 3)?;
            save(cx, "a", 4)?;
            assert_eq!(count(cx, "a")?, 4);
            save(cx, "b", 5)?;
            erase(cx, "b")?;
            assert_eq!(count(cx, "b")?, -1);
            // Another table is another place, whatever the name.
            cx.save(Note { name: "a".to_owned(), text: "note".to_owned() })?;
            count(cx, "a")
        })
        .await
        .unwrap();
    assert_eq!((house.get("a").await.unwrap(), house.get("b").await.unwrap()), (4, -1));
    assert_eq!((house.stored(0x7001).len(), house.stored(0x7002).len()), (1, 1));
    house.change(|cx| erase(cx, "a").map(|()| 0)).await.unwrap();
    assert_eq!((house.get("a").await.unwrap(), house.stored(0x7001).len()), (-1, 0));
}

#[tokio::test]
async fn a_handler_that_fails_leaves_no_trace_of_its_changes() {
    let house = House::seeded(2);
    house.set("a", 1).await;
    house.change(|cx| save(cx, "a", 2).and_then(|_| Err(cx.internal("no")))).await.unwrap_err();
    assert_eq!(house.get("a").await.unwrap(), 1);
}

#[tokio::test]
async fn names_under_which_nothing_lies_are_not_remembered() {
    let house = House::seeded(9);
    for name in ["a", "b"] {
        house.set(name, 1).await;
        assert_eq!(house.get(name).await.unwrap(), 1);
    }
    let db = house.core.db();
    assert_eq!(db.metrics().names, 2);
    let elsewhere = Partition { account: "999900001111".parse().unwrap(), ..here() };
    for number in 0..20_000 {
        let name = format!("made up {number}");
        for partition in [&here(), &elsewhere] {
            assert!(db.read::<Counter>(partition, &[&name]).unwrap().is_none());
        }
    }
    assert_eq!(db.metrics().names, 2);
    assert!(db.read::<Counter>(&here(), &["a"]).unwrap().is_some());
}

#[tokio::test]
async fn the_revision_of_a_record_goes_up_with_every_write() {
    let house = House::seeded(3);
    let revision = |entry: &Entry| {
        let opened = open_record(&house.barrier, &here(), 0x7001, entry.key.as_bytes(), &entry.value);
        opened.unwrap().1
    };
    let mut seen = Vec::new();
    for count in 0..4 {
        house.set("a", count).await;
        seen.push(revision(&house.stored(0x7001)[0]));
    }
    // Two writes of one handler are one write; erasing and saving again is one more.
    house.change(|cx| save(cx, "a", 5).and_then(|_| save(cx, "a", 6))).await.unwrap();
    seen.push(revision(&house.stored(0x7001)[0]));
    house.change(|cx| erase(cx, "a").and_then(|()| save(cx, "a", 7))).await.unwrap();
    seen.push(revision(&house.stored(0x7001)[0]));
    let house = house.restarted();
    house.set("a", 8).await;
    seen.push(
        open_record(
            &house.barrier,
            &here(),
            0x7001,
            house.stored(0x7001)[0].key.as_bytes(),
            &house.stored(0x7001)[0].value,
        )
        .unwrap()
        .1,
    );
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
}

/// The names that a list of all counters answers.
async fn listed(house: &House) -> i64 {
    house
        .look(|cx| {
            let permit = cx.ask_all(COUNT)?;
            let mut sum = 0;
            cx.walk::<Counter>(permit, Walk::default(), &mut |counter| {
                sum += counter.count;
                ControlFlow::Continue(())
            })?;
            Ok(sum)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn bytes_that_do_not_belong_there_are_an_error_of_that_record_alone() {
    let house = House::seeded(4);
    house.set("a", 1).await;
    house.set("b", 10).await;
    house.set("c", 100).await;
    house
        .change(|cx| {
            cx.needs_no_permission("this test is about something else");
            cx.save(Note { name: "n".to_owned(), text: "t".to_owned() }).map(|()| 0)
        })
        .await
        .unwrap();
    let entries = house.stored(0x7001);
    let of = |count: i64| {
        let is = |entry: &&Entry| {
            let (_, _, bytes) =
                open_record(&house.barrier, &here(), 0x7001, entry.key.as_bytes(), &entry.value).unwrap();
            coffer_shape::stored::from_bytes::<Counter>(bytes.expose()).unwrap().count == count
        };
        entries.iter().find(is).unwrap().clone()
    };
    let (a, b) = (of(1), of(10));
    let mut flipped = b.value.to_vec();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let mut other_version = b.value.to_vec();
    other_version[1] = 2;
    let note = house.stored(0x7002)[0].clone();
    // The same record of another account, sealed under the same keys.
    let foreign = {
        let mut there = crate::house::admin();
        there.principal.account = "999999999999".parse().unwrap();
        let save = crate::service::script(|cx| save(cx, "b", 10));
        house.call(&there, &crate::service::CHANGE, save).await.unwrap().outcome.unwrap();
        let mut partition = here();
        partition.account = there.principal.account;
        let range = coffer_store::KeyRange::prefix(&0x7001_u16.to_be_bytes());
        let page = coffer_store::Engine::scan(
            &*house.engine,
            &partition,
            &range,
            coffer_store::Dir::Forward,
            10,
            coffer_store::Read::Latest,
        );
        page.unwrap().entries[0].value.clone()
    };
    for (what, value) in [
        ("another record's bytes", a.value.clone()),
        ("another table's bytes", note.value.clone()),
        ("another account's bytes", foreign),
        ("a changed bit", flipped.into()),
        ("another version", other_version.into()),
        ("nothing", bytes_of(b"")),
        ("one byte", bytes_of(b"\x00")),
        ("half of it", b.value.slice(..b.value.len() / 2)),
    ] {
        house.tamper(vec![Write::Put { key: b.key.clone(), value }]);
        let fresh = house.restarted();
        let error = fresh.get("b").await.unwrap_err();
        assert_eq!((error.code(), error.status()), ("InternalServiceError", 500), "{what}");
        assert_eq!(error.message, "An error occurred on the server side.", "{what}");
        assert_eq!((fresh.get("a").await.unwrap(), fresh.get("c").await.unwrap()), (1, 100), "{what}");
        assert_eq!(listed(&fresh).await, 101, "{what}");
        // It is damaged, so it is neither overwritten nor "not found".
        assert_eq!(fresh.change(|cx| save(cx, "b", 0)).await.unwrap_err().status(), 500, "{what}");
    }
    // Erasing does not look inside, or a damaged secret could never be deleted.
    let fresh = house.restarted();
    fresh.change(|cx| erase(cx, "b").map(|()| 0)).await.unwrap();
    assert_eq!(house.stored(0x7001).len(), 2);
    house.tamper(vec![Write::Put { key: b.key.clone(), value: b.value.clone() }]);
    assert_eq!(house.restarted().get("b").await.unwrap(), 10);
}

/// A record that only tells of something else does not take that away when it is damaged, and can be made anew.
#[tokio::test]
async fn a_damaged_part_is_seen_as_damaged_and_is_replaced_after_it_was_erased() {
    let house = House::seeded(6);
    let write = |cx: &mut Cx<'_>, text: &str| {
        cx.needs_no_permission("this test is about something else");
        cx.save(Note { name: String::from("a"), text: text.to_owned() }).map(|()| 0)
    };
    let told = |cx: &Cx<'_>| {
        cx.needs_no_permission("this test is about something else");
        Ok(match cx.part_if_whole::<Note>(&["a"])? {
            Kept::Nothing => 0,
            Kept::Whole(note) => i64::try_from(note.text.len()).unwrap(),
            Kept::Damaged => -1,
        })
    };
    assert_eq!(house.look(move |cx| told(cx)).await.unwrap(), 0);
    for text in ["1", "22", "333"] {
        house.change(move |cx| write(cx, text)).await.unwrap();
    }
    let before = house.stored(0x7002)[0].clone();
    let damage = || Write::Put { key: before.key.clone(), value: bytes_of(b"\x01") };
    house.tamper(vec![damage()]);
    let fresh = house.restarted();
    assert_eq!(fresh.look(move |cx| told(cx)).await.unwrap(), -1);
    assert_eq!(fresh.change(move |cx| write(cx, "4444")).await.unwrap_err().status(), 500);
    fresh
        .change(move |cx| {
            assert_eq!(told(cx)?, -1);
            erase_note(cx)?;
            assert_eq!(told(cx)?, 0);
            write(cx, "55555")
        })
        .await
        .unwrap();
    assert_eq!(fresh.restarted().look(move |cx| told(cx)).await.unwrap(), 5);
    // None of the bytes that ever stood there has the number of those that stand there now.
    let revision = |entry: &Entry| {
        open_record(&house.barrier, &here(), 0x7002, entry.key.as_bytes(), &entry.value).unwrap().1
    };
    assert_eq!((revision(&before), revision(&house.stored(0x7002)[0])), (3, 5));
    // Whoever saw the damage did not see the repair.
    house.tamper(vec![damage()]);
    let fresh = house.restarted();
    let (engine, key) = (Arc::clone(&house.engine), before.key.clone());
    let seen = fresh.change(move |cx| {
        let seen = told(cx)?;
        let mut txn = Txn::new(here(), TxnToken([9; 16]));
        txn.writes = vec![Write::Delete { key: key.clone() }];
        engine.commit(&[txn]).unwrap();
        cx.save(Counter { name: String::from("seen"), count: seen, public: false })?;
        Ok(seen)
    });
    assert_eq!(seen.await.unwrap(), 0, "it ran again");
}

fn erase_note(cx: &mut Cx<'_>) -> Result<(), ApiError> {
    cx.erase::<Note>(&["a"])
}

fn bytes_of(bytes: &'static [u8]) -> bytes::Bytes {
    bytes::Bytes::from_static(bytes)
}

/// What was read once is believed; the disk is not asked again, and a rolled back record is not taken over from it.
#[tokio::test]
async fn a_record_in_memory_is_not_turned_back_by_the_disk() {
    let house = House::seeded(5);
    house.set("a", 1).await;
    let old = house.stored(0x7001)[0].clone();
    house.set("a", 2).await;
    house.tamper(vec![Write::Put { key: old.key, value: old.value }]);
    assert_eq!(house.get("a").await.unwrap(), 2);
    // Nor does a change build upon it: the engine has another revision than the one we wrote.
    assert_eq!(house.change(|cx| save(cx, "a", 3)).await.unwrap_err().status(), 500);
}

/// Nobody who changes the one can forget the other, and what may be lost is no change.
#[tokio::test]
async fn what_belongs_to_the_saving_of_a_record_happens_whoever_saves_it() {
    let house = House::seeded(9);
    let diary = |page| Diary { name: "a".to_owned(), page };
    let noted = |cx: &Cx<'_>| Ok::<_, ApiError>(cx.part::<Note>(&["a"])?.map(|note| note.text.clone()));
    house
        .change(move |cx| {
            cx.needs_no_permission("this test is about something else");
            cx.save(diary(1))?;
            assert_eq!(noted(cx)?.as_deref(), Some("None -> 1"));
            cx.save(diary(2))?;
            assert_eq!(noted(cx)?.as_deref(), Some("Some(1) -> 2"));
            Ok(0)
        })
        .await
        .unwrap();
    house
        .change(move |cx| {
            cx.needs_no_permission("this test is about something else");
            cx.save(diary(3))?;
            cx.save_if_possible(diary(4))?;
            assert_eq!(noted(cx)?.as_deref(), Some("Some(2) -> 3"));
            Ok(0)
        })
        .await
        .unwrap();
    assert_eq!((house.stored(0x7002).len(), house.stored(0x7003).len()), (1, 1));
}

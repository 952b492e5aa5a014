//! Walks of lists, compared with a sorted vector: every order, both ways, from anywhere, while the list changes and after.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicI64, Ordering},
};

use coffer_core::{Cx, Place, Walk};
use coffer_shape::ApiError;

use crate::{
    house::{House, Seeded, save},
    service::{COUNT, Counter},
};

type Row = (i64, String);

/// Up to `most` records of a walk.
fn page(
    cx: &Cx<'_>,
    order: usize,
    descending: bool,
    after: Option<&Row>,
    most: usize,
) -> Result<Vec<Row>, ApiError> {
    let permit = cx.ask_all(COUNT)?;
    let after =
        after.map(|(count, name)| Place { number: (order == 1).then_some(*count), text: "", tie: name });
    let mut rows = Vec::new();
    cx.walk::<Counter>(permit, Walk { order, descending, after, ..Walk::default() }, &mut |counter| {
        rows.push((counter.count, counter.name.clone()));
        if rows.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(rows)
}

fn sorted(mut rows: Vec<Row>, order: usize, descending: bool) -> Vec<Row> {
    rows.sort_by(|left, right| match order {
        0 => left.1.cmp(&right.1),
        _ => left.cmp(right),
    });
    if descending {
        rows.reverse();
    }
    rows
}

/// Whatever the page size, the pages put together are the whole list in its order.
async fn lists_are_right(house: &House, rows: &[Row]) {
    for (order, descending) in [(0, false), (0, true), (1, false), (1, true)] {
        let expected = sorted(rows.to_vec(), order, descending);
        for size in [1_usize.max(rows.len() / 3), 1000] {
            let expected = expected.clone();
            house
                .look(move |cx| {
                    let mut seen: Vec<Row> = Vec::new();
                    loop {
                        let page = page(cx, order, descending, seen.last(), size)?;
                        let is_last = page.len() < size;
                        seen.extend(page);
                        if is_last {
                            break;
                        }
                    }
                    assert_eq!(seen, expected, "order {order}, descending {descending}, pages of {size}");
                    Ok(0)
                })
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn pages_of_a_list_are_the_sorted_list() {
    let house = House::seeded(70);
    let dice = Seeded::new(71);
    // More than is copied at once, so that walks go on from the middle, and many ties.
    let mut rows: Vec<Row> =
        (0..700).map(|number| ((dice.below(9)) as i64, format!("n{number:03}"))).collect();
    for chunk in rows.chunks(100) {
        let chunk = chunk.to_vec();
        house
            .change(move |cx| chunk.iter().try_fold(0, |_, (count, name)| save(cx, name, *count)))
            .await
            .unwrap();
    }
    lists_are_right(&house, &rows).await;

    // Now that the list is in memory it is kept there, record by record.
    for _ in 0..60 {
        let index = dice.below(rows.len() as u64) as usize;
        if dice.below(3) == 0 {
            let name = rows.remove(index).1;
            house
                .change(move |cx| {
                    cx.needs_no_permission("this test is about something else");
                    cx.erase::<Counter>(&[&name]).map(|()| 0)
                })
                .await
                .unwrap();
        } else {
            rows[index].0 = dice.below(9) as i64;
            let (count, name) = rows[index].clone();
            house.change(move |cx| save(cx, &name, count)).await.unwrap();
        }
    }
    lists_are_right(&house, &rows).await;
    lists_are_right(&house.restarted(), &rows).await;
}

#[tokio::test]
async fn a_walk_may_begin_where_no_record_stands_any_more() {
    let house = House::seeded(72);
    for (name, count) in [("a", 1), ("b", 2), ("c", 3)] {
        house.set(name, count).await;
    }
    for (after, order, descending, expected) in [
        ((0, "aa"), 0, false, &["b", "c"][..]),
        ((0, "aa"), 0, true, &["a"]),
        ((2, "a"), 1, false, &["b", "c"]),
        ((9, ""), 1, false, &[]),
        ((9, ""), 1, true, &["c", "b", "a"]),
        // An order that there is not lists nothing.
        ((2, "b"), 7, false, &[]),
    ] {
        house
            .look(move |cx| {
                let after = (after.0, after.1.to_owned());
                let names = page(cx, order, descending, Some(&after), 10)?.into_iter().map(|row| row.1);
                assert_eq!(names.collect::<Vec<_>>(), expected, "after {after:?} in order {order}");
                Ok(0)
            })
            .await
            .unwrap();
    }
}

/// A list that is loaded while others write has all that they wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn loading_a_list_holds_up_nobody_and_misses_nothing() {
    let house = std::sync::Arc::new(House::seeded(73));
    let rows: Vec<Row> = (0..600).map(|number| (number, format!("n{number:03}"))).collect();
    for chunk in rows.chunks(200) {
        let chunk = chunk.to_vec();
        house
            .change(move |cx| chunk.iter().try_fold(0, |_, (count, name)| save(cx, name, *count)))
            .await
            .unwrap();
    }
    for round in 0..6 {
        // A restarted house has no list in memory.
        let fresh = std::sync::Arc::new(house.restarted());
        let writer = std::sync::Arc::clone(&fresh);
        let writes = tokio::spawn(async move {
            for number in 0..40 {
                let (name, count) = (format!("n{:03}", number * 7), 1000 * (round + 1) + number);
                writer.change(move |cx| save(cx, &name, count)).await.unwrap();
            }
        });
        let listed = fresh.look(|cx| Ok(page(cx, 1, false, None, 10_000)?.len() as i64)).await.unwrap();
        assert!(listed >= 600, "a record may be seen twice while it moves, but none may be missed: {listed}");
        writes.await.unwrap();
        let expected = (0..600)
            .map(|number: i64| {
                let written = number % 7 == 0 && number / 7 < 40;
                (if written { 1000 * (round + 1) + number / 7 } else { number }, format!("n{number:03}"))
            })
            .collect::<Vec<_>>();
        lists_are_right(&fresh, &expected).await;
    }
}

/// Walks that take long leave everybody else alone, and so many that they would wait for minutes are told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_walkers_stops_nobody_else() {
    let house = std::sync::Arc::new(House::seeded(74));
    house.set("a", 1).await;
    let gate = std::sync::Arc::new((std::sync::Mutex::new(false), std::sync::Condvar::new()));
    let walkers: Vec<_> = (0..600)
        .map(|_| {
            let (house, gate) = (std::sync::Arc::clone(&house), std::sync::Arc::clone(&gate));
            tokio::spawn(async move {
                house
                    .look(move |cx| {
                        let permit = cx.ask_all::<Counter>(COUNT)?;
                        cx.walk::<Counter>(permit, Walk::default(), &mut |_| {
                            let open = gate.0.lock().unwrap();
                            drop(gate.1.wait_while(open, |open| !*open).unwrap());
                            ControlFlow::Continue(())
                        })?;
                        Ok(1)
                    })
                    .await
            })
        })
        .collect();
    // With the walkers standing at the gate, others read and write.
    for count in 2..20 {
        house.set("a", count).await;
        assert_eq!(house.get("a").await.unwrap(), count);
    }
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    let (mut walked, mut refused) = (0, 0);
    for walker in walkers {
        match walker.await.unwrap() {
            Ok(_) => walked += 1,
            Err(error) => {
                assert_eq!(error.code(), "ServiceUnavailable", "{error}");
                refused += 1;
            }
        }
    }
    assert!(walked >= 64 && refused > 0, "{walked} walked, {refused} were refused");
}

/// What takes long has a turn, and is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_work_is_done_in_a_turn() {
    let house = House::seeded(79);
    let (begun, done) = (std::sync::Arc::new(AtomicI64::new(0)), std::sync::Arc::new(AtomicI64::new(0)));
    let counts = (std::sync::Arc::clone(&begun), std::sync::Arc::clone(&done));
    let one_more = |count: &AtomicI64| count.fetch_add(1, Ordering::SeqCst);
    let changed = house.change(move |cx| {
        one_more(&counts.0);
        let prime = cx.at_length(|| one_more(&counts.1) + 7)?;
        save(cx, "prime", prime)?;
        Ok(prime)
    });
    assert_eq!(changed.await.unwrap(), 7);
    assert_eq!((begun.load(Ordering::SeqCst), done.load(Ordering::SeqCst)), (2, 1));
    assert_eq!(house.get("prime").await.unwrap(), 7);
}

#[tokio::test]
async fn the_records_of_a_table_are_counted() {
    let house = House::seeded(78);
    let count = || {
        house.look(|cx| {
            cx.needs_no_permission("this test is about something else");
            Ok(i64::try_from(cx.count::<Counter>()?).unwrap())
        })
    };
    assert_eq!(count().await.unwrap(), 0);
    for (name, expected) in [("a", 1), ("b", 2), ("a", 2), ("c", 3)] {
        house.set(name, 7).await;
        assert_eq!(count().await.unwrap(), expected, "{name}");
    }
    let erase = house.change(|cx| {
        cx.needs_no_permission("this test is about something else");
        cx.erase::<Counter>(&["b"])?;
        Ok(0)
    });
    erase.await.unwrap();
    assert_eq!(count().await.unwrap(), 2);
    // What is refused is not counted.
    let refused = house.change(|cx| {
        save(cx, "d", 1)?;
        Err(cx.internal("the moon is wrong"))
    });
    refused.await.unwrap_err();
    assert_eq!(count().await.unwrap(), 2);
}

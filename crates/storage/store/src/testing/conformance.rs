//! What every engine has to do, in the order in which one would explain it.

use std::sync::{
    Barrier,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;

use super::{FailingEngine, Fault, key, partition, txn};
use crate::{
    AuditPlace, AuditRow, Change, Changes, Check, Commit, Depth, Dir, Engine, EngineError, EntityId, Expect,
    Frame, Key, KeyRange, MemoryEngine, PAGE_BYTES_MAX, Read, Rev, TXN_BYTES_MAX, Txn, VALUE_BYTES_MAX,
    Write, limits, testing::Call,
};

/// Runs the whole contract. `make` opens a new, empty engine each time.
pub fn conformance(make: &dyn Fn() -> Box<dyn Engine>) {
    for contract in [
        an_empty_store_answers,
        a_commit_is_read_back,
        revisions_count_per_partition,
        a_failed_check_is_named_and_changes_nothing,
        a_later_transaction_of_a_group_sees_the_earlier_ones,
        what_is_joined_is_applied_as_one,
        a_token_is_applied_once,
        a_group_and_its_parts_have_limits,
        scans_go_both_ways_and_continue,
        a_page_ends_before_it_is_too_large,
        the_change_log_has_no_holes,
        audit_rows_come_with_their_writes,
        readers_see_whole_transactions,
        a_listener_is_woken,
        an_export_fills_another_engine,
        a_bad_import_leaves_an_empty_store,
        a_stopped_engine_takes_no_more,
    ] {
        contract(&*make());
    }
    a_lost_answer_is_found_by_its_token(make);
}

fn commit_one(engine: &dyn Engine, txn: Txn) -> Commit {
    engine.commit(&[txn]).unwrap().remove(0)
}

fn value(engine: &dyn Engine, in_partition: u64, name: &str) -> Option<(Bytes, u64)> {
    let (_, mut found) = engine.get(&partition(in_partition), &[key(name)], Read::Latest).unwrap();
    found.remove(0).map(|found| (found.value, found.rev.0))
}

fn some(text: &'static str, rev: u64) -> Option<(Bytes, u64)> {
    Some((Bytes::from_static(text.as_bytes()), rev))
}

fn head(engine: &dyn Engine, in_partition: u64) -> u64 {
    engine.head(&[partition(in_partition)]).unwrap()[0].0
}

fn exported(engine: &dyn Engine) -> Vec<Frame> {
    let mut frames = Vec::new();
    engine.export(&mut frames).unwrap();
    frames
}

fn an_empty_store_answers(engine: &dyn Engine) {
    assert_eq!(engine.get(&partition(1), &[key("a")], Read::Latest), Ok((Rev::ZERO, vec![None])));
    assert_eq!(engine.head(&[partition(1), partition(2)]), Ok(vec![Rev::ZERO; 2]));
    assert_eq!(engine.partitions(), Ok(vec![]));
    let page = engine.scan(&partition(1), &KeyRange::all(), Dir::Forward, 10, Read::Latest).unwrap();
    assert!(page.entries.is_empty() && page.rest.is_none());
    assert_eq!(
        engine.changes(&partition(1), Rev::ZERO, 10),
        Ok(Changes::Since { head: Rev::ZERO, changes: vec![] })
    );
    assert_eq!(engine.audit_rows(&partition(1), AuditPlace::default(), 10), Ok(vec![]));
    assert_eq!(engine.commit(&[]), Ok(vec![]));
    assert!(engine.check(Depth::Deep).unwrap().is_good());
    assert_eq!(engine.fatal(), None);
}

fn a_commit_is_read_back(engine: &dyn Engine) {
    let first = txn(1, 1).puts("a", "one").puts("b", "two").puts("a", "last wins").done();
    assert_eq!(commit_one(engine, first), Commit::Done(Rev(1)));
    assert_eq!(value(engine, 1, "a"), some("last wins", 1));
    assert_eq!(value(engine, 1, "b"), some("two", 1));

    let second = txn(1, 2).deletes("a").puts("b", "").deletes("never was").done();
    assert_eq!(commit_one(engine, second), Commit::Done(Rev(2)));
    assert_eq!(value(engine, 1, "a"), None);
    assert_eq!(value(engine, 1, "b"), some("", 2));

    let (rev, found) =
        engine.get(&partition(1), &[key("b"), key("a"), key("b")], Read::AtLeast(Rev(2))).unwrap();
    assert_eq!(rev, Rev(2));
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    let early = engine.get(&partition(1), &[key("b")], Read::AtLeast(Rev(3)));
    assert!(matches!(early, Err(EngineError::Unavailable { .. })), "{early:?}");
}

fn revisions_count_per_partition(engine: &dyn Engine) {
    let group = [
        txn(1, 1).puts("k", "of one").done(),
        txn(2, 1).puts("k", "of two").done(),
        txn(1, 2).done(),
        txn(3, 1).expects_rev("k", 1).done(),
    ];
    let done = engine.commit(&group).unwrap();
    assert_eq!(
        done,
        [Commit::Done(Rev(1)), Commit::Done(Rev(1)), Commit::Done(Rev(2)), Commit::Conflict(vec![0])]
    );
    assert_eq!(value(engine, 1, "k"), some("of one", 1));
    assert_eq!(value(engine, 2, "k"), some("of two", 1));
    // A partition in which nothing ever succeeded does not exist.
    assert_eq!(engine.partitions(), Ok(vec![(partition(1), Rev(2)), (partition(2), Rev(1))]));
}

fn a_failed_check_is_named_and_changes_nothing(engine: &dyn Engine) {
    commit_one(engine, txn(1, 1).puts("a", "1").puts("b", "1").done());
    for (checks, failed) in [
        (vec![("a", Expect::AtRev(Rev(1))), ("c", Expect::Absent)], vec![]),
        (vec![("a", Expect::Absent), ("b", Expect::AtRev(Rev(1))), ("c", Expect::AtRev(Rev(1)))], vec![0, 2]),
        (vec![("a", Expect::AtRev(Rev(0))), ("b", Expect::AtRev(Rev(u64::MAX)))], vec![0, 1]),
    ] {
        let before = exported(engine);
        let mut attempt = txn(1, 100 + head(engine, 1)).puts("d", "new").audits("row").touches("d").done();
        attempt.checks =
            checks.iter().map(|(name, expect)| Check { key: key(name), expect: *expect }).collect();
        match commit_one(engine, attempt) {
            Commit::Done(_) => assert!(failed.is_empty(), "{checks:?} should have failed"),
            other => {
                assert_eq!(other, Commit::Conflict(failed), "{checks:?}");
                assert_eq!(exported(engine), before);
            }
        }
    }
}

fn a_later_transaction_of_a_group_sees_the_earlier_ones(engine: &dyn Engine) {
    let group = [
        txn(1, 1).expects_absent("name").puts("name", "first").done(),
        txn(1, 2).expects_absent("name").puts("name", "too late").done(),
        txn(1, 3).expects_rev("name", 1).puts("name", "third").done(),
        txn(1, 4).expects_rev("name", 1).deletes("name").done(),
        txn(1, 5).expects_rev("name", 2).deletes("name").done(),
        txn(1, 6).expects_absent("name").puts("name", "again").done(),
        txn(1, 1).puts("name", "twice").done(),
    ];
    assert_eq!(
        engine.commit(&group).unwrap(),
        [
            Commit::Done(Rev(1)),
            Commit::Conflict(vec![0]),
            Commit::Done(Rev(2)),
            Commit::Conflict(vec![0]),
            Commit::Done(Rev(3)),
            Commit::Done(Rev(4)),
            Commit::Duplicate(Rev(1)),
        ]
    );
    assert_eq!(value(engine, 1, "name"), some("again", 4));
}

fn what_is_joined_is_applied_as_one(engine: &dyn Engine) {
    let pair = |number, rev| {
        [
            txn(1, number).expects_rev("here", rev).puts("here", "1").audits("row").done(),
            txn(2, number).expects_rev("there", 1).puts("there", "1").joined().done(),
        ]
    };
    commit_one(engine, txn(1, 1).puts("here", "0").done());
    commit_one(engine, txn(2, 1).puts("there", "0").done());
    let before = exported(engine);
    // Whichever of the two fails.
    assert_eq!(engine.commit(&pair(2, 7)).unwrap(), [Commit::Conflict(vec![0]), Commit::Conflict(vec![])]);
    let mut other = pair(3, 1);
    other[1].checks[0].expect = Expect::Absent;
    assert_eq!(engine.commit(&other).unwrap(), [Commit::Conflict(vec![]), Commit::Conflict(vec![0])]);
    assert_eq!(exported(engine), before);
    // Others of the group go on without them, and a refused token was not used up.
    let mut group = pair(2, 7).to_vec();
    group.extend(pair(2, 1));
    group.push(txn(2, 9).expects_rev("there", 2).puts("there", "2").done());
    let refused = || Commit::Conflict(vec![]);
    assert_eq!(
        engine.commit(&group).unwrap(),
        [
            Commit::Conflict(vec![0]),
            refused(),
            Commit::Done(Rev(2)),
            Commit::Done(Rev(2)),
            Commit::Done(Rev(3))
        ]
    );
    assert_eq!((value(engine, 1, "here"), value(engine, 2, "there")), (some("1", 2), some("2", 3)));
    assert_eq!(engine.commit(&pair(2, 1)).unwrap(), [Commit::Duplicate(Rev(2)), Commit::Duplicate(Rev(2))]);
    // One of them may be the first that its partition has ever seen, or the last that it did not.
    let first = |number, rev| {
        [txn(1, number).expects_rev("here", rev).done(), txn(3, number).puts("new", "1").joined().done()]
    };
    assert_eq!(engine.commit(&first(5, 7)).unwrap(), [Commit::Conflict(vec![0]), refused()]);
    assert_eq!(head(engine, 3), 0);
    assert_eq!(engine.commit(&first(5, 2)).unwrap(), [Commit::Done(Rev(3)), Commit::Done(Rev(1))]);
    assert_eq!(value(engine, 3, "new"), some("1", 1));
}

fn a_token_is_applied_once(engine: &dyn Engine) {
    let write = txn(1, 7).expects_absent("a").puts("a", "once").audits("once").done();
    assert_eq!(commit_one(engine, write.clone()), Commit::Done(Rev(1)));
    commit_one(engine, txn(1, 8).puts("b", "between").done());
    // The check would fail now; the token is asked first.
    assert_eq!(commit_one(engine, write), Commit::Duplicate(Rev(1)));
    assert_eq!(head(engine, 1), 2);
    assert_eq!(engine.audit_rows(&partition(1), AuditPlace::default(), 10).unwrap().len(), 1);

    // A token that lost a conflict was not used up, and one of another partition is another token.
    assert_eq!(commit_one(engine, txn(1, 9).expects_absent("a").done()), Commit::Conflict(vec![0]));
    assert_eq!(commit_one(engine, txn(1, 9).expects_rev("a", 1).done()), Commit::Done(Rev(3)));
    assert_eq!(commit_one(engine, txn(2, 7).done()), Commit::Done(Rev(1)));
}

fn a_group_and_its_parts_have_limits(engine: &dyn Engine) {
    let base = || txn(1, 1).puts("innocent", "x").done();
    let put = |key_length: usize, value_length: usize| Write::Put {
        key: Key::new(vec![b'k'; key_length]),
        value: Bytes::from(vec![b'v'; value_length]),
    };
    let too_large = |change: &dyn Fn(&mut Txn)| {
        let mut bad = base();
        change(&mut bad);
        let group = [base(), bad];
        let answer = engine.commit(&group);
        assert!(matches!(answer, Err(EngineError::TooLarge { .. })), "{answer:?}");
        assert_eq!(limits::check_group(&group), answer.map(|_| ()));
        assert_eq!(head(engine, 1), 0, "nothing of the group is applied");
    };
    too_large(&|t| t.writes.push(put(1025, 1)));
    too_large(&|t| t.writes.push(Write::Delete { key: Key::new(vec![b'k'; 1025]) }));
    too_large(&|t| t.checks.push(Check { key: Key::new(vec![b'k'; 1025]), expect: Expect::Absent }));
    too_large(&|t| t.writes.push(put(1, VALUE_BYTES_MAX + 1)));
    too_large(&|t| t.writes = vec![put(1, 1); 257]);
    too_large(&|t| t.checks = vec![Check { key: key("c"), expect: Expect::Absent }; 1025]);
    too_large(&|t| t.writes = vec![put(1, VALUE_BYTES_MAX); TXN_BYTES_MAX / VALUE_BYTES_MAX]);
    too_large(&|t| t.touched.push(EntityId(Bytes::from(vec![0; 65]))));
    too_large(&|t| t.touched = vec![EntityId(Bytes::new()); 257]);
    too_large(&|t| t.audit = vec![Bytes::new(); 257]);
    too_large(&|t| t.audit = vec![Bytes::from(vec![0; TXN_BYTES_MAX])]);
    let many = (0..257).map(|number| txn(1, number).done()).collect::<Vec<_>>();
    assert!(matches!(engine.commit(&many), Err(EngineError::TooLarge { .. })));
    let long_key = engine.get(&partition(1), &[Key::new(vec![0; 1025])], Read::Latest);
    assert!(matches!(long_key, Err(EngineError::TooLarge { .. })));

    // All of them at their largest.
    let mut largest = txn(1, 2).done();
    largest.writes = (0..15_u8)
        .map(|n| Write::Put { key: Key::new(vec![n; 1024]), value: vec![n; VALUE_BYTES_MAX].into() })
        .collect();
    largest.writes.extend((15..=255_u8).map(|n| Write::Delete { key: Key::new(vec![n; 64]) }));
    largest.touched = vec![EntityId(Bytes::from(vec![1; 64])); 256];
    largest.audit = vec![Bytes::from_static(b"row"); 256];
    assert_eq!(commit_one(engine, largest), Commit::Done(Rev(1)));
    let (_, found) = engine.get(&partition(1), &[Key::new(vec![6; 1024])], Read::Latest).unwrap();
    assert_eq!(found[0].as_ref().unwrap().value, vec![6; VALUE_BYTES_MAX]);
    let many = (3..259).map(|number| txn(1, number).done()).collect::<Vec<_>>();
    assert_eq!(engine.commit(&many).unwrap().last(), Some(&Commit::Done(Rev(257))));
}

fn scans_go_both_ways_and_continue(engine: &dyn Engine) {
    let names = (0..50).map(|n| format!("s/{n:02}")).collect::<Vec<_>>();
    let mut all = txn(1, 1).puts("r", "before").puts("t", "after").puts("s0", "beside");
    for name in &names {
        all = all.puts(name, name);
    }
    commit_one(engine, all.done());
    commit_one(engine, txn(2, 1).puts("s/00", "of another partition").done());

    for dir in [Dir::Forward, Dir::Backward] {
        for limit in [1, 7, 49, 50, 51, 1000] {
            let mut seen = Vec::new();
            let mut next = Some(KeyRange::prefix(b"s/"));
            while let Some(range) = next {
                let page = engine.scan(&partition(1), &range, dir, limit, Read::Latest).unwrap();
                assert!(page.entries.len() <= limit as usize && page.rev == Rev(1));
                assert!(page.rest.is_none() || page.entries.len() == limit as usize);
                seen.extend(page.entries.into_iter().map(|entry| {
                    assert_eq!((entry.value.as_ref(), entry.rev), (entry.key.as_bytes(), Rev(1)));
                    String::from_utf8(entry.key.as_bytes().to_vec()).unwrap()
                }));
                next = page.rest;
            }
            if dir == Dir::Backward {
                seen.reverse();
            }
            assert_eq!(seen, names, "{dir:?} by {limit}");
        }
    }
    let keys = |range: KeyRange| {
        let page = engine.scan(&partition(1), &range, Dir::Forward, 100, Read::Latest).unwrap();
        page.entries
            .into_iter()
            .map(|entry| String::from_utf8(entry.key.as_bytes().to_vec()).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(KeyRange::between(&key("s/10"), &key("s/12"))), ["s/10", "s/11"]);
    assert_eq!(keys(KeyRange::from(&key("s/49"))), ["s/49", "s0", "t"]);
    assert_eq!(keys(KeyRange::all()).len(), 53);
    assert!(keys(KeyRange::between(&key("t"), &key("r"))).is_empty());
    assert!(keys(KeyRange::between(&key("t"), &key("t"))).is_empty());

    // The longest keys, and those of the highest byte, are inside the open end.
    let longest = Key::new(vec![0xff; 1024]);
    let mut high = txn(1, 2).done();
    high.writes.push(Write::Put { key: longest.clone(), value: Bytes::new() });
    commit_one(engine, high);
    let last = engine.scan(&partition(1), &KeyRange::all(), Dir::Backward, 1, Read::Latest).unwrap();
    assert_eq!(last.entries[0].key, longest);
    let rest = KeyRange::from(&longest).rest(&longest, Dir::Forward);
    let after = engine.scan(&partition(1), &rest, Dir::Forward, 1, Read::Latest).unwrap();
    assert!(after.entries.is_empty() && after.rest.is_none());
}

fn a_page_ends_before_it_is_too_large(engine: &dyn Engine) {
    for number in 0..20 {
        let mut large = txn(1, number).done();
        let value = Bytes::from(vec![0; VALUE_BYTES_MAX]);
        large.writes.push(Write::Put { key: Key::new(number.to_be_bytes()), value });
        commit_one(engine, large);
    }
    let page = engine.scan(&partition(1), &KeyRange::all(), Dir::Forward, 1000, Read::Latest).unwrap();
    assert_eq!(page.entries.len(), PAGE_BYTES_MAX / VALUE_BYTES_MAX);
    assert!(page.rest.is_some());
}

fn the_change_log_has_no_holes(engine: &dyn Engine) {
    let changed = |rev: u64, ids: &[&str]| Change {
        rev: Rev(rev),
        touched: ids.iter().map(|id| EntityId(Bytes::copy_from_slice(id.as_bytes()))).collect(),
    };
    commit_one(engine, txn(1, 1).puts("a", "1").touches("alpha").touches("beta").done());
    commit_one(engine, txn(1, 2).expects_absent("a").touches("lost").done());
    commit_one(engine, txn(1, 3).puts("a", "2").done());
    commit_one(engine, txn(2, 4).touches("elsewhere").done());
    commit_one(engine, txn(1, 5).touches("gamma").done());

    let log = [changed(1, &["alpha", "beta"]), changed(2, &[]), changed(3, &["gamma"])];
    for (after, limit, expected) in
        [(0, 10, &log[..]), (0, 2, &log[..2]), (1, 10, &log[1..]), (2, 1, &log[2..]), (3, 10, &[])]
    {
        assert_eq!(
            engine.changes(&partition(1), Rev(after), limit),
            Ok(Changes::Since { head: Rev(3), changes: expected.to_vec() }),
            "after {after}"
        );
    }
    for ahead in [4, 1000, u64::MAX] {
        assert_eq!(engine.changes(&partition(1), Rev(ahead), 10), Ok(Changes::Lost { head: Rev(3) }));
        assert_eq!(engine.changes(&partition(9), Rev(ahead), 10), Ok(Changes::Lost { head: Rev::ZERO }));
    }
}

fn audit_rows_come_with_their_writes(engine: &dyn Engine) {
    commit_one(engine, txn(1, 1).puts("a", "1").audits("one").audits("two").done());
    commit_one(engine, txn(1, 2).expects_absent("a").audits("of a conflict").done());
    commit_one(engine, txn(2, 3).audits("elsewhere").done());
    commit_one(engine, txn(1, 4).audits("three").done());

    let row = |rev: u64, ordinal: u32, text: &'static str| AuditRow {
        place: AuditPlace { rev: Rev(rev), ordinal },
        row: Bytes::from_static(text.as_bytes()),
    };
    let all = [row(1, 0, "one"), row(1, 1, "two"), row(2, 0, "three")];
    let rows = |after, limit| engine.audit_rows(&partition(1), after, limit).unwrap();
    assert_eq!(rows(AuditPlace::default(), 10), all);
    assert_eq!(rows(AuditPlace::default(), 2), all[..2]);
    assert_eq!(rows(all[0].place, 10), all[1..]);

    for _ in 0..2 {
        engine.drop_audit_rows(&partition(1), all[1].place).unwrap();
        assert_eq!(rows(AuditPlace::default(), 10), all[2..]);
    }
    assert_eq!(engine.audit_rows(&partition(2), AuditPlace::default(), 10).unwrap().len(), 1);
    engine.drop_audit_rows(&partition(9), all[1].place).unwrap();
    assert_eq!(value(engine, 1, "a"), some("1", 1), "what they tell about stays");
}

/// A writer keeps two keys equal; no reader may ever see them differ, by get or by scan.
fn readers_see_whole_transactions(engine: &dyn Engine) {
    let write = |number: u64| {
        let text = number.to_string();
        txn(1, number).puts("left", &text).puts("right", &text).done()
    };
    commit_one(engine, write(1));
    let stop = AtomicBool::new(false);
    let seen = AtomicU64::new(0);
    let everybody = Barrier::new(4);
    std::thread::scope(|scope| {
        let readers = [(); 3].map(|()| {
            scope.spawn(|| {
                let mut last = Rev::ZERO;
                everybody.wait();
                while !stop.load(Ordering::Relaxed) {
                    let (rev, found) =
                        engine.get(&partition(1), &[key("left"), key("right")], Read::Latest).unwrap();
                    assert_eq!(found[0], found[1]);
                    assert_eq!(found[0].as_ref().unwrap().rev, rev, "a value is of the head it came with");
                    assert!(rev >= last, "time does not go back");
                    let page =
                        engine.scan(&partition(1), &KeyRange::all(), Dir::Forward, 9, Read::Latest).unwrap();
                    assert_eq!(page.entries[0].value, page.entries[1].value);
                    assert!(page.rev >= rev && page.entries[0].rev == page.rev);
                    last = page.rev;
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        everybody.wait();
        let mut number = 1;
        // Until every reader had a chance to look while something was being written.
        while number < 200 || seen.load(Ordering::Relaxed) < 30 {
            number += 1;
            commit_one(engine, write(number));
            assert_eq!(value(engine, 1, "left").unwrap().1, number, "a writer reads what it wrote");
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

fn a_listener_is_woken(engine: &dyn Engine) {
    let mut waker = engine.wake();
    assert!(!waker.wait(std::time::Duration::ZERO));
    std::thread::scope(|scope| {
        scope.spawn(|| commit_one(engine, txn(1, 1).done()));
        assert!(waker.wait(std::time::Duration::from_secs(30)));
    });
}

fn an_export_fills_another_engine(engine: &dyn Engine) {
    for number in 0..40 {
        let name = format!("key {}", number % 13);
        let some =
            txn(1 + number % 3, number).puts(&name, &name).touches(&name).audits("row").deletes("key 5");
        commit_one(engine, some.done());
    }
    engine.drop_audit_rows(&partition(1), AuditPlace { rev: Rev(3), ordinal: 0 }).unwrap();
    let frames = exported(engine);

    let copy = MemoryEngine::new();
    let report = copy.import(&mut frames.clone().into_iter()).unwrap();
    assert_eq!(exported(&copy), frames);
    let health = engine.check(Depth::Deep).unwrap();
    assert!(health.is_good(), "{health:?}");
    assert_eq!(
        (report.partitions, report.entries, report.audit_rows),
        (health.partitions, health.entries, health.audit_rows)
    );
    assert_eq!(engine.import(&mut frames.into_iter()), Err(EngineError::NotEmpty));
    // Tokens travel too: who lost an answer before the move still finds it.
    assert_eq!(commit_one(&copy, txn(1, 0).done()), Commit::Duplicate(Rev(1)));
}

fn a_bad_import_leaves_an_empty_store(engine: &dyn Engine) {
    let source = MemoryEngine::new();
    for number in 0..10 {
        commit_one(&source, txn(1 + number % 2, number).puts("a", "b").audits("row").done());
    }
    let good = exported(&source);
    for length in 0..good.len() {
        let begun = good[..length].to_vec();
        let cut = engine.import(&mut begun.into_iter());
        assert!(matches!(cut, Err(EngineError::Corrupt { .. })), "{cut:?}");
    }
    let mut newer = good.clone();
    newer[0] = Frame::Begin { version: u16::MAX };
    assert!(matches!(engine.import(&mut newer.into_iter()), Err(EngineError::IncompatibleFormat { .. })));
    assert_eq!(engine.partitions(), Ok(vec![]));
    assert_eq!(engine.fatal(), None, "a bad stream is not a bad store");

    engine.import(&mut good.clone().into_iter()).unwrap();
    assert_eq!(exported(engine), good);
    assert_eq!(
        commit_one(engine, txn(1, 99).expects_rev("a", 5).puts("a", "c").done()),
        Commit::Done(Rev(6))
    );
}

fn a_stopped_engine_takes_no_more(engine: &dyn Engine) {
    commit_one(engine, txn(1, 1).puts("a", "1").done());
    engine.stop("the first cause");
    engine.stop("another");
    assert_eq!(engine.fatal().as_deref(), Some("the first cause"));
    let refused = engine.commit(&[txn(1, 2).puts("a", "2").done()]);
    assert!(matches!(refused, Err(EngineError::Unavailable { .. })), "{refused:?}");
}

/// What a caller has to do about an unknown outcome, tried at every call of a workload.
fn a_lost_answer_is_found_by_its_token(make: &dyn Fn() -> Box<dyn Engine>) {
    for nth in 1..=5 {
        for fault in [Fault::After, Fault::Before(EngineError::unavailable("test"))] {
            let failing = FailingEngine::new(make());
            failing.fail(Call::Commit, nth, fault.clone());
            for number in 1..=5 {
                let name = format!("{number}");
                let write = txn(1, number).expects_absent(&name).puts(&name, &name).done();
                let answer = match failing.commit(std::slice::from_ref(&write)) {
                    Ok(mut done) => done.remove(0),
                    Err(error) if error.is_retryable() => commit_one(&failing, write),
                    Err(error) => unreachable!("{error}"),
                };
                let was_applied = number == nth && fault == Fault::After;
                let rev = Rev(number);
                assert_eq!(answer, if was_applied { Commit::Duplicate(rev) } else { Commit::Done(rev) });
            }
        }
    }
}

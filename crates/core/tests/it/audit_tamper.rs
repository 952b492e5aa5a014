//! A thousand ways to change an audit log, each of which verification must notice.
//!
//! The log is a real one: several processes wrote it, some died in the middle of a frame, one met a full disk. A seed picks what is done
//! to it. What no key is needed for is what an intruder who has the disk can do: change bytes, cut, swap, double, drop and put back.

use std::collections::BTreeMap;

use coffer_core::{AuditEnd, Files, inspect_audit};

use crate::{
    cabinet::{Cabinet, FileCall},
    house::{House, Seeded},
};

const HEADER_LEN: usize = 64;
const MUTATIONS: usize = 3000;

type Log = BTreeMap<String, Vec<u8>>;

/// A log of several segments, an older state of it, and where it ends.
struct Written {
    house: House,
    now: Log,
    earlier: Log,
    end: AuditEnd,
}

fn log_of(house: &House) -> Log {
    let names = house.files.list().unwrap();
    names.into_iter().map(|name| (name.clone(), house.files.bytes(&name))).collect()
}

async fn written() -> Written {
    let house = House::seeded(41).with_segments_of(2048);
    for _ in 0..12 {
        house.get("a").await.unwrap();
    }
    // A full disk leaves half a frame, and the next process begins a segment of its own.
    house.files.fail_after(0, FileCall::Append);
    let look = crate::service::script(|cx| crate::house::count(cx, "a"));
    assert!(house.call(&crate::house::admin(), &crate::service::LOOK, look).await.is_none());
    let house = house.restarted();
    for _ in 0..5 {
        house.get("a").await.unwrap();
    }
    let newest = house.files.list().unwrap().pop().unwrap();
    let earlier = log_of(&house);
    for _ in 0..3 {
        house.get("a").await.unwrap();
    }
    // Killed in the middle of a write, and once more before its first event.
    let mut torn = house.files.bytes(&newest);
    torn.extend_from_within(HEADER_LEN..HEADER_LEN + 50);
    house.files.put(&newest, torn);
    let number: u64 = newest["reads-".len()..newest.len() - ".seg".len()].parse().unwrap();
    house.files.put(&format!("reads-{:010}.seg", number + 1), b"COFAUD".to_vec());
    let house = house.restarted();
    for _ in 0..6 {
        house.get("a").await.unwrap();
    }
    let end = house.core.audit().end().unwrap();
    Written { now: log_of(&house), earlier, end, house }
}

/// Where each frame begins, and the end of the last whole one.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![HEADER_LEN];
    loop {
        let at = starts[starts.len() - 1];
        let Some(head) = bytes.get(at..at + 4) else { return starts };
        let next = at + 8 + u32::from_be_bytes(head.try_into().unwrap()) as usize;
        if next > bytes.len() {
            return starts;
        }
        starts.push(next);
    }
}

/// Does one thing to the log and says what it was.
fn mutate(seed: &Seeded, log: &mut Log, earlier: &Log) -> &'static str {
    let below = |end: usize| usize::try_from(seed.below(end as u64)).unwrap();
    let names: Vec<String> = log.keys().cloned().collect();
    let with_events: Vec<_> = names.iter().filter(|name| log[*name].len() > HEADER_LEN).collect();
    let name = with_events[below(with_events.len())];
    let other = &names[below(names.len())];
    let bytes = log[name].clone();
    let starts = frames(&bytes);
    let frame = |at: usize| bytes[starts[at]..starts[at + 1]].to_vec();
    let whole = starts.len() - 1;
    let put = |log: &mut Log, parts: &[Vec<u8>]| {
        let tail = &bytes[starts[whole]..];
        log.insert(name.clone(), [&bytes[..HEADER_LEN], &parts.concat()[..], tail].concat());
    };
    match seed.below(16) {
        0 | 1 => {
            let (at, bit) = (below(bytes.len()), below(8));
            log.get_mut(name).unwrap()[at] ^= 1 << bit;
            "a bit flipped"
        }
        2 => {
            let at = below(HEADER_LEN);
            log.get_mut(name).unwrap()[at] ^= 1 << below(8);
            "a bit of a header flipped"
        }
        3 => {
            log.get_mut(name).unwrap().truncate(below(bytes.len()));
            "cut anywhere"
        }
        4 => {
            log.get_mut(name).unwrap().truncate(starts[below(starts.len())]);
            "cut between two frames"
        }
        5 => {
            let at = below(bytes.len());
            log.get_mut(name).unwrap().splice(at..at, [seed.next().to_be_bytes()[0]]);
            "a byte put in"
        }
        6 => {
            log.get_mut(name).unwrap().remove(below(bytes.len()));
            "a byte taken out"
        }
        7 => {
            let mut parts: Vec<_> = (0..whole).map(frame).collect();
            parts.swap(below(whole), below(whole));
            put(log, &parts);
            "frames swapped"
        }
        8 => {
            let mut parts: Vec<_> = (0..whole).map(frame).collect();
            parts.insert(below(whole + 1), frame(below(whole)));
            put(log, &parts);
            "a frame doubled"
        }
        9 => {
            let mut parts: Vec<_> = (0..whole).map(frame).collect();
            parts.remove(below(whole));
            put(log, &parts);
            "a frame dropped"
        }
        10 => {
            let theirs = log[other].clone();
            log.insert(name.clone(), theirs);
            log.insert(other.clone(), bytes.clone());
            "segments swapped"
        }
        11 => {
            log.remove(name);
            "a segment removed"
        }
        12 => {
            let bytes = log.remove(name).unwrap();
            log.insert(format!("reads-{:010}.seg", 1 + seed.below(20)), bytes);
            "a segment renamed"
        }
        13 => {
            log.get_mut(name).unwrap().truncate(if seed.below(2) == 0 { 0 } else { HEADER_LEN });
            "a segment emptied"
        }
        14 => {
            if seed.below(2) == 0 {
                log.clone_from(earlier);
                return "an old copy of everything put back";
            }
            let keep = below(names.len());
            log.retain(|name, _| names.iter().position(|other| other == name).unwrap() < keep);
            "the newest segments removed"
        }
        _ => {
            let names: Vec<&String> = earlier.keys().collect();
            let old = names[below(names.len())];
            log.insert(old.clone(), earlier[old].clone());
            "an old copy of a segment put back"
        }
    }
}

fn cabinet(log: &Log) -> Cabinet {
    let files = Cabinet::default();
    for (name, bytes) in log {
        files.put(name, bytes.clone());
    }
    files
}

#[tokio::test]
async fn three_thousand_changes_are_noticed_and_the_log_as_it_was_is_clean() {
    let written = written().await;
    let Written { house, now, earlier, end } = &written;
    let inspect =
        |log: &Log| inspect_audit(&cabinet(log), &house.barrier, std::slice::from_ref(end)).problems;
    assert_eq!(inspect(now), [], "nobody has done anything yet");
    assert!(now.len() >= 6, "{:?}", now.keys());
    let seed = Seeded::new(7);
    let mut told = BTreeMap::<&str, usize>::new();
    while told.values().sum::<usize>() < MUTATIONS {
        let mut log = now.clone();
        let what = mutate(&seed, &mut log, earlier);
        if log == *now {
            continue;
        }
        let problems = inspect(&log);
        assert!(!problems.is_empty(), "{what}: {:?}", log.keys());
        for (place, says) in &problems {
            let is_a_file = log.contains_key(place) || now.contains_key(place);
            assert!((is_a_file || place == "audit") && !says.is_empty(), "{what}: {place}: {says}");
        }
        *told.entry(what).or_default() += 1;
    }
    assert_eq!(told.len(), 16, "{told:?}");
    assert!(told.values().all(|times| *times > 40), "{told:?}");
}

/// What cannot be told without the store: the very end, cut between two events or inside the last one, looks like a crash.
#[tokio::test]
async fn only_the_store_knows_where_the_newest_segment_ended() {
    let house = House::seeded(42).with_segments_of(4096);
    for _ in 0..15 {
        house.get("a").await.unwrap();
    }
    let (now, end) = (log_of(&house), house.core.audit().end().unwrap());
    let newest = now.keys().next_back().unwrap().clone();
    let starts = frames(&now[&newest]);
    assert!(now.len() > 2 && starts.len() > 2, "{} {}", now.len(), starts.len());
    for cut in [starts[1], starts[1] + 5, starts[starts.len() - 1] - 1, HEADER_LEN, 3, 0] {
        let mut log = now.clone();
        log.get_mut(&newest).unwrap().truncate(cut);
        let problems = |ends: &[AuditEnd]| inspect_audit(&cabinet(&log), &house.barrier, ends).problems;
        assert_eq!(problems(&[]), [], "{cut}");
        let found = problems(std::slice::from_ref(&end));
        assert!(found[0].1.contains(&newest), "{cut}: {found:?}");
    }
    let mut log = now;
    log.remove(&newest);
    assert_eq!(inspect_audit(&cabinet(&log), &house.barrier, &[]).problems, []);
    assert!(inspect_audit(&cabinet(&log), &house.barrier, &[end]).problems[0].1.contains("it is gone"));
}

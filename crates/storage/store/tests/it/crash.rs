//! Kill the process at any moment; what it acknowledged is there, and what is there is whole.
//!
//! The test runs itself again as the victim, which commits and prints an acknowledgement after each answer. The
//! parent reads the pipe, kills the victim without warning, and compares the store with what it read.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{BufRead, BufReader, Read as _, Seek, SeekFrom, Write as _},
    os::unix::fs::DirBuilderExt,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use coffer_store::{
    AuditPlace, Commit, Committer, Depth, Dir, Engine, EngineError, Key, KeyRange, Read, Rev, Txn, Write,
    testing::{partition, token},
};

use crate::{Seeded, open, try_open};

const VICTIM_DIRECTORY: &str = "COFFER_STORE_CRASH_DIRECTORY";
const VICTIM_FIRST: &str = "COFFER_STORE_CRASH_FIRST";
const ROUNDS: u64 = 20;

/// Writes the same number under two keys, and an audit row, so that half a transaction would show.
fn numbered(number: u64) -> Txn {
    let mut txn = Txn::new(partition(1), token(number));
    let value = Bytes::from(vec![number.to_le_bytes()[0]; 200 + (number % 900) as usize]);
    for side in [b'l', b'r'] {
        let key = [&[side], &number.to_be_bytes()[..]].concat();
        txn.writes.push(Write::Put { key: Key::new(key), value: value.clone() });
    }
    txn.audit.push(Bytes::copy_from_slice(&number.to_be_bytes()));
    txn
}

/// Not a test by itself: the victim, which runs only when a parent says where.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the parent tells its victim what to do through the environment"
)]
fn the_victim_commits_until_it_is_killed() {
    let Ok(directory) = std::env::var(VICTIM_DIRECTORY) else { return };
    let first = std::env::var(VICTIM_FIRST).unwrap().parse::<u64>().unwrap();
    let engine = Arc::new(open(Path::new(&directory)));
    let committer = Committer::start(engine, Box::new(|_, _, _| {})).unwrap();
    let out = Arc::new(Mutex::new(std::io::stdout()));
    for number in first.. {
        let out = Arc::clone(&out);
        committer.submit(
            numbered(number),
            Box::new(move |answer| match answer {
                Ok(Commit::Done(rev)) => {
                    // Straight to the pipe: what was said must not die in a buffer.
                    let mut out = out.lock().unwrap();
                    out.write_all(format!("\nack {number} {}\n", rev.0).as_bytes()).unwrap();
                    out.flush().unwrap();
                }
                other => panic!("{other:?}"),
            }),
        );
        while committer.counters().queue_depth > 100 {
            std::thread::yield_now();
        }
    }
}

/// Lets a victim commit for one acknowledgement at least, then for this long, and kills it. Answers what it acknowledged.
#[expect(clippy::disallowed_methods, reason = "the moment of death is meant to be arbitrary")]
fn acknowledged_before_death(directory: &Path, first: u64, pause: Duration) -> Vec<(u64, u64)> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_victim_commits_until_it_is_killed", "--nocapture"])
        .env(VICTIM_DIRECTORY, directory)
        .env(VICTIM_FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged = Vec::new();
    for line in lines.by_ref() {
        if let Some(ack) = parse(&line) {
            acknowledged.push(ack);
            break;
        }
    }
    assert!(!acknowledged.is_empty(), "the victim did not start");
    let killer = std::thread::spawn(move || {
        std::thread::sleep(pause);
        victim.kill().unwrap();
        victim.wait().unwrap();
    });
    acknowledged.extend(lines.filter_map(|line| parse(&line)));
    killer.join().unwrap();
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("store");
    let chance = Seeded::new(1);
    let mut acknowledged = Vec::new();
    let mut first = 0;
    for round in 0..ROUNDS {
        let latest = acknowledged_before_death(&directory, first, Duration::from_millis(chance.below(40)));
        first = compare(&directory, &latest, round);
        acknowledged.extend(latest);
    }
    compare(&directory, &acknowledged, ROUNDS);
    assert!(acknowledged.len() > 200, "only {} acknowledgements were put at risk", acknowledged.len());
}

#[test]
fn a_bit_that_flips_in_the_log_of_a_killed_process_is_never_a_silent_loss() {
    let parent = tempfile::tempdir().unwrap();
    let chance = Seeded::new(2);
    let (mut refused, mut harmless) = (0, 0);
    for round in 0..6 {
        let original = parent.path().join(format!("{round}"));
        let acknowledged = acknowledged_before_death(&original, 0, Duration::from_millis(chance.below(60)));
        for attempt in 0..12 {
            let copy = parent.path().join(format!("{round}-{attempt}"));
            copy_store(&original, &copy);
            let log = copy.join("store.db-wal");
            let mut file = OpenOptions::new().read(true).write(true).open(&log).unwrap();
            let at = chance.below(file.metadata().unwrap().len());
            flip(&mut file, at, chance.below(8));
            match try_open(&copy) {
                Err(EngineError::LogDamaged(_)) => refused += 1,
                Err(other) => panic!("round {round}, byte {at}: {other}"),
                Ok(engine) => {
                    drop(engine);
                    compare(&copy, &acknowledged, round);
                    harmless += 1;
                }
            }
        }
        compare(&original, &acknowledged, round);
    }
    // What was being written when death came is a small part of the log.
    assert!(refused > harmless, "{refused} refused, {harmless} harmless");
}

fn copy_store(from: &Path, to: &Path) {
    DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn flip(file: &mut File, at: u64, bit: u64) {
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    byte[0] ^= 1 << bit;
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&byte).unwrap();
}

fn parse(line: &str) -> Option<(u64, u64)> {
    let (number, rev) = line.strip_prefix("ack ")?.split_once(' ')?;
    Some((number.parse().ok()?, rev.parse().ok()?))
}

/// Answers the number with which the next victim goes on.
fn compare(directory: &Path, acknowledged: &[(u64, u64)], round: u64) -> u64 {
    let engine = open(directory);
    for (number, rev) in acknowledged {
        let keys = numbered(*number).writes.iter().map(|write| write.key().clone()).collect::<Vec<_>>();
        let (_, found) = engine.get(&partition(1), &keys, Read::Latest).unwrap();
        for found in found {
            let found =
                found.unwrap_or_else(|| panic!("round {round}: {number} was acknowledged and is lost"));
            assert_eq!(found.rev, Rev(*rev), "round {round}: {number}");
        }
    }
    let head = engine.head(&[partition(1)]).unwrap()[0];
    let (mut left, mut right) = (0, 0);
    let mut next = Some(KeyRange::all());
    while let Some(range) = next {
        let page = engine.scan(&partition(1), &range, Dir::Forward, 1000, Read::Latest).unwrap();
        for entry in page.entries {
            *(if entry.key.as_bytes().first() == Some(&b'l') { &mut left } else { &mut right }) += 1;
        }
        next = page.rest;
    }
    let mut audited = 0;
    let mut after = AuditPlace::default();
    loop {
        let rows = engine.audit_rows(&partition(1), after, 1000).unwrap();
        let Some(last) = rows.last() else { break };
        after = last.place;
        audited += rows.len() as u64;
    }
    // Whole or not at all: each revision left two entries and one row.
    assert_eq!((left, right, audited), (head.0, head.0, head.0), "round {round}");
    let health = engine.check(if round == ROUNDS { Depth::Deep } else { Depth::Quick }).unwrap();
    assert!(health.is_good(), "round {round}: {health:?}");
    head.0
}

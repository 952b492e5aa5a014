//! Logs of a real engine, taken while it ran as a crash would leave them, and then damaged byte by byte.

use std::fs;

use super::*;
use crate::{
    Rev,
    sqlite::{
        SqliteEngine,
        tests::{Site, bulky, commit},
    },
    testing::partition,
};

const FRAME_LEN: usize = FRAME_HEADER_LEN + 4096;

/// Numbers that a seed determines (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}

fn log_of(site: &Site) -> Vec<u8> {
    fs::read(site.path().join(LOG)).unwrap()
}

/// The log of an engine that died after a dozen commits.
fn a_log() -> Vec<u8> {
    let site = Site::new();
    let engine = site.open();
    (0..12).for_each(|number| drop(commit(&engine, bulky(number)).unwrap()));
    log_of(&site)
}

fn look(bytes: &[u8]) -> LogState {
    examine(&mut &*bytes).unwrap()
}

/// The frames, from 1, that end a commit.
fn marks(bytes: &[u8]) -> Vec<usize> {
    let frames = bytes[HEADER_LEN..].chunks_exact(FRAME_LEN);
    frames.enumerate().filter(|(_, frame)| frame[4..8] != [0; 4]).map(|(index, _)| index + 1).collect()
}

fn frame_at(position: usize) -> usize {
    position.checked_sub(HEADER_LEN).map_or(0, |behind| behind / FRAME_LEN + 1)
}

fn end_of(frame: usize) -> usize {
    HEADER_LEN + frame * FRAME_LEN
}

#[test]
fn a_log_of_a_killed_process_is_whole() {
    let log = a_log();
    let commits = marks(&log).len() as u64;
    assert!(commits >= 12);
    assert_eq!(look(&log), LogState::Whole { commits });
}

#[test]
fn one_flipped_bit_is_found_wherever_it_is() {
    let log = a_log();
    let marks = marks(&log);
    let mut dice = Dice(1);
    // All bits of the header and of the headers of frames, and some of the pages; the last frame gets its share.
    let headers =
        (0..log.len() / FRAME_LEN).flat_map(|frame| end_of(frame)..end_of(frame) + FRAME_HEADER_LEN);
    let positions = (0..HEADER_LEN)
        .chain(headers)
        .flat_map(|at| (0..8).map(move |bit| (at, bit)))
        .chain((0..3000).map(|_| (dice.below(log.len()), dice.below(8))).collect::<Vec<_>>());
    for (at, bit) in positions {
        let mut flipped = log.clone();
        flipped[at] ^= 1 << bit;
        let lost = marks.iter().filter(|mark| **mark >= frame_at(at)).count() as u64;
        match look(&flipped) {
            LogState::Damaged(damage) => {
                assert_eq!(damage.frame, frame_at(at) as u64);
                // A flipped bit in a mark may make it look like one more.
                assert!(
                    (lost..=lost + 1).contains(&damage.lost_commits),
                    "bit {bit} of byte {at}: {damage}, and not {lost}"
                );
                let kept = marks.iter().rfind(|mark| **mark < frame_at(at));
                assert_eq!(damage.good_bytes, kept.map_or(0, |mark| end_of(*mark) as u64));
            }
            other => panic!("bit {bit} of byte {at}: {other:?}"),
        }
    }
}

#[test]
fn a_flipped_bit_in_what_was_never_committed_costs_nothing() {
    let log = a_log();
    let marks = marks(&log);
    let tail = &log[..end_of(marks[marks.len() - 1] - 1)];
    let first = end_of(marks[marks.len() - 2]);
    assert!(first < tail.len(), "the last commit has more than one frame");
    let mut dice = Dice(2);
    for _ in 0..300 {
        let mut flipped = tail.to_vec();
        let at = first + dice.below(tail.len() - first);
        if (at - HEADER_LEN) % 4 == 3 {
            continue; // The upper bits of a word may look like a lost mark; then the safe side is taken.
        }
        flipped[at] ^= 1 << dice.below(8);
        assert_eq!(look(&flipped), LogState::Whole { commits: marks.len() as u64 - 1 }, "byte {at}");
    }
}

#[test]
fn a_torn_tail_is_no_damage() {
    let log = a_log();
    let marks = marks(&log);
    let mut dice = Dice(3);
    for _ in 0..300 {
        let length = dice.below(log.len());
        let commits = marks.iter().filter(|mark| end_of(**mark) <= length).count() as u64;
        let expected = if length < HEADER_LEN { LogState::Empty } else { LogState::Whole { commits } };
        assert_eq!(look(&log[..length]), expected, "{length} bytes");
    }
}

#[test]
fn pages_of_the_last_commit_that_never_reached_the_disk_are_no_damage() {
    let log = a_log();
    let marks = marks(&log);
    let unsynced = end_of(marks[marks.len() - 2]);
    let mut dice = Dice(4);
    for _ in 0..500 {
        let mut torn = log.clone();
        for sector in (0..log.len()).step_by(512).filter(|at| *at >= unsynced) {
            // What was there before: nothing, or pages of an older generation.
            match dice.below(4) {
                0 => torn[sector..log.len().min(sector + 512)].fill(0),
                1 => torn[sector..log.len().min(sector + 512)].fill_with(|| dice.below(256).to_le_bytes()[0]),
                _ => {}
            }
        }
        assert!(matches!(look(&torn), LogState::Whole { .. }), "{:?}", look(&torn));
    }
}

#[test]
fn a_lost_sector_before_the_last_two_commits_is_found() {
    let log = a_log();
    let marks = marks(&log);
    let end = end_of(marks[marks.len() - 3]);
    let mut dice = Dice(5);
    for _ in 0..300 {
        let mut rotten = log.clone();
        let at = dice.below(end / 512) * 512;
        rotten[at..at + 512].fill_with(|| dice.below(256).to_le_bytes()[0]);
        assert!(matches!(look(&rotten), LogState::Damaged(_)), "sector {at}");
    }
}

/// An engine whose log has begun again over the frames of an older generation.
fn a_reset_log(site: &Site) -> SqliteEngine {
    let engine = site.open();
    (0..40).for_each(|number| drop(commit(&engine, bulky(number)).unwrap()));
    engine
        .writer()
        .unwrap()
        .connection()
        .query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
        .unwrap();
    (100..104).for_each(|number| drop(commit(&engine, bulky(number)).unwrap()));
    engine
}

#[test]
fn frames_of_an_older_generation_are_no_damage() {
    let site = Site::new();
    let engine = a_reset_log(&site);
    let log = log_of(&site);
    let of_now =
        log[HEADER_LEN..].chunks_exact(FRAME_LEN).take_while(|frame| frame[8..16] == log[16..24]).count();
    assert!(log.len() > end_of(of_now + 20), "older frames follow");
    assert_eq!(look(&log), LogState::Whole { commits: 4 });

    let mut dice = Dice(6);
    for _ in 0..500 {
        let mut flipped = log.clone();
        let at = dice.below(log.len());
        flipped[at] ^= 1 << dice.below(8);
        let is_of_now = at < end_of(of_now);
        assert_eq!(matches!(look(&flipped), LogState::Damaged(_)), is_of_now, "byte {at}");
    }
    drop(engine);
}

#[test]
fn what_a_rolled_back_transaction_spilled_is_no_damage() {
    let site = Site::new();
    let engine = site.open();
    commit(&engine, bulky(1)).unwrap();
    let writer = engine.writer().unwrap();
    // A cache of ten pages, so that a transaction has to write before it ends.
    writer
        .connection()
        .execute_batch(
            "PRAGMA cache_size = 10; BEGIN IMMEDIATE;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
             INSERT INTO kv SELECT 1, randomblob(16), randomblob(2000), 1 FROM n;
             ROLLBACK; PRAGMA cache_size = -32768;",
        )
        .unwrap();
    drop(writer);
    commit(&engine, bulky(2)).unwrap();
    let log = log_of(&site);
    assert!(log.len() > end_of(*marks(&log).last().unwrap() + 20), "spilled frames follow");
    assert!(matches!(look(&log), LogState::Whole { commits } if commits >= 2));
}

/// A store as a crash leaves it, with one bit of its log flipped.
fn crashed_and_flipped() -> (Site, Vec<u8>) {
    let site = Site::new();
    let engine = site.open();
    (0..12).for_each(|number| drop(commit(&engine, bulky(number)).unwrap()));
    let files = ["store.db", LOG, "lock"].map(|name| (name, fs::read(site.path().join(name)).unwrap()));
    drop(engine);
    let mut log = Vec::new();
    for (name, mut bytes) in files {
        if name == LOG {
            let at = end_of(marks(&bytes)[6]) + 1000;
            bytes[at] ^= 4;
            log.clone_from(&bytes);
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(site.path().join(name))
            .unwrap();
        file.write_all(&bytes).unwrap();
    }
    (site, log)
}

#[test]
fn a_start_that_would_lose_acknowledged_writes_is_refused_and_changes_nothing() {
    let (site, log) = crashed_and_flipped();
    for _ in 0..2 {
        let error = site.try_open().unwrap_err();
        assert!(matches!(&error, EngineError::LogDamaged(damage) if damage.lost_commits >= 5), "{error}");
        assert!(error.to_string().contains("acknowledged commits"), "{error}");
        assert_eq!(log_of(&site), log);
    }
}

#[test]
fn a_loss_is_accepted_by_its_name_and_the_log_is_kept() {
    let (site, log) = crashed_and_flipped();
    let Ok(LogState::Damaged(damage)) = examine_log(&site.path()) else { panic!("the log is damaged") };
    assert!(accept_loss(&site.path(), "0-1").is_err());
    assert_eq!(log_of(&site), log);

    let (accepted, kept) = accept_loss(&site.path(), &damage.id).unwrap();
    assert_eq!(accepted, damage);
    assert_eq!(fs::read(&kept).unwrap(), log);
    assert_eq!(logs_set_aside(&site.path()), [kept]);
    assert!(accept_loss(&site.path(), &damage.id).is_err(), "it is no more");

    let engine = site.open();
    let head = crate::Engine::head(&engine, &[partition(1)]).unwrap()[0];
    assert!(head > Rev::ZERO && head < Rev(12), "{head:?}");
    assert!(crate::Engine::check(&engine, crate::Depth::Deep).unwrap().is_good());
}

/// A killed engine that never copied its log into its file.
fn young() -> Site {
    let site = Site::new();
    let engine = site.open();
    (0..12).for_each(|number| drop(commit(&engine, bulky(number)).unwrap()));
    std::mem::forget(engine);
    let copy = Site::new();
    drop(DataDirectory::take(&copy.path()).unwrap());
    for name in [directory::STORE, LOG, directory::LOCK] {
        fs::copy(site.path().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[test]
fn a_loss_that_would_leave_nothing_is_not_accepted() {
    let site = young();
    let log = site.path().join(LOG);
    let mut bytes = log_of(&site);
    bytes[end_of(0) + FRAME_HEADER_LEN + 100] ^= 1;
    OpenOptions::new().write(true).open(&log).unwrap().write_all(&bytes).unwrap();
    let LogState::Damaged(damage) = examine_log(&site.path()).unwrap() else { panic!("it is damaged") };
    let refusal = accept_loss(&site.path(), &damage.id).unwrap_err().to_string();
    assert!(refusal.contains("no whole commit would be left"), "{refusal}");
    assert_eq!(fs::read(&log).unwrap(), bytes, "nothing was changed");
    assert_eq!(logs_set_aside(&site.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_young_store_without_its_log_is_empty_and_not_of_another_program() {
    let site = young();
    fs::remove_file(site.path().join(LOG)).unwrap();
    for error in [site.try_open().unwrap_err(), crate::StillStore::open(&site.path(), "test").unwrap_err()] {
        assert!(error.to_string().contains("empty inside"), "{error}");
    }
}

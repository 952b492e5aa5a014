//! What only the embedded engine can get wrong: directories, damage, a full disk, a second server, the log.

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write as _},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use coffer_types::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::{
    Key, Write,
    testing::{key, partition, txn},
};

/// A clock that stands where it was put.
#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Different bytes at every call, and the same ones in every run.
#[derive(Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        bytes.iter_mut().zip(number.to_be_bytes().into_iter().cycle()).for_each(|(to, from)| *to = from);
    }
}

pub(super) struct Site {
    parent: TempDir,
    entropy: Counting,
    clock: Arc<Hands>,
    free: Arc<AtomicU64>,
}

impl Site {
    pub(super) fn new() -> Self {
        Self {
            parent: tempfile::tempdir().unwrap(),
            entropy: Counting::default(),
            clock: Arc::default(),
            free: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.parent.path().join("store")
    }

    fn options(&self) -> SqliteOptions {
        let free = Arc::clone(&self.free);
        SqliteOptions::new("test", self.clock.clone(), Arc::new(move |_| Ok(free.load(Ordering::Relaxed))))
    }

    pub(super) fn open(&self) -> SqliteEngine {
        self.try_open().unwrap()
    }

    pub(super) fn try_open(&self) -> Result<SqliteEngine, EngineError> {
        SqliteEngine::open(&self.path(), self.options(), &self.entropy)
    }
}

pub(super) fn commit(engine: &SqliteEngine, txn: Txn) -> Result<Commit, EngineError> {
    Ok(engine.commit(&[txn])?.remove(0))
}

/// A kilobyte that does not compress and is not a neighbour of the last one.
pub(super) fn bulky(number: u64) -> Txn {
    let mut txn = txn(1, number).done();
    let name = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec();
    txn.writes
        .push(Write::Put { key: Key::new(name), value: Bytes::from(vec![number.to_le_bytes()[0]; 1024]) });
    txn
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let site = Site::new();
    let engine = site.open();
    assert!(engine.is_new());
    commit(&engine, txn(1, 1).puts("a", "one").done()).unwrap();
    drop(engine);

    let engine = site.open();
    assert!(!engine.is_new());
    assert_eq!(commit(&engine, txn(1, 1).done()), Ok(Commit::Duplicate(Rev(1))));
    assert_eq!(commit(&engine, txn(1, 2).expects_rev("a", 1).done()), Ok(Commit::Done(Rev(2))));
}

#[test]
fn a_store_is_used_by_one_process() {
    let site = Site::new();
    let engine = site.open();
    let error = site.try_open().unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    drop(engine);
    site.open();
}

#[test]
fn a_server_that_was_taken_over_stops_at_its_next_commit() {
    // As on a file system whose locks do not work: the second server opens and signs the store.
    let site = Site::new();
    let older = site.open();
    commit(&older, txn(1, 1).done()).unwrap();
    let other = rusqlite::Connection::open(site.path().join("store.db")).unwrap();
    other.execute("UPDATE meta SET value = ?1 WHERE name = 'owner'", [vec![0; 16]]).unwrap();

    let error = commit(&older, txn(1, 2).puts("a", "late").done()).unwrap_err();
    assert!(error.to_string().contains("taken over"), "{error}");
    assert!(older.fatal().unwrap().contains("taken over"));
    assert!(older.head(&[partition(1)]).is_err());
    drop((older, other));
    assert_eq!(site.open().head(&[partition(1)]), Ok(vec![Rev(1)]));
}

#[test]
fn stores_of_another_mark_format_or_program_are_refused() {
    let site = Site::new();
    drop(site.open());
    let wrong_mark = SqliteOptions { mark: "other".to_owned(), ..site.options() };
    let error = SqliteEngine::open(&site.path(), wrong_mark, &site.entropy).unwrap_err();
    assert!(matches!(error, EngineError::IncompatibleFormat { .. }), "{error}");

    let change = |sql: &str| {
        rusqlite::Connection::open(site.path().join("store.db")).unwrap().execute_batch(sql).unwrap();
    };
    change("UPDATE meta SET value = CAST('1.7' AS BLOB) WHERE name = 'format'");
    site.open();
    for sql in
        ["UPDATE meta SET value = CAST('2.0' AS BLOB) WHERE name = 'format'", "PRAGMA application_id = 7"]
    {
        change(sql);
        let error = site.try_open().unwrap_err();
        assert!(matches!(error, EngineError::IncompatibleFormat { .. }), "{error}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "damage that a test makes need not be durable")]
fn a_store_whose_file_was_lost_does_not_start_empty() {
    let site = Site::new();
    drop(site.open());
    let file = site.path().join("store.db");
    fs::remove_file(&file).unwrap();
    // The log may hold what was acknowledged last, and whatever is in it must be there when the file comes back. So it is,
    // even where the mark of a complete store is gone as well.
    let log = site.path().join("store.db-wal");
    fs::write(&log, b"acknowledged").unwrap();
    fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for mark in [None, Some(b"")] {
        if let Some(mark) = mark {
            fs::write(site.path().join("lock"), mark).unwrap();
        }
        let error = site.try_open().unwrap_err();
        assert!(matches!(error, EngineError::Corrupt { .. }), "{error}");
        assert_eq!(fs::read(&log).unwrap(), b"acknowledged");
        assert!(!file.exists());
    }
}

#[test]
fn a_creation_that_was_cut_off_is_begun_again() {
    let site = Site::new();
    drop(DataDirectory::take(&site.path()).unwrap());
    assert!(site.open().is_new());
}

#[test]
fn damage_is_reported_and_nobody_panics() {
    let mut reported = 0;
    for seed in 0..40_u64 {
        let site = Site::new();
        let engine = site.open();
        for first in (0..512).step_by(128) {
            engine.commit(&(first..first + 128).map(bulky).collect::<Vec<_>>()).unwrap();
        }
        drop(engine);
        let path = site.path().join("store.db");
        let size = fs::metadata(&path).unwrap().len();
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        // Header, schema page, and pages all over the file.
        let at = if seed < 2 { seed * 100 } else { (seed * 0x9e37_79b9) % size / 4096 * 4096 };
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[0xa5; 512]).unwrap();
        drop(file);

        let found = match site.try_open() {
            Err(error) => Some(error),
            Ok(engine) => {
                let reads = (0..512).map(|number| {
                    let keys = [bulky(number).writes[0].key().clone()];
                    engine.get(&partition(1), &keys, Read::Latest).map(|_| ())
                });
                let write = commit(&engine, bulky(99_999)).map(|_| ());
                let health = engine.check(Depth::Deep);
                reads.chain([write]).find_map(Result::err).or_else(|| match health {
                    Ok(health) if health.is_good() => None,
                    Ok(health) => Some(EngineError::corrupt(health.problems.join("; "))),
                    Err(error) => Some(error),
                })
            }
        };
        match found {
            Some(EngineError::Corrupt { .. }) => reported += 1,
            // The engine had stopped for the damage before the later question came.
            Some(EngineError::Unavailable { reason }) => assert!(reason.contains("stopped"), "{reason}"),
            Some(other) => panic!("seed {seed}: {other}"),
            // The bytes of a value: here only the sealing above the store can notice.
            None => {}
        }
    }
    assert!(reported >= 10, "{reported} of 40");
}

#[test]
fn a_disk_without_room_takes_deletions_only() {
    let site = Site::new();
    let engine = site.open();
    commit(&engine, txn(1, 1).puts("a", "1").puts("b", "1").done()).unwrap();

    site.free.store((128 << 20) - 1, Ordering::Relaxed);
    let put = || txn(1, 2).puts("c", "1").done();
    site.clock.0.store(999, Ordering::Relaxed);
    assert_eq!(
        commit(&engine, txn(1, 3).puts("a", "2").done()),
        Ok(Commit::Done(Rev(2))),
        "asked within the second"
    );
    site.clock.0.store(1000, Ordering::Relaxed);
    assert!(matches!(commit(&engine, put()), Err(EngineError::Full { .. })));
    assert_eq!(commit(&engine, txn(1, 4).deletes("a").audits("row").done()), Ok(Commit::Done(Rev(3))));

    site.free.store(128 << 20, Ordering::Relaxed);
    site.clock.0.store(2000, Ordering::Relaxed);
    assert_eq!(commit(&engine, put()), Ok(Commit::Done(Rev(4))));
}

#[test]
fn a_write_that_finds_no_room_leaves_nothing_and_stops_nothing() {
    let site = Site::new();
    let engine = site.open();
    commit(&engine, bulky(1)).unwrap();
    let limit_pages = |pages: u32| {
        let writer = engine.writer().unwrap();
        writer.connection().query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    };
    limit_pages(30);
    let group = (2..200).map(bulky).collect::<Vec<_>>();
    assert!(matches!(engine.commit(&group), Err(EngineError::Full { .. })));
    assert_eq!(engine.fatal(), None);
    assert_eq!(engine.head(&[partition(1)]), Ok(vec![Rev(1)]));

    limit_pages(1 << 20);
    assert_eq!(engine.commit(&group).unwrap().last(), Some(&Commit::Done(Rev(199))));
    assert!(engine.check(Depth::Deep).unwrap().is_good());
}

#[test]
fn a_failed_write_stops_the_engine_and_tells_its_owner_once() {
    let site = Site::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let of_hook = Arc::clone(&told);
    let options = SqliteOptions {
        on_fatal: Some(Box::new(move |cause| of_hook.lock().unwrap().push(cause.to_owned()))),
        ..site.options()
    };
    let engine = SqliteEngine::open(&site.path(), options, &site.entropy).unwrap();
    commit(&engine, txn(1, 1).puts("a", "1").done()).unwrap();
    // Writes fail from here on, reads would still work.
    engine.writer().unwrap().connection().execute_batch("PRAGMA query_only = ON").unwrap();

    assert!(commit(&engine, txn(1, 2).puts("a", "2").done()).is_err());
    let cause = engine.fatal().unwrap();
    let all: [Result<(), EngineError>; 7] = [
        commit(&engine, txn(1, 3).done()).map(|_| ()),
        engine.get(&partition(1), &[key("a")], Read::Latest).map(|_| ()),
        engine.head(&[partition(1)]).map(|_| ()),
        engine.partitions().map(|_| ()),
        engine.export(&mut Vec::new()),
        engine.check(Depth::Quick).map(|_| ()),
        engine.drop_audit_rows(&partition(1), AuditPlace::default()),
    ];
    for answer in all {
        let error = answer.unwrap_err();
        assert!(matches!(&error, EngineError::Unavailable { reason } if reason.contains(&cause)), "{error}");
    }
    assert_eq!(*told.lock().unwrap(), [cause]);
    drop(engine);
    assert_eq!(site.open().head(&[partition(1)]), Ok(vec![Rev(1)]));
}

#[test]
fn the_log_stays_short_under_writes_and_is_empty_after_closing() {
    let site = Site::new();
    let engine = site.open();
    let mut longest = 0;
    for first in (0..40_000).step_by(250) {
        engine.commit(&(first..first + 250).map(bulky).collect::<Vec<_>>()).unwrap();
        longest = longest.max(engine.writer().unwrap().log_bytes());
    }
    assert!(longest <= writer::LOG_BYTES_KEPT, "{longest}");
    drop(engine);
    let log = fs::metadata(site.path().join("store.db-wal")).map_or(0, |found| found.len());
    assert_eq!(log, 0);
}

#[test]
fn the_largest_group_fits_the_log() {
    let site = Site::new();
    let engine = site.open();
    // Tiny rows all over a store that is already large, which cost the log most.
    for first in (0..10_000).step_by(250) {
        engine.commit(&(first..first + 250).map(bulky).collect::<Vec<_>>()).unwrap();
    }
    engine
        .writer()
        .unwrap()
        .connection()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let group = (0..256_u64)
        .map(|number| {
            let mut txn = txn(1, 1_000_000 + number).done();
            txn.writes = (0..8)
                .map(|n| {
                    let name = (number * 8 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec();
                    Write::Put { key: Key::new(name), value: Bytes::from_static(b"x") }
                })
                .collect();
            txn
        })
        .collect::<Vec<_>>();
    engine.commit(&group).unwrap();
    let one_group = engine.writer().unwrap().log_bytes();
    assert!(one_group <= 24 << 20, "{one_group}");
}

#[test]
fn history_is_bounded_and_says_so() {
    let site = Site::new();
    let options = SqliteOptions { history: 8, ..site.options() };
    let engine = SqliteEngine::open(&site.path(), options, &site.entropy).unwrap();
    for number in 1..=20 {
        commit(&engine, txn(1, number).done()).unwrap();
    }
    assert_eq!(engine.changes(&partition(1), Rev(11), 10), Ok(Changes::Lost { head: Rev(20) }));
    let Changes::Since { changes, .. } = engine.changes(&partition(1), Rev(12), 100).unwrap() else {
        panic!("eight revisions are remembered")
    };
    assert_eq!(changes.len(), 8);
    assert_eq!(commit(&engine, txn(1, 13).done()), Ok(Commit::Duplicate(Rev(13))));
    assert_eq!(commit(&engine, txn(1, 12).done()), Ok(Commit::Done(Rev(21))), "forgotten");
}

#[test]
fn files_are_for_their_owner_only_while_in_use() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    let engine = site.open();
    commit(&engine, bulky(1)).unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(site.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert_eq!(seen, 4, "store, log, index of the log, lock");
}

#[test]
fn a_commit_that_fails_at_its_end_is_an_unknown_outcome() {
    let site = Site::new();
    let engine = site.open();
    commit(&engine, txn(1, 1).puts("a", "1").done()).unwrap();
    // Every statement of the group succeeds, and then the commit itself does not.
    engine
        .writer()
        .unwrap()
        .connection()
        .execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE TABLE trap (at INTEGER REFERENCES part (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER spring AFTER INSERT ON kv BEGIN INSERT INTO trap VALUES (-1); END;",
        )
        .unwrap();
    let lost = commit(&engine, txn(1, 2).puts("b", "1").done());
    assert!(matches!(lost, Err(EngineError::OutcomeUnknown { .. })), "{lost:?}");
    assert!(engine.fatal().unwrap().contains("a commit failed"));
    assert!(matches!(commit(&engine, txn(1, 2).done()), Err(EngineError::Unavailable { .. })));
    drop(engine);
    // The next process asks by the token, and here it had not happened.
    assert_eq!(commit(&site.open(), txn(1, 2).done()), Ok(Commit::Done(Rev(2))));
}

/// Commits while an export is under way.
struct Busy<'a> {
    engine: &'a SqliteEngine,
    frames: Vec<crate::Frame>,
    number: u64,
    during: fn(&SqliteEngine),
}

impl FrameSink for Busy<'_> {
    fn put(&mut self, frame: &crate::Frame) -> Result<(), EngineError> {
        self.number += 1;
        commit(self.engine, bulky(self.number))?;
        (self.during)(self.engine);
        self.frames.put(frame)
    }
}

#[test]
fn an_export_is_of_one_instant_whatever_is_written_meanwhile() {
    let site = Site::new();
    let engine = site.open();
    engine.commit(&(0..100).map(bulky).collect::<Vec<_>>()).unwrap();
    let mut before = Vec::new();
    engine.export(&mut before).unwrap();
    let mut busy = Busy { engine: &engine, frames: Vec::new(), number: 1000, during: |_| {} };
    engine.export(&mut busy).unwrap();
    assert_eq!(busy.frames, before);
}

#[test]
fn an_export_that_holds_too_much_of_the_log_gives_way() {
    let site = Site::new();
    let engine = site.open();
    engine.commit(&(0..100).map(bulky).collect::<Vec<_>>()).unwrap();
    let during = |engine: &SqliteEngine| engine.long_reads.ask_to_stop();
    let mut busy = Busy { engine: &engine, frames: Vec::new(), number: 1000, during };
    let error = engine.export(&mut busy).unwrap_err();
    assert!(error.to_string().contains("overtaken by writes"), "{error}");
    engine.export(&mut Vec::new()).unwrap();
}

//! A store that nobody serves, read without leaving a trace.
//!
//! A backup is checked where it lies: on a mount that is read-only, in a directory that nobody may write, by somebody who must not
//! change a byte of it. The engine cannot do that, because opening is writing: it signs the store, begins a new log, and shares an
//! index of the log with its readers through a file. So this reads with one connection of its own. Without a log the file is
//! all there is, and SQLite is told that nothing will ever change it. With a log, SQLite keeps the index of it in memory.
//!
//! A log that has lost writes is read up to where it breaks; [`StillStore::log`] says so, and whoever asks decides what to make of it.
//!
//! It holds the lock of the directory, shared: no server begins while somebody looks, and several may look at once.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use rusqlite::Connection;

use super::{
    directory::{self, LOCK, STORE, failed, refused},
    log::{LogState, examine_log},
    readers::{self, PartId},
    schema, transfer,
};
use crate::{AuditPlace, AuditRow, Depth, Dir, EngineError, Health, KeyRange, Page, Partition, Read, Rev};

#[derive(Debug)]
pub struct StillStore {
    connection: Connection,
    parts: Vec<(PartId, Partition, Rev)>,
    log: LogState,
    // Held as long as somebody looks. A copy may have come without it.
    _lock: Option<File>,
}

impl StillStore {
    /// Opens the store in a directory for looking only; one of another mark is refused.
    pub fn open(path: &Path, mark: &str) -> Result<Self, EngineError> {
        schema::check_library()?;
        let path = path.canonicalize().map_err(|error| failed(path, "cannot be resolved", &error))?;
        let lock = lock_shared(&path)?;
        let store = path.join(STORE);
        if directory::file_length(&store)? == 0 {
            return Err(EngineError::corrupt("the store file is missing or empty; put the file back"));
        }
        let log = examine_log(&path)?;
        let has_log = directory::file_length(&path.join(directory::LOG))? > 0;
        let connection = schema::open_still(&store, has_log)?;
        schema::check_format(&connection, mark)?;
        let parts = readers::list_parts(&connection)?;
        Ok(Self { connection, parts, log, _lock: lock })
    }

    /// What the log was like when the store was opened.
    pub const fn log(&self) -> &LogState {
        &self.log
    }

    /// What this store knows its keyring by, if it was told.
    pub fn keyring_mark(&self) -> Result<Option<Vec<u8>>, EngineError> {
        schema::keyring_mark(&self.connection)
    }

    /// How far its keyring had come when the store was told last.
    pub fn keyring_age(&self) -> Result<Option<Vec<u8>>, EngineError> {
        schema::keyring_age(&self.connection)
    }

    /// Every partition that ever changed, in order.
    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.parts.iter().map(|(_, partition, _)| partition)
    }

    pub fn scan(&self, partition: &Partition, range: &KeyRange, limit: u32) -> Result<Page, EngineError> {
        match self.part(partition) {
            Some(part) => readers::scan(&self.connection, part, range, Dir::Forward, limit, Read::Latest),
            None => Ok(Page { rev: Rev::ZERO, entries: Vec::new(), rest: None }),
        }
    }

    /// The audit rows after a place, oldest first.
    pub fn audit_rows(
        &self,
        partition: &Partition,
        after: AuditPlace,
        limit: u32,
    ) -> Result<Vec<AuditRow>, EngineError> {
        match self.part(partition) {
            Some(part) => readers::audit_rows(&self.connection, part, after, limit),
            None => Ok(Vec::new()),
        }
    }

    pub fn check(&self, depth: Depth) -> Result<Health, EngineError> {
        transfer::check(&self.connection, depth)
    }

    fn part(&self, partition: &Partition) -> Option<PartId> {
        self.parts.iter().find(|(_, known, _)| known == partition).map(|(part, ..)| *part)
    }
}

fn lock_shared(path: &Path) -> Result<Option<File>, EngineError> {
    let lock = match File::open(path.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, "cannot be locked", &error)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => {
            Err(refused(path, "is in use by another process; stop that one, or choose another directory"))
        }
        Err(TryLockError::Error(error)) => Err(failed(path, "cannot be locked", &error)),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, DirBuilder, OpenOptions},
        hash::Hasher,
        io::Write,
        os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    };

    use super::*;
    use crate::{
        Engine,
        sqlite::tests::{Site, bulky, commit},
        testing::partition,
    };

    /// Everything that a look could change: names, sizes, times, and the bytes, each file as a line.
    fn traces(path: &Path) -> Vec<String> {
        let of = |path: &Path, bytes: &[u8]| {
            let about = fs::metadata(path).unwrap();
            let mut sum = std::hash::DefaultHasher::new();
            sum.write(bytes);
            let name = path.file_name().unwrap();
            format!("{name:?} {} {}.{} {:x}", about.len(), about.mtime(), about.mtime_nsec(), sum.finish())
        };
        let mut found: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|file| of(&file, &fs::read(&file).unwrap()))
            .chain([of(path, b"")])
            .collect();
        found.sort();
        found
    }

    /// A copy as a backup makes it while the store is in use, without the index of the log.
    fn copied(site: &Site, to: &Path, names: &[&str]) {
        DirBuilder::new().mode(0o700).create(to).unwrap();
        for name in names {
            let bytes = fs::read(site.path().join(name)).unwrap();
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(to.join(name)).unwrap();
            file.write_all(&bytes).unwrap();
        }
    }

    fn entries(store: &StillStore) -> usize {
        store.scan(&partition(1), &KeyRange::all(), 1000).unwrap().entries.len()
    }

    #[test]
    fn a_look_leaves_no_trace() {
        let site = Site::new();
        let engine = site.open();
        (0..30).for_each(|number| drop(commit(&engine, bulky(number)).unwrap()));
        let parent = tempfile::tempdir().unwrap();
        let with_log = parent.path().join("with a log %3f#");
        copied(&site, &with_log, &["store.db", "store.db-wal", "lock"]);
        drop(engine);
        let without_log = parent.path().join("without?");
        copied(&site, &without_log, &["store.db", "lock"]);
        let alone = parent.path().join("alone");
        copied(&site, &alone, &["store.db"]);

        for path in [with_log, without_log, alone] {
            let before = traces(&path);
            let store = StillStore::open(&path, "test").unwrap();
            assert_eq!(entries(&store), 30, "{}", path.display());
            assert_eq!(store.partitions().collect::<Vec<_>>(), [&partition(1)]);
            assert!(store.check(Depth::Deep).unwrap().is_good());
            assert!(store.audit_rows(&partition(1), AuditPlace::default(), 10).unwrap().is_empty());
            assert_eq!(traces(&path), before, "while somebody looks");
            // Two may look at once.
            drop(StillStore::open(&path, "test").unwrap());
            drop(store);
            assert_eq!(traces(&path), before, "afterwards");
        }
    }

    #[test]
    fn a_damaged_log_is_read_up_to_where_it_breaks() {
        let site = Site::new();
        let engine = site.open();
        (0..30).for_each(|number| drop(commit(&engine, bulky(number)).unwrap()));
        let parent = tempfile::tempdir().unwrap();
        let copy = parent.path().join("copy");
        copied(&site, &copy, &["store.db", "store.db-wal", "lock"]);
        drop(engine);
        let log = copy.join("store.db-wal");
        let mut bytes = fs::read(&log).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        OpenOptions::new().write(true).open(&log).unwrap().write_all(&bytes).unwrap();

        let before = traces(&copy);
        let store = StillStore::open(&copy, "test").unwrap();
        assert!(matches!(store.log(), LogState::Damaged(_)));
        assert!((1..30).contains(&entries(&store)));
        drop(store);
        assert_eq!(traces(&copy), before);
    }

    #[test]
    fn a_store_in_use_and_one_of_another_mark_are_not_looked_at() {
        let site = Site::new();
        let engine = site.open();
        let error = StillStore::open(&site.path(), "test").unwrap_err();
        assert!(error.to_string().contains("in use"), "{error}");
        drop(engine);
        let store = StillStore::open(&site.path(), "test").unwrap();
        assert!(site.try_open().is_err(), "no server begins while somebody looks");
        drop(store);
        assert!(matches!(
            StillStore::open(&site.path(), "other"),
            Err(EngineError::IncompatibleFormat { .. })
        ));
        assert_eq!(site.open().partitions(), Ok(vec![]));
    }
}

//! The file: its tables, its format number, and how connections to it are set up.
//!
//! Every table is an ordinary rowid table with a unique index beside it. A table clustered by its key (`WITHOUT
//! ROWID`) looks natural for a key-value store and was measured at twice the size and four times the read cost for
//! values of a kilobyte, because values then live inside the interior search pages.
//!
//! Partitions are numbers in the rows and words in one small table, so that a row does not pay for them.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt,
    path::Path,
    time::Duration,
};

use coffer_types::Entropy;
use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig};

use super::{
    directory::{DataDirectory, failed},
    failure::explain,
};
use crate::EngineError;

/// Fixed bugs of earlier versions lost committed pages when a checkpoint met a reset of the log.
const LIBRARY_VERSION_MIN: i32 = 3_051_003;

/// "CofS"; tells `file(1)` and us whose database this is.
const APPLICATION_ID: i32 = 0x436f_6653;
/// Where SQLite keeps it in the file.
const APPLICATION_ID_AT: usize = 68;

/// A program reads every minor of its own major: a minor adds what older programs may overlook.
const FORMAT_MAJOR: u32 = 1;
const FORMAT_MINOR: u32 = 0;

const TABLES: &str = "
    CREATE TABLE meta (name TEXT NOT NULL, value BLOB NOT NULL) STRICT;
    CREATE UNIQUE INDEX meta_name ON meta (name);

    CREATE TABLE part (id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, head INTEGER NOT NULL) STRICT;
    CREATE UNIQUE INDEX part_name ON part (account, region);

    CREATE TABLE kv (part INTEGER NOT NULL, k BLOB NOT NULL, v BLOB NOT NULL, rev INTEGER NOT NULL) STRICT;
    CREATE UNIQUE INDEX kv_key ON kv (part, k);

    CREATE TABLE history (part INTEGER NOT NULL, rev INTEGER NOT NULL, token BLOB NOT NULL, touched BLOB NOT NULL) STRICT;
    CREATE UNIQUE INDEX history_rev ON history (part, rev);
    CREATE UNIQUE INDEX history_token ON history (part, token);

    CREATE TABLE audit (part INTEGER NOT NULL, rev INTEGER NOT NULL, ordinal INTEGER NOT NULL, row BLOB NOT NULL) STRICT;
    CREATE UNIQUE INDEX audit_place ON audit (part, rev, ordinal);
";

const KEYRING: &str = "keyring";
/// How far that keyring has come.
const KEYRING_AGE: &str = "keyring_age";

const BUSY_WAIT: Duration = Duration::from_secs(5);
const STATEMENTS_KEPT: usize = 32;

pub(super) type OwnerId = [u8; 16];

/// Refuses to stand on a library that is known to lose data.
pub(super) fn check_library() -> Result<(), EngineError> {
    let found = rusqlite::version_number();
    if found >= LIBRARY_VERSION_MIN {
        return Ok(());
    }
    Err(EngineError::IncompatibleFormat {
        reason: format!(
            "this program was built with SQLite {}, which can lose committed data; use a build with 3.51.3 or later",
            rusqlite::version()
        ),
    })
}

/// The one connection that writes.
pub(super) fn open_writer(path: &Path) -> Result<Connection, EngineError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, "")?;
    let apply = || -> rusqlite::Result<String> {
        // Before anything is written: a log that checkpoints when we say so, and syncs at every commit.
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))?;
        connection.execute_batch(
            "PRAGMA synchronous = FULL;
             PRAGMA fullfsync = ON;
             PRAGMA checkpoint_fullfsync = ON;
             PRAGMA cache_size = -32768;",
        )?;
        for (pragma, value) in
            [("wal_autocheckpoint", 0), ("journal_size_limit", super::writer::LOG_BYTES_KEPT)]
        {
            connection.query_row(&format!("PRAGMA {pragma} = {value}"), [], |_| Ok(()))?;
        }
        Ok(mode)
    };
    match apply().map_err(|error| explain(&error))?.as_str() {
        "wal" => Ok(connection),
        other => Err(EngineError::unavailable(format!(
            "{} cannot keep a write-ahead log (journal mode {other}); choose a local file system",
            path.display()
        ))),
    }
}

pub(super) fn open_reader(path: &Path) -> Result<Connection, EngineError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, "")?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -2048;")
        .map_err(|error| explain(&error))?;
    Ok(connection)
}

/// A reader that leaves no trace, of a file that nobody writes.
pub(super) fn open_still(path: &Path, has_log: bool) -> Result<Connection, EngineError> {
    // Without a log, a promise that nothing changes; else SQLite would make one. With a log, exclusive use, which keeps the index of
    // it in memory; the lock for that would be a lock for writing, so none is taken. The lock of the directory stands for it.
    let promise = if has_log { "vfs=unix-none" } else { "immutable=1" };
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => uri.push(char::from(*byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    let uri = format!("{uri}?{promise}");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    open(Path::new(&uri), flags, "PRAGMA locking_mode = EXCLUSIVE")
}

/// `first` runs before anything is read.
fn open(path: &Path, mode: OpenFlags, first: &str) -> Result<Connection, EngineError> {
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let set_up = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.execute_batch(first)?;
        connection.busy_timeout(BUSY_WAIT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        // Closing must not touch the file behind our back: after a failed sync that would be a retry.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.query_row("PRAGMA mmap_size = 0", [], |_| Ok(())).optional()?;
        connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;")?;
        Ok(connection)
    };
    set_up().map_err(|error| explain(&error))
}

/// What was found, or made.
pub(super) struct Opened {
    pub(super) is_new: bool,
    pub(super) owner: OwnerId,
}

/// Creates the tables in an empty file or checks that they are ours, and signs the store with a new owner id.
pub(super) fn prepare(
    writer: &Connection,
    directory: &mut DataDirectory,
    mark: &str,
    entropy: &dyn Entropy,
) -> Result<Opened, EngineError> {
    let mut owner = OwnerId::default();
    entropy.fill(&mut owner);
    let is_new = is_empty(writer).map_err(|error| explain(&error))?;
    if is_new {
        if directory.is_complete() {
            return Err(emptied());
        }
        create(writer, mark, &owner).map_err(|error| explain(&error))?;
    } else {
        check_format(writer, mark)?;
        begin_log(writer)?;
        set_meta(writer, "owner", &owner).map_err(|error| explain(&error))?;
    }
    if !directory.is_complete() {
        directory.mark_complete()?;
    }
    Ok(Opened { is_new, owner })
}

/// Copies what the last process left in the log, and begins a new one.
///
/// If that process ended because a sync failed, the kernel may still show us the frames and yet never write them, and will say of
/// the next sync that it went well. Copied into the file they are written again. And a new log has new salts, so that leftovers
/// behind the last commit can never be taken for frames of this process.
fn begin_log(writer: &Connection) -> Result<(), EngineError> {
    let is_busy = writer
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
        .map_err(|error| explain(&error))?;
    if is_busy {
        return Err(EngineError::unavailable("another program has the store open; close it and try again"));
    }
    Ok(())
}

/// Until the log is copied into the file for the first time, the file is a database without anything in it.
fn emptied() -> EngineError {
    EngineError::corrupt(
        "store.db is empty inside: what was written is in store.db-wal, which is missing or was cut; put that file back",
    )
}

/// Whether the file itself, without its log, holds our tables. Nobody may have it open.
pub(super) fn is_furnished(path: &Path) -> Result<bool, EngineError> {
    let mut first = [0; APPLICATION_ID_AT + 4];
    match File::open(path).and_then(|mut file| file.read_exact(&mut first)) {
        Ok(()) => Ok(first.last_chunk() == Some(&APPLICATION_ID.to_be_bytes())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(failed(path, "cannot be read", &error)),
    }
}

fn is_empty(writer: &Connection) -> rusqlite::Result<bool> {
    writer.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

fn create(writer: &Connection, mark: &str, owner: &OwnerId) -> rusqlite::Result<()> {
    let transaction = writer.unchecked_transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}"))?;
    set_meta(&transaction, "format", format!("{FORMAT_MAJOR}.{FORMAT_MINOR}").as_bytes())?;
    set_meta(&transaction, "mark", mark.as_bytes())?;
    set_meta(&transaction, "owner", owner)?;
    transaction.commit()
}

pub(super) fn check_format(writer: &Connection, mark: &str) -> Result<(), EngineError> {
    let id = writer
        .query_row("PRAGMA application_id", [], |row| row.get::<_, i32>(0))
        .map_err(|error| explain(&error))?;
    if id == 0 && is_empty(writer).map_err(|error| explain(&error))? {
        return Err(emptied());
    }
    if id != APPLICATION_ID {
        return Err(incompatible("the file is a database of another program; choose another directory"));
    }
    let format = meta(writer, "format")?;
    let format = String::from_utf8_lossy(&format).into_owned();
    let major = format.split_once('.').and_then(|(major, _)| major.parse::<u32>().ok());
    if major != Some(FORMAT_MAJOR) {
        return Err(incompatible(&format!(
            "the store has format {format} and this program reads {FORMAT_MAJOR}.x; use the version that wrote it, or migrate"
        )));
    }
    let found = meta(writer, "mark")?;
    if found != mark.as_bytes() {
        return Err(incompatible(&format!(
            "the store is marked {} and {mark} was asked for; choose another directory",
            found.escape_ascii()
        )));
    }
    Ok(())
}

/// What the store knows its keyring by. The store does not look inside.
pub(super) fn keyring_mark(connection: &Connection) -> Result<Option<Vec<u8>>, EngineError> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [KEYRING], |row| row.get(0))
        .optional()
        .map_err(|error| explain(&error))
}

/// Once and never again: a second mark is refused by the index.
pub(super) fn add_keyring_mark(connection: &Connection, mark: &[u8]) -> rusqlite::Result<()> {
    connection.execute("INSERT INTO meta (name, value) VALUES (?1, ?2)", (KEYRING, mark)).map(|_| ())
}

/// How far the keyring had come that the store was opened with last. The store does not look inside.
pub(super) fn keyring_age(connection: &Connection) -> Result<Option<Vec<u8>>, EngineError> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [KEYRING_AGE], |row| row.get(0))
        .optional()
        .map_err(|error| explain(&error))
}

pub(super) fn set_keyring_age(connection: &Connection, age: &[u8]) -> rusqlite::Result<()> {
    set_meta(connection, KEYRING_AGE, age)
}

fn meta(connection: &Connection, name: &str) -> Result<Vec<u8>, EngineError> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
        .map_err(|error| explain(&error))
}

fn set_meta(connection: &Connection, name: &str, value: &[u8]) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )
        .map(|_| ())
}

fn incompatible(reason: &str) -> EngineError {
    EngineError::IncompatibleFormat { reason: reason.to_owned() }
}

//! The real world: the clock of the machine, the generator of the crypto library, a directory for the audit log.
//!
//! Simulations bring their own. This file and the entropy of the crypto crate are the only places that ask the machine.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use coffer_core::{AppendFile, Files, NoFunctions, World};
use coffer_crypto::SystemEntropy;
use coffer_types::{Clock, Timestamp};

/// The world of a server whose audit segments lie in `audit`.
pub fn system(audit: &Path) -> World {
    with_files(Arc::new(AuditDirectory { path: audit.to_owned() }))
}

/// The world of `coffer dev`, which keeps nothing; of the audit log it has the last megabytes in memory.
pub fn ephemeral() -> World {
    with_files(Arc::<Passing>::default())
}

/// The same world with an audit log in memory that nobody has written to yet.
pub fn with_new_files(world: &World) -> World {
    World { audit_files: Arc::<Passing>::default(), ..world.clone() }
}

fn with_files(audit_files: Arc<dyn Files>) -> World {
    World {
        clock: Arc::new(SystemClock::start()),
        entropy: Arc::new(SystemEntropy),
        audit_files,
        functions: Arc::new(NoFunctions),
    }
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
        let now = SystemTime::now();
        timestamp(now)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A time of the operating system, such as that of a file. What lies before 1970 is 1970.
pub fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::EPOCH.plus(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Files that only grow, in a directory of their own.
#[derive(Debug)]
struct AuditDirectory {
    path: PathBuf,
}

impl Files for AuditDirectory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn AppendFile>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        // The name has to survive as well as the bytes.
        File::open(&self.path)?.sync_all()?;
        Ok(Arc::new(Growing(file)))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn read_part(&self, name: &str, from: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path.join(name))?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::with_capacity(bytes_max);
        file.take(bytes_max as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn settle(&self, name: &str) -> io::Result<()> {
        File::open(self.path.join(name))?.sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            // As when it was made: the name has to be gone after a loss of power as well.
            Ok(()) => File::open(&self.path)?.sync_all(),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

#[derive(Debug)]
struct Growing(File);

impl AppendFile for Growing {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Files in memory, of which the oldest go when all of them together are too large.
#[derive(Debug, Default)]
struct Passing(Mutex<BTreeMap<String, Arc<Page>>>);

/// One such file.
#[derive(Debug, Default)]
struct Page(Mutex<Vec<u8>>);

/// Some ten thousand events; nobody looks back further on a laptop.
const PASSING_BYTES_MAX: usize = 16 << 20;

impl Passing {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Page>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(&self, name: &str) -> io::Result<Arc<Page>> {
        let page = self.lock().get(name).map(Arc::clone);
        page.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, name.to_owned()))
    }
}

impl Page {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for Passing {
    fn create(&self, name: &str) -> io::Result<Arc<dyn AppendFile>> {
        let mut pages = self.lock();
        if pages.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        while pages.values().map(|page| page.lock().len()).sum::<usize>() > PASSING_BYTES_MAX {
            pages.pop_first();
        }
        let page = Arc::<Page>::default();
        pages.insert(name.to_owned(), Arc::clone(&page));
        Ok(page)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.page(name)?.lock().clone())
    }

    fn read_part(&self, name: &str, from: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let page = self.page(name)?;
        let bytes = page.lock();
        let rest = usize::try_from(from).ok().and_then(|from| bytes.get(from..)).unwrap_or_default();
        Ok(rest.get(..bytes_max).unwrap_or(rest).to_vec())
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(self.page(name)?.lock().len() as u64)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().remove(name);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().keys().cloned().collect())
    }
}

impl AppendFile for Page {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.lock().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn audit_files_are_private_grow_and_are_never_made_twice() {
        let place = tempfile::tempdir().unwrap();
        let files = AuditDirectory { path: place.path().to_owned() };
        let file = files.create("b").unwrap();
        file.append(b"one").unwrap();
        file.append(b"two").unwrap();
        file.sync().unwrap();
        drop(files.create("a").unwrap());
        assert_eq!(files.read("b").unwrap(), b"onetwo");
        assert_eq!(files.list().unwrap(), ["a", "b"]);
        assert!(files.create("b").is_err());
        assert_eq!((files.read_part("b", 2, 3).unwrap(), files.length("b").unwrap()), (b"etw".to_vec(), 6));
        assert_eq!(files.read_part("b", 5, 3).unwrap(), b"o");
        let mode = place.path().join("b").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        files.remove("b").unwrap();
        files.remove("b").unwrap();
        assert_eq!(files.list().unwrap(), ["a"]);
    }

    #[test]
    fn files_that_pass_are_read_like_others_and_the_oldest_go() {
        let files = Passing::default();
        files.create("b").unwrap().append(b"onetwo").unwrap();
        assert!(files.create("b").is_err());
        assert_eq!((files.read_part("b", 2, 3).unwrap(), files.length("b").unwrap()), (b"etw".to_vec(), 6));
        assert_eq!(
            (files.read_part("b", 5, 3).unwrap(), files.read_part("b", 9, 3).unwrap()),
            (b"o".to_vec(), vec![])
        );
        for name in ["c", "d", "e"] {
            files.create(name).unwrap().append(&vec![0; PASSING_BYTES_MAX / 2]).unwrap();
        }
        drop(files.create("f").unwrap());
        assert_eq!(files.list().unwrap(), ["d", "e", "f"]);
        assert_eq!(files.read("b").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_clock_of_the_machine_goes_forward() {
        let clock = SystemClock::start();
        assert!(clock.now() > Timestamp::parse_iso("2024-01-01T00:00:00Z").unwrap());
        assert!(clock.monotonic() <= clock.monotonic());
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), Timestamp::EPOCH);
    }
}

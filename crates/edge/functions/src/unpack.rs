//! Code on the disk, as long as something runs it: unpacked once for all environments, and removed with the last.

use std::{
    collections::HashMap,
    fs,
    io::{self, Cursor, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, Weak},
};

use coffer_types::Secret;
use tokio::sync::{Mutex, Semaphore};
use zip::ZipArchive;

/// Code and layers together, as on AWS.
const BYTES_MAX: u64 = 262_144_000;
const ENTRIES_MAX: usize = 100_000;
/// Packages that are unpacked at once: each is memory, and work for the disk.
const AT_ONCE_MAX: usize = 2;

/// A directory that is removed with its last owner.
#[derive(Debug)]
pub(crate) struct Place(pub(crate) PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What is unpacked now, by its content. Whoever wants what somebody else is unpacking waits for it; others pass by.
#[derive(Debug)]
pub(crate) struct Shelf {
    slots: std::sync::Mutex<HashMap<String, Arc<Slot>>>,
    turns: Semaphore,
}

type Slot = Mutex<Weak<Place>>;

impl Default for Shelf {
    fn default() -> Self {
        Self { slots: std::sync::Mutex::default(), turns: Semaphore::new(AT_ONCE_MAX) }
    }
}

impl Shelf {
    /// The place of these packages, laid over each other.
    pub(crate) async fn place<F>(
        &self,
        key: &str,
        at: PathBuf,
        packages: impl FnOnce() -> F,
    ) -> Result<Arc<Place>, String>
    where
        F: Future<Output = Result<Vec<Secret<Vec<u8>>>, String>>,
    {
        let slot = self.slot(key);
        let mut slot = slot.lock().await;
        if let Some(found) = slot.upgrade() {
            return Ok(found);
        }
        let _turn = self.turns.acquire().await.map_err(|error| error.to_string())?;
        let packages = packages().await?;
        let unpacked = tokio::task::spawn_blocking(move || {
            let place = Place(at);
            directory(&place.0)?;
            let mut left = BYTES_MAX;
            for package in packages {
                left = unpack(&package, &place.0, left)?;
            }
            Ok::<_, io::Error>(Arc::new(place))
        });
        let place = unpacked.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        *slot = Arc::downgrade(&place);
        Ok(place)
    }

    fn slot(&self, key: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody unpacks into those, and nobody runs what is there.
        slots.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|place| place.strong_count() > 0)
        });
        Arc::clone(slots.entry(key.to_owned()).or_default())
    }
}

/// Makes a directory that everybody can read who knows its name.
pub(crate) fn directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn unpack(package: &Secret<Vec<u8>>, to: &Path, mut left: u64) -> io::Result<u64> {
    let mut archive = ZipArchive::new(Cursor::new(package.expose().as_slice())).map_err(io::Error::other)?;
    if archive.len() > ENTRIES_MAX {
        return Err(io::Error::other("a package has too many files"));
    }
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(io::Error::other)?;
        let Some(name) = entry.enclosed_name() else {
            return Err(io::Error::other("a package has a file outside of itself"));
        };
        let path = to.join(&name);
        if entry.is_dir() {
            below(to, &name, true)?;
            continue;
        }
        below(to, &name, false)?;
        let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
        if entry.is_symlink() {
            let mut target = String::new();
            entry.take(4096).read_to_string(&mut target)?;
            link(&name, &target, &path)?;
            continue;
        }
        // A layer may have the same file again, and a link in its place must not be followed.
        remove(&path)?;
        let mut file = fs::File::options().write(true).create_new(true).open(&path)?;
        let written = io::copy(&mut entry.take(left + 1), &mut file)?;
        left = left.checked_sub(written).ok_or_else(|| io::Error::other("a package is too large"))?;
        file.set_permissions(fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    }
    Ok(left)
}

/// Makes the directories of a name, none of which may be a link.
fn below(root: &Path, name: &Path, all: bool) -> io::Result<()> {
    let directories = if all { Some(name) } else { name.parent() };
    let mut path = root.to_owned();
    for part in directories.into_iter().flat_map(Path::components) {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                fs::remove_file(&path)?;
                directory(&path)?;
            }
            Err(_) => directory(&path)?,
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

/// A link to somewhere else in the package.
fn link(name: &Path, target: &str, path: &Path) -> io::Result<()> {
    let mut depth = name.components().count().saturating_sub(1);
    for part in Path::new(target).components() {
        match part {
            std::path::Component::ParentDir if depth == 0 => {
                return Err(io::Error::other("a link leads out of a package"));
            }
            std::path::Component::ParentDir => depth -= 1,
            std::path::Component::Normal(_) => depth += 1,
            std::path::Component::CurDir => {}
            _ => return Err(io::Error::other("a link leads out of a package")),
        }
    }
    remove(path)?;
    std::os::unix::fs::symlink(target, path)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use tokio::{sync::Notify, time::timeout};
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn package() -> Vec<Secret<Vec<u8>>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("a", SimpleFileOptions::default()).unwrap();
        zip.write_all(b"x").unwrap();
        vec![Secret::new(zip.finish().unwrap().into_inner())]
    }

    #[tokio::test]
    async fn nobody_waits_for_the_package_of_somebody_else() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        let (shelf, go_on) = (Arc::new(Shelf::default()), Arc::new(Notify::new()));
        let slow = |name: &str| {
            let (shelf, go_on, at) = (Arc::clone(&shelf), Arc::clone(&go_on), at(name));
            tokio::spawn(async move {
                let packages = || async {
                    go_on.notified().await;
                    Ok(package())
                };
                shelf.place("slow", at, packages).await
            })
        };
        let (one, other) = (slow("one"), slow("other"));
        tokio::task::yield_now().await;

        let fast = shelf.place("fast", at("fast"), || async { Ok(package()) });
        let fast = timeout(Duration::from_secs(10), fast).await.expect("it waited").unwrap();
        assert!(fast.0.join("a").exists());

        // Whoever wants the same waits, and finds it done.
        go_on.notify_one();
        let (one, other) = (one.await.unwrap().unwrap(), other.await.unwrap().unwrap());
        assert!(Arc::ptr_eq(&one, &other));

        // What nobody has any more is not there, and is unpacked again.
        let path = fast.0.clone();
        drop(fast);
        assert!(!path.exists());
        let again = shelf.place("fast", at("again"), || async { Ok(package()) }).await.unwrap();
        assert!(again.0.join("a").exists());
        drop((one, other));
        shelf.slot("fast");
        assert_eq!(shelf.slots.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn two_are_unpacked_at_once_and_no_more() {
        let scratch = tempfile::tempdir().unwrap();
        let (shelf, go_on) = (Arc::new(Shelf::default()), Arc::new(Notify::new()));
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let places: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|name| {
                let (shelf, go_on, begun) = (Arc::clone(&shelf), Arc::clone(&go_on), begun.clone());
                let at = scratch.path().join(name);
                tokio::spawn(async move {
                    let packages = || async {
                        begun.send(()).unwrap();
                        go_on.notified().await;
                        Ok(package())
                    };
                    shelf.place(name, at, packages).await
                })
            })
            .collect();
        begins.recv().await.unwrap();
        begins.recv().await.unwrap();
        assert!(timeout(Duration::from_millis(100), begins.recv()).await.is_err());
        go_on.notify_one();
        timeout(Duration::from_secs(10), begins.recv()).await.expect("its turn").unwrap();
        go_on.notify_waiters();
        go_on.notify_one();
        go_on.notify_one();
        for place in places {
            assert!(place.await.unwrap().is_ok());
        }
    }
}

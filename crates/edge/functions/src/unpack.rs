//! Code on the disk, as long as something runs it: unpacked once for all environments, and removed with the last.

use std::{
    collections::HashMap,
    fs,
    io::{self, Cursor, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use coffer_types::Secret;
use zip::ZipArchive;

/// Code and layers together, as on AWS.
const BYTES_MAX: u64 = 262_144_000;
const ENTRIES_MAX: usize = 100_000;

/// A directory that is removed with its last owner.
#[derive(Debug)]
pub(crate) struct Place(pub(crate) PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What is unpacked now, by its content.
#[derive(Debug, Default)]
pub(crate) struct Shelf(tokio::sync::Mutex<HashMap<String, Weak<Place>>>);

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
        // One at a time: it is memory and disk.
        let mut shelf = self.0.lock().await;
        if let Some(found) = shelf.get(key).and_then(Weak::upgrade) {
            return Ok(found);
        }
        shelf.retain(|_, place| place.strong_count() > 0);
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
        shelf.insert(key.to_owned(), Arc::downgrade(&place));
        Ok(place)
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

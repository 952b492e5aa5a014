//! Zip files of strangers: what may be unpacked later is looked at now.
//!
//! Every entry is inflated once, into nothing, so that the sizes that are checked are the real ones and a file whose checksum is wrong is
//! refused by whoever uploads it, and not when it is needed.

use std::io::{Cursor, Read, copy, sink};

use coffer_crypto::sha256;
use coffer_types::encoding::BASE64;
use zip::{ZipArchive, read::ZipFile};

/// AWS's, for a package that is part of a request.
const ZIPPED_BYTES_MAX: usize = 52_428_800;
/// AWS's, with all layers.
pub(crate) const UNZIPPED_BYTES_MAX: i64 = 262_144_000;
/// What a directory of a zip file of the old kind can hold. Each takes memory.
const ENTRIES_MAX: usize = 65_535;
/// What Linux has room for in a path, with the zero behind it.
const LINK_BYTES_MAX: u64 = 4095;
/// Of the same room, what is left for a file of a package once it lies in some directory.
const NAME_BYTES_MAX: usize = 3584;
/// Linux's, for a file or directory.
const STEP_BYTES_MAX: usize = 255;

const TYPE_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PackageError {
    TooLarge,
    Empty,
    Unreadable,
    Bomb,
    TooMany,
    Encrypted,
    /// An absolute path, one that climbs, or a link to such.
    Outside {
        name: String,
    },
    /// It means the directory that everything lies in.
    NoFile {
        name: String,
    },
    /// Of a file or of a directory above it.
    NameTooLong {
        bytes: usize,
    },
    /// Its target is nothing, or longer than a path can be.
    Link {
        name: String,
    },
    Device {
        name: String,
    },
}

/// A zip file that can be unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Bytes of all files in it.
    pub unzipped: i64,
    pub sha256: String,
}

impl Package {
    pub(crate) fn look_at(bytes: &[u8]) -> Result<Self, PackageError> {
        if bytes.is_empty() {
            return Err(PackageError::Empty);
        }
        if bytes.len() > ZIPPED_BYTES_MAX {
            return Err(PackageError::TooLarge);
        }
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|_| PackageError::Unreadable)?;
        match zip.len() {
            0 => return Err(PackageError::Empty),
            count if count > ENTRIES_MAX => return Err(PackageError::TooMany),
            _ => {}
        }
        let mut unzipped = 0_i64;
        for number in 0..zip.len() {
            let is_encrypted = zip.by_index_raw(number).map_err(|_| PackageError::Unreadable)?.encrypted();
            if is_encrypted {
                return Err(PackageError::Encrypted);
            }
            let mut entry = zip.by_index(number).map_err(|_| PackageError::Unreadable)?;
            unzipped = unzipped.saturating_add(look_at(&mut entry, UNZIPPED_BYTES_MAX - unzipped)?);
        }
        Ok(Self { unzipped, sha256: BASE64.encode(&sha256(bytes)) })
    }
}

/// Bytes of one entry, of which so many are left.
fn look_at<R: Read>(entry: &mut ZipFile<'_, R>, left: i64) -> Result<i64, PackageError> {
    let name = entry.name().to_owned();
    if !stays_inside(&name, 0) {
        return Err(PackageError::Outside { name });
    }
    ensure_has_place(name.clone(), entry.is_dir())?;
    let left = left.unsigned_abs();
    match entry.unix_mode().map_or(0, |mode| mode & TYPE_MASK) {
        0 | REGULAR | DIRECTORY => {
            let read = copy(&mut entry.take(left.saturating_add(1)), &mut sink());
            let read = read.map_err(|_| PackageError::Unreadable)?;
            if read > left { Err(PackageError::Bomb) } else { Ok(i64::try_from(read).unwrap_or(i64::MAX)) }
        }
        LINK => {
            let mut target = String::new();
            let read = entry.take(LINK_BYTES_MAX + 1).read_to_string(&mut target);
            let read = read.map_err(|_| PackageError::Unreadable)?;
            if read == 0 || read as u64 > LINK_BYTES_MAX {
                return Err(PackageError::Link { name });
            }
            let depth = name.split('/').filter(|step| !matches!(*step, "" | ".")).count();
            if stays_inside(&target, depth.saturating_sub(1)) {
                Ok(i64::try_from(target.len()).unwrap_or(i64::MAX))
            } else {
                Err(PackageError::Outside { name })
            }
        }
        _ => Err(PackageError::Device { name }),
    }
}

/// Whether there can be a file or directory of this name. Tools write the root itself as a directory, which is there anyway.
fn ensure_has_place(name: String, is_directory: bool) -> Result<(), PackageError> {
    let mut depth = 0_usize;
    for step in name.split(['/', '\\']) {
        if step.len() > STEP_BYTES_MAX {
            return Err(PackageError::NameTooLong { bytes: step.len() });
        }
        match step {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(PackageError::NameTooLong { bytes: name.len() });
    }
    if depth == 0 && !is_directory {
        return Err(PackageError::NoFile { name });
    }
    Ok(())
}

/// Whether a path that starts so deep never leaves the root.
fn stays_inside(path: &str, depth: usize) -> bool {
    // Some tools that make zip files on Windows separate steps with backslashes; some that unpack take them as such.
    if path.starts_with(['/', '\\']) || path.contains('\0') || path.get(1..2) == Some(":") {
        return false;
    }
    let mut depth = depth;
    for step in path.split(['/', '\\']) {
        match step {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn zipped(fill: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        fill(&mut zip);
        zip.finish().unwrap().into_inner()
    }

    fn with(name: &str, mode: u32, content: &[u8]) -> Vec<u8> {
        zipped(|zip| {
            zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
            zip.write_all(content).unwrap();
        })
    }

    #[test]
    fn a_package_says_how_large_it_is() {
        let bytes = with("lambda_function.py", 0o644, b"def lambda_handler(event, context): pass");
        let package = Package::look_at(&bytes).unwrap();
        assert_eq!(package.unzipped, 40);
        assert_eq!(package.sha256, BASE64.encode(&sha256(&bytes)));
    }

    #[test]
    fn what_leads_out_of_it_is_refused() {
        for name in ["../a", "a/../../b", "/etc/passwd", "..\\a", "\\a", "c:a", "a\0b"] {
            let found = Package::look_at(&with(name, 0o644, b"x")).unwrap_err();
            assert!(matches!(found, PackageError::Outside { .. }), "{name:?}: {found:?}");
        }
        for name in ["a", "a/../b", "./a", "a..b/c", "a/"] {
            assert!(stays_inside(name, 0), "{name}");
        }
    }

    #[test]
    fn what_no_file_can_be_called_is_refused() {
        let long = |bytes: usize| "a".repeat(bytes);
        let deep = |steps: usize| vec!["a"; steps].join("/");
        for (name, expected) in [
            (String::from("."), None),
            (String::from("a/.."), None),
            (String::from("./a/b/../.."), None),
            (long(256), Some(256)),
            (format!("b/{}/c", long(256)), Some(256)),
            (format!("{}/", long(256)), Some(256)),
            (deep(1793), Some(3585)),
        ] {
            let found = Package::look_at(&with(&name, 0o644, b"x")).unwrap_err();
            let expected = match expected {
                Some(bytes) => PackageError::NameTooLong { bytes },
                None => PackageError::NoFile { name: name.clone() },
            };
            assert_eq!(found, expected, "{name:?}");
        }
        for name in [long(255), format!("{}/{}", long(255), long(255)), deep(1792)] {
            assert!(Package::look_at(&with(&name, 0o644, b"x")).is_ok(), "{name:?}");
        }
        // Directories that are there anyway.
        let bytes = zipped(|zip| {
            for name in ["./", "a/../"] {
                zip.add_directory(name, SimpleFileOptions::default()).unwrap();
            }
        });
        assert!(Package::look_at(&bytes).is_ok());
    }

    #[test]
    fn a_link_stays_inside_or_is_refused() {
        for (name, target, is_good) in [
            ("link", "lib/a.so", true),
            ("bin/link", "../lib/a.so", true),
            ("link", "../lib/a.so", false),
            ("bin/link", "../../lib/a.so", false),
            ("link", "/etc/passwd", false),
            ("link", "", false),
            ("link", &"a/".repeat(2047), true),
            ("link", &"a/".repeat(2048), false),
            (".", "a", false),
        ] {
            let bytes = zipped(|zip| {
                zip.add_symlink(name, target, SimpleFileOptions::default()).unwrap();
            });
            assert_eq!(Package::look_at(&bytes).is_ok(), is_good, "{name} -> {target}");
        }
    }

    #[test]
    fn what_is_no_zip_file_or_an_empty_one_is_refused() {
        let whole = with("a", 0o644, &[7; 1000]);
        let half = whole.get(..whole.len() / 2).unwrap();
        let mut damaged = whole.clone();
        *damaged.get_mut(40).unwrap() ^= 1;
        for (bytes, expected) in [
            (&b""[..], PackageError::Empty),
            (b"hello", PackageError::Unreadable),
            (half, PackageError::Unreadable),
            (&damaged, PackageError::Unreadable),
            (&zipped(|_| ()), PackageError::Empty),
        ] {
            assert_eq!(Package::look_at(bytes), Err(expected), "{} bytes", bytes.len());
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let megabyte = vec![0; 1 << 20];
        let bytes = zipped(|zip| {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            for number in 0..3 {
                zip.start_file(format!("{number}"), options).unwrap();
                for _ in 0..100 {
                    zip.write_all(&megabyte).unwrap();
                }
            }
        });
        assert!(bytes.len() < 1 << 20);
        assert_eq!(Package::look_at(&bytes), Err(PackageError::Bomb));
    }
}

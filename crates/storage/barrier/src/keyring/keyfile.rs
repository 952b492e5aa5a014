//! Keyfiles: 32 random bytes in a file that only the server may read.
//!
//! We write 64 hexadecimal digits and a line break, because people copy these files through terminals and secret stores
//! that spoil binary. Exactly 32 raw bytes are read as well, for keys that other tools made.
//!
//! A keyfile that others can read protects nothing, so it is refused rather than warned about. Owner and mode are asked
//! of the file once it is open, not of its name.

use std::{fs::File, io, path::Path};

use coffer_crypto::constant_time_eq;
use coffer_sys::{effective_uid, owner_and_mode};
use coffer_types::{
    Entropy, Secret,
    encoding::{HEXLOWER, HEXLOWER_PERMISSIVE},
};

use super::error::KeyringError;
use crate::files;

/// The digits, and generously many spaces and line breaks around them.
const LEN_MAX: usize = 256;

/// Makes a new keyfile with mode 0600. A file that exists is never overwritten: it may be the only key of a store.
pub fn create(path: &Path, entropy: &dyn Entropy) -> Result<Secret<[u8; 32]>, KeyringError> {
    let key = random(entropy);
    write(path, &key)?;
    Ok(key)
}

/// A key that is in no file yet.
pub fn random(entropy: &dyn Entropy) -> Secret<[u8; 32]> {
    let mut key = Secret::new([0; 32]);
    entropy.fill(key.expose_mut());
    key
}

/// Writes a key to a new keyfile, whole or not at all, and reads it back: what is locked with a key that a file does not hold
/// stays locked.
pub fn write(path: &Path, key: &Secret<[u8; 32]>) -> Result<(), KeyringError> {
    let writing = |source| KeyringError::KeyfileWriting { path: path.to_owned(), source };
    let mut text = Secret::new(String::with_capacity(65));
    HEXLOWER.encode_append(key.expose(), text.expose_mut());
    text.expose_mut().push('\n');
    files::create(path, text.expose().as_bytes()).map_err(writing)?;
    match read(path) {
        Ok(found) if constant_time_eq(found.expose(), key.expose()) => Ok(()),
        Ok(_) => Err(writing(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "another process made it at the same moment",
        ))),
        Err(error) => {
            // It is ours, it is useless, and it would be in the way; the file system cannot hold such a file.
            drop(files::forget(path));
            Err(error)
        }
    }
}

/// Reads a keyfile that belongs to this user or to root and that nobody else may read.
pub fn read(path: &Path) -> Result<Secret<[u8; 32]>, KeyringError> {
    read_with(path, 0o077)
}

/// Reads a key from a systemd credential. systemd gives the service access through the group or an access list, which
/// shows as group permission, so only others are refused.
pub fn read_credential(path: &Path) -> Result<Secret<[u8; 32]>, KeyringError> {
    read_with(path, 0o007)
}

fn read_with(path: &Path, forbidden: u32) -> Result<Secret<[u8; 32]>, KeyringError> {
    let reading = |source| KeyringError::KeyfileReading { path: path.to_owned(), source };
    let file = File::open(path).map_err(reading)?;
    let answer = owner_and_mode(&file).map_err(reading)?;
    let server = effective_uid();
    if answer.uid != server && answer.uid != 0 {
        return Err(KeyringError::KeyfileOwner { path: path.to_owned(), owner: answer.uid, server });
    }
    if answer.mode & forbidden != 0 {
        return Err(KeyringError::KeyfileExposed { path: path.to_owned(), mode: answer.mode });
    }
    if !answer.is_regular_file {
        return Err(KeyringError::KeyfileContent { path: path.to_owned() });
    }
    let content = || KeyringError::KeyfileContent { path: path.to_owned() };
    let bytes = files::read_at_most(&file, LEN_MAX).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => content(),
        _ => reading(error),
    })?;
    parse(bytes.expose()).ok_or_else(content)
}

fn parse(bytes: &[u8]) -> Option<Secret<[u8; 32]>> {
    let mut key = Secret::new([0; 32]);
    if bytes.len() == 32 {
        key.expose_mut().copy_from_slice(bytes);
        return Some(key);
    }
    let digits = bytes.trim_ascii();
    if digits.len() != 64 {
        return None;
    }
    HEXLOWER_PERMISSIVE.decode_mut(digits, key.expose_mut()).ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use coffer_crypto::SystemEntropy;

    use super::*;

    #[test]
    fn a_keyfile_is_made_once_and_read_back() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keyfile");
        let key = create(&path, &SystemEntropy).unwrap();
        assert_eq!(read(&path).unwrap().expose(), key.expose());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(create(&path, &SystemEntropy), Err(KeyringError::KeyfileWriting { .. })));
        assert_eq!(read(&path).unwrap().expose(), key.expose());
    }

    #[test]
    fn what_is_not_a_keyfile_is_told_from_one_that_cannot_be_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keyfile");
        assert!(matches!(read(&path), Err(KeyringError::KeyfileReading { .. })), "missing");
        for content in [&b""[..], b"0011", &[b'0'; 65], &[b'0'; 100_000]] {
            files::create(&path, content).unwrap();
            assert!(matches!(read(&path), Err(KeyringError::KeyfileContent { .. })), "{}", content.len());
            files::forget(&path).unwrap();
        }
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(read(&path), Err(KeyringError::KeyfileContent { .. })), "a directory");
    }

    #[test]
    fn a_keyfile_that_others_may_read_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keyfile");
        create(&path, &SystemEntropy).unwrap();
        for (mode, accepted, as_credential) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o440, false, true),
            (0o620, false, true),
            (0o604, false, false),
            (0o602, false, false),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path).is_ok(), accepted, "{mode:o}");
            assert_eq!(read_credential(&path).is_ok(), as_credential, "{mode:o} as credential");
        }
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("0602") && message.contains("try: chmod 0400"), "{message}");
    }

    #[test]
    fn contents() {
        let digits = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        let key: [u8; 32] = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).unwrap().try_into().unwrap();
        for good in [digits.as_bytes().to_vec(), format!(" {digits}\r\n\n").into_bytes(), key.to_vec()] {
            assert_eq!(parse(&good).unwrap().expose(), &key);
        }
        for bad in
            [&b""[..], &key[..31], &digits.as_bytes()[..63], format!("{digits}0").as_bytes(), &[b'g'; 64]]
        {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }
}

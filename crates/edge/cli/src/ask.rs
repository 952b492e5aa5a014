//! Secrets that people give to a command: from files, from the standard input, or typed.
//!
//! Never from arguments or variables, which everybody on the machine can read. What is typed is not shown.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use coffer_barrier::{KeyringFile, RecoveryShare, SlotKey, SlotKind};
use coffer_server::{
    Complaint,
    control::{Request, Typed},
    data_dir::{self, DataDir},
};
use coffer_types::Secret;

use crate::arguments::KeyFiles;

const TERMINAL: &str = "/dev/tty";
const PASSPHRASE_BYTES_MAX: u64 = 4096;

/// What somebody gave to open the store with.
pub(crate) enum Given {
    /// The key that lies on the machine is meant.
    Nothing,
    Passphrase(Secret<String>),
    Shares(Vec<Secret<String>>),
    /// For a command that takes the key of every slot.
    Both(Secret<String>, Vec<Secret<String>>),
}

impl Given {
    /// What the flags name.
    pub(crate) fn by(files: &KeyFiles) -> Result<Self, Complaint> {
        let passphrase = match &files.passphrase_file {
            Some(path) => Some(passphrase_from(path)?),
            None if files.passphrase => Some(ask("Passphrase: ")?),
            None => None,
        };
        let shares = files.share.iter().map(|path| share_from(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(match (passphrase, shares.is_empty()) {
            (None, true) => Self::Nothing,
            (None, false) => Self::Shares(shares),
            (Some(passphrase), true) => Self::Passphrase(passphrase),
            (Some(passphrase), false) => Self::Both(passphrase, shares),
        })
    }

    /// The same, and a passphrase is asked for if no key on a machine could open the store, but a passphrase can.
    pub(crate) fn by_or_typed(files: &KeyFiles, directory: &DataDir) -> Result<Self, Complaint> {
        let given = Self::by(files)?;
        if !matches!(given, Self::Nothing) {
            return Ok(given);
        }
        let slots = KeyringFile::read(&directory.keyring())?.slots();
        let has = |kind| slots.iter().any(|slot| slot.kind == kind);
        let machine = [SlotKind::Keyfile, SlotKind::Systemd, SlotKind::Pkcs11, SlotKind::Kms];
        if has(SlotKind::Passphrase) && !machine.into_iter().any(has) {
            return ask("Passphrase: ").map(Self::Passphrase);
        }
        Ok(given)
    }

    /// Puts a copy into a request.
    pub(crate) fn put_into(&self, request: Request) -> Request {
        let copy = |text: &Secret<String>| Typed(Secret::new(text.expose().clone()));
        match self {
            Self::Nothing => request,
            Self::Passphrase(passphrase) => Request { passphrase: Some(copy(passphrase)), ..request },
            Self::Shares(shares) => Request { shares: shares.iter().map(copy).collect(), ..request },
            Self::Both(passphrase, shares) => Request {
                passphrase: Some(copy(passphrase)),
                shares: shares.iter().map(copy).collect(),
                ..request
            },
        }
    }

    /// The key, for a command that takes one.
    pub(crate) fn key(&self, directory: &DataDir) -> Result<Option<SlotKey>, Complaint> {
        Ok(self.keys(directory)?.into_iter().next())
    }

    /// The keys, for a command that has no server to collect shares for it.
    pub(crate) fn keys(&self, directory: &DataDir) -> Result<Vec<SlotKey>, Complaint> {
        Ok(match self {
            Self::Nothing => Vec::new(),
            Self::Passphrase(passphrase) => vec![typed(passphrase)],
            Self::Shares(shares) => vec![joined(shares, directory)?],
            Self::Both(passphrase, shares) => vec![joined(shares, directory)?, typed(passphrase)],
        })
    }
}

fn typed(passphrase: &Secret<String>) -> SlotKey {
    SlotKey::Passphrase(Secret::new(passphrase.expose().clone()))
}

fn joined(shares: &[Secret<String>], directory: &DataDir) -> Result<SlotKey, Complaint> {
    let mut collector = KeyringFile::read(&directory.keyring())?.share_collector();
    for share in shares {
        collector.add(RecoveryShare::parse(share.expose())?)?;
    }
    Ok(collector.finish()?)
}

/// The key in the files of a command that has no server to collect shares for it.
pub(crate) fn offline_key(files: &KeyFiles, directory: &DataDir) -> Result<Option<SlotKey>, Complaint> {
    Given::by(files)?.key(directory)
}

fn share_from(path: &Path) -> Result<Secret<String>, Complaint> {
    data_dir::read_small(path).map_err(|error| unreadable(path, &error))
}

/// One line; the line break is no part of a passphrase.
pub(crate) fn passphrase_from(path: &Path) -> Result<Secret<String>, Complaint> {
    let mut text = if path == Path::new("-") {
        read_line(io::stdin().lock()).map_err(|error| unreadable(path, &error))?
    } else {
        data_dir::read_small(path).map_err(|error| unreadable(path, &error))?
    };
    cut_line_break(text.expose_mut());
    Ok(text)
}

/// Asks twice, because what is typed is not seen.
pub(crate) fn new_passphrase_typed() -> Result<Secret<String>, Complaint> {
    let (first, second) = (ask("New passphrase: ")?, ask("The same again: ")?);
    if first.expose() == second.expose() {
        Ok(first)
    } else {
        Err(Complaint::new("the two passphrases are not the same").next("the command again"))
    }
}

/// Asks on the terminal, wherever the standard streams go.
fn ask(question: &str) -> Result<Secret<String>, Complaint> {
    let nobody = |error: io::Error| {
        Complaint::new("the passphrase cannot be asked for").because(error).next("--passphrase-file <file>")
    };
    let mut terminal = OpenOptions::new().read(true).write(true).open(TERMINAL).map_err(nobody)?;
    let mut text = {
        let _hidden = Hidden::begin(&terminal).map_err(nobody)?;
        terminal.write_all(question.as_bytes()).map_err(nobody)?;
        read_line(BufReader::new(&terminal)).map_err(nobody)?
    };
    // The line break that was typed was not shown either.
    let _ = terminal.write_all(b"\n");
    cut_line_break(text.expose_mut());
    Ok(text)
}

fn read_line(from: impl BufRead) -> io::Result<Secret<String>> {
    let mut text =
        Secret::new(String::with_capacity(usize::try_from(PASSPHRASE_BYTES_MAX).unwrap_or_default()));
    from.take(PASSPHRASE_BYTES_MAX).read_line(text.expose_mut())?;
    Ok(text)
}

fn cut_line_break(text: &mut String) {
    let len = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(len);
}

fn unreadable(path: &Path, error: &io::Error) -> Complaint {
    Complaint::new(format!("{} cannot be read", path.display())).because(error)
}

/// What is typed on a terminal stays invisible while this lives.
struct Hidden {
    terminal: File,
}

impl Hidden {
    fn begin(terminal: &File) -> io::Result<Self> {
        let hidden = Self { terminal: terminal.try_clone()? };
        if hidden.stty("-echo")? {
            Ok(hidden)
        } else {
            Err(io::Error::other("the terminal cannot hide what is typed"))
        }
    }

    /// The terminal driver is reached through the program every system has, instead of through unsafe calls.
    fn stty(&self, argument: &str) -> io::Result<bool> {
        let stdin = Stdio::from(self.terminal.try_clone()?);
        Ok(Command::new("stty").arg(argument).stdin(stdin).stderr(Stdio::null()).status()?.success())
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = self.stty("echo");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_one_line_without_its_break() {
        for (typed, expected) in
            [("two words\n", "two words"), ("crlf\r\nmore", "crlf"), ("none", "none"), ("", "")]
        {
            let mut text = read_line(typed.as_bytes()).unwrap();
            cut_line_break(text.expose_mut());
            assert_eq!(text.expose(), expected);
        }
    }
}

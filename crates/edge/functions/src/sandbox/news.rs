//! What the helper tells the server, one message after the other.

use std::{
    io,
    os::{fd::BorrowedFd, unix::net::UnixStream},
};

use coffer_sys::sandbox::{self as sys, Ended};

/// Kind, whom it is about, and how long the rest is.
const HEAD: usize = 4;
const READY: u8 = b'R';
const STARTED: u8 = b'S';
const EXITED: u8 = b'X';
const KILLED: u8 = b'K';
const FAILED: u8 = b'F';
/// The server's only word: all extensions are there, so the function may start.
pub(crate) const START: u8 = b'G';

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Function,
    /// By its place in the plan.
    Extension(u8),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The walls stand. Descriptors come with it.
    Ready,
    /// The function's number among the processes that it sees.
    Started(i32),
    Ended(Who, Ended),
    Failed(Who, String),
}

impl News {
    pub(super) fn send(&self, to: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        sys::send(to, &self.to_bytes(), descriptors)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let (kind, who, rest) = match self {
            Self::Ready => (READY, Who::Function, Vec::new()),
            Self::Started(process) => (STARTED, Who::Function, process.to_be_bytes().to_vec()),
            Self::Ended(who, Ended::Exited(code)) => {
                (EXITED, *who, vec![u8::try_from(*code).unwrap_or(u8::MAX)])
            }
            Self::Ended(who, Ended::Killed(signal)) => {
                (KILLED, *who, vec![u8::try_from(*signal).unwrap_or(u8::MAX)])
            }
            Self::Failed(who, why) => (FAILED, *who, why.as_bytes().to_vec()),
        };
        let who = match who {
            Who::Function => u8::MAX,
            Who::Extension(place) => place,
        };
        let length = u16::try_from(rest.len()).unwrap_or(u16::MAX);
        let mut bytes = vec![kind, who];
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend(rest.iter().take(usize::from(length)));
        bytes
    }

    /// Takes the first message out of what has been read. Nothing if it is not whole yet.
    pub(crate) fn take(read: &mut Vec<u8>) -> Option<Self> {
        let [kind, who, high, low] = *read.first_chunk::<HEAD>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let rest = read.get(HEAD..HEAD + length)?.to_vec();
        read.drain(..HEAD + length);
        let who = if who == u8::MAX { Who::Function } else { Who::Extension(who) };
        let number = || i32::from(rest.first().copied().unwrap_or(u8::MAX));
        Some(match kind {
            READY => Self::Ready,
            STARTED => Self::Started(rest.first_chunk().map_or(0, |bytes| i32::from_be_bytes(*bytes))),
            EXITED => Self::Ended(who, Ended::Exited(number())),
            KILLED => Self::Ended(who, Ended::Killed(number())),
            _ => Self::Failed(who, String::from_utf8_lossy(&rest).into_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_however_they_arrive() {
        let all = || {
            [
                News::Ready,
                News::Started(70_000),
                News::Ended(Who::Function, Ended::Exited(0)),
                News::Ended(Who::Extension(9), Ended::Killed(9)),
                News::Failed(Who::Extension(0), String::from("why")),
                News::Failed(Who::Function, String::new()),
            ]
        };
        let bytes: Vec<u8> = all().iter().flat_map(News::to_bytes).collect();
        for piece in [1, 5, 1000] {
            let (mut read, mut told) = (Vec::new(), Vec::new());
            for part in bytes.chunks(piece) {
                read.extend_from_slice(part);
                told.extend(std::iter::from_fn(|| News::take(&mut read)));
            }
            assert_eq!(told, all());
            assert!(read.is_empty());
        }
    }
}

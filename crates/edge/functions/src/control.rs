//! The socket to the process that attends to a function.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use coffer_sys::sandbox as sys;
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::UnixStream,
};

use crate::sandbox::{News, START};

/// The other end kills when this one is dropped.
pub(crate) struct Control {
    stream: UnixStream,
    read: Vec<u8>,
    /// The function's number among the processes that it sees.
    pub(crate) started: Option<i32>,
}

impl Control {
    pub(crate) fn new(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream: UnixStream::from_std(stream)?, read: Vec::new(), started: None })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The function may start now.
    pub(crate) async fn start(&mut self) -> io::Result<()> {
        self.send(&[START]).await
    }

    /// Until the walls stand; what came with the news is the telemetry and the listeners.
    pub(crate) async fn built(&mut self) -> io::Result<Vec<OwnedFd>> {
        let mut buffer = [0; 1024];
        let Self { stream, read, .. } = self;
        let mut all = Vec::new();
        loop {
            let (length, descriptors) =
                stream.async_io(Interest::READABLE, || sys::receive(stream.as_fd(), &mut buffer)).await?;
            all.extend(descriptors);
            read.extend_from_slice(buffer.get(..length).unwrap_or_default());
            match News::take(read) {
                Some(News::Ready) => return Ok(all),
                Some(News::Failed(_, why)) => return Err(io::Error::other(why)),
                None if length > 0 => {}
                _ => return Err(io::Error::other("the helper ended before its walls stood")),
            }
        }
    }

    /// What happened next; nothing if nobody is there any more to tell. What was read is not lost if nobody waits for the rest.
    pub(crate) async fn news(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.whole() {
                return Some(news);
            }
            self.stream.readable().await.ok()?;
            if !self.read_more() {
                return None;
            }
        }
    }

    /// Whether nothing has happened since.
    pub(crate) fn is_silent(&mut self) -> bool {
        let is_open = self.read_more();
        match self.whole() {
            Some(_) => false,
            None => is_open,
        }
    }

    fn whole(&mut self) -> Option<News> {
        loop {
            match News::take(&mut self.read)? {
                News::Started(process) => self.started = Some(process),
                news => return Some(news),
            }
        }
    }

    /// False if there will be nothing more.
    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 1024];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.read.extend_from_slice(buffer.get(..length).unwrap_or_default());
                true
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

//! The client's half of HTTP/1.1, as little of it as a load generator needs.
//!
//! The generator shares the processors with the server, so what it does per request should be next to nothing: the request
//! is bytes made beforehand, and of the answer only the status and the length are read. It knows answers with a
//! `Content-Length` on a connection that stays open, and refuses anything else, since that would be another measurement.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const READ_BYTES: usize = 16 << 10;
/// The longest answer measured is a page of a list; ten times that is a fault.
const BODY_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'b> {
    pub status: u16,
    pub body: &'b [u8],
}

/// What the head of an answer says about the rest.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    head_len: usize,
    body_len: usize,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ_BYTES) })
    }

    /// Sends one request and reads its answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await.context("sending a request")?;
        self.buffer.clear();
        let head = loop {
            self.read_more().await?;
            if let Some(head) = read_head(&self.buffer)? {
                break head;
            }
        };
        let end = head.head_len + head.body_len;
        while self.buffer.len() < end {
            self.read_more().await?;
        }
        let body = self.buffer.get(head.head_len..end).unwrap_or_default();
        Ok(Answer { status: head.status, body })
    }

    async fn read_more(&mut self) -> Result<()> {
        self.buffer.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.buffer).await.context("reading an answer")? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}

/// The head, once all of it has arrived.
fn read_head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text =
        str::from_utf8(bytes.get(..end).unwrap_or_default()).context("the head of an answer is not text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let status = status
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .with_context(|| format!("not a status line: {status}"))?;
    let mut body_len = None;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { bail!("not a header: {line}") };
        if name.eq_ignore_ascii_case("content-length") {
            body_len = Some(value.trim().parse::<usize>().with_context(|| format!("not a length: {value}"))?);
        }
    }
    match body_len {
        Some(body_len @ 0..=BODY_BYTES_MAX) => Ok(Some(Head { status, head_len: end + 4, body_len })),
        Some(body_len) => bail!("an answer of {body_len} bytes"),
        None => bail!("an answer without a length"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\ndate: now\r\nContent-Length: 3\r\n\r\nabc";
        for short in 0..47 {
            assert_eq!(read_head(&whole[..short]).unwrap(), None, "{short}");
        }
        assert_eq!(read_head(whole).unwrap(), Some(Head { status: 200, head_len: 49, body_len: 3 }));
    }

    #[test]
    fn answers_of_another_kind_are_refused() {
        for head in [
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 2\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert!(read_head(head.as_bytes()).is_err(), "{head}");
        }
    }
}

//! A client that sends exactly the bytes it is given, and reads what comes back.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than any patience of the server that a test waits for.
const NEVER: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The code of an error, in either protocol.
    pub(crate) fn code(&self) -> &str {
        let between = |before: &str, after: &str| {
            let (_, rest) = self.body.split_once(before)?;
            rest.split_once(after).map(|(code, _)| code)
        };
        between("\"__type\":\"", "\"").or_else(|| between("<Code>", "</Code>")).unwrap_or_default()
    }
}

#[derive(Debug)]
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // The server may have closed already; what it said is still there to be read.
        let _ = self.0.write_all(bytes).await;
    }

    /// No more bytes will come from us.
    pub(crate) async fn finish(&mut self) {
        let _ = self.0.shutdown().await;
    }

    /// The next answer; nothing if the connection was closed instead.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        timeout(NEVER, self.read()).await.expect("the server neither answered nor closed")
    }

    /// Everything until the server closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = timeout(NEVER, self.0.read_to_end(&mut bytes)).await;
        // A reset is an end as well.
        let _ = read.expect("the server did not close");
        bytes
    }

    async fn read(&mut self) -> Option<Answer> {
        let mut bytes = Vec::new();
        let end = loop {
            let mut byte = [0];
            if !matches!(self.0.read(&mut byte).await, Ok(1)) {
                return None;
            }
            bytes.extend_from_slice(&byte);
            if bytes.ends_with(b"\r\n\r\n") {
                break bytes.len();
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        answer.body = String::from_utf8(body).unwrap();
        Some(answer)
    }
}

/// One request on a connection of its own.
pub(crate) async fn send(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut connection = Connection::open(address).await;
    connection.send(bytes).await;
    connection.answer().await
}

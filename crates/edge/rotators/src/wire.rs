//! A connection to a database, in clear text or encrypted, that waits for nothing longer than it should.

use std::time::Duration;

use coffer_client::{ClientError, Outbound};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::failure::Trouble;

/// For each thing that is read or written. A statement waits for locks of others.
const WAIT: Duration = Duration::from_secs(30);
/// The longest message that is read. Ours are short, and so are their answers.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// And all of them together: a server that never ends is left.
const READ_BYTES_MAX: usize = 16 << 20;

pub(crate) struct Wire {
    stream: Stream,
    read_bytes: usize,
}

enum Stream {
    Plain(TcpStream),
    Encrypted(Box<dyn Duplex>),
    /// While it is being changed from one to the other.
    Gone,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

impl Wire {
    pub(crate) async fn connect(outbound: &Outbound, host: &str, port: u16) -> Result<Self, Trouble> {
        let stream = outbound.connect(host, port).await.map_err(unreachable)?;
        Ok(Self { stream: Stream::Plain(stream), read_bytes: 0 })
    }

    /// The other side has agreed to it.
    pub(crate) async fn encrypt(&mut self, outbound: &Outbound, host: &str) -> Result<(), Trouble> {
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(Trouble::Strange("it is encrypted already"));
        };
        let encrypted = outbound.encrypt(stream, host).await;
        let encrypted = encrypted.map_err(|error| Trouble::NotEncrypted(words(error)))?;
        self.stream = Stream::Encrypted(Box::new(encrypted));
        Ok(())
    }

    pub(crate) const fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Encrypted(_))
    }

    pub(crate) async fn read(&mut self, length: usize) -> Result<Vec<u8>, Trouble> {
        self.read_bytes = self.read_bytes.saturating_add(length);
        if length > MESSAGE_BYTES_MAX || self.read_bytes > READ_BYTES_MAX {
            return Err(Trouble::Strange("its answer is too long"));
        }
        let mut bytes = vec![0; length];
        let read = async {
            match &mut self.stream {
                Stream::Plain(stream) => stream.read_exact(&mut bytes).await,
                Stream::Encrypted(stream) => stream.read_exact(&mut bytes).await,
                Stream::Gone => Err(std::io::ErrorKind::NotConnected.into()),
            }
        };
        timeout(WAIT, read).await.map_err(|_| Trouble::TimedOut)??;
        Ok(bytes)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let write = async {
            match &mut self.stream {
                Stream::Plain(stream) => stream.write_all(bytes).await,
                Stream::Encrypted(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
                Stream::Gone => Err(std::io::ErrorKind::NotConnected.into()),
            }
        };
        Ok(timeout(WAIT, write).await.map_err(|_| Trouble::TimedOut)??)
    }
}

fn unreachable(error: ClientError) -> Trouble {
    Trouble::Unreachable(words(error))
}

fn words(error: ClientError) -> String {
    match error {
        ClientError::Unreachable(why) => why,
        other => other.to_string(),
    }
}

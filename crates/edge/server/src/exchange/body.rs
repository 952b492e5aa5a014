//! The body of a request: read within bounds of size and time, hashed on the way, and wiped when dropped.
//!
//! The signature covers the hash of the body, so every byte is hashed as it comes and none is looked at before the signature
//! holds. A body that is declared too large is refused without reading a byte; one that grows too large is refused when it
//! does. A sender must keep a pace: with a fixed time alone, a few hundred of them could each hold a connection and a
//! buffer for as long as that time and send a byte a second.

use coffer_crypto::Sha256;
use coffer_types::Secret;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Duration, Instant, timeout_at},
};

use crate::limits::{BODY_BYTES_PER_SECOND_MIN, BODY_GRACE};

/// Where a body without a declared length starts; it doubles from there.
const START_BYTES: usize = 1024;

#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Secret<Vec<u8>>,
    pub(super) sha256: [u8; 32],
    /// The place of a large one among those that may be here at once.
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFault {
    TooLarge {
        limit: usize,
    },
    TooSlow,
    /// It ended before its declared length, or its framing is broken.
    Broken,
}

pub(super) async fn receive<B>(body: B, limit: usize, longest: Duration) -> Result<Received, BodyFault>
where
    B: Body<Data = Bytes> + Unpin,
{
    let hint = body.size_hint();
    let declared = usize::try_from(hint.lower()).unwrap_or(usize::MAX);
    let start = if hint.exact().is_some() { declared } else { START_BYTES };
    let mut bytes = Secret::new(Vec::with_capacity(start.min(limit)));
    let mut hash = Sha256::new();
    read(body, limit, longest, &mut |chunk| {
        hash.update(chunk);
        append(&mut bytes, chunk, limit);
    })
    .await?;
    Ok(Received { bytes, sha256: hash.finish(), _room: None })
}

/// Reads a body that nobody wants, so that its connection can be used again, and keeps nothing of it. Whatever is wrong with it
/// ends the reading, and with it the connection.
pub(super) async fn discard<B>(body: B, limit: usize, longest: Duration)
where
    B: Body<Data = Bytes> + Unpin,
{
    let _ended_well = read(body, limit, longest, &mut |_| ()).await.is_ok();
}

async fn read<B>(
    mut body: B,
    limit: usize,
    longest: Duration,
    each: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<(), BodyFault>
where
    B: Body<Data = Bytes> + Unpin,
{
    // A declared length fits, or there is nothing to read.
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyFault::TooLarge { limit });
    }
    let mut received = 0;
    let begun = Instant::now();
    while !body.is_end_stream() {
        let frame = timeout_at(begun + time_for(received).min(longest), body.frame());
        let frame = match frame.await {
            Err(_) => return Err(BodyFault::TooSlow),
            Ok(None) => break,
            Ok(Some(frame)) => frame.map_err(|_| BodyFault::Broken)?,
        };
        // Trailers are not data; nothing here asks for them.
        let Some(chunk) = frame.data_ref() else { continue };
        if chunk.len() > limit - received {
            return Err(BodyFault::TooLarge { limit });
        }
        received += chunk.len();
        each(chunk);
    }
    Ok(())
}

/// How long after its start a body of which so much has arrived may make us wait for the rest.
fn time_for(received: usize) -> Duration {
    let earned = Duration::from_secs(received as u64 / BODY_BYTES_PER_SECOND_MIN);
    BODY_GRACE + earned
}

/// A `Vec` that grows by itself leaves its old bytes in freed memory; here the old allocation is wiped.
fn append(bytes: &mut Secret<Vec<u8>>, chunk: &[u8], limit: usize) {
    let needed = bytes.len() + chunk.len();
    if bytes.expose().capacity() < needed {
        let mut larger = Vec::with_capacity(needed.max(bytes.len() * 2).min(limit.max(needed)));
        larger.extend_from_slice(bytes.expose());
        *bytes = Secret::new(larger);
    }
    bytes.expose_mut().extend_from_slice(chunk);
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper::body::Frame;
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use super::*;

    const LONGEST: Duration = Duration::from_secs(15);

    /// Gives one chunk and then nothing for ever.
    struct Stuck(Option<Bytes>);

    impl Body for Stuck {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.take().map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(Frame::data(chunk)))))
        }
    }

    #[tokio::test]
    async fn a_body_is_read_hashed_and_bounded() {
        let body = || Full::new(Bytes::from_static(b"0123456789"));
        let received = receive(body(), 10, LONGEST).await.unwrap();
        assert_eq!(received.bytes.expose(), b"0123456789");
        assert_eq!(received.sha256, coffer_crypto::sha256(b"0123456789"));
        assert_eq!(receive(body(), 9, LONGEST).await.unwrap_err(), BodyFault::TooLarge { limit: 9 });
        let nothing = receive(Full::new(Bytes::new()), 0, LONGEST).await.unwrap();
        assert_eq!(nothing.sha256, coffer_crypto::sha256(b""));
    }

    #[test]
    fn every_kilobyte_buys_a_second() {
        for (received, seconds) in [(0, 2), (1023, 2), (1024, 3), (4096, 6)] {
            assert_eq!(time_for(received), Duration::from_secs(seconds), "{received}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_stops_is_given_up_after_what_it_earned() {
        for (longest, given_up_after) in [(LONGEST, 4), (Duration::from_secs(3), 3)] {
            let begun = Instant::now();
            let stuck = Stuck(Some(Bytes::from_static(&[0; 3000])));
            assert_eq!(receive(stuck, 1 << 16, longest).await.unwrap_err(), BodyFault::TooSlow);
            assert_eq!(begun.elapsed().as_secs(), given_up_after);
        }
    }
}

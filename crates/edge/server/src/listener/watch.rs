//! When a connection has been quiet for too long.
//!
//! A connection is in one of three phases: it rests between requests, a head is arriving, or requests are in flight. Each has
//! its own patience. One alarm per connection looks at the phase every few seconds, so a request costs two counters and no
//! timer; a connection may live a little longer than its patience, which nobody minds.
//!
//! HTTP/2 has no such clear phases: pings and window updates arrive between requests. Once it has brought a request only
//! its idle time counts; a head that never ends is then bounded by that and by the limits on header blocks.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) header: Duration,
    pub(super) idle: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The head does not end; nothing can be answered.
    Head,
    Idle,
}

#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    /// When the present phase began, in milliseconds since `begun`.
    since_ms: AtomicU64,
    in_flight: AtomicUsize,
    /// Bytes of a head have arrived, or are owed because the connection is new.
    in_head: AtomicBool,
    is_http2: AtomicBool,
}

impl Activity {
    /// A new connection owes a head.
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            since_ms: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            in_head: AtomicBool::new(true),
            is_http2: AtomicBool::new(false),
        }
    }

    fn enter_phase(&self) {
        let elapsed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since_ms.store(elapsed, Ordering::Relaxed);
    }

    fn bytes_arrived(&self) {
        let resting = self.in_flight.load(Ordering::Relaxed) == 0 && !self.in_head.load(Ordering::Relaxed);
        if resting {
            self.in_head.store(true, Ordering::Relaxed);
            self.enter_phase();
        }
    }

    /// A head is complete; the request is in flight until the guard is dropped.
    pub(super) fn request(self: &Arc<Self>, is_http2: bool) -> InFlight {
        if is_http2 {
            self.is_http2.store(true, Ordering::Relaxed);
        }
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.in_head.store(false, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    pub(super) fn overdue(&self, patience: Patience) -> Option<Overdue> {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let phase = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        let quiet = self.begun.elapsed().saturating_sub(phase);
        let in_head = self.in_head.load(Ordering::Relaxed) && !self.is_http2.load(Ordering::Relaxed);
        match in_head {
            true => (quiet >= patience.header).then_some(Overdue::Head),
            false => (quiet >= patience.idle).then_some(Overdue::Idle),
        }
    }
}

#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.in_head.store(false, Ordering::Relaxed);
            self.0.enter_phase();
        }
    }
}

/// A stream that tells the watch when bytes come in.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) const fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.activity.bytes_arrived();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Patience = Patience { header: Duration::from_secs(5), idle: Duration::from_secs(75) };

    async fn after(seconds: u64, activity: &Activity) -> Option<Overdue> {
        advance(Duration::from_secs(seconds)).await;
        activity.overdue(PATIENCE)
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_patience() {
        let activity = Arc::new(Activity::new());
        assert_eq!(after(4, &activity).await, None);
        assert_eq!(after(1, &activity).await, Some(Overdue::Head), "a new connection owes a head");

        let request = activity.request(false);
        assert_eq!(after(1000, &activity).await, None, "a request has its own limits");
        drop(request);
        assert_eq!(after(74, &activity).await, None);
        assert_eq!(after(1, &activity).await, Some(Overdue::Idle));

        activity.bytes_arrived();
        assert_eq!(after(4, &activity).await, None);
        activity.bytes_arrived();
        assert_eq!(after(1, &activity).await, Some(Overdue::Head), "more bytes buy no more time");
    }

    #[tokio::test(start_paused = true)]
    async fn pings_between_requests_are_no_head() {
        let activity = Arc::new(Activity::new());
        drop(activity.request(true));
        activity.bytes_arrived();
        assert_eq!(after(70, &activity).await, None);
        assert_eq!(after(10, &activity).await, Some(Overdue::Idle));
    }
}

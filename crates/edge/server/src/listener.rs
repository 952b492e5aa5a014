//! Accepts connections, within limits, until told to stop; then lets those that are open finish.
//!
//! A connection that would be one too many is one of a small reserve, of which only the pages of [`crate::health`] are answered, once. When
//! that is full as well it is closed at once: an answer would cost more than it is worth, and a queue would
//! only move the end of the house to a place where nobody counts. Stopping is polite: no new connections, every open one is
//! told to go after the request it is at, and what is not done in time is cut off.

mod connection;
mod watch;

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    sync::Arc,
};

use hyper_util::{rt::TokioExecutor, server::conn::auto};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch as signal,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use self::connection::Serves;
use crate::{
    exchange::Edge,
    limits::{
        ACCEPT_PAUSE, FORGET_KEYS_EVERY, HEAD_BYTES_MAX, HTTP2_RESETS_MAX, HTTP2_STREAMS_MAX,
        HTTP2_WINDOW_BYTES, RESERVE_MAX, RESERVE_PER_ADDRESS_MAX, gate::LOOK_EVERY, seats::Seats,
    },
    node::Node,
};

/// Connections of functions at the same time: some for each that may run.
const FROM_FUNCTIONS_MAX: usize = 1024;

/// Serves `node` on a socket until `shutdown` is over and the requests that had begun are answered.
///
/// The time that they get is in the settings of the node; whoever wants to be "not ready" for a while before that waits
/// before `shutdown` ends.
pub async fn serve(
    node: Arc<Node>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let edge = Edge::new(node);
    let limits = *edge.limits();
    let (leave, told) = signal::channel(false);
    let house = Arc::new(House {
        edge,
        protocol: protocol(),
        tls,
        told,
        seats: Seats::new(limits.connections_max, limits.connections_per_address_max),
        reserve: Seats::new(RESERVE_MAX, RESERVE_PER_ADDRESS_MAX),
        from_functions: Seats::new(FROM_FUNCTIONS_MAX, FROM_FUNCTIONS_MAX),
    });
    let mut open = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut midnight = interval(FORGET_KEYS_EVERY);
    let mut visitors = house.edge.node().take_visitors();
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            // Tasks that have ended are taken out, or the set would grow for ever.
            Some(_) = open.join_next(), if !open.is_empty() => {}
            _ = midnight.tick() => house.edge.forget_old_keys(),
            _ = looks.tick() => house.edge.look_at_load(),
            Some(stream) = visitors.recv() => admit_function(&house, &mut open, stream),
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => admit(&house, &mut open, stream, address.ip()),
                Err(error) => {
                    // Most often the process is out of descriptors; the connection waits in the queue of the kernel.
                    tracing::warn!(%error, "a connection could not be accepted; look at the limit of open files");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // Nobody listening is fine: then nothing is open.
    let _ = leave.send(true);
    let all = async { while open.join_next().await.is_some() {} };
    if timeout(limits.drain, all).await.is_err() {
        tracing::warn!(connections = open.len(), "requests were cut off because they did not finish in time");
        open.shutdown().await;
    }
    Ok(())
}

fn admit(house: &Arc<House>, open: &mut JoinSet<()>, stream: TcpStream, address: IpAddr) {
    let found = house
        .seats
        .take(address)
        .map(|seat| (seat, Serves::Everything))
        .or_else(|full| house.reserve.take(address).map(|seat| (seat, Serves::Health)).map_err(|_| full));
    let (seat, serves) = match found {
        Ok(found) => found,
        Err(full) => {
            house.edge.node().metrics().connection_refused(full);
            return;
        }
    };
    // Answers are written in one piece, so waiting for more to send only delays them.
    if stream.set_nodelay(true).is_ok() {
        open.spawn(connection::serve(Arc::clone(house), stream, address, seat, serves));
    }
}

/// A function comes through a way of its own, which nobody else can see: in clear text, and not in the place of others.
fn admit_function(house: &Arc<House>, open: &mut JoinSet<()>, stream: TcpStream) {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if let Ok(seat) = house.from_functions.take(address)
        && stream.set_nodelay(true).is_ok()
    {
        open.spawn(connection::serve_plain(Arc::clone(house), stream, address, seat));
    }
}

/// What all connections of a listener share.
struct House {
    edge: Edge,
    protocol: auto::Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    told: signal::Receiver<bool>,
    seats: Arc<Seats>,
    /// For those who find none.
    reserve: Arc<Seats>,
    from_functions: Arc<Seats>,
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("House")
    }
}

fn protocol() -> auto::Builder<TokioExecutor> {
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    // The limit of 100 headers is hyper's own, and the buffer bounds the size of a head.
    protocol.http1().max_buf_size(HEAD_BYTES_MAX);
    protocol
        .http2()
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .max_pending_accept_reset_streams(HTTP2_RESETS_MAX)
        .max_local_error_reset_streams(HTTP2_RESETS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    protocol
}

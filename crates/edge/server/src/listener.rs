//! Accepts connections, within limits, until told to stop; then lets those that are open finish.
//!
//! A connection that would be one too many is closed at once: an answer would cost more than it is worth, and a queue would
//! only move the end of the house to a place where nobody counts. Stopping is polite: no new connections, every open one is
//! told to go after the request it is at, and what is not done in time is cut off.

mod connection;
mod watch;

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    io,
    net::{IpAddr, Ipv6Addr},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use hyper_util::{rt::TokioExecutor, server::conn::auto};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch as signal,
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    exchange::Edge,
    limits::{
        ACCEPT_PAUSE, FORGET_KEYS_EVERY, HEAD_BYTES_MAX, HTTP2_RESETS_MAX, HTTP2_STREAMS_MAX,
        HTTP2_WINDOW_BYTES,
    },
    node::Node,
};

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
        seats: Seats {
            total: limits.connections_max,
            each: limits.connections_per_address_max,
            ..Seats::default()
        },
    });
    let mut open = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut midnight = interval(FORGET_KEYS_EVERY);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            // Tasks that have ended are taken out, or the set would grow for ever.
            Some(_) = open.join_next(), if !open.is_empty() => {}
            _ = midnight.tick() => house.edge.forget_old_keys(),
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
    let seat = match Seats::take(house, address) {
        Ok(seat) => seat,
        Err(full) => {
            house.edge.node().metrics().connection_refused(full);
            return;
        }
    };
    // Answers are written in one piece, so waiting for more to send only delays them.
    if stream.set_nodelay(true).is_ok() {
        open.spawn(connection::serve(Arc::clone(house), stream, address, seat));
    }
}

/// What all connections of a listener share.
struct House {
    edge: Edge,
    protocol: auto::Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    told: signal::Receiver<bool>,
    seats: Seats,
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

/// How many connections are open, in all and per address.
#[derive(Debug, Default)]
struct Seats {
    total: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place, given back when dropped.
#[derive(Debug)]
struct Seat {
    house: Arc<House>,
    address: IpAddr,
}

impl Seats {
    /// A place, or which of the limits left none.
    fn take(house: &Arc<House>, address: IpAddr) -> Result<Seat, &'static str> {
        let address = network(address);
        let seats = &house.seats;
        let mut taken = seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.total >= seats.total {
            return Err("total");
        }
        let here = taken.by_address.entry(address).or_default();
        if *here >= seats.each {
            return Err("address");
        }
        *here += 1;
        taken.total += 1;
        Ok(Seat { house: Arc::clone(house), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.house.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        let Some(here) = taken.by_address.get_mut(&self.address) else { return };
        *here = here.saturating_sub(1);
        if *here == 0 {
            taken.by_address.remove(&self.address);
        }
    }
}

/// Whose connections are counted together. One customer has a whole /64 of the newer addresses.
fn network(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = u128::MAX << 64;
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_one_network_share_their_seats() {
        for (address, counted_as) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("::1", "::"),
        ] {
            assert_eq!(network(address.parse().unwrap()).to_string(), counted_as);
        }
    }
}

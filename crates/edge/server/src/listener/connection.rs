//! One connection: handshake, requests, farewell.

use std::{convert::Infallible, net::IpAddr, pin::pin, sync::Arc};

use coffer_core::{TlsDetails, Transport};
use hyper::{Request, Version, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::rustls::{CipherSuite, ProtocolVersion, ServerConnection};

use super::{
    House,
    watch::{Activity, Overdue, Patience, Watched},
};
use crate::{
    exchange::Peer,
    limits::{FAREWELL, RESERVED_FOR, seats::Seat},
};

/// Both kinds of streams behind one pointer: what is compiled per kind would be all of HTTP.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What is answered on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    Everything,
    /// It is one of the reserve.
    Health,
}

pub(super) async fn serve(house: Arc<House>, stream: TcpStream, address: IpAddr, seat: Seat, serves: Serves) {
    let limits = house.edge.limits();
    let (stream, tls): (Box<dyn Stream>, _) = match &house.tls {
        None => (Box::new(stream), None),
        Some(tls) => match timeout(limits.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let details = details(stream.get_ref().1);
                (Box::new(stream), details)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                return;
            }
            Err(_) => return,
        },
    };
    let peer = Peer { address: address.to_canonical(), transport: tls.into() };
    let _open = house.edge.node().metrics().begin_connection();
    let conversation = converse(&house, stream, peer, serves);
    match serves {
        Serves::Everything => conversation.await,
        Serves::Health => drop(timeout(RESERVED_FOR, conversation).await),
    }
    drop(seat);
}

/// The same for a function, from the network of its own: nobody is there to listen, so it needs no TLS, whatever the listener has.
pub(super) async fn serve_plain(house: Arc<House>, stream: TcpStream, address: IpAddr, seat: Seat) {
    let peer = Peer { address, transport: Transport::Inside };
    let _open = house.edge.node().metrics().begin_connection();
    converse(&house, Box::new(stream), peer, Serves::Everything).await;
    drop(seat);
}

async fn converse(house: &Arc<House>, stream: Box<dyn Stream>, peer: Peer, serves: Serves) {
    let limits = house.edge.limits();
    let patience = Patience { header: limits.header, idle: limits.idle };
    let activity = Arc::new(Activity::new());
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let shared = Arc::new((Arc::clone(house), peer, Arc::clone(&activity)));
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move {
            let (house, peer, activity) = &*shared;
            let _in_flight = activity.request(request.version() == Version::HTTP_2);
            Ok::<_, Infallible>(match serves {
                Serves::Everything => house.edge.answer(peer, request).await,
                Serves::Health => house.edge.answer_health(&request),
            })
        }
    });
    let mut connection = pin!(house.protocol.serve_connection(stream, service));
    let mut told = house.told.clone();
    let mut leaving = false;
    let look_every = patience.header.min(patience.idle) / 2;
    let mut alarm = pin!(sleep_until(Instant::now() + look_every));
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    // The client went away or spoke something else; both are everyday.
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = farewell(&mut told), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            () = alarm.as_mut() => match activity.overdue(patience) {
                None => alarm.as_mut().reset(Instant::now() + look_every),
                Some(Overdue::Head) => return,
                Some(Overdue::Idle) => {
                    connection.as_mut().graceful_shutdown();
                    // Whoever does not take the farewell is left without one.
                    let _ = timeout(FAREWELL, connection.as_mut()).await;
                    return;
                }
            },
        }
    }
}

/// Waits until the listener goes down, or is gone.
async fn farewell(told: &mut watch::Receiver<bool>) {
    let _gone = told.wait_for(|leave| *leave).await.is_err();
}

/// What was agreed on, in the words of the audit trail: suites have the names that IANA gives them.
fn details(session: &ServerConnection) -> Option<TlsDetails> {
    let version = match session.protocol_version()? {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => return None,
    };
    let cipher_suite = match session.negotiated_cipher_suite().map(|suite| suite.suite()) {
        Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => Some("TLS_AES_128_GCM_SHA256"),
        Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => Some("TLS_AES_256_GCM_SHA384"),
        Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => Some("TLS_CHACHA20_POLY1305_SHA256"),
        other => other.and_then(|suite| suite.as_str()),
    };
    Some(TlsDetails { version, cipher_suite })
}

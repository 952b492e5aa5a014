//! Ports of the machine that functions without a network of their own share: the token that is shown says whose request it is.
//!
//! Whoever has the token of an environment gets its secrets, so nobody but us may ever be told one. A port is ours, on both addresses
//! that `localhost` can mean, from before an environment starts until after it has ended; if it cannot be had on both, nothing is
//! served, and a token that somebody else was told there opens nothing here.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use coffer_crypto::sha256;
use hyper::{Request, body::Incoming};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

use super::{Extension, Held, Refusal, builder, sent, shown, unknown};
use crate::http;

/// For all environments together.
const CONNECTIONS_MAX: usize = 256;
/// Those below are for whom the machine trusts. We may be root, and whose function it is may not.
pub(crate) const LOWEST: u16 = 1024;
/// A port that we have just given up is free after a moment.
const BIND_ATTEMPTS_MAX: u32 = 5;
const BIND_WAIT: Duration = Duration::from_millis(50);

type Digest = [u8; 32];

#[derive(Default)]
pub(crate) struct Ports(tokio::sync::Mutex<HashMap<u16, Weak<Port>>>);

struct Port {
    environments: Arc<Environments>,
    /// They end with it.
    _servers: JoinSet<()>,
}

/// Who is served, found by a digest of the token: how long that takes says nothing of the token.
#[derive(Default)]
struct Environments(Mutex<HashMap<Digest, Arc<Extension>>>);

/// The place of one environment. Nobody is served for it any more when this is dropped.
pub(crate) struct Berth {
    port: Arc<Port>,
    digest: Digest,
}

impl Ports {
    pub(crate) async fn take(&self, extension: &Arc<Extension>) -> Result<Berth, String> {
        let number = extension.port();
        let mut ports = self.0.lock().await;
        ports.retain(|_, port| port.strong_count() > 0);
        let port = match ports.get(&number).and_then(Weak::upgrade) {
            Some(port) => port,
            None => {
                let port = Port::open(number).await;
                let port = Arc::new(port.map_err(|error| format!("port {number} cannot be had: {error}"))?);
                ports.insert(number, Arc::downgrade(&port));
                port
            }
        };
        let digest = sha256(extension.token.expose().as_bytes());
        port.environments.all().insert(digest, Arc::clone(extension));
        Ok(Berth { port, digest })
    }
}

impl Port {
    async fn open(number: u16) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            match bind(SocketAddr::new(address, number)).await {
                Ok(listener) => listeners.push(listener),
                // A machine without IPv6: nobody else has it there either.
                Err(error) if address.is_ipv6() && is_not_there(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let environments = Arc::<Environments>::default();
        let mut servers = JoinSet::new();
        for listener in listeners {
            let environments = Arc::clone(&environments);
            let answer = move |request| {
                let environments = Arc::clone(&environments);
                async move { sent(environments.answer(request).await) }
            };
            servers.spawn(http::serve(listener, builder(), CONNECTIONS_MAX, answer));
        }
        Ok(Self { environments, _servers: servers })
    }
}

async fn bind(place: SocketAddr) -> io::Result<TcpListener> {
    for _ in 0..BIND_ATTEMPTS_MAX {
        match TcpListener::bind(place).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => sleep(BIND_WAIT).await,
            other => return other,
        }
    }
    TcpListener::bind(place).await
}

fn is_not_there(error: &io::Error) -> bool {
    /// No such family of addresses.
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

impl Environments {
    fn all(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Extension>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Held, Refusal> {
        let found = self.all().get(&sha256(shown(&request)?)).cloned();
        found.ok_or_else(unknown)?.answer(&request).await
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        self.port.environments.all().remove(&self.digest);
    }
}

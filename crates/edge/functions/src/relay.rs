//! The ways out of a function's own network: to Coffer, and to what was declared.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use coffer_types::may_be_reached;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, lookup_host},
    task::JoinSet,
    time::timeout,
};

use crate::backing::Door;

const CONNECT_WAIT: Duration = Duration::from_secs(10);
const CONNECTIONS_MAX: usize = 64;

/// Every connection leads to Coffer's API.
pub(crate) async fn to_coffer(listener: TcpListener, door: Arc<dyn Door>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => door.serve(stream),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Every connection leads to this host.
pub(crate) async fn to_host(listener: TcpListener, host: String, port: u16, listed: bool) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = open.join_next(), if !open.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if open.len() < CONNECTIONS_MAX => {
                    let host = host.clone();
                    open.spawn(async move { pass(stream, &host, port, listed).await });
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

async fn pass(mut inside: TcpStream, host: &str, port: u16, listed: bool) {
    let mut is_kept_out = false;
    let connected = async {
        // Resolved here and now, and connected to what was looked at.
        let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.ok()?.collect();
        is_kept_out = addresses.iter().any(|address| !may_be_reached(address.ip(), listed));
        for address in addresses {
            if may_be_reached(address.ip(), listed)
                && let Ok(stream) = TcpStream::connect(address).await
            {
                return Some(stream);
            }
        }
        None
    };
    if let Ok(Some(mut outside)) = timeout(CONNECT_WAIT, connected).await {
        drop(outside.set_nodelay(true));
        drop(inside.set_nodelay(true));
        drop(copy_bidirectional(&mut inside, &mut outside).await);
    } else if is_kept_out {
        tracing::warn!(
            host,
            port,
            "a function was not connected with a host on this machine or beside it; list it in `functions.endpoints` if it is meant"
        );
    } else {
        tracing::warn!(host, port, "a function could not be connected with a host that it may reach");
    }
}

//! The ways out of a function's own network: to Coffer, and to what was declared.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

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
    let connected = async {
        // Resolved here and now, and connected to what was looked at.
        let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.ok()?.collect();
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
    } else {
        tracing::warn!(host, port, "a function could not be connected with a declared endpoint");
    }
}

/// A database is often in a private network. It is never where clouds keep the credentials of their machines, and on this machine only if
/// the operator has listed it.
pub(crate) fn may_be_reached(address: IpAddr, listed: bool) -> bool {
    let plain = match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        four @ IpAddr::V4(_) => four,
    };
    if listed {
        return true;
    }
    match plain {
        IpAddr::V4(four) => {
            !(four.is_loopback()
                || four.is_link_local()
                || four.is_multicast()
                || four.is_broadcast()
                || four.octets().starts_with(&[0])
                // Alibaba's.
                || four == Ipv4Addr::new(100, 100, 100, 200))
        }
        IpAddr::V6(six) => {
            !(six.is_loopback()
                || six.is_unspecified()
                || six.is_multicast()
                || six.is_unicast_link_local()
                || six.segments().starts_with(&[0xfd00, 0xec2]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_neither_this_machine_nor_its_cloud() {
        let check = |address: &str, expected| {
            assert_eq!(may_be_reached(address.parse().unwrap(), false), expected, "{address}");
        };
        check("10.0.0.5", true);
        check("203.0.113.9", true);
        check("127.0.0.1", false);
        check("::1", false);
        check("::ffff:127.0.0.1", false);
        check("169.254.169.254", false);
        check("fd00:ec2::254", false);
        check("fe80::1", false);
        check("0.0.0.0", false);
        check("224.0.0.1", false);
        assert!(may_be_reached("127.0.0.1".parse().unwrap(), true));
    }
}

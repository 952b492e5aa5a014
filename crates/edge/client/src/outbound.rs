//! Connections to hosts that somebody else has named: the database of a secret, the address of a webhook.
//!
//! A name is resolved once, each address is looked at, and what was looked at is what is connected to, so that no answer of a name server
//! leads to this machine or to the credentials of its cloud. What the operator has listed may be anywhere.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use coffer_types::{may_be_reached, may_be_reached_from_afar};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{ClientError, Connections, Endpoint, EndpointError, endpoint::Trust};

const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Of the addresses that a name stands for, so many are tried.
const ADDRESSES_MAX: usize = 4;
/// Says what to change, as these connections are those of functions.
const NOT_LISTED: &str = "it is on this machine or in its network, and `functions.endpoints` of the configuration does not list it";

/// Where connections may lead, and whom to believe there.
#[derive(Clone, Default)]
pub struct Outbound {
    listed: Arc<[(String, u16)]>,
    trust: Option<Trust>,
}

impl Outbound {
    pub fn new(listed: &[(String, u16)], trust: Option<Trust>) -> Self {
        Self { listed: listed.into(), trust }
    }

    fn is_listed(&self, host: &str, port: u16) -> bool {
        self.listed.iter().any(|(name, at)| name.eq_ignore_ascii_case(host) && *at == port)
    }

    /// To a database, which may be in the network of this machine.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ClientError> {
        self.connect_where(host, port, may_be_reached).await
    }

    /// To somebody's server, which may not.
    pub(crate) async fn connect_afar(&self, host: &str, port: u16) -> Result<TcpStream, ClientError> {
        self.connect_where(host, port, may_be_reached_from_afar).await
    }

    async fn connect_where(
        &self,
        host: &str,
        port: u16,
        may: fn(IpAddr, bool) -> bool,
    ) -> Result<TcpStream, ClientError> {
        let unreachable = |why: &str| ClientError::Unreachable(why.to_owned());
        let is_listed = self.is_listed(host, port);
        let connect = async {
            let addresses = lookup_host((host, port))
                .await
                .map_err(|_| unreachable("the name of the host is not known"))?;
            let (may, not): (Vec<SocketAddr>, Vec<SocketAddr>) =
                addresses.partition(|address| may(address.ip(), is_listed));
            let mut why = match not.is_empty() {
                true => unreachable("the name of the host stands for no address"),
                false => unreachable(NOT_LISTED),
            };
            for address in may.into_iter().take(ADDRESSES_MAX) {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        stream.set_nodelay(true).map_err(|error| unreachable(&error.to_string()))?;
                        return Ok(stream);
                    }
                    Err(error) => why = unreachable(&error.to_string()),
                }
            }
            Err(why)
        };
        timeout(CONNECT_WAIT, connect).await.unwrap_or_else(|_| Err(unreachable("it did not answer in time")))
    }

    /// Encrypts a connection to a host for which one of the authorities vouches.
    pub async fn encrypt(&self, stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, ClientError> {
        let unreachable = |why: &dyn fmt::Display| ClientError::Unreachable(why.to_string());
        let trust = self.trust.as_ref().ok_or_else(|| unreachable(&EndpointError::NothingTrusted))?;
        let tls = trust.of_host(host).map_err(|error| unreachable(&error))?;
        let encrypted = TlsConnector::from(tls.config).connect(tls.name, stream);
        match timeout(CONNECT_WAIT, encrypted).await {
            Ok(encrypted) => encrypted.map_err(|error| unreachable(&error)),
            Err(_) => Err(unreachable(&"it did not answer in time")),
        }
    }

    /// For requests to somebody's server, whose URL has no path. It is an encrypted one, but for what is listed and on this machine.
    pub fn connections(&self, base: &str) -> Result<Connections, EndpointError> {
        let endpoint = Endpoint::trusting(base, self.trust.as_ref())?;
        let (host, port) = endpoint.address();
        let is_near = ["127.0.0.1", "::1", "localhost"].contains(&host);
        if base.starts_with("http://") && !(is_near && self.is_listed(host, port)) {
            return Err(EndpointError::Address);
        }
        Ok(Connections::new(endpoint).through(self.clone()))
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("listed", &self.listed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_is_for_what_is_listed_and_near() {
        let outbound = Outbound::new(
            &[(String::from("127.0.0.1"), 8080), (String::from("hooks.example.com"), 80)],
            None,
        );
        for (base, may) in [
            ("http://127.0.0.1:8080", true),
            ("http://127.0.0.1:8081", false),
            ("http://hooks.example.com", false),
            ("https://hooks.example.com", false),
            ("ftp://127.0.0.1:8080", false),
        ] {
            assert_eq!(outbound.connections(base).is_ok(), may, "{base}");
        }
    }

    #[tokio::test]
    async fn this_machine_is_reached_only_where_it_is_listed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let at = |host: &str, listed: &[(String, u16)]| {
            let (outbound, host) = (Outbound::new(listed, None), host.to_owned());
            async move { outbound.connect(&host, port).await.is_ok() }
        };
        for host in ["127.0.0.1", "localhost", "0.0.0.0", "::ffff:127.0.0.1", "2130706433"] {
            assert!(!at(host, &[]).await, "{host}");
        }
        assert!(!at("127.0.0.1", &[(String::from("127.0.0.1"), port.wrapping_add(1))]).await);
        assert!(at("127.0.0.1", &[(String::from("127.0.0.1"), port)]).await);
    }

    #[tokio::test]
    async fn the_server_of_somebody_is_not_looked_for_in_the_network_of_this_machine() {
        let outbound = Outbound::default();
        for host in ["10.0.0.1", "192.168.0.1", "fc00::1", "127.0.0.1"] {
            match outbound.connect_afar(host, 443).await {
                Err(ClientError::Unreachable(why)) => assert_eq!(why, NOT_LISTED, "{host}"),
                other => panic!("{host}: {other:?}"),
            }
        }
    }
}

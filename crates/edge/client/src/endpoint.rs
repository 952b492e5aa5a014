//! Where the server is, and whom to trust on the way there.

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("an endpoint is http:// or https:// with a host and an optional port, and nothing after it")]
    Address,
    #[error("an https endpoint needs the certificates of the authorities to trust")]
    NothingTrusted,
    #[error("the certificates to trust cannot be read: {0}")]
    Certificates(String),
}

/// `http://127.0.0.1:4566`, or the same with `https` and the authorities that may vouch for the host.
#[derive(Clone)]
pub struct Endpoint {
    /// As the `Host` header says it.
    authority: String,
    host: String,
    port: u16,
    tls: Option<Tls>,
}

#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl Endpoint {
    /// `authorities` is the text of a PEM file, such as the one the server wrote for itself. Clear text needs none, and an
    /// encrypted endpoint never falls back to the authorities of the machine.
    pub fn new(url: &str, authorities: Option<&str>) -> Result<Self, EndpointError> {
        let trust = authorities.filter(|_| url.starts_with("https://")).map(Trust::in_authorities);
        Self::trusting(url, trust.transpose()?.as_ref())
    }

    /// The same, with trust that was put together before.
    pub fn trusting(url: &str, trust: Option<&Trust>) -> Result<Self, EndpointError> {
        let (scheme, rest) = url.split_once("://").ok_or(EndpointError::Address)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split(authority)?;
        let (port_default, tls) = match (scheme, trust) {
            ("http", _) => (80, None),
            ("https", Some(trust)) => (443, Some(trust.of_host(&host)?)),
            ("https", None) => return Err(EndpointError::NothingTrusted),
            _ => return Err(EndpointError::Address),
        };
        Ok(Self { authority: authority.to_owned(), host, port: port.unwrap_or(port_default), tls })
    }

    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    pub(crate) const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// `host:port`, `host`, or an IPv6 address in brackets.
fn split(authority: &str) -> Result<(String, Option<u16>), EndpointError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(EndpointError::Address)?;
            (host, after.strip_prefix(':').or(if after.is_empty() { None } else { Some("?") }))
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
    if host.is_empty() || !host.bytes().all(good) {
        return Err(EndpointError::Address);
    }
    let port = port.map(str::parse).transpose().map_err(|_| EndpointError::Address)?;
    Ok((host.to_owned(), port))
}

/// The authorities that may vouch for hosts.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The text of a PEM file.
    pub fn in_authorities(pem: &str) -> Result<Self, EndpointError> {
        let refuse = |error: &dyn fmt::Display| EndpointError::Certificates(error.to_string());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| refuse(&error))?;
            roots.add(certificate).map_err(|error| refuse(&error))?;
        }
        if roots.is_empty() {
            return Err(EndpointError::NothingTrusted);
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| refuse(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn of_host(&self, host: &str) -> Result<Tls, EndpointError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| EndpointError::Address)?;
        Ok(Tls { config: Arc::clone(&self.0), name })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_a_host_and_a_port() {
        for (url, host, port) in [
            ("http://127.0.0.1:4566", "127.0.0.1", 4566),
            ("http://localhost/", "localhost", 80),
            ("http://[::1]:4566", "::1", 4566),
            ("http://[::1]", "::1", 80),
        ] {
            assert_eq!(Endpoint::new(url, None).unwrap().address(), (host, port), "{url}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for url in [
            "",
            "localhost",
            "ftp://localhost",
            "http://",
            "http://a/b",
            "http://a:b",
            "http://a:70000",
            "http://[::1",
            "http://[::1]x",
            "http://user@host",
        ] {
            assert!(Endpoint::new(url, None).is_err(), "{url}");
        }
    }

    #[test]
    fn encryption_without_anybody_to_trust_is_refused() {
        for authorities in
            [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
        {
            assert!(Endpoint::new("https://localhost", authorities).is_err(), "{authorities:?}");
        }
    }
}

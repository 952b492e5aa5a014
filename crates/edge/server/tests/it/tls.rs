//! TLS with an authority of our own, seen by a client that trusts nothing else.

use std::sync::Arc;

use coffer_server::{config::TlsConfig, tls, world};
use rustls::{
    ClientConfig, NamedGroup, ProtocolVersion, RootCertStore,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{self, kx_group},
    },
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::house::{House, Plan};

async fn house(directory: &std::path::Path) -> House {
    let config = TlsConfig::Automatic {
        directory: directory.join("tls"),
        names: vec!["localhost".into(), "127.0.0.1".into()],
    };
    let acceptor = tls::acceptor(&config, &world::ephemeral()).unwrap();
    House::with(Plan { tls: Some(acceptor), ..Plan::default() }).await
}

fn client(
    directory: &std::path::Path,
    versions: &[&'static rustls::SupportedProtocolVersion],
    alpn: &[u8],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(tls::authority(&directory.join("tls"))).unwrap()).unwrap();
    // As the SDKs of today do: the hybrid first.
    let kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1];
    let provider = Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

async fn connect(house: &House, config: ClientConfig, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(house.address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn clients_that_trust_the_authority_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let house = house(directory.path()).await;
    for (versions, version) in [
        (&[&rustls::version::TLS13], ProtocolVersion::TLSv1_3),
        (&[&rustls::version::TLS12], ProtocolVersion::TLSv1_2),
    ] {
        let config = client(directory.path(), versions, b"http/1.1");
        for name in ["localhost", "127.0.0.1"] {
            let mut stream = connect(&house, config.clone(), name).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(version));
            assert_eq!(session.alpn_protocol(), Some(b"http/1.1".as_slice()));
            if version == ProtocolVersion::TLSv1_3 {
                let group = session.negotiated_key_exchange_group().unwrap().name();
                assert_eq!(group, NamedGroup::X25519MLKEM768);
            }
            stream
                .write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        }
    }
    let both = client(directory.path(), &[&rustls::version::TLS13], b"h2");
    let stream = connect(&house, both, "localhost").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
}

#[tokio::test]
async fn other_names_other_authorities_and_clear_text_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let house = house(directory.path()).await;
    let config = client(directory.path(), &[&rustls::version::TLS13], b"http/1.1");
    assert!(connect(&house, config, "other.example").await.is_err());

    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = self::house(elsewhere.path()).await;
    let config = client(directory.path(), &[&rustls::version::TLS13], b"http/1.1");
    assert!(connect(&stranger, config, "localhost").await.is_err());

    let mut clear = house.connect().await;
    clear.send(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let said = clear.rest().await;
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
}

//! TLS: certificates that were given, or an authority of our own.
//!
//! Without a certificate of the operator Coffer makes an authority once, keeps it in the data directory, and issues itself
//! a certificate at every start. Clients trust `tls/ca.pem`. The key of the certificate is never stored: it is made with
//! the certificate and lives in memory, so the only key on disk is the authority's. A certificate is good for 90 days and
//! replaced after 60, by whichever handshake comes first; a server that runs for years needs no restart and no task.
//!
//! Key agreement prefers the hybrid of X25519 and ML-KEM-768, so that what is recorded today stays closed to the
//! computers of tomorrow. TLS 1.2 remains for the SDKs of yesterday.
//!
//! What it deliberately does not know: sockets, and whether an address needs TLS at all. That is for the configuration.

use std::{
    fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use coffer_core::World;
use coffer_types::{Clock, Timestamp, encoding::HEXLOWER};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use crate::{Complaint, config::TlsConfig, data_dir};

const AUTHORITY_DAYS: i64 = 3652;
const CERTIFICATE_DAYS: i64 = 90;
/// Replaced so early, a certificate outlives any outage that anybody would sit out.
const REPLACED_AFTER_DAYS: i64 = 60;
/// Clocks of clients may be behind ours.
const BACKDATED_DAYS: i64 = 1;
const AUTHORITY_KEY: &str = "ca.key";
const AUTHORITY: &str = "ca.pem";

/// Everybody may read the certificate of the authority; it is what clients are given.
const PUBLIC_FILE: u32 = 0o644;

/// The authority's certificate, for clients to trust.
pub fn authority(directory: &Path) -> PathBuf {
    directory.join(AUTHORITY)
}

pub fn acceptor(config: &TlsConfig, world: &World) -> Result<TlsAcceptor, Complaint> {
    let certificates: Arc<dyn ResolvesServerCert> = match config {
        TlsConfig::Given { certificate, key } => Arc::new(Given(given(certificate, key)?)),
        TlsConfig::Automatic { directory, names } => Arc::new(automatic(directory, names, world)?),
    };
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Complaint::new("TLS cannot be set up").because(error))?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn provider() -> Arc<CryptoProvider> {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

#[derive(Debug)]
struct Given(Arc<CertifiedKey>);

impl ResolvesServerCert for Given {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn given(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Complaint> {
    let unreadable = |what: &str, path: &Path, error: &dyn fmt::Display| {
        Complaint::new(format!("the TLS {what} {} cannot be used", path.display()))
            .because(error)
            .next("give PEM files in `tls.certificate` and `tls.key`")
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable("certificate", certificate, &error))?;
    if chain.is_empty() {
        return Err(unreadable("certificate", certificate, &"it holds no certificate"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("key", key, &error))?;
    // This also notices a key that does not belong to the certificate.
    let certified = CertifiedKey::from_der(chain, private, &provider());
    certified.map(Arc::new).map_err(|error| unreadable("key", key, &error))
}

/// Issues certificates for this server and replaces them in time.
struct Automatic {
    authority: Issuer<'static, KeyPair>,
    names: Vec<String>,
    clock: Arc<dyn Clock>,
    current: Mutex<(Timestamp, Arc<CertifiedKey>)>,
}

impl fmt::Debug for Automatic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Automatic").field("names", &self.names).finish_non_exhaustive()
    }
}

fn automatic(directory: &Path, names: &[String], world: &World) -> Result<Automatic, Complaint> {
    let failed = |error: &dyn fmt::Display| {
        Complaint::new(format!("the TLS certificate authority in {} cannot be used", directory.display()))
            .because(error)
            .next("move the directory away and start again; clients then need the new ca.pem")
    };
    let now = world.clock.now();
    data_dir::make(directory).map_err(|error| failed(&error))?;
    let key = authority_key(&directory.join(AUTHORITY_KEY)).map_err(|error| failed(&error))?;
    let params = authority_params(&key, now);
    let path = authority(directory);
    if !path.exists() {
        let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
        data_dir::write_new(&path, certificate.pem().as_bytes())
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(PUBLIC_FILE)))
            .map_err(|error| failed(&error))?;
    }
    let authority = Issuer::new(params, key);
    let first = issue(&authority, names, now).map_err(|error| {
        Complaint::new("no TLS certificate can be made for these names")
            .because(names.join(", "))
            .because(error)
            .next("correct `tls.names` in the configuration")
    })?;
    let current = Mutex::new((now, Arc::new(first)));
    Ok(Automatic { authority, names: names.to_vec(), clock: Arc::clone(&world.clock), current })
}

fn authority_key(path: &Path) -> Result<KeyPair, Box<dyn std::error::Error>> {
    if path.exists() {
        return Ok(KeyPair::from_pem(data_dir::read_small(path)?.expose())?);
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let pem = coffer_types::Secret::new(key.serialize_pem());
    data_dir::write_new(path, pem.expose().as_bytes())?;
    Ok(key)
}

/// The same key always makes an authority of the same name, so its certificate need not be parsed to issue under it.
fn authority_params(key: &KeyPair, now: Timestamp) -> CertificateParams {
    let print = coffer_crypto::sha256(key.der_bytes());
    let print = HEXLOWER.encode(print.get(..4).unwrap_or_default());
    let mut authority = CertificateParams::default();
    authority.distinguished_name = common_name(format!("Coffer local authority {print}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut authority, now, AUTHORITY_DAYS);
    authority
}

fn issue(
    authority: &Issuer<'_, KeyPair>,
    names: &[String],
    now: Timestamp,
) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = common_name(String::from("Coffer"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, now, CERTIFICATE_DAYS);
    let certificate = params.signed_by(&key, authority)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(CertifiedKey::from_der(vec![certificate.der().clone()], private, &provider())?)
}

fn common_name(name: String) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn valid(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let day = |at: Timestamp| {
        // `YYYYMMDD`: eight digits, so each part is a number.
        let text = at.to_date();
        let part =
            |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u8>().ok());
        let year = text.get(..4).and_then(|digits| digits.parse().ok()).unwrap_or(1970);
        date_time_ymd(year, part(4..6).unwrap_or(1), part(6..8).unwrap_or(1))
    };
    params.not_before = day(now.plus_days(-BACKDATED_DAYS));
    params.not_after = day(now.plus_days(days));
}

impl ResolvesServerCert for Automatic {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certificate())
    }
}

impl Automatic {
    fn certificate(&self) -> Arc<CertifiedKey> {
        let now = self.clock.now();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= current.0.plus_days(REPLACED_AFTER_DAYS) {
            match issue(&self.authority, &self.names, now) {
                Ok(next) => *current = (now, Arc::new(next)),
                // The old one is good for another month, and the next handshake tries again.
                Err(error) => tracing::warn!(%error, "the TLS certificate could not be replaced"),
            }
        }
        Arc::clone(&current.1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Days(AtomicI64);

    impl Clock for Days {
        fn now(&self) -> Timestamp {
            Timestamp::parse_iso("2026-01-01T12:00:00Z").unwrap().plus_days(self.0.load(Ordering::Relaxed))
        }

        fn monotonic(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }
    }

    fn world(clock: &Arc<Days>) -> World {
        World { clock: Arc::clone(clock) as Arc<dyn Clock>, ..crate::world::ephemeral() }
    }

    #[test]
    fn a_certificate_is_replaced_in_time_and_the_authority_stays() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(Days::default());
        let names = [String::from("localhost"), String::from("127.0.0.1")];
        let first = automatic(directory.path(), &names, &world(&clock)).unwrap();
        let certificate = first.certificate();
        clock.0.store(59, Ordering::Relaxed);
        assert!(Arc::ptr_eq(&first.certificate(), &certificate));
        clock.0.store(60, Ordering::Relaxed);
        assert!(!Arc::ptr_eq(&first.certificate(), &certificate));

        let trusted = std::fs::read(authority(directory.path())).unwrap();
        automatic(directory.path(), &names, &world(&clock)).unwrap();
        assert_eq!(std::fs::read(authority(directory.path())).unwrap(), trusted);
    }

    #[test]
    fn the_key_of_the_authority_is_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        automatic(directory.path(), &[String::from("localhost")], &world(&Arc::default())).unwrap();
        let mode =
            |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(AUTHORITY_KEY), mode(AUTHORITY)), (0o600, 0o644));
    }

    #[test]
    fn files_that_are_not_what_they_should_be_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("not.pem");
        #[expect(clippy::disallowed_methods, reason = "nothing here must survive the test")]
        std::fs::write(&path, "nothing").unwrap();
        let config = TlsConfig::Given { certificate: path.clone(), key: path };
        let complaint = acceptor(&config, &world(&Arc::default())).err().unwrap().to_string();
        assert!(complaint.contains("not.pem"), "{complaint}");
    }
}

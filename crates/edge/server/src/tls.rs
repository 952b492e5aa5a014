//! TLS: certificates that were given, or an authority of our own.
//!
//! Without a certificate of the operator Coffer makes an authority once, keeps it in the data directory, and issues itself
//! a certificate at every start. Clients trust `tls/ca.pem`. The key of the certificate is never stored: it is made with
//! the certificate and lives in memory, so the only key on disk is the authority's. A certificate is good for 90 days and
//! replaced after 60, by whichever handshake comes first; a server that runs for years needs no restart and no task.
//!
//! Both files of the authority are whole or missing, whenever the power goes. What an older crash left of `ca.pem` is made again
//! from the key: the same key and name are the same authority, so clients that have the old certificate stay content. A
//! certificate of another key is somebody's decision, and is refused instead.
//!
//! Key agreement prefers the hybrid of X25519 and ML-KEM-768, so that what is recorded today stays closed to the
//! computers of tomorrow. TLS 1.2 remains for the SDKs of yesterday.
//!
//! What it deliberately does not know: sockets, and whether an address needs TLS at all. That is for the configuration.

use std::{
    error::Error,
    fmt,
    fs::{self, File},
    io::{self, BufReader},
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
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Complaint,
    config::TlsConfig,
    data_dir::{self, PRIVATE_FILE, ensure_private_file},
    shell::quoted,
};

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
        TlsConfig::Given { certificate, key, key_is_credential } => {
            Arc::new(Given(given(certificate, key, if *key_is_credential { 0o007 } else { 0o077 })?))
        }
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

/// `forbidden` are the bits of mode that the key must not have.
fn given(certificate: &Path, key: &Path, forbidden: u32) -> Result<Arc<CertifiedKey>, Complaint> {
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
    let file = File::open(key).map_err(|error| unreadable("key", key, &error))?;
    ensure_private_file(&file, key, forbidden)?;
    let private = PrivateKeyDer::from_pem_reader(BufReader::new(file))
        .map_err(|error| unreadable("key", key, &error))?;
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
            .because("a new authority is made where there is none; clients then need the new ca.pem")
            .next(format!("mv {} {}", quoted(directory), quoted(&data_dir::beside(directory, "before"))))
    };
    let now = world.clock.now();
    data_dir::make(directory).map_err(|error| failed(&error))?;
    let path = authority(directory);
    let present = Present::read(&path).map_err(|error| failed(&error))?;
    let key = authority_key(&directory.join(AUTHORITY_KEY), &present).map_err(|error| failed(&error))?;
    let params = authority_params(&key, now);
    match present {
        Present::Certificate(certificate) if holds(&certificate, &key) => {}
        Present::Certificate(_) => {
            return Err(failed(&"ca.pem is the certificate of another key than ca.key"));
        }
        Present::Nothing | Present::Broken => {
            if present == Present::Broken {
                tracing::warn!(file = %path.display(), "the authority's certificate was broken and is made again");
            }
            let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
            data_dir::replace(&path, certificate.pem().as_bytes(), PUBLIC_FILE)
                .map_err(|error| failed(&error))?;
        }
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

/// What lies where the authority's certificate belongs.
#[derive(Debug, PartialEq, Eq)]
enum Present {
    Nothing,
    /// A file that holds no certificate: empty, cut off, or garbled.
    Broken,
    Certificate(CertificateDer<'static>),
}

impl Present {
    fn read(path: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Nothing),
            Err(error) => return Err(error),
        };
        let certificate = CertificateDer::from_pem_slice(&bytes).ok();
        let whole = certificate.filter(|certificate| ParsedCertificate::try_from(certificate).is_ok());
        Ok(whole.map_or(Self::Broken, Self::Certificate))
    }
}

/// Whether a certificate is of this key: then the key's public half stands in it.
fn holds(certificate: &CertificateDer<'_>, key: &KeyPair) -> bool {
    let public = key.der_bytes();
    certificate.windows(public.len()).any(|window| window == public)
}

fn authority_key(path: &Path, present: &Present) -> Result<KeyPair, Box<dyn Error>> {
    let is_new = match data_dir::read_small(path) {
        // A first start of an older version could be cut off here. Nobody can trust a certificate that there never was.
        Ok(text) if text.expose().trim().is_empty() => true,
        Ok(text) => return Ok(KeyPair::from_pem(text.expose())?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error.into()),
    };
    if is_new && matches!(present, Present::Certificate(_)) {
        return Err("ca.key is missing, but clients may trust its ca.pem; put it back if you can".into());
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let pem = coffer_types::Secret::new(key.serialize_pem());
    data_dir::replace(path, pem.expose().as_bytes(), PRIVATE_FILE)?;
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
) -> Result<CertifiedKey, Box<dyn Error>> {
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
    use std::{
        os::unix::fs::PermissionsExt,
        sync::atomic::{AtomicI64, Ordering},
    };

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
    fn what_a_crash_left_of_the_authority_is_made_again_from_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let start = || automatic(directory.path(), &[String::from("localhost")], &world(&Arc::default()));
        start().unwrap();
        let path = authority(directory.path());
        let whole = fs::read(&path).unwrap();
        let key = fs::read(directory.path().join(AUTHORITY_KEY)).unwrap();
        for left in [
            &whole[..0],
            &whole[..whole.len() / 2],
            b"\0\0\0\0",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            data_dir::replace(&path, left, PUBLIC_FILE).unwrap();
            start().unwrap();
            assert!(matches!(Present::read(&path).unwrap(), Present::Certificate(_)), "{left:?}");
            assert_eq!(fs::read(directory.path().join(AUTHORITY_KEY)).unwrap(), key);
        }
        // Before there was a certificate nobody trusted the key.
        fs::remove_file(&path).unwrap();
        data_dir::replace(&directory.path().join(AUTHORITY_KEY), b"", PRIVATE_FILE).unwrap();
        start().unwrap();
    }

    #[test]
    fn an_authority_that_clients_may_trust_is_not_replaced() {
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let start = |place: &tempfile::TempDir| {
            automatic(place.path(), &[String::from("localhost")], &world(&Arc::default()))
        };
        start(&ours).unwrap();
        start(&other).unwrap();
        let kept = fs::read(authority(ours.path())).unwrap();
        let key = ours.path().join(AUTHORITY_KEY);
        for (left, part) in [
            (Some(fs::read(other.path().join(AUTHORITY_KEY)).unwrap()), "another key"),
            (Some(Vec::new()), "is missing"),
            (None, "is missing"),
        ] {
            match &left {
                Some(bytes) => data_dir::replace(&key, bytes, PRIVATE_FILE).unwrap(),
                None => data_dir::forget(&key).unwrap(),
            }
            let refusal = start(&ours).err().unwrap().to_string();
            assert!(refusal.contains(part) && refusal.contains("try: mv "), "{refusal}");
            assert_eq!(fs::read(authority(ours.path())).unwrap(), kept);
            assert_eq!(fs::read(&key).ok(), left, "nor is a key made that would hide the loss");
        }
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_command_that_closes_it() {
        let directory = tempfile::tempdir().unwrap();
        let signed = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
        let (certificate, key) = (directory.path().join("tls.pem"), directory.path().join("tls.key"));
        data_dir::replace(&certificate, signed.cert.pem().as_bytes(), PUBLIC_FILE).unwrap();
        for (mode, plain, as_credential) in
            [(0o600, true, true), (0o400, true, true), (0o640, false, true), (0o604, false, false)]
        {
            data_dir::replace(&key, signed.signing_key.serialize_pem().as_bytes(), mode).unwrap();
            for (key_is_credential, accepted) in [(false, plain), (true, as_credential)] {
                let config = TlsConfig::Given {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    key_is_credential,
                };
                let outcome = acceptor(&config, &world(&Arc::default()));
                assert_eq!(outcome.is_ok(), accepted, "{mode:o} {key_is_credential}");
                if let Err(refusal) = outcome {
                    assert_eq!(refusal.next_step().unwrap(), format!("chmod 600 {}", key.display()));
                }
            }
        }
    }

    #[test]
    fn files_that_are_not_what_they_should_be_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("not.pem");
        #[expect(clippy::disallowed_methods, reason = "nothing here must survive the test")]
        std::fs::write(&path, "nothing").unwrap();
        let config = TlsConfig::Given { certificate: path.clone(), key: path, key_is_credential: false };
        let complaint = acceptor(&config, &world(&Arc::default())).err().unwrap().to_string();
        assert!(complaint.contains("not.pem"), "{complaint}");
    }
}

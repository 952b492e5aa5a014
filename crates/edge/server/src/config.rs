//! The configuration: a TOML file, flags over it, and defaults under both.
//!
//! This is the only place that reads the environment, and it reads seven names: where files of the user lie. Everything below
//! gets values. The doc comment of a key is its manual entry. Unknown keys are refused, because a key that is
//! misspelt and ignored is a setting that somebody believes in.
//!
//! No key holds a secret; keys hold the *paths* of files that do.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use coffer_core::Retention;
use coffer_types::{AccountId, Region};
use serde::Deserialize;

use crate::{
    complaint::Complaint,
    kms_seal::KmsSeal,
    limits::rates,
    oidc::{self, KeySource},
    token_seal::TokenSeal,
    units::{Size, Span},
};

const PORT: u16 = 4566;
const REGION: &str = "us-east-1";
/// The name under which a unit file loads the key: `LoadCredential=coffer.keyfile:PATH`, or `LoadCredentialEncrypted=`.
pub const CREDENTIAL: &str = "coffer.keyfile";
/// The same for the access key of the KMS that opens the store.
const KMS_CREDENTIAL: &str = "coffer.kms";
/// And for the PIN of the token that does.
const PIN_CREDENTIAL: &str = "coffer.pin";
/// Enough for the store to delete and to tidy up.
const FREE_FLOOR_BYTES: u64 = 128 << 20;
/// A year, and time to notice that it is over.
const AUDIT_KEEP_FOR: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// A small disk has this much to spare, and a full one would stop every answer.
const AUDIT_KEEP_BYTES: u64 = 16 << 30;
/// A configuration is a page of text; a larger file is a mistake in the path.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// Address and port to listen on. Default `"127.0.0.1:4566"`; port 0 takes a free one. Anything but a loopback
    /// address needs `[tls]`.
    pub listen: Option<SocketAddr>,
    /// Where the store lives: a directory that belongs to the server's user alone. Default `/var/lib/coffer` for root, else
    /// `$XDG_DATA_HOME/coffer` or `~/.local/share/coffer`.
    pub data_dir: Option<PathBuf>,
    /// The file with the key that opens the store. Keep it away from the data directory and its backups. Default
    /// `/etc/coffer/keyfile` for root, else `$XDG_CONFIG_HOME/coffer/keyfile` or `~/.config/coffer/keyfile`. A systemd credential
    /// `coffer.keyfile` goes before it.
    pub keyfile: Option<PathBuf>,
    /// The account of the administrator: 12 digits. Default: chosen at the first start, and the same ever after.
    pub account: Option<String>,
    /// The region that clients are told to use. Any region is served. Default `"us-east-1"`.
    pub region: Option<String>,
    pub tls: TlsSection,
    pub log: LogSection,
    pub limits: LimitsSection,
    pub signature: SignatureSection,
    pub store: StoreSection,
    pub audit: AuditSection,
    pub oidc: OidcSection,
    pub seal: SealSection,
    pub functions: FunctionsSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SealSection {
    pub kms: Option<SealKmsSection>,
    pub pkcs11: Option<SealPkcs11Section>,
}

/// A token that may open the store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealPkcs11Section {
    /// The library that speaks to a token that may open the store: an absolute path, such as `/usr/lib/softhsm/libsofthsm2.so`. The token
    /// does once `coffer key pkcs11 create` has made a seal slot. It takes a build with the feature `hsm`. See [keys](keys.md).
    pub module: PathBuf,
    /// The label of the token for new slots. A slot that is there remembers its own, and the token's serial number.
    pub token: String,
    /// The label of an AES key on the token, for new slots.
    pub key: String,
    /// A file with the PIN of the token's user. It is refused when others than the server's user may read it, and read again each time.
    /// Default: the systemd credential `coffer.pin`.
    pub pin: Option<PathBuf>,
}

/// A KMS that may open the store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealKmsSection {
    /// Where a KMS answers that may open the store: `"https://kms.eu-west-1.amazonaws.com"`, or another Coffer; `http://` goes to this machine
    /// only. It does once `coffer key kms create` has made a seal slot there, or `coffer init --kms`. See [keys](keys.md).
    pub endpoint: String,
    /// The region that requests are signed for. Default: that of `key`, if it is an ARN, else that of this server.
    pub region: Option<String>,
    /// The KMS key for new slots: its ARN, its id or an alias. A slot that is there remembers its own.
    pub key: String,
    /// A file with an access key that may call `kms:Encrypt` and `kms:Decrypt` on that key, as the AWS CLI writes it. It is refused when others
    /// than the server's user may read it, and read again each time. Default: the systemd credential `coffer.kms`.
    pub credentials: Option<PathBuf>,
    /// A PEM file with the authorities that may vouch for an `https://` endpoint, such as `/etc/ssl/certs/ca-certificates.crt`.
    pub authorities: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSection {
    /// A PEM file with the certificate and those that lead to its authority. Needs `key`.
    pub certificate: Option<PathBuf>,
    /// A PEM file with the private key of `certificate`. It is refused when others than the server's user may read it.
    pub key: Option<PathBuf>,
    /// `true` makes a certificate authority in the data directory, and with it a certificate that is renewed in time.
    pub automatic: bool,
    /// More names and addresses for the automatic certificate, beside `localhost`, the loopback addresses and `listen`.
    pub names: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// `"text"` or `"json"`. Default: text.
    pub format: LogFormat,
    /// `"error"`, `"warn"`, `"info"` or `"debug"`. Default: info.
    pub level: LogLevel,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Connections at the same time. Default 10000.
    pub connections: Option<usize>,
    /// Connections at the same time from one address. Default 512.
    pub connections_per_address: Option<usize>,
    /// Failed authentications a second from one address; twice as many may come at once. Then requests from there are refused as
    /// throttled, before they are looked at, but for access keys that proved themselves from there within the last hour. Behind a proxy all clients have its address, as `X-Forwarded-For` is not believed: there the
    /// limit belongs into the proxy, and 0 turns this one off. Default 200.
    pub failures_per_address: Option<u32>,
    /// Requests that have been begun and are not answered, at most, and places for those that are worked on. Of these there are two for
    /// each processor and 512 for changes, if that is less. Default 4096.
    pub in_flight: Option<usize>,
    /// How often operations may be called: `"fair"` sets no rates, `"aws"` those of AWS, `"custom"` those of `rates` and
    /// `principal_rates`. Twice as many calls may come at once, and what is more is refused as throttled. See
    /// [limits](limits.md). Default: fair.
    pub profile: ProfileName,
    /// Calls a second of one account in one region, for the profile `custom`. Write it as `[limits.rates]`, and in it lines such as
    /// `"secretsmanager:GetSecretValue" = 500`, or `"kms:*" = 100` for all operations of a service together that have no line of
    /// their own.
    pub rates: BTreeMap<String, u32>,
    /// The same for one principal: a user, all sessions of a role together, or the root of an account, whatever the region.
    pub principal_rates: BTreeMap<String, u32>,
    /// How long a client may take to send the head of a request. Default `"5s"`.
    pub head_timeout: Option<Span>,
    /// How long a connection may be idle. Default `"75s"`.
    pub idle_timeout: Option<Span>,
    /// How long a request may take from its head to its answer. Default `"30s"`.
    pub request_timeout: Option<Span>,
    /// The longest request body. An operation may allow less: 256 KiB, or what the largest secret value takes with every letter
    /// escaped. Packages and events of functions, and events of logs, are as large as AWS takes them, whatever is said here. Default
    /// `"1 MiB"`.
    pub body: Option<Size>,
    /// How long the server is "not ready" before it stops accepting, so that a load balancer notices. Default `"1s"`.
    pub drain_wait: Option<Span>,
    /// How long requests that have begun may take to finish when the server stops. Default `"30s"`.
    pub drain_timeout: Option<Span>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfileName {
    #[default]
    Fair,
    Aws,
    Custom,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSection {
    /// With less free space than this on its disk, the store accepts nothing that writes a record, such as DeleteSecret with a
    /// recovery window; what only erases goes on. On a disk that is full to the last byte nothing is written, and a server
    /// does not start: make room first. Default `"128 MiB"`.
    pub free_space: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSection {
    /// How long events of the audit log are kept. Files of 64 MiB are deleted when all of their events are older. Default
    /// `"400d"`.
    pub keep_for: Option<Span>,
    /// How large all files of the audit log together may become before the oldest are deleted, even if their events are
    /// younger than `keep_for`. The newest file always stays. A `GetSecretValue` takes about 2 KiB, so the default keeps
    /// eight million of them. Default `"16 GiB"`.
    pub keep_size: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OidcSection {
    /// Where the keys of identity providers are, for AssumeRoleWithWebIdentity: a table of issuers, as their tokens name them, each
    /// with the path of a JSON Web Key Set or the `https://` URL of one. Write it as `[oidc.keys]`, and in it lines such as
    /// `"https://kubernetes.default.svc.cluster.local" = "/etc/coffer/cluster.jwks"`, which `kubectl get --raw /openid/v1/jwks`
    /// writes. They are read again after five minutes, and sooner when a token names a key that is not there. Only issuers that
    /// stand here are believed, and only by accounts that have a provider for them in IAM.
    pub keys: BTreeMap<String, String>,
    /// A PEM file with the authorities that may vouch for the servers of those URLs, such as the one of a cluster or
    /// `/etc/ssl/certs/ca-certificates.crt`.
    pub authorities: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FunctionsSection {
    /// What is between functions and this machine: `"full"` gives each a file system, processes and a network of its own, `"process"`
    /// leaves it the machine's network and users, and `"off"` runs none here. See [functions](functions.md). Default: full where the
    /// kernel allows it, else off.
    pub isolation: Option<Isolation>,
    /// Commands that run functions, by the names of their runtimes, such as `"python3.11" = ["/opt/python/bin/python3.11"]`, written as
    /// `[functions.interpreters]`. Default: what is found in `/usr/local/bin`, `/usr/bin` and `/bin`.
    pub interpreters: BTreeMap<String, Vec<String>>,
    /// What every function may reach over the network beside Coffer, such as `["db.example.com:5432"]`. A function that rotates a secret
    /// also reaches the database that its secret names, unless that is on this machine. Only for the isolation `"full"`; the rotators that
    /// come along and webhooks need it, whatever the isolation, for what is on this machine or beside it, and webhooks for what is in a
    /// private network.
    pub endpoints: Vec<String>,
    /// A PEM file with the authorities that may vouch for the databases of rotators that come along and for webhooks. Default: those of the
    /// machine.
    pub authorities: Option<PathBuf>,
    /// A directory for the code and the temporary files of functions that run, of this server alone. It is emptied at each start. Default:
    /// `functions` in the data directory, or `/run/coffer-functions-<digest of its path>` for root with the isolation `"process"`.
    pub directory: Option<PathBuf>,
    /// How many processes of functions there may be at the same time. Default 64.
    pub processes: Option<usize>,
    /// How long a function is kept for its next call. Default `"10m"`.
    pub idle: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    Full,
    Process,
    Off,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignatureSection {
    /// How far the clock of a client may be from ours. Default `"5m"`, as on AWS; at most `"15m"`.
    pub window: Option<Span>,
}

/// What flags say; each wins over the file.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub keyfile: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
}

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsConfig {
    Given {
        certificate: PathBuf,
        key: PathBuf,
        /// systemd hands the key over. It gives access through the group or an access list, which shows as group permission.
        key_is_credential: bool,
    },
    /// An authority of our own. `names` are the names and addresses of the certificate, `directory` holds it all.
    Automatic { directory: PathBuf, names: Vec<String> },
}

/// How often operations may be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Profile {
    #[default]
    Fair,
    Aws,
    /// Calls a second, by operation.
    Custom {
        accounts: BTreeMap<String, u32>,
        principals: BTreeMap<String, u32>,
    },
}

/// Bounds of the HTTP path that an operator may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    /// Failed authentications a second; 0 is without bound.
    pub failures_per_address: u32,
    pub in_flight_max: usize,
    pub profile: Profile,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
    pub request_timeout: Duration,
    pub body_bytes_max: u64,
    /// How long the node is "not ready" before it stops accepting.
    pub drain_wait: Duration,
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: 512,
            failures_per_address: 200,
            in_flight_max: 4_096,
            profile: Profile::Fair,
            head_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(75),
            request_timeout: Duration::from_secs(30),
            body_bytes_max: 1 << 20,
            // Load balancers commonly look once a second.
            drain_wait: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// How far the clock of a client may be from ours, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window(pub Duration);

impl Default for Window {
    fn default() -> Self {
        Self(Duration::from_secs(5 * 60))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
}

/// How functions are run, as far as the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionsConfig {
    pub isolation: Option<Isolation>,
    pub interpreters: BTreeMap<String, Vec<String>>,
    pub endpoints: Vec<(String, u16)>,
    pub authorities: Option<PathBuf>,
    pub directory: Option<PathBuf>,
    pub processes: Option<usize>,
    pub idle: Option<Duration>,
}

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub keyfile: PathBuf,
    /// `None` lets the first start choose.
    pub account: Option<AccountId>,
    pub region: Region,
    pub tls: Option<TlsConfig>,
    pub log: Log,
    pub limits: Limits,
    pub signature: Window,
    pub free_floor_bytes: u64,
    pub audit: Retention,
    /// Where the keys of identity providers are, by their URLs without the scheme.
    pub oidc: BTreeMap<String, KeySource>,
    pub functions: FunctionsConfig,
    /// The key of the store as systemd hands it over, if it does.
    pub credential: Option<PathBuf>,
    /// The KMS that may open the store.
    pub kms_seal: Option<KmsSeal>,
    /// The token that may.
    pub token_seal: Option<TokenSeal>,
}

impl Config {
    /// Reads the file, lays the flags over it and checks the whole.
    pub fn read(flags: &Flags, home: &Home) -> Result<Self, Complaint> {
        let file = match &flags.config {
            Some(path) => read_file(path)?.ok_or_else(|| {
                Complaint::new(format!("the configuration {} does not exist", path.display()))
                    .next("give the path of an existing file, or leave --config out")
            })?,
            None if home.config_directory.as_os_str().is_empty() => ConfigFile::default(),
            None => read_file(&home.config_directory.join("coffer.toml"))?.unwrap_or_default(),
        };
        Self::merge(file, flags, home)
    }

    fn merge(file: ConfigFile, flags: &Flags, home: &Home) -> Result<Self, Complaint> {
        let listen =
            flags.listen.or(file.listen).unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
        let known = |directory: &PathBuf| (!directory.as_os_str().is_empty()).then(|| directory.clone());
        let data_dir = flags
            .data_dir
            .clone()
            .or(file.data_dir)
            .or_else(|| known(&home.data_directory))
            .ok_or_else(|| homeless("data", "--data-dir"))?;
        let keyfile = flags
            .keyfile
            .clone()
            .or(file.keyfile)
            .or_else(|| known(&home.config_directory).map(|directory| directory.join("keyfile")))
            // A service that is given its key needs no place for another.
            .or_else(|| home.credential.clone())
            .ok_or_else(|| homeless("keyfile", "--keyfile"))?;
        let (data_dir, keyfile) = (absolute(&data_dir)?, absolute(&keyfile)?);
        let account = file
            .account
            .map(|text| text.parse::<AccountId>().map_err(|error| refused("account", error)))
            .transpose()?;
        let region = file.region.as_deref().unwrap_or(REGION);
        let region: Region = region.parse().map_err(|error| refused("region", error))?;
        let kms_seal = file.seal.kms.map(|section| kms_seal(section, &region, home)).transpose()?;
        let token_seal = file.seal.pkcs11.map(|section| token_seal(section, home)).transpose()?;
        let tls = tls(file.tls, &data_dir, listen.ip(), home.credentials_directory.as_deref())?;
        if tls.is_none() && !listen.ip().is_loopback() {
            return Err(Complaint::new(format!("{listen} can be reached from other machines and needs TLS"))
                .because("clear text is served on loopback addresses only")
                .next(
                    "set `tls.automatic = true`, or `tls.certificate` and `tls.key`, in the configuration",
                ));
        }
        Ok(Self {
            listen,
            data_dir,
            keyfile,
            account,
            region,
            tls,
            log: Log { format: file.log.format, level: file.log.level },
            limits: limits(file.limits)?,
            signature: file.signature.window.map_or_else(Window::default, |Span(window)| Window(window)),
            free_floor_bytes: file.store.free_space.map_or(FREE_FLOOR_BYTES, |Size(bytes)| bytes),
            audit: Retention {
                age_max: file.audit.keep_for.map_or(AUDIT_KEEP_FOR, |Span(span)| span),
                bytes_max: file.audit.keep_size.map_or(AUDIT_KEEP_BYTES, |Size(bytes)| bytes),
            },
            oidc: key_sources(&file.oidc)?,
            functions: functions(file.functions)?,
            credential: home.credential.clone(),
            kms_seal,
            token_seal,
        })
    }

    /// The configuration of `coffer dev`: nothing is read, and the address is a loopback one.
    pub fn dev(listen: Option<SocketAddr>) -> Result<Self, Complaint> {
        let listen = listen.unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
        if !listen.ip().is_loopback() {
            return Err(Complaint::new(format!("{listen} is not a loopback address"))
                .because("coffer dev accepts any credentials, so it serves this machine only")
                .next("coffer server, which asks for real credentials"));
        }
        Ok(Self {
            listen,
            data_dir: PathBuf::new(),
            keyfile: PathBuf::new(),
            account: Some(AccountId::DEV),
            region: REGION.parse().map_err(|error| refused("region", error))?,
            tls: None,
            log: Log { format: LogFormat::Text, level: LogLevel::Warn },
            limits: Limits { drain_wait: Duration::ZERO, ..Limits::default() },
            signature: Window::default(),
            free_floor_bytes: 0,
            audit: Retention { age_max: AUDIT_KEEP_FOR, bytes_max: AUDIT_KEEP_BYTES },
            oidc: BTreeMap::new(),
            functions: FunctionsConfig::default(),
            credential: None,
            kms_seal: None,
            token_seal: None,
        })
    }
}

fn homeless(what: &str, flag: &str) -> Complaint {
    Complaint::new(format!("it is unknown where your {what} is to lie"))
        .because("HOME is not set to an absolute path")
        .next(format!("give {flag} <path>, or set HOME"))
}

/// A path that means the same wherever the next command is typed.
fn absolute(path: &Path) -> Result<PathBuf, Complaint> {
    std::path::absolute(path)
        .map_err(|error| Complaint::new(format!("the path {} cannot be used", path.display())).because(error))
}

fn refused(key: &str, error: impl std::fmt::Display) -> Complaint {
    Complaint::new(format!("the configuration key `{key}` has a value that cannot be used")).because(error)
}

/// The parsed file, or nothing if there is none.
fn read_file(path: &Path) -> Result<Option<ConfigFile>, Complaint> {
    let cannot = |reason: &dyn std::fmt::Display| {
        Complaint::new(format!("the configuration {} cannot be read", path.display())).because(reason)
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(&error)),
        Ok(found) if found.len() > FILE_BYTES_MAX => return Err(cannot(&"it is longer than 1 MiB")),
        Ok(_) => {}
    }
    let text = fs::read_to_string(path).map_err(|error| cannot(&error))?;
    toml::from_str(&text).map(Some).map_err(|error| {
        // The first line says where; what follows draws the place, which a terminal shows well enough.
        cannot(&error.to_string().trim_end().replace('\n', "\n  ")).next("correct that line")
    })
}

fn tls(
    section: TlsSection,
    data_dir: &Path,
    listen: IpAddr,
    credentials: Option<&Path>,
) -> Result<Option<TlsConfig>, Complaint> {
    match (section.certificate, section.key, section.automatic) {
        (None, None, false) => Ok(None),
        (Some(certificate), Some(key), false) => {
            let key_is_credential = credentials.is_some_and(|directory| key.parent() == Some(directory));
            Ok(Some(TlsConfig::Given { certificate, key, key_is_credential }))
        }
        (None, None, true) => {
            let mut names = vec![String::from("localhost"), String::from("127.0.0.1"), String::from("::1")];
            if !listen.is_unspecified() {
                names.push(listen.to_string());
            }
            names.extend(section.names);
            names.sort();
            names.dedup();
            Ok(Some(TlsConfig::Automatic { directory: data_dir.join("tls"), names }))
        }
        (Some(_), Some(_), true) => {
            Err(Complaint::new("`tls.automatic` and `tls.certificate` exclude each other")
                .next("leave one of them out of the configuration"))
        }
        (Some(_), None, _) | (None, Some(_), _) => {
            Err(Complaint::new("`tls.certificate` and `tls.key` belong together")
                .next("give both in the configuration, or `tls.automatic = true`"))
        }
    }
}

/// Whatever stands there is either a place to read from or a complaint at the start; that a place is empty shows when a token comes.
fn functions(section: FunctionsSection) -> Result<FunctionsConfig, Complaint> {
    let mut endpoints = Vec::new();
    for text in &section.endpoints {
        let parts = text.rsplit_once(':').and_then(|(host, port)| {
            // As in a URL: the colons of an address of IPv6 are not the one in front of the port.
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            Some((bare.to_owned(), port.parse().ok()?))
        });
        endpoints.push(parts.ok_or_else(|| {
            Complaint::new(format!("{text} is no endpoint"))
                .next("write host and port in `functions.endpoints`, such as \"db.example.com:5432\"")
        })?);
    }
    let directory = section.directory.map(|path| absolute(&path)).transpose()?;
    let authorities = section.authorities.map(|path| absolute(&path)).transpose()?;
    Ok(FunctionsConfig {
        authorities,
        isolation: section.isolation,
        interpreters: section.interpreters,
        endpoints,
        directory,
        processes: section.processes,
        idle: section.idle.map(|Span(idle)| idle),
    })
}

fn key_sources(section: &OidcSection) -> Result<BTreeMap<String, KeySource>, Complaint> {
    let authorities = section.authorities.as_deref().map(|path| {
        fs::read_to_string(path).map_err(|error| {
            Complaint::new(format!("the authorities {} cannot be read", path.display()))
                .because(error)
                .next("correct `oidc.authorities` in the configuration")
        })
    });
    let authorities = authorities.transpose()?;
    let mut sources = BTreeMap::new();
    for (issuer, place) in &section.keys {
        let refused = |reason: &str| {
            Complaint::new(format!("the keys of the issuer {issuer} cannot be used")).because(reason)
        };
        let name = oidc::name(issuer).ok_or_else(|| refused("the URL of an issuer begins with https://"))?;
        let source = KeySource::parse(place, authorities.as_deref()).map_err(|reason| refused(&reason))?;
        sources.insert(name.to_owned(), source);
    }
    Ok(sources)
}

fn kms_seal(section: SealKmsSection, region: &Region, home: &Home) -> Result<KmsSeal, Complaint> {
    let of_key = section.key.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2));
    let region = match section.region.as_deref().or(of_key) {
        Some(text) => text.parse().map_err(|error| refused("seal.kms.region", error))?,
        None => region.clone(),
    };
    let authorities = section.authorities.as_deref().map(|path| {
        fs::read_to_string(path).map_err(|error| {
            Complaint::new(format!("the authorities {} cannot be read", path.display()))
                .because(error)
                .next("correct `seal.kms.authorities` in the configuration")
        })
    });
    let (credentials, is_credential) = file_or_credential(section.credentials, KMS_CREDENTIAL, home)?;
    let seal = KmsSeal {
        endpoint: section.endpoint,
        authorities: authorities.transpose()?,
        region,
        key: section.key,
        credentials,
        is_credential,
    };
    seal.reachable().map_err(|reason| refused("seal.kms.endpoint", reason))?;
    Ok(seal)
}

fn token_seal(section: SealPkcs11Section, home: &Home) -> Result<TokenSeal, Complaint> {
    let SealPkcs11Section { module, token, key, pin } = section;
    if !module.is_absolute() {
        return Err(refused("seal.pkcs11.module", "a library is loaded from an absolute path alone"));
    }
    let (pin, is_credential) = file_or_credential(pin, PIN_CREDENTIAL, home)?;
    Ok(TokenSeal { module, token, key, pin, is_credential })
}

/// The file that was named, or the credential of this name, and whether systemd hands it over. A command that is typed has neither.
fn file_or_credential(
    named: Option<PathBuf>,
    credential: &str,
    home: &Home,
) -> Result<(Option<PathBuf>, bool), Complaint> {
    let directory = home.credentials_directory.as_deref();
    let path = match named {
        Some(path) => Some(absolute(&path)?),
        None => directory.map(|directory| directory.join(credential)),
    };
    let parent = path.as_deref().and_then(Path::parent);
    let is_credential = parent.is_some() && parent == directory;
    Ok((path, is_credential))
}

fn profile(section: &mut LimitsSection) -> Result<Profile, Complaint> {
    let rates = section.rates.iter().chain(&section.principal_rates);
    for (key, per_second) in rates {
        let refused = |reason: &str| {
            Complaint::new(format!("the rate of `{key}` in the configuration cannot be used")).because(reason)
        };
        if rates::named_by(key).is_empty() {
            return Err(refused("it is no operation that is served")
                .next("write it as \"secretsmanager:GetSecretValue\" or \"kms:*\""));
        }
        if *per_second == 0 {
            return Err(refused("it would let nothing in").next("deny the operation in a policy instead"));
        }
    }
    let (accounts, principals) =
        (std::mem::take(&mut section.rates), std::mem::take(&mut section.principal_rates));
    match section.profile {
        ProfileName::Custom => Ok(Profile::Custom { accounts, principals }),
        _ if !accounts.is_empty() || !principals.is_empty() => {
            Err(Complaint::new("rates of one's own belong to the profile `custom`")
                .next("set `limits.profile = \"custom\"`, or leave the rates out"))
        }
        ProfileName::Fair => Ok(Profile::Fair),
        ProfileName::Aws => Ok(Profile::Aws),
    }
}

fn limits(mut section: LimitsSection) -> Result<Limits, Complaint> {
    let profile = profile(&mut section)?;
    let plain = Limits::default();
    let span = |given: Option<Span>, otherwise| given.map_or(otherwise, |Span(span)| span);
    Ok(Limits {
        connections_max: section.connections.unwrap_or(plain.connections_max),
        connections_per_address_max: section
            .connections_per_address
            .unwrap_or(plain.connections_per_address_max),
        failures_per_address: section.failures_per_address.unwrap_or(plain.failures_per_address),
        in_flight_max: section.in_flight.unwrap_or(plain.in_flight_max),
        profile,
        head_timeout: span(section.head_timeout, plain.head_timeout),
        idle_timeout: span(section.idle_timeout, plain.idle_timeout),
        request_timeout: span(section.request_timeout, plain.request_timeout),
        body_bytes_max: section.body.map_or(plain.body_bytes_max, |Size(bytes)| bytes),
        drain_wait: span(section.drain_wait, plain.drain_wait),
        drain_timeout: span(section.drain_timeout, plain.drain_timeout),
    })
}

/// Where the files of a user lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Home {
    /// Empty if nothing says where it is, like each path of this structure.
    pub data_directory: PathBuf,
    pub config_directory: PathBuf,
    pub aws_config: PathBuf,
    pub aws_credentials: PathBuf,
    /// Where systemd puts the credentials of this service, if it does.
    pub credentials_directory: Option<PathBuf>,
    /// The systemd credential `coffer.keyfile`, if there is one.
    pub credential: Option<PathBuf>,
    /// The authority that the environment makes every AWS client trust, whatever its profile says.
    pub aws_ca_bundle: Option<PathBuf>,
}

impl Home {
    pub fn from_environment() -> Result<Self, Complaint> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        let variable = |name: &str| std::env::var(name).ok().map(OsString::from);
        Ok(Self::new(coffer_sys::effective_uid() == 0, variable))
    }

    fn new(is_root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        // A relative path in one of these variables means another place for each working directory.
        let path = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = path("HOME");
        let under = |name: &str, tail: &str| path(name).or_else(|| home.as_ref().map(|home| home.join(tail)));
        let (data_directory, config_directory) = if is_root {
            (PathBuf::from("/var/lib/coffer"), PathBuf::from("/etc/coffer"))
        } else {
            let coffer = |place: Option<PathBuf>| place.map(|place| place.join("coffer")).unwrap_or_default();
            (coffer(under("XDG_DATA_HOME", ".local/share")), coffer(under("XDG_CONFIG_HOME", ".config")))
        };
        let aws = |name: &str, file: &str| {
            let named = variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
            named.or_else(|| home.as_ref().map(|home| home.join(".aws").join(file))).unwrap_or_default()
        };
        let credentials_directory = path("CREDENTIALS_DIRECTORY");
        Self {
            data_directory,
            config_directory,
            aws_config: aws("AWS_CONFIG_FILE", "config"),
            aws_credentials: aws("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            credential: credentials_directory
                .as_ref()
                .map(|directory| directory.join(CREDENTIAL))
                .filter(|path| path.exists()),
            credentials_directory,
            aws_ca_bundle: variable("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from),
        }
    }
}

#[cfg(test)]
mod tests;

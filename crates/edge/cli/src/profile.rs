//! `coffer profile install`: from the administrator's key to a profile that the AWS CLI and the SDKs understand.
//!
//! Two files of the user are touched. Both keep everything that is not ours, both get mode 0600, and of each the version
//! before stays beside it. A file that already says what it should is left alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use coffer_server::{
    Complaint,
    config::{Config, TlsConfig},
    control::{self, Command, Reply, Request, Status},
    data_dir::{self, DataDir},
};
use coffer_types::Secret;

use crate::{Exit, arguments::Install, configuration, ini, print::say};

const BACKUP: &str = "before-coffer";
const DEFAULT: &str = "default";

pub(crate) fn install(arguments: &Install) -> Result<Exit, Complaint> {
    let name = arguments.name.as_str();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte)) {
        return Err(
            Complaint::new("the profile cannot have this name").next("letters, digits, and any of - _ . @ +")
        );
    }
    let (config, home) = configuration(&arguments.place.flags())?;
    let directory = DataDir::existing(&config.data_dir)?;
    let place = directory.credentials();
    let bootstrap = data_dir::read_small(&place).map_err(|error| {
        Complaint::new(format!("the administrator's key {} cannot be read", place.display()))
            .because(error)
            .next("start `coffer server` once, or add the profile by hand if the file was taken away")
    })?;
    let key = |name| {
        ini::get(bootstrap.expose(), DEFAULT, name).ok_or_else(|| {
            Complaint::new(format!("{} holds no {name}", place.display()))
                .next("put back the file that the first start wrote")
        })
    };
    let (id, secret) = (key("aws_access_key_id")?, key("aws_secret_access_key")?);
    let server = server(&config, &directory)?;

    let section = if name == DEFAULT { name.to_owned() } else { format!("profile {name}") };
    let mut changed = Vec::new();
    changed.extend(change(
        &home.aws_config,
        &section,
        &[
            ("region", Some(&server.region)),
            ("endpoint_url", Some(&server.endpoint)),
            ("ca_bundle", server.ca_bundle.as_deref()),
        ],
    )?);
    changed.extend(change(
        &home.aws_credentials,
        name,
        &[
            ("aws_access_key_id", Some(id)),
            ("aws_secret_access_key", Some(secret)),
            // A token of somebody's session would not fit our key.
            ("aws_session_token", None),
        ],
    )?);
    for path in &changed {
        say(&format!("wrote {}", path.display()));
    }
    say(&format!(
        "The profile {name} reaches {}\n  next           aws --profile {name} secretsmanager list-secrets",
        server.endpoint
    ));
    Ok(Exit::Done)
}

/// The running server's own words, or those of the configuration.
fn server(config: &Config, directory: &DataDir) -> Result<Status, Complaint> {
    if let Some(Reply::Status(status)) = control::ask(directory, &Request::new(Command::Status))? {
        return Ok(status);
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let authority = match &config.tls {
        Some(TlsConfig::Automatic { directory, .. }) => Some(coffer_server::tls::authority(directory)),
        Some(TlsConfig::Given { .. }) | None => None,
    };
    Ok(Status {
        endpoint: format!("{scheme}://{}", config.listen),
        account: String::new(),
        region: config.region.to_string(),
        ca_bundle: authority.map(|path| path.display().to_string()),
        reasons: Vec::new(),
    })
}

/// Sets keys in one of the user's files; answers its path if that changed anything.
fn change(path: &Path, section: &str, keys: &[(&str, Option<&str>)]) -> Result<Option<PathBuf>, Complaint> {
    let failed = |error: io::Error| {
        Complaint::new(format!("{} cannot be changed", path.display()))
            .because(error)
            .next("set AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE to files that can be written")
    };
    if path.as_os_str().is_empty() {
        return Err(failed(io::Error::new(
            io::ErrorKind::NotFound,
            "HOME is not set, so its place is unknown",
        )));
    }
    // Whoever keeps this file elsewhere and links to it wants the link to stay.
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(path).map_err(failed)?,
        Err(error) => return Err(failed(error)),
    };
    let before = match data_dir::read_small(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let after = ini::set(before.as_ref().map_or("", |text| text.expose()), section, keys);
    if before.as_ref().is_some_and(|before| before.expose() == after.expose()) {
        return Ok(None);
    }
    if let Some(parent) = path.parent() {
        data_dir::make(parent).map_err(failed)?;
    }
    if let Some(before) = &before {
        replace(&beside(&path, BACKUP), before).map_err(failed)?;
    }
    replace(&path, &after).map_err(failed)?;
    Ok(Some(path))
}

fn replace(path: &Path, text: &Secret<String>) -> io::Result<()> {
    let temporary = beside(path, "coffer-new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    data_dir::write_new(&temporary, text.expose().as_bytes())?;
    data_dir::rename(&temporary, path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

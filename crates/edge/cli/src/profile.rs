//! `coffer profile install`: from the administrator's key to a profile that the AWS CLI and the SDKs understand.
//!
//! Two files of the user are touched. Both keep everything that is not ours, and both get mode 0600. A file that already says
//! what it should is left alone. Of a file that is changed, two earlier versions stay beside it: `.before-coffer`, as it was before
//! its first change and never again, and `.before-last-change`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use coffer_server::{
    Complaint,
    config::{Config, Home, TlsConfig},
    control::{self, Command, Reply, Request, Status},
    data_dir::{self, DataDir, PRIVATE_FILE, beside, replace},
    shell::quoted,
};

use coffer_types::AccountId;

use crate::{
    Exit,
    arguments::Install,
    configuration,
    ini::{self, Section},
    print::{remark, say},
};

/// As it was before Coffer. Made once: what is lost otherwise is what its owner wrote.
const BEFORE_ALL: &str = "before-coffer";
const BEFORE_LAST: &str = "before-last-change";

pub(crate) fn install(arguments: &Install) -> Result<Exit, Complaint> {
    let name = arguments.name.as_str();
    if name.is_empty()
        || name.starts_with('-')
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte))
    {
        return Err(
            Complaint::new("the profile cannot have this name").next("letters, digits, and any of - _ . @ +")
        );
    }
    let (config, home) = configuration(&arguments.place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    let place = key_file(&directory, arguments.account);
    let another = match arguments.account {
        Some(account) => format!("coffer admin key create --account {account}"),
        None => String::from("coffer admin key create"),
    };
    let bootstrap = data_dir::read_small(&place).map_err(|error| {
        Complaint::new(format!("the administrator's key {} cannot be read", place.display()))
            .because(error)
            .because("the first start of `coffer server` writes it; whoever took it away has the key")
            .next(&another)
    })?;
    let key = |name| {
        ini::get(bootstrap.expose(), ini::DEFAULT, name).ok_or_else(|| {
            Complaint::new(format!("{} holds no {name}", place.display()))
                .because("it is not the file that coffer wrote")
                .next(format!("mv {} {} && {another}", quoted(&place), quoted(&beside(&place, "before"))))
        })
    };
    let (id, secret) = (key("aws_access_key_id")?, key("aws_secret_access_key")?);
    let server = server(&config, &directory)?;

    let mut changed = Vec::new();
    changed.extend(change(
        &home.aws_config,
        Section::Profile(name),
        &[
            ("region", Some(&server.region)),
            ("endpoint_url", Some(&server.endpoint)),
            ("ca_bundle", server.ca_bundle.as_deref()),
        ],
    )?);
    changed.extend(change(
        &home.aws_credentials,
        Section::Named(name),
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
    if let Some(warning) = other_authority(&home, &server) {
        remark(&warning);
    }
    say(&format!(
        "The profile {name} reaches {}\n  next           aws --profile {name} secretsmanager list-secrets",
        server.endpoint
    ));
    Ok(Exit::Done)
}

/// Where the key lies of the administrator of an account, the first if none is named. Whoever names the first by its id means the same
/// file, which says of which account it is.
fn key_file(directory: &DataDir, account: Option<AccountId>) -> PathBuf {
    let first = directory.credentials();
    let Some(account) = account else { return first };
    let line = format!("# account = {account}");
    let is_first =
        data_dir::read_small(&first).is_ok_and(|text| text.expose().lines().any(|known| known == line));
    if is_first { first } else { directory.credentials_of(account) }
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
fn change(
    path: &Path,
    section: Section<'_>,
    keys: &[(&str, Option<&str>)],
) -> Result<Option<PathBuf>, Complaint> {
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
        let first = beside(&path, BEFORE_ALL);
        let kept = if fs::symlink_metadata(&first).is_ok() { beside(&path, BEFORE_LAST) } else { first };
        replace(&kept, before.expose().as_bytes(), PRIVATE_FILE).map_err(failed)?;
    }
    replace(&path, after.expose().as_bytes(), PRIVATE_FILE).map_err(failed)?;
    Ok(Some(path))
}

/// A variable wins over every profile, so an authority in it is trusted instead of ours.
fn other_authority(home: &Home, server: &Status) -> Option<String> {
    let (ours, theirs) = (server.ca_bundle.as_deref()?, home.aws_ca_bundle.as_deref()?);
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    (real(Path::new(ours)) != real(theirs)).then(|| {
        format!(
            "warning: AWS_CA_BUNDLE is {}, and wins over the profile: AWS clients will not trust this server\n  \
             try: unset AWS_CA_BUNDLE, or add our authority to it: cat {} >> {}",
            theirs.display(),
            quoted(Path::new(ours)),
            quoted(theirs),
        )
    })
}

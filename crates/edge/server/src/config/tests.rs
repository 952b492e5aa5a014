//! What files, flags and variables make of one another.

use super::*;

fn home() -> Home {
    Home::new(false, |name| (name == "HOME").then(|| OsString::from("/home/ann")))
}

fn merged(text: &str, flags: &Flags) -> Result<Config, String> {
    let file: ConfigFile = toml::from_str(text).map_err(|error| error.to_string())?;
    Config::merge(file, flags, &home()).map_err(|complaint| complaint.to_string())
}

fn refusal(text: &str) -> String {
    merged(text, &Flags::default()).unwrap_err()
}

#[test]
fn without_file_and_flags_everything_has_a_value() {
    let config = merged("", &Flags::default()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:4566");
    assert_eq!(config.data_dir, Path::new("/home/ann/.local/share/coffer"));
    assert_eq!(config.keyfile, Path::new("/home/ann/.config/coffer/keyfile"));
    assert_eq!((config.account, config.region.as_str()), (None, "us-east-1"));
    assert_eq!((config.tls, config.limits), (None, Limits::default()));
    let days = Duration::from_secs(400 * 86_400);
    assert_eq!(config.audit, Retention { age_max: days, bytes_max: 16 << 30 });
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let text = "listen = '127.0.0.1:1'\ndata_dir = '/from/file'\n[signature]\nwindow = '5m'\n[limits]\nidle_timeout = '2m'";
    let flags = Flags { data_dir: Some(PathBuf::from("/from/flag")), ..Flags::default() };
    let config = merged(text, &flags).unwrap();
    assert_eq!((config.listen.port(), config.data_dir.as_path()), (1, Path::new("/from/flag")));
    assert_eq!(config.signature, Window(Duration::from_secs(300)));
    assert_eq!(config.limits.idle_timeout, Duration::from_secs(120));
    let config = merged("[limits]\nprofile = 'custom'\nrates = { 'kms:*' = 5 }", &flags).unwrap();
    let accounts = BTreeMap::from([(String::from("kms:*"), 5)]);
    assert_eq!(config.limits.profile, Profile::Custom { accounts, principals: BTreeMap::new() });
    let config = merged("[audit]\nkeep_for = '90d'\nkeep_size = '1 GiB'", &flags).unwrap();
    let days = Duration::from_secs(90 * 86_400);
    assert_eq!(config.audit, Retention { age_max: days, bytes_max: 1 << 30 });
}

#[test]
fn an_endpoint_is_a_host_and_a_port() {
    let text =
        "[functions]\nendpoints = ['db.example.com:5432', '10.0.0.5:1', '[fd00::5]:3306', 'fd00::6:2']";
    let config = merged(text, &Flags::default()).unwrap();
    let known: Vec<(&str, u16)> =
        config.functions.endpoints.iter().map(|(host, port)| (host.as_str(), *port)).collect();
    assert_eq!(known, [("db.example.com", 5432), ("10.0.0.5", 1), ("fd00::5", 3306), ("fd00::6", 2)]);
    for text in ["db.example.com", "db:", "db:70000", "db:postgres"] {
        let said = refusal(&format!("[functions]\nendpoints = ['{text}']"));
        assert!(said.contains("is no endpoint"), "{text}: {said}");
    }
}

#[test]
fn what_is_unknown_or_cannot_be_used_is_refused() {
    for (text, part) in [
        ("liston = '127.0.0.1:1'", "unknown field `liston`"),
        ("[tls]\ncert = 'x'", "unknown field `cert`"),
        ("[limits]\nhead_timeout = 5", "expected a string"),
        ("[audit]\nkeep_for = 400", "expected a string"),
        ("[limits]\nhead_timeout = '5 seconds'", "such as \"30s\""),
        ("[limits]\nprofile = 'fast'", "unknown variant `fast`"),
        ("[limits.rates]\n'kms:Decrypt' = 5", "belong to the profile `custom`"),
        ("[limits]\nprofile = 'custom'\nrates = { 'kms:Fly' = 5 }", "no operation that is served"),
        ("[limits]\nprofile = 'custom'\nprincipal_rates = { 'kms:*' = 0 }", "would let nothing in"),
        ("account = '12'", "12 digits"),
        ("region = 'mars'", "eu-west-1"),
        ("[log]\nlevel = 'chatty'", "unknown variant `chatty`"),
        ("[tls]\ncertificate = 'c.pem'", "belong together"),
        ("[tls]\nautomatic = true\ncertificate = 'c.pem'\nkey = 'k.pem'", "exclude each other"),
        ("listen = '0.0.0.0:4566'", "needs TLS"),
        ("listen = '192.0.2.1:4566'", "needs TLS"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(part), "{text}: {refusal}");
    }
}

#[test]
fn other_addresses_are_served_with_tls() {
    let config = merged(
        "listen = '192.0.2.1:443'\n[tls]\nautomatic = true\nnames = ['vault.example']",
        &Flags::default(),
    );
    let Some(TlsConfig::Automatic { directory, names }) = config.unwrap().tls else { panic!("no TLS") };
    assert!(directory.ends_with("coffer/tls"));
    assert_eq!(names, ["127.0.0.1", "192.0.2.1", "::1", "localhost", "vault.example"]);
}

#[test]
fn a_key_that_systemd_hands_over_is_known_as_such() {
    let home = Home { credentials_directory: Some(PathBuf::from("/run/credentials/coffer")), ..home() };
    for (key, expected) in [("/run/credentials/coffer/tls.key", true), ("/etc/coffer/tls.key", false)] {
        let file = toml::from_str(&format!("[tls]\ncertificate = '/c.pem'\nkey = '{key}'")).unwrap();
        let config = Config::merge(file, &Flags::default(), &home).unwrap();
        let Some(TlsConfig::Given { key_is_credential, .. }) = config.tls else { panic!("no TLS") };
        assert_eq!(key_is_credential, expected, "{key}");
    }
}

#[test]
fn keys_of_issuers_are_files_or_urls() {
    let config = merged(
        "[oidc.keys]\n'https://one.example' = '/etc/one.jwks'\n'https://two.example/id' = 'http://127.0.0.1:8/keys?a=b'",
        &Flags::default(),
    );
    let shown: Vec<_> =
        config.unwrap().oidc.iter().map(|(name, source)| format!("{name} {source}")).collect();
    assert_eq!(shown, ["one.example /etc/one.jwks", "two.example/id http://127.0.0.1:8/keys?a=b"]);
    for (text, part) in [
        ("[oidc.keys]\n'http://one.example' = '/etc/one.jwks'", "begins with https://"),
        ("[oidc.keys]\n'https://one.example' = 'one.jwks'", "an absolute path"),
        ("[oidc.keys]\n'https://one.example' = 'http://192.0.2.1/keys'", "an absolute path"),
        ("[oidc.keys]\n'https://one.example' = 'https://one.example/keys'", "authorities"),
        ("[oidc]\nauthorities = '/does/not/exist.pem'", "cannot be read"),
        ("[oidc]\nissuers = 'x'", "unknown field `issuers`"),
        ("[seal.pkcs11]\nmodule = 'm.so'\ntoken = 't'\nkey = 'k'", "an absolute path"),
        ("[seal.pkcs11]\nmodule = '/m.so'\ntoken = 't'", "missing field `key`"),
        ("[seal.kms]\nkey = 'k'", "missing field `endpoint`"),
        ("[seal.kms]\nkey = 'k'\nendpoint = 'http://192.0.2.1'", "begins with https://"),
        ("[seal.kms]\nkey = 'k'\nendpoint = 'http://127.0.0.1.example'", "begins with https://"),
        ("[seal.kms]\nkey = 'k'\nendpoint = 'https://kms.example'", "`seal.kms.authorities`"),
        ("[seal.kms]\nkey = 'k'\nendpoint = 'http://127.0.0.1:1/x'", "nothing after it"),
        ("[seal.kms]\nkey = 'k'\nendpoint = 'http://127.0.0.1:1'\nsecret = 'x'", "unknown field `secret`"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(part), "{text}: {refusal}");
    }
}

#[test]
fn dev_stays_on_this_machine() {
    assert!(Config::dev(Some("0.0.0.0:0".parse().unwrap())).is_err());
    assert_eq!(Config::dev(None).unwrap().account, Some(AccountId::DEV));
}

#[test]
fn files_lie_where_the_variables_say() {
    let variables = |name: &str| match name {
        "HOME" => Some(OsString::from("/home/ann")),
        "XDG_DATA_HOME" => Some(OsString::from("/data")),
        "XDG_CONFIG_HOME" => Some(OsString::from("relative")),
        "AWS_CONFIG_FILE" => Some(OsString::from("/aws/config")),
        _ => None,
    };
    let home = Home::new(false, variables);
    assert_eq!(home.data_directory, Path::new("/data/coffer"));
    assert_eq!(home.config_directory, Path::new("/home/ann/.config/coffer"));
    assert_eq!(home.aws_config, Path::new("/aws/config"));
    assert_eq!(home.aws_credentials, Path::new("/home/ann/.aws/credentials"));
    assert_eq!(Home::new(true, |_| None).data_directory, Path::new("/var/lib/coffer"));
}

#[test]
fn without_a_home_the_flags_say_where_files_lie() {
    let home = Home::new(false, |_| None);
    let (data, key) = (Some(PathBuf::from("/data")), Some(PathBuf::from("/key")));
    for (data_dir, keyfile, flag) in
        [(None, None, "--data-dir"), (None, key.clone(), "--data-dir"), (data.clone(), None, "--keyfile")]
    {
        let flags = Flags { data_dir, keyfile, ..Flags::default() };
        let refusal = Config::read(&flags, &home).unwrap_err().to_string();
        assert!(refusal.contains("HOME") && refusal.contains(&format!("try: give {flag}")), "{refusal}");
    }
    let flags = Flags { data_dir: data.clone(), keyfile: key, ..Flags::default() };
    assert_eq!(Config::read(&flags, &home).unwrap().data_dir, Path::new("/data"));
    let credential = Some(PathBuf::from("/run/credentials/coffer.keyfile"));
    let served = Home { credential, ..home };
    Config::read(&Flags { data_dir: data, ..Flags::default() }, &served).unwrap();
}

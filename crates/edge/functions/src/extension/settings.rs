//! How a function wants its secrets to be fetched: the variables of AWS's extension, and what it says about them.

use std::{ops::RangeInclusive, time::Duration};

use coffer_types::{Secret, Timestamp};

/// What is in the log before each line.
const NAME: &str = "[AWS Parameters and Secrets Lambda Extension]";
const TIMEOUT_MILLIS_MAX: u64 = 60 * 60 * 1000;
/// Beyond, fetches wait for each other.
const FETCHES_MAX: u64 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
    None,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) port: u16,
    /// None is kept without a cache.
    pub(super) entries_max: usize,
    pub(super) lifetime: Duration,
    pub(super) fetches_max: usize,
    pub(super) timeout: Option<Duration>,
}

struct Number {
    name: &'static str,
    usual: u64,
    range: RangeInclusive<u64>,
    /// What is said when it takes the usual value.
    usually: &'static str,
}

const CACHE_ENABLED: &str = "PARAMETERS_SECRETS_EXTENSION_CACHE_ENABLED";
const LOG_LEVEL: &str = "PARAMETERS_SECRETS_EXTENSION_LOG_LEVEL";
const ENTRIES: Number = Number {
    name: "PARAMETERS_SECRETS_EXTENSION_CACHE_SIZE",
    usual: 1000,
    range: 0..=1000,
    usually: "Using default cache size: 1000 objects.",
};
const PORT: Number = Number {
    name: "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
    usual: 2773,
    range: 1..=65535,
    usually: "Setting default port: 2773.",
};
const CONNECTIONS: Number = Number {
    name: "PARAMETERS_SECRETS_EXTENSION_MAX_CONNECTIONS",
    usual: 3,
    range: 1..=u32::MAX as u64,
    usually: "Setting default maximum number of connections: 3.",
};
const TIMEOUT: Number = Number {
    name: "SECRETS_MANAGER_TIMEOUT_MILLIS",
    usual: 0,
    range: 0..=TIMEOUT_MILLIS_MAX,
    usually: "Setting default timeout: 0s.",
};
const LIFETIME: Number = Number {
    name: "SECRETS_MANAGER_TTL",
    usual: 300,
    range: 0..=300,
    usually: "Setting default time-to-live: 5m0s.",
};

impl Settings {
    /// The settings, and whoever keeps the log. A port that `may` not be had is as if it were not there.
    pub(crate) fn read(
        variables: &[(String, Secret<String>)],
        now: Timestamp,
        may: impl Fn(u16) -> bool,
    ) -> (Self, Said<'_>) {
        let mut said = Said { variables, now, level: Level::Info, lines: Vec::new() };
        said.level = said.log_level();
        let mut port = said.number(&PORT);
        if !u16::try_from(port).is_ok_and(may) {
            said.unusable(PORT.name, PORT.usually);
            port = PORT.usual;
        }
        let entries = said.number(&ENTRIES);
        let is_enabled = said.switch(CACHE_ENABLED);
        let settings = Self {
            port: u16::try_from(port).unwrap_or_default(),
            entries_max: if is_enabled { usize::try_from(entries).unwrap_or_default() } else { 0 },
            lifetime: Duration::from_secs(said.number(&LIFETIME)),
            fetches_max: usize::try_from(said.number(&CONNECTIONS).min(FETCHES_MAX)).unwrap_or(1),
            timeout: Some(said.number(&TIMEOUT)).filter(|millis| *millis > 0).map(Duration::from_millis),
        };
        said.say(
            Level::Info,
            "INFO Systems Manager Parameter Store and Secrets Manager Lambda Extension 1.0.0",
        );
        (settings, said)
    }
}

/// The log of its start.
pub(crate) struct Said<'a> {
    variables: &'a [(String, Secret<String>)],
    now: Timestamp,
    level: Level,
    lines: Vec<String>,
}

impl Said<'_> {
    pub(crate) fn serving(mut self, port: u16) -> Vec<String> {
        self.say(Level::Info, &format!("INFO Serving on port {port}"));
        self.lines
    }

    pub(crate) fn not_serving(mut self, why: &str) -> Vec<String> {
        self.say(Level::Error, &format!("ERROR Not serving: {why}"));
        self.lines
    }

    fn say(&mut self, level: Level, text: &str) {
        if level >= self.level && self.level != Level::None {
            let now = self.now.to_iso_seconds().replace('-', "/").replace('T', " ");
            self.lines.push(format!("{NAME} {} {text}\n", now.trim_end_matches('Z')));
        }
    }

    fn find(&self, name: &str) -> Option<String> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.expose().trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn missing(&mut self, name: &str, usually: &str) {
        self.say(Level::Debug, &format!("DEBUG {name} is not present. {usually}"));
    }

    /// Without its value, which may be anything.
    fn unusable(&mut self, name: &str, usually: &str) {
        self.say(Level::Warn, &format!("WARN {name} is not valid. {usually}"));
    }

    fn log_level(&mut self) -> Level {
        let Some(written) = self.find(LOG_LEVEL) else {
            self.say(Level::Info, &format!("{LOG_LEVEL} is not present. Log level set to info."));
            return Level::Info;
        };
        let level = match written.to_ascii_lowercase().as_str() {
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warn" => Level::Warn,
            "error" => Level::Error,
            "none" => Level::None,
            _ => {
                self.unusable(LOG_LEVEL, "Log level set to info.");
                return Level::Info;
            }
        };
        if level <= Level::Info {
            self.say(level, &format!("Log level set to {}.", written.to_ascii_lowercase()));
        }
        level
    }

    fn switch(&mut self, name: &str) -> bool {
        let usually = "Cache is enabled by default.";
        match self.find(name).map(|written| written.to_ascii_lowercase()).as_deref() {
            Some("true") => true,
            Some("false") => false,
            Some(_) => {
                self.unusable(name, usually);
                true
            }
            None => {
                self.missing(name, usually);
                true
            }
        }
    }

    fn number(&mut self, of: &Number) -> u64 {
        let Some(written) = self.find(of.name) else {
            self.missing(of.name, of.usually);
            return of.usual;
        };
        match written.parse::<u64>() {
            Ok(number) if of.range.contains(&number) => number,
            _ => {
                self.unusable(of.name, of.usually);
                of.usual
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let variables: Vec<(String, Secret<String>)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned())))
            .collect();
        let now = Timestamp::from_seconds(1_795_351_426);
        let (settings, said) = Settings::read(&variables, now, |port| port < 9001);
        let port = settings.port;
        (settings, said.serving(port))
    }

    #[test]
    fn without_variables_everything_is_as_on_aws() {
        let (settings, lines) = read(&[]);
        let usual = Settings {
            port: 2773,
            entries_max: 1000,
            lifetime: Duration::from_secs(300),
            fetches_max: 3,
            timeout: None,
        };
        assert_eq!(settings, usual);
        assert_eq!(
            lines.concat(),
            "[AWS Parameters and Secrets Lambda Extension] 2026/11/22 12:43:46 PARAMETERS_SECRETS_EXTENSION_LOG_LEVEL is not present. Log level set to info.\n\
             [AWS Parameters and Secrets Lambda Extension] 2026/11/22 12:43:46 INFO Systems Manager Parameter Store and Secrets Manager Lambda Extension 1.0.0\n\
             [AWS Parameters and Secrets Lambda Extension] 2026/11/22 12:43:46 INFO Serving on port 2773\n"
        );
    }

    #[test]
    fn what_cannot_be_is_as_if_it_were_not_there_and_said() {
        let check = |name: &str, values: &[&str], usually: &str| {
            for value in values {
                let (settings, lines) = read(&[(name, value), (LOG_LEVEL, "warn")]);
                assert_eq!(settings, read(&[]).0, "{name} {value}");
                let line = format!("{NAME} 2026/11/22 12:43:46 WARN {name} is not valid. {usually}\n");
                assert_eq!(lines, [line], "{name} {value}");
            }
        };
        check(PORT.name, &["0", "65536", "-1", "x", "9001", "9002"], PORT.usually);
        check(ENTRIES.name, &["1001", "-1", "1.5"], ENTRIES.usually);
        check(LIFETIME.name, &["301", "5m"], LIFETIME.usually);
        check(CONNECTIONS.name, &["0"], CONNECTIONS.usually);
        check(TIMEOUT.name, &["-5", "99999999999"], TIMEOUT.usually);
        check(CACHE_ENABLED, &["yes", "1"], "Cache is enabled by default.");
    }

    #[test]
    fn variables_are_heeded() {
        let (settings, lines) = read(&[
            (PORT.name, "80"),
            (ENTRIES.name, "0"),
            (LIFETIME.name, "0"),
            (CONNECTIONS.name, "1000000"),
            (TIMEOUT.name, "1500"),
            (CACHE_ENABLED, "TRUE"),
            (LOG_LEVEL, "NONE"),
        ]);
        let expected = Settings {
            port: 80,
            entries_max: 0,
            lifetime: Duration::ZERO,
            fetches_max: 64,
            timeout: Some(Duration::from_millis(1500)),
        };
        assert_eq!((settings, lines), (expected, Vec::new()));
        assert_eq!(read(&[(CACHE_ENABLED, "False")]).0.entries_max, 0);
        assert!(read(&[(LOG_LEVEL, "debug")]).1.concat().contains(
            "DEBUG PARAMETERS_SECRETS_EXTENSION_CACHE_SIZE is not present. Using default cache size: 1000 objects.\n"
        ));
    }
}

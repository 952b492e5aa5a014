//! What somebody should look at, found before it hurts.
//!
//! Three looks: at the process, at the files, at the running node. The first two work without a server, so that `coffer
//! doctor` has something to say on the day that nothing starts. A finding names the thing, says how it is, and when it is not
//! good says what to do. It repairs nothing.

mod place;

use std::{fs, io, os::unix::fs::MetadataExt, path::Path, time::Duration};

use coffer_barrier::{KeyringError, KeyringFile, SlotKind, keyfile};
use coffer_core::{Next, SweepProgress, World};
use coffer_store::{LogState, StillStore, examine_log, logs_set_aside};
use coffer_sys::{HardeningLine, LockedBytes};
use serde::{Deserialize, Serialize};

use crate::{
    belonging::Belonging,
    complaint::Complaint,
    config::{CREDENTIAL, Config},
    data_dir::DataDir,
    durable::parent,
    kms_seal::wait_for,
    limits::{gate::Load, ladder::Step},
    machine_key::ask_kms,
    node::Node,
    open::MARK,
    shell::quoted,
    token_seal::TokenSeal,
    units::Size,
    verify,
    world::timestamp,
};

/// Below this somebody should make room this week.
const FREE_WARNING_BYTES: u64 = 1 << 30;
/// File systems round times, and clocks are nudged.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Good,
    /// Look this week.
    Warning,
    /// Look now.
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub about: String,
    pub grade: Grade,
    pub says: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Finding {
    pub(crate) fn good(about: &str, says: impl Into<String>) -> Self {
        Self { about: about.to_owned(), grade: Grade::Good, says: says.into(), next: None }
    }

    pub(crate) fn warning(about: &str, says: impl Into<String>, next: impl Into<String>) -> Self {
        Self { about: about.to_owned(), grade: Grade::Warning, says: says.into(), next: Some(next.into()) }
    }

    fn bad(about: &str, says: impl Into<String>, next: impl Into<String>) -> Self {
        Self { grade: Grade::Bad, ..Self::warning(about, says, next) }
    }

    /// What stands in the way, in its own words; `otherwise` is the next step of a complaint that names none.
    fn complaint(about: &str, complaint: &Complaint, otherwise: &str) -> Self {
        let parts: Vec<_> =
            std::iter::once(complaint.what()).chain(complaint.reasons().iter().map(String::as_str)).collect();
        Self::bad(about, parts.join("; "), complaint.next_step().unwrap_or(otherwise))
    }
}

/// Which process looks, and gave something up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Server,
    /// The command itself, because no server runs: what a server started here would get.
    Command,
}

/// What the process has given up, and whether keys stay in memory.
pub fn hardening(lines: &[HardeningLine], whose: Whose) -> Vec<Finding> {
    let suffix = match whose {
        Whose::Server => "",
        Whose::Command => " (tried by this command, no server runs)",
    };
    let mut findings: Vec<_> = lines
        .iter()
        .map(|line| {
            let says = format!("{}{suffix}", line.outcome);
            if line.outcome.is_done() {
                Finding::good(line.line, says)
            } else {
                Finding::bad(line.line, says, "run coffer where the kernel allows this")
            }
        })
        .collect();
    let protection = LockedBytes::zeroed(1).protection();
    findings.push(if protection.is_full() {
        Finding::good("memory of keys", "locked, guarded, left out of dumps and of forked processes")
    } else {
        Finding::warning(
            "memory of keys",
            format!("the kernel grants only a part: {protection:?}"),
            "raise the limit of locked memory (LimitMEMLOCK)",
        )
    });
    findings
}

/// What can be seen from outside, by the server that has the store open: directory, store, keyring, keyfile, disk, clock.
pub fn of_files(config: &Config, directory: &DataDir, world: &World) -> Vec<Finding> {
    files(config, directory, world, Whose::Server)
}

/// The same of a store that nobody serves, a little closer: its files may be opened.
pub fn of_resting_files(config: &Config, directory: &DataDir, world: &World) -> Vec<Finding> {
    files(config, directory, world, Whose::Command)
}

fn files(config: &Config, directory: &DataDir, world: &World, whose: Whose) -> Vec<Finding> {
    let mut findings = vec![
        match DataDir::existing(directory.path()) {
            Ok(_) => Finding::good("data directory", directory.path().display().to_string()),
            Err(complaint) => Finding::complaint("data directory", &complaint, "look at it with ls -ld"),
        },
        place::of_mount(directory.path()),
        place::of_store(directory, whose),
    ];
    if let Err(complaint) = directory.ensure_private() {
        findings.push(Finding::complaint("private files", &complaint, "look at them with ls -l"));
    }
    match KeyringFile::read(&directory.keyring()) {
        Ok(keyring) => {
            findings.extend(of_keyring(&keyring, config, directory, world));
            if whose == Whose::Command {
                findings.extend(of_belonging(&keyring, directory));
            }
        }
        Err(error) => findings.push(Finding::complaint(
            "keyring",
            &Complaint::from(error),
            "put the keyring back from a backup",
        )),
    }
    if whose == Whose::Command {
        findings.push(of_log(directory));
    }
    findings.push(of_disk(config, directory.path()));
    findings.push(of_clock(&directory.store(), world));
    findings.push(of_swap());
    findings
}

fn of_keyring(keyring: &KeyringFile, config: &Config, directory: &DataDir, world: &World) -> Vec<Finding> {
    let slots = keyring.slots();
    let kinds: Vec<_> = slots.iter().map(|slot| slot.kind.to_string()).collect();
    let has = |kind| slots.iter().any(|slot| slot.kind == kind);
    let mut findings = vec![Finding::good("seal slots", kinds.join(", "))];
    if !has(SlotKind::Recovery) {
        findings.push(Finding::warning(
            "recovery",
            "there are no recovery shares: if the key is lost, so is the store",
            "coffer key shares create",
        ));
    }
    if has(SlotKind::Keyfile) {
        findings.push(of_keyfile(&config.keyfile, directory));
    }
    if has(SlotKind::Systemd) {
        findings.push(of_credential(config));
    }
    if has(SlotKind::Pkcs11) {
        findings.push(match config.token_seal.as_ref().map(TokenSeal::look) {
            Some(Ok(())) => Finding::good("token", "it is there; its PIN was not tried"),
            Some(Err(complaint)) => Finding::complaint("token", &complaint, "coffer key slot list"),
            None => {
                Finding::warning("token", "the configuration has no `[seal.pkcs11]`", "coffer key slot list")
            }
        });
    }
    if has(SlotKind::Kms) {
        findings.push(of_kms(keyring, config, world));
    }
    findings
}

/// Whether the KMS would open the store now.
fn of_kms(keyring: &KeyringFile, config: &Config, world: &World) -> Finding {
    match wait_for(ask_kms(keyring, config, &world.clock)) {
        Ok(_) => Finding::good(
            "kms",
            config.kms_seal.as_ref().map(|kms| kms.endpoint().to_owned()).unwrap_or_default(),
        ),
        Err(complaint) => Finding::complaint("kms", &complaint, "coffer key slot list"),
    }
}

/// Whether the keyring is the one of the store. A store that cannot be opened is told of elsewhere.
fn of_belonging(keyring: &KeyringFile, directory: &DataDir) -> Option<Finding> {
    let store = StillStore::open(directory.path(), MARK).ok()?;
    let mark = store.keyring_mark().ok()?;
    let belonging = Belonging::new(mark, store.partitions().next().is_some());
    let refusal = belonging.refuse_stranger(keyring, directory).err()?;
    Some(Finding::complaint("keyring", &refusal, "restore the last good backup"))
}

/// systemd hands the key to the service and to nobody else, so a command that is typed cannot see it.
fn of_credential(config: &Config) -> Finding {
    let Some(path) = &config.credential else {
        return Finding::warning(
            "credential",
            format!(
                "the store opens with the systemd credential {CREDENTIAL}, which this process was not given"
            ),
            format!("look for LoadCredential={CREDENTIAL}:PATH in the unit: systemctl cat coffer"),
        );
    };
    match keyfile::read_credential(path) {
        Ok(_) => Finding::good("credential", path.display().to_string()),
        Err(error) => Finding::complaint("credential", &Complaint::from(error), "systemctl cat coffer"),
    }
}

fn of_keyfile(path: &Path, directory: &DataDir) -> Finding {
    let shown = path.display();
    match keyfile::read(path) {
        Ok(_) => {}
        Err(KeyringError::KeyfileReading { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Finding::bad(
                "keyfile",
                format!("{shown} is missing"),
                format!("put it back to {} from its copy, or give its place with --keyfile", quoted(path)),
            );
        }
        Err(error) => return Finding::complaint("keyfile", &Complaint::from(error), "look at it with ls -l"),
    }
    if path.starts_with(directory.path()) {
        return Finding::bad(
            "keyfile",
            format!("{shown} lies in the data directory: whoever copies the one has the other"),
            "move it out of the directory and give its new path with --keyfile",
        );
    }
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    if device(parent(path)) == device(directory.path()) {
        return Finding::warning(
            "keyfile",
            format!("{shown} lies on the same file system as the store"),
            "in production keep it on another volume, or as a systemd credential",
        );
    }
    Finding::good("keyfile", shown.to_string())
}

/// Whether the last stop lost anything. Nobody may have the store open, or the log would change under our eyes.
fn of_log(directory: &DataDir) -> Finding {
    const ABOUT: &str = "write-ahead log";
    match examine_log(directory.path()) {
        Ok(LogState::Damaged(damage)) => {
            Finding::bad(ABOUT, damage.to_string(), verify::after_damage(&damage, directory))
        }
        Err(error) => Finding::bad(ABOUT, error.to_string(), "check the disk"),
        Ok(state) => match logs_set_aside(directory.path()).last() {
            Some(log) => Finding::warning(
                ABOUT,
                format!("writes were given up by command; what is left of them lies in {}", log.display()),
                "bring in again what is missing, then remove the file",
            ),
            None if matches!(state, LogState::Empty) => Finding::good(ABOUT, "empty"),
            None => Finding::good(ABOUT, "whole, and read at the next start"),
        },
    }
}

fn of_disk(config: &Config, path: &Path) -> Finding {
    match coffer_sys::free_space_bytes(path) {
        Ok(free) if free < config.free_floor_bytes => Finding::bad(
            "free space",
            format!("{}: only what removes records is accepted", Size(free)),
            "free some space on the disk of the data directory",
        ),
        Ok(free) if free < FREE_WARNING_BYTES => Finding::warning(
            "free space",
            Size(free).to_string(),
            "free some space on the disk of the data directory",
        ),
        Ok(free) => Finding::good("free space", Size(free).to_string()),
        Err(error) => Finding::bad("free space", error.to_string(), "check the mount of the data directory"),
    }
}

/// A clock that is behind the store makes expired things valid again.
fn of_clock(store: &Path, world: &World) -> Finding {
    let now = world.clock.now();
    let written = fs::metadata(store).and_then(|found| found.modified()).map(timestamp);
    match written {
        Ok(written) if written.since(now) > CLOCK_TOLERANCE => Finding::bad(
            "clock",
            format!("it is {now}, but the store was written at {written}"),
            "set the clock of this machine",
        ),
        _ => Finding::good("clock", now.to_string()),
    }
}

/// Keys are locked in memory, but what passes through in requests may be swapped out.
fn of_swap() -> Finding {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    if swaps.lines().count() > 1 {
        Finding::warning("swap", "in use", "encrypt it, or set MemorySwapMax=0 for the service")
    } else {
        Finding::good("swap", "none")
    }
}

/// What only the running server knows.
pub fn of_node(node: &Node) -> Vec<Finding> {
    let reasons = node.reasons();
    let mut findings = vec![if reasons.is_empty() {
        Finding::good("ready", "yes")
    } else {
        let next =
            if reasons.contains(&"sealed") { "coffer unseal" } else { "look into the log of the server" };
        Finding::bad("ready", reasons.join(", "), next)
    }];
    if let Some(cause) = node.core().and_then(|core| core.audit().refusal()) {
        let says =
            format!("it cannot be written, so requests are refused and this look is not on record: {cause}");
        let next = "make room on the disk of the data directory, or look into dmesg; it goes on by itself";
        findings.push(Finding::bad("audit log", says, next));
    }
    findings.extend(node.core().map(|core| epochs(&core.sweep_progress())));
    findings.push(of_load(node.gate().load()));
    let states = node.core().map(|core| core.task_states()).unwrap_or_default();
    for state in states {
        let next = match state.next {
            Next::Now => String::from("now"),
            Next::At(at) => at.to_string(),
            Next::Idle => String::from("when there is something to do"),
        };
        let about = format!("task {}", state.name);
        let ran = format!("last ran at {}, next {next}", state.last_run_at);
        findings.push(match (state.last_error, state.failed) {
            (Some(error), Some((at, place))) => Finding::warning(
                &about,
                format!(
                    "failed at {at} in account {}, region {}: {error}; {ran}",
                    place.account, place.region
                ),
                "look into the log of the server",
            ),
            _ => Finding::good(&about, ran),
        });
    }
    findings
}

/// Under which keys the records are.
fn epochs(progress: &SweepProgress) -> Finding {
    let SweepProgress { active_epoch, older_epochs, records_sealed_again, damaged, .. } = progress;
    if *damaged > 0 {
        let says = format!("{damaged} records do not open, so the keys of epochs {older_epochs:?} are kept");
        return Finding::warning("epochs", says, "coffer verify, with the server stopped");
    }
    if older_epochs.is_empty() {
        return Finding::good("epochs", format!("all records are under epoch {active_epoch}"));
    }
    let says = format!(
        "epoch {active_epoch} is active, {records_sealed_again} records were sealed again, {older_epochs:?} still have some"
    );
    Finding::good("epochs", says)
}

/// Whether something is left undone because too much is asked for.
fn of_load(load: Load) -> Finding {
    let Load { limit, in_use, waiting, step } = load;
    let places = format!("{in_use} of {limit} places taken, {waiting} requests waiting");
    if step == Step::Everything {
        return Finding::good("load", places);
    }
    Finding::warning(
        "load",
        format!("{places}; step {} of 4: {}", step.number(), step.says()),
        "look at coffer_shed_total in /metrics; ask for less, or give the machine more processors",
    )
}

#[cfg(test)]
mod tests {
    use coffer_barrier::{Keyring, NewSlot, Previous};
    use coffer_crypto::SystemEntropy;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn epochs_are_news_while_they_change_and_a_warning_when_they_cannot() {
        let of = |older: &[u32], damaged| {
            epochs(&SweepProgress {
                active_epoch: 3,
                older_epochs: older.to_vec(),
                damaged,
                ..Default::default()
            })
        };
        assert_eq!((of(&[], 0).grade, of(&[2], 0).grade), (Grade::Good, Grade::Good));
        assert!(of(&[2], 0).says.contains("[2] still have some"), "{:?}", of(&[2], 0));
        let stuck = of(&[1, 2], 4);
        assert!(stuck.grade == Grade::Warning && stuck.says.starts_with("4 records"), "{stuck:?}");
    }
    use crate::{
        config::{Flags, Home},
        world,
    };

    fn grade(findings: &[Finding], about: &str) -> Grade {
        findings.iter().find(|finding| finding.about == about).unwrap().grade
    }

    #[test]
    fn each_thing_that_is_not_good_says_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let home = Home {
            data_directory: place.path().join("data"),
            config_directory: place.path().to_owned(),
            ..Home::default()
        };
        let mut config = Config::read(&Flags::default(), &home).unwrap();
        let directory = DataDir::prepare(&config.data_dir).unwrap();
        let world = world::ephemeral();
        let look = |config: &Config| of_resting_files(config, &directory, &world);

        assert_eq!(grade(&look(&config), "keyring"), Grade::Bad);

        let entropy = Arc::new(SystemEntropy);
        let key = keyfile::create(&config.keyfile, &*entropy).unwrap();
        let mut keyring = Keyring::create(NewSlot::Keyfile(&key), entropy);
        keyring.save(&directory.keyring(), Previous::Keep).unwrap();
        assert_eq!(grade(&look(&config), "store"), Grade::Bad);
        crate::durable::write_new(&directory.store(), b"SQLite format 3\0").unwrap();
        let findings = look(&config);
        for (about, expected) in [
            ("data directory", Grade::Good),
            ("writable", Grade::Good),
            ("keyfile", Grade::Warning),
            ("recovery", Grade::Warning),
            ("clock", Grade::Good),
        ] {
            assert_eq!(grade(&findings, about), expected, "{about}");
        }
        assert!(findings.iter().all(|finding| (finding.grade == Grade::Good) == finding.next.is_none()));

        keyring.add_recovery(2, 3).unwrap();
        keyring.save(&directory.keyring(), Previous::Keep).unwrap();
        assert!(look(&config).iter().all(|finding| finding.about != "recovery"));

        let inside = directory.path().join("keyfile");
        fs::rename(&config.keyfile, &inside).unwrap();
        assert_eq!(grade(&look(&config), "keyfile"), Grade::Bad);
        config.keyfile = inside;
        assert_eq!(grade(&look(&config), "keyfile"), Grade::Bad);
        config.free_floor_bytes = u64::MAX;
        assert_eq!(grade(&look(&config), "free space"), Grade::Bad);
    }
}

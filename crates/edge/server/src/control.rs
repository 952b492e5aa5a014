//! Commands given on this machine: status, doctor, seal, unseal, accounts and their administrators, policies and rotations of secrets, changes of the seal slots, and where
//! the audit log ends.
//!
//! They come over a Unix socket in the data directory, one line of JSON each way. Who may speak is decided twice: by the
//! modes of directory and socket, and by the kernel's word on the user at the other end, who has to be ours or root. There is no
//! such door on the network, and there will be none.
//!
//! Here are the words of both sides, and the side that asks. The side that answers is in `desk`. A key travels in the line and is
//! read into memory that is wiped; it is in no argument, variable or log.

mod desk;

use std::{
    io::{self, BufRead, BufReader, Write},
    path::PathBuf,
    time::Duration,
};

use coffer_core::{Core, SweepProgress};
use coffer_types::{AccountId, Secret};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::desk::Control;
use crate::{
    accounts::Account,
    complaint::Complaint,
    data_dir::DataDir,
    doctor::Finding,
    rotations::{Decision, Rotation},
    secret_policy::SecretAsked,
    slots::{Change, Changed},
};

/// How long somebody may take to say what they want, and we to answer; a passphrase takes about a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the line with the command may take. A program writes it at once, and whoever holds a seat in silence keeps others out.
const LINE_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    Status,
    Doctor,
    Seal,
    Unseal,
    /// Makes or takes away a seal slot, or changes the keys behind them.
    Change,
    /// How far the change of epochs has come.
    KeyStatus,
    /// Makes another access key of an administrator, in the data directory.
    AdminKey,
    /// Makes an administrator what he was at first, with another key.
    AdminReset,
    /// Makes an account and its administrator.
    AccountCreate,
    AccountList,
    /// Shows the policy of a secret.
    SecretPolicy,
    /// Takes it off.
    SecretPolicyRemove,
    /// Shows all rotations of an account and region.
    Rotations,
    /// Shows one.
    Rotation,
    /// Tries again now.
    RotationRetry,
    /// Decides which of two versions counts.
    RotationRepair,
    /// Where the audit log ends, for somebody who verifies it.
    AuditVerify,
    /// The same, for somebody who searches it.
    AuditSearch,
}

/// One line to the server. Where a key is needed and none is given, the one that lies on the machine is taken.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub command: Command,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Typed>,
    /// Recovery shares, some or all that are needed: the rest may come with later requests of the same kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Typed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The passphrase that a new slot is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_passphrase: Option<Typed>,
    /// The account that is meant, the first if there is none; or the id that a new one shall have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The name of a new account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name or the ARN of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Where it is, unless that is the region of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

impl Request {
    pub const fn new(command: Command) -> Self {
        Self {
            command,
            passphrase: None,
            shares: Vec::new(),
            change: None,
            new_passphrase: None,
            account: None,
            name: None,
            secret: None,
            region: None,
            decision: None,
        }
    }

    /// Something about an account.
    #[must_use]
    pub fn of_account(self, account: Option<AccountId>) -> Self {
        Self { account: account.map(|account| account.to_string()), ..self }
    }

    /// Something about a secret.
    pub fn of_secret(command: Command, asked: &SecretAsked) -> Self {
        let (secret, region) =
            (Some(asked.secret_id.clone()), asked.region.as_ref().map(ToString::to_string));
        Self { secret, region, ..Self::new(command).of_account(asked.account) }
    }

    /// A change of the slots.
    pub fn change(change: Change) -> Self {
        Self { change: Some(change), ..Self::new(Command::Change) }
    }
}

/// Secret text on its way through the socket, which is the one place where it is written out.
#[derive(Debug)]
pub struct Typed(pub Secret<String>);

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Secret::new(text)))
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    Status(Status),
    Findings(Vec<Finding>),
    /// Whether no key is left in memory; `false` while requests that had begun are finishing.
    Sealed {
        keys_wiped: bool,
    },
    Unsealed {
        /// What the server lacks to open the store at its next start. It alone knows: systemd gives its key to nobody else.
        missing_key: Option<String>,
    },
    Changed(Changed),
    Keys(KeyStatus),
    /// Where the administrator's new key lies; the key itself does not travel.
    Filed {
        path: PathBuf,
    },
    /// A new account, and where the key of its administrator lies.
    Created {
        account: String,
        path: PathBuf,
    },
    Accounts(Vec<Account>),
    Policy {
        secret: String,
        policy: Option<String>,
    },
    Rotations(Vec<Rotation>),
    /// Whether there was a policy to take off.
    Removed {
        secret: String,
        policy: bool,
    },
    /// Where the audit log ends.
    AuditEnd {
        segment: u64,
        events: u64,
        chain: String,
    },
    /// Nothing is known of that: the store is sealed.
    AuditClosed,
    /// More shares are needed.
    Progress {
        given: usize,
        needed: usize,
    },
    Refused {
        what: String,
        reasons: Vec<String>,
        next: Option<String>,
    },
}

impl From<Complaint> for Reply {
    fn from(complaint: Complaint) -> Self {
        Self::Refused {
            what: complaint.what().to_owned(),
            reasons: complaint.reasons().to_vec(),
            next: complaint.next_step().map(str::to_owned),
        }
    }
}

/// The epochs of an open store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatus {
    pub active_epoch: u32,
    /// Their keys are kept until nothing is sealed under them any more.
    pub older_epochs: Vec<u32>,
    /// Since the server was started.
    pub records_sealed_again: u64,
    /// In the pass through the store that is under way.
    pub records_seen: u64,
    /// Records that do not open, in the last whole pass: as long as there are any, the older keys stay.
    pub damaged: u64,
}

impl KeyStatus {
    fn of(core: &Core) -> Self {
        let SweepProgress { active_epoch, older_epochs, records_sealed_again, records_seen, damaged } =
            core.sweep_progress();
        Self { active_epoch, older_epochs, records_sealed_again, records_seen, damaged }
    }
}

/// What a client of this machine needs to know of a running server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub endpoint: String,
    pub account: String,
    pub region: String,
    pub ca_bundle: Option<String>,
    /// Why it is not ready; empty when it is.
    pub reasons: Vec<String>,
}

/// Asks the server that runs on a data directory. `None` if no server does.
pub fn ask(directory: &DataDir, request: &Request) -> Result<Option<Reply>, Complaint> {
    let place = directory.control_socket();
    let failed = |error: &dyn std::fmt::Display| {
        Complaint::new(format!("the server at {} did not answer", place.display()))
            .because(error)
            .next("look into its log")
    };
    let mut stream = match std::os::unix::net::UnixStream::connect(&place) {
        Ok(stream) => stream,
        // The second: the socket was left behind by a server that was killed.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(&error)),
    };
    let mut line = Secret::new(serde_json::to_vec(request).map_err(|error| failed(&error))?);
    line.expose_mut().push(b'\n');
    stream
        .set_read_timeout(Some(PATIENCE + PATIENCE))
        .and_then(|()| stream.write_all(line.expose()))
        .map_err(|error| failed(&error))?;
    let mut answer = Secret::new(String::new());
    BufReader::new(stream).read_line(answer.expose_mut()).map_err(|error| failed(&error))?;
    match serde_json::from_str(answer.expose()).map_err(|error| failed(&error))? {
        Reply::Refused { what, reasons, next } => {
            let complaint = reasons.iter().fold(Complaint::new(what), Complaint::because);
            Err(match next {
                Some(next) => complaint.next(next),
                None => complaint,
            })
        }
        reply => Ok(Some(reply)),
    }
}

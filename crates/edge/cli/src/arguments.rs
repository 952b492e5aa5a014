//! The command line: what can be typed, and what it means. `coffer --help` is printed from here.

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgMatches, Args, Parser, Subcommand};
use coffer_server::{config::Flags, shell::quoted};
use coffer_types::{AccountId, Region};

use crate::account;

const MAP: &str = "\
Examples:
  coffer dev                               a server in memory that accepts any credentials
  coffer server                            a server with a store, made at the first start
  coffer profile install                   lets `aws --profile coffer` talk to it
  coffer key shares create                 recovery shares, for the day the keyfile is lost
  coffer key keyfile create                another keyfile, on that day
  coffer account create --name team-b      another account, apart from the first in everything
  coffer doctor                            what somebody should look at
  coffer audit search --from 24h           who did what since yesterday

Exit codes:
  0   done
  1   failed; the error says why and what to try
  2   something stored is damaged
  3   more recovery shares are needed
  64  the command line was not understood";

/// The AWS Secrets Manager you can run yourself.
#[derive(Debug, Parser)]
#[command(name = "coffer", version, after_help = MAP, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the service on a store in a directory; the first start makes store, keys and administrator
    Server(Server),
    /// Run the service in memory, for laptops and tests: any credentials are accepted, nothing is kept
    Dev(Dev),
    /// Make a store that a passphrase opens, and `server` then starts sealed and waits for `unseal`; or one that a KMS opens
    Init(Init),
    /// The administrator of an account
    Admin {
        #[command(subcommand)]
        command: AdminCommand,
    },
    /// The accounts of the store, each with an administrator and everything else of its own
    Account {
        #[command(subcommand)]
        command: AccountCommand,
    },
    /// Rotations of secrets: what is due, what went wrong, and what to do about it
    Rotation {
        #[command(subcommand)]
        command: RotationCommand,
    },
    /// Profiles for the AWS CLI and the SDKs
    Profile {
        #[command(subcommand)]
        command: ProfileCommand,
    },
    /// Read everything a store keeps and report what is not as it was written; the server has to be stopped
    Verify(Verify),
    /// The record of who did what
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Say what somebody should look at, whether or not a server runs
    Doctor(Doctor),
    /// Functions that run on this machine
    Functions {
        #[command(subcommand)]
        command: FunctionsCommand,
    },
    /// Go on without acknowledged writes that a damaged log has lost; `doctor` and `verify` name the damage
    AcceptLoss(AcceptLoss),
    /// Close the store of a running server and wipe its keys from memory
    Seal(Place),
    /// Open the store of a sealed server
    Unseal(Unseal),
    /// Ways of opening the store
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
}

/// Which store is meant.
#[derive(Debug, Args, Clone)]
pub(crate) struct Place {
    /// The configuration file [default: coffer.toml beside the keyfile, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The directory of the store [default: /var/lib/coffer for root, else ~/.local/share/coffer]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The file with the key that opens the store [default: /etc/coffer/keyfile for root, else ~/.config/coffer/keyfile]
    #[arg(long, value_name = "FILE")]
    pub keyfile: Option<PathBuf>,
}

impl Place {
    /// What the innermost command was told, if it is one that works on a store.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let mut innermost = matches;
        while let Some((_, inner)) = innermost.subcommand() {
            innermost = inner;
        }
        let path = |name| innermost.try_get_one::<PathBuf>(name).ok().flatten().cloned();
        Self { config: path("config"), data_dir: path("data_dir"), keyfile: path("keyfile") }
    }

    pub(crate) fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            keyfile: self.keyfile.clone(),
            listen: None,
        }
    }

    /// The flags again, to be typed behind the next command, in whatever directory that is.
    pub(crate) fn typed(&self) -> String {
        self.words().into_iter().map(|(name, path)| format!(" {name} {path}")).collect()
    }

    /// Each flag that was given, and its value as a shell reads it.
    pub(crate) fn words(&self) -> Vec<(&'static str, String)> {
        [("--config", &self.config), ("--data-dir", &self.data_dir), ("--keyfile", &self.keyfile)]
            .into_iter()
            .filter_map(|(name, path)| {
                let path = path.as_ref()?;
                Some((name, quoted(&std::path::absolute(path).unwrap_or_else(|_| path.clone()))))
            })
            .collect()
    }
}

#[derive(Debug, Args)]
pub(crate) struct Server {
    #[command(flatten)]
    pub place: Place,
    /// Where to listen; addresses other than loopback need TLS [default: 127.0.0.1:4566]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where to listen, on a loopback address [default: 127.0.0.1:4566]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A store that a keyfile opens needs no init: the first start of `coffer server` makes it."
)]
pub(crate) struct Init {
    #[command(flatten)]
    pub place: Place,
    /// A file with the passphrase, `-` for the standard input [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Make a store that the KMS of `[seal.kms]` in the configuration opens, and no passphrase
    #[arg(long, conflicts_with = "passphrase_file")]
    pub kms: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Access keys of the administrator
    Key {
        #[command(subcommand)]
        command: AdminKeyCommand,
    },
    /// Let the administrator in again, whatever policies say or somebody deleted
    Reset(ResetAdministrator),
    /// The policy of a secret, also of one that denies whoever could change it
    SecretPolicy {
        #[command(subcommand)]
        command: SecretPolicyCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RotationCommand {
    /// Rotations of an account and region, those first that are due first
    List(RotationList),
    /// What is under way, what went wrong, and where the log of it is
    Show(RotationNamed),
    /// Try again now, instead of later or in the next window
    Retry(RotationNamed),
    /// Decide which version counts, when a rotation stopped in the middle
    #[command(
        after_help = "Try both versions first: the one that logs in is the one to keep. AWSCURRENT stays where it is with --drop-pending."
    )]
    Repair(RotationRepair),
}

#[derive(Debug, Args)]
pub(crate) struct RotationList {
    #[command(flatten)]
    pub place: Place,
    /// The account [default: the first]
    #[arg(long, value_name = "ID", value_parser = account::parse)]
    pub account: Option<AccountId>,
    /// The region [default: that of the configuration]
    #[arg(long, value_name = "REGION")]
    pub region: Option<Region>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RotationNamed {
    #[command(flatten)]
    pub place: Place,
    /// The name of the secret, or its ARN
    #[arg(value_name = "SECRET")]
    pub secret: String,
    /// Its account [default: that of the ARN, or the first]
    #[arg(long, value_name = "ID", value_parser = account::parse)]
    pub account: Option<AccountId>,
    /// Its region [default: that of the ARN, or that of the configuration]
    #[arg(long, value_name = "REGION")]
    pub region: Option<Region>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RotationRepair {
    #[command(flatten)]
    pub named: RotationNamed,
    /// The version under AWSPENDING becomes current
    #[arg(long, conflicts_with = "drop_pending", required_unless_present = "drop_pending")]
    pub promote_pending: bool,
    /// The version under AWSPENDING loses that label, and the rotation ends
    #[arg(long)]
    pub drop_pending: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretPolicyCommand {
    /// Print the policy as it was written
    Show(SecretNamed),
    /// Take the policy off the secret
    #[command(
        after_help = "The value is not shown. Who may do what with the secret is then for the policies of users and roles \
                            to say. Where recovery shares were given out, it takes them. It is on record."
    )]
    Remove(SecretNamed),
}

#[derive(Debug, Args)]
pub(crate) struct SecretNamed {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// The name of the secret, or its ARN
    #[arg(value_name = "SECRET")]
    pub secret: String,
    /// Its account [default: that of the ARN, or the first]
    #[arg(long, value_name = "ID", value_parser = account::parse)]
    pub account: Option<AccountId>,
    /// Its region [default: that of the ARN, or of the configuration]
    #[arg(long, value_name = "REGION")]
    pub region: Option<Region>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminKeyCommand {
    /// Make another access key, for the day the first is lost; those that are there stay good
    Create(CreateKey),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The key is written to bootstrap/credentials in the data directory, or to the file of the account beside it, and \
                        on record. A running server makes it if its store is open; without one, the store is opened with its keyfile \
                        or with the files given."
)]
pub(crate) struct CreateKey {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// Of which account [default: the first]
    #[arg(long, value_name = "ID", value_parser = account::parse)]
    pub account: Option<AccountId>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The user `administrator` gets AdministratorAccess and a new key, and loses his boundary, his other policies and his \
                        groups; if there is none of this name, he is made. Nobody else is changed, and keys that he has stay good. \
                        Where recovery shares were given out, it takes them. It is on record."
)]
pub(crate) struct ResetAdministrator {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// Of which account [default: the first]
    #[arg(long, value_name = "ID", value_parser = account::parse)]
    pub account: Option<AccountId>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account and its administrator, whose key is written to a file in the data directory
    Create(CreateAccount),
    /// Print the accounts, the oldest first: id, name, when it was made, and the file with its administrator's key
    List(ListAccounts),
}

#[derive(Debug, Args)]
#[command(
    after_help = "A running server makes it if its store is open; without one, the store is opened with its keyfile or with the files \
                        given."
)]
pub(crate) struct CreateAccount {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// What people call it
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Its id, 12 digits [default: drawn at random]
    #[arg(long, value_name = "ID", value_parser = account::parse)]
    pub id: Option<AccountId>,
}

#[derive(Debug, Args)]
pub(crate) struct ListAccounts {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Write a profile with keys, region, endpoint and authority; other profiles stay as they are
    Install(Install),
}

#[derive(Debug, Args)]
pub(crate) struct Install {
    #[command(flatten)]
    pub place: Place,
    /// The name of the profile
    #[arg(long, default_value = "coffer")]
    pub name: String,
    /// The account whose administrator it is for [default: the first]
    #[arg(long, value_name = "ID", value_parser = account::parse)]
    pub account: Option<AccountId>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// Say what records with problems are called, beside their stored keys; the names of secrets may be secret
    #[arg(long)]
    pub names: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Read the whole audit log and report what is not as it was written, whether or not a server runs
    Verify(AuditVerify),
    /// Print the events that fit, the oldest first, whether or not a server runs
    Search(AuditSearch),
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerify {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "All that is given has to fit. A time is one such as 2026-01-31T08:00:00Z or 2026-01-31, or how long ago, such as 24h."
)]
pub(crate) struct AuditSearch {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// Events of this time and later
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Events of this time and earlier
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// The operation, such as GetSecretValue
    #[arg(long, value_name = "NAME")]
    pub event_name: Option<String>,
    /// The name of the user, or of the session of a role
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The access key that signed
    #[arg(long, value_name = "ID")]
    pub access_key_id: Option<String>,
    /// The ARN of what it was about, or its name
    #[arg(long, value_name = "ARN|NAME")]
    pub resource: Option<String>,
    /// One event
    #[arg(long, value_name = "ID")]
    pub event_id: Option<String>,
    /// How it failed, such as AccessDenied
    #[arg(long, value_name = "CODE")]
    pub error_code: Option<String>,
    /// Print each event as it is recorded, one line of JSON each
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The lost writes do not come back; the log as it was found is kept beside the store. A backup is the better way."
)]
pub(crate) struct AcceptLoss {
    /// The name of the damage, which is good for this damage alone
    #[arg(value_name = "DAMAGE")]
    pub id: String,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FunctionsCommand {
    /// Say which walls this machine can build around functions, and which runtimes it has
    Doctor(FunctionsDoctor),
}

#[derive(Debug, Args)]
pub(crate) struct FunctionsDoctor {
    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub place: Place,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Keys are read from files or typed, never given as arguments: those are for everybody on the machine to read.
#[derive(Debug, Args)]
pub(crate) struct KeyFiles {
    /// A file with one recovery share; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_file", "passphrase"])]
    pub share: Vec<PathBuf>,
    /// A file with the passphrase; `-` is the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
    pub passphrase_file: Option<PathBuf>,
    /// Ask for the passphrase on the terminal
    #[arg(long)]
    pub passphrase: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without a file, the keyfile of the store is used; if the store has none, the passphrase is asked for."
)]
pub(crate) struct Unseal {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Recovery shares: several people open the store together
    Shares {
        #[command(subcommand)]
        command: SharesCommand,
    },
    /// The file that opens the store without a person
    Keyfile {
        #[command(subcommand)]
        command: KeyfileCommand,
    },
    /// Everything that opens the store
    Slot {
        #[command(subcommand)]
        command: SlotCommand,
    },
    /// A passphrase that opens the store
    Passphrase {
        #[command(subcommand)]
        command: PassphraseCommand,
    },
    /// The key that systemd gives to the service
    Credential {
        #[command(subcommand)]
        command: CredentialCommand,
    },
    /// A PKCS#11 token that opens the store
    Pkcs11 {
        #[command(subcommand)]
        command: Pkcs11Command,
    },
    /// A KMS that opens the store: AWS's, or another Coffer
    Kms {
        #[command(subcommand)]
        command: KmsCommand,
    },
    /// Show under which keys the records of a running server are
    Status(KeyStatus),
    /// Seal what is written from now on under a new key, and everything else again in the background
    RotateEpoch(ChangeKeys),
    /// Make another root key and wrap it in every seal slot
    #[command(
        after_help = "It takes the key of every slot: that of this machine is found, a passphrase or shares are given. Who had the old \
                            root key, or an old copy of the keyring, opens nothing of the new one with it. A store that has both a passphrase and \
                            shares takes both."
    )]
    RekeyRoot(RekeyRoot),
}

#[derive(Debug, Args)]
pub(crate) struct KeyStatus {
    #[command(flatten)]
    pub place: Place,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeKeys {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
}

#[derive(Debug, Args)]
pub(crate) struct RekeyRoot {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub keys: EveryKey,
}

/// The same as [`KeyFiles`], and one kind does not exclude the other.
#[derive(Debug, Args)]
pub(crate) struct EveryKey {
    /// A file with one recovery share; may be repeated
    #[arg(long, value_name = "FILE")]
    pub share: Vec<PathBuf>,
    /// A file with the passphrase; `-` is the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
    pub passphrase_file: Option<PathBuf>,
    /// Ask for the passphrase on the terminal
    #[arg(long)]
    pub passphrase: bool,
}

impl EveryKey {
    pub(crate) fn files(&self) -> KeyFiles {
        let (share, passphrase_file) = (self.share.clone(), self.passphrase_file.clone());
        KeyFiles { share, passphrase_file, passphrase: self.passphrase }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum SharesCommand {
    /// Make a recovery slot and show its shares, once
    Create(CreateShares),
}

/// Said where a command changes who can open the store.
const GIVE_A_KEY: &str = "It takes a key that opens the store: the keyfile, if nothing is given, or the files given. A store that only a \
                          passphrase opens asks for it.";

#[derive(Debug, Subcommand)]
pub(crate) enum KeyfileCommand {
    /// Make a new keyfile and its seal slot, in place of one that is lost
    Create(CreateKeyfile),
}

#[derive(Debug, Args)]
#[command(after_help = GIVE_A_KEY)]
pub(crate) struct CreateKeyfile {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// Where the new keyfile goes; a file is never overwritten [default: the keyfile of the configuration]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Also take away the slot of a keyfile that still opens the store
    #[arg(long)]
    pub replace: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PassphraseCommand {
    /// Make a seal slot for a passphrase, which is asked for twice
    Create(CreatePassphrase),
}

#[derive(Debug, Args)]
#[command(after_help = GIVE_A_KEY)]
pub(crate) struct CreatePassphrase {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// A file with the new passphrase, instead of asking for it; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Make a key and its seal slot, in a file for `systemd-creds encrypt --name=coffer.keyfile`
    Create(CreateCredential),
}

#[derive(Debug, Args)]
#[command(after_help = GIVE_A_KEY)]
pub(crate) struct CreateCredential {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// Where the key goes; a file is never overwritten
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pkcs11Command {
    /// Make a seal slot on the token that `[seal.pkcs11]` in the configuration names
    Create(CreateOnToken),
}

#[derive(Debug, Args)]
#[command(after_help = GIVE_A_KEY)]
pub(crate) struct CreateOnToken {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// Let the token make the key first
    #[arg(long)]
    pub generate: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KmsCommand {
    /// Make a seal slot at the KMS that `[seal.kms]` in the configuration names
    #[command(after_help = GIVE_A_KEY)]
    Create(ChangeKeys),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SlotCommand {
    /// List the seal slots; any one of them opens the store
    List(ListSlots),
    /// Take a seal slot away: its key, or its shares, open the store no more
    Remove(RemoveSlot),
}

#[derive(Debug, Args)]
pub(crate) struct ListSlots {
    #[command(flatten)]
    pub place: Place,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = GIVE_A_KEY)]
pub(crate) struct RemoveSlot {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// The slot, as `coffer key slot list` names it
    pub slot: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Give each share to another person, on paper. They are shown once and kept nowhere.")]
pub(crate) struct CreateShares {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: KeyFiles,
    /// How many are needed to open the store, and how many there are
    #[arg(long, value_name = "M/N", default_value = "3/5", value_parser = quorum)]
    pub shares: (u8, u8),
    /// Write each share to a file share-N in this new directory instead of the terminal
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

fn quorum(text: &str) -> Result<(u8, u8), String> {
    let numbers = text.split_once('/').and_then(|(m, n)| Some((m.parse().ok()?, n.parse().ok()?)));
    numbers
        .filter(|(m, n)| *m >= 2 && m <= n)
        .ok_or_else(|| String::from("give two numbers such as 3/5: any 3 of 5 open the store"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_quorum_is_two_numbers() {
        assert_eq!(quorum("3/5"), Ok((3, 5)));
        for bad in ["", "3", "1/5", "5/3", "3/x", "3/256"] {
            assert!(quorum(bad).is_err(), "{bad}");
        }
    }
}

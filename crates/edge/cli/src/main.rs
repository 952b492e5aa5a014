//! `coffer`: the one program.
//!
//! This file reads the command line, hands over, and turns the outcome into an exit code. Each command lives in a file of its
//! own; what they do is in the server crate, what they say is here.
//!
//! Two things happen before anything else: freed memory is overwritten from the first allocation on, and the process
//! gives up what it does not need before it reads its first secret.

mod account;
mod admin;
mod arguments;
mod ask;
mod audit;
mod examine;
mod functions;
mod ini;
mod keys;
mod next_step;
mod print;
mod profile;
mod rotation;
mod run;
mod seal;
mod secret_policy;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use coffer_server::{
    Complaint,
    config::{Config, Flags, Home},
};
use coffer_sys::WipingAllocator;
use mimalloc::MiMalloc;

use crate::arguments::{
    AccountCommand, AdminCommand, AdminKeyCommand, Arguments, AuditCommand, Command, CredentialCommand,
    FunctionsCommand, KeyCommand, KeyfileCommand, KmsCommand, PassphraseCommand, Pkcs11Command,
    ProfileCommand, RotationCommand, SecretPolicyCommand, SharesCommand, SlotCommand,
};

#[global_allocator]
static ALLOCATOR: WipingAllocator<MiMalloc> = WipingAllocator::over(MiMalloc);

/// How a command ended, as scripts see it. The numbers are listed in `coffer --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    /// Something stored is not as it was written.
    Damage = 2,
    /// More recovery shares are needed; those that were given are remembered for a while.
    Incomplete = 3,
    /// The command line was not understood.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

fn main() -> ExitCode {
    // The process that becomes a function gives up more than this, in an order of its own.
    if std::env::args_os().nth(1).is_some_and(|first| first == coffer_server::functions::HELPER) {
        return coffer_functions::sandbox::main();
    }
    let hardening = coffer_sys::harden();
    let (arguments, place) = match parsed() {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are answers, everything else is a mistake; both know where to print themselves.
            drop(error.print());
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let outcome = match arguments.command {
        Command::Server(server) => run::server(&server, hardening),
        Command::Dev(dev) => run::dev(&dev),
        Command::Init(init) => run::init(&init),
        Command::Admin { command: AdminCommand::Key { command: AdminKeyCommand::Create(create) } } => {
            admin::create_key(&create)
        }
        Command::Admin { command: AdminCommand::Reset(reset) } => admin::reset(&reset),
        Command::Admin { command: AdminCommand::SecretPolicy { command } } => match command {
            SecretPolicyCommand::Show(named) => secret_policy::show(&named),
            SecretPolicyCommand::Remove(named) => secret_policy::remove(&named),
        },
        Command::Rotation { command } => match command {
            RotationCommand::List(list) => rotation::list(&list),
            RotationCommand::Show(named) => rotation::show(&named),
            RotationCommand::Retry(named) => rotation::retry(&named),
            RotationCommand::Repair(repair) => rotation::repair(&repair),
        },
        Command::Account { command: AccountCommand::Create(create) } => account::create(&create),
        Command::Account { command: AccountCommand::List(list) } => account::list(&list),
        Command::Profile { command: ProfileCommand::Install(install) } => profile::install(&install),
        Command::Audit { command: AuditCommand::Verify(verify) } => audit::verify(&verify),
        Command::Audit { command: AuditCommand::Search(search) } => audit::search(&search),
        Command::Verify(verify) => examine::verify(&verify),
        Command::AcceptLoss(accept) => examine::accept_loss(&accept),
        Command::Doctor(doctor) => examine::doctor(&doctor, &hardening),
        Command::Functions { command: FunctionsCommand::Doctor(doctor) } => functions::doctor(&doctor),
        Command::Seal(place) => seal::seal(&place),
        Command::Unseal(unseal) => seal::unseal(&unseal),
        Command::Key { command } => match command {
            KeyCommand::Shares { command: SharesCommand::Create(create) } => keys::create_shares(&create),
            KeyCommand::Keyfile { command: KeyfileCommand::Create(create) } => keys::create_keyfile(&create),
            KeyCommand::Slot { command: SlotCommand::List(list) } => keys::list(&list),
            KeyCommand::Slot { command: SlotCommand::Remove(remove) } => keys::remove(&remove),
            KeyCommand::Passphrase { command: PassphraseCommand::Create(create) } => {
                keys::create_passphrase(&create)
            }
            KeyCommand::Credential { command: CredentialCommand::Create(create) } => {
                keys::create_credential(&create)
            }
            KeyCommand::Pkcs11 { command: Pkcs11Command::Create(create) } => keys::create_on_token(&create),
            KeyCommand::Kms { command: KmsCommand::Create(create) } => keys::create_at_kms(&create),
            KeyCommand::Status(status) => keys::status(&status),
            KeyCommand::RotateEpoch(change) => keys::rotate_epoch(&change),
            KeyCommand::RekeyRoot(change) => keys::rekey_root(&change),
        },
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(complaint) => {
            let exit = if complaint.is_damage() { Exit::Damage } else { Exit::Failed };
            print::complain(complaint, &place);
            exit.into()
        }
    }
}

/// The command line, and what it says about the store, whatever the command is.
fn parsed() -> Result<(Arguments, arguments::Place), clap::Error> {
    let matches = Arguments::command().try_get_matches()?;
    let place = arguments::Place::of(&matches);
    Arguments::from_arg_matches(&matches).map(|arguments| (arguments, place))
}

/// The configuration that flags and file make together.
pub(crate) fn configuration(flags: &Flags) -> Result<(Config, Home), Complaint> {
    let home = Home::from_environment()?;
    Ok((Config::read(flags, &home)?, home))
}

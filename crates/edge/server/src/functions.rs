//! Functions on this machine: what the configuration and the kernel make of it, and what is there without either.

mod all;
mod webhook;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use coffer_client::{Outbound, Trust};
use coffer_core::World;
use coffer_crypto::sha256;
use coffer_functions::{
    Door, FIRST_USER, Local, Runner, Settings, Walls, doctor,
    interpreters::{Interpreter, look_for},
};
use coffer_types::encoding::HEXLOWER;
use tokio::{net::TcpStream, sync::mpsc};

use self::all::All;
use crate::{
    complaint::Complaint,
    config::{FunctionsConfig, Isolation},
    node::Node,
};

/// The hidden command of the binary that becomes a function.
pub const HELPER: &str = "function-helper";
/// Connections that wait to be served.
const WAITING_MAX: usize = 64;
/// Where systems keep whom they trust.
const AUTHORITIES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// What `coffer functions doctor` looks for.
const RUNTIMES: &[&str] = &[
    "python3.8",
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
];

/// What runs functions, until the end of the server.
#[derive(Debug)]
pub(crate) struct LocalFunctions {
    runner: Arc<Runner>,
    visitors: std::sync::Mutex<Option<mpsc::Receiver<TcpStream>>>,
}

/// Where functions find Coffer's API.
struct Way(mpsc::Sender<TcpStream>);

impl Door for Way {
    fn serve(&self, stream: TcpStream) {
        // A server that takes no more connections closes them.
        drop(self.0.try_send(stream));
    }
}

impl LocalFunctions {
    /// Looks at the machine, and puts what runs functions into the world.
    pub(crate) fn prepare(
        config: &FunctionsConfig,
        data_dir: &Path,
        world: &mut World,
    ) -> Result<Self, Complaint> {
        let helper = helper()?;
        let walls = walls(config, &helper, data_dir)?;
        let mut settings = Settings::new(walls, helper, directory(config, walls, data_dir));
        settings.interpreters = config.interpreters.clone();
        settings.endpoints = config.endpoints.clone();
        settings.environments_max = config.processes.unwrap_or(settings.environments_max);
        settings.idle = config.idle.unwrap_or(settings.idle);
        let (way, visitors) = mpsc::channel(WAITING_MAX);
        let place = settings.scratch.clone();
        let runner =
            Runner::new(settings, Arc::clone(&world.clock), Arc::clone(&world.entropy), Arc::new(Way(way)))
                .map_err(|error| {
                Complaint::new(format!("the directory of functions {} cannot be used", place.display()))
                    .because(error)
                    .next("give another as `functions.directory` in the configuration")
            })?;
        let runner = Arc::new(runner);
        let outbound = Outbound::new(&config.endpoints, trust(config)?);
        world.functions = Arc::new(All::new(Local::new(Arc::clone(&runner)), outbound));
        Ok(Self { runner, visitors: std::sync::Mutex::new(Some(visitors)) })
    }

    pub(crate) fn let_into(&self, node: &Node) {
        let visitors = self.visitors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(visitors) = visitors {
            node.let_in(visitors);
        }
    }

    pub(crate) async fn stop(&self) {
        self.runner.stop().await;
    }
}

/// Who may vouch for databases and webhooks. Of the authorities of the machine only those are used that can be read.
fn trust(config: &FunctionsConfig) -> Result<Option<Trust>, Complaint> {
    if let Some(path) = &config.authorities {
        let complaint = || Complaint::new(format!("the authorities {} cannot be used", path.display()));
        let next = "correct `functions.authorities` in the configuration";
        let pem = fs::read_to_string(path).map_err(|error| complaint().because(error).next(next))?;
        let trust = Trust::in_authorities(&pem).map_err(|error| complaint().because(error).next(next))?;
        return Ok(Some(trust));
    }
    let found = AUTHORITIES.iter().find_map(|path| fs::read_to_string(path).ok());
    Ok(found.and_then(|pem| Trust::in_authorities(&pem).ok()))
}

fn helper() -> Result<(PathBuf, Vec<String>), Complaint> {
    let program = std::env::current_exe()
        .map_err(|error| Complaint::new("the path of this program is not known").because(error))?;
    Ok((program, vec![HELPER.to_owned()]))
}

fn walls(
    config: &FunctionsConfig,
    helper: &(PathBuf, Vec<String>),
    data_dir: &Path,
) -> Result<Option<Walls>, Complaint> {
    match config.isolation {
        Some(Isolation::Off) => Ok(None),
        Some(Isolation::Process) => {
            tracing::warn!(
                "functions share the network of this machine, because `functions.isolation` is process"
            );
            Ok(Some(Walls::Process))
        }
        wanted => match try_walls(Walls::Full, helper, data_dir) {
            Ok(()) => Ok(Some(Walls::Full)),
            Err(why) if wanted.is_none() => {
                tracing::warn!(
                    why,
                    "functions are off, because the kernel cannot keep them apart from this machine"
                );
                Ok(None)
            }
            Err(why) => Err(Complaint::new("the walls around functions cannot be built")
                .because(why)
                .next("coffer functions doctor, or another `functions.isolation` in the configuration")),
        },
    }
}

fn try_walls(walls: Walls, helper: &(PathBuf, Vec<String>), data_dir: &Path) -> Result<(), String> {
    let place = data_dir.join(format!("functions-attempt-{}", std::process::id()));
    let tried = doctor::can_build(walls, helper, &place, FIRST_USER);
    drop(fs::remove_dir_all(&place));
    tried
}

fn directory(config: &FunctionsConfig, walls: Option<Walls>, data_dir: &Path) -> PathBuf {
    if let Some(directory) = &config.directory {
        return directory.clone();
    }
    // Others than root cannot go through the data directory. Each store has a place of its own.
    if walls == Some(Walls::Process) && coffer_sys::effective_uid() == 0 {
        let store = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        let digest = HEXLOWER.encode(&sha256(store.as_os_str().as_encoded_bytes()));
        PathBuf::from(format!("/run/coffer-functions-{}", digest.get(..16).unwrap_or_default()))
    } else {
        data_dir.join("functions")
    }
}

/// What this machine can do for functions.
#[derive(Debug)]
pub struct Abilities {
    /// Why not, if not.
    pub walls: Vec<(Isolation, Result<(), String>)>,
    pub runtimes: Vec<(&'static str, Result<Interpreter, String>)>,
}

/// Tries everything once.
pub fn abilities(config: &FunctionsConfig) -> Result<Abilities, Complaint> {
    let helper = helper()?;
    let place = std::env::temp_dir();
    let walls = vec![
        (Isolation::Full, try_walls(Walls::Full, &helper, &place)),
        (Isolation::Process, try_walls(Walls::Process, &helper, &place)),
    ];
    let runtimes = crate::lifecycle::runtime()?.block_on(async {
        let mut runtimes = Vec::new();
        for runtime in RUNTIMES {
            runtimes.push((*runtime, look_for(runtime, config.interpreters.get(*runtime)).await));
        }
        runtimes
    });
    Ok(Abilities { walls, runtimes })
}

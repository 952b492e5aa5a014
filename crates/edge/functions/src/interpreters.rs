//! Which program runs what: found on this machine, or configured.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use tokio::{process::Command, sync::Mutex, time::timeout};

const PATHS: &[&str] = &["/usr/local/bin", "/usr/bin", "/bin"];
const PROBE_WAIT: Duration = Duration::from_secs(10);
const NEWEST_PYTHON: u32 = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Python,
    Node,
    /// The package brings a program.
    Provided,
}

impl Language {
    /// Nothing for what cannot be run here.
    pub fn of(runtime: &str) -> Option<Self> {
        if runtime.starts_with("python3.") {
            Some(Self::Python)
        } else if runtime.starts_with("nodejs") {
            Some(Self::Node)
        } else if runtime.starts_with("provided") {
            Some(Self::Provided)
        } else {
            None
        }
    }
}

/// A program that was started once and said what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The program itself, not a script that looks for it, and arguments.
    pub command: Vec<String>,
    pub version: String,
    /// Where its library is.
    pub read: Vec<PathBuf>,
}

#[derive(Debug, Default)]
pub(crate) struct Interpreters {
    configured: BTreeMap<String, Vec<String>>,
    found: Mutex<BTreeMap<String, Arc<Interpreter>>>,
}

impl Interpreters {
    pub(crate) fn new(configured: BTreeMap<String, Vec<String>>) -> Self {
        Self { configured, found: Mutex::default() }
    }

    pub(crate) async fn find(&self, runtime: &str) -> Result<Arc<Interpreter>, String> {
        let mut found = self.found.lock().await;
        if let Some(known) = found.get(runtime) {
            return Ok(Arc::clone(known));
        }
        let interpreter = Arc::new(look_for(runtime, self.configured.get(runtime)).await?);
        found.insert(runtime.to_owned(), Arc::clone(&interpreter));
        Ok(interpreter)
    }
}

/// Starts what could be the interpreter, in the order of preference, until one says what it is.
pub async fn look_for(runtime: &str, configured: Option<&Vec<String>>) -> Result<Interpreter, String> {
    let language = Language::of(runtime).ok_or_else(|| format!("no interpreter runs {runtime}"))?;
    let candidates: Vec<Vec<String>> = match configured {
        Some(command) => vec![command.clone()],
        None => names(runtime, language)
            .iter()
            .flat_map(|name| PATHS.iter().map(move |path| Path::new(path).join(name)))
            .filter(|path| path.exists())
            .map(|path| vec![path.display().to_string()])
            .collect(),
    };
    let mut why = format!("there is no interpreter for {runtime} on this machine");
    for command in candidates {
        match probe(&command, language).await {
            Ok(interpreter) => return Ok(interpreter),
            Err(error) => why = format!("{} does not run: {error}", command.join(" ")),
        }
    }
    Err(why)
}

/// The version itself, then later ones, then whatever there is.
fn names(runtime: &str, language: Language) -> Vec<String> {
    match language {
        Language::Python => {
            let minor: u32 = runtime.trim_start_matches("python3.").parse().unwrap_or(NEWEST_PYTHON);
            let mut names: Vec<String> =
                (minor..=NEWEST_PYTHON).map(|minor| format!("python3.{minor}")).collect();
            names.push(String::from("python3"));
            names
        }
        Language::Node => vec![String::from("node"), String::from("nodejs")],
        Language::Provided => Vec::new(),
    }
}

async fn probe(command: &[String], language: Language) -> Result<Interpreter, String> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    let question: &[&str] = match language {
        Language::Python => &[
            "-c",
            "import sys,os\nprint('.'.join(map(str,sys.version_info[:3])));print(sys.executable)\nfor p in {sys.base_prefix,sys.prefix}:print(p)",
        ],
        Language::Node => &["-p", "process.versions.node+'\\n'+process.execPath"],
        Language::Provided => return Err(String::from("a package brings its own program")),
    };
    let mut probe = Command::new(program);
    probe
        .args(arguments)
        .args(question)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    probe.env("PATH", PATHS.join(":"));
    let output = timeout(PROBE_WAIT, probe.output()).await.map_err(|_| "it takes too long")?;
    let output = output.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = said.lines();
    let (Some(version), Some(program)) = (lines.next(), lines.next()) else {
        return Err(format!("it answered nothing ({})", output.status));
    };
    let program = std::fs::canonicalize(program).map_err(|error| error.to_string())?;
    let mut read: Vec<PathBuf> = lines.map(PathBuf::from).chain([program.clone()]).collect();
    read.retain(|path| !path.starts_with("/usr") && path != Path::new("/"));
    read.sort();
    let mut command = vec![program.display().to_string()];
    command.extend(arguments.iter().cloned());
    Ok(Interpreter { command, version: version.to_owned(), read })
}

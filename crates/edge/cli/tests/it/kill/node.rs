//! The real program on ground of its own, to be killed and started again.
//!
//! The log goes into a file: a pipe that nobody reads would stop the server, and a test that is about to fail wants to quote
//! it.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::Arc,
};

use coffer_client::{Client, Credentials, Endpoint};
use coffer_server::world::SystemClock;
use coffer_types::Secret;

const COFFER: &str = env!("CARGO_BIN_EXE_coffer");
/// A configuration without the wait for a load balancer at the end.
pub(crate) const QUICK_END: &str = "[limits]\ndrain_wait = \"1ms\"\n";
/// The last lines of a log say what happened.
const LOG_TAIL_BYTES: usize = 4000;

/// A directory with the data, the key and the log of one store.
pub(crate) struct Ground {
    root: tempfile::TempDir,
    region: &'static str,
}

impl Ground {
    #[allow(clippy::disallowed_methods, reason = "no test has to survive a loss of power")]
    pub(crate) fn new(configuration: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("coffer.toml"), configuration).unwrap();
        Self { root, region: "us-east-1" }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn complete(&self, mut command: Command, words: &[&str], data: &str) -> Command {
        command.args(words).env_clear().env("HOME", self.path("home")).env("PATH", "/usr/bin:/bin");
        command.arg("--config").arg(self.path("coffer.toml"));
        command.arg("--data-dir").arg(self.path(data)).arg("--keyfile").arg(self.path("keys/keyfile"));
        command
    }

    fn log_file(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap()
    }

    /// Starts the server and does not wait for it.
    pub(crate) fn launch(&self) -> Child {
        self.launch_through(Command::new(COFFER), &["server"])
    }

    /// Starts it under limits that a shell sets, such as `ulimit -f 1000`.
    pub(crate) fn launch_limited(&self, limits: &str) -> Child {
        let script = format!("{limits}; exec {COFFER} server \"$@\"");
        self.launch_through(Command::new("sh"), &["-c", &script, "sh"])
    }

    fn launch_through(&self, program: Command, words: &[&str]) -> Child {
        let mut command = self.complete(program, words, "data");
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(self.log_file());
        command.spawn().unwrap()
    }

    pub(crate) fn start(&self) -> Node {
        self.wait_ready(self.launch()).unwrap_or_else(|printed| {
            panic!("the server did not start: {printed}{}", self.log_tail());
        })
    }

    /// The node once it is ready, or what it printed before it ended.
    pub(crate) fn wait_ready(&self, mut child: Child) -> Result<Node, String> {
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let Some(url) = line.split_whitespace().find(|word| word.starts_with("http")) else {
            child.wait().unwrap();
            return Err(line);
        };
        let url = url.to_owned();
        Ok(Node { child, out, url, printed: line })
    }

    /// Runs a command on a data directory to its end; answers status, output and complaint.
    pub(crate) fn command(&self, words: &[&str], data: &str) -> (i32, String, String) {
        let mut command = self.complete(Command::new(COFFER), words, data);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// The data directory as it is, under another name. What a first look at a crashed store changes, it changes there.
    pub(crate) fn copy_data(&self, to: &str) {
        let copy = self.path(to);
        if copy.exists() {
            fs::remove_dir_all(&copy).unwrap();
        }
        let status = Command::new("cp").arg("-Rp").arg(self.path("data")).arg(&copy).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn administrator(&self) -> Credentials {
        self.credentials("data/bootstrap/credentials")
    }

    /// What is in a file with a key.
    pub(crate) fn credentials(&self, name: &str) -> Credentials {
        let text = fs::read_to_string(self.path(name)).unwrap();
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        Credentials {
            access_key_id: value("aws_access_key_id = "),
            secret_access_key: Arc::new(Secret::new(value("aws_secret_access_key = "))),
            session_token: None,
        }
    }

    /// A client with connections of its own.
    pub(crate) fn client(&self, node: &Node) -> Client {
        let authorities = fs::read_to_string(self.path("data/tls/ca.pem")).ok();
        let endpoint = Endpoint::new(&node.url, authorities.as_deref()).unwrap();
        let region = self.region.parse().unwrap();
        Client::new(endpoint, self.administrator(), region, Arc::new(SystemClock::start()))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let from = (0..=log.len().saturating_sub(LOG_TAIL_BYTES)).rev().find(|at| log.is_char_boundary(*at));
        log[from.unwrap_or(0)..].to_owned()
    }
}

/// A server that serves. Dropped, it is killed.
pub(crate) struct Node {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
    printed: String,
}

impl Node {
    /// SIGKILL, and the wait until nothing of it is left.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets no file grow beyond this many bytes from now on; `unlimited` lets them all grow again.
    pub(crate) fn limit_files(&self, bytes: &str) {
        let (pid, limit) = (self.child.id().to_string(), format!("--fsize={bytes}:"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    }

    /// The page that a load balancer asks for.
    pub(crate) fn ready(&self) -> String {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Stops it as a service manager does; answers how it ended and what it printed.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status().unwrap();
        self.out.read_to_string(&mut self.printed).unwrap();
        (self.child.wait().unwrap(), std::mem::take(&mut self.printed))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! A place on the disk for one test, and the program run in it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
};

const COFFER: &str = env!("CARGO_BIN_EXE_coffer");
/// A command that runs longer hangs; `timeout` then answers 124.
const SECONDS_MAX: &str = "30";

pub(crate) struct Place {
    root: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    /// Runs a command with one more variable in its environment.
    pub(crate) fn run_with(&self, arguments: &[&str], variable: Option<(&str, &Path)>) -> Outcome {
        let mut command = Command::new("timeout");
        command.args([SECONDS_MAX, COFFER]);
        let mut command = self.prepare(command, arguments);
        command.envs(variable);
        Outcome::of(&command.stdin(Stdio::null()).output().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    #[allow(clippy::disallowed_methods, reason = "no test has to survive a loss of power")]
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn prepare(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).env_clear().env("HOME", self.path("home")).env("PATH", "/usr/bin:/bin");
        if arguments.first() != Some(&"dev") {
            command.arg("--data-dir").arg(self.path("data")).arg("--keyfile").arg(self.path("keys/keyfile"));
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("timeout");
        command.args([SECONDS_MAX, COFFER]);
        Outcome::of(&self.prepare(command, arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// The same under limits that a shell sets, such as `ulimit -f 0`.
    pub(crate) fn run_limited(&self, limits: &str, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("timeout");
        command.args([SECONDS_MAX, "sh", "-c", &format!("{limits}; exec {COFFER} \"$@\""), "sh"]);
        Outcome::of(&self.prepare(command, arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// Starts a server, or `dev`, and waits until it says that it is ready.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.prepare(Command::new(COFFER), arguments);
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::of(command.spawn().unwrap())
    }

    /// The same with one more variable in its environment.
    pub(crate) fn start_with(&self, arguments: &[&str], variable: Option<(&str, &Path)>) -> Running {
        let mut command = self.prepare(Command::new(COFFER), arguments);
        command
            .args(["--listen", "127.0.0.1:0"])
            .envs(variable)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running::of(command.spawn().unwrap())
    }

    /// Runs a command with these words and no others.
    pub(crate) fn run_bare(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&Command::new(COFFER).args(arguments).env_clear().output().unwrap())
    }

    /// Starts a server as another user, to whom the data directory and the keyfile belong. Only root can.
    pub(crate) fn server_of(&self, uid: u32) -> Running {
        use std::os::unix::fs::{PermissionsExt, chown};
        fs::set_permissions(self.root.path(), fs::Permissions::from_mode(0o711)).unwrap();
        for name in ["data", "keys"] {
            let path = self.path(name);
            if !path.exists() {
                fs::create_dir(&path).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
                chown(&path, Some(uid), Some(uid)).unwrap();
            }
        }
        let mut command = Command::new("setpriv");
        let uid = uid.to_string();
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", COFFER]);
        let mut command = self.prepare(command, &["server"]);
        command
            .env("HOME", self.path("keys"))
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running::of(command.spawn().unwrap())
    }

    pub(crate) fn server(&self) -> Running {
        self.start(&["server"])
    }

    /// Starts a server that must not start.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let outcome = self.run(&[&["server", "--listen", "127.0.0.1:0"], arguments].concat());
        assert_eq!(outcome.code, 1, "{outcome:?}");
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
        assert!(outcome.stderr.contains("error: ") && outcome.stderr.contains("\n  try: "), "{outcome:?}");
        outcome.stderr
    }
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// What a command printed that has to succeed.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }
}

/// A process that serves. Dropped, it is killed.
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) endpoint: String,
    pub(crate) first_line: String,
}

impl Running {
    fn of(mut child: Child) -> Self {
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first_line = String::new();
        out.read_line(&mut first_line).unwrap();
        let endpoint = first_line.split_whitespace().find(|word| word.starts_with("http")).map(str::to_owned);
        let Some(endpoint) = endpoint else {
            let mut complaint = String::new();
            child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
            panic!("it did not start: {first_line}{complaint}");
        };
        Self { child, out, endpoint, first_line }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; answers the status and all that was printed.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let mut printed = self.first_line.clone();
        self.out.read_to_string(&mut printed).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
        (self.child.wait().unwrap(), printed)
    }

    /// Stops it as a service manager does.
    pub(crate) fn stop(mut self) -> String {
        self.signal("TERM");
        let (status, printed) = self.wait();
        assert!(status.success(), "{printed}");
        printed
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\n"), "")
    }

    pub(crate) fn post(&self, path: &str) -> (u16, String) {
        self.send(&format!("POST {path} HTTP/1.1\r\n"), "")
    }

    /// Calls an operation of Secrets Manager with a signature that only `dev` accepts.
    pub(crate) fn call(&self, operation: &str, body: &str) -> (u16, String) {
        let head = format!(
            "POST / HTTP/1.1\r\nX-Amz-Target: secretsmanager.{operation}\r\nContent-Type: application/x-amz-json-1.1\r\n\
             X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20260101/us-east-1/secretsmanager/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={}\r\n",
            "0".repeat(64)
        );
        self.send(&head, body)
    }

    fn send(&self, head: &str, body: &str) -> (u16, String) {
        let address = self.endpoint.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let rest =
            format!("Host: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(rest.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o777
}

//! A PostgreSQL for a measurement: as its defaults have it, on addresses of this machine's own network, gone at the end.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{clock::Stopwatch, functions::postgres_program};

const READY: Duration = Duration::from_secs(60);
const PASSWORD: &str = "of-the-beginning-7";

#[derive(Debug)]
pub struct Database {
    child: Child,
    port: u16,
    place: PathBuf,
}

impl Database {
    /// Listens on as many addresses: 127.0.0.1 and those after it.
    pub async fn start(hosts: u8) -> Result<Self> {
        // Outside of directories that only root may enter.
        let place = tempfile::Builder::new().prefix("coffer-bench-").tempdir()?.keep();
        let data = place.join("data");
        let log = fs::File::create(place.join("log"))?;
        let owner = ordinary_user();
        if let Some(user) = &owner {
            let owned = Command::new("chown").arg(user).arg(&place).status().context("starting chown")?;
            ensure!(owned.success(), "{} cannot be given to {user}", place.display());
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut initdb = as_user(owner.as_deref(), &postgres_program("initdb"));
        initdb.arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
        ]);
        let made = initdb.stdout(Stdio::null()).stderr(log.try_clone()?).current_dir("/").status();
        ensure!(made.context("starting initdb")?.success(), "initdb failed, see {}/log", place.display());
        let addresses: Vec<String> = (1..=hosts).map(|host| format!("127.0.0.{host}")).collect();
        let mut postgres = as_user(owner.as_deref(), &postgres_program("postgres"));
        postgres.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        postgres.arg("-c").arg(format!("listen_addresses={}", addresses.join(",")));
        postgres.arg("-c").arg(format!("unix_socket_directories={}", place.display()));
        let child = postgres.stdout(log.try_clone()?).stderr(log).current_dir("/").spawn();
        let database = Self { child: child.context("starting postgres")?, port, place };
        let watch = Stopwatch::start();
        while database.run("SELECT 1").is_err() {
            ensure!(
                watch.elapsed() < READY,
                "PostgreSQL does not get ready, see {}/log",
                database.place.display()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(database)
    }

    pub fn endpoint(&self, host: u8) -> String {
        format!("127.0.0.{host}:{}", self.port)
    }

    /// What a secret for this user says.
    pub fn secret(&self, user: &str, host: u8) -> Value {
        json!({
            "engine": "postgres", "host": format!("127.0.0.{host}"), "port": self.port, "dbname": "postgres",
            "username": user, "password": PASSWORD, "ssl": false,
        })
    }

    /// Somebody logs in so many times a second, as rotations do, until the answer is dropped.
    pub fn be_logged_in_to(&self, user: &str, per_second: usize) -> Result<Visitors> {
        let script = self.place.join("visit");
        fs::File::create(&script)?.write_all(b"SELECT 1;\n")?;
        let mut visits = Command::new(postgres_program("pgbench"));
        visits.env("PGPASSWORD", PASSWORD).arg("--no-vacuum").args([
            "--connect",
            "--protocol=simple",
            "--time=600",
        ]);
        visits.args(["--client=16", "--jobs=2", &format!("--rate={per_second}")]).arg("--file").arg(script);
        visits.args(["--host=127.0.0.1", &format!("--port={}", self.port), "--username", user, "postgres"]);
        let child = visits.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Visitors(child.context("starting pgbench")?))
    }

    pub fn make_user(&self, user: &str) -> Result<()> {
        self.make_users(&[user.to_owned()])
    }

    pub fn make_users(&self, users: &[String]) -> Result<()> {
        let made =
            users.iter().map(|user| format!("CREATE ROLE \"{user}\" WITH LOGIN PASSWORD '{PASSWORD}';"));
        self.run(&made.collect::<Vec<_>>().join("\n"))
    }

    fn run(&self, statements: &str) -> Result<()> {
        let mut psql = Command::new(postgres_program("psql"));
        psql.arg("-h").arg(&self.place).args([
            "-p",
            &self.port.to_string(),
            "-U",
            "postgres",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
        ]);
        let file = self.place.join("statements");
        fs::File::create(&file)?.write_all(statements.as_bytes())?;
        let done = psql.arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped()).output();
        let done = done.context("starting psql")?;
        if !done.status.success() {
            bail!("{}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    }
}

/// Those who log in all the time.
#[derive(Debug)]
pub struct Visitors(Child);

impl Visitors {
    /// Whether they have not given up.
    pub fn still_come(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

impl Drop for Visitors {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // It is asked first: killed, it would leave its processes behind.
        let pid = self.child.id().to_string();
        drop(Command::new("kill").args(["-INT", &pid]).status());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.place));
    }
}

/// Databases refuse to be root.
fn ordinary_user() -> Option<String> {
    let who = Command::new("id").arg("-u").output().ok()?;
    let is_root = String::from_utf8_lossy(&who.stdout).trim() == "0";
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let is_known = |user: &&str| known.lines().any(|line| line.starts_with(&format!("{user}:")));
    is_root.then(|| ["postgres", "nobody"].into_iter().find(is_known).unwrap_or("nobody").to_owned())
}

fn as_user(user: Option<&str>, program: &Path) -> Command {
    let Some(user) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--clear-groups", "--"]).arg(program);
    command
}

//! How long functions and rotations take, and what others feel of them: `cargo xtask bench --functions`.
//!
//! A function of one line, started anew and kept warm, beside what the same machine needs to start the interpreter and to answer over
//! HTTP at all. Then passwords of a PostgreSQL of its own, changed by the rotator that comes with Coffer: one alone, and a thousand that
//! are due in the same moment while somebody reads.
//!
//! The walls around functions are those that the kernel allows by default. Any answer that is not the expected one ends the run.

use std::{
    fmt, fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    clock::Stopwatch,
    database::Database,
    histogram::Histogram,
    http::Connection,
    load::{Phases, Requests, drive},
    people::element,
    process::Server,
    report::{millis, write_table},
    requests::Client,
    stage::{Programs, client_of, data_dir},
};

const RUNTIME: &str = "python3.11";
const CODE: &str = "def handler(event, context):\n    return event\n";
const FUNCTION: &str = "bench";
const FUNCTIONS: &str = "/2015-03-31/functions";
/// Odd, so that there is a median.
const COLD_RUNS: usize = 15;
const WARM_RUNS: usize = 1_000;
const ROTATIONS: usize = 15;
const SECRETS: usize = 1_000;
/// One database host is worked on by one rotation at a time, and every address of this machine's own network is another host.
const HOSTS: u8 = 16;
const READERS: usize = 8;
/// A rotation tries the new password, then the old one, and in the end the new one again.
const LOGINS_PER_ROTATION: usize = 3;
const PATIENCE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(2);

const COLD_MAX: Duration = Duration::from_millis(400);
const WARM_MAX: Duration = Duration::from_millis(5);
const P99_RATIO_MAX: f64 = 2.0;

#[derive(Debug, Default)]
pub struct Functions {
    interpreter: Duration,
    http: Duration,
    cold: Duration,
    warm: Duration,
    warm_p99: Duration,
    rotation: Duration,
    many: Duration,
    peak_bytes: u64,
    alone: Histogram,
    /// While the database is as busy, but nobody rotates.
    beside_logins: Histogram,
    meanwhile: Histogram,
}

pub async fn measure(programs: &Programs, place: &Path, window: Duration) -> Result<Functions> {
    let place = place.join("functions");
    fs::create_dir(&place)?;
    let database = Database::start(HOSTS).await?;
    let mut floor = Command::new(&programs.xtask);
    let floor = Server::start(floor.arg("bench-floor"), &place.join("floor.log"))?;
    let server = start(programs, &place, &database)?;
    let client = client_of(&place, server.address)?;
    let mut stage = Stage {
        connection: Connection::open(server.address).await?,
        server: &server,
        client: &client,
        account: String::new(),
    };
    stage.account = stage.who_am_i().await?;

    let mut found = Functions { interpreter: start_of_interpreter()?, ..Functions::default() };
    stage.make_function().await?;
    found.cold = stage.cold().await?;
    let (warm, http) = (stage.warm().await?, round_trips(&client, floor.address).await?);
    (found.warm, found.warm_p99) = (warm.quantile(500), warm.quantile(990));
    found.http = http.quantile(500);
    found.rotation = stage.rotate_alone(&database).await?;
    stage.rotate_many(&database, window, &mut found).await?;
    server.stop()?;
    Ok(found)
}

fn start(programs: &Programs, place: &Path, database: &Database) -> Result<Server> {
    let endpoints: Vec<String> = (1..=HOSTS).map(|host| database.endpoint(host)).collect();
    let config = place.join("coffer.toml");
    let text = format!("[functions]\nendpoints = {}\n", json!(endpoints));
    fs::File::create(&config)?.write_all(text.as_bytes())?;
    let mut command = Command::new(&programs.coffer);
    command.arg("server").arg("--config").arg(&config).arg("--data-dir").arg(data_dir(place));
    command.arg("--keyfile").arg(place.join("keyfile")).args(["--listen", "127.0.0.1:0"]);
    Server::start(&mut command, &place.join("server.log"))
}

/// What it costs to start the interpreter, without anybody's code.
fn start_of_interpreter() -> Result<Duration> {
    let mut taken = Vec::new();
    for _ in 0..COLD_RUNS {
        let watch = Stopwatch::start();
        let mut command = Command::new(RUNTIME);
        let ended = command.args(["-I", "-c", "pass"]).stdin(Stdio::null()).status();
        ensure!(ended.with_context(|| format!("starting {RUNTIME}"))?.success(), "{RUNTIME} does not run");
        taken.push(watch.elapsed());
    }
    Ok(median(taken))
}

/// What an answer over HTTP costs on one connection.
async fn round_trips(client: &Client, floor: SocketAddr) -> Result<Histogram> {
    let mut connection = Connection::open(floor).await?;
    let request = client.get("floor")?;
    let mut found = Histogram::default();
    for _ in 0..WARM_RUNS {
        let watch = Stopwatch::start();
        ensure!(connection.exchange(&request).await?.status == 200, "the floor answers otherwise");
        found.add(watch.elapsed());
    }
    Ok(found)
}

struct Stage<'a> {
    server: &'a Server,
    client: &'a Client,
    connection: Connection,
    account: String,
}

impl Stage<'_> {
    async fn ask(&mut self, request: Vec<u8>) -> Result<Vec<u8>> {
        let answer = self.connection.exchange(&request).await?;
        if !(200..300).contains(&answer.status) {
            bail!("{} {}", answer.status, String::from_utf8_lossy(answer.body));
        }
        Ok(answer.body.to_vec())
    }

    async fn rest(&mut self, method: &str, path: &str, body: &Value) -> Result<Vec<u8>> {
        let request = self.client.rest("lambda", method, path, &body.to_string())?;
        self.ask(request).await
    }

    async fn secret(&mut self, operation: &str, body: &Value) -> Result<Value> {
        let request = self.client.request(operation, body)?;
        serde_json::from_slice(&self.ask(request).await?).context("the answer is not JSON")
    }

    async fn make_function(&mut self) -> Result<()> {
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
        });
        let role = [("RoleName", FUNCTION), ("AssumeRolePolicyDocument", &*trust.to_string())];
        let role = self.ask(self.client.form("iam", "CreateRole", &role)?).await?;
        let function = json!({
            "FunctionName": FUNCTION,
            "Runtime": RUNTIME,
            "Role": element(&String::from_utf8_lossy(&role), "Arn")?,
            "Handler": "index.handler",
            "Code": {"ZipFile": BASE64.encode(&package()?)},
        });
        self.rest("POST", FUNCTIONS, &function).await.map(drop)
    }

    async fn invoke(&mut self) -> Result<Duration> {
        let event = json!({"number": 7});
        let path = format!("{FUNCTIONS}/{FUNCTION}/invocations");
        let request = self.client.rest("lambda", "POST", &path, &event.to_string())?;
        let watch = Stopwatch::start();
        let answer = self.ask(request).await?;
        let taken = watch.elapsed();
        ensure!(
            serde_json::from_slice::<Value>(&answer).ok() == Some(event),
            "the function answers otherwise"
        );
        Ok(taken)
    }

    /// Every change makes another revision, for which nothing is warm.
    async fn cold(&mut self) -> Result<Duration> {
        let mut taken = Vec::new();
        for number in 0..COLD_RUNS {
            let change = json!({"Description": format!("revision {number}")});
            self.rest("PUT", &format!("{FUNCTIONS}/{FUNCTION}/configuration"), &change).await?;
            taken.push(self.invoke().await?);
        }
        Ok(median(taken))
    }

    async fn warm(&mut self) -> Result<Histogram> {
        let mut found = Histogram::default();
        for _ in 0..WARM_RUNS {
            found.add(self.invoke().await?);
        }
        Ok(found)
    }

    async fn make_secret(&mut self, database: &Database, number: usize, host: u8) -> Result<()> {
        let value = database.secret(&user(number), host);
        let secret = json!({"Name": user(number), "ClientRequestToken": token(0, number), "SecretString": value.to_string()});
        self.secret("CreateSecret", &secret).await.map(drop)
    }

    async fn rotate(&mut self, round: usize, number: usize) -> Result<()> {
        let account = &self.account;
        let rotation = json!({
            "SecretId": user(number),
            "ClientRequestToken": token(round, number),
            "RotationLambdaARN":
                format!("arn:aws:lambda:{}:{account}:function:coffer-builtin-postgres-single-user", self.client.region),
            "RotationRules": {"AutomaticallyAfterDays": 30},
        });
        self.secret("RotateSecret", &rotation).await.map(drop)
    }

    async fn who_am_i(&mut self) -> Result<String> {
        let answer = self.ask(self.client.form("sts", "GetCallerIdentity", &[])?).await?;
        element(&String::from_utf8_lossy(&answer), "Account")
    }

    /// Whether this version is the current one.
    async fn is_current(&mut self, round: usize, number: usize) -> Result<bool> {
        let described = self.secret("DescribeSecret", &json!({"SecretId": user(number)})).await?;
        let labels = described.pointer(&format!("/VersionIdsToStages/{}", token(round, number)));
        let labels = labels.and_then(Value::as_array).into_iter().flatten();
        Ok(labels.into_iter().any(|label| label == "AWSCURRENT")
            && described.get("LastRotatedDate").is_some())
    }

    async fn rotate_alone(&mut self, database: &Database) -> Result<Duration> {
        let mut taken = Vec::new();
        for number in 0..ROTATIONS {
            database.make_user(&user(number))?;
            self.make_secret(database, number, 1).await?;
            let watch = Stopwatch::start();
            self.rotate(1, number).await?;
            while !self.is_current(1, number).await? {
                ensure!(watch.elapsed() < PATIENCE, "a rotation does not end");
                sleep(POLL).await;
            }
            taken.push(watch.elapsed());
        }
        Ok(median(taken))
    }

    async fn rotate_many(
        &mut self,
        database: &Database,
        window: Duration,
        found: &mut Functions,
    ) -> Result<()> {
        let numbers = ROTATIONS..ROTATIONS + SECRETS;
        let users: Vec<String> = numbers.clone().map(user).collect();
        database.make_users(&users)?;
        let mut hosts = (1..=HOSTS).cycle();
        for number in numbers.clone() {
            self.make_secret(database, number, hosts.next().unwrap_or(1)).await?;
        }
        let phases = Phases { warm_up: Duration::from_millis(200), window };
        found.alone = self.reads(phases).await?;
        let watch = Stopwatch::start();
        for number in numbers.clone() {
            self.rotate(1, number).await?;
        }
        let mut left: Vec<usize> = numbers.collect();
        while !left.is_empty() {
            ensure!(watch.elapsed() < PATIENCE, "{} rotations do not end", left.len());
            let short = Phases { warm_up: Duration::ZERO, window: Duration::from_millis(500) };
            found.meanwhile.absorb(&self.reads(short).await?);
            let mut still = Vec::new();
            for number in left {
                if !still.is_empty() || !self.is_current(1, number).await? {
                    still.push(number);
                }
            }
            left = still;
        }
        found.many = watch.elapsed();
        found.peak_bytes = self.server.peak_bytes()?;
        let per_second =
            LOGINS_PER_ROTATION * SECRETS * 1000 / usize::try_from(found.many.as_millis())?.max(1);
        let visitor = format!("{FUNCTION}-visitor");
        database.make_user(&visitor)?;
        let mut visitors = database.be_logged_in_to(&visitor, per_second)?;
        sleep(Duration::from_secs(1)).await;
        found.beside_logins = self.reads(phases).await?;
        ensure!(visitors.still_come()?, "pgbench gave up");
        Ok(())
    }

    /// Somebody who reads a secret that is not rotated.
    async fn reads(&self, phases: Phases) -> Result<Histogram> {
        let requests = Requests::shared(vec![self.client.get(&user(0))?], READERS);
        Ok(drive(self.server.address, self.server.pid(), requests, phases).await?.latency)
    }
}

fn user(number: usize) -> String {
    format!("bench-{number}")
}

fn token(round: usize, number: usize) -> String {
    format!("{round:08}-0000-4000-8000-{number:012}")
}

fn package() -> Result<Vec<u8>> {
    let mut package = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    package.start_file("index.py", zip::write::SimpleFileOptions::default())?;
    package.write_all(CODE.as_bytes())?;
    Ok(package.finish()?.into_inner())
}

fn median(mut taken: Vec<Duration>) -> Duration {
    taken.sort();
    taken.get(taken.len() / 2).copied().unwrap_or_default()
}

impl Functions {
    fn p99_ratio(&self) -> f64 {
        self.meanwhile.quantile(990).as_secs_f64() / self.alone.quantile(990).as_secs_f64()
    }

    fn times(&self) -> Vec<Vec<String>> {
        let row = |what: &str, taken: Duration, floor: Option<Duration>| {
            let times = floor.map(|floor| format!("{:.2}", taken.as_secs_f64() / floor.as_secs_f64()));
            vec![what.to_owned(), format!("{:.2}", millis(taken)), times.unwrap_or_default()]
        };
        vec![
            ["", "ms", "x floor"].map(String::from).to_vec(),
            row("floor: the interpreter started", self.interpreter, None),
            row("Invoke, cold (median of 15)", self.cold, Some(self.interpreter)),
            row("floor: an answer of a bare hyper", self.http, None),
            row("Invoke, warm (p50)", self.warm, Some(self.http)),
            row("Invoke, warm (p99)", self.warm_p99, Some(self.http)),
            row("one password of a PostgreSQL (median of 15)", self.rotation, None),
        ]
    }

    fn many(&self) -> Vec<Vec<String>> {
        let row = |what: &str, found: String| vec![what.to_owned(), found];
        let p99 = |latency: &Histogram| format!("{:.2} ms", millis(latency.quantile(990)));
        vec![
            row(&format!("{SECRETS} rotations due at once, at {HOSTS} hosts"), String::from("found")),
            row("until the last one ended", format!("{:.1} s", self.many.as_secs_f64())),
            row("memory of the server at most", format!("{} MiB", self.peak_bytes >> 20)),
            row("GetSecretValue alone, p99", p99(&self.alone)),
            row("GetSecretValue beside as many logins of others, p99", p99(&self.beside_logins)),
            row("GetSecretValue meanwhile, p99", p99(&self.meanwhile)),
        ]
    }

    fn goals(&self) -> Vec<Vec<String>> {
        let goal = |wanted: &str, found: String, reached: bool| {
            vec![wanted.to_owned(), found, String::from(if reached { "yes" } else { "no" })]
        };
        let ratio = self.p99_ratio();
        vec![
            ["goal, of functions", "found", "reached"].map(String::from).to_vec(),
            goal(
                "Invoke, cold, within 400 ms",
                format!("{:.0} ms", millis(self.cold)),
                self.cold <= COLD_MAX,
            ),
            goal("Invoke, warm, within 5 ms", format!("{:.2} ms", millis(self.warm)), self.warm <= WARM_MAX),
            goal(
                "GetSecretValue during rotations: p99 of at most 2 times that without",
                format!("{ratio:.2} times"),
                ratio <= P99_RATIO_MAX,
            ),
        ]
    }
}

impl fmt::Display for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(f, &self.times())?;
        writeln!(f)?;
        write_table(f, &self.many())?;
        writeln!(f)?;
        write_table(f, &self.goals())
    }
}

/// Where Debian keeps the newest PostgreSQL, or whatever is on the way.
pub(super) fn postgres_program(name: &str) -> PathBuf {
    let places = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = places
        .filter_map(|place| {
            Some((place.file_name().to_str()?.parse().ok()?, place.path().join("bin").join(name)))
        })
        .filter(|(_, program)| program.exists())
        .collect();
    versions.sort();
    versions.pop().map_or_else(|| PathBuf::from(name), |(_, program)| program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_held_against_the_goals() {
        let latency = |micros| {
            let mut latency = Histogram::default();
            latency.add(Duration::from_micros(micros));
            latency
        };
        let reached = |cold, warm, meanwhile| {
            let found = Functions {
                interpreter: Duration::from_millis(10),
                http: Duration::from_millis(1),
                cold: Duration::from_millis(cold),
                warm: Duration::from_millis(warm),
                alone: latency(1_000),
                meanwhile: latency(meanwhile),
                ..Functions::default()
            };
            assert!(found.to_string().contains("x floor"), "{found}");
            found.goals().iter().skip(1).map(|goal| goal[2] == "yes").collect::<Vec<_>>()
        };
        assert_eq!(reached(400, 5, 1_900), [true, true, true]);
        assert_eq!(reached(401, 6, 2_900), [false, false, false]);
    }
}

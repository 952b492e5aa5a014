//! A runner without a server: packages from memory, logs into memory.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use coffer_core::{BlobRef, Deployment, FunctionAnswer, FunctionOutcome, LogPlace};
use coffer_crypto::SystemEntropy;
use coffer_functions::{
    Backing, Credentials, Door, Job, Later, LogEvent, Runner, Settings, Walls, runner::Confinement,
};
use coffer_model::secretsmanager::{GetSecretValueRequest, GetSecretValueResponse};
use coffer_shape::{ApiError, ErrorSpec};
use coffer_types::{Clock, Secret, Timestamp};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use zip::{ZipWriter, write::SimpleFileOptions};

pub(crate) struct RealClock(Instant);

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "real processes look at the real clock")]
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH.plus(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Remembers the paths that it is asked for.
struct Greeter(Arc<Mutex<Vec<String>>>);

impl Door for Greeter {
    fn serve(&self, mut stream: TcpStream) {
        let heard = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut head = String::new();
            drop(BufReader::new(&mut stream).read_line(&mut head).await);
            heard.lock().unwrap().push(head.split(' ').nth(1).unwrap_or_default().to_owned());
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ncoffer";
            drop(stream.write_all(answer).await);
            drop(stream.shutdown().await);
        });
    }
}

#[derive(Default)]
pub(crate) struct Memory {
    packages: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) logs: Mutex<Vec<(LogPlace, LogEvent)>>,
    pub(crate) scrub: Mutex<Vec<Vec<u8>>>,
    /// By name.
    pub(crate) secrets: Mutex<BTreeMap<String, String>>,
    /// What of them was asked for.
    pub(crate) asked: Mutex<Vec<String>>,
    /// Session tokens that were given out.
    pub(crate) tokens: Mutex<Vec<String>>,
    /// With which policy, and for a call of which length.
    pub(crate) sessions: Mutex<Vec<(Option<String>, Duration)>>,
    /// How long credentials last; for ever if nothing is said.
    pub(crate) credentials_last: Mutex<Option<Duration>>,
}

impl Backing for Memory {
    fn package(&self, blob: &BlobRef) -> Later<Result<Secret<Vec<u8>>, String>> {
        let found = self.packages.lock().unwrap().get(&blob.digest).cloned();
        Box::pin(async move { found.map(Secret::new).ok_or_else(|| String::from("no such package")) })
    }

    fn credentials(&self, policy: Option<String>, call: Duration) -> Later<Result<Credentials, String>> {
        self.sessions.lock().unwrap().push((policy, call));
        let lasting = *self.credentials_last.lock().unwrap();
        let for_ever = Timestamp::from_seconds(9_999_999_999);
        let expires_at = lasting.map_or(for_ever, |lasting| clock().now().plus(lasting));
        let mut tokens = self.tokens.lock().unwrap();
        let token = format!("token-{}", tokens.len());
        tokens.push(token.clone());
        Box::pin(async move {
            Ok(Credentials {
                access_key_id: String::from("ASIAEXAMPLE"),
                secret_access_key: Secret::new(String::from("key")),
                session_token: Secret::new(token),
                expires_at,
            })
        })
    }

    fn secret(&self, asked: GetSecretValueRequest) -> Later<Result<GetSecretValueResponse, ApiError>> {
        self.asked.lock().unwrap().push(asked.secret_id.clone());
        let value = self.secrets.lock().unwrap().get(&asked.secret_id).cloned();
        let answer = GetSecretValueResponse {
            name: Some(asked.secret_id),
            secret_string: value.clone().map(Secret::new),
            ..GetSecretValueResponse::default()
        };
        let missing = ErrorSpec { code: "ResourceNotFoundException", status: 400, message_member: "Message" };
        Box::pin(async move { value.map(|_| answer).ok_or_else(|| ApiError::new(missing, "no such secret")) })
    }

    fn scrub(&self) -> Later<Result<Vec<Secret<Vec<u8>>>, String>> {
        let values = self.scrub.lock().unwrap().iter().cloned().map(Secret::new).collect();
        Box::pin(async { Ok(values) })
    }

    fn write_log(&self, place: LogPlace, events: Vec<LogEvent>) -> Later<()> {
        let mut logs = self.logs.lock().unwrap();
        logs.extend(events.into_iter().map(|event| (place.clone(), event)));
        Box::pin(async {})
    }
}

pub(crate) struct House {
    pub(crate) runner: Arc<Runner>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) scratch: TempDir,
    /// What was asked of Coffer's own API.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
    clock: Arc<dyn Clock>,
    calls: Mutex<u32>,
}

#[expect(clippy::disallowed_methods, reason = "this is where the clock of these tests begins")]
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock(Instant::now()))
}

impl House {
    pub(crate) fn new(walls: Walls) -> Self {
        Self::with(walls, |_| {})
    }

    pub(crate) fn with(walls: Walls, change: impl FnOnce(&mut Settings)) -> Self {
        let scratch = tempfile::Builder::new().permissions(mode(0o711)).tempdir().unwrap();
        let helper = PathBuf::from(env!("CARGO_BIN_EXE_coffer-function-helper"));
        let mut settings = Settings::new(Some(walls), (helper, Vec::new()), scratch.path().join("functions"));
        change(&mut settings);
        let (clock, heard) = (clock(), Arc::<Mutex<Vec<String>>>::default());
        let door = Arc::new(Greeter(Arc::clone(&heard)));
        let runner = Runner::new(settings, Arc::clone(&clock), Arc::new(SystemEntropy), door).unwrap();
        Self { runner: Arc::new(runner), memory: Arc::default(), scratch, heard, clock, calls: Mutex::new(0) }
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(crate) fn package(&self, files: &[(&str, &str)]) -> BlobRef {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in files {
            archive.start_file(*name, SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        let bytes = archive.finish().unwrap().into_inner();
        let digest = format!("{:?}", coffer_crypto::sha256(&bytes));
        let length = i64::try_from(bytes.len()).unwrap();
        self.memory.packages.lock().unwrap().insert(digest.clone(), bytes);
        BlobRef { digest, length }
    }

    pub(crate) fn python(&self, text: &str) -> Deployment {
        self.function("python3.11", "index.handler", &[("index.py", text)])
    }

    pub(crate) fn function(&self, runtime: &str, handler: &str, files: &[(&str, &str)]) -> Deployment {
        Deployment {
            account: "111122223333".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            name: String::from("f"),
            version: String::from("$LATEST"),
            revision_id: String::from("1"),
            arn: String::from("arn:aws:lambda:eu-west-1:111122223333:function:f"),
            runtime: runtime.to_owned(),
            handler: handler.to_owned(),
            role: "arn:aws:iam::111122223333:role/r".parse().unwrap(),
            timeout: Duration::from_secs(20),
            memory_mb: 128,
            scratch_mb: 512,
            environment: Vec::new(),
            code: self.package(files),
            layers: Vec::new(),
            has_secrets_extension: false,
            log_group: String::from("/aws/lambda/f"),
            logs_json: false,
            reserved: None,
            traced: false,
        }
    }

    pub(crate) async fn outcome(
        &self,
        deployment: &Arc<Deployment>,
        event: &str,
        confined: Option<Confinement>,
    ) -> FunctionOutcome {
        let number = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        let job = Job {
            deployment: Arc::clone(deployment),
            invoked_arn: deployment.arn.clone(),
            request_id: format!("00000000-0000-4000-8000-{number:012}"),
            event: Secret::new(event.as_bytes().to_vec()),
            client_context: None,
            confined,
        };
        let backing: Arc<dyn Backing> = Arc::clone(&self.memory) as _;
        Arc::clone(&self.runner).perform(job, backing).await
    }

    pub(crate) async fn answer(&self, deployment: &Arc<Deployment>, event: &str) -> FunctionAnswer {
        match self.outcome(deployment, event, None).await {
            FunctionOutcome::Done(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// The answer, and whether it is that of a failure.
    pub(crate) async fn call(&self, deployment: &Arc<Deployment>, event: &str) -> (String, bool) {
        let answer = self.answer(deployment, event).await;
        (String::from_utf8_lossy(answer.payload.expose()).into_owned(), answer.failed)
    }

    pub(crate) fn log(&self) -> String {
        self.memory.logs.lock().unwrap().iter().map(|(_, event)| event.message.clone()).collect()
    }
}

fn mode(mode: u32) -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(mode)
}

/// Whether this machine's kernel lets us build such walls. Where it does not, a test says so and proves nothing.
pub(crate) async fn can(walls: Walls) -> bool {
    let house = House::new(walls);
    let function = Arc::new(house.python("def handler(event, context): return event"));
    match house.outcome(&function, "1", None).await {
        FunctionOutcome::Done(_) => true,
        other => {
            println!("SKIPPED: {walls:?} is not possible here: {other:?}");
            false
        }
    }
}

pub(crate) const BOTH: [Walls; 2] = [Walls::Process, Walls::Full];

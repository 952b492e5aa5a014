//! From a call to its answer: an environment that is warm or a new one, the log around it, and what is kept for the next call.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use coffer_core::{Deployment, FunctionAnswer, FunctionOutcome, LogPlace};
use coffer_crypto::sha256;
use coffer_types::{Secret, encoding::HEXLOWER};
use tokio::time::{Instant, sleep};

use crate::{
    answer::{Answer, Ending, Fault, RUNTIME_EXIT},
    backing::{Backing, Door},
    desk::Work,
    environment::{Environment, OWN_PORTS, Parts, Ran, extensions},
    extension::{self, Berth, Extension, Ports},
    halt::Halt,
    interpreters::{Interpreter, Interpreters, Language},
    output::Log,
    pool::{Key, Pool},
    report::{Reporter, Taken},
    roster::EXTENSIONS_MAX,
    sandbox::Walls,
    scrub::Scrub,
    settings::Settings,
    unpack::{Place, Shelf, directory},
    users::Users,
};

/// Code outside of the handler may take this long.
pub(crate) const DISABLED: &str = "local function execution is disabled (functions.isolation)";
/// What becomes of a call that was under way then.
const HALTED: &str = "functions were stopped";
const INIT_WAIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(10);
const BOOTSTRAPS: &[(&str, &str)] = &[
    ("bootstrap.py", include_str!("../bootstrap/bootstrap.py")),
    ("bootstrap.mjs", include_str!("../bootstrap/bootstrap.mjs")),
];

/// One call, without where it comes from.
#[derive(Debug)]
pub struct Job {
    pub deployment: Arc<Deployment>,
    pub invoked_arn: String,
    pub request_id: String,
    pub event: Secret<Vec<u8>>,
    pub client_context: Option<String>,
    pub confined: Option<Confinement>,
}

/// What a function may do at most, while it rotates a secret.
#[derive(Debug)]
pub struct Confinement {
    pub session_policy: String,
    /// Host and port.
    pub endpoints: Vec<(String, u16)>,
    /// Told as soon as it is known.
    pub log: Arc<OnceLock<LogPlace>>,
    /// Nobody will call with this policy again.
    pub is_last: bool,
}

/// Runs functions as processes of this machine.
pub struct Runner {
    settings: Settings,
    clock: Arc<dyn coffer_types::Clock>,
    entropy: Arc<dyn coffer_types::Entropy>,
    door: Arc<dyn Door>,
    interpreters: Interpreters,
    shelf: Shelf,
    pool: Arc<Pool>,
    halt: Halt,
    ports: Ports,
    users: Option<Arc<Users>>,
    is_sweeping: AtomicBool,
    /// The directory, which no other server uses meanwhile.
    _lock: Option<fs::File>,
}

/// Takes a directory for this process alone, and empties it of what a killed server left behind.
fn alone_in(place: &Path) -> io::Result<fs::File> {
    directory(place)?;
    let lock = fs::File::open(place)?;
    if !coffer_sys::lock_exclusive(&lock)? {
        return Err(io::Error::other("another server keeps its functions there"));
    }
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(lock)
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runner")
    }
}

/// Why a call was not begun.
enum Refused {
    Ours(String),
    /// It is answered like a failure of the function.
    Theirs(Answer),
}

impl Runner {
    /// Empties the directory for code and temporary files.
    pub fn new(
        settings: Settings,
        clock: Arc<dyn coffer_types::Clock>,
        entropy: Arc<dyn coffer_types::Entropy>,
        door: Arc<dyn Door>,
    ) -> io::Result<Self> {
        let mut lock = None;
        if settings.walls.is_some() {
            lock = Some(alone_in(&settings.scratch)?);
            // Names of what is below are not for others to read; they are random.
            use std::os::unix::fs::PermissionsExt;
            // Only without walls does a function of another user go through it; behind them its parts are mounted.
            let mode = if settings.walls == Some(Walls::Process) { 0o711 } else { 0o700 };
            fs::set_permissions(&settings.scratch, fs::Permissions::from_mode(mode))?;
            let runtime = settings.scratch.join("runtime");
            directory(&runtime)?;
            for (name, text) in BOOTSTRAPS {
                let path = runtime.join(name);
                let mut file = fs::File::create(&path)?;
                io::Write::write_all(&mut file, text.as_bytes())?;
                file.set_permissions(fs::Permissions::from_mode(0o644))?;
            }
        }
        Ok(Self {
            interpreters: Interpreters::new(settings.interpreters.clone()),
            users: (coffer_sys::effective_uid() == 0).then(|| Users::new(settings.first_user)),
            settings,
            clock,
            entropy,
            door,
            shelf: Shelf::default(),
            pool: Arc::default(),
            halt: Halt::default(),
            ports: Ports::default(),
            is_sweeping: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// How many calls can run at once.
    pub(crate) fn places(&self) -> usize {
        self.settings.walls.map_or(0, |_| self.settings.environments_max)
    }

    /// Nothing that was kept warm of a function is used again.
    pub fn forget_function(&self, function: &str) {
        end_later(self.pool.forget(function));
    }

    /// Ends all that waits for calls and all calls, and waits until no process is left. Then it can be used again.
    pub async fn stop(&self) {
        let ends = self.pool.close().into_iter().map(Environment::end);
        let idle: tokio::task::JoinSet<_> = ends.collect();
        if !self.halt.all().await {
            tracing::warn!("functions were told to end and are still there");
        }
        drop(idle.join_all().await);
        self.pool.open();
    }

    /// Runs a function once, to its end.
    pub async fn perform(self: Arc<Self>, job: Job, backing: Arc<dyn Backing>) -> FunctionOutcome {
        let deployment = Arc::clone(&job.deployment);
        let Some(walls) = self.settings.walls else {
            return done(Answer::invalid_runtime(DISABLED));
        };
        let confined = job.confined.as_ref().map(|confined| {
            let endpoints: Vec<String> =
                confined.endpoints.iter().map(|(host, port)| format!("{host}:{port}")).collect();
            HEXLOWER
                .encode(&sha256(format!("{}\n{}", confined.session_policy, endpoints.join("\n")).as_bytes()))
        });
        let key = Key {
            function: deployment.arn.clone(),
            version: deployment.version.clone(),
            revision: deployment.revision_id.clone(),
            confined,
        };
        // Before it has a seat, so that whoever closes the pool first and calls then is heard by all who have one.
        let mut halted = self.halt.ear();
        let Some(admitted) = self.pool.admit(&key, deployment.reserved, self.settings.environments_max)
        else {
            return FunctionOutcome::Throttled;
        };
        end_later(admitted.evicted);
        let seat = admitted.seat;
        let reporter = Reporter { of: &deployment, request_id: &job.request_id };
        let mut warm = admitted.warm;
        if !warm.as_mut().is_some_and(|warm| warm.is_alive() && self.has_time(warm, deployment.timeout)) {
            end_later(warm.take());
        }
        let mut run = Run {
            runner: &self,
            job: &job,
            backing: &backing,
            reporter,
            walls,
            log: Log::default(),
            tail_from: 0,
            init_ms: None,
        };
        let Some(ran) = halted.until(Box::pin(run.go(warm))).await else {
            return FunctionOutcome::Unavailable(String::from(HALTED));
        };
        let (environment, stream, answer) = match ran {
            Ok(ran) => ran,
            Err(Refused::Ours(why)) => {
                tracing::error!(function = %deployment.arn, why, "a function could not be run");
                return FunctionOutcome::Unavailable(why);
            }
            Err(Refused::Theirs(answer)) => return done(answer),
        };
        let (mut log, tail_from) = (std::mem::take(&mut run.log), run.tail_from);
        let mut answer = answer;
        if job.confined.is_some() {
            scrubbed(&*backing, &deployment.arn, &mut log, &mut answer).await;
        }
        if let Some(mut environment) = environment {
            let is_last = job.confined.as_ref().is_some_and(|confined| confined.is_last);
            if answer.ending.is_none() && !is_last && environment.is_alive() {
                end_later(self.pool.keep(&seat, key, environment, self.clock.monotonic()));
                Self::sweep(&self);
            } else {
                end_later(Some(environment));
            }
        }
        drop(seat);
        let tail = log.events.iter().skip(tail_from).map(|event| event.message.as_str()).collect::<String>();
        let place = LogPlace { group: deployment.log_group.clone(), stream: stream.clone() };
        backing.write_log(place, log.events).await;
        FunctionOutcome::Done(FunctionAnswer {
            payload: answer.payload,
            failed: answer.failed,
            log: tail.into_bytes(),
            log_stream: stream,
        })
    }

    /// Whether the credentials hold for a whole call.
    fn has_time(&self, environment: &Environment, call: Duration) -> bool {
        environment.credentials_end > self.clock.now().plus(call)
    }

    fn random(&self, bytes: usize) -> String {
        let mut random = vec![0; bytes];
        self.entropy.fill(&mut random);
        HEXLOWER.encode(&random)
    }

    /// Looks after the idle as long as there are any.
    fn sweep(this: &Arc<Self>) {
        if this.is_sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let weak = Arc::downgrade(this);
        tokio::spawn(async move {
            loop {
                sleep(LOOK_EVERY).await;
                let Some(runner) = Weak::upgrade(&weak) else { return };
                if let Some(then) = runner.clock.monotonic().checked_sub(runner.settings.idle) {
                    end_later(runner.pool.idle_since_before(then));
                }
                if !runner.pool.has_idle() {
                    runner.is_sweeping.store(false, Ordering::Release);
                    return;
                }
            }
        });
    }
}

/// What is on its way during one call.
struct Run<'a> {
    runner: &'a Arc<Runner>,
    job: &'a Job,
    backing: &'a Arc<dyn Backing>,
    reporter: Reporter<'a>,
    walls: Walls,
    log: Log,
    tail_from: usize,
    init_ms: Option<f64>,
}

type Finished = (Option<Environment>, String, Answer);

impl Run<'_> {
    async fn go(&mut self, warm: Option<Environment>) -> Result<Finished, Refused> {
        let began = Instant::now();
        let mut environment = match warm {
            Some(mut warm) => {
                match self.call(&mut warm, began).await {
                    Ran::Answered(answer) => return Ok(self.finish(warm, began, answer).await),
                    // It died between two calls, which is not this caller's fault.
                    Ran::Unheard => end_later(Some(warm)),
                }
                self.log = Log::default();
                self.start().await?
            }
            None => self.start().await?,
        };
        let starting = Instant::now();
        let mut initialised = environment.initialise(starting + INIT_WAIT, &self.job.request_id).await;
        environment.output.drain();
        self.take_log(&mut environment);
        let init = starting.elapsed();
        let mut began = Instant::now();
        if initialised.is_none() {
            // Once more, in the time of the call.
            let line = self.reporter.init_timed_out(self.now(), milliseconds(init));
            self.log.say(self.now(), line);
            end_later(Some(environment));
            environment = self.start().await?;
            began = Instant::now();
            let until = began + self.job.deployment.timeout;
            initialised = environment.initialise(until, &self.job.request_id).await;
            environment.output.drain();
            self.take_log(&mut environment);
        } else {
            self.init_ms = Some(milliseconds(init));
        }
        for member in environment.members() {
            let line = self.reporter.member(self.now(), &member);
            self.log.say(self.now(), line);
        }
        let seconds = self.job.deployment.timeout.as_secs_f64();
        let wrong = match initialised {
            Some(Ok(())) => None,
            Some(Err(answer)) => Some(answer),
            None => Some(Answer::timed_out(&self.job.request_id, seconds)),
        };
        if let Some(answer) = wrong {
            self.announce();
            let (_, stream, answer) = self
                .finish(
                    environment,
                    began,
                    Answer { ending: answer.ending.or(Some(Ending::Exited(RUNTIME_EXIT))), ..answer },
                )
                .await;
            return Ok((None, stream, answer));
        }
        if environment.extension.is_some() {
            let line = self.reporter.extension_ready(self.now());
            self.log.say(self.now(), line);
        }
        match self.call(&mut environment, began).await {
            Ran::Answered(answer) => Ok(self.finish(environment, began, answer).await),
            Ran::Unheard => Err(Refused::Ours(String::from("a new environment ended before its first call"))),
        }
    }

    fn now(&self) -> coffer_types::Timestamp {
        self.runner.clock.now()
    }

    fn take_log(&mut self, environment: &mut Environment) {
        self.log.take(environment.output.take_log());
    }

    fn announce(&mut self) {
        self.tail_from = self.log.events.len();
        let line = self.reporter.start(self.now());
        self.log.say(self.now(), line);
    }

    fn tell_stream(&self, environment: &Environment) {
        if let Some(confined) = &self.job.confined {
            // It stays with the first, if one had to be replaced.
            let group = self.job.deployment.log_group.clone();
            drop(confined.log.set(LogPlace { group, stream: environment.log_stream.clone() }));
        }
    }

    async fn call(&mut self, environment: &mut Environment, began: Instant) -> Ran {
        let limit = self.job.deployment.timeout;
        let now = self.now();
        let left = limit.saturating_sub(began.elapsed());
        let work = Work {
            request_id: self.job.request_id.clone(),
            event: Secret::new(self.job.event.expose().clone()),
            deadline_ms: now.plus(left).millis(),
            invoked_arn: self.job.invoked_arn.clone(),
            trace_id: format!(
                "Root=1-{:08x}-{};Parent={};Sampled={}",
                now.seconds(),
                self.runner.random(12),
                self.runner.random(8),
                u8::from(self.job.deployment.traced)
            ),
            client_context: self.job.client_context.clone(),
        };
        self.tell_stream(environment);
        // What it printed while nobody called belongs to this call, as on AWS.
        environment.output.drain();
        self.announce();
        if let Some(extension) = &environment.extension {
            extension.work_for(self.backing);
        }
        environment.call(work, began + limit, limit).await
    }

    /// Writes the end of the log. Environments that did not end well are gone afterwards.
    async fn finish(&mut self, mut environment: Environment, began: Instant, answer: Answer) -> Finished {
        let taken = Taken {
            duration_ms: milliseconds(began.elapsed().min(self.job.deployment.timeout)),
            init_ms: self.init_ms,
            memory_mb: environment.peak_memory_mb(),
        };
        let stream = environment.log_stream.clone();
        self.tell_stream(&environment);
        self.take_log(&mut environment);
        let kept = if answer.ending.is_some() {
            let mut output = environment.end().await;
            self.log.take(output.take_log());
            None
        } else {
            Some(environment)
        };
        let now = self.now();
        // The runtime's own account of why it ended is enough.
        let said: Option<String> = serde_json::from_slice::<serde_json::Value>(answer.payload.expose())
            .ok()
            .and_then(|body| Some(body.get("errorMessage")?.as_str()?.to_owned()));
        let begins = |with: &str| answer.payload.expose().starts_with(with.as_bytes());
        let is_ours = begins(r#"{"errorType":"Runtime.ExitError""#)
            || begins(r#"{"errorType":"Extension."#)
            || answer.ending == Some(Ending::TimedOut);
        if is_ours && let Some(line) = self.reporter.ending(now, answer.ending, &said.unwrap_or_default()) {
            self.log.say(now, line);
        }
        for line in self.reporter.end(now, answer.ending, &taken) {
            self.log.say(now, line);
        }
        (kept, stream, answer)
    }

    async fn start(&mut self) -> Result<Environment, Refused> {
        let (runner, deployment) = (self.runner, &self.job.deployment);
        let language = Language::of(&deployment.runtime).ok_or_else(|| {
            let why = format!("The runtime {} cannot be run here", deployment.runtime);
            Refused::Theirs(Answer::invalid_runtime(&why))
        })?;
        let interpreter = self.interpreter(language).await?;
        let code = self.place("code", std::slice::from_ref(&deployment.code)).await?;
        let layers = match deployment.layers.as_slice() {
            [] => None,
            layers => Some(self.place("layers", layers).await?),
        };
        if language == Language::Provided {
            let has = |place: &Arc<Place>| place.0.join("bootstrap").exists();
            if !has(&code) && !layers.as_ref().is_some_and(has) {
                return Err(Refused::Theirs(Answer::invalid_entrypoint(&self.job.request_id)));
            }
        }
        let extensions = extensions(layers.as_deref());
        if extensions.len() > EXTENSIONS_MAX {
            let why = format!("Extension limit ({EXTENSIONS_MAX}) reached");
            return Err(Refused::Theirs(Answer::extension(&self.job.request_id, Fault::Launch, &why)));
        }
        let confined = self.job.confined.as_ref();
        let policy = confined.map(|confined| confined.session_policy.clone());
        let credentials =
            self.backing.credentials(policy, INIT_WAIT + deployment.timeout).await.map_err(Refused::Ours)?;
        let listed = &runner.settings.endpoints;
        let mut endpoints: Vec<(String, u16, bool)> =
            listed.iter().map(|(host, port)| (host.clone(), *port, true)).collect();
        for endpoint in confined.iter().flat_map(|confined| &confined.endpoints) {
            if !listed.contains(endpoint) {
                endpoints.push((endpoint.0.clone(), endpoint.1, false));
            }
        }
        let user = match &runner.users {
            None => None,
            Some(users) => Some(
                users
                    .take()
                    .ok_or_else(|| Refused::Ours(String::from("there is no user left for functions")))?,
            ),
        };
        let log_stream = stream_name(self.now(), &deployment.version, &runner.random(16));
        let line = self.reporter.init_start(self.now());
        self.log.say(self.now(), line);
        let (extension, berth) = self.extension(&credentials.session_token).await.unzip();
        Environment::start(Parts {
            settings: &runner.settings,
            walls: self.walls,
            clock: &runner.clock,
            entropy: &runner.entropy,
            deployment,
            language,
            interpreter: interpreter.as_deref(),
            code,
            layers,
            extensions,
            runtime: runner.settings.scratch.join("runtime"),
            place: self.fresh("e"),
            user,
            credentials,
            extension,
            berth: berth.flatten(),
            log_stream,
            endpoints,
            door: &runner.door,
            halt: &runner.halt,
        })
        .await
        .map_err(Refused::Ours)
    }

    /// What fetches secrets for the function, if it has the layer for that, and where that is reached.
    async fn extension(&mut self, token: &Secret<String>) -> Option<(Arc<Extension>, Option<Berth>)> {
        let deployment = &self.job.deployment;
        if !deployment.has_secrets_extension {
            return None;
        }
        let (now, walls) = (self.now(), self.walls);
        let (settings, said) = extension::Settings::read(&deployment.environment, now, |port| match walls {
            Walls::Full => !OWN_PORTS.contains(&port),
            Walls::Process => port >= extension::ports::LOWEST,
        });
        let port = settings.port;
        let token = Secret::new(token.expose().clone());
        let extension = Arc::new(Extension::new(token, settings, Arc::clone(&self.runner.clock)));
        let berth = match walls {
            Walls::Full => Ok(None),
            Walls::Process => self.runner.ports.take(&extension).await.map(Some),
        };
        let (extension, lines) = match berth {
            Ok(berth) => (Some((extension, berth)), said.serving(port)),
            Err(why) => (None, said.not_serving(&why)),
        };
        for line in lines {
            self.log.say(now, line);
        }
        extension
    }

    async fn interpreter(&self, language: Language) -> Result<Option<Arc<Interpreter>>, Refused> {
        if language == Language::Provided {
            return Ok(None);
        }
        let found = self.runner.interpreters.find(&self.job.deployment.runtime).await;
        found.map(Some).map_err(|why| Refused::Theirs(Answer::invalid_runtime(&why)))
    }

    async fn place(&self, kind: &str, packages: &[coffer_core::BlobRef]) -> Result<Arc<Place>, Refused> {
        let digests: Vec<&str> = packages.iter().map(|package| package.digest.as_str()).collect();
        let key = format!("{kind} {}", digests.join(" "));
        let fetch = || async {
            let mut contents = Vec::new();
            for package in packages {
                contents.push(self.backing.package(package).await?);
            }
            Ok(contents)
        };
        self.runner.shelf.place(&key, self.fresh(kind), fetch).await.map_err(Refused::Ours)
    }

    fn fresh(&self, kind: &str) -> PathBuf {
        self.runner.settings.scratch.join(format!("{kind}-{}", self.runner.random(16)))
    }
}

/// Takes out what must not be found. When nobody can say what that is, nothing goes anywhere.
async fn scrubbed(backing: &dyn Backing, function: &str, log: &mut Log, answer: &mut Answer) {
    let scrub = match backing.scrub().await {
        Ok(values) => Scrub::new(&values),
        Err(why) => {
            tracing::warn!(
                function,
                why,
                "the output of a function was left out, because it may have the secret in it"
            );
            log.events.clear();
            answer.payload = Secret::new(b"null".to_vec());
            return;
        }
    };
    for event in &mut log.events {
        scrub.text(&mut event.message);
    }
    if let Some(scrubbed) = scrub.bytes(answer.payload.expose()) {
        answer.payload = Secret::new(scrubbed);
    }
}

/// `2026/01/02/[$LATEST]0123..`
fn stream_name(now: coffer_types::Timestamp, version: &str, random: &str) -> String {
    let now = now.to_iso_seconds();
    let date = now.split('T').next().unwrap_or_default().replace('-', "/");
    format!("{date}/[{version}]{random}")
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

fn done(answer: Answer) -> FunctionOutcome {
    FunctionOutcome::Done(FunctionAnswer {
        payload: answer.payload,
        failed: answer.failed,
        log: Vec::new(),
        log_stream: String::new(),
    })
}

fn end_later(environments: impl IntoIterator<Item = Environment>) {
    for environment in environments {
        // Without a runtime there is nobody to wait; the processes end because their sockets close.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(environment.end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_after_the_day_and_the_version() {
        let now = coffer_types::Timestamp::from_seconds(1_767_312_000);
        assert_eq!(stream_name(now, "$LATEST", "00ff"), "2026/01/02/[$LATEST]00ff");
    }
}

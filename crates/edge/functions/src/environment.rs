//! One execution environment: a process that runs one revision of a function, one call at a time.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::PermissionsExt, net::UnixStream as StdUnixStream},
    },
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use coffer_core::Deployment;
use coffer_sys::sandbox::{self as sys, Ended};
use coffer_types::{Clock, Timestamp};
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::{TcpListener, UnixStream, unix::pipe},
    process::{Child, Command},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    answer::{Answer, Ending},
    backing::{Credentials, Door},
    desk::{Desk, Work},
    extension::{self, Extension},
    interpreters::{Interpreter, Language},
    output::Output,
    relay, runtime_api,
    sandbox::{EXITED, FAILED, KILLED, Plan, READY, Walls},
    settings::Settings,
    unpack::{Place, directory},
    users::User,
    variables::{Paths, variables},
    ways::Ways,
};

/// How long the helper may take to build its walls.
const BUILD_WAIT: Duration = Duration::from_secs(10);
/// What has been told to end and has not is killed after this long.
const END_WAIT: Duration = Duration::from_secs(2);
/// Pipes whose writers have all ended close at once.
const LAST_WORDS: Duration = Duration::from_millis(500);
const PROCESSES_MAX: u64 = 64;
const OPEN_FILES_MAX: u64 = 256;
/// What an interpreter has for itself, beside the memory that was asked for.
const INTERPRETER_BYTES: u64 = 64 << 20;
/// Node keeps stacks for a dozen threads and room for compiled code.
const NODE_BYTES: u64 = 512 << 20;
const AUTHORITIES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// As on AWS.
const RUNTIME_API: SocketAddr = own(9001);
const COFFER: SocketAddr = own(9002);
/// What in the function's network cannot be something else.
pub(crate) const OWN_PORTS: [u16; 2] = [RUNTIME_API.port(), COFFER.port()];

const fn own(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Everything that an environment is made of.
pub(crate) struct Parts<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) walls: Walls,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) deployment: &'a Deployment,
    pub(crate) language: Language,
    pub(crate) interpreter: Option<&'a Interpreter>,
    pub(crate) code: Arc<Place>,
    pub(crate) layers: Option<Arc<Place>>,
    pub(crate) runtime: PathBuf,
    pub(crate) place: PathBuf,
    pub(crate) user: Option<User>,
    pub(crate) credentials: Credentials,
    pub(crate) extension: Option<Arc<Extension>>,
    pub(crate) log_stream: String,
    pub(crate) endpoints: Vec<(String, u16, bool)>,
    pub(crate) door: &'a Arc<dyn Door>,
}

pub(crate) struct Environment {
    helper: Child,
    control: UnixStream,
    pub(crate) output: Output,
    desk: Arc<Desk>,
    pub(crate) extension: Option<Arc<Extension>>,
    /// Its listeners end with it.
    _servers: JoinSet<()>,
    pub(crate) log_stream: String,
    pub(crate) credentials_end: Timestamp,
    walls: Walls,
    /// Its number among the processes of the machine.
    function: Option<u32>,
    calls: u64,
    /// Removed and given back in this order.
    _place: Place,
    _code: Arc<Place>,
    _layers: Option<Arc<Place>>,
    _user: Option<User>,
}

/// What became of a call.
pub(crate) enum Ran {
    Answered(Answer),
    /// The function had ended before it heard of the call.
    Unheard,
}

impl Environment {
    /// Starts the process. It has not said anything yet when this returns.
    pub(crate) async fn start(parts: Parts<'_>) -> Result<Self, String> {
        Self::begin(parts).await.map_err(|error| error.to_string())
    }

    async fn begin(parts: Parts<'_>) -> io::Result<Self> {
        let place = Place(parts.place.clone());
        let (root, scratch) = (place.0.join("root"), place.0.join("tmp"));
        for path in [&place.0, &root, &scratch] {
            directory(path)?;
        }
        fs::set_permissions(&scratch, fs::Permissions::from_mode(0o700))?;
        if let Some(user) = &parts.user {
            std::os::unix::fs::chown(&scratch, Some(user.number), Some(user.number))?;
        }
        let mut servers = JoinSet::new();
        let desk = Arc::<Desk>::default();
        // Without a network of its own the function reaches our listeners on the machine's loopback.
        let (runtime_api, coffer) = match parts.walls {
            Walls::Full => (RUNTIME_API, COFFER),
            Walls::Process => {
                let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let coffer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let addresses = (api.local_addr()?, coffer.local_addr()?);
                servers.spawn(runtime_api::serve(api, Arc::clone(&desk)));
                servers.spawn(relay::to_coffer(coffer, Arc::clone(parts.door)));
                addresses
            }
        };
        let (stdout_from, stdout) = pipe_pair()?;
        let (stderr_from, stderr) = pipe_pair()?;
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut control = UnixStream::from_std(ours)?;
        let (program, arguments) = &parts.settings.helper;
        let helper = Command::new(program)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(stdout))
            .stderr(Stdio::from(stderr))
            .current_dir("/")
            .spawn()?;
        let walls = parts.walls;
        let (credentials_end, log_stream) = (parts.credentials.expires_at, parts.log_stream.clone());
        let (clock, door, code, layers) =
            (Arc::clone(parts.clock), Arc::clone(parts.door), Arc::clone(&parts.code), parts.layers.clone());
        let extension = parts.extension.clone();
        let mut listen = vec![RUNTIME_API, COFFER];
        listen.extend(extension.iter().map(|extension| own(extension.port())));
        let ways = match walls {
            Walls::Full => Ways::new(&parts.endpoints, &listen),
            Walls::Process => Ways::default(),
        };
        listen.extend(ways.listeners());
        let (plan, user) = plan(parts, root, scratch, runtime_api, coffer, (listen, ways.names()));
        control.write_all(plan.to_bytes()?.expose()).await?;
        drop(plan);

        let mut descriptors = timeout(BUILD_WAIT, built(&control))
            .await
            .map_err(|_| io::Error::other("its walls take too long to build"))??
            .into_iter();
        let mut output = Output::new(clock, stdout_from, stderr_from);
        output.listen_to(descriptors.next().ok_or(io::ErrorKind::InvalidData)?)?;
        if walls == Walls::Full {
            let mut next = || -> io::Result<TcpListener> {
                let listener =
                    std::net::TcpListener::from(descriptors.next().ok_or(io::ErrorKind::InvalidData)?);
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)
            };
            servers.spawn(runtime_api::serve(next()?, Arc::clone(&desk)));
            servers.spawn(relay::to_coffer(next()?, door));
            if let Some(extension) = &extension {
                servers.spawn(extension::serve(next()?, Arc::clone(extension)));
            }
            for way in ways.into_iter() {
                servers.spawn(relay::to_host(next()?, way.host, way.port, way.listed));
            }
        }
        Ok(Self {
            helper,
            control,
            output,
            desk,
            extension,
            _servers: servers,
            log_stream,
            credentials_end,
            walls,
            function: None,
            calls: 0,
            _place: place,
            _code: code,
            _layers: layers,
            _user: user,
        })
    }

    /// Until the function waits for its first call. Nothing if that takes too long.
    pub(crate) async fn initialise(
        &mut self,
        until: Instant,
        request_id: &str,
    ) -> Option<Result<(), Answer>> {
        let Self { control, output, desk, .. } = self;
        loop {
            tokio::select! {
                biased;
                started = desk.started() => return Some(started),
                ended = ended(control) => return Some(Err(Answer::exited(request_id, ended))),
                () = sleep_until(until) => return None,
                true = output.pump() => {}
            }
        }
    }

    /// Gives the function its work and waits for what comes of it.
    pub(crate) async fn call(&mut self, work: Work, until: Instant, limit: Duration) -> Ran {
        let request_id = work.request_id.clone();
        self.function = self.function.or_else(|| self.find());
        self.calls += 1;
        let was_used = self.calls > 1;
        let Self { control, output, desk, .. } = self;
        desk.offer(work);
        let answer = loop {
            tokio::select! {
                biased;
                answer = desk.answered() => break answer,
                ended = ended(control) => {
                    if was_used && desk.is_untouched() {
                        return Ran::Unheard;
                    }
                    break Answer::exited(&request_id, ended);
                }
                () = sleep_until(until) => break Answer::timed_out(&request_id, limit.as_secs_f64()),
                true = output.pump() => {}
            }
        };
        // All that the function printed before it answered is in the pipes by now.
        self.output.drain();
        if answer.ending != Some(Ending::TimedOut) {
            self.output.finish();
        }
        Ran::Answered(answer)
    }

    /// Whether it is still there to be called. The kernel knows it first: a dead runtime may still seem to wait for work.
    pub(crate) fn is_alive(&self) -> bool {
        let mut byte = [0; 1];
        let silent = matches!(self.control.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        let is_gone = |status: Option<String>| {
            status.is_none_or(|status| status.contains("State:\tZ") || status.contains("State:\tX"))
        };
        // Kernels that tell nobody his children have to be believed.
        silent && !(self.function.is_some() && is_gone(self.status()))
    }

    /// What the kernel says of the function's process.
    fn status(&self) -> Option<String> {
        let process = self.function.or_else(|| self.find())?;
        fs::read_to_string(format!("/proc/{process}/status")).ok()
    }

    /// The function is the only child of the process that attends to it.
    fn find(&self) -> Option<u32> {
        let mut process = self.helper.id()?;
        let generations = if self.walls == Walls::Full { 2 } else { 1 };
        for _ in 0..generations {
            let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
            process = children.split_whitespace().next()?.parse().ok()?;
        }
        Some(process)
    }

    /// The most memory that it has had, in megabytes.
    pub(crate) fn peak_memory_mb(&self) -> Option<u64> {
        let status = self.status()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: u64 = peak.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes.div_ceil(1024))
    }

    /// Kills everything, and collects what it said before.
    pub(crate) async fn end(mut self) -> Output {
        // The other end notices that this one is closed, and kills.
        drop(self.control);
        if timeout(END_WAIT, self.helper.wait()).await.is_err() {
            drop(self.helper.kill().await);
        }
        let rest = async { while self.output.pump().await {} };
        drop(timeout(LAST_WORDS, rest).await);
        self.output.finish();
        self.output
    }
}

fn plan(
    parts: Parts<'_>,
    root: PathBuf,
    scratch: PathBuf,
    runtime_api: SocketAddr,
    coffer: SocketAddr,
    (listen, hosts): (Vec<SocketAddr>, Vec<(String, String)>),
) -> (Plan, Option<User>) {
    let Parts { deployment, walls, .. } = parts;
    let shown = |inside: &str, outside: &std::path::Path| match walls {
        Walls::Full => inside.to_owned(),
        Walls::Process => outside.display().to_string(),
    };
    let task_root = shown("/var/task", &parts.code.0);
    let layers =
        shown("/opt", parts.layers.as_ref().map_or(std::path::Path::new("/opt"), |layers| &layers.0));
    let runtime = shown("/var/runtime", &parts.runtime);
    let temporary = shown("/tmp", &scratch);
    let authorities = AUTHORITIES.iter().map(PathBuf::from).find(|path| path.exists());
    let coffer = format!("http://{coffer}");
    let environment = variables(
        deployment,
        &Paths {
            task_root: &task_root,
            layers: &layers,
            runtime: &runtime,
            temporary: &temporary,
            runtime_api: &runtime_api.to_string(),
            coffer: &coffer,
            authorities: None,
            language: parts.language,
            version: parts.interpreter.map_or("", |interpreter| &interpreter.version),
            log_stream: &parts.log_stream,
            redirects: parts.settings.redirects,
        },
        parts.credentials,
    );
    let mut program = parts.interpreter.map(|interpreter| interpreter.command.clone()).unwrap_or_default();
    match parts.language {
        Language::Python => program.extend([String::from("-s"), format!("{runtime}/bootstrap.py")]),
        Language::Node => program.push(format!("{runtime}/bootstrap.mjs")),
        Language::Provided => {
            let own = parts.code.0.join("bootstrap").exists();
            program.push(format!("{}/bootstrap", if own { &task_root } else { &layers }));
        }
    }
    let megabytes = |megabytes: u32| u64::from(megabytes) << 20;
    let own_bytes = if parts.language == Language::Node { NODE_BYTES } else { INTERPRETER_BYTES };
    let plan = Plan {
        walls,
        user: parts.user.as_ref().map(|user| user.number),
        root,
        code: parts.code.0.clone(),
        layers: parts.layers.as_ref().map(|layers| layers.0.clone()),
        runtime: parts.runtime,
        scratch,
        scratch_bytes: megabytes(deployment.scratch_mb),
        read: parts.interpreter.map(|interpreter| interpreter.read.clone()).unwrap_or_default(),
        authorities,
        hosts,
        listen,
        data_bytes: megabytes(deployment.memory_mb) + own_bytes,
        processes: PROCESSES_MAX,
        open_files: OPEN_FILES_MAX,
        task_root: PathBuf::from(task_root),
        program,
        environment,
    };
    (plan, parts.user)
}

fn pipe_pair() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (to, from) = pipe::pipe()?;
    Ok((from, to.into_blocking_fd()?))
}

/// Until the walls stand; what came with the news is the telemetry and the listeners.
async fn built(control: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut buffer = [0; 1024];
    let (length, descriptors) =
        control.async_io(Interest::READABLE, || sys::receive(control.as_fd(), &mut buffer)).await?;
    match buffer.get(..length) {
        Some([READY, ..]) => Ok(descriptors),
        Some([FAILED, why @ ..]) => Err(io::Error::other(String::from_utf8_lossy(why).into_owned())),
        _ => Err(io::Error::other("the helper ended before its walls stood")),
    }
}

/// Until the process has ended, and how; nothing if nobody knows.
async fn ended(control: &UnixStream) -> Option<Ended> {
    let mut buffer = [0; 1024];
    loop {
        if control.readable().await.is_err() {
            return None;
        }
        match control.try_read(&mut buffer) {
            Ok(length) => {
                return match buffer.get(..length) {
                    Some([EXITED, code, ..]) => Some(Ended::Exited(i32::from(*code))),
                    Some([KILLED, signal, ..]) => Some(Ended::Killed(i32::from(*signal))),
                    Some([FAILED, why @ ..]) => {
                        let why = String::from_utf8_lossy(why).into_owned();
                        tracing::warn!(why, "a function could not be started");
                        Some(Ended::Exited(127))
                    }
                    _ => None,
                };
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        sleep(Duration::from_millis(1)).await;
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}

//! One execution environment: a process that runs one revision of a function, one call at a time.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use coffer_core::Deployment;
use coffer_sys::sandbox::Ended;
use coffer_types::{Clock, Entropy, Timestamp};
use tokio::{
    net::{TcpListener, unix::pipe},
    process::{Child, Command},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    answer::{Answer, Ending, Fault, end_text, exit_text},
    backing::{Credentials, Door},
    control::Control,
    desk::{Desk, Work},
    extension::{self, Berth, Extension},
    extensions_api::About,
    halt::{Halt, Running},
    interpreters::{Interpreter, Language},
    output::Output,
    relay,
    roster::{Event, Member, Reason, Roster, State, Told},
    runtime_api::{self, Served},
    sandbox::{News, Plan, Walls, Who},
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
/// So long may extensions take for their own end, as on AWS.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(2);
/// An extension that has said that it will not go on has this long to go.
const LEAVE_WAIT: Duration = Duration::from_millis(500);
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

/// Where layers have them.
const EXTENSIONS: &str = "extensions";

const fn own(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Everything that an environment is made of.
pub(crate) struct Parts<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) walls: Walls,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) entropy: &'a Arc<dyn Entropy>,
    pub(crate) deployment: &'a Deployment,
    pub(crate) language: Language,
    pub(crate) interpreter: Option<&'a Interpreter>,
    pub(crate) code: Arc<Place>,
    pub(crate) layers: Option<Arc<Place>>,
    /// The programs among the files of the layers that are started before the function, by their names.
    pub(crate) extensions: Vec<String>,
    pub(crate) runtime: PathBuf,
    pub(crate) place: PathBuf,
    pub(crate) user: Option<User>,
    pub(crate) credentials: Credentials,
    pub(crate) extension: Option<Arc<Extension>>,
    /// Where it is reached, if that is a port of the machine.
    pub(crate) berth: Option<Berth>,
    pub(crate) log_stream: String,
    pub(crate) endpoints: Vec<(String, u16, bool)>,
    pub(crate) door: &'a Arc<dyn Door>,
    pub(crate) halt: &'a Halt,
}

pub(crate) struct Environment {
    helper: Helper,
    control: Control,
    pub(crate) output: Output,
    desk: Arc<Desk>,
    roster: Arc<Roster>,
    clock: Arc<dyn Clock>,
    /// What extensions are told when it ends.
    reason: Reason,
    has_programs: bool,
    pub(crate) extension: Option<Arc<Extension>>,
    /// Its listeners end with it.
    _servers: JoinSet<()>,
    pub(crate) log_stream: String,
    pub(crate) credentials_end: Timestamp,
    walls: Walls,
    /// Its number among the processes of the machine.
    function: Option<u32>,
    calls: u64,
    _berth: Option<Berth>,
    /// Removed and given back in this order.
    _place: Place,
    _code: Arc<Place>,
    _layers: Option<Arc<Place>>,
    _user: Option<User>,
}

/// The process that everything else of an environment hangs on.
struct Helper(Option<(Child, Running)>);

impl Helper {
    fn id(&self) -> Option<u32> {
        self.0.as_ref()?.0.id()
    }

    async fn ended(&mut self) {
        if let Some((mut child, running)) = self.0.take() {
            reap(&mut child).await;
            drop(running);
        }
    }
}

/// Whoever lets go of it has let go of its socket too, so that it ends; until then it counts as running.
impl Drop for Helper {
    fn drop(&mut self) {
        let Some((mut child, running)) = self.0.take() else { return };
        // Without a runtime there is nobody to wait.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                reap(&mut child).await;
                drop(running);
            });
        }
    }
}

async fn reap(child: &mut Child) {
    if timeout(END_WAIT, child.wait()).await.is_err() {
        drop(child.kill().await);
    }
}

/// Why something did not come to its end.
enum Stopped {
    Late,
    Ended(Answer),
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

    async fn begin(mut parts: Parts<'_>) -> io::Result<Self> {
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
        let served = Served {
            desk: Arc::default(),
            roster: Arc::new(Roster::new(Arc::clone(parts.entropy), &parts.extensions)),
            about: Arc::new(About::of(parts.deployment)),
        };
        // Without a network of its own the function reaches our listeners on the machine's loopback.
        let (runtime_api, coffer) = match parts.walls {
            Walls::Full => (RUNTIME_API, COFFER),
            Walls::Process => {
                let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let coffer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let addresses = (api.local_addr()?, coffer.local_addr()?);
                servers.spawn(runtime_api::serve(api, served.clone()));
                servers.spawn(relay::to_coffer(coffer, Arc::clone(parts.door)));
                addresses
            }
        };
        let (stdout_from, stdout) = pipe_pair()?;
        let (stderr_from, stderr) = pipe_pair()?;
        let (ours, theirs) = UnixStream::pair()?;
        let mut control = Control::new(ours)?;
        let (program, arguments) = &parts.settings.helper;
        let running = parts.halt.begin().await;
        let helper = Command::new(program)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(stdout))
            .stderr(Stdio::from(stderr))
            .current_dir("/")
            .spawn()?;
        let helper = Helper(Some((helper, running)));
        let walls = parts.walls;
        let (credentials_end, log_stream) = (parts.credentials.expires_at, parts.log_stream.clone());
        let (clock, door, code, layers) =
            (Arc::clone(parts.clock), Arc::clone(parts.door), Arc::clone(&parts.code), parts.layers.clone());
        let has_programs = !parts.extensions.is_empty();
        let extension = parts.extension.clone();
        let berth = parts.berth.take();
        let mut listen = vec![RUNTIME_API, COFFER];
        listen.extend(extension.iter().map(|extension| own(extension.port())));
        let ways = match walls {
            Walls::Full => Ways::new(&parts.endpoints, &listen),
            Walls::Process => Ways::default(),
        };
        listen.extend(ways.listeners());
        let (plan, user) = plan(parts, root, scratch, runtime_api, coffer, (listen, ways.names()));
        control.send(plan.to_bytes()?.expose()).await?;
        drop(plan);

        let mut descriptors = timeout(BUILD_WAIT, control.built())
            .await
            .map_err(|_| io::Error::other("its walls take too long to build"))??
            .into_iter();
        let mut output = Output::new(Arc::clone(&clock), stdout_from, stderr_from);
        output.listen_to(descriptors.next().ok_or(io::ErrorKind::InvalidData)?)?;
        if walls == Walls::Full {
            let mut next = || -> io::Result<TcpListener> {
                let listener =
                    std::net::TcpListener::from(descriptors.next().ok_or(io::ErrorKind::InvalidData)?);
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)
            };
            servers.spawn(runtime_api::serve(next()?, served.clone()));
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
            desk: served.desk,
            roster: served.roster,
            clock,
            reason: Reason::Spindown,
            has_programs,
            extension,
            _servers: servers,
            log_stream,
            credentials_end,
            walls,
            function: None,
            calls: 0,
            _berth: berth,
            _place: place,
            _code: code,
            _layers: layers,
            _user: user,
        })
    }

    /// Until the function and its extensions wait for their first call. Nothing if that takes too long.
    pub(crate) async fn initialise(
        &mut self,
        until: Instant,
        request_id: &str,
    ) -> Option<Result<(), Answer>> {
        let (outcome, reason) = match self.get_ready(until, request_id).await {
            Ok(()) => (Some(Ok(())), Reason::Spindown),
            Err(Stopped::Ended(answer)) => (Some(Err(answer)), Reason::Failure),
            Err(Stopped::Late) => (None, Reason::Timeout),
        };
        self.reason = reason;
        outcome
    }

    async fn get_ready(&mut self, until: Instant, request_id: &str) -> Result<(), Stopped> {
        let (desk, roster) = (Arc::clone(&self.desk), Arc::clone(&self.roster));
        if self.has_programs {
            self.attend(until, request_id, roster.registered()).await?;
            let gone = |_| Stopped::Ended(Answer::exited(request_id, None));
            self.control.start().await.map_err(gone)?;
        }
        self.attend(until, request_id, desk.started()).await?.map_err(Stopped::Ended)?;
        self.attend(until, request_id, roster.settled()).await
    }

    /// Gives the function its work, its extensions the news of it, and waits for what comes of it.
    pub(crate) async fn call(&mut self, work: Work, until: Instant, limit: Duration) -> Ran {
        let request_id = work.request_id.clone();
        self.function = self.function.or_else(|| self.find());
        self.calls += 1;
        let was_used = self.calls > 1;
        let (desk, roster) = (Arc::clone(&self.desk), Arc::clone(&self.roster));
        roster.offer(&Event::Invoke {
            request_id: request_id.clone(),
            deadline_ms: work.deadline_ms,
            invoked_arn: work.invoked_arn.clone(),
            trace_id: work.trace_id.clone(),
        });
        desk.offer(work);
        let answer = match self.attend(until, &request_id, desk.answered()).await {
            // What the function has answered stands, whatever its extensions do afterwards. The environment does not.
            Ok(answer) => match self.attend(until, &request_id, roster.settled()).await {
                Ok(()) => answer,
                Err(Stopped::Late) => Answer { ending: Some(Ending::TimedOut), ..answer },
                Err(Stopped::Ended(end)) => Answer { ending: end.ending, ..answer },
            },
            Err(Stopped::Ended(_)) if was_used && desk.is_untouched() => return Ran::Unheard,
            Err(Stopped::Ended(answer)) => answer,
            Err(Stopped::Late) => Answer::timed_out(&request_id, limit.as_secs_f64()),
        };
        self.reason = match answer.ending {
            None => Reason::Spindown,
            Some(Ending::TimedOut) => Reason::Timeout,
            Some(Ending::Exited(_)) => Reason::Failure,
        };
        // All that the function printed before it answered is in the pipes by now.
        self.output.drain();
        if answer.ending != Some(Ending::TimedOut) {
            self.output.finish();
        }
        Ran::Answered(answer)
    }

    /// Waits for something, as long as everybody is there and it is time.
    async fn attend<T>(
        &mut self,
        mut until: Instant,
        request_id: &str,
        what: impl Future<Output = T>,
    ) -> Result<T, Stopped> {
        let Self { control, output, roster, .. } = self;
        let mut failed = None;
        tokio::pin!(what);
        loop {
            tokio::select! {
                biased;
                done = &mut what, if failed.is_none() => return Ok(done),
                news = control.news() => return Err(Stopped::Ended(ended(news, roster, request_id))),
                // How it goes says more than that it will.
                (told, why) = roster.failed(), if failed.is_none() => {
                    until = until.min(Instant::now() + LEAVE_WAIT);
                    failed = Some(Answer::extension(request_id, told.into(), &why));
                }
                () = sleep_until(until) => return Err(failed.map_or(Stopped::Late, Stopped::Ended)),
                true = output.pump() => {}
            }
        }
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        self.roster.members()
    }

    /// Whether it is still there to be called. The kernel knows it first: a dead runtime may still seem to wait for work.
    pub(crate) fn is_alive(&mut self) -> bool {
        let silent = self.control.is_silent() && self.roster.told().is_none();
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

    /// Among the children of the process that attends to it. They have other numbers inside than outside.
    fn find(&self) -> Option<u32> {
        let inside = self.control.started?.to_string();
        let children = |process: u32| {
            let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
            Some(children.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<u32>>())
        };
        let mut attendant = self.helper.id()?;
        if self.walls == Walls::Full {
            attendant = *children(attendant)?.first()?;
        }
        let is_it = |process: &u32| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            numbers.is_some_and(|numbers| numbers.split_whitespace().next_back() == Some(inside.as_str()))
        };
        children(attendant)?.into_iter().find(is_it)
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
        self.shut_down().await;
        // The other end notices that this one is closed, and kills.
        drop(self.control);
        self.helper.ended().await;
        let rest = async { while self.output.pump().await {} };
        drop(timeout(LAST_WORDS, rest).await);
        self.output.finish();
        self.output
    }

    /// Tells the extensions that it ends, and gives them time for that.
    async fn shut_down(&mut self) {
        let Self { control, output, roster, .. } = self;
        let deadline_ms = self.clock.now().plus(SHUTDOWN_WAIT).millis();
        roster.offer(&Event::Shutdown { reason: self.reason, deadline_ms });
        let until = Instant::now() + SHUTDOWN_WAIT;
        while roster.awaits_shutdown() {
            tokio::select! {
                news = control.news() => match news {
                    Some(News::Ended(Who::Extension(place), _)) => drop(roster.left(place, State::Exited)),
                    Some(_) => {}
                    None => return,
                },
                () = sleep_until(until) => return,
                true = output.pump() => {}
            }
        }
    }
}

/// What callers are told when somebody has gone.
fn ended(news: Option<News>, roster: &Roster, request_id: &str) -> Answer {
    let end = match news {
        Some(News::Ended(Who::Extension(place), end)) => {
            let fault = roster.left(place, State::Exited).map_or(Fault::Crash, Fault::from);
            return Answer::extension(request_id, fault, &end_text(end));
        }
        Some(News::Failed(Who::Extension(place), why)) => {
            roster.left(place, State::LaunchError);
            return Answer::extension(request_id, Fault::Launch, &why);
        }
        Some(News::Failed(Who::Function, why)) => {
            tracing::warn!(request = request_id, why, "a function could not be started");
            Some(Ended::Exited(127))
        }
        Some(News::Ended(Who::Function, end)) => Some(end),
        Some(News::Ready | News::Started(_)) | None => None,
    };
    match roster.told() {
        // One inside of the function ends it.
        Some(told) => Answer::extension(request_id, told.into(), &exit_text(end)),
        None => Answer::exited(request_id, end),
    }
}

impl From<Told> for Fault {
    fn from(told: Told) -> Self {
        match told {
            Told::InitError => Self::Init,
            Told::ExitError => Self::Exit,
        }
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
    let extensions = parts.extensions.iter().map(|name| format!("{layers}/{EXTENSIONS}/{name}")).collect();
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
        extensions,
        environment,
    };
    (plan, parts.user)
}

fn pipe_pair() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (to, from) = pipe::pipe()?;
    Ok((from, to.into_blocking_fd()?))
}

/// The names of the programs that layers bring as extensions, in the order in which they are started.
pub(crate) fn extensions(layers: Option<&Place>) -> Vec<String> {
    let found = layers.and_then(|layers| fs::read_dir(layers.0.join(EXTENSIONS)).ok());
    let files = found.into_iter().flatten().flatten().filter(|file| !file.path().is_dir());
    let mut names: Vec<String> = files.filter_map(|file| file.file_name().into_string().ok()).collect();
    names.sort();
    names
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}

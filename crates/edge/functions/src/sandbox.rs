//! The helper: a process that takes away from itself what a function must not have, and then becomes the function.
//!
//! The server starts it from its own program, with a socket as its standard input. Over that come the plan and, the other way, the
//! listeners that it opened in its own network, how the function and its extensions ended, or why they did not begin. When the socket
//! closes, for whatever reason, everything that the helper started is killed: nothing outlives the server.
//!
//! With full isolation there are three processes: one that waits outside, the first one of the new process namespace, which ends last, and
//! the function. Otherwise the first two are the same.

mod attend;
mod news;
mod plan;
mod rooms;

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener},
    os::fd::{AsFd, BorrowedFd},
    os::unix::{net::UnixStream, process::CommandExt},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use coffer_sys::sandbox as sys;

pub(crate) use self::news::{News, START, Who};
pub use self::plan::{Plan, Walls};

/// What extensions do not get of the function's variables: those of its runtime, as on AWS.
const RUNTIME_ONLY: &[&str] = &[
    "_HANDLER",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];
/// A second altogether; it takes some milliseconds.
const BIND_ATTEMPTS_MAX: u32 = 1000;
const BIND_WAIT: Duration = Duration::from_millis(1);

/// Everything that the hidden command of the binary does. It must run before the process has threads.
pub fn main() -> ExitCode {
    let Ok(control) = sys::pair_from_stdin() else { return ExitCode::FAILURE };
    match run(&control) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If nobody listens any more, nobody wants to know.
            drop(News::Failed(Who::Function, error.to_string()).send(&control, &[]));
            ExitCode::FAILURE
        }
    }
}

fn run(control: &UnixStream) -> io::Result<()> {
    sys::close_on_exec_from(3)?;
    let plan = Plan::read(control)?;
    go_first_without_memory();
    sys::new_session()?;
    sys::public_files();
    if plan.walls == Walls::Process {
        sys::adopt_orphans()?;
        become_plain(&plan)?;
        return attend::attend(control, &plan, |telemetry| ready(control, &[], telemetry));
    }
    let user = plan.user.is_none();
    let outside = (coffer_sys::effective_uid(), coffer_sys::effective_gid());
    sys::unshare(sys::Namespaces { user, network: true }).map_err(because("namespaces"))?;
    if user {
        sys::map_user(plan::USER_INSIDE, outside).map_err(because("the user namespace"))?;
    }
    match sys::fork()? {
        sys::Fork::Parent(_) => {
            // The child says all there is to say; this one only ends with it.
            sys::wait_any()?;
            Ok(())
        }
        sys::Fork::Child => {
            sys::die_with_parent(None)?;
            rooms::furnish(&plan)?;
            let listeners = listen(&plan)?;
            become_plain(&plan)?;
            attend::attend(control, &plan, |telemetry| ready(control, &listeners, telemetry))
        }
    }
}

/// When the machine has no memory left, functions end before anything else does, and above all before the server. It is passed on to
/// whatever they start, and Landlock lets no function write there.
fn go_first_without_memory() {
    // A machine that lets nobody say so runs functions all the same.
    let file = fs::File::options().write(true).open("/proc/self/oom_score_adj");
    drop(file.and_then(|mut file| io::Write::write_all(&mut file, b"1000")));
}

/// Gives up being root, if we are, and being looked at by others of the same user.
fn become_plain(plan: &Plan) -> io::Result<()> {
    if let Some(user) = plan.user {
        sys::lock_down().map_err(because("capabilities"))?;
        sys::become_user(user, user).map_err(because("the user of functions"))?;
    }
    sys::give_up_privileges()?;
    sys::undumpable()
}

fn listen(plan: &Plan) -> io::Result<Vec<TcpListener>> {
    sys::raise_loopback().map_err(because("the loopback interface"))?;
    // All of 127.0.0.0/8 and ::1 are there already.
    let addresses: BTreeSet<IpAddr> =
        plan.listen.iter().map(SocketAddr::ip).filter(|address| !address.is_loopback()).collect();
    for (number, address) in addresses.into_iter().enumerate() {
        sys::add_address(address, number)
            .map_err(|error| io::Error::other(format!("the address {address} of an endpoint: {error}")))?;
    }
    plan.listen.iter().map(|place| bind(*place)).collect::<io::Result<_>>().map_err(because("listeners"))
}

/// A new address of IPv6 can be used only once the kernel has come round to seeing that nobody else has it.
#[expect(clippy::disallowed_methods, reason = "a process of its own, which has nothing else to do")]
fn bind(place: SocketAddr) -> io::Result<TcpListener> {
    for _ in 0..BIND_ATTEMPTS_MAX {
        match TcpListener::bind(place) {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => std::thread::sleep(BIND_WAIT),
            other => return other,
        }
    }
    TcpListener::bind(place)
}

fn ready(control: &UnixStream, listeners: &[TcpListener], telemetry: BorrowedFd<'_>) -> io::Result<()> {
    let mut descriptors = vec![telemetry];
    descriptors.extend(listeners.iter().map(AsFd::as_fd));
    News::Ready.send(control, &descriptors)
}

/// Becomes the function or an extension. Returns only if that is not possible.
fn become_program(plan: &Plan, who: Who, telemetry: Option<BorrowedFd<'_>>) -> io::Error {
    match prepare(plan, who, telemetry) {
        Err(error) => error,
        Ok(mut command) => command.exec(),
    }
}

fn prepare(plan: &Plan, who: Who, telemetry: Option<BorrowedFd<'_>>) -> io::Result<Command> {
    sys::die_with_parent(None)?;
    sys::lower_priority(5);
    sys::set_limit(sys::Limit::CoreBytes, 0)?;
    sys::set_limit(sys::Limit::DataBytes, plan.data_bytes)?;
    sys::set_limit(sys::Limit::Processes, plan.processes + others_of_this_user(plan))?;
    sys::set_limit(sys::Limit::OpenFiles, plan.open_files)?;
    sys::set_limit(sys::Limit::FileBytes, plan.scratch_bytes)?;
    let words = match who {
        Who::Function => plan.program.as_slice(),
        Who::Extension(place) => {
            plan.extensions.get(usize::from(place)).map(std::slice::from_ref).unwrap_or_default()
        }
    };
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).env_clear().current_dir(&plan.task_root);
    for (name, value) in &plan.environment {
        if who == Who::Function || !RUNTIME_ONLY.contains(&name.as_str()) {
            command.env(name, value.expose());
        }
    }
    if let Some(telemetry) = telemetry {
        use std::os::fd::AsRawFd;
        sys::keep_on_exec(telemetry)?;
        command.env("_LAMBDA_TELEMETRY_LOG_FD", telemetry.as_raw_fd().to_string());
    }
    match sys::landlock_version() {
        Some(_) => sys::restrict_files(&plan.reachable()).map_err(because("Landlock"))?,
        // The walls of a mount namespace do without; nothing else does.
        None if plan.walls == Walls::Full => {}
        None => return Err(io::Error::other("the kernel has no Landlock")),
    }
    sys::deny_calls().map_err(because("seccomp"))?;
    Ok(command)
}

/// The limit of processes counts all that the user has, and threads as well. One who is somebody else's too, without a user namespace, has
/// more than those of a function.
fn others_of_this_user(plan: &Plan) -> u64 {
    if plan.walls == Walls::Full || plan.user.is_some() {
        return 0;
    }
    let user = coffer_sys::effective_uid().to_string();
    let threads = |status: String| -> Option<u64> {
        let of =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        if of("Uid:") == Some(user.as_str()) { of("Threads:")?.parse().ok() } else { None }
    };
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let statuses =
        processes.flatten().filter_map(|process| fs::read_to_string(process.path().join("status")).ok());
    statuses.filter_map(threads).sum::<u64>()
}

fn because(what: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::other(format!("{what}: {error}"))
}

//! Starts the function, waits for its end, and leaves nothing behind.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use coffer_sys::sandbox::{self as sys, Ended, Fork};

use super::{
    EXITED, KILLED, become_function, complain,
    plan::{Plan, Walls},
};

/// How often what has ended is cleared away while the function runs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) fn attend(
    control: &UnixStream,
    plan: &Plan,
    ready: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let (telemetry, to_write) = sys::pipe()?;
    ready(telemetry.as_fd())?;
    drop(telemetry);
    let function = match sys::fork()? {
        Fork::Parent(function) => function,
        Fork::Child => {
            let error = become_function(plan, to_write.as_fd());
            complain(control, &io::Error::other(format!("the function cannot be started: {error}")));
            std::process::exit(127)
        }
    };
    drop(to_write);
    let ended = wait(function, control)?;
    // In a process namespace of its own all the others end with this process.
    if plan.walls == Walls::Process {
        kill_all_children();
    }
    let message = match ended {
        None => return Ok(()),
        Some(Ended::Exited(code)) => [EXITED, u8::try_from(code).unwrap_or(u8::MAX)],
        Some(Ended::Killed(signal)) => [KILLED, u8::try_from(signal).unwrap_or(u8::MAX)],
    };
    sys::send(control, &message, &[])
}

/// How the function ended; nothing if the server wants it to.
fn wait(function: i32, control: &UnixStream) -> io::Result<Option<Ended>> {
    loop {
        if sys::watch(function, control, LOOK_EVERY)?.socket_closed {
            return Ok(None);
        }
        while let Ok(Some((child, ended))) = sys::reap() {
            if child == function {
                return Ok(Some(ended));
            }
        }
    }
}

/// Orphans become our children, so this finds whatever the function started, however it hides.
fn kill_all_children() {
    let list = format!("/proc/self/task/{}/children", std::process::id());
    loop {
        for child in fs::read_to_string(&list).unwrap_or_default().split_whitespace() {
            if let Ok(child) = child.parse() {
                drop(sys::kill(child));
            }
        }
        match sys::wait_any() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

//! Starts the function and its extensions, waits for their end, and leaves nothing behind.

use std::{
    fs,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use coffer_sys::sandbox::{self as sys, Fork};

use super::{
    become_program,
    news::{News, START, Who},
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
    let mut house = House { control, plan, running: Vec::new() };
    let outcome = house.keep(to_write);
    // In a process namespace of its own all the others end with this process.
    if plan.walls == Walls::Process {
        kill_all_children();
    }
    outcome
}

struct House<'a> {
    control: &'a UnixStream,
    plan: &'a Plan,
    running: Vec<(i32, Who)>,
}

impl House<'_> {
    /// Until all have ended, or the server wants them to.
    fn keep(&mut self, telemetry: OwnedFd) -> io::Result<()> {
        for place in 0..self.plan.extensions.len() {
            self.start(Who::Extension(u8::try_from(place).map_err(io::Error::other)?), None)?;
        }
        let mut telemetry = Some(telemetry);
        if self.plan.extensions.is_empty() {
            self.start_function(telemetry.take())?;
        }
        loop {
            let processes: Vec<i32> = self.running.iter().map(|(process, _)| *process).collect();
            let watched = sys::watch(&processes, self.control, LOOK_EVERY)?;
            if watched.socket_speaks {
                let mut word = [0; 1];
                let mut control = self.control;
                if control.read(&mut word)? == 0 || word != [START] || telemetry.is_none() {
                    return Ok(());
                }
                self.start_function(telemetry.take())?;
            }
            while let Ok(Some((child, ended))) = sys::reap() {
                if let Some(place) = self.running.iter().position(|(process, _)| *process == child) {
                    let (_, who) = self.running.swap_remove(place);
                    News::Ended(who, ended).send(self.control, &[])?;
                }
            }
            if self.running.is_empty() {
                return Ok(());
            }
        }
    }

    fn start_function(&mut self, telemetry: Option<OwnedFd>) -> io::Result<()> {
        let process = self.start(Who::Function, telemetry.as_ref())?;
        News::Started(process).send(self.control, &[])
    }

    fn start(&mut self, who: Who, telemetry: Option<&OwnedFd>) -> io::Result<i32> {
        match sys::fork()? {
            Fork::Parent(process) => {
                self.running.push((process, who));
                Ok(process)
            }
            Fork::Child => {
                let error = become_program(self.plan, who, telemetry.map(AsFd::as_fd));
                let what = if who == Who::Function { "the function" } else { "an extension" };
                let why = format!("{what} cannot be started: {error}");
                // If nobody listens any more, nobody wants to know.
                drop(News::Failed(who, why).send(self.control, &[]));
                std::process::exit(127)
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

//! What this machine can do for functions.

use std::{
    fs, io,
    io::Write,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use coffer_sys::sandbox::receive;

use crate::sandbox::{EXITED, FAILED, Plan, READY, Walls};

const WAIT: Duration = Duration::from_secs(10);
/// Something that is on every machine, does nothing, and ends well.
const PROGRAMS: &[&str] = &["/usr/bin/true", "/bin/true"];

/// Builds such walls once, around a program that does nothing. `place` is an empty directory.
pub fn can_build(
    walls: Walls,
    helper: &(PathBuf, Vec<String>),
    place: &Path,
    user: u32,
) -> Result<(), String> {
    attempt(walls, helper, place, user).map_err(|error| error.to_string())
}

fn attempt(walls: Walls, helper: &(PathBuf, Vec<String>), place: &Path, user: u32) -> io::Result<()> {
    let program = PROGRAMS.iter().find(|program| Path::new(program).exists());
    let program = program.ok_or_else(|| io::Error::other("there is no /usr/bin/true"))?;
    crate::unpack::directory(place)?;
    for name in ["root", "code", "runtime", "scratch"] {
        crate::unpack::directory(&place.join(name))?;
    }
    let plan = Plan {
        walls,
        user: (coffer_sys::effective_uid() == 0).then_some(user),
        root: place.join("root"),
        code: place.join("code"),
        layers: None,
        runtime: place.join("runtime"),
        scratch: place.join("scratch"),
        scratch_bytes: 1 << 20,
        read: Vec::new(),
        authorities: None,
        hosts: Vec::new(),
        listen: Vec::new(),
        data_bytes: 64 << 20,
        // The same user may be running functions.
        processes: 4096,
        open_files: 64,
        task_root: PathBuf::from("/"),
        program: vec![(*program).to_owned()],
        environment: Vec::new(),
    };
    let (mut ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(WAIT))?;
    let mut child = Command::new(&helper.0)
        .args(&helper.1)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let outcome = ours.write_all(plan.to_bytes()?.expose()).and_then(|()| listen(&ours));
    drop(ours);
    child.wait()?;
    drop(fs::remove_dir_all(place));
    outcome
}

fn listen(from: &UnixStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    let mut stands = false;
    loop {
        let (length, _) = receive(from.as_fd(), &mut buffer)?;
        match buffer.get(..length) {
            Some([READY]) => stands = true,
            // The news that it stands and that it has ended may come together.
            Some([READY, EXITED, 0] | [EXITED, 0]) => return Ok(()),
            Some([FAILED, why @ ..]) => {
                return Err(io::Error::other(String::from_utf8_lossy(why).into_owned()));
            }
            _ if stands => return Err(io::Error::other("a program behind the walls did not end well")),
            _ => return Err(io::Error::other("the walls did not come to stand")),
        }
    }
}

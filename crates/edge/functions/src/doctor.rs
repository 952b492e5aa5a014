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

use coffer_sys::sandbox::{Ended, receive};

use crate::sandbox::{News, Plan, Walls};

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
        extensions: Vec::new(),
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
    let (mut buffer, mut read) = ([0; 1024], Vec::new());
    let mut stands = false;
    loop {
        while let Some(news) = News::take(&mut read) {
            match news {
                News::Ready => stands = true,
                News::Started(_) => {}
                News::Ended(_, Ended::Exited(0)) => return Ok(()),
                News::Failed(_, why) => return Err(io::Error::other(why)),
                News::Ended(..) => {
                    return Err(io::Error::other("a program behind the walls did not end well"));
                }
            }
        }
        let (length, _) = receive(from.as_fd(), &mut buffer)?;
        let end = if stands {
            "a program behind the walls did not end well"
        } else {
            "the walls did not come to stand"
        };
        read.extend_from_slice(
            buffer.get(..length).filter(|piece| !piece.is_empty()).ok_or_else(|| io::Error::other(end))?,
        );
    }
}

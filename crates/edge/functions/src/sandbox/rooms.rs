//! The file system that a function sees: the machine's programs, its own code, and nothing else.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use coffer_sys::sandbox::{self as sys, Mount};

use super::{
    because,
    plan::{DEVICES, Plan, SYSTEM, SYSTEM_FILES, USER_INSIDE},
};

/// Where AWS's machines have what vouches for servers; some programs look nowhere else.
const AUTHORITIES: &str = "/etc/pki/tls/cert.pem";
const SHARED_MEMORY_BYTES: u64 = 64 << 20;

/// Builds the tree and moves into it.
pub(super) fn furnish(plan: &Plan) -> io::Result<()> {
    sys::private_mounts().map_err(because("private mounts"))?;
    sys::name_host("coffer")?;
    let root = &plan.root;
    let small = Mount { kind: "tmpfs", options: "size=1m,mode=755", executable: false };
    sys::mount(small, root).map_err(because("the root"))?;

    for path in SYSTEM.iter().chain(SYSTEM_FILES) {
        show(Path::new(path), root)?;
    }
    for path in &plan.read {
        show(path, root)?;
    }
    let at = |path: &str| under(root, Path::new(path));
    place(&plan.code, &at("/var/task"))?;
    place(&plan.runtime, &at("/var/runtime"))?;
    match &plan.layers {
        Some(layers) => place(layers, &at("/opt"))?,
        None => fs::create_dir_all(at("/opt"))?,
    }
    if let Some(authorities) = &plan.authorities {
        place(authorities, &at(AUTHORITIES))?;
    }
    let user = plan.user.unwrap_or(USER_INSIDE);
    file(
        &at("/etc/passwd"),
        &format!("root:x:0:0::/:/sbin/nologin\nfunction:x:{user}:{user}::/tmp:/sbin/nologin\n"),
    )?;
    file(&at("/etc/group"), &format!("root:x:0:\nfunction:x:{user}:\n"))?;
    file(&at("/etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n")?;
    let mut hosts = String::from("127.0.0.1 localhost coffer\n");
    for (name, address) in &plan.hosts {
        hosts.push_str(&format!("{address} {name}\n"));
    }
    file(&at("/etc/hosts"), &hosts)?;

    let temporary = format!("size={},mode=1777", plan.scratch_bytes);
    fs::create_dir_all(at("/tmp"))?;
    sys::mount(Mount { kind: "tmpfs", options: &temporary, executable: true }, &at("/tmp"))
        .map_err(because("/tmp"))?;
    let shared = format!("size={SHARED_MEMORY_BYTES},mode=1777");
    fs::create_dir_all(at("/dev/shm"))?;
    sys::mount(Mount { kind: "tmpfs", options: &shared, executable: false }, &at("/dev/shm"))
        .map_err(because("/dev/shm"))?;
    for device in DEVICES {
        file(&at(device), "")?;
        sys::bind(Path::new(device), &at(device), false, true).map_err(because("devices"))?;
    }
    for (name, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(format!("/proc/self/{target}"), at("/dev").join(name))?;
    }
    fs::create_dir_all(at("/proc"))?;
    // Of the machine nothing but its own processes. Where even that is covered up, in some containers, a function does without.
    let processes = Mount { kind: "proc", options: "subset=pid", executable: false };
    drop(sys::mount(processes, &at("/proc")));
    sys::pivot(root).map_err(because("the new root"))
}

fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// What the machine has at this path is at the same path inside. What it has not is not there inside either.
fn show(path: &Path, root: &Path) -> io::Result<()> {
    let Ok(about) = fs::symlink_metadata(path) else { return Ok(()) };
    let inside = under(root, path);
    // A part of what is there already.
    if fs::symlink_metadata(&inside).is_ok() {
        return Ok(());
    }
    if about.is_symlink() {
        if let Some(parent) = inside.parent() {
            fs::create_dir_all(parent)?;
        }
        symlink(fs::read_link(path)?, &inside)?;
        return Ok(());
    }
    place(path, &inside)
}

fn place(from: &Path, at: &Path) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(at)?;
    } else {
        file(at, "")?;
    }
    sys::bind(from, at, true, false)
        .map_err(|error| io::Error::other(format!("{} at {}: {error}", from.display(), at.display())))
}

fn file(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut made = fs::File::create(path)?;
    io::Write::write_all(&mut made, text.as_bytes())?;
    made.set_permissions(fs::Permissions::from_mode(0o644))
}

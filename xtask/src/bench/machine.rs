//! What was measured on: figures without their machine say little.
//!
//! The probe is the disk's own answer to the question that a durable write asks: append a page, wait until it is safe. A store
//! that waits once per group of writes cannot be quicker than that, and should not be much slower.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{clock::Stopwatch, histogram::Histogram};

const PROBE_SYNCS: usize = 200;
const PAGE_BYTES: usize = 4096;

#[derive(Debug)]
pub struct Machine {
    pub cores: usize,
    pub processor: String,
    pub kernel: String,
    pub file_system: String,
    pub sync_p50: Duration,
    pub sync_p99: Duration,
}

impl Machine {
    /// Looks at this machine, and at the disk under `place`.
    pub fn look(place: &Path) -> Result<Self> {
        let text = |path: &str| fs::read_to_string(path).with_context(|| path.to_owned());
        let processors = text("/proc/cpuinfo")?;
        let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let syncs = probe(place)?;
        Ok(Self {
            cores: thread::available_parallelism()?.get(),
            processor: processor.map_or("unknown", |(_, name)| name.trim()).to_owned(),
            kernel: text("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            file_system: file_system(&text("/proc/mounts")?, &place.canonicalize()?),
            sync_p50: syncs.quantile(500),
            sync_p99: syncs.quantile(990),
        })
    }
}

fn probe(place: &Path) -> Result<Histogram> {
    let path = place.join("probe");
    let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
    let mut syncs = Histogram::default();
    for _ in 0..PROBE_SYNCS {
        let watch = Stopwatch::start();
        file.write_all(&[b'p'; PAGE_BYTES])?;
        file.sync_data()?;
        syncs.add(watch.elapsed());
    }
    fs::remove_file(path)?;
    Ok(syncs)
}

/// The type of the mount that is nearest above `place`; of two at the same point, the later one covers the earlier.
fn file_system(mounts: &str, place: &Path) -> String {
    let mut best = (0, "unknown");
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(point), Some(kind)) = (fields.next(), fields.next()) else { continue };
        if place.starts_with(point) && point.len() >= best.0 {
            best = (point.len(), kind);
        }
    }
    best.1.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_decides() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/x xfs rw 0 0\n/dev/c /tmp/x btrfs rw 0 0\n";
        for (place, kind) in
            [("/home/a", "ext4"), ("/tmp/a", "tmpfs"), ("/tmp/x/y", "btrfs"), ("/tmp/xy", "tmpfs")]
        {
            assert_eq!(file_system(mounts, Path::new(place)), kind, "{place}");
        }
        assert_eq!(file_system("", Path::new("/")), "unknown");
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let place = tempfile::tempdir().unwrap();
        let machine = Machine::look(place.path()).unwrap();
        assert!(machine.cores > 0 && machine.sync_p99 >= machine.sync_p50, "{machine:?}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}

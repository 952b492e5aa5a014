//! A server in a process of its own: started, asked for what it used, and stopped.
//!
//! What a process used is read from `/proc`, from outside, so that the server needs no code for being measured.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::clock::Stopwatch;

/// The unit of times in `/proc/<pid>/stat`. The kernel may count in another one inside, but shows this one on every platform we know.
const TICKS_PER_SECOND: u64 = 100;
/// How much of the log an error message shows.
const LOG_LINES_SHOWN: usize = 20;

#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// From just before the process was made to the line that says it is ready.
    pub ready_after: Duration,
    /// Kept open, because a server that loses its output may think that nobody is there.
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a server and waits for the line in its output that tells its address.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let watch = Stopwatch::start();
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let Some(output) = child.stdout.take() else { bail!("the server has no output") };
        let mut output = BufReader::new(output);
        let mut line = String::new();
        loop {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                let status = child.wait()?;
                bail!("the server ended before it was ready ({status})\n{}", end_of(log));
            }
            if let Some(address) = address_in(&line) {
                return Ok(Self { child, address, ready_after: watch.elapsed(), _output: output });
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn rss_bytes(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        kib_in(&text, "VmRSS:").context("the kernel does not say how much memory the server has")
    }

    /// The most that it ever had.
    pub fn peak_bytes(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        kib_in(&text, "VmHWM:").context("the kernel does not say how much memory the server had")
    }

    /// Stops the server as an operator does, and waits until it is gone.
    pub fn stop(mut self) -> Result<()> {
        let pid = self.pid().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().context("starting `kill`")?;
        let ended = self.child.wait()?;
        if !told.success() || !ended.success() {
            bail!("the server did not stop well ({ended})");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` there is nobody left to kill, and that is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a process has used of the processors so far, in user and in kernel mode, all threads together.
pub fn cpu(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("the server is gone")?;
    cpu_in(&text).with_context(|| format!("not the state of a process: {text}"))
}

/// What all processes have used so far, and the kernel beside them, and other guests of the same host.
pub fn cpu_of_all() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    cpu_of_all_in(&text).context("the kernel does not say what the processors did")
}

fn cpu_of_all_in(stat: &str) -> Option<Duration> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    // user, nice, system, idle, waiting for a disk, interrupts, soft interrupts, stolen; what follows is in the first two already.
    let mut ticks = 0;
    for (index, field) in fields.take(8).enumerate() {
        let field: u64 = field.parse().ok()?;
        ticks += if matches!(index, 3 | 4) { 0 } else { field };
    }
    Some(Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND)))
}

fn cpu_in(stat: &str) -> Option<Duration> {
    // The name stands in parentheses and may hold spaces and parentheses itself.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + kernel) * (1000 / TICKS_PER_SECOND)))
}

fn kib_in(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find(|char: char| !(char.is_ascii_digit() || ".:[]".contains(char))).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 914 0 0 0 250 50 7 9 20 0 5 0 100 1 2 3\n";
        assert_eq!(cpu_in(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_in("42 (a) S 1"), None);
        assert!(cpu(std::process::id()).is_ok());
    }

    #[test]
    fn idle_processors_and_waiting_ones_do_not_count() {
        let stat = "cpu  100 20 30 5000 600 4 5 41 7 8\ncpu0 1 2 3\n";
        assert_eq!(cpu_of_all_in(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_of_all_in("intr 1\n"), None);
        assert!(cpu_of_all().unwrap() >= cpu(std::process::id()).unwrap());
    }

    #[test]
    fn memory_is_in_kibibytes() {
        assert_eq!(kib_in("Name:\tx\nVmRSS:\t   12345 kB\n", "VmRSS:"), Some(12_345 << 10));
        assert_eq!(kib_in("Name:\tx\n", "VmRSS:"), None);
    }

    #[test]
    fn the_address_is_wherever_the_line_has_it() {
        for (line, address) in [
            ("http://127.0.0.1:4566\n", Some("127.0.0.1:4566")),
            ("coffer is ready at http://127.0.0.1:80, account 1\n", Some("127.0.0.1:80")),
            ("  endpoint   http://[::1]:99/\n", Some("[::1]:99")),
            ("account 111122223333\n", None),
            ("see http://example.org/\n", None),
        ] {
            assert_eq!(address_in(line).map(|found| found.to_string()).as_deref(), address, "{line}");
        }
    }

    #[test]
    fn a_server_that_ends_at_once_says_why() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo the reason >&2; exit 3"]);
        let error = Server::start(&mut command, &log).unwrap_err().to_string();
        assert!(error.contains("the reason") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_server_is_stopped_with_a_signal() {
        let place = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "trap 'exit 0' TERM; echo at http://127.0.0.1:1; while :; do sleep 0.01; done"]);
        let server = Server::start(&mut command, &place.path().join("log")).unwrap();
        assert!(server.rss_bytes().unwrap() > 0);
        server.stop().unwrap();
    }
}

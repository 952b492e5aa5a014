//! What a function prints: read as it comes, cut where it is too much, one event for each message.

use std::{io, os::fd::OwnedFd, sync::Arc, time::Duration};

use coffer_types::{Clock, Timestamp};
use tokio::net::unix::pipe::Receiver;

use crate::backing::LogEvent;

/// What one invocation may print.
const BYTES_MAX: usize = 1 << 20;
/// The longest message that logs take.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
const PIECE_BYTES: usize = 64 * 1024;
/// Every event has some cost of its own.
const EVENTS_MAX: usize = 10_000;
/// The longest that a call takes.
const CALL_MAX: Duration = Duration::from_secs(900);
const FRAME_HEAD: usize = 16;
const FRAME_MARK: u32 = 0xa55a_0000;

/// The three ways out of a function.
pub(crate) struct Output {
    clock: Arc<dyn Clock>,
    printed: [Option<Receiver>; 2],
    lines: [Vec<u8>; 2],
    telemetry: Option<Receiver>,
    frames: Vec<u8>,
    pub(crate) log: Log,
}

/// The events of one invocation, or of the start.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) events: Vec<LogEvent>,
    bytes: usize,
    is_full: bool,
}

impl Log {
    pub(crate) fn push(&mut self, at: Timestamp, message: String) {
        if self.is_full {
            return;
        }
        self.bytes += message.len();
        if self.bytes > BYTES_MAX || self.events.len() >= EVENTS_MAX {
            self.is_full = true;
            self.events.push(LogEvent {
                at,
                message: String::from("[Coffer] the rest of the output was left out: it is too long\n"),
            });
        } else {
            self.events.push(LogEvent { at, message });
        }
    }

    /// Goes on with what came later.
    pub(crate) fn take(&mut self, later: Self) {
        self.bytes += later.bytes;
        self.events.extend(later.events);
    }

    /// Ours, which always has room.
    pub(crate) fn say(&mut self, at: Timestamp, message: String) {
        self.events.push(LogEvent { at, message });
    }
}

impl Output {
    pub(crate) const fn new(clock: Arc<dyn Clock>, stdout: Receiver, stderr: Receiver) -> Self {
        Self {
            clock,
            printed: [Some(stdout), Some(stderr)],
            lines: [Vec::new(), Vec::new()],
            telemetry: None,
            frames: Vec::new(),
            log: Log { events: Vec::new(), bytes: 0, is_full: false },
        }
    }

    pub(crate) fn listen_to(&mut self, telemetry: OwnedFd) -> io::Result<()> {
        self.telemetry = Some(Receiver::from_owned_fd(telemetry)?);
        Ok(())
    }

    pub(crate) fn take_log(&mut self) -> Log {
        std::mem::take(&mut self.log)
    }

    /// Reads one piece as soon as there is one. False when all are closed.
    pub(crate) async fn pump(&mut self) -> bool {
        let [stdout, stderr] = &self.printed;
        let which = tokio::select! {
            true = readable(self.telemetry.as_ref()) => 2,
            true = readable(stdout.as_ref()) => 0,
            true = readable(stderr.as_ref()) => 1,
            else => return false,
        };
        self.read(which);
        true
    }

    /// Reads what is there now.
    pub(crate) fn drain(&mut self) {
        for which in [2, 0, 1] {
            // A function that prints without end does not hold us up.
            for _ in 0..64 {
                if !self.read(which) {
                    break;
                }
            }
        }
    }

    /// What came without an end of line is an event as well.
    pub(crate) fn finish(&mut self) {
        for index in [0, 1] {
            let Some(line) = self.lines.get_mut(index) else { continue };
            if !line.is_empty() {
                let rest = std::mem::take(line);
                self.log.push(self.clock.now(), text(&rest));
            }
        }
    }

    fn read(&mut self, which: usize) -> bool {
        let place = match which {
            2 => &mut self.telemetry,
            other => match self.printed.get_mut(other) {
                Some(place) => place,
                None => return false,
            },
        };
        let Some(pipe) = place else { return false };
        let mut piece = vec![0; PIECE_BYTES];
        match pipe.try_read(&mut piece) {
            Ok(0) => {
                *place = None;
                false
            }
            Ok(length) => {
                piece.truncate(length);
                if which == 2 {
                    self.frames(&piece);
                } else {
                    self.lines(which, &piece);
                }
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                *place = None;
                false
            }
        }
    }

    fn lines(&mut self, which: usize, piece: &[u8]) {
        if self.log.is_full {
            return;
        }
        let now = self.clock.now();
        let Some(rest) = self.lines.get_mut(which) else { return };
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            rest.extend_from_slice(part);
            if part.ends_with(b"\n") || rest.len() >= MESSAGE_BYTES_MAX {
                self.log.push(now, text(rest));
                rest.clear();
            }
        }
    }

    fn frames(&mut self, piece: &[u8]) {
        self.frames.extend_from_slice(piece);
        while let Some((head, rest)) = self.frames.split_at_checked(FRAME_HEAD) {
            let number = |from: usize, to: usize| {
                head.get(from..to)
                    .unwrap_or_default()
                    .iter()
                    .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
            };
            let length = usize::try_from(number(4, 8)).unwrap_or(usize::MAX);
            let mark = u32::try_from(number(0, 4)).unwrap_or_default();
            if mark & 0xffff_0000 != FRAME_MARK || length > PIECE_BYTES * 64 {
                // Somebody else writes there; it cannot be told where the next frame begins.
                self.frames.clear();
                self.telemetry = None;
                return;
            }
            let Some(message) = rest.get(..length) else { return };
            // It says when that was, and is believed as far as it can be.
            let now = self.clock.now();
            let said = Timestamp::from_millis(i64::try_from(number(8, 16) / 1000).unwrap_or_default());
            let at = said.clamp(now.minus(CALL_MAX), now);
            let message = text(message.get(..MESSAGE_BYTES_MAX).unwrap_or(message));
            self.log.push(at, message);
            self.frames.drain(..FRAME_HEAD + length);
        }
    }
}

async fn readable(pipe: Option<&Receiver>) -> bool {
    match pipe {
        Some(pipe) => pipe.readable().await.is_ok(),
        None => false,
    }
}

fn text(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

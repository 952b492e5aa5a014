//! The write-ahead log, read by us before SQLite reads it.
//!
//! SQLite takes the log up to the first frame whose checksum is wrong and drops the rest without a word. After a crash that is
//! right: the rest is what was being written. After a flipped bit it is not: everything behind that bit was acknowledged and
//! vanishes, and the store looks healthy. So a log that an unclean stop left behind is examined first, and a start that would
//! lose acknowledged writes is refused.
//!
//! # What can be told apart
//!
//! A frame carries the salts of its generation and a checksum that continues the one of the frame before. Whether a frame
//! *behind* a broken one is whole can therefore still be checked, against the checksum that its neighbour carries. A commit writes its
//! frames, the last of them marked, and is synced before the next commit writes anything. Hence, behind the first broken frame:
//!
//! * **nothing of this generation is whole**, or no mark is: a torn tail, never acknowledged. Frames with other salts are of an older
//!   generation, whose pages are all in the file. Unmarked ones can also be what a rolled-back transaction spilled.
//! * **marks of two commits**: the later one was written after the earlier one was synced, so synced bytes have changed. Damage.
//! * **the mark of one commit, and the broken frame is before it**: either one transaction whose pages reached the disk out of order
//!   when the power failed, which nobody was told of, or the last acknowledged one, damaged later. The contents decide: if changing
//!   a single bit makes the frame whole, a bit has flipped; a sector that was not written would have to differ from what was there
//!   before in that bit alone. Anything else is taken for a torn write. The same look finds a flipped bit in the very last mark.
//! * **a broken header before a whole mark**: the header is synced before its first frame is written. Damage.
//!
//! So one flipped bit is found wherever it costs something, and larger damage wherever the marks of two commits are left behind it.
//! What is not found is larger damage at the very end, which looks like the power failure that it may have been. And of a
//! broken header nobody knows whether all behind it had been copied into the file already; then we refuse without need.
//!
//! INVARIANT: commits of one generation were all written by one process. The engine begins a new one whenever it opens
//! (see `schema`), so that leftovers of an earlier crash never lie behind the frames of a later one with the same salts.
//!
//! To go on without the lost writes is a decision of a person. [`accept_loss`] takes the name of this very damage, sets the whole
//! log aside, and cuts it behind the last commit that is whole.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    ops::RangeInclusive,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{
    directory::{self, DataDirectory, LOG},
    schema,
};
use crate::EngineError;

#[cfg(test)]
mod tests;

const HEADER_LEN: usize = 32;
const FRAME_HEADER_LEN: usize = 24;
/// The lowest bit tells the order of bytes in which the checksums were made.
const MAGIC: u32 = 0x377f_0682;
/// Where the header does not tell: what SQLite has made since 2016, and we never ask for another.
const PAGE_LEN_DEFAULT: u32 = 4096;
const PAGE_LENS: RangeInclusive<u32> = 512..=65536;
/// In front of the name of the damage, in the name of a log that was set aside.
const SET_ASIDE: &str = "store.db-wal.damaged-";

/// What a log is like that nobody has open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogState {
    /// There is none, as after a clean stop.
    Empty,
    /// What it holds will be found by the next start. Bytes behind its last commit belong to no answer that anybody got.
    Whole {
        commits: u64,
    },
    Damaged(LogDamage),
}

/// Acknowledged writes that cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDamage {
    /// Names this damage and no other.
    pub id: String,
    /// The broken frame, from 1; zero is the header.
    pub frame: u64,
    /// At least so many commits are lost.
    pub lost_commits: u64,
    /// Where the part ends that can be read.
    good_bytes: u64,
}

impl fmt::Display for LogDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frame, lost_commits, .. } = self;
        write!(
            f,
            "the write-ahead log is damaged at frame {frame}, and at least {lost_commits} acknowledged commits from there on are lost"
        )
    }
}

/// Examines the log in a data directory. Nobody may have the store open; nothing is changed.
pub fn examine_log(directory: &Path) -> Result<LogState, EngineError> {
    let path = directory.join(LOG);
    match File::open(&path) {
        Ok(file) => examine(&mut BufReader::with_capacity(1 << 20, file))
            .map_err(|error| directory::failed(&path, "cannot be read", &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LogState::Empty),
        Err(error) => Err(directory::failed(&path, "cannot be read", &error)),
    }
}

/// Gives up what a damaged log cannot tell any more. Answers where the log was kept.
pub fn accept_loss(directory: &Path, id: &str) -> Result<(LogDamage, PathBuf), EngineError> {
    let directory = DataDirectory::take(directory)?;
    let damage = match examine_log(directory.path())? {
        LogState::Damaged(damage) if damage.id == id => damage,
        LogState::Damaged(damage) => {
            return Err(EngineError::unavailable(format!(
                "the damage here is another one, {}; nothing was changed",
                damage.id
            )));
        }
        LogState::Empty | LogState::Whole { .. } => {
            return Err(EngineError::unavailable(
                "the write-ahead log has no such damage; nothing was changed",
            ));
        }
    };
    if damage.good_bytes == 0 && !schema::is_furnished(&directory.store())? {
        return Err(EngineError::unavailable(
            "no whole commit would be left, and the store file is empty inside: all that was written is in the damaged log; \
             nothing was changed, restore the last good backup, or keep the directory and begin a new store in another",
        ));
    }
    let log = directory.path().join(LOG);
    let kept = directory.path().join(format!("{SET_ASIDE}{id}"));
    let set_aside = || -> io::Result<()> {
        // One that is there already is from an attempt that did not get to the end, and holds the same.
        let mut copy = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&kept)?;
        io::copy(&mut File::open(&log)?, &mut copy)?;
        copy.flush()?;
        copy.sync_all()?;
        File::open(directory.path())?.sync_all()?;
        let file = OpenOptions::new().write(true).open(&log)?;
        file.set_len(damage.good_bytes)?;
        file.sync_all()
    };
    set_aside().map_err(|error| directory::failed(&log, "cannot be set aside", &error))?;
    tracing::warn!(damage = id, lost_commits = damage.lost_commits, kept = %kept.display(), "lost writes were accepted");
    Ok((damage, kept))
}

/// Logs that somebody gave up, and that still lie beside the store.
pub fn logs_set_aside(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_one =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SET_ASIDE));
    let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_one).collect();
    found.sort();
    found
}

/// The two running sums over pairs of words.
type Sums = [u32; 2];
type Salts = [u8; 8];

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };

    const fn word(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    fn extend(self, sums: Sums, bytes: &[u8]) -> Sums {
        let [mut first, mut second] = sums;
        for pair in bytes.as_chunks::<8>().0 {
            let [a, b, c, d, e, f, g, h] = *pair;
            first = first.wrapping_add(self.word([a, b, c, d])).wrapping_add(second);
            second = second.wrapping_add(self.word([e, f, g, h])).wrapping_add(first);
        }
        [first, second]
    }
}

struct Header {
    order: Order,
    page_len: usize,
    salts: Salts,
    stored: Sums,
    computed: Sums,
    is_whole: bool,
}

impl Header {
    fn read(bytes: &[u8; HEADER_LEN]) -> Self {
        let [magic, _version, page_len, _checkpoints, _, _, first, second] = words(bytes);
        let [_, _, salts, _] = chunks(bytes);
        let stored = [first, second];
        let computed_in = |order: Order| order.extend([0, 0], bytes.get(..24).unwrap_or_default());
        let order = if magic == MAGIC { Order::Little } else { Order::Big };
        let is_whole = magic & !1 == MAGIC
            && PAGE_LENS.contains(&page_len)
            && page_len.is_power_of_two()
            && stored == computed_in(order);
        // What a broken header says about the frames behind it may be what is broken.
        let (order, page_len) = if is_whole { (order, page_len) } else { (Order::NATIVE, PAGE_LEN_DEFAULT) };
        Self { order, page_len: page_len as usize, salts, stored, computed: computed_in(order), is_whole }
    }
}

/// Bytes as numbers of the file, which are big-endian whatever the order of the sums.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = bytes.as_chunks::<4>().0.iter();
    std::array::from_fn(|_| words.next().map_or(0, |word| u32::from_be_bytes(*word)))
}

fn chunks<const N: usize>(bytes: &[u8]) -> [[u8; 8]; N] {
    let mut chunks = bytes.as_chunks::<8>().0.iter();
    std::array::from_fn(|_| chunks.next().copied().unwrap_or_default())
}

/// One frame as it lies there.
struct Frame {
    /// The number of its page, and the size of the store if it ends a commit; these and the page are summed.
    summed: [u8; 8],
    salts: Salts,
    stored: Sums,
}

impl Frame {
    fn read(header: &[u8; FRAME_HEADER_LEN]) -> Self {
        let [summed, salts, sums] = chunks(header);
        Self { summed, salts, stored: words(&sums) }
    }

    fn ends_commit(&self) -> bool {
        self.summed.last_chunk::<4>() != Some(&[0; 4])
    }
}

/// What lies behind the first frame that is broken.
#[derive(Default)]
struct Break {
    /// Zero is the header.
    frame: u64,
    /// One bit explains it.
    is_flip: bool,
    /// Marks of commits from the broken frame on, whole or not.
    marks: u64,
    /// The same, up to the last one that is whole.
    marks_proven: u64,
}

fn examine(from: &mut dyn Read) -> io::Result<LogState> {
    let mut header = [0; HEADER_LEN];
    if !fill(from, &mut header)? {
        // Not even a header: nothing was ever committed here.
        return Ok(LogState::Empty);
    }
    let header = Header::read(&header);
    let order = header.order;
    // A broken header may be wrong about its salts; then the first frame that is whole tells them.
    let mut salts = header.is_whole.then_some(header.salts);
    // What the frame before carries, and what it should carry; the same until something is broken.
    let (mut carried, mut expected) = (header.stored, header.computed);
    let (mut commits, mut good_bytes) = (0, 0);
    let mut broken = (!header.is_whole).then(Break::default);
    let (mut frame_header, mut page) = ([0; FRAME_HEADER_LEN], vec![0; header.page_len]);
    let mut number = 0_u64;
    while fill(from, &mut frame_header)? && fill(from, &mut page)? {
        number += 1;
        let frame = Frame::read(&frame_header);
        let sums_after = |before: Sums| order.extend(order.extend(before, &frame.summed), &page);
        let after_carried = sums_after(carried);
        let continues = after_carried == frame.stored || sums_after(expected) == frame.stored;
        (carried, expected) = (frame.stored, after_carried);
        let ours = match salts {
            Some(salts) => salts,
            None if continues => *salts.insert(frame.salts),
            None => continue,
        };
        let is_ours = frame.salts == ours;
        let is_mark = is_ours && frame.ends_commit();
        match &mut broken {
            None if is_ours && continues => {
                if is_mark {
                    commits += 1;
                    good_bytes = (HEADER_LEN as u64) + number * (FRAME_HEADER_LEN + page.len()) as u64;
                }
            }
            None => {
                let flip = Flip::find(order, &frame, ours, after_carried, &page);
                let is_mark = flip.as_ref().map_or(is_mark, |flip| flip.ends_commit);
                broken = Some(Break {
                    frame: number,
                    is_flip: flip.is_some(),
                    marks: u64::from(is_mark),
                    marks_proven: 0,
                });
            }
            Some(behind) => {
                behind.marks += u64::from(is_mark);
                if is_mark && continues {
                    behind.marks_proven = behind.marks;
                }
            }
        }
    }
    let Some(behind) = broken else {
        return Ok(LogState::Whole { commits });
    };
    let lost_commits = match behind {
        Break { frame: 0, marks_proven, .. } => marks_proven,
        // The broken frame may be the last mark itself.
        Break { is_flip: true, marks_proven: 0, marks, .. } => marks.min(1),
        Break { is_flip: true, marks_proven, .. } => marks_proven,
        // One alone may be a transaction that was being written.
        Break { marks_proven, .. } if marks_proven >= 2 => marks_proven,
        Break { .. } => 0,
    };
    if lost_commits == 0 {
        return Ok(LogState::Whole { commits });
    }
    let id = format!("{:016x}-{}", u64::from_be_bytes(salts.unwrap_or_default()), behind.frame);
    Ok(LogState::Damaged(LogDamage { id, frame: behind.frame, lost_commits, good_bytes }))
}

/// Fills the buffer, or answers that the file ends before.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A frame that one bit keeps from being whole.
struct Flip {
    /// Whether the frame ended a commit before its bit flipped. The upper bits of different words can explain the same difference;
    /// if one of them says that it did, it did.
    ends_commit: bool,
}

impl Flip {
    /// The frame before is whole, so `computed` is what this one should carry.
    fn find(order: Order, frame: &Frame, salts: Salts, computed: Sums, page: &[u8]) -> Option<Self> {
        let as_it_reads = Self { ends_commit: frame.ends_commit() };
        let salt_bits = u64::from_be_bytes(frame.salts) ^ u64::from_be_bytes(salts);
        let [[first, second], [stored_first, stored_second]] = [computed, frame.stored];
        let sum_bits = (first ^ stored_first).count_ones() + (second ^ stored_second).count_ones();
        match (salt_bits.count_ones(), sum_bits) {
            (1, 0) | (0, 1) => return Some(as_it_reads),
            (0, _) => {}
            _ => return None,
        }
        let difference = [first.wrapping_sub(stored_first), second.wrapping_sub(stored_second)];
        let [before, size] = frame.summed.as_chunks::<4>().0 else { return None };
        let mut is_found = false;
        // The sums are linear: the change of a word adds itself times what the words behind it make of it. So we walk back from
        // the end and ask at each word whether any of its bits would explain the difference.
        let (mut of_second, mut of_first): (Sums, Sums) = ([0, 1], [1, 1]);
        for pair in page.as_chunks::<8>().0.iter().rev() {
            let [a, b, c, d, e, f, g, h] = *pair;
            is_found |= flipped_bit(order.word([e, f, g, h]), of_second, difference).is_some()
                || flipped_bit(order.word([a, b, c, d]), of_first, difference).is_some();
            (of_second, of_first) = (one_pair_on(of_second), one_pair_on(of_first));
        }
        is_found |= flipped_bit(order.word(*before), of_first, difference).is_some();
        let size = order.word(*size);
        let of_size = flipped_bit(size, of_second, difference).map(|bit| size ^ (1 << bit) != 0);
        match of_size {
            Some(ended_commit) => {
                Some(Self { ends_commit: ended_commit || (is_found && frame.ends_commit()) })
            }
            None => is_found.then_some(as_it_reads),
        }
    }
}

/// The bit of a word that, flipped, changed the sums by this difference.
fn flipped_bit(word: u32, [first, second]: Sums, difference: Sums) -> Option<u32> {
    (0..u32::BITS).find(|bit| {
        let value = 1_u32 << bit;
        let change = if word & value == 0 { value.wrapping_neg() } else { value };
        difference == [first.wrapping_mul(change), second.wrapping_mul(change)]
    })
}

/// What a pair of zeros makes of the sums.
const fn one_pair_on([first, second]: Sums) -> Sums {
    let first = first.wrapping_add(second);
    [first, second.wrapping_add(first)]
}

//! A whole store as a stream of small frames.
//!
//! All engines write the same frames in the same order, so an export moves a store between engines, and two stores
//! with equal exports are equal. Frames are complete in themselves: a backup can seal each one, or many together,
//! without knowing what they hold. The closing frame counts what came before, so a stream that was cut is not mistaken for a
//! smaller store.

use std::io::{self, Read, Write};

use bytes::Bytes;
use coffer_types::{AccountId, Region};

use crate::{
    AuditPlace, AuditRow, EngineError, EntityId, Entry, Key, Partition, Rev, TxnToken,
    limits::{
        AUDIT_ROWS_MAX, ENTITY_ID_BYTES_MAX, KEY_BYTES_MAX, TOUCHED_MAX, TXN_BYTES_MAX, VALUE_BYTES_MAX,
        at_most,
    },
};

/// Raised when a reader of the old version could not make sense of the new frames.
pub(crate) const STREAM_VERSION: u16 = 1;

/// No frame is larger than the largest audit row with its place.
const FRAME_BYTES_MAX: usize = TXN_BYTES_MAX + 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Begin {
        version: u16,
    },
    /// What follows, up to the next of these, belongs to this partition.
    Partition {
        partition: Partition,
        head: Rev,
    },
    Change {
        rev: Rev,
        token: TxnToken,
        touched: Vec<EntityId>,
    },
    Entry(Entry),
    Audit(AuditRow),
    End(ImportReport),
}

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ImportReport {
    pub partitions: u64,
    pub changes: u64,
    pub entries: u64,
    pub audit_rows: u64,
}

/// Where an export goes.
pub trait FrameSink {
    fn put(&mut self, frame: &Frame) -> Result<(), EngineError>;
}

/// Where an import comes from. The end of the stream is `None`.
pub trait FrameSource {
    fn take(&mut self) -> Result<Option<Frame>, EngineError>;
}

impl FrameSink for Vec<Frame> {
    fn put(&mut self, frame: &Frame) -> Result<(), EngineError> {
        self.push(frame.clone());
        Ok(())
    }
}

impl FrameSource for std::vec::IntoIter<Frame> {
    fn take(&mut self) -> Result<Option<Frame>, EngineError> {
        Ok(self.next())
    }
}

const BEGIN: u8 = 1;
const PARTITION: u8 = 2;
const CHANGE: u8 = 3;
const ENTRY: u8 = 4;
const AUDIT: u8 = 5;
const END: u8 = 6;

impl Frame {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Begin { version } => {
                out.push(BEGIN);
                out.extend_from_slice(&version.to_be_bytes());
            }
            Self::Partition { partition, head } => {
                out.push(PARTITION);
                put_number(&mut out, head.0);
                put_bytes(&mut out, partition.account.as_str().as_bytes());
                put_bytes(&mut out, partition.region.as_str().as_bytes());
            }
            Self::Change { rev, token, touched } => {
                out.push(CHANGE);
                put_number(&mut out, rev.0);
                out.extend_from_slice(&token.0);
                for id in touched {
                    put_bytes(&mut out, &id.0);
                }
            }
            Self::Entry(Entry { key, value, rev }) => {
                out.push(ENTRY);
                put_number(&mut out, rev.0);
                put_bytes(&mut out, key.as_bytes());
                put_bytes(&mut out, value);
            }
            Self::Audit(AuditRow { place, row }) => {
                out.push(AUDIT);
                put_number(&mut out, place.rev.0);
                put_number(&mut out, u64::from(place.ordinal));
                put_bytes(&mut out, row);
            }
            Self::End(report) => {
                out.push(END);
                for count in [report.partitions, report.changes, report.entries, report.audit_rows] {
                    put_number(&mut out, count);
                }
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        let mut from = Fields(bytes);
        let frame = match from.array::<1>()? {
            [BEGIN] => Self::Begin { version: u16::from_be_bytes(from.array()?) },
            [PARTITION] => {
                let head = Rev(from.number()?);
                let account = from.text(AccountId::DEV.as_str().len())?;
                let region = from.text(KEY_BYTES_MAX)?;
                Self::Partition { partition: partition_from_text(account, region)?, head }
            }
            [CHANGE] => {
                let (rev, token) = (Rev(from.number()?), TxnToken(from.array()?));
                Self::Change { rev, token, touched: from.entity_ids()? }
            }
            [ENTRY] => {
                let rev = Rev(from.number()?);
                let key = Key::from(from.bytes(KEY_BYTES_MAX)?);
                let value = Bytes::copy_from_slice(from.bytes(VALUE_BYTES_MAX)?);
                Self::Entry(Entry { key, value, rev })
            }
            [AUDIT] => {
                let rev = Rev(from.number()?);
                let ordinal = u32::try_from(from.number()?).map_err(|_| malformed())?;
                let row = Bytes::copy_from_slice(from.bytes(TXN_BYTES_MAX)?);
                Self::Audit(AuditRow { place: AuditPlace { rev, ordinal }, row })
            }
            [END] => Self::End(ImportReport {
                partitions: from.number()?,
                changes: from.number()?,
                entries: from.number()?,
                audit_rows: from.number()?,
            }),
            _ => return Err(malformed()),
        };
        if from.0.is_empty() { Ok(frame) } else { Err(malformed()) }
    }
}

/// The ids of one change as one value, for engines that keep them in a column.
pub(crate) fn encode_entity_ids(ids: &[EntityId]) -> Vec<u8> {
    let mut out = Vec::new();
    for id in ids {
        put_bytes(&mut out, &id.0);
    }
    out
}

pub(crate) fn decode_entity_ids(bytes: &[u8]) -> Result<Vec<EntityId>, EngineError> {
    Fields(bytes).entity_ids()
}

pub(crate) fn partition_from_text(account: &str, region: &str) -> Result<Partition, EngineError> {
    let global = Region::global();
    let region = if region == global.as_str() { Ok(global) } else { region.parse() };
    match (account.parse(), region) {
        (Ok(account), Ok(region)) => Ok(Partition { account, region }),
        _ => Err(EngineError::corrupt("a partition has an impossible name")),
    }
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_be_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // Everything that gets here is below the limits of a transaction, which fit four bytes many times.
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn malformed() -> EngineError {
    EngineError::corrupt("a stored or exported frame does not decode")
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn split(&mut self, length: usize) -> Result<&'a [u8], EngineError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EngineError> {
        self.split(N)?.try_into().map_err(|_| malformed())
    }

    fn number(&mut self) -> Result<u64, EngineError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn bytes(&mut self, max: usize) -> Result<&'a [u8], EngineError> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        at_most("field of a frame", length, max).map_err(|_| malformed())?;
        self.split(length)
    }

    fn text(&mut self, max: usize) -> Result<&'a str, EngineError> {
        std::str::from_utf8(self.bytes(max)?).map_err(|_| malformed())
    }

    fn entity_ids(&mut self) -> Result<Vec<EntityId>, EngineError> {
        let mut ids = Vec::new();
        while !self.0.is_empty() {
            at_most("number of touched entities", ids.len() + 1, TOUCHED_MAX).map_err(|_| malformed())?;
            ids.push(EntityId(Bytes::copy_from_slice(self.bytes(ENTITY_ID_BYTES_MAX)?)));
        }
        Ok(ids)
    }
}

/// Frames with their length in front, in a file or pipe.
#[derive(Debug)]
pub struct FrameWriter<W>(pub W);

impl<W: Write> FrameSink for FrameWriter<W> {
    fn put(&mut self, frame: &Frame) -> Result<(), EngineError> {
        let mut out = Vec::new();
        put_bytes(&mut out, &frame.encode());
        self.0.write_all(&out).map_err(|error| stream_failed(&error))
    }
}

#[derive(Debug)]
pub struct FrameReader<R>(pub R);

impl<R: Read> FrameSource for FrameReader<R> {
    fn take(&mut self) -> Result<Option<Frame>, EngineError> {
        let mut length = [0; 4];
        // The first byte alone tells a stream that has ended from one that was cut.
        let [first, rest @ ..] = &mut length;
        if self.0.read(std::slice::from_mut(first)).map_err(|error| stream_failed(&error))? == 0 {
            return Ok(None);
        }
        self.0.read_exact(rest).map_err(|error| stream_failed(&error))?;
        let length = u32::from_be_bytes(length) as usize;
        at_most("frame", length, FRAME_BYTES_MAX).map_err(|_| malformed())?;
        let mut frame = vec![0; length];
        self.0.read_exact(&mut frame).map_err(|error| stream_failed(&error))?;
        Frame::decode(&frame).map(Some)
    }
}

fn stream_failed(error: &io::Error) -> EngineError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        EngineError::corrupt("the stream ends in the middle of a frame")
    } else {
        EngineError::unavailable(format!("the stream failed: {error}; try again"))
    }
}

/// An engine while it is being filled.
pub(crate) trait Loading {
    fn partition(&mut self, partition: &Partition, head: Rev) -> Result<(), EngineError>;
    fn change(&mut self, rev: Rev, token: TxnToken, touched: Vec<EntityId>) -> Result<(), EngineError>;
    fn entry(&mut self, entry: Entry) -> Result<(), EngineError>;
    fn audit(&mut self, row: AuditRow) -> Result<(), EngineError>;
}

/// Reads a stream to its end and hands over only what a correct export could contain.
pub(crate) fn load(from: &mut dyn FrameSource, into: &mut dyn Loading) -> Result<ImportReport, EngineError> {
    match from.take()? {
        Some(Frame::Begin { version: STREAM_VERSION }) => {}
        Some(Frame::Begin { version }) => {
            return Err(EngineError::IncompatibleFormat {
                reason: format!(
                    "the export is version {version} and this program reads {STREAM_VERSION}; use the version that wrote it"
                ),
            });
        }
        _ => return Err(EngineError::corrupt("the stream does not begin as an export")),
    }
    let mut count = ImportReport::default();
    let mut order = Order::default();
    loop {
        match from.take()? {
            Some(Frame::Partition { partition, head }) => {
                order.partition(&partition, head)?;
                count.partitions += 1;
                into.partition(&partition, head)?;
            }
            Some(Frame::Change { rev, token, touched }) => {
                order.change(rev)?;
                count.changes += 1;
                into.change(rev, token, touched)?;
            }
            Some(Frame::Entry(entry)) => {
                order.entry(&entry)?;
                count.entries += 1;
                into.entry(entry)?;
            }
            Some(Frame::Audit(row)) => {
                order.audit(row.place)?;
                count.audit_rows += 1;
                into.audit(row)?;
            }
            Some(Frame::End(expected)) if expected == count => break,
            Some(Frame::End(_)) => return Err(EngineError::corrupt("the export misses frames")),
            Some(Frame::Begin { .. }) => return Err(EngineError::corrupt("two exports in one stream")),
            None => return Err(EngineError::corrupt("the export is cut off before its end")),
        }
    }
    if from.take()?.is_some() {
        return Err(EngineError::corrupt("something follows the end of the export"));
    }
    Ok(count)
}

/// The order every export has: ascending, inside a partition, and never ahead of its head.
#[derive(Default)]
struct Order {
    partition: Option<(Partition, Rev)>,
    change: Option<Rev>,
    key: Option<Key>,
    audit: Option<AuditPlace>,
}

impl Order {
    fn partition(&mut self, partition: &Partition, head: Rev) -> Result<(), EngineError> {
        let ascending = self.partition.as_ref().is_none_or(|(last, _)| last < partition);
        *self = Self { partition: Some((partition.clone(), head)), ..Self::default() };
        in_order(ascending && i64::try_from(head.0).is_ok())
    }

    fn change(&mut self, rev: Rev) -> Result<(), EngineError> {
        let last = self.change.replace(rev);
        in_order(self.reached(rev) && last.is_none_or(|last| last.next() == rev))
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), EngineError> {
        let last = self.key.replace(entry.key.clone());
        in_order(self.reached(entry.rev) && last.is_none_or(|last| last < entry.key))
    }

    fn audit(&mut self, place: AuditPlace) -> Result<(), EngineError> {
        let last = self.audit.replace(place);
        let possible = (place.ordinal as usize) < AUDIT_ROWS_MAX;
        in_order(possible && self.reached(place.rev) && last.is_none_or(|last| last < place))
    }

    fn reached(&self, rev: Rev) -> bool {
        rev > Rev::ZERO && self.partition.as_ref().is_some_and(|(_, head)| rev <= *head)
    }
}

fn in_order(is: bool) -> Result<(), EngineError> {
    if is {
        Ok(())
    } else {
        Err(EngineError::corrupt("the export has a frame that cannot stand where it stands"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_kinds() -> Vec<Frame> {
        let place = AuditPlace { rev: Rev(2), ordinal: 1 };
        vec![
            Frame::Begin { version: STREAM_VERSION },
            Frame::Partition {
                partition: partition_from_text("111122223333", "global").unwrap(),
                head: Rev(2),
            },
            Frame::Change {
                rev: Rev(1),
                token: TxnToken([7; 16]),
                touched: vec![EntityId(Bytes::from_static(b"one")), EntityId(Bytes::new())],
            },
            Frame::Entry(Entry { key: Key::from(&b"k"[..]), value: Bytes::from_static(b"v"), rev: Rev(2) }),
            Frame::Audit(AuditRow { place, row: Bytes::from_static(b"row") }),
            Frame::End(ImportReport { partitions: 1, changes: 1, entries: 1, audit_rows: 1 }),
        ]
    }

    struct Nowhere;
    impl Loading for Nowhere {
        fn partition(&mut self, _: &Partition, _: Rev) -> Result<(), EngineError> {
            Ok(())
        }
        fn change(&mut self, _: Rev, _: TxnToken, _: Vec<EntityId>) -> Result<(), EngineError> {
            Ok(())
        }
        fn entry(&mut self, _: Entry) -> Result<(), EngineError> {
            Ok(())
        }
        fn audit(&mut self, _: AuditRow) -> Result<(), EngineError> {
            Ok(())
        }
    }

    #[test]
    fn frames_survive_a_file() {
        let mut file = FrameWriter(Vec::new());
        for frame in all_kinds() {
            file.put(&frame).unwrap();
        }
        let mut back = FrameReader(file.0.as_slice());
        for frame in all_kinds() {
            assert_eq!(back.take().unwrap(), Some(frame));
        }
        assert_eq!(back.take().unwrap(), None);
    }

    #[test]
    fn a_stream_cut_anywhere_is_not_a_smaller_store() {
        let mut file = FrameWriter(Vec::new());
        for frame in all_kinds() {
            file.put(&frame).unwrap();
        }
        assert!(load(&mut FrameReader(file.0.as_slice()), &mut Nowhere).is_ok());
        for length in 0..file.0.len() {
            let cut = load(&mut FrameReader(&file.0[..length]), &mut Nowhere);
            assert!(matches!(cut, Err(EngineError::Corrupt { .. })), "{length}: {cut:?}");
        }
    }

    #[test]
    fn frames_out_of_place_are_refused() {
        for remove_or_double in 0..all_kinds().len() {
            let mut frames = all_kinds();
            frames.remove(remove_or_double);
            assert!(load(&mut frames.into_iter(), &mut Nowhere).is_err(), "without {remove_or_double}");
            let mut frames = all_kinds();
            frames.insert(remove_or_double, frames[remove_or_double].clone());
            assert!(load(&mut frames.into_iter(), &mut Nowhere).is_err(), "twice {remove_or_double}");
        }
    }

    #[test]
    fn damaged_frames_are_errors_and_no_more() {
        for frame in all_kinds() {
            let bytes = frame.encode();
            for at in 0..bytes.len() {
                for flip in [0x01, 0x80, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    // What still decodes must be canonical; the sealing around a frame finds the rest.
                    if let Ok(decoded) = Frame::decode(&damaged) {
                        assert_eq!(decoded.encode(), damaged);
                    }
                }
            }
        }
    }
}

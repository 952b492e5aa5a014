//! Made-up values of any shape: what the model allows, the edges of what it allows, and one step beyond.
//!
//! A [`Made`] is a value as a tree. It is a source like any other ([`Made::reader`]) and can be written and read back
//! through any protocol, so one generator serves requests, answers and records, including requests that no type of ours
//! could hold, such as one whose required member is missing. One seed gives one value, for ever.

mod breakage;
mod read;
mod text;

use coffer_types::{Entropy, Timestamp};

use crate::{Kind, Limits, Read, ReadError, Reader, Schema, Shape, WriteError, Writer, Wrote};

pub use breakage::Broken;
pub use read::MadeReader;

/// Below this, optional members stay absent and lists as short as they may be; recursive shapes end here.
const DEPTH_MAX: usize = 6;
/// What an ordinary list holds at most, unless it must hold more.
const ORDINARY_ELEMENTS: usize = 4;
/// Longer lists than this are left to the tests that are about them.
const ELEMENTS_MAX: usize = 200;
/// Past so many values in one tree, boundary lists fall back to short ones.
const VALUES_MAX: usize = 3_000;
/// How far above its minimum an ordinary length may be.
const ORDINARY_SPREAD: usize = 24;
/// 2100-01-01, a time every format can show.
const MILLIS_MAX: u64 = 4_102_444_800_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Anywhere inside the limits.
    Valid,
    /// Exactly on the limits: shortest or longest, smallest or largest.
    Boundary,
}

/// A value of a schema that the caller keeps beside it.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// Members by their index in the schema, in its order.
    Structure(Vec<(usize, Self)>),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    String(String),
    Long(i64),
    Double(f64),
    Boolean(bool),
    Timestamp(Timestamp),
    Blob(Vec<u8>),
    Null,
}

impl Made {
    /// A value that satisfies the schema. Where no text we know satisfies a pattern, an optional member is left out.
    pub fn new(schema: &'static Schema, mode: Mode, entropy: &dyn Entropy) -> Self {
        let mut maker = Maker { random: Random::new(entropy), mode, values: 0 };
        maker.value(schema, 0).unwrap_or(Self::Null)
    }

    /// A value that breaks exactly one constraint; `None` when the schema has none to break.
    pub fn broken(schema: &'static Schema, entropy: &dyn Entropy) -> Option<(Self, Broken)> {
        let mut maker = Maker { random: Random::new(entropy), mode: Mode::Valid, values: 0 };
        let mut made = maker.value(schema, 0)?;
        let broken = breakage::break_one(schema, &mut made, &mut maker.random)?;
        Some((made, broken))
    }

    pub const fn reader(&self) -> MadeReader<'_> {
        MadeReader { value: self }
    }
}

/// Every kind of value, read and written by whatever schema it comes with.
impl Shape for Made {
    const SCHEMA: &'static Schema = &Schema::plain("Made", Kind::Structure(&[]));

    fn read_as(schema: &'static Schema, from: &mut dyn Reader) -> Read<Self> {
        match schema.kind {
            Kind::Structure(members) => {
                let mut fields = Vec::new();
                from.structure(schema, &mut |index, from| {
                    let member = members.get(index).ok_or_else(|| ReadError::new(schema.name))?;
                    fields.push((index, Self::read_as(member.schema, from)?));
                    Ok(())
                })?;
                fields.sort_by_key(|(index, _)| *index);
                Ok(Self::Structure(fields))
            }
            Kind::List(element) => {
                let mut values = Vec::new();
                from.list(schema, &mut |from| {
                    values.push(Self::read_as(element.schema, from)?);
                    Ok(())
                })?;
                Ok(Self::List(values))
            }
            Kind::Map(entry) => {
                let mut values = Vec::new();
                from.map(schema, &mut |key, from| {
                    values.push((key, Self::read_as(entry.value, from)?));
                    Ok(())
                })?;
                Ok(Self::Map(values))
            }
            Kind::String => from.string(schema).map(Self::String),
            Kind::Integer | Kind::Long => from.long(schema).map(Self::Long),
            Kind::Double => from.double(schema).map(Self::Double),
            Kind::Boolean => from.boolean(schema).map(Self::Boolean),
            Kind::Timestamp => from.timestamp(schema).map(Self::Timestamp),
            Kind::Blob => from.blob(schema).map(Self::Blob),
        }
    }

    fn write_as(&self, schema: &'static Schema, to: &mut dyn Writer) -> Wrote {
        match (self, &schema.kind) {
            (Self::Structure(fields), Kind::Structure(members)) => to.structure(schema, &mut |to| {
                fields.iter().try_for_each(|(index, value)| {
                    let member = members.get(*index).ok_or_else(|| WriteError::new(schema.name))?;
                    to.member(*index, member)?;
                    value.write_as(member.schema, to)
                })
            }),
            (Self::List(values), Kind::List(element)) => to.list(schema, values.len(), &mut |to| {
                values.iter().try_for_each(|value| value.write_as(element.schema, to))
            }),
            (Self::Map(values), Kind::Map(entry)) => to.map(schema, values.len(), &mut |to| {
                values.iter().try_for_each(|(key, value)| {
                    to.key(key)?;
                    value.write_as(entry.value, to)
                })
            }),
            (Self::String(value), Kind::String) => to.string(schema, value),
            (Self::Long(value), Kind::Integer | Kind::Long) => to.long(schema, *value),
            (Self::Double(value), Kind::Double) => to.double(schema, *value),
            (Self::Boolean(value), Kind::Boolean) => to.boolean(schema, *value),
            (Self::Timestamp(value), Kind::Timestamp) => to.timestamp(schema, *value),
            (Self::Blob(value), Kind::Blob) => to.blob(schema, value),
            (Self::Null, _) => to.null(),
            _ => Err(WriteError::new(format!("a value that is not a {}", schema.name))),
        }
    }
}

struct Maker {
    random: Random,
    mode: Mode,
    /// How many values the tree has so far.
    values: usize,
}

impl Maker {
    /// `None` where a pattern defeats us.
    fn value(&mut self, schema: &'static Schema, depth: usize) -> Option<Made> {
        self.values += 1;
        let limits = &schema.limits;
        Some(match schema.kind {
            Kind::Structure(members) => {
                let mut fields = Vec::new();
                for (index, member) in members.iter().enumerate() {
                    let wanted = member.required || (depth < DEPTH_MAX && self.random.below(2) == 0);
                    match self.value_if(wanted, member.schema, depth) {
                        Some(value) => fields.push((index, value)),
                        None if member.required => return None,
                        None => {}
                    }
                }
                Made::Structure(fields)
            }
            Kind::List(element) => {
                let length = self.elements(limits, depth);
                Made::List((0..length).map_while(|_| self.value(element.schema, depth + 1)).collect())
                    .at_least(limits)?
            }
            Kind::Map(entry) => {
                let mut values: Vec<(String, Made)> = Vec::new();
                for number in 0..self.elements(limits, depth) {
                    // The number keeps keys apart wherever their pattern allows one at the end.
                    let plain = text::fitting(&entry.key.limits, 0, &mut self.random)?;
                    let key = Some(format!("{plain}{number}"))
                        .filter(|key| text::fits(&entry.key.limits, key))
                        .unwrap_or(plain);
                    if !values.iter().any(|(taken, _)| *taken == key) {
                        values.push((key, self.value(entry.value, depth + 1)?));
                    }
                }
                values.sort_by(|(a, _), (b, _)| a.cmp(b));
                Made::Map(values).at_least(limits)?
            }
            Kind::String => {
                let length = self.length(limits);
                Made::String(text::fitting(limits, length, &mut self.random)?)
            }
            Kind::Integer => Made::Long(self.number(limits, i64::from(i32::MIN), i64::from(i32::MAX))),
            Kind::Long => Made::Long(self.number(limits, i64::MIN, i64::MAX)),
            Kind::Double => {
                Made::Double([0.0, -1.5, 0.1, 1e300, 1e-300, 12_345.678].get(self.random.below(6)).copied()?)
            }
            Kind::Boolean => Made::Boolean(self.random.below(2) == 0),
            Kind::Timestamp => {
                let millis = self.random.next() % MILLIS_MAX;
                Made::Timestamp(Timestamp::from_millis(i64::try_from(millis).unwrap_or(0)))
            }
            Kind::Blob => {
                let length = self.length(limits);
                Made::Blob((0..length).map(|_| self.random.byte()).collect())
            }
        })
    }

    fn value_if(&mut self, wanted: bool, schema: &'static Schema, depth: usize) -> Option<Made> {
        if wanted { self.value(schema, depth + 1) } else { None }
    }

    fn length(&mut self, limits: &Limits) -> usize {
        let min = size(limits.min).unwrap_or(0);
        let max = size(limits.max).unwrap_or(min.saturating_add(ORDINARY_SPREAD));
        match self.mode {
            Mode::Valid => min + self.random.below(max.saturating_sub(min).min(ORDINARY_SPREAD) + 1),
            Mode::Boundary if max <= text::CHARS_MAX && self.random.below(2) == 0 => max,
            Mode::Boundary => min,
        }
    }

    fn elements(&mut self, limits: &Limits, depth: usize) -> usize {
        let min = size(limits.min).unwrap_or(0);
        if depth >= DEPTH_MAX {
            return min;
        }
        let length = self.length(limits);
        match self.mode {
            Mode::Valid => length.min(min.max(ORDINARY_ELEMENTS)),
            Mode::Boundary if length <= ELEMENTS_MAX && self.values <= VALUES_MAX => length,
            Mode::Boundary => min.max(1),
        }
    }

    fn number(&mut self, limits: &Limits, lowest: i64, highest: i64) -> i64 {
        let (min, max) = (limits.min.unwrap_or(lowest), limits.max.unwrap_or(highest));
        match self.mode {
            Mode::Boundary => [min, max].get(self.random.below(2)).copied().unwrap_or(min),
            Mode::Valid => {
                let start = if min > 0 || max < 0 { min } else { 0 };
                let spread = max.saturating_sub(start).clamp(0, 1000);
                let step = self.random.below(usize::try_from(spread).unwrap_or(0) + 1);
                start.saturating_add(i64::try_from(step).unwrap_or(0))
            }
        }
    }
}

impl Made {
    /// A container that came out shorter than it must be is no value at all.
    fn at_least(self, limits: &Limits) -> Option<Self> {
        let length = match &self {
            Self::List(values) => values.len(),
            Self::Map(values) => values.len(),
            _ => return Some(self),
        };
        (length >= size(limits.min).unwrap_or(0)).then_some(self)
    }
}

fn size(limit: Option<i64>) -> Option<usize> {
    limit.and_then(|limit| usize::try_from(limit).ok())
}

/// SplitMix64, seeded once: generated values need to be varied and repeatable, and nothing else.
struct Random(u64);

impl Random {
    fn new(entropy: &dyn Entropy) -> Self {
        let mut seed = [0; 8];
        entropy.fill(&mut seed);
        Self(u64::from_le_bytes(seed))
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Zero when there is nothing to choose from.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    const fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

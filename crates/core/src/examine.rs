//! What has to be true between records, asked of a store that nobody serves.
//!
//! A record that opens may still contradict another: a version whose value is gone, a key of a user who does not exist. No handler
//! looks for that, because commits keep it true; so if it is not, something below was damaged, or something above is wrong, and
//! somebody should know before a caller does.
//!
//! A service says of each of its tables what its records need and what would make one alone an orphan ([`Examined`]), and
//! registers the table. An [`Examination`] is shown every record of a partition, in whatever order they lie there, and compares at the
//! end. It keeps sixteen bytes of the key of each record, so a store of a million secrets needs a few hundred megabytes at most.
//!
//! It deliberately shows no name: a finding is a kind and a stored key, which is a keyed hash. What a record is called is told only
//! to whoever asked for names.

use std::collections::{HashMap, HashSet};

use coffer_barrier::Barrier;
use coffer_crypto::sha256;
use coffer_shape::{Read, ReadError};
use coffer_store::{Key, Partition};

use crate::{
    Past, Record, Registry, Table,
    record::{open_record, physical_key},
};

/// A record that knows what it stands beside.
pub trait Examined: Record {
    /// What one is that no other record needs, if there may be no such thing.
    const ORPHAN: Option<&'static str> = None;

    /// What it is called, for whoever may see names.
    fn shown(&self) -> &str;

    /// Calls `need` for each record of the same partition without which this one makes no sense.
    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        let _ = need;
    }

    /// Calls `excluded` for each record of the same partition beside which this one makes no sense.
    fn excludes(&self, excluded: &mut dyn FnMut(Excluded<'_>)) {
        let _ = excluded;
    }

    /// Calls `share` with what another record has to say as well, in whatever partition that is.
    fn shares(&self, share: &mut dyn FnMut(Shared<'_>)) {
        let _ = share;
    }

    /// What is wrong with it by itself, in fixed words.
    fn contradictions(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// Another record, and what its absence is.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    pub table: Table,
    pub key: &'a [&'a str],
    pub missing: &'static str,
}

/// Another record, and what its presence is.
#[derive(Debug, Clone, Copy)]
pub struct Excluded<'a> {
    pub table: Table,
    pub key: &'a [&'a str],
    pub present: &'static str,
}

/// What two records say of each other, and what one is that says it alone.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'a> {
    pub words: &'a [&'a str],
    pub alone: &'static str,
}

/// Something that one record says, and what it is if no other does.
#[derive(Debug, Clone)]
pub struct Claim {
    words: Short,
    pub alone: Contradiction,
}

impl Claim {
    /// Those of a whole store that nobody shares, each with whatever it was noted with.
    pub fn alone<T>(claims: Vec<(T, Self)>) -> impl Iterator<Item = (T, Contradiction)> {
        let mut times: HashMap<Short, usize> = HashMap::new();
        for (_, claim) in &claims {
            *times.entry(claim.words).or_default() += 1;
        }
        let is_alone = move |claim: &Self| times.get(&claim.words) != Some(&2);
        claims.into_iter().filter(move |(_, claim)| is_alone(claim)).map(|(of, claim)| (of, claim.alone))
    }
}

/// Something that cannot be. The key is the stored one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    pub kind: &'static str,
    pub key: Key,
    /// Only if names were asked for.
    pub name: Option<String>,
}

/// Reads a record of one table and tells the examination about it. Made by [`examiner`] for a type.
pub(crate) type Examiner = fn(&mut Look<'_, '_>, u16, &[u8]) -> Read<()>;

pub(crate) fn examiner<R: Examined>() -> Examiner {
    |look, version, bytes| {
        let record = R::from_stored(version, bytes)?;
        look.orphan = R::ORPHAN;
        look.name = look.of.with_names.then(|| record.shown().to_owned());
        record.needs(&mut |need| look.note_need(need));
        record.excludes(&mut |excluded| look.note_excluded(excluded));
        record.shares(&mut |shared| look.note_shared(shared));
        look.wrong = record.contradictions();
        Ok(())
    }
}

/// One record on its way through an examination.
pub(crate) struct Look<'a, 'b> {
    of: &'a mut Examination<'b>,
    key: &'a Key,
    name: Option<String>,
    orphan: Option<&'static str>,
    wrong: Vec<&'static str>,
}

impl Look<'_, '_> {
    fn note_need(&mut self, need: Need<'_>) {
        let target = physical_key(self.of.barrier, self.of.partition, need.table, need.key);
        let found = Contradiction { kind: need.missing, key: self.key.clone(), name: self.name.clone() };
        self.of.needed.push((short(&target), found));
    }

    fn note_excluded(&mut self, excluded: Excluded<'_>) {
        let target = physical_key(self.of.barrier, self.of.partition, excluded.table, excluded.key);
        let found = Contradiction { kind: excluded.present, key: self.key.clone(), name: self.name.clone() };
        self.of.excluded.push((short(&target), found));
    }

    fn note_shared(&mut self, shared: Shared<'_>) {
        let mut text = Vec::new();
        for word in shared.words {
            text.extend_from_slice(&(word.len() as u64).to_be_bytes());
            text.extend_from_slice(word.as_bytes());
        }
        let words = sha256(&text).last_chunk().copied().unwrap_or_default();
        let alone = Contradiction { kind: shared.alone, key: self.key.clone(), name: self.name.clone() };
        self.of.claims.push(Claim { words, alone });
    }
}

/// The end of a keyed hash, which is as good as all of it.
type Short = [u8; 16];

fn short(key: &Key) -> Short {
    key.as_bytes().last_chunk().copied().unwrap_or_default()
}

/// All records of one partition against each other.
pub struct Examination<'a> {
    registry: &'a Registry,
    barrier: &'a Barrier,
    partition: &'a Partition,
    with_names: bool,
    present: HashSet<Short>,
    needed: Vec<(Short, Contradiction)>,
    excluded: Vec<(Short, Contradiction)>,
    parts: Vec<Contradiction>,
    found: Vec<Contradiction>,
    claims: Vec<Claim>,
}

impl std::fmt::Debug for Examination<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examination").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl<'a> Examination<'a> {
    pub fn new(
        registry: &'a Registry,
        barrier: &'a Barrier,
        partition: &'a Partition,
        with_names: bool,
    ) -> Self {
        Self {
            registry,
            barrier,
            partition,
            with_names,
            present: HashSet::new(),
            needed: Vec::new(),
            excluded: Vec::new(),
            parts: Vec::new(),
            found: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// Opens a record in its place and reads it. An error is about this record alone.
    pub fn look_at(&mut self, key: &Key, value: &[u8]) -> Result<(), String> {
        // Also one that does not open is there: who needs it lacks nothing more.
        self.present.insert(short(key));
        let table = key.as_bytes().first_chunk().map_or(0, |table| u16::from_be_bytes(*table));
        let (version, _, plaintext) = open_record(self.barrier, self.partition, table, key.as_bytes(), value)
            .map_err(|error| error.to_string())?;
        let Some(examine) = self.registry.examiner(table) else {
            let kind = "a record of a table that this version does not know";
            self.found.push(Contradiction { kind, key: key.clone(), name: None });
            return Ok(());
        };
        let mut look = Look { of: self, key, name: None, orphan: None, wrong: Vec::new() };
        examine(&mut look, version, plaintext.expose()).map_err(|error: ReadError| error.message)?;
        let Look { name, orphan, wrong, .. } = look;
        let contradiction = |kind| Contradiction { kind, key: key.clone(), name: name.clone() };
        self.found.extend(wrong.into_iter().map(contradiction));
        self.parts.extend(orphan.map(contradiction));
        Ok(())
    }

    /// What cannot be, once every record was looked at, and what depends on those of other partitions.
    pub fn finish(self) -> (Vec<Contradiction>, Vec<Claim>) {
        let Self { present, needed, excluded, parts, mut found, claims, .. } = self;
        let wanted: HashSet<Short> = needed.iter().map(|(target, _)| *target).collect();
        found.extend(
            needed.into_iter().filter(|(target, _)| !present.contains(target)).map(|(_, found)| found),
        );
        found.extend(
            excluded.into_iter().filter(|(target, _)| present.contains(target)).map(|(_, found)| found),
        );
        found.extend(parts.into_iter().filter(|part| !wanted.contains(&short(&part.key))));
        (found, claims)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use coffer_crypto::SystemEntropy;
    use coffer_types::{AccountId, Region};

    use super::*;
    use crate::record::{encode, seal_bytes};

    crate::table! {
        0x7001 "house", version 1, key (name);
        struct House { pub name: String, pub rooms: Vec<String> }
    }

    crate::table! {
        0x7002 "room", version 1, key (house, name), part;
        struct Room { pub house: String, pub name: String }
    }

    crate::table! {
        0x7005 "ruin", version 1, key (name);
        struct Ruin { pub name: String }
    }

    impl Examined for Ruin {
        fn shown(&self) -> &str {
            &self.name
        }
        fn excludes(&self, excluded: &mut dyn FnMut(Excluded<'_>)) {
            excluded(Excluded { table: House::TABLE, key: &[&self.name], present: "a ruin that stands" });
        }
    }

    crate::table! {
        0x7003 "unknown", version 1, key (name);
        struct Unknown { pub name: String }
    }

    crate::table! {
        0x7004 "neighbour", version 1, key (name);
        struct Neighbour { pub name: String, pub knows: String, pub since: String }
    }

    impl Examined for Neighbour {
        fn shown(&self) -> &str {
            &self.name
        }
        fn shares(&self, share: &mut dyn FnMut(Shared<'_>)) {
            let (one, other) = (self.name.as_str().min(&self.knows), self.name.as_str().max(&self.knows));
            share(Shared { words: &[one, other, &self.since], alone: "a neighbour who is mistaken" });
        }
    }

    impl Examined for House {
        fn shown(&self) -> &str {
            &self.name
        }
        fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
            for room in &self.rooms {
                need(Need { table: Room::TABLE, key: &[&self.name, room], missing: "a room is gone" });
            }
        }
        fn contradictions(&self) -> Vec<&'static str> {
            if self.rooms.is_empty() { vec!["a house without rooms"] } else { Vec::new() }
        }
    }

    impl Examined for Room {
        const ORPHAN: Option<&'static str> = Some("a room without a house");
        fn shown(&self) -> &str {
            &self.name
        }
    }

    struct Street {
        barrier: Barrier,
        partition: Partition,
        rows: Vec<(Key, Vec<u8>)>,
    }

    impl Street {
        fn new() -> Self {
            let barrier = Barrier::ephemeral(Arc::new(SystemEntropy));
            let partition = Partition::new(AccountId::DEV, Region::global());
            Self { barrier, partition, rows: Vec::new() }
        }

        fn with<R: Record>(mut self, record: &R) -> Self {
            let key = physical_key(&self.barrier, &self.partition, R::TABLE, &record.key());
            let bytes = encode(record).unwrap();
            let (table, version) = (R::TABLE.id, R::VERSION);
            let value =
                seal_bytes(&self.barrier, &self.partition, table, key.as_bytes(), version, 1, bytes.expose());
            self.rows.push((key, value));
            self
        }

        /// Kind, number of the row, and name of each finding, in both orders of the rows.
        fn found(mut self, with_names: bool) -> Vec<(&'static str, usize, Option<String>)> {
            let mut registry = Registry::default();
            registry.examine::<House>();
            registry.examine::<Room>();
            registry.examine::<Neighbour>();
            registry.examine::<Ruin>();
            let keys: Vec<_> = self.rows.iter().map(|(key, _)| key.clone()).collect();
            let mut answers = Vec::new();
            for _ in 0..2 {
                let mut examination = Examination::new(&registry, &self.barrier, &self.partition, with_names);
                self.rows.iter().for_each(|(key, value)| examination.look_at(key, value).unwrap());
                let place = |key: &Key| keys.iter().position(|known| known == key).unwrap();
                let (mut found, claims) = examination.finish();
                let claims = claims.into_iter().map(|claim| ((), claim)).collect();
                found.extend(Claim::alone(claims).map(|((), found)| found));
                let mut found: Vec<_> =
                    found.into_iter().map(|found| (found.kind, place(&found.key), found.name)).collect();
                found.sort();
                answers.push(found);
                self.rows.reverse();
            }
            assert_eq!(answers[0], answers[1], "the order of the rows means nothing");
            answers.remove(0)
        }
    }

    fn house(name: &str, rooms: &[&str]) -> House {
        House { name: name.to_owned(), rooms: rooms.iter().map(|room| (*room).to_owned()).collect() }
    }

    fn room(house: &str, name: &str) -> Room {
        Room { house: house.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn what_fits_together_is_not_found() {
        let street = Street::new().with(&house("a", &["hall", "attic"])).with(&room("a", "hall"));
        assert_eq!(street.with(&room("a", "attic")).found(true), []);
    }

    #[test]
    fn what_one_record_says_of_another_is_said_by_that_too() {
        let neighbour = |name: &str, knows: &str, since: &str| Neighbour {
            name: name.to_owned(),
            knows: knows.to_owned(),
            since: since.to_owned(),
        };
        let mistaken = |row| ("a neighbour who is mistaken", row, None);
        let pair = Street::new().with(&neighbour("a", "b", "1999")).with(&neighbour("b", "a", "1999"));
        assert_eq!(pair.found(false), []);
        let odd = Street::new().with(&neighbour("a", "b", "1999")).with(&neighbour("b", "a", "2001"));
        assert_eq!(odd.found(false), [mistaken(0), mistaken(1)]);
        let lonely = Street::new().with(&neighbour("a", "b", "1999"));
        assert_eq!(lonely.found(false), [mistaken(0)]);
    }

    #[test]
    fn what_must_not_be_beside_another_is_found() {
        let ruin = |name: &str| Ruin { name: name.to_owned() };
        let street = || Street::new().with(&house("a", &["hall"])).with(&room("a", "hall"));
        assert_eq!(street().with(&ruin("b")).found(false), []);
        assert_eq!(street().with(&ruin("a")).found(false), [("a ruin that stands", 2, None)]);
    }

    #[test]
    fn what_is_missing_left_over_wrong_or_unknown_is_found() {
        let street = || {
            Street::new()
                .with(&house("a", &["hall", "attic"]))
                .with(&room("a", "hall"))
                .with(&room("b", "hall"))
                .with(&house("c", &[]))
                .with(&Unknown { name: String::from("d") })
        };
        let unknown = "a record of a table that this version does not know";
        assert_eq!(
            street().found(false),
            [
                ("a house without rooms", 3, None),
                (unknown, 4, None),
                ("a room is gone", 0, None),
                ("a room without a house", 2, None),
            ]
        );
        let names: Vec<_> = street().found(true).into_iter().map(|(_, _, name)| name).collect();
        assert_eq!(names, [Some("c"), None, Some("a"), Some("hall")].map(|name| name.map(str::to_owned)));
    }

    #[test]
    fn a_record_that_does_not_open_is_an_error_and_is_not_missing_too() {
        let mut street = Street::new().with(&house("a", &["hall"])).with(&room("a", "hall"));
        street.rows[1].1[60] ^= 1;
        let mut registry = Registry::default();
        registry.examine::<House>();
        registry.examine::<Room>();
        let mut examination = Examination::new(&registry, &street.barrier, &street.partition, false);
        let answers: Vec<_> =
            street.rows.iter().map(|(key, value)| examination.look_at(key, value)).collect();
        assert!(answers[0].is_ok() && answers[1].is_err(), "{answers:?}");
        assert_eq!(examination.finish().0, []);
    }
}

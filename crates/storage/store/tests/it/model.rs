//! Random operations on three stores at once: the memory engine, the SQLite engine, and a naive list that is slow
//! and obviously right. They must give the same answers, also after the file was closed and opened again.

use bytes::Bytes;
use coffer_store::{
    AuditPlace, AuditRow, Change, Changes, Check, Commit, Depth, Dir, Engine, EntityId, Expect, Frame, Key,
    KeyRange, MemoryEngine, Partition, Read, Rev, SqliteEngine, SqliteOptions, Txn, TxnToken, Versioned,
    Write,
    testing::{partition, token},
};

use crate::{Seeded, options};

const HISTORY: u64 = 24;

/// Everything that ever happened, looked through from the start for every question.
#[derive(Default)]
struct Naive {
    done: Vec<(Rev, Txn)>,
    dropped: Vec<(Partition, AuditPlace)>,
}

impl Naive {
    fn of<'a>(&'a self, partition: &'a Partition) -> impl DoubleEndedIterator<Item = &'a (Rev, Txn)> {
        self.done.iter().filter(move |(_, txn)| txn.partition == *partition)
    }

    fn head(&self, partition: &Partition) -> Rev {
        Rev(self.of(partition).count() as u64)
    }

    fn get(&self, partition: &Partition, key: &Key) -> Option<Versioned> {
        self.of(partition)
            .flat_map(|(rev, txn)| txn.writes.iter().map(move |write| (*rev, write)))
            .rfind(|(_, write)| write.key() == key)
            .and_then(|(rev, write)| match write {
                Write::Put { value, .. } => Some(Versioned { value: value.clone(), rev }),
                Write::Delete { .. } => None,
            })
    }

    fn commit(&mut self, txn: &Txn) -> Commit {
        let head = self.head(&txn.partition);
        let known =
            self.of(&txn.partition).rfind(|(rev, old)| old.token == txn.token && rev.0 + HISTORY > head.0);
        if let Some((rev, _)) = known {
            return Commit::Duplicate(*rev);
        }
        let holds = |check: &Check| {
            let found = self.get(&txn.partition, &check.key).map(|found| found.rev);
            match check.expect {
                Expect::Absent => found.is_none(),
                Expect::AtRev(rev) => found == Some(rev),
            }
        };
        let failed = (0..txn.checks.len()).filter(|index| !holds(&txn.checks[*index])).collect::<Vec<_>>();
        if !failed.is_empty() {
            return Commit::Conflict(failed);
        }
        self.done.push((head.next(), txn.clone()));
        Commit::Done(head.next())
    }

    fn scan(&self, partition: &Partition, from: &Key, to: &Key, dir: Dir) -> Vec<(Key, Versioned)> {
        let mut keys =
            self.of(partition).flat_map(|(_, txn)| txn.writes.iter().map(Write::key)).collect::<Vec<_>>();
        keys.sort();
        keys.dedup();
        if dir == Dir::Backward {
            keys.reverse();
        }
        keys.into_iter()
            .filter(|key| *key >= from && *key < to)
            .filter_map(|key| self.get(partition, key).map(|found| (key.clone(), found)))
            .collect()
    }

    fn changes(&self, partition: &Partition, after: Rev) -> Changes {
        let head = self.head(partition);
        if after > head || after.0 + HISTORY < head.0 {
            return Changes::Lost { head };
        }
        let changes = self
            .of(partition)
            .filter(|(rev, _)| *rev > after)
            .map(|(rev, txn)| Change { rev: *rev, touched: txn.touched.clone() })
            .collect();
        Changes::Since { head, changes }
    }

    fn audit_rows(&self, partition: &Partition, after: AuditPlace) -> Vec<AuditRow> {
        let dropped = self.dropped.iter().filter(|(of, _)| of == partition).map(|(_, place)| *place).max();
        let first = after.max(dropped.unwrap_or_default());
        self.of(partition)
            .flat_map(|(rev, txn)| {
                (0..).zip(&txn.audit).map(|(ordinal, row)| AuditRow {
                    place: AuditPlace { rev: *rev, ordinal },
                    row: row.clone(),
                })
            })
            .filter(|row| row.place > first)
            .collect()
    }
}

/// Few keys and few tokens, so that conflicts and repetitions are common.
fn random_key(chance: &Seeded) -> Key {
    let length = 1 + chance.below(2);
    Key::new((0..length).map(|_| [0, b'a', b'b', 0xff][chance.below(4) as usize]).collect::<Vec<_>>())
}

fn random_bytes(chance: &Seeded) -> Bytes {
    Bytes::from(vec![chance.next().to_le_bytes()[0]; chance.below(40) as usize])
}

fn random_txn(chance: &Seeded, naive: &Naive) -> Txn {
    let of = partition(chance.below(3));
    let head = naive.head(&of).0;
    let mut txn = Txn::new(of.clone(), token(chance.below(60)));
    for _ in 0..chance.below(3) {
        let key = random_key(chance);
        // Mostly true when the group begins, sometimes only true of another time.
        let expect = match (naive.get(&of, &key), chance.below(5)) {
            (Some(found), 1..) => Expect::AtRev(found.rev),
            (None, 1..) => Expect::Absent,
            (_, 0) => Expect::AtRev(Rev(chance.below(head + 2))),
        };
        txn.checks.push(Check { key, expect });
    }
    for _ in 0..chance.below(4) {
        let key = random_key(chance);
        txn.writes.push(match chance.below(3) {
            0 => Write::Delete { key },
            _ => Write::Put { key, value: random_bytes(chance) },
        });
    }
    txn.touched = (0..chance.below(3)).map(|_| EntityId(random_bytes(chance))).collect();
    txn.audit = (0..chance.below(3)).map(|_| random_bytes(chance)).collect();
    txn
}

fn exported(engine: &dyn Engine) -> Vec<Frame> {
    let mut frames = Vec::new();
    engine.export(&mut frames).unwrap();
    frames
}

#[test]
fn engines_agree_with_a_naive_model() {
    for seed in 0..12 {
        run(seed, 250);
    }
}

fn run(seed: u64, steps: u32) {
    let chance = Seeded::new(seed);
    let parent = tempfile::tempdir().unwrap();
    let open = || {
        let options = SqliteOptions { history: HISTORY, readers: 1, ..options() };
        SqliteEngine::open(&parent.path().join("store"), options, &chance).unwrap()
    };
    let mut sqlite = open();
    let memory = MemoryEngine::with_history(HISTORY);
    let mut naive = Naive::default();

    for step in 0..steps {
        let at = format!("seed {seed}, step {step}");
        let of = partition(chance.below(3));
        let engines: [&dyn Engine; 2] = [&memory, &sqlite];
        match chance.below(10) {
            0..4 => {
                let group = (0..1 + chance.below(6)).map(|_| random_txn(&chance, &naive)).collect::<Vec<_>>();
                let expected = group.iter().map(|txn| naive.commit(txn)).collect::<Vec<_>>();
                engines
                    .into_iter()
                    .for_each(|engine| assert_eq!(engine.commit(&group).unwrap(), expected, "{at}"));
            }
            4 | 5 => {
                let keys = (0..chance.below(4)).map(|_| random_key(&chance)).collect::<Vec<_>>();
                let expected = keys.iter().map(|key| naive.get(&of, key)).collect::<Vec<_>>();
                engines.into_iter().for_each(|engine| {
                    let found = engine.get(&of, &keys, Read::Latest).unwrap();
                    assert_eq!(found, (naive.head(&of), expected.clone()), "{at}");
                });
            }
            6 => {
                let (from, to) = (random_key(&chance), random_key(&chance));
                let dir = if chance.below(2) == 0 { Dir::Forward } else { Dir::Backward };
                let limit = 1 + chance.below(6) as u32;
                let expected = naive.scan(&of, &from, &to, dir);
                engines.into_iter().for_each(|engine| {
                    assert_eq!(scan_all(engine, &of, &from, &to, dir, limit), expected, "{at}");
                });
            }
            7 => {
                let after = Rev(chance.below(naive.head(&of).0 + 3));
                let expected = naive.changes(&of, after);
                engines.into_iter().for_each(|engine| {
                    assert_eq!(engine.changes(&of, after, 1000).unwrap(), expected, "{at}");
                });
            }
            8 => {
                let place = AuditPlace {
                    rev: Rev(chance.below(naive.head(&of).0 + 1)),
                    ordinal: chance.below(3) as u32,
                };
                if chance.below(3) == 0 {
                    naive.dropped.push((of.clone(), place));
                    engines.into_iter().for_each(|engine| engine.drop_audit_rows(&of, place).unwrap());
                }
                let expected = naive.audit_rows(&of, place);
                engines.into_iter().for_each(|engine| {
                    assert_eq!(engine.audit_rows(&of, place, 1000).unwrap(), expected, "{at}");
                });
            }
            _ => {
                assert_eq!(exported(&memory), exported(&sqlite), "{at}");
                drop(sqlite);
                sqlite = open();
            }
        }
    }
    let frames = exported(&sqlite);
    assert_eq!(exported(&memory), frames, "seed {seed}");
    assert!(sqlite.check(Depth::Deep).unwrap().is_good(), "seed {seed}");
    // And what was moved goes on as if it had not been.
    let copy = MemoryEngine::with_history(HISTORY);
    copy.import(&mut frames.into_iter()).unwrap();
    let next = Txn::new(partition(0), TxnToken([9; 16]));
    assert_eq!(copy.commit(std::slice::from_ref(&next)), sqlite.commit(std::slice::from_ref(&next)));
}

fn scan_all(
    engine: &dyn Engine,
    of: &Partition,
    from: &Key,
    to: &Key,
    dir: Dir,
    limit: u32,
) -> Vec<(Key, Versioned)> {
    let mut found = Vec::new();
    let mut next = Some(KeyRange::between(from, to));
    while let Some(range) = next {
        let page = engine.scan(of, &range, dir, limit, Read::Latest).unwrap();
        found.extend(
            page.entries
                .into_iter()
                .map(|entry| (entry.key, Versioned { value: entry.value, rev: entry.rev })),
        );
        next = page.rest;
    }
    found
}

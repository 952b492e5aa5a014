//! Random policies and requests, and random documents, read by the engine and by its slow twin. They must agree in every word.
//!
//! `COFFER_SEED` runs another stretch of cases, and names the one that failed.

use coffer_policy::{Document, Kind, Malformed};
use coffer_policy_spec::{Dice, random_case, random_document, validate};
use serde_json::Value;

use crate::case::{self, Said};

const CASES: u64 = 200_000;
const DOCUMENTS: u64 = 50_000;
const THREADS: u64 = 2;
/// As many as one can read.
const SHOWN_MAX: usize = 5;

#[test]
fn both_decide_alike() {
    let wrong = stretch(CASES, |seed| {
        let case = random_case(&mut Dice::seeded(seed));
        let verdict = coffer_policy_spec::decide(&case);
        let expected = Said {
            decision: verdict.decision.as_str(),
            named: verdict.named.map(|named| format!("{named:?}")),
            message: verdict.message,
        };
        let said = case::decide(&case);
        (said != expected)
            .then(|| format!("COFFER_SEED={seed}\nthe engine {said:?}\nits twin   {expected:?}\n{case}"))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn both_find_the_same_mistake_in_a_document() {
    let wrong = stretch(DOCUMENTS, |seed| {
        let case = random_document(&mut Dice::seeded(seed));
        let expected = validate(&case).map(|fault| (fault.check, fault.sentence));
        let kind = match case["kind"].as_str()? {
            "identity" => Kind::Managed,
            "trust" => Kind::Trust,
            _ => Kind::Resource,
        };
        let found = Document::parse(kind, case["document"].as_str()?).err();
        let is_alike = match (&found, &expected) {
            (None, None) => true,
            // Our words, and those of one service.
            (Some(Malformed::Principal { .. }), Some((check, _))) => (13..=15).contains(check),
            (
                Some(Malformed::NoPrincipal | Malformed::NotPrincipalAllows | Malformed::NotPrincipalInTrust),
                Some((check, _)),
            ) => *check == 16,
            (Some(Malformed::NotJson | Malformed::Syntax), Some((check, _))) => (1..=2).contains(check),
            (Some(found), Some((_, sentence))) => found.to_string() == *sentence,
            // How long a text may be is for whoever stores it.
            (None, Some((check, _))) => *check == 18,
            (Some(_), None) => false,
        };
        (!is_alike)
            .then(|| format!("COFFER_SEED={seed}\nthe engine {found:?}\nits twin   {expected:?}\n{case}"))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Looks at cases from the seed on, and yields the first that differ.
fn stretch(count: u64, differs: impl Fn(u64) -> Option<String> + Sync) -> Vec<String> {
    let first: u64 =
        std::env::var_os("COFFER_SEED").map_or(0, |seed| seed.to_str().unwrap().parse().unwrap());
    std::thread::scope(|scope| {
        let differs = &differs;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let seeds = (first + thread..first + count).step_by(usize::try_from(THREADS).unwrap());
                    seeds.filter_map(differs).take(SHOWN_MAX).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Cases are JSON on the way, and nothing may be lost there.
#[test]
fn a_case_survives_being_written_and_read() {
    for seed in 0..100 {
        let case = random_case(&mut Dice::seeded(seed));
        let again: Value = serde_json::from_str(&case.to_string()).unwrap();
        assert_eq!(case::decide(&case), case::decide(&again));
    }
}

//! The generators reach everything: cases come out every way, and every rule and operator answers both ways.

use std::collections::{BTreeMap, BTreeSet};

use coffer_policy_spec::{Dice, RULES, explain, operator_names, random_case, random_document, validate};
use serde_json::Value;

const SEEDS: u64 = 20_000;

/// What SEEDS cases came to.
#[derive(Default)]
struct Tally {
    decisions: BTreeMap<&'static str, u64>,
    named: BTreeMap<String, u64>,
    answers: BTreeMap<String, [u64; 2]>,
}

fn tally() -> Tally {
    let mut tally = Tally::default();
    for seed in 0..SEEDS {
        let (verdict, fired) = explain(&random_case(&mut Dice::seeded(seed)));
        *tally.decisions.entry(verdict.decision.as_str()).or_default() += 1;
        *tally.named.entry(format!("{:?} {:?}", verdict.decision, verdict.named)).or_default() += 1;
        for fired in fired {
            tally.answers.entry(fired.rule).or_default()[usize::from(fired.answer)] += 1;
        }
    }
    tally
}

#[test]
fn random_cases_come_out_every_way_and_ask_every_rule_both_ways() {
    let tally = tally();
    assert_eq!(tally.decisions.len(), 3);
    for (decision, count) in &tally.decisions {
        assert!(count * 100 >= SEEDS * 15, "{decision}: {:?}", tally.decisions);
    }
    let known: BTreeSet<String> = RULES.iter().map(ToString::to_string).chain(operator_names()).collect();
    let asked: BTreeSet<String> = tally.answers.keys().cloned().collect();
    assert_eq!(known, asked, "the list of rules is not the list of what answers");
    let one_way: Vec<_> = tally.answers.iter().filter(|(_, counts)| counts.contains(&0)).collect();
    assert!(one_way.is_empty(), "{one_way:?}");
    // Seven types for an explicit deny and its trust policy; RCPs never deny implicitly.
    assert_eq!(tally.named.len(), 1 + 8 + 7, "{:?}", tally.named);
}

#[test]
fn condition_operators_match_about_as_often_as_not() {
    let tally = tally();
    let counts = operator_names().into_iter().filter_map(|name| tally.answers.get(&name).copied());
    let [no, yes] = counts.fold([0, 0], |[no, yes], [more_no, more_yes]| [no + more_no, yes + more_yes]);
    assert!(yes * 100 >= (yes + no) * 35 && yes * 100 <= (yes + no) * 65, "{yes} of {}", yes + no);
}

#[test]
fn the_same_dice_make_the_same_case() {
    for seed in 0..100 {
        assert_eq!(random_case(&mut Dice::seeded(seed)), random_case(&mut Dice::seeded(seed)));
    }
}

#[test]
fn random_documents_fail_the_check_that_was_broken_and_no_other() {
    let mut failed = BTreeMap::<u8, u64>::new();
    for seed in 0..SEEDS {
        let case = random_document(&mut Dice::seeded(seed));
        let check = validate(&case).map_or(0, |fault| fault.check);
        *failed.entry(check).or_default() += 1;
        let broken = case["broken"].as_u64().unwrap_or(0);
        // The text for invalid JSON and for bad syntax is often the same, the check is not.
        assert_eq!(u64::from(check), broken, "seed {seed}: {case}");
    }
    // V17 needs to know who writes.
    let expected: Vec<u8> = (0..=18).filter(|check| *check != 17).collect();
    assert_eq!(failed.keys().copied().collect::<Vec<_>>(), expected);
    assert!(failed[&0] * 100 >= SEEDS * 25, "too few right documents: {failed:?}");
}

#[test]
fn cases_hold_what_the_format_knows_and_nothing_else() {
    let vectors: Value = serde_json::from_str(include_str!("../data/iam-vectors.json")).unwrap();
    let members = |case: &Value, of: &str| -> BTreeSet<String> {
        case[of].as_object().unwrap().keys().map(|key| format!("{of}.{key}")).collect()
    };
    let collect = |cases: Vec<Value>| -> BTreeSet<String> {
        let parts = ["principal", "policies"];
        cases
            .iter()
            .flat_map(|case| parts.iter().flat_map(|part| members(case, part)).collect::<Vec<_>>())
            .collect()
    };
    let written = collect(vectors["cases"].as_array().unwrap().clone());
    let random = collect((0..2_000).map(|seed| random_case(&mut Dice::seeded(seed))).collect());
    assert_eq!(random, written);
}

/// The engine compiles what was accepted when it was written. Principals are the exception: the rules say what a wrong one means.
#[test]
fn policies_of_random_cases_could_have_been_written_but_for_their_principals() {
    let documents = |value: &Value| -> Vec<Value> {
        match value {
            Value::Array(list) => list
                .iter()
                .flat_map(|inner| inner.as_array().cloned().unwrap_or(vec![inner.clone()]))
                .collect(),
            single => vec![single.clone()],
        }
    };
    for seed in 0..SEEDS / 10 {
        let case = random_case(&mut Dice::seeded(seed));
        for (of, policies) in case["policies"].as_object().unwrap() {
            if of == "grants" {
                continue;
            }
            let is_trust = of == "resource" && case["action"].as_str().unwrap().starts_with("sts:");
            let kind = if is_trust { "trust" } else { "secret" };
            for document in documents(policies) {
                let text = document.to_string();
                let fault = validate(&serde_json::json!({"kind": kind, "document": text}));
                // What a trust policy may allow, and principals.
                assert!(fault.as_ref().is_none_or(|fault| fault.check > 11), "seed {seed}: {text} {fault:?}");
            }
        }
    }
}

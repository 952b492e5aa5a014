//! Every written case of the rules.

use coffer_policy_spec::{Fault, decide, validate};
use serde_json::Value;

fn cases(member: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(include_str!("../data/iam-vectors.json")).unwrap();
    vectors[member].as_array().unwrap().clone()
}

#[test]
fn every_case_is_decided_as_it_is_written() {
    let cases = cases("cases");
    assert_eq!(cases.len(), 308);
    let mut wrong = Vec::new();
    for case in &cases {
        let verdict = decide(case);
        let id = &case["id"];
        if case["expected"] != verdict.decision.as_str() {
            wrong.push(format!("{id}: {verdict:?}, but {} because {}", case["expected"], case["reason"]));
        }
        if let Some(message) = case.get("expected_message").and_then(Value::as_str)
            && verdict.message.as_deref() != Some(message)
        {
            wrong.push(format!("{id}: {:?}, but {message:?}", verdict.message));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_document_is_judged_as_it_is_written() {
    let cases = cases("validation_cases");
    assert_eq!(cases.len(), 67);
    let mut wrong = Vec::new();
    for case in &cases {
        let fault = validate(case);
        let (code, sentence) = (case["error_code"].as_str(), case["error_message"].as_str());
        let agrees = match &fault {
            None => case["valid"] == true,
            // A case without a sentence leaves it free.
            Some(Fault { code: found, sentence: said, .. }) => {
                case["valid"] == false && code == Some(*found) && sentence.is_none_or(|wanted| wanted == said)
            }
        };
        if !agrees {
            wrong.push(format!("{}: {fault:?}, but {code:?} {sentence:?}", case["id"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_case_that_is_none_is_denied() {
    for case in [Value::Null, serde_json::json!({"principal": {"type": "Nobody"}})] {
        assert_eq!(decide(&case).decision.as_str(), "ImplicitDeny");
    }
}

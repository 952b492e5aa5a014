//! Recorded, documented and inferred decisions, each by its name.

use serde_json::Value;

use crate::case;

#[test]
fn every_case_is_decided_as_it_is_written() {
    let vectors: Value = serde_json::from_str(include_str!("../data/iam-vectors.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 308);
    let mut wrong = Vec::new();
    for case in cases {
        let said = case::decide(case);
        let id = &case["id"];
        if case["expected"] != said.decision {
            wrong.push(format!("{id}: {said:?}, but {} because {}", case["expected"], case["reason"]));
        }
        if let Some(message) = case.get("expected_message").and_then(Value::as_str)
            && said.message.as_deref() != Some(message)
        {
            wrong.push(format!("{id}: {:?}, but {message:?}", said.message));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! Staging labels, step by step, as they were recorded.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{entries, file, server, text};
use crate::stage::{Stage, token};

const NAME: &str = "db/password";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sequence_leaves_the_labels_where_aws_leaves_them() {
    let (file, server) = (file(), server().await);
    let sequences = entries(&file, "staging_sequences");
    assert_eq!(sequences.len(), 8);
    for (number, sequence) in sequences.iter().enumerate() {
        let stage = Stage::new(&server, number);
        let mut made = 0;
        for step in entries(sequence, "steps") {
            let operation = text(&step["operation"]);
            let input = input(operation, &step["params"]);
            made += usize::from(input.get("ClientRequestToken").is_some());
            stage.get(operation, input).await;
            let answer = stage.get("DescribeSecret", json!({"SecretId": NAME})).await;
            assert_eq!(shown(&answer), expected(&step["labels_after"]), "{} {step}", sequence["id"]);
        }
        // A version without labels is hidden, not gone.
        let list = stage.get("ListSecretVersionIds", json!({"SecretId": NAME})).await;
        let labelled = expected(&entries(sequence, "steps").last().unwrap()["labels_after"]);
        let listed: Vec<&str> =
            entries(&list, "Versions").iter().map(|version| text(&version["VersionId"])).collect();
        assert_eq!(listed, labelled.keys().collect::<Vec<_>>(), "{}", sequence["id"]);
        let list =
            stage.get("ListSecretVersionIds", json!({"SecretId": NAME, "IncludeDeprecated": true})).await;
        assert_eq!(list["Versions"].as_array().unwrap().len(), made, "{}", sequence["id"]);
    }
    server.stop().await;
}

fn id(name: &Value) -> String {
    token(text(name).strip_prefix('v').unwrap().parse().unwrap())
}

/// `version` is the token of a new version; other members are the request's own.
fn input(operation: &str, params: &Value) -> Value {
    let mut input = json!({});
    let secret = if operation == "CreateSecret" { "Name" } else { "SecretId" };
    input[secret] = NAME.into();
    for (name, value) in params.as_object().unwrap() {
        match name.as_str() {
            "version" => {
                input["ClientRequestToken"] = id(value).into();
                if input.get("SecretString").is_none() {
                    input["SecretString"] = value.clone();
                }
            }
            "value" => assert_eq!(*value, Value::Null),
            "RemoveFromVersionId" | "MoveToVersionId" => input[name] = id(value).into(),
            _ => input[name] = value.clone(),
        }
    }
    input
}

type Labels = BTreeMap<String, Vec<String>>;

fn labels(value: &Value) -> Vec<String> {
    let mut labels: Vec<String> =
        value.as_array().unwrap().iter().map(|label| text(label).to_owned()).collect();
    labels.sort();
    labels
}

fn shown(answer: &Value) -> Labels {
    let versions = answer["VersionIdsToStages"].as_object().into_iter().flatten();
    versions.map(|(id, stages)| (id.clone(), labels(stages))).collect()
}

fn expected(after: &Value) -> Labels {
    let versions = after.as_object().unwrap().iter();
    versions.map(|(name, stages)| (id(&Value::from(name.as_str())), labels(stages))).collect()
}

//! The life of a link between accounts, step by step.

use serde_json::{Value, json};

use super::{entries, file, server, text};
use crate::{
    pair::{PRIMARY, Pair, REPLICA},
    stage::{Stage, token},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_shows_the_status_that_aws_documents() {
    let (file, server) = (file(), server().await);
    for (number, sequence) in entries(&file, "cross_account_sequences").iter().enumerate() {
        let stage = Stage::new(&server, number);
        // The first step of each makes the replica.
        let (first, steps) = entries(sequence, "steps").split_first().unwrap();
        let pair = Pair::on(&stage).await;
        shows(&pair, sequence, first).await;
        let mut values = 1;
        for step in steps {
            match text(&step["operation"]) {
                "AssociateCrossAccountReplica" if step["note"].is_string() => {
                    // The accounts are in no organization, so the restriction that holds by default refuses.
                    let mut input = pair.link();
                    input.as_object_mut().unwrap().remove("ReplicaRestriction");
                    let reply = stage.ask("AssociateCrossAccountReplica", &input).await;
                    assert_eq!(reply.code(), "InvalidRequestException");
                }
                "AssociateCrossAccountReplica" => pair.associate().await,
                "DisassociateCrossAccountReplica" => pair.disassociate().await,
                "StopReplicationToReplica" => pair.stop().await,
                "<run finishes>" => pair.settle().await,
                "PutSecretValue" if step["status_after"]["primary"] == "Failed" => {
                    values += 1;
                    let put = json!({"SecretId": PRIMARY, "ClientRequestToken": token(values), "SecretString": "x"});
                    stage.as_user_without("kms:Encrypt").await.get("PutSecretValue", put).await;
                    let copied = Pair::copied(&pair.replica, REPLICA).await;
                    pair.settle().await;
                    assert_eq!(Pair::copied(&pair.replica, REPLICA).await, copied, "{}", sequence["id"]);
                }
                "PutSecretValue" => {
                    values += 1;
                    pair.put(values).await;
                }
                "DeleteSecret" if step["account"] == "replica" => {
                    pair.replica.get("DeleteSecret", json!({"SecretId": REPLICA})).await;
                }
                "DeleteSecret" => drop(stage.get("DeleteSecret", json!({"SecretId": PRIMARY})).await),
                other => panic!("nobody knows how to do this: {other}"),
            }
            shows(&pair, sequence, step).await;
        }
    }
    server.stop().await;
}

async fn shows(pair: &Pair<'_>, sequence: &Value, step: &Value) {
    let mut wanted = ["primary", "replica"].map(|side| step["status_after"][side].clone());
    if step["operation"] == "PutSecretValue" && wanted[1] == "InProgress" {
        // The replica hears of the run when that begins.
        wanted[1] = "InSync".into();
        assert_eq!(pair.statuses().await, wanted, "{}", sequence["id"]);
        return;
    }
    assert_eq!(pair.statuses().await, wanted, "{} {}", sequence["id"], step["operation"]);
    if wanted[1] == "InSync" {
        assert!(pair.is_equal().await, "{} {}", sequence["id"], step["operation"]);
    }
}

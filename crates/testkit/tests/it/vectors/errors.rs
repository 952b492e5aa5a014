//! Errors: a state, one request, and what AWS answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{entries, file, links, server, text};
use crate::stage::{ABROAD, Reply, Stage, token};

const NAME: &str = "db/password";
const FROM_ABROAD: &str = "caller in another account, allowed by the resource policy; default key";
const NO_KMS: &str = "caller lacks KMS permission on the key";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_error_is_the_one_that_aws_gives() {
    let (file, server) = (file(), server().await);
    for (number, vector) in entries(&file, "errors").iter().enumerate() {
        let stage = Stage::new(&server, number);
        let state = text(&vector["precondition"]);
        let (names, caller) = match links::set_up(&stage, text(&vector["id"]), state).await {
            Some(linked) => linked,
            None => (set_up(&stage, state).await, None),
        };
        let caller = match state {
            _ if caller.is_some() => caller.unwrap_or(stage),
            NO_KMS => stage.as_user_without("kms:Decrypt").await,
            FROM_ABROAD => stage.abroad().await,
            _ => stage,
        };
        let reply = caller.ask(text(&vector["request"]["operation"]), &request(vector, &names)).await;
        // A forced delete is complete when it is answered, so nobody meets what AWS shows for some seconds.
        if vector["note"] == "transient; Coffer need not reproduce it" {
            assert_eq!(reply.status, 200, "{}: {}", vector["id"], reply.body);
            continue;
        }
        check(vector, &names, &reply);
    }
    server.stop().await;
}

/// Brings the secret into the state that the vector speaks of, and says what its placeholders stand for.
async fn set_up(stage: &Stage<'_>, state: &str) -> BTreeMap<&'static str, String> {
    let mut names = BTreeMap::from([
        ("name", NAME.to_owned()),
        ("absent-name", String::from("nobody")),
        ("unknown-id", token(9)),
        ("existing-id", token(1)),
        ("label on another version", String::from("AWSCURRENT")),
        ("used-token", token(1)),
        ("current-id", token(2)),
        ("other-id", token(1)),
        ("uuid", token(7)),
        ("arn of a missing function", stage.function("missing")),
        ("region", stage.client.region().to_string()),
        ("primary region", stage.client.region().to_string()),
        ("secret", NAME.to_owned()),
        ("account", String::from("111122223333")),
        ("own-account", String::from("111122223333")),
        ("replica-account", String::from("111122223333")),
        ("primary-account", String::from("222233334444")),
        ("replica-name", NAME.to_owned()),
        ("primary-name", String::from("db/primary")),
        ("6", String::from("AAAAAA")),
        ("other-region", String::from("us-east-1")),
        ("version-id", token(1)),
        ("lambda-arn", stage.function("rotate")),
        (
            "arn-of-a-third-secret",
            format!("arn:aws:secretsmanager:{}:222233334444:secret:third-AAAAAA", stage.client.region()),
        ),
    ]);
    let with_value = json!({"Name": NAME, "ClientRequestToken": token(1), "SecretString": "one"});
    let second = json!({"SecretId": NAME, "ClientRequestToken": token(2), "SecretString": "two"});
    let policy = match state {
        "the principal does not exist" => stage.policy("arn:aws:iam::111122223333:user/nobody"),
        "policy with a wrong Version" => stage.policy("444455556666").replace("2012-10-17", "2012-10-18"),
        _ => stage.policy("444455556666"),
    };
    names.insert("policy", policy);
    let mut made = None;
    if let Some(name) = state.strip_prefix("secret named ").and_then(|rest| rest.strip_suffix(" exists")) {
        stage
            .get("CreateSecret", json!({"Name": name, "ClientRequestToken": token(1), "SecretString": "one"}))
            .await;
    } else {
        match state {
            "none" | "no secret with this name" => {}
            // These hold without any secret, which shows that nobody looked for one.
            state if state.starts_with("raw request without ClientRequestToken") => {}
            "secret is a replica" => stage.replica(NAME).await,
            "name is free" => {}
            "name is free; customer managed key exists" => {
                names.insert("key-id", stage.key().await);
            }
            state if state.contains("cross-account replica") => {
                let key = stage.key().await;
                stage.get("CreateSecret", stage.replica_of_abroad(NAME, &key)).await;
            }
            "primary with replicas in eu-west-1 and us-west-2" => {
                stage.get("CreateSecret", with_value).await;
                let regions = json!([{"Region": "eu-west-1"}, {"Region": "us-west-2"}]);
                let replicate = json!({"SecretId": NAME, "AddReplicaRegions": regions});
                stage.get("ReplicateSecretToRegions", replicate).await;
            }
            "secret created without a value" => {
                stage.get("CreateSecret", json!({"Name": NAME})).await;
            }
            "secret exists"
            | "secret with one version"
            | NO_KMS
            | "secret never configured for rotation"
            | "the function does not exist or does not permit the service"
            | "version id unknown"
            | "the principal does not exist"
            | "policy with a wrong Version"
            | "secret exists, no policy of that name"
            | "an active secret of this name exists; other token"
            | "token already names a version with another value" => {
                made = Some(stage.get("CreateSecret", with_value).await);
            }
            FROM_ABROAD => {
                made = Some(stage.get("CreateSecret", with_value).await);
                stage.share(NAME).await;
            }
            "the version exists and does not hold the label" | "AWSCURRENT is on <current-id>" => {
                made = Some(stage.get("CreateSecret", with_value).await);
                stage.get("PutSecretValue", second).await;
            }
            "AWSPENDING is on a version that is not AWSCURRENT" => {
                stage.get("CreateSecret", with_value).await;
                stage.get("RotateSecret", stage.rotation(NAME, 2)).await;
            }
            "seconds after a forced delete" => {
                stage.get("CreateSecret", with_value).await;
                let force = json!({"SecretId": NAME, "ForceDeleteWithoutRecovery": true});
                stage.get("DeleteSecret", force).await;
            }
            "secret scheduled for deletion"
            | "secret is scheduled for deletion"
            | "a secret of this name is scheduled for deletion" => {
                stage.get("CreateSecret", with_value).await;
                stage.get("DeleteSecret", json!({"SecretId": NAME})).await;
            }
            other => panic!("nobody knows how to set this up: {other}"),
        }
    }
    if let Some(made) = made {
        names.insert("complete-arn", text(&made["ARN"]).to_owned());
    }
    names
}

/// The request with its placeholders filled in, and with what an SDK or the note of the vector adds.
fn request(vector: &Value, names: &BTreeMap<&'static str, String>) -> Value {
    let (id, operation) = (text(&vector["id"]), text(&vector["request"]["operation"]));
    let mut names = names.clone();
    if operation == "AssociateCrossAccountReplica" && !id.contains("own-account") {
        names.insert("replica-account", ABROAD.to_owned());
    }
    let mut params = filled(&vector["request"]["params"], &names);
    let takes_token = ["CreateSecret", "PutSecretValue", "UpdateSecret", "RotateSecret"].contains(&operation);
    // Recorded through SDKs, which give every such request a token; E10 is about raw ones, and a bad name (E11) comes first.
    if takes_token
        && !id.starts_with("E10")
        && !id.starts_with("E11")
        && params.get("ClientRequestToken").is_none()
    {
        params["ClientRequestToken"] = token(5).into();
    }
    if ["E27-Associate", "E49", "E50"].iter().any(|known| id.starts_with(known)) {
        params["ReplicaRestriction"] = "NoRestriction".into();
    }
    if id == "E16-PutSecretValue" || id == "E26-PutSecretValue" {
        params["SecretString"] = "two".into();
    }
    // The vectors about states and names leave out what the model requires.
    for (of, member, value) in [
        ("UpdateSecretVersionStage", "VersionStage", json!("AWSCURRENT")),
        ("TagResource", "Tags", json!([{"Key": "a", "Value": "b"}])),
        ("UntagResource", "TagKeys", json!(["a"])),
        ("PutResourcePolicy", "ResourcePolicy", json!(names.get("policy"))),
        ("ReplicateSecretToRegions", "AddReplicaRegions", json!([{"Region": "us-east-1"}])),
        ("RemoveRegionsFromReplication", "RemoveReplicaRegions", json!(["us-east-1"])),
    ] {
        if operation == of && params.get(member).is_none() {
            params[member] = value;
        }
    }
    params
}

fn check(vector: &Value, names: &BTreeMap<&'static str, String>, reply: &Reply) {
    let expected = &vector["response"];
    let id = text(&vector["id"]);
    let message = filled(&expected["message"], names);
    let told = json!({"status": reply.status, "code": reply.code(), "message": reply.message()});
    let wanted = json!({"status": expected["http_status"], "code": expected["code"], "message": message});
    assert_eq!(told, wanted, "{id}");
    if let Some(body) = expected.get("wire_body") {
        assert_eq!(reply.body, filled(body, names), "{id}");
    }
    if let Some(modelled) = expected.get("modelled_message_attribute") {
        // An SDK fills that attribute for errors of the model only, so it says nothing about how a denial spells its text.
        let is_denial = reply.code() == "AccessDeniedException";
        let key = if is_denial || *modelled == json!(true) { "Message" } else { "message" };
        let mut keys = vec!["__type", key];
        keys.sort_unstable();
        assert_eq!(reply.keys(), keys, "{id}");
    }
}

fn filled(value: &Value, names: &BTreeMap<&'static str, String>) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text.clone();
            for (name, value) in names {
                text = text.replace(&format!("<{name}>"), value);
            }
            assert!(!text.contains('<'), "a placeholder that nobody filled in: {text}");
            Value::from(text)
        }
        Value::Array(values) => values.iter().map(|value| filled(value, names)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), filled(value, names))).collect()
        }
        other => other.clone(),
    }
}

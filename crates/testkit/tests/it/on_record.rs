//! What the audit log says of calls that are answered before, or beside, an ordinary operation.

use coffer_client::RawRequest;
use coffer_model::{iam, sts};
use coffer_testkit::{Engine, Issuer, TestServer};
use coffer_types::Secret;
use serde_json::{Value, json};

use crate::{
    sessions,
    stage::{Stage, ask_iam, token},
};

async fn events(server: &TestServer) -> Vec<Value> {
    let events = server.audit().await;
    events.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_what_is_not_served_is_an_event() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let service = &coffer_model::iam::SERVICE;
    let unserved = *service.unserved.first().unwrap();
    let mut ids = Vec::new();
    for asked in [unserved, "NobodyKnowsThis"] {
        let (status, text) = ask_iam(server.client(), asked, &[("UserName", "canary-of-a-body")]).await;
        assert_eq!(status, 400, "{text}");
        let (_, message) = text.split_once("<Message>").unwrap();
        ids.push(message.split_once('<').unwrap().0.to_owned());
    }
    let events = events(&server).await;
    let told: Vec<[&str; 3]> = events
        .iter()
        .filter(|event| {
            event["errorMessage"].as_str().is_some_and(|message| ids.iter().any(|id| id == message))
        })
        .map(|event| ["eventName", "errorMessage", "eventSource"].map(|name| event[name].as_str().unwrap()))
        .collect();
    let source = service.event_source;
    assert_eq!(told, [[unserved, &ids[0], source], ["UnknownOperation", &ids[1], source]]);
    let all = serde_json::to_string(&events).unwrap();
    assert!(!all.contains("canary-of-a-body"), "{all}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_a_secret_asks_about_the_arn_that_it_gets() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    let input = json!({"Name": "db/password", "ClientRequestToken": token(1), "SecretString": "one"});
    let made = stage.get("CreateSecret", input.clone()).await;
    assert_eq!(stage.get("CreateSecret", input).await["ARN"], made["ARN"], "once more");
    let events = events(&server).await;
    let calls: Vec<&Value> = events.iter().filter(|event| event["eventName"] == "CreateSecret").collect();
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(call["resources"][0]["ARN"], made["ARN"]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_on_record_with_the_role_that_it_is_of() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let client = server.client();
    let role = sessions::role(client, "app").await;
    let ask = sts::AssumeRoleRequest {
        role_arn: role.clone(),
        role_session_name: String::from("deploy"),
        source_identity: Some(String::from("ann")),
        ..Default::default()
    };
    let credentials = sessions::credentials::<sts::AssumeRole>(client, &ask).await;
    let as_role = client.with_credentials(credentials.clone());
    sessions::ask::<sts::GetCallerIdentity>(&as_role, &Default::default()).await;

    let events = events(&server).await;
    let of = |name: &str| events.iter().find(|event| event["eventName"] == name).unwrap();
    let begun = of("AssumeRole");
    assert_eq!(begun["userIdentity"]["type"], "IAMUser");
    assert_eq!(begun["resources"][0]["ARN"], role.as_str());
    assert_eq!(begun["requestParameters"]["roleSessionName"], "deploy");
    let session_arn = "arn:aws:sts::111122223333:assumed-role/app/deploy";
    assert_eq!(begun["responseElements"]["assumedRoleUser"]["arn"], session_arn);

    let identity = &of("GetCallerIdentity")["userIdentity"];
    let id = identity["sessionContext"]["sessionIssuer"]["principalId"].as_str().unwrap();
    assert!(id.starts_with("AROA"));
    assert_eq!(
        *identity,
        json!({
            "type": "AssumedRole",
            "principalId": format!("{id}:deploy"),
            "arn": session_arn,
            "accountId": "111122223333",
            "accessKeyId": credentials.access_key_id,
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role", "principalId": id, "arn": role, "accountId": "111122223333", "userName": "app",
                },
                "attributes": {"creationDate": begun["eventTime"], "mfaAuthenticated": "false"},
                "sourceIdentity": "ann",
            },
        })
    );
    let all = serde_json::to_string(&events).unwrap();
    for hidden in
        [credentials.secret_access_key.expose(), credentials.session_token.as_ref().unwrap().expose()]
    {
        assert!(!all.contains(hidden.as_str()));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_taken_on_from_another_account_is_on_record_in_both() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let role = sessions::role(server.client(), "app").await;
    let abroad = server.administrator_of("222233334444".parse().unwrap()).await;
    sessions::assume(&abroad, &role, 900).await;
    let missing = sts::AssumeRoleRequest {
        role_arn: role.replace("app", "missing"),
        role_session_name: String::from("test"),
        ..Default::default()
    };
    assert_eq!(sessions::ask::<sts::AssumeRole>(&abroad, &missing).await.status, 403);

    let events = events(&server).await;
    let calls = events.iter().filter(|event| event["eventName"] == "AssumeRole");
    let (refused, taken): (Vec<_>, Vec<_>) = calls.partition(|event| event["errorCode"] == "AccessDenied");
    let of = |account: &str| taken.iter().find(|event| event["recipientAccountId"] == account).unwrap();
    let (caller, owner) = (of("222233334444"), of("111122223333"));
    assert_eq!(taken.len(), 2);
    assert_eq!(caller["sharedEventID"], owner["sharedEventID"]);
    assert!(caller["sharedEventID"].is_string() && caller["eventID"] != owner["eventID"]);
    let id = &caller["userIdentity"]["principalId"];
    assert_eq!(
        owner["userIdentity"],
        json!({"type": "AWSAccount", "principalId": id, "accountId": "222233334444"})
    );
    assert_eq!(owner["resources"][0]["ARN"], role.as_str());
    // Strangers cannot fill the trail of somebody else.
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["recipientAccountId"], "222233334444");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_with_a_token_is_on_record_once_it_is_proven() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let provider = iam::CreateOpenIDConnectProviderRequest {
        url: Issuer::URL.to_owned(),
        client_id_list: Some(vec![String::from("sts.amazonaws.com")]),
        ..Default::default()
    };
    let made = sessions::ask::<iam::CreateOpenIDConnectProvider>(server.client(), &provider).await;
    let provider = sessions::element(&made, "OpenIDConnectProviderArn");
    let subject = "system:serviceaccount:prod:api";
    let claims = Issuer::claims(server.now().seconds(), subject);
    let good = server.issuer().token(&claims);
    for token in [good.clone(), good.replace('.', ".A")] {
        let role = "arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fnothing";
        let body = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=api-0&RoleArn={role}&WebIdentityToken={token}"
        );
        let form = b"application/x-www-form-urlencoded".to_vec();
        let request = RawRequest {
            method: "POST",
            target: String::from("/"),
            headers: vec![(String::from("content-type"), Secret::new(form))],
            body: Secret::new(body.into_bytes()),
        };
        assert_ne!(server.client().connections().send(request).await.unwrap().status, 200);
    }
    let events = events(&server).await;
    let told: Vec<&Value> =
        events.iter().filter(|event| event["eventName"] == "AssumeRoleWithWebIdentity").collect();
    let [told] = told.as_slice() else { panic!("{told:#?}") };
    assert_eq!(told["errorCode"], "AccessDenied");
    assert_eq!(
        told["userIdentity"],
        json!({
            "type": "WebIdentityUser",
            "principalId": format!("{provider}:sts.amazonaws.com:{subject}"),
            "userName": subject,
            "identityProvider": provider,
        })
    );
    assert!(!serde_json::to_string(&events).unwrap().contains(&good));
    server.stop().await;
}

/// AWS has such an event in the region of the key that follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_synchronized_is_on_record_in_its_own_region() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    let key = stage.kms("CreateKey", json!({"MultiRegion": true})).await;
    let key = &key["KeyMetadata"]["KeyId"];
    stage.kms("ReplicateKey", json!({"KeyId": key, "ReplicaRegion": "us-east-1"})).await;
    stage.kms("EnableKeyRotation", json!({"KeyId": key})).await;
    let events = events(&server).await;
    let followed = events.iter().filter(|event| event["eventName"] == "SynchronizeMultiRegionKey");
    let regions: Vec<&Value> = followed.map(|event| &event["awsRegion"]).collect();
    assert!(!regions.is_empty() && regions.iter().all(|region| *region == "us-east-1"), "{regions:?}");
    server.stop().await;
}

/// In one region a key is replicated, and in the other one it is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_a_key_is_asked_for_in_its_own_region() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    let key = stage.kms("CreateKey", json!({"MultiRegion": true})).await;
    let key = &key["KeyMetadata"]["KeyId"];
    let there = json!({"StringEquals": {"aws:RequestedRegion": "us-east-1"}});
    let user = stage.as_user_denied(json!("kms:CreateKey"), there).await;
    let replicate = async |region: &str| {
        let body = json!({"KeyId": key, "ReplicaRegion": region}).to_string();
        user.client
            .call_raw(&coffer_model::kms::SERVICE, "ReplicateKey", body.as_bytes())
            .await
            .unwrap()
            .status
    };
    assert_eq!((replicate("us-east-1").await, replicate("us-west-2").await), (400, 200));
    server.stop().await;
}

/// The one who reads and the one who lends the key have it on record, with an id in common.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_with_a_lent_key_is_on_record_with_whoever_lends_it() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    let lender = stage.abroad().await;
    let policy = crate::pair::key_policy("kms:*");
    let key = lender.kms("CreateKey", json!({"Policy": policy})).await;
    let key_arn = &key["KeyMetadata"]["Arn"];
    let create = json!({
        "Name": "db/password", "ClientRequestToken": token(1), "SecretString": "one", "KmsKeyId": key_arn,
    });
    stage.get("CreateSecret", create).await;
    stage.get("GetSecretValue", json!({"SecretId": "db/password"})).await;
    // What the key closed names no account, and is found all the same.
    let body = json!({"KeyId": key_arn, "Plaintext": "aGVsbG8="}).to_string();
    let service = &coffer_model::kms::SERVICE;
    let closed = stage.client.call_raw(service, "Encrypt", body.as_bytes()).await.unwrap();
    let closed: Value = serde_json::from_slice(closed.body.expose()).unwrap();
    stage.kms("Decrypt", json!({"CiphertextBlob": closed["CiphertextBlob"]})).await;
    // What is refused stays with whoever asked.
    lender.kms("DisableKey", json!({"KeyId": key_arn})).await;
    let refused = stage.ask("GetSecretValue", &json!({"SecretId": "db/password"})).await;
    assert_eq!(refused.code(), "DecryptionFailure");

    let events = events(&server).await;
    let told = |account: &str| -> Vec<(String, String)> {
        let uses = events.iter().filter(|event| {
            let name = event["eventName"].as_str().unwrap();
            event["recipientAccountId"] == account
                && ["Encrypt", "Decrypt", "GenerateDataKey"].contains(&name)
        });
        let shared = uses.filter(|event| event["errorCode"].is_null());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        shared.map(|event| (text(&event["eventName"]), text(&event["sharedEventID"]))).collect()
    };
    let (mine, theirs) = (told("111122223333"), told("222233334444"));
    assert_eq!(mine, theirs);
    let names: Vec<&str> = mine.iter().map(|(name, _)| name.as_str()).collect();
    for (name, times) in [("GenerateDataKey", 1), ("Encrypt", 1), ("Decrypt", 3)] {
        assert_eq!(names.iter().filter(|known| **known == name).count(), times, "{names:?}");
    }
    let is_of_lender = |event: &&Value| event["recipientAccountId"] == "222233334444";
    let of_lender =
        events.iter().filter(is_of_lender).find(|event| event["eventName"] == "GenerateDataKey").unwrap();
    assert_eq!(of_lender["userIdentity"]["type"], "AWSAccount");
    assert_eq!(of_lender["userIdentity"]["accountId"], "111122223333");
    assert!(!events.iter().filter(is_of_lender).any(|event| event["eventName"] == "GetSecretValue"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_schedules_the_end_of_a_key_has_on_record_what_goes_with_it() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    let key = stage.key().await;
    let other = stage.key().await;
    for (name, key) in [("a", &key), ("b", &key), ("c", &other)] {
        let create =
            json!({"Name": name, "ClientRequestToken": token(1), "SecretString": "one", "KmsKeyId": key});
        stage.get("CreateSecret", create).await;
    }
    let put = json!({"SecretId": "a", "ClientRequestToken": token(2), "SecretString": "two"});
    stage.get("PutSecretValue", put).await;
    // What another key opens as well stays.
    stage.get("UpdateSecret", json!({"SecretId": "b", "KmsKeyId": other})).await;
    for key in [&key, &stage.key().await] {
        stage.kms("ScheduleKeyDeletion", json!({"KeyId": key})).await;
    }
    let events = events(&server).await;
    let scheduled = events.iter().filter(|event| event["eventName"] == "ScheduleKeyDeletion");
    let told: Vec<&Value> =
        scheduled.map(|event| &event["additionalEventData"]["secretVersionsUnderKeyAlone"]).collect();
    assert_eq!(told, [&json!("2"), &json!("0")]);
    server.stop().await;
}

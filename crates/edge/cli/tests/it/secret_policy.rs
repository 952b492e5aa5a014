//! `coffer admin secret-policy`: what a policy that denies everybody has closed is opened again on the machine.

use coffer_client::{Client, ClientError};
use coffer_model::secretsmanager::{
    CreateSecret, CreateSecretRequest, DeleteSecret, DeleteSecretRequest, GetSecretValue,
    GetSecretValueRequest, PutResourcePolicy, PutResourcePolicyRequest, RestoreSecret, RestoreSecretRequest,
};
use coffer_types::Secret;

use crate::kill::{Ground, QUICK_END, every_event, runtime};

const NOBODY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:*","Resource":"*"}]}"#;
const TOKEN: &str = "00000000-0000-4000-8000-000000000001";
const ELSEWHERE: &str = "eu-west-3";

/// Makes a secret that its owner cannot use any more; answers its ARN.
async fn closed(client: &Client, name: &str) -> String {
    let secret = CreateSecretRequest {
        name: name.to_owned(),
        client_request_token: Some(String::from(TOKEN)),
        secret_string: Some(Secret::new(String::from("hunter2"))),
        ..CreateSecretRequest::default()
    };
    let arn = client.call::<CreateSecret>(&secret).await.unwrap().arn.unwrap();
    let policy = PutResourcePolicyRequest {
        secret_id: arn.clone(),
        resource_policy: NOBODY.to_owned(),
        ..PutResourcePolicyRequest::default()
    };
    client.call::<PutResourcePolicy>(&policy).await.unwrap();
    arn
}

/// The value, or the code of the refusal.
async fn read(client: &Client, secret_id: &str) -> Result<String, String> {
    let asked = GetSecretValueRequest { secret_id: secret_id.to_owned(), ..GetSecretValueRequest::default() };
    match client.call::<GetSecretValue>(&asked).await {
        Ok(read) => Ok(read.secret_string.unwrap().expose().clone()),
        Err(ClientError::Refused { code, .. }) => Err(code),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_secret_that_is_closed_to_everybody_is_opened_beside_a_server_and_without_one() {
    let ground = Ground::new(QUICK_END);
    let mut node = Some(ground.start());
    let running = node.as_ref().unwrap();
    let here = ground.client(running);
    let there = here.with_region(ELSEWHERE.parse().unwrap());
    let denied = Err(String::from("AccessDeniedException"));
    let (by_name, by_arn) = runtime().block_on(async {
        let arns = (closed(&here, "team/db").await, closed(&there, "team/db").await);
        assert_eq!((read(&here, "team/db").await, read(&there, "team/db").await), (denied.clone(), denied));
        arns
    });

    for runs in [true, false] {
        if !runs {
            assert!(node.take().unwrap().stop().0.success());
        }
        // A name is one of the configured region, and an ARN says where it is.
        let secret = if runs { "team/db" } else { by_arn.as_str() };
        let act = |what: &str| {
            let (code, said, complaint) = ground.command(&["admin", "secret-policy", what, secret], "data");
            assert_eq!(code, 0, "{runs}, {what}: {complaint}");
            said
        };
        assert_eq!(act("show").trim(), NOBODY);
        assert!(act("remove").contains("The policy is removed"));
        assert!(act("remove").contains("The secret has no policy"));
        assert!(act("show").contains("The secret has no policy"));
    }
    let words = ["admin", "secret-policy", "show", "team/db"];
    for (more, complains) in [
        (&["--region", "us-west-2"][..], "there is no secret team/db in account"),
        (&["--account", "111122223333"], "there is no account 111122223333"),
        (&["--region", "nowhere"], "region"),
    ] {
        let (code, said, complaint) = ground.command(&[&words[..], more].concat(), "data");
        assert!(code != 0 && said.is_empty() && complaint.contains(complains), "{more:?}: {complaint}");
    }

    let node = ground.start();
    let here = ground.client(&node);
    runtime().block_on(async {
        assert_eq!(read(&here, "team/db").await.as_deref(), Ok("hunter2"));
        assert_eq!(
            read(&here.with_region(ELSEWHERE.parse().unwrap()), "team/db").await.as_deref(),
            Ok("hunter2")
        );
    });
    assert!(node.stop().0.success());
    let events = every_event(&ground.path("data"), &ground.path("keys/keyfile"));
    let removed = events.iter().filter(|event| event["eventName"] == "RemoveSecretPolicy");
    let mut on_record: Vec<_> = removed
        .map(|event| {
            assert!(event["additionalEventData"]["uid"].is_string(), "{event}");
            (event["awsRegion"].to_string(), event["additionalEventData"]["SecretId"].to_string())
        })
        .collect();
    on_record.sort();
    let quoted = |text: &str| format!("\"{text}\"");
    assert_eq!(
        on_record,
        [(quoted(ELSEWHERE), quoted(&by_arn)), (quoted("us-east-1"), quoted(&by_name))],
        "each once, where the secret is"
    );
    assert_eq!(events.iter().filter(|event| event["eventName"] == "GetSecretPolicy").count(), 4);
    let (code, report, _) = ground.command(&["verify"], "data");
    assert_eq!(code, 0, "{report}");
}

/// Who could not restore it either has a month left, and then the value is gone.
#[test]
fn a_closed_secret_that_is_to_be_deleted_can_be_saved() {
    let ground = Ground::new(QUICK_END);
    let node = ground.start();
    let client = ground.client(&node);
    runtime().block_on(async {
        let arn = closed(&client, "late").await;
        let remove = |what| ground.command(&["admin", "secret-policy", what, "late"], "data");
        assert_eq!(remove("remove").0, 0);
        let delete = DeleteSecretRequest { secret_id: arn.clone(), ..DeleteSecretRequest::default() };
        let policy = PutResourcePolicyRequest {
            secret_id: arn.clone(),
            resource_policy: NOBODY.replace("secretsmanager:*", "secretsmanager:RestoreSecret"),
            ..PutResourcePolicyRequest::default()
        };
        client.call::<PutResourcePolicy>(&policy).await.unwrap();
        client.call::<DeleteSecret>(&delete).await.unwrap();
        let restore = RestoreSecretRequest { secret_id: arn };
        assert!(client.call::<RestoreSecret>(&restore).await.is_err());
        assert_eq!(remove("remove").0, 0);
        client.call::<RestoreSecret>(&restore).await.unwrap();
        assert_eq!(read(&client, "late").await.as_deref(), Ok("hunter2"));
    });
    assert!(node.stop().0.success());
}

#[test]
fn a_store_with_recovery_shares_takes_them_for_the_policy_of_a_secret() {
    let ground = Ground::new(QUICK_END);
    let mut node = Some(ground.start());
    let client = ground.client(node.as_ref().unwrap());
    runtime().block_on(async {
        closed(&client, "one").await;
        closed(&client, "two").await;
    });
    let shares = ground.path("shares");
    let create = ["key", "shares", "create", "--shares", "2/3", "--out", shares.to_str().unwrap()];
    assert_eq!(ground.command(&create, "data").0, 0);
    let share = |number: usize| shares.join(format!("share-{number}")).to_str().unwrap().to_owned();
    let (one, two) = (share(1), share(3));
    for (secret, runs) in [("one", true), ("two", false)] {
        if !runs {
            assert!(node.take().unwrap().stop().0.success());
        }
        let remove = |more: &[&str]| {
            ground.command(&[&["admin", "secret-policy", "remove", secret][..], more].concat(), "data")
        };
        let (code, _, complaint) = remove(&[]);
        assert!(code == 1 && complaint.contains("recovery shares"), "{complaint}");
        assert!(complaint.contains("try: coffer admin secret-policy remove"), "{complaint}");
        assert!(complaint.contains("<secret>") && complaint.contains("--share <file>"), "{complaint}");
        if runs {
            let (code, said, _) = remove(&["--share", &one]);
            assert!(code == 3 && said.contains("1 of 2 recovery shares given"), "{said}");
            // Given for this secret, and for no reset.
            let (code, said, _) = ground.command(&["admin", "reset", "--share", &two], "data");
            assert!(code == 3 && said.contains("1 of 2"), "{said}");
            assert_eq!(remove(&["--share", &one]).0, 3);
            assert_eq!(remove(&["--share", &two]).0, 0);
        } else {
            assert_eq!(remove(&["--share", &one]).0, 1, "nobody collects them");
            assert_eq!(remove(&["--share", &one, "--share", &two]).0, 0);
        }
    }
}

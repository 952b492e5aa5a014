//! `coffer admin reset`: the way back in for an administrator who is locked out.

use std::fs;

use coffer_client::{Client, ClientError};
use coffer_model::{
    iam::{
        DetachUserPolicy, DetachUserPolicyRequest, PutUserPolicy, PutUserPolicyRequest, UpdateUser,
        UpdateUserRequest,
    },
    secretsmanager::{ListSecrets, ListSecretsRequest},
};

use coffer_shape::Operation;

use crate::kill::{Ground, QUICK_END, every_event, runtime};

const RESET: [&str; 2] = ["admin", "reset"];
const CREDENTIALS: &str = "data/bootstrap/credentials";
const DENY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

fn may_list(client: &Client) -> bool {
    runtime().block_on(client.call::<ListSecrets>(&ListSecretsRequest::default())).is_ok()
}

/// Asks IAM for something that must succeed. Its answers are in XML, which the client does not read.
async fn ask<O: Operation>(client: &Client, request: &O::Input) {
    match client.call::<O>(request).await {
        Ok(_) | Err(ClientError::Shape(_)) => {}
        Err(refusal) => panic!("{}: {refusal}", O::SPEC.name),
    }
}

/// How somebody may lock himself out.
#[derive(Debug, Clone, Copy)]
enum LockOut {
    /// He is denied everything.
    Denial,
    /// He has lost what he was allowed by.
    Detachment,
    /// He is called something else, and has lost it.
    Renaming,
}

impl LockOut {
    async fn lock(self, client: &Client) {
        let detach = async |user_name: &str| {
            let request = DetachUserPolicyRequest {
                user_name: user_name.to_owned(),
                policy_arn: String::from("arn:aws:iam::aws:policy/AdministratorAccess"),
            };
            ask::<DetachUserPolicy>(client, &request).await;
        };
        match self {
            Self::Denial => {
                let request = PutUserPolicyRequest {
                    user_name: String::from("administrator"),
                    policy_name: String::from("deny"),
                    policy_document: DENY.to_owned(),
                };
                ask::<PutUserPolicy>(client, &request).await;
            }
            Self::Detachment => detach("administrator").await,
            Self::Renaming => {
                let request = UpdateUserRequest {
                    user_name: String::from("administrator"),
                    new_user_name: Some(String::from("somebody")),
                    new_path: None,
                };
                ask::<UpdateUser>(client, &request).await;
                detach("somebody").await;
            }
        }
    }
}

#[test]
fn whoever_locked_himself_out_is_let_in_again_while_the_server_runs_and_while_it_does_not() {
    for (lock_out, runs) in [
        (LockOut::Denial, true),
        (LockOut::Denial, false),
        (LockOut::Detachment, true),
        (LockOut::Renaming, true),
        (LockOut::Renaming, false),
    ] {
        let case = format!("{lock_out:?}, {runs}");
        let ground = Ground::new(QUICK_END);
        let node = ground.start();
        let before = ground.client(&node);
        assert!(may_list(&before), "{case}");
        runtime().block_on(lock_out.lock(&before));
        assert!(!may_list(&before), "{case}");
        let node = if runs {
            Some(node)
        } else {
            assert!(node.stop().0.success());
            let node = ground.start();
            assert!(!may_list(&ground.client(&node)), "no start lets anybody in: {case}");
            assert!(node.stop().0.success());
            None
        };

        let (code, _, complaint) = ground.command(&RESET, "data");
        assert!(code == 1 && complaint.contains("is there already"), "{case}: {complaint}");
        fs::remove_file(ground.path(CREDENTIALS)).unwrap();
        let (code, said, complaint) = ground.command(&RESET, "data");
        assert_eq!(code, 0, "{case}: {complaint}");
        assert!(said.contains(CREDENTIALS) && said.contains("coffer profile install"), "{said}");
        let node = node.unwrap_or_else(|| ground.start());
        assert!(may_list(&ground.client(&node)), "{case}");
        // The key that he had is still his own, and somebody else's if he is somebody else.
        let earlier = ground.client(&node).with_credentials(before.credentials().clone());
        assert_eq!(may_list(&earlier), !matches!(lock_out, LockOut::Renaming), "{case}");
        assert!(node.stop().0.success());

        let events = every_event(&ground.path("data"), &ground.path("keys/keyfile"));
        let resets: Vec<_> =
            events.iter().filter(|event| event["eventName"] == "ResetAdministrator").collect();
        assert_eq!(resets.len(), 1, "{case}");
        assert!(resets[0]["additionalEventData"]["uid"].is_string(), "{}", resets[0]);
        let (code, report, _) = ground.command(&["verify"], "data");
        assert_eq!(code, 0, "{case}: {report}");
    }
}

/// What several people keep together one of them does not undo.
#[test]
fn a_store_with_recovery_shares_takes_them_for_a_reset() {
    let ground = Ground::new(QUICK_END);
    let mut node = Some(ground.start());
    let shares = ground.path("shares");
    let create = ["key", "shares", "create", "--shares", "2/3", "--out", shares.to_str().unwrap()];
    assert_eq!(ground.command(&create, "data").0, 0);
    let share = |number: usize| shares.join(format!("share-{number}")).to_str().unwrap().to_owned();
    let (one, two) = (share(1), share(3));
    fs::remove_file(ground.path(CREDENTIALS)).unwrap();

    for runs in [true, false] {
        if !runs {
            assert!(node.take().unwrap().stop().0.success());
        }
        let (code, _, complaint) = ground.command(&RESET, "data");
        assert!(code == 1 && complaint.contains("coffer admin reset --"), "{complaint}");
        assert!(complaint.contains("recovery shares") && complaint.contains("--share <file>"), "{complaint}");
        let (code, said, _) = ground.command(&[&RESET[..], &["--share", &one]].concat(), "data");
        if runs {
            assert!(code == 3 && said.contains("1 of 2 recovery shares given"), "{said}");
            // Shares that were given for one thing are not given for another.
            let (code, said, _) =
                ground.command(&["admin", "reset", "--account", "111122223333", "--share", &two], "data");
            assert!(code == 3 && said.contains("1 of 2"), "{said}");
            let (code, ..) = ground.command(&[&RESET[..], &["--share", &one]].concat(), "data");
            assert_eq!(code, 3);
        } else {
            assert_eq!(code, 1, "nobody collects them: {said}");
        }
        assert!(!ground.path(CREDENTIALS).exists());
        let rest = if runs { vec!["--share", &two] } else { vec!["--share", &one, "--share", &two] };
        let (code, _, complaint) = ground.command(&[&RESET[..], &rest].concat(), "data");
        assert_eq!(code, 0, "{complaint}");
        if let Some(node) = &node {
            assert!(may_list(&ground.client(node)));
        }
        fs::remove_file(ground.path(CREDENTIALS)).unwrap();
    }
}

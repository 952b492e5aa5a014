//! What the golden exchanges of Secrets Manager and KMS show, counted: no operation, error or state may be forgotten.
//!
//! The pages are read and not run here; that they are true is for the exchanges to say. An error that the model declares and that
//! no request can bring about stands in [`never`] with its reason, until there is a page with it.

use std::{collections::BTreeSet, fs};

use coffer_shape::OperationSpec;
use coffer_testkit::{OnPaper, Script};

use crate::{
    place::tests,
    states::{RULES, Rule},
};

fn page(name: &str) -> Script {
    Script::parse(&fs::read_to_string(tests("wire/secretsmanager").join(name)).unwrap())
}

fn pages(service: &str) -> Vec<Script> {
    let files = fs::read_dir(tests("wire").join(service)).unwrap();
    files.map(|file| Script::parse(&fs::read_to_string(file.unwrap().path()).unwrap())).collect()
}

fn served(service: &str) -> Vec<&'static OperationSpec> {
    let specs = coffer_server::open::registry().public();
    specs.into_iter().filter(|spec| spec.service.name == service).collect()
}

/// Why nobody can see this error of this operation.
fn never(operation: &str, code: &str) -> Option<&'static str> {
    Some(match (operation, code) {
        (_, "InternalServiceError") => "a fault of ours; other tests break the store and see it",
        ("CreateSecret" | "UpdateSecret", "DecryptionFailure") => {
            "the same key has just encrypted, so that what refuses to decrypt has refused that before"
        }
        ("BatchGetSecretValue", "DecryptionFailure") => "said of each secret, and not of the call",
        ("CreateSecret", "LimitExceededException") => "half a million secrets fit on no page",
        ("UpdateSecret", "LimitExceededException") => "a hundred versions fit on no page; see `limits`",
        (
            "CreateSecret" | "UpdateSecret",
            "MalformedPolicyDocumentException" | "PreconditionNotMetException",
        )
        | ("CreateSecret", "ResourceNotFoundException") => "AWS does not say when, and we know of nothing",
        (
            "DescribeSecret"
            | "GetResourcePolicy"
            | "GetSecretValue"
            | "ListResourcePolicies"
            | "ListSecretVersionIds"
            | "StopReplicationToReplica"
            | "ValidateResourcePolicy",
            "InvalidParameterException",
        ) => "the model says all there is to say about the parameters",
        (
            "GetRandomPassword" | "ListSecrets" | "RestoreSecret" | "ValidateResourcePolicy",
            "InvalidRequestException",
        ) => "no state of a secret is in the way",
        _ => return None,
    })
}

/// The same of KMS.
fn never_of_keys(operation: &str, code: &str) -> Option<&'static str> {
    Some(match (operation, code) {
        (_, "KMSInternalException" | "DependencyTimeoutException") => {
            "a fault of ours; other tests break the store and see it"
        }
        (_, "KeyUnavailableException") => "keys are in the store, and not on a machine that may be away",
        (
            _,
            "CloudHsmClusterInvalidConfigurationException"
            | "CustomKeyStoreInvalidStateException"
            | "CustomKeyStoreNotFoundException"
            | "XksKeyAlreadyInUseException"
            | "XksKeyInvalidConfigurationException"
            | "XksKeyNotFoundException",
        ) => "there are no custom key stores",
        ("CreateGrant", "InvalidArnException") => return None,
        (_, "InvalidArnException") => "what is no ARN of a key is not found, as recorded on AWS",
        ("CreateKey" | "RotateKeyOnDemand", "LimitExceededException") => return None,
        ("TagResource", "LimitExceededException") => "too many tags are a TagException, as recorded on AWS",
        ("EnableKey", "LimitExceededException") => "there is no limit for keys",
        (_, "LimitExceededException") => "too many or too much for a page",
        (
            "DeleteAlias" | "GetKeyPolicy" | "ListGrants" | "ListKeyPolicies" | "PutKeyPolicy"
            | "RetireGrant" | "RevokeGrant",
            "KMSInvalidStateException",
        ) => "no state of a key is in the way",
        (
            "DeleteImportedKeyMaterial" | "GetKeyRotationStatus" | "ListKeyRotations",
            "KMSInvalidStateException",
        ) => "only while a key is being made or updated, which nobody sees",
        ("GetPublicKey", "InvalidKeyUsageException") => "a key without a public half is unsupported instead",
        ("PutKeyPolicy", "UnsupportedOperationException") => "AWS does not say when",
        ("ListRetirableGrants", "NotFoundException") => "it names no key",
        ("RotateKeyOnDemand", "ConflictException") => "a rotation is done with the answer",
        _ => return None,
    })
}

#[test]
fn every_operation_succeeds_on_a_page_and_fails_with_each_error_of_the_model() {
    assert_eq!(not_shown("secretsmanager", never), [] as [&str; 0]);
}

#[test]
fn every_operation_on_keys_succeeds_on_a_page_and_fails_with_each_error_of_the_model() {
    assert_eq!(not_shown("kms", never_of_keys), [] as [&str; 0]);
}

fn not_shown(service: &str, never: fn(&str, &str) -> Option<&'static str>) -> Vec<String> {
    let pages = pages(service);
    let shown: Vec<OnPaper<'_>> = pages.iter().flat_map(Script::on_paper).collect();
    let mut wrong = Vec::new();
    let mut counts = [0, 0];
    for spec in served(service) {
        let mine = || shown.iter().filter(|exchange| exchange.operation == spec.name);
        if !mine().any(|exchange| exchange.is_success) {
            wrong.push(format!("{} never succeeds", spec.name));
        }
        for error in spec.errors {
            // In a batch each secret has an answer of its own, and the call succeeds.
            let says = ["__type", "ErrorCode"].map(|member| format!("\"{member}\": \"{}\"", error.code));
            let is_shown = mine().any(|exchange| says.iter().any(|says| exchange.answer.contains(says)));
            match (is_shown, never(spec.name, error.code)) {
                (true, None) => counts[0] += 1,
                (false, Some(_)) => counts[1] += 1,
                (true, Some(reason)) => {
                    wrong.push(format!("{} {}: {reason}, and yet", spec.name, error.code));
                }
                (false, None) => wrong.push(format!("{} {} is on no page", spec.name, error.code)),
            }
        }
        let names_a_secret = spec.errors.iter().any(|error| error.code == "ResourceNotFoundException");
        let not_found = "Secrets Manager can't find the specified secret.\"";
        if names_a_secret
            && spec.name != "CreateSecret"
            && !mine().any(|exchange| exchange.answer.contains(not_found))
        {
            wrong.push(format!("{} of a secret that does not exist is on no page", spec.name));
        }
    }
    println!("declared errors: {} on a page, {} that cannot be", counts[0], counts[1]);
    wrong
}

/// In the words of the rules: `ok`, or how the sentence begins that says no.
fn outcome(exchange: &OnPaper<'_>) -> &'static str {
    for (says, word) in [
        ("because it was marked for deletion", "E5"),
        ("because a secret with this name is already scheduled for deletion", "E6"),
        ("already exists.", "E8"),
        ("Operation not permitted on a replica secret.", "E16"),
    ] {
        if exchange.answer.contains(says) {
            return word;
        }
    }
    if exchange.is_success { "ok" } else { "something else" }
}

fn state_is_shown(
    script: &Script,
    from: impl Fn(&OnPaper<'_>) -> bool,
    rule: impl Fn(&Rule) -> &'static [&'static str],
) {
    let shown: Vec<OnPaper<'_>> = script.on_paper().filter(from).collect();
    for known in RULES {
        let mine = shown.iter().filter(|exchange| exchange.operation == known.operation);
        let came: BTreeSet<&str> = mine.map(outcome).collect();
        assert_eq!(came, rule(known).iter().copied().collect(), "{}", known.operation);
    }
}

#[test]
fn what_is_allowed_while_a_secret_is_scheduled_for_deletion_stands_on_one_page() {
    let script = page("while-scheduled-for-deletion.wire");
    let begun = std::cell::Cell::new(false);
    let after_the_deletion = |exchange: &OnPaper<'_>| {
        let before = begun.get();
        begun.set(before || exchange.operation == "DeleteSecret");
        before
    };
    state_is_shown(&script, after_the_deletion, |rule| rule.scheduled);
}

#[test]
fn what_a_replica_allows_stands_on_one_page() {
    let script = page("on-a-replica.wire");
    let ended = std::cell::Cell::new(false);
    let while_it_is_one = |exchange: &OnPaper<'_>| {
        let is_there = exchange.region == "us-east-1" && !ended.get();
        ended.set(ended.get() || is_there && exchange.operation == "StopReplicationToReplica");
        is_there
    };
    state_is_shown(&script, while_it_is_one, |rule| rule.replica);
}

#[test]
fn there_is_a_rule_for_every_operation() {
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.operation).collect();
    let served: Vec<&str> = served("secretsmanager").iter().map(|spec| spec.name).collect();
    assert_eq!(rules, served);
}

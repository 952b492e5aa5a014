//! The sentences of AWS about requests that break the model, from the body to the message.

use coffer_wire::{Head, route};

use crate::fixture::{Everything, SERVICES};

fn check(body: &str, expected: &str) {
    let head = Head {
        method: "POST",
        path: "/",
        query: "",
        headers: &[("x-amz-target", b"secretsmanager.GetEverything")],
    };
    let route = route(&head, SERVICES);
    let operation = route.operation(body.as_bytes()).unwrap();
    let input = route.input(operation, body.as_bytes()).unwrap();
    match input.decode::<Everything>() {
        Ok(_) => assert_eq!(expected, "", "{body}"),
        Err(error) => {
            assert_eq!((error.code(), error.message.as_str()), ("ValidationException", expected), "{body}");
        }
    }
}

#[test]
fn each_constraint_has_its_sentence() {
    check(r#"{"SecretId":"a"}"#, "");
    check(
        "{}",
        "1 validation error detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null",
    );
    check(
        "",
        "1 validation error detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null",
    );
    check(
        r#"{"SecretId":null}"#,
        "1 validation error detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null",
    );
    check(
        r#"{"SecretId":""}"#,
        "1 validation error detected: Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1",
    );
    check(
        r#"{"SecretId":"a","AddReplicaRegions":[]}"#,
        "1 validation error detected: Value '[]' at 'addReplicaRegions' failed to satisfy constraint: Member must have length greater than or equal to 1",
    );
    check(
        &format!(r#"{{"SecretId":"a","PolicyName":"{}"}}"#, "a".repeat(65)),
        &format!(
            "1 validation error detected: Value '{}' at 'policyName' failed to satisfy constraint: Member must have length less than or equal to 64",
            "a".repeat(65)
        ),
    );
    check(
        r#"{"SecretId":"a","PolicyName":"a.b"}"#,
        "1 validation error detected: Value 'a.b' at 'policyName' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9A-Za-z\\-\\_]+",
    );
    check(
        r#"{"SecretId":"a","PasswordLength":5555}"#,
        "1 validation error detected: Value '5555' at 'passwordLength' failed to satisfy constraint: Member must have value less than or equal to 4096",
    );
    check(
        r#"{"SecretId":"a","PasswordLength":0}"#,
        "1 validation error detected: Value '0' at 'passwordLength' failed to satisfy constraint: Member must have value greater than or equal to 1",
    );
    check(
        r#"{"SecretId":"a","Filters":[{"Key":"invalid","Values":["x"]}]}"#,
        "1 validation error detected: Value 'invalid' at 'filters.1.member.key' failed to satisfy constraint: Member must satisfy enum value set: [all, name, tag-key]",
    );
}

#[test]
fn paths_lead_through_lists_structures_and_maps() {
    check(
        r#"{"SecretId":"a","Filters":[{"Values":["x"]},{"Values":["x",""]}]}"#,
        "1 validation error detected: Value '' at 'filters.2.member.values.2.member' failed to satisfy constraint: Member must have length greater than or equal to 1",
    );
    check(
        r#"{"SecretId":"a","Filters":[{}]}"#,
        "1 validation error detected: Value null at 'filters.1.member.values' failed to satisfy constraint: Member must not be null",
    );
    check(
        r#"{"SecretId":"a","AddReplicaRegions":[null]}"#,
        "1 validation error detected: Value null at 'addReplicaRegions.1.member' failed to satisfy constraint: Member must not be null",
    );
    check(
        r#"{"SecretId":"a","Context":{"k":""}}"#,
        "1 validation error detected: Value '' at 'context.k.member' failed to satisfy constraint: Member must have length greater than or equal to 1",
    );
    check(
        r#"{"SecretId":"a","Nested":{"Nested":{"Name":""}}}"#,
        "1 validation error detected: Value '' at 'nested.nested.name' failed to satisfy constraint: Member must have length greater than or equal to 1",
    );
}

#[test]
fn all_violations_come_in_one_answer_in_the_order_of_the_model() {
    check(
        r#"{"PasswordLength":0,"PolicyName":""}"#,
        "4 validation errors detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null; \
         Value '' at 'policyName' failed to satisfy constraint: Member must have length greater than or equal to 1; \
         Value '' at 'policyName' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9A-Za-z\\-\\_]+; \
         Value '0' at 'passwordLength' failed to satisfy constraint: Member must have value greater than or equal to 1",
    );
}

#[test]
fn a_sensitive_value_is_never_quoted() {
    check(
        r#"{"SecretId":"a","SecretString":""}"#,
        "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length greater than or equal to 1",
    );
    check(
        &format!(r#"{{"SecretId":"a","SecretString":"{}"}}"#, "s".repeat(65_537)),
        "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536",
    );
    // The limit counts bytes: 32,769 letters of two bytes are one byte too many.
    check(
        &format!(r#"{{"SecretId":"a","SecretString":"{}"}}"#, "é".repeat(32_769)),
        "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536",
    );
    check(&format!(r#"{{"SecretId":"a","SecretString":"{}"}}"#, "é".repeat(32_768)), "");
    check(
        r#"{"SecretId":"a","SecretBinary":""}"#,
        "1 validation error detected: Value at 'secretBinary' failed to satisfy constraint: Member must have length greater than or equal to 1",
    );
}

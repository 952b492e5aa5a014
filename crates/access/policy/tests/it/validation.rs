//! Recorded and documented answers to policy documents of every kind.

use coffer_policy::{Document, Kind, Malformed};
use serde_json::Value;

#[test]
fn documents_are_accepted_and_refused_in_awss_words() {
    let vectors: Value = serde_json::from_str(include_str!("../data/iam-vectors.json")).unwrap();
    let cases = vectors["validation_cases"].as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let kind = match text("kind") {
            "identity" => Kind::Managed,
            "trust" => Kind::Trust,
            "secret" | "key" => Kind::Resource,
            other => panic!("{other}"),
        };
        let answer = match Document::parse(kind, text("document")) {
            Ok(_) => None,
            // Each service has a sentence of its own for principals.
            Err(Malformed::Principal { .. }) if text("kind") == "secret" => {
                Some(String::from("This resource policy contains an unsupported principal."))
            }
            Err(Malformed::Principal { .. }) if text("kind") == "key" => {
                Some(String::from("Policy contains a statement with one or more invalid principals."))
            }
            Err(error) => Some(error.to_string()),
        };
        // A size is not the grammar's business, and a case without a sentence leaves it free.
        let is_good = case["valid"] == true || case["error_code"] == "LimitExceeded";
        if answer.is_none() != is_good
            || case["error_message"].as_str().is_some_and(|wanted| answer.as_deref() != Some(wanted))
        {
            wrong.push(format!("{}: {answer:?}", text("id")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(cases.len(), 67);
}

/// The order of the checks where one document has two mistakes, and what the recordings do not show.
#[test]
fn the_first_check_that_fails_over_the_whole_document_is_told() {
    let allow = |rest: &str| format!(r#"{{"Effect": "Allow", "Principal": "*", {rest}}}"#);
    let ok = allow(r#""Action": "a:b", "Resource": "*""#);
    for (kind, statements, expected) in [
        (Kind::Resource, vec![ok.clone()], None),
        (Kind::Resource, vec![], Some(Malformed::Syntax)),
        (Kind::Resource, vec![String::from("null")], Some(Malformed::Syntax)),
        // The last statement's syntax comes before the first one's words.
        (
            Kind::Resource,
            vec![ok.replace("Allow", "ALLOW"), ok.replace("Action", "Actions")],
            Some(Malformed::Syntax),
        ),
        (Kind::Resource, vec![ok.replace("Allow", "ALLOW")], Some(Malformed::LegacyParsing)),
        // Twice the same Sid, and an empty one that says nothing.
        (
            Kind::Resource,
            vec![allow(r#""Sid": "x", "Action": "a:b", "Resource": "*""#); 2],
            Some(Malformed::SidTwice),
        ),
        (Kind::Resource, vec![allow(r#""Sid": "", "Action": "a:b", "Resource": "*""#); 2], None),
        // A list is not looked at by the older parser.
        (Kind::Resource, vec![allow(r#""Action": "a:b", "Resource": ["arn:aws:s3::bucket"]"#)], None),
        // Of several resources in a wrong format the last in reverse order is told.
        (
            Kind::Resource,
            vec![allow(r#""Action": "a:b", "Resource": ["b", "a", "c"]"#)],
            Some(Malformed::ResourceNotArn { resource: "a".into() }),
        ),
        (
            Kind::Resource,
            vec![
                allow(r#""Action": "a:b", "NotResource": "x:y""#),
                allow(r#""Action": "a:b", "Resource": "a""#),
            ],
            Some(Malformed::ResourcePartition { partition: "y".into(), resource: "arn:y:*:*:*:*".into() }),
        ),
        (
            Kind::Resource,
            vec![allow(r#""Action": "a:b", "Resource": "arn:aws""#)],
            Some(Malformed::ResourceVendor),
        ),
        (
            Kind::Resource,
            vec![allow(r#""Action": "a:b", "Resource": "arn:aws:s3:eu-west-1::bucket/key""#)],
            Some(Malformed::ResourceRegion { resource: "arn:aws:s3:eu-west-1::bucket/key".into() }),
        ),
        (
            Kind::Resource,
            vec![allow(r#""Action": "a:b", "Resource": "arn:aws:s3:eu-west-1:111122223333:accesspoint/x""#)],
            None,
        ),
        (Kind::Resource, vec![allow(r#""Action": "a:b", "Resource": "arn:aws:iam::111122223333:*""#)], None),
        (Kind::Resource, vec![allow(r#""Action": null, "Resource": "*""#)], Some(Malformed::Syntax)),
        (Kind::Resource, vec![allow(r#""Action": ["a:b", 1], "Resource": "*""#)], Some(Malformed::Syntax)),
        (Kind::Resource, vec![allow(r#""Action": "a:b", "Resource": []"#)], Some(Malformed::NoResources)),
        (Kind::Resource, vec![allow(r#""Action": "a:b""#)], Some(Malformed::NoResources)),
        // Forms of a principal.
        (
            Kind::Resource,
            vec![ok.replace(r#""*", "A"#, r#"{"AWS": ["*", null], "Service": "lambda.amazonaws.com"}, "A"#)],
            None,
        ),
        (Kind::Resource, vec![ok.replace(r#""*", "A"#, r#"{}, "A"#)], Some(Malformed::NoPrincipal)),
        (Kind::Resource, vec![ok.replace(r#""*", "A"#, r#"{"AWS": []}, "A"#)], Some(Malformed::NoPrincipal)),
        (Kind::Resource, vec![ok.replace(r#""*", "A"#, r#""111122223333", "A"#)], Some(Malformed::Syntax)),
        (Kind::Resource, vec![ok.replace(r#""*", "A"#, r#"{"aws": "*"}, "A"#)], Some(Malformed::Syntax)),
        (
            Kind::Resource,
            vec![ok.replace("\"Principal\"", "\"Principal\": \"*\", \"NotPrincipal\"")],
            Some(Malformed::Syntax),
        ),
        // Inline policies may be of the old version, and of none.
        (Kind::Inline, vec![String::from(r#"{"Effect": "Allow", "Action": "a:b", "Resource": "*"}"#)], None),
        (
            Kind::Trust,
            vec![String::from(r#"{"Effect": "Deny", "NotPrincipal": "*", "Action": "sts:AssumeRole"}"#)],
            Some(Malformed::NotPrincipalInTrust),
        ),
    ] {
        let text = format!(r#"{{"Statement": [{}]}}"#, statements.join(", "));
        assert_eq!(Document::parse(kind, &text).err(), expected, "{text}");
    }
}

#[test]
fn a_document_comes_out_as_types() {
    let text = r#"{"Version": "2012-10-17", "Id": "mine", "Statement": {
        "Sid": "Allow the app", "Effect": "Allow", "Principal": {"AWS": "111122223333"},
        "NotAction": "secretsmanager:Delete*", "Resource": ["*"],
        "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": [300, "400"]}, "Bool": {"x:y": true}}}}"#;
    let document = Document::parse(Kind::Resource, text).unwrap();
    expect_test::expect![[r#"
        Document {
            version: V2012,
            id: Some(
                "mine",
            ),
            statements: [
                Statement {
                    sid: Some(
                        "Allow the app",
                    ),
                    effect: Allow,
                    principals: Some(
                        Only(
                            [
                                Account(
                                    111122223333,
                                ),
                            ],
                        ),
                    ),
                    actions: AllBut(
                        [
                            "secretsmanager:Delete*",
                        ],
                    ),
                    resources: Some(
                        Only(
                            [
                                "*",
                            ],
                        ),
                    ),
                    conditions: [
                        Condition {
                            operator: Operator {
                                quantifier: None,
                                test: NumericLessThan,
                                if_exists: false,
                            },
                            key: "aws:MultiFactorAuthAge",
                            values: [
                                "300",
                                "400",
                            ],
                        },
                        Condition {
                            operator: Operator {
                                quantifier: None,
                                test: Bool,
                                if_exists: false,
                            },
                            key: "x:y",
                            values: [
                                "true",
                            ],
                        },
                    ],
                },
            ],
        }
    "#]]
    .assert_debug_eq(&document);
}

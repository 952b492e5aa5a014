//! Documents to validate: right ones, and ones with one thing broken.
//!
//! A case has the members of the written validation cases; `broken` is the number of the check that has to object, or nothing.

use serde_json::{Map, Value, json};

use super::insert;
use crate::dice::Dice;

/// How a right document is broken: the number of the check, the kinds it concerns (all if none), and what to do to it.
type Break = (u8, &'static [&'static str], fn(&mut Dice, &mut Draft));

/// A document between JSON and text.
#[derive(Debug)]
struct Draft {
    document: Map<String, Value>,
    statements: Vec<Map<String, Value>>,
    /// Done to the text at last: what no JSON value can say.
    on_text: Option<fn(&str) -> String>,
}

impl Draft {
    /// One statement, to be broken.
    fn one(&mut self, dice: &mut Dice, change: impl FnOnce(&mut Dice, &mut Map<String, Value>)) {
        let position = dice.below(self.statements.len());
        if let Some(statement) = self.statements.get_mut(position) {
            change(dice, statement);
        }
    }

    fn text(mut self, dice: &mut Dice) -> String {
        let mut statements: Vec<Value> = self.statements.into_iter().map(Value::Object).collect();
        let statement = if statements.len() == 1 && dice.percent(40) {
            statements.pop().unwrap_or_default()
        } else {
            Value::Array(statements)
        };
        // A break may have put something else in its place.
        self.document.entry("Statement").or_insert(statement);
        let document = Value::Object(self.document);
        let text = if dice.percent(30) { format!("{document:#}") } else { document.to_string() };
        self.on_text.map_or(text.clone(), |change| change(&text))
    }
}

const KINDS: &[&str] = &["identity", "identity", "trust", "secret", "secret", "key"];
const ENTITIES: &[&str] = &[
    "*",
    "111122223333",
    "arn:aws:iam::111122223333:root",
    "arn:aws:iam::111122223333:user/team/alice",
    "arn:aws:iam::444455556666:role/app",
    "arn:aws:sts::111122223333:assumed-role/app/s1",
    "arn:aws:sts::111122223333:federated-user/bob",
    "AROAIOSFODNN7EXAMPLE1",
];

pub fn random_document(dice: &mut Dice) -> Value {
    let kind = dice.pick(KINDS);
    let mut draft = right(dice, kind);
    let mut broken = Value::Null;
    if dice.percent(65) {
        let fitting: Vec<&Break> =
            BREAKS.iter().filter(|(_, kinds, _)| kinds.is_empty() || kinds.contains(&kind)).collect();
        if let Some((check, _, change)) = fitting.get(dice.below(fitting.len())) {
            change(dice, &mut draft);
            broken = Value::from(*check);
        }
    }
    json!({"kind": kind, "document": draft.text(dice), "broken": broken})
}

fn right(dice: &mut Dice, kind: &str) -> Draft {
    let mut document = Map::new();
    match dice.below(10) {
        0 if kind != "identity" => insert(&mut document, "Version", "2008-10-17"),
        1 if kind != "identity" => {}
        _ => insert(&mut document, "Version", "2012-10-17"),
    }
    if dice.percent(15) {
        insert(&mut document, "Id", dice.pick(&["", "policy one"]));
    }
    if dice.percent(5) {
        insert(&mut document, "Conditions", json!([]));
    }
    let count = dice.pick(&[1, 1, 2, 3]);
    let statements = (0..count).map(|number| right_statement(dice, kind, number)).collect();
    Draft { document, statements, on_text: None }
}

fn right_statement(dice: &mut Dice, kind: &str, number: usize) -> Map<String, Value> {
    let mut statement = Map::new();
    if dice.percent(50) {
        let sid = match kind {
            "secret" | "key" if dice.percent(50) => format!("Statement no. {number}"),
            _ => format!("S{number}"),
        };
        insert(&mut statement, "Sid", if dice.percent(10) { String::new() } else { sid });
    }
    let effect = dice.pick(&["Allow", "Allow", "Deny"]);
    insert(&mut statement, "Effect", effect);
    if kind != "identity" {
        let negated = matches!(kind, "secret" | "key") && effect == "Deny" && dice.percent(30);
        insert(&mut statement, if negated { "NotPrincipal" } else { "Principal" }, right_principal(dice));
    }
    let action = match kind {
        "trust" => dice.pick(&[
            json!("sts:AssumeRole"),
            json!(["sts:assumerole", "sts:TagSession"]),
            json!("sts:AssumeRoleWithWebIdentity"),
            json!("sts:*"),
            json!("*"),
        ]),
        _ => dice.pick(&[
            json!("secretsmanager:GetSecretValue"),
            json!(["secretsmanager:Get*", "KMS:Decrypt", null]),
            json!("*"),
            json!("*:Get*"),
            json!("no-such.service:Thing"),
        ]),
    };
    let not_action = kind != "trust" && dice.percent(15);
    insert(&mut statement, if not_action { "NotAction" } else { "Action" }, action);
    if kind != "trust" {
        let resource = dice.pick(&[
            json!("*"),
            json!(["*", null]),
            json!("arn:aws:secretsmanager:*:111122223333:secret:prod/${aws:username}/*"),
            json!(["arn:aws-cn:s3:::bucket/*", "arn:*:iam::111122223333:role/app"]),
            json!("arn:aws:secretsmanager"),
            json!("arn:aws:s3:us-east-1:111122223333:accesspoint/a"),
            json!(["arn:aws:iam::111122223333:*", "*"]),
        ]);
        insert(&mut statement, if dice.percent(15) { "NotResource" } else { "Resource" }, resource);
    }
    if dice.percent(35) {
        insert(&mut statement, "Condition", right_condition(dice));
    }
    statement
}

fn right_principal(dice: &mut Dice) -> Value {
    match dice.below(5) {
        0 => json!("*"),
        1 => json!({"AWS": dice.pick(ENTITIES)}),
        2 => json!({"AWS": [dice.pick(ENTITIES), dice.pick(ENTITIES)]}),
        3 => json!({"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"], "AWS": dice.pick(ENTITIES)}),
        _ => json!({"Federated": dice.pick(&[
            "accounts.google.com",
            "arn:aws:iam::111122223333:oidc-provider/oidc.example.com",
            "arn:aws:iam::111122223333:saml-provider/office",
        ])}),
    }
}

fn right_condition(dice: &mut Dice) -> Value {
    dice.pick(&[
        json!({}),
        json!({"Nonsense": {}}),
        json!({"StringEquals": {"aws:PrincipalTag/team": ["red", "blue"]}}),
        json!({"forallvalues:stringlikeifexists": {"aws:TagKeys": "*"}, "Null": {"aws:TagKeys": false}}),
        json!({"NumericLessThan": {"a:b": 5}, "Bool": {"aws:SecureTransport": true}}),
        json!({"DateGreaterThan": {"aws:CurrentTime": "2026-06-01T12:00:00.5+02:00"}}),
        json!({"DateLessThanIfExists": {"aws:EpochTime": ["1767225600", 1_767_225_601]}}),
        json!({"ArnLike": {"aws:SourceArn": []}}),
    ])
}

/// Puts something in place of an element, or of its negation.
fn replace(statement: &mut Map<String, Value>, element: &str, value: Value) {
    let negation = format!("Not{element}");
    let member = if statement.contains_key(&negation) { negation } else { element.to_owned() };
    statement.insert(member, value);
}

fn remove(statement: &mut Map<String, Value>, element: &str) {
    statement.remove(element);
    statement.remove(&format!("Not{element}"));
}

const RESOURCE_POLICIES: &[&str] = &["trust", "secret", "key"];
const WITH_RESOURCE: &[&str] = &["identity", "secret", "key"];
const OF_IAM: &[&str] = &["identity", "trust"];

const BREAKS: &[Break] = &[
    (1, &[], |dice, draft| {
        let cut: fn(&str) -> String = |text| text.chars().take(text.len() / 2).collect();
        let tail: fn(&str) -> String = |text| format!("{text}}}");
        let comma: fn(&str) -> String = |text| text.replacen('{', "{,", 1);
        let empty: fn(&str) -> String = |_| String::new();
        draft.on_text = [cut, tail, comma, empty].get(dice.below(4)).copied();
    }),
    // A member that is there twice.
    (2, &[], |_, draft| {
        draft.on_text = Some(|text| text.replacen("\"Effect\"", "\"Effect\":\"Deny\",\"Effect\"", 1));
    }),
    (2, &[], |_, draft| draft.on_text = Some(|text| format!("[{text}]"))),
    (2, &[], |dice, draft| {
        let (member, value) = dice.pick(&[
            ("Extra", json!(1)),
            ("version", json!("2012-10-17")),
            ("Version", json!("2012-10-18")),
            ("Version", json!(2012)),
            ("Id", json!(["x"])),
            ("Statement", json!([])),
            ("Statement", json!("*")),
            ("Statement", json!(null)),
            ("Statement", json!([[]])),
        ]);
        insert(&mut draft.document, member, value);
    }),
    (2, &[], |dice, draft| {
        draft.one(dice, |dice, statement| {
            let (member, value) = dice.pick(&[
                ("Foo", json!(1)),
                ("effect", json!("Allow")),
                ("Effect", json!("Permit")),
                ("Effect", json!(["Allow"])),
                ("Sid", json!(7)),
                ("Condition", json!("x")),
                ("Condition", json!({"StringEquals": []})),
                ("Condition", json!({"StringEqualz": {"a:b": "c"}})),
                ("Condition", json!({"NullIfExists": {"a:b": "true"}})),
                ("Condition", json!({"StringEquals": {"a:b": null}})),
                ("Condition", json!({"StringEquals": {"a:b": {"c": "d"}}})),
                ("Condition", json!({"StringEquals": {"a:b": ["c", null]}})),
            ]);
            insert(statement, member, value);
        });
    }),
    (2, &[], |dice, draft| {
        draft.one(dice, |dice, statement| {
            replace(statement, "Action", dice.pick(&[json!(7), json!({}), json!([["a:b"]]), json!(null)]));
        });
    }),
    (2, WITH_RESOURCE, |dice, draft| {
        draft.one(dice, |_, statement| {
            insert(statement, "Resource", "*");
            insert(statement, "NotResource", "*");
        });
    }),
    (2, &[], |dice, draft| {
        draft.one(dice, |_, statement| {
            insert(statement, "Action", "*");
            insert(statement, "NotAction", "a:b");
        });
    }),
    (2, &[], |dice, draft| {
        draft.one(dice, |_, statement| drop(statement.remove("Effect")));
    }),
    (3, &["identity"], |dice, draft| {
        draft.document.remove("Version");
        if dice.percent(50) {
            insert(&mut draft.document, "Version", "2008-10-17");
        }
    }),
    (4, &[], |dice, draft| {
        draft.one(dice, |dice, statement| insert(statement, "Effect", dice.pick(&["allow", "DENY"])));
    }),
    (4, &[], |dice, draft| {
        draft.one(dice, |dice, statement| {
            let date = dice.pick(&[
                json!("tomorrow"),
                json!("2026-13-01T00:00:00Z"),
                json!("2026-06-32"),
                json!("2026-06-01T24:00Z"),
                json!("2026-06-01T12:00:00.1234567890Z"),
                json!("9223372036854775808"),
                json!(["2026-06-01", "never"]),
                json!(true),
            ]);
            let operator = dice.pick(&["DateGreaterThan", "dateequalsifexists", "ForAnyValue:DateNotEquals"]);
            insert(statement, "Condition", json!({operator: {"aws:CurrentTime": date}}));
        });
    }),
    (4, WITH_RESOURCE, |dice, draft| {
        draft.one(dice, |dice, statement| {
            remove(statement, "Resource");
            insert(
                statement,
                "Resource",
                dice.pick(&["arn:aws:s3::bucket", "arn:aws::::x", "arn:aws::us-east-1:1:x"]),
            );
        });
    }),
    (5, &[], |_, draft| {
        let mut twin = draft.statements.first().cloned().unwrap_or_default();
        insert(&mut twin, "Sid", "Twin");
        draft.statements.extend([twin.clone(), twin]);
    }),
    (5, OF_IAM, |dice, draft| {
        draft.one(dice, |dice, statement| insert(statement, "Sid", dice.pick(&["a b", "a-b", "ä"])));
    }),
    (6, &[], |dice, draft| {
        draft.one(dice, |dice, statement| {
            if dice.percent(50) {
                remove(statement, "Action");
            } else {
                replace(statement, "Action", dice.pick(&[json!([]), json!([null])]));
            }
        });
    }),
    (7, WITH_RESOURCE, |dice, draft| {
        draft.one(dice, |dice, statement| {
            let resource = dice.pick(&[
                json!("mysecret"),
                json!(""),
                json!(["*", "b", "a"]),
                json!("arn:error:s3:::b/k"),
                json!("arn:error"),
                json!("arn:aws"),
                json!("arn:aws:iam:us-east-1:111122223333:user/x"),
                json!("arn:aws:s3:us-east-1:111122223333:bucket/x"),
                json!("arn:aws:iam::111122223333:thing"),
                json!(["arn:aws:iam::111122223333:root", "arn:error:s3:::b/k"]),
                json!("arn:aws:iam::111122223333:us*"),
            ]);
            replace(statement, "Resource", resource);
        });
    }),
    (8, WITH_RESOURCE, |dice, draft| {
        draft.one(dice, |dice, statement| {
            let action = dice.pick(&[
                json!("GetSecretValue"),
                json!(""),
                json!("a:b:c"),
                json!("secrets*:Get*"),
                json!(["kms:Decrypt", ":Get"]),
                json!("sm_x:Get"),
                json!(["*", "**"]),
            ]);
            replace(statement, "Action", action);
        });
    }),
    (9, WITH_RESOURCE, |dice, draft| {
        draft.one(dice, |dice, statement| {
            if dice.percent(50) {
                remove(statement, "Resource");
            } else {
                replace(statement, "Resource", dice.pick(&[json!([]), json!([null])]));
            }
        });
    }),
    (10, &["identity"], |dice, draft| {
        draft.one(dice, |dice, statement| {
            insert(statement, dice.pick(&["Principal", "NotPrincipal"]), right_principal(dice));
        });
    }),
    (11, &["trust"], |dice, draft| draft.one(dice, |_, statement| insert(statement, "Resource", "*"))),
    (12, &["trust"], |dice, draft| {
        draft.one(dice, |dice, statement| {
            replace(
                statement,
                "Action",
                dice.pick(&[json!("s3:GetObject"), json!(["sts:AssumeRole", "sts:GetSessionToken"])]),
            );
        });
    }),
    (13, &["trust"], |dice, draft| draft.one(dice, wrong_principal)),
    (14, &["key"], |dice, draft| draft.one(dice, wrong_principal)),
    (15, &["secret"], |dice, draft| draft.one(dice, wrong_principal)),
    (16, &["trust"], |dice, draft| {
        draft.one(dice, |dice, statement| {
            remove(statement, "Principal");
            insert(statement, "NotPrincipal", right_principal(dice));
        });
    }),
    (16, &["secret", "key"], |dice, draft| {
        draft.one(dice, |dice, statement| {
            remove(statement, "Principal");
            insert(statement, "Effect", "Allow");
            insert(statement, "NotPrincipal", right_principal(dice));
        });
    }),
    (16, RESOURCE_POLICIES, |dice, draft| draft.one(dice, |_, statement| remove(statement, "Principal"))),
    (18, &["identity", "trust", "secret"], |dice, draft| {
        draft.one(dice, |_, statement| {
            let padding = "x".repeat(20_500);
            insert(statement, "Condition", json!({"StringEquals": {"aws:PrincipalTag/team": padding}}));
        });
    }),
];

fn wrong_principal(dice: &mut Dice, statement: &mut Map<String, Value>) {
    let principal = dice.pick(&[
        json!({"AWS": "arn:aws:iam::1:user/x"}),
        json!({"AWS": ["*", "arn:aws:iam::111122223333:role/*"]}),
        json!({"AWS": "11112222333"}),
        json!({"AWS": "arn:aws:iam::111122223333:group/all"}),
        json!({"AWS": "alice"}),
        json!({"Service": "lambda"}),
        json!({"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}),
    ]);
    replace(statement, "Principal", principal);
}

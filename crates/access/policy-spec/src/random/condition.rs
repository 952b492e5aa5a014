//! Condition keys of requests, and conditions of statements over the same keys and values.

use serde_json::{Map, Value};

use super::caller::Caller;
use super::target::Target;
use super::{insert, one_or_list, other_case, with_wildcard};
use crate::dice::Dice;
use crate::operator::{Comparison, FOR_ALL_VALUES, FOR_ANY_VALUE, IF_EXISTS, OPERATORS};
use crate::{date, element};

/// Keys of one type, what a request may say for them, and what a policy may.
struct Family {
    keys: &'static [&'static str],
    found: &'static [&'static str],
    wanted: &'static [&'static str],
}

const TEXT: Family = Family {
    keys: &[
        "aws:PrincipalTag/team",
        "aws:ResourceTag/team",
        "aws:RequestTag/team",
        "aws:TagKeys",
        "aws:username",
        "secretsmanager:VersionStage",
    ],
    found: &["red", "red", "Red", "blue", "alice", "a*z", "axz", "$5", "", "Straße", "ÉTÉ"],
    wanted: &[
        "red",
        "red",
        "Red",
        "blue",
        "r*",
        "R?d",
        "r?d",
        "*",
        "*e*",
        "a*z",
        "a${*}z",
        "a${?}z",
        "${$}5",
        "",
        "été",
        "STRASSE",
        "${aws:PrincipalTag/team}",
        "${aws:ResourceTag/team}",
        "${AWS:principaltag/Team}",
        "${aws:PrincipalTag/team, 'red'}",
        "${aws:RequestTag/team,'blue'}",
        "${aws:PrincipalTag/nothing, 'r*'}",
        "${aws:TagKeys}",
        "${aws:username",
    ],
};

const NUMBER: Family = Family {
    keys: &["secretsmanager:RecoveryWindowInDays", "aws:MultiFactorAuthAge"],
    found: &["7", "30", "9", "-1", "30.0", "007", "9007199254740993", "abc", "", "7 days"],
    wanted: &["7", "30", "10", "8.5", "-1", "0", "7.00", "9007199254740992", "many", "${aws:PrincipalTag/n}"],
};

const DATE: Family = Family {
    keys: &["aws:CurrentTime", "aws:TokenIssueTime", "aws:EpochTime"],
    found: &[
        "2026-06-01T12:00:00Z",
        "2026-06-01T12:00:00.5Z",
        "2026-01-01T00:00:00Z",
        "1767225600",
        "1767225600.5",
        "-1",
        "soon",
    ],
    wanted: &[
        "2026-06-01T12:00:00Z",
        "2026-06-01T14:00:00+02:00",
        "2026-06-01T12:00Z",
        "2026-06-01T12:00:00",
        "2026-06-01",
        "2026-06",
        "2026-01",
        "1767225600",
        "2026",
        "2024-02-29T23:59:59.999999999-05:30",
    ],
};

const BOOL: Family = Family {
    keys: &["aws:SecureTransport", "aws:ViaAWSService", "aws:MultiFactorAuthPresent"],
    found: &["true", "true", "false", "TRUE", "yes", ""],
    wanted: &[
        "true",
        "false",
        "False",
        "TRUE",
        "yes",
        "${aws:SecureTransport}",
        "${aws:ViaAWSService, 'true'}",
    ],
};

const BINARY: Family = Family {
    keys: &["example:blob"],
    found: &["QmluYXJ5", "QmluYXJ6", "QQ==", "", "not base64"],
    wanted: &["QmluYXJ5", "QQ==", "", "not base64"],
};

const ADDRESS: Family = Family {
    keys: &["aws:SourceIp"],
    found: &[
        "203.0.113.77",
        "10.1.1.1",
        "2001:db8:1234:5678:0:0:0:9",
        "::ffff:203.0.113.9",
        "203.0.113",
        "localhost",
    ],
    wanted: &[
        "203.0.113.0/24",
        "203.0.113.5/24",
        "203.0.113.77",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "::/0",
        "2001:DB8:1234:5678::/64",
        "203.0.113.64/26",
    ],
};

const ARN: Family = Family {
    keys: &["aws:SourceArn", "aws:PrincipalArn", "secretsmanager:SecretId"],
    found: &[
        "arn:aws:lambda:us-east-1:111122223333:function:rotate",
        "arn:aws:lambda:us-east-1:111122223333:function:Rotate",
        "arn:aws:iam::111122223333:role/app",
        "arn:aws:some:us-east-2:444455556666:store/abc:111122223333:finance/red",
        "rotate",
        "arn:aws:lambda",
    ],
    wanted: &[
        "arn:aws:lambda:us-east-1:111122223333:function:rotate",
        "arn:aws:lambda:*:111122223333:function:*",
        "arn:aws:lambda:*:*:*",
        "arn:aws:iam::*:role/*",
        "arn:aws:iam::111122223333:role/a?p",
        "arn:aws:some:*:111122223333:finance/*",
        "arn:aws:some:*:*:store/*/${aws:PrincipalTag/team}",
        "arn:aws:lambda:us-east-1:111122223333:function:${aws:username, 'rotate'}",
        "arn:aws:lambda",
        "*",
    ],
};

const FAMILIES: &[&Family] = &[&TEXT, &NUMBER, &DATE, &BOOL, &BINARY, &ADDRESS, &ARN];

fn family(operator: &str) -> Option<&'static Family> {
    let named = |part: &str| operator.contains(part);
    if named("String") {
        Some(&TEXT)
    } else if named("Numeric") {
        Some(&NUMBER)
    } else if named("Date") {
        Some(&DATE)
    } else if named("Bool") {
        Some(&BOOL)
    } else if named("Binary") {
        Some(&BINARY)
    } else if named("IpAddress") {
        Some(&ADDRESS)
    } else if named("Arn") {
        Some(&ARN)
    } else {
        None
    }
}

/// Some keys are absent, some have no or several values, some have what their type does not allow.
pub(super) fn context(dice: &mut Dice, caller: &Caller, target: &Target) -> Value {
    let mut context = Map::new();
    for family in FAMILIES {
        for key in family.keys {
            if dice.percent(70) {
                insert(&mut context, key, found(dice, family, key));
            }
        }
    }
    if dice.percent(20) {
        // A second tag whose name differs only by case.
        insert(&mut context, "aws:ResourceTag/Team", found(dice, &TEXT, ""));
    }
    if dice.percent(50) && !caller.principal_arn().is_empty() {
        insert(&mut context, "aws:PrincipalArn", vec![caller.principal_arn()]);
    }
    if dice.percent(30) && target.resource != "*" {
        insert(&mut context, "secretsmanager:SecretId", vec![target.resource.as_str()]);
    }
    Value::Object(context)
}

fn found(dice: &mut Dice, family: &Family, key: &str) -> Value {
    let several = if key == "aws:TagKeys" { 50 } else { 10 };
    let count = if dice.percent(several) { dice.pick(&[0, 2, 2, 3]) } else { 1 };
    Value::Array((0..count).map(|_| Value::from(dice.pick(family.found))).collect())
}

/// One or two operators over one or two keys each.
pub(super) fn draw(dice: &mut Dice, context: &Value) -> Value {
    let mut condition = Map::new();
    if dice.percent(3) {
        return Value::Object(condition);
    }
    for _ in 0..dice.pick(&[1, 1, 1, 2]) {
        let name = operator(dice);
        let mut block = Map::new();
        for _ in 0..dice.pick(&[1, 1, 1, 1, 2]) {
            let (key, wanted) = key_and_values(dice, context, &name);
            insert(&mut block, &key, wanted);
        }
        let spelled = if dice.percent(10) { other_case(dice, &name) } else { name };
        insert(&mut condition, &spelled, block);
    }
    Value::Object(condition)
}

/// Every operator as often as any other, with what may be written around it.
fn operator(dice: &mut Dice) -> String {
    let (name, comparison, _) = dice.pick(OPERATORS);
    if comparison == Comparison::Null {
        return name.to_owned();
    }
    let set = dice.pick(&["", "", "", FOR_ALL_VALUES, FOR_ANY_VALUE]);
    let if_exists = dice.pick(&["", "", IF_EXISTS]);
    format!("{set}{name}{if_exists}")
}

fn key_and_values(dice: &mut Dice, context: &Value, operator: &str) -> (String, Value) {
    let drawn = FAMILIES.get(dice.below(FAMILIES.len())).copied().unwrap_or(&TEXT);
    let Some(right) = family(operator) else {
        return (dice.pick(drawn.keys).to_owned(), presence(dice));
    };
    // Sometimes the key is of another type than the operator.
    let of_key = if dice.percent(5) { drawn } else { right };
    let key = dice.pick(of_key.keys);
    let here: Vec<String> = context.get(key).map(element::values).unwrap_or_default();
    let key = if dice.percent(12) { other_case(dice, key) } else { key.to_owned() };
    let count = if dice.percent(2) { 0 } else { dice.pick(&[1, 1, 1, 2, 3]) };
    let mut wanted: Vec<Value> = (0..count).map(|_| value(dice, &here, operator, right)).collect();
    if wanted.is_empty() {
        return (key, Value::Array(wanted));
    }
    if wanted.len() == 1 && dice.percent(15) {
        wanted = wanted.into_iter().map(bare).collect();
    }
    (key, one_or_list(dice, wanted))
}

fn presence(dice: &mut Dice) -> Value {
    dice.pick(&[Value::from("true"), Value::from("false"), Value::from(true), Value::from(false)])
}

fn value(dice: &mut Dice, here: &[String], operator: &str, family: &Family) -> Value {
    if dice.percent(30) {
        // What the request says, if a policy may say it.
        let same = dice.pick(here);
        if !operator.contains("Date") || date::may_be_written(&same) {
            return Value::from(same);
        }
    }
    if operator.contains("Like") && dice.percent(30) {
        let text = dice.pick(family.found);
        return Value::from(with_wildcard(dice, text));
    }
    Value::from(dice.pick(family.wanted))
}

/// A number or Boolean of JSON, where the text is one.
fn bare(value: Value) -> Value {
    match value.as_str() {
        Some("true") => Value::from(true),
        Some("false") => Value::from(false),
        Some(text) => text.parse::<i64>().map_or(value, Value::from),
        None => value,
    }
}

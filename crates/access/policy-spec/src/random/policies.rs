//! The policies around a request: everything that is attached, passed or in the way.

use serde_json::{Map, Value, json};

use super::caller::{Caller, PROVIDERS, SERVICES};
use super::target::{SECRETS, Target, TargetKind, encryption_context};
use super::{AWAY, HOME, condition, insert, one_or_list, other_case, with_wildcard};
use crate::dice::Dice;

/// The request that the policies are about.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) caller: &'a Caller,
    pub(super) target: &'a Target,
    pub(super) context: &'a Value,
}

/// Whom the statements of a document speak about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Attached,
    /// Boundaries, session policies and SCPs, which mostly let through.
    Limit,
    Resource,
    Trust,
    ResourceControl,
    Endpoint,
}

pub(super) fn draw(dice: &mut Dice, scene: &Scene<'_>) -> Value {
    let mut policies = Map::new();
    let some = |dice: &mut Dice, place, most: usize| -> Vec<Value> {
        (0..=dice.below(most)).map(|_| document(dice, place, scene)).collect()
    };
    if scene.caller.has_policies() && dice.percent(88) {
        insert(&mut policies, "identity", some(dice, Place::Attached, 3));
    }
    if scene.caller.has_policies() && dice.percent(22) {
        insert(&mut policies, "boundary", some(dice, Place::Limit, 2));
    }
    if scene.caller.may_have_session_policies() && dice.percent(40) {
        insert(&mut policies, "session", some(dice, Place::Limit, 2));
    }
    if dice.percent(10) {
        let levels: Vec<Value> = (0..=dice.below(2)).map(|_| some(dice, Place::Limit, 2).into()).collect();
        insert(&mut policies, "scp", levels);
    }
    if dice.percent(5) {
        insert(&mut policies, "rcp", json!([some(dice, Place::ResourceControl, 2)]));
    }
    if dice.percent(8) {
        insert(&mut policies, "endpoint", document(dice, Place::Endpoint, scene));
    }
    let (place, chance) = match scene.target.kind {
        TargetKind::Role | TargetKind::WebRole => (Place::Trust, 95),
        TargetKind::Key => (Place::Resource, 90),
        TargetKind::Secret | TargetKind::Other => (Place::Resource, 65),
        TargetKind::Nothing => (Place::Resource, 0),
    };
    if dice.percent(chance) {
        insert(&mut policies, "resource", document(dice, place, scene));
    }
    if scene.target.is_key() && dice.percent(45) {
        let grants: Vec<Value> = (0..=dice.below(2)).map(|_| grant(dice, scene.caller)).collect();
        insert(&mut policies, "grants", grants);
    }
    Value::Object(policies)
}

fn document(dice: &mut Dice, place: Place, scene: &Scene<'_>) -> Value {
    let mut document = Map::new();
    match dice.below(100) {
        0..82 => insert(&mut document, "Version", "2012-10-17"),
        82..92 => insert(&mut document, "Version", "2008-10-17"),
        _ => {}
    }
    let count = dice.pick(&[1, 1, 2, 2, 3]);
    let mut statements: Vec<Value> = (0..count).map(|_| statement(dice, place, scene)).collect();
    if place == Place::Resource && scene.target.is_key() && dice.percent(45) {
        // The statement of the default key policy.
        let root = format!("arn:aws:iam::{HOME}:root");
        statements
            .push(json!({"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}));
    }
    insert(&mut document, "Statement", one_or_list(dice, statements));
    Value::Object(document)
}

fn statement(dice: &mut Dice, place: Place, scene: &Scene<'_>) -> Value {
    let mut statement = Map::new();
    let deny_chance = match place {
        Place::Attached => 17,
        Place::Limit => 9,
        Place::Resource | Place::Trust => 18,
        Place::ResourceControl => 60,
        Place::Endpoint => 12,
    };
    let denies = dice.percent(deny_chance);
    insert(&mut statement, "Effect", if denies { "Deny" } else { "Allow" });
    match place {
        Place::Attached | Place::Limit => {}
        Place::ResourceControl => insert(&mut statement, "Principal", "*"),
        Place::Endpoint | Place::Resource | Place::Trust => {
            // A statement without is refused when it is written, except in an endpoint policy.
            if !dice.percent(if place == Place::Endpoint { 25 } else { 3 }) {
                let member = if dice.percent(12) { "NotPrincipal" } else { "Principal" };
                insert(&mut statement, member, principal(dice, scene.caller, member));
            }
        }
    }
    let generous = place == Place::Limit && dice.percent(35);
    if generous && !denies {
        insert(&mut statement, "Action", "*");
        insert(&mut statement, "Resource", "*");
        return Value::Object(statement);
    }
    let member = if dice.percent(10) { "NotAction" } else { "Action" };
    let actions = several(dice, |dice| action(dice, scene.target));
    insert(&mut statement, member, one_or_list(dice, actions));
    if place != Place::Trust {
        let member = if dice.percent(12) { "NotResource" } else { "Resource" };
        let resources = several(dice, |dice| resource(dice, scene.target));
        insert(&mut statement, member, one_or_list(dice, resources));
    }
    if dice.percent(40) {
        insert(&mut statement, "Condition", condition::draw(dice, scene.context));
    }
    Value::Object(statement)
}

fn several(dice: &mut Dice, mut draw: impl FnMut(&mut Dice) -> String) -> Vec<Value> {
    (0..dice.pick(&[1, 1, 1, 2, 3])).map(|_| Value::from(draw(dice))).collect()
}

/// A pattern that has to do with the action of the request, mostly.
fn action(dice: &mut Dice, target: &Target) -> String {
    let action = target.action.as_str();
    let (service, name) = action.split_once(':').unwrap_or_default();
    match dice.below(100) {
        0..25 => action.to_owned(),
        25..33 => other_case(dice, action),
        33..45 => format!("{service}:*"),
        45..53 => "*".to_owned(),
        53..68 => format!("{service}:{}", with_wildcard(dice, name)),
        68..71 => format!("{action} "),
        71..74 => format!("*:{name}"),
        74..77 => format!("{action}?"),
        _ => dice
            .pick(&[
                "secretsmanager:GetSecretValue",
                "secretsmanager:Describe*",
                "kms:Decrypt",
                "ec2:*",
                "sts:AssumeRole",
                "s3:*",
            ])
            .to_owned(),
    }
}

/// A pattern that has to do with the resource of the request, mostly.
fn resource(dice: &mut Dice, target: &Target) -> String {
    let secret = |tail: &str| format!("arn:aws:secretsmanager:us-east-1:{HOME}:secret:{tail}");
    // Requests without a resource meet patterns of some secret.
    let arn = if target.resource == "*" { secret("prod/db-Ab12Cd") } else { target.resource.clone() };
    let arn = arn.as_str();
    match dice.below(100) {
        0..35 => "*".to_owned(),
        35..50 => arn.to_owned(),
        50..54 => in_other_case(dice, arn),
        54..66 => with_wildcard_in_rest(dice, arn),
        66..72 => with_wildcard_segment(dice, arn),
        // Fewer segments than six.
        72..76 => arn.splitn(6, ':').take(3 + dice.below(2)).collect::<Vec<_>>().join(":"),
        76..88 => secret(dice.pick(&[
            "users/${aws:username}/*",
            "${aws:PrincipalTag/team}-??????",
            "${AWS:principaltag/TEAM}-*",
            "${aws:PrincipalTag/team, 'red'}-??????",
            "${aws:PrincipalTag/none, 'a*z'}-??????",
            "a${*}z-??????",
            "${aws:TagKeys}-??????",
            "${aws:username",
        ])),
        88..91 => "arn:aws:secretsmanager:us-east-1:${aws:PrincipalAccount}:secret:*".to_owned(),
        91..93 => format!("arn:aws:secretsmanager:us-east-1:{AWAY}:secret:*"),
        _ => {
            let tail = dice.pick(SECRETS);
            secret(
                tail.strip_suffix("Ab12Cd").map(|name| format!("{name}??????")).unwrap_or_default().as_str(),
            )
        }
    }
}

/// The part of an ARN that is free: after the fifth colon, and in IAM after the type, which has to be a known one.
fn split_free(arn: &str) -> (String, &str) {
    let rest = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    let free = match rest.split_once('/') {
        Some((_, name)) if arn.contains(":iam:") => name,
        _ => rest,
    };
    (arn.strip_suffix(free).unwrap_or_default().to_owned(), free)
}

fn with_wildcard_in_rest(dice: &mut Dice, arn: &str) -> String {
    let (fixed, free) = split_free(arn);
    fixed + &with_wildcard(dice, free)
}

fn in_other_case(dice: &mut Dice, arn: &str) -> String {
    let (fixed, free) = split_free(arn);
    fixed + &other_case(dice, free)
}

/// A wildcard before the fifth colon, or one that would have to cross colons.
fn with_wildcard_segment(dice: &mut Dice, arn: &str) -> String {
    let mut segments: Vec<&str> = arn.splitn(6, ':').collect();
    // A region is left empty where there is none, and so is an account.
    let filled: Vec<usize> = (1..segments.len())
        .filter(|at| segments.get(*at).is_some_and(|segment| !segment.is_empty()))
        .collect();
    let at = dice.pick(&filled).min(4);
    if let Some(segment) = segments.get_mut(at).filter(|segment| !segment.is_empty()) {
        *segment = "*";
    }
    if dice.percent(25) && at + 1 < segments.len() && !arn.contains("::") {
        segments.remove(at + 1);
    }
    segments.join(":")
}

fn principal(dice: &mut Dice, caller: &Caller, member: &str) -> Value {
    if member == "Principal" && dice.percent(12) {
        return Value::from("*");
    }
    let mut aws = Vec::new();
    let mut kinds = Map::new();
    for _ in 0..dice.pick(&[1, 1, 2, 3]) {
        match dice.below(100) {
            0..80 => aws.push(Value::from(aws_principal(dice, caller))),
            80..90 => insert(&mut kinds, "Service", dice.pick(SERVICES)),
            _ => insert(&mut kinds, "Federated", dice.pick(PROVIDERS)),
        }
    }
    if caller.kind == "FederatedUser" && dice.percent(20) {
        aws.push(Value::from(caller.user_arn.as_str()));
    }
    if member == "NotPrincipal" && caller.kind == "AssumedRole" && dice.percent(40) {
        // Both have to be there for an exemption, which chance alone would seldom do.
        aws.push(Value::from(caller.arn.as_str()));
        aws.push(Value::from(caller.role_arn.as_str()));
    }
    // Callers without an ARN are only ever named by their own kind.
    if caller.kind == "WebIdentity" && dice.percent(50) {
        insert(
            &mut kinds,
            "Federated",
            dice.pick(&[caller.provider.as_str(), PROVIDERS.first().copied().unwrap_or_default()]),
        );
    }
    if caller.kind == "Service" && dice.percent(40) {
        insert(&mut kinds, "Service", caller.service.as_str());
    }
    if !aws.is_empty() {
        insert(&mut kinds, "AWS", one_or_list(dice, aws));
    }
    Value::Object(kinds)
}

fn aws_principal(dice: &mut Dice, caller: &Caller) -> String {
    let account = dice.pick(&[HOME, AWAY]);
    let own = |text: &str| if text.is_empty() { account.to_owned() } else { text.to_owned() };
    match dice.below(100) {
        0..10 => "*".to_owned(),
        10..22 => own(&caller.account),
        22..30 => format!("arn:aws:iam::{}:root", own(&caller.account)),
        30..45 => own(&caller.arn),
        45..60 => own(&caller.role_arn),
        60..70 => own(&caller.user_arn),
        70..74 => account.to_owned(),
        // A role whose path is left out is another role.
        74..80 => format!("arn:aws:iam::{account}:role/app"),
        80..90 => format!("arn:aws:iam::{account}:user/{}", dice.pick(&["alice", "bob", "mallory"])),
        90..95 => format!("arn:aws:sts::{account}:assumed-role/app/{}", dice.pick(&["s1", "s2", "*"])),
        _ => format!("arn:aws:iam::{account}:{}", dice.pick(&["role/*", "user/*", "*"])),
    }
}

fn grant(dice: &mut Dice, caller: &Caller) -> Value {
    let grantee = match dice.below(100) {
        0..25 if !caller.arn.is_empty() => caller.arn.clone(),
        25..50 if !caller.role_arn.is_empty() => caller.role_arn.clone(),
        50..60 if !caller.user_arn.is_empty() => caller.user_arn.clone(),
        60..75 if !caller.account.is_empty() => format!("arn:aws:iam::{}:root", caller.account),
        _ => {
            dice.pick(&["arn:aws:iam::111122223333:user/alice", "arn:aws:iam::444455556666:root"]).to_owned()
        }
    };
    let operations = dice.pick(&[
        vec!["Decrypt"],
        vec!["Encrypt", "Decrypt", "GenerateDataKey"],
        vec!["DescribeKey", "Decrypt"],
        vec!["CreateGrant"],
    ]);
    let mut grant = Map::new();
    insert(&mut grant, "GranteePrincipal", grantee);
    insert(&mut grant, "Operations", operations);
    if dice.percent(50) {
        let constraint = dice.pick(&["EncryptionContextEquals", "EncryptionContextSubset"]);
        insert(&mut grant, "Constraints", json!({constraint: encryption_context(dice)}));
    }
    Value::Object(grant)
}

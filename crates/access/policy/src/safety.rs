//! What is asked of a resource's policy before it is attached: does it let the world in, and does it lock its writer out.
//!
//! AWS proves such things with a solver. Here they are the documented notions: a statement is broad when it allows anybody
//! and no condition ties the caller to fixed values; a policy locks somebody out when it denies him something without any
//! condition. The first errs on the side of "public". Addresses are looked at together: two halves of the internet are the internet.
//! The second says nothing of denials with conditions, which only a
//! request decides.

mod addresses;

use coffer_types::AccountId;

use crate::{
    Condition, Document, Effect, Principal, Quantifier, Scope, Statement, Test,
    policy::{Asked, Rule},
};

/// Keys that say who calls or from where, and can be trusted. What a caller may send as it likes (a referer, a user agent) is
/// not among them.
const TYING_KEYS: &[&str] = &[
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "kms:calleraccount",
];

/// Somebody a policy may speak of.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    pub arn: &'a str,
    pub account: AccountId,
}

impl Document {
    /// Whether some statement lets anybody in.
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(Statement::is_public)
    }

    /// Whether the document denies somebody an action on a resource, whatever the circumstances of the request.
    pub fn locks_out(&self, who: Who<'_>, action: &str, resource: &str) -> bool {
        let action = action.to_ascii_lowercase();
        // What a variable stands for is not known before there is a request, so here it stands for nothing.
        let asked = Asked { action: &action, resource: Some(resource), context: &() };
        self.statements.iter().any(|statement| {
            statement.effect == Effect::Deny
                && statement.conditions.is_empty()
                && statement.principals.as_ref().is_some_and(|scope| speaks_of(scope, who))
                && Rule::compile(self.version, statement).covers(&asked)
        })
    }
}

impl Statement {
    fn is_public(&self) -> bool {
        let Some(principals) = &self.principals else { return false };
        let is_anyone = match principals {
            Scope::Only(listed) => listed.contains(&Principal::Anyone),
            Scope::AllBut(_) => true,
        };
        self.effect == Effect::Allow && is_anyone && !self.conditions.iter().any(ties)
    }
}

fn speaks_of(scope: &Scope<Vec<Principal>>, who: Who<'_>) -> bool {
    let is_named = |principal: &Principal| match principal {
        Principal::Anyone => true,
        Principal::User(arn) | Principal::RoleSession(arn) | Principal::FederatedUser(arn) => {
            arn.as_str() == who.arn
        }
        _ => false,
    };
    let is_in_account =
        |principal: &Principal| matches!(principal, Principal::Account(id) if *id == who.account);
    match scope {
        Scope::Only(listed) => listed.iter().any(|one| is_named(one) || is_in_account(one)),
        // To be spared one must be named oneself; naming the account spares only its root.
        Scope::AllBut(listed) => {
            let is_root = who.arn.ends_with(":root");
            !listed.iter().any(|one| is_named(one) || (is_root && is_in_account(one)))
        }
    }
}

/// Whether a condition admits only callers of fixed values.
fn ties(condition: &Condition) -> bool {
    let key = condition.key.to_ascii_lowercase();
    let operator = condition.operator;
    // Where the key is absent these two are true.
    let holds_without_key = operator.if_exists || operator.quantifier == Some(Quantifier::ForAllValues);
    if holds_without_key || !TYING_KEYS.contains(&key.as_str()) {
        return false;
    }
    match (operator.test, key.as_str()) {
        (Test::IpAddress, "aws:sourceip") => addresses::are_fixed(&condition.values),
        (_, "aws:sourceip") => false,
        (
            Test::StringEquals
            | Test::StringEqualsIgnoreCase
            | Test::StringLike
            | Test::ArnEquals
            | Test::ArnLike,
            _,
        ) => condition.values.iter().all(|value| is_fixed(operator.test, &key, value)),
        _ => false,
    }
}

fn is_fixed(test: Test, key: &str, value: &str) -> bool {
    if value.contains("${") {
        return false;
    }
    let is_literal = |text: &str| !text.is_empty() && !text.contains(['*', '?']);
    let by_fields = matches!(test, Test::ArnEquals | Test::ArnLike);
    match key {
        // An account's are a fixed set, whatever stands behind. That holds where ARNs are compared field by field; among strings a
        // star reaches over the colons, and what looks like the account may stand anywhere.
        "aws:principalarn" | "aws:sourcearn" if by_fields => {
            is_literal(value) || value.split(':').nth(4).is_some_and(is_literal)
        }
        // An organisation's are a fixed set as well; nothing stands before the part that says whose they are.
        "aws:principalorgpaths" | "aws:sourceorgpaths" => value.split('/').next().is_some_and(is_literal),
        "aws:userid" => value.split(':').next().is_some_and(is_literal),
        _ => is_literal(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn document(statement: &str) -> Document {
        let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{statement}]}}"#);
        Document::parse(Kind::Resource, &text).unwrap()
    }

    #[test]
    fn a_policy_is_public_unless_somebody_is_named() {
        let rest = r#""Action": "secretsmanager:*", "Resource": "*""#;
        for (expected, statement) in [
            (true, r#""Effect": "Allow", "Principal": "*""#),
            (true, r#""Effect": "Allow", "Principal": {"AWS": "*"}"#),
            (true, r#""Effect": "Allow", "Principal": {"AWS": ["111122223333", "*"]}"#),
            (false, r#""Effect": "Deny", "Principal": "*""#),
            (false, r#""Effect": "Allow", "Principal": {"AWS": "111122223333"}"#),
            (false, r#""Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}"#),
        ] {
            assert_eq!(document(&format!("{{{statement}, {rest}}}")).is_public(), expected, "{statement}");
        }
    }

    #[test]
    fn a_condition_ties_when_it_names_fixed_callers() {
        for (ties, condition) in [
            (true, r#"{"StringEquals": {"aws:PrincipalAccount": "111122223333"}}"#),
            (true, r#"{"StringEquals": {"AWS:PRINCIPALORGID": ["o-a1b2c3", "o-d4e5f6"]}}"#),
            (true, r#"{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/*"}}"#),
            (true, r#"{"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-a1b2c3/r-ab12/*"}}"#),
            (true, r#"{"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::1"]}}"#),
            (true, r#"{"Bool": {"aws:SecureTransport": true}, "StringEquals": {"aws:SourceVpc": "vpc-1"}}"#),
            (false, r#"{}"#),
            (false, r#"{"Bool": {"aws:SecureTransport": true}}"#),
            (false, r#"{"StringEquals": {"aws:UserAgent": "me"}}"#),
            (false, r#"{"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}"#),
            (false, r#"{"StringLike": {"aws:PrincipalAccount": "*"}}"#),
            (false, r#"{"StringLike": {"aws:PrincipalOrgID": ["o-a1b2c3", "o-*"]}}"#),
            (false, r#"{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/app"}}"#),
            (false, r#"{"StringNotEquals": {"aws:PrincipalAccount": "111122223333"}}"#),
            (false, r#"{"StringEqualsIfExists": {"aws:PrincipalAccount": "111122223333"}}"#),
            (false, r#"{"ForAllValues:StringEquals": {"aws:PrincipalAccount": "111122223333"}}"#),
            (false, r#"{"StringEquals": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}}"#),
            (false, r#"{"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "0.0.0.0/0"]}}"#),
            (false, r#"{"IpAddress": {"aws:SourceIp": "::/0"}}"#),
            (false, r#"{"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}}"#),
            (false, r#"{"IpAddress": {"aws:SourceIp": "*"}}"#),
            (false, r#"{"StringLike": {"aws:SourceIp": "192.0.2.*"}}"#),
            (true, r#"{"ArnEquals": {"aws:PrincipalArn": "arn:*:iam:*:111122223333:*"}}"#),
            (true, r#"{"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/app"}}"#),
            (true, r#"{"StringLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/app"}}"#),
            (false, r#"{"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/*"}}"#),
            (false, r#"{"StringLike": {"aws:PrincipalArn": "arn:*:iam:x:111122223333:*"}}"#),
            (false, r#"{"StringLike": {"aws:SourceArn": "*:x:x:x:111122223333:*"}}"#),
            (false, r#"{"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}"#),
            (false, r#"{"Null": {"aws:PrincipalArn": "false"}}"#),
        ] {
            let statement = format!(
                r#"{{"Effect": "Allow", "Principal": "*", "Action": "a:b", "Resource": "*", "Condition": {condition}}}"#
            );
            assert_eq!(document(&statement).is_public(), !ties, "{condition}");
        }
    }

    #[test]
    fn a_denial_without_conditions_locks_out_whom_it_names() {
        const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-k3X9aQ";
        let ann = r#"{"AWS": "arn:aws:iam::111122223333:user/ann"}"#;
        let account = r#"{"AWS": "111122223333"}"#;
        let table: &[(bool, &str, String)] = &[
            (true, "user/ann", r#""Principal": "*", "Action": "*", "Resource": "*""#.to_owned()),
            (true, "user/ann", format!(r#""Principal": {ann}, "Action": "a:*", "Resource": "{SECRET}""#)),
            (true, "user/ann", format!(r#""Principal": {account}, "NotAction": "a:Get*", "Resource": "*""#)),
            (true, "user/bob", format!(r#""NotPrincipal": {ann}, "Action": "a:Put", "Resource": "*""#)),
            (true, "user/ann", format!(r#""NotPrincipal": {account}, "Action": "a:Put", "Resource": "*""#)),
            (false, "root", format!(r#""NotPrincipal": {account}, "Action": "a:Put", "Resource": "*""#)),
            (false, "user/ann", format!(r#""NotPrincipal": {ann}, "Action": "a:Put", "Resource": "*""#)),
            (false, "user/bob", format!(r#""Principal": {ann}, "Action": "a:Put", "Resource": "*""#)),
            (false, "user/ann", format!(r#""Principal": {ann}, "Action": "a:Get", "Resource": "*""#)),
            (false, "user/ann", format!(r#""Principal": {ann}, "Action": "a:Put", "Resource": "{SECRET}x""#)),
            (
                false,
                "user/ann",
                format!(r#""Principal": {ann}, "Action": "a:Put", "NotResource": "{SECRET}""#),
            ),
            (
                false,
                "user/ann",
                format!(
                    r#""Principal": {ann}, "Action": "a:Put", "Resource": "*", "Condition": {{"Bool": {{"a:b": "true"}}}}"#
                ),
            ),
        ];
        for (expected, name, statement) in table {
            let arn = format!("arn:aws:iam::111122223333:{name}");
            let who = Who { arn: &arn, account: "111122223333".parse().unwrap() };
            let document = document(&format!(r#"{{"Effect": "Deny", {statement}}}"#));
            assert_eq!(document.locks_out(who, "a:Put", SECRET), *expected, "{name} {statement}");
        }
    }
}

//! Who asks: every kind of principal, at home and from another account.

use serde_json::{Map, Value};

use super::target::{Target, TargetKind};
use super::{ACCOUNTS, insert};
use crate::dice::Dice;

#[derive(Debug, Default)]
pub(super) struct Caller {
    pub(super) kind: &'static str,
    pub(super) account: String,
    pub(super) arn: String,
    pub(super) role_arn: String,
    pub(super) user_arn: String,
    pub(super) service: String,
    pub(super) provider: String,
}

impl Caller {
    /// Members that the kind does not have are left out.
    pub(super) fn as_json(&self) -> Value {
        let mut principal = Map::new();
        insert(&mut principal, "type", self.kind);
        let members = [
            ("account", &self.account),
            ("arn", &self.arn),
            ("role_arn", &self.role_arn),
            ("user_arn", &self.user_arn),
            ("service", &self.service),
            ("provider", &self.provider),
        ];
        for (name, value) in members {
            if !value.is_empty() {
                insert(&mut principal, name, value.as_str());
            }
        }
        Value::Object(principal)
    }

    /// Policies of its own, which users and roles have, and root has not.
    pub(super) fn has_policies(&self) -> bool {
        matches!(self.kind, "User" | "AssumedRole" | "FederatedUser")
    }

    pub(super) fn may_have_session_policies(&self) -> bool {
        matches!(self.kind, "AssumedRole" | "FederatedUser")
    }

    /// The condition key `aws:PrincipalArn` (2.1.1).
    pub(super) fn principal_arn(&self) -> &str {
        if self.kind == "AssumedRole" { &self.role_arn } else { &self.arn }
    }
}

pub(super) const SERVICES: &[&str] = &["rds.amazonaws.com", "secretsmanager.amazonaws.com"];

pub(super) const PROVIDERS: &[&str] = &[
    "arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id/ONE",
    "arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id/TWO",
    "accounts.google.com",
];

pub(super) fn draw(dice: &mut Dice, target: &Target) -> Caller {
    let account = dice.pick(ACCOUNTS).to_owned();
    let kind = match target.kind {
        // Only a token makes somebody a role this way, and a token does nothing else.
        TargetKind::WebRole => return web_identity(dice),
        // Root cannot assume roles.
        TargetKind::Role => dice.below(85),
        _ => dice.below(100),
    };
    match kind {
        0..35 => {
            let arn = format!("arn:aws:iam::{account}:user/{}", dice.pick(&["alice", "bob", "team/alice"]));
            Caller { kind: "User", account, arn, ..Caller::default() }
        }
        35..65 => {
            let role = dice.pick(super::target::ROLES);
            let name = role.rsplit('/').next().unwrap_or_default();
            let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{}", dice.pick(&["s1", "s2"]));
            let role_arn = format!("arn:aws:iam::{account}:{role}");
            Caller { kind: "AssumedRole", account, arn, role_arn, ..Caller::default() }
        }
        65..75 => {
            let arn = format!("arn:aws:sts::{account}:federated-user/{}", dice.pick(&["alice", "bob"]));
            let user_arn = format!("arn:aws:iam::{account}:user/{}", dice.pick(&["alice", "bob"]));
            Caller { kind: "FederatedUser", account, arn, user_arn, ..Caller::default() }
        }
        75..82 => Caller { kind: "Service", service: dice.pick(SERVICES).to_owned(), ..Caller::default() },
        82..87 => Caller { kind: "Anonymous", ..Caller::default() },
        _ => {
            let arn = format!("arn:aws:iam::{account}:root");
            Caller { kind: "Root", account, arn, ..Caller::default() }
        }
    }
}

fn web_identity(dice: &mut Dice) -> Caller {
    Caller { kind: "WebIdentity", provider: dice.pick(PROVIDERS).to_owned(), ..Caller::default() }
}

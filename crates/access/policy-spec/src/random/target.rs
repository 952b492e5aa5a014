//! What is asked, of which resource: secrets mostly, then keys, roles, and things without a resource.

use serde_json::{Value, json};

use super::HOME;
use crate::dice::Dice;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetKind {
    Secret,
    Key,
    Role,
    WebRole,
    Nothing,
    Other,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) kind: TargetKind,
    pub(super) action: String,
    pub(super) resource: String,
}

impl Target {
    pub(super) fn is_key(&self) -> bool {
        self.kind == TargetKind::Key
    }

    /// What a message prints in place of the ARN.
    pub(super) fn shown(&self, dice: &mut Dice) -> Option<String> {
        match self.kind {
            TargetKind::Secret => dice.percent(20).then(|| "prod/db".to_owned()),
            TargetKind::Other if self.resource.ends_with(":*") => Some("*".to_owned()),
            _ => None,
        }
    }
}

const SECRET_ACTIONS: &[&str] =
    &["GetSecretValue", "GetSecretValue", "DescribeSecret", "PutSecretValue", "DeleteSecret", "CreateSecret"];

/// Tails of secret ARNs. Some are what a variable or a literal star in a policy makes.
pub(super) const SECRETS: &[&str] = &[
    "prod/db-Ab12Cd",
    "prod/db-replica-Ab12Cd",
    "users/alice/key-Ab12Cd",
    "users/bob/key-Ab12Cd",
    "red-Ab12Cd",
    "a*z-Ab12Cd",
    "axz-Ab12Cd",
    "team/a/b/c-Ab12Cd",
];

const KEY_ACTIONS: &[&str] = &[
    "Decrypt",
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "DescribeKey",
    "ScheduleKeyDeletion",
    "CreateGrant",
];

const KEYS: &[&str] =
    &["key/1234abcd-12ab-34cd-56ef-1234567890ab", "key/0987dcba-09fe-87dc-65ba-ab0987654321"];

/// Roles of the pool, with and without a path.
pub(super) const ROLES: &[&str] = &["role/app", "role/svc/apps/app", "role/other"];

const OTHERS: &[(&str, &str)] = &[
    ("kms:CreateKey", "arn:aws:kms:us-east-1:111122223333:*"),
    ("kms:CreateAlias", "arn:aws:kms:us-east-1:111122223333:alias/app"),
    ("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:111122223333:function:rotate"),
    ("ssm:GetParameter", "arn:aws:ssm:us-east-1:111122223333:parameter/app/db/url"),
    ("iam:PassRole", "arn:aws:iam::111122223333:role/app"),
    ("s3:GetObject", "arn:aws:s3:::bucket/prod/file"),
];

const WITHOUT_RESOURCE: &[&str] = &[
    "secretsmanager:ListSecrets",
    "secretsmanager:GetRandomPassword",
    "ssm:DescribeParameters",
    "sts:GetCallerIdentity",
];

pub(super) fn draw(dice: &mut Dice) -> Target {
    let target = |kind, action: String, resource: String| Target { kind, action, resource };
    match dice.below(100) {
        0..50 => {
            let action = format!("secretsmanager:{}", dice.pick(SECRET_ACTIONS));
            let resource = format!("arn:aws:secretsmanager:us-east-1:{HOME}:secret:{}", dice.pick(SECRETS));
            target(TargetKind::Secret, action, resource)
        }
        50..70 => {
            let action = format!("kms:{}", dice.pick(KEY_ACTIONS));
            target(TargetKind::Key, action, format!("arn:aws:kms:us-east-1:{HOME}:{}", dice.pick(KEYS)))
        }
        70..78 => target(
            TargetKind::Role,
            "sts:AssumeRole".to_owned(),
            format!("arn:aws:iam::{HOME}:{}", dice.pick(ROLES)),
        ),
        78..85 => {
            let action = "sts:AssumeRoleWithWebIdentity".to_owned();
            target(TargetKind::WebRole, action, format!("arn:aws:iam::{HOME}:{}", dice.pick(ROLES)))
        }
        85..92 => target(TargetKind::Nothing, dice.pick(WITHOUT_RESOURCE).to_owned(), "*".to_owned()),
        _ => {
            let (action, resource) = dice.pick(OTHERS);
            target(TargetKind::Other, action.to_owned(), resource.to_owned())
        }
    }
}

pub(super) fn encryption_context(dice: &mut Dice) -> Value {
    dice.pick(&[
        json!({}),
        json!({"SecretARN": "one"}),
        json!({"SecretARN": "one", "SecretVersionId": "v1"}),
        json!({"SecretARN": "One"}),
    ])
}

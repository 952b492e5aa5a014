//! Trust policies: who may assume a role.
//!
//! A trust policy names users and roles by ARN and means the very ones that had it when the policy was written. So their unique ids are
//! kept beside the text: somebody who is made anew under an old name is not trusted, and somebody who is renamed still is.
//! What is shown follows them: the ARN they have now, and the bare id of whoever is gone.

use coffer_core::{Cx, PolicyText, table};
use coffer_policy::{Kind, Malformed, Principal, PrincipalKind, with_principals};
use coffer_shape::{ApiError, record};
use coffer_types::{AccountId, Arn};

use crate::{error::IamError, holder::chars_that_count};

/// AWS raises it to 4,096 for whoever asks.
const CHARS_MAX: usize = 2_048;

record! {
    /// A user or role that a trust policy names.
    #[derive(Clone, PartialEq)]
    pub struct Trusted {
        /// As the text has it.
        pub arn: String,
        pub unique_id: String,
    }
}

record! {
    #[derive(Clone, PartialEq)]
    pub struct Trust {
        pub text: PolicyText,
        /// All users and roles of this account that the text names. Only who has the id beside an ARN is meant by it.
        pub trusted: Vec<Trusted>,
    }
}

table! {
    0x18 "iam-moved", version 1, key (unique_id), part;

    /// Where a user is now who has had another name or path before.
    #[derive(Clone)]
    pub struct MovedRecord {
        pub unique_id: String,
        pub arn: String,
    }
}

impl Trust {
    /// A trust policy whose users and roles exist. Those of other accounts are taken at their word, as are sessions and services.
    pub(crate) fn written(cx: &Cx<'_>, text: String) -> Result<Self, ApiError> {
        let text = PolicyText::parse(Kind::Trust, text).map_err(IamError::Malformed)?;
        let mut trusted: Vec<Trusted> = Vec::new();
        for arn in arns_of(&text, cx.account()) {
            if trusted.iter().any(|known| known.arn == arn.as_str()) {
                continue;
            }
            let Some(unique_id) = cx.identity(&arn)? else {
                let value = arn.as_str().to_owned();
                return Err(
                    IamError::Malformed(Malformed::Principal { kind: PrincipalKind::Aws, value }).into()
                );
            };
            trusted.push(Trusted { arn: arn.as_str().to_owned(), unique_id });
        }
        if chars_that_count(text.as_str()) > CHARS_MAX {
            return Err(IamError::Quota { name: "ACLSizePerRole", limit: CHARS_MAX }.into());
        }
        Ok(Self { text, trusted })
    }

    /// The text as it reads today. An account is shown by the ARN of its root, as AWS does.
    pub(crate) fn shown(&self, cx: &Cx<'_>) -> Result<String, ApiError> {
        let mut moved: Vec<(&str, String)> = Vec::new();
        for Trusted { arn, unique_id } in &self.trusted {
            let is_there = arn.parse::<Arn>().ok().map(|arn| cx.identity(&arn)).transpose()?.flatten();
            if is_there.as_ref() != Some(unique_id) {
                let now = cx.part::<MovedRecord>(&[unique_id])?;
                moved.push((arn, now.map_or_else(|| unique_id.clone(), |moved| moved.arn.clone())));
            }
        }
        let mut new_name = |name: &str| match moved.iter().find(|(arn, _)| *arn == name) {
            Some((_, now)) => Some(now.clone()),
            None => name.parse().ok().map(|account| Arn::global("iam", account, "root").to_string()),
        };
        let text = self.text.as_str();
        Ok(with_principals(text, &mut new_name).unwrap_or_else(|| text.to_owned()))
    }
}

/// The users and roles of an account that a trust policy names.
fn arns_of(text: &PolicyText, account: AccountId) -> Vec<Arn> {
    let Some(document) = text.document(Kind::Trust) else { return Vec::new() };
    let principals = document.statements.iter().filter_map(|statement| statement.principals.as_ref());
    let named = principals.flat_map(|scope| scope.listed()).filter_map(|principal| match principal {
        Principal::User(arn) | Principal::Role(arn) => Some(arn.clone()),
        _ => None,
    });
    named.filter(|arn| arn.account() == account.as_str()).collect()
}

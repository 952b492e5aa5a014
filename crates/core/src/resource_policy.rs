//! The policy of a resource: of a secret, of a role that is to be assumed.
//!
//! It names users and roles by ARN and means the very ones that had it when the policy was written. So their unique ids are kept beside
//! the text: somebody who is made anew under an old name is not meant, and somebody who is renamed still is. What is shown follows
//! them: the ARN they have now, and the bare id of whoever is gone.

use std::sync::Arc;

use coffer_policy::{Document, Kind, Policy, Principal, with_principals};
use coffer_shape::{ApiError, record};
use coffer_types::Arn;

use crate::{Cx, PolicyText};

record! {
    /// A user or role that a policy names.
    #[derive(Clone, PartialEq)]
    pub struct NamedPrincipal {
        /// As the text has it.
        pub arn: String,
        pub unique_id: String,
    }
}

record! {
    #[derive(Clone, PartialEq)]
    pub struct ResourcePolicy {
        pub text: PolicyText,
        /// The users and roles that the text names. Only who has the id beside an ARN is meant by it.
        pub named: Vec<NamedPrincipal>,
    }
}

impl ResourcePolicy {
    /// A text, which this is the document of, with the ids of whom it names. Whoever of this account does not exist is `missing`. Those
    /// of other accounts are meant by id if they exist and else taken at their word, because nobody is told who exists elsewhere;
    /// so are sessions and services.
    pub fn written(
        cx: &Cx<'_>,
        text: String,
        document: &Document,
        missing: impl Fn(&Arn) -> ApiError,
    ) -> Result<Self, ApiError> {
        let mut named: Vec<NamedPrincipal> = Vec::new();
        let principals = document.statements.iter().filter_map(|statement| statement.principals.as_ref());
        for principal in principals.flat_map(|scope| scope.listed()) {
            let (Principal::User(arn) | Principal::Role(arn)) = principal else { continue };
            let is_known = named.iter().any(|known| known.arn == arn.as_str());
            if is_known {
                continue;
            }
            match cx.identity(arn)? {
                Some(unique_id) => named.push(NamedPrincipal { arn: arn.as_str().to_owned(), unique_id }),
                None if arn.account() == cx.account().as_str() => return Err(missing(arn)),
                None => {}
            }
        }
        Ok(Self { text: PolicyText::of(text), named })
    }

    /// The text as it reads today; `rename` says what else is shown under another name.
    pub fn shown(&self, cx: &Cx<'_>, rename: &dyn Fn(&str) -> Option<String>) -> Result<String, ApiError> {
        let mut moved: Vec<(&str, String)> = Vec::new();
        for NamedPrincipal { arn, unique_id } in &self.named {
            let Ok(named) = arn.parse::<Arn>() else { continue };
            if cx.identity(&named)?.as_ref() != Some(unique_id) {
                let now = cx.arn_of_identity(&named, unique_id)?;
                moved.push((arn, now.unwrap_or_else(|| unique_id.clone())));
            }
        }
        let mut new_name = |name: &str| match moved.iter().find(|(arn, _)| *arn == name) {
            Some((_, now)) => Some(now.clone()),
            None => rename(name),
        };
        let text = self.text.as_str();
        Ok(with_principals(text, &mut new_name).unwrap_or_else(|| text.to_owned()))
    }

    /// What is decided by: the same text about the ids.
    pub fn policy(&self, kind: Kind, name: &str) -> &Arc<Policy> {
        self.text.compiled(|text| {
            let mut id = |arn: &str| {
                self.named.iter().find(|known| known.arn == arn).map(|known| known.unique_id.clone())
            };
            match with_principals(text, &mut id) {
                Some(about_ids) => Policy::stored(name, kind, &about_ids),
                None => Policy::stored(name, kind, text),
            }
        })
    }
}

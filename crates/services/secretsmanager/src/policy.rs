//! Resource policies of a secret: texts with names, given back as they were written.
//!
//! `default` is the one that users write. Others belong to the service and are read only; AWS knows one, which comes with replication
//! to other accounts. A policy is understood before it is stored, so that whoever evaluates it later never meets a mistake.
//!
//! Users and roles are meant by their unique ids, and shown by the ARN that they have today.
//!
//! The secret's own record knows the names, because the keys of records are hashes and cannot be listed. The texts lie in records of
//! their own: they may be long, and secrets are kept in memory.

use std::sync::Arc;

use coffer_core::{Cx, ResourcePolicy, table};
use coffer_model::secretsmanager::{ValidationErrorsEntry, action};
use coffer_policy::{Document, Kind, Policy, Principal, Who};
use coffer_shape::{Action, ApiError, ConditionValue};
use coffer_types::PARTITION;

use crate::{error::SecretError, identifier::SERVICE, secret::SecretRecord};

/// The policy that users write, and that is meant when none is named.
pub(crate) const DEFAULT: &str = "default";
/// The one that a replica of a secret in another account has.
pub(crate) const REPLICATION: &str = "cross-account-replication";

table! {
    0x33 "secret-policy", version 1, key (secret_arn, name), part;

    pub struct PolicyRecord {
        pub secret_arn: String,
        pub name: String,
        pub policy: ResourcePolicy,
    }
}

/// What decides on a secret together with the policies of the caller: all policies that it has, as one.
pub(crate) fn in_force(cx: &Cx<'_>, secret: &SecretRecord) -> Result<Option<Arc<Policy>>, ApiError> {
    let compiled = |name: &String| -> Result<Arc<Policy>, ApiError> {
        let policy = cx.part::<PolicyRecord>(&[&secret.arn, name])?;
        let policy = policy.ok_or_else(|| cx.internal("a secret has lost its resource policy"))?;
        Ok(Arc::clone(policy.policy.policy(Kind::Resource, name)))
    };
    match secret.policies.as_slice() {
        [] => Ok(None),
        [name] => compiled(name).map(Some),
        names => {
            let policies = names.iter().map(compiled).collect::<Result<Vec<_>, _>>()?;
            let policies: Vec<&Policy> = policies.iter().map(|policy| &**policy).collect();
            Ok(Some(Arc::new(Policy::joined(&policies))))
        }
    }
}

/// Lets conditions of policies ask which policy of the secret is meant.
pub(crate) fn note_name(cx: &mut Cx<'_>, name: &str) {
    let name = ConditionValue::One(name.to_owned());
    cx.also_asks(vec![(String::from("secretsmanager:PolicyName"), name)]);
}

/// A policy, understood, with the ids of whom it names: whoever is made anew under a name is somebody else.
pub(crate) fn written(cx: &Cx<'_>, text: String, document: &Document) -> Result<ResourcePolicy, ApiError> {
    ResourcePolicy::written(cx, text, document, |_| SecretError::UnsupportedPrincipal.into())
}

/// The policy that a call changes. Names have a case: `Default` is another policy.
pub(crate) fn writable(name: Option<String>) -> Result<String, SecretError> {
    let name = name.unwrap_or_else(|| DEFAULT.to_owned());
    if name == DEFAULT { Ok(name) } else { Err(SecretError::PolicyReadOnly) }
}

impl SecretRecord {
    pub(crate) fn has_policy(&self, name: &str) -> bool {
        self.policies.iter().any(|attached| attached == name)
    }

    pub(crate) fn note_policy(&mut self, name: &str) {
        if !self.has_policy(name) {
            self.policies.push(name.to_owned());
            // AWS lists `default` first and the others by name.
            self.policies.sort_by(|one, other| rank(one).cmp(&rank(other)));
        }
    }

    /// Whether it was there.
    pub(crate) fn forget_policy(&mut self, name: &str) -> bool {
        let before = self.policies.len();
        self.policies.retain(|attached| attached != name);
        self.policies.len() < before
    }
}

/// Where a policy stands in the list.
pub(crate) fn rank(name: &str) -> (bool, &str) {
    (name != DEFAULT, name)
}

/// Reads a text as the policy of a secret, in which nobody is named who does not exist.
pub(crate) fn understand(cx: &Cx<'_>, text: &str) -> Result<Document, ApiError> {
    let document = Document::parse(Kind::Resource, text).map_err(SecretError::MalformedPolicy)?;
    for scope in document.statements.iter().filter_map(|statement| statement.principals.as_ref()) {
        for principal in scope.listed() {
            if !exists(cx, principal)? {
                return Err(SecretError::UnsupportedPrincipal.into());
            }
        }
    }
    Ok(document)
}

/// What is known of a principal: the users and roles of one's own account. Other accounts are taken at their word, and so are
/// sessions, services and unique ids, which come and go without us.
fn exists(cx: &Cx<'_>, principal: &Principal) -> Result<bool, ApiError> {
    let arn = match principal {
        Principal::User(arn) | Principal::Role(arn) => arn,
        Principal::RoleSession(arn) | Principal::FederatedUser(arn) => {
            return Ok(arn.partition() == PARTITION);
        }
        Principal::Anyone
        | Principal::Account(_)
        | Principal::UniqueId(_)
        | Principal::Service(_)
        | Principal::Federated(_) => return Ok(true),
    };
    if arn.partition() != PARTITION {
        return Ok(false);
    }
    if arn.account() == cx.account().as_str() { cx.identity_exists(arn) } else { Ok(true) }
}

/// What is wrong with a policy that can be read. The names of the checks and the sentences are ours; AWS documents only that
/// there are such checks.
pub(crate) fn findings(
    cx: &Cx<'_>,
    document: &Document,
    secret_arn: Option<&str>,
) -> Vec<ValidationErrorsEntry> {
    let entry = |check: &str, message: String| ValidationErrorsEntry {
        check_name: Some(check.to_owned()),
        error_message: Some(message),
    };
    let mut findings = Vec::new();
    if document.is_public() {
        findings.push(entry(
            "PUBLIC_ACCESS_CHECK",
            String::from("The resource policy allows broad access to the secret."),
        ));
    }
    let caller = cx.caller();
    let who = Who { arn: &caller.arn, account: caller.account };
    let any_secret = cx.arn(SERVICE, "secret:*").to_string();
    let Action(put) = action::PUT_RESOURCE_POLICY;
    if document.locks_out(who, put, secret_arn.unwrap_or(&any_secret)) {
        findings.push(entry(
            "REFLEXIVE_PRINCIPAL_CHECK",
            format!("The resource policy denies {put} to {}, who could not change it any more.", caller.arn),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_policy_is_written_by_users() {
        assert_eq!(writable(None), Ok(String::from("default")));
        assert_eq!(writable(Some(String::from("default"))), Ok(String::from("default")));
        for name in ["Default", "mine", "cross-account-replication"] {
            assert_eq!(writable(Some(name.to_owned())), Err(SecretError::PolicyReadOnly), "{name}");
        }
    }

    #[test]
    fn the_default_policy_stands_before_the_others() {
        let mut secret = SecretRecord::default();
        for name in ["b", "default", "a", "b"] {
            secret.note_policy(name);
        }
        assert_eq!(secret.policies, ["default", "a", "b"]);
        assert!(secret.has_policy("a"));
        assert!(secret.forget_policy("a"));
        assert!(!secret.forget_policy("a"));
        assert_eq!(secret.policies, ["default", "b"]);
    }
}

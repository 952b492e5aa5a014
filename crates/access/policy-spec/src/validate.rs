//! 1.3: what is checked when a policy is written. The checks run in their order over the whole document, one at a time, and the first
//! failure names the error.
//!
//! Sentences the rules leave free (V16, V18 of resource policies) are ours; whoever compares should compare the check there.

mod action;
mod legacy;
mod principal;
mod resource;
mod syntax;

use serde_json::Value;

use crate::json::Json;

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The number of the check, 1 to 18.
    pub check: u8,
    pub code: &'static str,
    pub sentence: String,
}

/// What the document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A managed identity policy.
    Identity,
    Trust,
    Secret,
    Key,
}

impl Kind {
    /// IAM's documents, as opposed to those of other services.
    const fn is_of_iam(self) -> bool {
        matches!(self, Self::Identity | Self::Trust)
    }
}

/// Validates the `document` of a validation case for its `kind`. Nothing when it may be written.
pub fn validate(case: &Value) -> Option<Fault> {
    let text = |member: &str| case.get(member).and_then(Value::as_str);
    let kind = match text("kind")? {
        "trust" => Kind::Trust,
        "secret" => Kind::Secret,
        "key" => Kind::Key,
        _ => Kind::Identity,
    };
    first_fault(kind, text("document")?).map(|(check, sentence)| Fault {
        check,
        code: code(kind, check),
        sentence,
    })
}

const fn code(kind: Kind, check: u8) -> &'static str {
    match (check, kind.is_of_iam()) {
        (18, _) => "LimitExceeded",
        (_, true) => "MalformedPolicyDocument",
        (_, false) => "MalformedPolicyDocumentException",
    }
}

fn first_fault(kind: Kind, text: &str) -> Option<(u8, String)> {
    let Some(document) = Json::read(text) else { return Some((1, invalid_json(kind).to_owned())) };
    if !syntax::is_right(&document) {
        return Some((2, "Syntax errors in policy.".to_owned()));
    }
    let statements = document.get("Statement").map(Json::as_list).unwrap_or_default();
    // V7 is found while V4 runs, and reported in its turn.
    let resource_fault = resource::last_fault(statements);
    let checks: [(u8, Option<String>); 16] = [
        (3, version(kind, &document)),
        (4, legacy::fault(statements)),
        (5, sids(kind, statements)),
        (6, action::missing(statements)),
        (7, resource_fault),
        (8, action::malformed(statements)),
        (9, resource::missing(kind, statements)),
        (10, principal::in_identity_policy(kind, statements)),
        (11, resource::in_trust_policy(kind, statements)),
        (12, action::not_assume_role(kind, statements)),
        (13, principal::malformed_in_trust_policy(kind, statements)),
        (14, principal::malformed_in_key_policy(kind, statements)),
        (15, principal::malformed_in_secret_policy(kind, statements)),
        (16, principal::missing_or_negated(kind, statements)),
        // Who writes the policy is not known here, so nobody can be found to lock himself out.
        (17, None),
        (18, size(kind, text)),
    ];
    checks.into_iter().find_map(|(check, fault)| Some((check, fault?)))
}

/// V1.
const fn invalid_json(kind: Kind) -> &'static str {
    match kind {
        Kind::Trust => "This policy contains invalid Json",
        Kind::Identity => "Syntax errors in policy.",
        Kind::Secret | Kind::Key => "This policy contains invalid JSON",
    }
}

/// V3: managed policies are of the later version.
fn version(kind: Kind, document: &Json) -> Option<String> {
    let later = document.get("Version").and_then(Json::as_text) == Some("2012-10-17");
    (kind == Kind::Identity && !later)
        .then(|| "Policy document must be version 2012-10-17 or greater.".to_owned())
}

/// V5: Sids that are not empty are unique; in documents of IAM they are letters and digits.
fn sids(kind: Kind, statements: &[Json]) -> Option<String> {
    let mut sids: Vec<&str> = statements
        .iter()
        .filter_map(|statement| statement.get("Sid")?.as_text())
        .filter(|sid| !sid.is_empty())
        .collect();
    let plain = sids.iter().all(|sid| sid.chars().all(|letter| letter.is_ascii_alphanumeric()));
    let count = sids.len();
    sids.sort_unstable();
    sids.dedup();
    if sids.len() < count {
        return Some("Statement IDs (SID) in a single policy must be unique.".to_owned());
    }
    (kind.is_of_iam() && !plain).then(|| {
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*".to_owned()
    })
}

/// V18: IAM does not count white space, wherever it stands.
fn size(kind: Kind, text: &str) -> Option<String> {
    let count = if kind.is_of_iam() {
        text.chars().filter(|letter| !matches!(letter, ' ' | '\t' | '\n' | '\r')).count()
    } else {
        text.chars().count()
    };
    let (limit, sentence) = match kind {
        Kind::Identity => (6_144, "Cannot exceed quota for PolicySize: 6144"),
        Kind::Trust => (2_048, "Cannot exceed quota for ACLSizePerRole: 2048"),
        Kind::Secret => (20_480, "The resource policy exceeds 20480 characters."),
        Kind::Key => (32_768, "The key policy exceeds 32768 characters."),
    };
    (count > limit).then(|| sentence.to_owned())
}

//! Which rule answered what. It costs nothing until somebody asks, and then shows that random cases reach every rule both ways.

use std::cell::RefCell;

/// One answer of one rule. Condition operators are rules under their own name, such as `ForAnyValue:StringLikeIfExists`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fired {
    pub rule: String,
    pub answer: bool,
}

/// Every rule that answers, besides the operators.
pub const RULES: &[&str] = &[
    "1.5 Action",
    "1.5 NotAction",
    "1.6 Resource",
    "1.6 NotResource",
    "1.6 an entry matches",
    "1.6 an entry matches a request without resource",
    "1.6 an unresolved variable voids Allow with NotResource",
    "1.7 the document has variables",
    "1.7 a variable has a value or a default",
    "1.7 a value beats the default",
    "1.8 the condition holds",
    "1.8 the key is present",
    "1.8 one of several tags is spelled exactly so",
    "2.2 GetCallerIdentity is always allowed",
    "2.2 a Deny applies",
    "2.3 the caller is bound by SCPs",
    "2.3 every SCP level allows",
    "2.3 an RCP denies",
    "2.3 the endpoint policy allows",
    "2.2 the resource policy decides alone",
    "2.2 the resource policy alone allows",
    "2.2 caller and resource are of one account",
    "2.4 the caller's own ARN",
    "2.4 the role of the session",
    "2.4 the user behind the federated session",
    "2.4 the account of the caller",
    "2.4 the account is named and the caller is its root",
    "2.4 the service",
    "2.4 the provider of the token",
    "2.4 a boundary undoes NotPrincipal",
    "2.4 NotPrincipal exempts from Deny",
    "2.4 NotPrincipal with Allow grants",
    "2.5 a direct grant",
    "2.5 a grant to the role",
    "2.5 a grant to the federated user's user",
    "2.5 a grant to the account, and an identity policy that allows",
    "2.5 no grant, but an identity policy that allows",
    "2.5 no grant on a key or role",
    "2.6 the boundary permits",
    "2.6 the session policies permit",
    "2.6 a federated session has identity permissions",
    "2.8 the action may cross accounts",
    "2.8 the caller's side allows",
    "2.8 the resource's side grants",
    "2.8 a grant alone suffices",
    "2.10 a grant applies",
    "2.10 the grantee is the caller",
    "2.10 the grantee is the caller's account",
    "2.10 the operation is in the grant",
    "2.10 EncryptionContextEquals",
    "2.10 EncryptionContextSubset",
];

#[derive(Debug, Default)]
pub(crate) struct Trace(RefCell<Option<Vec<Fired>>>);

impl Trace {
    pub(crate) fn begin(&self) {
        *self.0.borrow_mut() = Some(Vec::new());
    }

    pub(crate) fn saw(&self, rule: &str, answer: bool) {
        if let Some(fired) = self.0.borrow_mut().as_mut() {
            fired.push(Fired { rule: rule.to_owned(), answer });
        }
    }

    /// For a name that has to be made first.
    pub(crate) fn saw_as(&self, rule: impl FnOnce() -> String, answer: bool) {
        if let Some(fired) = self.0.borrow_mut().as_mut() {
            fired.push(Fired { rule: rule(), answer });
        }
    }

    pub(crate) fn end(&self) -> Vec<Fired> {
        self.0.borrow_mut().take().unwrap_or_default()
    }
}

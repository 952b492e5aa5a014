//! Grants: the owner of a key lets somebody do certain things with it, without any policy that says so.
//!
//! A grant is a record, and whoever it is for has a list of those that a key has for him: a decision about a key with grants reads the
//! lists of the caller and nothing else, and a key without grants costs nothing. Grantees are meant by their unique ids, like those whom
//! policies name, and shown by the ARN that they had.
//!
//! A grant is there from the commit that made it. So a token has nothing to prove: it names its grant, and calls that bring one along are
//! decided as if they had not.

use std::sync::Arc;

use coffer_core::{Cx, Listed, Place, PrincipalKind, table};
use coffer_model::kms::{GrantConstraints, GrantListEntry};
use coffer_policy::{Constraint, Grant};
use coffer_shape::{ApiError, record};
use coffer_types::{
    AccountId, Arn, Entropy, Timestamp,
    encoding::{BASE64URL_NOPAD, HEXLOWER},
};

use crate::{context::Context, error::KmsError, id::KeyId, key::KeyRecord, named::Home};

/// AWS's quota.
const PER_KEY_MAX: i64 = 50_000;
/// How many grants a key has for the same grantee. Our choice: all of them are looked at in each of his calls.
const PER_GRANTEE_MAX: usize = 100;
const TOKEN: u8 = 1;
/// For a key whose id is one of several regions.
const TOKEN_MULTI_REGION: u8 = 2;

record! {
    /// A user, a role, a session or an account that a grant names.
    #[derive(Clone, PartialEq)]
    pub struct Party {
        pub arn: String,
        /// What is decided by: the unique id of a user or role, the number of an account, else the ARN.
        pub id: String,
    }
}

record! {
    #[derive(Clone, PartialEq)]
    pub struct ConstraintRecord {
        /// Whether the context must have nothing more.
        pub is_exact: bool,
        pub context: Context,
    }
}

table! {
    0x23 "kms-grant", version 1, key (key_id, grant_id), part;

    #[derive(Clone)]
    pub struct GrantRecord {
        pub key_id: String,
        pub grant_id: String,
        pub name: Option<String>,
        pub created_at: Timestamp,
        pub grantee: Party,
        pub retiring: Option<Party>,
        /// The account whose principal made it.
        pub issuing_account: String,
        /// In the order in which they were given.
        pub operations: Vec<String>,
        pub constraint: Option<ConstraintRecord>,
    }
}

table! {
    0x24 "kms-grantee", version 1, key (key_id, grantee), part;

    /// The grants that a key has for somebody.
    #[derive(Clone)]
    pub struct GranteeRecord {
        pub key_id: String,
        /// As [`Party::id`].
        pub grantee: String,
        pub grant_ids: Vec<String>,
    }
}

pub(crate) mod order {
    pub(crate) const KEY: usize = 0;
    pub(crate) const RETIRING: usize = 1;
}

impl Listed for GrantRecord {
    const ORDERS: usize = 2;

    fn place(&self, order: usize) -> Place<'_> {
        let text = match order {
            order::RETIRING => self.retiring.as_ref().map_or("", |party| party.id.as_str()),
            _ => &self.key_id,
        };
        Place { number: None, text, tie: &self.grant_id }
    }
}

impl Party {
    /// Who can hold a grant: users, roles, sessions and accounts. Those of this account must exist.
    pub(crate) fn written(cx: &Cx<'_>, written: &str) -> Result<Self, ApiError> {
        let invalid = || KmsError::NoSuchPrincipal { written: written.to_owned() };
        let whole = |account: AccountId| Self {
            arn: Arn::global("iam", account, "root").to_string(),
            id: account.to_string(),
        };
        if let Ok(account) = written.parse::<AccountId>() {
            return Ok(whole(account));
        }
        let arn: Arn = written.parse().map_err(|_| invalid())?;
        let account: AccountId = arn.account().parse().map_err(|_| invalid())?;
        let kind = arn.resource().split('/').next().unwrap_or_default();
        let itself = || Self { arn: arn.to_string(), id: arn.to_string() };
        match (arn.service(), kind) {
            ("iam", "root") => Ok(whole(account)),
            ("iam", "user" | "role") => match cx.identity(&arn)? {
                Some(id) => Ok(Self { arn: arn.to_string(), id }),
                // Nobody is told who exists elsewhere.
                None if account != cx.account() => Ok(itself()),
                None => Err(invalid().into()),
            },
            ("sts", "assumed-role" | "federated-user") => Ok(itself()),
            _ => Err(invalid().into()),
        }
    }
}

/// By what the lists of grantees may name the caller.
fn names_of_caller(cx: &Cx<'_>) -> Vec<String> {
    let caller = cx.caller();
    let mut names = vec![caller.account.to_string()];
    match &caller.kind {
        PrincipalKind::User { .. } => names.extend([caller.user_id.clone(), caller.arn.clone()]),
        PrincipalKind::AssumedRole(role) => {
            names.extend([role.id.clone(), role.arn.clone(), caller.arn.clone()]);
        }
        PrincipalKind::Root | PrincipalKind::WebIdentity(_) | PrincipalKind::Service { .. } => {}
    }
    names
}

/// The grants that a key has for the caller.
pub(crate) fn records_of_the_caller(
    cx: &Cx<'_>,
    home: &Home,
    key_id: &str,
) -> Result<Vec<Arc<GrantRecord>>, ApiError> {
    let mut grants = Vec::new();
    for name in names_of_caller(cx) {
        let Some(list) = home.part::<GranteeRecord>(cx, &[key_id, &name])? else { continue };
        for grant_id in &list.grant_ids {
            let grant = home.part::<GrantRecord>(cx, &[key_id, grant_id])?;
            grants.push(grant.ok_or_else(|| cx.internal("a grant is listed and is not there"))?);
        }
    }
    Ok(grants)
}

pub(crate) fn of_the_caller(cx: &Cx<'_>, home: &Home, key: &KeyRecord) -> Result<Vec<Grant>, ApiError> {
    if key.grants == 0 {
        return Ok(Vec::new());
    }
    Ok(records_of_the_caller(cx, home, &key.key_id)?.iter().map(|grant| grant.decided_by()).collect())
}

impl GrantRecord {
    /// As the evaluator knows it.
    pub(crate) fn decided_by(&self) -> Grant {
        let constraint = self.constraint.as_ref().map(|constraint| {
            let pairs = constraint.context.clone().into_iter().collect();
            if constraint.is_exact { Constraint::Equals(pairs) } else { Constraint::Subset(pairs) }
        });
        Grant::new(&self.grantee.id, self.operations.clone(), constraint)
    }

    /// Who may retire it: whoever it names for that, the grantee if the grant says so, and the account that made it.
    pub(crate) fn retired_by(&self) -> Vec<Grant> {
        let retire = || vec![String::from("RetireGrant")];
        let mut grants = vec![Grant::new(&self.issuing_account, retire(), None)];
        grants.extend(self.retiring.iter().map(|party| Grant::new(&party.id, retire(), None)));
        if self.operations.iter().any(|operation| operation == "RetireGrant") {
            grants.push(Grant::new(&self.grantee.id, retire(), None));
        }
        grants
    }

    /// Whether whoever holds this grant may give another one by it: nothing more, and under constraints at least as strict.
    pub(crate) fn may_give(&self, child: &Self) -> bool {
        let gives = |operation: &String| self.operations.contains(operation);
        gives(&String::from("CreateGrant"))
            && child.operations.iter().all(gives)
            && match (&self.constraint, &child.constraint) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(given)) if own.is_exact => own == given,
                (Some(own), Some(given)) => {
                    own.context.iter().all(|(name, value)| given.context.get(name) == Some(value))
                }
            }
    }

    /// Whether a grant that is asked for is this one: only one with a name can be asked for twice.
    pub(crate) fn is_repeated_by(&self, other: &Self) -> bool {
        self.name.is_some()
            && self.name == other.name
            && self.grantee == other.grantee
            && self.retiring == other.retiring
            && self.issuing_account == other.issuing_account
            && self.operations == other.operations
            && self.constraint == other.constraint
    }

    pub(crate) fn shown(&self, key_arn: &str) -> GrantListEntry {
        let issuing = self.issuing_account.parse().ok();
        GrantListEntry {
            key_id: Some(key_arn.to_owned()),
            grant_id: Some(self.grant_id.clone()),
            // AWS shows an empty name where there is none.
            name: Some(self.name.clone().unwrap_or_default()),
            creation_date: Some(self.created_at),
            grantee_principal: Some(self.grantee.arn.clone()),
            retiring_principal: self.retiring.as_ref().map(|party| party.arn.clone()),
            issuing_account: issuing.map(|account| Arn::global("iam", account, "root").to_string()),
            operations: Some(self.operations.clone()),
            constraints: self.constraint.as_ref().map(ConstraintRecord::shown),
            ..GrantListEntry::default()
        }
    }

    /// What names the grant to whoever holds it. Another one each time.
    pub(crate) fn token(&self, entropy: &dyn Entropy) -> Option<String> {
        let key_id = KeyId::parse(&self.key_id)?;
        let mut bytes = vec![if key_id.is_multi_region { TOKEN_MULTI_REGION } else { TOKEN }];
        bytes.extend_from_slice(&key_id.bytes);
        bytes.extend_from_slice(&HEXLOWER.decode(self.grant_id.as_bytes()).ok()?);
        let mut salt = [0; 16];
        entropy.fill(&mut salt);
        bytes.extend_from_slice(&salt);
        Some(BASE64URL_NOPAD.encode(&bytes))
    }
}

/// The ids of key and grant in a token.
pub(crate) fn named_by_token(token: &str) -> Result<(String, String), KmsError> {
    let parse = || {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (kind, rest) = bytes.split_first()?;
        let is_multi_region = match *kind {
            TOKEN => false,
            TOKEN_MULTI_REGION => true,
            _ => return None,
        };
        let (key_id, rest) = rest.split_first_chunk::<16>()?;
        let (grant_id, salt) = rest.split_first_chunk::<32>()?;
        let key_id = KeyId { bytes: *key_id, is_multi_region };
        (salt.len() == 16).then(|| (key_id.to_string(), HEXLOWER.encode(grant_id)))
    };
    parse().ok_or(KmsError::InvalidGrantToken)
}

/// Tokens that a call brings along must be some; what they name holds already.
pub(crate) fn check_tokens(tokens: Option<&Vec<String>>) -> Result<(), KmsError> {
    tokens.into_iter().flatten().try_for_each(|token| named_by_token(token).map(drop))
}

impl ConstraintRecord {
    pub(crate) fn from_request(written: Option<GrantConstraints>) -> Result<Option<Self>, KmsError> {
        let Some(written) = written else { return Ok(None) };
        if written.source_arn.is_some() {
            return Err(KmsError::SourceArnConstraint);
        }
        let (mut equals, mut subset) = (written.encryption_context_equals, written.encryption_context_subset);
        if equals.is_some() && subset.is_some() {
            // Terraform sends both, and leaves empty what the configuration does not say.
            equals = equals.filter(|context| !context.is_empty());
            subset = subset.filter(|context| !context.is_empty());
        }
        match (equals, subset) {
            (Some(_), Some(_)) => Err(KmsError::TwoConstraints),
            (Some(context), None) => Ok(Some(Self { is_exact: true, context })),
            (None, Some(context)) => Ok(Some(Self { is_exact: false, context })),
            (None, None) => Ok(None),
        }
    }

    fn shown(&self) -> GrantConstraints {
        let context = Some(self.context.clone());
        let (equals, subset) = if self.is_exact { (context, None) } else { (None, context) };
        GrantConstraints {
            encryption_context_equals: equals,
            encryption_context_subset: subset,
            ..GrantConstraints::default()
        }
    }

    /// As policies ask for it.
    pub(crate) const fn kind(&self) -> &'static str {
        if self.is_exact { "EncryptionContextEquals" } else { "EncryptionContextSubset" }
    }
}

/// Saves a grant with its place in the list of its grantee.
pub(crate) fn add(cx: &mut Cx<'_>, key: &KeyRecord, grant: GrantRecord) -> Result<(), ApiError> {
    let mut list = list_of(cx, &grant)?;
    if key.grants >= PER_KEY_MAX || list.grant_ids.len() >= PER_GRANTEE_MAX {
        return Err(KmsError::TooManyGrants { arn: key.arn.clone() }.into());
    }
    list.grant_ids.push(grant.grant_id.clone());
    cx.save(KeyRecord { grants: key.grants.saturating_add(1), ..key.clone() })?;
    cx.save(list)?;
    cx.save(grant)
}

pub(crate) fn remove(cx: &mut Cx<'_>, key: &KeyRecord, grant: &GrantRecord) -> Result<(), ApiError> {
    let mut list = list_of(cx, grant)?;
    list.grant_ids.retain(|known| *known != grant.grant_id);
    cx.save(KeyRecord { grants: key.grants.saturating_sub(1), ..key.clone() })?;
    if list.grant_ids.is_empty() {
        cx.erase::<GranteeRecord>(&[&list.key_id, &list.grantee])?;
    } else {
        cx.save(list)?;
    }
    cx.erase::<GrantRecord>(&[&grant.key_id, &grant.grant_id])
}

pub(crate) fn list_of(cx: &Cx<'_>, grant: &GrantRecord) -> Result<GranteeRecord, ApiError> {
    let found = cx.part::<GranteeRecord>(&[&grant.key_id, &grant.grantee.id])?;
    Ok(found.map_or_else(
        || GranteeRecord {
            key_id: grant.key_id.clone(),
            grantee: grant.grantee.id.clone(),
            grant_ids: Vec::new(),
        },
        |list| (*list).clone(),
    ))
}

/// Operations that make sense for a key of this usage and spec.
pub(crate) fn suits(key: &KeyRecord, operation: &str) -> bool {
    use crate::spec::{KeySpec, KeyUsage};
    match operation {
        "CreateGrant" | "RetireGrant" | "DescribeKey" => true,
        "GenerateMac" | "VerifyMac" => key.usage == KeyUsage::GenerateVerifyMac,
        "Sign" | "Verify" => key.usage == KeyUsage::SignVerify,
        "DeriveSharedSecret" => key.usage == KeyUsage::KeyAgreement,
        "GetPublicKey" => key.is_pair(),
        "Decrypt" | "Encrypt" | "ReEncryptFrom" | "ReEncryptTo" => key.usage == KeyUsage::EncryptDecrypt,
        "GenerateDataKey"
        | "GenerateDataKeyWithoutPlaintext"
        | "GenerateDataKeyPair"
        | "GenerateDataKeyPairWithoutPlaintext" => key.spec == KeySpec::SymmetricDefault,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use coffer_crypto::SystemEntropy;

    use super::*;

    fn grant(operations: &[&str], constraint: Option<(bool, &[(&str, &str)])>) -> GrantRecord {
        GrantRecord {
            operations: operations.iter().map(|name| (*name).to_owned()).collect(),
            constraint: constraint.map(|(is_exact, pairs)| ConstraintRecord {
                is_exact,
                context: pairs
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            }),
            ..GrantRecord::default()
        }
    }

    #[test]
    fn a_grant_gives_no_more_than_it_has() {
        let subset: Option<(bool, &[(&str, &str)])> = Some((false, &[("a", "1")]));
        let exact: Option<(bool, &[(&str, &str)])> = Some((true, &[("a", "1")]));
        let more: Option<(bool, &[(&str, &str)])> = Some((false, &[("a", "1"), ("b", "2")]));
        let other: Option<(bool, &[(&str, &str)])> = Some((false, &[("a", "2")]));
        let all = &["CreateGrant", "Decrypt"][..];
        for (own, given, expected) in [
            ((all, None), (&["Decrypt"][..], None), true),
            ((all, None), (&["Decrypt"], subset), true),
            ((all, None), (&["CreateGrant", "Decrypt"], None), true),
            ((all, None), (&["Encrypt"], None), false),
            ((&["Decrypt"], None), (&["Decrypt"], None), false),
            ((all, subset), (&["Decrypt"], None), false),
            ((all, subset), (&["Decrypt"], subset), true),
            ((all, subset), (&["Decrypt"], more), true),
            ((all, subset), (&["Decrypt"], exact), true),
            ((all, subset), (&["Decrypt"], other), false),
            ((all, exact), (&["Decrypt"], exact), true),
            ((all, exact), (&["Decrypt"], subset), false),
            ((all, exact), (&["Decrypt"], more), false),
        ] {
            let may = grant(own.0, own.1).may_give(&grant(given.0, given.1));
            assert_eq!(may, expected, "{own:?} {given:?}");
        }
    }

    #[test]
    fn a_token_names_its_grant_and_anything_else_is_none() {
        let key_id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        let grant =
            GrantRecord { key_id: key_id.to_owned(), grant_id: "ab".repeat(32), ..GrantRecord::default() };
        let one = grant.token(&SystemEntropy).unwrap();
        let other = grant.token(&SystemEntropy).unwrap();
        assert_ne!(one, other);
        for token in [&one, &other] {
            assert_eq!(named_by_token(token), Ok((key_id.to_owned(), "ab".repeat(32))));
        }
        for wrong in ["", "token", &one[1..], &format!("{one}AAAA")] {
            assert_eq!(named_by_token(wrong), Err(KmsError::InvalidGrantToken), "{wrong}");
        }
        assert!(check_tokens(None).is_ok());
        assert!(check_tokens(Some(&vec![one, String::from("x")])).is_err());
    }

    #[test]
    fn only_a_grant_with_a_name_is_asked_for_twice() {
        let nameless = grant(&["Decrypt"], None);
        assert!(!nameless.is_repeated_by(&nameless));
        let named = GrantRecord { name: Some(String::from("app")), ..nameless };
        assert!(named.is_repeated_by(&GrantRecord { grant_id: String::from("other"), ..named.clone() }));
        let wider = GrantRecord { operations: vec![], ..named.clone() };
        assert!(!named.is_repeated_by(&wider));
    }
}

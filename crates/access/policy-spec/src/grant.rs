//! 2.10: grants on KMS keys. They only allow; a Deny beats them.

use serde_json::Value;

use crate::case::{CallerKind, Request};
use crate::principal::{Class, account_named};

/// Constraints bind operations that have an encryption context; DescribeKey and its like ignore them.
const OPERATIONS_WITH_CONTEXT: &[&str] = &[
    "Encrypt",
    "Decrypt",
    "ReEncryptFrom",
    "ReEncryptTo",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
];

/// What the grants of the key give the caller: `Direct`, or `Account` when only his account's root is a grantee.
pub(crate) fn best(request: &Request<'_>) -> Option<Class> {
    let grants = request.policies.get("grants").and_then(Value::as_array)?;
    let classes: Vec<Option<Class>> = grants
        .iter()
        .map(|grant| {
            let class = class(request, grant);
            request.saw("2.10 a grant applies", class.is_some());
            class
        })
        .collect();
    classes.into_iter().flatten().max()
}

fn class(request: &Request<'_>, grant: &Value) -> Option<Class> {
    let grantee = grantee_class(request, grant.get("GranteePrincipal")?.as_str()?);
    let operation = lists_operation(request, grant);
    let constraints = constraints_hold(request, grant.get("Constraints"));
    grantee.filter(|_| operation && constraints)
}

/// A grantee that matches the caller directly, as his role or as the user behind him is as good as a direct grant (2.5); the root of
/// his account is a delegation, and he needs an identity policy that allows.
fn grantee_class(request: &Request<'_>, grantee: &str) -> Option<Class> {
    let caller = &request.caller;
    let is_caller = caller.lives_in_an_account()
        && [caller.arn, caller.role_arn, caller.user_arn].contains(&Some(grantee));
    request.saw("2.10 the grantee is the caller", is_caller);
    if is_caller {
        return Some(Class::Direct);
    }
    let is_account = caller.lives_in_an_account()
        && account_named(grantee).is_some_and(|named| caller.account == Some(named));
    request.saw("2.10 the grantee is the caller's account", is_account);
    let is_root = caller.kind == CallerKind::Root;
    is_account.then_some(if is_root { Class::Direct } else { Class::Account })
}

fn lists_operation(request: &Request<'_>, grant: &Value) -> bool {
    let operations = grant.get("Operations").and_then(Value::as_array).into_iter().flatten();
    let mut operations = operations.filter_map(Value::as_str);
    let listed = operations.any(|operation| request.action_is(&format!("kms:{operation}")));
    request.saw("2.10 the operation is in the grant", listed);
    listed
}

fn constraints_hold(request: &Request<'_>, constraints: Option<&Value>) -> bool {
    let Some(constraints) = constraints else { return true };
    let has_context =
        OPERATIONS_WITH_CONTEXT.iter().any(|operation| request.action_is(&format!("kms:{operation}")));
    if !has_context {
        return true;
    }
    let equals = constraints.get("EncryptionContextEquals").is_none_or(|pairs| {
        let equal = contains(request, pairs) && count(pairs) == request.encryption_context.len();
        request.saw("2.10 EncryptionContextEquals", equal);
        equal
    });
    let subset = constraints.get("EncryptionContextSubset").is_none_or(|pairs| {
        let subset = contains(request, pairs);
        request.saw("2.10 EncryptionContextSubset", subset);
        subset
    });
    equals && subset
}

/// The request contains all pairs. Case-sensitive.
fn contains(request: &Request<'_>, pairs: &Value) -> bool {
    let mut pairs = pairs.as_object().into_iter().flatten();
    pairs.all(|(key, value)| {
        request.encryption_context.iter().any(|(name, found)| *name == key && value.as_str() == Some(*found))
    })
}

fn count(pairs: &Value) -> usize {
    pairs.as_object().map_or(0, serde_json::Map::len)
}

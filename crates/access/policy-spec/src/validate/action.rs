//! V6, V8 and V12: actions.

use super::Kind;
use crate::json::Json;

/// V6: every statement has an action.
pub(super) fn missing(statements: &[Json]) -> Option<String> {
    let has_any = |statement: &Json| {
        ["Action", "NotAction"]
            .iter()
            .any(|member| statement.get(member).is_some_and(|element| !element.texts().is_empty()))
    };
    (!statements.iter().all(has_any)).then(|| "Policy statement must contain actions.".to_owned())
}

/// V8: each action, then each of `NotAction`.
pub(super) fn malformed(statements: &[Json]) -> Option<String> {
    entries(statements).find_map(format_fault)
}

fn entries(statements: &[Json]) -> impl Iterator<Item = &str> {
    let of = |member: &'static str| {
        statements.iter().filter_map(move |statement| statement.get(member)).flat_map(Json::texts)
    };
    of("Action").chain(of("NotAction"))
}

fn format_fault(action: &str) -> Option<String> {
    if action == "*" {
        return None;
    }
    let Some((vendor, name)) = action.split_once(':') else {
        return Some("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned());
    };
    if name.contains(':') {
        return Some("Actions/Condition can contain only one colon.".to_owned());
    }
    let plain = !vendor.is_empty()
        && vendor.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-'));
    (vendor != "*" && !plain).then(|| format!("Vendor {vendor} is not valid"))
}

/// V12: trust: only what makes somebody a role.
pub(super) fn not_assume_role(kind: Kind, statements: &[Json]) -> Option<String> {
    let fits = |action: &str| {
        let action = action.to_lowercase();
        action.starts_with("sts:assumerole")
            || matches!(
                action.as_str(),
                "sts:tagsession" | "sts:setsourceidentity" | "sts:setcontext" | "sts:*" | "*"
            )
    };
    (kind == Kind::Trust && !entries(statements).all(fits))
        .then(|| "AssumeRole policy may only specify STS AssumeRole actions.".to_owned())
}

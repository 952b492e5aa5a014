//! V7, V9 and V11: resources.

use super::Kind;
use crate::json::Json;

const PARTITIONS: &[&str] =
    &["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"];

const IAM_TYPES: &[&str] = &[
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
];

pub(super) fn is_partition(text: &str) -> bool {
    PARTITIONS.contains(&text)
}

/// In the order of V4 and V7: all `Resource`, then all `NotResource`.
pub(super) fn elements(statements: &[Json]) -> impl Iterator<Item = &Json> {
    let of = |member: &'static str| statements.iter().filter_map(move |statement| statement.get(member));
    of("Resource").chain(of("NotResource"))
}

/// V7: of several faults the last.
pub(super) fn last_fault(statements: &[Json]) -> Option<String> {
    elements(statements).filter_map(last_fault_of).last()
}

/// The entries of a list are walked in reverse alphabetical order.
pub(super) fn last_fault_of(element: &Json) -> Option<String> {
    let mut entries = element.texts();
    entries.sort_unstable_by(|left, right| right.cmp(left));
    entries.into_iter().filter_map(format_fault).next_back()
}

fn format_fault(entry: &str) -> Option<String> {
    if entry == "*" {
        return None;
    }
    let fields: Vec<&str> = entry.splitn(6, ':').collect();
    let field = |position: usize| fields.get(position).copied();
    // a) A colon.
    let Some(partition) = field(1) else {
        return Some(format!("Resource {entry} must be in ARN format or \"*\"."));
    };
    // b) A known partition. The text before the first colon is not looked at.
    if partition != "*" && !PARTITIONS.contains(&partition) {
        let shown = |position: usize| field(position).unwrap_or("*");
        return Some(format!(
            "Partition \"{partition}\" is not valid for resource \"arn:{partition}:{}:{}:{}:{}\".",
            shown(2),
            shown(3),
            shown(4),
            shown(5)
        ));
    }
    // c) A service field. An empty one is a field; scalars with one fail in V4.
    let Some(service) = field(2) else {
        return Some("Resource vendor must be fully qualified and cannot contain regexes.".to_owned());
    };
    // d) No region for IAM and S3, except for the access points of S3.
    let region = field(3).is_some_and(|region| !region.is_empty());
    if service == "iam" && region {
        return Some(format!("IAM resource {entry} cannot contain region information."));
    }
    let access_point = field(5).is_some_and(|rest| rest.starts_with("accesspoint"));
    if service == "s3" && region && !access_point {
        return Some(format!("Resource {entry} can not contain region information."));
    }
    // e) A known type for IAM. A missing rest is completed with `*` (1.6).
    let rest = field(5).unwrap_or("*");
    let known = rest == "*" || IAM_TYPES.iter().any(|prefix| rest.starts_with(prefix));
    (service == "iam" && !known)
        .then(|| format!("IAM resource path must either be \"*\" or start with {}.", IAM_TYPES.join(", ")))
}

/// V9: not trust: every statement has a resource.
pub(super) fn missing(kind: Kind, statements: &[Json]) -> Option<String> {
    let has_any = |statement: &Json| {
        ["Resource", "NotResource"]
            .iter()
            .any(|member| statement.get(member).is_some_and(|element| !element.texts().is_empty()))
    };
    (kind != Kind::Trust && !statements.iter().all(has_any))
        .then(|| "Policy statement must contain resources.".to_owned())
}

/// V11: trust: no statement has one.
pub(super) fn in_trust_policy(kind: Kind, statements: &[Json]) -> Option<String> {
    (kind == Kind::Trust && elements(statements).next().is_some())
        .then(|| "Has prohibited field Resource.".to_owned())
}

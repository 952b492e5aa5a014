//! 2.9: the sentence of a denial.

use crate::case::{CallerKind, Request};
use crate::verdict::{Decision, PolicyType, Verdict};

pub(crate) fn explicit_deny(request: &Request<'_>, named: PolicyType) -> Verdict {
    let policy = match named {
        PolicyType::Identity => "an identity-based policy",
        PolicyType::Resource => "a resource-based policy",
        PolicyType::Boundary => "a permissions boundary",
        PolicyType::Session => "a session policy",
        PolicyType::ServiceControl => "a service control policy",
        PolicyType::ResourceControl => "a resource control policy",
        PolicyType::Endpoint => "a VPC endpoint policy",
        PolicyType::Trust => "the role trust policy",
    };
    denial(request, Decision::ExplicitDeny, named, &format!(" with an explicit deny in {policy}"))
}

pub(crate) fn implicit_deny(request: &Request<'_>, named: PolicyType) -> Verdict {
    let policy = match named {
        PolicyType::Identity => "identity-based policy",
        PolicyType::Resource => "resource-based policy",
        PolicyType::Boundary => "permissions boundary",
        PolicyType::Session => "session policy",
        PolicyType::ServiceControl => "service control policy",
        PolicyType::ResourceControl => "resource control policy",
        PolicyType::Endpoint => "VPC endpoint policy",
        PolicyType::Trust => "role trust policy",
    };
    let why = format!(" because no {policy} allows the {} action", request.action);
    denial(request, Decision::ImplicitDeny, named, &why)
}

fn denial(request: &Request<'_>, decision: Decision, named: PolicyType, why: &str) -> Verdict {
    let message = if request.caller.kind == CallerKind::WebIdentity {
        // Nobody is known yet who could be named.
        format!("Not authorized to perform {}", request.action)
    } else {
        let (caller, resource) = (printed_caller(request), printed_resource(request));
        format!("User: {caller} is not authorized to perform: {}{resource}{why}", request.action)
    };
    Verdict { decision, named: Some(named), message: Some(message) }
}

/// 2.1.1, the last column.
fn printed_caller<'a>(request: &'a Request<'_>) -> &'a str {
    let caller = &request.caller;
    match caller.kind {
        CallerKind::Anonymous => "anonymous",
        CallerKind::Service => caller.service.unwrap_or_default(),
        _ => caller.arn.unwrap_or_default(),
    }
}

/// What the service prints, else the ARN; without a resource the whole part is missing.
fn printed_resource(request: &Request<'_>) -> String {
    let printed = request.display_resource.or(request.resource);
    printed.map(|resource| format!(" on resource: {resource}")).unwrap_or_default()
}

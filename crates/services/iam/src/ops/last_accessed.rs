//! What somebody can reach, and what they have reached: reports on the last use of services, and the policies that open them.

use std::{cmp::Reverse, ops::ControlFlow};

use coffer_core::{Cx, Registry, Resource, Walk};
use coffer_model::iam::{
    self, AccessAdvisorUsageGranularityType, EntityDetails, EntityInfo,
    ListPoliciesGrantingServiceAccessEntry, PolicyGrantingServiceAccess, ServiceLastAccessed,
    TrackedActionLastAccessed, action,
};
use coffer_shape::{Action, ApiError};
use coffer_types::Arn;

use crate::{
    access_report::{self, AccessReportRecord, Plan, Used, Watched, advanced, services, title},
    entity::{Planned, permitted},
    error::IamError,
    group::GroupRecord,
    name::{self, name_in},
    ops::simulate::Everything,
    page,
    role::RoleRecord,
    source::{Origin, Source, holding, policy},
    user::UserRecord,
};

const IN_PROGRESS: &str = "IN_PROGRESS";
const COMPLETED: &str = "COMPLETED";
const BY_ACTION: &str = "ACTION_LEVEL";
const BY_SERVICE: &str = "SERVICE_LEVEL";

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::GenerateServiceLastAccessedDetails>(generate_service_last_accessed_details);
    registry.serve::<iam::GetServiceLastAccessedDetails>(get_service_last_accessed_details);
    registry.serve::<iam::GetServiceLastAccessedDetailsWithEntities>(
        get_service_last_accessed_details_with_entities,
    );
    registry.serve::<iam::ListPoliciesGrantingServiceAccess>(list_policies_granting_service_access);
}

fn generate_service_last_accessed_details(
    cx: &mut Cx<'_>,
    input: iam::GenerateServiceLastAccessedDetailsRequest,
) -> Result<iam::GenerateServiceLastAccessedDetailsResponse, ApiError> {
    const ACTION: Action = action::GENERATE_SERVICE_LAST_ACCESSED_DETAILS;
    let arn: Option<Arn> = input.arn.parse().ok();
    let is_policy = arn.is_some_and(|arn| arn.service() == "iam" && arn.resource().starts_with("policy/"));
    let (sources, watched) = if is_policy {
        (vec![policy(cx, &input.arn, ACTION)?], holders_of(cx, &input.arn, ACTION)?)
    } else {
        let found = holding(cx, &input.arn, ACTION)?;
        let watched = watched(cx, &found.arn, ACTION)?;
        (found.sources, watched)
    };
    let documents: Vec<_> = sources.iter().filter_map(Source::document).collect();
    let opened = services().filter(|service| documents.iter().any(|one| one.grants_some_of(service.name)));
    let services = opened.map(|service| service.name.to_owned()).collect();
    let by_action = match input.granularity.as_deref().map(AccessAdvisorUsageGranularityType::try_from) {
        Some(Ok(AccessAdvisorUsageGranularityType::ActionLevel)) => true,
        None | Some(Ok(AccessAdvisorUsageGranularityType::ServiceLevel) | Err(_)) => false,
    };
    let job_id = access_report::begin(cx, Plan { arn: input.arn, by_action, services, watched })?;
    Ok(iam::GenerateServiceLastAccessedDetailsResponse { job_id: Some(job_id) })
}

/// A user or role is watched himself, of a group everybody in it.
fn watched(cx: &Cx<'_>, arn: &Arn, action: Action) -> Result<Vec<Watched>, ApiError> {
    let (kind, path) = arn.resource().split_once('/').unwrap_or_default();
    let name = name_in(path);
    Ok(match kind {
        "user" => vec![of_user(&*permitted::<UserRecord>(cx, name, action)?)],
        "role" => vec![of_role(&*permitted::<RoleRecord>(cx, name, action)?)],
        _ => {
            let group = permitted::<GroupRecord>(cx, name, action)?;
            users_where(cx, &*group, action, &|user| user.groups.contains(&group.group_id))?
        }
    })
}

/// Users and roles that a managed policy is attached to, also through a group.
fn holders_of(cx: &Cx<'_>, policy_arn: &str, action: Action) -> Result<Vec<Watched>, ApiError> {
    let asked = Planned(policy_arn.to_owned());
    let holds = |attached: &[String]| attached.iter().any(|arn| arn == policy_arn);
    let mut groups: Vec<String> = Vec::new();
    cx.walk(cx.ask_through::<GroupRecord>(action, &asked)?, Walk::default(), &mut |group| {
        if holds(&group.policies.attached) {
            groups.push(group.group_id.clone());
        }
        ControlFlow::Continue(())
    })?;
    let mut watched = users_where(cx, &asked, action, &|user| {
        holds(&user.policies.attached) || user.groups.iter().any(|group| groups.contains(group))
    })?;
    cx.walk(cx.ask_through::<RoleRecord>(action, &asked)?, Walk::default(), &mut |role| {
        if holds(&role.policies.attached) {
            watched.push(of_role(role));
        }
        ControlFlow::Continue(())
    })?;
    Ok(watched)
}

fn users_where(
    cx: &Cx<'_>,
    permitted: &dyn Resource,
    action: Action,
    is_meant: &dyn Fn(&UserRecord) -> bool,
) -> Result<Vec<Watched>, ApiError> {
    let mut users = Vec::new();
    cx.walk(cx.ask_through::<UserRecord>(action, permitted)?, Walk::default(), &mut |user| {
        if is_meant(user) {
            users.push(of_user(user));
        }
        ControlFlow::Continue(())
    })?;
    Ok(users)
}

fn of_user(user: &UserRecord) -> Watched {
    let (id, name, path) = (user.user_id.clone(), user.name.clone(), user.path.clone());
    Watched { id, is_role: false, name, path }
}

fn of_role(role: &RoleRecord) -> Watched {
    let (id, name, path) = (role.role_id.clone(), role.name.clone(), role.path.clone());
    Watched { id, is_role: true, name, path }
}

fn get_service_last_accessed_details(
    cx: &mut Cx<'_>,
    input: iam::GetServiceLastAccessedDetailsRequest,
) -> Result<iam::GetServiceLastAccessedDetailsResponse, ApiError> {
    let permit = cx.ask(action::GET_SERVICE_LAST_ACCESSED_DETAILS, &Everything)?;
    let report = advanced(cx, permit, &input.job_id)?;
    let query = iam::GetServiceLastAccessedDetailsRequest { marker: None, max_items: None, ..input.clone() };
    let services = if report.completed_at.is_some() { report.services.as_slice() } else { &[] };
    let page =
        page::of(&query, input.marker.as_deref(), input.max_items).of_items(cx, services, |name| name)?;
    Ok(iam::GetServiceLastAccessedDetailsResponse {
        job_status: status(&report).to_owned(),
        job_type: Some(if report.by_action { BY_ACTION } else { BY_SERVICE }.to_owned()),
        job_creation_date: report.created_at,
        is_truncated: page.is_truncated(),
        services_last_accessed: page
            .items
            .iter()
            .map(|service| last_accessed(cx, &report, service))
            .collect(),
        // The model wants it also while there is none.
        job_completion_date: report.completed_at.unwrap_or(report.created_at),
        marker: page.marker,
        error: None,
    })
}

fn last_accessed(cx: &Cx<'_>, report: &AccessReportRecord, service: &str) -> ServiceLastAccessed {
    let last = report.last_of(service);
    let mut actions: Vec<&Used> = report.used_actions(service).collect();
    actions.sort_by(|one, other| one.action.cmp(&other.action));
    let entity = |used: &Used| report.watched(used).map(|watched| arn_of(cx, watched));
    let tracked = |used: &&Used| TrackedActionLastAccessed {
        action_name: used.action.clone(),
        last_accessed_entity: entity(used),
        last_accessed_time: Some(used.at),
        last_accessed_region: Some(used.region.clone()),
    };
    ServiceLastAccessed {
        service_name: title(service).to_owned(),
        service_namespace: service.to_owned(),
        last_authenticated: last.map(|used| used.at),
        last_authenticated_entity: last.and_then(entity),
        last_authenticated_region: last.map(|used| used.region.clone()),
        total_authenticated_entities: i64::try_from(report.used_by_each(service).count()).ok(),
        tracked_actions_last_accessed: (!actions.is_empty()).then(|| actions.iter().map(tracked).collect()),
    }
}

fn get_service_last_accessed_details_with_entities(
    cx: &mut Cx<'_>,
    input: iam::GetServiceLastAccessedDetailsWithEntitiesRequest,
) -> Result<iam::GetServiceLastAccessedDetailsWithEntitiesResponse, ApiError> {
    let permit = cx.ask(action::GET_SERVICE_LAST_ACCESSED_DETAILS_WITH_ENTITIES, &Everything)?;
    let report = advanced(cx, permit, &input.job_id)?;
    let service = &input.service_namespace;
    if !report.services.contains(service) {
        return Err(IamError::NotInReport { service: service.clone() }.into());
    }
    let query = iam::GetServiceLastAccessedDetailsWithEntitiesRequest {
        marker: None,
        max_items: None,
        ..input.clone()
    };
    let mut entities: Vec<EntityDetails> = Vec::new();
    if report.completed_at.is_some() {
        for watched in &report.watched {
            let used = report.used_by_each(service).find(|used| report.watched(used) == Some(watched));
            entities.push(EntityDetails {
                entity_info: EntityInfo {
                    arn: arn_of(cx, watched),
                    name: watched.name.clone(),
                    r#type: String::from(if watched.is_role { "ROLE" } else { "USER" }),
                    id: watched.id.clone(),
                    path: Some(watched.path.clone()),
                },
                last_authenticated: used.map(|used| used.at),
            });
        }
    }
    entities.sort_by_key(|entity| Reverse(entity.last_authenticated));
    let (marker, max) = (input.marker.as_deref(), input.max_items);
    let page = page::of(&query, marker, max).of_items(cx, &entities, |entity| &entity.entity_info.id)?;
    Ok(iam::GetServiceLastAccessedDetailsWithEntitiesResponse {
        job_status: status(&report).to_owned(),
        job_creation_date: report.created_at,
        job_completion_date: report.completed_at.unwrap_or(report.created_at),
        is_truncated: page.is_truncated(),
        entity_details_list: page.items,
        marker: page.marker,
        error: None,
    })
}

const fn status(report: &AccessReportRecord) -> &'static str {
    if report.completed_at.is_some() { COMPLETED } else { IN_PROGRESS }
}

fn arn_of(cx: &Cx<'_>, watched: &Watched) -> String {
    name::arn(cx, if watched.is_role { "role" } else { "user" }, &watched.path, &watched.name)
}

fn list_policies_granting_service_access(
    cx: &mut Cx<'_>,
    input: iam::ListPoliciesGrantingServiceAccessRequest,
) -> Result<iam::ListPoliciesGrantingServiceAccessResponse, ApiError> {
    let found = holding(cx, &input.arn, action::LIST_POLICIES_GRANTING_SERVICE_ACCESS)?;
    let query = iam::ListPoliciesGrantingServiceAccessRequest { marker: None, ..input.clone() };
    let mut services: Vec<String> = Vec::new();
    for service in input.service_namespaces {
        if !services.contains(&service) {
            services.push(service);
        }
    }
    let page = page::of(&query, input.marker.as_deref(), None).of_items(cx, &services, |service| service)?;
    let documents: Vec<_> =
        found.sources.iter().filter_map(|source| Some((source, source.document()?))).collect();
    let is_truncated = page.is_truncated();
    let entry = |service: String| {
        let granting = documents.iter().filter(|(_, document)| document.grants_some_of(&service));
        let policies = granting.filter_map(|(source, _)| granting_policy(source)).collect();
        ListPoliciesGrantingServiceAccessEntry { policies: Some(policies), service_namespace: Some(service) }
    };
    Ok(iam::ListPoliciesGrantingServiceAccessResponse {
        policies_granting_service_access: page.items.into_iter().map(entry).collect(),
        is_truncated,
        marker: page.marker,
    })
}

fn granting_policy(source: &Source) -> Option<PolicyGrantingServiceAccess> {
    match &source.origin {
        Origin::Managed { arn } => Some(PolicyGrantingServiceAccess {
            policy_name: name_in(arn).to_owned(),
            policy_type: String::from("MANAGED"),
            policy_arn: Some(arn.clone()),
            ..PolicyGrantingServiceAccess::default()
        }),
        Origin::Inline { of, holder, name } => Some(PolicyGrantingServiceAccess {
            policy_name: name.clone(),
            policy_type: String::from("INLINE"),
            policy_arn: None,
            entity_type: Some(of.to_uppercase()),
            entity_name: Some(holder.clone()),
        }),
        Origin::Input { .. } => None,
    }
}

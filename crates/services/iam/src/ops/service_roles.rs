//! Roles that belong to services of AWS.

use coffer_core::{Cx, Registry};
use coffer_model::iam::{self, action};
use coffer_shape::ApiError;

use super::roles::{self, Shown, ensure_room};
use crate::{
    access_key::unique_id,
    entity::{Planned, permitted},
    error::IamError,
    holder::ensure_holds_nothing,
    name::{self, key_of},
    role::{RoleRecord, SERVICES_PATH},
    service_role::{self, DeletionRecord},
    trust,
};

const SESSION_SECONDS: i64 = 3_600;

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::CreateServiceLinkedRole>(create_service_linked_role);
    registry.serve::<iam::DeleteServiceLinkedRole>(delete_service_linked_role);
    registry.serve::<iam::GetServiceLinkedRoleDeletionStatus>(get_deletion_status);
}

fn create_service_linked_role(
    cx: &mut Cx<'_>,
    input: iam::CreateServiceLinkedRoleRequest,
) -> Result<iam::CreateServiceLinkedRoleResponse, ApiError> {
    let service = input.aws_service_name;
    let known = service_role::of_service(&service);
    let path = format!("{SERVICES_PATH}{service}/");
    let base = known.map_or("AWSServiceRole", |known| known.name);
    let name = match &input.custom_suffix {
        Some(suffix) => format!("{base}_{suffix}"),
        None => base.to_owned(),
    };
    let arn = name::arn(cx, "role", &path, &name);
    cx.ask(action::CREATE_SERVICE_LINKED_ROLE, &Planned(arn.clone()))?;
    let Some(known) = known else { return Err(IamError::NoSuchService { service }.into()) };
    if input.custom_suffix.is_some() && !known.takes_suffix {
        return Err(IamError::NoSuffix { service }.into());
    }
    let key = key_of(&name);
    if cx.exists::<RoleRecord>(&[&key], None)? {
        return Err(IamError::ServiceRoleExists { role: name }.into());
    }
    ensure_room(cx)?;
    let role = RoleRecord {
        key,
        name,
        path,
        role_id: unique_id(cx.entropy(), "AROA"),
        arn,
        created_at: cx.now(),
        description: input.description,
        trust: trust::written(cx, service_role::trust(&service))?,
        max_session_seconds: SESSION_SECONDS,
        service: Some(service),
        ..RoleRecord::default()
    };
    let shown = roles::shown(cx, &role, Shown::Whole)?;
    cx.save(role)?;
    Ok(iam::CreateServiceLinkedRoleResponse { role: Some(shown) })
}

/// Nothing here uses such a role, so it is gone at once.
fn delete_service_linked_role(
    cx: &mut Cx<'_>,
    input: iam::DeleteServiceLinkedRoleRequest,
) -> Result<iam::DeleteServiceLinkedRoleResponse, ApiError> {
    let role = permitted::<RoleRecord>(cx, &input.role_name, action::DELETE_SERVICE_LINKED_ROLE)?;
    let Some(service) = &role.service else {
        return Err(IamError::NotAServiceRole { role: role.name.clone() }.into());
    };
    ensure_holds_nothing(&role.policies)?;
    let task_id = format!("task{SERVICES_PATH}{service}/{}/{}", role.name, cx.uuid());
    cx.save(DeletionRecord { role: role.key.clone(), task_id: task_id.clone() })?;
    cx.erase::<RoleRecord>(&[&role.key])?;
    Ok(iam::DeleteServiceLinkedRoleResponse { deletion_task_id: task_id })
}

fn get_deletion_status(
    cx: &mut Cx<'_>,
    input: iam::GetServiceLinkedRoleDeletionStatusRequest,
) -> Result<iam::GetServiceLinkedRoleDeletionStatusResponse, ApiError> {
    let task = input.deletion_task_id;
    // task/aws-service-role/<service>/<role>/<uuid>
    let path = task.rsplit_once('/').and_then(|(path, _)| path.strip_prefix("task")).unwrap_or_default();
    let (path, role) = path.rsplit_once('/').unwrap_or_default();
    let arn = name::arn(cx, "role", &format!("{path}/"), role);
    cx.ask(action::GET_SERVICE_LINKED_ROLE_DELETION_STATUS, &Planned(arn))?;
    let known = cx.part::<DeletionRecord>(&[&key_of(role)])?;
    if known.is_none_or(|known| known.task_id != task) {
        return Err(IamError::NoSuchDeletion { task }.into());
    }
    Ok(iam::GetServiceLinkedRoleDeletionStatusResponse {
        status: String::from("SUCCEEDED"),
        ..iam::GetServiceLinkedRoleDeletionStatusResponse::default()
    })
}

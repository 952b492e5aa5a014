//! AddPermission, GetPolicy and RemovePermission.

use coffer_core::Cx;
use coffer_model::lambda::{
    AddPermissionRequest, AddPermissionResponse, GetPolicyRequest, GetPolicyResponse,
    RemovePermissionRequest, action,
};
use coffer_shape::{Action, ApiError, Empty};

use super::functions::{ensure_revision, forget_policy};
use crate::{
    error::LambdaError,
    function::FunctionRecord,
    named::{Named, meant, permitted},
    policy::{PolicyRecord, Statement},
    revision::LATEST,
};

/// The function, or the alias or version, that a policy is about.
fn subject(
    cx: &Cx<'_>,
    name: &str,
    qualifier: Option<&str>,
    action: Action,
) -> Result<(Named, FunctionRecord), ApiError> {
    let (named, function) = permitted(cx, name, qualifier, action)?;
    meant(cx, &function, named.id.qualifier.as_deref())?;
    Ok((named, (*function).clone()))
}

fn policy(cx: &Cx<'_>, named: &Named) -> Result<Option<PolicyRecord>, ApiError> {
    let qualifier = named.id.qualifier.clone().unwrap_or_default();
    Ok(cx.part::<PolicyRecord>(&[&named.id.name, &qualifier])?.map(|policy| (*policy).clone()))
}

pub(crate) fn add_permission(
    cx: &mut Cx<'_>,
    input: AddPermissionRequest,
) -> Result<AddPermissionResponse, ApiError> {
    let (named, mut function) =
        subject(cx, &input.function_name, input.qualifier.as_deref(), action::ADD_PERMISSION)?;
    if named.id.qualifier.as_deref() == Some(LATEST) {
        return Err(LambdaError::NotSupported { what: "A policy of $LATEST" }.into());
    }
    let qualifier = named.id.qualifier.clone().unwrap_or_default();
    let known = policy(cx, &named)?;
    let revision = known.as_ref().map_or(function.latest.revision_id.as_str(), |known| &known.revision_id);
    ensure_revision(input.revision_id.as_deref(), revision)?;
    let mut policy = known.unwrap_or_else(|| PolicyRecord {
        function: function.name.clone(),
        qualifier: qualifier.clone(),
        ..PolicyRecord::default()
    });
    let statement = Statement::written(&input, named.own_arn())?;
    let text = statement.text.clone();
    policy.add(cx, statement)?;

    cx.save(policy)?;
    if !function.policies.contains(&qualifier) {
        function.policies.push(qualifier);
        cx.save(function)?;
    }
    Ok(AddPermissionResponse { statement: Some(text) })
}

pub(crate) fn get_policy(cx: &mut Cx<'_>, input: GetPolicyRequest) -> Result<GetPolicyResponse, ApiError> {
    let (named, _) = subject(cx, &input.function_name, input.qualifier.as_deref(), action::GET_POLICY)?;
    let policy = policy(cx, &named)?.ok_or(LambdaError::NoPolicy)?;
    let text = policy.policy.shown(cx, &|_| None)?;
    Ok(GetPolicyResponse { policy: Some(text), revision_id: Some(policy.revision_id) })
}

pub(crate) fn remove_permission(cx: &mut Cx<'_>, input: RemovePermissionRequest) -> Result<Empty, ApiError> {
    let (named, mut function) =
        subject(cx, &input.function_name, input.qualifier.as_deref(), action::REMOVE_PERMISSION)?;
    let missing = || LambdaError::StatementMissing { sid: input.statement_id.clone() };
    let mut policy = policy(cx, &named)?.ok_or_else(missing)?;
    ensure_revision(input.revision_id.as_deref(), &policy.revision_id)?;
    policy.remove(cx, &input.statement_id)?;
    // Without a statement there is no policy, and asking for it says so.
    if policy.statements.is_empty() {
        forget_policy(cx, &mut function, &policy.qualifier)?;
        cx.save(function)?;
    } else {
        cx.save(policy)?;
    }
    Ok(Empty {})
}

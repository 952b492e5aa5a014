//! What else can be said of a function: how many may run at once, and settings that have one value here.

use coffer_core::Cx;
use coffer_model::lambda::{
    Concurrency, DeleteFunctionConcurrencyRequest, GetFunctionCodeSigningConfigRequest,
    GetFunctionCodeSigningConfigResponse, GetFunctionConcurrencyRequest, GetFunctionConcurrencyResponse,
    GetFunctionRecursionConfigRequest, GetFunctionRecursionConfigResponse, GetRuntimeManagementConfigRequest,
    GetRuntimeManagementConfigResponse, PutFunctionConcurrencyRequest, PutRuntimeManagementConfigRequest,
    PutRuntimeManagementConfigResponse, action,
};
use coffer_shape::{ApiError, Empty};

use crate::{
    concurrency::usage,
    error::LambdaError,
    function::FunctionRecord,
    named::{FunctionId, find, meant, permitted, permitted_whole},
};

pub(crate) fn put_function_concurrency(
    cx: &mut Cx<'_>,
    input: PutFunctionConcurrencyRequest,
) -> Result<Concurrency, ApiError> {
    let id = FunctionId::parse(&input.function_name, None)?;
    if id.qualifier.is_some() {
        return Err(LambdaError::QualifierNotAllowed.into());
    }
    // The room is that of all functions, so that they are counted.
    let (named, permit) =
        find(cx, id)?.permit_with::<FunctionRecord>(cx, action::PUT_FUNCTION_CONCURRENCY)?;
    let mut function = (*named.existing()?).clone();
    let wanted = input.reserved_concurrent_executions;
    usage(cx, permit, Some(&function.name))?.ensure_room(wanted)?;
    function.reserved = Some(wanted);
    cx.functions().forget(&function.arn);
    cx.save(function)?;
    Ok(Concurrency { reserved_concurrent_executions: Some(wanted) })
}

pub(crate) fn get_function_concurrency(
    cx: &mut Cx<'_>,
    input: GetFunctionConcurrencyRequest,
) -> Result<GetFunctionConcurrencyResponse, ApiError> {
    let function = permitted_whole(cx, &input.function_name, action::GET_FUNCTION_CONCURRENCY)?;
    Ok(GetFunctionConcurrencyResponse { reserved_concurrent_executions: function.reserved })
}

pub(crate) fn delete_function_concurrency(
    cx: &mut Cx<'_>,
    input: DeleteFunctionConcurrencyRequest,
) -> Result<Empty, ApiError> {
    let function = permitted_whole(cx, &input.function_name, action::DELETE_FUNCTION_CONCURRENCY)?;
    let mut function = (*function).clone();
    function.reserved = None;
    cx.functions().forget(&function.arn);
    cx.save(function)?;
    Ok(Empty {})
}

/// No function has a configuration for the signing of code.
pub(crate) fn get_function_code_signing_config(
    cx: &mut Cx<'_>,
    input: GetFunctionCodeSigningConfigRequest,
) -> Result<GetFunctionCodeSigningConfigResponse, ApiError> {
    let function = permitted_whole(cx, &input.function_name, action::GET_FUNCTION_CODE_SIGNING_CONFIG)?;
    let function_name = function.name.clone();
    Ok(GetFunctionCodeSigningConfigResponse { function_name, ..Default::default() })
}

pub(crate) fn get_function_recursion_config(
    cx: &mut Cx<'_>,
    input: GetFunctionRecursionConfigRequest,
) -> Result<GetFunctionRecursionConfigResponse, ApiError> {
    permitted_whole(cx, &input.function_name, action::GET_FUNCTION_RECURSION_CONFIG)?;
    Ok(GetFunctionRecursionConfigResponse { recursive_loop: Some(String::from("Terminate")) })
}

const AUTO: &str = "Auto";
const MANUAL: &str = "Manual";

pub(crate) fn get_runtime_management_config(
    cx: &mut Cx<'_>,
    input: GetRuntimeManagementConfigRequest,
) -> Result<GetRuntimeManagementConfigResponse, ApiError> {
    let qualifier = input.qualifier.as_deref();
    let (named, function) =
        permitted(cx, &input.function_name, qualifier, action::GET_RUNTIME_MANAGEMENT_CONFIG)?;
    meant(cx, &function, named.id.qualifier.as_deref())?;
    let mode = function.runtime_update.clone().unwrap_or_else(|| AUTO.to_owned());
    Ok(GetRuntimeManagementConfigResponse {
        update_runtime_on: Some(mode),
        function_arn: Some(named.own_arn().to_owned()),
        runtime_version_arn: function.runtime_version.clone(),
    })
}

pub(crate) fn put_runtime_management_config(
    cx: &mut Cx<'_>,
    input: PutRuntimeManagementConfigRequest,
) -> Result<PutRuntimeManagementConfigResponse, ApiError> {
    let (named, function) = permitted(
        cx,
        &input.function_name,
        input.qualifier.as_deref(),
        action::PUT_RUNTIME_MANAGEMENT_CONFIG,
    )?;
    meant(cx, &function, named.id.qualifier.as_deref())?;
    if (input.update_runtime_on == MANUAL) != input.runtime_version_arn.is_some() {
        return Err(LambdaError::RuntimeArn.into());
    }
    let mut function = (*function).clone();
    function.runtime_update = Some(input.update_runtime_on.clone());
    function.runtime_version.clone_from(&input.runtime_version_arn);
    cx.save(function)?;
    Ok(PutRuntimeManagementConfigResponse {
        update_runtime_on: input.update_runtime_on,
        function_arn: named.own_arn().to_owned(),
        runtime_version_arn: input.runtime_version_arn,
    })
}

//! The operations.

mod account;
mod aliases;
mod code;
mod event_config;
mod functions;
pub(crate) mod invoke;
mod layers;
mod permissions;
mod settings;
mod tags;
mod versions;

use coffer_core::Registry;
use coffer_model::lambda as model;

pub(crate) fn register(registry: &mut Registry) {
    registry.serve::<model::AddPermission>(permissions::add_permission);
    registry.serve::<model::CreateAlias>(aliases::create_alias);
    registry.serve::<model::CreateFunction>(functions::create_function);
    registry.serve::<model::DeleteAlias>(aliases::delete_alias);
    registry.serve::<model::DeleteFunction>(functions::delete_function);
    registry.serve::<model::DeleteFunctionConcurrency>(settings::delete_function_concurrency);
    registry
        .serve::<model::DeleteFunctionEventInvokeConfig>(event_config::delete_function_event_invoke_config);
    registry.serve::<model::DeleteLayerVersion>(layers::delete_layer_version);
    registry.serve::<model::GetAccountSettings>(account::get_account_settings);
    registry.serve::<model::GetAlias>(aliases::get_alias);
    registry.serve::<model::GetFunction>(functions::get_function);
    registry.serve::<model::GetFunctionCodeSigningConfig>(settings::get_function_code_signing_config);
    registry.serve::<model::GetFunctionConcurrency>(settings::get_function_concurrency);
    registry.serve::<model::GetFunctionConfiguration>(functions::get_function_configuration);
    registry.serve::<model::GetFunctionEventInvokeConfig>(event_config::get_function_event_invoke_config);
    registry.serve::<model::GetFunctionRecursionConfig>(settings::get_function_recursion_config);
    registry.serve::<model::GetLayerVersion>(layers::get_layer_version);
    registry.serve::<model::GetLayerVersionByArn>(layers::get_layer_version_by_arn);
    registry.serve::<model::GetPolicy>(permissions::get_policy);
    registry.serve::<model::GetRuntimeManagementConfig>(settings::get_runtime_management_config);
    registry.serve_outside::<model::Invoke>(invoke::invoke);
    registry.serve::<model::ListAliases>(aliases::list_aliases);
    registry.serve::<model::ListFunctionEventInvokeConfigs>(event_config::list_function_event_invoke_configs);
    registry.serve::<model::ListFunctions>(functions::list_functions);
    registry.serve::<model::ListLayerVersions>(layers::list_layer_versions);
    registry.serve::<model::ListLayers>(layers::list_layers);
    registry.serve::<model::ListTags>(tags::list_tags);
    registry.serve::<model::ListVersionsByFunction>(versions::list_versions_by_function);
    registry.serve::<model::PublishLayerVersion>(layers::publish_layer_version);
    registry.serve::<model::PublishVersion>(versions::publish_version);
    registry.serve::<model::PutFunctionConcurrency>(settings::put_function_concurrency);
    registry.serve::<model::PutFunctionEventInvokeConfig>(event_config::put_function_event_invoke_config);
    registry.serve::<model::PutRuntimeManagementConfig>(settings::put_runtime_management_config);
    registry.serve::<model::RemovePermission>(permissions::remove_permission);
    registry.serve::<model::TagResource>(tags::tag_resource);
    registry.serve::<model::UntagResource>(tags::untag_resource);
    registry.serve::<model::UpdateAlias>(aliases::update_alias);
    registry.serve::<model::UpdateFunctionCode>(code::update_function_code);
    registry.serve::<model::UpdateFunctionConfiguration>(functions::update_function_configuration);
    registry
        .serve::<model::UpdateFunctionEventInvokeConfig>(event_config::update_function_event_invoke_config);
}

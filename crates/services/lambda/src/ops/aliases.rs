//! Aliases.

use coffer_core::Cx;
use coffer_model::lambda::{
    AliasConfiguration, CreateAliasRequest, DeleteAliasRequest, GetAliasRequest, ListAliasesRequest,
    ListAliasesResponse, UpdateAliasRequest, action,
};
use coffer_shape::{Action, ApiError, Empty};

use super::functions::{ensure_revision, forget_policy};
use crate::{
    alias::AliasRecord,
    error::LambdaError,
    event_config,
    function::FunctionRecord,
    named::{FunctionId, find, is_number, meant, permitted_whole},
    page,
    revision::LATEST,
};

/// Aliases belong to a function, and are asked about under their own ARN.
fn permitted(
    cx: &Cx<'_>,
    function_name: &str,
    name: &str,
    action: Action,
) -> Result<FunctionRecord, ApiError> {
    let mut id = FunctionId::parse(function_name, None)?;
    if id.qualifier.is_some() {
        return Err(LambdaError::QualifierNotAllowed.into());
    }
    let whole = id.function_arn(cx);
    id.qualifier = Some(name.to_owned());
    let named = find(cx, id)?.permit(cx, action)?;
    let function = named.existing().map_err(|_| LambdaError::FunctionNotFound { arn: whole })?;
    Ok((*function).clone())
}

fn alias(cx: &Cx<'_>, function: &FunctionRecord, name: &str) -> Result<AliasRecord, ApiError> {
    let found = cx.part::<AliasRecord>(&[&function.name, name])?;
    let missing = || LambdaError::AliasNotFound { arn: format!("{}:{name}", function.arn) };
    Ok((*found.ok_or_else(missing)?).clone())
}

/// Where an alias leads, there is a version; and what changes does not share its calls.
fn ensure_leads_somewhere(
    cx: &Cx<'_>,
    function: &FunctionRecord,
    alias: &AliasRecord,
) -> Result<(), ApiError> {
    for version in std::iter::once(&alias.version).chain(&alias.other_version) {
        if version != LATEST && !is_number(version) {
            let arn = format!("{}:{version}", function.arn);
            return Err(LambdaError::FunctionNotFound { arn }.into());
        }
        meant(cx, function, Some(version))?;
    }
    let both = [Some(alias.version.as_str()), alias.other_version.as_deref()];
    if alias.other_version.is_some() && both.contains(&Some(LATEST)) {
        return Err(LambdaError::RoutingToLatest.into());
    }
    Ok(())
}

pub(crate) fn create_alias(
    cx: &mut Cx<'_>,
    input: CreateAliasRequest,
) -> Result<AliasConfiguration, ApiError> {
    let mut function = permitted(cx, &input.function_name, &input.name, action::CREATE_ALIAS)?;
    let arn = format!("{}:{}", function.arn, input.name);
    if cx.part::<AliasRecord>(&[&function.name, &input.name])?.is_some() {
        return Err(LambdaError::AliasExists { arn }.into());
    }
    let mut alias = AliasRecord {
        function: function.name.clone(),
        name: input.name.clone(),
        arn,
        version: input.function_version,
        description: input.description.unwrap_or_default(),
        revision_id: cx.uuid().to_string(),
        ..AliasRecord::default()
    };
    alias.route(&input.routing_config.unwrap_or_default())?;
    ensure_leads_somewhere(cx, &function, &alias)?;

    let place = function.aliases.partition_point(|known| *known < input.name);
    function.aliases.insert(place, input.name);
    let answer = alias.shown();
    cx.save(alias)?;
    cx.save(function)?;
    Ok(answer)
}

pub(crate) fn get_alias(cx: &mut Cx<'_>, input: GetAliasRequest) -> Result<AliasConfiguration, ApiError> {
    let function = permitted(cx, &input.function_name, &input.name, action::GET_ALIAS)?;
    Ok(alias(cx, &function, &input.name)?.shown())
}

pub(crate) fn update_alias(
    cx: &mut Cx<'_>,
    input: UpdateAliasRequest,
) -> Result<AliasConfiguration, ApiError> {
    let function = permitted(cx, &input.function_name, &input.name, action::UPDATE_ALIAS)?;
    let mut alias = alias(cx, &function, &input.name)?;
    ensure_revision(input.revision_id.as_deref(), &alias.revision_id)?;
    if let Some(version) = input.function_version {
        alias.version = version;
    }
    if let Some(description) = input.description {
        alias.description = description;
    }
    if let Some(routing) = input.routing_config {
        alias.route(&routing)?;
    }
    ensure_leads_somewhere(cx, &function, &alias)?;

    alias.revision_id = cx.uuid().to_string();
    let answer = alias.shown();
    cx.save(alias)?;
    Ok(answer)
}

/// An alias that is not there counts as deleted.
pub(crate) fn delete_alias(cx: &mut Cx<'_>, input: DeleteAliasRequest) -> Result<Empty, ApiError> {
    let mut function = permitted(cx, &input.function_name, &input.name, action::DELETE_ALIAS)?;
    if cx.part::<AliasRecord>(&[&function.name, &input.name])?.is_some() {
        cx.erase::<AliasRecord>(&[&function.name, &input.name])?;
        forget_policy(cx, &mut function, &input.name)?;
        event_config::forget(cx, &function.name, &input.name)?;
        function.aliases.retain(|known| *known != input.name);
        cx.save(function)?;
    }
    Ok(Empty {})
}

pub(crate) fn list_aliases(
    cx: &mut Cx<'_>,
    input: ListAliasesRequest,
) -> Result<ListAliasesResponse, ApiError> {
    let function = permitted_whole(cx, &input.function_name, action::LIST_ALIASES)?;
    let query = ListAliasesRequest { marker: None, max_items: None, ..input.clone() };
    let pages = page::of(&query, input.marker.as_deref(), input.max_items);
    let mut aliases = Vec::new();
    for name in &function.aliases {
        let Some(alias) = cx.part::<AliasRecord>(&[&function.name, name])? else { continue };
        if input.function_version.as_ref().is_none_or(|version| alias.version == *version) {
            aliases.push((alias.name.clone(), alias));
        }
    }
    let page = pages.of_gathered(cx, aliases)?;
    let aliases = page.items.iter().map(|alias| alias.shown()).collect();
    Ok(ListAliasesResponse { next_marker: page.marker, aliases: Some(aliases) })
}

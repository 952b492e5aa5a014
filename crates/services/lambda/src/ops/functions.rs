//! Functions: made, looked at, configured and deleted.

use coffer_core::{Cx, PageOf, Permit};
use coffer_model::lambda::{
    Concurrency, CreateFunctionRequest, DeleteFunctionRequest, DeleteFunctionResponse, FunctionCodeLocation,
    FunctionConfiguration, GetFunctionConfigurationRequest, GetFunctionRequest, GetFunctionResponse,
    ListFunctionsRequest, ListFunctionsResponse, UpdateFunctionConfigurationRequest, action,
};
use coffer_shape::ApiError;

use super::{code::Source, versions};
use crate::{
    alias::AliasRecord,
    configuration::{Phase, Wishes, ensure_fits, shown},
    error::LambdaError,
    event_config,
    function::{FunctionRecord, VersionRecord},
    named::{FunctionId, Meant, find, is_number, is_reserved, meant, permitted, permitted_whole},
    page,
    policy::PolicyRecord,
    revision::{LATEST, Logging, MEMORY_MB, Revision, SCRATCH_MB, TIMEOUT_SECONDS},
    tags,
};

pub(crate) fn create_function(
    cx: &mut Cx<'_>,
    mut input: CreateFunctionRequest,
) -> Result<FunctionConfiguration, ApiError> {
    let id = FunctionId::parse(&input.function_name, None)?;
    if id.qualifier.is_some() {
        return Err(LambdaError::QualifierNotAllowed.into());
    }
    let wishes = Wishes::of_new(&mut input)?;
    let tags = tags::from_request(input.tags.take().unwrap_or_default())?;
    let source = Source {
        is_in_bucket: input.code.s3_bucket.is_some() || input.code.s3_key.is_some(),
        is_image: input.code.image_uri.is_some(),
        zip: input.code.zip_file.take(),
    };

    let named = find(cx, id)?.permit(cx, action::CREATE_FUNCTION)?;
    if !tags.is_empty() {
        cx.ask(action::TAG_RESOURCE, &named)?;
    }
    let (name, arn) = (named.id.name.clone(), named.own_arn().to_owned());
    if named.existing().is_ok() || is_reserved(&name) {
        return Err(LambdaError::FunctionExists { name }.into());
    }
    let mut revision = Revision {
        version: LATEST.to_owned(),
        timeout: TIMEOUT_SECONDS,
        memory: MEMORY_MB,
        scratch: SCRATCH_MB,
        architecture: input.architectures.and_then(|list| list.into_iter().next()).unwrap_or_else(x86_64),
        logging: Logging { group: format!("/aws/lambda/{name}"), ..Logging::default() },
        ..Revision::default()
    };
    wishes.apply(cx, &mut revision, &name, &arn)?;
    let uploaded = source.look_at(cx)?;
    revision.code.unzipped = uploaded.package.unzipped;
    ensure_fits(&revision)?;

    revision.code = uploaded.stored(cx)?;
    revision.touch(cx);
    revision.hold(cx)?;
    let mut function = FunctionRecord { name, arn, latest: revision, tags, ..FunctionRecord::default() };
    let answer = match input.publish {
        Some(true) => {
            let version = versions::publish(cx, &mut function, None)?;
            versions::shown_version(cx, &function, &version, Phase::Creating)
        }
        _ => shown(cx, &function, &function.latest, function.arn.clone(), Phase::Creating),
    };
    cx.save(function)?;
    Ok(answer)
}

fn x86_64() -> String {
    String::from("x86_64")
}

pub(crate) fn get_function(
    cx: &mut Cx<'_>,
    input: GetFunctionRequest,
) -> Result<GetFunctionResponse, ApiError> {
    let qualifier = input.qualifier.as_deref();
    let (named, function) = permitted(cx, &input.function_name, qualifier, action::GET_FUNCTION)?;
    let meant = meant(cx, &function, named.id.qualifier.as_deref())?;
    let revision = meant.revision(&function);
    let arn = named.own_arn().to_owned();
    Ok(GetFunctionResponse {
        configuration: Some(shown(cx, &function, revision, arn, Phase::Done)),
        code: Some(FunctionCodeLocation {
            repository_type: Some(String::from("S3")),
            location: Some(super::layers::location(cx, &revision.code.package)),
            ..FunctionCodeLocation::default()
        }),
        tags: (!function.tags.is_empty()).then(|| function.shown_tags()),
        concurrency: function
            .reserved
            .map(|reserved| Concurrency { reserved_concurrent_executions: Some(reserved) }),
        ..GetFunctionResponse::default()
    })
}

pub(crate) fn get_function_configuration(
    cx: &mut Cx<'_>,
    input: GetFunctionConfigurationRequest,
) -> Result<FunctionConfiguration, ApiError> {
    let qualifier = input.qualifier.as_deref();
    let (named, function) =
        permitted(cx, &input.function_name, qualifier, action::GET_FUNCTION_CONFIGURATION)?;
    let meant = meant(cx, &function, named.id.qualifier.as_deref())?;
    Ok(shown(cx, &function, meant.revision(&function), named.own_arn().to_owned(), Phase::Done))
}

pub(crate) fn list_functions(
    cx: &mut Cx<'_>,
    input: ListFunctionsRequest,
) -> Result<ListFunctionsResponse, ApiError> {
    let permit: Permit<FunctionRecord> = cx.ask_all(action::LIST_FUNCTIONS)?;
    let query = ListFunctionsRequest { marker: None, max_items: None, ..input.clone() };
    let pages = page::of(&query, input.marker.as_deref(), input.max_items);
    let page = pages.of_records(cx, permit, PageOf::default(), |_| true)?;
    let with_versions = input.function_version.as_deref() == Some("ALL");
    let mut functions = Vec::with_capacity(page.items.len());
    for function in &page.items {
        if with_versions {
            functions.extend(versions::all(cx, function)?);
        } else {
            functions.push(shown(cx, function, &function.latest, function.arn.clone(), Phase::Done));
        }
    }
    Ok(ListFunctionsResponse { next_marker: page.marker, functions: Some(functions) })
}

pub(crate) fn update_function_configuration(
    cx: &mut Cx<'_>,
    input: UpdateFunctionConfigurationRequest,
) -> Result<FunctionConfiguration, ApiError> {
    let function = permitted_whole(cx, &input.function_name, action::UPDATE_FUNCTION_CONFIGURATION)?;
    ensure_revision(input.revision_id.as_deref(), &function.latest.revision_id)?;

    let mut function = (*function).clone();
    let mut revision = function.latest.clone();
    Wishes::of_update(input).apply(cx, &mut revision, &function.name, &function.arn)?;
    revision.touch(cx);
    function.latest.replaced_by(cx, &revision)?;
    function.latest = revision;
    cx.functions().forget(&function.arn);
    let answer = shown(cx, &function, &function.latest, function.arn.clone(), Phase::Updating);
    cx.save(function)?;
    Ok(answer)
}

/// Whoever says which revision he has seen changes no other.
pub(crate) fn ensure_revision(asked: Option<&str>, latest: &str) -> Result<(), LambdaError> {
    match asked {
        Some(asked) if asked != latest => Err(LambdaError::RevisionIsOld),
        _ => Ok(()),
    }
}

/// Deletes a version, or the function with everything that belongs to it. Its logs stay.
pub(crate) fn delete_function(
    cx: &mut Cx<'_>,
    input: DeleteFunctionRequest,
) -> Result<DeleteFunctionResponse, ApiError> {
    let qualifier = input.qualifier.as_deref();
    let (named, function) = permitted(cx, &input.function_name, qualifier, action::DELETE_FUNCTION)?;
    match named.id.qualifier.as_deref() {
        Some(qualifier) => delete_version(cx, (*function).clone(), qualifier)?,
        None => delete_all(cx, &function)?,
    }
    cx.functions().forget(&function.arn);
    Ok(DeleteFunctionResponse { status_code: Some(204) })
}

fn delete_version(cx: &mut Cx<'_>, mut function: FunctionRecord, qualifier: &str) -> Result<(), ApiError> {
    if qualifier == LATEST {
        return Err(LambdaError::LatestStays.into());
    }
    let arn = format!("{}:{qualifier}", function.arn);
    if !is_number(qualifier) {
        return Err(LambdaError::FunctionNotFound { arn }.into());
    }
    let Meant::Version(version) = meant(cx, &function, Some(qualifier))? else {
        return Err(LambdaError::LatestStays.into());
    };
    let mut aliases = Vec::new();
    for name in &function.aliases {
        let Some(alias) = cx.part::<AliasRecord>(&[&function.name, name])? else { continue };
        if alias.version == qualifier || alias.other_version.as_deref() == Some(qualifier) {
            aliases.push(name.clone());
        }
    }
    if !aliases.is_empty() {
        return Err(LambdaError::VersionHasAliases { aliases: aliases.join(", ") }.into());
    }
    version.revision.let_go(cx)?;
    cx.erase::<VersionRecord>(&[&function.name, qualifier])?;
    forget_policy(cx, &mut function, qualifier)?;
    event_config::forget(cx, &function.name, qualifier)?;
    function.versions.retain(|number| number.to_string() != qualifier);
    cx.save(function)
}

fn delete_all(cx: &mut Cx<'_>, function: &FunctionRecord) -> Result<(), ApiError> {
    let name = function.name.as_str();
    for number in &function.versions {
        let number = number.to_string();
        if let Some(version) = cx.part::<VersionRecord>(&[name, &number])? {
            version.revision.let_go(cx)?;
        }
        cx.erase::<VersionRecord>(&[name, &number])?;
    }
    for alias in &function.aliases {
        cx.erase::<AliasRecord>(&[name, alias])?;
    }
    for qualifier in &function.policies {
        cx.erase::<PolicyRecord>(&[name, qualifier])?;
    }
    for qualifier in event_config::qualifiers(function) {
        event_config::forget(cx, name, &qualifier)?;
    }
    function.latest.let_go(cx)?;
    cx.erase::<FunctionRecord>(&[name])
}

/// What a policy was about is gone.
pub(crate) fn forget_policy(
    cx: &mut Cx<'_>,
    function: &mut FunctionRecord,
    qualifier: &str,
) -> Result<(), ApiError> {
    if function.policies.iter().any(|known| known == qualifier) {
        function.policies.retain(|known| known != qualifier);
        cx.erase::<PolicyRecord>(&[&function.name, qualifier])?;
    }
    Ok(())
}

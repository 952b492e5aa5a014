//! PublishVersion and ListVersionsByFunction.

use coffer_core::Cx;
use coffer_model::lambda::{
    FunctionConfiguration, ListVersionsByFunctionRequest, ListVersionsByFunctionResponse,
    PublishVersionRequest, action,
};
use coffer_shape::ApiError;

use super::functions::ensure_revision;
use crate::{
    configuration::{Phase, shown},
    error::LambdaError,
    function::{FunctionRecord, VersionRecord},
    named::permitted_whole,
    page,
    revision::LATEST,
};

pub(crate) fn publish_version(
    cx: &mut Cx<'_>,
    input: PublishVersionRequest,
) -> Result<FunctionConfiguration, ApiError> {
    let function = permitted_whole(cx, &input.function_name, action::PUBLISH_VERSION)?;
    ensure_revision(input.revision_id.as_deref(), &function.latest.revision_id)?;
    let latest = &function.latest.code.sha256;
    if let Some(asked) = input.code_sha256.filter(|asked| !asked.is_empty() && asked != latest) {
        return Err(LambdaError::CodeIsAnother { asked, latest: latest.clone() }.into());
    }
    let mut function = (*function).clone();
    let version = publish(cx, &mut function, input.description)?;
    let answer = shown_version(cx, &function, &version, Phase::Done);
    cx.save(function)?;
    Ok(answer)
}

/// Makes a version of what a function is now. If nothing has changed since the newest one, that is it, as on AWS.
pub(crate) fn publish(
    cx: &mut Cx<'_>,
    function: &mut FunctionRecord,
    description: Option<String>,
) -> Result<VersionRecord, ApiError> {
    let newest = function.versions.last().map(ToString::to_string);
    if let Some(newest) = newest.filter(|_| function.published.as_ref() == Some(&function.latest.revision_id))
        && let Some(version) = cx.part::<VersionRecord>(&[&function.name, &newest])?
    {
        return Ok((*version).clone());
    }
    let number = function.last_version.saturating_add(1);
    let mut revision = function.latest.clone();
    revision.version = number.to_string();
    revision.revision_id = cx.uuid().to_string();
    if let Some(description) = description.filter(|description| !description.is_empty()) {
        revision.description = description;
    }
    revision.hold(cx)?;
    let version =
        VersionRecord { function: function.name.clone(), version: revision.version.clone(), revision };
    cx.save(version.clone())?;
    function.last_version = number;
    function.versions.push(number);
    function.published = Some(function.latest.revision_id.clone());
    Ok(version)
}

pub(crate) fn shown_version(
    cx: &Cx<'_>,
    function: &FunctionRecord,
    version: &VersionRecord,
    phase: Phase,
) -> FunctionConfiguration {
    let arn = format!("{}:{}", function.arn, version.version);
    shown(cx, function, &version.revision, arn, phase)
}

/// `$LATEST` and every version, under ARNs that say which.
pub(crate) fn all(cx: &Cx<'_>, function: &FunctionRecord) -> Result<Vec<FunctionConfiguration>, ApiError> {
    let mut all = vec![latest(cx, function)];
    for number in &function.versions {
        if let Some(version) = cx.part::<VersionRecord>(&[&function.name, &number.to_string()])? {
            all.push(shown_version(cx, function, &version, Phase::Done));
        }
    }
    Ok(all)
}

fn latest(cx: &Cx<'_>, function: &FunctionRecord) -> FunctionConfiguration {
    shown(cx, function, &function.latest, format!("{}:{LATEST}", function.arn), Phase::Done)
}

pub(crate) fn list_versions_by_function(
    cx: &mut Cx<'_>,
    input: ListVersionsByFunctionRequest,
) -> Result<ListVersionsByFunctionResponse, ApiError> {
    let function = permitted_whole(cx, &input.function_name, action::LIST_VERSIONS_BY_FUNCTION)?;
    let query = ListVersionsByFunctionRequest { marker: None, max_items: None, ..input.clone() };
    let pages = page::of(&query, input.marker.as_deref(), input.max_items);
    // $LATEST comes first.
    let numbers = std::iter::once(&0).chain(&function.versions);
    let numbers = numbers.map(|number| (format!("{number:019}"), *number)).collect();
    let page = pages.of_gathered(cx, numbers)?;
    let mut versions = Vec::with_capacity(page.items.len());
    for number in page.items {
        if number == 0 {
            versions.push(latest(cx, &function));
        } else if let Some(version) = cx.part::<VersionRecord>(&[&function.name, &number.to_string()])? {
            versions.push(shown_version(cx, &function, &version, Phase::Done));
        }
    }
    Ok(ListVersionsByFunctionResponse { next_marker: page.marker, versions: Some(versions) })
}

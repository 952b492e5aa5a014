//! Layers.

use std::sync::Arc;

use coffer_core::{BlobRef, Cx, PageOf, Permit};
use coffer_model::lambda::{
    DeleteLayerVersionRequest, GetLayerVersionByArnRequest, GetLayerVersionRequest, GetLayerVersionResponse,
    LayerVersionContentOutput, LayersListItem, ListLayerVersionsRequest, ListLayerVersionsResponse,
    ListLayersRequest, ListLayersResponse, PublishLayerVersionRequest, PublishLayerVersionResponse, action,
};
use coffer_shape::{Action, ApiError, Empty};

use super::code::Source;
use crate::{
    configuration::time,
    error::LambdaError,
    layer::{Layer, LayerId, LayerRecord, LayerVersionRecord, shown_extension},
    page,
};

pub(crate) fn publish_layer_version(
    cx: &mut Cx<'_>,
    input: PublishLayerVersionRequest,
) -> Result<PublishLayerVersionResponse, ApiError> {
    let id = LayerId::named(cx, &input.layer_name);
    let content = input.content;
    let source = Source {
        is_in_bucket: content.s3_bucket.is_some() || content.s3_key.is_some(),
        is_image: false,
        zip: content.zip_file,
    };

    cx.ask(action::PUBLISH_LAYER_VERSION, &Layer(id.layer_arn()))?;
    let uploaded = source.look_at(cx)?;
    let code = uploaded.stored(cx)?;
    let mut layer = match cx.part::<LayerRecord>(&[&id.name])? {
        Some(known) => (*known).clone(),
        None => LayerRecord { name: id.name.clone(), arn: id.layer_arn(), ..LayerRecord::default() },
    };
    layer.last_version = layer.last_version.saturating_add(1);
    layer.versions.push(layer.last_version);
    cx.attach(&code.package)?;
    let version = layer.last_version.to_string();
    let version = LayerVersionRecord {
        layer: id.name.clone(),
        arn: id.version_arn(&version),
        version,
        layer_arn: layer.arn.clone(),
        description: input.description.unwrap_or_default(),
        package: code.package,
        unzipped: code.unzipped,
        sha256: code.sha256,
        runtimes: input.compatible_runtimes.unwrap_or_default(),
        architectures: input.compatible_architectures.unwrap_or_default(),
        license: input.license_info,
        created_at: cx.now(),
    };
    let shown = shown(cx, &version);
    cx.save(version)?;
    cx.save(layer)?;
    Ok(PublishLayerVersionResponse {
        content: shown.content,
        layer_arn: shown.layer_arn,
        layer_version_arn: shown.layer_version_arn,
        description: shown.description,
        created_date: shown.created_date,
        version: shown.version,
        compatible_architectures: shown.compatible_architectures,
        compatible_runtimes: shown.compatible_runtimes,
        license_info: shown.license_info,
    })
}

fn shown(cx: &Cx<'_>, version: &LayerVersionRecord) -> GetLayerVersionResponse {
    let listed = version.listed();
    GetLayerVersionResponse {
        content: Some(LayerVersionContentOutput {
            location: Some(location(cx, &version.package)),
            code_sha256: Some(version.sha256.clone()),
            code_size: Some(version.package.length),
            ..LayerVersionContentOutput::default()
        }),
        layer_arn: Some(version.layer_arn.clone()),
        layer_version_arn: Some(version.arn.clone()),
        description: listed.description,
        created_date: Some(time(version.created_at)),
        version: listed.version,
        compatible_architectures: listed.compatible_architectures,
        compatible_runtimes: listed.compatible_runtimes,
        license_info: listed.license_info,
    }
}

/// Where whoever was permitted to see a package may fetch it for a while, without a signature.
pub(crate) fn location(cx: &Cx<'_>, package: &BlobRef) -> String {
    format!("{}/_coffer/packages/{}", cx.endpoint(), cx.leave_to_fetch(package))
}

pub(crate) fn get_layer_version(
    cx: &mut Cx<'_>,
    input: GetLayerVersionRequest,
) -> Result<GetLayerVersionResponse, ApiError> {
    let id = LayerId::named(cx, &input.layer_name);
    version(cx, &id, &input.version_number.to_string())
}

pub(crate) fn get_layer_version_by_arn(
    cx: &mut Cx<'_>,
    input: GetLayerVersionByArnRequest,
) -> Result<GetLayerVersionResponse, ApiError> {
    let id = LayerId::parse(&input.arn).ok_or(LambdaError::LayerVersionNotFound)?;
    let number = id.version.clone().ok_or(LambdaError::LayerVersionNotFound)?;
    version(cx, &id, &number)
}

fn version(cx: &Cx<'_>, id: &LayerId, number: &str) -> Result<GetLayerVersionResponse, ApiError> {
    let arn = id.version_arn(number);
    cx.ask(action::GET_LAYER_VERSION, &Layer(arn.clone()))?;
    if id.is_extension() {
        return Ok(shown_extension(id, number.parse().unwrap_or_default()));
    }
    if !id.is_here(cx) {
        return Err(LambdaError::LayerOfOthers { who: cx.caller().arn.clone(), arn }.into());
    }
    let found = cx.part::<LayerVersionRecord>(&[&id.name, number])?;
    Ok(shown(cx, &*found.ok_or(LambdaError::LayerVersionNotFound)?))
}

/// A version that is not there counts as deleted. Functions that use it keep it.
pub(crate) fn delete_layer_version(
    cx: &mut Cx<'_>,
    input: DeleteLayerVersionRequest,
) -> Result<Empty, ApiError> {
    let id = LayerId::named(cx, &input.layer_name);
    let number = input.version_number.to_string();
    cx.ask(action::DELETE_LAYER_VERSION, &Layer(id.version_arn(&number)))?;
    let found = match id.is_here(cx) {
        true => cx.part::<LayerVersionRecord>(&[&id.name, &number])?,
        false => None,
    };
    if let Some(version) = found {
        cx.detach(&version.package)?;
        cx.erase::<LayerVersionRecord>(&[&id.name, &number])?;
        if let Some(layer) = cx.part::<LayerRecord>(&[&id.name])? {
            let mut layer = (*layer).clone();
            layer.versions.retain(|known| *known != input.version_number);
            cx.save(layer)?;
        }
    }
    Ok(Empty {})
}

/// The versions of a layer that fit, the newest first.
fn fitting(
    cx: &Cx<'_>,
    layer: &LayerRecord,
    runtime: Option<&str>,
    architecture: Option<&str>,
) -> Result<Vec<Arc<LayerVersionRecord>>, ApiError> {
    let mut fitting = Vec::new();
    for number in layer.versions.iter().rev() {
        let version = cx.part::<LayerVersionRecord>(&[&layer.name, &number.to_string()])?;
        fitting.extend(version.filter(|version| version.fits(runtime, architecture)));
    }
    Ok(fitting)
}

pub(crate) fn list_layer_versions(
    cx: &mut Cx<'_>,
    input: ListLayerVersionsRequest,
) -> Result<ListLayerVersionsResponse, ApiError> {
    let id = LayerId::named(cx, &input.layer_name);
    ask_about(cx, &id, action::LIST_LAYER_VERSIONS)?;
    let query = ListLayerVersionsRequest { marker: None, max_items: None, ..input.clone() };
    let pages = page::of(&query, input.marker.as_deref(), input.max_items);
    let (runtime, architecture) =
        (input.compatible_runtime.as_deref(), input.compatible_architecture.as_deref());
    let versions = match cx.part::<LayerRecord>(&[&id.name])?.filter(|_| id.is_here(cx)) {
        Some(layer) => fitting(cx, &layer, runtime, architecture)?,
        None => Vec::new(),
    };
    // Backwards, so that the newest comes first and the rest follows in order.
    let back = |version: &LayerVersionRecord| format!("{:019}", i64::MAX - version.number());
    let versions = versions.into_iter().map(|version| (back(&version), version)).collect();
    let page = pages.of_gathered(cx, versions)?;
    let versions = page.items.iter().map(|version| version.listed()).collect();
    Ok(ListLayerVersionsResponse { next_marker: page.marker, layer_versions: Some(versions) })
}

/// AWS knows no resource for lists of layers.
fn ask_about(cx: &Cx<'_>, id: &LayerId, action: Action) -> Result<(), ApiError> {
    if !id.is_here(cx) && !id.is_extension() {
        return Err(LambdaError::LayerNotFound { arn: id.layer_arn() }.into());
    }
    cx.ask(action, &coffer_core::Unscoped).map(drop)
}

pub(crate) fn list_layers(cx: &mut Cx<'_>, input: ListLayersRequest) -> Result<ListLayersResponse, ApiError> {
    let permit: Permit<LayerRecord> = cx.ask_all(action::LIST_LAYERS)?;
    let query = ListLayersRequest { marker: None, max_items: None, ..input.clone() };
    let pages = page::of(&query, input.marker.as_deref(), input.max_items);
    let page =
        pages.of_records(cx, permit, PageOf::default(), |layer: &LayerRecord| !layer.versions.is_empty())?;
    let (runtime, architecture) =
        (input.compatible_runtime.as_deref(), input.compatible_architecture.as_deref());
    let mut layers = Vec::with_capacity(page.items.len());
    for layer in &page.items {
        if let Some(latest) = fitting(cx, layer, runtime, architecture)?.first() {
            layers.push(LayersListItem {
                layer_name: Some(layer.name.clone()),
                layer_arn: Some(layer.arn.clone()),
                latest_matching_version: Some(latest.listed()),
            });
        }
    }
    Ok(ListLayersResponse { next_marker: page.marker, layers: Some(layers) })
}

//! UpdateFunctionCode, and how code comes in.

use std::sync::Arc;

use coffer_core::Cx;
use coffer_model::lambda::{FunctionConfiguration, UpdateFunctionCodeRequest, action};
use coffer_shape::ApiError;
use coffer_types::Secret;

use super::{functions::ensure_revision, versions};
use crate::{
    configuration::{self, Phase, ensure_fits, shown},
    error::LambdaError,
    named::permitted_whole,
    package::Package,
    revision::Code,
};

/// Where a request says that code is.
#[derive(Debug)]
pub(crate) struct Source {
    pub zip: Option<Secret<Vec<u8>>>,
    pub is_in_bucket: bool,
    pub is_image: bool,
}

/// A package that was looked at, and is not stored yet.
#[derive(Debug)]
pub(crate) struct Uploaded {
    zip: Arc<Secret<Vec<u8>>>,
    pub package: Package,
}

impl Source {
    /// Looks at the code. That takes a while, so that it is best done when nothing else can be wrong.
    pub(crate) fn look_at(self, cx: &Cx<'_>) -> Result<Uploaded, ApiError> {
        let zip = self.zip.ok_or(match (self.is_image, self.is_in_bucket) {
            (true, _) => LambdaError::Image,
            (_, true) => LambdaError::FromBucket,
            _ => LambdaError::NoPackage,
        })?;
        let package = cx.at_length(|| Package::look_at(zip.expose()))?.map_err(LambdaError::Package)?;
        Ok(Uploaded { zip: Arc::new(zip), package })
    }
}

impl Uploaded {
    /// Sees to it that the package is stored. The call may end here and begin anew.
    pub(crate) fn stored(&self, cx: &Cx<'_>) -> Result<Code, ApiError> {
        let package = cx.stage(&self.zip)?;
        Ok(Code { package, unzipped: self.package.unzipped, sha256: self.package.sha256.clone() })
    }
}

pub(crate) fn update_function_code(
    cx: &mut Cx<'_>,
    input: UpdateFunctionCodeRequest,
) -> Result<FunctionConfiguration, ApiError> {
    let source = Source {
        is_in_bucket: input.s3_bucket.is_some() || input.s3_key.is_some(),
        is_image: input.image_uri.is_some(),
        zip: input.zip_file,
    };

    let function = permitted_whole(cx, &input.function_name, action::UPDATE_FUNCTION_CODE)?;
    ensure_revision(input.revision_id.as_deref(), &function.latest.revision_id)?;
    let mut function = (*function).clone();
    let uploaded = source.look_at(cx)?;
    let mut revision = function.latest.clone();
    revision.code.unzipped = uploaded.package.unzipped;
    if let Some(architecture) = input.architectures.and_then(|list| list.into_iter().next()) {
        revision.architecture = architecture;
    }
    ensure_fits(&revision)?;
    if input.dry_run == Some(true) {
        revision.code.sha256.clone_from(&uploaded.package.sha256);
        return Ok(shown(cx, &function, &revision, function.arn.clone(), Phase::Done));
    }

    revision.code = uploaded.stored(cx)?;
    revision.touch(cx);
    function.latest.replaced_by(cx, &revision)?;
    function.latest = revision;
    let published = match input.publish {
        Some(true) => Some(versions::publish(cx, &mut function, None)?),
        _ => None,
    };
    cx.functions().forget(&function.arn);
    let answer = match &published {
        Some(version) => versions::shown_version(cx, &function, version, Phase::Updating),
        None => configuration::shown(cx, &function, &function.latest, function.arn.clone(), Phase::Updating),
    };
    cx.save(function)?;
    Ok(answer)
}

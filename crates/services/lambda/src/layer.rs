//! Layers: packages that functions share, by version.
//!
//! One layer is nobody's and has no files: whoever names the AWS Parameters and Secrets extension, in whatever account and version AWS
//! publishes it, wants its endpoint inside the function, and gets ours.

use std::sync::{Arc, LazyLock};

use coffer_core::{BlobRef, Cx, Listed, Place, Resource, table};
use coffer_model::lambda::{self as model, action};
use coffer_policy::{Kind, Policy};
use coffer_shape::ApiError;
use coffer_types::{Arn, Timestamp};

use crate::{configuration::time, error::LambdaError, revision::UsedLayer};

const EXTENSION: &str = "AWS-Parameters-and-Secrets-Lambda-Extension";
/// Clients only look whether there is a number.
const EXTENSION_BYTES: i64 = 1;
const LAYERS_MAX: usize = 5;

table! {
    0x44 "lambda-layer", version 1, key (name), part;

    #[derive(Clone)]
    pub struct LayerRecord {
        pub name: String,
        pub arn: String,
        /// Numbers of the versions that are there, in order.
        pub versions: Vec<i64>,
        /// Numbers are given once.
        pub last_version: i64,
    }
}

impl Listed for LayerRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: None, text: &self.name, tie: "" }
    }
}

table! {
    0x45 "lambda-layer-version", version 1, key (layer, version), part;

    #[derive(Clone)]
    pub struct LayerVersionRecord {
        pub layer: String,
        pub version: String,
        pub arn: String,
        pub layer_arn: String,
        pub description: String,
        pub package: BlobRef,
        pub unzipped: i64,
        pub sha256: String,
        pub runtimes: Vec<String>,
        pub architectures: Vec<String>,
        pub license: Option<String>,
        pub created_at: Timestamp,
    }
}

impl LayerVersionRecord {
    pub(crate) fn number(&self) -> i64 {
        self.version.parse().unwrap_or_default()
    }

    pub(crate) fn listed(&self) -> model::LayerVersionsListItem {
        model::LayerVersionsListItem {
            layer_version_arn: Some(self.arn.clone()),
            version: Some(self.number()),
            description: Some(self.description.clone()),
            created_date: Some(time(self.created_at)),
            compatible_architectures: some(&self.architectures),
            compatible_runtimes: some(&self.runtimes),
            license_info: self.license.clone(),
        }
    }

    pub(crate) fn fits(&self, runtime: Option<&str>, architecture: Option<&str>) -> bool {
        let is_in = |list: &[String], asked: Option<&str>| {
            asked.is_none_or(|asked| list.iter().any(|known| known == asked))
        };
        is_in(&self.runtimes, runtime) && is_in(&self.architectures, architecture)
    }
}

fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// A layer, or one version of it, as something that can be permitted.
#[derive(Debug)]
pub(crate) struct Layer(pub(crate) String);

impl Resource for Layer {
    fn arn(&self) -> String {
        self.0.clone()
    }

    /// AWS lets everybody use its extension.
    fn policy(&self, _: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        static OPEN: LazyLock<Arc<Policy>> = LazyLock::new(|| {
            let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"lambda:GetLayerVersion","Resource":"*"}]}"#;
            Arc::new(Policy::stored("the policy of the extension", Kind::Resource, text))
        });
        let is_extension = LayerId::parse(&self.0).is_some_and(|id| id.is_extension());
        Ok(is_extension.then(|| Arc::clone(&OPEN)))
    }
}

/// A version of a layer as it is written in an ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerId {
    pub account: String,
    pub region: String,
    pub name: String,
    /// None in the ARN of a layer.
    pub version: Option<String>,
}

impl LayerId {
    pub(crate) fn parse(arn: &str) -> Option<Self> {
        let arn: Arn = arn.parse().ok().filter(|arn: &Arn| arn.service() == "lambda")?;
        let mut steps = arn.resource().strip_prefix("layer:")?.split(':');
        let (name, version) = (steps.next()?.to_owned(), steps.next().map(str::to_owned));
        let (account, region) = (arn.account().to_owned(), arn.region().to_owned());
        Some(Self { account, region, name, version })
    }

    /// A layer by its name or ARN.
    pub(crate) fn named(cx: &Cx<'_>, written: &str) -> Self {
        Self::parse(written).unwrap_or_else(|| Self {
            account: cx.account().to_string(),
            region: cx.region().to_string(),
            name: written.to_owned(),
            version: None,
        })
    }

    pub(crate) fn is_here(&self, cx: &Cx<'_>) -> bool {
        self.account == cx.account().as_str() && self.region == cx.region().as_str()
    }

    pub(crate) fn is_extension(&self) -> bool {
        matches!(self.name.strip_prefix(EXTENSION), Some("" | "-Arm64"))
    }

    pub(crate) fn layer_arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:layer:{}", self.region, self.account, self.name)
    }

    pub(crate) fn version_arn(&self, version: &str) -> String {
        format!("{}:{version}", self.layer_arn())
    }
}

/// The layers of these ARNs, which the caller may use.
pub(crate) fn used(cx: &Cx<'_>, arns: &[String]) -> Result<Vec<UsedLayer>, ApiError> {
    if arns.len() > LAYERS_MAX {
        return Err(LambdaError::LayersTooMany.into());
    }
    let mut used: Vec<UsedLayer> = Vec::with_capacity(arns.len());
    let mut names: Vec<String> = Vec::with_capacity(arns.len());
    for arn in arns {
        let missing = || LambdaError::LayerMissing { arn: arn.clone() };
        let id = LayerId::parse(arn).ok_or_else(missing)?;
        if names.contains(&id.layer_arn()) {
            return Err(LambdaError::LayerTwice { arn: arn.clone() }.into());
        }
        names.push(id.layer_arn());
        used.push(use_of(cx, &id, arn, missing)?);
    }
    Ok(used)
}

fn use_of(
    cx: &Cx<'_>,
    id: &LayerId,
    arn: &str,
    missing: impl Fn() -> LambdaError,
) -> Result<UsedLayer, ApiError> {
    let version = id.version.as_deref().ok_or_else(&missing)?;
    if id.is_extension() {
        return Ok(UsedLayer { arn: arn.to_owned(), code_size: EXTENSION_BYTES, unzipped: 0, code: None });
    }
    if !id.is_here(cx) {
        let who = cx.caller().arn.clone();
        return Err(LambdaError::LayerOfOthers { who, arn: arn.to_owned() }.into());
    }
    cx.ask(action::GET_LAYER_VERSION, &Layer(arn.to_owned()))?;
    let found = cx.part::<LayerVersionRecord>(&[&id.name, version])?.ok_or_else(missing)?;
    Ok(UsedLayer {
        arn: arn.to_owned(),
        code_size: found.package.length,
        unzipped: found.unzipped,
        code: Some(found.package.clone()),
    })
}

/// Whether a function wants secrets to be fetched for it.
pub(crate) fn has_extension(layers: &[UsedLayer]) -> bool {
    layers.iter().any(|layer| LayerId::parse(&layer.arn).is_some_and(|id| id.is_extension()))
}

pub(crate) fn shown_use(layer: &UsedLayer) -> model::Layer {
    model::Layer { arn: Some(layer.arn.clone()), code_size: Some(layer.code_size), ..model::Layer::default() }
}

/// What is told of the layer that is nobody's.
pub(crate) fn shown_extension(id: &LayerId, version: i64) -> model::GetLayerVersionResponse {
    model::GetLayerVersionResponse {
        content: Some(model::LayerVersionContentOutput {
            code_size: Some(EXTENSION_BYTES),
            ..model::LayerVersionContentOutput::default()
        }),
        layer_arn: Some(id.layer_arn()),
        layer_version_arn: Some(id.version_arn(&version.to_string())),
        description: Some(String::from("AWS Parameters and Secrets Lambda Extension")),
        created_date: Some(time(Timestamp::from_millis(0))),
        version: Some(version),
        ..model::GetLayerVersionResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_layers_are_named_by_arn() {
        let arn = "arn:aws:lambda:eu-west-1:177933569100:layer:AWS-Parameters-and-Secrets-Lambda-Extension-Arm64:18";
        let id = LayerId::parse(arn).unwrap();
        assert!(id.is_extension());
        assert_eq!(id.version.as_deref(), Some("18"));
        assert_eq!(id.version_arn("18"), arn);
        let id = LayerId::parse("arn:aws:lambda:eu-west-1:111122223333:layer:mine").unwrap();
        assert_eq!((id.name.as_str(), id.version, id.account.as_str()), ("mine", None, "111122223333"));
        for wrong in
            ["mine", "arn:aws:lambda:eu-west-1:111122223333:function:mine", "arn:aws:s3:::layer:mine:1"]
        {
            assert_eq!(LayerId::parse(wrong), None, "{wrong}");
        }
    }
}

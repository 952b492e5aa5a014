//! What a function consists of at one moment: code, configuration and the role it works in.

use coffer_core::{BlobRef, Cx};
use coffer_shape::{ApiError, record};
use coffer_types::{Secret, Timestamp};

pub(crate) const LATEST: &str = "$LATEST";
pub(crate) const TIMEOUT_SECONDS: i64 = 3;
pub(crate) const MEMORY_MB: i64 = 128;
pub(crate) const SCRATCH_MB: i64 = 512;

record! {
    pub struct Variable {
        pub name: String,
        pub value: Secret<String>,
    }
}

/// Secrets have no copies by themselves: a version that is published has the variables of its time.
impl Clone for Variable {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), value: Secret::new(self.value.expose().clone()) }
    }
}

record! {
    #[derive(Clone)]
    pub struct UsedLayer {
        pub arn: String,
        pub code_size: i64,
        pub unzipped: i64,
        /// None for a layer without files, which only says what the function wants.
        pub code: Option<BlobRef>,
    }
}

record! {
    #[derive(Clone)]
    pub struct Vpc {
        pub subnets: Vec<String>,
        pub security_groups: Vec<String>,
        pub ipv6: bool,
    }
}

record! {
    #[derive(Clone)]
    pub struct FileSystem {
        pub arn: String,
        pub mount: String,
    }
}

record! {
    #[derive(Clone)]
    pub struct Logging {
        pub json: bool,
        pub group: String,
        pub application_level: Option<String>,
        pub system_level: Option<String>,
    }
}

record! {
    #[derive(Clone)]
    pub struct Code {
        pub package: BlobRef,
        /// Of all files in it.
        pub unzipped: i64,
        /// SHA-256 in base64, as clients compare it.
        pub sha256: String,
    }
}

record! {
    #[derive(Clone)]
    pub struct Revision {
        /// `$LATEST` or a number.
        pub version: String,
        pub revision_id: String,
        pub description: String,
        pub runtime: String,
        pub handler: String,
        pub role: String,
        pub timeout: i64,
        pub memory: i64,
        pub scratch: i64,
        pub architecture: String,
        pub code: Code,
        pub environment: Vec<Variable>,
        pub layers: Vec<UsedLayer>,
        pub logging: Logging,
        pub tracing_active: bool,
        pub snap_start: bool,
        pub dead_letter: Option<String>,
        pub kms_key: Option<String>,
        pub vpc: Option<Vpc>,
        pub file_systems: Vec<FileSystem>,
        pub modified_at: Timestamp,
    }
}

impl Revision {
    /// A change of anything: another id and another time.
    pub(crate) fn touch(&mut self, cx: &Cx<'_>) {
        self.revision_id = cx.uuid().to_string();
        self.modified_at = cx.now();
    }

    pub(crate) fn packages(&self) -> impl Iterator<Item = &BlobRef> {
        let layers = self.layers.iter().filter_map(|layer| layer.code.as_ref());
        std::iter::once(&self.code.package).chain(layers)
    }

    /// Keeps its packages, as long as it is not let go.
    pub(crate) fn hold(&self, cx: &mut Cx<'_>) -> Result<(), ApiError> {
        self.packages().try_for_each(|package| cx.attach(package))
    }

    pub(crate) fn let_go(&self, cx: &mut Cx<'_>) -> Result<(), ApiError> {
        self.packages().try_for_each(|package| cx.detach(package))
    }

    /// Another revision takes its place.
    pub(crate) fn replaced_by(&self, cx: &mut Cx<'_>, other: &Self) -> Result<(), ApiError> {
        other.hold(cx)?;
        self.let_go(cx)
    }

    pub(crate) fn unzipped(&self) -> i64 {
        let layers = self.layers.iter().fold(0_i64, |sum, layer| sum.saturating_add(layer.unzipped));
        layers.saturating_add(self.code.unzipped)
    }
}

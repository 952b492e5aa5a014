//! Trust policies: who may assume a role.

use coffer_core::{Cx, ResourcePolicy, table};
use coffer_policy::{Document, Kind, Malformed, PrincipalKind};
use coffer_shape::ApiError;
use coffer_types::{AccountId, Arn};

use crate::{error::IamError, holder::chars_that_count};

/// AWS raises it to 4,096 for whoever asks.
pub(crate) const CHARS_MAX: usize = 2_048;

table! {
    0x18 "iam-moved", version 1, key (unique_id), part;

    /// Where a user is now who has had another name or path before.
    #[derive(Clone)]
    pub struct MovedRecord {
        pub unique_id: String,
        pub arn: String,
    }
}

/// A trust policy whose users and roles exist.
pub(crate) fn written(cx: &Cx<'_>, text: String) -> Result<ResourcePolicy, ApiError> {
    let document = Document::parse(Kind::Trust, &text).map_err(IamError::Malformed)?;
    let trust = ResourcePolicy::written(cx, text, &document, |arn| {
        let value = arn.as_str().to_owned();
        IamError::Malformed(Malformed::Principal { kind: PrincipalKind::Aws, value }).into()
    })?;
    if chars_that_count(trust.text.as_str()) > CHARS_MAX {
        return Err(IamError::Quota { name: "ACLSizePerRole", limit: CHARS_MAX }.into());
    }
    Ok(trust)
}

/// The text as it reads today. An account is shown by the ARN of its root, as AWS does.
pub(crate) fn shown(cx: &Cx<'_>, trust: &ResourcePolicy) -> Result<String, ApiError> {
    trust.shown(cx, &|name| {
        name.parse::<AccountId>().ok().map(|account| Arn::global("iam", account, "root").to_string())
    })
}

//! DescribeSecret.

use std::collections::BTreeMap;

use coffer_core::Cx;
use coffer_model::secretsmanager::{DescribeSecretRequest, DescribeSecretResponse, action};
use coffer_shape::ApiError;

use crate::{identifier::secret, replication, rotation::Shown, secret::SecretRecord, tags};

/// Tells everything about a secret but its values. Works in every state, and needs no KMS permission.
pub(crate) fn describe_secret(
    cx: &mut Cx<'_>,
    input: DescribeSecretRequest,
) -> Result<DescribeSecretResponse, ApiError> {
    let secret = secret(cx, &input.secret_id)?.permit(cx, action::DESCRIBE_SECRET)?.existing()?;

    let rotation = Shown::of(&secret);
    let replicas = replication::statuses(cx, &secret)?;
    Ok(DescribeSecretResponse {
        arn: Some(secret.arn.clone()),
        name: Some(secret.name.clone()),
        r#type: secret.kind.clone(),
        description: secret.description.clone(),
        kms_key_id: secret.kms_key_id.clone(),
        rotation_enabled: rotation.enabled,
        rotation_lambda_arn: rotation.function_arn,
        rotation_rules: rotation.rules,
        external_secret_rotation_metadata: rotation.metadata,
        external_secret_rotation_role_arn: rotation.role_arn,
        last_changed_date: Some(secret.changed_at),
        last_accessed_date: secret.accessed_on,
        deleted_date: secret.deletion_asked_at,
        last_rotated_date: rotation.last_date,
        next_rotation_date: rotation.next_date,
        tags: tags::to_answer(secret.tags.as_ref()),
        version_ids_to_stages: labelled_versions(&secret),
        created_date: Some(secret.created_at),
        primary_region: secret.shown_primary_region().map(str::to_owned),
        replication_status: (!replicas.is_empty()).then_some(replicas),
        cross_account_replicas: replication::shown_links(cx, &secret)?,
        cross_account_primary: secret.primary_abroad.as_ref().map(|primary| primary.to_answer()),
        ..DescribeSecretResponse::default()
    })
}

/// The labelled versions, or nothing: AWS leaves an empty map out.
pub(super) fn labelled_versions(secret: &SecretRecord) -> Option<BTreeMap<String, Vec<String>>> {
    let versions: BTreeMap<_, _> = secret
        .versions
        .iter()
        .filter(|version| !version.labels.is_empty())
        .map(|version| (version.id.clone(), version.labels.clone()))
        .collect();
    (!versions.is_empty()).then_some(versions)
}

//! Data keys: what Secrets Manager asks of KMS.
//!
//! Each version has a data key of its own, wrapped by the secret's KMS key and bound to the secret and the version by the encryption
//! context. KMS is asked as the caller, so the policy of the key decides together with his own.
//!
//! A change of the KMS key leaves data keys as they are and adds copies that are wrapped by the new one: for the versions that
//! AWS's labels stand on, as far as the caller may. A copy is never taken away, so each of the keys opens the version.

use std::{collections::BTreeMap, sync::Arc};

use coffer_core::Cx;
use coffer_model::kms;
use coffer_shape::{ApiError, record};
use coffer_types::{Arn, Secret};

use crate::{
    error::{KmsSide, SecretError, from_kms},
    secret::{CURRENT, PENDING, PREVIOUS, SecretRecord, VersionEntry},
    value::{VersionRecord, nameless},
};

/// The key that every account has, and what callers may call it.
const DEFAULT_KEY: &str = "alias/aws/secretsmanager";
/// As KMS calls whoever takes care of a key that customers do not. Of those, this service can use only its own.
const MANAGED: &str = "AWS";
/// The version id AWS uses while it tries out a key.
const KEY_CHECK: &str = "RequestToValidateKeyAccess";

record! {
    /// A data key, wrapped by one KMS key. A change of key adds a copy; the data key stays.
    #[derive(Clone)]
    pub struct WrappedKey {
        pub kms_key_arn: String,
        pub blob: Vec<u8>,
    }
}

/// The key a caller means: none for the default one, however it is written. What is no ARN is a key of his own account, also where
/// the secret is another's.
pub(crate) fn chosen_key(cx: &Cx<'_>, written: Option<String>) -> Option<String> {
    let written = written.filter(|key| {
        !key.is_empty() && key != DEFAULT_KEY && *key != cx.arn("kms", DEFAULT_KEY).to_string()
    })?;
    if !cx.is_from_abroad() || written.starts_with("arn:") {
        return Some(written);
    }
    let resource = if written.starts_with("alias/") { written } else { format!("key/{written}") };
    Some(Arn::regional("kms", cx.region(), cx.caller().account, &resource).to_string())
}

/// The default key is for callers of its own account.
fn ensure_not_abroad(cx: &Cx<'_>, secret: &SecretRecord) -> Result<(), SecretError> {
    if secret.kms_key_id.is_none() && cx.is_from_abroad() {
        return Err(SecretError::DefaultKeyAbroad);
    }
    Ok(())
}

/// AES-256.
pub(crate) type DataKey = Secret<[u8; 32]>;

/// A new data key, in clear for use now and wrapped for later.
pub(crate) fn make(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    version_id: &str,
) -> Result<(DataKey, WrappedKey), ApiError> {
    ensure_not_abroad(cx, secret)?;
    let answer = cx
        .invoke::<kms::GenerateDataKey>(kms::GenerateDataKeyRequest {
            key_id: key_of(secret),
            key_spec: Some(String::from("AES_256")),
            encryption_context: Some(context(&secret.arn, version_id)),
            ..kms::GenerateDataKeyRequest::default()
        })
        .map_err(|error| from_kms(cx, KmsSide::Encrypt, error))?;
    let key = sized(cx, answer.plaintext.unwrap_or_default())?;
    let wrapped = WrappedKey {
        kms_key_arn: answer.key_id.unwrap_or_default(),
        blob: answer.ciphertext_blob.unwrap_or_default(),
    };
    Ok((key, wrapped))
}

/// The data key of a version, by the newest of its copies that the caller may use.
pub(crate) fn open(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    version_id: &str,
    copies: &[WrappedKey],
) -> Result<DataKey, ApiError> {
    ensure_not_abroad(cx, secret)?;
    let mut refusal = None;
    for copy in copies.iter().rev() {
        match unwrap(cx, &secret.arn, version_id, copy) {
            Ok(key) => return sized(cx, key),
            Err(error) if error.is_fault() => return Err(cx.internal(error)),
            // Of several refusals, the one by the key that the version ought to be under.
            Err(error) => drop(refusal.get_or_insert(error)),
        }
    }
    let refusal =
        refusal.ok_or_else(|| cx.internal(format!("a version of {} has no data key", nameless(secret))))?;
    let is_behind = secret.version(version_id).is_some_and(|version| version.under_former_key);
    let side = if is_behind { KmsSide::DecryptFormer } else { KmsSide::Decrypt };
    Err(from_kms(cx, side, refusal))
}

fn unwrap(
    cx: &mut Cx<'_>,
    secret_arn: &str,
    version_id: &str,
    copy: &WrappedKey,
) -> Result<Secret<Vec<u8>>, ApiError> {
    // A blob names its key, and that is looked for here. One of another account has to be told.
    let is_elsewhere = is_elsewhere(cx, &copy.kms_key_arn);
    let answer = cx.invoke::<kms::Decrypt>(kms::DecryptRequest {
        ciphertext_blob: Some(copy.blob.clone()),
        encryption_context: Some(context(secret_arn, version_id)),
        key_id: is_elsewhere.then(|| copy.kms_key_arn.clone()),
        ..kms::DecryptRequest::default()
    })?;
    Ok(answer.plaintext.unwrap_or_default())
}

/// A data key that there is, wrapped by the key of another secret.
pub(crate) fn wrap(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    version_id: &str,
    data_key: &DataKey,
) -> Result<WrappedKey, ApiError> {
    let answer = cx
        .invoke::<kms::Encrypt>(kms::EncryptRequest {
            key_id: key_of(secret),
            plaintext: Secret::new(data_key.expose().to_vec()),
            encryption_context: Some(context(&secret.arn, version_id)),
            ..kms::EncryptRequest::default()
        })
        .map_err(|error| from_kms(cx, KmsSide::Encrypt, error))?;
    Ok(WrappedKey {
        kms_key_arn: answer.key_id.unwrap_or_default(),
        blob: answer.ciphertext_blob.unwrap_or_default(),
    })
}

/// Whether the caller may open what is under the key of a secret. Nothing is opened; an error is that of KMS.
pub(crate) fn try_to_open(cx: &mut Cx<'_>, secret: &SecretRecord) -> Result<(), ApiError> {
    let tried = cx.invoke::<kms::Decrypt>(kms::DecryptRequest {
        key_id: Some(key_of(secret)),
        encryption_context: Some(context(&secret.arn, KEY_CHECK)),
        dry_run: Some(true),
        dry_run_modifiers: Some(vec![String::from("IGNORE_CIPHERTEXT")]),
        ..kms::DecryptRequest::default()
    });
    would_succeed(tried)
}

/// The same for wrapping.
pub(crate) fn try_to_wrap(cx: &mut Cx<'_>, secret: &SecretRecord) -> Result<(), ApiError> {
    let tried = cx.invoke::<kms::Encrypt>(kms::EncryptRequest {
        key_id: key_of(secret),
        plaintext: Secret::new(vec![0; 32]),
        encryption_context: Some(context(&secret.arn, KEY_CHECK)),
        dry_run: Some(true),
        ..kms::EncryptRequest::default()
    });
    would_succeed(tried)
}

fn would_succeed<T>(tried: Result<T, ApiError>) -> Result<(), ApiError> {
    match tried {
        Err(error) if error.code() != "DryRunOperationException" => Err(error),
        _ => Ok(()),
    }
}

/// Tries a key out before it is set: a data key is made, opened again and thrown away. The ARN of the key.
pub(crate) fn check(cx: &mut Cx<'_>, secret: &SecretRecord) -> Result<String, ApiError> {
    let (_, wrapped) = make(cx, secret, KEY_CHECK)?;
    unwrap(cx, &secret.arn, KEY_CHECK, &wrapped).map_err(|error| from_kms(cx, KmsSide::Decrypt, error))?;
    Ok(wrapped.kms_key_arn)
}

/// Whether this key, which somebody was permitted to use for a secret here, is the default one: it may have been named by its id.
pub(crate) fn is_default(cx: &mut Cx<'_>, key_arn: &str) -> Result<bool, ApiError> {
    // One that is lent is its owner's.
    if is_elsewhere(cx, key_arn) {
        return Ok(false);
    }
    let key_id = key_arn.to_owned();
    let described = cx.consult::<kms::DescribeKey>(kms::DescribeKeyRequest {
        key_id,
        ..kms::DescribeKeyRequest::default()
    })?;
    Ok(described.key_metadata.and_then(|key| key.key_manager).as_deref() == Some(MANAGED))
}

/// Whether a key is of another account than that in which the call runs.
fn is_elsewhere(cx: &Cx<'_>, key_arn: &str) -> bool {
    key_arn.split(':').nth(4) != Some(cx.account().as_str())
}

/// Wraps the data keys of the versions with AWS's labels by the secret's key, which has changed. Whatever the caller may not do is
/// left, and the version says that it is behind. The caller saves the secret.
pub(crate) fn wrap_again(
    cx: &mut Cx<'_>,
    secret: &mut SecretRecord,
    key_arn: Option<&str>,
) -> Result<(), ApiError> {
    let key_id = key_of(secret);
    for version in secret.versions.iter_mut().filter(|version| version.has_value) {
        let is_followed =
            version.labels.iter().any(|label| [CURRENT, PREVIOUS, PENDING].contains(&label.as_str()));
        let has_copy = version.is_under(key_arn);
        let is_under = has_copy || (is_followed && add_copy(cx, &secret.arn, &version.id, &key_id)?);
        version.under_former_key = !is_under;
        if is_under {
            if has_copy {
                put_last(cx, &secret.arn, version, key_arn)?;
            }
            version.note_key(key_arn);
        }
    }
    Ok(())
}

/// Whether the caller may do both: open the data key by one of its keys, and wrap it by the new one.
fn add_copy(cx: &mut Cx<'_>, secret_arn: &str, version_id: &str, key_id: &str) -> Result<bool, ApiError> {
    let Some(record) = cx.part::<VersionRecord>(&[secret_arn, version_id])? else { return Ok(false) };
    let mut opened = None;
    for copy in record.wrapped_keys.iter().rev() {
        match unwrap(cx, secret_arn, version_id, copy) {
            Ok(key) => opened = Some(key),
            Err(error) if error.is_fault() => return Err(cx.internal(error)),
            Err(_) => continue,
        }
        break;
    }
    let Some(plaintext) = opened else { return Ok(false) };
    let wrapped = cx.invoke::<kms::Encrypt>(kms::EncryptRequest {
        key_id: key_id.to_owned(),
        plaintext,
        encryption_context: Some(context(secret_arn, version_id)),
        ..kms::EncryptRequest::default()
    });
    let wrapped = match wrapped {
        Ok(wrapped) => wrapped,
        Err(error) if error.is_fault() => return Err(cx.internal(error)),
        Err(_) => return Ok(false),
    };
    let mut record = Arc::unwrap_or_clone(record);
    record.wrapped_keys.push(WrappedKey {
        kms_key_arn: wrapped.key_id.unwrap_or_default(),
        blob: wrapped.ciphertext_blob.unwrap_or_default(),
    });
    cx.save(record)?;
    Ok(true)
}

/// The copy under this key becomes the one that is tried first.
fn put_last(
    cx: &mut Cx<'_>,
    secret_arn: &str,
    version: &VersionEntry,
    key_arn: Option<&str>,
) -> Result<(), ApiError> {
    if version.kms_key_arn.as_deref() == key_arn {
        return Ok(());
    }
    let Some(record) = cx.part::<VersionRecord>(&[secret_arn, &version.id])? else { return Ok(()) };
    let mut record = Arc::unwrap_or_clone(record);
    // The default key is not known by its ARN: it is the one that is no customer's.
    record.wrapped_keys.sort_by_key(|copy| match key_arn {
        Some(arn) => copy.kms_key_arn == arn,
        None => !version.keys().any(|key| key == copy.kms_key_arn),
    });
    cx.save(record)
}

fn key_of(secret: &SecretRecord) -> String {
    secret.kms_key_id.clone().unwrap_or_else(|| DEFAULT_KEY.to_owned())
}

fn sized(cx: &Cx<'_>, key: Secret<Vec<u8>>) -> Result<DataKey, ApiError> {
    let key = key.expose().as_slice().try_into().map(Secret::new);
    key.map_err(|_| cx.internal("a data key of another length"))
}

/// AWS's encryption context: it shows in audit records and binds a data key to its place.
fn context(secret_arn: &str, version_id: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (String::from("SecretARN"), secret_arn.to_owned()),
        (String::from("SecretVersionId"), version_id.to_owned()),
    ])
}

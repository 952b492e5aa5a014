//! Secret values: what a caller gives, and what is stored.
//!
//! Each version has a data key of its own from KMS, bound to the secret and the version by the encryption context. The value is
//! sealed with it here, and the plaintext key is gone when the call ends. The record around it is sealed once more by the store.

use std::collections::BTreeMap;

use coffer_core::{Cx, table};
use coffer_crypto::{NONCE_LEN, constant_time_eq, open, seal};
use coffer_model::kms;
use coffer_shape::{ApiError, record};
use coffer_types::{Arn, Secret};

use crate::{
    error::{KmsSide, SecretError, from_kms},
    secret::{SecretRecord, VersionEntry},
};

/// The key that every account has, and what callers may call it.
const DEFAULT_KEY: &str = "alias/aws/secretsmanager";
/// The version id AWS uses while it tries out a key.
const KEY_CHECK: &str = "RequestToValidateKeyAccess";

/// A value as given: text or bytes, never both.
#[derive(Debug)]
pub(crate) enum SecretValue {
    String(Secret<String>),
    Binary(Secret<Vec<u8>>),
}

impl SecretValue {
    pub(crate) fn from_parts(
        string: Option<Secret<String>>,
        binary: Option<Secret<Vec<u8>>>,
    ) -> Result<Option<Self>, SecretError> {
        match (string, binary) {
            (Some(_), Some(_)) => Err(SecretError::BothValues),
            (Some(string), None) => Ok(Some(Self::String(string))),
            (None, Some(binary)) => Ok(Some(Self::Binary(binary))),
            (None, None) => Ok(None),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::String(string) => string.expose().as_bytes(),
            Self::Binary(binary) => binary.expose(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes().len()
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "S",
            Self::Binary(_) => "B",
        }
    }

    /// Text and bytes are different even when their bytes agree.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        self.kind() == other.kind() && constant_time_eq(self.bytes(), other.bytes())
    }
}

record! {
    /// A data key, wrapped by one KMS key. A change of key adds a copy; the data key stays.
    pub struct WrappedKey {
        pub kms_key_arn: String,
        pub blob: Vec<u8>,
    }
}

table! {
    0x31 "secret-version", version 1, key (secret_arn, version_id), part;

    /// The sealed value of one version.
    pub struct VersionRecord {
        pub secret_arn: String,
        pub version_id: String,
        /// `S` or `B`.
        pub kind: String,
        pub wrapped_keys: Vec<WrappedKey>,
        pub nonce: Vec<u8>,
        pub sealed: Vec<u8>,
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

/// Seals a value as a version of a secret and saves it.
pub(crate) fn store_version(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    version_id: &str,
    value: &SecretValue,
) -> Result<VersionEntry, ApiError> {
    ensure_not_abroad(cx, secret)?;
    let (data_key, wrapped) = data_key(cx, secret, version_id)?;
    let mut nonce = [0; NONCE_LEN];
    cx.entropy().fill(&mut nonce);
    let mut sealed = Vec::with_capacity(value.bytes().len() + 16);
    sealed.extend_from_slice(value.bytes());
    seal(data_key.expose(), &nonce, &associated_data(&secret.arn, version_id, value.kind()), &mut sealed);
    drop(data_key);

    let kms_key_arn = secret.kms_key_id.is_some().then(|| wrapped.kms_key_arn.clone());
    cx.save(VersionRecord {
        secret_arn: secret.arn.clone(),
        version_id: version_id.to_owned(),
        kind: value.kind().to_owned(),
        wrapped_keys: vec![wrapped],
        nonce: nonce.to_vec(),
        sealed,
    })?;
    Ok(VersionEntry {
        id: version_id.to_owned(),
        created_at: cx.now(),
        accessed_on: None,
        labels: Vec::new(),
        has_value: true,
        kms_key_arn,
    })
}

/// Opens the value of a version.
pub(crate) fn open_version(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    version_id: &str,
) -> Result<SecretValue, ApiError> {
    ensure_not_abroad(cx, secret)?;
    let record = cx
        .part::<VersionRecord>(&[&secret.arn, version_id])?
        .ok_or_else(|| cx.internal(format!("a version of {} has lost its value", nameless(secret))))?;
    let wrapped = record
        .wrapped_keys
        .last()
        .ok_or_else(|| cx.internal(format!("a version of {} has no data key", nameless(secret))))?;
    let answer = cx
        .invoke::<kms::Decrypt>(kms::DecryptRequest {
            ciphertext_blob: Some(wrapped.blob.clone()),
            encryption_context: Some(context(&secret.arn, version_id)),
            ..kms::DecryptRequest::default()
        })
        .map_err(|error| from_kms(cx, KmsSide::Decrypt, error))?;

    let data_key = answer.plaintext.unwrap_or_default();
    let mut plaintext = record.sealed.clone();
    let opened = match (data_key.expose().as_slice().try_into(), record.nonce.as_slice().try_into()) {
        (Ok(key), Ok(nonce)) => {
            open(key, nonce, &associated_data(&secret.arn, version_id, &record.kind), &mut plaintext).is_ok()
        }
        _ => false,
    };
    let plaintext = Secret::new(plaintext);
    if !opened {
        return Err(cx.internal(format!("a value of {} does not open", nameless(secret))));
    }
    if record.kind == "B" {
        return Ok(SecretValue::Binary(plaintext));
    }
    let text = String::from_utf8(plaintext.take()).map_err(|error| {
        drop(Secret::new(error.into_bytes()));
        cx.internal(format!("a text value of {} is not text", nameless(secret)))
    })?;
    Ok(SecretValue::String(Secret::new(text)))
}

/// Tries a key out before it is set: a data key is made, opened again and thrown away.
pub(crate) fn check_key(cx: &mut Cx<'_>, secret: &SecretRecord) -> Result<(), ApiError> {
    let (_, wrapped) = data_key(cx, secret, KEY_CHECK)?;
    cx.invoke::<kms::Decrypt>(kms::DecryptRequest {
        ciphertext_blob: Some(wrapped.blob),
        encryption_context: Some(context(&secret.arn, KEY_CHECK)),
        ..kms::DecryptRequest::default()
    })
    .map(drop)
    .map_err(|error| from_kms(cx, KmsSide::Decrypt, error))
}

fn data_key(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    version_id: &str,
) -> Result<(Secret<[u8; 32]>, WrappedKey), ApiError> {
    let answer = cx
        .invoke::<kms::GenerateDataKey>(kms::GenerateDataKeyRequest {
            key_id: secret.kms_key_id.clone().unwrap_or_else(|| DEFAULT_KEY.to_owned()),
            key_spec: Some(String::from("AES_256")),
            encryption_context: Some(context(&secret.arn, version_id)),
            ..kms::GenerateDataKeyRequest::default()
        })
        .map_err(|error| from_kms(cx, KmsSide::Encrypt, error))?;
    let plaintext = answer.plaintext.unwrap_or_default();
    let key = plaintext
        .expose()
        .as_slice()
        .try_into()
        .map(Secret::new)
        .map_err(|_| cx.internal("a data key of another length"))?;
    let wrapped = WrappedKey {
        kms_key_arn: answer.key_id.unwrap_or_default(),
        blob: answer.ciphertext_blob.unwrap_or_default(),
    };
    Ok((key, wrapped))
}

/// What a log may call a secret: the random end of its ARN, which is unique enough to find it and tells nothing.
fn nameless(secret: &SecretRecord) -> String {
    let suffix = secret.arn.rsplit('-').next().unwrap_or_default();
    format!("the secret ending in -{suffix}")
}

/// AWS's encryption context: it shows in audit records and binds a data key to its place.
fn context(secret_arn: &str, version_id: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (String::from("SecretARN"), secret_arn.to_owned()),
        (String::from("SecretVersionId"), version_id.to_owned()),
    ])
}

fn associated_data(secret_arn: &str, version_id: &str, kind: &str) -> Vec<u8> {
    let mut data = b"coffer-sv-v1\0".to_vec();
    for part in [secret_arn, version_id, kind] {
        data.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_are_never_equal() {
        let string = |text: &str| SecretValue::String(Secret::new(text.to_owned()));
        let binary = |text: &str| SecretValue::Binary(Secret::new(text.as_bytes().to_vec()));
        assert!(string("abc").equals(&string("abc")));
        assert!(!string("abc").equals(&string("abd")));
        assert!(!string("abc").equals(&binary("abc")));
    }

    #[test]
    fn a_value_is_text_or_bytes() {
        let string = || Some(Secret::new(String::from("a")));
        let binary = || Some(Secret::new(vec![1]));
        assert_eq!(SecretValue::from_parts(string(), binary()).err(), Some(SecretError::BothValues));
        assert!(SecretValue::from_parts(None, None).unwrap().is_none());
        assert!(SecretValue::from_parts(string(), None).unwrap().is_some());
    }
}

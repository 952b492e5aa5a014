//! Secret values: what a caller gives, and what is stored.
//!
//! Each version has a data key of its own from KMS, bound to the secret and the version by the encryption context. The value is
//! sealed with it here, and the plaintext key is gone when the call ends. The record around it is sealed once more by the store.

use coffer_core::{Cx, table};
use coffer_crypto::{NONCE_LEN, constant_time_eq, open, seal};
use coffer_shape::ApiError;
use coffer_types::Secret;

use crate::{
    data_key::{self, DataKey, WrappedKey},
    error::SecretError,
    secret::{SecretRecord, VersionEntry},
};

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

table! {
    0x31 "secret-version", version 1, key (secret_arn, version_id), part;

    /// The sealed value of one version.
    #[derive(Clone)]
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

/// Seals a value as a version of a secret and saves it.
pub(crate) fn store_version(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    version_id: &str,
    value: &SecretValue,
) -> Result<VersionEntry, ApiError> {
    let (data_key, wrapped) = data_key::make(cx, secret, version_id)?;
    save_sealed(cx, secret, version_id, value, &data_key, wrapped)
}

/// The same with a data key that another secret has for this version: who copies may wrap it by this one's key, and need not be able
/// to make another.
pub(crate) fn store_copy(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    version_id: &str,
    opened: &Opened,
) -> Result<VersionEntry, ApiError> {
    let wrapped = data_key::wrap(cx, secret, version_id, &opened.data_key)?;
    save_sealed(cx, secret, version_id, &opened.value, &opened.data_key, wrapped)
}

fn save_sealed(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    version_id: &str,
    value: &SecretValue,
    data_key: &DataKey,
    wrapped: WrappedKey,
) -> Result<VersionEntry, ApiError> {
    let mut nonce = [0; NONCE_LEN];
    cx.entropy().fill(&mut nonce);
    let mut sealed = Vec::with_capacity(value.bytes().len() + 16);
    sealed.extend_from_slice(value.bytes());
    seal(data_key.expose(), &nonce, &associated_data(&secret.arn, version_id, value.kind()), &mut sealed);

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
        ..VersionEntry::default()
    })
}

/// A value, and the data key that it was sealed with.
pub(crate) struct Opened {
    pub(crate) value: SecretValue,
    data_key: DataKey,
}

/// Opens the value of a version.
pub(crate) fn open_version(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    version_id: &str,
) -> Result<SecretValue, ApiError> {
    open_with_key(cx, secret, version_id).map(|opened| opened.value)
}

pub(crate) fn open_with_key(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    version_id: &str,
) -> Result<Opened, ApiError> {
    let record = cx
        .part::<VersionRecord>(&[&secret.arn, version_id])?
        .ok_or_else(|| cx.internal(format!("a version of {} has lost its value", nameless(secret))))?;
    let data_key = data_key::open(cx, secret, version_id, &record.wrapped_keys)?;
    let mut plaintext = record.sealed.clone();
    let associated = associated_data(&secret.arn, version_id, &record.kind);
    let opened = match record.nonce.as_slice().try_into() {
        Ok(nonce) => open(data_key.expose(), nonce, &associated, &mut plaintext).is_ok(),
        Err(_) => false,
    };
    let plaintext = Secret::new(plaintext);
    if !opened {
        return Err(cx.internal(format!("a value of {} does not open", nameless(secret))));
    }
    if record.kind == "B" {
        return Ok(Opened { value: SecretValue::Binary(plaintext), data_key });
    }
    let text = String::from_utf8(plaintext.take()).map_err(|error| {
        drop(Secret::new(error.into_bytes()));
        cx.internal(format!("a text value of {} is not text", nameless(secret)))
    })?;
    Ok(Opened { value: SecretValue::String(Secret::new(text)), data_key })
}

/// As on AWS, whoever makes a secret under a customer's key, or gives it another value with UpdateSecret, must also be able to read what
/// he has written.
pub(crate) fn prove(cx: &mut Cx<'_>, secret: &SecretRecord, version_id: &str) -> Result<(), ApiError> {
    if secret.kms_key_id.is_some() {
        open_version(cx, secret, version_id)?;
    }
    Ok(())
}

/// What a log may call a secret: the random end of its ARN, which is unique enough to find it and tells nothing.
pub(crate) fn nameless(secret: &SecretRecord) -> String {
    let suffix = secret.arn.rsplit('-').next().unwrap_or_default();
    format!("the secret ending in -{suffix}")
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

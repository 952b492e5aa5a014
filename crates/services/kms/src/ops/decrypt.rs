//! Decrypt.

use std::sync::Arc;

use coffer_core::Cx;
use coffer_model::kms::{DecryptRequest, DecryptResponse, action};
use coffer_shape::{Action, ApiError};
use coffer_types::Secret;

use super::encrypt::ensure_encrypts;
use crate::{
    blob::Blob,
    context::{self, Context},
    error::KmsError,
    grant::check_tokens,
    key::KeyRecord,
    named::{Use, key_id, permitted, permitted_by_ciphertext},
    spec::SYMMETRIC_DEFAULT,
};

pub(crate) fn decrypt(cx: &mut Cx<'_>, input: DecryptRequest) -> Result<DecryptResponse, ApiError> {
    let context = context::from_request(input.encryption_context)?;
    if input.recipient.is_some() {
        return Err(KmsError::Recipient.into());
    }
    let algorithm = input.encryption_algorithm.unwrap_or_else(|| SYMMETRIC_DEFAULT.to_owned());
    check_tokens(input.grant_tokens.as_ref())?;
    let sealed = Sealed {
        ciphertext: input.ciphertext_blob,
        key_id: input.key_id,
        dry_run: input.dry_run,
        modifiers: input.dry_run_modifiers,
    };

    let to = Use { context: Some(&context), algorithm: Some(&algorithm), ..Use::default() };
    let key = sealed.key(cx, to, action::DECRYPT)?;
    ensure_encrypts(&key, &algorithm, "Decrypt")?;
    let (plaintext, material_id) = sealed.open(cx, &key, &algorithm, &context)?;
    super::ensure_meant(sealed.dry_run)?;
    crate::last_use::note(cx, &key, "Decrypt")?;

    Ok(DecryptResponse {
        key_id: Some(key.arn.clone()),
        plaintext: Some(plaintext),
        encryption_algorithm: Some(algorithm),
        key_material_id: material_id,
        ..DecryptResponse::default()
    })
}

/// A ciphertext, and what the caller says about it.
pub(super) struct Sealed {
    pub ciphertext: Option<Vec<u8>>,
    pub key_id: Option<String>,
    pub dry_run: Option<bool>,
    pub modifiers: Option<Vec<String>>,
}

impl Sealed {
    /// The key that the caller names, or else the one that the ciphertext names, once the caller may use it.
    pub(super) fn key(
        &self,
        cx: &mut Cx<'_>,
        to: Use<'_>,
        action: Action,
    ) -> Result<Arc<KeyRecord>, ApiError> {
        if self.ciphertext.is_none() && !self.is_ignored() {
            return Err(KmsError::CiphertextMissing.into());
        }
        match &self.key_id {
            Some(named) => permitted(cx, named, to, action),
            None if self.is_ignored() => Err(KmsError::KeyMissing.into()),
            None => permitted_by_ciphertext(cx, self.parsed()?.key_id, to, action),
        }
    }

    /// The id of that key, before anybody is asked.
    pub(super) fn key_id(&self, cx: &Cx<'_>) -> Result<Option<String>, ApiError> {
        match &self.key_id {
            Some(written) => key_id(cx, written),
            None => Ok(self.parsed().ok().map(|blob| blob.key_id.to_string())),
        }
    }

    /// The plaintext and, where AWS says it, the id of the material that closed it.
    pub(super) fn open(
        &self,
        cx: &Cx<'_>,
        key: &KeyRecord,
        algorithm: &str,
        context: &Context,
    ) -> Result<(Secret<Vec<u8>>, Option<String>), ApiError> {
        if self.is_ignored() {
            return Err(KmsError::DryRun.into());
        }
        if key.is_pair() {
            if !context.is_empty() {
                return Err(KmsError::ContextWithPair.into());
            }
            let ciphertext = self.ciphertext.as_deref().unwrap_or_default();
            return Ok((key.decrypt_with_pair(cx, algorithm, ciphertext)?, None));
        }
        let blob = self.parsed()?;
        if blob.key_id.to_string() != key.key_id {
            return Err(KmsError::IncorrectKey.into());
        }
        let material = key.material(&blob.material_prefix).ok_or(KmsError::InvalidCiphertext)?;
        let opened = material.as_symmetric().and_then(|bytes| blob.open(bytes, context));
        Ok((opened.ok_or(KmsError::InvalidCiphertext)?, Some(material.id.clone())))
    }

    fn parsed(&self) -> Result<Blob<'_>, KmsError> {
        Blob::parse(self.ciphertext.as_deref().unwrap_or_default()).ok_or(KmsError::InvalidCiphertext)
    }

    /// A dry run that is about the permission alone.
    fn is_ignored(&self) -> bool {
        let ignores = |words: &Vec<String>| words.iter().any(|word| word == "IGNORE_CIPHERTEXT");
        self.dry_run == Some(true) && self.modifiers.as_ref().is_some_and(ignores)
    }
}

//! GenerateMac and VerifyMac.

use std::sync::Arc;

use coffer_core::Cx;
use coffer_crypto::HmacHash;
use coffer_model::kms::{
    GenerateMacRequest, GenerateMacResponse, VerifyMacRequest, VerifyMacResponse, action,
};
use coffer_shape::{Action, ApiError};

use crate::{
    error::KmsError,
    grant::check_tokens,
    key::KeyRecord,
    named::{Use, permitted},
    spec::{KeySpec, KeyUsage},
    state::Class,
};

pub(crate) fn generate_mac(
    cx: &mut Cx<'_>,
    input: GenerateMacRequest,
) -> Result<GenerateMacResponse, ApiError> {
    check_tokens(input.grant_tokens.as_ref())?;

    let (action, operation) = (action::GENERATE_MAC, "GenerateMac");
    let (key, hash) = key_for(cx, &input.key_id, &input.mac_algorithm, action, operation)?;
    super::ensure_meant(input.dry_run)?;
    crate::last_use::note(cx, &key, operation)?;

    let material = key.current().ok_or_else(|| cx.internal("a key without material"))?;
    Ok(GenerateMacResponse {
        mac: Some(hash.code(material.bytes.expose(), input.message.expose())),
        mac_algorithm: Some(input.mac_algorithm),
        key_id: Some(key.arn.clone()),
    })
}

pub(crate) fn verify_mac(cx: &mut Cx<'_>, input: VerifyMacRequest) -> Result<VerifyMacResponse, ApiError> {
    check_tokens(input.grant_tokens.as_ref())?;

    let (action, operation) = (action::VERIFY_MAC, "VerifyMac");
    let (key, hash) = key_for(cx, &input.key_id, &input.mac_algorithm, action, operation)?;

    let material = key.current().ok_or_else(|| cx.internal("a key without material"))?;
    if !hash.verifies(material.bytes.expose(), input.message.expose(), &input.mac) {
        return Err(KmsError::InvalidMac.into());
    }
    super::ensure_meant(input.dry_run)?;
    crate::last_use::note(cx, &key, operation)?;
    Ok(VerifyMacResponse {
        key_id: Some(key.arn.clone()),
        mac_valid: Some(true),
        mac_algorithm: Some(input.mac_algorithm),
    })
}

fn key_for(
    cx: &mut Cx<'_>,
    key_id: &str,
    algorithm: &str,
    action: Action,
    operation: &'static str,
) -> Result<(Arc<KeyRecord>, HmacHash), ApiError> {
    let key = permitted(cx, key_id, Use::default(), action)?;
    key.ensure_usage(KeyUsage::GenerateVerifyMac, operation)?;
    key.spec.ensure_among(key.spec.mac_algorithms(), algorithm)?;
    key.ensure(Class::Use)?;
    let hash = match key.spec {
        KeySpec::Hmac224 => HmacHash::Sha224,
        KeySpec::Hmac256 => HmacHash::Sha256,
        KeySpec::Hmac384 => HmacHash::Sha384,
        KeySpec::Hmac512 => HmacHash::Sha512,
        KeySpec::SymmetricDefault
        | KeySpec::Rsa2048
        | KeySpec::Rsa3072
        | KeySpec::Rsa4096
        | KeySpec::P256
        | KeySpec::P384
        | KeySpec::P521
        | KeySpec::P256k1
        | KeySpec::Ed25519 => return Err(cx.internal("a key for codes without a hash")),
    };
    Ok((key, hash))
}

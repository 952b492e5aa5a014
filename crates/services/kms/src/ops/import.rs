//! GetParametersForImport, ImportKeyMaterial and DeleteImportedKeyMaterial.

use coffer_core::Cx;
use coffer_model::kms::{
    DeleteImportedKeyMaterialRequest, DeleteImportedKeyMaterialResponse, GetParametersForImportRequest,
    GetParametersForImportResponse, ImportKeyMaterialRequest, ImportKeyMaterialResponse, action,
};
use coffer_shape::ApiError;

use crate::{
    error::KmsError,
    import::{self, Brings, Brought, Expiry, Wrapping},
    named::{Use, permitted},
    spec::KeySpec,
    state::Class,
};

pub(crate) fn get_parameters_for_import(
    cx: &mut Cx<'_>,
    input: GetParametersForImportRequest,
) -> Result<GetParametersForImportResponse, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::GET_PARAMETERS_FOR_IMPORT)?;
    key.ensure_external()?;
    key.ensure(Class::Import)?;
    let wrapping = Wrapping::parse(&input.wrapping_algorithm).ok_or(KmsError::Unsupported)?;
    let spec = KeySpec::parse(&input.wrapping_key_spec).ok_or(KmsError::Unsupported)?;

    let given = import::parameters(cx, &key, wrapping, spec)?;
    Ok(GetParametersForImportResponse {
        key_id: Some(key.arn.clone()),
        import_token: Some(given.token),
        public_key: Some(given.public_key.into()),
        parameters_valid_to: Some(given.valid_to),
    })
}

pub(crate) fn import_key_material(
    cx: &mut Cx<'_>,
    input: ImportKeyMaterialRequest,
) -> Result<ImportKeyMaterialResponse, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::IMPORT_KEY_MATERIAL)?;
    key.ensure_external()?;
    key.ensure(Class::Import)?;
    let expiry = Expiry::from_request(cx.now(), input.expiration_model.as_deref(), input.valid_to)?;
    let as_what = match input.import_type.as_deref() {
        None => None,
        Some("NEW_KEY_MATERIAL") => Some(Brings::New),
        Some(_) => Some(Brings::Existing),
    };

    let bytes = import::unwrap(cx, &key, &input.import_token, &input.encrypted_key_material)?;
    let mut key = (*key).clone();
    let brought = Brought {
        bytes,
        as_what,
        id: input.key_material_id,
        expiry,
        description: input.key_material_description,
    };
    let id = key.take_in(cx.now(), brought)?;
    let answer =
        ImportKeyMaterialResponse { key_id: Some(key.arn.clone()), key_material_id: key.shown_id(id) };
    super::save_and_wake(cx, key)?;
    Ok(answer)
}

/// A key without material is left as it is.
pub(crate) fn delete_imported_key_material(
    cx: &mut Cx<'_>,
    input: DeleteImportedKeyMaterialRequest,
) -> Result<DeleteImportedKeyMaterialResponse, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::DELETE_IMPORTED_KEY_MATERIAL)?;
    key.ensure_external()?;
    key.ensure(Class::DeleteImported)?;

    let mut key = (*key).clone();
    let id = key.forget(input.key_material_id.as_deref())?;
    let answer = DeleteImportedKeyMaterialResponse {
        key_id: Some(key.arn.clone()),
        key_material_id: id.and_then(|id| key.shown_id(id)),
    };
    cx.save(key)?;
    Ok(answer)
}

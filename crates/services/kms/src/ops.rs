//! The operations, by what they are about. Each is four paragraphs: understand the input, find and ask, change, answer.
//!
//! INVARIANT: the key is found, then permission is asked, then its usage is looked at, then its state, and then something is done.

mod aliases;
mod codes;
mod create_key;
mod data_keys;
mod decrypt;
mod deletion;
mod derive_shared_secret;
mod encrypt;
mod generate_data_key_pair;
mod get_public_key;
mod grants;
mod import;
mod keys;
mod multi_region;
mod policies;
mod random;
mod re_encrypt;
mod rotation;
mod sign;
mod tags;

use coffer_core::{Cx, Registry, Task};
use coffer_model::kms;
use coffer_shape::ApiError;

use crate::{error::KmsError, key::KeyRecord, tasks::KeyKeeper};

pub(crate) fn register(registry: &mut Registry) {
    registry.serve::<kms::CreateKey>(create_key::create_key);
    registry.serve::<kms::DescribeKey>(keys::describe_key);
    registry.serve::<kms::GetKeyLastUsage>(keys::get_key_last_usage);
    registry.serve::<kms::ListKeys>(keys::list_keys);
    registry.serve::<kms::EnableKey>(keys::enable_key);
    registry.serve::<kms::DisableKey>(keys::disable_key);
    registry.serve::<kms::UpdateKeyDescription>(keys::update_key_description);
    registry.serve::<kms::ScheduleKeyDeletion>(deletion::schedule_key_deletion);
    registry.serve::<kms::CancelKeyDeletion>(deletion::cancel_key_deletion);

    registry.serve::<kms::ReplicateKey>(multi_region::replicate_key);
    registry.serve::<kms::UpdatePrimaryRegion>(multi_region::update_primary_region);

    registry.serve::<kms::CreateAlias>(aliases::create_alias);
    registry.serve::<kms::UpdateAlias>(aliases::update_alias);
    registry.serve::<kms::DeleteAlias>(aliases::delete_alias);
    registry.serve::<kms::ListAliases>(aliases::list_aliases);

    registry.serve::<kms::Encrypt>(encrypt::encrypt);
    registry.serve::<kms::Decrypt>(decrypt::decrypt);
    registry.serve::<kms::ReEncrypt>(re_encrypt::re_encrypt);
    registry.serve::<kms::GenerateDataKey>(data_keys::generate_data_key);
    registry.serve::<kms::GenerateDataKeyWithoutPlaintext>(data_keys::generate_data_key_without_plaintext);
    registry.serve::<kms::GenerateRandom>(random::generate_random);
    registry.serve::<kms::GenerateMac>(codes::generate_mac);
    registry.serve::<kms::VerifyMac>(codes::verify_mac);

    registry.serve::<kms::GetPublicKey>(get_public_key::get_public_key);
    registry.serve::<kms::Sign>(sign::sign);
    registry.serve::<kms::Verify>(sign::verify);
    registry.serve::<kms::DeriveSharedSecret>(derive_shared_secret::derive_shared_secret);
    registry.serve::<kms::GenerateDataKeyPair>(generate_data_key_pair::generate_data_key_pair);
    registry.serve::<kms::GenerateDataKeyPairWithoutPlaintext>(
        generate_data_key_pair::generate_data_key_pair_without_plaintext,
    );

    registry.serve::<kms::PutKeyPolicy>(policies::put_key_policy);
    registry.serve::<kms::GetKeyPolicy>(policies::get_key_policy);
    registry.serve::<kms::ListKeyPolicies>(policies::list_key_policies);

    registry.serve::<kms::TagResource>(tags::tag_resource);
    registry.serve::<kms::UntagResource>(tags::untag_resource);
    registry.serve::<kms::ListResourceTags>(tags::list_resource_tags);

    registry.serve::<kms::EnableKeyRotation>(rotation::enable_key_rotation);
    registry.serve::<kms::DisableKeyRotation>(rotation::disable_key_rotation);
    registry.serve::<kms::GetKeyRotationStatus>(rotation::get_key_rotation_status);
    registry.serve::<kms::RotateKeyOnDemand>(rotation::rotate_key_on_demand);
    registry.serve::<kms::ListKeyRotations>(rotation::list_key_rotations);

    registry.serve::<kms::GetParametersForImport>(import::get_parameters_for_import);
    registry.serve::<kms::ImportKeyMaterial>(import::import_key_material);
    registry.serve::<kms::DeleteImportedKeyMaterial>(import::delete_imported_key_material);

    registry.serve::<kms::CreateGrant>(grants::create_grant);
    registry.serve::<kms::ListGrants>(grants::list_grants);
    registry.serve::<kms::ListRetirableGrants>(grants::list_retirable_grants);
    registry.serve::<kms::RetireGrant>(grants::retire_grant);
    registry.serve::<kms::RevokeGrant>(grants::revoke_grant);
}

/// Everything would have gone well, and that is all that was asked.
fn ensure_meant(dry_run: Option<bool>) -> Result<(), KmsError> {
    if dry_run.unwrap_or(false) { Err(KmsError::DryRun) } else { Ok(()) }
}

/// Saves a key whose time to be rotated or destroyed may have changed.
fn save_and_wake(cx: &mut Cx<'_>, key: KeyRecord) -> Result<(), ApiError> {
    cx.save(key)?;
    cx.activate(KeyKeeper::NAME);
    Ok(())
}

//! AWS Secrets Manager: secrets, their versions, and the labels that move between them.
//!
//! The whole service at a glance: an operation is a function in [`ops`], the rules it follows sit on [`Secret`](secret::SecretRecord)
//! and its versions, and every sentence a client can read as an error stands in `error.rs`.

mod data_key;
mod dependents;
mod erasure;
mod error;
mod examined;
mod filter;
mod identifier;
mod ops;
mod page;
mod password;
mod policy;
mod principal;
mod repair;
mod replication;
mod rotation;
mod secret;
mod tags;
mod tasks;
mod value;

use coffer_core::Registry;
use coffer_model::secretsmanager as model;

pub fn register(registry: &mut Registry) {
    registry.serve::<model::CreateSecret>(ops::create_secret);
    registry.serve::<model::GetSecretValue>(ops::get_secret_value);
    registry.serve::<model::BatchGetSecretValue>(ops::batch_get_secret_value);
    registry.serve::<model::PutSecretValue>(ops::put_secret_value);
    registry.serve::<model::UpdateSecret>(ops::update_secret);
    registry.serve::<model::DescribeSecret>(ops::describe_secret);
    registry.serve::<model::ListSecrets>(ops::list_secrets);
    registry.serve::<model::ListSecretVersionIds>(ops::list_secret_version_ids);
    registry.serve::<model::UpdateSecretVersionStage>(ops::update_secret_version_stage);
    registry.serve::<model::DeleteSecret>(ops::delete_secret);
    registry.serve::<model::RestoreSecret>(ops::restore_secret);
    registry.serve::<model::RotateSecret>(ops::rotate_secret);
    registry.serve::<model::CancelRotateSecret>(ops::cancel_rotate_secret);
    registry.serve::<model::TagResource>(ops::tag_resource);
    registry.serve::<model::UntagResource>(ops::untag_resource);
    registry.serve::<model::GetResourcePolicy>(ops::get_resource_policy);
    registry.serve::<model::PutResourcePolicy>(ops::put_resource_policy);
    registry.serve::<model::DeleteResourcePolicy>(ops::delete_resource_policy);
    registry.serve::<model::ValidateResourcePolicy>(ops::validate_resource_policy);
    registry.serve::<model::ListResourcePolicies>(ops::list_resource_policies);
    registry.serve::<model::ReplicateSecretToRegions>(ops::replicate_secret_to_regions);
    registry.serve::<model::RemoveRegionsFromReplication>(ops::remove_regions_from_replication);
    registry.serve::<model::StopReplicationToReplica>(ops::stop_replication_to_replica);
    registry.serve::<model::AssociateCrossAccountReplica>(ops::associate_cross_account_replica);
    registry.serve::<model::DisassociateCrossAccountReplica>(ops::disassociate_cross_account_replica);
    registry.serve::<model::GetRandomPassword>(ops::get_random_password);
    registry.depend(dependents::on_key);
    registry.task(tasks::DeletionReaper);
    registry.task(replication::Courier);
    registry.relay(replication::Replicator);
    registry.relay(replication::Messenger);
    registry.errand(rotation::engine::Rotator::default());
    registry.examine::<SecretRecord>();
    registry.examine::<VersionRecord>();
    registry.examine::<PolicyRecord>();
    registry.examine::<ReplicaRecord>();
    registry.examine::<NewsRecord>();
    registry.examine::<LinkRecord>();
    registry.examine::<RunRecord>();
}

pub use repair::{remove_secret_policy, secret_policy};

/// The tables of this service, for offline verification.
pub use policy::PolicyRecord;
pub use replication::{LinkRecord, NewsRecord, ReplicaRecord};
pub use rotation::{
    run::{FailureRecord, RunRecord},
    watch::{
        ActionView, Repair, RotationCount, RotationView, repair_rotation, retry_rotation, rotation,
        rotation_count, rotations,
    },
};
pub use secret::SecretRecord;
pub use value::VersionRecord;

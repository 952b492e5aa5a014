//! ScheduleKeyDeletion and CancelKeyDeletion.

use coffer_core::Cx;
use coffer_model::kms::{
    CancelKeyDeletionRequest, CancelKeyDeletionResponse, ScheduleKeyDeletionRequest,
    ScheduleKeyDeletionResponse, action,
};
use coffer_shape::ApiError;

use crate::{
    error::KmsError,
    key::{DeletionRecord, KeyRecord},
    named::{Use, permitted},
    state::{Class, KeyState},
};

const WINDOW_DEFAULT_DAYS: i64 = 30;

/// Schedules the end of a key. Until then nobody can use it, and it can be taken back. How much is lost with it is on
/// record, because AWS's answer has no place for it.
pub(crate) fn schedule_key_deletion(
    cx: &mut Cx<'_>,
    input: ScheduleKeyDeletionRequest,
) -> Result<ScheduleKeyDeletionResponse, ApiError> {
    let window_days = input.pending_window_in_days.unwrap_or(WINDOW_DEFAULT_DAYS);
    if !(7..=30).contains(&window_days) {
        return Err(KmsError::DeletionWindow.into());
    }

    let key = permitted(cx, &input.key_id, Use::default(), action::SCHEDULE_KEY_DELETION)?;
    key.ensure(Class::ScheduleDeletion)?;

    let due_at = cx.now().plus_days(window_days);
    // A primary waits for its replicas to go first.
    let waits = key.has_replicas();
    let state = if waits { KeyState::PendingReplicaDeletion } else { KeyState::PendingDeletion };
    let deletion = Some(DeletionRecord { due_at, window_days });
    super::save_and_wake(cx, KeyRecord { state, deletion, ..(*key).clone() })?;
    let versions = cx.count_dependents(&key.arn)?;
    cx.also_tells("secretVersionsUnderKeyAlone", versions.to_string());
    Ok(ScheduleKeyDeletionResponse {
        key_id: Some(key.arn.clone()),
        deletion_date: (!waits).then_some(due_at),
        key_state: Some(state.as_str().to_owned()),
        pending_window_in_days: Some(window_days),
    })
}

/// Takes it back. The key stays disabled until somebody enables it; one whose material has gone meanwhile waits for that.
pub(crate) fn cancel_key_deletion(
    cx: &mut Cx<'_>,
    input: CancelKeyDeletionRequest,
) -> Result<CancelKeyDeletionResponse, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::CANCEL_KEY_DELETION)?;
    key.ensure(Class::CancelDeletion)?;

    let state = if key.lacks_material() { KeyState::PendingImport } else { KeyState::Disabled };
    super::save_and_wake(cx, KeyRecord { state, deletion: None, ..(*key).clone() })?;
    Ok(CancelKeyDeletionResponse { key_id: Some(key.arn.clone()) })
}

//! Work nobody waits for.

use std::ops::ControlFlow;

use coffer_core::{Cx, Next, PageOf, Place, Task, Walk, first_of, table};
use coffer_model::kms::action;
use coffer_shape::ApiError;
use coffer_types::Timestamp;

use crate::{
    alias::AliasRecord,
    grant::{GrantRecord, order as grant_order, remove},
    key::{Came, KeyRecord, order},
    multi_region::replica_gone,
    named::{Use, permitted},
    policy::PolicyRecord,
    rotation::event,
    state::KeyState,
};

table! {
    0x25 "kms-destroyed-key", version 1, key (key_id), part;

    /// A key that is no more. What it closed stays closed, and a store that has this and the key was put together from two.
    pub struct DestroyedRecord {
        pub key_id: String,
        pub arn: String,
        pub destroyed_at: Timestamp,
    }
}

/// Rotates keys whose time has come, destroys those whose deletion is due, and forgets imported material that is not valid any more.
#[derive(Debug)]
pub(crate) struct KeyKeeper;

/// A key goes with its aliases, which are fifty at most, and a transaction holds 256 records.
const KEYS_PER_STEP: usize = 2;
/// Of a key with more grants than this, so many go first; each is at most three records.
const GRANTS_PER_STEP: usize = 40;

impl Task for KeyKeeper {
    const NAME: &'static str = "key-keeper";

    fn step(&self, cx: &mut Cx<'_>) -> Result<Next, ApiError> {
        let now = cx.now();
        let permit = cx.ask_all(action::LIST_KEYS)?;
        let mut due = Vec::new();
        let mut next = Next::Idle;
        // Keys that wait for nothing stand before all others in this order.
        let before_all = Place { number: Some(i64::MIN), text: "", tie: "" };
        let how = Walk { order: order::DUE, after: Some(before_all), ..Walk::default() };
        cx.walk::<KeyRecord>(permit, how, &mut |key| {
            let Some(at) = key.due_at() else { return ControlFlow::Continue(()) };
            if at > now {
                next = Next::At(at);
            } else if due.len() == KEYS_PER_STEP {
                next = Next::Now;
            } else {
                due.push(key.key_id.clone());
                return ControlFlow::Continue(());
            }
            ControlFlow::Break(())
        })?;
        for key_id in due {
            // Read again by key: the list is no check of the commit, and the deletion may have been taken back.
            let key = permitted(cx, &key_id, Use::default(), action::SCHEDULE_KEY_DELETION)?;
            if key.due_at().is_none_or(|at| at > now) {
                continue;
            }
            if key.expires_at().is_some_and(|at| at <= now) {
                let mut key = (*key).clone();
                key.expire(now);
                event(cx, "DeleteExpiredKeyMaterial", &key);
                next = next.sooner(key.due_at().map_or(Next::Idle, Next::At));
                cx.save(key)?;
            } else if key.state == KeyState::PendingDeletion {
                next = next.sooner(destroy(cx, &key)?);
            } else {
                let mut key = (*key).clone();
                key.rotate(cx, Came::ByItself);
                next = next.sooner(key.due_at().map_or(Next::Idle, Next::At));
                cx.save(key)?;
            }
        }
        Ok(next)
    }
}

fn destroy(cx: &mut Cx<'_>, key: &KeyRecord) -> Result<Next, ApiError> {
    let permit = cx.ask_all::<GrantRecord>(action::LIST_GRANTS)?;
    let part = PageOf { order: grant_order::KEY, of: Some(&key.key_id) };
    let grants = first_of(cx, permit, part, GRANTS_PER_STEP)?;
    if !grants.is_empty() {
        let mut left = key.clone();
        for grant in &grants {
            remove(cx, &left, grant)?;
            left.grants = left.grants.saturating_sub(1);
        }
        return Ok(Next::Now);
    }
    for name in &key.aliases {
        cx.erase::<AliasRecord>(&[name])?;
    }
    cx.erase::<PolicyRecord>(&[&key.key_id])?;
    cx.erase::<KeyRecord>(&[&key.key_id])?;
    cx.save(DestroyedRecord { key_id: key.key_id.clone(), arn: key.arn.clone(), destroyed_at: cx.now() })?;
    replica_gone(cx, key)?;
    event(cx, "DeleteKey", key);
    Ok(Next::Idle)
}

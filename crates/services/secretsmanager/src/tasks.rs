//! Work nobody waits for.

use std::ops::ControlFlow;

use coffer_core::{Cx, Next, Place, Task, Walk};
use coffer_model::secretsmanager::action;
use coffer_shape::ApiError;

use crate::{
    erasure::erase_due,
    identifier::secret,
    secret::{SecretRecord, order},
};

/// Removes secrets whose recovery window has closed, with all their versions.
#[derive(Debug)]
pub(crate) struct DeletionReaper;

/// Erasing a secret writes up to 101 records, and a transaction holds 256.
const SECRETS_PER_STEP: usize = 2;

impl Task for DeletionReaper {
    const NAME: &'static str = "deletion-reaper";

    fn step(&self, cx: &mut Cx<'_>) -> Result<Next, ApiError> {
        let now = cx.now();
        let permit = cx.ask_all(action::LIST_SECRETS)?;
        let mut due = Vec::new();
        let mut next = Next::Idle;
        // Secrets that nobody deleted stand before all others in this order.
        let before_all = Place { number: Some(i64::MIN), text: "", tie: "" };
        let how = Walk { order: order::DELETION, after: Some(before_all), ..Walk::default() };
        cx.walk::<SecretRecord>(permit, how, &mut |secret| {
            let Some(at) = secret.deletion_due_at else { return ControlFlow::Continue(()) };
            if at > now {
                next = Next::At(at);
            } else if due.len() == SECRETS_PER_STEP {
                next = Next::Now;
            } else {
                due.push(secret.name.clone());
                return ControlFlow::Continue(());
            }
            ControlFlow::Break(())
        })?;
        for name in due {
            // Read again by key: the list is no check of the commit, and the secret may have been restored meanwhile.
            let Some(secret) = secret(cx, &name)?.permit(cx, action::DELETE_SECRET)?.if_any() else {
                continue;
            };
            if secret.deletion_due_at.is_some_and(|at| at <= now) {
                erase_due(cx, &secret)?;
            }
        }
        Ok(next)
    }
}

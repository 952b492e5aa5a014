//! Work nobody waits for.

use coffer_core::{Cx, EventKind, Next, ServiceEvent, Task, Unscoped};
use coffer_model::secretsmanager::action;
use coffer_shape::ApiError;

use crate::secret::{SecretRecord, erase};

/// Removes secrets whose recovery window has closed, with all their versions.
#[derive(Debug)]
pub(crate) struct DeletionReaper;

/// Erasing a secret writes up to 101 records, and a transaction holds 256.
const SECRETS_PER_STEP: usize = 2;

impl Task for DeletionReaper {
    const NAME: &'static str = "deletion-reaper";

    fn step(&self, cx: &mut Cx<'_>) -> Result<Next, ApiError> {
        let now = cx.now();
        let permit = cx.ask(action::LIST_SECRETS, &Unscoped)?;
        let mut due = Vec::new();
        let mut next = Next::Idle;
        cx.each::<SecretRecord>(permit, &mut |secret| match secret.deletion_due_at {
            Some(at) if at <= now => due.push(secret.name.clone()),
            Some(at) => next = next.sooner(Next::At(at)),
            None => {}
        })?;
        due.sort();
        let more = due.len() > SECRETS_PER_STEP;
        for name in due.into_iter().take(SECRETS_PER_STEP) {
            // Read again by key: the list is no check of the commit, and the secret may have been restored meanwhile.
            let Some(secret) = cx.part::<SecretRecord>(&[&name])? else { continue };
            if secret.deletion_due_at.is_some_and(|at| at <= now) {
                erase(cx, &secret)?;
                cx.record_event(ServiceEvent {
                    kind: EventKind::Service,
                    source: "secretsmanager.amazonaws.com",
                    name: "EndSecretVersionDelete",
                    details: vec![("SecretId", secret.arn.clone())],
                });
            }
        }
        Ok(if more { Next::Now } else { next })
    }
}

//! Carries a secret to its replicas, and takes replicas away.
//!
//! What is to be done stands in the records of the replicas. One that leaves needs nothing else: its primary may be gone by then.

use std::sync::Arc;

use coffer_core::{Cx, EventKind, Next, Pick, Relay, ServiceEvent};
use coffer_model::secretsmanager::{SERVICE, action};
use coffer_shape::{ApiError, ErrorSpec, ServiceSpec};

use super::{
    First, ReplicaRecord,
    content::{Arrived, Content, arn_here},
    first_due,
};
use crate::{erasure::erase_due, identifier::secret};

/// A primary hears of a promotion within moments; until then there is nothing to do for it.
const PROMOTION_HEARD_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Replicator;

pub(crate) struct Load {
    /// As it was when this was picked.
    replica: Arc<ReplicaRecord>,
    errand: Errand,
}

enum Errand {
    Copy(Box<Content>),
    /// The primary or a value of it does not open. There is nothing to carry, but it has to be noted like every other outcome.
    Unreadable {
        spec: ErrorSpec,
        message: String,
        cause: Option<String>,
    },
    Remove,
}

impl Errand {
    fn unreadable(error: ApiError) -> Self {
        let cause = error.cause.map(|cause| cause.to_string());
        Self::Unreadable { spec: error.spec, message: error.message, cause }
    }
}

pub(crate) enum Receipt {
    Copied(Arrived),
    Removed,
}

impl Relay for Replicator {
    const NAME: &'static str = "replicator";
    const SERVICE: &'static ServiceSpec = &SERVICE;
    type Load = Load;
    type Receipt = Receipt;

    fn pick(&self, here: &mut Cx<'_>) -> Result<Pick<Load>, ApiError> {
        let due_at = |replica: &ReplicaRecord| replica.due_at;
        let listed = match first_due(here, action::REPLICATE_SECRET_TO_REGIONS, due_at)? {
            First::Due(listed) => listed,
            First::Nothing(next) => return Ok(Pick::Nothing(next)),
        };
        // Read again by key: the list is no check of what follows.
        let replica = here.part::<ReplicaRecord>(&[&listed.secret_arn, &listed.region])?;
        let now = here.now();
        let Some(replica) = replica.filter(|replica| replica.due_at.is_some_and(|at| at <= now)) else {
            return Ok(Pick::Nothing(Next::Now));
        };
        let to = replica.region.parse().map_err(|error| here.internal(error))?;
        if replica.leaving {
            return Ok(Pick::Load { to, load: Load { replica, errand: Errand::Remove } });
        }
        let primary = secret(here, &replica.secret_arn)
            .and_then(|primary| primary.permit(here, action::REPLICATE_SECRET_TO_REGIONS));
        let primary = match primary {
            Ok(primary) => primary.if_any(),
            Err(error) => {
                return Ok(Pick::Load { to, load: Load { replica, errand: Errand::unreadable(error) } });
            }
        };
        let Some(primary) = primary.filter(|primary| primary.replica_regions.contains(&replica.region))
        else {
            // Nobody wants it.
            here.erase::<ReplicaRecord>(&[&replica.secret_arn, &replica.region])?;
            return Ok(Pick::Nothing(Next::Now));
        };
        if replica.begun != replica.change {
            here.record_event(event("ReplicationStarted", &replica));
            here.save(ReplicaRecord { begun: replica.change, ..ReplicaRecord::clone(&replica) })?;
        }
        let errand = match Content::of(here, &primary, &replica) {
            Ok(content) => Errand::Copy(Box::new(content)),
            Err(error) => Errand::unreadable(error),
        };
        Ok(Pick::Load { to, load: Load { replica, errand } })
    }

    fn deliver(&self, there: &mut Cx<'_>, load: &Load) -> Result<Receipt, ApiError> {
        match &load.errand {
            Errand::Copy(content) => content.arrive(there).map(Receipt::Copied),
            Errand::Unreadable { spec, message, cause } => {
                let error = ApiError::new(*spec, message.clone());
                Err(match cause {
                    Some(cause) => error.because(cause.clone()),
                    None => error,
                })
            }
            Errand::Remove => {
                remove(there, &load.replica)?;
                Ok(Receipt::Removed)
            }
        }
    }

    fn settle(
        &self,
        here: &mut Cx<'_>,
        load: &Load,
        outcome: &Result<Receipt, ApiError>,
    ) -> Result<(), ApiError> {
        let key = [load.replica.secret_arn.as_str(), load.replica.region.as_str()];
        // Somebody may have taken it away, or have more for it to hear of.
        let Some(replica) = here.part_if_whole::<ReplicaRecord>(&key)?.whole() else { return Ok(()) };
        let mut replica = Arc::unwrap_or_clone(replica);
        let is_latest = replica.change == load.replica.change;
        match outcome {
            // Of a replica that was to go, or to be made anew. This one is due, and its turn comes.
            _ if replica.incarnation != load.replica.incarnation => return Ok(()),
            Ok(Receipt::Removed) if is_latest => return here.erase::<ReplicaRecord>(&key),
            Ok(Receipt::Removed) => replica.held.clear(),
            Ok(Receipt::Copied(Arrived::Replica { held, accessed_on, complete })) => {
                replica.held.clone_from(held);
                replica.accessed_on = replica.accessed_on.max(*accessed_on);
                if is_latest && *complete {
                    replica.succeed();
                    here.record_event(event("ReplicationSucceeded", &replica));
                }
            }
            // The answer to something that has changed since. It is due, and asked again.
            Ok(Receipt::Copied(Arrived::Promoted)) | Err(_) if !is_latest => return Ok(()),
            Ok(Receipt::Copied(Arrived::Promoted)) => {
                replica.due_at = Some(here.now().plus(PROMOTION_HEARD_WITHIN));
            }
            Err(error) if error.is_fault() || replica.leaving => replica.put_off(here.now()),
            Err(error) => {
                replica.fail(&error.message);
                let mut event = event("ReplicationFailed", &replica);
                event.details.extend(replica.message.clone().map(|message| ("ErrorMessage", message)));
                here.record_event(event);
            }
        }
        here.save(replica)
    }
}

/// Deletes a replica at once, with all it has, whichever of those it is that its primary asked for. A secret that is not, or not any
/// more, a replica of this primary stays.
fn remove(cx: &mut Cx<'_>, replica: &ReplicaRecord) -> Result<(), ApiError> {
    let arn = arn_here(cx, &replica.secret_arn)?;
    let there = secret(cx, &arn)?.permit(cx, action::DELETE_SECRET)?.if_any();
    let Some(there) = there.filter(|there| there.is_replica_of(&replica.secret_arn)) else { return Ok(()) };
    erase_due(cx, &there)
}

fn event(name: &'static str, replica: &ReplicaRecord) -> ServiceEvent {
    ServiceEvent {
        kind: EventKind::Service,
        source: SERVICE.event_source,
        name,
        details: vec![
            ("SecretId", replica.secret_arn.clone()),
            // AWS's documentation does not name the region; an event for each region is of no use without it.
            ("ReplicaRegion", replica.region.clone()),
        ],
    }
}

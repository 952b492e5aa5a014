//! Tells a primary what happened to one of its replicas: that it was read, or that it is a replica no more.
//!
//! A replica that is promoted is a secret of its own from that moment on. The record of the news stays in its region until the primary
//! has dropped the region, and as long as it is there nothing that still comes from the primary is taken in.

use std::sync::Arc;

use coffer_core::{Cx, Listed, Next, Pick, Place, Relay, table};
use coffer_model::secretsmanager::{SERVICE, action};
use coffer_shape::{ApiError, ServiceSpec};
use coffer_types::{Region, Timestamp};

use super::{First, ReplicaRecord, content::arn_here, first_due, wait_after};
use crate::{error::SecretError, identifier::secret, secret::SecretRecord};

table! {
    0x36 "secret-replica-news", version 1, key (secret_arn), part;

    /// What a primary has to hear of a replica, in the partition of the replica.
    #[derive(Clone)]
    pub struct NewsRecord {
        /// The replica's.
        pub secret_arn: String,
        pub primary_region: String,
        /// The day on which it was last read.
        pub accessed_on: Option<Timestamp>,
        /// It is a secret of its own now.
        pub promoted: bool,
        pub due_at: Option<Timestamp>,
        /// Failures in a row.
        pub failures: i64,
        /// The replica's.
        pub incarnation: i64,
    }
}

impl Listed for NewsRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: self.due_at.map(Timestamp::millis), text: "", tie: &self.secret_arn }
    }
}

/// Makes a replica a secret of its own; the caller saves it.
pub(crate) fn promote(cx: &mut Cx<'_>, secret: &mut SecretRecord) -> Result<(), ApiError> {
    let primary_region = secret.primary_region.take().ok_or(SecretError::NotReplica)?;
    let before = cx.part::<NewsRecord>(&[&secret.arn])?;
    cx.save(NewsRecord {
        secret_arn: secret.arn.clone(),
        primary_region,
        accessed_on: before.and_then(|news| news.accessed_on),
        promoted: true,
        due_at: Some(cx.now()),
        failures: 0,
        incarnation: std::mem::take(&mut secret.incarnation),
    })?;
    cx.activate(Messenger::NAME);
    Ok(())
}

/// A replica was read for the first time today. Like the day itself, this may be lost.
pub(crate) fn note_access(cx: &mut Cx<'_>, secret: &SecretRecord) -> Result<(), ApiError> {
    let Some(primary_region) = secret.primary_region.clone() else { return Ok(()) };
    cx.save_if_possible(NewsRecord {
        secret_arn: secret.arn.clone(),
        primary_region,
        accessed_on: secret.accessed_on,
        promoted: false,
        due_at: Some(cx.now()),
        failures: 0,
        incarnation: secret.incarnation,
    })?;
    cx.activate(Messenger::NAME);
    Ok(())
}

#[derive(Debug)]
pub(crate) struct Messenger;

pub(crate) struct Load {
    news: Arc<NewsRecord>,
    from: Region,
}

impl Relay for Messenger {
    const NAME: &'static str = "replica-messenger";
    const SERVICE: &'static ServiceSpec = &SERVICE;
    type Load = Load;
    type Receipt = ();

    fn pick(&self, here: &mut Cx<'_>) -> Result<Pick<Load>, ApiError> {
        let due_at = |news: &NewsRecord| news.due_at;
        let listed = match first_due(here, action::STOP_REPLICATION_TO_REPLICA, due_at)? {
            First::Due(listed) => listed,
            First::Nothing(next) => return Ok(Pick::Nothing(next)),
        };
        let news = here.part::<NewsRecord>(&[&listed.secret_arn])?;
        let now = here.now();
        let Some(news) = news.filter(|news| news.due_at.is_some_and(|at| at <= now)) else {
            return Ok(Pick::Nothing(Next::Now));
        };
        let to = news.primary_region.parse().map_err(|error| here.internal(error))?;
        Ok(Pick::Load { to, load: Load { news, from: here.region().clone() } })
    }

    fn deliver(&self, there: &mut Cx<'_>, load: &Load) -> Result<(), ApiError> {
        let arn = arn_here(there, &load.news.secret_arn)?;
        let key = [arn.as_str(), load.from.as_str()];
        // If it is damaged, nobody knows which replica it was about, and its region stays until somebody removes it.
        let replica = there.part_if_whole::<ReplicaRecord>(&key)?.whole();
        // One that was asked for since is another replica.
        let Some(replica) = replica.filter(|replica| replica.incarnation == load.news.incarnation) else {
            return Ok(());
        };
        if !load.news.promoted {
            if replica.accessed_on < load.news.accessed_on {
                let accessed_on = load.news.accessed_on;
                there.save(ReplicaRecord { accessed_on, ..ReplicaRecord::clone(&replica) })?;
            }
            return Ok(());
        }
        there.erase::<ReplicaRecord>(&key)?;
        let primary = secret(there, &arn)?.permit(there, action::STOP_REPLICATION_TO_REPLICA)?.if_any();
        let lists = |primary: &Arc<SecretRecord>| {
            primary.replica_regions.iter().any(|region| region == load.from.as_str())
        };
        if let Some(primary) = primary.filter(lists) {
            let mut primary = Arc::unwrap_or_clone(primary);
            primary.replica_regions.retain(|region| region != load.from.as_str());
            primary.changed_at = there.now();
            there.save(primary)?;
        }
        Ok(())
    }

    fn settle(&self, here: &mut Cx<'_>, load: &Load, outcome: &Result<(), ApiError>) -> Result<(), ApiError> {
        let Some(news) = here.part::<NewsRecord>(&[&load.news.secret_arn])? else { return Ok(()) };
        if outcome.is_err() {
            let due_at = Some(here.now().plus(wait_after(news.failures)));
            let failures = news.failures.saturating_add(1);
            return here.save(NewsRecord { due_at, failures, ..NewsRecord::clone(&news) });
        }
        // There may be more to tell by now.
        if (news.promoted, news.accessed_on) == (load.news.promoted, load.news.accessed_on) {
            here.erase::<NewsRecord>(&[&load.news.secret_arn])?;
        }
        Ok(())
    }
}

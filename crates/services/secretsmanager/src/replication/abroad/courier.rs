//! Copies what primaries have for their replicas in other accounts.
//!
//! Each step is one transaction in both accounts, so there is nothing between two of them that a crash could leave behind: what was
//! copied is there, and the rest is due.

use std::sync::Arc;

use coffer_core::{Cx, EventKind, Next, Partition, ServiceEvent, Task};
use coffer_model::secretsmanager::{SERVICE, action};
use coffer_shape::{ApiError, ServiceSpec};

use super::{
    FAILED, IN_PROGRESS, IN_SYNC,
    copy::{Stop, copy},
    find_replica,
    link::LinkRecord,
    writer::who_replicates,
};
use crate::{
    error::{LINK_DELAYED, LinkTrouble, Linked},
    identifier::secret,
    replication::{First, first_due},
    secret::SecretRecord,
};

#[derive(Debug)]
pub(crate) struct Courier;

impl Task for Courier {
    const NAME: &'static str = "cross-account-replicator";
    const SERVICE: Option<&'static ServiceSpec> = Some(&SERVICE);

    fn step(&self, cx: &mut Cx<'_>) -> Result<Next, ApiError> {
        let link = match next_link(cx)? {
            Ok(link) => link,
            Err(next) => return Ok(next),
        };
        if let Err(fault) = cx.attempt(|cx| carry(cx, link.clone())) {
            cx.goes_on_without(&fault);
            put_off(cx, link)?;
        }
        Ok(Next::Now)
    }

    /// What is done in two accounts may never come to be in either, if somebody on the other side writes there all the time. That must not
    /// hold up other links, so the one that is first waits longer each time. Only this side has it on record.
    fn put_off(&self, cx: &mut Cx<'_>) -> Result<bool, ApiError> {
        let Ok(mut link) = next_link(cx)? else { return Ok(false) };
        link.put_off(cx.now(), LINK_DELAYED);
        cx.save(link)?;
        Ok(true)
    }
}

/// The link that has waited longest, or when there is something to do.
fn next_link(cx: &mut Cx<'_>) -> Result<Result<LinkRecord, Next>, ApiError> {
    let due_at = |link: &LinkRecord| link.due_at;
    let listed = match first_due(cx, action::ASSOCIATE_CROSS_ACCOUNT_REPLICA, due_at)? {
        First::Due(listed) => listed,
        First::Nothing(next) => return Ok(Err(next)),
    };
    // Read again by key: the list is no check of what follows.
    let link = cx.part::<LinkRecord>(&[&listed.secret_arn])?;
    let now = cx.now();
    let link = link.filter(|link| link.due_at.is_some_and(|at| at <= now));
    Ok(link.map(Arc::unwrap_or_clone).ok_or(Next::Now))
}

/// One piece of what a link has to copy.
fn carry(cx: &mut Cx<'_>, mut link: LinkRecord) -> Result<(), ApiError> {
    let primary = secret(cx, &link.secret_arn)?.permit(cx, action::ASSOCIATE_CROSS_ACCOUNT_REPLICA)?;
    let primary =
        primary.if_any().filter(|primary| primary.replica_abroad.as_ref() == Some(&link.replica_arn));
    let Some(primary) = primary else {
        // Nobody wants it.
        return cx.erase::<LinkRecord>(&[&link.secret_arn]);
    };
    let Some((place, replica)) = find_replica(cx, &link.replica_arn, &link.secret_arn)? else {
        link.detach();
        return cx.save(link);
    };
    let mut sides = Sides { place, replica };
    if !link.has_begun {
        sides.tell(cx, &link, "ReplicationStarted", None);
        link.has_begun = true;
    }
    match copied(cx, &link, &primary, &mut sides)? {
        Ok(true) => {
            link.succeed();
            sides.show(IN_SYNC, None);
            sides.tell(cx, &link, "ReplicationSucceeded", None);
        }
        Ok(false) => {
            link.proceed();
            sides.show(IN_PROGRESS, None);
        }
        Err(trouble) => {
            let told = [Linked::Primary, Linked::Replica]
                .map(|side| format!("Replication failed: {}", trouble.reason(side)));
            sides.tell(cx, &link, "ReplicationFailed", Some(&told));
            let [of_primary, of_replica] = told;
            link.fail(of_primary);
            sides.show(FAILED, Some(of_replica));
        }
    }
    sides.save(cx)?;
    cx.save(link)
}

/// Whether all is there now, or what is in the way of it; then nothing was copied.
fn copied(
    cx: &mut Cx<'_>,
    link: &LinkRecord,
    primary: &SecretRecord,
    sides: &mut Sides,
) -> Result<Result<bool, LinkTrouble>, ApiError> {
    if !link.is_admitted() {
        return Ok(Err(LinkTrouble::OtherOrganization));
    }
    let who = match who_replicates(cx, link)? {
        Ok(who) => who,
        Err(trouble) => return Ok(Err(trouble)),
    };
    let mut replica = sides.replica.clone();
    match cx.attempt(|cx| copy(cx, &who, primary, &sides.place, &mut replica)) {
        Ok(complete) => {
            if !super::copy::is_equal(&replica, &sides.replica) {
                replica.changed_at = cx.now();
            }
            sides.replica = replica;
            Ok(Ok(complete))
        }
        Err(Stop::Trouble(trouble)) => Ok(Err(trouble)),
        Err(Stop::Fault(error)) => Err(error),
    }
}

/// A fault of ours: both sides show that it takes longer.
fn put_off(cx: &mut Cx<'_>, mut link: LinkRecord) -> Result<(), ApiError> {
    let shown = cx.attempt(|cx| {
        let found = find_replica(cx, &link.replica_arn, &link.secret_arn)?;
        let Some((place, replica)) = found else { return Ok(false) };
        let mut sides = Sides { place, replica };
        sides.show(IN_PROGRESS, Some(LINK_DELAYED.to_owned()));
        sides.save(cx)?;
        Ok(true)
    });
    match shown {
        Ok(true) => link.proceed(),
        Ok(false) => {}
        Err(error) => cx.goes_on_without(&error),
    }
    link.put_off(cx.now(), LINK_DELAYED);
    cx.save(link)
}

/// The other side.
struct Sides {
    place: Partition,
    replica: SecretRecord,
}

impl Sides {
    fn show(&mut self, status: &str, message: Option<String>) {
        if let Some(primary) = &mut self.replica.primary_abroad {
            primary.show(status, message);
        }
    }

    fn save(self, cx: &mut Cx<'_>) -> Result<(), ApiError> {
        cx.there(&self.place, |cx| cx.save(self.replica))
    }

    /// Each account has it on record, about its own secret and with its own words.
    fn tell(&self, cx: &mut Cx<'_>, link: &LinkRecord, name: &'static str, told: Option<&[String; 2]>) {
        let [of_primary, of_replica] = told.map_or([None, None], |told| told.each_ref().map(Some));
        cx.record_event(event(name, &link.secret_arn, of_primary));
        cx.there(&self.place, |cx| cx.record_event(event(name, &link.replica_arn, of_replica)));
    }
}

fn event(name: &'static str, secret_arn: &str, message: Option<&String>) -> ServiceEvent {
    let mut details = vec![("SecretId", secret_arn.to_owned())];
    details.extend(message.map(|message| ("ErrorMessage", message.clone())));
    ServiceEvent { kind: EventKind::Service, source: SERVICE.event_source, name, details }
}

//! The side of the primary: one link to a replica in another account, in whose name it is followed, and how far that is.

use std::sync::Arc;

use coffer_core::{Cx, Kept, Listed, Place, Resource, table};
use coffer_model::{
    iam,
    secretsmanager::{
        self as model, AssociateCrossAccountReplicaRequest, CrossAccountReplicaEntry, ReplicaRestrictionType,
        action,
    },
};
use coffer_shape::{ApiError, ConditionValue, Operation, OperationSpec};
use coffer_types::{Arn, PARTITION, Timestamp};

use super::{
    DETACHED, FAILED, IN_PROGRESS, IN_SYNC, copy, courier::Courier, other_side, place_of, show_detached,
    writer,
};
use crate::{
    data_key,
    error::{KmsSide, Linked, SecretError, from_kms},
    identifier::{Target, secret},
    principal::PrincipalRecord,
    replication::wait_after,
    secret::SecretRecord,
};

/// The acceptance on the other side: a question and an entry in the audit trail, but nothing that anybody can call.
static ACCEPT: OperationSpec = OperationSpec {
    name: "AcceptCrossAccountReplication",
    action: action::ACCEPT_CROSS_ACCOUNT_REPLICATION,
    ..*model::AssociateCrossAccountReplica::SPEC
};
/// What is shown of a link of which nothing can be read any more.
const DAMAGED: &str =
    "Replication failed: what is known of this replica is damaged. Disassociate it, or associate it again.";

table! {
    0x35 "secret-replica-abroad", version 1, key (secret_arn), part;

    #[derive(Clone)]
    pub struct LinkRecord {
        /// The primary's.
        pub secret_arn: String,
        pub replica_arn: String,
        /// Taken on for each run; without one, whoever changed the primary last is who replicates.
        pub role_arn: Option<String>,
        pub restriction: String,
        /// As both sides have it on record.
        pub status: String,
        pub message: Option<String>,
        /// When there is something to do about it; none if there is nothing.
        pub due_at: Option<Timestamp>,
        /// The run that is due is on record as one that has begun.
        pub has_begun: bool,
        /// Faults in a row.
        pub faults: i64,
        pub writer: Option<Box<PrincipalRecord>>,
    }
}

/// In the order in which they are due; those that are not come first.
impl Listed for LinkRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: self.due_at.map(Timestamp::millis), text: "", tie: &self.secret_arn }
    }
}

impl LinkRecord {
    /// Another run is wanted. Both sides have it on record when it begins. Coffer itself has no name to do it in: what it changed is copied
    /// in that of whoever changed the primary last, or linked the two since.
    fn make_due(&mut self, now: Timestamp, writer: Option<PrincipalRecord>) {
        self.message = None;
        self.has_begun = false;
        self.faults = 0;
        self.due_at = Some(now);
        if let Some(writer) = writer {
            self.writer = Some(Box::new(writer));
        }
    }

    /// A run has begun, and both sides say so.
    pub(super) fn proceed(&mut self) {
        IN_PROGRESS.clone_into(&mut self.status);
    }

    pub(super) fn succeed(&mut self) {
        self.end(IN_SYNC, None);
    }

    /// It stays so until somebody writes, or associates the two again.
    pub(super) fn fail(&mut self, message: String) {
        self.end(FAILED, Some(message));
    }

    pub(super) fn detach(&mut self) {
        self.end(DETACHED, None);
    }

    fn end(&mut self, status: &str, message: Option<String>) {
        status.clone_into(&mut self.status);
        self.message = message;
        self.has_begun = false;
        self.faults = 0;
        self.due_at = None;
    }

    /// A fault of ours says nothing about the link: it is tried again, later each time.
    pub(super) fn put_off(&mut self, now: Timestamp, message: &str) {
        self.due_at = Some(now.plus(wait_after(self.faults)));
        self.faults = self.faults.saturating_add(1);
        self.message = Some(message.to_owned());
    }

    /// Whether the replica must know of it too.
    pub(crate) fn is_live(&self) -> bool {
        self.status != DETACHED
    }

    /// Whether a replica in this account may be followed at all.
    pub(super) fn is_admitted(&self) -> bool {
        admits(ReplicaRestrictionType::try_from(self.restriction.as_str()).ok())
    }

    /// What is to be copied is behind, whether the other side has heard of it or not.
    fn shown_status(&self) -> &str {
        if self.due_at.is_some() { IN_PROGRESS } else { &self.status }
    }

    fn to_answer(&self) -> CrossAccountReplicaEntry {
        CrossAccountReplicaEntry {
            replica_secret_arn: Some(self.replica_arn.clone()),
            replication_role_arn: self.role_arn.clone(),
            replication_status: Some(self.shown_status().to_owned()),
            status_message: self.message.clone(),
        }
    }
}

/// Accounts know of no organization here, and one outside of any has none in common with another.
const fn admits(restriction: Option<ReplicaRestrictionType>) -> bool {
    match restriction {
        Some(ReplicaRestrictionType::NoRestriction) => true,
        Some(ReplicaRestrictionType::SameOrg) | None => false,
    }
}

/// A link that a caller asks for.
pub(crate) struct Wanted {
    replica: Arn,
    role: Option<Arn>,
    restriction: ReplicaRestrictionType,
}

/// Understands a request for a link.
pub(crate) fn understand_link(
    cx: &Cx<'_>,
    input: &AssociateCrossAccountReplicaRequest,
) -> Result<Wanted, ApiError> {
    let replica = other_side(cx, "CrossAccountReplicaARN", &input.cross_account_replica_arn)?;
    let role = input.replication_role_arn.as_deref().map(|role| role_here(cx, role)).transpose()?;
    let restriction = match input.replica_restriction.as_deref() {
        None => ReplicaRestrictionType::SameOrg,
        Some(name) => {
            ReplicaRestrictionType::try_from(name).map_err(|_| cx.internal("an unknown restriction"))?
        }
    };
    Ok(Wanted { replica, role, restriction })
}

fn role_here(cx: &Cx<'_>, written: &str) -> Result<Arn, SecretError> {
    let is_role = |arn: &Arn| {
        arn.partition() == PARTITION
            && arn.service() == "iam"
            && arn.region().is_empty()
            && arn.account() == cx.account().as_str()
            && arn
                .resource()
                .strip_prefix("role/")
                .is_some_and(|name| !name.is_empty() && !name.ends_with('/'))
    };
    written.parse().ok().filter(is_role).ok_or(SecretError::NoRoleOfPrimary)
}

impl Wanted {
    /// What the caller needs beside the operation itself, as far as the primary's account has a say.
    pub(crate) fn ask(&self, cx: &Cx<'_>, primary: &Target) -> Result<(), ApiError> {
        cx.ask(action::GET_SECRET_VALUE, primary)?;
        if let Some(role) = &self.role {
            cx.ask(iam::action::PASS_ROLE, &RoleToPass(role))?;
        }
        Ok(())
    }
}

struct RoleToPass<'a>(&'a Arn);

impl Resource for RoleToPass<'_> {
    fn arn(&self) -> String {
        self.0.to_string()
    }

    fn condition(&self, _: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        let to = model::SERVICE.event_source;
        (key == "iam:passedtoservice").then(|| ConditionValue::One(to.to_owned()))
    }
}

/// Links a primary with its replica, if both sides admit it, or links them anew; the caller saves the primary. Whatever is wrong, both
/// secrets stay as they are.
pub(crate) fn associate(
    cx: &mut Cx<'_>,
    primary: &mut SecretRecord,
    wanted: &Wanted,
) -> Result<(), ApiError> {
    let arn = wanted.replica.as_str();
    if let Some(other) = primary.replica_abroad.as_ref().filter(|other| *other != arn) {
        return Err(SecretError::HasReplicaAbroad { arn: other.clone() }.into());
    }
    let place = place_of(cx, arn)?;
    let mut replica = cx.there(&place, |cx| accepted(cx, arn, &primary.arn))?;
    if !admits(Some(wanted.restriction)) {
        return Err(SecretError::OtherOrganization.into());
    }

    let writer = PrincipalRecord::of(cx.caller());
    let who = match &wanted.role {
        Some(role) => writer::session_of(cx, role, &primary.arn)?.ok_or(SecretError::RoleNotAssumable)?,
        None => cx.caller().clone(),
    };
    let opens = cx.in_the_name_of(&who, |cx| data_key::try_to_open(cx, primary));
    opens.map_err(|error| unusable(cx, Linked::Primary, error))?;
    let wraps = cx.there(&place, |cx| cx.in_the_name_of(&who, |cx| data_key::try_to_wrap(cx, &replica)));
    wraps.map_err(|error| unusable(cx, Linked::Replica, error))?;

    let now = cx.now();
    if let Some(primary) = &mut replica.primary_abroad {
        primary.show(IN_PROGRESS, None);
    }
    replica.changed_at = now;
    cx.there(&place, |cx| {
        cx.note_call(&ACCEPT, arn);
        cx.save(replica)
    })?;
    if let Kept::Damaged = cx.part_if_whole::<LinkRecord>(&[&primary.arn])? {
        cx.erase::<LinkRecord>(&[&primary.arn])?;
    }
    let mut link = LinkRecord {
        secret_arn: primary.arn.clone(),
        replica_arn: arn.to_owned(),
        role_arn: wanted.role.as_ref().map(Arn::to_string),
        restriction: wanted.restriction.as_str().to_owned(),
        ..LinkRecord::default()
    };
    link.make_due(now, writer);
    link.proceed();
    cx.save(link)?;
    primary.replica_abroad = Some(arn.to_owned());
    primary.changed_at = now;
    cx.activate(<Courier as coffer_core::Task>::NAME);
    Ok(())
}

/// The replica, if it takes this primary. Where no policy admits the caller, a secret that is not there looks the same.
fn accepted(cx: &mut Cx<'_>, arn: &str, primary_arn: &str) -> Result<SecretRecord, ApiError> {
    let target = secret(cx, arn)?.permit(cx, action::ACCEPT_CROSS_ACCOUNT_REPLICATION)?;
    let replica = target.if_any().filter(|replica| replica.follows(primary_arn));
    let replica = replica.ok_or_else(|| SecretError::NotItsReplica { arn: arn.to_owned() })?;
    Ok(SecretRecord::clone(&replica))
}

/// This operation has no error of its own for a key that cannot be used.
fn unusable(cx: &Cx<'_>, side: Linked, error: ApiError) -> ApiError {
    if error.is_fault() || error.code() == "AccessDeniedException" {
        return from_kms(cx, KmsSide::Encrypt, error);
    }
    ApiError::from(SecretError::KeyOfLinkUnusable { side }).because(error)
}

/// Lets go of a replica, which shows it; the caller saves the primary. Nobody is asked over there, where the replica may be gone.
pub(crate) fn disassociate(
    cx: &mut Cx<'_>,
    primary: &mut SecretRecord,
    replica_arn: &str,
) -> Result<(), ApiError> {
    if primary.replica_abroad.as_deref() != Some(replica_arn) {
        return Err(SecretError::NoSuchReplica.into());
    }
    show_detached(cx, replica_arn, &primary.arn)?;
    cx.erase::<LinkRecord>(&[&primary.arn])?;
    primary.replica_abroad = None;
    primary.changed_at = cx.now();
    Ok(())
}

/// The replica lets go. What the primary has of it stays until somebody disassociates it there.
pub(super) fn let_go(cx: &mut Cx<'_>, primary_arn: &str, replica_arn: &str) -> Result<(), ApiError> {
    let place = place_of(cx, primary_arn)?;
    cx.there(&place, |cx| {
        let Some(link) = cx.part_if_whole::<LinkRecord>(&[primary_arn])?.whole() else { return Ok(()) };
        if link.replica_arn != replica_arn {
            return Ok(());
        }
        let mut link = Arc::unwrap_or_clone(link);
        link.detach();
        cx.save(link)
    })
}

/// What saving a primary entails: if there is something else to copy now, its replica is behind, and whoever saved is who replicates.
/// Nothing of the other account is looked at, or whoever writes there all the time could keep others from writing here.
pub(crate) fn primary_saved(
    cx: &mut Cx<'_>,
    before: Option<&SecretRecord>,
    after: &SecretRecord,
) -> Result<(), ApiError> {
    if after.replica_abroad.is_none() || before.is_some_and(|before| copy::is_same(before, after)) {
        return Ok(());
    }
    let Some(link) = cx.part_if_whole::<LinkRecord>(&[&after.arn])?.whole() else { return Ok(()) };
    if !link.is_live() {
        return Ok(());
    }
    let mut link = Arc::unwrap_or_clone(link);
    link.make_due(cx.now(), PrincipalRecord::of(cx.caller()));
    cx.save(link)?;
    cx.activate(<Courier as coffer_core::Task>::NAME);
    Ok(())
}

/// What AWS shows of the replica of a secret; AWS leaves an empty list out.
pub(crate) fn shown_links(
    cx: &Cx<'_>,
    primary: &SecretRecord,
) -> Result<Option<Vec<CrossAccountReplicaEntry>>, ApiError> {
    let Some(replica_arn) = &primary.replica_abroad else { return Ok(None) };
    let entry = match cx.part_if_whole::<LinkRecord>(&[&primary.arn])? {
        Kept::Whole(link) => link.to_answer(),
        Kept::Nothing | Kept::Damaged => CrossAccountReplicaEntry {
            replica_secret_arn: Some(replica_arn.clone()),
            replication_status: Some(FAILED.to_owned()),
            status_message: Some(DAMAGED.to_owned()),
            ..CrossAccountReplicaEntry::default()
        },
    };
    Ok(Some(vec![entry]))
}

#[cfg(test)]
mod tests {
    use coffer_core::Principal;

    use super::*;

    #[test]
    fn what_is_to_be_copied_shows_at_once_and_is_on_record_when_it_begins() {
        let mut link = LinkRecord::default();
        let at = Timestamp::from_millis;
        link.succeed();
        link.make_due(at(1), None);
        assert_eq!((link.status.as_str(), link.shown_status()), (IN_SYNC, IN_PROGRESS));
        link.put_off(at(1), "later");
        assert_eq!((link.status.as_str(), link.shown_status()), (IN_SYNC, IN_PROGRESS));
        assert_eq!(link.message.as_deref(), Some("later"));
        link.proceed();
        assert_eq!((link.status.as_str(), link.shown_status()), (IN_PROGRESS, IN_PROGRESS));
        link.fail(String::from("no"));
        link.make_due(at(2), None);
        assert_eq!((link.status.as_str(), link.shown_status()), (FAILED, IN_PROGRESS));
        assert_eq!(link.message, None);
        link.detach();
        assert_eq!(link.shown_status(), DETACHED);
    }

    #[test]
    fn who_copies_is_the_last_who_wrote_also_what_coffer_changed_since() {
        let account = "111122223333".parse().unwrap();
        let mut link = LinkRecord::default();
        let mut names = Vec::new();
        let root = Principal::root(account, None);
        let other = Principal::root("222233334444".parse().unwrap(), None);
        let coffer = Principal::service(account, "secretsmanager.amazonaws.com");
        for (millis, by) in [(1, &root), (2, &other), (3, &coffer)] {
            link.make_due(Timestamp::from_millis(millis), PrincipalRecord::of(by));
            names.push(link.writer.as_ref().unwrap().arn.clone());
        }
        assert_eq!(names, [root.arn, other.arn.clone(), other.arn]);
    }
}

//! Replicas of a secret in another account.
//!
//! The owner of the replica makes it, empty and naming its primary; the owner of the primary then links the two. Neither can do it alone.
//! The replica is a secret of its own name, key, tags and policy; only its versions and labels are the primary's. What admits the
//! primary's account is a resource policy that belongs to the service and goes when the replica becomes a secret of its own.
//!
//! Both sides have on record how far the link is, and always the same: whatever changes that is one transaction in both accounts. So is
//! each piece that the [`Courier`] copies, and when one side has let go, nothing arrives any more.
//!
//! A write of the primary is no such transaction, because whoever has the replica must not be able to hold it up: it only notes that
//! there is something to copy. Until that has begun the primary shows it, and the replica does not know.
//!
//! This page is the side of the replica. That of the primary is in `link`; what is copied, and in whose name, in `copy` and `writer`.

mod copy;
mod courier;
mod link;
mod writer;

use coffer_core::{Cx, Partition, Principal, Resource, is_damage};
use coffer_model::secretsmanager::{self as model, CreateSecretRequest, CrossAccountPrimaryType, action};
use coffer_policy::{Document, Kind};
use coffer_shape::{ApiError, record};
use coffer_types::{Arn, PARTITION};

pub(crate) use courier::Courier;
pub use link::LinkRecord;
pub(crate) use link::{associate, disassociate, primary_saved, shown_links, understand_link};

use super::{FAILED, IN_PROGRESS, IN_SYNC};
use crate::{
    data_key,
    error::SecretError,
    identifier::{is_complete, secret},
    policy::{self, PolicyRecord, REPLICATION, written},
    secret::SecretRecord,
};

/// Nothing was copied yet, and the primary may not even exist.
const PENDING: &str = "Pending";
/// The other side has let go.
const DETACHED: &str = "Detached";

record! {
    /// Of a replica: which secret of another account it follows, and how far it is.
    #[derive(Clone, PartialEq)]
    pub struct PrimaryAbroad {
        /// Complete, so that a secret which is made anew under the old name is another one.
        pub arn: String,
        pub status: String,
        pub message: Option<String>,
    }
}

impl PrimaryAbroad {
    fn pending(arn: &Arn) -> Self {
        Self { arn: arn.to_string(), status: PENDING.to_owned(), message: None }
    }

    fn show(&mut self, status: &str, message: Option<String>) {
        status.clone_into(&mut self.status);
        self.message = message;
    }

    pub(crate) fn to_answer(&self) -> CrossAccountPrimaryType {
        CrossAccountPrimaryType {
            primary_secret_arn: Some(self.arn.clone()),
            replication_status: Some(self.status.clone()),
            status_message: self.message.clone(),
        }
    }
}

/// The primary that a new replica asks for. It is not looked for: the caller learns nothing about it, and it may not exist.
pub(crate) fn primary_wanted(cx: &Cx<'_>, input: &CreateSecretRequest) -> Result<Option<Arn>, SecretError> {
    let Some(written) = &input.cross_account_primary_arn else { return Ok(None) };
    let has_text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    for (member, is_there) in [
        ("SecretString", input.secret_string.is_some()),
        ("SecretBinary", input.secret_binary.is_some()),
        ("Description", has_text(&input.description)),
        ("AddReplicaRegions", input.add_replica_regions.is_some()),
        ("Type", has_text(&input.r#type)),
    ] {
        if is_there {
            return Err(SecretError::NotWithPrimaryAbroad { member });
        }
    }
    let primary = other_side(cx, "CrossAccountPrimaryARN", written)?;
    if data_key::chosen_key(cx, input.kms_key_id.clone()).is_none() {
        return Err(SecretError::ReplicaNeedsKey);
    }
    Ok(Some(primary))
}

/// Understands the ARN of the secret on the other side.
fn other_side(cx: &Cx<'_>, member: &'static str, written: &str) -> Result<Arn, SecretError> {
    let arn: Option<Arn> = written.parse().ok().filter(is_complete);
    let arn = arn.ok_or(SecretError::IncompleteArn { member })?;
    let is_near = arn.partition() == PARTITION && arn.region() == cx.region().as_str();
    if is_near && arn.account() != cx.account().as_str() {
        Ok(arn)
    } else {
        Err(SecretError::NotAcrossAccounts)
    }
}

/// A key that a replica may have: the default one is for its own account and never admits whoever copies.
pub(crate) fn check_key(cx: &mut Cx<'_>, secret: &SecretRecord) -> Result<String, ApiError> {
    let key_arn = data_key::check(cx, secret)?;
    // It may have been named by its id.
    if data_key::is_default(cx, &key_arn)? {
        return Err(SecretError::ReplicaNeedsKey.into());
    }
    Ok(key_arn)
}

/// Asks for a policy of the service that comes or goes with something else. Policies can tell it by its name.
pub(crate) fn ask_for_new_policy(cx: &mut Cx<'_>, resource: &dyn Resource) -> Result<(), ApiError> {
    policy::note_name(cx, REPLICATION);
    cx.ask(action::PUT_RESOURCE_POLICY, resource).map(drop)
}

/// Makes a new secret the replica of one in another account; the caller saves it.
pub(crate) fn follow(cx: &mut Cx<'_>, secret: &mut SecretRecord, primary: &Arn) -> Result<(), ApiError> {
    let text = admitting(primary.account(), &secret.arn);
    let document = Document::parse(Kind::Resource, &text).map_err(SecretError::MalformedPolicy)?;
    let policy = written(cx, text, &document)?;
    cx.save(PolicyRecord { secret_arn: secret.arn.clone(), name: REPLICATION.to_owned(), policy })?;
    secret.note_policy(REPLICATION);
    secret.primary_abroad = Some(Box::new(PrimaryAbroad::pending(primary)));
    Ok(())
}

/// What is attached to a replica. The text is ours; AWS's is not published. There is nothing in the two that JSON would have to escape.
fn admitting(account: &str, replica_arn: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"AllowCrossAccountReplication","Effect":"Allow","Principal":{{"AWS":"arn:{PARTITION}:iam::{account}:root"}},"Action":"secretsmanager:AcceptCrossAccountReplication","Resource":"{replica_arn}"}}]}}"#
    )
}

/// Makes a replica a secret of its own, with all it has but the policy of the service; the caller saves it. Nobody asks the owner of the
/// primary, who sees that the replica has gone.
pub(crate) fn stop_following(
    cx: &mut Cx<'_>,
    secret: &mut SecretRecord,
    resource: &dyn Resource,
) -> Result<(), ApiError> {
    policy::note_name(cx, REPLICATION);
    cx.ask(action::DELETE_RESOURCE_POLICY, resource)?;
    if let Some(primary) = secret.primary_abroad.take() {
        link::let_go(cx, &primary.arn, &secret.arn)?;
    }
    if secret.forget_policy(REPLICATION) {
        cx.erase::<PolicyRecord>(&[&secret.arn, REPLICATION])?;
    }
    Ok(())
}

/// Where the secret of this ARN is: in the same region, mostly in another account.
fn place_of(cx: &Cx<'_>, arn: &str) -> Result<Partition, ApiError> {
    let arn: Arn = arn.parse().map_err(|error| cx.internal(error))?;
    let account = arn.account().parse().map_err(|error| cx.internal(error))?;
    Ok(cx.neighbour(account))
}

/// The replica of a primary, and where it is; nothing if it is not, or not any more, a replica of this secret. Nobody is asked: the two
/// are linked, and the service keeps the link.
fn find_replica(
    cx: &mut Cx<'_>,
    replica_arn: &str,
    primary_arn: &str,
) -> Result<Option<(Partition, SecretRecord)>, ApiError> {
    let place = place_of(cx, replica_arn)?;
    let service = Principal::service(place.account, model::SERVICE.event_source);
    let found = cx.there(&place, |cx| {
        cx.in_the_name_of(&service, |cx| {
            secret(cx, replica_arn)?.permit(cx, action::ACCEPT_CROSS_ACCOUNT_REPLICATION)
        })
    })?;
    let found = found.if_any().filter(|found| found.follows(primary_arn));
    Ok(found.map(|found| (place, SecretRecord::clone(&found))))
}

/// Shows on the replica that its primary has let go. One that is gone shows nothing, nor does one that does not open any more; anything
/// else that is in the way may be over in a moment, and then it would show for ever what is not so.
fn show_detached(cx: &mut Cx<'_>, replica_arn: &str, primary_arn: &str) -> Result<(), ApiError> {
    let found = match find_replica(cx, replica_arn, primary_arn) {
        Err(error) if is_damage(&error) => {
            cx.goes_on_without(&error);
            None
        }
        found => found?,
    };
    let Some((place, mut replica)) = found else { return Ok(()) };
    if let Some(primary) = &mut replica.primary_abroad {
        primary.show(DETACHED, None);
    }
    replica.changed_at = cx.now();
    cx.there(&place, |cx| cx.save(replica))
}

impl SecretRecord {
    pub(crate) const fn is_replica_of_abroad(&self) -> bool {
        self.primary_abroad.is_some()
    }

    fn follows(&self, primary_arn: &str) -> bool {
        self.primary_abroad.as_ref().is_some_and(|primary| primary.arn == primary_arn)
    }

    /// Of a replica: the primary that must know of it, and what it must show of it too. One that waits, or was let go, stands alone.
    pub(crate) fn linked_primary(&self) -> Option<(&str, &str)> {
        let primary = self.primary_abroad.as_ref()?;
        let is_linked = [IN_PROGRESS, IN_SYNC, FAILED].contains(&primary.status.as_str());
        is_linked.then_some((primary.arn.as_str(), primary.status.as_str()))
    }

    /// Tags and the policy that users write: a replica in another region has those of its primary, one in another account its own.
    pub(crate) fn ensure_annotatable(&self) -> Result<(), SecretError> {
        self.ensure_live()?;
        if self.is_replica() { Err(SecretError::OnReplica) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_the_service_admits_the_account_of_the_primary_to_one_thing() {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:/a_+=.@!-b-AAAAAA";
        let document = Document::parse(Kind::Resource, &admitting("222233334444", arn)).unwrap();
        assert_eq!(document.statements.len(), 1);
        assert!(!document.is_public());
    }
}

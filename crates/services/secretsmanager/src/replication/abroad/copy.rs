//! What is copied of a primary to its replica in another account: the versions that hold a value and carry a label, and the labels.
//!
//! A version keeps its data key, which is wrapped by the replica's KMS key; its value is sealed anew for the place in which it is then.
//! Values come a few at a time, because a transaction is bounded, and the labels all at once when the last value is there: a reader of
//! the replica sees what the primary was at some instant. A version that loses its labels stays, as it does on the primary.

use coffer_core::{Cx, Kept, Partition, Principal};
use coffer_shape::ApiError;

use crate::{
    erasure::drop_versions,
    error::{LinkTrouble, Linked},
    replication::content::{VALUE_BYTES_MAX, VALUES_MAX, urgency},
    secret::{SecretRecord, VersionEntry},
    value::{VersionRecord, open_with_key, store_copy},
};

/// Why a piece was not copied.
pub(super) enum Stop {
    /// Somebody has to do something about it.
    Trouble(LinkTrouble),
    /// A fault of ours.
    Fault(ApiError),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Fault(error)
    }
}

/// Of a refusal by KMS, in the words of Secrets Manager.
fn stopped(side: Linked) -> impl Fn(ApiError) -> Stop {
    move |error| match error.code() {
        _ if error.is_fault() => Stop::Fault(error),
        "AccessDeniedException" => Stop::Trouble(LinkTrouble::KeyDenied(side)),
        // Switched off, about to be deleted, or of a kind that closes no data keys.
        _ => Stop::Trouble(LinkTrouble::KeyUnusable(side)),
    }
}

fn is_copied(version: &VersionEntry) -> bool {
    version.has_value && !version.labels.is_empty()
}

/// Whether there is the same to copy of both.
pub(super) fn is_same(one: &SecretRecord, other: &SecretRecord) -> bool {
    let copied = |secret: &SecretRecord| -> Vec<_> {
        let versions = secret.versions.iter().filter(|version| is_copied(version));
        versions.map(|version| (version.id.clone(), version.created_at, version.labels.clone())).collect()
    };
    copied(one) == copied(other)
}

/// Whether both show the same versions and labels.
pub(super) fn is_equal(one: &SecretRecord, other: &SecretRecord) -> bool {
    let shown = |secret: &SecretRecord| -> Vec<_> {
        let versions = secret.versions.iter();
        versions.map(|version| (version.id.clone(), version.created_at, version.labels.clone())).collect()
    };
    shown(one) == shown(other)
}

/// Whether the replica has this very version: an id whose version was removed may be used once more.
fn has(replica: &SecretRecord, version: &VersionEntry) -> bool {
    let held = replica.version(&version.id);
    held.is_some_and(|held| held.has_value && held.created_at == version.created_at)
}

/// The value of a version as the replica has it. What was lost or damaged there is copied again, like what was never there.
fn stored(
    cx: &mut Cx<'_>,
    place: &Partition,
    replica: &SecretRecord,
    version: &VersionEntry,
) -> Result<Kept<VersionRecord>, ApiError> {
    cx.there(place, |cx| cx.part_if_whole::<VersionRecord>(&[&replica.arn, &version.id]))
}

/// Copies the next values to a replica, which the caller saves there, and when none is missing any more, the labels. Whether all is done.
pub(super) fn copy(
    cx: &mut Cx<'_>,
    who: &Principal,
    primary: &SecretRecord,
    place: &Partition,
    replica: &mut SecretRecord,
) -> Result<bool, Stop> {
    let wanted: Vec<&VersionEntry> = primary.versions.iter().filter(|version| is_copied(version)).collect();
    let ids: Vec<&str> = wanted.iter().map(|version| version.id.as_str()).collect();
    let mut missing = Vec::new();
    for version in wanted {
        if !has(replica, version) || !matches!(stored(cx, place, replica, version)?, Kept::Whole(_)) {
            missing.push(version);
        }
    }
    missing.sort_by_key(|version| urgency(version));
    let mut bytes = 0;
    let mut left = missing.len();
    for version in missing.into_iter().take(VALUES_MAX) {
        let opened = cx.in_the_name_of(who, |cx| open_with_key(cx, primary, &version.id));
        let opened = opened.map_err(stopped(Linked::Primary))?;
        bytes += opened.value.len();
        if matches!(stored(cx, place, replica, version)?, Kept::Damaged) {
            cx.there(place, |cx| cx.erase::<VersionRecord>(&[&replica.arn, &version.id]))?;
        }
        let held = replica.versions.iter().position(|held| held.id == version.id);
        let held = held.map(|place| replica.versions.remove(place)).unwrap_or_default();
        let entry = cx.there(place, |cx| {
            let dropped = replica.make_room_beside(&ids, cx.now());
            let dropped = dropped.map_err(|_| Stop::Trouble(LinkTrouble::TooManyVersions))?;
            drop_versions(cx, replica, dropped)?;
            let stored = cx.in_the_name_of(who, |cx| store_copy(cx, replica, &version.id, &opened));
            stored.map_err(stopped(Linked::Replica))
        })?;
        // Labels that lead here go on doing so: whoever reads meanwhile finds what he finds at the end.
        let VersionEntry { labels, accessed_on, .. } = held;
        replica.versions.push(VersionEntry { created_at: version.created_at, labels, accessed_on, ..entry });
        left -= 1;
        if bytes >= VALUE_BYTES_MAX {
            break;
        }
    }
    replica.versions.sort_by_key(|version| version.created_at);
    if left > 0 {
        return Ok(false);
    }
    for version in &mut replica.versions {
        let theirs = primary.version(&version.id).filter(|theirs| theirs.created_at == version.created_at);
        version.labels = theirs.map(|theirs| theirs.labels.clone()).unwrap_or_default();
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use coffer_types::Timestamp;

    use super::*;
    use coffer_shape::ErrorSpec;

    #[test]
    fn only_a_missing_permission_is_told_as_one() {
        let error = |code, status| ApiError::new(ErrorSpec { code, status, message_member: "Message" }, "");
        for (code, told) in [
            ("AccessDeniedException", LinkTrouble::KeyDenied(Linked::Replica)),
            ("EncryptionFailure", LinkTrouble::KeyUnusable(Linked::Replica)),
            ("DecryptionFailure", LinkTrouble::KeyUnusable(Linked::Replica)),
            // An asymmetric key.
            ("InvalidParameterException", LinkTrouble::KeyUnusable(Linked::Replica)),
        ] {
            let Stop::Trouble(trouble) = stopped(Linked::Replica)(error(code, 400)) else { panic!("{code}") };
            assert_eq!(trouble, told, "{code}");
        }
        let fault = stopped(Linked::Replica)(error("InternalServiceError", 500));
        assert!(matches!(fault, Stop::Fault(_)));
    }

    #[test]
    fn what_carries_no_label_or_no_value_is_not_copied() {
        let version = |id: &str, has_value, labels: &[&str]| VersionEntry {
            id: id.to_owned(),
            has_value,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            ..VersionEntry::default()
        };
        let secret =
            SecretRecord { versions: vec![version("1", true, &["AWSCURRENT"])], ..SecretRecord::default() };
        let changed = |change: fn(&mut SecretRecord)| {
            let mut other = secret.clone();
            change(&mut other);
            !is_same(&secret, &other)
        };
        for (change, is_news) in [
            ((|secret| secret.versions[0].labels.push(String::from("blue"))) as fn(&mut SecretRecord), true),
            (|secret| secret.versions[0].created_at = Timestamp::from_millis(1), true),
            (|secret| secret.versions[0].labels.clear(), true),
            (|secret| secret.versions.clear(), true),
            (|secret| secret.versions[0].accessed_on = Some(Timestamp::from_millis(0)), false),
            (|secret| secret.description = Some(String::from("x")), false),
            (|secret| secret.tags = Some(Vec::new()), false),
            (|secret| secret.kms_key_id = Some(String::from("x")), false),
            (|secret| secret.policies.push(String::from("default")), false),
        ] {
            assert_eq!(changed(change), is_news);
        }
        let mut more = secret.clone();
        more.versions.extend([version("2", true, &[]), version("3", false, &["AWSPENDING"])]);
        assert!(is_same(&secret, &more));
    }
}

//! What has to be true of the records of this service.
//!
//! A secret knows its versions and its policies; their contents lie in rows of their own, which make sense only as long as the
//! secret names them.

use std::collections::HashSet;

use coffer_core::{Examined, Need, Record, Shared};

use crate::{
    policy::{PolicyRecord, REPLICATION},
    replication::{LinkRecord, NewsRecord, ReplicaRecord},
    rotation::run::RunRecord,
    secret::{CURRENT, PENDING, SecretRecord},
    value::VersionRecord,
};

/// Says what the two sides of a link say in the same words.
const LINK: &str = "cross-account replication";

impl Examined for SecretRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        for version in self.versions.iter().filter(|version| version.has_value) {
            let missing = "a version whose value is missing";
            need(Need { table: VersionRecord::TABLE, key: &[&self.arn, &version.id], missing });
        }
        for name in &self.policies {
            let missing = "a resource policy whose text is missing";
            need(Need { table: PolicyRecord::TABLE, key: &[&self.arn, name], missing });
        }
        for region in &self.replica_regions {
            let missing = "a replica of which nothing is known";
            need(Need { table: ReplicaRecord::TABLE, key: &[&self.arn, region], missing });
        }
        if self.rotation.is_some() {
            let missing = "a rotation of which nobody knows when it is due";
            need(Need { table: RunRecord::TABLE, key: &[&self.arn], missing });
        }
        if self.replica_abroad.is_some() {
            let missing = "a replica in another account of which nothing is known";
            need(Need { table: LinkRecord::TABLE, key: &[&self.arn], missing });
        }
    }

    fn shares(&self, share: &mut dyn FnMut(Shared<'_>)) {
        if let Some((primary_arn, status)) = self.linked_primary() {
            let alone =
                "a replica that follows a secret of another account, and is not what that knows of it";
            share(Shared { words: &[LINK, primary_arn, &self.arn, status], alone });
        }
    }

    fn contradictions(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        let labels = || self.versions.iter().flat_map(|version| &version.labels);
        let mut seen = HashSet::new();
        if !labels().all(|label| seen.insert(label)) {
            found.push("a secret with one staging label on two versions");
        }
        let current = self.holder(CURRENT);
        let has_values = self.versions.iter().any(|version| version.has_value);
        // What a rotation puts into a secret without a value becomes current when it is promoted, which may be never. A replica
        // has the version of the rotation and not the rotation.
        let rotates = self.rotation.is_some() || self.holder(PENDING).is_some();
        // The labels of a replica in another account come when all its values are there, and perhaps without that one.
        if current.is_none() && has_values && !rotates && !self.is_replica_of_abroad() {
            found.push("a secret with values of which none is AWSCURRENT");
        }
        if current.is_some_and(|version| !version.has_value) {
            found.push("a secret whose AWSCURRENT has no value");
        }
        if self.is_replica() && !self.replica_regions.is_empty() {
            found.push("a replica with replicas");
        }
        let has_replicas = !self.replica_regions.is_empty() || self.replica_abroad.is_some();
        if self.is_replica_of_abroad() && (self.is_replica() || has_replicas) {
            found.push("a replica of another account with a place in replication between regions");
        }
        if self.is_replica_of_abroad() != self.has_policy(REPLICATION) {
            found.push("a secret that admits another account's replication and is none of its replicas, or the reverse");
        }
        found
    }
}

impl Examined for VersionRecord {
    const ORPHAN: Option<&'static str> = Some("a value that no version of a secret names");

    fn shown(&self) -> &str {
        &self.secret_arn
    }
}

impl Examined for PolicyRecord {
    const ORPHAN: Option<&'static str> = Some("a resource policy that no secret names");

    fn shown(&self) -> &str {
        &self.secret_arn
    }
}

/// One that leaves outlives its secret, so none is an orphan.
impl Examined for ReplicaRecord {
    fn shown(&self) -> &str {
        &self.secret_arn
    }
}

/// What is to be done about the rotation of a secret.
impl Examined for RunRecord {
    const ORPHAN: Option<&'static str> = Some("what is to be done about the rotation of no secret");

    fn shown(&self) -> &str {
        &self.secret_arn
    }

    fn contradictions(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        if let Some(action) = &self.action {
            if action.step().is_none() {
                found.push("a rotation at a step that there is not");
            }
            if action.version_id.is_empty() {
                found.push("a rotation of no version");
            }
        }
        found
    }
}

impl Examined for LinkRecord {
    const ORPHAN: Option<&'static str> = Some("a link to another account that no secret names");

    fn shown(&self) -> &str {
        &self.secret_arn
    }

    fn shares(&self, share: &mut dyn FnMut(Shared<'_>)) {
        if self.is_live() {
            let alone = "a link to a secret of another account that is not what it says";
            share(Shared { words: &[LINK, &self.secret_arn, &self.replica_arn, &self.status], alone });
        }
    }
}

/// The replica that it is about may be gone, and is not needed for telling.
impl Examined for NewsRecord {
    fn shown(&self) -> &str {
        &self.secret_arn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{replication::PrimaryAbroad, secret::VersionEntry};

    fn version(id: &str, has_value: bool, labels: &[&str]) -> VersionEntry {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        VersionEntry { id: id.to_owned(), has_value, labels, ..VersionEntry::default() }
    }

    #[test]
    fn a_secret_says_what_contradicts_itself() {
        let table: [(&[VersionEntry], &[&str]); 6] = [
            (&[], &[]),
            (&[version("one", true, &[]), version("two", true, &["AWSCURRENT", "mine"])], &[]),
            (&[version("one", false, &["AWSPENDING"])], &[]),
            (
                &[version("one", true, &["AWSCURRENT"]), version("two", true, &["AWSCURRENT"])],
                &["a secret with one staging label on two versions"],
            ),
            (&[version("one", true, &["mine"])], &["a secret with values of which none is AWSCURRENT"]),
            (&[version("one", false, &["AWSCURRENT"])], &["a secret whose AWSCURRENT has no value"]),
        ];
        for (versions, expected) in table {
            let secret = SecretRecord { versions: versions.to_vec(), ..SecretRecord::default() };
            assert_eq!(secret.contradictions(), expected);
        }
    }

    #[test]
    fn a_replica_of_another_account_has_its_policy_and_nothing_between_regions() {
        let of_abroad = SecretRecord { primary_abroad: Some(Box::default()), ..SecretRecord::default() };
        assert_eq!(of_abroad.contradictions().len(), 1, "without the policy");
        let whole = SecretRecord { policies: vec![REPLICATION.to_owned()], ..of_abroad };
        assert!(whole.contradictions().is_empty());
        let regions = vec![String::from("us-east-1")];
        assert_eq!(SecretRecord { replica_regions: regions, ..whole }.contradictions().len(), 1);
    }

    #[test]
    fn the_two_sides_of_a_link_say_the_same_as_long_as_there_is_one() {
        fn said(of: &impl Examined) -> Vec<String> {
            let mut said = Vec::new();
            of.shares(&mut |shared| said.push(shared.words.join(" ")));
            said
        }
        let (primary, replica) = (String::from("primary"), String::from("replica"));
        for status in ["Pending", "InProgress", "InSync", "Failed", "Detached"] {
            let link = LinkRecord {
                secret_arn: primary.clone(),
                replica_arn: replica.clone(),
                status: status.to_owned(),
                ..LinkRecord::default()
            };
            let follows = PrimaryAbroad { arn: primary.clone(), status: status.to_owned(), message: None };
            let secret = SecretRecord {
                arn: replica.clone(),
                primary_abroad: Some(Box::new(follows)),
                ..SecretRecord::default()
            };
            let of_replica = said(&secret);
            if ["Pending", "Detached"].contains(&status) {
                assert_eq!(of_replica, [] as [&str; 0], "{status}");
            } else {
                assert_eq!(of_replica, said(&link), "{status}");
            }
        }
    }

    #[test]
    fn a_secret_needs_its_values_and_its_policies() {
        let versions = vec![version("one", true, &["AWSCURRENT"]), version("two", false, &["AWSPENDING"])];
        let policies = vec![String::from("default")];
        let arn = String::from("arn");
        let secret = SecretRecord { arn, versions, policies, ..SecretRecord::default() };
        let mut needed = Vec::new();
        secret.needs(&mut |need| needed.push((need.table.id, need.key.join(" "))));
        let expected = [(VersionRecord::TABLE.id, "arn one"), (PolicyRecord::TABLE.id, "arn default")];
        assert_eq!(needed, expected.map(|(table, key)| (table, key.to_owned())));
    }
}

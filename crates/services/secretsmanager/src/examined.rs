//! What has to be true of the records of this service.
//!
//! A secret knows its versions and its policies; their contents lie in rows of their own, which make sense only as long as the
//! secret names them.

use std::collections::HashSet;

use coffer_core::{Examined, Need, Record};

use crate::{
    policy::PolicyRecord,
    replication::{NewsRecord, ReplicaRecord},
    secret::{CURRENT, PENDING, SecretRecord},
    value::VersionRecord,
};

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
        if current.is_none() && has_values && !rotates {
            found.push("a secret with values of which none is AWSCURRENT");
        }
        if current.is_some_and(|version| !version.has_value) {
            found.push("a secret whose AWSCURRENT has no value");
        }
        if self.is_replica() && !self.replica_regions.is_empty() {
            found.push("a replica with replicas");
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

/// The replica that it is about may be gone, and is not needed for telling.
impl Examined for NewsRecord {
    fn shown(&self) -> &str {
        &self.secret_arn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::VersionEntry;

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

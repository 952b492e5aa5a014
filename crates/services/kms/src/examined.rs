//! What has to be true of the records of this service.

use coffer_core::{Examined, Excluded, Need, Record, Shared};

use crate::{
    alias::AliasRecord,
    grant::{GrantRecord, GranteeRecord},
    key::KeyRecord,
    policy::PolicyRecord,
    spec::Origin,
    state::KeyState,
    tasks::DestroyedRecord,
};

const NO_KEY: &str = "a part of a key that does not exist";

impl Examined for KeyRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        if self.managed_by.is_none() {
            let missing = "a key without a policy";
            need(Need { table: PolicyRecord::TABLE, key: &[&self.key_id], missing });
        }
        for name in &self.aliases {
            let missing = "a key with an alias that does not exist";
            need(Need { table: AliasRecord::TABLE, key: &[name], missing });
        }
    }

    /// Of two related keys each knows the other, and both have the same generations.
    fn shares(&self, share: &mut dyn FnMut(Shared<'_>)) {
        let Some(regions) = &self.regions else { return };
        let mut parts = self.arn.split(':').skip(3);
        let (Some(here), Some(account)) = (parts.next(), parts.next()) else { return };
        let materials = self.materials.iter().chain(&self.pending).map(|material| material.id.as_str());
        let common: Vec<&str> = [account, &self.key_id, &regions.primary]
            .into_iter()
            .chain(regions.replicas.iter().map(String::as_str))
            .chain(materials)
            .collect();
        for other in self.other_regions() {
            let mut words = vec![here.min(other), here.max(other)];
            words.extend(&common);
            share(Shared { words: &words, alone: "related keys of which one is not as the other knows it" });
        }
    }

    fn contradictions(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        if self.materials.is_empty() && self.origin == Origin::AwsKms {
            found.push("a key without key material");
        }
        let is_pending = matches!(self.state, KeyState::PendingDeletion | KeyState::PendingReplicaDeletion);
        if is_pending != self.deletion.is_some() {
            found.push("a key that is to be deleted at no time, or is not to be deleted at some");
        }
        found
    }
}

impl Examined for AliasRecord {
    fn shown(&self) -> &str {
        &self.name
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        let missing = "an alias of a key that does not exist";
        need(Need { table: KeyRecord::TABLE, key: &[&self.key_id], missing });
    }
}

impl Examined for PolicyRecord {
    fn shown(&self) -> &str {
        &self.key_id
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        need(Need { table: KeyRecord::TABLE, key: &[&self.key_id], missing: NO_KEY });
    }
}

impl Examined for GrantRecord {
    fn shown(&self) -> &str {
        &self.grant_id
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        need(Need { table: KeyRecord::TABLE, key: &[&self.key_id], missing: NO_KEY });
        let missing = "a grant that the list of its grantee does not know";
        need(Need { table: GranteeRecord::TABLE, key: &[&self.key_id, &self.grantee.id], missing });
    }
}

impl Examined for GranteeRecord {
    fn shown(&self) -> &str {
        &self.grantee
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        for grant_id in &self.grant_ids {
            let missing = "a grant that is listed and is not there";
            need(Need { table: GrantRecord::TABLE, key: &[&self.key_id, grant_id], missing });
        }
    }
}

impl Examined for DestroyedRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn excludes(&self, excluded: &mut dyn FnMut(Excluded<'_>)) {
        let present = "a key that was destroyed and is there";
        excluded(Excluded { table: KeyRecord::TABLE, key: &[&self.key_id], present });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{DeletionRecord, Material};

    #[test]
    fn a_key_says_what_contradicts_itself() {
        let key = || KeyRecord { materials: vec![Material::default()], ..KeyRecord::default() };
        let deletion = || Some(DeletionRecord::default());
        let pending = "a key that is to be deleted at no time, or is not to be deleted at some";
        for (key, expected) in [
            (key(), &[][..]),
            (KeyRecord { materials: vec![], ..key() }, &["a key without key material"]),
            (KeyRecord { deletion: deletion(), ..key() }, &[pending]),
            (KeyRecord { state: KeyState::PendingDeletion, ..key() }, &[pending]),
            (KeyRecord { state: KeyState::PendingDeletion, deletion: deletion(), ..key() }, &[]),
        ] {
            assert_eq!(key.contradictions(), expected);
        }
    }

    #[test]
    fn what_belongs_together_is_named() {
        let mut needed = Vec::new();
        let key = KeyRecord { key_id: "k".into(), aliases: vec!["alias/a".into()], ..KeyRecord::default() };
        key.needs(&mut |need| needed.push((need.table.id, need.key.join(" "))));
        let mut grant = GrantRecord { key_id: "k".into(), grant_id: "g".into(), ..GrantRecord::default() };
        grant.grantee.id = "AIDA".into();
        grant.needs(&mut |need| needed.push((need.table.id, need.key.join(" "))));
        let expected = [(0x22, "k"), (0x21, "alias/a"), (0x20, "k"), (0x24, "k AIDA")];
        assert_eq!(needed, expected.map(|(table, key)| (table, key.to_owned())));
    }
}

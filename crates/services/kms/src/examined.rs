//! What has to be true of the records of this service.

use coffer_core::{Examined, Need, Record};

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

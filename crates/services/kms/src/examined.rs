//! What has to be true of the records of this service.

use coffer_core::{Examined, Need, Record};

use crate::key::{AliasRecord, KeyRecord};

impl Examined for KeyRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn contradictions(&self) -> Vec<&'static str> {
        if self.materials.is_empty() { vec!["a key without key material"] } else { Vec::new() }
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

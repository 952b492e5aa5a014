//! What has to be true of the records of this service.

use coffer_core::{BlobRecord, BlobRef, Examined, Need, Record};

use crate::{
    alias::AliasRecord,
    event::{EventContentRecord, EventRecord},
    event_config::EventConfigRecord,
    function::{FunctionRecord, VersionRecord},
    layer::{LayerRecord, LayerVersionRecord},
    policy::PolicyRecord,
    revision::Revision,
};

const NO_FUNCTION: &str = "a part of a function that does not exist";

fn needs_package(package: &BlobRef, need: &mut dyn FnMut(Need<'_>)) {
    let missing = "code that is nowhere";
    need(Need { table: BlobRecord::TABLE, key: &[&package.digest], missing });
}

fn needs_packages(revision: &Revision, need: &mut dyn FnMut(Need<'_>)) {
    revision.packages().for_each(|package| needs_package(package, need));
}

impl Examined for FunctionRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        needs_packages(&self.latest, need);
        for version in &self.versions {
            let missing = "a function with a version that does not exist";
            need(Need { table: VersionRecord::TABLE, key: &[&self.name, &version.to_string()], missing });
        }
        for alias in &self.aliases {
            let missing = "a function with an alias that does not exist";
            need(Need { table: AliasRecord::TABLE, key: &[&self.name, alias], missing });
        }
        for qualifier in &self.policies {
            let missing = "a function with a policy that does not exist";
            need(Need { table: PolicyRecord::TABLE, key: &[&self.name, qualifier], missing });
        }
    }
}

impl Examined for VersionRecord {
    fn shown(&self) -> &str {
        &self.function
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        needs_packages(&self.revision, need);
        need(Need { table: FunctionRecord::TABLE, key: &[&self.function], missing: NO_FUNCTION });
    }
}

impl Examined for AliasRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        need(Need { table: FunctionRecord::TABLE, key: &[&self.function], missing: NO_FUNCTION });
    }
}

impl Examined for PolicyRecord {
    fn shown(&self) -> &str {
        &self.function
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        need(Need { table: FunctionRecord::TABLE, key: &[&self.function], missing: NO_FUNCTION });
    }
}

impl Examined for LayerRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        for version in &self.versions {
            let missing = "a layer with a version that does not exist";
            need(Need {
                table: LayerVersionRecord::TABLE,
                key: &[&self.name, &version.to_string()],
                missing,
            });
        }
    }
}

impl Examined for LayerVersionRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        needs_package(&self.package, need);
        let missing = "a version of a layer that does not exist";
        need(Need { table: LayerRecord::TABLE, key: &[&self.layer], missing });
    }
}

impl Examined for EventRecord {
    fn shown(&self) -> &str {
        &self.function
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        if let Some(package) = &self.package {
            needs_package(package, need);
        }
        if self.has_content_beside() {
            let missing = "an event without its content";
            need(Need { table: EventContentRecord::TABLE, key: &[&self.id], missing });
        }
    }
}

impl Examined for EventContentRecord {
    fn shown(&self) -> &str {
        &self.id
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        let missing = "the content of an event that does not exist";
        need(Need { table: EventRecord::TABLE, key: &[&self.id], missing });
    }
}

impl Examined for EventConfigRecord {
    fn shown(&self) -> &str {
        &self.function
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        need(Need { table: FunctionRecord::TABLE, key: &[&self.function], missing: NO_FUNCTION });
    }
}

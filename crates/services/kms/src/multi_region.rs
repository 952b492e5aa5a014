//! Keys of several regions.
//!
//! Related keys have an id in common, and so what one of them closed is opened by each. In its region each is a whole key, with a policy,
//! a state, tags, aliases and grants of its own: a region that cannot reach the others goes on with what it has. One of them is the
//! primary, which is the one that is replicated and rotated.
//!
//! INVARIANT: what related keys have in common (which they are, their material, how they are rotated) is changed in the primary and in the
//! same commit in all others, because that is part of saving it and not of any operation: see [`saved`]. So no key ever closes what another
//! cannot open. Material that came from outside is not copied: of that, related keys have only the names in common.

use coffer_core::{Cx, Kept, Partition, Task};
use coffer_model::kms::{MultiRegionConfiguration, MultiRegionKey};
use coffer_shape::{ApiError, record};
use coffer_types::Timestamp;

use crate::{
    error::KmsError,
    key::{DeletionRecord, KeyRecord, Material},
    rotation::event,
    spec::Origin,
    state::KeyState,
    tasks::KeyKeeper,
};

/// Ours: a change of a primary is one of all its replicas, and a transaction holds 256 records. AWS has fewer regions than this.
const REPLICAS_MAX: usize = 50;

record! {
    /// Where the keys of one id are.
    #[derive(Clone, PartialEq)]
    pub struct RegionsRecord {
        pub primary: String,
        /// Sorted.
        pub replicas: Vec<String>,
    }
}

impl RegionsRecord {
    pub(crate) fn of_new_primary(region: &str) -> Self {
        Self { primary: region.to_owned(), replicas: Vec::new() }
    }
}

impl KeyRecord {
    fn region(&self) -> &str {
        self.arn.split(':').nth(3).unwrap_or_default()
    }

    fn arn_in(&self, region: &str) -> String {
        let mut parts: Vec<&str> = self.arn.splitn(6, ':').collect();
        if let Some(part) = parts.get_mut(3) {
            *part = region;
        }
        parts.join(":")
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.regions.as_ref().is_some_and(|regions| regions.primary != self.region())
    }

    /// `PRIMARY` or `REPLICA`.
    pub(crate) fn multi_region_type(&self) -> Option<&'static str> {
        self.regions.as_ref().map(|_| if self.is_replica() { "REPLICA" } else { "PRIMARY" })
    }

    pub(crate) fn has_replicas(&self) -> bool {
        !self.is_replica() && self.regions.as_ref().is_some_and(|regions| !regions.replicas.is_empty())
    }

    /// What is replicated, and can hand that on.
    pub(crate) fn ensure_primary(&self) -> Result<(), KmsError> {
        if self.multi_region_type() == Some("PRIMARY") {
            return Ok(());
        }
        Err(KmsError::NotPrimary { arn: self.arn.clone() })
    }

    /// What all related keys have is not changed in a replica.
    pub(crate) fn ensure_not_replica(&self) -> Result<(), KmsError> {
        if self.is_replica() { Err(KmsError::NotPrimary { arn: self.arn.clone() }) } else { Ok(()) }
    }

    /// The regions of the keys that are related to this one.
    pub(crate) fn other_regions(&self) -> impl Iterator<Item = &str> {
        let all = self.regions.iter().flat_map(|regions| {
            std::iter::once(regions.primary.as_str()).chain(regions.replicas.iter().map(String::as_str))
        });
        all.filter(|region| *region != self.region())
    }

    pub(crate) fn shown_regions(&self) -> Option<MultiRegionConfiguration> {
        let regions = self.regions.as_ref()?;
        let shown =
            |region: &str| MultiRegionKey { arn: Some(self.arn_in(region)), region: Some(region.to_owned()) };
        Some(MultiRegionConfiguration {
            multi_region_key_type: self.multi_region_type().map(str::to_owned),
            primary_key: Some(shown(&regions.primary)),
            replica_keys: Some(regions.replicas.iter().map(|region| shown(region)).collect()),
        })
    }

    /// Notes a replica that is going to be.
    pub(crate) fn add_replica(&mut self, region: &str) -> Result<(), KmsError> {
        let arn = self.arn_in(region);
        if self.region() == region || self.other_regions().any(|known| known == region) {
            return Err(KmsError::KeyExists { arn });
        }
        let regions = self.regions.get_or_insert_default();
        if regions.replicas.len() >= REPLICAS_MAX {
            return Err(KmsError::TooManyReplicas { arn: self.arn.clone() });
        }
        regions.replicas.push(region.to_owned());
        regions.replicas.sort_unstable();
        Ok(())
    }

    /// The key of the region `to` takes the place of the primary, which stays as one of the replicas.
    pub(crate) fn hand_on(&mut self, to: &str) {
        if let Some(regions) = &mut self.regions {
            let before = std::mem::replace(&mut regions.primary, to.to_owned());
            regions.replicas.retain(|region| region != to);
            regions.replicas.push(before);
            regions.replicas.sort_unstable();
        }
    }

    /// Forgets a replica that is no more. A primary that waited for the last of them is deleted after its own window.
    fn drop_replica(&mut self, region: &str, now: Timestamp) {
        if let Some(regions) = &mut self.regions {
            regions.replicas.retain(|known| known != region);
        }
        if self.state == KeyState::PendingReplicaDeletion && !self.has_replicas() {
            self.state = KeyState::PendingDeletion;
            let window_days = self.deletion.as_ref().map_or(0, |deletion| deletion.window_days);
            self.deletion = Some(DeletionRecord { due_at: now.plus_days(window_days), window_days });
        }
    }

    /// Takes over what related keys have in common.
    pub(crate) fn follow(&mut self, primary: &Self) {
        self.regions.clone_from(&primary.regions);
        self.rotation.clone_from(&primary.rotation);
        let mut own = std::mem::take(&mut self.materials);
        own.extend(self.pending.take());
        let mut take = |theirs: &Material| match primary.origin {
            Origin::AwsKms => theirs.clone(),
            Origin::External => {
                let at = own.iter().position(|own| own.id == theirs.id);
                let own = at.map(|at| own.swap_remove(at)).unwrap_or_default();
                Material { id: theirs.id.clone(), created_at: theirs.created_at, came: theirs.came, ..own }
            }
        };
        self.materials = primary.materials.iter().map(&mut take).collect();
        self.pending = primary.pending.as_ref().map(take);
        self.wait_for_material();
    }

    /// Whether the other knows of the same keys, generations and times of rotation.
    fn has_in_common(&self, other: &Self) -> bool {
        let named = |key: &Self| -> Vec<String> { key.materials.iter().map(|one| one.id.clone()).collect() };
        let pending = |key: &Self| key.pending.as_ref().map(|pending| pending.id.clone());
        self.regions == other.regions
            && self.rotation == other.rotation
            && named(self) == named(other)
            && pending(self) == pending(other)
    }
}

/// What saving a key entails, whoever saves it: those that are related to a primary follow it. One whose record is damaged does not, and
/// takes nothing away from the others.
pub(crate) fn saved(cx: &mut Cx<'_>, before: Option<&KeyRecord>, after: &KeyRecord) -> Result<(), ApiError> {
    if after.is_replica() || before.is_some_and(|before| before.has_in_common(after)) {
        return Ok(());
    }
    for region in after.other_regions() {
        let place = place(cx, region)?;
        cx.there(&place, |cx| {
            let Kept::Whole(related) = cx.counterpart(after)? else { return Ok(()) };
            let mut related = (*related).clone();
            related.follow(after);
            event(cx, "SynchronizeMultiRegionKey", &related);
            cx.save(related)?;
            cx.activate(KeyKeeper::NAME);
            Ok::<(), ApiError>(())
        })?;
    }
    Ok(())
}

/// A replica is gone, and the others hear of it.
pub(crate) fn replica_gone(cx: &mut Cx<'_>, replica: &KeyRecord) -> Result<(), ApiError> {
    let Some(regions) = replica.regions.as_ref().filter(|_| replica.is_replica()) else { return Ok(()) };
    let (place, now) = (place(cx, &regions.primary)?, cx.now());
    cx.there(&place, |cx| {
        let Kept::Whole(primary) = cx.counterpart(replica)? else { return Ok(()) };
        let mut primary = (*primary).clone();
        primary.drop_replica(replica.region(), now);
        cx.save(primary)?;
        cx.activate(KeyKeeper::NAME);
        Ok(())
    })
}

/// Where the keys of another region of the account are.
pub(crate) fn place(cx: &Cx<'_>, region: &str) -> Result<Partition, ApiError> {
    Ok(Partition::new(cx.account(), region.parse().map_err(|error| cx.internal(error))?))
}

/// Whether a generation that came from outside is in each of the related keys, so that it can become the current one.
pub(crate) fn ensure_everywhere(cx: &mut Cx<'_>, primary: &KeyRecord) -> Result<(), ApiError> {
    let Some(pending) = primary.pending.as_ref().filter(|_| primary.origin == Origin::External) else {
        return Ok(());
    };
    for region in primary.other_regions() {
        let place = place(cx, region)?;
        let related = cx.there(&place, |cx| cx.counterpart(primary))?.whole();
        let there = related.as_ref().and_then(|related| related.pending.as_ref());
        if !there.is_some_and(|there| there.id == pending.id && there.is_here()) {
            return Err(KmsError::NoMaterialPending { arn: primary.arn.clone() }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use coffer_types::Secret;

    use super::*;

    const PRIMARY: &str = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";

    fn material(id: &str, bytes: &[u8]) -> Material {
        Material { id: id.to_owned(), bytes: Secret::new(bytes.to_vec()), ..Material::default() }
    }

    fn ids(key: &KeyRecord) -> Vec<(&str, bool)> {
        key.materials.iter().map(|material| (material.id.as_str(), material.is_here())).collect()
    }

    fn primary() -> KeyRecord {
        let regions = Some(RegionsRecord::of_new_primary("eu-west-1"));
        KeyRecord { arn: PRIMARY.to_owned(), regions, ..KeyRecord::default() }
    }

    fn in_region(key: &KeyRecord, region: &str) -> KeyRecord {
        KeyRecord { arn: key.arn_in(region), ..key.clone() }
    }

    #[test]
    fn one_is_the_primary_and_hands_that_on() {
        let mut key = primary();
        key.add_replica("us-east-1").unwrap();
        key.add_replica("ap-south-1").unwrap();
        for again in ["us-east-1", "eu-west-1"] {
            let arn = key.arn_in(again);
            assert_eq!(key.add_replica(again), Err(KmsError::KeyExists { arn }));
        }
        assert_eq!(key.other_regions().collect::<Vec<_>>(), ["ap-south-1", "us-east-1"]);
        let mut replica = in_region(&key, "us-east-1");
        assert!(key.ensure_primary().is_ok() && replica.ensure_primary().is_err() && replica.is_replica());
        assert_eq!(replica.other_regions().collect::<Vec<_>>(), ["eu-west-1", "ap-south-1"]);

        replica.hand_on("us-east-1");
        key.follow(&replica);
        assert!(replica.ensure_primary().is_ok() && key.is_replica());
        assert_eq!(key.regions.as_ref().unwrap().replicas, ["ap-south-1", "eu-west-1"]);
        assert!(KeyRecord::default().ensure_primary().is_err() && !KeyRecord::default().is_replica());
    }

    #[test]
    fn the_last_replica_that_goes_lets_the_primary_go() {
        let now = Timestamp::from_seconds(86_400);
        let mut key = primary();
        key.add_replica("us-east-1").unwrap();
        key.add_replica("ap-south-1").unwrap();
        key.state = KeyState::PendingReplicaDeletion;
        key.deletion = Some(DeletionRecord { window_days: 7, ..DeletionRecord::default() });
        key.drop_replica("us-east-1", now);
        assert_eq!((key.state, key.due_at()), (KeyState::PendingReplicaDeletion, None));
        key.drop_replica("ap-south-1", now);
        assert_eq!((key.state, key.due_at()), (KeyState::PendingDeletion, Some(now.plus_days(7))));
    }

    #[test]
    fn material_is_copied_if_it_is_ours_and_named_if_it_came_from_outside() {
        let mut key = primary();
        key.materials = vec![material("a", b"one"), material("b", b"two")];
        let mut replica =
            KeyRecord { materials: vec![material("a", b"one")], ..in_region(&key, "us-east-1") };
        replica.follow(&key);
        assert_eq!(ids(&replica), [("a", true), ("b", true)]);

        key.origin = Origin::External;
        let mut replica =
            KeyRecord { materials: vec![material("a", b"one")], ..in_region(&key, "us-east-1") };
        replica.pending = Some(material("b", b"two"));
        key.pending = Some(material("c", b"three"));
        replica.follow(&key);
        assert_eq!((ids(&replica), replica.state), (vec![("a", true), ("b", true)], KeyState::Enabled));
        let pending = replica.pending.as_ref().unwrap();
        assert_eq!((pending.id.as_str(), pending.is_here()), ("c", false));

        let mut new = KeyRecord { materials: vec![], pending: None, ..in_region(&key, "us-east-1") };
        new.follow(&key);
        assert_eq!((ids(&new), new.state), (vec![("a", false), ("b", false)], KeyState::PendingImport));
    }
}

//! Rotation: new material for a key, by itself or on demand. What was closed before stays open to the material that closed it.

use coffer_core::{Cx, EventKind, ServiceEvent};
use coffer_shape::record;
use coffer_types::Timestamp;

use crate::{
    error::KmsError,
    key::{Came, KeyRecord, Material},
    spec::{KeySpec, Origin},
};

pub(crate) const PERIOD_DEFAULT_DAYS: i64 = 365;
/// AWS's quota for the life of a key.
const ON_DEMAND_MAX: usize = 25;

record! {
    /// A key that is rotated by itself.
    #[derive(Clone, PartialEq)]
    pub struct RotationRecord {
        pub period_days: i64,
        pub next_at: Timestamp,
    }
}

impl RotationRecord {
    pub(crate) const fn from_now(now: Timestamp, period_days: i64) -> Self {
        Self { period_days, next_at: now.plus_days(period_days) }
    }

    pub(crate) const fn yearly(now: Timestamp) -> Self {
        Self::from_now(now, PERIOD_DEFAULT_DAYS)
    }
}

impl KeyRecord {
    /// Only keys for symmetric encryption have generations of material, and only ours are made anew by us.
    pub(crate) fn ensure_rotates(&self) -> Result<(), KmsError> {
        if self.spec != KeySpec::SymmetricDefault {
            return Err(KmsError::Unsupported);
        }
        if self.origin != Origin::AwsKms {
            return Err(KmsError::Origin { arn: self.arn.clone(), origin: self.origin.as_str() });
        }
        Ok(())
    }

    /// Material that comes from outside has to be there before it can become the current one.
    pub(crate) fn ensure_rotates_on_demand(&self) -> Result<(), KmsError> {
        match self.origin {
            Origin::AwsKms => self.ensure_rotates(),
            Origin::External if self.spec != KeySpec::SymmetricDefault => Err(KmsError::Unsupported),
            Origin::External if self.pending.is_none() => {
                Err(KmsError::NoMaterialPending { arn: self.arn.clone() })
            }
            Origin::External => Ok(()),
        }
    }

    pub(crate) fn ensure_on_demand_left(&self) -> Result<(), KmsError> {
        let done = self.materials.iter().filter(|material| material.came == Came::OnDemand).count();
        if done < ON_DEMAND_MAX { Ok(()) } else { Err(KmsError::TooManyRotations { arn: self.arn.clone() }) }
    }

    /// Makes new material the current one: what was imported for that, or else what is drawn. A rotation on demand leaves the schedule
    /// alone.
    pub(crate) fn rotate(&mut self, cx: &mut Cx<'_>, came: Came) {
        let material = match self.pending.take() {
            Some(pending) => Material { came, created_at: cx.now(), ..pending },
            None => Material::draw(cx.entropy(), self.spec, cx.now(), came),
        };
        self.materials.push(material);
        if came == Came::ByItself
            && let Some(rotation) = &mut self.rotation
        {
            *rotation = RotationRecord::from_now(cx.now(), rotation.period_days);
        }
        event(cx, "RotateKey", self);
    }
}

/// What KMS does by itself is on record under AWS's name for it.
pub(crate) fn event(cx: &mut Cx<'_>, name: &'static str, key: &KeyRecord) {
    cx.record_event(ServiceEvent {
        kind: EventKind::Service,
        source: "kms.amazonaws.com",
        name,
        details: vec![("keyId", key.key_id.clone())],
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rotates() {
        let key = KeyRecord::default();
        assert_eq!(key.ensure_rotates(), Ok(()));
        let mac = KeyRecord { spec: KeySpec::Hmac256, ..KeyRecord::default() };
        assert_eq!(mac.ensure_rotates(), Err(KmsError::Unsupported));
        let imported = KeyRecord { origin: Origin::External, ..KeyRecord::default() };
        assert!(matches!(imported.ensure_rotates(), Err(KmsError::Origin { origin: "EXTERNAL", .. })));
    }

    #[test]
    fn rotations_on_demand_are_counted_and_others_are_not() {
        let generation = |came| Material { came, ..Material::default() };
        let materials = |on_demand: usize| {
            let others = [generation(Came::WithTheKey), generation(Came::ByItself)];
            others.into_iter().chain((0..on_demand).map(|_| generation(Came::OnDemand))).collect()
        };
        let key = |on_demand| KeyRecord { materials: materials(on_demand), ..KeyRecord::default() };
        assert!(key(24).ensure_on_demand_left().is_ok());
        assert!(key(25).ensure_on_demand_left().is_err());
    }
}

//! Names that lead to a version, or to two of them.

use coffer_core::table;
use coffer_model::lambda::{AliasConfiguration, AliasRoutingConfiguration};
use coffer_types::Entropy;

use crate::error::LambdaError;

table! {
    0x42 "lambda-alias", version 1, key (function, name), part;

    #[derive(Clone)]
    pub struct AliasRecord {
        pub function: String,
        pub name: String,
        pub arn: String,
        pub version: String,
        /// Another version that takes a part of the calls.
        pub other_version: Option<String>,
        /// Of a million calls.
        pub other_weight: i64,
        pub description: String,
        pub revision_id: String,
    }
}

const WEIGHT_ONE: f64 = 1_000_000.0;
const CALLS: u64 = 1_000_000;

impl AliasRecord {
    /// The version of one call.
    pub(crate) fn choose(&self, entropy: &dyn Entropy) -> &str {
        let Some(other) = &self.other_version else { return &self.version };
        let mut drawn = [0; 8];
        entropy.fill(&mut drawn);
        let call = u64::from_be_bytes(drawn) % CALLS;
        if call < self.other_weight.unsigned_abs() { other } else { &self.version }
    }

    /// An empty configuration takes the weights away.
    pub(crate) fn route(&mut self, routing: &AliasRoutingConfiguration) -> Result<(), LambdaError> {
        let weights = routing.additional_version_weights.as_ref();
        let mut weights = weights.into_iter().flatten();
        let Some((version, weight)) = weights.next() else {
            (self.other_version, self.other_weight) = (None, 0);
            return Ok(());
        };
        if weights.next().is_some() || !(0.0..=1.0).contains(weight) || *version == self.version {
            return Err(LambdaError::Routing);
        }
        self.other_version = Some(version.clone());
        #[expect(clippy::cast_possible_truncation, reason = "a million at most, as the line above says")]
        let weight = (weight * WEIGHT_ONE).round() as i64;
        self.other_weight = weight;
        Ok(())
    }

    pub(crate) fn shown(&self) -> AliasConfiguration {
        #[expect(clippy::cast_precision_loss, reason = "a million at most")]
        let weight = self.other_weight as f64 / WEIGHT_ONE;
        let weights = self.other_version.as_ref().map(|version| [(version.clone(), weight)].into());
        AliasConfiguration {
            alias_arn: Some(self.arn.clone()),
            name: Some(self.name.clone()),
            function_version: Some(self.version.clone()),
            description: Some(self.description.clone()),
            routing_config: weights
                .map(|weights| AliasRoutingConfiguration { additional_version_weights: Some(weights) }),
            revision_id: Some(self.revision_id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Every number below a million, one after the other.
    struct Counting(AtomicU64);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            let number = self.0.fetch_add(1000, Ordering::Relaxed);
            bytes.copy_from_slice(&number.to_be_bytes());
        }
    }

    #[test]
    fn a_part_of_the_calls_goes_elsewhere() {
        let mut alias = AliasRecord { version: "1".into(), ..AliasRecord::default() };
        let weights = |version: &str, weight| AliasRoutingConfiguration {
            additional_version_weights: Some([(version.to_owned(), weight)].into()),
        };
        alias.route(&weights("2", 0.25)).unwrap();
        let chance = Counting(AtomicU64::new(0));
        let other = (0..1000).filter(|_| alias.choose(&chance) == "2").count();
        assert_eq!(other, 250);
        assert_eq!(alias.shown().routing_config, Some(weights("2", 0.25)));

        for (version, weight) in [("1", 0.5), ("2", 1.5), ("2", -0.1), ("2", f64::NAN)] {
            assert!(alias.route(&weights(version, weight)).is_err(), "{version} {weight}");
        }
        alias.route(&AliasRoutingConfiguration::default()).unwrap();
        assert_eq!(alias.choose(&chance), "1");
    }
}

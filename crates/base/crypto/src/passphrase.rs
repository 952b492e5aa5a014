//! Keys from what people can remember: Argon2id (RFC 9106).
//!
//! The cost is a floor, not a choice: 64 MiB and three passes in one lane is the least we accept, whether the numbers
//! come from us or from a file that an attacker may have edited. There is a ceiling too, because a file that asks for a
//! terabyte is a way to keep a server from starting.

use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use coffer_types::{Clock, Secret};

use crate::certain;

pub const SALT_LEN: usize = 16;

const MEMORY_MIN_KIB: u32 = 64 * 1024;
const MEMORY_MAX_KIB: u32 = 1024 * 1024;
const PASSES_MIN: u32 = 3;
const PASSES_MAX: u32 = 64;
/// More lanes help an attacker with many cores more than a server that starts once.
const LANES: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a passphrase cost is 64 MiB to 1 GiB, 3 to 64 passes and one lane")]
pub struct CostError;

/// How much work a guess costs. Values below the floor cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseCost {
    memory_kib: u32,
    passes: u32,
}

impl PassphraseCost {
    /// About a tenth of a second on a machine of 2025.
    pub const FLOOR: Self = Self { memory_kib: MEMORY_MIN_KIB, passes: PASSES_MIN };

    pub fn new(memory_kib: u32, passes: u32) -> Result<Self, CostError> {
        let memory_fits = (MEMORY_MIN_KIB..=MEMORY_MAX_KIB).contains(&memory_kib);
        let passes_fit = (PASSES_MIN..=PASSES_MAX).contains(&passes);
        if memory_fits && passes_fit { Ok(Self { memory_kib, passes }) } else { Err(CostError) }
    }

    /// Measures this machine and chooses the passes that take about `target`, never fewer than the floor.
    pub fn calibrated(clock: &dyn Clock, target: Duration) -> Self {
        let before = clock.monotonic();
        drop(passphrase_key(b"how fast is this machine", &[0; SALT_LEN], Self::FLOOR));
        Self::scaled(clock.monotonic().saturating_sub(before), target)
    }

    fn scaled(at_the_floor: Duration, target: Duration) -> Self {
        let per_pass = (at_the_floor / PASSES_MIN).max(Duration::from_micros(1));
        let passes = u32::try_from(target.as_micros() / per_pass.as_micros()).unwrap_or(PASSES_MAX);
        Self { memory_kib: MEMORY_MIN_KIB, passes: passes.clamp(PASSES_MIN, PASSES_MAX) }
    }

    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    pub const fn passes(self) -> u32 {
        self.passes
    }
}

/// The key that a passphrase stands for.
pub fn passphrase_key(passphrase: &[u8], salt: &[u8; SALT_LEN], cost: PassphraseCost) -> Secret<[u8; 32]> {
    let mut key = Secret::new([0; 32]);
    certain(argon2id(passphrase, salt, cost.memory_kib, cost.passes, key.expose_mut()));
    key
}

fn argon2id(
    passphrase: &[u8],
    salt: &[u8],
    memory_kib: u32,
    passes: u32,
    out: &mut [u8; 32],
) -> Result<(), argon2::Error> {
    let params = Params::new(memory_kib, passes, LANES, Some(out.len()))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(passphrase, salt, out)
}

#[cfg(test)]
mod tests {
    use argon2::{AssociatedData, ParamsBuilder};
    use coffer_types::encoding::HEXLOWER;

    use super::*;

    #[test]
    fn the_library_agrees_with_rfc_9106() {
        // Section 5.3. It uses a secret, associated data and four lanes, which we do not offer.
        let mut params = ParamsBuilder::new();
        params.m_cost(32).t_cost(3).p_cost(4).data(AssociatedData::new(&[4; 12]).unwrap());
        let argon2 =
            Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params.build().unwrap())
                .unwrap();
        let mut out = [0; 32];
        argon2.hash_password_into(&[1; 32], &[2; 16], &mut out).unwrap();
        assert_eq!(HEXLOWER.encode(&out), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }

    #[test]
    fn our_parameters_agree_with_the_reference_implementation() {
        // `argon2 somesalt -id -t 2 -m 16 -p 1` from the reference code's own tests.
        let mut out = [0; 32];
        argon2id(b"password", b"somesalt", 65_536, 2, &mut out).unwrap();
        assert_eq!(HEXLOWER.encode(&out), "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7");
    }

    #[test]
    fn costs_below_the_floor_or_beyond_reason_are_refused() {
        assert_eq!(PassphraseCost::new(65_536, 3), Ok(PassphraseCost::FLOOR));
        for (memory_kib, passes) in [(65_535, 3), (65_536, 2), (1 << 21, 3), (65_536, 65), (0, 0)] {
            assert_eq!(PassphraseCost::new(memory_kib, passes), Err(CostError), "{memory_kib} KiB, {passes}");
        }
    }

    #[test]
    fn a_faster_machine_gets_more_passes() {
        let second = Duration::from_secs(1);
        for (floor_millis, passes) in [(100, 30), (300, 10), (3_000, 3), (0, 64)] {
            let cost = PassphraseCost::scaled(Duration::from_millis(floor_millis), second);
            assert_eq!(cost.passes(), passes, "{floor_millis} ms at the floor");
        }
    }

    #[test]
    fn salt_and_passphrase_both_matter() {
        let key = |passphrase: &str, salt| {
            passphrase_key(passphrase.as_bytes(), &[salt; 16], PassphraseCost::FLOOR)
        };
        let one = key("correct horse", 1);
        assert_eq!(one.expose(), key("correct horse", 1).expose());
        assert_ne!(one.expose(), key("correct horse", 2).expose());
        assert_ne!(one.expose(), key("correct horsf", 1).expose());
    }
}

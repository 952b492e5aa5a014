//! Random identifiers, and where randomness comes from.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER_PERMISSIVE;

/// Where chance comes from: the crypto library in production, a seeded stream in simulations.
///
/// There is no error: a machine that cannot give random bytes must not go on.
pub trait Entropy: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

/// A version 4 UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid([u8; 16]);

impl Uuid {
    pub fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        Self::from_random_bytes(bytes)
    }

    /// Sets the version and variant bits of 16 random bytes.
    pub const fn from_random_bytes(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            for nibble in [byte >> 4, byte & 0x0f] {
                if let (Some(slot), Some(digit)) = (text.get_mut(at), DIGITS.get(usize::from(nibble))) {
                    *slot = *digit;
                }
                at += 1;
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a UUID")]
pub struct UuidError;

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let hyphens_right = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == matches!(at, 8 | 13 | 18 | 23));
        if !hyphens_right {
            return Err(UuidError);
        }
        let bytes = HEXLOWER_PERMISSIVE.decode(text.replace('-', "").as_bytes()).map_err(|_| UuidError)?;
        Ok(Self(bytes.try_into().map_err(|_| UuidError)?))
    }
}

/// Names one request in answers, logs and audit records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestId(Uuid);

impl RequestId {
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(Uuid::random(entropy))
    }
}

impl From<Uuid> for RequestId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_prints_and_parses() {
        let uuid = Uuid::from_random_bytes([0xff; 16]);
        assert_eq!(uuid.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!("FFFFFFFF-ffff-4fff-bfff-ffffffffffff".parse::<Uuid>(), Ok(uuid));
        for bad in ["", "ffffffff-ffff-4fff-bfff-fffffffffff", "ffffffffffff-4fff-bfff-ffffffffffff----"] {
            assert!(bad.parse::<Uuid>().is_err(), "{bad}");
        }
    }
}

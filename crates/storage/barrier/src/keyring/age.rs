//! How far a keyring has come, which a store remembers.
//!
//! Copies of a keyring outlive its changes, in backups and as `keyring.previous`. One from before a change of epochs lacks the key of
//! what was sealed since, and looks as whole as the right one.

/// Neither number ever goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    pub incarnation: u64,
    /// The active epoch.
    pub epoch: u32,
}

impl Age {
    pub const fn is_before(self, other: Self) -> bool {
        self.epoch < other.epoch || self.incarnation < other.incarnation
    }

    /// As a store keeps it.
    pub fn to_bytes(self) -> Vec<u8> {
        [&self.incarnation.to_be_bytes()[..], &self.epoch.to_be_bytes()].concat()
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (incarnation, rest) = bytes.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let age = Self { incarnation: u64::from_be_bytes(*incarnation), epoch: u32::from_be_bytes(*epoch) };
        rest.is_empty().then_some(age)
    }
}

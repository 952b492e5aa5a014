//! Seal slots: the root key, wrapped once for each way of opening the store.
//!
//! A slot has a kind, an id, public parameters, the wrapped root key, and a commitment to the key that wraps it. The
//! commitment answers "is this the right key?" before anything is decrypted, so a wrong passphrase and a damaged file are
//! two different messages.
//!
//! ```text
//! kind u16 | id 16 | parameters (u32 length) | wrapped (u32 length) | commitment 32
//! wrapped = salt 24 | nonce 12 | ciphertext 32 | tag 16        for the kinds below
//! ```
//!
//! Kinds this program does not know (a newer program's, or hardware it was built without) are kept byte for byte when the
//! file is rewritten; they cannot be opened here and are not dropped either.

use std::fmt;

use coffer_crypto::{CommittedKey, PassphraseCost, open, passphrase_key, seal};
use coffer_sys::Locked;
use coffer_types::{Entropy, Secret, encoding::HEXLOWER, zeroize::Zeroize};

use super::{error::Part, kms::KmsSlot, pkcs11::Pkcs11Slot};
use crate::{
    derivation,
    envelope::SALT_LEN,
    fields::{Fields, Pieces},
};

pub(super) const PARAMETERS_LEN_MAX: usize = 4096;
const WRAPPED_LEN_MAX: usize = 4096;

const KEYFILE: u16 = 1;
const SYSTEMD: u16 = 2;
const PASSPHRASE: u16 = 3;
const PKCS11: u16 = 4;
const KMS: u16 = 5;
const RECOVERY: u16 = 6;

/// Names a slot in commands and messages. The whole id is random; people see its first eight digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotId([u8; 16]);

impl SlotId {
    /// The id of a slot whose key is bound to it before the slot is made.
    pub fn random(entropy: &dyn Entropy) -> Self {
        let mut id = [0; 16];
        entropy.fill(&mut id);
        Self(id)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, _) = self.0.split_at(4);
        f.write_str(&HEXLOWER.encode(shown))
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotKind {
    Keyfile,
    /// A credential that systemd decrypted for the service.
    Systemd,
    Passphrase,
    /// A token, which decrypts the key of the slot.
    Pkcs11,
    /// A KMS, which decrypts the key of the slot.
    Kms,
    Recovery,
    /// Not known to this program, kept as it is.
    Unknown(u16),
}

impl SlotKind {
    const fn from_code(code: u16) -> Self {
        match code {
            KEYFILE => Self::Keyfile,
            SYSTEMD => Self::Systemd,
            PASSPHRASE => Self::Passphrase,
            PKCS11 => Self::Pkcs11,
            KMS => Self::Kms,
            RECOVERY => Self::Recovery,
            other => Self::Unknown(other),
        }
    }

    const fn code(self) -> u16 {
        match self {
            Self::Keyfile => KEYFILE,
            Self::Systemd => SYSTEMD,
            Self::Passphrase => PASSPHRASE,
            Self::Pkcs11 => PKCS11,
            Self::Kms => KMS,
            Self::Recovery => RECOVERY,
            Self::Unknown(code) => code,
        }
    }

    pub const fn is_known(self) -> bool {
        !matches!(self, Self::Unknown(_))
    }

    pub(super) const fn a_key(self) -> &'static str {
        match self {
            Self::Keyfile => "the keyfile",
            Self::Systemd => "the systemd credential",
            Self::Passphrase => "the passphrase",
            Self::Pkcs11 => "what the token decrypted",
            Self::Kms => "what the KMS decrypted",
            Self::Recovery => "this set of recovery shares",
            Self::Unknown(_) => "this key",
        }
    }

    /// What to try when a key of this kind is not the one. Shares are named only where there are some.
    pub(super) const fn advice(self, has_shares: bool) -> &'static str {
        match (self, has_shares) {
            (Self::Keyfile, false) => "the keyfile that was made with this store",
            (Self::Keyfile, true) => {
                "the keyfile that was made with this store, or recovery shares with --share <file>"
            }
            (Self::Systemd, false) => "the credential that was made with this store",
            (Self::Systemd, true) => {
                "the credential that was made with this store, or recovery shares with --share <file>"
            }
            (Self::Passphrase, false) => "the passphrase again",
            (Self::Passphrase, true) => "the passphrase again, or recovery shares with --share <file>",
            (Self::Pkcs11, _) => "the token that the slot was made with: coffer key slot list names it",
            (Self::Kms, _) => "the KMS key that the slot was made with: coffer key slot list names it",
            (Self::Recovery, _) => "all shares again; one of them was changed or belongs to another store",
            (Self::Unknown(_), _) => "the program that made this slot",
        }
    }
}

impl fmt::Display for SlotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyfile => f.write_str("keyfile"),
            Self::Systemd => f.write_str("systemd"),
            Self::Passphrase => f.write_str("passphrase"),
            Self::Pkcs11 => f.write_str("pkcs11"),
            Self::Kms => f.write_str("kms"),
            Self::Recovery => f.write_str("recovery"),
            Self::Unknown(code) => write!(f, "unknown ({code})"),
        }
    }
}

/// What may be said about a slot to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotInfo {
    pub id: SlotId,
    pub kind: SlotKind,
    /// How many shares open it and how many were made, for recovery slots.
    pub shares: Option<(u8, u8)>,
}

/// A key that may open a slot.
#[derive(Debug)]
pub enum SlotKey {
    Keyfile(Secret<[u8; 32]>),
    Systemd(Secret<[u8; 32]>),
    Passphrase(Secret<String>),
    /// What the token of one slot gave back.
    Pkcs11 {
        slot: SlotId,
        key: Secret<[u8; 32]>,
    },
    /// What the KMS of one slot gave back.
    Kms {
        slot: SlotId,
        key: Secret<[u8; 32]>,
    },
    /// Made by a [`ShareCollector`](super::ShareCollector).
    Recovery {
        set: [u8; 8],
        key: Secret<[u8; 32]>,
    },
}

impl SlotKey {
    pub const fn kind(&self) -> SlotKind {
        match self {
            Self::Keyfile(_) => SlotKind::Keyfile,
            Self::Systemd(_) => SlotKind::Systemd,
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::Pkcs11 { .. } => SlotKind::Pkcs11,
            Self::Kms { .. } => SlotKind::Kms,
            Self::Recovery { .. } => SlotKind::Recovery,
        }
    }
}

/// A slot to be made. Recovery slots make their own key: see [`Keyring::add_recovery`](super::Keyring::add_recovery).
#[derive(Debug, Clone, Copy)]
pub enum NewSlot<'a> {
    Keyfile(&'a Secret<[u8; 32]>),
    Systemd(&'a Secret<[u8; 32]>),
    Passphrase {
        passphrase: &'a Secret<String>,
        cost: PassphraseCost,
    },
    /// The token encrypted the key together with the id, so the id comes first.
    Pkcs11 {
        id: SlotId,
        at: &'a Pkcs11Slot,
        key: &'a Secret<[u8; 32]>,
    },
    /// The KMS encrypted the key together with the id, so the id comes first.
    Kms {
        id: SlotId,
        at: &'a KmsSlot,
        key: &'a Secret<[u8; 32]>,
    },
}

/// The public side of a recovery slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recovery {
    pub(super) set: [u8; 8],
    pub(super) threshold: u8,
    pub(super) shares: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    kind: SlotKind,
    id: SlotId,
    parameters: Vec<u8>,
    wrapped: Vec<u8>,
    commitment: [u8; 32],
}

impl Slot {
    pub(super) fn new(
        store_id: &[u8; 16],
        root: &Locked<32>,
        new: NewSlot<'_>,
        entropy: &dyn Entropy,
    ) -> Self {
        match new {
            NewSlot::Keyfile(key) => Self::wrap(store_id, root, SlotKind::Keyfile, Vec::new(), key, entropy),
            NewSlot::Systemd(key) => Self::wrap(store_id, root, SlotKind::Systemd, Vec::new(), key, entropy),
            NewSlot::Passphrase { passphrase, cost } => {
                let mut salt = [0; 16];
                entropy.fill(&mut salt);
                let key = passphrase_key(passphrase.expose().as_bytes(), &salt, cost);
                let mut parameters = salt.to_vec();
                parameters.extend_from_slice(&cost.memory_kib().to_be_bytes());
                parameters.extend_from_slice(&cost.passes().to_be_bytes());
                Self::wrap(store_id, root, SlotKind::Passphrase, parameters, &key, entropy)
            }
            NewSlot::Pkcs11 { id, at, key } => {
                Self::empty(id, SlotKind::Pkcs11, at.to_parameters()).around(store_id, root, key, entropy)
            }
            NewSlot::Kms { id, at, key } => {
                Self::empty(id, SlotKind::Kms, at.to_parameters()).around(store_id, root, key, entropy)
            }
        }
    }

    pub(super) fn new_recovery(
        store_id: &[u8; 16],
        root: &Locked<32>,
        key: &Secret<[u8; 32]>,
        (threshold, shares): (u8, u8),
        entropy: &dyn Entropy,
    ) -> Self {
        let mut parameters = vec![0; 8];
        entropy.fill(&mut parameters);
        parameters.extend_from_slice(&[threshold, shares]);
        Self::wrap(store_id, root, SlotKind::Recovery, parameters, key, entropy)
    }

    fn wrap(
        store_id: &[u8; 16],
        root: &Locked<32>,
        kind: SlotKind,
        parameters: Vec<u8>,
        key: &Secret<[u8; 32]>,
        entropy: &dyn Entropy,
    ) -> Self {
        Self::empty(SlotId::random(entropy), kind, parameters).around(store_id, root, key, entropy)
    }

    const fn empty(id: SlotId, kind: SlotKind, parameters: Vec<u8>) -> Self {
        Self { kind, id, parameters, wrapped: Vec::new(), commitment: [0; 32] }
    }

    /// The same slot around a root key.
    fn around(
        mut self,
        store_id: &[u8; 16],
        root: &Locked<32>,
        key: &Secret<[u8; 32]>,
        entropy: &dyn Entropy,
    ) -> Self {
        let (mut salt, mut nonce) = ([0; SALT_LEN], [0; 12]);
        entropy.fill(&mut salt);
        entropy.fill(&mut nonce);
        let wrapping = self.wrapping_key(store_id, key.expose(), &salt);
        self.commitment = *wrapping.commitment();

        let mut text = Vec::with_capacity(48);
        text.extend_from_slice(root.expose());
        seal(wrapping.key.expose(), &nonce, &self.aad(store_id), &mut text);
        self.wrapped = [&salt[..], &nonce, &text].concat();
        self
    }

    /// The same slot around another root key; `None` if `key` does not open it now.
    pub(super) fn around_another(
        &self,
        store_id: &[u8; 16],
        root: &Locked<32>,
        key: &SlotKey,
        entropy: &dyn Entropy,
    ) -> Result<Option<Self>, Part> {
        if !self.is_for(key) || self.open(store_id, key)?.is_none() {
            return Ok(None);
        }
        Ok(Some(self.clone().around(store_id, root, &self.slot_key(key)?, entropy)))
    }

    /// 32 bytes from whatever the key is.
    fn slot_key(&self, key: &SlotKey) -> Result<Secret<[u8; 32]>, Part> {
        match key {
            SlotKey::Keyfile(key)
            | SlotKey::Systemd(key)
            | SlotKey::Pkcs11 { key, .. }
            | SlotKey::Kms { key, .. }
            | SlotKey::Recovery { key, .. } => Ok(Secret::new(*key.expose())),
            SlotKey::Passphrase(passphrase) => {
                let (salt, cost) = self.passphrase().ok_or(Part::Slot(self.id))?;
                Ok(passphrase_key(passphrase.expose().as_bytes(), &salt, cost))
            }
        }
    }

    /// The root key; `None` if `key` is not the one this slot was made with.
    pub(super) fn open(&self, store_id: &[u8; 16], key: &SlotKey) -> Result<Option<Locked<32>>, Part> {
        let damaged = Part::Slot(self.id);
        let mut pieces = Pieces::of(&self.wrapped);
        let salt: [u8; SALT_LEN] = pieces.array().ok_or(damaged)?;
        let nonce = pieces.array().ok_or(damaged)?;
        let mut text = pieces.bytes(48).ok_or(damaged)?.to_vec();
        pieces.end().ok_or(damaged)?;

        let wrapping = self.wrapping_key(store_id, self.slot_key(key)?.expose(), &salt);
        if !wrapping.is_committed_by(&self.commitment) {
            return Ok(None);
        }
        open(wrapping.key.expose(), &nonce, &self.aad(store_id), &mut text).map_err(|_| damaged)?;
        let root = text.first_chunk().map(Locked::copy_of).ok_or(damaged);
        text.zeroize();
        root.map(Some)
    }

    pub(super) fn is_for(&self, key: &SlotKey) -> bool {
        match key {
            SlotKey::Recovery { set, .. } => self.recovery().is_some_and(|recovery| recovery.set == *set),
            SlotKey::Pkcs11 { slot, .. } | SlotKey::Kms { slot, .. } => {
                self.kind == key.kind() && self.id == *slot
            }
            _ => self.kind == key.kind(),
        }
    }

    pub(super) const fn id(&self) -> SlotId {
        self.id
    }

    pub(super) fn info(&self) -> SlotInfo {
        let shares = self.recovery().map(|recovery| (recovery.threshold, recovery.shares));
        SlotInfo { id: self.id, kind: self.kind, shares }
    }

    pub(super) fn pkcs11(&self) -> Option<(SlotId, Pkcs11Slot)> {
        if self.kind != SlotKind::Pkcs11 {
            return None;
        }
        Pkcs11Slot::from_parameters(&self.parameters).map(|at| (self.id, at))
    }

    pub(super) fn kms(&self) -> Option<(SlotId, KmsSlot)> {
        if self.kind != SlotKind::Kms {
            return None;
        }
        KmsSlot::from_parameters(&self.parameters).map(|at| (self.id, at))
    }

    pub(super) fn recovery(&self) -> Option<Recovery> {
        if self.kind != SlotKind::Recovery {
            return None;
        }
        let mut pieces = Pieces::of(&self.parameters);
        let recovery = Recovery { set: pieces.array()?, threshold: pieces.u8()?, shares: pieces.u8()? };
        pieces.end().map(|()| recovery)
    }

    fn passphrase(&self) -> Option<([u8; 16], PassphraseCost)> {
        let mut pieces = Pieces::of(&self.parameters);
        let (salt, memory_kib, passes) = (pieces.array()?, pieces.u32()?, pieces.u32()?);
        pieces.end()?;
        // The cost comes from a file that is not authenticated yet, so floor and ceiling are checked again here.
        PassphraseCost::new(memory_kib, passes).ok().map(|cost| (salt, cost))
    }

    fn wrapping_key(&self, store_id: &[u8; 16], key: &[u8; 32], salt: &[u8; SALT_LEN]) -> CommittedKey {
        derivation::committed(key, derivation::SLOT, &[store_id, &self.id.0, salt])
    }

    fn aad(&self, store_id: &[u8; 16]) -> Vec<u8> {
        Fields::with_capacity(64)
            .field(store_id)
            .field(&self.id.0)
            .field(&self.kind.code().to_be_bytes())
            .field(&self.parameters)
            .into_bytes()
    }

    /// A slot as a later program might write it.
    #[cfg(test)]
    pub(super) fn of_a_later_program(code: u16) -> Self {
        Self {
            kind: SlotKind::from_code(code),
            id: SlotId([9; 16]),
            parameters: b"token=7;key=coffer".to_vec(),
            wrapped: vec![5; 256],
            commitment: [6; 32],
        }
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.kind.code().to_be_bytes());
        to.extend_from_slice(&self.id.0);
        let variable = Fields::with_capacity(128).field(&self.parameters).field(&self.wrapped);
        to.extend_from_slice(&variable.into_bytes());
        to.extend_from_slice(&self.commitment);
    }

    pub(super) fn read(pieces: &mut Pieces<'_>) -> Option<Self> {
        Some(Self {
            kind: SlotKind::from_code(pieces.u16()?),
            id: SlotId(pieces.array()?),
            parameters: pieces.field(PARAMETERS_LEN_MAX)?.to_vec(),
            wrapped: pieces.field(WRAPPED_LEN_MAX)?.to_vec(),
            commitment: pieces.array()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use coffer_crypto::SystemEntropy;

    use super::*;

    #[test]
    fn a_damaged_slot_is_not_called_a_wrong_key() {
        let (root, key) = (Locked::copy_of(&[1; 32]), || Secret::new([2; 32]));
        let slot = Slot::new(&[3; 16], &root, NewSlot::Keyfile(&key()), &SystemEntropy);
        let opened = slot.open(&[3; 16], &SlotKey::Keyfile(key())).unwrap().unwrap();
        assert_eq!(opened.expose(), &[1; 32]);

        let wrong = slot.open(&[3; 16], &SlotKey::Keyfile(Secret::new([9; 32])));
        assert!(matches!(wrong, Ok(None)), "another key");
        for at in SALT_LEN..slot.wrapped.len() {
            let mut damaged = slot.clone();
            damaged.wrapped[at] ^= 1;
            let outcome = damaged.open(&[3; 16], &SlotKey::Keyfile(key()));
            assert!(matches!(outcome, Err(Part::Slot(id)) if id == slot.id), "byte {at}");
        }
    }

    #[test]
    fn a_slot_belongs_to_its_store_kind_and_parameters() {
        let (root, key) = (Locked::copy_of(&[1; 32]), || Secret::new([2; 32]));
        let slot = Slot::new(&[3; 16], &root, NewSlot::Keyfile(&key()), &SystemEntropy);
        assert!(matches!(slot.open(&[4; 16], &SlotKey::Keyfile(key())), Ok(None)));

        let other_kind = Slot { kind: SlotKind::Systemd, ..slot.clone() };
        assert!(other_kind.open(&[3; 16], &SlotKey::Systemd(key())).is_err());
        let other_parameters = Slot { parameters: vec![0], ..slot };
        assert!(other_parameters.open(&[3; 16], &SlotKey::Keyfile(key())).is_err());
    }

    #[test]
    fn a_passphrase_slot_that_asks_for_too_little_or_too_much_work_is_damaged() {
        let root = Locked::copy_of(&[1; 32]);
        let passphrase = || Secret::new(String::from("correct horse"));
        let new = NewSlot::Passphrase { passphrase: &passphrase(), cost: PassphraseCost::FLOOR };
        let slot = Slot::new(&[3; 16], &root, new, &SystemEntropy);
        for (memory_kib, passes) in [(8_u32, 3_u32), (u32::MAX, 3), (65_536, 1), (65_536, u32::MAX)] {
            let mut weakened = slot.clone();
            weakened.parameters.truncate(16);
            weakened.parameters.extend(memory_kib.to_be_bytes());
            weakened.parameters.extend(passes.to_be_bytes());
            let outcome = weakened.open(&[3; 16], &SlotKey::Passphrase(passphrase()));
            assert!(outcome.is_err(), "{memory_kib} KiB, {passes} passes");
        }
    }
}

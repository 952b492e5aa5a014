//! The bytes of a keyring file.
//!
//! ```text
//! "COFKR1" | store id 16 | incarnation u64 | count u16 | slots | keys (u32 length) | checksum 32 | MAC 32
//! keys      = salt 24 | commitment 32 | nonce 12 | ciphertext | tag 16
//! plaintext = layout u16 = 2 | index key 32 | lasting key 32 | count u16 | (epoch u32 | key 32)*, the active epoch first
//! ```
//!
//! The checksum is SHA-256 over all before it and needs no key: bit rot is told from a wrong key before anybody is asked
//! for one. The MAC is under a key from the root key, over all before it, checksum included: it proves that slots, keys and
//! incarnation belong together, so that nobody can put an old slot into a new file.
//!
//! Layout 1 has no lasting key: there it is that of the first epoch, which had its part then.
//!
//! The keys are sealed with a fresh derived key at each write, so no nonce is ever used twice.

use coffer_crypto::{constant_time_eq, hmac_sha256, open, seal, sha256};
use coffer_sys::Locked;
use coffer_types::{Entropy, Secret};

use super::{EPOCHS_MAX, SLOTS_MAX, error::Part, slot::Slot};
use crate::{
    derivation,
    envelope::SALT_LEN,
    fields::{Fields, Pieces},
    vault::{EpochKey, Keys},
};

const MAGIC: &[u8; 6] = b"COFKR1";
const KEYS_LAYOUT: u16 = 2;
const KEYS_LAYOUT_BEFORE: u16 = 1;
const KEYS_LEN_MAX: usize = 16 * 1024;

/// All slots at their largest, and some room.
pub(super) const FILE_LEN_MAX: usize = 1024 * 1024;

/// A file taken apart, unopened.
pub(super) struct Layout {
    pub(super) store_id: [u8; 16],
    pub(super) incarnation: u64,
    pub(super) slots: Vec<Slot>,
    keys: Vec<u8>,
    /// What the MAC is over.
    vouched: Vec<u8>,
    mac: [u8; 32],
}

impl Layout {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Part> {
        if !bytes.starts_with(MAGIC) || bytes.len() > FILE_LEN_MAX {
            return Err(Part::Format);
        }
        let (vouched, mac) = bytes.split_last_chunk().ok_or(Part::Format)?;
        let (content, checksum) = vouched.split_last_chunk::<32>().ok_or(Part::Format)?;
        if sha256(content) != *checksum {
            return Err(Part::Checksum);
        }
        Self::read(content, vouched, *mac).ok_or(Part::Format)
    }

    fn read(content: &[u8], vouched: &[u8], mac: [u8; 32]) -> Option<Self> {
        let mut pieces = Pieces::of(content);
        pieces.bytes(MAGIC.len())?;
        let (store_id, incarnation) = (pieces.array()?, pieces.u64()?);
        let count = usize::from(pieces.u16()?);
        if count > SLOTS_MAX {
            return None;
        }
        let slots = (0..count).map(|_| Slot::read(&mut pieces)).collect::<Option<_>>()?;
        let keys = pieces.field(KEYS_LEN_MAX)?.to_vec();
        pieces.end()?;
        Some(Self { store_id, incarnation, slots, keys, vouched: vouched.to_vec(), mac })
    }

    /// Opens the keys, once the file as a whole has proved to be the root key's.
    pub(super) fn open(&self, root: &Locked<32>) -> Result<Keys, Part> {
        if !constant_time_eq(&mac(root, &self.store_id, &self.vouched), &self.mac) {
            return Err(Part::Mac);
        }
        let mut pieces = Pieces::of(&self.keys);
        let salt: [u8; SALT_LEN] = pieces.array().ok_or(Part::Keys)?;
        let commitment: [u8; 32] = pieces.array().ok_or(Part::Keys)?;
        let nonce = pieces.array().ok_or(Part::Keys)?;
        let text_len = self.keys.len().saturating_sub(SALT_LEN + 32 + 12);
        let mut text = Secret::new(pieces.bytes(text_len).ok_or(Part::Keys)?.to_vec());

        let key = derivation::committed(root.expose(), derivation::KEYRING, &[&self.store_id, &salt]);
        if !key.is_committed_by(&commitment) {
            return Err(Part::Keys);
        }
        open(key.key.expose(), &nonce, &aad(&self.store_id, self.incarnation), text.expose_mut())
            .map_err(|_| Part::Keys)?;
        read_keys(text.expose()).ok_or(Part::Keys)
    }
}

pub(super) fn encode(
    store_id: [u8; 16],
    incarnation: u64,
    slots: &[Slot],
    root: &Locked<32>,
    keys: &Keys,
    entropy: &dyn Entropy,
) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&store_id);
    bytes.extend_from_slice(&incarnation.to_be_bytes());
    bytes.extend_from_slice(&count(slots.len()));
    for slot in slots {
        slot.write(&mut bytes);
    }
    let sealed = seal_keys(&store_id, incarnation, root, keys, entropy);
    bytes.extend_from_slice(&Fields::with_capacity(256).field(&sealed).into_bytes());
    let checksum = sha256(&bytes);
    bytes.extend_from_slice(&checksum);
    let mac = mac(root, &store_id, &bytes);
    bytes.extend_from_slice(&mac);
    bytes
}

fn seal_keys(
    store_id: &[u8; 16],
    incarnation: u64,
    root: &Locked<32>,
    keys: &Keys,
    entropy: &dyn Entropy,
) -> Vec<u8> {
    let (mut salt, mut nonce) = ([0; SALT_LEN], [0; 12]);
    entropy.fill(&mut salt);
    entropy.fill(&mut nonce);
    let key = derivation::committed(root.expose(), derivation::KEYRING, &[store_id, &salt]);
    let mut text = write_keys(keys);
    seal(key.key.expose(), &nonce, &aad(store_id, incarnation), text.expose_mut());
    [&salt[..], key.commitment(), &nonce, text.expose()].concat()
}

fn write_keys(keys: &Keys) -> Secret<Vec<u8>> {
    // The whole length at once, tag included, so that keys are not moved about the heap.
    let epochs = keys.epochs().count();
    let mut text = Secret::new(Vec::with_capacity(epochs.saturating_mul(36).saturating_add(96)));
    let bytes = text.expose_mut();
    bytes.extend_from_slice(&KEYS_LAYOUT.to_be_bytes());
    bytes.extend_from_slice(keys.index.expose());
    bytes.extend_from_slice(keys.lasting.expose());
    bytes.extend_from_slice(&count(epochs));
    for epoch in keys.epochs() {
        bytes.extend_from_slice(&epoch.number.to_be_bytes());
        bytes.extend_from_slice(epoch.key.expose());
    }
    text
}

fn read_keys(text: &[u8]) -> Option<Keys> {
    let mut pieces = Pieces::of(text);
    let layout = pieces.u16()?;
    if ![KEYS_LAYOUT_BEFORE, KEYS_LAYOUT].contains(&layout) {
        return None;
    }
    let index = key(&mut pieces)?;
    let lasting = if layout == KEYS_LAYOUT { Some(key(&mut pieces)?) } else { None };
    let count = usize::from(pieces.u16()?);
    if count > EPOCHS_MAX {
        return None;
    }
    let mut epoch = || Some(EpochKey { number: pieces.u32()?, key: key(&mut pieces)? });
    let active = epoch()?;
    let older = (1..count).map(|_| epoch()).collect::<Option<Vec<_>>>()?;
    pieces.end()?;
    let first = older.iter().chain([&active]).min_by_key(|epoch| epoch.number)?;
    let lasting = lasting.unwrap_or_else(|| Locked::copy_of(first.key.expose()));
    Some(Keys { index, lasting, active, older })
}

/// From the wiped buffer to locked memory without a copy in between.
fn key(pieces: &mut Pieces<'_>) -> Option<Locked<32>> {
    pieces.bytes(32)?.first_chunk().map(Locked::copy_of)
}

fn aad(store_id: &[u8; 16], incarnation: u64) -> Vec<u8> {
    Fields::with_capacity(64).field(MAGIC).field(store_id).field(&incarnation.to_be_bytes()).into_bytes()
}

fn mac(root: &Locked<32>, store_id: &[u8; 16], vouched: &[u8]) -> [u8; 32] {
    let key = derivation::derived(root.expose(), derivation::KEYRING_MAC, &[store_id]);
    hmac_sha256(key.expose(), &[vouched])
}

/// INVARIANT: slots and epochs are bounded by constants far below 65,536.
fn count(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use coffer_crypto::SystemEntropy;

    use super::*;
    use crate::keyring::{Keyring, KeyringFile, NewSlot, SlotKey, SlotKind};

    #[test]
    fn slots_of_unknown_kinds_survive_a_rewrite() {
        let key = || Secret::new([1; 32]);
        let mut keyring = Keyring::create(NewSlot::Keyfile(&key()), Arc::new(SystemEntropy));
        let later = Slot::of_a_later_program(7);
        keyring.slots.push(later.clone());

        let file = KeyringFile::parse(Path::new("keyring"), &keyring.to_bytes()).unwrap();
        let mut opened = file.unseal(&SlotKey::Keyfile(key()), Arc::new(SystemEntropy)).unwrap();
        opened.add_slot(NewSlot::Systemd(&key())).unwrap();
        let rewritten = KeyringFile::parse(Path::new("keyring"), &opened.to_bytes()).unwrap();
        assert_eq!(rewritten.layout.slots[1], later);
        assert_eq!(rewritten.slots()[1].kind, SlotKind::Unknown(7));

        // A slot that we cannot open is no reason to let the last one go that we can.
        let ours: Vec<_> = opened.slots().into_iter().filter(|slot| slot.kind.is_known()).collect();
        opened.remove_slot(ours[0].id).unwrap();
        assert!(opened.remove_slot(ours[1].id).is_err());
    }

    #[test]
    fn other_formats_are_not_mistaken_for_damage() {
        for bytes in [&b""[..], b"COFKR", b"COFKR2 and so on", &[0; 200]] {
            assert!(matches!(Layout::parse(bytes), Err(Part::Format)));
        }
    }
}

//! Seals records for a place and opens them there.
//!
//! Each record has a key of its own, derived from the key of its table with a random salt, used once and forgotten. So
//! no counter has to survive a crash and no limit of use is in reach. The place goes into the associated data, field by
//! field: a record that was moved or swapped with another does not open. Its own older bytes open in their place, with
//! the revision they were sealed at: whoever remembers a newer one notices.
//!
//! The physical key of the engine stands for the logical one, because `coffer verify` must be able to open every record
//! without knowing any name. The names are inside that key already, as hashes under the index key.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use coffer_crypto::{GcmKey, hmac_sha256};
use coffer_types::{AccountId, Entropy, Secret};

use crate::{
    derivation,
    envelope::{self, Damaged, HEADER_LEN, Header, OVERHEAD_LEN, SUITE},
    fields::Fields,
    padding,
    vault::{Keys, TableKeys, TableOf},
};

/// Names the associated data of this format.
const AAD_NAME: &[u8] = b"coffer.rec.v1";
/// Longer than an account id, so that no name is hashed as a mark is.
const MARK_NAME: &[u8] = b"coffer/v1/keyring-mark";

/// Where a record is, and which layout its plaintext has.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    pub account: AccountId,
    /// The engine's partition, for example account and region.
    pub partition: &'a [u8],
    pub table: u16,
    /// The record's key as the engine stores it.
    pub key: &'a [u8],
    pub schema: u16,
}

/// A record that was opened at its place.
#[derive(Debug)]
pub struct Opened {
    pub revision: u64,
    pub plaintext: Secret<Vec<u8>>,
}

/// What a derived key is for. Purposes never share a key, whatever their contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Audit segments; the context names the node.
    Audit,
    /// The leaves of the set hash over all records; no context.
    SetHash,
    /// Page tokens, temporary credentials, console sessions; the context names which.
    Token,
    /// Wraps the key of a backup; no context.
    Backup,
}

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::Audit => "coffer/v1/audit",
            Self::SetHash => "coffer/v1/acc",
            Self::Token => "coffer/v1/token",
            Self::Backup => "coffer/v1/backup",
        }
    }
}

/// An open store's keys, and all that is done with them. Dropping it wipes them.
pub struct Barrier {
    store_id: [u8; 16],
    /// Those of the epochs change while the store is open; the others never do.
    keys: RwLock<Arc<Keys>>,
    tables: TableKeys,
    entropy: Arc<dyn Entropy>,
}

impl Barrier {
    pub(crate) fn new(store_id: [u8; 16], keys: Arc<Keys>, entropy: Arc<dyn Entropy>) -> Self {
        Self { store_id, keys: RwLock::new(keys), tables: TableKeys::new(), entropy }
    }

    /// A barrier whose keys exist nowhere else: for the development server and tests. What it seals dies with it.
    pub fn ephemeral(entropy: Arc<dyn Entropy>) -> Self {
        let mut store_id = [0; 16];
        entropy.fill(&mut store_id);
        let keys = Arc::new(Keys::random(&*entropy));
        Self::new(store_id, keys, entropy)
    }

    pub const fn store_id(&self) -> &[u8; 16] {
        &self.store_id
    }

    /// The epoch that seals new records.
    pub fn active_epoch(&self) -> u32 {
        self.keys().active.number
    }

    /// Epochs whose keys are kept because records may still be sealed under them.
    pub fn older_epochs(&self) -> Vec<u32> {
        self.keys().older.iter().map(|epoch| epoch.number).collect()
    }

    /// Goes on with the epochs of a keyring, which must be that of this store and be on the disk already. What is being sealed or opened
    /// meanwhile is so with the keys it began with. The keys of epochs that are gone are wiped when the last of that is done.
    pub(crate) fn adopt(&self, keys: &Arc<Keys>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(keys);
        self.tables.keep(|epoch| keys.epoch(epoch).is_some());
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Seals `plaintext` as revision `revision` of the record at this place.
    pub fn seal(&self, at: &Location<'_>, revision: u64, plaintext: &[u8]) -> Vec<u8> {
        let keys = self.keys();
        let epoch = &keys.active;
        let (mut salt, mut nonce) = ([0; 24], [0; 12]);
        self.entropy.fill(&mut salt);
        self.entropy.fill(&mut nonce);
        let of = TableOf { epoch: epoch.number, account: at.account, table: at.table };
        let record_key = self.tables.record_key(of, epoch.key.expose(), &salt);
        let header =
            Header { epoch: epoch.number, revision, salt, commitment: *record_key.commitment(), nonce };

        // The whole length at once: a buffer that grows leaves plaintext behind where it was.
        let padded_len = padding::padded_len(plaintext.len());
        let mut sealed = Vec::with_capacity(padded_len.saturating_add(OVERHEAD_LEN));
        header.write(&mut sealed);
        sealed.extend_from_slice(plaintext);
        padding::pad(&mut sealed, plaintext.len());
        let (_, text) = sealed.split_at_mut(HEADER_LEN);
        let aad = self.aad(at, &header);
        let tag = GcmKey::new(record_key.key.expose()).seal_detached(&nonce, &aad, text);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens what was sealed for exactly this place.
    ///
    /// The commitment is compared before anything is decrypted, and there is one key to try: a record either belongs
    /// here or is damaged. The revision is the record's own word, authenticated; whether it is the newest one is for the
    /// caller, who knows which it wrote last.
    pub fn open(&self, at: &Location<'_>, sealed: &[u8]) -> Result<Opened, Damaged> {
        let (header, text, tag) = envelope::split(sealed)?;
        let keys = self.keys();
        let epoch_key = keys.epoch(header.epoch).ok_or(Damaged::UnknownEpoch(header.epoch))?;
        let of = TableOf { epoch: header.epoch, account: at.account, table: at.table };
        let record_key = self.tables.record_key(of, epoch_key, &header.salt);
        if !record_key.is_committed_by(&header.commitment) {
            return Err(Damaged::Commitment);
        }

        let mut plaintext = Secret::new(text.to_vec());
        let aad = self.aad(at, &header);
        GcmKey::new(record_key.key.expose())
            .open_detached(&header.nonce, &aad, plaintext.expose_mut(), &tag)
            .map_err(|_| Damaged::NotAuthentic)?;
        let len = padding::unpadded_len(plaintext.expose()).ok_or(Damaged::Padding)?;
        plaintext.expose_mut().truncate(len);
        Ok(Opened { revision: header.revision, plaintext })
    }

    /// The hash under which a name is stored: keyed, so that nobody can try names against a stolen store.
    ///
    /// `scope` is the region or what else separates equal names; `parts` are kept apart, so `["a", "bc"]` is not
    /// `["ab", "c"]`.
    pub fn hash_name(&self, account: AccountId, scope: &str, table: u16, parts: &[&[u8]]) -> [u8; 32] {
        let name = Fields::with_capacity(128)
            .field(account.as_str().as_bytes())
            .field(scope.as_bytes())
            .field(&table.to_be_bytes());
        let name = parts.iter().fold(name, |name, part| name.field(part));
        hmac_sha256(self.keys().index.expose(), &[&name.into_bytes()])
    }

    /// What a store keeps to know its keyring by: the id in the clear, so that a stranger is told before anybody gives a key, and
    /// a proof that only these keys make. It hangs on the index key, which no change of slots or epochs touches.
    pub fn keyring_mark(&self) -> Vec<u8> {
        let context = Fields::with_capacity(64).field(MARK_NAME).field(&self.store_id).into_bytes();
        let proof = hmac_sha256(self.keys().index.expose(), &[&context]);
        [&self.store_id[..], &proof[..]].concat()
    }

    /// A key for something other than records. It is the same in every epoch: segments of the audit log are never sealed again, and
    /// clients keep their tokens.
    pub fn derive(&self, purpose: Purpose, context: &[u8]) -> Secret<[u8; 32]> {
        derivation::derived(self.keys().lasting.expose(), purpose.label(), &[context])
    }

    fn aad(&self, at: &Location<'_>, header: &Header) -> Vec<u8> {
        Fields::with_capacity(160)
            .field(AAD_NAME)
            .field(&self.store_id)
            .field(at.account.as_str().as_bytes())
            .field(at.partition)
            .field(&at.table.to_be_bytes())
            .field(at.key)
            .field(&at.schema.to_be_bytes())
            .field(&header.epoch.to_be_bytes())
            .field(&header.revision.to_be_bytes())
            .field(&[SUITE])
            .into_bytes()
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("active_epoch", &self.active_epoch()).finish_non_exhaustive()
    }
}

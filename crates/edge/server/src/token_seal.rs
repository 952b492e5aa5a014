//! A token that opens the store: a hardware security module, a smart card, or what else speaks PKCS#11.
//!
//! The token has an AES key that it gives to nobody. A seal slot has a key of its own, which the token encrypted when the slot was made
//! and decrypts for whoever knows its PIN. Store and slot are bound to it, so what one slot holds is decrypted for no other.
//!
//! The module is a library that is loaded into the server. So its path stands in the configuration alone, and so do token and PIN: a
//! keyring is a file in backups, and must have nothing loaded. A wrong PIN is tried once at a start and not again, because tokens
//! lock themselves after a few.

use std::path::PathBuf;

use coffer_barrier::{Pkcs11Slot, SlotId, SlotKey};
use coffer_types::{Entropy, Secret};

use crate::{complaint::Complaint, data_dir::read_private};

#[cfg(feature = "hsm")]
mod pkcs11;

/// Which key of which token, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSeal {
    pub(crate) module: PathBuf,
    /// The label of the token for new slots.
    pub(crate) token: String,
    /// The label of the key for new slots.
    pub(crate) key: String,
    /// The file with the PIN. A command that is typed does not have the credentials of a service.
    pub(crate) pin: Option<PathBuf>,
    /// systemd hands it over, and gives access in a way that shows as group permission.
    pub(crate) is_credential: bool,
}

impl TokenSeal {
    /// Has the key of a new slot encrypted, by a key that is made before if `generate` says so.
    pub(crate) fn wrap(
        &self,
        store_id: &[u8; 16],
        slot: SlotId,
        key: &Secret<[u8; 32]>,
        generate: bool,
        entropy: &dyn Entropy,
    ) -> Result<Pkcs11Slot, Complaint> {
        #[cfg(feature = "hsm")]
        return pkcs11::wrap(self, &context(store_id, slot), key, generate, entropy);
        #[cfg(not(feature = "hsm"))]
        {
            let _ = (store_id, slot, key, generate, entropy);
            Err(built_without())
        }
    }

    /// Has the key of a slot decrypted.
    pub(crate) fn unwrap(
        &self,
        store_id: &[u8; 16],
        slot: SlotId,
        at: &Pkcs11Slot,
    ) -> Result<SlotKey, Complaint> {
        #[cfg(feature = "hsm")]
        return pkcs11::unwrap(self, &context(store_id, slot), at).map(|key| SlotKey::Pkcs11 { slot, key });
        #[cfg(not(feature = "hsm"))]
        {
            let _ = (store_id, slot, at);
            Err(built_without())
        }
    }

    /// Whether the token is there, without its PIN: a wrong one counts.
    pub(crate) fn look(&self) -> Result<(), Complaint> {
        #[cfg(feature = "hsm")]
        return pkcs11::look(self);
        #[cfg(not(feature = "hsm"))]
        Err(built_without())
    }

    /// Read each time, and known for no longer than it takes.
    #[cfg_attr(not(feature = "hsm"), expect(dead_code, reason = "only a token asks for it"))]
    fn pin(&self) -> Result<Secret<String>, Complaint> {
        let Some(path) = &self.pin else {
            return Err(Complaint::new(format!("there is no PIN for the token {}", self.token))
                .because(
                    "`seal.pkcs11.pin` names no file, and systemd gave this process no credential coffer.pin",
                )
                .next("a file with the PIN, and its path in the configuration"));
        };
        let mut pin =
            read_private(path, self.is_credential, &format!("the PIN of the token {}", self.token))?;
        let len = pin.expose().trim_end_matches(['\n', '\r']).len();
        pin.expose_mut().truncate(len);
        Ok(pin)
    }
}

#[cfg(not(feature = "hsm"))]
fn built_without() -> Complaint {
    Complaint::new("this coffer does not speak to tokens")
        .because("it was built without the feature `hsm`")
        .next("one that was built with cargo build --release --features hsm")
}

/// What a ciphertext is bound to.
#[cfg(feature = "hsm")]
fn context(store_id: &[u8; 16], slot: SlotId) -> Vec<u8> {
    [&b"coffer/v1/pkcs11"[..], store_id, slot.as_bytes()].concat()
}

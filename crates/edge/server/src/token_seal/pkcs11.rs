//! The words of PKCS#11 that a seal slot needs: find the token, log in, find the key, encrypt and decrypt 32 bytes.
//!
//! A module is loaded for one errand and finalised after it, so no session stays logged in while the store is open. A process
//! has one of each module, so errands take turns.

use std::sync::{Mutex, PoisonError};

use coffer_barrier::Pkcs11Slot;
use coffer_crypto::{NONCE_LEN, TAG_LEN};
use coffer_types::{Entropy, Secret};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::{Mechanism, aead::GcmParams},
    object::{Attribute, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};

use super::TokenSeal;
use crate::complaint::Complaint;

static TURN: Mutex<()> = Mutex::new(());

const TAG_BITS: u64 = TAG_LEN as u64 * 8;
const KEY_BYTES: u64 = 32;

pub(super) fn wrap(
    seal: &TokenSeal,
    context: &[u8],
    key: &Secret<[u8; 32]>,
    generate: bool,
    entropy: &dyn Entropy,
) -> Result<Pkcs11Slot, Complaint> {
    let mut iv = [0; NONCE_LEN];
    entropy.fill(&mut iv);
    on_module(seal, |module| {
        let found = find_token(seal, module, &seal.token, None)?;
        let session = log_in(seal, module, &found)?;
        if generate {
            make_key(seal, &session)?;
        }
        let wrapping = find_key(seal, &session, &seal.key)?;
        let mut used = iv;
        let mechanism = gcm(seal, &mut used, context)?;
        let text = session
            .encrypt(&mechanism, wrapping, key.expose())
            .map_err(|error| failed(seal, "encrypts nothing", &error))?;
        let ciphertext = [&iv[..], &text].concat();
        Pkcs11Slot::new(&seal.token, &found.serial, &seal.key, &ciphertext).ok_or_else(|| {
            Complaint::new(format!("the token {} encrypts nothing", seal.token))
                .because("its labels, or what it encrypted, are longer than a seal slot holds")
        })
    })
}

pub(super) fn unwrap(
    seal: &TokenSeal,
    context: &[u8],
    at: &Pkcs11Slot,
) -> Result<Secret<[u8; 32]>, Complaint> {
    let not_ours = || {
        Complaint::new(format!("the token {} does not open the store", at.token()))
            .because(format!("its key {} is not the one that the seal slot was made with", at.key()))
            .next("the token with that key, or another seal slot: coffer key slot list")
    };
    on_module(seal, |module| {
        let found = find_token(seal, module, at.token(), Some(at.serial()))?;
        let session = log_in(seal, module, &found)?;
        let wrapping = find_key(seal, &session, at.key())?;
        let (iv, text) = at.ciphertext().split_first_chunk::<NONCE_LEN>().ok_or_else(not_ours)?;
        let mut iv = *iv;
        let mechanism = gcm(seal, &mut iv, context)?;
        let opened = session.decrypt(&mechanism, wrapping, text).map_err(|error| match error {
            Error::Pkcs11(RvError::EncryptedDataInvalid | RvError::GeneralError, _) => {
                not_ours().because(&error)
            }
            other => failed(seal, "decrypts nothing", &other),
        })?;
        let opened = Secret::new(opened);
        opened.expose().as_slice().try_into().map(Secret::new).map_err(|_| not_ours())
    })
}

pub(super) fn look(seal: &TokenSeal) -> Result<(), Complaint> {
    on_module(seal, |module| find_token(seal, module, &seal.token, None).map(drop))
}

/// A token, and how another of the same name is told from it.
struct Found {
    slot: Slot,
    serial: String,
}

fn on_module<T>(
    seal: &TokenSeal,
    work: impl FnOnce(&Pkcs11) -> Result<T, Complaint>,
) -> Result<T, Complaint> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let unusable = |error: &Error| {
        Complaint::new(format!("the PKCS#11 module {} cannot be used", seal.module.display()))
            .because(error)
            .next("correct `seal.pkcs11.module` in the configuration: the library that comes with the token")
    };
    let module = Pkcs11::new(&seal.module).map_err(|error| unusable(&error))?;
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    module.initialize(arguments).map_err(|error| unusable(&error))?;
    let done = work(&module);
    // It logs everybody out. A module that cannot be finalised has no session of ours any more.
    drop(module.finalize());
    done
}

fn find_token(
    seal: &TokenSeal,
    module: &Pkcs11,
    label: &str,
    serial: Option<&str>,
) -> Result<Found, Complaint> {
    let unread = |error: Error| failed(seal, "cannot be looked for", &error);
    let (mut others, mut of_this_name) = (Vec::new(), None);
    for slot in module.get_slots_with_initialized_token().map_err(unread)? {
        let token = module.get_token_info(slot).map_err(unread)?;
        let (name, number) = (token.label().trim(), token.serial_number().trim());
        if name != label {
            others.push(format!("{name} (serial {number})"));
            continue;
        }
        let found = Found { slot, serial: number.to_owned() };
        if serial.is_none_or(|serial| serial == number) {
            return Ok(found);
        }
        of_this_name.get_or_insert(found);
    }
    // Keys are copied to other tokens, so that one may fail. Whether it is a copy shows when it decrypts.
    if let Some(found) = of_this_name {
        return Ok(found);
    }
    let wanted = serial.map_or_else(|| label.to_owned(), |serial| format!("{label} (serial {serial})"));
    let there = if others.is_empty() { String::from("no token") } else { others.join(", ") };
    Err(Complaint::new(format!("the token {wanted} is not there"))
        .because(format!("the PKCS#11 module {} shows {there}", seal.module.display()))
        .next("connect it, or correct `[seal.pkcs11]` in the configuration"))
}

fn log_in(seal: &TokenSeal, module: &Pkcs11, found: &Found) -> Result<Session, Complaint> {
    let pin = AuthPin::from(seal.pin()?.expose().as_str());
    let session =
        module.open_rw_session(found.slot).map_err(|error| failed(seal, "opens no session", &error))?;
    match session.login(UserType::User, Some(&pin)) {
        Ok(()) => Ok(session),
        Err(Error::Pkcs11(RvError::PinIncorrect, _)) => {
            Err(Complaint::new(format!("the token {} refuses the PIN", seal.token))
                .because("it is not the PIN of its user; after a few wrong ones the token locks itself")
                .next("correct the file that `seal.pkcs11.pin` names before the next start"))
        }
        Err(Error::Pkcs11(RvError::PinLocked, _)) => {
            Err(Complaint::new(format!("the token {} is locked", seal.token))
                .because("too many wrong PINs were tried")
                .next("let its security officer set a PIN, or open the store with another seal slot"))
        }
        Err(error) => Err(failed(seal, "lets nobody in", &error)),
    }
}

/// Sensitive and not extractable: it is used on the token or nowhere.
fn make_key(seal: &TokenSeal, session: &Session) -> Result<(), Complaint> {
    if !keys(seal, session, &seal.key)?.is_empty() {
        return Err(Complaint::new(format!("no key is made on the token {}", seal.token))
            .because(format!("it has a key {} already", seal.key))
            .next("the same command without --generate, or another `seal.pkcs11.key`"));
    }
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(KEY_BYTES.into()),
        Attribute::Label(seal.key.as_bytes().to_vec()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ];
    let made = session.generate_key(&Mechanism::AesKeyGen, &template);
    made.map(drop).map_err(|error| failed(seal, "makes no key", &error))
}

fn find_key(seal: &TokenSeal, session: &Session, label: &str) -> Result<ObjectHandle, Complaint> {
    match keys(seal, session, label)?.as_slice() {
        [key] => Ok(*key),
        [] => Err(Complaint::new(format!("the token {} has no key {label}", seal.token))
            .because("there is no AES key with this label that its user may use")
            .next("the token that has it; for a new slot coffer key pkcs11 create --generate makes one")),
        more => Err(Complaint::new(format!("the token {} has {} keys {label}", seal.token, more.len()))
            .because("nobody can tell which of them is meant")
            .next("give the others another label")),
    }
}

fn keys(seal: &TokenSeal, session: &Session, label: &str) -> Result<Vec<ObjectHandle>, Complaint> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    session.find_objects(&template).map_err(|error| failed(seal, "shows no keys", &error))
}

fn gcm<'a>(seal: &TokenSeal, iv: &'a mut [u8], context: &'a [u8]) -> Result<Mechanism<'a>, Complaint> {
    let parameters = GcmParams::new(iv, context, TAG_BITS.into());
    parameters.map(Mechanism::AesGcm).map_err(|error| failed(seal, "does not know AES-GCM", &error))
}

fn failed(seal: &TokenSeal, what: &str, error: &Error) -> Complaint {
    Complaint::new(format!("the token {} {what}", seal.token))
        .because(error)
        .next("look at it with the tools that came with it, such as pkcs11-tool --list-objects")
}

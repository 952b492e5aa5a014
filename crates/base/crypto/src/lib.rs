//! All cryptography of Coffer, under names that say what we use it for.
//!
//! This is the only crate that names a crypto library, so that the answer to "which code makes the keys" is one
//! directory, and so that the validated module can take the place of the ordinary one without anybody else noticing.
//! AWS-LC does the hashing, the ciphers and the random numbers; Argon2id and Shamir's scheme, which it lacks, stand
//! beside it.
//!
//! What is offered for Coffer's own use is deliberately little: one hash, one MAC, two key derivations, one cipher, one passphrase hash,
//! and checking the signatures that others make. There is nothing to configure, so there is nothing to configure wrongly. Beside it stands
//! what KMS keys do for their owners, who choose: [`PrivateKey`] and [`PublicKey`], HMAC with any SHA-2, and AES key wrap. Keys come in and
//! go out as [`Secret`](coffer_types::Secret); where a size is fixed it is an array type, so that a wrong length does not compile.
//!
//! The crate does not know what the bytes mean: envelopes, keyrings, KMS ciphertexts and signatures are formats of the
//! crates above. It does no I/O and has no clock.

mod aead;
mod asymmetric;
mod digest;
mod entropy;
mod kdf;
mod key_wrap;
mod mac;
mod passphrase;
mod shamir;
mod signature;

pub use aead::{GcmKey, NONCE_LEN, NotAuthentic, TAG_LEN, open, seal};
pub use asymmetric::{KeyError, KeyKind, Oaep, PrivateKey, PublicKey, Sha2, Signing, ToSign};
pub use digest::{HmacKey, Sha256, constant_time_eq, crc32, hmac_sha256, sha1_of_mysql, sha256};
pub use entropy::SystemEntropy;
pub use kdf::{CommittedKey, hkdf_expand_sha256, kbkdf_ctr_hmac_sha256};
pub use key_wrap::{unwrap_key, wrap_key};
pub use mac::HmacHash;
pub use passphrase::{CostError, PassphraseCost, SALT_LEN, passphrase_key};
pub use shamir::{Share, SplitError, combine, split};
pub use signature::{SignatureScheme, VerifyingKey};

/// Ends the process when the library refuses input that cannot be wrong.
///
/// With lengths fixed by types, the library fails only when memory is gone or its own self-test failed. Neither is
/// an error that a request could report: after it no key, no hash and no random byte may be trusted, and going on is
/// the one wrong answer. An abort runs no destructor and writes no core (the limit is zero), so nothing leaks.
fn certain<T, E>(outcome: Result<T, E>) -> T {
    match outcome {
        Ok(value) => value,
        Err(_) => std::process::abort(),
    }
}

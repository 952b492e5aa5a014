//! Key material that comes from outside.
//!
//! Whoever brings material first asks for parameters: a public key to wrap it under, and a token. The private half of that key is nowhere but
//! in the token, sealed, so that it survives a restart, needs no record and is gone with the token. A token belongs to one key and is good for
//! a day.
//!
//! A key remembers each material that it ever had by its id, also while the material itself is not here: what expired or was deleted
//! comes back by being imported again, and nothing else comes in its place. As long as any of them is missing the key waits.

use std::time::Duration;

use coffer_core::Cx;
use coffer_crypto::{Oaep, PrivateKey};
use coffer_shape::{ApiError, record, stored};
use coffer_types::{Secret, Timestamp, encoding::HEXLOWER, zeroize::Zeroize};

use crate::{
    blob::material_id,
    error::KmsError,
    key::{KeyRecord, Material},
    spec::{KeySpec, MadeOf, Origin},
    state::KeyState,
    words::words,
};

const PURPOSE: &str = "kms-import";
const PARAMETERS_VALID: Duration = Duration::from_secs(24 * 60 * 60);
/// AWS documents a year.
const MATERIAL_VALID_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

words! {
    /// How material is wrapped on its way.
    pub(crate) enum Wrapping {
        OaepSha256 = "RSAES_OAEP_SHA_256",
        OaepSha1 = "RSAES_OAEP_SHA_1",
        AesKeyWrapSha256 = "RSA_AES_KEY_WRAP_SHA_256",
        AesKeyWrapSha1 = "RSA_AES_KEY_WRAP_SHA_1",
    }
}

record! {
    /// What a token holds.
    struct Parameters {
        wrapping: Wrapping,
        spec: KeySpec,
        private_key: Secret<Vec<u8>>,
        valid_to: Timestamp,
    }
}

/// What whoever brings material is given.
pub(crate) struct Given {
    pub public_key: Vec<u8>,
    pub token: Vec<u8>,
    pub valid_to: Timestamp,
}

/// Makes a pair for one import into this key.
pub(crate) fn parameters(
    cx: &Cx<'_>,
    key: &KeyRecord,
    wrapping: Wrapping,
    spec: KeySpec,
) -> Result<Given, ApiError> {
    let MadeOf::Pair(kind) = spec.made_of() else { return Err(KmsError::Unsupported.into()) };
    let pair = cx.at_length(|| PrivateKey::generate(kind))?;
    let valid_to = cx.now().plus(PARAMETERS_VALID);
    let parameters = Parameters { wrapping, spec, private_key: pair.to_pkcs8(), valid_to };
    let content = stored::to_bytes(&parameters).map_err(|error| cx.internal(error))?;
    let token = cx.seal_for(PURPOSE, key.arn.as_bytes(), &content).into_bytes();
    Ok(Given { public_key: pair.public_key(), token, valid_to })
}

/// Opens what was wrapped under the public key that came with the token.
pub(crate) fn unwrap(
    cx: &Cx<'_>,
    key: &KeyRecord,
    token: &[u8],
    wrapped: &[u8],
) -> Result<Secret<Vec<u8>>, ApiError> {
    let content = std::str::from_utf8(token)
        .ok()
        .and_then(|token| cx.open_for(PURPOSE, key.arn.as_bytes(), token))
        .ok_or(KmsError::ImportTokenInvalid)?;
    let parameters: Parameters = stored::from_bytes(content.expose()).map_err(|error| cx.internal(error))?;
    if parameters.valid_to <= cx.now() {
        return Err(KmsError::ImportTokenExpired.into());
    }
    let MadeOf::Pair(kind) = parameters.spec.made_of() else {
        return Err(KmsError::ImportTokenInvalid.into());
    };
    let pair =
        PrivateKey::from_pkcs8(kind, parameters.private_key.expose()).map_err(|error| cx.internal(error))?;
    let opened = match parameters.wrapping {
        Wrapping::OaepSha1 => pair.decrypt(Oaep::Sha1, wrapped),
        Wrapping::OaepSha256 => pair.decrypt(Oaep::Sha256, wrapped),
        Wrapping::AesKeyWrapSha1 => pair.unwrap(Oaep::Sha1, wrapped),
        Wrapping::AesKeyWrapSha256 => pair.unwrap(Oaep::Sha256, wrapped),
    };
    Ok(opened.map_err(|_| KmsError::InvalidCiphertext)?)
}

/// How long material stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    Never,
    At(Timestamp),
}

impl Expiry {
    /// Material expires unless the caller says otherwise.
    pub(crate) fn from_request(
        now: Timestamp,
        model: Option<&str>,
        valid_to: Option<Timestamp>,
    ) -> Result<Self, KmsError> {
        match (model, valid_to) {
            (Some("KEY_MATERIAL_DOES_NOT_EXPIRE"), None) => Ok(Self::Never),
            (Some("KEY_MATERIAL_DOES_NOT_EXPIRE"), Some(_)) => Err(KmsError::ValidToWithoutExpiry),
            (_, None) => Err(KmsError::ValidToMissing),
            (_, Some(at)) if at <= now || at > now.plus(MATERIAL_VALID_MAX) => {
                Err(KmsError::ValidToOutOfRange)
            }
            (_, Some(at)) => Ok(Self::At(at)),
        }
    }

    const fn at(self) -> Option<Timestamp> {
        match self {
            Self::Never => None,
            Self::At(at) => Some(at),
        }
    }
}

/// Which material a caller means to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brings {
    New,
    Existing,
}

/// Material that has been unwrapped.
pub(crate) struct Brought {
    pub bytes: Secret<Vec<u8>>,
    /// None if the caller leaves it to us.
    pub as_what: Option<Brings>,
    /// The id that the caller expects it to have.
    pub id: Option<String>,
    pub expiry: Expiry,
    pub description: Option<String>,
}

/// Rules for keys whose material comes from outside.
impl KeyRecord {
    pub(crate) fn ensure_external(&self) -> Result<(), KmsError> {
        match self.origin {
            Origin::External => Ok(()),
            Origin::AwsKms => Err(KmsError::Origin { arn: self.arn.clone(), origin: self.origin.as_str() }),
        }
    }

    /// Takes material in, and says what its id is.
    pub(crate) fn take_in(&mut self, now: Timestamp, brought: Brought) -> Result<String, KmsError> {
        let bytes = sound(self.spec, brought.bytes).ok_or(KmsError::MaterialUnfit)?;
        let mut material = Material::from_outside(bytes, now);
        material.expires_at = brought.expiry.at();
        material.description = brought.description;
        let id = material.id.clone();
        if brought.id.is_some_and(|expected| expected != id) {
            return Err(KmsError::MaterialUnfit);
        }
        let (is_first, is_replica) = (self.materials.is_empty(), self.is_replica());
        let known = self.materials.iter_mut().find(|known| known.id == id);
        match (known, brought.as_what) {
            (Some(known), None | Some(Brings::Existing)) => {
                // When it came first, and how, stays as it was.
                known.bytes = material.bytes;
                known.expires_at = material.expires_at;
                known.description = material.description.or(known.description.take());
            }
            (None, None | Some(Brings::New)) if is_first => self.materials.push(material),
            // A replica gets what its primary has.
            (None, Some(Brings::New)) if self.spec == KeySpec::SymmetricDefault && !is_replica => {
                if let Some(pending) = self.pending.as_ref().filter(|pending| pending.id != id) {
                    return Err(KmsError::MaterialPending {
                        arn: self.arn.clone(),
                        new: id,
                        pending: pending.id.clone(),
                    });
                }
                self.pending = Some(material);
            }
            (None, None | Some(Brings::Existing))
                if self.pending.as_ref().is_some_and(|pending| pending.id == id) =>
            {
                self.pending = Some(material);
            }
            (Some(_), Some(Brings::New)) | (None, _) => return Err(KmsError::MaterialUnfit),
        }
        if self.state == KeyState::PendingImport && !self.lacks_material() {
            self.state = KeyState::Enabled;
        }
        Ok(id)
    }

    /// Forgets a material, the current one if none is named, and says which; nothing if it was not there.
    pub(crate) fn forget(&mut self, id: Option<&str>) -> Result<Option<String>, KmsError> {
        let is_replica = self.is_replica();
        if let Some(pending) = self.pending.as_mut().filter(|pending| Some(pending.id.as_str()) == id) {
            let id = pending.id.clone();
            pending.wipe();
            self.pending.take_if(|_| !is_replica);
            return Ok(Some(id));
        }
        let found = match id {
            Some(id) => {
                let found = self.materials.iter_mut().find(|known| known.id == id);
                Some(found.ok_or_else(|| KmsError::MaterialNotFound { id: id.to_owned() })?)
            }
            None => self.materials.last_mut(),
        };
        let Some(material) = found else { return Ok(None) };
        let id = material.id.clone();
        material.wipe();
        self.wait_for_material();
        Ok(Some(id))
    }

    /// Forgets what is not valid any more.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let is_over = |material: &Material| material.expires_at.is_some_and(|at| at <= now);
        self.materials.iter_mut().filter(|material| is_over(material)).for_each(Material::wipe);
        self.pending.iter_mut().filter(|pending| is_over(pending)).for_each(Material::wipe);
        // A replica remembers what its primary waits for.
        let is_replica = self.is_replica();
        self.pending.take_if(|pending| !is_replica && !pending.is_here());
        self.wait_for_material();
    }

    /// When the next of its materials is not valid any more.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.materials.iter().chain(&self.pending).filter_map(|material| material.expires_at).min()
    }

    /// ExpirationModel and ValidTo, which are there as long as all material is.
    pub(crate) fn shown_validity(&self) -> (Option<String>, Option<Timestamp>) {
        if self.origin != Origin::External || self.lacks_material() {
            return (None, None);
        }
        let soonest = self.materials.iter().min_by_key(|material| {
            // What never expires comes last.
            (material.expires_at.is_none(), material.expires_at)
        });
        soonest.map_or((None, None), |material| material.shown_validity(self.origin))
    }

    /// The id of a material, which AWS shows for symmetric encryption only.
    pub(crate) fn shown_id(&self, id: String) -> Option<String> {
        (self.spec == KeySpec::SymmetricDefault).then_some(id)
    }

    pub(crate) fn lacks_material(&self) -> bool {
        self.materials.is_empty() || self.materials.iter().any(|material| !material.is_here())
    }

    /// A key that is to be deleted stays so.
    pub(crate) fn wait_for_material(&mut self) {
        if self.lacks_material() && matches!(self.state, KeyState::Enabled | KeyState::Disabled) {
            self.state = KeyState::PendingImport;
        }
    }
}

impl Material {
    fn from_outside(bytes: Secret<Vec<u8>>, now: Timestamp) -> Self {
        Self { id: HEXLOWER.encode(&material_id(bytes.expose())), bytes, created_at: now, ..Self::default() }
    }

    pub(crate) fn shown_validity(&self, origin: Origin) -> (Option<String>, Option<Timestamp>) {
        if origin != Origin::External || !self.is_here() {
            return (None, None);
        }
        let model =
            if self.expires_at.is_some() { "KEY_MATERIAL_EXPIRES" } else { "KEY_MATERIAL_DOES_NOT_EXPIRE" };
        (Some(model.to_owned()), self.expires_at)
    }

    pub(crate) const fn is_here(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// What is left is what it was called.
    fn wipe(&mut self) {
        self.bytes.expose_mut().zeroize();
        self.expires_at = None;
    }
}

/// Material in the form in which it is stored, if it is such as the spec asks for.
fn sound(spec: KeySpec, bytes: Secret<Vec<u8>>) -> Option<Secret<Vec<u8>>> {
    match spec.made_of() {
        MadeOf::Pair(kind) => Some(PrivateKey::from_pkcs8(kind, bytes.expose()).ok()?.to_pkcs8()),
        MadeOf::Secret { bytes: length } => (bytes.len() == length).then_some(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn external() -> KeyRecord {
        KeyRecord { origin: Origin::External, state: KeyState::PendingImport, ..KeyRecord::default() }
    }

    fn brought(byte: u8, as_what: Option<Brings>) -> Brought {
        Brought {
            bytes: Secret::new(vec![byte; 32]),
            as_what,
            id: None,
            expiry: Expiry::Never,
            description: None,
        }
    }

    #[test]
    fn what_was_deleted_comes_back_and_nothing_else_does() {
        let mut key = external();
        let one = key.take_in(NOW, brought(1, None)).unwrap();
        assert_eq!(key.state, KeyState::Enabled);
        assert_eq!(key.forget(None), Ok(Some(one.clone())));
        assert_eq!((key.state, key.current().unwrap().is_here()), (KeyState::PendingImport, false));
        for as_what in [None, Some(Brings::Existing)] {
            assert_eq!(key.take_in(NOW, brought(2, as_what)), Err(KmsError::MaterialUnfit));
        }
        assert_eq!(key.take_in(NOW, brought(1, Some(Brings::New))), Err(KmsError::MaterialUnfit));
        assert_eq!(key.take_in(NOW, brought(1, None)), Ok(one.clone()));
        assert_eq!((key.state, key.materials.len()), (KeyState::Enabled, 1));
        // Of the wrong length, and not what the caller said.
        let short = Brought { bytes: Secret::new(vec![1; 31]), ..brought(1, None) };
        assert_eq!(key.take_in(NOW, short), Err(KmsError::MaterialUnfit));
        let other = Brought { id: Some(String::from("ab")), ..brought(1, None) };
        assert_eq!(key.take_in(NOW, other), Err(KmsError::MaterialUnfit));
    }

    #[test]
    fn a_second_material_waits_for_its_rotation() {
        let mut key = external();
        let one = key.take_in(NOW, brought(1, None)).unwrap();
        let two = key.take_in(NOW, brought(2, Some(Brings::New))).unwrap();
        assert_eq!(key.current().unwrap().id, one);
        let refused = key.take_in(NOW, brought(3, Some(Brings::New)));
        let Err(KmsError::MaterialPending { pending, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(pending, two);
        // The same once more is no second one.
        assert_eq!(key.take_in(NOW, brought(2, None)), Ok(two.clone()));
        assert_eq!(key.forget(Some(&two)), Ok(Some(two.clone())));
        assert_eq!((key.state, key.pending.is_none()), (KeyState::Enabled, true));
        assert_eq!(key.forget(Some(&two)), Err(KmsError::MaterialNotFound { id: two }));
    }

    #[test]
    fn material_expires() {
        let mut key = external();
        let until = |seconds| Expiry::At(NOW.plus(Duration::from_secs(seconds)));
        key.take_in(NOW, Brought { expiry: until(60), ..brought(1, None) }).unwrap();
        key.take_in(NOW, Brought { expiry: until(30), ..brought(2, Some(Brings::New)) }).unwrap();
        assert_eq!(key.expires_at(), Some(NOW.plus(Duration::from_secs(30))));
        key.expire(NOW.plus(Duration::from_secs(30)));
        assert_eq!((key.state, key.pending.is_none()), (KeyState::Enabled, true));
        key.expire(NOW.plus(Duration::from_secs(60)));
        assert_eq!((key.state, key.expires_at()), (KeyState::PendingImport, None));
        // With another time, or with none.
        key.take_in(NOW, brought(1, None)).unwrap();
        assert_eq!((key.state, key.expires_at()), (KeyState::Enabled, None));
    }

    #[test]
    fn a_key_that_is_to_be_deleted_stays_so() {
        let mut key = external();
        key.take_in(NOW, brought(1, None)).unwrap();
        key.state = KeyState::PendingDeletion;
        key.forget(None).unwrap();
        assert_eq!(key.state, KeyState::PendingDeletion);
        assert_eq!(external().forget(None), Ok(None));
    }

    #[test]
    fn how_long_material_stays() {
        let day = |days: u64| Some(NOW.plus(Duration::from_secs(days * 86_400)));
        for (model, valid_to, expected) in [
            (None, None, Err(KmsError::ValidToMissing)),
            (None, day(1), Ok(Expiry::At(day(1).unwrap()))),
            (Some("KEY_MATERIAL_EXPIRES"), None, Err(KmsError::ValidToMissing)),
            (Some("KEY_MATERIAL_EXPIRES"), day(365), Ok(Expiry::At(day(365).unwrap()))),
            (Some("KEY_MATERIAL_EXPIRES"), day(366), Err(KmsError::ValidToOutOfRange)),
            (Some("KEY_MATERIAL_EXPIRES"), Some(NOW), Err(KmsError::ValidToOutOfRange)),
            (Some("KEY_MATERIAL_DOES_NOT_EXPIRE"), None, Ok(Expiry::Never)),
            (Some("KEY_MATERIAL_DOES_NOT_EXPIRE"), day(1), Err(KmsError::ValidToWithoutExpiry)),
        ] {
            assert_eq!(Expiry::from_request(NOW, model, valid_to), expected, "{model:?}");
        }
    }
}

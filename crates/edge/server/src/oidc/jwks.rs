//! The keys of an identity provider, as it publishes them: a JSON Web Key Set.

use coffer_crypto::{SignatureScheme, VerifyingKey};
use coffer_types::encoding::BASE64URL_NOPAD;
use serde_json::Value;

/// No provider has so many at the same time.
const KEYS_MAX: usize = 100;

/// What a provider signs its tokens with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeySet(Vec<PublishedKey>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct PublishedKey {
    id: Option<String>,
    /// The only algorithm that it is for, if the provider says so.
    algorithm: Option<String>,
    key: VerifyingKey,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum KeySetError {
    #[error("it is not a JSON Web Key Set")]
    Form,
    #[error("it has more than {KEYS_MAX} keys")]
    TooMany,
    #[error("it has no key that signatures can be checked with")]
    Empty,
}

impl KeySet {
    /// Keys of kinds that we do not know, or for other uses, are passed over: providers publish those too.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        let set: Value = serde_json::from_slice(text).map_err(|_| KeySetError::Form)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(KeySetError::Form)?;
        if listed.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let keys: Vec<PublishedKey> = listed.iter().filter_map(PublishedKey::read).collect();
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(Self(keys)) }
    }

    /// Whether there is a key that a token with such a header could be signed with.
    pub(crate) fn has(&self, id: Option<&str>, algorithm: &str) -> bool {
        self.candidates(id, algorithm).next().is_some()
    }

    /// Whether one of the keys that fit signed this.
    pub(crate) fn verifies(
        &self,
        id: Option<&str>,
        (algorithm, scheme): (&str, SignatureScheme),
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.candidates(id, algorithm).any(|key| key.key.verifies(scheme, message, signature))
    }

    /// A token that names its key is checked with that one. One that names none, with each, as there are few.
    fn candidates<'s>(
        &'s self,
        id: Option<&'s str>,
        algorithm: &'s str,
    ) -> impl Iterator<Item = &'s PublishedKey> {
        self.0.iter().filter(move |key| {
            let is_named = id.is_none_or(|id| key.id.as_deref() == Some(id));
            is_named && key.algorithm.as_deref().is_none_or(|only| only == algorithm)
        })
    }
}

impl PublishedKey {
    fn read(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let bytes = |name: &str| {
            let text = text(name)?.trim_end_matches('=');
            BASE64URL_NOPAD.decode(text.as_bytes()).ok()
        };
        if text("use").is_some_and(|for_what| for_what != "sig") {
            return None;
        }
        let key = match (text("kty")?, text("crv")) {
            ("RSA", _) => VerifyingKey::rsa(&bytes("n")?, &bytes("e")?),
            ("EC", Some("P-256")) => VerifyingKey::p256(&bytes("x")?, &bytes("y")?),
            ("EC", Some("P-384")) => VerifyingKey::p384(&bytes("x")?, &bytes("y")?),
            _ => None,
        }?;
        Some(Self { id: text("kid").map(str::to_owned), algorithm: text("alg").map(str::to_owned), key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The coordinates of the example key in RFC 7517, appendix A.1.
    const EC: &str = r#""kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM""#;

    fn set(keys: &str) -> Result<KeySet, KeySetError> {
        KeySet::parse(format!("{{\"keys\":[{keys}]}}").as_bytes())
    }

    #[test]
    fn keys_of_other_kinds_and_uses_are_passed_over() {
        let keys = set(&format!(
            r#"{{"kty":"oct","k":"AAAA"}}, {{"kid":"enc","use":"enc",{EC}}}, {{"kid":"sig","use":"sig","alg":"ES256",{EC}}}, 7"#
        ))
        .unwrap();
        assert_eq!(keys.0.len(), 1);
        for (id, algorithm, expected) in [
            (Some("sig"), "ES256", true),
            (None, "ES256", true),
            (Some("enc"), "ES256", false),
            (Some("sig"), "RS256", false),
            (Some(""), "ES256", false),
        ] {
            assert_eq!(keys.has(id, algorithm), expected, "{id:?} {algorithm}");
        }
    }

    #[test]
    fn a_token_that_names_no_key_is_tried_with_each() {
        let keys = set(&format!(r#"{{{EC}}}, {{"kid":"b",{EC}}}"#)).unwrap();
        assert_eq!(keys.candidates(None, "ES256").count(), 2);
        assert_eq!(keys.candidates(Some("b"), "ES256").count(), 1);
    }

    #[test]
    fn what_is_no_set_of_keys_is_refused() {
        for text in ["", "{}", "[]", "{\"keys\":{}}", "keys", "{\"keys\":7}"] {
            assert_eq!(KeySet::parse(text.as_bytes()), Err(KeySetError::Form), "{text}");
        }
        for keys in [
            "",
            r#"{"kty":"oct","k":"AAAA"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
            r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#,
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":"RSA","n":"%%","e":"AQAB"}"#,
        ] {
            assert_eq!(set(keys), Err(KeySetError::Empty), "{keys}");
        }
        assert_eq!(set(&vec!["{}"; 101].join(",")), Err(KeySetError::TooMany));
    }
}

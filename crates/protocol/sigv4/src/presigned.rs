//! The query form: the same claims as in the header, as parameters of the URL.
//!
//! Every `X-Amz-` parameter except the signature is itself signed, the session token too. Some old signers append
//! the token after signing; that is not accepted.

use std::borrow::Cow;

use crate::{ALGORITHM, ExpiresFault, SignatureError, limits, query};

pub(crate) const SIGNATURE: &str = "X-Amz-Signature";

const ALGORITHM_NAME: &str = "X-Amz-Algorithm";
const CREDENTIAL: &str = "X-Amz-Credential";
const DATE: &str = "X-Amz-Date";
const EXPIRES: &str = "X-Amz-Expires";
const SIGNED_HEADERS: &str = "X-Amz-SignedHeaders";
const TOKEN: &str = "X-Amz-Security-Token";

/// Whether the query carries credentials at all, well-formed or not.
pub(crate) fn is_presigned(query: &str) -> bool {
    !query.is_empty()
        && query::query_pairs(query).any(|(name, _)| {
            [SIGNATURE, CREDENTIAL, ALGORITHM_NAME].iter().any(|wanted| *name == *wanted.as_bytes())
        })
}

#[derive(Debug)]
pub(crate) struct Presigned<'a> {
    pub(crate) credential: Cow<'a, str>,
    pub(crate) signed_headers: Cow<'a, str>,
    pub(crate) signature: Cow<'a, str>,
    pub(crate) date: Cow<'a, str>,
    pub(crate) expires_seconds: u64,
    pub(crate) token: Option<Cow<'a, str>>,
}

impl<'a> Presigned<'a> {
    pub(crate) fn read(query: &'a str) -> Result<Self, SignatureError> {
        let mut slots = [ALGORITHM_NAME, CREDENTIAL, DATE, EXPIRES, SIGNED_HEADERS, SIGNATURE, TOKEN]
            .map(|name| (name, None::<Cow<'a, str>>));
        for (name, value) in query::query_pairs(query) {
            let Some((name, slot)) = slots.iter_mut().find(|(wanted, _)| *name == *wanted.as_bytes()) else {
                continue;
            };
            if slot.replace(text(value)).is_some() {
                return Err(SignatureError::DuplicateParameter { name });
            }
        }
        match slots.map(|(name, value)| value.ok_or(name)) {
            [
                Ok(algorithm),
                Ok(credential),
                Ok(date),
                Ok(expires),
                Ok(signed_headers),
                Ok(signature),
                token,
            ] => {
                if algorithm != ALGORITHM {
                    return Err(SignatureError::UnsupportedAlgorithm { algorithm: (*algorithm).into() });
                }
                let expires_seconds = read_expires(&expires)?;
                Ok(Self { credential, signed_headers, signature, date, expires_seconds, token: token.ok() })
            }
            slots => Err(SignatureError::IncompleteQuery {
                missing: slots.into_iter().filter_map(Result::err).filter(|name| *name != TOKEN).collect(),
            }),
        }
    }
}

fn read_expires(text: &str) -> Result<u64, SignatureError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SignatureError::Expires(ExpiresFault::NotANumber));
    }
    match text.parse() {
        Ok(0) => Err(SignatureError::Expires(ExpiresFault::NotPositive)),
        Ok(seconds @ 1..=limits::EXPIRES_SECONDS_MAX) => Ok(seconds),
        // Only digits, so what does not parse is too large for the type.
        _ => Err(SignatureError::Expires(ExpiresFault::TooLong)),
    }
}

/// Text outside UTF-8 cannot be a valid value of any of these parameters; its replacement is refused by each parser.
fn text(value: Cow<'_, [u8]>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_one_second_to_one_week() {
        let fault = |text| read_expires(text).map_err(|error| error.to_string());
        assert_eq!((fault("1"), fault("604800")), (Ok(1), Ok(604_800)));
        for (text, expected) in [
            ("", ExpiresFault::NotANumber),
            ("+5", ExpiresFault::NotANumber),
            ("-1", ExpiresFault::NotANumber),
            ("0", ExpiresFault::NotPositive),
            ("604801", ExpiresFault::TooLong),
            ("99999999999999999999999", ExpiresFault::TooLong),
        ] {
            assert_eq!(read_expires(text), Err(SignatureError::Expires(expected)), "{text}");
        }
    }

    #[test]
    fn missing_parameters_are_named_together() {
        let error = Presigned::read("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=x").unwrap_err();
        let missing = vec![CREDENTIAL, EXPIRES, SIGNED_HEADERS, SIGNATURE];
        assert_eq!(error, SignatureError::IncompleteQuery { missing });
    }

    #[test]
    fn credentials_are_found_under_any_spelling_of_the_name() {
        assert!(is_presigned("a=b&X%2dAmz-Signature=0"));
        assert!(!is_presigned("a=X-Amz-Signature&x-amz-signature=0"));
    }
}

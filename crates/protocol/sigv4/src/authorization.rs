//! The `Authorization` header: `AWS4-HMAC-SHA256 Credential=.., SignedHeaders=.., Signature=..`.
//!
//! Pairs may come in any order, each once; names that we do not know are ignored, as AWS does. A header of another
//! scheme may hold a bearer token, so nothing but the name of the scheme is ever repeated from it.

use crate::{ALGORITHM, MissingParts, Quoted, SignatureError};

/// The longest name of a scheme worth repeating; a longer word is more likely a token.
const SCHEME_CHARS_MAX: usize = 32;

#[derive(Debug)]
pub(crate) struct Authorization<'a> {
    pub(crate) credential: &'a str,
    pub(crate) signed_headers: &'a str,
    pub(crate) signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// `has_date` says whether a date header was sent; its absence is reported together with missing pairs.
    pub(crate) fn read(header: &'a [u8], has_date: bool) -> Result<Self, SignatureError> {
        // Bytes outside UTF-8 cannot be one of our pairs and are not repeated either.
        let text = std::str::from_utf8(header).unwrap_or_default().trim_matches([' ', '\t']);
        let (scheme, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        if scheme == ALGORITHM {
            // A blank inside a pair makes two pieces of it, as for AWS; the second is then reported.
            for piece in rest.split(',').flat_map(str::split_ascii_whitespace) {
                let Some((name, value)) = piece.split_once('=') else {
                    return Err(SignatureError::NotAPair { piece: piece.into(), header: text.into() });
                };
                let (slot, name) = match name {
                    "Credential" => (&mut credential, "Credential"),
                    "SignedHeaders" => (&mut signed_headers, "SignedHeaders"),
                    "Signature" => (&mut signature, "Signature"),
                    _ => continue,
                };
                if slot.replace(value).is_some() {
                    return Err(SignatureError::DuplicatePair { name });
                }
            }
        }
        match (credential, signed_headers, signature) {
            (Some(credential), Some(signed_headers), Some(signature)) if has_date => {
                Ok(Self { credential, signed_headers, signature })
            }
            _ => Err(SignatureError::IncompleteHeader {
                missing: MissingParts {
                    credential: credential.is_none(),
                    signature: signature.is_none(),
                    signed_headers: signed_headers.is_none(),
                    date: !has_date,
                },
                scheme: scheme_to_repeat(scheme, rest),
            }),
        }
    }
}

/// A lone word is not a scheme followed by credentials but may itself be the credential.
fn scheme_to_repeat(scheme: &str, rest: &str) -> Quoted {
    let is_name = scheme == ALGORITHM || (!rest.is_empty() && scheme.len() <= SCHEME_CHARS_MAX);
    Quoted::from(if is_name { scheme } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Family;

    #[test]
    fn pairs_come_in_any_order_and_spacing() {
        for header in [
            "AWS4-HMAC-SHA256 Credential=c, SignedHeaders=h, Signature=s",
            "AWS4-HMAC-SHA256 Credential=c,SignedHeaders=h,Signature=s",
            " AWS4-HMAC-SHA256\tSignature=s ,  Extra=x, SignedHeaders=h , Credential=c ",
        ] {
            let read = Authorization::read(header.as_bytes(), true).unwrap();
            assert_eq!((read.credential, read.signed_headers, read.signature), ("c", "h", "s"), "{header}");
        }
    }

    #[test]
    fn other_schemes_are_incomplete_and_their_tokens_stay_unsaid() {
        for (header, repeated) in [
            ("Bearer canary", "Authorization=Bearer"),
            ("Basic canary==", "Authorization=Basic"),
            ("canary", "Authorization="),
            ("AWS4-ECDSA-P256-SHA256 Credential=canary", "Authorization=AWS4-ECDSA-P256-SHA256"),
            ("aws4-hmac-sha256 Credential=canary", "Authorization=aws4-hmac-sha256"),
        ] {
            let message = Authorization::read(header.as_bytes(), true).unwrap_err().message(Family::Json);
            assert!(message.ends_with(repeated) && !message.contains("canary"), "{message}");
        }
    }

    #[test]
    fn a_pair_given_twice_is_refused() {
        let header = b"AWS4-HMAC-SHA256 Credential=c, SignedHeaders=h, Signature=s, Signature=t";
        let error = Authorization::read(header, true).unwrap_err();
        assert_eq!(error, SignatureError::DuplicatePair { name: "Signature" });
    }
}

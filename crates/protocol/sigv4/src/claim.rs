//! What a request claims: who signed it, when, and for which service. Nothing of it is proven yet.
//!
//! Reading a claim is steps 1 to 7 of AWS's order: everything that can be refused without knowing a key or the time.
//! The header form and the query form end in the same [`Claim`], so that no later step has to ask which it was,
//! except for how long it is valid.

use std::{fmt, time::Duration};

use coffer_types::{Secret, Timestamp, encoding::HEXLOWER};

use crate::{
    Head, SignatureError,
    authorization::Authorization,
    canonical, limits,
    presigned::{self, Presigned},
    scope::Credential,
};

/// Which forms the addressed service takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// JSON services: their target is a header, and a presigned URL could be sent with any.
    HeaderOnly,
    /// Query and REST services. Whatever a URL says, it is not valid for longer than `lifetime_max`; STS takes
    /// 15 minutes.
    HeaderOrQuery { lifetime_max: Duration },
}

/// Where the signature stood, and with that for how long it is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Header,
    Query { lifetime: Duration },
}

/// A well-formed signature that nobody has checked.
pub struct Claim {
    form: Form,
    credential: Credential,
    signed_headers: String,
    signature: Option<[u8; 32]>,
    timestamp: Timestamp,
    timestamp_text: String,
    session_token: Option<Secret<String>>,
}

impl Claim {
    /// Reads the claim of a request, or says what is wrong with its form.
    pub fn read(head: &Head<'_>, accepts: Accepts) -> Result<Self, SignatureError> {
        head.check_limits()?;
        head.check_duplicates()?;
        let header = head.first("authorization").map(canonical::trim);
        match (header, presigned::is_presigned(head.query), accepts) {
            (Some(_), true, _) => Err(SignatureError::BothForms),
            (Some(header), false, _) if !header.is_empty() => Self::from_header(head, header),
            (None, true, Accepts::HeaderOrQuery { lifetime_max }) => Self::from_query(head, lifetime_max),
            _ => Err(SignatureError::MissingCredentials),
        }
    }

    fn from_header(head: &Head<'_>, header: &[u8]) -> Result<Self, SignatureError> {
        let (amz_date, date) = (head.first("x-amz-date"), head.first("date"));
        let parts = Authorization::read(header, amz_date.or(date).is_some())?;
        let credential = Credential::parse(parts.credential)?;
        let (timestamp, timestamp_text) = match (amz_date, date) {
            (Some(text), _) => read_basic_date(&text_of(text))?,
            (None, text) => read_either_date(&text_of(text.unwrap_or_default()))?,
        };
        let session_token = head.first("x-amz-security-token").map(text_of);
        let claim = Self {
            form: Form::Header,
            credential,
            signed_headers: parts.signed_headers.to_owned(),
            signature: read_signature(parts.signature),
            timestamp,
            timestamp_text,
            session_token: session_token.map(Secret::new),
        };
        claim.check_signed_headers(head)?;
        Ok(claim)
    }

    fn from_query(head: &Head<'_>, lifetime_max: Duration) -> Result<Self, SignatureError> {
        let parts = Presigned::read(head.query)?;
        let credential = Credential::parse(&parts.credential)?;
        let (timestamp, timestamp_text) = read_basic_date(&parts.date)?;
        // With a second token in a header it would be open which of the two counts.
        if head.first("x-amz-security-token").is_some() {
            return Err(SignatureError::TokenInHeaderOfPresigned);
        }
        let claim = Self {
            form: Form::Query { lifetime: Duration::from_secs(parts.expires_seconds).min(lifetime_max) },
            credential,
            signed_headers: parts.signed_headers.into_owned(),
            signature: read_signature(&parts.signature),
            timestamp,
            timestamp_text,
            session_token: parts.token.map(|token| Secret::new(token.into_owned())),
        };
        claim.check_signed_headers(head)?;
        Ok(claim)
    }

    /// Which headers must be covered: the host, and every `x-amz-` header, because those decide what is done.
    fn check_signed_headers(&self, head: &Head<'_>) -> Result<(), SignatureError> {
        if self.session_token.as_ref().is_some_and(|token| token.len() > limits::TOKEN_BYTES_MAX) {
            let (what, limit) = ("session token", limits::TOKEN_BYTES_MAX);
            return Err(SignatureError::TooLarge { what, limit });
        }
        if self.signed_headers().count() > limits::SIGNED_HEADERS_MAX {
            let (what, limit) = ("number of signed headers", limits::SIGNED_HEADERS_MAX);
            return Err(SignatureError::TooLarge { what, limit });
        }
        if !self.signs("host") {
            return Err(SignatureError::HostNotSigned);
        }
        for (name, _) in head.headers {
            // The session token proves itself, and some clients add it after signing.
            let is_ours = name.get(..6).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-amz-"));
            if is_ours && !self.signs(name) && !name.eq_ignore_ascii_case("x-amz-security-token") {
                let name = name.to_ascii_lowercase();
                return Err(SignatureError::HeaderNotSigned { name: name.as_str().into() });
            }
        }
        Ok(())
    }

    fn signs(&self, name: &str) -> bool {
        self.signed_headers().any(|signed| signed.eq_ignore_ascii_case(name))
    }

    pub fn access_key_id(&self) -> &str {
        self.credential.access_key_id()
    }

    /// The day of the scope, `YYYYMMDD` if the client is honest.
    pub fn date(&self) -> &str {
        self.credential.date()
    }

    pub fn region(&self) -> &str {
        self.credential.region()
    }

    pub fn service(&self) -> &str {
        self.credential.service()
    }

    pub const fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    pub const fn form(&self) -> Form {
        self.form
    }

    pub const fn session_token(&self) -> Option<&Secret<String>> {
        self.session_token.as_ref()
    }

    /// The names of the signed headers as listed. After verification: lower case and ascending.
    pub fn signed_headers(&self) -> impl Iterator<Item = &str> {
        self.signed_headers.split(';')
    }

    /// The signature, if it had the form of one: what a replay cache remembers.
    pub const fn signature(&self) -> Option<&[u8; 32]> {
        self.signature.as_ref()
    }

    /// The canonical request, for a debugging answer to the client. It contains request data; do not log it.
    pub fn canonical_request(&self, head: &Head<'_>, body_sha256: &[u8; 32]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(1024);
        let left_out = match self.form {
            Form::Header => None,
            Form::Query { .. } => Some(presigned::SIGNATURE),
        };
        canonical::write_request(&mut out, head, &self.signed_headers, left_out, body_sha256).ok()?;
        Some(out)
    }

    /// The text that the signing key authenticates.
    pub fn string_to_sign(&self, canonical_request: &[u8]) -> Vec<u8> {
        self.parts_to_sign(&hash_text(canonical_request)).concat()
    }

    /// [`Self::string_to_sign`] in pieces, so that it need not be put together.
    pub(crate) fn parts_to_sign<'a>(&'a self, canonical_hash: &'a [u8; 64]) -> [&'a [u8]; 7] {
        parts_to_sign(&self.timestamp_text, self.credential.scope(), canonical_hash)
    }

    /// The day of the timestamp, which the scope must name.
    pub(crate) fn day(&self) -> &str {
        self.timestamp_text.get(..8).unwrap_or_default()
    }

    pub(crate) const fn credential(&self) -> &Credential {
        &self.credential
    }
}

impl fmt::Debug for Claim {
    /// What may be logged: never the token or the signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("form", &self.form)
            .field("credential", &self.credential.as_str())
            .field("signed_headers", &self.signed_headers)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

pub(crate) fn hash_text(canonical_request: &[u8]) -> [u8; 64] {
    let mut text = [0; 64];
    HEXLOWER.encode_mut(&coffer_crypto::sha256(canonical_request), &mut text);
    text
}

pub(crate) fn parts_to_sign<'a>(
    timestamp: &'a str,
    scope: &'a str,
    canonical_hash: &'a [u8; 64],
) -> [&'a [u8]; 7] {
    let (time, scope) = (timestamp.as_bytes(), scope.as_bytes());
    [crate::ALGORITHM.as_bytes(), b"\n", time, b"\n", scope, b"\n", canonical_hash]
}

/// Lower-case hex of 32 bytes. Anything else is a signature that cannot match, not a fault of form.
fn read_signature(text: &str) -> Option<[u8; 32]> {
    let mut signature = [0; 32];
    if text.len() != 64 {
        return None;
    }
    HEXLOWER.decode_mut(text.as_bytes(), &mut signature).ok()?;
    Some(signature)
}

fn read_basic_date(text: &str) -> Result<(Timestamp, String), SignatureError> {
    // The parser below accepts signs and blanks in place of digits; the signed text must be the only spelling.
    let well_formed = text.bytes().enumerate().all(|(at, byte)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    });
    match Timestamp::parse_basic(text) {
        Ok(timestamp) if well_formed => Ok((timestamp, text.to_owned())),
        _ => Err(SignatureError::MalformedDate { date: text.into() }),
    }
}

/// `Date` comes in the form of HTTP or of ISO 8601; it is signed in the second.
fn read_either_date(text: &str) -> Result<(Timestamp, String), SignatureError> {
    match Timestamp::parse_http(text) {
        Ok(timestamp) => Ok((timestamp, timestamp.to_basic())),
        Err(_) => read_basic_date(text),
    }
}

/// Dates and tokens are ASCII; anything else becomes text that their parsers refuse.
fn text_of(value: &[u8]) -> String {
    String::from_utf8_lossy(canonical::trim(value)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_one_spelling() {
        assert!(read_basic_date("20260102T030405Z").is_ok());
        for bad in
            ["", "20260102", "+0260102T030405Z", "2026 102T030405Z", "20260102t030405Z", "20260230T000000Z"]
        {
            assert!(read_basic_date(bad).is_err(), "{bad}");
        }
        let (_, text) = read_either_date("Fri, 02 Jan 2026 03:04:05 GMT").unwrap();
        assert_eq!(text, "20260102T030405Z");
    }

    #[test]
    fn signatures_are_sixty_four_lower_case_digits() {
        assert_eq!(read_signature(&"0f".repeat(32)), Some([15; 32]));
        for bad in ["", "0f", &"0F".repeat(32), &"0g".repeat(32), &"0f".repeat(33), &" 0".repeat(32)] {
            assert_eq!(read_signature(bad), None, "{bad}");
        }
    }
}

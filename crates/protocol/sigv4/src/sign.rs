//! Signing, for our own client and for what the server sends to others.
//!
//! It writes the canonical form with the same code that verifies. That alone would prove nothing, so the tests hold
//! both against the signer of the AWS SDK and against published vectors.

use std::fmt;

use coffer_crypto::HmacKey;
use coffer_types::{Secret, Timestamp, encoding::HEXLOWER};

use crate::{
    ALGORITHM, Head, TERMINATOR, canonical,
    claim::{hash_text, parts_to_sign},
    keys, limits, query,
};

/// Headers that change on the way, or that only the next hop reads. A signature over them would break.
const NEVER_SIGNED: [&str; 10] = [
    "authorization",
    "connection",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

/// Headers that signing adds. A request that has them already would be signed for two times or two sessions.
const ADDED: [&str; 3] = ["authorization", "x-amz-date", "x-amz-security-token"];

#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    pub access_key_id: &'a str,
    pub secret_access_key: &'a Secret<String>,
    pub session_token: Option<&'a Secret<String>>,
}

/// Why a request cannot be signed. All of these are mistakes of the calling code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignError {
    HostMissing,
    AlreadySigned,
    /// The key id, region or service contains a slash, which separates them in the credential.
    SlashInScope,
    /// A header value with a line break, or a method that is not one.
    Malformed,
    ExpiresOutOfRange,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostMissing => "the request to sign has no Host header",
            Self::AlreadySigned => "the request to sign carries signing headers or parameters already",
            Self::SlashInScope => "a key id, region or service contains a slash",
            Self::Malformed => "the request to sign has no canonical form",
            Self::ExpiresOutOfRange => "a presigned request lives for one second to one week",
        })
    }
}

impl std::error::Error for SignError {}

/// Signs requests to one service in one region.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'a> {
    pub credentials: Credentials<'a>,
    pub region: &'a str,
    /// The signing name, such as `secretsmanager`.
    pub service: &'a str,
}

impl Signer<'_> {
    /// The headers to add to a request. Every header in `head` is signed unless it may change on the way.
    pub fn sign(
        &self,
        head: &Head<'_>,
        body_sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<Vec<(&'static str, Secret<String>)>, SignError> {
        check_head(head)?;
        let (timestamp, scope) = (now.to_basic(), self.scope(now)?);
        let mut headers = head.headers.to_vec();
        headers.push(("X-Amz-Date", timestamp.as_bytes()));
        if let Some(token) = self.credentials.session_token {
            headers.push(("X-Amz-Security-Token", token.expose().as_bytes()));
        }
        let signed = signed_headers(&headers);
        let head = Head { headers: &headers, ..*head };
        let signature = self.signature(&head, &signed, body_sha256, &timestamp, &scope, now)?;
        let id = self.credentials.access_key_id;
        let authorization =
            format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}");

        let mut added = vec![("X-Amz-Date", Secret::new(timestamp))];
        if let Some(token) = self.credentials.session_token {
            added.push(("X-Amz-Security-Token", Secret::new(token.expose().clone())));
        }
        added.push(("Authorization", Secret::new(authorization)));
        Ok(added)
    }

    /// The whole query string of a presigned request that lives for `expires_seconds`.
    pub fn presign(
        &self,
        head: &Head<'_>,
        body_sha256: &[u8; 32],
        now: Timestamp,
        expires_seconds: u64,
    ) -> Result<Secret<String>, SignError> {
        check_head(head)?;
        if !(1..=limits::EXPIRES_SECONDS_MAX).contains(&expires_seconds) {
            return Err(SignError::ExpiresOutOfRange);
        }
        let (timestamp, scope) = (now.to_basic(), self.scope(now)?);
        let credential = encoded(&format!("{}/{scope}", self.credentials.access_key_id));
        let signed = signed_headers(head.headers);
        let between = if head.query.is_empty() { "" } else { "&" };
        let mut url_query = format!(
            "{}{between}X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={timestamp}\
             &X-Amz-Expires={expires_seconds}&X-Amz-SignedHeaders={}",
            head.query,
            encoded(&signed),
        );
        if let Some(token) = self.credentials.session_token {
            url_query.push_str("&X-Amz-Security-Token=");
            url_query.push_str(&encoded(token.expose()));
        }
        let head = Head { query: &url_query, ..*head };
        let signature = self.signature(&head, &signed, body_sha256, &timestamp, &scope, now)?;
        url_query.push_str("&X-Amz-Signature=");
        url_query.push_str(&signature);
        Ok(Secret::new(url_query))
    }

    fn scope(&self, now: Timestamp) -> Result<String, SignError> {
        if [self.credentials.access_key_id, self.region, self.service].iter().any(|part| part.contains('/')) {
            return Err(SignError::SlashInScope);
        }
        Ok(format!("{}/{}/{}/{TERMINATOR}", now.to_date(), self.region, self.service))
    }

    fn signature(
        &self,
        head: &Head<'_>,
        signed: &str,
        body_sha256: &[u8; 32],
        timestamp: &str,
        scope: &str,
        now: Timestamp,
    ) -> Result<String, SignError> {
        let mut request = Vec::with_capacity(1024);
        canonical::write_request(&mut request, head, signed, None, body_sha256)
            .map_err(|_| SignError::Malformed)?;
        let secret = self.credentials.secret_access_key;
        let key = keys::signing_key(secret, &now.to_date(), self.region, self.service);
        let parts = parts_to_sign(timestamp, scope, &hash_text(&request)).concat();
        Ok(HEXLOWER.encode(&HmacKey::new(key.expose()).sign(&parts)))
    }
}

fn check_head(head: &Head<'_>) -> Result<(), SignError> {
    if head.first("host").is_none() {
        return Err(SignError::HostMissing);
    }
    let in_query = query::query_pairs(head.query).any(|(name, _)| name.starts_with(b"X-Amz-"));
    if in_query || ADDED.iter().any(|name| head.first(name).is_some()) {
        return Err(SignError::AlreadySigned);
    }
    Ok(())
}

fn signed_headers(headers: &[(&str, &[u8])]) -> String {
    let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.retain(|name| !NEVER_SIGNED.contains(&name.as_str()));
    names.sort_unstable();
    names.dedup();
    names.join(";")
}

fn encoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        query::encode_byte(&mut out, byte);
    }
    // Encoded text is ASCII.
    String::from_utf8(out).unwrap_or_default()
}

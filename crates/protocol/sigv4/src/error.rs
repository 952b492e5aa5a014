//! Why a request is refused, and what AWS says about it.
//!
//! All sentences of the signature check are in this file, to be read next to the table of AWS's errors. The three
//! protocol families use different codes and statuses for the same reason, so a reason is told once and asked
//! for its code, status and message per family.
//!
//! What a client sent comes back only as [`Quoted`]: bounded, without control characters, and invisible to `Debug`,
//! because an error may be logged and an Authorization header may not. `Display` is the sentence for our own log.

use std::fmt;

use coffer_types::Timestamp;

use crate::{Window, limits};

/// How a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// JSON 1.0 and 1.1: Secrets Manager, KMS, SSM.
    Json,
    /// Query with XML answers: IAM, STS.
    Query,
    /// REST with JSON answers: Lambda. The codes of [`Family::Json`] under the statuses of [`Family::Query`].
    RestJson,
}

/// Text of the client that an error gives back to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl From<&str> for Quoted {
    fn from(text: &str) -> Self {
        let shown = text.chars().filter(|c| !c.is_control()).take(limits::QUOTED_CHARS_MAX);
        Self(shown.collect())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Quoted(..)")
    }
}

/// What an Authorization header lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MissingParts {
    pub credential: bool,
    pub signature: bool,
    pub signed_headers: bool,
    /// Neither `X-Amz-Date` nor `Date` was sent.
    pub date: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiresFault {
    NotANumber,
    NotPositive,
    TooLong,
}

/// One reason, found first, in the order in which AWS checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureError {
    // Syntax, before any key is known.
    TooLarge { what: &'static str, limit: usize },
    DuplicateAuthorization,
    DuplicateHeader { name: &'static str },
    BothForms,
    MissingCredentials,
    NotAPair { piece: Quoted, header: Quoted },
    DuplicatePair { name: &'static str },
    IncompleteHeader { missing: MissingParts, scheme: Quoted },
    IncompleteQuery { missing: Vec<&'static str> },
    DuplicateParameter { name: &'static str },
    UnsupportedAlgorithm { algorithm: Quoted },
    Expires(ExpiresFault),
    MalformedCredential { credential: Quoted },
    MalformedDate { date: Quoted },
    HostNotSigned,
    HeaderNotSigned { name: Quoted },
    TokenInHeaderOfPresigned,
    // Who, for what, and when.
    UnrecognizedClient,
    TokenExpired,
    WrongTerminator { terminator: Quoted },
    WrongService { expected: String },
    WrongRegion { region: Quoted },
    DateOutsideScope { scope_date: Quoted, timestamp: Timestamp },
    Expired { timestamp: Timestamp, now: Timestamp, window: Window },
    NotYetCurrent { timestamp: Timestamp, now: Timestamp, window: Window },
    PresignedExpired,
    // The signature itself.
    Mismatch,
}

/// The seven codes that all reasons fold into.
#[derive(Clone, Copy)]
enum Kind {
    MissingToken,
    Incomplete,
    BadSignature,
    Unrecognized,
    TokenExpired,
    BadParameters,
    Denied,
}

impl SignatureError {
    /// The error code that goes into the answer.
    pub fn code(&self, family: Family) -> &'static str {
        let query = family == Family::Query;
        match self.kind() {
            Kind::MissingToken if query => "MissingAuthenticationToken",
            Kind::MissingToken => "MissingAuthenticationTokenException",
            Kind::Incomplete if query => "IncompleteSignature",
            Kind::Incomplete => "IncompleteSignatureException",
            Kind::BadSignature if query => "SignatureDoesNotMatch",
            Kind::BadSignature => "InvalidSignatureException",
            Kind::Unrecognized if query => "InvalidClientTokenId",
            Kind::Unrecognized => "UnrecognizedClientException",
            Kind::TokenExpired if query => "ExpiredToken",
            Kind::TokenExpired => "ExpiredTokenException",
            Kind::BadParameters => "AuthorizationQueryParametersError",
            Kind::Denied if query => "AccessDenied",
            Kind::Denied => "AccessDeniedException",
        }
    }

    /// The HTTP status of the answer.
    pub fn status(&self, family: Family) -> u16 {
        // These are faults of HTTP rather than of a signature, and mean the same in every family.
        let plain_fault =
            matches!(self, Self::TooLarge { .. } | Self::DuplicateHeader { .. } | Self::Expires(_));
        match family {
            Family::Json => 400,
            Family::Query | Family::RestJson if plain_fault => 400,
            Family::Query | Family::RestJson => 403,
        }
    }

    /// AWS's sentence for the client, or ours where AWS has none.
    pub fn message(&self, family: Family) -> String {
        match self {
            Self::TooLarge { what, limit } => format!("The {what} of the request exceeds the limit of {limit}."),
            Self::DuplicateAuthorization => "More than one Authorization header".into(),
            Self::DuplicateHeader { name } => format!("More than one {name} header"),
            Self::BothForms => "Only one of the Authorization header and the X-Amz-Signature query parameter \
                                may be present"
                .into(),
            Self::MissingCredentials if family == Family::Query => {
                "Request is missing Authentication Token".into()
            }
            Self::MissingCredentials => "Missing Authentication Token".into(),
            Self::NotAPair { piece, header } => format!(
                "'{piece}' not a valid key=value pair (missing equal-sign) in Authorization header: '{header}'."
            ),
            Self::DuplicatePair { name } => {
                format!("Authorization header contains more than one '{name}' parameter.")
            }
            Self::IncompleteHeader { missing, scheme } => incomplete_header(*missing, scheme),
            Self::IncompleteQuery { missing } => {
                let mut text = String::new();
                for name in missing {
                    text.push_str(&format!("AWS query-string parameters must include '{name}'. "));
                }
                text + "Re-examine the query-string parameters."
            }
            Self::DuplicateParameter { name } => {
                format!("The query-string parameter '{name}' may be present only once.")
            }
            Self::UnsupportedAlgorithm { algorithm } => format!("Unsupported AWS 'algorithm': '{algorithm}'."),
            Self::Expires(ExpiresFault::NotANumber) => "X-Amz-Expires should be a number".into(),
            Self::Expires(ExpiresFault::NotPositive) => "X-Amz-Expires must be positive".into(),
            Self::Expires(ExpiresFault::TooLong) => "X-Amz-Expires must be less than a week (in seconds); that \
                                                     is, the given X-Amz-Expires must be less than 604800 seconds"
                .into(),
            Self::MalformedCredential { credential } => format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, \
                 got '{credential}'"
            ),
            Self::MalformedDate { date } => format!(
                "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
            ),
            Self::HostNotSigned => {
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".into()
            }
            Self::HeaderNotSigned { name } => {
                format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")
            }
            Self::TokenInHeaderOfPresigned => {
                "The session token of a presigned request must be a signed query-string parameter.".into()
            }
            Self::UnrecognizedClient => "The security token included in the request is invalid.".into(),
            Self::TokenExpired => "The security token included in the request is expired".into(),
            Self::WrongTerminator { terminator } => format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not '{terminator}'. "
            ),
            Self::WrongService { expected } => {
                format!("Credential should be scoped to correct service: '{expected}'. ")
            }
            Self::WrongRegion { region } if family == Family::Query => {
                format!("Credential should be scoped to a valid region, not '{region}'. ")
            }
            Self::WrongRegion { .. } => "Credential should be scoped to a valid region. ".into(),
            Self::DateOutsideScope { scope_date, timestamp } => format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                 '{scope_date}' != '{}', from '{}'.",
                timestamp.to_date(),
                timestamp.to_basic()
            ),
            Self::Expired { timestamp, now, window } => format!(
                "Signature expired: {} is now earlier than {} ({} - {} min.)",
                timestamp.to_basic(),
                now.minus(window.duration()).to_basic(),
                now.to_basic(),
                window.minutes()
            ),
            Self::NotYetCurrent { timestamp, now, window } => format!(
                "Signature not yet current: {} is still later than {} ({} + {} min.)",
                timestamp.to_basic(),
                now.plus(window.duration()).to_basic(),
                now.to_basic(),
                window.minutes()
            ),
            Self::PresignedExpired => "Request has expired.".into(),
            Self::Mismatch => "The request signature we calculated does not match the signature you provided. \
                               Check your AWS Secret Access Key and signing method. Consult the service \
                               documentation for details."
                .into(),
        }
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::MissingCredentials => Kind::MissingToken,
            Self::TooLarge { .. }
            | Self::DuplicateAuthorization
            | Self::DuplicateHeader { .. }
            | Self::BothForms
            | Self::NotAPair { .. }
            | Self::DuplicatePair { .. }
            | Self::IncompleteHeader { .. }
            | Self::IncompleteQuery { .. }
            | Self::DuplicateParameter { .. }
            | Self::UnsupportedAlgorithm { .. }
            | Self::MalformedCredential { .. }
            | Self::MalformedDate { .. }
            | Self::TokenInHeaderOfPresigned => Kind::Incomplete,
            Self::Expires(_) => Kind::BadParameters,
            Self::UnrecognizedClient => Kind::Unrecognized,
            Self::TokenExpired => Kind::TokenExpired,
            Self::PresignedExpired => Kind::Denied,
            Self::HostNotSigned
            | Self::HeaderNotSigned { .. }
            | Self::WrongTerminator { .. }
            | Self::WrongService { .. }
            | Self::WrongRegion { .. }
            | Self::DateOutsideScope { .. }
            | Self::Expired { .. }
            | Self::NotYetCurrent { .. }
            | Self::Mismatch => Kind::BadSignature,
        }
    }
}

fn incomplete_header(missing: MissingParts, scheme: &Quoted) -> String {
    const DATE: &str = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.";
    let parts = [
        (missing.credential, "Authorization header requires 'Credential' parameter. "),
        (missing.signature, "Authorization header requires 'Signature' parameter. "),
        (missing.signed_headers, "Authorization header requires 'SignedHeaders' parameter. "),
    ];
    let mut text: String = parts.iter().filter(|(lacks, _)| *lacks).map(|(_, sentence)| *sentence).collect();
    // AWS does not repeat the header when it was complete and only the date is missing.
    if text.is_empty() {
        return DATE.into();
    }
    if missing.date {
        text.push_str(DATE);
        text.push(' ');
    }
    format!("{text}Authorization={scheme}")
}

impl fmt::Display for SignatureError {
    /// For our log: the reason without anything that the client sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge { .. } => "a part of the head is too large",
            Self::DuplicateAuthorization => "two Authorization headers",
            Self::DuplicateHeader { .. } => "a header that may appear once appears twice",
            Self::BothForms => "signed in the header and in the query",
            Self::MissingCredentials => "no credentials",
            Self::NotAPair { .. } | Self::DuplicatePair { .. } => "malformed Authorization header",
            Self::IncompleteHeader { .. } => "incomplete Authorization header",
            Self::IncompleteQuery { .. } => "incomplete presigned request",
            Self::DuplicateParameter { .. } => "a presigning parameter appears twice",
            Self::UnsupportedAlgorithm { .. } => "unsupported algorithm",
            Self::Expires(_) => "lifetime out of range",
            Self::MalformedCredential { .. } => "malformed credential scope",
            Self::MalformedDate { .. } => "malformed date",
            Self::HostNotSigned => "host not signed",
            Self::HeaderNotSigned { .. } => "a header that must be signed is not",
            Self::TokenInHeaderOfPresigned => "session token outside the signed query",
            Self::UnrecognizedClient => "unknown key or unusable session token",
            Self::TokenExpired => "session token expired",
            Self::WrongTerminator { .. } => "scope has another terminator",
            Self::WrongService { .. } => "scope is for another service",
            Self::WrongRegion { .. } => "scope is for a region that is not served",
            Self::DateOutsideScope { .. } => "scope is for another day",
            Self::Expired { .. } => "signature expired",
            Self::NotYetCurrent { .. } => "signature not yet current",
            Self::PresignedExpired => "presigned request expired",
            Self::Mismatch => "signature does not match",
        })
    }
}

impl std::error::Error for SignatureError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_own_code_status_and_words() {
        let error = SignatureError::MissingCredentials;
        let seen = |family| (error.status(family), error.code(family), error.message(family));
        assert_eq!(
            seen(Family::Json),
            (400, "MissingAuthenticationTokenException", "Missing Authentication Token".into())
        );
        assert_eq!(
            seen(Family::Query),
            (403, "MissingAuthenticationToken", "Request is missing Authentication Token".into())
        );
        assert_eq!(
            seen(Family::RestJson),
            (403, "MissingAuthenticationTokenException", "Missing Authentication Token".into())
        );
    }

    #[test]
    fn what_a_client_sent_does_not_reach_our_log() {
        let error = SignatureError::NotAPair { piece: "hunter2".into(), header: "hunter2".into() };
        assert!(error.message(Family::Json).contains("hunter2"));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn quotations_are_short_and_printable() {
        let long = "x\r\n".repeat(5000);
        assert_eq!(Quoted::from(long.as_str()).to_string(), "x".repeat(limits::QUOTED_CHARS_MAX));
    }
}

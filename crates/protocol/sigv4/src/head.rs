//! The part of a request that comes before its body, as it was on the wire.

use std::fmt;

use crate::{SignatureError, limits};

/// Headers that decide who calls and what is done. With two of one kind, two readers could pick different ones,
/// so such a request is refused before anything else is looked at.
const AT_MOST_ONCE: [&str; 8] = [
    "authorization",
    "host",
    "x-amz-date",
    "date",
    "x-amz-security-token",
    "x-amz-target",
    "content-type",
    "x-amz-content-sha256",
];

/// Method, target and headers in order of arrival. Nothing is decoded and no case is changed.
///
/// With HTTP/2 the caller passes `:authority` as the header `host`.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    pub method: &'a str,
    /// The request target before `?`.
    pub path: &'a str,
    /// The request target after `?`; empty if there is none.
    pub query: &'a str,
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> Head<'a> {
    /// All values of one header, in order of arrival.
    pub fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.headers
            .iter()
            .filter(move |(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    pub(crate) fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    pub(crate) fn check_limits(&self) -> Result<(), SignatureError> {
        let bounds = [
            ("path", self.path.len(), limits::PATH_BYTES_MAX),
            ("query string", self.query.len(), limits::QUERY_BYTES_MAX),
            ("number of headers", self.headers.len(), limits::HEADERS_MAX),
        ];
        for (what, size, limit) in bounds {
            if size > limit {
                return Err(SignatureError::TooLarge { what, limit });
            }
        }
        Ok(())
    }

    pub(crate) fn check_duplicates(&self) -> Result<(), SignatureError> {
        let mut seen = AT_MOST_ONCE.map(|name| (name, false));
        for (name, _) in self.headers {
            let Some((name, seen)) = seen.iter_mut().find(|(once, _)| once.eq_ignore_ascii_case(name)) else {
                continue;
            };
            if std::mem::replace(seen, true) {
                return Err(match *name {
                    "authorization" => SignatureError::DuplicateAuthorization,
                    name => SignatureError::DuplicateHeader { name },
                });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Head<'_> {
    /// Names only: values, and the query of a presigned request, hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("headers", &self.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

//! The head of a request, within bounds and with one meaning.
//!
//! Two readers of one head must not be able to disagree: the signature is computed over it and the dispatcher acts on it. Most
//! ways to disagree are closed by refusing what can be read in two ways, before anything is believed.
//!
//! How long a body is, the HTTP parser decides before it hands a head over, and takes out what it did not use: with a
//! `Transfer-Encoding` beside a `Content-Length` the length is gone, the coding counts, and the connection is closed after the answer,
//! so that nothing behind the body can be taken for a request; of equal lengths one is left; different ones it refuses. We cannot
//! see, and so cannot refuse, the first two. Tests hold the parser to this.

use coffer_shape::{ApiError, ErrorSpec};
use hyper::{
    Request, Version,
    http::{header, request::Parts},
};

use super::refusal;
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX, URI_BYTES_MAX};

const HEAD_TOO_LARGE: ErrorSpec = refusal("RequestHeaderFieldsTooLargeException", 431);
const URI_TOO_LONG: ErrorSpec = refusal("RequestUriTooLongException", 414);
const UNSUPPORTED: ErrorSpec = refusal("UnsupportedMediaTypeException", 415);
const MALFORMED_QUERY: ErrorSpec = refusal("MalformedQueryString", 400);

pub(super) type Headers<'r> = [(&'r str, &'r [u8])];

/// The headers in the order of arrival, duplicates kept. With HTTP/2 the authority stands where the `Host` would.
pub(super) fn flatten(parts: &Parts) -> Vec<(&str, &[u8])> {
    let mut headers = Vec::with_capacity(parts.headers.len() + 1);
    if let Some(authority) = parts.uri.authority()
        && !is_named_by_host(parts, authority.as_str())
    {
        headers.push(("host", authority.as_str().as_bytes()));
    }
    headers.extend(parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    headers
}

/// Some clients send both. When they differ both are kept, and a second host is refused like any other.
fn is_named_by_host(parts: &Parts, authority: &str) -> bool {
    parts.headers.get(header::HOST).is_some_and(|host| host.as_bytes() == authority.as_bytes())
}

pub(super) fn wire<'r>(parts: &'r Parts, headers: &'r Headers<'r>) -> coffer_wire::Head<'r> {
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    coffer_wire::Head { method, path, query: parts.uri.query().unwrap_or_default(), headers }
}

/// A head that keeps the bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sized<'r>(coffer_wire::Head<'r>, Version);

impl<'r> Sized<'r> {
    pub(super) fn check(parts: &'r Parts, headers: &'r Headers<'r>) -> Result<Self, ApiError> {
        let head = wire(parts, headers);
        let uri = head.path.len() + head.query.len();
        if uri > URI_BYTES_MAX {
            return Err(too_large(URI_TOO_LONG, "URI", URI_BYTES_MAX));
        }
        if headers.len() > HEADERS_MAX {
            return Err(too_large(HEAD_TOO_LARGE, "number of headers", HEADERS_MAX));
        }
        // Each line has a colon, a blank and its end beside the name and the value.
        let bytes = headers.iter().fold(uri, |sum, (name, value)| sum + name.len() + value.len() + 4);
        if bytes > HEAD_BYTES_MAX {
            return Err(too_large(HEAD_TOO_LARGE, "size of the headers", HEAD_BYTES_MAX));
        }
        let encoded = parts.headers.get_all(header::CONTENT_ENCODING);
        if encoded.iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(ApiError::new(
                UNSUPPORTED,
                "Request bodies with a Content-Encoding are not supported.",
            ));
        }
        // A signature covers a plus sign as such, and a form reads it as a blank: one signature for two requests.
        if head.query.contains('+') {
            return Err(ApiError::new(
                MALFORMED_QUERY,
                "The query string contains a '+'; a blank is written as %20.",
            ));
        }
        Ok(Self(head, parts.version))
    }

    /// The same head, for the crate of signatures.
    pub(super) const fn signed(&self) -> coffer_sigv4::Head<'r> {
        let coffer_wire::Head { method, path, query, headers } = self.0;
        coffer_sigv4::Head { method, path, query, headers }
    }

    pub(super) const fn version(&self) -> Version {
        self.1
    }

    pub(super) fn text(&self, name: &str) -> Option<&'r str> {
        self.0.header(name)
    }
}

fn too_large(spec: ErrorSpec, what: &str, limit: usize) -> ApiError {
    ApiError::new(spec, format!("The {what} of the request exceeds the limit of {limit}."))
}

/// The key that a head seems to name, found without reading the head. It is good for a first look and for nothing else.
pub(super) fn named_key<B>(request: &Request<B>) -> Option<&str> {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (said, before) = match header {
        Some(header) => (header, "Credential="),
        None => (request.uri().query()?, "X-Amz-Credential="),
    };
    let (_, credential) = said.split_once(before)?;
    credential.split(['/', '%', '&', ',']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn refused(uri: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let parts = parts(uri, headers);
        Sized::check(&parts, &flatten(&parts)).err().map(|error| error.status())
    }

    #[test]
    fn a_head_keeps_the_bounds() {
        let long = "x".repeat(URI_BYTES_MAX);
        let wide = "x".repeat(HEAD_BYTES_MAX);
        let many: Vec<(&str, &str)> = vec![("x-many", "1"); HEADERS_MAX + 1];
        assert_eq!(refused("/", &[("host", "h"), ("content-encoding", "identity")]), None);
        assert_eq!(refused(&format!("/{long}"), &[]), Some(414));
        assert_eq!(refused(&format!("/?{long}"), &[]), Some(414));
        assert_eq!(refused("/", &many), Some(431));
        assert_eq!(refused("/", &[("x-wide", &wide)]), Some(431));
        assert_eq!(refused("/", &[("content-encoding", "gzip")]), Some(415));
        assert_eq!(refused("/?Action=a+b", &[]), Some(400));
    }

    #[test]
    fn an_authority_is_a_host_and_a_second_host_stays_visible() {
        let hosts = |uri: &str, headers: &[(&str, &str)]| {
            let parts = parts(uri, headers);
            let hosts = flatten(&parts)
                .into_iter()
                .filter(|(name, _)| *name == "host")
                .map(|(_, value)| value.to_vec());
            hosts.collect::<Vec<_>>()
        };
        assert_eq!(hosts("https://one.example/", &[]), [b"one.example"]);
        assert_eq!(hosts("https://one.example/", &[("host", "one.example")]), [b"one.example"]);
        assert_eq!(hosts("https://one.example/", &[("host", "two.example")]).len(), 2);
    }

    #[test]
    fn the_key_is_found_wherever_it_stands() {
        let header =
            "AWS4-HMAC-SHA256 Credential=AKIA1/20260102/us-east-1/sts/aws4_request, SignedHeaders=host";
        for (uri, authorization, expected) in [
            ("/", Some(header), Some("AKIA1")),
            ("/?Action=X&X-Amz-Credential=AKIA2%2F20260102%2Fus-east-1", None, Some("AKIA2")),
            ("/?X-Amz-Credential=AKIA2", Some(header), Some("AKIA1")),
            ("/?Action=X", None, None),
            ("/", Some("Bearer x"), None),
            ("/", None, None),
        ] {
            let mut request = Request::post(uri);
            if let Some(authorization) = authorization {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            assert_eq!(named_key(&request.body(()).unwrap()), expected, "{uri} {authorization:?}");
        }
    }
}

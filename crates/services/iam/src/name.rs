//! Names, paths and ARNs of what lives in IAM.
//!
//! A name is unique in its account whatever its path, and whatever the case of its letters; it is shown as it was written.

use coffer_core::Cx;
use coffer_types::Arn;

/// A policy document as IAM answers with it: percent-encoded, only unreserved characters kept.
pub(crate) fn encoded(document: &str) -> String {
    let mut text = String::with_capacity(document.len() * 3 / 2);
    for byte in document.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// What a name is found by.
pub(crate) fn key_of(name: &str) -> String {
    name.to_lowercase()
}

/// `arn:aws:iam::111122223333:user/path/name`. A path begins and ends with a slash.
pub(crate) fn arn(cx: &Cx<'_>, kind: &str, path: &str, name: &str) -> String {
    Arn::global("iam", cx.account(), &format!("{kind}{path}{name}")).to_string()
}

/// The last part of an ARN: the name, whatever the path before it.
pub(crate) fn name_in(resource: &str) -> &str {
    resource.rsplit('/').next().unwrap_or(resource)
}

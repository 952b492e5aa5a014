//! What is known of a request before its body: the request line and the headers, as they arrived.

/// Borrowed from the connection. Header names are in lower case; values are bytes, because they may be anything.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    pub method: &'a str,
    /// Without the query string, not decoded.
    pub path: &'a str,
    /// What follows the `?`, not decoded; empty without one.
    pub query: &'a str,
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> Head<'a> {
    /// The first header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.headers.iter().find(|(key, _)| *key == name)?;
        std::str::from_utf8(value).ok()
    }

    /// The media type, without parameters, as it was written.
    pub(crate) fn media_type(&self) -> &'a str {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim()
    }
}

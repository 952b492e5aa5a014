//! A piece of a request body: borrowed where the bytes can be used as they came, wiped where they had to be copied.

use coffer_types::Secret;

pub(crate) enum Text<'b> {
    Borrowed(&'b str),
    Owned(Secret<String>),
}

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text.expose(),
        }
    }

    /// Moves the text out. From here on its owner decides whether it is a secret.
    pub(crate) fn into_string(self) -> String {
        match self {
            Self::Borrowed(text) => text.to_owned(),
            Self::Owned(text) => text.take(),
        }
    }
}

/// Never shows the text: nobody knows yet which member it belongs to.
impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Text(..)")
    }
}

//! The credential: whose key, and for which day, region and service it was derived.

use crate::{Quoted, SignatureError};

/// `KEY/YYYYMMDD/REGION/SERVICE/aws4_request`, kept as the one text it arrived as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    text: String,
    slashes: [usize; 4],
}

impl Credential {
    pub(crate) fn parse(text: &str) -> Result<Self, SignatureError> {
        let mut slashes = text.match_indices('/').map(|(at, _)| at);
        let (Some(one), Some(two), Some(three), Some(four), None) =
            (slashes.next(), slashes.next(), slashes.next(), slashes.next(), slashes.next())
        else {
            return Err(SignatureError::MalformedCredential { credential: Quoted::from(text) });
        };
        Ok(Self { text: text.to_owned(), slashes: [one, two, three, four] })
    }

    /// The whole text, which also identifies the derived key.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn access_key_id(&self) -> &str {
        let [end, ..] = self.slashes;
        self.text.get(..end).unwrap_or_default()
    }

    /// Everything after the key id.
    pub(crate) fn scope(&self) -> &str {
        let [start, ..] = self.slashes;
        self.text.get(start + 1..).unwrap_or_default()
    }

    pub(crate) fn date(&self) -> &str {
        let [start, end, ..] = self.slashes;
        self.text.get(start + 1..end).unwrap_or_default()
    }

    pub(crate) fn region(&self) -> &str {
        let [_, start, end, _] = self.slashes;
        self.text.get(start + 1..end).unwrap_or_default()
    }

    pub(crate) fn service(&self) -> &str {
        let [.., start, end] = self.slashes;
        self.text.get(start + 1..end).unwrap_or_default()
    }

    pub(crate) fn terminator(&self) -> &str {
        let [.., start] = self.slashes;
        self.text.get(start + 1..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_elements_with_names() {
        let credential = Credential::parse("AKID/20260102/eu-west-1/kms/aws4_request").unwrap();
        assert_eq!(
            [credential.access_key_id(), credential.date(), credential.region(), credential.service()],
            ["AKID", "20260102", "eu-west-1", "kms"]
        );
        assert_eq!(credential.terminator(), "aws4_request");
        assert_eq!(credential.scope(), "20260102/eu-west-1/kms/aws4_request");
    }

    #[test]
    fn not_four_and_not_six() {
        for text in ["", "AKID", "a/b/c/d", "a/b/c/d/e/f"] {
            assert!(Credential::parse(text).is_err(), "{text}");
        }
        assert!(Credential::parse("////").is_ok(), "empty elements fail later, in the check of each");
    }
}

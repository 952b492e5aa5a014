//! What keys are called: a UUID, or `mrk-` and 32 digits for a key that has the same name in several regions.

use std::fmt;

use coffer_types::{Entropy, Uuid, encoding::HEXLOWER};

const MULTI_REGION_PREFIX: &str = "mrk-";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyId {
    pub bytes: [u8; 16],
    pub is_multi_region: bool,
}

impl KeyId {
    pub(crate) fn draw(entropy: &dyn Entropy, is_multi_region: bool) -> Self {
        Self { bytes: *Uuid::random(entropy).as_bytes(), is_multi_region }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(MULTI_REGION_PREFIX) {
            Some(digits) => {
                let bytes = HEXLOWER.decode(digits.as_bytes()).ok()?;
                Some(Self { bytes: bytes.try_into().ok()?, is_multi_region: true })
            }
            None => Some(Self { bytes: *text.parse::<Uuid>().ok()?.as_bytes(), is_multi_region: false }),
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_multi_region {
            write!(f, "{MULTI_REGION_PREFIX}{}", HEXLOWER.encode(&self.bytes))
        } else {
            write!(f, "{}", Uuid::from_bytes(self.bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let digits = "1234abcd12ab34cd56ef1234567890ab";
        for text in ["1234abcd-12ab-34cd-56ef-1234567890ab", &format!("mrk-{digits}")] {
            let id = KeyId::parse(text).unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(HEXLOWER.encode(&id.bytes), digits);
            assert_eq!(id.is_multi_region, text.starts_with("mrk-"));
        }
        for text in ["", "mrk-", "mrk-1234", &format!("mrk-{}", digits.to_uppercase()), digits, "alias/a"] {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
    }
}

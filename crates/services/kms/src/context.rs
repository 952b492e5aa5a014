//! Encryption contexts as requests bring them.

use std::collections::BTreeMap;

use crate::error::KmsError;

pub(crate) type Context = BTreeMap<String, String>;

/// Of all keys and values together. AWS documents that there is a limit; the number is our choice.
const BYTES_MAX: usize = 8_192;

/// None is the same as an empty one.
pub(crate) fn from_request(context: Option<Context>) -> Result<Context, KmsError> {
    let context = context.unwrap_or_default();
    let bytes: usize = context.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > BYTES_MAX {
        return Err(KmsError::ContextTooLong);
    }
    if context.keys().any(String::is_empty) {
        return Err(KmsError::ContextKeyEmpty);
    }
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_have_bounds() {
        let context = |key: &str, len: usize| Some(Context::from([(key.to_owned(), "x".repeat(len))]));
        assert_eq!(from_request(None), Ok(Context::new()));
        assert!(from_request(context("a", 8_191)).is_ok());
        assert_eq!(from_request(context("a", 8_192)), Err(KmsError::ContextTooLong));
        assert_eq!(from_request(context("", 1)), Err(KmsError::ContextKeyEmpty));
        assert!(from_request(context("a", 0)).is_ok());
    }
}

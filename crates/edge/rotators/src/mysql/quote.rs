//! Texts in statements of MySQL and MariaDB, in a session in which backslashes mean nothing.

use crate::failure::Trouble;

pub(crate) fn literal(text: &str) -> Result<String, Trouble> {
    if text.contains('\0') {
        return Err(Trouble::Strange("it takes no NUL"));
    }
    Ok(format!("'{}'", text.replace('\'', "''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_text_whatever_it_is() {
        for (text, quoted) in [
            ("", "''"),
            ("plain", "'plain'"),
            ("it's", "'it''s'"),
            (r"a\", r"'a\'"),
            ("'; DROP USER app; --", "'''; DROP USER app; --'"),
            ("☃`\"", "'☃`\"'"),
        ] {
            assert_eq!(literal(text).unwrap(), quoted);
        }
        assert!(literal("a\0").is_err());
    }

    #[test]
    fn every_printable_character_comes_through() {
        let all: String = (' '..='~').collect();
        let quoted = literal(&all).unwrap();
        let inner = quoted.strip_prefix('\'').unwrap().strip_suffix('\'').unwrap();
        assert!(!inner.replace("''", "").contains('\''));
        assert_eq!(inner.replace("''", "'"), all);
    }
}

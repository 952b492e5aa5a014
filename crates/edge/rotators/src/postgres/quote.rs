//! Names and texts in statements of PostgreSQL.

use crate::failure::Trouble;

const NUL: Trouble = Trouble::Strange("it takes no NUL");

pub(crate) fn identifier(name: &str) -> Result<String, Trouble> {
    if name.contains('\0') || name.is_empty() {
        return Err(NUL);
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// Says of itself that it has escapes, so that it means the same whatever the server's settings are.
pub(crate) fn literal(text: &str) -> Result<String, Trouble> {
    if text.contains('\0') {
        return Err(NUL);
    }
    Ok(format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_name_whatever_it_is() {
        for (name, quoted) in [
            ("app", r#""app""#),
            ("App", r#""App""#),
            (r#"a"b"#, r#""a""b""#),
            (r#"" SUPERUSER; --"#, r#"""" SUPERUSER; --""#),
            (r"a\b", r#""a\b""#),
            ("o'neil", r#""o'neil""#),
            ("naïve ☃", r#""naïve ☃""#),
        ] {
            assert_eq!(identifier(name).unwrap(), quoted);
        }
        for bad in ["", "a\0b"] {
            assert!(identifier(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_text_is_a_text_whatever_it_is() {
        for (text, quoted) in [
            ("", "E''"),
            ("plain", "E'plain'"),
            ("it's", "E'it''s'"),
            (r"a\b", r"E'a\\b'"),
            (r"\'; DROP ROLE app; --", r"E'\\''; DROP ROLE app; --'"),
            ("''", "E''''''"),
            (r"\\''", r"E'\\\\'''''"),
            ("☃\"$$", "E'☃\"$$'"),
        ] {
            assert_eq!(literal(text).unwrap(), quoted, "{text}");
        }
        assert!(literal("a\0").is_err());
    }

    /// Reads a text as the server does.
    fn read(quoted: &str) -> String {
        let inner = quoted.strip_prefix("E'").unwrap().strip_suffix('\'').unwrap();
        let (mut text, mut rest) = (String::new(), inner.chars());
        while let Some(char) = rest.next() {
            match char {
                '\\' => text.push(rest.next().unwrap()),
                '\'' => text.push(rest.next().filter(|next| *next == '\'').unwrap()),
                other => text.push(other),
            }
        }
        text
    }

    #[test]
    fn every_printable_character_comes_through() {
        let all: String = (' '..='~').collect();
        assert_eq!(read(&literal(&all).unwrap()), all);
    }
}

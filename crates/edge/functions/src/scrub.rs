//! Takes values out of what a function says, in the spellings in which programs print them.

use coffer_types::{
    Secret,
    encoding::{BASE64, HEXLOWER},
};

const INSTEAD: &str = "****";
/// Shorter ones are found everywhere.
const CHARS_MIN: usize = 4;

pub(crate) struct Scrub(Vec<Secret<String>>);

impl Scrub {
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a Secret<Vec<u8>>>) -> Self {
        let mut spellings = Vec::new();
        for value in values {
            let bytes = value.expose();
            if bytes.len() < CHARS_MIN {
                continue;
            }
            spellings.push(BASE64.encode(bytes));
            spellings.push(HEXLOWER.encode(bytes));
            let Ok(text) = std::str::from_utf8(bytes) else { continue };
            spellings.push(text.to_owned());
            // A value of several lines is several messages.
            spellings.extend(text.lines().filter(|line| line.len() >= 8).map(str::to_owned));
            let quoted = serde_json::Value::from(text).to_string();
            if let Some(inner) = quoted.get(1..quoted.len() - 1) {
                // As Python writes it, and as others do.
                spellings.push(ascii(inner));
                spellings.push(inner.to_owned());
            }
            spellings.push(url(text, "-_.~"));
            spellings.push(url(text, "-_.~/"));
            spellings.push(url(text, "-_.~").replace("%20", "+"));
            spellings.push(text.replace('\\', "\\\\").replace('\'', "\\'"));
        }
        // The longest first, so that no part of one is left.
        spellings.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        spellings.dedup();
        Self(spellings.into_iter().map(Secret::new).collect())
    }

    pub(crate) fn text(&self, text: &mut String) {
        for spelling in &self.0 {
            if text.contains(spelling.expose().as_str()) {
                *text = text.replace(spelling.expose().as_str(), INSTEAD);
            }
        }
    }
}

fn ascii(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if letter.is_ascii() {
            out.push(letter);
        } else {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn url(text: &str, plain: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(char::from(byte)) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_every_spelling() {
        let value = Secret::new(b"p\xc3\xa4ss \"w'rd/1".to_vec());
        let scrub = Scrub::new([&value]);
        for said in [
            "p\u{e4}ss \"w'rd/1",
            "p\u{e4}ss \\\"w'rd/1",
            "p\\u00e4ss \\\"w'rd/1",
            "p\u{e4}ss \"w\\'rd/1",
            "p%C3%A4ss%20%22w%27rd%2F1",
            "p%C3%A4ss%20%22w%27rd/1",
            "p%C3%A4ss+%22w%27rd%2F1",
            "cMOkc3MgIncncmQvMQ==",
        ] {
            let mut text = format!("before {said} after");
            scrub.text(&mut text);
            assert_eq!(text, "before **** after", "{said}");
        }
        let mut text = String::from("a password");
        scrub.text(&mut text);
        assert_eq!(text, "a password");
    }
}

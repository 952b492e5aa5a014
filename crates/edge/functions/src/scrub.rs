//! Takes values out of what a function says, in the spellings in which programs print them.
//!
//! All spellings are looked for in one pass. They are cut into pieces, and the pieces are found by a hash of their first bytes, so that what
//! is done for a byte of the text depends neither on how many spellings there are nor on how long they are. Whatever one of them covers is
//! taken out, also where they overlap.

use std::collections::{BTreeSet, HashMap};

use coffer_types::{
    Secret,
    encoding::{BASE64, HEXLOWER},
};

const INSTEAD: &[u8] = b"****";
/// Shorter ones are found everywhere.
const BYTES_MIN: usize = 4;
/// Lines of a value that are shorter say little, and are found everywhere too.
const LINE_BYTES_MIN: usize = 8;
/// What is longer is looked for in pieces, so that no comparison is a long one.
const PIECE_BYTES: usize = 64;
/// What pieces are found by. The shorter one is for those that have no more.
const WINDOWS: [usize; 2] = [8, BYTES_MIN];
/// Bytes that the encoders of programs leave as they are, beside letters and digits: Python's `quote` without and with its `/`,
/// JavaScript's `encodeURIComponent` and `encodeURI`.
const UNESCAPED: &[&str] = &["-_.~", "-_.~/", "-_.!~*'()", "-_.!~*'();/?:@&=+$,#"];

pub(crate) struct Scrub {
    /// By window, and then by the hash of it.
    pieces: [HashMap<u32, Vec<Piece>>; 2],
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Spelling {
    text: Vec<u8>,
    /// Letters beside it may have some bits of it.
    is_base64: bool,
}

struct Piece {
    text: Secret<Vec<u8>>,
    is_base64: bool,
}

impl Scrub {
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a Secret<Vec<u8>>>) -> Self {
        let mut spellings = BTreeSet::new();
        for value in values {
            if value.len() >= BYTES_MIN {
                spell(value.expose(), &mut spellings);
            }
        }
        let mut pieces = [HashMap::new(), HashMap::new()];
        for Spelling { text, is_base64 } in spellings {
            let text = Secret::new(text);
            for piece in cut(text.expose()) {
                add(&mut pieces, piece, is_base64);
            }
        }
        Self { pieces }
    }

    pub(crate) fn text(&self, text: &mut String) {
        // What is taken out begins and ends between letters.
        if let Some(Ok(scrubbed)) = self.bytes(text.as_bytes()).map(String::from_utf8) {
            *text = scrubbed;
        }
    }

    /// Nothing if there is nothing to take out.
    pub(crate) fn bytes(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        // What was found is taken out from here to there, unless what comes next begins before its end.
        let mut found: Option<(usize, usize)> = None;
        let mut copied = 0;
        for at in 0..text.len() {
            let Some((from, to)) = self.longest(text, at) else { continue };
            found = match found {
                Some((begin, end)) if from <= end => Some((begin.min(from), end.max(to))),
                Some((begin, end)) => {
                    out.extend_from_slice(text.get(copied..begin).unwrap_or_default());
                    out.extend_from_slice(INSTEAD);
                    copied = end;
                    Some((from, to))
                }
                None => Some((from, to)),
            };
        }
        let (begin, end) = found?;
        out.extend_from_slice(text.get(copied..begin).unwrap_or_default());
        out.extend_from_slice(INSTEAD);
        out.extend_from_slice(text.get(end..).unwrap_or_default());
        Some(out)
    }

    /// What has to go because of the longest piece that begins here.
    fn longest(&self, text: &[u8], at: usize) -> Option<(usize, usize)> {
        let rest = text.get(at..)?;
        let piece = self.pieces.iter().zip(WINDOWS).find_map(|(pieces, window)| {
            let alike = pieces.get(&hash(rest.get(..window)?))?;
            alike.iter().find(|piece| rest.starts_with(piece.text.expose()))
        })?;
        let (mut from, mut to) = (at, at + piece.text.len());
        if piece.is_base64 {
            let is_letter = |at: usize| text.get(at).is_some_and(|byte| is_base64(*byte));
            if from.checked_sub(1).is_some_and(is_letter) {
                from -= 1;
            }
            if is_letter(to) {
                to += 1;
            }
            while text.get(to) == Some(&b'=') {
                to += 1;
            }
        }
        while from > 0 && is_inside_letter(text, from) {
            from -= 1;
        }
        while is_inside_letter(text, to) {
            to += 1;
        }
        Some((from, to))
    }
}

/// All of it, the last piece as long as the others.
fn cut(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let last = text.len().saturating_sub(PIECE_BYTES);
    let starts = (0..last).step_by(PIECE_BYTES).chain([last]);
    starts.filter_map(|start| text.get(start..text.len().min(start + PIECE_BYTES)))
}

fn add(pieces: &mut [HashMap<u32, Vec<Piece>>; 2], text: &[u8], is_base64: bool) {
    for (pieces, window) in pieces.iter_mut().zip(WINDOWS) {
        let Some(first) = text.get(..window) else { continue };
        let alike = pieces.entry(hash(first)).or_default();
        // The longest first.
        let place = alike.partition_point(|piece| piece.text.len() > text.len());
        let mut same = alike.iter().skip(place).take_while(|piece| piece.text.len() == text.len());
        if !same.any(|piece| piece.text.expose() == text) {
            alike.insert(place, Piece { text: Secret::new(text.to_vec()), is_base64 });
        }
        return;
    }
}

/// Of at most eight bytes, spread over all bits.
fn hash(window: &[u8]) -> u32 {
    let number = window.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    u32::try_from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).unwrap_or_default()
}

/// Whether a letter of UTF-8 goes on here.
fn is_inside_letter(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80)
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn spell(value: &[u8], spellings: &mut BTreeSet<Spelling>) {
    let mut add = |text: Vec<u8>| {
        if text.len() >= BYTES_MIN {
            spellings.insert(Spelling { text, is_base64: false });
        }
    };
    add(value.to_vec());
    let hex = HEXLOWER.encode(value);
    add(hex.to_ascii_uppercase().into_bytes());
    add(hex.into_bytes());
    for escapes_quotes in [false, true] {
        add(python_bytes(value, escapes_quotes).into_bytes());
    }
    if let Ok(text) = std::str::from_utf8(value) {
        // A value of several lines is several messages.
        for line in text.lines().filter(|line| line.len() >= LINE_BYTES_MIN) {
            add(line.as_bytes().to_vec());
        }
        for escapes_quotes in [false, true] {
            for is_ascii in [false, true] {
                add(python(text, escapes_quotes, is_ascii).into_bytes());
            }
        }
        add(text.replace('\\', "\\\\").replace('\'', "\\'").into_bytes());
        let quoted = serde_json::Value::from(text).to_string();
        if let Some(inner) = quoted.get(1..quoted.len() - 1) {
            add(ascii(inner, false).into_bytes());
            add(ascii(inner, true).into_bytes());
            add(inner.as_bytes().to_vec());
        }
    }
    for plain in UNESCAPED {
        for is_upper in [true, false] {
            let escaped = url(value, plain, is_upper);
            add(escaped.replace("%20", "+").into_bytes());
            add(escaped.into_bytes());
        }
    }
    for before in 0..3 {
        let letters = base64_inside(value, before);
        if letters.len() >= BYTES_MIN {
            let for_urls = letters.replace('+', "-").replace('/', "_").into_bytes();
            spellings.insert(Spelling { text: for_urls, is_base64: true });
            spellings.insert(Spelling { text: letters.into_bytes(), is_base64: true });
        }
    }
}

/// What base64 makes of it behind so many other bytes and before any: the letters that say nothing of those.
fn base64_inside(value: &[u8], before: usize) -> String {
    let mut bytes = Secret::new(vec![0; before]);
    bytes.expose_mut().extend_from_slice(value);
    let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    BASE64.encode(bytes.expose()).get(first..end).unwrap_or_default().to_owned()
}

/// As `json.dumps` of Python writes it, and as others do.
fn ascii(text: &str, is_upper: bool) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if letter.is_ascii() {
            out.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let digits = if is_upper { format!("{unit:04X}") } else { format!("{unit:04x}") };
            out.push_str("\\u");
            out.push_str(&digits);
        }
    }
    out
}

/// What `repr` and `ascii` of Python have between their quotes.
fn python(text: &str, escapes_quotes: bool, is_ascii: bool) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        let code = u32::from(letter);
        match u8::try_from(letter) {
            Ok(byte @ ..=0x7f) => python_byte(&mut out, byte, escapes_quotes),
            // Controls, and spaces that nobody sees.
            Ok(0x80..=0xa0 | 0xad) => out.push_str(&format!("\\x{code:02x}")),
            _ if !is_ascii => out.push(letter),
            Ok(_) => out.push_str(&format!("\\x{code:02x}")),
            Err(_) if code <= 0xffff => out.push_str(&format!("\\u{code:04x}")),
            Err(_) => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}

/// What `b'...'` has between its quotes.
fn python_bytes(value: &[u8], escapes_quotes: bool) -> String {
    let mut out = String::new();
    for byte in value {
        python_byte(&mut out, *byte, escapes_quotes);
    }
    out
}

fn python_byte(out: &mut String, byte: u8, escapes_quotes: bool) {
    match byte {
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        b'\'' if escapes_quotes => out.push_str("\\'"),
        b' '..=b'~' => out.push(char::from(byte)),
        _ => out.push_str(&format!("\\x{byte:02x}")),
    }
}

fn url(value: &[u8], plain: &str, is_upper: bool) -> String {
    let mut out = String::new();
    for byte in value {
        if byte.is_ascii_alphanumeric() || plain.as_bytes().contains(byte) {
            out.push(char::from(*byte));
        } else if is_upper {
            out.push_str(&format!("%{byte:02X}"));
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same text without them, if they have to go altogether.
    fn check(value: &[u8], said: &[&str]) {
        let scrub = Scrub::new([&Secret::new(value.to_vec())]);
        for said in said {
            let mut text = format!("before {said} after");
            scrub.text(&mut text);
            assert_eq!(text, "before **** after", "{said}");
        }
    }

    #[test]
    fn a_value_is_found_in_every_spelling() {
        check(
            b"p\xc3\xa4ss \"w'rd/1\n\xf0\x9f\x98\x80>?",
            &[
                "p\u{e4}ss \"w'rd/1\n\u{1f600}>?",
                // JSON.
                "p\u{e4}ss \\\"w'rd/1\\n\u{1f600}>?",
                "p\\u00e4ss \\\"w'rd/1\\n\\ud83d\\ude00>?",
                "p\\u00E4ss \\\"w'rd/1\\n\\uD83D\\uDE00>?",
                // Python.
                "p\u{e4}ss \"w\\'rd/1\\n\u{1f600}>?",
                "p\u{e4}ss \"w'rd/1\\n\u{1f600}>?",
                "p\\xe4ss \"w\\'rd/1\\n\\U0001f600>?",
                "p\\xc3\\xa4ss \"w\\'rd/1\\n\\xf0\\x9f\\x98\\x80>?",
                // Addresses and forms.
                "p%C3%A4ss%20%22w%27rd%2F1%0A%F0%9F%98%80%3E%3F",
                "p%c3%a4ss%20%22w%27rd%2f1%0a%f0%9f%98%80%3e%3f",
                "p%C3%A4ss%20%22w%27rd/1%0A%F0%9F%98%80%3E%3F",
                "p%c3%a4ss%20%22w%27rd/1%0a%f0%9f%98%80%3e%3f",
                "p%C3%A4ss+%22w%27rd%2F1%0A%F0%9F%98%80%3E%3F",
                "p%C3%A4ss%20%22w'rd%2F1%0A%F0%9F%98%80%3E%3F",
                "p%C3%A4ss%20%22w'rd/1%0A%F0%9F%98%80%3E?",
                // Hexadecimal.
                "70c3a473732022772772642f310af09f98803e3f",
                "70C3A473732022772772642F310AF09F98803E3F",
                // Base64.
                "cMOkc3MgIncncmQvMQrwn5iAPj8=",
                "cMOkc3MgIncncmQvMQrwn5iAPj8",
            ],
        );
        check(
            b"\xff\xfe\xfd\xfb\xef\xbe",
            &["//79++++", "__79----", "\\xff\\xfe\\xfd\\xfb\\xef\\xbe", "%FF%FE%FD%FB%EF%BE"],
        );
        check(b"back\\slash\x1b", &["back\\\\slash\x1b", "back\\\\slash\\x1b", "back\\\\slash\\u001b"]);
    }

    #[test]
    fn a_value_is_found_in_the_base64_of_a_longer_text() {
        let value = b"hunter2!?>~~";
        let scrub = Scrub::new([&Secret::new(value.to_vec())]);
        for before in ["", "a", "ab", "abc", "user:", "users:", "master:"] {
            for after in ["", "x", "xy", "@host"] {
                let whole = [before.as_bytes(), value, after.as_bytes()].concat();
                let encoded = BASE64.encode(&whole);
                for encoded in
                    [encoded.clone(), encoded.replace('+', "-").replace('/', "_"), encoded.replace('=', "")]
                {
                    let mut text = format!("Authorization: Basic {encoded}");
                    scrub.text(&mut text);
                    let left = text.strip_prefix("Authorization: Basic ").unwrap();
                    // Of what stands beside it, whole letters are left; of itself, no bit.
                    let (begin, end) = left.split_once("****").unwrap();
                    assert!(begin.len() <= before.len() * 8 / 6, "{before}{after}: {text}");
                    assert!(
                        end.trim_end_matches('=').len() <= (after.len() * 8).div_ceil(6),
                        "{before}{after}: {text}"
                    );
                    assert!(encoded.starts_with(begin) && encoded.ends_with(end), "{text}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_value_stays() {
        let scrub = Scrub::new([&Secret::new(b"p\xc3\xa4ssword".to_vec()), &Secret::new(b"abc".to_vec())]);
        for said in ["", "a password", "abc", "p\u{e4}sswor", "cMOkc3N3b3", "70c3a4"] {
            let mut text = String::from(said);
            scrub.text(&mut text);
            assert_eq!(text, said);
        }
        assert_eq!(Scrub::new([]).bytes(b"anything"), None);
    }

    #[test]
    fn values_that_overlap_leave_nothing_of_either() {
        let values =
            ["first-value", "value-second", "value"].map(|value| Secret::new(value.as_bytes().to_vec()));
        let scrub = Scrub::new(&values);
        for (said, expected) in [
            ("a first-value-second b", "a **** b"),
            ("a value b value-second", "a **** b ****"),
            ("valuevalue", "****"),
        ] {
            let mut text = String::from(said);
            scrub.text(&mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_long_value_goes_whole_and_so_does_a_part_of_it() {
        let value: String = (0..2000).map(|number| format!("{number:x}\u{e4}")).collect();
        check(
            value.as_bytes(),
            &[&value, &BASE64.encode(value.as_bytes()), &HEXLOWER.encode(value.as_bytes())],
        );
        let scrub = Scrub::new([&Secret::new(value.clone().into_bytes())]);
        let mut text = value.chars().take(500).collect::<String>();
        scrub.text(&mut text);
        assert!(text.starts_with("****") && text.len() < PIECE_BYTES + 8, "{text}");
        // A key of several lines, one after the other.
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSj\n-----END KEY-----\n";
        let scrub = Scrub::new([&Secret::new(key.as_bytes().to_vec())]);
        for line in key.lines() {
            let mut text = format!("> {line}");
            scrub.text(&mut text);
            assert_eq!(text, "> ****");
        }
    }

    #[test]
    fn what_is_no_text_is_searched_too() {
        let scrub = Scrub::new([&Secret::new(b"\xff\xfesecret".to_vec())]);
        assert_eq!(scrub.bytes(b"\"\xff\xfesecret\"").as_deref(), Some(&b"\"****\""[..]));
    }

    /// A value and a text that are made to be compared with each other everywhere.
    #[test]
    fn a_search_takes_as_long_as_its_text() {
        let steps = |bytes: usize| {
            let value = Secret::new(vec![b'a'; 60_000]);
            let scrub = Scrub::new([&value]);
            let text = "a".repeat(bytes);
            let (pieces, mut compared) = (&scrub.pieces[0], 0);
            for at in 0..text.len() {
                let window = text.as_bytes().get(at..at + WINDOWS[0]);
                let alike = window.and_then(|window| pieces.get(&hash(window)));
                compared += alike.into_iter().flatten().map(|piece| piece.text.len()).sum::<usize>();
            }
            assert_eq!(scrub.bytes(text.as_bytes()).as_deref(), Some(INSTEAD));
            compared
        };
        assert!(steps(1 << 20) <= (1 << 20) * PIECE_BYTES);
    }
}

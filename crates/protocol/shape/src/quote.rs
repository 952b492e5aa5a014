//! A JSON string for a record that people and machines keep.
//!
//! An audit record quotes what callers sent, so a string is cut to a length that somebody chose, and every control character is
//! escaped, those beyond ASCII too: a terminal that shows a record must not obey it. Answers to callers are written elsewhere, by
//! a codec, which cuts nothing.

use std::fmt::Write;

/// Appends `value` as a JSON string of at most `chars_max` characters.
pub fn push_quoted(text: &mut String, value: &str, chars_max: usize) {
    text.push('"');
    // Most strings need no work at all.
    if value.len() <= chars_max && first_byte(value.as_bytes(), |byte| !is_plain(byte)).is_none() {
        text.push_str(value);
    } else {
        push_escaped(text, value, chars_max);
    }
    text.push('"');
}

/// Where the first byte of a kind stands, for kinds that are rare: it asks about many bytes at once, which a search that may end at
/// each of them does not.
pub fn first_byte(bytes: &[u8], is_wanted: impl Fn(u8) -> bool) -> Option<usize> {
    const AT_ONCE: usize = 32;
    let has_one = |chunk: &[u8]| chunk.iter().fold(false, |found, byte| found | is_wanted(*byte));
    let chunk = bytes.chunks(AT_ONCE).position(has_one)?;
    let begin = chunk * AT_ONCE;
    let at = bytes.get(begin..)?.iter().position(|byte| is_wanted(*byte))?;
    Some(begin + at)
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..0x7f) && byte != b'"' && byte != b'\\'
}

fn push_escaped(text: &mut String, value: &str, chars_max: usize) {
    for letter in value.chars().take(chars_max) {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            control if control.is_control() => {
                // Writing into a string cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_inside_its_string() {
        for (given, expected) in [
            ("", "\"\""),
            ("plain", "\"plain\""),
            ("quote\" and \\", "\"quote\\\" and \\\\\""),
            ("line\nbreak\u{7f}\u{85}", "\"line\\u000abreak\\u007f\\u0085\""),
            ("ümlaut", "\"ümlaut\""),
        ] {
            let mut text = String::new();
            push_quoted(&mut text, given, 100);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn the_first_of_a_kind_is_found_wherever_it_stands() {
        for length in [0, 1, 31, 32, 33, 64, 100] {
            let plain = vec![b'a'; length];
            assert_eq!(first_byte(&plain, |byte| byte == b'x'), None, "{length}");
            for at in 0..length {
                let mut bytes = plain.clone();
                bytes[at..].fill(b'x');
                assert_eq!(first_byte(&bytes, |byte| byte == b'x'), Some(at), "{at} of {length}");
            }
        }
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        for (given, expected) in
            [("xxxxx", "\"xxx\""), ("üüüüü", "\"üüü\""), ("\"\"\"\"", "\"\\\"\\\"\\\"\"")]
        {
            let mut text = String::new();
            push_quoted(&mut text, given, 3);
            assert_eq!(text, expected);
        }
    }
}

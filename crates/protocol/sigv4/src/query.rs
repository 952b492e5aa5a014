//! The query string: one reading for us and for the dispatcher, and its canonical form.
//!
//! Two habits of form decoding are deliberately missing. A literal `+` stays a plus, because the signature treats
//! `+` and `%2B` alike: a dispatcher that read the first as a space would give one signature two meanings. And an
//! escape that is not one (`%zz`) stays as it is.

use std::{borrow::Cow, ops::Range};

/// The parameters in order of arrival, percent-decoded. Empty parts between `&` are no parameters.
///
/// The canonical form sorts, so a signature does not cover the *order* of parameters. A dispatcher must refuse a
/// name that appears twice rather than pick one.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    raw_pairs(query).map(|(name, value)| (decode(name), decode(value)))
}

/// Appends the canonical query string, without the parameter `left_out`.
pub(crate) fn write_canonical(out: &mut Vec<u8>, query: &str, left_out: Option<&str>) {
    if query.is_empty() {
        return;
    }
    // Everything is encoded once into one buffer and then only ranges are sorted.
    let mut encoded = Vec::with_capacity(query.len() + query.len() / 2);
    let mut pairs: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for (name, value) in raw_pairs(query) {
        let name_range = recode(&mut encoded, name);
        // The name to leave out has only characters that encode to themselves.
        if left_out.is_some_and(|left_out| slice(&encoded, &name_range) == left_out.as_bytes()) {
            encoded.truncate(name_range.start);
            continue;
        }
        let value_range = recode(&mut encoded, value);
        pairs.push((name_range, value_range));
    }
    // By name and then by value: sorting the joined text would order `a-b=` before `a=`.
    pairs.sort_by(|one, other| {
        let names = slice(&encoded, &one.0).cmp(slice(&encoded, &other.0));
        names.then_with(|| slice(&encoded, &one.1).cmp(slice(&encoded, &other.1)))
    });
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(slice(&encoded, name));
        out.push(b'=');
        out.extend_from_slice(slice(&encoded, value));
    }
}

/// Appends one byte the way SigV4 encodes: everything but unreserved characters becomes `%XX`.
pub(crate) fn encode_byte(out: &mut Vec<u8>, byte: u8) {
    if is_unreserved(byte) {
        out.push(byte);
    } else {
        out.extend_from_slice(&[b'%', hex_digit(byte >> 4), hex_digit(byte & 15)]);
    }
}

pub(crate) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn raw_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// Decodes and encodes again in one pass.
fn recode(out: &mut Vec<u8>, wire: &str) -> Range<usize> {
    let start = out.len();
    for byte in decoded_bytes(wire) {
        encode_byte(out, byte);
    }
    start..out.len()
}

fn decode(wire: &str) -> Cow<'_, [u8]> {
    if wire.contains('%') {
        Cow::Owned(decoded_bytes(wire).collect())
    } else {
        Cow::Borrowed(wire.as_bytes())
    }
}

fn decoded_bytes(wire: &str) -> impl Iterator<Item = u8> {
    let mut rest = wire.as_bytes();
    std::iter::from_fn(move || {
        if let [b'%', high, low, tail @ ..] = rest
            && let (Some(high), Some(low)) = (hex_value(*high), hex_value(*low))
        {
            rest = tail;
            return Some(high << 4 | low);
        }
        let (first, tail) = rest.split_first()?;
        rest = tail;
        Some(*first)
    })
}

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 }
}

fn slice<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    bytes.get(range.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, canonical: &str) {
        let mut out = Vec::new();
        write_canonical(&mut out, query, Some("X-Amz-Signature"));
        assert_eq!(String::from_utf8(out).unwrap(), canonical, "{query}");
    }

    #[test]
    fn parameters_are_sorted_by_encoded_name_and_then_value() {
        check("b=2&a=1", "a=1&b=2");
        check("a=2&a=1&A=3", "A=3&a=1&a=2");
        check("Param-3=v&Param=v", "Param=v&Param-3=v");
        check("%E1%88%B4=1&z=2", "%E1%88%B4=1&z=2");
    }

    #[test]
    fn every_spelling_of_a_byte_has_one_canonical_form() {
        check("a=%7e%41%2f/", "a=~A%2F%2F");
        check("a=1+1&b=1%2B1&c=1%201", "a=1%2B1&b=1%2B1&c=1%201");
        check("a=%zz%4", "a=%25zz%254");
        check("a=b=c", "a=b%3Dc");
        check("a&&b=&=c", "=c&a=&b=");
    }

    #[test]
    fn the_signature_is_left_out_under_any_spelling_of_its_name() {
        check("a=1&X-Amz-Signature=00&b=2", "a=1&b=2");
        check("X%2DAmz-Signature=00", "");
        check("x-amz-signature=00", "x-amz-signature=00");
    }

    #[test]
    fn a_plus_is_read_as_a_plus() {
        let pairs: Vec<_> = query_pairs("a=1+1&b%20c").collect();
        assert_eq!(pairs, [(b"a".into(), b"1+1".into()), (b"b c".into(), b"".into())]);
    }
}

//! A form body or query string, decoded and sorted by name.
//!
//! Sorted names put everything below one prefix side by side, so the nesting of `Tags.member.1.Key` needs no tree: a reader
//! is a slice of the pairs and the length of the prefix they share.

use std::borrow::Cow;

use coffer_shape::{Read, ReadError};
use coffer_types::Secret;

use crate::text::Text;

/// The largest lists AWS takes in one request are a few hundred members of two fields each.
const PAIRS_MAX: usize = 2_000;
const NAME_BYTES_MAX: usize = 1024;
/// Steps of a name: as deep as a JSON body may be.
const STEPS_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct Pair<'b> {
    pub(super) name: Text<'b>,
    pub(super) value: Text<'b>,
}

#[derive(Debug)]
pub struct Form<'b> {
    pub(super) pairs: Vec<Pair<'b>>,
}

impl<'b> Form<'b> {
    pub fn parse(bytes: &'b [u8]) -> Read<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let mut pairs = Vec::new();
        for piece in text.split('&').filter(|piece| !piece.is_empty()) {
            if pairs.len() >= PAIRS_MAX {
                return Err(ReadError::new("The request holds too many parameters."));
            }
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let pair = Pair { name: decoded(name)?, value: decoded(value)? };
            let name = pair.name.as_str();
            if name.len() > NAME_BYTES_MAX || name.split('.').count() > STEPS_MAX {
                return Err(ReadError::new("The request holds a parameter name that is too long."));
            }
            pairs.push(pair);
        }
        pairs.sort_unstable_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        // Two values for one name would let two readers of one request disagree about what it says.
        let twins = pairs.windows(2).any(|two| match two {
            [first, second] => first.name.as_str() == second.name.as_str(),
            _ => false,
        });
        if twins { Err(ReadError::new("The request names a parameter twice.")) } else { Ok(Self { pairs }) }
    }
}

/// The value of one top-level parameter, without parsing the rest. The first one counts; [`Form::parse`] refuses a second.
pub(crate) fn peek<'b>(bytes: &'b [u8], name: &str) -> Read<Option<Cow<'b, str>>> {
    let value = bytes
        .split(|byte| *byte == b'&')
        .find_map(|piece| piece.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    let Some(value) = value else { return Ok(None) };
    let value = decoded(std::str::from_utf8(value).map_err(|_| malformed())?)?;
    Ok(Some(match value {
        Text::Borrowed(text) => text.into(),
        owned @ Text::Owned(_) => owned.into_string().into(),
    }))
}

fn malformed() -> ReadError {
    ReadError::new("The request parameters are not correctly encoded.")
}

/// `+` is a space, `%XX` a byte. Anything after `%` but two hexadecimal digits is refused, as is a result that is not UTF-8.
fn decoded(text: &str) -> Read<Text<'_>> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Ok(Text::Borrowed(text));
    }
    let mut bytes = Secret::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.expose_mut().push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = rest.next().and_then(nibble).ok_or_else(malformed)?;
                high << 4 | rest.next().and_then(nibble).ok_or_else(malformed)?
            }
            other => other,
        });
    }
    if std::str::from_utf8(bytes.expose()).is_err() {
        return Err(malformed());
    }
    String::from_utf8(bytes.take()).map(|text| Text::Owned(Secret::new(text))).map_err(|_| malformed())
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

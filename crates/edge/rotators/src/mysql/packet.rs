//! Packets: a length, a number, and bytes that begin with what they are.

use crate::failure::Trouble;

const SHORT: Trouble = Trouble::Strange("a packet that is too short");
const MAY_ENCRYPT: u32 = 0x0000_0800;
const HAS_PLUGINS: u32 = 0x0008_0000;
/// One part of the challenge stands before everything else that is told.
const FIRST_BYTES: usize = 8;
const CHALLENGE_BYTES: usize = 20;

pub(crate) struct Bytes(Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Ok,
    /// By the number of the error.
    Refusal(String),
    /// To another plugin.
    Switch,
    /// More of the plugin's own.
    More,
    Other,
}

impl Bytes {
    pub(crate) const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn kind(&self) -> Packet {
        match self.0.as_slice() {
            [0, ..] => Packet::Ok,
            [0xff, low, high, ..] => Packet::Refusal(u16::from_le_bytes([*low, *high]).to_string()),
            [0xfe, ..] => Packet::Switch,
            [1, ..] => Packet::More,
            _ => Packet::Other,
        }
    }

    /// The end of a list. A row that begins with the same byte is longer.
    pub(crate) fn is_end(&self) -> bool {
        self.0.first() == Some(&0xfe) && self.0.len() < 9
    }

    pub(crate) fn more(&self) -> &[u8] {
        self.0.get(1..).unwrap_or_default()
    }

    /// To which plugin, and with which challenge.
    pub(crate) fn switch(&self) -> Result<(String, Vec<u8>), Trouble> {
        let mut reading = Reading::of(self.more());
        let name = String::from_utf8_lossy(reading.until_nul()?).into_owned();
        let data = reading.0;
        Ok((name, data.strip_suffix(&[0]).unwrap_or(data).to_vec()))
    }
}

/// What a server says first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub may_encrypt: bool,
    pub plugin: String,
    pub challenge: Vec<u8>,
}

impl Greeting {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Trouble> {
        let mut reading = Reading::of(bytes);
        if reading.take(1)? != [10] {
            return Err(Trouble::Strange("its protocol is not version 10"));
        }
        reading.until_nul()?;
        reading.take(4)?;
        let mut challenge = reading.take(FIRST_BYTES)?.to_vec();
        reading.take(1)?;
        let low = reading.number(2)?;
        reading.take(3)?;
        let abilities = low | (reading.number(2)? << 16);
        let length = usize::try_from(reading.number(1)?).unwrap_or_default();
        reading.take(10)?;
        let rest = reading.take(length.saturating_sub(FIRST_BYTES).max(13))?;
        challenge.extend_from_slice(rest.get(..CHALLENGE_BYTES - FIRST_BYTES).ok_or(SHORT)?);
        let plugin = match abilities & HAS_PLUGINS {
            0 => String::new(),
            _ => String::from_utf8_lossy(reading.until_nul().unwrap_or_default()).into_owned(),
        };
        Ok(Self { may_encrypt: abilities & MAY_ENCRYPT != 0, plugin, challenge })
    }
}

pub(crate) struct Reading<'b>(&'b [u8]);

impl<'b> Reading<'b> {
    pub(crate) const fn of(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], Trouble> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn until_nul(&mut self) -> Result<&'b [u8], Trouble> {
        let at = self.0.iter().position(|byte| *byte == 0).ok_or(SHORT)?;
        let taken = self.take(at)?;
        self.take(1)?;
        Ok(taken)
    }

    /// Of at most four bytes.
    fn number(&mut self, bytes: usize) -> Result<u32, Trouble> {
        let taken = self.take(bytes)?;
        Ok(taken.iter().rev().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
    }

    /// A length whose first byte says how long itself is.
    pub(crate) fn length(&mut self) -> Result<usize, Trouble> {
        let first = self.number(1)?;
        let length = match first {
            0xfc => self.number(2)?,
            0xfd => self.number(3)?,
            0xfb | 0xfe | 0xff => return Err(Trouble::Strange("a length that is none")),
            short => short,
        };
        usize::try_from(length).map_err(|_| SHORT)
    }

    /// A value of a row.
    pub(crate) fn text(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        if self.0.first() == Some(&0xfb) {
            self.take(1)?;
            return Ok(None);
        }
        let length = self.length()?;
        Ok(Some(self.take(length)?.to_vec()))
    }
}

/// A length as it is read by [`Reading::length`].
pub(crate) fn put_length(to: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < 0xfb => to.push(short),
        _ => {
            to.push(0xfd);
            to.extend(length.to_le_bytes().into_iter().take(3));
        }
    }
}

pub(crate) fn framed(bytes: &[u8], sequence: u8) -> Result<Vec<u8>, Trouble> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length < 0x00ff_ffff);
    let length = length.ok_or(Trouble::Strange("a statement that is too long"))?;
    let mut packet: Vec<u8> = length.to_le_bytes().into_iter().take(3).collect();
    packet.push(sequence);
    packet.extend_from_slice(bytes);
    Ok(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting() -> Vec<u8> {
        let mut bytes = b"\x0a8.0.36\0".to_vec();
        bytes.extend_from_slice(&[1, 0, 0, 0]);
        bytes.extend_from_slice(b"abcdefgh\0");
        bytes.extend_from_slice(&[0x00, 0x08]);
        bytes.extend_from_slice(&[45, 2, 0]);
        bytes.extend_from_slice(&[0x08, 0x00, 21]);
        bytes.extend_from_slice(&[0; 10]);
        bytes.extend_from_slice(b"ijklmnopqrst\0caching_sha2_password\0");
        bytes
    }

    #[test]
    fn a_greeting_says_what_the_server_can() {
        let read = Greeting::read(&greeting()).unwrap();
        let expected = Greeting {
            may_encrypt: true,
            plugin: String::from("caching_sha2_password"),
            challenge: b"abcdefghijklmnopqrst".to_vec(),
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn whatever_is_cut_off_is_refused() {
        let whole = greeting();
        for length in 0..whole.len() - "caching_sha2_password\0".len() {
            assert!(Greeting::read(&whole[..length]).is_err(), "{length}");
        }
        for bytes in [&b""[..], b"\x05abc", b"\xfc\x05", b"\xfd\xff\xff", b"\xfe", b"\xff"] {
            assert!(Reading::of(bytes).text().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn lengths_come_back() {
        for length in [0, 1, 250, 251, 252, 65_535, 65_536] {
            let mut bytes = Vec::new();
            put_length(&mut bytes, length);
            assert_eq!(Reading::of(&bytes).length().unwrap(), length);
        }
    }
}

//! A growing byte buffer that leaves nothing behind.
//!
//! A `Vec` that outgrows its allocation copies its bytes and frees the old ones as they are. Answers carry secret values, so
//! this buffer grows by itself and wipes what it leaves.

use std::fmt;

use coffer_types::{Secret, encoding::Encoding};

/// Most answers fit without growing.
const START_BYTES: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Buffer(Secret<Vec<u8>>);

impl Buffer {
    pub(crate) fn new() -> Self {
        Self(Secret::new(Vec::with_capacity(START_BYTES)))
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn push(&mut self, byte: u8) {
        self.reserve(1);
        self.0.expose_mut().push(byte);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.0.expose_mut().extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Numbers and the like: whatever prints itself, without a string in between.
    pub(crate) fn display(&mut self, value: impl fmt::Display) {
        // Our own `write_str` cannot fail, so neither can the formatting.
        let _ = fmt::write(self, format_args!("{value}"));
    }

    pub(crate) fn encoded(&mut self, encoding: &Encoding, value: &[u8]) {
        let length = encoding.encode_len(value.len());
        self.reserve(length);
        let start = self.len();
        let bytes = self.0.expose_mut();
        bytes.resize(start + length, 0);
        if let Some(room) = bytes.get_mut(start..) {
            encoding.encode_mut(value, room);
        }
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.0.expose_mut().truncate(length);
    }

    pub(crate) fn into_secret(self) -> Secret<Vec<u8>> {
        self.0
    }

    fn reserve(&mut self, more: usize) {
        let bytes = self.0.expose();
        if bytes.capacity() - bytes.len() >= more {
            return;
        }
        let mut larger = Vec::with_capacity((bytes.len() + more).max(bytes.capacity() * 2).max(START_BYTES));
        larger.extend_from_slice(bytes);
        // The old allocation is wiped as it is dropped.
        self.0 = Secret::new(larger);
    }
}

impl fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use coffer_types::encoding::BASE64;

    use super::*;

    #[test]
    fn growing_keeps_every_byte() {
        let mut buffer = Buffer::default();
        let mut expected = Vec::new();
        for round in 0..2000_u32 {
            buffer.display(round);
            expected.extend_from_slice(round.to_string().as_bytes());
        }
        buffer.encoded(&BASE64, b"hi");
        expected.extend_from_slice(b"aGk=");
        assert_eq!(buffer.into_secret().expose(), &expected);
    }
}

//! Records as bytes: CBOR with structures as arrays, a member at its position.
//!
//! Positions instead of names keep records small; an array shorter than the schema reads as "the rest is absent", so a
//! field can be appended. The bytes are sealed before they reach an engine, so sensitive values may pass.

use coffer_types::{Secret, Timestamp};
use minicbor::{Decoder, Encoder, data::Type};

use crate::{Member, Read, ReadError, Reader, Schema, Shape, WriteError, Writer, Wrote};

/// Nesting of records is ours, so the bound only stops damaged bytes.
const DEPTH_MAX: usize = 16;

pub fn to_bytes<S: Shape>(value: &S) -> Result<Secret<Vec<u8>>, WriteError> {
    let mut writer = StoredWriter { encoder: Encoder::new(Vec::new()), next: Vec::new() };
    value.write(&mut writer)?;
    Ok(Secret::new(writer.encoder.into_writer()))
}

pub fn from_bytes<S: Shape>(bytes: &[u8]) -> Read<S> {
    let mut decoder = Decoder::new(bytes);
    let value = S::read(&mut StoredReader { decoder: &mut decoder, depth: 0 })?;
    if decoder.position() == bytes.len() { Ok(value) } else { Err(ReadError::new("bytes after the record")) }
}

/// Reads what [`to_bytes`] wrote as anything reads a value that came from elsewhere.
pub fn walk(bytes: &[u8], walk: &mut dyn FnMut(&mut dyn Reader)) {
    walk(&mut StoredReader { decoder: &mut Decoder::new(bytes), depth: 0 });
}

struct StoredWriter {
    encoder: Encoder<Vec<u8>>,
    /// Per open structure: the position that is written next. Skipped members become nulls.
    next: Vec<usize>,
}

impl StoredWriter {
    fn pad_to(&mut self, index: usize) -> Wrote {
        while let Some(next) = self.next.last_mut()
            && *next < index
        {
            *next += 1;
            self.encoder.null().map_err(failed)?;
        }
        Ok(())
    }
}

fn failed<E: std::fmt::Display>(error: E) -> WriteError {
    WriteError::new(error.to_string())
}

fn damaged<E: std::fmt::Display>(error: E) -> ReadError {
    ReadError::new(error.to_string())
}

impl Writer for StoredWriter {
    fn member(&mut self, index: usize, _: &'static Member) -> Wrote {
        self.pad_to(index)?;
        if let Some(next) = self.next.last_mut() {
            *next = index + 1;
        }
        Ok(())
    }

    fn key(&mut self, key: &str) -> Wrote {
        self.encoder.str(key).map(|_| ()).map_err(failed)
    }

    fn null(&mut self) -> Wrote {
        self.encoder.null().map(|_| ()).map_err(failed)
    }

    fn string(&mut self, _: &'static Schema, value: &str) -> Wrote {
        self.encoder.str(value).map(|_| ()).map_err(failed)
    }

    fn long(&mut self, _: &'static Schema, value: i64) -> Wrote {
        self.encoder.i64(value).map(|_| ()).map_err(failed)
    }

    fn double(&mut self, _: &'static Schema, value: f64) -> Wrote {
        self.encoder.f64(value).map(|_| ()).map_err(failed)
    }

    fn boolean(&mut self, _: &'static Schema, value: bool) -> Wrote {
        self.encoder.bool(value).map(|_| ()).map_err(failed)
    }

    fn timestamp(&mut self, _: &'static Schema, value: Timestamp) -> Wrote {
        self.encoder.i64(value.millis()).map(|_| ()).map_err(failed)
    }

    fn blob(&mut self, _: &'static Schema, value: &[u8]) -> Wrote {
        self.encoder.bytes(value).map(|_| ()).map_err(failed)
    }

    fn structure(
        &mut self,
        schema: &'static Schema,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        let members = schema.members().len();
        self.encoder.array(members as u64).map_err(failed)?;
        self.next.push(0);
        fill(self)?;
        self.pad_to(members)?;
        self.next.pop();
        Ok(())
    }

    fn list(
        &mut self,
        _: &'static Schema,
        len: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.encoder.array(len as u64).map_err(failed)?;
        fill(self)
    }

    fn map(
        &mut self,
        _: &'static Schema,
        len: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.encoder.map(len as u64).map_err(failed)?;
        fill(self)
    }
}

struct StoredReader<'a, 'b> {
    decoder: &'a mut Decoder<'b>,
    depth: usize,
}

impl StoredReader<'_, '_> {
    fn length(&mut self, length: Option<u64>) -> Read<u64> {
        if self.depth >= DEPTH_MAX {
            return Err(ReadError::new("nested too deeply"));
        }
        length.ok_or_else(|| ReadError::new("indefinite length"))
    }
}

impl Reader for StoredReader<'_, '_> {
    fn is_null(&mut self) -> Read<bool> {
        let null = self.decoder.datatype().map_err(damaged)? == Type::Null;
        if null {
            self.decoder.null().map_err(damaged)?;
        }
        Ok(null)
    }

    fn string(&mut self, _: &'static Schema) -> Read<String> {
        self.decoder.str().map(str::to_owned).map_err(damaged)
    }

    fn long(&mut self, _: &'static Schema) -> Read<i64> {
        self.decoder.i64().map_err(damaged)
    }

    fn double(&mut self, _: &'static Schema) -> Read<f64> {
        self.decoder.f64().map_err(damaged)
    }

    fn boolean(&mut self, _: &'static Schema) -> Read<bool> {
        self.decoder.bool().map_err(damaged)
    }

    fn timestamp(&mut self, _: &'static Schema) -> Read<Timestamp> {
        self.decoder.i64().map(Timestamp::from_millis).map_err(damaged)
    }

    fn blob(&mut self, _: &'static Schema) -> Read<Vec<u8>> {
        self.decoder.bytes().map(<[u8]>::to_vec).map_err(damaged)
    }

    fn structure(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(usize, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let stored = self.decoder.array().map_err(damaged)?;
        let stored = usize::try_from(self.length(stored)?).map_err(damaged)?;
        if stored > schema.members().len() {
            return Err(ReadError::new(format!("{} was written by a newer version", schema.name)));
        }
        for index in 0..stored {
            let mut member = StoredReader { decoder: self.decoder, depth: self.depth + 1 };
            if !member.is_null()? {
                each(index, &mut member)?;
            }
        }
        Ok(())
    }

    fn list(&mut self, _: &'static Schema, each: &mut dyn FnMut(&mut dyn Reader) -> Read<()>) -> Read<()> {
        let length = self.decoder.array().map_err(damaged)?;
        for _ in 0..self.length(length)? {
            each(&mut StoredReader { decoder: self.decoder, depth: self.depth + 1 })?;
        }
        Ok(())
    }

    fn map(
        &mut self,
        _: &'static Schema,
        each: &mut dyn FnMut(String, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let length = self.decoder.map().map_err(damaged)?;
        for _ in 0..self.length(length)? {
            let key = self.decoder.str().map(str::to_owned).map_err(damaged)?;
            each(key, &mut StoredReader { decoder: self.decoder, depth: self.depth + 1 })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    crate::record! {
        struct Inner {
            name: String,
            labels: Vec<String>,
        }
    }

    crate::record! {
        struct Outer {
            name: String,
            at: Timestamp,
            note: Option<String>,
            secret: Secret<String>,
            inner: Vec<Inner>,
            counts: BTreeMap<String, i64>,
        }
    }

    crate::record! {
        struct OuterBefore {
            name: String,
            at: Timestamp,
        }
    }

    fn outer() -> Outer {
        Outer {
            name: "a".into(),
            at: Timestamp::from_millis(-5),
            note: None,
            secret: Secret::new("s".into()),
            inner: vec![Inner { name: "i".into(), labels: vec!["x".into(), "y".into()] }],
            counts: BTreeMap::from([("k".into(), 7)]),
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let bytes = to_bytes(&outer()).unwrap();
        let back: Outer = from_bytes(bytes.expose()).unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", outer()));
        assert_eq!(back.secret.expose(), "s");
    }

    #[test]
    fn a_field_can_be_appended_but_a_newer_record_is_refused() {
        let before = OuterBefore { name: "a".into(), at: Timestamp::from_millis(1) };
        let now: Outer = from_bytes(to_bytes(&before).unwrap().expose()).unwrap();
        assert_eq!((now.name.as_str(), now.at.millis(), now.inner.len()), ("a", 1, 0));
        let newer = to_bytes(&outer()).unwrap();
        assert!(from_bytes::<OuterBefore>(newer.expose()).is_err());
    }

    #[test]
    fn damaged_bytes_are_an_error_and_never_a_panic() {
        let bytes = to_bytes(&outer()).unwrap();
        for cut in 0..bytes.len() {
            assert!(from_bytes::<Outer>(&bytes.expose()[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.expose().clone();
            damaged[at] ^= 0xff;
            let _ = from_bytes::<Outer>(&damaged);
        }
    }
}

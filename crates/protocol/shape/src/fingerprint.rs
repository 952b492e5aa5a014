//! Bytes that are equal exactly when two values are: is this the same request again, does this page belong to that query?
//!
//! Every value is tagged and length-prefixed, so no two values share their bytes. The caller hashes them; this crate has no
//! cryptography. Sensitive values are included: the result must be hashed with a key or at once, and never stored.

use coffer_types::{Secret, Timestamp};

use crate::{Member, Schema, Shape, Writer, Wrote};

pub fn fingerprint<S: Shape>(value: &S) -> Secret<Vec<u8>> {
    let mut writer = Fingerprint(Vec::new());
    if value.write(&mut writer).is_err() {
        writer.tagged(b'!', b"");
    }
    Secret::new(writer.0)
}

struct Fingerprint(Vec<u8>);

impl Fingerprint {
    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.0.push(tag);
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn nest(&mut self, tag: u8, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.0.push(tag);
        fill(self)?;
        self.0.push(b'.');
        Ok(())
    }
}

impl Writer for Fingerprint {
    fn member(&mut self, _: usize, member: &'static Member) -> Wrote {
        self.tagged(b'm', member.name.as_bytes());
        Ok(())
    }

    fn key(&mut self, key: &str) -> Wrote {
        self.tagged(b'k', key.as_bytes());
        Ok(())
    }

    fn null(&mut self) -> Wrote {
        self.tagged(b'n', b"");
        Ok(())
    }

    fn string(&mut self, _: &'static Schema, value: &str) -> Wrote {
        self.tagged(b's', value.as_bytes());
        Ok(())
    }

    fn long(&mut self, _: &'static Schema, value: i64) -> Wrote {
        self.tagged(b'l', &value.to_be_bytes());
        Ok(())
    }

    fn double(&mut self, _: &'static Schema, value: f64) -> Wrote {
        self.tagged(b'd', &value.to_be_bytes());
        Ok(())
    }

    fn boolean(&mut self, _: &'static Schema, value: bool) -> Wrote {
        self.tagged(b'b', &[u8::from(value)]);
        Ok(())
    }

    fn timestamp(&mut self, _: &'static Schema, value: Timestamp) -> Wrote {
        self.tagged(b't', &value.millis().to_be_bytes());
        Ok(())
    }

    fn blob(&mut self, _: &'static Schema, value: &[u8]) -> Wrote {
        self.tagged(b'x', value);
        Ok(())
    }

    fn structure(&mut self, _: &'static Schema, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.nest(b'{', fill)
    }

    fn list(
        &mut self,
        _: &'static Schema,
        _: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.nest(b'[', fill)
    }

    fn map(&mut self, _: &'static Schema, _: usize, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.nest(b'(', fill)
    }
}

//! Writes shapes as a form: what our own client sends to a query service, and the mirror of the reader in tests.

use coffer_shape::{Entry, Kind, Member, Schema, WriteError, Writer, Wrote};
use coffer_types::{Secret, Timestamp, encoding::BASE64};

use crate::buffer::Buffer;

#[derive(Debug)]
pub struct FormWriter {
    out: Buffer,
    /// The name of the value at hand.
    path: String,
    open: Vec<Open>,
}

/// What is open around the value at hand, each with the length of its own name in `path`.
#[derive(Debug)]
enum Open {
    Structure { base: usize },
    List { base: usize, written: usize },
    Map { base: usize, written: usize, entry: &'static Entry },
}

impl FormWriter {
    /// Every request starts with these two.
    pub fn new(action: &str, version: &str) -> Self {
        let mut writer = Self { out: Buffer::new(), path: String::new(), open: Vec::new() };
        for (name, value) in [("Action", action), ("Version", version)] {
            writer.path.replace_range(.., name);
            writer.pair(value.as_bytes());
        }
        writer.path.clear();
        writer
    }

    pub fn finish(self) -> Secret<Vec<u8>> {
        self.out.into_secret()
    }

    fn step(&mut self, base: usize, step: &str) {
        self.path.truncate(base);
        if base > 0 {
            self.path.push('.');
        }
        self.path.push_str(step);
    }

    /// Inside a list every value moves the number on.
    fn begin(&mut self) {
        if let Some(Open::List { base, written }) = self.open.last_mut() {
            *written += 1;
            let (base, number) = (*base, written.to_string());
            self.step(base, &number);
        }
    }

    fn value(&mut self, value: &[u8]) -> Wrote {
        self.begin();
        self.pair(value);
        Ok(())
    }

    fn pair(&mut self, value: &[u8]) {
        if self.out.len() > 0 {
            self.out.push(b'&');
        }
        percent(&mut self.out, self.path.as_bytes());
        self.out.push(b'=');
        percent(&mut self.out, value);
    }

    fn nest(&mut self, open: Open, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.open.push(open);
        fill(self)?;
        self.open.pop();
        Ok(())
    }
}

/// Only what RFC 3986 calls unreserved stays as it is.
fn percent(out: &mut Buffer, bytes: &[u8]) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            out.push(*byte);
        } else {
            out.display(format_args!("%{byte:02X}"));
        }
    }
}

impl Writer for FormWriter {
    fn member(&mut self, _: usize, member: &'static Member) -> Wrote {
        let Some(Open::Structure { base }) = self.open.last() else {
            return Err(WriteError::new("a member outside a structure"));
        };
        self.step(*base, member.wire);
        Ok(())
    }

    fn key(&mut self, key: &str) -> Wrote {
        let Some(Open::Map { base, written, entry }) = self.open.last_mut() else {
            return Err(WriteError::new("a key outside a map"));
        };
        *written += 1;
        let (base, entry, number) = (*base, *entry, written.to_string());
        self.step(base, &number);
        let numbered = self.path.len();
        self.step(numbered, entry.key_wire);
        self.pair(key.as_bytes());
        self.step(numbered, entry.value_wire);
        Ok(())
    }

    fn null(&mut self) -> Wrote {
        Err(WriteError::new("a form has no null"))
    }

    fn string(&mut self, _: &'static Schema, value: &str) -> Wrote {
        self.value(value.as_bytes())
    }

    fn long(&mut self, _: &'static Schema, value: i64) -> Wrote {
        self.value(value.to_string().as_bytes())
    }

    fn double(&mut self, _: &'static Schema, value: f64) -> Wrote {
        self.value(format!("{value:?}").as_bytes())
    }

    fn boolean(&mut self, _: &'static Schema, value: bool) -> Wrote {
        self.value(if value { b"true" } else { b"false" })
    }

    fn timestamp(&mut self, _: &'static Schema, value: Timestamp) -> Wrote {
        self.value(value.to_iso_millis().as_bytes())
    }

    fn blob(&mut self, _: &'static Schema, value: &[u8]) -> Wrote {
        let text = Secret::new(BASE64.encode(value));
        self.value(text.expose().as_bytes())
    }

    fn structure(&mut self, _: &'static Schema, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.begin();
        let before = self.out.len();
        let base = self.path.len();
        self.nest(Open::Structure { base }, fill)?;
        // A structure without members is there all the same; the request itself needs no such mark.
        if base > 0 && self.out.len() == before {
            self.path.truncate(base);
            self.pair(b"");
        }
        Ok(())
    }

    fn list(
        &mut self,
        schema: &'static Schema,
        len: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        let Kind::List(element) = schema.kind else { return Err(WriteError::new(schema.name)) };
        self.begin();
        if len == 0 {
            self.pair(b"");
            return Ok(());
        }
        if !element.flat {
            self.step(self.path.len(), element.wire);
        }
        self.nest(Open::List { base: self.path.len(), written: 0 }, fill)
    }

    fn map(
        &mut self,
        schema: &'static Schema,
        len: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        let Kind::Map(entry) = schema.kind else { return Err(WriteError::new(schema.name)) };
        self.begin();
        if len == 0 {
            self.pair(b"");
            return Ok(());
        }
        if !entry.flat {
            self.step(self.path.len(), "entry");
        }
        self.nest(Open::Map { base: self.path.len(), written: 0, entry }, fill)
    }
}

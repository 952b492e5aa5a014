//! Writes shapes as JSON text, straight into the bytes of the answer.
//!
//! Absent members are never announced by a shape, so nothing here writes a null for them: AWS's clients test for presence.

use coffer_shape::{Member, Schema, WriteError, Writer, Wrote, first_byte};
use coffer_types::{Secret, Timestamp, encoding::BASE64};

use crate::buffer::Buffer;

#[derive(Debug, Default)]
pub struct JsonWriter {
    out: Buffer,
    /// A value was just written; whatever follows at this level needs a comma.
    comma: bool,
}

impl JsonWriter {
    pub fn new() -> Self {
        Self { out: Buffer::new(), comma: false }
    }

    pub fn finish(self) -> Secret<Vec<u8>> {
        self.out.into_secret()
    }

    /// An object outside any model, as errors are. Members without text are left out.
    pub(crate) fn fields(&mut self, fields: &[(&str, &str)]) {
        self.out.push(b'{');
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            self.name(name);
            self.quoted(value);
            self.comma = true;
        }
        self.out.push(b'}');
    }

    /// Begins the object of a whole body whose members come one by one.
    pub(crate) fn open(&mut self) {
        self.out.push(b'{');
    }

    pub(crate) fn close(&mut self) {
        self.out.push(b'}');
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = false;
    }

    fn name(&mut self, name: &str) {
        self.separate();
        self.quoted(name);
        self.out.push(b':');
    }

    fn value(&mut self, write: impl FnOnce(&mut Buffer)) -> Wrote {
        self.separate();
        write(&mut self.out);
        self.comma = true;
        Ok(())
    }

    fn nest(&mut self, open: u8, close: u8, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.separate();
        self.out.push(open);
        fill(self)?;
        self.out.push(close);
        self.comma = true;
        Ok(())
    }

    fn quoted(&mut self, value: &str) {
        let out = &mut self.out;
        out.push(b'"');
        let mut rest = value;
        // Most text needs no escape at all and is copied in one piece.
        while let Some(at) = first_byte(rest.as_bytes(), |byte| byte < 0x20 || byte == b'"' || byte == b'\\')
        {
            let (plain, from) = rest.split_at(at);
            out.text(plain);
            let mut letters = from.chars();
            match letters.next() {
                Some('"') => out.text("\\\""),
                Some('\\') => out.text("\\\\"),
                Some('\n') => out.text("\\n"),
                Some('\r') => out.text("\\r"),
                Some('\t') => out.text("\\t"),
                Some(control) => out.display(format_args!("\\u{:04x}", u32::from(control))),
                None => {}
            }
            rest = letters.as_str();
        }
        out.text(rest);
        out.push(b'"');
    }
}

impl Writer for JsonWriter {
    fn member(&mut self, _: usize, member: &'static Member) -> Wrote {
        self.name(member.wire);
        Ok(())
    }

    fn key(&mut self, key: &str) -> Wrote {
        self.name(key);
        Ok(())
    }

    fn null(&mut self) -> Wrote {
        self.value(|out| out.text("null"))
    }

    fn string(&mut self, _: &'static Schema, value: &str) -> Wrote {
        self.separate();
        self.quoted(value);
        self.comma = true;
        Ok(())
    }

    fn long(&mut self, _: &'static Schema, value: i64) -> Wrote {
        self.value(|out| out.display(value))
    }

    fn double(&mut self, schema: &'static Schema, value: f64) -> Wrote {
        if !value.is_finite() {
            return Err(WriteError::new(format!("{} is not a number JSON can carry", schema.name)));
        }
        // The debug form is the shortest that reads back as the same double, with an exponent where it helps.
        self.value(|out| out.display(format_args!("{value:?}")))
    }

    fn boolean(&mut self, _: &'static Schema, value: bool) -> Wrote {
        self.value(|out| out.text(if value { "true" } else { "false" }))
    }

    fn timestamp(&mut self, _: &'static Schema, value: Timestamp) -> Wrote {
        self.value(|out| epoch_seconds(out, value))
    }

    fn blob(&mut self, _: &'static Schema, value: &[u8]) -> Wrote {
        self.value(|out| {
            out.push(b'"');
            out.encoded(&BASE64, value);
            out.push(b'"');
        })
    }

    fn structure(&mut self, _: &'static Schema, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.nest(b'{', b'}', fill)
    }

    fn list(
        &mut self,
        _: &'static Schema,
        _: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.nest(b'[', b']', fill)
    }

    fn map(&mut self, _: &'static Schema, _: usize, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.nest(b'{', b'}', fill)
    }
}

/// `1523477145.713`: plain decimal, at most three places, none that are zero at the end.
fn epoch_seconds(out: &mut Buffer, value: Timestamp) {
    let millis = value.millis();
    if millis < 0 {
        out.push(b'-');
    }
    let (seconds, part) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    out.display(seconds);
    match part {
        0 => {}
        part if part % 100 == 0 => out.display(format_args!(".{}", part / 100)),
        part if part % 10 == 0 => out.display(format_args!(".{:02}", part / 10)),
        part => out.display(format_args!(".{part:03}")),
    }
}

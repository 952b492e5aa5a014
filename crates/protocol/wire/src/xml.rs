//! The XML that query services answer with. We write it and never parse it.
//!
//! A value takes the name that was announced for it, so the writer keeps one name: members set it, lists set it to the
//! name of their elements, and whatever opens an element puts it back when it closes.

use coffer_shape::{Entry, Kind, Member, Schema, WriteError, Writer, Wrote};
use coffer_types::{Secret, Timestamp, encoding::BASE64};

use crate::buffer::Buffer;

#[derive(Debug, Default)]
pub struct XmlWriter {
    out: Buffer,
    /// The element that the next value becomes.
    name: &'static str,
    /// Maps that are open, and whether each has an entry that still wants its end tag.
    maps: Vec<(&'static str, &'static Entry, bool)>,
    /// Where the content of the last opened element starts: if it ends there too, it is empty.
    opened_at: usize,
    /// The outermost structure has no element of its own: the envelope around it has.
    inside: bool,
}

impl XmlWriter {
    pub fn new() -> Self {
        Self { out: Buffer::new(), ..Self::default() }
    }

    pub fn finish(self) -> Secret<Vec<u8>> {
        self.out.into_secret()
    }

    /// The root of an answer: a name made of two parts, and the namespace of the service.
    pub(crate) fn root(
        &mut self,
        name: [&str; 2],
        namespace: Option<&str>,
        fill: impl FnOnce(&mut Self) -> Wrote,
    ) -> Wrote {
        self.out.push(b'<');
        name.iter().for_each(|part| self.out.text(part));
        if let Some(namespace) = namespace {
            self.out.text(" xmlns=\"");
            self.escaped(namespace);
            self.out.push(b'"');
        }
        self.out.push(b'>');
        fill(self)?;
        self.out.text("</");
        name.iter().for_each(|part| self.out.text(part));
        self.out.push(b'>');
        Ok(())
    }

    pub(crate) fn element(&mut self, name: &str, fill: impl FnOnce(&mut Self) -> Wrote) -> Wrote {
        self.open(name);
        fill(self)?;
        self.close(name);
        Ok(())
    }

    pub(crate) fn leaf(&mut self, name: &str, text: &str) -> Wrote {
        self.element(name, |xml| {
            xml.escaped(text);
            Ok(())
        })
    }

    fn open(&mut self, name: &str) {
        self.out.push(b'<');
        self.out.text(name);
        self.out.push(b'>');
        self.opened_at = self.out.len();
    }

    fn close(&mut self, name: &str) {
        if self.out.len() == self.opened_at {
            self.out.truncate(self.opened_at - 1);
            self.out.text("/>");
        } else {
            self.out.text("</");
            self.out.text(name);
            self.out.push(b'>');
        }
    }

    /// What XML 1.0 cannot carry becomes U+FFFD: an answer with one odd letter is better than one no client can parse.
    fn escaped(&mut self, value: &str) {
        for letter in value.chars() {
            match letter {
                '&' => self.out.text("&amp;"),
                '<' => self.out.text("&lt;"),
                '>' => self.out.text("&gt;"),
                '"' => self.out.text("&quot;"),
                // Parsers turn a bare carriage return into a line feed.
                '\r' => self.out.text("&#xD;"),
                '\t' | '\n' => self.out.display(letter),
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.out.display(char::REPLACEMENT_CHARACTER),
                other => self.out.text(other.encode_utf8(&mut [0; 4])),
            }
        }
    }

    fn value(&mut self, text: &str) -> Wrote {
        self.leaf(self.name, text)
    }

    fn close_entry(&mut self) {
        if let Some((tag, _, open @ true)) = self.maps.last_mut() {
            *open = false;
            let tag = *tag;
            self.close(tag);
        }
    }
}

impl Writer for XmlWriter {
    fn member(&mut self, _: usize, member: &'static Member) -> Wrote {
        self.name = member.wire;
        Ok(())
    }

    fn key(&mut self, key: &str) -> Wrote {
        self.close_entry();
        let Some((tag, entry, open)) = self.maps.last_mut() else {
            return Err(WriteError::new("a key outside a map"));
        };
        *open = true;
        let (tag, entry) = (*tag, *entry);
        self.open(tag);
        self.leaf(entry.key_wire, key)?;
        self.name = entry.value_wire;
        Ok(())
    }

    fn null(&mut self) -> Wrote {
        Err(WriteError::new("an answer in XML has no null"))
    }

    fn string(&mut self, _: &'static Schema, value: &str) -> Wrote {
        self.value(value)
    }

    fn long(&mut self, _: &'static Schema, value: i64) -> Wrote {
        self.value(&value.to_string())
    }

    fn double(&mut self, _: &'static Schema, value: f64) -> Wrote {
        self.value(&format!("{value:?}"))
    }

    fn boolean(&mut self, _: &'static Schema, value: bool) -> Wrote {
        self.value(if value { "true" } else { "false" })
    }

    /// IAM and STS show whole seconds.
    fn timestamp(&mut self, _: &'static Schema, value: Timestamp) -> Wrote {
        self.value(&value.to_iso_seconds())
    }

    fn blob(&mut self, _: &'static Schema, value: &[u8]) -> Wrote {
        self.element(self.name, |xml| {
            xml.out.encoded(&BASE64, value);
            Ok(())
        })
    }

    fn structure(&mut self, _: &'static Schema, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        if !std::mem::replace(&mut self.inside, true) {
            return fill(self);
        }
        let name = self.name;
        self.element(name, |xml| fill(xml))?;
        self.name = name;
        Ok(())
    }

    fn list(
        &mut self,
        schema: &'static Schema,
        _: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        let Kind::List(element) = schema.kind else { return Err(WriteError::new(schema.name)) };
        if element.flat {
            return fill(self);
        }
        let name = self.name;
        self.element(name, |xml| {
            xml.name = element.wire;
            fill(xml)
        })?;
        self.name = name;
        Ok(())
    }

    fn map(
        &mut self,
        schema: &'static Schema,
        _: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        let Kind::Map(entry) = schema.kind else { return Err(WriteError::new(schema.name)) };
        let name = self.name;
        let tag = if entry.flat { name } else { "entry" };
        if !entry.flat {
            self.open(name);
        }
        self.maps.push((tag, entry, false));
        fill(self)?;
        self.close_entry();
        self.maps.pop();
        if !entry.flat {
            self.close(name);
        }
        self.name = name;
        Ok(())
    }
}

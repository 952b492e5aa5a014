//! Takes a shape apart into what stands in a body and what does not.

use coffer_shape::{At, Bound, Member, Schema, WriteError, Writer, Wrote};
use coffer_types::{Secret, Timestamp};

use crate::json::JsonWriter;

#[derive(Debug)]
pub(crate) struct RestWriter {
    bound: &'static [Bound],
    json: JsonWriter,
    /// Where the value that comes next belongs, if not into the body.
    next: Option<Bound>,
    /// The same for each element of a list.
    each: Option<Bound>,
    is_inside: bool,
    values: Vec<(Bound, String)>,
    payload: Option<Secret<Vec<u8>>>,
}

/// A shape in pieces.
#[derive(Debug)]
pub(crate) struct Pieces {
    pub(crate) values: Vec<(Bound, String)>,
    /// The payload, if the shape has one, or a JSON object.
    pub(crate) body: Secret<Vec<u8>>,
}

impl RestWriter {
    pub(crate) fn new(bound: &'static [Bound]) -> Self {
        let (json, values) = (JsonWriter::new(), Vec::new());
        Self { bound, json, next: None, each: None, is_inside: false, values, payload: None }
    }

    pub(crate) fn finish(self) -> Pieces {
        let is_whole = self.bound.iter().any(|bound| bound.at == At::Payload);
        let body = if is_whole { self.payload.unwrap_or_default() } else { self.json.finish() };
        Pieces { values: self.values, body }
    }

    /// Puts a value where it belongs, if that is not the body.
    fn placed(&mut self, text: impl FnOnce() -> String) -> bool {
        let Some(bound) = self.next.take().or(self.each) else { return false };
        self.values.push((bound, text()));
        true
    }

    fn cannot(&self, schema: &Schema) -> Wrote {
        if self.next.is_none() && self.each.is_none() {
            return Ok(());
        }
        Err(WriteError::new(format!("{} cannot stand outside of a body", schema.name)))
    }
}

impl Writer for RestWriter {
    fn member(&mut self, index: usize, member: &'static Member) -> Wrote {
        self.next = self.bound.iter().find(|bound| bound.member == index).copied();
        if self.next.is_some() { Ok(()) } else { self.json.member(index, member) }
    }

    fn key(&mut self, key: &str) -> Wrote {
        self.json.key(key)
    }

    fn null(&mut self) -> Wrote {
        if self.next.take().is_some() { Ok(()) } else { self.json.null() }
    }

    fn string(&mut self, schema: &'static Schema, value: &str) -> Wrote {
        if self.placed(|| value.to_owned()) { Ok(()) } else { self.json.string(schema, value) }
    }

    fn long(&mut self, schema: &'static Schema, value: i64) -> Wrote {
        if self.placed(|| value.to_string()) { Ok(()) } else { self.json.long(schema, value) }
    }

    fn double(&mut self, schema: &'static Schema, value: f64) -> Wrote {
        if self.placed(|| format!("{value:?}")) { Ok(()) } else { self.json.double(schema, value) }
    }

    fn boolean(&mut self, schema: &'static Schema, value: bool) -> Wrote {
        if self.placed(|| value.to_string()) { Ok(()) } else { self.json.boolean(schema, value) }
    }

    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp) -> Wrote {
        if self.placed(|| value.to_iso_millis()) { Ok(()) } else { self.json.timestamp(schema, value) }
    }

    fn blob(&mut self, schema: &'static Schema, value: &[u8]) -> Wrote {
        if self.next.take_if(|bound| bound.at == At::Payload).is_some() {
            self.payload = Some(Secret::new(value.to_vec()));
            return Ok(());
        }
        self.cannot(schema)?;
        self.json.blob(schema, value)
    }

    fn structure(
        &mut self,
        schema: &'static Schema,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.cannot(schema)?;
        if std::mem::replace(&mut self.is_inside, true) {
            return self.json.structure(schema, fill);
        }
        self.json.open();
        fill(self)?;
        self.json.close();
        Ok(())
    }

    fn list(
        &mut self,
        schema: &'static Schema,
        len: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        let Some(bound) = self.next.take() else { return self.json.list(schema, len, fill) };
        if len == 0 {
            return Err(WriteError::new("an empty list has no place outside of a body"));
        }
        self.each = Some(bound);
        let filled = fill(self);
        self.each = None;
        filled
    }

    fn map(
        &mut self,
        schema: &'static Schema,
        len: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.cannot(schema)?;
        self.json.map(schema, len, fill)
    }
}

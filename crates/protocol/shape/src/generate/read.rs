//! A made-up value as a source: validation, the shapes and every writer take it as if it had come over the wire.

use coffer_types::Timestamp;

use super::Made;
use crate::{Read, ReadError, Reader, Schema};

#[derive(Debug)]
pub struct MadeReader<'m> {
    pub(super) value: &'m Made,
}

impl MadeReader<'_> {
    fn pick<T>(&self, schema: &Schema, pick: impl FnOnce(&Made) -> Option<T>) -> Read<T> {
        pick(self.value).ok_or_else(|| ReadError::new(format!("not a {}", schema.name)))
    }
}

impl Reader for MadeReader<'_> {
    fn is_null(&mut self) -> Read<bool> {
        Ok(*self.value == Made::Null)
    }

    fn string(&mut self, schema: &'static Schema) -> Read<String> {
        self.pick(schema, |value| if let Made::String(text) = value { Some(text.clone()) } else { None })
    }

    fn long(&mut self, schema: &'static Schema) -> Read<i64> {
        self.pick(schema, |value| if let Made::Long(number) = value { Some(*number) } else { None })
    }

    fn double(&mut self, schema: &'static Schema) -> Read<f64> {
        self.pick(schema, |value| if let Made::Double(number) = value { Some(*number) } else { None })
    }

    fn boolean(&mut self, schema: &'static Schema) -> Read<bool> {
        self.pick(schema, |value| if let Made::Boolean(flag) = value { Some(*flag) } else { None })
    }

    fn timestamp(&mut self, schema: &'static Schema) -> Read<Timestamp> {
        self.pick(schema, |value| if let Made::Timestamp(instant) = value { Some(*instant) } else { None })
    }

    fn blob(&mut self, schema: &'static Schema) -> Read<Vec<u8>> {
        self.pick(schema, |value| if let Made::Blob(bytes) = value { Some(bytes.clone()) } else { None })
    }

    fn structure(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(usize, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let Made::Structure(fields) = self.value else { return self.pick(schema, |_| None) };
        fields
            .iter()
            .filter(|(_, value)| *value != Made::Null)
            .try_for_each(|(index, value)| each(*index, &mut value.reader()))
    }

    fn list(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(&mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let Made::List(values) = self.value else { return self.pick(schema, |_| None) };
        values.iter().try_for_each(|value| each(&mut value.reader()))
    }

    fn map(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(String, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let Made::Map(values) = self.value else { return self.pick(schema, |_| None) };
        values.iter().try_for_each(|(key, value)| each(key.clone(), &mut value.reader()))
    }
}

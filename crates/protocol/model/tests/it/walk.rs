//! Two ends of a walk for tests: a reader that has every member, and a writer that insists on every member.

use coffer_shape::{Kind, Member, Read, Reader, Schema, Writer, Wrote};
use coffer_types::Timestamp;

/// A value of a shape with every member present, at every depth.
pub(crate) struct Full;

impl Reader for Full {
    fn is_null(&mut self) -> Read<bool> {
        Ok(false)
    }
    fn string(&mut self, schema: &'static Schema) -> Read<String> {
        Ok(schema.name.to_owned())
    }
    fn long(&mut self, _: &'static Schema) -> Read<i64> {
        Ok(1)
    }
    fn double(&mut self, _: &'static Schema) -> Read<f64> {
        Ok(0.5)
    }
    fn boolean(&mut self, _: &'static Schema) -> Read<bool> {
        Ok(true)
    }
    fn timestamp(&mut self, _: &'static Schema) -> Read<Timestamp> {
        Ok(Timestamp::from_millis(1))
    }
    fn blob(&mut self, schema: &'static Schema) -> Read<Vec<u8>> {
        Ok(schema.name.as_bytes().to_vec())
    }
    fn structure(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(usize, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        (0..schema.members().len()).try_for_each(|index| each(index, self))
    }
    fn list(&mut self, _: &'static Schema, each: &mut dyn FnMut(&mut dyn Reader) -> Read<()>) -> Read<()> {
        each(self)
    }
    fn map(
        &mut self,
        _: &'static Schema,
        each: &mut dyn FnMut(String, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        each(String::from("key"), self)
    }
}

/// Checks that members come in order, each announced as itself and followed by a value of its own schema.
pub(crate) struct Strict {
    expected: Vec<&'static Schema>,
    open: Vec<(&'static Schema, usize)>,
}

impl Strict {
    pub(crate) fn expecting(schema: &'static Schema) -> Self {
        Self { expected: vec![schema], open: Vec::new() }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.expected.is_empty() && self.open.is_empty()
    }

    fn value(&mut self, schema: &'static Schema) -> Wrote {
        let expected = self.expected.pop().unwrap_or_else(|| panic!("{}: not announced", schema.name));
        assert_eq!(schema.name, expected.name);
        Ok(())
    }
}

impl Writer for Strict {
    fn member(&mut self, index: usize, member: &'static Member) -> Wrote {
        let (schema, next) = self.open.last_mut().unwrap();
        assert_eq!(index, *next, "{}.{}", schema.name, member.name);
        assert!(std::ptr::eq(&raw const schema.members()[index], member), "{}.{}", schema.name, member.name);
        *next += 1;
        self.expected.push(member.schema);
        Ok(())
    }
    fn key(&mut self, key: &str) -> Wrote {
        assert_eq!(key, "key");
        Ok(())
    }
    fn null(&mut self) -> Wrote {
        panic!("a full value has no null")
    }
    fn string(&mut self, schema: &'static Schema, value: &str) -> Wrote {
        assert_eq!(value, schema.name);
        self.value(schema)
    }
    fn long(&mut self, schema: &'static Schema, _: i64) -> Wrote {
        self.value(schema)
    }
    fn double(&mut self, schema: &'static Schema, _: f64) -> Wrote {
        self.value(schema)
    }
    fn boolean(&mut self, schema: &'static Schema, _: bool) -> Wrote {
        self.value(schema)
    }
    fn timestamp(&mut self, schema: &'static Schema, _: Timestamp) -> Wrote {
        self.value(schema)
    }
    fn blob(&mut self, schema: &'static Schema, value: &[u8]) -> Wrote {
        assert_eq!(value, schema.name.as_bytes());
        self.value(schema)
    }
    fn structure(
        &mut self,
        schema: &'static Schema,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.value(schema)?;
        self.open.push((schema, 0));
        fill(self)?;
        let (_, written) = self.open.pop().unwrap();
        assert_eq!(written, schema.members().len(), "{} is written in part", schema.name);
        Ok(())
    }
    fn list(
        &mut self,
        schema: &'static Schema,
        _: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.value(schema)?;
        let Kind::List(element) = schema.kind else { panic!("{} is no list", schema.name) };
        self.expected.push(element.schema);
        fill(self)
    }
    fn map(
        &mut self,
        schema: &'static Schema,
        _: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.value(schema)?;
        let Kind::Map(entry) = schema.kind else { panic!("{} is no map", schema.name) };
        self.expected.push(entry.value);
        fill(self)
    }
}

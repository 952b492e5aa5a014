//! [`Shape`]: a type that can be walked. Structures are generated; the plain types stand here.

use std::{collections::BTreeMap, sync::Arc};

use coffer_types::{Secret, Timestamp};

use crate::{Element, Entry, Kind, Read, ReadError, Reader, Schema, Writer, Wrote};

/// A type with a schema, one way in and one way out.
///
/// A plain type has many schemas in a model (each string has its own limits), so the walk takes the schema as an
/// argument; structures ignore it, they know their own.
pub trait Shape: Sized {
    const SCHEMA: &'static Schema;

    fn read_as(schema: &'static Schema, from: &mut dyn Reader) -> Read<Self>;
    fn write_as(&self, schema: &'static Schema, to: &mut dyn Writer) -> Wrote;

    fn read(from: &mut dyn Reader) -> Read<Self> {
        Self::read_as(Self::SCHEMA, from)
    }

    fn write(&self, to: &mut dyn Writer) -> Wrote {
        self.write_as(Self::SCHEMA, to)
    }
}

macro_rules! plain {
    ($type:ty, $name:literal, $kind:ident, $sensitive:literal, $method:ident, $wrap:expr, |$this:ident| $unwrap:expr) => {
        impl Shape for $type {
            const SCHEMA: &'static Schema = &Schema {
                name: $name,
                kind: Kind::$kind,
                limits: crate::Limits::NONE,
                sensitive: $sensitive,
            };

            fn read_as(schema: &'static Schema, from: &mut dyn Reader) -> Read<Self> {
                from.$method(schema).map($wrap)
            }

            fn write_as(&self, schema: &'static Schema, to: &mut dyn Writer) -> Wrote {
                let $this = self;
                to.$method(schema, $unwrap)
            }
        }
    };
}

plain!(String, "String", String, false, string, |value| value, |value| value.as_str());
plain!(Arc<str>, "String", String, false, string, Self::from, |value| value);
plain!(i64, "Long", Long, false, long, |value| value, |value| *value);
plain!(f64, "Double", Double, false, double, |value| value, |value| *value);
plain!(bool, "Boolean", Boolean, false, boolean, |value| value, |value| *value);
plain!(Timestamp, "Timestamp", Timestamp, false, timestamp, |value| value, |value| *value);
plain!(Vec<u8>, "Blob", Blob, false, blob, |value| value, |value| value.as_slice());
plain!(Secret<String>, "SecretString", String, true, string, Self::new, |value| value.expose().as_str());
plain!(Secret<Vec<u8>>, "SecretBlob", Blob, true, blob, Self::new, |value| value.expose().as_slice());

/// Absent is null. In a structure the reader passes over nulls, so `read_as` only meets what is there.
impl<T: Shape> Shape for Option<T> {
    const SCHEMA: &'static Schema = T::SCHEMA;

    fn read_as(schema: &'static Schema, from: &mut dyn Reader) -> Read<Self> {
        if from.is_null()? { Ok(None) } else { T::read_as(schema, from).map(Some) }
    }

    fn write_as(&self, schema: &'static Schema, to: &mut dyn Writer) -> Wrote {
        match self {
            Some(value) => value.write_as(schema, to),
            None => to.null(),
        }
    }
}

/// A box is not seen: it only keeps a large part that is rarely there out of the record that everybody holds.
impl<T: Shape> Shape for Box<T> {
    const SCHEMA: &'static Schema = T::SCHEMA;

    fn read_as(schema: &'static Schema, from: &mut dyn Reader) -> Read<Self> {
        T::read_as(schema, from).map(Self::new)
    }

    fn write_as(&self, schema: &'static Schema, to: &mut dyn Writer) -> Wrote {
        T::write_as(self, schema, to)
    }
}

impl<T: Shape> Shape for Vec<T> {
    const SCHEMA: &'static Schema =
        &Schema::plain("List", Kind::List(&Element { schema: T::SCHEMA, wire: "member", flat: false }));

    fn read_as(schema: &'static Schema, from: &mut dyn Reader) -> Read<Self> {
        let Kind::List(element) = schema.kind else { return Err(mismatch(schema)) };
        let mut values = Self::new();
        from.list(schema, &mut |from| {
            values.push(T::read_as(element.schema, from)?);
            Ok(())
        })?;
        // Records are kept in memory by the hundred thousand, most with lists of one or two.
        values.shrink_to_fit();
        Ok(values)
    }

    fn write_as(&self, schema: &'static Schema, to: &mut dyn Writer) -> Wrote {
        let Kind::List(element) = schema.kind else { return Err(crate::WriteError::new(schema.name)) };
        to.list(schema, self.len(), &mut |to| {
            self.iter().try_for_each(|value| value.write_as(element.schema, to))
        })
    }
}

impl<T: Shape> Shape for BTreeMap<String, T> {
    const SCHEMA: &'static Schema = &Schema::plain(
        "Map",
        Kind::Map(&Entry {
            key: String::SCHEMA,
            value: T::SCHEMA,
            key_wire: "key",
            value_wire: "value",
            flat: false,
        }),
    );

    fn read_as(schema: &'static Schema, from: &mut dyn Reader) -> Read<Self> {
        let Kind::Map(entry) = schema.kind else { return Err(mismatch(schema)) };
        let mut values = Self::new();
        from.map(schema, &mut |key, from| {
            values.insert(key, T::read_as(entry.value, from)?);
            Ok(())
        })?;
        Ok(values)
    }

    fn write_as(&self, schema: &'static Schema, to: &mut dyn Writer) -> Wrote {
        let Kind::Map(entry) = schema.kind else { return Err(crate::WriteError::new(schema.name)) };
        to.map(schema, self.len(), &mut |to| {
            self.iter().try_for_each(|(key, value)| {
                to.key(key)?;
                value.write_as(entry.value, to)
            })
        })
    }
}

fn mismatch(schema: &Schema) -> ReadError {
    ReadError::new(format!("{} is not of the kind its type expects", schema.name))
}

/// The input or output of an operation that has none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Empty {}

impl Shape for Empty {
    const SCHEMA: &'static Schema = &Schema::plain("Empty", Kind::Structure(&[]));

    fn read_as(_: &'static Schema, from: &mut dyn Reader) -> Read<Self> {
        from.structure(Self::SCHEMA, &mut |_, _| Ok(()))?;
        Ok(Self {})
    }

    fn write_as(&self, _: &'static Schema, to: &mut dyn Writer) -> Wrote {
        to.structure(Self::SCHEMA, &mut |_| Ok(()))
    }
}

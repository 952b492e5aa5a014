//! Reads shapes from a form: `Tags.member.1.Key=team`.
//!
//! Lists count from one and may have gaps; their elements come in the order of the numbers, whatever the order of arrival.
//! Parameters outside the model are passed over, as in JSON, but a list written in another form than the model's is
//! refused, because passing over it would lose what the caller meant.

use coffer_shape::{Kind, Read, ReadError, Reader, Schema};
use coffer_types::{Timestamp, encoding::BASE64};

use super::form::{Form, Pair};

/// Bounds the digits of an element number, not memory: nothing is allocated by it.
const INDEX_MAX: u32 = 10_000;

/// One value of a form: the parameter of exactly this name, and everything whose name goes on after a dot.
#[derive(Debug, Clone, Copy)]
pub struct QueryReader<'f> {
    value: Option<&'f str>,
    below: &'f [Pair<'f>],
    /// How many bytes of their names all of `below` share, the dot included.
    prefix: usize,
}

impl<'f> QueryReader<'f> {
    pub fn new(form: &'f Form<'f>) -> Self {
        Self { value: None, below: &form.pairs, prefix: 0 }
    }

    fn suffix(&self, pair: &'f Pair<'f>) -> &'f str {
        pair.name.as_str().get(self.prefix..).unwrap_or_default()
    }

    /// INVARIANT: `below` is sorted by name and shares a prefix, so it is sorted by suffix too.
    fn child(&self, step: &str) -> Option<Self> {
        let value = self
            .below
            .binary_search_by(|pair| self.suffix(pair).cmp(step))
            .ok()
            .and_then(|at| self.below.get(at))
            .map(|pair| pair.value.as_str());
        let dotted = || step.bytes().chain(std::iter::once(b'.'));
        let start = self.below.partition_point(|pair| self.suffix(pair).bytes().lt(dotted()));
        let from = self.below.get(start..).unwrap_or_default();
        let length = from.partition_point(|pair| {
            self.suffix(pair).strip_prefix(step).is_some_and(|rest| rest.starts_with('.'))
        });
        let below = from.get(..length).unwrap_or_default();
        let prefix = self.prefix + step.len() + 1;
        (value.is_some() || !below.is_empty()).then_some(Self { value, below, prefix })
    }

    /// The elements of a list or the entries of a map, by number.
    fn numbered(&self) -> Read<Vec<Self>> {
        let mut found: Vec<(u32, Self)> = Vec::new();
        let mut last = None;
        for pair in self.below {
            let step = self.suffix(pair).split('.').next().unwrap_or_default();
            if last.replace(step) == Some(step) {
                continue;
            }
            let number = number(step)?;
            if let Some(child) = self.child(step) {
                found.push((number, child));
            }
        }
        found.sort_by_key(|(number, _)| *number);
        found.dedup_by_key(|(number, _)| *number);
        Ok(found.into_iter().map(|(_, child)| child).collect())
    }

    /// What holds the numbers: the value itself when flattened, else the step named by the model.
    fn holder(&self, flat: bool, step: &str) -> Read<Option<Self>> {
        if flat {
            return Ok(Some(*self));
        }
        match self.child(step) {
            Some(holder) => Ok(Some(holder)),
            // Clients write an empty list as `Tags=`.
            None if self.below.is_empty() && self.value.is_none_or(str::is_empty) => Ok(None),
            None => Err(ReadError::new(format!("A list of the request is not written as .{step}.N"))),
        }
    }

    fn text(&self) -> Read<&'f str> {
        match self.value {
            Some(value) if self.below.is_empty() => Ok(value),
            _ => Err(ReadError::new("A plain value of the request is written as a structure.")),
        }
    }

    fn parsed<T>(&self, wanted: &str, parse: impl FnOnce(&str) -> Option<T>) -> Read<T> {
        parse(self.text()?).ok_or_else(|| ReadError::new(format!("A value of the request is not {wanted}.")))
    }
}

fn number(step: &str) -> Read<u32> {
    let plain = !step.starts_with('0') && step.len() <= 5 && step.bytes().all(|byte| byte.is_ascii_digit());
    let number = if plain { step.parse().ok() } else { None };
    number
        .filter(|number| (1..=INDEX_MAX).contains(number))
        .ok_or_else(|| ReadError::new("A list of the request is not numbered from 1."))
}

impl Reader for QueryReader<'_> {
    fn is_null(&mut self) -> Read<bool> {
        Ok(false)
    }

    fn string(&mut self, _: &'static Schema) -> Read<String> {
        self.text().map(str::to_owned)
    }

    fn long(&mut self, schema: &'static Schema) -> Read<i64> {
        let integer = matches!(schema.kind, Kind::Integer);
        self.parsed(if integer { "an integer" } else { "a long integer" }, |text| {
            text.parse().ok().filter(|value| !integer || i32::try_from(*value).is_ok())
        })
    }

    fn double(&mut self, _: &'static Schema) -> Read<f64> {
        self.parsed("a number", |text| text.parse().ok().filter(|value: &f64| value.is_finite()))
    }

    fn boolean(&mut self, _: &'static Schema) -> Read<bool> {
        self.parsed("true or false", |text| text.parse().ok())
    }

    fn timestamp(&mut self, _: &'static Schema) -> Read<Timestamp> {
        self.parsed("an ISO 8601 time", |text| Timestamp::parse_iso(text).ok())
    }

    fn blob(&mut self, _: &'static Schema) -> Read<Vec<u8>> {
        self.parsed("base64", |text| BASE64.decode(text.as_bytes()).ok())
    }

    fn structure(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(usize, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        if self.value.is_some_and(|value| !value.is_empty()) {
            return Err(ReadError::new("A structure of the request is written as a plain value."));
        }
        for (index, member) in schema.members().iter().enumerate() {
            if let Some(mut child) = self.child(member.wire) {
                each(index, &mut child)?;
            }
        }
        Ok(())
    }

    fn list(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(&mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let Kind::List(element) = schema.kind else { return Err(ReadError::new(schema.name)) };
        let Some(holder) = self.holder(element.flat, element.wire)? else { return Ok(()) };
        holder.numbered()?.iter_mut().try_for_each(|child| each(child))
    }

    fn map(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(String, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let Kind::Map(entry) = schema.kind else { return Err(ReadError::new(schema.name)) };
        let Some(holder) = self.holder(entry.flat, "entry")? else { return Ok(()) };
        let mut keys = std::collections::BTreeSet::new();
        for child in holder.numbered()? {
            let (Some(key), Some(mut value)) = (child.child(entry.key_wire), child.child(entry.value_wire))
            else {
                return Err(ReadError::new(
                    "A map of the request has a key without a value, or the reverse.",
                ));
            };
            let key = key.text()?;
            if !keys.insert(key) {
                return Err(ReadError::new("A map of the request names a key twice."));
            }
            each(key.to_owned(), &mut value)?;
        }
        Ok(())
    }
}

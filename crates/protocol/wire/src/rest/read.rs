//! Reads an input from the pieces that it came in.

use coffer_shape::{At, Kind, Read, ReadError, Reader, Rest, Schema};
use coffer_types::Timestamp;

use crate::json::JsonBody;

/// A request, ready to be read once.
#[derive(Debug)]
pub(crate) struct RestBody<'b> {
    rest: &'static Rest,
    values: &'b [(usize, String)],
    body: Content<'b>,
}

#[derive(Debug)]
enum Content<'b> {
    Json(JsonBody<'b>),
    /// One member is all of it.
    Whole(usize, &'b [u8]),
}

impl<'b> RestBody<'b> {
    pub(crate) fn parse(rest: &'static Rest, values: &'b [(usize, String)], body: &'b [u8]) -> Read<Self> {
        let payload = rest.input.iter().find(|bound| bound.at == At::Payload);
        let body = match payload {
            Some(bound) => Content::Whole(bound.member, body),
            None => Content::Json(JsonBody::parse(body)?),
        };
        Ok(Self { rest, values, body })
    }

    pub(crate) const fn reader(&mut self) -> RestReader<'_, 'b> {
        RestReader::All(self)
    }

    fn members(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(usize, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        for bound in self.rest.input {
            let of_member = self.values.iter().filter(|(member, _)| *member == bound.member);
            let texts: Vec<&str> = of_member.map(|(_, text)| text.as_str()).collect();
            if !texts.is_empty() {
                each(bound.member, &mut RestReader::Texts(&texts))?;
            }
        }
        match &mut self.body {
            // No bytes at all are no payload.
            Content::Whole(member, bytes) if !bytes.is_empty() => {
                each(*member, &mut RestReader::Whole(bytes))
            }
            Content::Whole(..) => Ok(()),
            Content::Json(json) => {
                let is_bound = |index: usize| self.rest.input.iter().any(|bound| bound.member == index);
                // What belongs elsewhere is not taken from the body.
                json.reader().structure(schema, &mut |index, from| {
                    if is_bound(index) { Ok(()) } else { each(index, from) }
                })
            }
        }
    }
}

/// Walks an input, or a part of it that stands outside of the body.
pub(crate) enum RestReader<'r, 'b> {
    All(&'r mut RestBody<'b>),
    /// What the path, the query or a header says of one member.
    Texts(&'r [&'r str]),
    /// A body that is one value.
    Whole(&'r [u8]),
}

impl RestReader<'_, '_> {
    fn parsed<T>(&self, schema: &Schema, wanted: &str, parse: impl FnOnce(&str) -> Option<T>) -> Read<T> {
        let Self::Texts([text]) = self else { return Err(mismatch(schema)) };
        parse(text).ok_or_else(|| ReadError::new(format!("A value of the request is not {wanted}.")))
    }
}

fn mismatch(schema: &Schema) -> ReadError {
    ReadError::new(format!("{} is not of the kind that its place can hold", schema.name))
}

impl Reader for RestReader<'_, '_> {
    fn is_null(&mut self) -> Read<bool> {
        Ok(false)
    }

    fn string(&mut self, schema: &'static Schema) -> Read<String> {
        self.parsed(schema, "a string", |text| Some(text.to_owned()))
    }

    fn long(&mut self, schema: &'static Schema) -> Read<i64> {
        let is_integer = matches!(schema.kind, Kind::Integer);
        self.parsed(schema, if is_integer { "an integer" } else { "a long integer" }, |text| {
            text.parse().ok().filter(|value| !is_integer || i32::try_from(*value).is_ok())
        })
    }

    fn double(&mut self, schema: &'static Schema) -> Read<f64> {
        self.parsed(schema, "a number", |text| text.parse().ok().filter(|value: &f64| value.is_finite()))
    }

    fn boolean(&mut self, schema: &'static Schema) -> Read<bool> {
        self.parsed(schema, "true or false", |text| text.parse().ok())
    }

    fn timestamp(&mut self, schema: &'static Schema) -> Read<Timestamp> {
        self.parsed(schema, "an ISO 8601 time", |text| Timestamp::parse_iso(text).ok())
    }

    fn blob(&mut self, schema: &'static Schema) -> Read<Vec<u8>> {
        let Self::Whole(bytes) = self else { return Err(mismatch(schema)) };
        Ok(bytes.to_vec())
    }

    fn structure(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(usize, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let Self::All(body) = self else { return Err(mismatch(schema)) };
        body.members(schema, each)
    }

    fn list(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(&mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let Self::Texts(texts) = self else { return Err(mismatch(schema)) };
        texts.iter().try_for_each(|text| each(&mut RestReader::Texts(&[text])))
    }

    fn map(
        &mut self,
        schema: &'static Schema,
        _: &mut dyn FnMut(String, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        Err(mismatch(schema))
    }
}

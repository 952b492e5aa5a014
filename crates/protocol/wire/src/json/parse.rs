//! A JSON body as a small tree, within limits.
//!
//! `serde_json` splits the bytes into tokens and refuses what is not JSON; one visitor builds the tree and refuses what is
//! JSON but nobody should send: deep nesting, very many values, very long names, the same name twice. Strings without
//! escapes stay where they are, in the body.
//!
//! Known limit: a string *with* escapes passes through a scratch buffer of `serde_json` that we cannot reach. Our copy is
//! wiped; that one only is where the program runs on the wiping allocator.

use std::fmt;

use coffer_shape::{Read, ReadError};
use coffer_types::Secret;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::JsonReader;
use crate::text::Text;

/// Deeper than any shape of AWS, and far from the end of any stack.
pub(super) const DEPTH_MAX: usize = 32;
/// Bounds the tree: 10,000 values are a few hundred kilobytes.
const NODES_MAX: usize = 10_000;
/// An operation that takes much takes many values too: one for so many bytes of its largest body.
const BYTES_FOR_A_NODE: usize = 256;
const KEY_BYTES_MAX: usize = 4096;
/// Up to here comparing every pair of names is cheaper than sorting them.
const FEW_NAMES: usize = 8;

pub(super) enum Value<'b> {
    Null,
    Boolean(bool),
    Long(i64),
    /// A number with a fraction or an exponent, or an integer beyond 64 bits with sign.
    Double(f64),
    String(Text<'b>),
    List(Vec<Self>),
    Object(Vec<(Text<'b>, Self)>),
}

/// One parsed document whose top is an object.
pub struct JsonBody<'b>(Value<'b>);

impl<'b> JsonBody<'b> {
    /// An empty body is an empty object, as AWS has it.
    pub fn parse(body: &'b [u8]) -> Read<Self> {
        Self::parse_within(body, 0)
    }

    /// The same for an operation whose body may be so large.
    pub(crate) fn parse_within(body: &'b [u8], body_limit: usize) -> Read<Self> {
        if body.is_empty() {
            return Ok(Self(Value::Object(Vec::new())));
        }
        let most = NODES_MAX.max(body_limit / BYTES_FOR_A_NODE);
        let mut budget = Budget { nodes: 0, most, refusal: None };
        let mut tokens = serde_json::Deserializer::from_slice(body);
        let parsed = Node { budget: &mut budget, depth: 0 }
            .deserialize(&mut tokens)
            .and_then(|value| tokens.end().map(|()| value));
        match parsed {
            Ok(value @ Value::Object(_)) => Ok(Self(value)),
            Ok(_) => Err(ReadError::new("The request body is not a JSON object.")),
            // The tokenizer's message is not passed on: it belongs to our side of the wire.
            Err(_) => Err(ReadError::new(budget.refusal.unwrap_or("The request body is not valid JSON."))),
        }
    }

    pub const fn reader(&mut self) -> JsonReader<'_, 'b> {
        JsonReader { value: &mut self.0 }
    }

    /// A top-level string member, for answers whose shape is not known, such as errors.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let Value::Object(fields) = &self.0 else { return None };
        fields.iter().find_map(|(key, value)| match value {
            Value::String(text) if key.as_str() == name => Some(text.as_str()),
            _ => None,
        })
    }
}

impl fmt::Debug for JsonBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonBody(..)")
    }
}

struct Budget {
    nodes: usize,
    most: usize,
    /// Why *we* refused, when the tokenizer did not.
    refusal: Option<&'static str>,
}

impl Budget {
    fn refuse<E: Error>(&mut self, why: &'static str) -> E {
        self.refusal = Some(why);
        E::custom(why)
    }
}

struct Node<'s> {
    budget: &'s mut Budget,
    /// How many lists and objects are open around this value.
    depth: usize,
}

impl<'s> Node<'s> {
    /// The place of the values inside this one.
    fn inside<E: Error>(self) -> Result<(&'s mut Budget, usize), E> {
        if self.depth >= DEPTH_MAX {
            return Err(self.budget.refuse("The request body is nested too deeply."));
        }
        Ok((self.budget, self.depth + 1))
    }
}

impl<'b> DeserializeSeed<'b> for Node<'_> {
    type Value = Value<'b>;

    fn deserialize<D: Deserializer<'b>>(self, tokens: D) -> Result<Self::Value, D::Error> {
        self.budget.nodes += 1;
        if self.budget.nodes > self.budget.most {
            return Err(self.budget.refuse("The request body holds too many values."));
        }
        tokens.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Node<'_> {
    type Value = Value<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Long(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "beyond i64 only its size matters, to be refused")]
        Ok(i64::try_from(value).map_or(Value::Double(value as f64), Value::Long))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_borrowed_str<E>(self, value: &'b str) -> Result<Self::Value, E> {
        Ok(Value::String(Text::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::String(Text::Owned(Secret::new(value.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let (budget, depth) = self.inside()?;
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(Node { budget, depth })? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'b>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let (budget, depth) = self.inside()?;
        let mut fields = Vec::new();
        while let Some(key) = entries.next_key_seed(Key { budget })? {
            fields.push((key, entries.next_value_seed(Node { budget, depth })?));
        }
        if has_twins(&fields) {
            return Err(budget.refuse("The request body names a member twice."));
        }
        Ok(Value::Object(fields))
    }
}

struct Key<'s> {
    budget: &'s mut Budget,
}

impl Key<'_> {
    fn check<E: Error>(self, key: &str) -> Result<(), E> {
        if key.len() > KEY_BYTES_MAX {
            return Err(self.budget.refuse("The request body holds a name that is too long."));
        }
        Ok(())
    }
}

impl<'b> DeserializeSeed<'b> for Key<'_> {
    type Value = Text<'b>;

    fn deserialize<D: Deserializer<'b>>(self, tokens: D) -> Result<Self::Value, D::Error> {
        tokens.deserialize_str(self)
    }
}

impl<'b> Visitor<'b> for Key<'_> {
    type Value = Text<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'b str) -> Result<Self::Value, E> {
        self.check(value)?;
        Ok(Text::Borrowed(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        self.check(value)?;
        Ok(Text::Owned(Secret::new(value.to_owned())))
    }
}

/// A name that comes twice would let two readers of one body disagree about what it says.
fn has_twins(fields: &[(Text<'_>, Value<'_>)]) -> bool {
    if fields.len() <= FEW_NAMES {
        return fields.iter().enumerate().any(|(at, (key, _))| {
            fields.iter().take(at).any(|(earlier, _)| earlier.as_str() == key.as_str())
        });
    }
    let mut names: Vec<&str> = fields.iter().map(|(key, _)| key.as_str()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair.first() == pair.last())
}

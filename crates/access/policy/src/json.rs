//! A policy's text as a tree, and nothing lost on the way.
//!
//! `serde_json` splits the text into tokens; the visitor keeps the names of an object in their order and refuses a name that
//! stands twice, because two readers could take either. AWS's own parsers do not agree on it, so it is an error here.
//!
//! Numbers and booleans are kept as their text: a condition compares texts, and its operator says how. A number is written
//! as it reads (`30.0` is `30`), and beyond 64 bits as its nearest double.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    /// A number or a boolean.
    Word(String),
    String(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    NotJson,
    NameTwice,
}

/// Deep nesting is refused by the tokenizer, at 128 levels.
pub(crate) fn parse(text: &str) -> Result<Json, Unreadable> {
    serde_json::from_str(text).map_err(|error| match error.classify() {
        // Our own complaint is the only one about meaning.
        serde_json::error::Category::Data => Unreadable::NameTwice,
        _ => Unreadable::NotJson,
    })
}

/// The text again, without white space.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Word(word) => f.write_str(word),
            Self::String(text) => write_string(f, text),
            Self::List(list) => {
                f.write_str("[")?;
                for (index, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    write_string(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Word(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Word(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Word(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Word(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = from.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut fields: Vec<(String, Json)> = Vec::new();
        while let Some(field) = from.next_entry()? {
            fields.push(field);
        }
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.is_sorted_by(|one, next| one < next) {
            Ok(Json::Object(fields))
        } else {
            Err(A::Error::custom("a name twice"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_order_and_numbers_their_text() {
        let text = r#" {"b": [1, -2, 2.5, true, null], "a": {"c": "\u0041"}} "#;
        let word = |text: &str| Json::Word(text.to_owned());
        let expected = Json::Object(vec![
            (
                String::from("b"),
                Json::List(vec![word("1"), word("-2"), word("2.5"), word("true"), Json::Null]),
            ),
            (String::from("a"), Json::Object(vec![(String::from("c"), Json::String(String::from("A")))])),
        ]);
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn a_name_that_stands_twice_is_not_the_same_mistake_as_broken_json() {
        for (text, expected) in [
            (r#"{"a": 1, "b": 2, "a": 3}"#, Unreadable::NameTwice),
            (r#"{"x": [{"a": 1, "\u0061": 3}]}"#, Unreadable::NameTwice),
            ("", Unreadable::NotJson),
            ("{", Unreadable::NotJson),
            ("{} x", Unreadable::NotJson),
            ("{'a': 1}", Unreadable::NotJson),
            ("{\"a\": 1,}", Unreadable::NotJson),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), Err(Unreadable::NotJson));
    }
}

//! Reads shapes from a JSON tree, with the complaints AWS's own framework makes.
//!
//! The sentences (`STRING_VALUE can not be converted to an Integer`) are what AWS's JSON services answer. A number that is
//! written with a point or an exponent is no integer, whatever its value: to cut it would be to do something else than was asked for.
//! What does not fit into the integer is refused as well. AWS's services also take any string for a true boolean, and there we differ: a client that writes `"false"` means false.

use coffer_shape::{Kind, Read, ReadError, Reader, Schema};
use coffer_types::{Timestamp, encoding::BASE64};

use super::parse::Value;

/// Walks one value and moves strings out of it, so that a secret is copied at most once.
pub struct JsonReader<'v, 'b> {
    pub(super) value: &'v mut Value<'b>,
}

impl JsonReader<'_, '_> {
    fn mismatch(&self, wanted: &str) -> ReadError {
        let token = match self.value {
            Value::Null => "NULL_VALUE",
            Value::Boolean(true) => "TRUE_VALUE",
            Value::Boolean(false) => "FALSE_VALUE",
            Value::Long(_) | Value::Double(_) => "NUMBER_VALUE",
            Value::String(_) => "STRING_VALUE",
            Value::List(_) => return ReadError::new("Start of list found where not expected"),
            Value::Object(_) => {
                return ReadError::new("Start of structure or map found where not expected.");
            }
        };
        ReadError::new(format!("{token} can not be converted to {wanted}"))
    }

    /// Where a list, map or structure is wanted, a plain value earns another sentence.
    fn not_nested(&self, wanted: &str) -> ReadError {
        match self.value {
            Value::List(_) | Value::Object(_) => self.mismatch(wanted),
            _ => ReadError::new(wanted),
        }
    }
}

impl std::fmt::Debug for JsonReader<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JsonReader(..)")
    }
}

impl Reader for JsonReader<'_, '_> {
    fn is_null(&mut self) -> Read<bool> {
        Ok(matches!(self.value, Value::Null))
    }

    fn string(&mut self, _: &'static Schema) -> Read<String> {
        match std::mem::replace(self.value, Value::Null) {
            Value::String(text) => Ok(text.into_string()),
            other => {
                *self.value = other;
                Err(self.mismatch("a String"))
            }
        }
    }

    fn long(&mut self, schema: &'static Schema) -> Read<i64> {
        let integer = matches!(schema.kind, Kind::Integer);
        let wanted = if integer { "an Integer" } else { "a Long" };
        let value = match self.value {
            Value::Long(value) => Some(*value),
            // `-0` is an integer, and the parser keeps its sign in the only way there is.
            Value::Double(value) if value.to_bits() == (-0.0_f64).to_bits() => Some(0),
            _ => None,
        };
        value.filter(|value| !integer || i32::try_from(*value).is_ok()).ok_or_else(|| self.mismatch(wanted))
    }

    fn double(&mut self, _: &'static Schema) -> Read<f64> {
        match self.value {
            #[expect(clippy::cast_precision_loss, reason = "a double is what the model asks for")]
            Value::Long(value) => Ok(*value as f64),
            Value::Double(value) => Ok(*value),
            _ => Err(self.mismatch("a Double")),
        }
    }

    fn boolean(&mut self, _: &'static Schema) -> Read<bool> {
        match self.value {
            Value::Boolean(value) => Ok(*value),
            _ => Err(self.mismatch("a Boolean")),
        }
    }

    fn timestamp(&mut self, _: &'static Schema) -> Read<Timestamp> {
        let millis = match self.value {
            Value::Long(seconds) => seconds.checked_mul(1000),
            Value::Double(seconds) => truncated((*seconds * 1000.0).round()),
            _ => None,
        };
        millis.map(Timestamp::from_millis).ok_or_else(|| self.mismatch("a Timestamp"))
    }

    fn blob(&mut self, _: &'static Schema) -> Read<Vec<u8>> {
        match self.value {
            Value::String(text) => BASE64
                .decode(text.as_str().as_bytes())
                .map_err(|_| ReadError::new("STRING_VALUE can not be converted to a Blob")),
            _ => Err(self.mismatch("a Blob")),
        }
    }

    fn structure(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(usize, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let Value::Object(fields) = self.value else { return Err(self.not_nested("Expected null")) };
        for (key, value) in fields {
            // A member that the model does not know is passed over, and null is the same as absent.
            if let Some((index, _)) = schema.member(key.as_str())
                && !matches!(value, Value::Null)
            {
                each(index, &mut JsonReader { value })?;
            }
        }
        Ok(())
    }

    fn list(&mut self, _: &'static Schema, each: &mut dyn FnMut(&mut dyn Reader) -> Read<()>) -> Read<()> {
        let Value::List(values) = self.value else { return Err(self.not_nested("Expected list or null")) };
        values.iter_mut().try_for_each(|value| each(&mut JsonReader { value }))
    }

    fn map(
        &mut self,
        _: &'static Schema,
        each: &mut dyn FnMut(String, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let Value::Object(fields) = self.value else { return Err(self.not_nested("Expected map or null")) };
        for (key, value) in fields {
            if !matches!(value, Value::Null) {
                each(key.as_str().to_owned(), &mut JsonReader { value })?;
            }
        }
        Ok(())
    }
}

/// The whole part, if it is within 64 bits.
fn truncated(value: f64) -> Option<i64> {
    /// 2^63, which a double holds exactly; the largest i64 it would round up to.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked beside it")]
    (-BOUND..BOUND).contains(&value).then_some(value as i64)
}

//! Where a value comes from: a JSON body, a form, CBOR, a stored record, a generator of boundary values.

use coffer_types::Timestamp;

use crate::Schema;

pub type Read<T> = Result<T, ReadError>;

/// The input is not of the expected form. AWS answers `SerializationException`, often without a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    pub message: String,
}

impl ReadError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Walks one value. A reader is asked at most once for its value.
///
/// Numbers arrive as `i64` for `Integer` and `Long` alike; the reader refuses what does not fit the schema's kind.
pub trait Reader {
    /// Whether the value is an explicit null. Structures pass over null members by themselves; list elements ask.
    fn is_null(&mut self) -> Read<bool>;
    fn string(&mut self, schema: &'static Schema) -> Read<String>;
    fn long(&mut self, schema: &'static Schema) -> Read<i64>;
    fn double(&mut self, schema: &'static Schema) -> Read<f64>;
    fn boolean(&mut self, schema: &'static Schema) -> Read<bool>;
    fn timestamp(&mut self, schema: &'static Schema) -> Read<Timestamp>;
    fn blob(&mut self, schema: &'static Schema) -> Read<Vec<u8>>;
    /// Calls `each` with the index of every member that is present, known and not null, in the order of arrival.
    fn structure(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(usize, &mut dyn Reader) -> Read<()>,
    ) -> Read<()>;
    fn list(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(&mut dyn Reader) -> Read<()>,
    ) -> Read<()>;
    fn map(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(String, &mut dyn Reader) -> Read<()>,
    ) -> Read<()>;
}

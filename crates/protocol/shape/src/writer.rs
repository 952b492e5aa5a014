//! Where a value goes: a response body, a stored record, an audit record, a fingerprint, a redacted line.

use coffer_types::Timestamp;

use crate::{Member, Schema};

pub type Wrote = Result<(), WriteError>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WriteError {
    pub message: String,
}

impl WriteError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// The mirror image of [`crate::Reader`]. Inside a structure every value is announced by `member`, inside a map by
/// `key`; a list is just its values, one after the other.
///
/// A writer decides by `schema.sensitive` whether it may show a value.
pub trait Writer {
    /// The next value belongs to this member. Members come in the order of the schema, absent ones are left out.
    fn member(&mut self, index: usize, member: &'static Member) -> Wrote;
    fn key(&mut self, key: &str) -> Wrote;
    fn null(&mut self) -> Wrote;
    fn string(&mut self, schema: &'static Schema, value: &str) -> Wrote;
    fn long(&mut self, schema: &'static Schema, value: i64) -> Wrote;
    fn double(&mut self, schema: &'static Schema, value: f64) -> Wrote;
    fn boolean(&mut self, schema: &'static Schema, value: bool) -> Wrote;
    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp) -> Wrote;
    fn blob(&mut self, schema: &'static Schema, value: &[u8]) -> Wrote;
    fn structure(&mut self, schema: &'static Schema, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote)
    -> Wrote;
    fn list(
        &mut self,
        schema: &'static Schema,
        len: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote;
    fn map(
        &mut self,
        schema: &'static Schema,
        len: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote;
}

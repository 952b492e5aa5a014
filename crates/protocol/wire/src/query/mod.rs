//! The query protocol: a form in. Answers go out as XML, see [`crate::xml`].

mod form;
mod read;
mod write;

pub use form::Form;
pub(crate) use form::peek;
pub use read::QueryReader;
pub use write::FormWriter;

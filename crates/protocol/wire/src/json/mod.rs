//! The JSON of awsJson 1.0 and 1.1: a bounded tree in, text out.

mod parse;
mod read;
mod write;

pub use parse::JsonBody;
pub use read::JsonReader;
pub use write::JsonWriter;

//! restJson1: an operation is a method and a path, and its members stand in the path, the query, headers and a JSON body.
//!
//! Where a member stands, [`Rest`](coffer_shape::Rest) says. What stands outside of the body is taken from the head before the body
//! arrives; reading and writing a shape puts the two together, so no shape knows of it.

mod address;
mod read;
mod write;

pub(crate) use address::{Addressed, find, is_path_of};
pub(crate) use read::RestBody;
pub(crate) use write::{Pieces, RestWriter};

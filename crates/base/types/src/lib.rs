//! The words every other crate speaks: who ([`AccountId`], [`Arn`]), where ([`Region`]), when ([`Timestamp`],
//! [`Clock`]), which ([`Uuid`], [`RequestId`]), what must not be seen ([`Secret`]), and where chance comes from
//! ([`Entropy`]).
//!
//! Nothing here does I/O, and nothing here knows AWS operations. Everything is parsed once, at the edge, and
//! trusted afterwards.

mod arn;
mod identity;
mod reach;
mod secret;
mod time;
mod uuid;

pub use arn::{Arn, ArnError};
pub use identity::{AccountId, IdentityError, PARTITION, Region};
pub use reach::{may_be_reached, may_be_reached_from_afar};
pub use secret::Secret;
pub use time::{Clock, TimeError, Timestamp};
pub use uuid::{Entropy, RequestId, Uuid};

/// Base64, hex and base32, so that the whole project encodes bytes in one way.
pub use data_encoding as encoding;
pub use zeroize;

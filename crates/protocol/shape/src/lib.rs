//! What a value looks like ([`Schema`]), how it is walked ([`Reader`], [`Writer`]) and everything that looks at *any*
//! value: validation ([`decode`]), redaction ([`redacted`]), audit ([`describe`]), fingerprints ([`fingerprint`]),
//! stored records ([`stored`]) and generated values ([`generate`]).
//!
//! Shapes are generated once, from the models of AWS; records are declared once, with [`record!`]. A new protocol is a
//! new reader and writer, a new service is a new model, and neither touches the other.
//!
//! Invariant: nothing here knows a protocol, a service or a byte on the wire.

mod checked;
mod conditions;
mod describe;
mod error;
mod fingerprint;
pub mod generate;
mod operation;
mod quote;
mod reader;
mod record;
mod redact;
mod schema;
mod shape;
pub mod stored;
mod writer;

pub use checked::{DecodeError, Violation, decode, decode_as, validation_message};
pub use conditions::{ConditionRule, ConditionValue, Conditions, conditions};
pub use describe::describe;
pub use error::{ApiError, ErrorSpec};
pub use fingerprint::fingerprint;
pub use operation::{
    Action, At, AuditRule, Bound, Exposure, Load, Operation, OperationSpec, Protocol, Rest, ServiceCodes,
    ServiceSpec,
};
pub use quote::{first_byte, push_quoted};
pub use reader::{Read, ReadError, Reader};
pub use redact::redacted;
pub use schema::{Element, Entry, Kind, Limits, Member, Pattern, Schema};
pub use shape::{Empty, Shape};
pub use writer::{WriteError, Writer, Wrote};

#[doc(hidden)]
pub use coffer_types as types;

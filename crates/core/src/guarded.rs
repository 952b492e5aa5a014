//! Records that are still locked.
//!
//! What a handler finds is wrapped in [`Guarded`], and asking permission is the only way to open it. So no operation can
//! forget to ask, and the ARNs that were asked about become the resources of its audit record.

use std::{fmt, marker::PhantomData};

use coffer_shape::{Action, ApiError};

use crate::Cx;

/// Something an action can be permitted on.
pub trait Resource {
    /// The ARN that policies are matched against and the audit record names.
    fn arn(&self) -> String;

    /// What a refusal names; AWS prints what the caller sent. `None` leaves the resource out of the sentence.
    fn shown(&self) -> Option<String> {
        Some(self.arn())
    }

    /// Whether the resource's own policy lets this caller in.
    fn grants(&self, _cx: &Cx<'_>, _action: Action) -> bool {
        false
    }
}

impl<R: Resource> Resource for std::sync::Arc<R> {
    fn arn(&self) -> String {
        R::arn(self)
    }

    fn shown(&self) -> Option<String> {
        R::shown(self)
    }

    fn grants(&self, cx: &Cx<'_>, action: Action) -> bool {
        R::grants(self, cx, action)
    }
}

/// Found, but not yet permitted.
#[must_use = "a record that was found is opened by `permit`"]
#[derive(Debug)]
pub struct Guarded<R>(R);

impl<R: Resource> Guarded<R> {
    pub const fn new(resource: R) -> Self {
        Self(resource)
    }

    pub fn permit(self, cx: &Cx<'_>, action: Action) -> Result<R, ApiError> {
        cx.permit(action, &self.0)?;
        Ok(self.0)
    }
}

/// Proof that a question was asked and answered with yes. One that is about the records of a table opens their list and no other.
pub struct Permit<R = ()>(PhantomData<fn() -> R>);

impl<R> Permit<R> {
    pub(crate) const fn granted() -> Self {
        Self(PhantomData)
    }
}

impl<R> fmt::Debug for Permit<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// Actions that AWS defines without a resource, such as `ListSecrets`: policies must say `*`.
#[derive(Debug, Clone, Copy)]
pub struct Unscoped;

impl Resource for Unscoped {
    fn arn(&self) -> String {
        String::from("*")
    }

    fn shown(&self) -> Option<String> {
        None
    }
}

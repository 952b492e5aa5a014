//! Records that are still locked.
//!
//! What a handler finds is wrapped in [`Guarded`], and asking permission is the only way to open it. So no operation can
//! forget to ask, and the ARNs that were asked about become the resources of its audit record.

use std::{fmt, marker::PhantomData, sync::Arc};

use coffer_policy::{Grant, Policy};
use coffer_shape::{Action, ApiError, ConditionValue};

use crate::Cx;

/// Something an action can be permitted on.
pub trait Resource {
    /// The ARN that policies are matched against and the audit record names.
    fn arn(&self) -> String;

    /// What a refusal names; AWS prints what the caller sent. `None` leaves the resource out of the sentence.
    fn shown(&self) -> Option<String> {
        Some(self.arn())
    }

    /// Whether the caller has not named it, and knows it only by a ciphertext that it made. A refusal then says that instead.
    fn is_of_ciphertext(&self) -> bool {
        false
    }

    /// Its tags, for the conditions of policies. Of what is about to be made, those that it will have.
    fn tags(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    /// What follows from the resource itself for a condition key of its service, which is told in small letters and with the
    /// service before it.
    fn condition(&self, _cx: &Cx<'_>, _key: &str) -> Option<ConditionValue> {
        None
    }

    /// The policy that hangs on the resource itself.
    fn policy(&self, _cx: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        Ok(None)
    }

    /// What was granted to the caller beside all policies; only keys have such grants.
    fn grants(&self, _cx: &Cx<'_>) -> Result<Vec<Grant>, ApiError> {
        Ok(Vec::new())
    }

    /// The encryption context that grants are held against. Asked for only where there are some.
    fn encryption_context(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }
}

impl<R: Resource> Resource for Arc<R> {
    fn arn(&self) -> String {
        R::arn(self)
    }

    fn shown(&self) -> Option<String> {
        R::shown(self)
    }

    fn is_of_ciphertext(&self) -> bool {
        R::is_of_ciphertext(self)
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        R::tags(self)
    }

    fn condition(&self, cx: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        R::condition(self, cx, key)
    }

    fn policy(&self, cx: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        R::policy(self, cx)
    }

    fn grants(&self, cx: &Cx<'_>) -> Result<Vec<Grant>, ApiError> {
        R::grants(self, cx)
    }

    fn encryption_context(&self) -> Vec<(&str, &str)> {
        R::encryption_context(self)
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

    /// The same, with leave to see those records of a table that belong to the resource.
    pub fn permit_with<L>(self, cx: &Cx<'_>, action: Action) -> Result<(R, Permit<L>), ApiError> {
        cx.permit(action, &self.0)?;
        Ok((self.0, Permit::granted()))
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

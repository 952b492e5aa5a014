//! The role that a function works in: whoever gives it one must be allowed to pass it on, and it must let Lambda in.

use coffer_core::{Cx, Principal, Resource};
use coffer_model::{iam, lambda::SERVICE};
use coffer_shape::{ApiError, ConditionValue};
use coffer_types::Arn;

use crate::error::LambdaError;

/// A role that is passed to Lambda.
struct Passed<'a>(&'a str);

impl Resource for Passed<'_> {
    fn arn(&self) -> String {
        self.0.to_owned()
    }

    fn condition(&self, _: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        let value = SERVICE.event_source.to_owned();
        (key == "iam:passedtoservice").then_some(ConditionValue::One(value))
    }
}

pub(crate) fn pass(cx: &Cx<'_>, role: &str, function: &str, name: &str) -> Result<(), ApiError> {
    cx.ask(iam::action::PASS_ROLE, &Passed(role))?;
    session(cx, role, function, name).map(drop)
}

/// A session of the role, named after the function as on AWS.
pub(crate) fn session(cx: &Cx<'_>, role: &str, function: &str, name: &str) -> Result<Principal, ApiError> {
    let arn: Arn = role.parse().map_err(|_| LambdaError::RoleNotAssumable)?;
    let session = cx.session_for(&SERVICE, &arn, name, function)?;
    session.ok_or_else(|| LambdaError::RoleNotAssumable.into())
}

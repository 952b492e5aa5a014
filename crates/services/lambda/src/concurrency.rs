//! How many invocations may run at once: of a function, and of an account.

use std::ops::ControlFlow;

use coffer_core::{Cx, Permit, Walk};
use coffer_shape::ApiError;

use crate::{error::LambdaError, function::FunctionRecord};

/// AWS's quota of an account, which here only bounds what can be reserved.
pub(crate) const CONCURRENT_MAX: i64 = 1000;
/// What AWS keeps for functions that have nothing reserved.
const UNRESERVED_MIN: i64 = 100;

/// What an account uses.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Usage {
    pub functions: i64,
    pub code_bytes: i64,
    pub reserved: i64,
}

/// All functions but one.
pub(crate) fn usage(
    cx: &Cx<'_>,
    permit: Permit<FunctionRecord>,
    but: Option<&str>,
) -> Result<Usage, ApiError> {
    let mut usage = Usage::default();
    cx.walk::<FunctionRecord>(permit, Walk::default(), &mut |function| {
        if but != Some(function.name.as_str()) {
            usage.functions += 1;
            usage.code_bytes = usage.code_bytes.saturating_add(function.latest.code.package.length);
            usage.reserved = usage.reserved.saturating_add(function.reserved.unwrap_or_default());
        }
        ControlFlow::Continue(())
    })?;
    Ok(usage)
}

impl Usage {
    pub(crate) const fn unreserved(&self) -> i64 {
        CONCURRENT_MAX.saturating_sub(self.reserved)
    }

    /// Whether one more function can have so many.
    pub(crate) const fn ensure_room(&self, wanted: i64) -> Result<(), LambdaError> {
        if self.unreserved().saturating_sub(wanted) < UNRESERVED_MIN {
            return Err(LambdaError::TooLittleUnreserved);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_are_left_for_everybody() {
        let usage = Usage { reserved: 500, ..Usage::default() };
        assert!(usage.ensure_room(400).is_ok());
        assert!(usage.ensure_room(401).is_err());
        assert!(usage.ensure_room(i64::MAX).is_err());
    }
}

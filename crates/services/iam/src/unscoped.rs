//! What IAM is asked about where policies know no resource: they must say `*`, and a refusal says what was to be seen.

use coffer_core::{Cx, Listed, Permit, Resource};
use coffer_shape::{Action, ApiError};

/// Of all resources; with the words of a refusal.
#[derive(Debug)]
pub(crate) struct Unscoped(String);

impl Unscoped {
    /// What belongs to the account as a whole.
    pub(crate) fn account() -> Self {
        Self(String::from("*"))
    }

    /// A list of what lies below a path: `arn:aws:iam::111122223333:user/`.
    fn list(cx: &Cx<'_>, kind: &str, path: &str) -> Self {
        Self(coffer_types::Arn::global("iam", cx.account(), &format!("{kind}{path}")).to_string())
    }

    fn policies(path: &str) -> Self {
        Self(format!("policy path {path}"))
    }
}

impl Resource for Unscoped {
    fn arn(&self) -> String {
        String::from("*")
    }

    fn shown(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

/// Asks to see all users, groups, roles or instance profiles below a path.
pub(crate) fn ask_for_all<R: Listed>(
    cx: &Cx<'_>,
    action: Action,
    kind: &str,
    path: Option<&str>,
) -> Result<Permit<R>, ApiError> {
    cx.ask_through(action, &Unscoped::list(cx, kind, path.unwrap_or("/")))
}

/// The same for policies, which AWS calls something else there.
pub(crate) fn ask_for_policies<R: Listed>(
    cx: &Cx<'_>,
    action: Action,
    path: Option<&str>,
) -> Result<Permit<R>, ApiError> {
    cx.ask_through(action, &Unscoped::policies(path.unwrap_or("/")))
}

//! Grants of a KMS key: somebody may do certain things with it, without any policy that says so.
//!
//! A grant only allows. It may ask for an encryption context, all of it or a part, which is compared byte for byte.

use crate::{Caller, Principal, PrincipalKind, request::Request, standing::Standing};

/// Operations that have no encryption context, whatever the grant asks for. What a grant that is made through this one must ask
/// for itself is KMS's to compare.
const WITHOUT_CONTEXT: &[&str] = &["CreateGrant", "DescribeKey", "RetireGrant"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// None for an ARN that names nobody.
    grantee: Option<Principal>,
    operations: Vec<String>,
    constraint: Option<Constraint>,
}

/// What encryption context a grant asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    Equals(Vec<(String, String)>),
    Subset(Vec<(String, String)>),
}

impl Grant {
    /// Operations are named without their service: `Decrypt`.
    pub fn new(grantee_arn: &str, operations: Vec<String>, constraint: Option<Constraint>) -> Self {
        Self { grantee: Principal::parse(PrincipalKind::Aws, grantee_arn), operations, constraint }
    }

    /// How the grant means the caller, if it allows what he asks for.
    pub(crate) fn standing(&self, request: &Request<'_>) -> Option<Standing> {
        let (_, operation) = request.action.split_once(':')?;
        let is_allowed = self.operations.iter().any(|allowed| allowed == operation)
            && (WITHOUT_CONTEXT.contains(&operation) || self.suits(request.encryption_context));
        if !is_allowed || matches!(request.caller, Caller::Anonymous) {
            return None;
        }
        Standing::of(&request.caller, self.grantee.as_ref()?)
    }

    fn suits(&self, context: &[(&str, &str)]) -> bool {
        let holds = |pairs: &[(String, String)]| {
            pairs.iter().all(|(name, value)| context.contains(&(name.as_str(), value.as_str())))
        };
        match &self.constraint {
            None => true,
            Some(Constraint::Subset(pairs)) => holds(pairs),
            Some(Constraint::Equals(pairs)) => pairs.len() == context.len() && holds(pairs),
        }
    }
}

//! May they? Every question that a handler asks ends here.
//!
//! The caller's policies come from whoever keeps identities, the resource's from the resource, and the evaluator decides. What
//! cannot be evaluated, because a record does not open or the store does not answer, is a refusal: nobody gets in by a fault, and a
//! refusal is never told as one of ours. The log says it.
//!
//! Coffer's own tasks and commands of the machine's owner are not asked about: whoever can give them has the data directory.

use std::sync::Arc;

use coffer_policy::{Decision, Policies, Policy, Request, Shown};
use coffer_shape::{Action, ApiError, OperationSpec};

use crate::{Cx, PrincipalKind, Resource, Standing, circumstances::Circumstances, cx::INTERNAL};

/// Actions without a resource are asked about `*`, which only `*` covers.
const NO_RESOURCE: &str = "*";

impl Cx<'_> {
    pub(crate) fn permit(&self, action: Action, resource: &dyn Resource) -> Result<(), ApiError> {
        let arn = resource.arn();
        self.note_asked(&arn);
        self.decide(action, resource, &arn)
    }

    /// What the answer would be, for whoever is about to change what decides. It is no question, so that it is not on record.
    pub fn would_permit(&self, action: Action, resource: &dyn Resource) -> bool {
        self.decide(action, resource, &resource.arn()).is_ok()
    }

    fn decide(&self, action: Action, resource: &dyn Resource, arn: &str) -> Result<(), ApiError> {
        // A service that acts as itself in front of others is asked about.
        if matches!(self.caller().kind, PrincipalKind::Service { .. }) && self.about().is_none() {
            return Ok(());
        }
        let standing = self.standing();
        let of_resource = resource.policy(self).unwrap_or_else(|error| {
            self.alarm(action, &error);
            Some(Arc::new(Policy::denying(arn)))
        });
        let grants = resource.grants(self).unwrap_or_else(|error| {
            self.alarm(action, &error);
            Vec::new()
        });
        let identity: Vec<&Policy> = standing.identity.iter().map(|policy| &**policy).collect();
        let boundary: Option<Vec<&Policy>> = standing.boundary.as_ref().map(|policy| vec![&**policy]);
        let session: Option<Vec<&Policy>> =
            standing.session.as_ref().map(|policies| policies.iter().map(|policy| &**policy).collect());
        let policies = Policies {
            identity: &identity,
            boundary: boundary.as_deref(),
            session: session.as_deref(),
            resource: of_resource.as_deref(),
            grants: &grants,
            ..Policies::default()
        };
        // Few ARNs are asked about that are not ours, so nothing else of it is looked at.
        let owner = arn.split(':').nth(4).and_then(|account| account.parse().ok());
        let circumstances = Circumstances {
            cx: self,
            caller: self.whole_caller(),
            standing: &standing,
            resource,
            resource_account: owner.unwrap_or_else(|| self.account()),
            request: self.conditions(),
        };
        let Action(name) = action;
        let encryption_context = if grants.is_empty() { Vec::new() } else { resource.encryption_context() };
        let request = Request {
            caller: self.caller().as_caller(),
            action: name,
            resource: (arn != NO_RESOURCE).then_some(arn),
            resource_account: owner,
            context: &circumstances,
            encryption_context: &encryption_context,
        };
        let decision = policies.decide(&request);
        if decision.is_allowed() {
            return Ok(());
        }
        if let Decision::ExplicitDeny { by, statement } = decision {
            let (policy, sid, index) = (statement.policy, statement.sid, statement.index);
            tracing::debug!(action = name, ?by, policy, sid, index, "denied by a statement");
        }
        Err(self.denied(&decision, &request, resource))
    }

    /// What holds for the caller, looked up once for each call.
    fn standing(&self) -> Arc<Standing> {
        let denied = |why| {
            let denying = Arc::new(Policy::denying(why));
            Arc::new(Standing { identity: vec![denying], ..Standing::default() })
        };
        self.standing_once(|| {
            let Some(identities) = self.identities() else { return Arc::default() };
            match identities.standing(self.db(), self.caller()) {
                Ok(Some(standing)) => standing,
                // With no policies he would still have what everybody has, and nothing that limits him.
                Ok(None) => denied("gone"),
                Err(error) => {
                    tracing::error!(request_id = %self.request_id(), %error, "the policies of a caller cannot be read, so that he may do nothing");
                    denied("unreadable")
                }
            }
        })
    }

    fn alarm(&self, Action(action): Action, error: &ApiError) {
        tracing::error!(request_id = %self.request_id(), action, cause = ?error.cause, "what a resource says of who may use it cannot be read, so that it lets nobody in");
    }

    fn denied(&self, decision: &Decision<'_>, request: &Request<'_>, resource: &dyn Resource) -> ApiError {
        let shown = resource.shown();
        let shown = match shown.as_deref() {
            _ if resource.is_of_ciphertext() => Shown::OfCiphertext,
            Some(name) => Shown::As(name),
            None => Shown::Nothing,
        };
        let spec = self.running();
        let is_bare = spec.is_some_and(|spec| spec.service.bare_denials);
        let message = match is_bare {
            true => decision.message_without_reason(request, shown),
            false => decision.message(request, shown),
        };
        let code = spec.map_or(INTERNAL, |spec: &OperationSpec| spec.service.codes.access_denied);
        ApiError::new(code, message.unwrap_or_default())
    }
}

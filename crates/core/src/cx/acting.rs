//! What a service does in somebody else's name.
//!
//! Work that is done later is done with the permissions of whoever wanted it, or of a role that he lent to the service. The policies that
//! count are those of the moment in which it is done.

use std::{cell::OnceCell, sync::Arc, time::Duration};

use coffer_policy::{self as policy, Policies, Request};
use coffer_shape::{ApiError, ConditionValue, Conditions, Operation, OperationSpec, ServiceSpec};
use coffer_types::Arn;

use super::Cx;
use crate::{
    AssumedRole, Caller, Confined, Principal, PrincipalKind, Resource, Session, Standing, Transport,
    audit::Event, circumstances::Circumstances,
};

/// Our choice: a session that a service begins is for one piece of work.
const SESSION_LASTS: Duration = Duration::from_secs(3600);

impl Cx<'_> {
    /// Does something as somebody, for whom the running service acts.
    pub fn in_the_name_of<T>(&mut self, who: &Principal, work: impl FnOnce(&mut Self) -> T) -> T {
        let service = self.running().map(|spec| spec.service).or(self.service);
        let agent = service.map_or("coffer.internal", |service| service.event_source);
        let caller = Caller {
            principal: who.clone(),
            source_address: agent.to_owned(),
            user_agent: agent.to_owned(),
            transport: Transport::Inside,
            host: String::new(),
            region: self.caller.region.clone(),
            request_id: self.caller.request_id,
        };
        let acting = self.acting.replace(Arc::new(caller));
        let about = self.about.take();
        let standing = std::mem::take(&mut self.standing);
        // What is asked for him is no question of the caller.
        let resources = self.resources.take();
        let asked = *self.asked.get_mut();
        let done = work(self);
        *self.asked.get_mut() = asked;
        self.resources.replace(resources);
        self.standing = standing;
        self.about = about;
        self.acting = acting;
        done
    }

    /// Does something as the running service itself, about a resource of this ARN, where others have to admit the service: what it asks for
    /// is decided by the policies of the resources it asks about.
    pub fn as_itself<T>(
        &mut self,
        service: &'static ServiceSpec,
        about: &str,
        work: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.in_the_name_of(&Principal::service(self.account(), service.event_source), |cx| {
            cx.about = Some(about.to_owned());
            cx.standing = OnceCell::from(Arc::default());
            work(cx)
        })
    }

    /// Hands on what a service wants of a function, to whoever prepares its run next.
    pub fn confine(&mut self, confined: Confined) {
        self.confined = Some(confined);
    }

    pub const fn take_confined(&mut self) -> Option<Confined> {
        self.confined.take()
    }

    /// What the running service acts for as itself.
    pub(crate) fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// Asks another service for the running one, which wants to know something of what a caller was permitted to name. It is nobody's
    /// call, so that nobody is asked and nothing is on record.
    pub fn consult<O: Operation>(&mut self, input: O::Input) -> Result<O::Output, ApiError> {
        let running = self.running().map(|spec| spec.service).or(self.service);
        let Some(service) = running.filter(|_| O::SPEC.read_only) else {
            return Err(self.internal(format!("{} is not there to be consulted", O::SPEC.name)));
        };
        let who = Principal::service(self.home.account, service.event_source);
        let noted = self.nested.len();
        let outcome = self.in_the_name_of(&who, |cx| cx.invoke::<O>(input));
        self.nested.truncate(noted);
        outcome
    }

    /// A session of a role for a service; nothing if there is no such role, or if its trust policy does not admit the service. `about`
    /// is the ARN of what the service does it for.
    pub fn session_for(
        &self,
        service: &'static ServiceSpec,
        role: &Arn,
        session_name: &str,
        about: &str,
    ) -> Result<Option<Principal>, ApiError> {
        let Ok(account) = role.account().parse() else { return Ok(None) };
        let Some(identities) = self.identities() else { return Ok(None) };
        let found = identities.role(self.db(), role).map_err(|error| self.internal(error))?;
        let Some(found) = found else { return Ok(None) };
        let agent = Caller::service(
            account,
            self.caller.region.clone(),
            service.event_source,
            self.caller.request_id,
        );
        let of = |value: &str| ConditionValue::One(value.to_owned());
        let brings: Conditions = vec![
            (String::from("aws:SourceAccount"), of(account.as_str())),
            (String::from("aws:SourceArn"), of(about)),
        ];
        let request = Request {
            caller: policy::Caller::Service(service.event_source),
            action: "sts:AssumeRole",
            resource: Some(role.as_str()),
            resource_account: Some(account),
            context: &Circumstances {
                cx: self,
                caller: &agent,
                standing: &Standing::default(),
                resource: &NamedRole(role),
                resource_account: account,
                request: &brings,
            },
            encryption_context: &[],
        };
        if !(Policies { resource: Some(&found.trust), ..Policies::default() }).decide(&request).is_allowed() {
            return Ok(None);
        }
        let name = role.resource().rsplit('/').next().unwrap_or_default();
        let resource = format!("assumed-role/{name}/{session_name}");
        Ok(Some(Principal {
            account,
            arn: Arn::global("sts", account, &resource).to_string(),
            user_id: format!("{}:{session_name}", found.id),
            kind: PrincipalKind::AssumedRole(AssumedRole {
                arn: role.to_string(),
                id: found.id,
                session_name: session_name.to_owned(),
            }),
            access_key_id: None,
            session: Some(Arc::new(Session {
                issued_at: self.now,
                expires_at: self.now.plus(SESSION_LASTS),
                ..Session::default()
            })),
        }))
    }

    /// Has on record that the running service asked for an action that is no operation, on behalf of the caller.
    pub fn note_call(&mut self, spec: &'static OperationSpec, about: &str) {
        self.nested.push(Event {
            spec,
            account: self.home.account,
            by: self.acting.clone(),
            via: Some(spec.service),
            request: None,
            response: None,
            error: None,
            more: Vec::new(),
            resources: vec![about.to_owned()],
        });
    }
}

struct NamedRole<'a>(&'a Arn);

impl Resource for NamedRole<'_> {
    fn arn(&self) -> String {
        self.0.to_string()
    }
}

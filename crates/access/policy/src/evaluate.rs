//! May they? The order in which policies of all types are heard, and what each can do.
//!
//! Every document is heard before anything is decided, because a denial anywhere ends the matter. What is left is a question of
//! whose word is needed: the caller's own policies, the resource's, or both.
//!
//! - Within an account either side may allow, except that a key or a role answers to its own policy first.
//! - Between accounts both sides must.
//! - A boundary and the policies of a session grant nothing; they limit what the identity's policies grant, and what the
//!   resource's policy grants to the role behind a session.
//!
//! The function is pure. What cannot be evaluated within bounds is not allowed.

use crate::{
    Caller, Effect, Grant, Policy,
    decision::{Decision, Grounds, Named, PolicyType},
    explain::Notes,
    policy::{Asked, Rule},
    reach::may_cross,
    request::{Request, ResourceKind},
    standing::Standing,
};

/// How many statements are heard for one decision. As many as the policies of one caller can hold do not come near.
const STATEMENTS_MAX: usize = 10_000;

/// The policies that a request is decided by. What does not exist is empty or none: a boundary without a policy in it is one that
/// allows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policies<'p> {
    /// Those of the user and his groups, or of the role.
    pub identity: &'p [&'p Policy],
    pub boundary: Option<&'p [&'p Policy]>,
    pub session: Option<&'p [&'p Policy]>,
    /// The policy of the secret, the key policy, or the trust policy of the role.
    pub resource: Option<&'p Policy>,
    pub grants: &'p [Grant],
    /// That of the listener that took the call.
    pub endpoint: Option<&'p Policy>,
    /// One list for each level of the caller's organisation.
    pub service_control: &'p [&'p [&'p Policy]],
    /// The same of the resource's.
    pub resource_control: &'p [&'p [&'p Policy]],
}

/// What the policies of one type say.
#[derive(Debug, Clone, Copy, Default)]
struct Heard<'p> {
    allow: Option<(Standing, Named<'p>)>,
    deny: Option<Named<'p>>,
}

/// How a type of policy means a caller who is in none of its statements' principals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addressed {
    /// It is attached to the caller and names nobody.
    Attached,
    /// Whoever is not named is not meant.
    Named,
    /// Where nobody is named, everybody is meant.
    NamedOrAll,
}

struct Hearing<'a, 'p> {
    request: &'a Request<'a>,
    asked: Asked<'a>,
    is_bounded: bool,
    left: usize,
    /// Taken for whoever asks why. They change nothing about what is heard.
    notes: Option<&'a mut Notes<'p>>,
}

impl<'p> Policies<'p> {
    pub fn decide(&self, request: &Request<'_>) -> Decision<'p> {
        self.hear(request, None)
    }

    pub(crate) fn hear(&self, request: &Request<'_>, notes: Option<&mut Notes<'p>>) -> Decision<'p> {
        let caller = &request.caller;
        if request.action.eq_ignore_ascii_case("sts:GetCallerIdentity") && *caller != Caller::Anonymous {
            return Decision::Allowed(Grounds::Always);
        }
        let kind = request.resource_kind();
        let of_resource = if kind == ResourceKind::Role { PolicyType::Trust } else { PolicyType::Resource };
        let action = request.action.to_ascii_lowercase();
        // The account itself cannot be bounded.
        let boundary = self.boundary.filter(|_| !matches!(caller, Caller::Root { .. }));
        let asked = Asked { action: &action, resource: request.resource, context: request.context };
        let mut hearing =
            Hearing { request, asked, is_bounded: boundary.is_some(), left: STATEMENTS_MAX, notes };

        // Service control binds the principals of an account.
        let levels = if caller.account().is_some() { self.service_control } else { &[] };
        let mut all_levels_allow = true;
        let mut control = Heard::default();
        for level in levels {
            let heard = hearing.of(PolicyType::ServiceControl, level, Addressed::Attached);
            all_levels_allow &= heard.allow.is_some();
            control.deny = control.deny.or(heard.deny);
        }
        let mut resource_control = Heard::default();
        for level in self.resource_control {
            let heard = hearing.of(PolicyType::ResourceControl, level, Addressed::NamedOrAll);
            resource_control.deny = resource_control.deny.or(heard.deny);
        }
        let endpoint =
            self.endpoint.map(|policy| hearing.of(PolicyType::Endpoint, &[policy], Addressed::NamedOrAll));
        let identity = hearing.of(PolicyType::Identity, self.identity, Addressed::Attached);
        let boundary =
            boundary.map(|policies| hearing.of(PolicyType::Boundary, policies, Addressed::Attached));
        let session =
            self.session.map(|policies| hearing.of(PolicyType::Session, policies, Addressed::Attached));
        let resource = match self.resource {
            Some(policy) => hearing.of(of_resource, &[policy], Addressed::Named),
            None => Heard::default(),
        };

        let denials = [
            (PolicyType::ServiceControl, control.deny),
            (PolicyType::ResourceControl, resource_control.deny),
            (PolicyType::Endpoint, endpoint.and_then(|heard| heard.deny)),
            (PolicyType::Identity, identity.deny),
            (PolicyType::Boundary, boundary.and_then(|heard| heard.deny)),
            (PolicyType::Session, session.and_then(|heard| heard.deny)),
            (of_resource, resource.deny),
        ];
        if let Some((by, statement)) = denials.into_iter().find_map(|(by, deny)| Some((by, deny?))) {
            return Decision::ExplicitDeny { by, statement };
        }
        if !all_levels_allow {
            return Decision::ImplicitDeny { by: PolicyType::ServiceControl };
        }
        if endpoint.is_some_and(|heard| heard.allow.is_none()) {
            return Decision::ImplicitDeny { by: PolicyType::Endpoint };
        }
        // Some statement was not heard, and it may have been a denial.
        if hearing.left == 0 {
            return Decision::ImplicitDeny { by: PolicyType::Identity };
        }

        let by_identity = match caller {
            Caller::Root { .. } => Some(Grounds::Root),
            // What a federated user may do is what was passed along, and nothing was.
            Caller::FederatedUser { .. } if session.is_none() => None,
            _ => identity
                .allow
                .map(|(_, statement)| Grounds::Statement { by: PolicyType::Identity, statement }),
        };
        let sides = Sides {
            kind,
            of_resource,
            by_identity,
            by_resource: by_resource(resource, of_resource, kind, self.grants, request),
            limit: limit(boundary, session),
        };
        match caller.account() {
            None => sides.resource_alone(),
            Some(account) if Some(account) == request.owner() => sides.within_an_account(),
            Some(_) => sides.between_accounts(request),
        }
    }
}

/// What the resource's side grants: its policy or one of its grants, whichever means the caller more closely.
fn by_resource<'p>(
    heard: Heard<'p>,
    by: PolicyType,
    kind: ResourceKind,
    grants: &[Grant],
    request: &Request<'_>,
) -> Option<(Standing, Grounds<'p>)> {
    let by_policy = heard.allow.map(|(standing, statement)| (standing, Grounds::Statement { by, statement }));
    if kind != ResourceKind::Key {
        return by_policy;
    }
    let granted = grants.iter().enumerate().filter_map(|(index, grant)| {
        // Whoever holds a grant is let in by name, also as a session of the role that it names.
        let standing = match grant.standing(request)? {
            Standing::Account => Standing::Account,
            _ => Standing::Direct,
        };
        Some((standing, Grounds::Grant(index)))
    });
    by_policy.into_iter().chain(granted).max_by_key(|(standing, _)| *standing)
}

/// The type of policy that limits the caller and does not allow.
fn limit(boundary: Option<Heard<'_>>, session: Option<Heard<'_>>) -> Option<PolicyType> {
    let is_silent = |heard: Option<Heard<'_>>| heard.is_some_and(|heard| heard.allow.is_none());
    if is_silent(boundary) {
        Some(PolicyType::Boundary)
    } else if is_silent(session) {
        Some(PolicyType::Session)
    } else {
        None
    }
}

/// What is left to weigh when nobody has denied anything.
struct Sides<'p> {
    kind: ResourceKind,
    of_resource: PolicyType,
    by_identity: Option<Grounds<'p>>,
    by_resource: Option<(Standing, Grounds<'p>)>,
    limit: Option<PolicyType>,
}

impl<'p> Sides<'p> {
    /// For those who have no policies of their own.
    fn resource_alone(&self) -> Decision<'p> {
        match self.by_resource {
            Some((_, grounds)) => Decision::Allowed(grounds),
            None => Decision::ImplicitDeny { by: self.of_resource },
        }
    }

    fn within_an_account(&self) -> Decision<'p> {
        let grounds = match self.by_resource {
            // By name; nothing limits it.
            Some((Standing::Direct, grounds)) => return Decision::Allowed(grounds),
            Some((Standing::Role | Standing::FederatedUser, grounds)) => grounds,
            None if self.kind != ResourceKind::Ordinary => {
                return Decision::ImplicitDeny { by: self.of_resource };
            }
            Some((Standing::Account, _)) | None => match self.by_identity {
                Some(grounds) => grounds,
                None => return Decision::ImplicitDeny { by: PolicyType::Identity },
            },
        };
        self.limited(grounds)
    }

    fn between_accounts(&self, request: &Request<'_>) -> Decision<'p> {
        let Some((standing, grounds)) = self.by_resource.filter(|_| may_cross(request.action, self.kind))
        else {
            return Decision::ImplicitDeny { by: self.of_resource };
        };
        match (grounds, self.by_identity) {
            // A grant to somebody is a promise of the key's owner to him alone.
            (Grounds::Grant(_), _) if standing == Standing::Direct => Decision::Allowed(grounds),
            (_, Some(_)) if self.limit.is_none() => Decision::Allowed(grounds),
            (_, None) if standing >= Standing::Role => Decision::ImplicitDeny { by: PolicyType::Identity },
            // AWS names the resource's side even when only the caller's is missing.
            _ => Decision::ImplicitDeny { by: self.of_resource },
        }
    }

    fn limited(&self, grounds: Grounds<'p>) -> Decision<'p> {
        match self.limit {
            Some(by) => Decision::ImplicitDeny { by },
            None => Decision::Allowed(grounds),
        }
    }
}

impl<'p> Hearing<'_, 'p> {
    /// What policies of a type say, all of them together.
    fn of(&mut self, by: PolicyType, policies: &[&'p Policy], addressed: Addressed) -> Heard<'p> {
        let mut heard = Heard::default();
        for policy in policies {
            for (index, rule) in policy.rules().iter().enumerate() {
                let Some(left) = self.left.checked_sub(1) else { return heard };
                self.left = left;
                let Some(standing) = self.standing(rule, addressed) else { continue };
                // What could not change anything any more need not be looked at, unless somebody wants to know why.
                let is_news = match rule.effect {
                    Effect::Deny => heard.deny.is_none(),
                    Effect::Allow => heard.allow.is_none_or(|(best, _)| standing > best),
                };
                match &mut self.notes {
                    Some(notes) => notes.missing_in(by, rule, &self.asked),
                    None if !is_news => continue,
                    None => {}
                }
                if !rule.covers(&self.asked) || !rule.holds(&self.asked) {
                    continue;
                }
                if let Some(notes) = &mut self.notes {
                    notes.matched(by, policy, index, rule.effect);
                }
                if !is_news {
                    continue;
                }
                let named = Named { policy: policy.name(), index, sid: rule.sid.as_deref() };
                match rule.effect {
                    Effect::Deny => heard.deny = Some(named),
                    Effect::Allow => heard.allow = Some((standing, named)),
                }
            }
        }
        heard
    }

    fn standing(&self, rule: &Rule, addressed: Addressed) -> Option<Standing> {
        match (addressed, &rule.principals) {
            (Addressed::Attached, _) => Some(Standing::Direct),
            (Addressed::NamedOrAll, None) => Some(Standing::Direct),
            (Addressed::Named, None) => None,
            (_, Some(principals)) => {
                Standing::in_statement(&self.request.caller, rule.effect, principals, self.is_bounded)
            }
        }
    }
}

//! What the conditions of policies can ask about: who calls, from where, with what, and about what.
//!
//! Nothing is collected beforehand. A policy names a key, and the key is looked up here: keys of the caller and of the connection are
//! answered from [`crate::Caller`], those of the request are what the overlay of its operation says, those of the resource it answers
//! itself. A key that nobody knows is absent, which is what AWS does with keys it has never heard of.

use std::borrow::Cow;

use coffer_policy::{Context, Key, Values, tag};
use coffer_shape::{ConditionValue, Conditions};
use coffer_types::{AccountId, Region};

use crate::{Caller, Cx, PrincipalKind, Resource, Standing};

/// One question: may this caller do this to that.
pub(crate) struct Circumstances<'a> {
    pub cx: &'a Cx<'a>,
    pub caller: &'a Caller,
    pub standing: &'a Standing,
    pub resource: &'a dyn Resource,
    pub resource_account: AccountId,
    /// What the request of the running operation brings along.
    pub request: &'a Conditions,
}

impl Context for Circumstances<'_> {
    fn values<'a>(&'a self, key: &'a Key) -> Option<Values<'a>> {
        let lower = key.as_lower();
        let (service, rest) = lower.split_once(':')?;
        if let Some(prefix) = lower.find("resourcetag/").filter(|at| *at == service.len() + 1) {
            let name = key.behind(lower.get(..prefix + "resourcetag/".len())?)?;
            return tag(self.resource.tags(), name).map(one);
        }
        if service != "aws" {
            return self.of_request(lower).or_else(|| self.resource.condition(self.cx, lower).map(owned));
        }
        if let Some(name) = key.behind("aws:principaltag/") {
            let tags = self.standing.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            return tag(tags, name).map(one);
        }
        if let Some(name) = key.behind("aws:requesttag/") {
            let tags = self.request.iter().filter_map(|(key, value)| match value {
                ConditionValue::One(value) => Some((key.strip_prefix("aws:RequestTag/")?, value.as_str())),
                ConditionValue::Many(_) => None,
            });
            return tag(tags, name).map(one);
        }
        self.of_request(lower).or_else(|| self.global(rest))
    }
}

impl Circumstances<'_> {
    fn of_request(&self, lower: &str) -> Option<Values<'_>> {
        let (_, value) = self.request.iter().find(|(key, _)| key.eq_ignore_ascii_case(lower))?;
        Some(match value {
            ConditionValue::One(value) => one(value),
            ConditionValue::Many(values) => {
                Values::Many(values.iter().map(|value| Cow::Borrowed(value.as_str())).collect())
            }
        })
    }

    /// Where something is asked for: mostly in the region that the caller signed for. What one call does in several regions is asked for in
    /// each of them.
    fn requested_region(&self) -> &Region {
        let here = self.cx.region();
        if here.is_global() { &self.caller.region } else { here }
    }

    /// A key of `aws:`, without that.
    fn global(&self, key: &str) -> Option<Values<'_>> {
        let text = |text: String| Some(Values::One(Cow::Owned(text)));
        let truth = |truth: bool| Some(one(if truth { "true" } else { "false" }));
        let Caller { principal, source_address, user_agent, transport, .. } = self.caller;
        let session = principal.session.as_deref();
        let is_service = matches!(principal.kind, PrincipalKind::Service { .. });
        let has_identity = !is_service && !matches!(principal.kind, PrincipalKind::WebIdentity(_));
        let via = self.cx.via();
        match key {
            "principalarn" if has_identity => Some(one(match &principal.kind {
                PrincipalKind::AssumedRole(role) => &role.arn,
                _ => &principal.arn,
            })),
            "principalaccount" if has_identity => Some(one(principal.account.as_str())),
            "principaltype" => match principal.kind {
                PrincipalKind::Root => Some(one("Account")),
                PrincipalKind::User { .. } => Some(one("User")),
                PrincipalKind::AssumedRole(_) => Some(one("AssumedRole")),
                PrincipalKind::WebIdentity(_) | PrincipalKind::Service { .. } => None,
            },
            "principalisawsservice" => truth(is_service),
            "principalservicename" if is_service => Some(one(&principal.arn)),
            "sourcearn" if is_service => self.cx.about().map(one),
            "sourceaccount" if is_service => {
                self.cx.about().and_then(|about| about.split(':').nth(4)).map(one)
            }
            "userid" if has_identity => Some(one(&principal.user_id)),
            "username" => match &principal.kind {
                PrincipalKind::User { name } => Some(one(name)),
                _ => None,
            },
            "tokenissuetime" => text(session?.issued_at.to_iso_seconds()),
            "multifactorauthpresent" => truth(session?.mfa),
            "sourceidentity" => session?.source_identity.as_deref().map(one),
            "federatedprovider" => session?.federated_provider.as_deref().map(one),
            "resourceaccount" => text(self.resource_account.to_string()),
            "requestedregion" => Some(one(self.requested_region().as_str())),
            "currenttime" => text(self.cx.now().to_iso_seconds()),
            "epochtime" => text((self.cx.now().millis() / 1000).to_string()),
            "securetransport" => truth(transport.is_secure()),
            "useragent" if !user_agent.is_empty() => Some(one(user_agent)),
            // The source of a service's call is the service, so it has no address.
            "sourceip" if via.is_none() && !is_service && !source_address.is_empty() => {
                Some(one(source_address))
            }
            "viaawsservice" => truth(via.is_some()),
            "calledvia" => Some(Values::Many(vec![Cow::Borrowed(via?.event_source)])),
            "calledviafirst" | "calledvialast" => Some(one(via?.event_source)),
            _ => None,
        }
    }
}

const fn one(value: &str) -> Values<'_> {
    Values::One(Cow::Borrowed(value))
}

fn owned(value: ConditionValue) -> Values<'static> {
    match value {
        ConditionValue::One(value) => Values::One(Cow::Owned(value)),
        ConditionValue::Many(values) => Values::Many(values.into_iter().map(Cow::Owned).collect()),
    }
}

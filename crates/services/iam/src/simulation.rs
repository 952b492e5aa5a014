//! What would be decided: actions on resources, tried out on policies, with nothing done.
//!
//! The decision is made by the evaluator that makes it for requests. What a request would bring along by itself, the caller of a
//! simulation says: a key that he does not name is absent.

use std::{borrow::Cow, collections::BTreeMap};

use coffer_model::iam::{
    EvaluationResult, OrganizationsDecisionDetail, PermissionsBoundaryDecisionDetail, Position,
    ResourceSpecificResult, Statement,
};
use coffer_policy::{
    Caller, Context, Decision, Effect, Explanation, Key, Policies, Policy, PolicyType, Request, Values,
    Verdict,
};
use coffer_types::AccountId;

use crate::source::Source;

/// Actions are tried on this where nothing else is said.
pub(crate) const EVERYTHING: &str = "*";

/// Statements in one result: the first so many, of each resource its share. Our choice, because a text of thousands can be tried on a
/// thousand resources.
const CITED_MAX: usize = 50;
const CITED_OF_ALL_MAX: usize = 1_000;

/// Everything but the actions and the resources.
pub(crate) struct Scene {
    pub identity: Vec<Source>,
    pub boundary: Option<Source>,
    /// Service control policies, level by level.
    pub levels: Vec<Vec<Source>>,
    pub resource_policy: Option<Source>,
    pub caller: Simulated,
    /// Whose the resources are that do not say it.
    pub owner: Option<AccountId>,
    pub entries: Entries,
}

/// Who is said to call.
pub(crate) struct Simulated {
    pub arn: String,
    pub account: AccountId,
    pub is_role: bool,
    pub id: Option<String>,
}

/// Names and values of condition keys.
pub(crate) struct Entries(pub Vec<Entry>);

pub(crate) struct Entry {
    pub name: String,
    pub values: Vec<String>,
    pub is_list: bool,
}

impl Context for Entries {
    fn values<'a>(&'a self, key: &'a Key) -> Option<Values<'a>> {
        let is_alike = |entry: &&Entry| entry.name.eq_ignore_ascii_case(key.as_written());
        // Tags may differ in case alone.
        let exact = self.0.iter().find(|entry| entry.name == key.as_written());
        let entry = exact.or_else(|| self.0.iter().find(is_alike))?;
        if entry.is_list {
            Some(Values::Many(entry.values.iter().map(|value| Cow::Borrowed(value.as_str())).collect()))
        } else {
            entry.values.first().map(|value| Values::One(Cow::Borrowed(value)))
        }
    }
}

/// One action on one resource.
struct Tried {
    verdict: Verdict,
    /// Sources and statements, by their numbers: those that allow, or those that deny if any does.
    cited: Vec<(usize, usize)>,
    missing: Vec<String>,
    is_within_boundary: Option<bool>,
    is_within_organization: Option<bool>,
    /// What each type says, where two accounts are concerned.
    details: Option<BTreeMap<String, String>>,
}

impl Scene {
    /// An action on all resources, together and each. Nothing if the time is up before all were tried.
    pub(crate) fn result(
        &self,
        action: &str,
        resources: &[String],
        is_late: &dyn Fn() -> bool,
    ) -> Option<EvaluationResult> {
        let mut tried: Vec<(&String, Tried)> = Vec::new();
        for resource in resources {
            if !tried.is_empty() && is_late() {
                return None;
            }
            let share = (CITED_OF_ALL_MAX / resources.len().max(1)).clamp(1, CITED_MAX);
            tried.push((resource, self.attempt(action, resource, share)));
        }
        let verdict = tried.iter().map(|(_, one)| one.verdict).max_by_key(|one| severity(*one));
        let verdict = verdict.unwrap_or(Verdict::ImplicitDeny);
        let is_everything = resources.iter().all(|resource| resource == EVERYTHING);
        // Those that contributed to what is decided in the end.
        let deciding =
            tried.iter().filter(|(_, one)| one.verdict == verdict && verdict != Verdict::ImplicitDeny);
        let mut cited: Vec<_> = deciding.flat_map(|(_, one)| one.cited.iter().copied()).collect();
        cited.sort_unstable();
        cited.dedup();
        cited.truncate(CITED_MAX);
        let mut missing: Vec<String> = Vec::new();
        for key in tried.iter().flat_map(|(_, one)| &one.missing) {
            if !missing.iter().any(|known| known.eq_ignore_ascii_case(key)) {
                missing.push(key.clone());
            }
        }
        let all = |of: fn(&Tried) -> Option<bool>| {
            let mut said = tried.iter().filter_map(|(_, one)| of(one)).peekable();
            said.peek().is_some().then(|| said.all(|one| one))
        };
        let is_within_organization = all(|one| one.is_within_organization);
        let details = (!is_everything && is_within_organization != Some(false)).then(|| strictest(&tried));
        Some(EvaluationResult {
            eval_action_name: action.to_owned(),
            eval_resource_name: Some(match resources {
                [one] => one.clone(),
                _ => EVERYTHING.to_owned(),
            }),
            eval_decision: word(verdict).to_owned(),
            matched_statements: Some(self.statements(&cited)),
            missing_context_values: Some(missing),
            organizations_decision_detail: is_within_organization
                .map(|allowed| OrganizationsDecisionDetail { allowed_by_organizations: Some(allowed) }),
            permissions_boundary_decision_detail: all(|one| one.is_within_boundary).map(boundary_detail),
            eval_decision_details: details,
            resource_specific_results: (!is_everything)
                .then(|| tried.into_iter().map(|(resource, one)| self.specific(resource, one)).collect()),
        })
    }

    fn specific(&self, resource: &str, tried: Tried) -> ResourceSpecificResult {
        ResourceSpecificResult {
            eval_resource_name: resource.to_owned(),
            eval_resource_decision: word(tried.verdict).to_owned(),
            matched_statements: Some(self.statements(&tried.cited)),
            missing_context_values: Some(tried.missing),
            eval_decision_details: tried.details,
            permissions_boundary_decision_detail: tried.is_within_boundary.map(boundary_detail),
        }
    }

    fn attempt(&self, action: &str, resource: &str, cited_max: usize) -> Tried {
        let identity: Vec<&Policy> = self.identity.iter().map(|source| &**source.policy()).collect();
        let boundary: Option<Vec<&Policy>> = self.boundary.as_ref().map(|source| vec![&**source.policy()]);
        let levels: Vec<Vec<&Policy>> =
            self.levels.iter().map(|level| level.iter().map(|source| &**source.policy()).collect()).collect();
        let levels: Vec<&[&Policy]> = levels.iter().map(Vec::as_slice).collect();
        let resource_policy = self.resource_policy.as_ref().map(|source| &**source.policy());
        let policies = Policies {
            identity: &identity,
            boundary: boundary.as_deref(),
            resource: resource_policy,
            service_control: &levels,
            ..Policies::default()
        };
        let owner = resource.split(':').nth(4).and_then(|account| account.parse().ok()).or(self.owner);
        let request = Request {
            caller: self.caller.as_caller(),
            action,
            resource: (resource != EVERYTHING).then_some(resource),
            resource_account: owner,
            context: &self.entries,
            encryption_context: &[],
        };
        let explanation = policies.explain(&request);
        let is_within_organization = (!levels.is_empty()).then(|| is_within(&explanation, &levels));
        let is_abroad = owner.is_some_and(|owner| owner != self.caller.account);
        let details =
            (is_abroad && is_within_organization != Some(false)).then(|| self.details(&explanation));
        let verdict = match explanation.decision {
            Decision::Allowed(_) => Verdict::Allowed,
            Decision::ExplicitDeny { .. } => Verdict::ExplicitDeny,
            Decision::ImplicitDeny { .. } => Verdict::ImplicitDeny,
        };
        Tried {
            verdict,
            cited: self.cited(&explanation, verdict, cited_max),
            missing: explanation
                .missing
                .iter()
                .filter(|missing| is_cited(missing.by))
                .map(|missing| missing.key.as_written().to_owned())
                .collect(),
            is_within_boundary: self
                .boundary
                .is_some()
                .then(|| explanation.verdict(PolicyType::Boundary) == Verdict::Allowed),
            is_within_organization,
            details,
        }
    }

    /// A denial is shown alone. Only policies of identities and resources are shown.
    fn cited(&self, explanation: &Explanation<'_>, verdict: Verdict, max: usize) -> Vec<(usize, usize)> {
        let effect = if verdict == Verdict::ExplicitDeny { Effect::Deny } else { Effect::Allow };
        let shown = explanation.matched.iter().filter(|one| one.effect == effect && is_cited(one.by));
        let number = |policy: &Policy| {
            self.sources().position(|source| std::ptr::eq(&raw const **source.policy(), policy))
        };
        shown.take(max).filter_map(|one| Some((number(one.policy)?, one.index))).collect()
    }

    /// Those that are shown, in the order of their numbers.
    fn sources(&self) -> impl Iterator<Item = &Source> {
        self.identity.iter().chain(&self.resource_policy)
    }

    fn statements(&self, cited: &[(usize, usize)]) -> Vec<Statement> {
        let shown = |&(source, statement): &(usize, usize)| {
            let is_of_identity = source < self.identity.len();
            let source = self.sources().nth(source)?;
            let place = source.place(statement);
            Some(Statement {
                source_policy_id: Some(source.id.clone()),
                source_policy_type: Some(if is_of_identity { IDENTITY } else { RESOURCE }.to_owned()),
                start_position: place.map(|(start, _)| position(start)),
                end_position: place.map(|(_, end)| position(end)),
            })
        };
        cited.iter().filter_map(shown).collect()
    }

    fn details(&self, explanation: &Explanation<'_>) -> BTreeMap<String, String> {
        let of_resource = if explanation.matched.iter().any(|one| one.by == PolicyType::Trust) {
            PolicyType::Trust
        } else {
            PolicyType::Resource
        };
        let mut types = vec![(IDENTITY, PolicyType::Identity), (RESOURCE, of_resource)];
        if self.boundary.is_some() {
            types.push((BOUNDARY, PolicyType::Boundary));
        }
        let said =
            |(name, by): (&str, PolicyType)| (name.to_owned(), word(explanation.verdict(by)).to_owned());
        types.into_iter().map(said).collect()
    }
}

/// What results call the types of policies.
const IDENTITY: &str = "IAM Policy";
const RESOURCE: &str = "Resource Policy";
const BOUNDARY: &str = "Permissions Boundary Policy";

impl Simulated {
    fn as_caller(&self) -> Caller<'_> {
        let (arn, account, id) = (self.arn.as_str(), self.account, self.id.as_deref());
        if self.is_role {
            Caller::RoleSession { arn, account, role: arn, role_id: id }
        } else {
            Caller::User { arn, account, id }
        }
    }
}

const fn is_cited(by: PolicyType) -> bool {
    matches!(by, PolicyType::Identity | PolicyType::Resource | PolicyType::Trust)
}

/// Whether each level allows and none denies.
fn is_within(explanation: &Explanation<'_>, levels: &[&[&Policy]]) -> bool {
    let says = |policy: &Policy, effect| {
        explanation.matched.iter().any(|one| {
            one.by == PolicyType::ServiceControl && one.effect == effect && std::ptr::eq(one.policy, policy)
        })
    };
    levels.iter().all(|level| {
        level.iter().any(|policy| says(policy, Effect::Allow))
            && !level.iter().any(|policy| says(policy, Effect::Deny))
    })
}

/// Of what the types say about each resource, the least that is allowed.
fn strictest(tried: &[(&String, Tried)]) -> BTreeMap<String, String> {
    let rank = |said: &str| {
        [Verdict::Allowed, Verdict::ImplicitDeny, Verdict::ExplicitDeny]
            .iter()
            .position(|one| word(*one) == said)
    };
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, said) in tried.iter().filter_map(|(_, one)| one.details.as_ref()).flatten() {
        let known = all.entry(name.clone()).or_insert_with(|| said.clone());
        if rank(said) > rank(known) {
            known.clone_from(said);
        }
    }
    all
}

const fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Allowed => 0,
        Verdict::ImplicitDeny => 1,
        Verdict::ExplicitDeny => 2,
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allowed => "allowed",
        Verdict::ExplicitDeny => "explicitDeny",
        Verdict::ImplicitDeny => "implicitDeny",
    }
}

const fn boundary_detail(allowed: bool) -> PermissionsBoundaryDecisionDetail {
    PermissionsBoundaryDecisionDetail { allowed_by_permissions_boundary: Some(allowed) }
}

fn position(place: coffer_policy::Position) -> Position {
    let number = |number: usize| i64::try_from(number).ok();
    Position { line: number(place.line), column: number(place.column) }
}

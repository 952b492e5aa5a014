//! Simulations, and the condition keys that one has to bring for them.

use coffer_core::{Cx, Registry, Resource};
use coffer_model::iam::{
    self, ContextEntry, ContextKeyTypeEnum, PolicyIdentifier, PolicyIdentifierPolicyType,
    SimulatePolicyResponse, action,
};
use coffer_policy::Kind;
use coffer_shape::{ApiError, Shape};
use coffer_types::{AccountId, Arn};

use crate::{
    error::IamError,
    simulation::{EVERYTHING, Entries, Entry, Scene, Simulated},
    source::{Holding, Origin, Source, holding},
};

const RESULTS_DEFAULT: usize = 100;
/// On how many resources one action is tried. Our choice: together with the size of a request it bounds the work for one result.
const RESOURCES_MAX: usize = 1_000;
/// Actions times resources on a page, so that an answer stays within some megabytes. Our choice.
const PAIRS_MAX: usize = 5_000;

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::SimulateCustomPolicy>(simulate_custom_policy);
    registry.serve::<iam::SimulatePrincipalPolicy>(simulate_principal_policy);
    registry.serve::<iam::GetContextKeysForCustomPolicy>(get_context_keys_for_custom_policy);
    registry.serve::<iam::GetContextKeysForPrincipalPolicy>(get_context_keys_for_principal_policy);
}

/// What has no resource. AWS names it in refusals.
pub(super) struct Everything;

impl Resource for Everything {
    fn arn(&self) -> String {
        EVERYTHING.to_owned()
    }
}

fn simulate_custom_policy(
    cx: &mut Cx<'_>,
    input: iam::SimulateCustomPolicyRequest,
) -> Result<SimulatePolicyResponse, ApiError> {
    cx.ask(action::SIMULATE_CUSTOM_POLICY, &Everything)?;
    let query = iam::SimulateCustomPolicyRequest { marker: None, max_items: None, ..input.clone() };
    let levels = input.ordered_organization_policy_input_list.unwrap_or_default().into_iter().enumerate();
    let levels = levels.map(|(number, level)| {
        let list = format!("OrderedOrganizationPolicyInputList.{}.ServiceControlPolicyInputList", number + 1);
        brought(&list, level.service_control_policy_input_list)
    });
    let asked = Asked {
        actions: input.action_names,
        resources: input.resource_arns,
        resource_policy: input.resource_policy,
        resource_owner: input.resource_owner,
        caller: input.caller_arn,
        entries: input.context_entries,
        scenario: input.resource_handling_option,
    };
    let scene = asked.scene(
        cx,
        None,
        brought("PolicyInputList", Some(input.policy_input_list))?,
        boundary_brought(input.permissions_boundary_policy_input_list)?,
        levels.collect::<Result<_, _>>()?,
    )?;
    asked.answer(cx, &scene, &query, input.marker.as_deref(), input.max_items)
}

fn simulate_principal_policy(
    cx: &mut Cx<'_>,
    input: iam::SimulatePrincipalPolicyRequest,
) -> Result<SimulatePolicyResponse, ApiError> {
    let mut found = holding(cx, &input.policy_source_arn, action::SIMULATE_PRINCIPAL_POLICY)?;
    let query = iam::SimulatePrincipalPolicyRequest { marker: None, max_items: None, ..input.clone() };
    for excluded in input.policy_exclusion_list.unwrap_or_default() {
        exclude(&mut found, &excluded)?;
    }
    let asked = Asked {
        actions: input.action_names,
        resources: input.resource_arns,
        resource_policy: input.resource_policy,
        resource_owner: input.resource_owner,
        caller: input.caller_arn,
        entries: input.context_entries,
        scenario: input.resource_handling_option,
    };
    let mut identity = std::mem::take(&mut found.sources);
    identity.extend(brought("PolicyInputList", input.policy_input_list)?);
    // One that is passed along takes the place of the one that is set.
    let boundary = boundary_brought(input.permissions_boundary_policy_input_list)?.or(found.boundary.take());
    let scene = asked.scene(cx, Some(&found), identity, boundary, Vec::new())?;
    asked.answer(cx, &scene, &query, input.marker.as_deref(), input.max_items)
}

fn get_context_keys_for_custom_policy(
    cx: &mut Cx<'_>,
    input: iam::GetContextKeysForCustomPolicyRequest,
) -> Result<iam::GetContextKeysForPolicyResponse, ApiError> {
    cx.ask(action::GET_CONTEXT_KEYS_FOR_CUSTOM_POLICY, &Everything)?;
    Ok(keys_of(&brought("PolicyInputList", Some(input.policy_input_list))?))
}

fn get_context_keys_for_principal_policy(
    cx: &mut Cx<'_>,
    input: iam::GetContextKeysForPrincipalPolicyRequest,
) -> Result<iam::GetContextKeysForPolicyResponse, ApiError> {
    let found = holding(cx, &input.policy_source_arn, action::GET_CONTEXT_KEYS_FOR_PRINCIPAL_POLICY)?;
    let mut sources = found.sources;
    sources.extend(found.boundary);
    sources.extend(brought("PolicyInputList", input.policy_input_list)?);
    Ok(keys_of(&sources))
}

/// Each key once, in the spelling in which it is met first.
fn keys_of(sources: &[Source]) -> iam::GetContextKeysForPolicyResponse {
    let mut names: Vec<String> = Vec::new();
    for key in sources.iter().flat_map(|source| source.policy().context_keys()) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(key.as_written())) {
            names.push(key.as_written().to_owned());
        }
    }
    iam::GetContextKeysForPolicyResponse { context_key_names: Some(names) }
}

/// The texts of a member, which results call by its name and their numbers.
fn brought(member: &str, texts: Option<Vec<String>>) -> Result<Vec<Source>, IamError> {
    let texts = texts.unwrap_or_default().into_iter().enumerate();
    texts
        .map(|(number, text)| Source::brought(format!("{member}.{}", number + 1), Kind::Inline, text))
        .collect()
}

fn boundary_brought(texts: Option<Vec<String>>) -> Result<Option<Source>, IamError> {
    let mut boundaries = brought("PermissionsBoundaryPolicyInputList", texts)?;
    if boundaries.len() > 1 { Err(IamError::TwoBoundaries) } else { Ok(boundaries.pop()) }
}

/// Takes away what is not to count.
fn exclude(found: &mut Holding, excluded: &PolicyIdentifier) -> Result<(), IamError> {
    let is_of_aws = |arn: &str| arn.starts_with("arn:aws:iam::aws:");
    match (&excluded.policy_type, &excluded.policy_arn, &excluded.inline_policy_identifier) {
        (Some(of_type), None, None) => {
            let of_type = PolicyIdentifierPolicyType::try_from(of_type.as_str())
                .map_err(|_| IamError::InvalidPolicyIdentifier)?;
            match of_type {
                PolicyIdentifierPolicyType::Inline => {
                    found.sources.retain(|source| !matches!(source.origin, Origin::Inline { .. }));
                }
                PolicyIdentifierPolicyType::AwsManaged => found
                    .sources
                    .retain(|source| !matches!(&source.origin, Origin::Managed { arn } if is_of_aws(arn))),
                PolicyIdentifierPolicyType::UserManaged => found
                    .sources
                    .retain(|source| !matches!(&source.origin, Origin::Managed { arn } if !is_of_aws(arn))),
                PolicyIdentifierPolicyType::PermissionBoundary => found.boundary = None,
                // Nobody is in an organisation here.
                PolicyIdentifierPolicyType::Scp | PolicyIdentifierPolicyType::Rcp => {}
            }
        }
        (None, Some(pattern), None) => {
            let pattern = ArnPattern::parse(pattern)?;
            found
                .sources
                .retain(|source| !matches!(&source.origin, Origin::Managed { arn } if pattern.covers(arn)));
        }
        (None, None, Some(inline)) => found.sources.retain(|source| match &source.origin {
            Origin::Inline { of, holder, name } => {
                *of != inline.attachment_type
                    || !holder.eq_ignore_ascii_case(&inline.attachment_name)
                    || *name != inline.policy_name
            }
            _ => true,
        }),
        _ => return Err(IamError::InvalidPolicyIdentifier),
    }
    Ok(())
}

/// The ARN of managed policies. Its name may have one `*`, and `?` as often as one likes.
struct ArnPattern<'a> {
    begin: &'a str,
    /// What follows the `*`.
    end: Option<&'a str>,
}

impl<'a> ArnPattern<'a> {
    fn parse(text: &'a str) -> Result<Self, IamError> {
        let parsed: Result<Arn, _> = text.parse();
        let is_policy =
            parsed.is_ok_and(|arn| arn.service() == "iam" && arn.resource().starts_with("policy/"));
        let name = text.find(":policy/").unwrap_or_default();
        let (before, in_name) = text.split_at(name);
        let has_wildcard = |text: &str| text.contains(['*', '?']);
        if !is_policy || has_wildcard(before) || in_name.matches('*').count() > 1 {
            return Err(IamError::InvalidPolicyIdentifier);
        }
        Ok(match text.split_once('*') {
            Some((begin, end)) => Self { begin, end: Some(end) },
            None => Self { begin: text, end: None },
        })
    }

    fn covers(&self, arn: &str) -> bool {
        let alike = |pattern: &str, text: &str| {
            pattern.len() == text.len()
                && pattern.bytes().zip(text.bytes()).all(|(wanted, found)| wanted == b'?' || wanted == found)
        };
        let Some(end) = self.end else { return alike(self.begin, arn) };
        let tail = arn.len().checked_sub(end.len()).filter(|tail| *tail >= self.begin.len());
        let parts = tail.and_then(|tail| Some((arn.get(..self.begin.len())?, arn.get(tail..)?)));
        parts.is_some_and(|(head, tail)| alike(self.begin, head) && alike(end, tail))
    }
}

/// What both simulations take alike.
struct Asked {
    actions: Vec<String>,
    resources: Option<Vec<String>>,
    resource_policy: Option<String>,
    resource_owner: Option<String>,
    caller: Option<String>,
    entries: Option<Vec<ContextEntry>>,
    scenario: Option<String>,
}

impl Asked {
    /// `found` is whose policies are tried, if it is not just texts.
    fn scene(
        &self,
        cx: &Cx<'_>,
        found: Option<&Holding>,
        identity: Vec<Source>,
        boundary: Option<Source>,
        levels: Vec<Vec<Source>>,
    ) -> Result<Scene, ApiError> {
        if let Some(name) = self.actions.iter().find(|name| !is_action(name)) {
            return Err(IamError::InvalidAction { name: name.clone() }.into());
        }
        if let Some(scenario) = &self.scenario {
            return Err(IamError::UnknownScenario { scenario: scenario.clone() }.into());
        }
        let (caller, is_user) = self.caller(cx, found)?;
        if self.resource_policy.is_some() && !is_user {
            return Err(IamError::CallerIsNoUser.into());
        }
        let owner = self.resource_owner.as_deref().map(owner).transpose()?;
        let resource_policy = self.resource_policy.clone().map(|text| {
            // What decides on assuming a role is its trust policy, which names no resource.
            let is_trust = self.actions.iter().all(|action| action.to_ascii_lowercase().starts_with("sts:"));
            let kind = if is_trust { Kind::Trust } else { Kind::Resource };
            Source::brought(String::from("ResourcePolicy"), kind, text)
        });
        Ok(Scene {
            identity,
            boundary,
            levels,
            resource_policy: resource_policy.transpose()?,
            owner: Some(owner.unwrap_or(caller.account)),
            caller,
            entries: entries(self.entries.clone().unwrap_or_default())?,
        })
    }

    /// Who is said to call, and whether it is a user.
    fn caller(&self, cx: &Cx<'_>, found: Option<&Holding>) -> Result<(Simulated, bool), ApiError> {
        let arn = match (&self.caller, found) {
            (Some(arn), _) => {
                let unclear = || IamError::UnclearEntity { arn: arn.clone() };
                arn.parse::<Arn>().map_err(|_| unclear())?
            }
            (None, Some(found)) => found.arn.clone(),
            // Nobody in particular.
            (None, None) => {
                let caller =
                    Simulated { arn: String::new(), account: cx.account(), is_role: false, id: None };
                return Ok((caller, false));
            }
        };
        let unclear = || IamError::UnclearEntity { arn: arn.as_str().to_owned() };
        let kind = arn.resource().split_once('/').map(|(kind, _)| kind).filter(|_| arn.service() == "iam");
        let account: AccountId = arn.account().parse().map_err(|_| unclear())?;
        let (is_user, is_role) = match kind {
            Some("user") => (true, false),
            Some("role") => (false, true),
            Some("group") => (false, false),
            _ => return Err(unclear().into()),
        };
        let id = match found.filter(|found| found.arn == arn) {
            Some(found) => Some(found.id.clone()),
            // What exists elsewhere is nobody's business.
            None if account == cx.account() => cx.identity(&arn)?,
            None => None,
        };
        Ok((Simulated { arn: arn.as_str().to_owned(), account, is_role, id }, is_user))
    }

    /// A page of results, one for each action. A page is shorter where the time is up.
    fn answer<Q: Shape>(
        &self,
        cx: &Cx<'_>,
        scene: &Scene,
        query: &Q,
        marker: Option<&str>,
        max_items: Option<i64>,
    ) -> Result<SimulatePolicyResponse, ApiError> {
        let everything = || vec![EVERYTHING.to_owned()];
        let resources = self.resources.clone().filter(|list| !list.is_empty()).unwrap_or_else(everything);
        if let Some(name) = resources.iter().find(|name| !is_resource(name)) {
            return Err(IamError::NotAnArn { name: name.clone() }.into());
        }
        if resources.len() > RESOURCES_MAX {
            return Err(IamError::TooManyResources { max: RESOURCES_MAX }.into());
        }
        let begin = match marker {
            None => 0,
            Some(marker) => cx
                .open_token(query, marker)
                .and_then(|place| Some(u64::from_be_bytes(*place.expose().first_chunk::<8>()?)))
                .and_then(|place| usize::try_from(place).ok())
                .ok_or(IamError::InvalidMarker)?,
        };
        let max = max_items.and_then(|max| usize::try_from(max).ok()).unwrap_or(RESULTS_DEFAULT);
        let mut results = Vec::new();
        for action in self.actions.iter().skip(begin).take(max) {
            let is_full = results.len().saturating_mul(resources.len()) >= PAIRS_MAX;
            if is_full || (!results.is_empty() && cx.has_run_long()) {
                break;
            }
            match scene.result(action, &resources, &|| cx.has_run_long()) {
                Some(result) => results.push(result),
                // What does not fit into this page may fit into one of its own.
                None if !results.is_empty() => break,
                None => return Err(IamError::TakesTooLong { action: action.clone() }.into()),
            }
        }
        let end = begin + results.len();
        let marker = (end < self.actions.len()).then(|| cx.seal_token(query, &(end as u64).to_be_bytes()));
        Ok(SimulatePolicyResponse {
            evaluation_results: Some(results),
            is_truncated: Some(marker.is_some()),
            marker,
        })
    }
}

/// `service:Name`
fn is_action(name: &str) -> bool {
    name.split_once(':').is_some_and(|(service, name)| {
        !service.is_empty() && !name.is_empty() && !name.contains(':') && !service.contains('*')
    })
}

/// An ARN, or `*`.
fn is_resource(name: &str) -> bool {
    name == EVERYTHING || (name.starts_with("arn:") && name.splitn(6, ':').count() == 6)
}

/// An account is told by the ARN of its root.
fn owner(text: &str) -> Result<AccountId, IamError> {
    let arn: Option<Arn> = text.parse().ok();
    let account = arn.filter(|arn| arn.service() == "iam" && arn.resource() == "root");
    let account = account.and_then(|arn| arn.account().parse().ok());
    account.ok_or_else(|| IamError::InvalidOwner { owner: text.to_owned() })
}

fn entries(entries: Vec<ContextEntry>) -> Result<Entries, IamError> {
    let mut read: Vec<Entry> = Vec::new();
    for ContextEntry { context_key_name, context_key_values, context_key_type } in entries {
        let name = context_key_name.ok_or(IamError::NamelessKey)?;
        let invalid = || IamError::InvalidKeyValues { key: name.clone() };
        let values = context_key_values.unwrap_or_default();
        let of_type = context_key_type.as_deref().map(ContextKeyTypeEnum::try_from).transpose();
        let is_list = match of_type.map_err(|_| invalid())? {
            None
            | Some(
                ContextKeyTypeEnum::String
                | ContextKeyTypeEnum::Numeric
                | ContextKeyTypeEnum::Boolean
                | ContextKeyTypeEnum::Ip
                | ContextKeyTypeEnum::Binary
                | ContextKeyTypeEnum::Date,
            ) => false,
            Some(
                ContextKeyTypeEnum::StringList
                | ContextKeyTypeEnum::NumericList
                | ContextKeyTypeEnum::BooleanList
                | ContextKeyTypeEnum::IpList
                | ContextKeyTypeEnum::BinaryList
                | ContextKeyTypeEnum::DateList,
            ) => true,
        };
        // A key has one value, unless it is a list.
        if !is_list && values.len() > 1 {
            return Err(invalid());
        }
        if read.iter().any(|known| known.name == name) {
            return Err(IamError::KeyTwice { key: name });
        }
        read.push(Entry { name, values, is_list });
    }
    Ok(Entries(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_arns_has_one_star_in_its_name() {
        const ARN: &str = "arn:aws:iam::aws:policy/job/ReadOnlyAccess";
        for (pattern, expected) in [
            (ARN, Some(true)),
            ("arn:aws:iam::aws:policy/job/ReadOnly*", Some(true)),
            ("arn:aws:iam::aws:policy/*", Some(true)),
            ("arn:aws:iam::aws:policy/job/Read????Access", Some(true)),
            ("arn:aws:iam::aws:policy/*/Read?nlyAccess", Some(true)),
            ("arn:aws:iam::aws:policy/job/ReadOnlyAccess*ReadOnlyAccess", Some(false)),
            ("arn:aws:iam::111122223333:policy/*", Some(false)),
            ("arn:aws:iam::aws:policy/*/Read*", None),
            ("arn:aws:iam::*:policy/ReadOnlyAccess", None),
            ("arn:aws:iam::aws:role/ReadOnlyAccess", None),
            ("ReadOnlyAccess", None),
        ] {
            let found = ArnPattern::parse(pattern).ok().map(|pattern| pattern.covers(ARN));
            assert_eq!(found, expected, "{pattern}");
        }
    }

    #[test]
    fn owners_actions_and_resources_have_their_form() {
        assert_eq!(owner("arn:aws:iam::111122223333:root"), Ok("111122223333".parse().unwrap()));
        for text in ["111122223333", "arn:aws:iam::111122223333:user/a", "arn:aws:iam::1:root", ""] {
            assert_eq!(owner(text), Err(IamError::InvalidOwner { owner: text.to_owned() }));
        }
        assert!(is_action("s3:GetObject") && is_action("s3:Get*"));
        assert!(!["*", "s3", "s3:", ":Get", "a:b:c", "*:Get"].into_iter().any(is_action));
        assert!(is_resource("*") && is_resource("arn:aws:s3:::b/*"));
        assert!(!["", "**", "b", "arn:aws:s3"].into_iter().any(is_resource));
    }
}

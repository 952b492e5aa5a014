//! AssumeRoleWithWebIdentity: somebody whom an identity provider vouches for takes on a role.
//!
//! Whether the provider does vouch for him was found out before anything ran here: his token is what he proves himself with, as others
//! do with a signature. What comes here is the principal that was made of it.

use std::sync::Arc;

use coffer_core::{Cx, Db, LoadError, Partition, PrincipalKind, WebIdentity};
use coffer_model::sts::{AssumeRoleWithWebIdentityRequest, AssumeRoleWithWebIdentityResponse, action};
use coffer_shape::{ApiError, ConditionValue, Conditions};
use coffer_types::{AccountId, Region};

use super::{
    assume_role::shown,
    error::StsError,
    limits::{Limits, Wishes},
    role_asked_for::RoleName,
    session_token::{self, Holder},
};
use crate::oidc_provider::OidcProviderRecord;

const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
const SOURCE_IDENTITY_CHARS: std::ops::RangeInclusive<usize> = 2..=64;

/// An identity provider that the account of a role takes tokens of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProvider {
    pub account: AccountId,
    pub arn: String,
    /// Audiences that a token may be for.
    pub client_ids: Vec<String>,
}

/// The provider with this URL, without its scheme, in the account of a role. None if there is none; an error for what is no role.
pub fn trusted_provider(
    db: &Db,
    role_arn: &str,
    url: &str,
) -> Result<Result<Option<TrustedProvider>, LoadError>, ApiError> {
    let account = RoleName::parse(role_arn)?.account();
    let partition = Partition::new(account, Region::global());
    Ok(db.read::<OidcProviderRecord>(&partition, &[url]).map(|found| {
        found.map(|provider| TrustedProvider {
            account,
            arn: provider.arn.clone(),
            client_ids: provider.client_ids.clone(),
        })
    }))
}

/// Gives out credentials for a session of a role, if its trust policy lets in whoever the provider vouches for.
pub(super) fn assume_role_with_web_identity(
    cx: &mut Cx<'_>,
    input: AssumeRoleWithWebIdentityRequest,
) -> Result<AssumeRoleWithWebIdentityResponse, ApiError> {
    let name = RoleName::parse(&input.role_arn)?;
    let PrincipalKind::WebIdentity(identity) = &cx.caller().kind else {
        cx.needs_no_permission("nobody is let in");
        return Err(StsError::NotByToken.into());
    };
    let (identity, provider) = (Arc::clone(identity), cx.caller().arn.clone());
    check_claims(&identity)?;
    let limits = Limits::of(
        cx,
        Wishes {
            seconds: input.duration_seconds,
            policy: input.policy,
            policy_arns: input.policy_arns,
            tags: identity.tags.clone(),
            transitive_tag_keys: identity.transitive_tag_keys.clone(),
            source_identity: identity.source_identity.clone(),
        },
    )?;

    cx.also_asks(asked_by(&identity));
    let role = name.find(cx, Some(Arc::clone(&identity)))?;
    let role = role.permit(cx, action::ASSUME_ROLE_WITH_WEB_IDENTITY)?;
    if limits.has_tags() {
        cx.ask(action::TAG_SESSION, &role)?;
    }
    if limits.has_source_identity() {
        cx.ask(action::SET_SOURCE_IDENTITY, &role)?;
    }
    let role = role.record(cx)?;
    limits.check(cx, name.account(), role.max_session_seconds)?;

    let (packed_policy_size, source_identity) = (limits.packed_percent(), limits.source_identity());
    let holder = Holder::role(role, input.role_session_name);
    let assumed_role_user = Some(shown(&holder.principal(name.account(), None)));
    let session = limits.into_session(cx, Some(provider.clone()));
    let credentials = session_token::give_out(cx, name.account(), holder, session)?;
    Ok(AssumeRoleWithWebIdentityResponse {
        credentials: Some(credentials),
        subject_from_web_identity_token: Some(identity.subject.clone()),
        assumed_role_user,
        packed_policy_size,
        provider: Some(provider),
        audience: Some(identity.audience.clone()),
        source_identity,
        ..AssumeRoleWithWebIdentityResponse::default()
    })
}

/// What comes in a token is not held against the model of the request, so it is held against its bounds here.
fn check_claims(identity: &WebIdentity) -> Result<(), StsError> {
    let is_key =
        |key: &str| (1..=TAG_KEY_CHARS_MAX).contains(&key.chars().count()) && key.chars().all(is_of_tag);
    let is_value = |value: &str| value.chars().count() <= TAG_VALUE_CHARS_MAX && value.chars().all(is_of_tag);
    let is_source = |name: &String| {
        SOURCE_IDENTITY_CHARS.contains(&name.chars().count())
            && name.chars().all(|char| char.is_alphanumeric() || "_+=,.@-".contains(char))
    };
    let is_good = identity.tags.iter().all(|(key, value)| is_key(key) && is_value(value))
        && identity.source_identity.iter().all(is_source);
    if is_good { Ok(()) } else { Err(StsError::NotATagOfAToken) }
}

/// Letters, numbers and spaces of all scripts, and a few signs.
fn is_of_tag(char: char) -> bool {
    char.is_alphanumeric() || (char.is_whitespace() && !char.is_control()) || "_.:/=+-@".contains(char)
}

/// What a request brings along that has tags in its token instead of its members.
fn asked_by(identity: &WebIdentity) -> Conditions {
    let mut conditions: Conditions = identity
        .tags
        .iter()
        .map(|(key, value)| (format!("aws:RequestTag/{key}"), ConditionValue::One(value.clone())))
        .collect();
    if !identity.tags.is_empty() {
        let keys = identity.tags.iter().map(|(key, _)| key.clone()).collect();
        conditions.push((String::from("aws:TagKeys"), ConditionValue::Many(keys)));
    }
    if !identity.transitive_tag_keys.is_empty() {
        let keys = identity.transitive_tag_keys.clone();
        conditions.push((String::from("sts:TransitiveTagKeys"), ConditionValue::Many(keys)));
    }
    if let Some(name) = &identity.source_identity {
        conditions.push((String::from("sts:SourceIdentity"), ConditionValue::One(name.clone())));
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(tags: &[(&str, &str)], source: Option<&str>) -> WebIdentity {
        WebIdentity {
            issuer: String::from("id.example.com"),
            subject: String::from("system:serviceaccount:prod:api"),
            audience: String::from("sts.amazonaws.com"),
            claims: vec![],
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            transitive_tag_keys: vec![],
            source_identity: source.map(str::to_owned),
        }
    }

    #[test]
    fn tags_of_a_token_are_tags() {
        let long = "k".repeat(129);
        for (tags, source, is_good) in [
            (&[][..], None, true),
            (&[("team", "blue and red")], Some("ann@example.com"), true),
            (&[("", "x")], None, false),
            (&[(long.as_str(), "x")], None, false),
            (&[("team", "bl*e")], None, false),
            (&[], Some("a"), false),
            (&[], Some("ann bob"), false),
        ] {
            assert_eq!(check_claims(&identity(tags, source)).is_ok(), is_good, "{tags:?} {source:?}");
        }
    }

    #[test]
    fn policies_may_ask_about_the_tags_of_a_token() {
        let keys = asked_by(&identity(&[("team", "blue")], Some("ann")));
        let names: Vec<&str> = keys.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["aws:RequestTag/team", "aws:TagKeys", "sts:SourceIdentity"]);
    }
}

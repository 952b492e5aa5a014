//! What a session of a role is to be like: how long it lasts, what it may do at most, which tags it has.
//!
//! All of it is told by whoever asks for the session, so each part is checked here before anybody is let in.

use coffer_core::{Cx, Partition, PolicyText, PrincipalKind, Session};
use coffer_model::sts::{PolicyDescriptorType, Tag};
use coffer_policy::Kind;
use coffer_shape::ApiError;
use coffer_types::{AccountId, Region};

use super::{error::StsError, session_token};
use crate::{bundled, managed};

pub(super) const SECONDS_DEFAULT: i64 = 3600;
/// Of a session that begins from another.
const SECONDS_MAX_OF_CHAIN: i64 = 3600;
const POLICY_ARNS_MAX: usize = 10;
/// What policies and tags of a session may take together; the token has to fit into a header. Our choice: AWS does not say how it packs.
const PACKED_BYTES_MAX: usize = 4096;

/// As it was asked for, and checked as far as it can be without knowing the role.
#[derive(Debug, Default)]
pub(super) struct Limits {
    seconds: i64,
    policies: Vec<PolicyText>,
    policy_arns: Vec<String>,
    tags: Vec<(String, String)>,
    transitive_tag_keys: Vec<String>,
    source_identity: Option<String>,
    packed_percent: Option<i64>,
}

/// What a request says of all this.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub seconds: Option<i64>,
    pub policy: Option<String>,
    pub policy_arns: Option<Vec<PolicyDescriptorType>>,
    pub tags: Vec<(String, String)>,
    pub transitive_tag_keys: Vec<String>,
    pub source_identity: Option<String>,
}

impl Limits {
    /// `cx` knows whether the session begins from another, whose tags and source identity go on.
    pub(super) fn of(cx: &Cx<'_>, wishes: Wishes) -> Result<Self, StsError> {
        let caller = cx.caller();
        let seconds = wishes.seconds.unwrap_or(SECONDS_DEFAULT);
        if matches!(caller.kind, PrincipalKind::AssumedRole(_)) && seconds > SECONDS_MAX_OF_CHAIN {
            return Err(StsError::TooLongForChain);
        }
        let policies: Vec<PolicyText> =
            wishes.policy.map(|text| policy(&text)).transpose()?.into_iter().collect();
        let policy_arns: Vec<String> =
            wishes.policy_arns.unwrap_or_default().into_iter().filter_map(|policy| policy.arn).collect();
        if policy_arns.len() > POLICY_ARNS_MAX {
            return Err(StsError::TooManyPolicies);
        }
        check_tags(&wishes.tags, &wishes.transitive_tag_keys)?;
        let has_wishes = !policies.is_empty() || !policy_arns.is_empty() || !wishes.tags.is_empty();

        let (mut tags, mut transitive_tag_keys) = inherited(caller.session.as_deref());
        if transitive_tag_keys.iter().any(|key| wishes.tags.iter().any(|(wish, _)| is_same(wish, key))) {
            return Err(StsError::TagIsInherited);
        }
        tags.extend(wishes.tags);
        transitive_tag_keys.extend(wishes.transitive_tag_keys);
        let source_identity = source_identity(caller.session.as_deref(), wishes.source_identity)?;

        let mut limits = Self {
            seconds,
            policies,
            policy_arns,
            tags,
            transitive_tag_keys,
            source_identity,
            packed_percent: None,
        };
        let percent = limits.percent();
        if percent > 100 {
            return Err(StsError::TooLarge { percent, has_policies: limits.has_policies() });
        }
        limits.packed_percent = has_wishes.then_some(percent);
        Ok(limits)
    }

    /// What depends on the role: its own bound, and the account in which managed policies are looked for.
    pub(super) fn check(
        &self,
        cx: &Cx<'_>,
        account: AccountId,
        max_session_seconds: i64,
    ) -> Result<(), ApiError> {
        if self.seconds > max_session_seconds {
            return Err(StsError::TooLongForRole.into());
        }
        let home = Partition::new(account, Region::global());
        for arn in &self.policy_arns {
            let is_known = bundled::find(arn).is_some()
                || match managed::key_in(arn, account.as_str()) {
                    Some(key) => cx.exists_abroad::<managed::PolicyRecord>(&home, &[&key], arn)?,
                    None => false,
                };
            if !is_known {
                return Err(StsError::NoSuchPolicy { arn: arn.clone() }.into());
            }
        }
        Ok(())
    }

    /// Also those that a calling session passes on: a role that does not let sessions be tagged is not to have them either.
    pub(super) const fn has_tags(&self) -> bool {
        !self.tags.is_empty()
    }

    pub(super) const fn has_source_identity(&self) -> bool {
        self.source_identity.is_some()
    }

    pub(super) fn source_identity(&self) -> Option<String> {
        self.source_identity.clone()
    }

    /// Told only to those who sent something that had to be packed.
    pub(super) const fn packed_percent(&self) -> Option<i64> {
        self.packed_percent
    }

    pub(super) fn into_session(self, cx: &Cx<'_>, federated_provider: Option<String>) -> Session {
        let is_certain = |session: &std::sync::Arc<Session>| session.mfa;
        Session {
            issued_at: cx.now(),
            expires_at: cx.now().plus(session_token::seconds(self.seconds)),
            source_identity: self.source_identity,
            federated_provider,
            mfa: cx.caller().session.as_ref().is_some_and(is_certain),
            tags: self.tags,
            transitive_tag_keys: self.transitive_tag_keys,
            policies: self.policies,
            policy_arns: self.policy_arns,
        }
    }

    fn has_policies(&self) -> bool {
        !self.policies.is_empty() || !self.policy_arns.is_empty()
    }

    fn percent(&self) -> i64 {
        let texts = self.policies.iter().map(|policy| policy.as_str().len());
        let arns = self.policy_arns.iter().map(String::len);
        let tags = self.tags.iter().map(|(key, value)| key.len() + value.len());
        let transitive = self.transitive_tag_keys.iter().map(String::len);
        let bytes: usize = texts.chain(arns).chain(tags).chain(transitive).sum();
        i64::try_from((bytes * 100).div_ceil(PACKED_BYTES_MAX)).unwrap_or(i64::MAX)
    }
}

/// A session policy, without the white space between its words: it travels in the token.
fn policy(text: &str) -> Result<PolicyText, StsError> {
    PolicyText::parse(Kind::Inline, text.to_owned())
        .and_then(|_| PolicyText::parse(Kind::Inline, packed(text)))
        .map_err(StsError::Malformed)
}

/// A JSON text with nothing between its words.
fn packed(text: &str) -> String {
    let (mut in_string, mut is_escaped) = (false, false);
    let counts = |char: &char| {
        let ends_or_begins = *char == '"' && !is_escaped;
        is_escaped = in_string && *char == '\\' && !is_escaped;
        in_string ^= ends_or_begins;
        in_string || !char.is_ascii_whitespace()
    };
    text.chars().filter(counts).collect()
}

/// As a list of AWS's shape.
pub(super) fn pairs(tags: Option<Vec<Tag>>) -> Vec<(String, String)> {
    tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect()
}

fn check_tags(tags: &[(String, String)], transitive: &[String]) -> Result<(), StsError> {
    for (index, (key, _)) in tags.iter().enumerate() {
        if tags.iter().skip(index + 1).any(|(other, _)| is_same(other, key)) {
            return Err(StsError::TagKeyTwice);
        }
    }
    let is_sent = |key: &String| tags.iter().any(|(sent, _)| is_same(sent, key));
    if transitive.iter().all(is_sent) { Ok(()) } else { Err(StsError::TransitiveButNotSent) }
}

/// The tags that a session passes on, and that they go on from there.
fn inherited(session: Option<&Session>) -> (Vec<(String, String)>, Vec<String>) {
    let Some(session) = session else { return (Vec::new(), Vec::new()) };
    let keys = session.transitive_tag_keys.clone();
    let is_passed_on = |(key, _): &&(String, String)| keys.iter().any(|passed| is_same(passed, key));
    (session.tags.iter().filter(is_passed_on).cloned().collect(), keys)
}

/// Who is behind a session stays the same, however many roles he takes on from there.
fn source_identity(session: Option<&Session>, wish: Option<String>) -> Result<Option<String>, StsError> {
    match (session.and_then(|session| session.source_identity.clone()), wish) {
        (Some(known), Some(wish)) if known != wish => Err(StsError::SourceIdentityIsInherited),
        (known, wish) => Ok(known.or(wish)),
    }
}

fn is_same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(tags: &[(&str, &str)]) -> Vec<(String, String)> {
        tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn keys(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn tags_of_a_request() {
        for (tags, transitive, expected) in [
            (&[][..], &[][..], Ok(())),
            (&[("team", "blue"), ("env", "")], &["Team"], Ok(())),
            (&[("team", "blue"), ("TEAM", "red")], &[], Err(StsError::TagKeyTwice)),
            (&[("team", "blue")], &["env"], Err(StsError::TransitiveButNotSent)),
        ] {
            assert_eq!(check_tags(&pairs(tags), &keys(transitive)), expected, "{tags:?} {transitive:?}");
        }
    }

    #[test]
    fn what_a_session_passes_on() {
        assert_eq!(inherited(None), (vec![], vec![]));
        let session = Session {
            tags: pairs(&[("Team", "blue"), ("env", "prod")]),
            transitive_tag_keys: keys(&["team"]),
            source_identity: Some(String::from("ann")),
            ..Session::default()
        };
        assert_eq!(inherited(Some(&session)), (pairs(&[("Team", "blue")]), keys(&["team"])));
        for (wish, expected) in [
            (None, Ok(Some("ann"))),
            (Some("ann"), Ok(Some("ann"))),
            (Some("bob"), Err(StsError::SourceIdentityIsInherited)),
        ] {
            let expected = expected.map(|name| name.map(str::to_owned));
            assert_eq!(source_identity(Some(&session), wish.map(str::to_owned)), expected);
        }
        assert_eq!(source_identity(None, Some(String::from("bob"))), Ok(Some(String::from("bob"))));
    }

    #[test]
    fn what_is_packed_has_no_white_space_between_its_words() {
        for (text, expected) in [
            ("{ \"a b\" :\n\t[ 1 , true ] }\r\n", "{\"a b\":[1,true]}"),
            (r#"{"a\" \\": " b\\" , "c" : " "}"#, r#"{"a\" \\":" b\\","c":" "}"#),
        ] {
            assert_eq!(packed(text), expected);
        }
    }

    #[test]
    fn a_session_has_room_for_so_much() {
        let full = Limits { tags: pairs(&[("k", &"v".repeat(4095))]), ..Limits::default() };
        assert_eq!(full.percent(), 100);
        let more = Limits { policy_arns: keys(&["x"]), ..full };
        assert_eq!(more.percent(), 101);
        let spread = format!(
            "{{\"Statement\": {}[{{\"Effect\":\"Allow\",\"Action\":\"a:b\",\"Resource\":\"*\"}}]}}",
            " ".repeat(50_000)
        );
        let policies = vec![policy(&spread).unwrap()];
        assert_eq!(Limits { policies, ..Limits::default() }.percent(), 2);
        assert!(matches!(policy("{"), Err(StsError::Malformed(_))));
    }
}

//! Somebody in whose name something is done later.
//!
//! What is kept of him is who he is and what his session may do at most, never his credentials; what he may do is asked when it is done, of
//! the policies of that moment.

use std::sync::Arc;

use coffer_core::{AssumedRole, Cx, PolicyText, Principal, PrincipalKind, Session};
use coffer_shape::{ApiError, record};
use coffer_types::{Arn, Timestamp};

use crate::secret::TagRecord;

record! {
    #[derive(Clone)]
    pub struct SessionRecord {
        pub issued_at: Timestamp,
        pub expires_at: Timestamp,
        pub source_identity: Option<String>,
        pub federated_provider: Option<String>,
        pub mfa: bool,
        pub tags: Vec<TagRecord>,
        pub transitive_tag_keys: Vec<String>,
        pub policies: Vec<PolicyText>,
        pub policy_arns: Vec<String>,
    }
}

record! {
    /// Somebody with an identity of an account.
    #[derive(Clone)]
    pub struct PrincipalRecord {
        pub account: String,
        pub arn: String,
        pub user_id: String,
        /// The name of the user. Neither this nor a role: it is the root of the account.
        pub user: Option<String>,
        /// The ARN of the role.
        pub role: Option<String>,
        pub role_id: String,
        pub session_name: String,
        pub session: Option<Box<SessionRecord>>,
    }
}

impl PrincipalRecord {
    /// Nothing for Coffer itself, who acts for somebody else.
    pub(crate) fn of(principal: &Principal) -> Option<Self> {
        let mut known = Self {
            account: principal.account.to_string(),
            arn: principal.arn.clone(),
            user_id: principal.user_id.clone(),
            session: principal.session.as_deref().map(|session| Box::new(kept(session))),
            ..Self::default()
        };
        match &principal.kind {
            PrincipalKind::Root => {}
            PrincipalKind::User { name } => known.user = Some(name.clone()),
            PrincipalKind::AssumedRole(role) => {
                known.role = Some(role.arn.clone());
                known.role_id.clone_from(&role.id);
                known.session_name.clone_from(&role.session_name);
            }
            PrincipalKind::WebIdentity(_) | PrincipalKind::Service { .. } => return None,
        }
        Some(known)
    }

    pub(crate) fn session_is_over(&self, now: Timestamp) -> bool {
        self.session.as_ref().is_some_and(|session| session.expires_at <= now)
    }

    /// Who that is today, whether or not his session is over; nobody if he or his role is gone. A user may have another name by now.
    pub(crate) fn today(&self, cx: &Cx<'_>) -> Result<Option<Principal>, ApiError> {
        let account = self.account.parse().map_err(|error| cx.internal(error))?;
        let mut arn = self.arn.clone();
        let kind = match (&self.user, &self.role) {
            (Some(name), _) => {
                let once: Arn = arn.parse().map_err(|error| cx.internal(error))?;
                if cx.identity(&once)?.as_ref() == Some(&self.user_id) {
                    PrincipalKind::User { name: name.clone() }
                } else {
                    // Nobody has his id any more, whoever may have his name.
                    let Some(now) = cx.arn_of_identity(&once, &self.user_id)? else { return Ok(None) };
                    arn = now;
                    PrincipalKind::User { name: arn.rsplit('/').next().unwrap_or_default().to_owned() }
                }
            }
            (None, Some(role)) => {
                let known: Arn = role.parse().map_err(|error| cx.internal(error))?;
                if cx.identity(&known)?.as_ref() != Some(&self.role_id) {
                    return Ok(None);
                }
                PrincipalKind::AssumedRole(AssumedRole {
                    arn: role.clone(),
                    id: self.role_id.clone(),
                    session_name: self.session_name.clone(),
                })
            }
            (None, None) => PrincipalKind::Root,
        };
        Ok(Some(Principal {
            account,
            kind,
            arn,
            user_id: self.user_id.clone(),
            access_key_id: None,
            session: self.session.as_deref().map(|session| Arc::new(given(session))),
        }))
    }
}

fn kept(session: &Session) -> SessionRecord {
    let tag = |(key, value): &(String, String)| TagRecord { key: key.clone(), value: value.clone() };
    SessionRecord {
        issued_at: session.issued_at,
        expires_at: session.expires_at,
        source_identity: session.source_identity.clone(),
        federated_provider: session.federated_provider.clone(),
        mfa: session.mfa,
        tags: session.tags.iter().map(tag).collect(),
        transitive_tag_keys: session.transitive_tag_keys.clone(),
        policies: session.policies.clone(),
        policy_arns: session.policy_arns.clone(),
    }
}

fn given(session: &SessionRecord) -> Session {
    Session {
        issued_at: session.issued_at,
        expires_at: session.expires_at,
        source_identity: session.source_identity.clone(),
        federated_provider: session.federated_provider.clone(),
        mfa: session.mfa,
        tags: session.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect(),
        transitive_tag_keys: session.transitive_tag_keys.clone(),
        policies: session.policies.clone(),
        policy_arns: session.policy_arns.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_kept_with_his_session_and_without_his_key() {
        let session = Session {
            issued_at: Timestamp::from_millis(1),
            expires_at: Timestamp::from_millis(2),
            source_identity: Some(String::from("ann")),
            federated_provider: Some(String::from("idp")),
            mfa: true,
            tags: vec![(String::from("team"), String::from("blue"))],
            transitive_tag_keys: vec![String::from("team")],
            policies: vec![PolicyText::default()],
            policy_arns: vec![String::from("arn:aws:iam::aws:policy/ReadOnlyAccess")],
        };
        let principal = Principal {
            account: "111122223333".parse().unwrap(),
            kind: PrincipalKind::AssumedRole(AssumedRole {
                arn: String::from("arn:aws:iam::111122223333:role/app"),
                id: String::from("AROAAAAAAAAAAAAAAAAAA"),
                session_name: String::from("s"),
            }),
            arn: String::from("arn:aws:sts::111122223333:assumed-role/app/s"),
            user_id: String::from("AROAAAAAAAAAAAAAAAAAA:s"),
            access_key_id: Some(String::from("ASIAAAAAAAAAAAAAAAAA")),
            session: Some(Arc::new(session.clone())),
        };
        let kept_one = PrincipalRecord::of(&principal).unwrap();
        let bytes = coffer_shape::stored::to_bytes(&kept_one).unwrap();
        let stored: PrincipalRecord = coffer_shape::stored::from_bytes(bytes.expose()).unwrap();
        assert_eq!(given(stored.session.as_deref().unwrap()), session);
        assert!(!format!("{kept_one:?}").contains("ASIA"));
        assert!(PrincipalRecord::of(&Principal::service(principal.account, "coffer.internal")).is_none());
    }
}

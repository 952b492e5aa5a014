//! Session tokens: everything that is known of temporary credentials, sealed and carried by whoever has them.
//!
//! Nothing is stored when credentials are given out, so nothing has to be looked up and deleted. The token opens for the key id that it
//! was made for and for no other, and the id carries the account. What is not in the token is asked anew each time: whether the user or
//! role still exists, as the same one. So credentials end when they expire, and when whoever they stand for is deleted, whether or not
//! somebody else is made under the old name.

use std::{sync::Arc, time::Duration};

use coffer_core::{AssumedRole, Cx, Db, LoadError, Partition, PolicyText, Principal, PrincipalKind, Session};
use coffer_crypto::sha256;
use coffer_model::sts::Credentials;
use coffer_shape::{ApiError, record, stored};
use coffer_types::{AccountId, Arn, Region, Secret, Timestamp};

use crate::{
    access_key::{account_of, new_secret, new_temporary_id},
    name::{key_of, name_in},
    role::RoleRecord,
    tags::TagRecord,
    trust::MovedRecord,
    user::UserRecord,
};

record! {
    /// What is sealed. A field can be appended; tokens of before lack it.
    struct Sealed {
        secret: Secret<String>,
        issued_at: Timestamp,
        expires_at: Timestamp,
        /// The name of the user. Neither this nor a role: it is the root of the account.
        user: Option<String>,
        /// The ARN of the role.
        role: Option<String>,
        /// Of the user or the role.
        unique_id: String,
        session_name: String,
        source_identity: Option<String>,
        federated_provider: Option<String>,
        mfa: bool,
        tags: Vec<TagRecord>,
        transitive_tag_keys: Vec<String>,
        policies: Vec<PolicyText>,
        policy_arns: Vec<String>,
    }
}

/// Whom credentials stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    Root,
    User { name: String, id: String },
    Role(AssumedRole),
}

impl Holder {
    pub(super) fn role(role: &RoleRecord, session_name: String) -> Self {
        Self::Role(AssumedRole { arn: role.arn.clone(), id: role.role_id.clone(), session_name })
    }

    /// The ARN of a user follows him, so it is not made up here: see [`Holder::found`].
    pub(super) fn principal(&self, account: AccountId, access_key_id: Option<String>) -> Principal {
        match self {
            Self::Root => Principal::root(account, access_key_id),
            Self::User { name, id } => Principal {
                account,
                kind: PrincipalKind::User { name: name.clone() },
                arn: Arn::global("iam", account, &format!("user/{name}")).to_string(),
                user_id: id.clone(),
                access_key_id,
                session: None,
            },
            Self::Role(role) => {
                let resource = format!("assumed-role/{}/{}", name_in(&role.arn), role.session_name);
                Principal {
                    account,
                    arn: Arn::global("sts", account, &resource).to_string(),
                    user_id: format!("{}:{}", role.id, role.session_name),
                    kind: PrincipalKind::AssumedRole(role.clone()),
                    access_key_id,
                    session: None,
                }
            }
        }
    }

    /// Who that is today; nobody if he was deleted. A user may have another name by now.
    fn found(&self, db: &Db, account: AccountId, key: &str) -> Result<Option<Principal>, LoadError> {
        let partition = Partition::new(account, Region::global());
        let principal = self.principal(account, Some(key.to_owned()));
        match self {
            Self::Root => Ok(Some(principal)),
            Self::User { name, id } => {
                let user = user_of(db, &partition, name, id)?;
                Ok(user.map(|user| Principal {
                    kind: PrincipalKind::User { name: user.name.clone() },
                    arn: user.arn.clone(),
                    ..principal
                }))
            }
            Self::Role(AssumedRole { arn, id, .. }) => {
                let role = db.read::<RoleRecord>(&partition, &[&key_of(name_in(arn))])?;
                Ok(role.filter(|role| role.role_id == *id).map(|_| principal))
            }
        }
    }
}

fn user_of(
    db: &Db,
    partition: &Partition,
    name: &str,
    id: &str,
) -> Result<Option<Arc<UserRecord>>, LoadError> {
    let named = |name: &str| -> Result<Option<Arc<UserRecord>>, LoadError> {
        let user = db.read::<UserRecord>(partition, &[&key_of(name)])?;
        Ok(user.filter(|user| user.user_id == id))
    };
    if let Some(user) = named(name)? {
        return Ok(Some(user));
    }
    match db.read::<MovedRecord>(partition, &[id])? {
        Some(moved) => named(name_in(&moved.arn)),
        None => Ok(None),
    }
}

/// Makes a key for a session, and the token that it goes with.
pub(super) fn give_out(
    cx: &Cx<'_>,
    account: AccountId,
    holder: Holder,
    session: Session,
) -> Result<Credentials, ApiError> {
    let access_key_id = new_temporary_id(cx.entropy(), account);
    let secret = new_secret(cx.entropy());
    let expiration = session.expires_at;
    let sealed = seal(holder, session, Secret::new(secret.expose().clone()));
    let content = stored::to_bytes(&sealed).map_err(|error| cx.internal(error))?;
    let session_token = Secret::new(cx.seal_session(&access_key_id, &content));
    Ok(Credentials { access_key_id, secret_access_key: secret, session_token, expiration })
}

fn seal(holder: Holder, session: Session, secret: Secret<String>) -> Sealed {
    let mut sealed = Sealed {
        secret,
        issued_at: session.issued_at,
        expires_at: session.expires_at,
        source_identity: session.source_identity,
        federated_provider: session.federated_provider,
        mfa: session.mfa,
        tags: session.tags.into_iter().map(|(key, value)| TagRecord { key, value }).collect(),
        transitive_tag_keys: session.transitive_tag_keys,
        policies: session.policies,
        policy_arns: session.policy_arns,
        ..Sealed::default()
    };
    match holder {
        Holder::Root => {}
        Holder::User { name, id } => (sealed.user, sealed.unique_id) = (Some(name), id),
        Holder::Role(AssumedRole { arn, id, session_name }) => {
            (sealed.role, sealed.unique_id, sealed.session_name) = (Some(arn), id, session_name);
        }
    }
    sealed
}

fn unseal(sealed: Sealed) -> (Holder, Session, Secret<String>) {
    let holder = match (sealed.user, sealed.role) {
        (Some(name), _) => Holder::User { name, id: sealed.unique_id },
        (None, Some(arn)) => {
            Holder::Role(AssumedRole { arn, id: sealed.unique_id, session_name: sealed.session_name })
        }
        (None, None) => Holder::Root,
    };
    let session = Session {
        issued_at: sealed.issued_at,
        expires_at: sealed.expires_at,
        source_identity: sealed.source_identity,
        federated_provider: sealed.federated_provider,
        mfa: sealed.mfa,
        tags: sealed.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
        transitive_tag_keys: sealed.transitive_tag_keys,
        policies: sealed.policies,
        policy_arns: sealed.policy_arns,
    };
    (holder, session, sealed.secret)
}

/// What a token turned out to be.
#[derive(Debug)]
pub enum OpenedSession {
    Valid(SessionKey),
    Expired,
    /// Of somebody who is no more.
    Orphaned,
    /// Not ours, changed, or of another key.
    Invalid,
}

/// A key that is good for a while, and whom it stands for.
#[derive(Debug)]
pub struct SessionKey {
    pub secret: Secret<String>,
    /// Tells the secret from any other of this key id.
    pub generation: u64,
    pub principal: Principal,
}

/// Opens the token that came with a key id.
pub fn open_session(
    db: &Db,
    access_key_id: &str,
    token: &str,
    now: Timestamp,
) -> Result<OpenedSession, LoadError> {
    let Some(account) = account_of(access_key_id) else { return Ok(OpenedSession::Invalid) };
    let sealed = db
        .open_session(access_key_id, token)
        .and_then(|content| stored::from_bytes::<Sealed>(content.expose()).ok());
    let Some((holder, session, secret)) = sealed.map(unseal) else { return Ok(OpenedSession::Invalid) };
    if now >= session.expires_at {
        return Ok(OpenedSession::Expired);
    }
    let Some(principal) = holder.found(db, account, access_key_id)? else {
        return Ok(OpenedSession::Orphaned);
    };
    let principal = Principal { session: Some(Arc::new(session)), ..principal };
    Ok(OpenedSession::Valid(SessionKey { generation: generation(&secret), secret, principal }))
}

fn generation(secret: &Secret<String>) -> u64 {
    let hash = sha256(secret.expose().as_bytes());
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A duration that was checked to be one.
pub(super) fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use coffer_policy::Kind;

    use super::*;

    fn session() -> Session {
        let policy = r#"{"Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*"}]}"#;
        Session {
            issued_at: Timestamp::from_seconds(1),
            expires_at: Timestamp::from_seconds(3601),
            source_identity: Some(String::from("ann")),
            federated_provider: Some(String::from("arn:aws:iam::111122223333:oidc-provider/x")),
            mfa: true,
            tags: vec![(String::from("team"), String::from("blue"))],
            transitive_tag_keys: vec![String::from("team")],
            policies: vec![PolicyText::parse(Kind::Inline, policy.to_owned()).unwrap()],
            policy_arns: vec![String::from("arn:aws:iam::aws:policy/ReadOnlyAccess")],
        }
    }

    #[test]
    fn a_session_survives_its_token() {
        let role = AssumedRole {
            arn: String::from("arn:aws:iam::111122223333:role/team/app"),
            id: String::from("AROAEXAMPLE"),
            session_name: String::from("s1"),
        };
        let user = Holder::User { name: String::from("ann"), id: String::from("AIDAEXAMPLE") };
        for holder in [Holder::Root, user, Holder::Role(role)] {
            let sealed = seal(holder.clone(), session(), Secret::new(String::from("hidden")));
            let bytes = stored::to_bytes(&sealed).unwrap();
            let (found, opened, secret) = unseal(stored::from_bytes(bytes.expose()).unwrap());
            assert_eq!((found, opened, secret.expose().as_str()), (holder, session(), "hidden"));
        }
    }

    #[test]
    fn the_arn_of_a_session_leaves_out_the_path_of_its_role() {
        let account = "111122223333".parse().unwrap();
        let role = AssumedRole {
            arn: String::from("arn:aws:iam::111122223333:role/team/app"),
            id: String::from("AROAEXAMPLE"),
            session_name: String::from("s1"),
        };
        let principal = Holder::Role(role).principal(account, None);
        assert_eq!(principal.arn, "arn:aws:sts::111122223333:assumed-role/app/s1");
        assert_eq!(principal.user_id, "AROAEXAMPLE:s1");
    }

    #[test]
    fn secrets_tell_generations_apart() {
        let of = |text: &str| generation(&Secret::new(text.to_owned()));
        assert_ne!(of("one"), of("other"));
        assert_eq!(of("one"), of("one"));
    }
}

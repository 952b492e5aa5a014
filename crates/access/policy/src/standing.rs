//! How a statement of a resource's policy means a caller: by name, by his role, by his account, or not at all.
//!
//! It makes a difference. Who is named himself is let in whatever his own policies leave out; who is let in as a session of a role is
//! still bound by the role's boundary; and an account that is named only says that its administrators may decide.
//!
//! Roles are compared by their id or their full ARN. The ARN of a session has no path, so no role can be made out of it.

use crate::{Caller, Effect, Principal, Scope};

/// From the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// One of an account that is named.
    Account,
    /// The session of a federated user whose user is named.
    FederatedUser,
    /// A session of a role that is named.
    Role,
    /// Named himself, or anyone is.
    Direct,
}

impl Standing {
    /// How a single principal means a caller.
    pub(crate) fn of(caller: &Caller<'_>, principal: &Principal) -> Option<Self> {
        match (principal, caller) {
            (Principal::Anyone, _) => Some(Self::Direct),
            (Principal::Account(id), Caller::Root { account, .. }) => (id == account).then_some(Self::Direct),
            (Principal::Account(id), _) => (Some(*id) == caller.account()).then_some(Self::Account),
            (Principal::User(named), Caller::User { arn, .. })
            | (Principal::RoleSession(named), Caller::RoleSession { arn, .. })
            | (Principal::FederatedUser(named), Caller::FederatedUser { arn, .. }) => {
                (named.as_str() == *arn).then_some(Self::Direct)
            }
            (Principal::User(named), Caller::FederatedUser { user, .. }) => {
                (named.as_str() == *user).then_some(Self::FederatedUser)
            }
            (Principal::Role(named), Caller::RoleSession { role, .. }) => {
                (named.as_str() == *role).then_some(Self::Role)
            }
            (Principal::UniqueId(named), Caller::User { id, .. }) => {
                (*id == Some(named.as_str())).then_some(Self::Direct)
            }
            (Principal::UniqueId(named), Caller::RoleSession { role_id, .. }) => {
                (*role_id == Some(named.as_str())).then_some(Self::Role)
            }
            (Principal::UniqueId(named), Caller::FederatedUser { user_id, .. }) => {
                (*user_id == Some(named.as_str())).then_some(Self::FederatedUser)
            }
            (Principal::Service(named), Caller::Service(name)) => (named == name).then_some(Self::Direct),
            (Principal::Federated(named), Caller::WebIdentity { provider }) => {
                (named == provider).then_some(Self::Direct)
            }
            _ => None,
        }
    }

    /// How a statement means a caller. `is_bounded` is whether he has a permissions boundary.
    pub(crate) fn in_statement(
        caller: &Caller<'_>,
        effect: Effect,
        principals: &Scope<Vec<Principal>>,
        is_bounded: bool,
    ) -> Option<Self> {
        let all =
            |listed: &[Principal]| listed.iter().filter_map(|principal| Self::of(caller, principal)).max();
        match (principals, effect) {
            (Scope::Only(listed), _) => all(listed),
            (Scope::AllBut(listed), Effect::Allow) => all(listed).is_none().then_some(Self::Direct),
            (Scope::AllBut(listed), Effect::Deny) => {
                (is_bounded || !is_spared(caller, listed)).then_some(Self::Direct)
            }
        }
    }
}

/// Whether a denial of all but these spares a caller. The account is not enough, nor is the role: a session must be named as well.
fn is_spared(caller: &Caller<'_>, listed: &[Principal]) -> bool {
    let is_listed_as =
        |wanted: Standing| listed.iter().any(|principal| Standing::of(caller, principal) == Some(wanted));
    listed.contains(&Principal::Anyone)
        || (is_listed_as(Standing::Direct)
            && (!matches!(caller, Caller::RoleSession { .. }) || is_listed_as(Standing::Role)))
}

#[cfg(test)]
mod tests {
    use coffer_types::{AccountId, Arn};

    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/svc/app";
    const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/app/s1";

    fn account() -> AccountId {
        "111122223333".parse().unwrap()
    }

    fn arn(text: &str) -> Arn {
        text.parse().unwrap()
    }

    fn session() -> Caller<'static> {
        Caller::RoleSession { arn: SESSION, account: account(), role: ROLE, role_id: Some("AROAEXAMPLE") }
    }

    #[test]
    fn a_session_is_meant_by_name_by_role_and_by_account() {
        for (principal, expected) in [
            (Principal::Anyone, Some(Standing::Direct)),
            (Principal::RoleSession(arn(SESSION)), Some(Standing::Direct)),
            (Principal::Role(arn(ROLE)), Some(Standing::Role)),
            (Principal::UniqueId(String::from("AROAEXAMPLE")), Some(Standing::Role)),
            (Principal::Account(account()), Some(Standing::Account)),
            (Principal::Role(arn("arn:aws:iam::111122223333:role/app")), None),
            (Principal::RoleSession(arn("arn:aws:sts::111122223333:assumed-role/app/s2")), None),
            (Principal::UniqueId(String::from("AROAOTHER")), None),
            (Principal::Account("444455556666".parse().unwrap()), None),
            (Principal::Service(String::from("lambda.amazonaws.com")), None),
        ] {
            assert_eq!(Standing::of(&session(), &principal), expected, "{principal:?}");
        }
    }

    #[test]
    fn a_denial_of_all_others_spares_a_session_that_is_named_with_its_role() {
        let role = Principal::Role(arn(ROLE));
        let name = Principal::RoleSession(arn(SESSION));
        let denies = |listed: &[&Principal], is_bounded| {
            let scope = Scope::AllBut(listed.iter().map(|one| (*one).clone()).collect());
            Standing::in_statement(&session(), Effect::Deny, &scope, is_bounded).is_some()
        };
        assert!(denies(&[&role], false));
        assert!(denies(&[&name], false));
        assert!(denies(&[&Principal::Account(account())], false));
        assert!(!denies(&[&role, &name], false));
        assert!(denies(&[&role, &name], true));
        assert!(!denies(&[&Principal::Anyone], false));
    }
}

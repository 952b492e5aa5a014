//! What an account has once: an alias, and the rules that passwords of its users follow.

use coffer_core::{Cx, table};
use coffer_shape::{ApiError, record};
use coffer_types::Secret;

use crate::error::IamError;

/// What AWS asks for where nobody has said anything else.
const LENGTH_DEFAULT: usize = 8;
const KINDS_DEFAULT: usize = 3;
/// What a policy asks for that does not say.
const LENGTH_MIN: i64 = 6;
/// AWS's list.
const SYMBOLS: &str = "!@#$%^&*()_+-=[]{}|'";
const ONLY: &str = "account";

record! {
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct PasswordRules {
        pub length_min: i64,
        pub symbols: bool,
        pub numbers: bool,
        pub upper_case: bool,
        pub lower_case: bool,
        pub users_may_change: bool,
        pub days_max: Option<i64>,
        pub passwords_remembered: Option<i64>,
        pub hard_expiry: Option<bool>,
    }
}

table! {
    0x1d "iam-account", version 1, key (key), part;

    #[derive(Clone)]
    pub struct AccountRecord {
        /// There is one.
        pub key: String,
        pub alias: Option<String>,
        pub password_rules: Option<PasswordRules>,
    }
}

impl AccountRecord {
    pub(crate) fn of(cx: &Cx<'_>) -> Result<Self, ApiError> {
        let found = cx.part::<Self>(&[ONLY])?.map(|account| (*account).clone());
        Ok(found.unwrap_or_else(|| Self { key: ONLY.to_owned(), ..Self::default() }))
    }

    /// Whether a password may be this one.
    pub(crate) fn ensure_conforms(&self, password: &Secret<String>) -> Result<(), IamError> {
        let text = password.expose();
        let has = |kind: fn(char) -> bool| text.chars().any(kind);
        let kinds = [
            has(|char| SYMBOLS.contains(char)),
            has(|char| char.is_ascii_digit()),
            has(|char| char.is_ascii_uppercase()),
            has(|char| char.is_ascii_lowercase()),
        ];
        let chars = text.chars().count();
        let conforms = match &self.password_rules {
            Some(rules) => {
                let wanted = [rules.symbols, rules.numbers, rules.upper_case, rules.lower_case];
                let is_long = usize::try_from(rules.length_min).is_ok_and(|min| chars >= min);
                is_long && wanted.iter().zip(kinds).all(|(wanted, has)| has || !wanted)
            }
            None => chars >= LENGTH_DEFAULT && kinds.iter().filter(|has| **has).count() >= KINDS_DEFAULT,
        };
        if conforms { Ok(()) } else { Err(IamError::PasswordTooWeak) }
    }
}

/// The shortest password that a policy asks for, if it asks.
pub(crate) fn length_min(asked: Option<i64>) -> i64 {
    asked.unwrap_or(LENGTH_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: Option<PasswordRules>, good: &[&str], bad: &[&str]) {
        let account = AccountRecord { password_rules: rules, ..AccountRecord::default() };
        for (passwords, expected) in [(good, Ok(())), (bad, Err(IamError::PasswordTooWeak))] {
            for password in passwords {
                let password = Secret::new((*password).to_owned());
                assert_eq!(account.ensure_conforms(&password), expected, "{}", password.expose());
            }
        }
    }

    #[test]
    fn without_rules_a_password_has_eight_characters_of_three_kinds() {
        check(
            None,
            &["Passw0rd", "passw0rd!", "PASS-w0rd"],
            &["Passw0r", "password1", "PASSWORD", "12345678"],
        );
    }

    #[test]
    fn rules_take_the_place_of_all_that() {
        let long = PasswordRules { length_min: 12, ..PasswordRules::default() };
        check(Some(long), &["aaaaaaaaaaaa", "ääääääääääää"], &["Passw0rd!", "aaaaaaaaaaa"]);
        let all = PasswordRules {
            length_min: 6,
            symbols: true,
            numbers: true,
            upper_case: true,
            lower_case: true,
            ..PasswordRules::default()
        };
        check(Some(all), &["aA1-aa"], &["aA1aaa", "a-1aaa", "A-1AAA", "aA-aaa", "aA1-a"]);
    }
}

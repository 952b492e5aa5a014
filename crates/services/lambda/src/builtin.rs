//! Functions that are there without having been made: rotators that Coffer brings along.
//!
//! They have ARNs like any other function, so that whoever rotates a secret names one, and no code. Secrets Manager may invoke them for any
//! secret of the account; nobody else needs to.

use std::sync::{Arc, LazyLock};

use coffer_policy::{Kind, Policy};

const PREFIX: &str = "coffer-builtin-";
const ENGINES: [&str; 3] = ["postgres", "mysql", "mariadb"];
const STRATEGIES: [&str; 2] = ["single-user", "multi-user"];

/// The rotator of this name: `postgres-single-user`.
pub(crate) fn rotator(function: &str) -> Option<&str> {
    let rotator = function.strip_prefix(PREFIX)?;
    let (engine, strategy) = rotator.split_once('-')?;
    (ENGINES.contains(&engine) && STRATEGIES.contains(&strategy)).then_some(rotator)
}

/// Names that no other function can have.
pub(crate) fn is_reserved(function: &str) -> bool {
    function.starts_with(PREFIX)
}

pub(crate) fn policy() -> Arc<Policy> {
    static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
        let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"secretsmanager.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"*"}]}"#;
        Arc::new(Policy::stored("the policy of a built-in function", Kind::Resource, text))
    });
    Arc::clone(&POLICY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotators() {
        for (name, expected) in [
            ("coffer-builtin-postgres-single-user", Some("postgres-single-user")),
            ("coffer-builtin-mariadb-multi-user", Some("mariadb-multi-user")),
            ("coffer-builtin-oracle-single-user", None),
            ("coffer-builtin-postgres", None),
            ("postgres-single-user", None),
        ] {
            assert_eq!(rotator(name), expected, "{name}");
        }
    }
}

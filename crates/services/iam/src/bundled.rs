//! The managed policies that come with Coffer, under the ARNs they have on AWS.
//!
//! Their texts say what AWS documents them to allow, as far as it concerns services that Coffer has or may come to have. Nobody can
//! change them, and every account has them.

use std::sync::{Arc, LazyLock};

use coffer_core::PolicyText;
use coffer_policy::{Kind, Policy};

/// The holder of this one may do everything.
pub(crate) const ADMINISTRATOR_ACCESS: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

#[derive(Debug)]
pub(crate) struct Bundled {
    pub arn: &'static str,
    pub name: &'static str,
    pub path: &'static str,
    pub policy_id: &'static str,
    /// AWS's own number.
    pub version: &'static str,
    pub description: &'static str,
    pub text: PolicyText,
}

impl Bundled {
    pub(crate) fn policy(&self) -> &Arc<Policy> {
        self.text.policy(Kind::Managed, self.arn)
    }
}

/// In the order of their names.
pub(crate) fn all() -> &'static [Bundled] {
    static ALL: LazyLock<Vec<Bundled>> = LazyLock::new(|| {
        TEXTS
            .iter()
            .filter_map(|(arn, policy_id, version, description, text)| {
                let (path, name) = arn.strip_prefix("arn:aws:iam::aws:policy")?.rsplit_once('/')?;
                // The path keeps its last slash.
                let path = arn.get("arn:aws:iam::aws:policy".len()..)?.get(..=path.len())?;
                let text = PolicyText::parse(Kind::Managed, (*text).to_owned()).ok()?;
                Some(Bundled { arn, name, path, policy_id, version, description, text })
            })
            .collect()
    });
    &ALL
}

pub(crate) fn find(arn: &str) -> Option<&'static Bundled> {
    all().iter().find(|policy| policy.arn == arn)
}

/// ARN, id, version, description, text.
type Text = (&'static str, &'static str, &'static str, &'static str, &'static str);

static TEXTS: &[Text] = &[(
    ADMINISTRATOR_ACCESS,
    "ANPAIWMBCKSKIEE64ZLYK",
    "v1",
    "Provides full access to AWS services and resources.",
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_a_policy_and_stands_in_the_order_of_names() {
        assert_eq!(all().len(), TEXTS.len());
        assert!(all().is_sorted_by_key(|policy| policy.name));
        for policy in all() {
            assert_eq!(policy.arn, format!("arn:aws:iam::aws:policy{}{}", policy.path, policy.name));
        }
    }
}

//! Identity providers that speak OpenID Connect: whose tokens a role may be assumed with.
//!
//! A provider is found by its ARN, which carries its URL without the scheme. Nothing is fetched from it here.

use coffer_core::{Cx, Listed, Place, Resource, table};
use coffer_shape::ApiError;
use coffer_types::{Arn, Timestamp};

use crate::{
    entity::{Entity, Tagged},
    error::IamError,
    tags::{self, TagRecord},
};

const RESOURCE: &str = "oidc-provider/";

table! {
    0x17 "iam-oidc-provider", version 1, key (url);

    #[derive(Clone)]
    pub struct OidcProviderRecord {
        /// Without the scheme: `token.actions.example.com/path`.
        pub url: String,
        pub arn: String,
        pub created_at: Timestamp,
        /// Audiences that a token may be for.
        pub client_ids: Vec<String>,
        /// Of the certificates of the provider's server.
        pub thumbprints: Vec<String>,
        pub tags: Vec<TagRecord>,
    }
}

impl Resource for OidcProviderRecord {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        tags::pairs(&self.tags)
    }
}

impl Listed for OidcProviderRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: None, text: &self.url, tie: "" }
    }
}

impl Entity for OidcProviderRecord {
    const KIND: &'static str = "OpenIDConnect Provider";

    /// A provider of another account has no key here, nor has what is no provider: no URL is empty.
    fn key_named(cx: &Cx<'_>, arn: &str) -> Result<String, ApiError> {
        let url = arn.parse::<Arn>().ok().and_then(|arn| {
            let is_ours =
                arn.service() == "iam" && arn.region().is_empty() && arn.account() == cx.account().as_str();
            arn.resource().strip_prefix(RESOURCE).filter(|_| is_ours).map(str::to_owned)
        });
        Ok(url.unwrap_or_default())
    }

    fn arn_of_missing(_: &Cx<'_>, arn: &str) -> String {
        arn.to_owned()
    }

    fn missing(arn: &str) -> IamError {
        match arn.parse::<Arn>() {
            Ok(_) => IamError::NoSuchProvider { arn: arn.to_owned() },
            Err(_) => IamError::InvalidArn,
        }
    }
}

impl Tagged for OidcProviderRecord {
    fn tags(&self) -> &[TagRecord] {
        &self.tags
    }

    fn tags_mut(&mut self) -> &mut Vec<TagRecord> {
        &mut self.tags
    }
}

/// What the URL of a provider is known by: `https`, a host, perhaps a path, and nothing that a token's issuer must not have.
pub(crate) fn known_by(url: &str) -> Result<&str, IamError> {
    let rest = url.strip_prefix("https://").ok_or(IamError::InvalidProviderUrl)?;
    let host = rest.split('/').next().unwrap_or_default();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:%@!$&'()*+,;=".contains(&byte);
    let is_good = !host.is_empty() && host.bytes().all(is_host) && rest.bytes().all(is_path);
    if is_good { Ok(rest) } else { Err(IamError::InvalidProviderUrl) }
}

pub(crate) fn arn(cx: &Cx<'_>, url: &str) -> String {
    Arn::global("iam", cx.account(), &format!("{RESOURCE}{url}")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_known_by_its_url_without_the_scheme() {
        for (url, expected) in [
            ("https://accounts.example.com", Some("accounts.example.com")),
            // Some issuers end in a slash, and their tokens say so.
            ("https://accounts.example.com/", Some("accounts.example.com/")),
            (
                "https://oidc.eks.eu-west-1.amazonaws.com/id/AB12",
                Some("oidc.eks.eu-west-1.amazonaws.com/id/AB12"),
            ),
            ("https://localhost:8443/realms/one", Some("localhost:8443/realms/one")),
            ("http://accounts.example.com", None),
            ("accounts.example.com", None),
            ("https://", None),
            ("https:///path", None),
            ("https://accounts.example.com?query=1", None),
            ("https://accounts.example.com#part", None),
            ("https://ann@accounts.example.com", None),
            ("https://accounts example.com", None),
            ("https://accounts.exämple.com", None),
        ] {
            assert_eq!(known_by(url).ok(), expected, "{url}");
        }
    }
}

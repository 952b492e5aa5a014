//! A token of an identity provider: what it says, and whether that is so.
//!
//! It is a JSON Web Signature in its compact form. Nothing of it is believed before the signature holds, but for two names that say
//! which key to check it with: the issuer and the key's id. The algorithm is one of a list, so `none` and the ones with a shared
//! secret are no algorithms here.

use coffer_crypto::SignatureScheme;
use coffer_shape::{ConditionValue, Conditions};
use coffer_types::{Timestamp, encoding::BASE64URL_NOPAD};
use serde_json::{Map, Value};

use super::{TokenFault, jwks::KeySet};

/// Clocks of providers and ours may be apart. A token that has expired has, as on AWS.
const SKEW_SECONDS: i64 = 300;
/// As many as AWS takes.
const TAGS_MAX: usize = 50;
pub(super) const TAGS_CLAIM: &str = "https://aws.amazon.com/tags";
pub(super) const SOURCE_IDENTITY_CLAIM: &str = "https://aws.amazon.com/source_identity";

/// A token that has the form of one. Nothing of it is proven.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    algorithm: (&'static str, SignatureScheme),
    key_id: Option<String>,
    /// As the token says it, with `https://`.
    issuer: String,
    claims: Map<String, Value>,
    signed: &'t str,
    signature: Vec<u8>,
}

/// What a provider vouches for.
#[derive(Debug, PartialEq)]
pub(crate) struct Claims {
    pub(crate) subject: String,
    /// The one that the token was accepted for.
    pub(crate) audience: String,
    /// By the names that conditions of policies ask for them, without the provider before.
    pub(crate) conditions: Conditions,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) transitive_tag_keys: Vec<String>,
    pub(crate) source_identity: Option<String>,
}

#[derive(Debug, Default)]
struct Tags {
    tags: Vec<(String, String)>,
    transitive_tag_keys: Vec<String>,
}

impl<'t> Token<'t> {
    pub(crate) fn read(text: &'t str) -> Result<Self, TokenFault> {
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenFault::Malformed)?;
        let header = object(header)?;
        // What a header calls critical changes what the rest means.
        if header.contains_key("crit") {
            return Err(TokenFault::Malformed);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(algorithm);
        let algorithm = algorithm.ok_or(TokenFault::Malformed)?;
        let claims = object(payload)?;
        let issuer = claims.get("iss").and_then(Value::as_str).ok_or(TokenFault::Malformed)?.to_owned();
        let key_id = header.get("kid").and_then(Value::as_str).map(str::to_owned);
        let signature = decoded(signature)?;
        Ok(Self { algorithm, key_id, issuer, claims, signed, signature })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether one of these keys could have signed it.
    pub(crate) fn fits(&self, keys: &KeySet) -> bool {
        keys.has(self.key_id.as_deref(), self.algorithm.0)
    }

    /// Checks the signature, and then whether the token is for us and for now.
    pub(crate) fn verify(
        &self,
        keys: &KeySet,
        client_ids: &[String],
        now: Timestamp,
    ) -> Result<Claims, TokenFault> {
        if !self.fits(keys) {
            return Err(TokenFault::NoKey);
        }
        let id = self.key_id.as_deref();
        if !keys.verifies(id, self.algorithm, self.signed.as_bytes(), &self.signature) {
            return Err(TokenFault::Signature);
        }
        self.check_time(now.seconds())?;
        let audience = self.audience(client_ids).ok_or(TokenFault::Audience)?;
        let subject = self.text("sub").filter(|subject| !subject.is_empty()).ok_or(TokenFault::Malformed)?;
        let Tags { tags, transitive_tag_keys } = self.tags()?;
        Ok(Claims {
            subject: subject.to_owned(),
            conditions: self.conditions(&audience),
            audience,
            tags,
            transitive_tag_keys,
            source_identity: self.text(SOURCE_IDENTITY_CLAIM).map(str::to_owned),
        })
    }

    fn check_time(&self, now: i64) -> Result<(), TokenFault> {
        let expires = self.seconds("exp")?.ok_or(TokenFault::Malformed)?;
        if now >= expires {
            return Err(TokenFault::Expired { now, expires });
        }
        let begins = self.seconds("nbf")?.into_iter().chain(self.seconds("iat")?).max();
        match begins {
            Some(begins) if begins.saturating_sub(SKEW_SECONDS) > now => Err(TokenFault::NotYet),
            _ => Ok(()),
        }
    }

    /// Whoever a token was given to comes before whom it may be shown to; one of them must be known to the provider's entry in IAM.
    fn audience(&self, client_ids: &[String]) -> Option<String> {
        let is_known = |name: &&str| client_ids.iter().any(|known| known == name);
        if let Some(party) = self.claims.get("azp") {
            return party.as_str().filter(is_known).map(str::to_owned);
        }
        let listed: Vec<&str> = match self.claims.get("aud")? {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        listed.into_iter().find(is_known).map(str::to_owned)
    }

    /// Texts, and the list of the ways in which somebody logged in. What has a structure, no policy can ask for.
    fn conditions(&self, audience: &str) -> Conditions {
        let mut conditions: Conditions = vec![("aud".to_owned(), ConditionValue::One(audience.to_owned()))];
        for (name, value) in &self.claims {
            match (name.as_str(), value) {
                ("aud", _) => {}
                ("amr", Value::Array(ways)) => {
                    let ways = ways.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                    conditions.push((name.clone(), ConditionValue::Many(ways)));
                }
                (_, Value::String(text)) => {
                    conditions.push((name.clone(), ConditionValue::One(text.clone())));
                }
                _ => {}
            }
        }
        conditions
    }

    /// Each key has a list of one value.
    fn tags(&self) -> Result<Tags, TokenFault> {
        let Some(claim) = self.claims.get(TAGS_CLAIM) else { return Ok(Tags::default()) };
        let mut tags = Vec::new();
        for (key, value) in claim.get("principal_tags").and_then(Value::as_object).into_iter().flatten() {
            let value = match value {
                Value::Array(values) => values.first().filter(|_| values.len() == 1),
                value => Some(value),
            };
            let value = value.and_then(Value::as_str).ok_or(TokenFault::Malformed)?;
            tags.push((key.clone(), value.to_owned()));
        }
        let keys = claim.get("transitive_tag_keys").and_then(Value::as_array).into_iter().flatten();
        let transitive_tag_keys: Vec<String> = keys.filter_map(Value::as_str).map(str::to_owned).collect();
        if tags.len() > TAGS_MAX || transitive_tag_keys.len() > TAGS_MAX {
            return Err(TokenFault::Malformed);
        }
        Ok(Tags { tags, transitive_tag_keys })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// A number of seconds since 1970; some write fractions.
    fn seconds(&self, name: &str) -> Result<Option<i64>, TokenFault> {
        let Some(value) = self.claims.get(name) else { return Ok(None) };
        let whole = value.as_i64().or_else(|| {
            let number = value.as_f64().filter(|number| number.is_finite())?;
            // The text of a whole number is exact where a conversion would have to be argued about.
            format!("{:.0}", number.floor()).parse().ok()
        });
        whole.map(Some).ok_or(TokenFault::Malformed)
    }
}

fn algorithm(name: &str) -> Option<(&'static str, SignatureScheme)> {
    Some(match name {
        "RS256" => ("RS256", SignatureScheme::RsaSha256),
        "RS384" => ("RS384", SignatureScheme::RsaSha384),
        "RS512" => ("RS512", SignatureScheme::RsaSha512),
        "ES256" => ("ES256", SignatureScheme::P256Sha256),
        "ES384" => ("ES384", SignatureScheme::P384Sha384),
        _ => return None,
    })
}

fn object(part: &str) -> Result<Map<String, Value>, TokenFault> {
    serde_json::from_slice(&decoded(part)?).map_err(|_| TokenFault::Malformed)
}

fn decoded(part: &str) -> Result<Vec<u8>, TokenFault> {
    BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| TokenFault::Malformed)
}

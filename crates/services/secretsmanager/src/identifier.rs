//! How callers name a secret, and how a name becomes an ARN.

use std::sync::Arc;

use coffer_core::{Cx, Guarded, Resource};
use coffer_policy::Policy;
use coffer_shape::{ApiError, ConditionValue};
use coffer_types::{AccountId, Arn, Entropy};

use crate::{error::SecretError, policy, secret::SecretRecord, tags};

pub(crate) const SERVICE: &str = "secretsmanager";
const SUFFIX_LEN: usize = 6;
const UNKNOWN_SUFFIX: &str = "??????";
const SUFFIX_ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Refuses a name with characters that AWS does not admit.
pub(crate) fn check_name(name: &str) -> Result<(), SecretError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_+=.@!".contains(&byte);
    if !name.is_empty() && name.bytes().all(good) { Ok(()) } else { Err(SecretError::InvalidName) }
}

/// The same for a `SecretId`, which may also be an ARN. AWS refuses a bad name before it looks at anything else that the
/// model does not check, so operations with such checks ask here first.
pub(crate) fn check_secret_id(secret_id: &str) -> Result<(), SecretError> {
    if secret_id.starts_with("arn:") { Ok(()) } else { check_name(secret_id) }
}

/// What a `SecretId` means: the name to look up and, if the caller gave it, the ARN that must be the secret's.
#[derive(Debug, PartialEq, Eq)]
enum Reference {
    Name(String),
    /// A complete ARN. It is never tried as a name.
    Arn {
        name: String,
        arn: String,
    },
    /// An ARN of somewhere else, or of something else.
    Elsewhere,
}

fn parse(cx: &Cx<'_>, secret_id: &str) -> Result<Reference, SecretError> {
    check_secret_id(secret_id)?;
    if !secret_id.starts_with("arn:") {
        return Ok(Reference::Name(secret_id.to_owned()));
    }
    let Ok(arn) = secret_id.parse::<Arn>() else { return Ok(Reference::Elsewhere) };
    let here = arn.partition() == coffer_types::PARTITION
        && arn.service() == SERVICE
        && arn.region() == cx.region().as_str()
        && arn.account() == cx.account().as_str();
    let Some(rest) = arn.resource().strip_prefix("secret:").filter(|_| here) else {
        return Ok(Reference::Elsewhere);
    };
    Ok(match without_suffix(rest) {
        // An ARN that looks complete is taken as complete, even when a name happens to end like a suffix.
        Some(name) => Reference::Arn { name: name.to_owned(), arn: secret_id.to_owned() },
        None => Reference::Name(rest.to_owned()),
    })
}

/// Whether this is the whole ARN of a secret, wherever that is.
pub(crate) fn is_complete(arn: &Arn) -> bool {
    let rest = arn.resource().strip_prefix("secret:");
    arn.service() == SERVICE
        && arn.account().parse::<AccountId>().is_ok()
        && rest.and_then(without_suffix).is_some_and(|name| check_name(name).is_ok())
}

/// `db/password-k3X9aQ` -> `db/password`; nothing for what has no suffix.
fn without_suffix(rest: &str) -> Option<&str> {
    let (name, suffix) = rest.rsplit_once('-')?;
    let looks_random = suffix.len() == SUFFIX_LEN && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (looks_random && !name.is_empty()).then_some(name)
}

/// The ARN of a new secret: its name and six random letters, so that a deleted and re-created name is another secret.
pub(crate) fn new_arn(cx: &Cx<'_>, name: &str) -> String {
    cx.arn(SERVICE, &format!("secret:{name}-{}", random_suffix(cx.entropy()))).to_string()
}

fn random_suffix(entropy: &dyn Entropy) -> String {
    let mut suffix = String::with_capacity(SUFFIX_LEN);
    while suffix.len() < SUFFIX_LEN {
        let mut random = [0; 16];
        entropy.fill(&mut random);
        // The masked byte is below 64; 62 and 63 are drawn again, so that every letter is equally likely.
        let letters = random.iter().filter_map(|byte| SUFFIX_ALPHABET.get(usize::from(byte & 63)));
        suffix.extend(letters.copied().map(char::from).take(SUFFIX_LEN - suffix.len()));
    }
    suffix
}

/// A secret somebody asked for, locked: whether it exists is part of what permission opens.
#[derive(Debug)]
pub(crate) struct Target {
    secret_id: String,
    arn: String,
    record: Option<Arc<SecretRecord>>,
}

impl Target {
    pub(crate) fn existing(self) -> Result<Arc<SecretRecord>, SecretError> {
        self.record.ok_or(SecretError::NotFound)
    }

    /// The secret as a value of one's own, to change and save.
    pub(crate) fn into_record(self) -> Result<SecretRecord, SecretError> {
        self.existing().map(Arc::unwrap_or_clone)
    }

    pub(crate) fn to_record(&self) -> Result<SecretRecord, SecretError> {
        self.record.as_deref().cloned().ok_or(SecretError::NotFound)
    }

    /// The same as it would be after a change, for asking whether one may do to it what one is about to do.
    pub(crate) fn changed_to(&self, secret: &SecretRecord) -> Self {
        let (secret_id, arn) = (self.secret_id.clone(), self.arn.clone());
        Self { secret_id, arn, record: Some(Arc::new(secret.clone())) }
    }

    pub(crate) fn found(&self) -> Option<&SecretRecord> {
        self.record.as_deref()
    }

    pub(crate) fn if_any(self) -> Option<Arc<SecretRecord>> {
        self.record
    }
}

impl Resource for Target {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn shown(&self) -> Option<String> {
        Some(self.secret_id.clone())
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        self.record.as_ref().map(|secret| tags::pairs(secret.tags.as_ref())).unwrap_or_default()
    }

    fn condition(&self, _: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        let secret = self.record.as_deref();
        let value = match key {
            // The ARN, also when the caller gave a name.
            "secretsmanager:secretid" => &self.arn,
            "secretsmanager:resource/allowrotationlambdaarn" => secret?.function_that_rotates()?,
            "secretsmanager:resource/type" => secret?.kind.as_deref()?,
            "secretsmanager:secretprimaryregion" => secret?.shown_primary_region()?,
            _ => return None,
        };
        Some(ConditionValue::One(value.to_owned()))
    }

    fn policy(&self, cx: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        self.record.as_ref().map_or(Ok(None), |secret| policy::in_force(cx, secret))
    }
}

/// What policies are asked about where there is no secret. AWS adds six letters that nobody has, so that whoever may use `db/*` or
/// `db/a-??????` is told that there is none. The signs of such a pattern are what we add: they are in no ARN of a secret.
fn arn_of_missing(cx: &Cx<'_>, secret_id: &str) -> String {
    let name = match secret_id.starts_with("arn:") {
        false => secret_id,
        true => {
            let rest = secret_id.splitn(6, ':').nth(5).and_then(|resource| resource.strip_prefix("secret:"));
            match rest {
                Some(name) if without_suffix(name).is_none() => {
                    return format!("{secret_id}-{UNKNOWN_SUFFIX}");
                }
                _ => return secret_id.to_owned(),
            }
        }
    };
    cx.arn(SERVICE, &format!("secret:{name}-{UNKNOWN_SUFFIX}")).to_string()
}

/// Finds a secret by name, complete ARN or partial ARN.
pub(crate) fn secret(cx: &Cx<'_>, secret_id: &str) -> Result<Guarded<Target>, ApiError> {
    let target = |record: Option<Arc<SecretRecord>>, secret_id: &str| {
        let arn = match &record {
            Some(record) => record.arn.clone(),
            None => arn_of_missing(cx, secret_id),
        };
        Target { secret_id: secret_id.to_owned(), arn, record }
    };
    match parse(cx, secret_id)? {
        Reference::Name(name) => cx.find_as::<SecretRecord, _>(&[&name], |record| target(record, secret_id)),
        Reference::Arn { name, arn } => cx.find_as::<SecretRecord, _>(&[&name], |record| {
            target(record.filter(|record| record.arn == arn), secret_id)
        }),
        Reference::Elsewhere => Ok(Guarded::new(target(None, secret_id))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "/path/name", "a-b_c+d=e.f@g!h", "Invalid/_+=.@-Name-a1b2c3"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", " ", "Inv Name", " Inv", "Inv ", "Inv*Name?", "naïve", "a\n", "a:b", "\\"] {
            assert_eq!(check_name(bad), Err(SecretError::InvalidName), "{bad}");
        }
    }

    #[test]
    fn suffixes() {
        for (rest, name) in [
            ("db/password-k3X9aQ", Some("db/password")),
            ("Invalid/_+=.@-Name-a1b2c3", Some("Invalid/_+=.@-Name")),
            ("name-a1b2", None),
            ("name-a1b2c3-", None),
            ("name", None),
            ("-a1b2c3", None),
            ("name-a1b2c_", None),
        ] {
            assert_eq!(without_suffix(rest), name, "{rest}");
        }
    }

    #[test]
    fn a_random_suffix_has_six_letters_of_the_alphabet() {
        struct AllOnesThenCount(std::sync::atomic::AtomicU8);
        impl Entropy for AllOnesThenCount {
            fn fill(&self, bytes: &mut [u8]) {
                let round = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                bytes.fill(if round == 0 { 0xff } else { round });
            }
        }
        assert_eq!(random_suffix(&AllOnesThenCount(0.into())), "BBBBBB");
    }
}

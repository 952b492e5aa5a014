//! The key that a caller means, on its way to being permitted.
//!
//! Whoever names a key by an alias, and what he is about to do with it, matters to policies, so that it travels with the key. A key of
//! another account is looked for where the ARN says, if the operation goes there; one that is not there is refused like one that the
//! caller may not use, so that nobody learns which keys others have.

use std::{cell::Cell, sync::Arc};

use coffer_core::{Cx, Guarded, Listed, Part, Partition, Permit, Resource};
use coffer_policy::{Grant, Policy};
use coffer_shape::{Action, ApiError, ConditionValue};
use coffer_types::{Arn, PARTITION};

use crate::{
    alias::{self, AliasRecord},
    context::Context,
    error::KmsError,
    grant,
    id::KeyId,
    key::KeyRecord,
    policy,
};

/// What is going to be done with a key, as far as policies can ask about it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Use<'a> {
    pub context: Option<&'a Context>,
    pub algorithm: Option<&'a str>,
    /// For ReEncrypt: whether the other key is the same.
    pub on_same_key: Option<bool>,
    /// Which grants of the caller count.
    pub grants: Grants<'a>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Grants<'a> {
    /// All that the key has for him.
    #[default]
    OfTheCaller,
    /// These, whatever else there is.
    These(&'a [Grant]),
}

/// Where a key is.
#[derive(Debug)]
pub(crate) enum Home {
    /// Where the call runs.
    Here,
    /// In another account, for a call that runs elsewhere and only uses the key: that of a secret whose key somebody else lends.
    Abroad(Partition),
}

impl Home {
    pub(crate) fn part<R: Part>(&self, cx: &Cx<'_>, key: &[&str]) -> Result<Option<Arc<R>>, ApiError> {
        match self {
            Self::Here => cx.part(key),
            Self::Abroad(home) => cx.part_abroad(home, key),
        }
    }
}

/// A key, and how it came to be meant.
#[derive(Debug)]
pub(crate) struct Named<'a> {
    arn: String,
    home: Home,
    /// None where there is no such key.
    key: Option<Arc<KeyRecord>>,
    /// The alias that the caller wrote.
    alias: Option<String>,
    is_of_ciphertext: bool,
    to: Use<'a>,
}

impl Named<'_> {
    /// The key, once it is permitted. Whoever lends it has the use on record.
    fn key(self, cx: &mut Cx<'_>) -> Result<Arc<KeyRecord>, KmsError> {
        if let Home::Abroad(home) = &self.home {
            cx.is_known_to(home.account);
        }
        self.key.ok_or(KmsError::KeyNotFound { arn: self.arn })
    }
}

impl Resource for Named<'_> {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn is_of_ciphertext(&self) -> bool {
        self.is_of_ciphertext
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        self.key.iter().flat_map(|key| &key.tags).map(|tag| (tag.key.as_str(), tag.value.as_str())).collect()
    }

    fn condition(&self, cx: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        let one = |text: &str| Some(ConditionValue::One(text.to_owned()));
        match key {
            "kms:calleraccount" => one(cx.caller().account.as_str()),
            "kms:viaservice" => {
                Some(ConditionValue::One(format!("{}.{}.amazonaws.com", cx.via()?.name, cx.region())))
            }
            "kms:grantisforawsresource" => one(if cx.via().is_some() { "true" } else { "false" }),
            "kms:requestalias" => one(self.alias.as_deref()?),
            "kms:encryptionalgorithm" => one(self.to.algorithm?),
            "kms:reencryptonsamekey" => one(if self.to.on_same_key? { "true" } else { "false" }),
            "kms:encryptioncontextkeys" => {
                let context = self.to.context.filter(|context| !context.is_empty())?;
                Some(ConditionValue::Many(context.keys().cloned().collect()))
            }
            _ => {
                if let Some(name) = key.strip_prefix("kms:encryptioncontext:") {
                    let (_, value) =
                        self.to.context?.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
                    return one(value);
                }
                self.key.as_ref()?.condition(key)
            }
        }
    }

    /// Without one, nobody may.
    fn policy(&self, cx: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        match &self.key {
            Some(key) => policy::in_force(cx, &self.home, key),
            None => Ok(None),
        }
    }

    fn grants(&self, cx: &Cx<'_>) -> Result<Vec<Grant>, ApiError> {
        match (&self.key, self.to.grants) {
            (_, Grants::These(grants)) => Ok(grants.to_vec()),
            (Some(key), Grants::OfTheCaller) => grant::of_the_caller(cx, &self.home, key),
            (None, Grants::OfTheCaller) => Ok(Vec::new()),
        }
    }

    fn encryption_context(&self) -> Vec<(&str, &str)> {
        let pairs = self.to.context.into_iter().flatten();
        pairs.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

impl KeyRecord {
    /// What follows from the key itself.
    pub(crate) fn condition(&self, key: &str) -> Option<ConditionValue> {
        Some(match key {
            "kms:keyorigin" => ConditionValue::One(self.origin.as_str().to_owned()),
            "kms:keyspec" => ConditionValue::One(self.spec.as_str().to_owned()),
            "kms:keyusage" => ConditionValue::One(self.usage.as_str().to_owned()),
            "kms:multiregion" => {
                ConditionValue::One(String::from(if self.regions.is_some() { "true" } else { "false" }))
            }
            "kms:multiregionkeytype" => ConditionValue::One(self.multi_region_type()?.to_owned()),
            "kms:resourcealiases" if !self.aliases.is_empty() => ConditionValue::Many(self.aliases.clone()),
            _ => return None,
        })
    }
}

/// Finds a key by what a caller may write (key id, key ARN, alias or alias ARN) and asks for it.
pub(crate) fn permitted(
    cx: &mut Cx<'_>,
    written: &str,
    to: Use<'_>,
    action: Action,
) -> Result<Arc<KeyRecord>, ApiError> {
    Ok(find(cx, written, to)?.permit(cx, action)?.key(cx)?)
}

/// The same, with leave to list what belongs to the key.
pub(crate) fn permitted_with<R: Listed>(
    cx: &mut Cx<'_>,
    written: &str,
    action: Action,
) -> Result<(Arc<KeyRecord>, Permit<R>), ApiError> {
    let (named, permit) = find(cx, written, Use::default())?.permit_with(cx, action)?;
    Ok((named.key(cx)?, permit))
}

/// The key inside a ciphertext, asked for. A ciphertext is chosen by the caller: what it names is never told.
pub(crate) fn permitted_by_ciphertext(
    cx: &mut Cx<'_>,
    key_id: KeyId,
    to: Use<'_>,
    action: Action,
) -> Result<Arc<KeyRecord>, ApiError> {
    let key_id = key_id.to_string();
    let is_there = Cell::new(false);
    let found = |account, home| {
        let arn = Arn::regional("kms", cx.region(), account, &format!("key/{key_id}")).to_string();
        let is_there = &is_there;
        move |key: Option<Arc<KeyRecord>>| {
            is_there.set(key.is_some());
            Named { arn, home, key, alias: None, is_of_ciphertext: true, to }
        }
    };
    let mut named = cx.find_as::<KeyRecord, Named<'_>>(&[&key_id], found(cx.account(), Home::Here))?;
    if !is_there.get() {
        // A ciphertext says nothing of the account. AWS finds its key wherever that is, and so do we among the accounts of this
        // deployment. That may take a while.
        cx.at_length(|| ())?;
        for place in cx.other_accounts().into_iter().take(ACCOUNTS_MAX) {
            let home = Home::Abroad(place.clone());
            named = cx.find_abroad::<KeyRecord, Named<'_>>(&place, &[&key_id], found(place.account, home))?;
            if is_there.get() {
                break;
            }
        }
    }
    if !is_there.get() {
        return Err(KmsError::InvalidCiphertext.into());
    }
    Ok(named.permit(cx, action)?.key(cx)?)
}

/// Our choice: so many accounts are looked at for a key that nobody named.
const ACCOUNTS_MAX: usize = 1000;

/// The one place where a written key becomes a key.
pub(crate) fn find<'a>(cx: &mut Cx<'_>, written: &str, to: Use<'a>) -> Result<Guarded<Named<'a>>, ApiError> {
    let name = match named_here(cx, written)? {
        Place::Here(name) => name,
        Place::Elsewhere(arn) => return find_abroad(cx, &arn, to),
    };
    let (key_id, alias) = if name.starts_with(alias::PREFIX) {
        (find_by_alias(cx, &name)?, Some(name))
    } else {
        (name.strip_prefix("key/").unwrap_or(&name).to_owned(), None)
    };
    if KeyId::parse(&key_id).is_none() {
        return Err(KmsError::InvalidKeyId { written: key_id }.into());
    }
    let arn = cx.arn("kms", &format!("key/{key_id}")).to_string();
    let mut is_there = false;
    let named = cx.find_as::<KeyRecord, Named<'_>>(&[&key_id], |key| {
        is_there = key.is_some();
        Named { arn: arn.clone(), home: Home::Here, key, alias, is_of_ciphertext: false, to }
    })?;
    // At home a missing key is told from one that is denied, as on AWS.
    if !is_there && !cx.is_from_abroad() {
        return Err(KmsError::KeyNotFound { arn }.into());
    }
    Ok(named)
}

/// A key of another account than that in which the call runs. Its policy decides as it does at home; what is done to the key itself is
/// never done from here.
fn find_abroad<'a>(cx: &Cx<'_>, arn: &Arn, to: Use<'a>) -> Result<Guarded<Named<'a>>, ApiError> {
    let nothing = |to| {
        let arn = arn.to_string();
        Guarded::new(Named { arn, home: Home::Here, key: None, alias: None, is_of_ciphertext: false, to })
    };
    let (Some(_), Ok(account)) = (to.context, arn.account().parse()) else { return Ok(nothing(to)) };
    let home = Partition::new(account, cx.region().clone());
    let (key_id, alias) = match arn.resource().strip_prefix("key/") {
        Some(key_id) => (key_id.to_owned(), None),
        None => match cx.part_abroad::<AliasRecord>(&home, &[arn.resource()])? {
            Some(alias) => (alias.key_id.clone(), Some(alias.name.clone())),
            None => return Ok(nothing(to)),
        },
    };
    let arn = Arn::regional("kms", cx.region(), account, &format!("key/{key_id}")).to_string();
    cx.find_abroad::<KeyRecord, Named<'_>>(&home.clone(), &[&key_id], |key| Named {
        arn,
        home: Home::Abroad(home),
        key,
        alias,
        is_of_ciphertext: false,
        to,
    })
}

/// The id of the key that is written, whether it exists or not; what it stands for is asked about later. None for one elsewhere.
pub(crate) fn key_id(cx: &Cx<'_>, written: &str) -> Result<Option<String>, ApiError> {
    let Place::Here(name) = named_here(cx, written)? else { return Ok(None) };
    if name.starts_with(alias::PREFIX) {
        return Ok(cx.part::<AliasRecord>(&[&name])?.map(|alias| alias.key_id.clone()));
    }
    Ok(Some(name.strip_prefix("key/").unwrap_or(&name).to_owned()))
}

enum Place {
    /// What stands behind the account.
    Here(String),
    /// An ARN of another account, for an operation that does not go there.
    Elsewhere(Arn),
}

fn named_here(cx: &Cx<'_>, written: &str) -> Result<Place, KmsError> {
    if !written.starts_with("arn:") {
        return Ok(Place::Here(written.to_owned()));
    }
    let invalid = || KmsError::InvalidArn { written: written.to_owned() };
    let arn: Arn = written.parse().map_err(|_| invalid())?;
    let is_ours = arn.partition() == PARTITION && arn.service() == "kms";
    let resource = arn.resource();
    if !is_ours || !(resource.starts_with("key/") || resource.starts_with(alias::PREFIX)) {
        return Err(invalid());
    }
    if arn.region() != cx.region().as_str() {
        return Err(KmsError::InvalidArn { written: arn.region().to_owned() });
    }
    if arn.account() != cx.account().as_str() {
        return Ok(Place::Elsewhere(arn));
    }
    Ok(Place::Here(resource.to_owned()))
}

/// The id of the key that an alias leads to.
fn find_by_alias(cx: &mut Cx<'_>, name: &str) -> Result<String, ApiError> {
    if let Some(alias) = cx.part::<AliasRecord>(&[name])? {
        return Ok(alias.key_id.clone());
    }
    let missing = || KmsError::AliasNotFound { arn: cx.arn("kms", name).to_string() };
    let service = alias::service_of(name).ok_or_else(missing)?;
    // Made when it is first needed, in the transaction that needs it: by its service, or by whoever looks at it.
    let is_wanted = match cx.via() {
        Some(via) => via.name == service,
        None => !cx.is_from_abroad(),
    };
    if !is_wanted {
        return Err(missing().into());
    }
    let key = KeyRecord::managed(cx, service, name)?;
    let key_id = key.key_id.clone();
    cx.save(key)?;
    let now = Some(cx.now());
    cx.save(AliasRecord { name: name.to_owned(), key_id: key_id.clone(), created_at: now, updated_at: now })?;
    Ok(key_id)
}

//! Keys and aliases as stored, and how a key id is understood.

use std::sync::{Arc, LazyLock};

use coffer_core::{Cx, Guarded, Resource, table};
use coffer_policy::{Kind, Policy};
use coffer_shape::{ApiError, ConditionValue, record};
use coffer_types::{Arn, Secret, Timestamp, Uuid, encoding::HEXLOWER};

use crate::{blob::material_id, error::KmsError};

/// Keys that a service manages for its account: the alias, and the one service that may use the key.
const SERVICE_KEYS: [(&str, &str); 1] = [("alias/aws/secretsmanager", "secretsmanager")];

record! {
    /// One generation of key material. Old ones are kept: they open what they closed.
    pub struct Material {
        /// Hex, as the API shows it.
        pub id: String,
        pub bytes: Secret<Vec<u8>>,
    }
}

table! {
    0x20 "kms-key", version 1, key (key_id);

    pub struct KeyRecord {
        pub key_id: String,
        pub arn: String,
        /// The service whose callers may use the key, for keys that AWS calls "AWS managed".
        pub managed_by: Option<String>,
        pub created_at: Timestamp,
        pub enabled: bool,
        /// Newest last; the last one wraps.
        pub materials: Vec<Material>,
    }
}

table! {
    0x21 "kms-alias", version 1, key (name), part;

    pub struct AliasRecord {
        pub name: String,
        pub key_id: String,
    }
}

impl KeyRecord {
    pub(crate) fn ensure_enabled(&self) -> Result<(), KmsError> {
        if self.enabled { Ok(()) } else { Err(KmsError::Disabled { arn: self.arn.clone() }) }
    }

    /// The material that wraps now.
    pub(crate) fn current_material(&self) -> Option<&[u8; 32]> {
        self.materials.last()?.bytes.expose().as_slice().try_into().ok()
    }

    /// The material that a ciphertext names by the first half of its id.
    pub(crate) fn material(&self, prefix: &[u8; 16]) -> Option<&[u8; 32]> {
        let prefix = HEXLOWER.encode(prefix);
        let material = self.materials.iter().find(|material| material.id.starts_with(&prefix))?;
        material.bytes.expose().as_slice().try_into().ok()
    }

    fn service_key(cx: &Cx<'_>, service: &str) -> Self {
        let key_id = cx.uuid();
        let mut bytes = Secret::new(vec![0; 32]);
        cx.entropy().fill(bytes.expose_mut());
        let id = bytes
            .expose()
            .as_slice()
            .try_into()
            .map_or_else(|_| String::new(), |bytes| HEXLOWER.encode(&material_id(bytes)));
        Self {
            arn: cx.arn("kms", &format!("key/{key_id}")).to_string(),
            key_id: key_id.to_string(),
            managed_by: Some(service.to_owned()),
            created_at: cx.now(),
            enabled: true,
            materials: vec![Material { id, bytes }],
        }
    }
}

impl Resource for KeyRecord {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn condition(&self, cx: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        let value = match key {
            "kms:calleraccount" => cx.caller().account.to_string(),
            "kms:viaservice" => format!("{}.{}.amazonaws.com", cx.via()?.name, cx.region()),
            _ => return None,
        };
        Some(ConditionValue::One(value))
    }

    /// Without one, nobody may.
    fn policy(&self, _: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        Ok(self.managed_by.as_deref().and_then(service_key_policy))
    }
}

/// A key that a service manages admits everybody of its account who comes through that service. The policy is the same for all
/// such keys; on AWS the account and the region are written out.
fn service_key_policy(service: &str) -> Option<Arc<Policy>> {
    static POLICIES: LazyLock<Vec<(&str, Arc<Policy>)>> = LazyLock::new(|| {
        let policy = |service: &str| {
            let text = format!(
                r#"{{"Version":"2012-10-17","Id":"auto-{service}-2","Statement":[{{
                "Sid":"Allow access through the service for all principals in the account that are authorized to use it",
                "Effect":"Allow","Principal":{{"AWS":"*"}},
                "Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*","kms:CreateGrant","kms:DescribeKey"],
                "Resource":"*",
                "Condition":{{"StringEquals":{{"kms:CallerAccount":"${{aws:ResourceAccount}}",
                "kms:ViaService":"{service}.${{aws:RequestedRegion}}.amazonaws.com"}}}}}}]}}"#
            );
            Arc::new(Policy::stored("the policy of a managed key", Kind::Resource, &text))
        };
        SERVICE_KEYS.iter().map(|(_, service)| (*service, policy(service))).collect()
    });
    POLICIES.iter().find(|(known, _)| *known == service).map(|(_, policy)| Arc::clone(policy))
}

/// A key on its way to being permitted. `Arc`, because the record is shared with the cache.
pub(crate) type Locked = Guarded<Arc<KeyRecord>>;

/// Finds a key by what a caller may write: key id, key ARN, alias or alias ARN.
pub(crate) fn find(cx: &mut Cx<'_>, written: &str) -> Result<Locked, ApiError> {
    let name = match written.parse::<Arn>() {
        Ok(arn) if is_here(cx, &arn) => arn.resource().to_owned(),
        Ok(arn) => return Err(KmsError::KeyNotFound { arn: arn.to_string() }.into()),
        Err(_) => written.to_owned(),
    };
    if name.starts_with("alias/") {
        return find_by_alias(cx, &name);
    }
    let key_id = name.strip_prefix("key/").unwrap_or(&name);
    cx.find::<KeyRecord>(&[key_id])?.ok_or_else(|| {
        let arn = cx.arn("kms", &format!("key/{key_id}")).to_string();
        KmsError::KeyNotFound { arn }.into()
    })
}

/// Finds a key by the id inside a ciphertext.
pub(crate) fn find_by_id(cx: &Cx<'_>, key_id: Uuid) -> Result<Locked, ApiError> {
    // A ciphertext is chosen by the caller: what it names is never told.
    cx.find(&[&key_id.to_string()])?.ok_or_else(|| KmsError::InvalidCiphertext.into())
}

fn is_here(cx: &Cx<'_>, arn: &Arn) -> bool {
    arn.service() == "kms" && arn.region() == cx.region().as_str() && arn.account() == cx.account().as_str()
}

fn find_by_alias(cx: &mut Cx<'_>, name: &str) -> Result<Locked, ApiError> {
    if let Some(alias) = cx.part::<AliasRecord>(&[name])?
        && let Some(key) = cx.find(&[&alias.key_id])?
    {
        return Ok(key);
    }
    let service = SERVICE_KEYS.iter().find(|(alias, _)| *alias == name).map(|(_, service)| *service);
    match (service, cx.via()) {
        // Made on first use, by the service it belongs to and in the transaction that uses it.
        (Some(service), Some(via)) if via.name == service => {
            let record = KeyRecord::service_key(cx, service);
            let key_id = record.key_id.clone();
            cx.save(record)?;
            cx.save(AliasRecord { name: name.to_owned(), key_id: key_id.clone() })?;
            cx.find(&[&key_id])?.ok_or_else(|| cx.internal("the new key is missing"))
        }
        _ => {
            let arn = cx.arn("kms", name).to_string();
            Err(KmsError::AliasNotFound { arn }.into())
        }
    }
}

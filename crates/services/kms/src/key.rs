//! Keys as stored, and the rules that hold for one by itself.
//!
//! All of a key but its policy lies in one record, with its material: a ciphertext is opened with one look-up. Old material is kept,
//! because it opens what it closed. The bytes of material mean what the key's spec says: a secret key for symmetric encryption and
//! for message authentication, and a private key in PKCS #8 for everything else.

use coffer_core::{Cx, Listed, Place, table};
use coffer_crypto::PrivateKey;
use coffer_model::kms::KeyMetadata;
use coffer_shape::{ApiError, record};
use coffer_types::{Entropy, Secret, Timestamp, encoding::HEXLOWER};

use crate::{
    blob::material_id,
    error::KmsError,
    id::KeyId,
    last_use::LastUseRecord,
    multi_region::RegionsRecord,
    rotation::RotationRecord,
    spec::{KeySpec, KeyUsage, MadeOf, Origin},
    state::KeyState,
    tags::TagRecord,
    words::words,
};

words! {
    /// How a generation of material came to be the current one.
    pub enum Came {
        WithTheKey = "CREATION",
        ByItself = "AUTOMATIC",
        OnDemand = "ON_DEMAND",
    }
}

record! {
    /// One generation of key material.
    pub struct Material {
        /// Hex, as the API shows it.
        pub id: String,
        /// Nothing while it has to be imported again.
        pub bytes: Secret<Vec<u8>>,
        pub created_at: Timestamp,
        pub came: Came,
        /// For what came from outside: how long it stays, and what its owner says of it.
        pub expires_at: Option<Timestamp>,
        pub description: Option<String>,
    }
}

impl Clone for Material {
    /// Keys are changed as copies; the copy is wiped like the original.
    fn clone(&self) -> Self {
        let bytes = Secret::new(self.bytes.expose().clone());
        Self { id: self.id.clone(), bytes, description: self.description.clone(), ..*self }
    }
}

record! {
    #[derive(Clone)]
    pub struct DeletionRecord {
        pub due_at: Timestamp,
        pub window_days: i64,
    }
}

record! {
    pub struct MaterialV1 {
        pub id: String,
        pub bytes: Secret<Vec<u8>>,
    }
}

table! {
    0x20 "kms-key", version 1, key (key_id);

    /// A key as it was before people could make their own.
    pub struct KeyRecordV1 {
        pub key_id: String,
        pub arn: String,
        pub managed_by: Option<String>,
        pub created_at: Timestamp,
        pub enabled: bool,
        pub materials: Vec<MaterialV1>,
    }
}

table! {
    0x20 "kms-key", version 2 after KeyRecordV1, key (key_id) => crate::multi_region::saved;

    #[derive(Clone)]
    pub struct KeyRecord {
        pub key_id: String,
        pub arn: String,
        /// The service whose callers may use the key, for keys that AWS calls "AWS managed".
        pub managed_by: Option<String>,
        pub created_at: Timestamp,
        pub description: String,
        pub spec: KeySpec,
        pub usage: KeyUsage,
        pub origin: Origin,
        pub state: KeyState,
        /// While deletion is scheduled.
        pub deletion: Option<DeletionRecord>,
        /// Newest last; the last one wraps.
        pub materials: Vec<Material>,
        /// While it is rotated by itself.
        pub rotation: Option<RotationRecord>,
        pub tags: Vec<TagRecord>,
        /// The names of its aliases, sorted.
        pub aliases: Vec<String>,
        /// How many grants it has.
        pub grants: i64,
        /// Imported, and current when the key is rotated the next time.
        pub pending: Option<Material>,
        /// Where it is, for a key of several regions.
        pub regions: Option<RegionsRecord>,
        pub last_use: Option<LastUseRecord>,
    }
}

impl From<KeyRecordV1> for KeyRecord {
    fn from(old: KeyRecordV1) -> Self {
        let aliases = old.managed_by.iter().map(|service| format!("alias/aws/{service}")).collect();
        let material = |one: MaterialV1| Material {
            id: one.id,
            bytes: one.bytes,
            created_at: old.created_at,
            ..Material::default()
        };
        Self {
            description: old.managed_by.as_deref().map(description_of_managed).unwrap_or_default(),
            rotation: old.managed_by.is_some().then(|| RotationRecord::yearly(old.created_at)),
            key_id: old.key_id,
            arn: old.arn,
            managed_by: old.managed_by,
            created_at: old.created_at,
            state: if old.enabled { KeyState::Enabled } else { KeyState::Disabled },
            materials: old.materials.into_iter().map(material).collect(),
            aliases,
            ..Self::default()
        }
    }
}

/// What a key is for ever.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kind {
    pub spec: KeySpec,
    pub usage: KeyUsage,
    pub origin: Origin,
    pub is_multi_region: bool,
}

impl Kind {
    pub(crate) const fn of(key: &KeyRecord) -> Self {
        let is_multi_region = key.regions.is_some();
        Self { spec: key.spec, usage: key.usage, origin: key.origin, is_multi_region }
    }
}

/// The orders in which keys are walked.
pub(crate) mod order {
    pub(crate) const ID: usize = 0;
    /// By the instant at which something has to be done about them. Keys without such a time come first.
    pub(crate) const DUE: usize = 1;
}

impl Listed for KeyRecord {
    const ORDERS: usize = 2;

    fn place(&self, order: usize) -> Place<'_> {
        let number = if order == order::DUE { self.due_at().map(Timestamp::millis) } else { None };
        Place { number, text: &self.key_id, tie: "" }
    }
}

impl Material {
    pub(crate) fn draw(entropy: &dyn Entropy, spec: KeySpec, now: Timestamp, came: Came) -> Self {
        let bytes = match spec.made_of() {
            MadeOf::Secret { bytes } => {
                let mut secret = Secret::new(vec![0; bytes]);
                entropy.fill(secret.expose_mut());
                secret
            }
            MadeOf::Pair(kind) => PrivateKey::generate(kind).to_pkcs8(),
        };
        Self {
            id: HEXLOWER.encode(&material_id(bytes.expose())),
            bytes,
            created_at: now,
            came,
            ..Self::default()
        }
    }

    /// As what wraps and opens ciphertexts.
    pub(crate) fn as_symmetric(&self) -> Option<&[u8; 32]> {
        self.bytes.expose().as_slice().try_into().ok()
    }
}

impl KeyRecord {
    /// A new key of the account, which has no material yet, and whose policy is somebody else's to write.
    pub(crate) fn new(cx: &Cx<'_>, kind: Kind) -> Self {
        let key_id = KeyId::draw(cx.entropy(), kind.is_multi_region).to_string();
        Self {
            arn: cx.arn("kms", &format!("key/{key_id}")).to_string(),
            key_id,
            created_at: cx.now(),
            state: KeyState::PendingImport,
            regions: kind.is_multi_region.then(|| RegionsRecord::of_new_primary(cx.region().as_str())),
            ..Self::of_kind(kind)
        }
    }

    /// What can be said of any key of a kind.
    pub(crate) fn of_kind(kind: Kind) -> Self {
        let Kind { spec, usage, origin, is_multi_region } = kind;
        Self { spec, usage, origin, regions: is_multi_region.then(RegionsRecord::default), ..Self::default() }
    }

    /// Draws the first material, unless that comes from outside. Pairs may take long.
    pub(crate) fn begin(&mut self, cx: &Cx<'_>) -> Result<(), ApiError> {
        let draw = || Material::draw(cx.entropy(), self.spec, cx.now(), Came::WithTheKey);
        let drawn = match (self.origin, self.spec.made_of()) {
            (Origin::External, _) => return Ok(()),
            (Origin::AwsKms, MadeOf::Pair(_)) => cx.at_length(draw)?,
            (Origin::AwsKms, MadeOf::Secret { .. }) => draw(),
        };
        self.materials.push(drawn);
        self.state = KeyState::Enabled;
        Ok(())
    }

    /// The key that a service manages for its account.
    pub(crate) fn managed(cx: &Cx<'_>, service: &str, alias: &str) -> Result<Self, ApiError> {
        let mut key = Self {
            managed_by: Some(service.to_owned()),
            description: description_of_managed(service),
            rotation: Some(RotationRecord::yearly(cx.now())),
            aliases: vec![alias.to_owned()],
            ..Self::new(cx, Kind::default())
        };
        key.begin(cx)?;
        Ok(key)
    }

    /// The generation that is used now.
    pub(crate) fn current(&self) -> Option<&Material> {
        self.materials.last()
    }

    /// The generation that a ciphertext names by the first half of its id.
    pub(crate) fn material(&self, prefix: &[u8; 16]) -> Option<&Material> {
        let prefix = HEXLOWER.encode(prefix);
        self.materials.iter().find(|material| material.id.starts_with(&prefix))
    }

    /// The id of the current material, which AWS shows for symmetric encryption only.
    pub(crate) fn shown_material_id(&self) -> Option<String> {
        let is_shown = self.spec == KeySpec::SymmetricDefault;
        self.current().filter(|_| is_shown).map(|material| material.id.clone())
    }

    pub(crate) fn ensure_usage(&self, usage: KeyUsage, operation: &'static str) -> Result<(), KmsError> {
        if self.usage == usage {
            return Ok(());
        }
        Err(KmsError::UsageInvalid { arn: self.arn.clone(), usage: self.usage.as_str(), operation })
    }

    /// When the keeper has to do something about it.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        let at = match (self.state, &self.deletion, &self.rotation) {
            (KeyState::PendingDeletion, Some(deletion), _) => Some(deletion.due_at),
            (KeyState::Enabled, _, Some(rotation)) if !self.is_replica() => Some(rotation.next_at),
            _ => None,
        };
        at.into_iter().chain(self.expires_at()).min()
    }

    pub(crate) fn metadata(&self, account: &str) -> KeyMetadata {
        let list = |algorithms: &[&str]| {
            let names: Vec<String> = algorithms.iter().map(|name| (*name).to_owned()).collect();
            (!names.is_empty()).then_some(names)
        };
        let (expiration_model, valid_to) = self.shown_validity();
        let waits_for_replicas = self.state == KeyState::PendingReplicaDeletion;
        let deletion = self.deletion.as_ref();
        KeyMetadata {
            aws_account_id: Some(account.to_owned()),
            key_id: self.key_id.clone(),
            arn: Some(self.arn.clone()),
            creation_date: Some(self.created_at),
            enabled: Some(self.state == KeyState::Enabled),
            description: Some(self.description.clone()),
            key_usage: Some(self.usage.as_str().to_owned()),
            key_state: Some(self.state.as_str().to_owned()),
            deletion_date: deletion.filter(|_| !waits_for_replicas).map(|deletion| deletion.due_at),
            pending_deletion_window_in_days: deletion
                .filter(|_| waits_for_replicas)
                .map(|deletion| deletion.window_days),
            origin: Some(self.origin.as_str().to_owned()),
            expiration_model,
            valid_to,
            key_manager: Some(String::from(if self.managed_by.is_some() { "AWS" } else { "CUSTOMER" })),
            // The older of the two members does not know the newest curve.
            customer_master_key_spec: (self.spec != KeySpec::Ed25519).then(|| self.spec.as_str().to_owned()),
            key_spec: Some(self.spec.as_str().to_owned()),
            encryption_algorithms: list(self.encryption_algorithms()),
            signing_algorithms: list(self.signing_algorithms()),
            key_agreement_algorithms: list(self.key_agreement_algorithms()),
            mac_algorithms: list(self.spec.mac_algorithms()),
            multi_region: Some(self.regions.is_some()),
            multi_region_configuration: self.shown_regions(),
            current_key_material_id: self.shown_material_id(),
            ..KeyMetadata::default()
        }
    }
}

fn description_of_managed(service: &str) -> String {
    match service {
        "secretsmanager" => {
            String::from("Default key that protects my Secrets Manager data when no other key is defined")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use coffer_core::Past;
    use coffer_shape::stored;

    use super::*;

    #[test]
    fn a_key_of_the_first_version_is_read() {
        let old = KeyRecordV1 {
            key_id: String::from("id"),
            arn: String::from("arn"),
            managed_by: Some(String::from("secretsmanager")),
            created_at: Timestamp::from_seconds(86_400),
            enabled: true,
            materials: vec![MaterialV1 { id: String::from("ab"), bytes: Secret::new(vec![7; 32]) }],
        };
        let bytes = stored::to_bytes(&old).unwrap();
        let key = KeyRecord::from_stored(1, bytes.expose()).unwrap();
        assert_eq!((key.spec, key.usage, key.state), Default::default());
        assert_eq!(key.aliases, ["alias/aws/secretsmanager"]);
        assert_eq!(key.due_at(), Some(Timestamp::from_seconds(86_400 * 366)));
        let material = key.current().unwrap();
        assert_eq!(
            (material.id.as_str(), material.bytes.expose().len(), material.came),
            ("ab", 32, Came::WithTheKey)
        );

        let disabled = KeyRecordV1 { enabled: false, ..KeyRecordV1::default() };
        let key = KeyRecord::from(disabled);
        assert_eq!((key.state, key.due_at(), key.aliases.len()), (KeyState::Disabled, None, 0));
    }
}

//! A KMS that opens the store: AWS's, or another Coffer.
//!
//! A slot of this kind has a key of its own, which was encrypted at the KMS when the slot was made and lies nowhere else. So whoever
//! opens the store asks the KMS to decrypt it, with its own access key, and the KMS decides each time. Store and slot are the
//! encryption context: what was encrypted for one is decrypted for no other, and the record of the KMS says for which.
//!
//! The place to ask is that of the configuration and never the one that the keyring names: a keyring is a file in backups, and must
//! send nobody anywhere. Nothing that came back is kept beyond what it opened.
//!
//! Answers are bounded in time and length. A KMS may be away for as long as it likes: the store is sealed meanwhile, and whoever
//! has another key opens it at any time.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, thread, time::Duration};

use coffer_barrier::{KmsSlot, SlotId, SlotKey};
use coffer_client::{Client, ClientError, Credentials, Endpoint, EndpointError};
use coffer_model::kms::{Decrypt, DecryptRequest, Encrypt, EncryptRequest};
use coffer_types::{Clock, Region, Secret, encoding::HEXLOWER};
use tokio::time::timeout;

use crate::{complaint::Complaint, data_dir::read_private, oidc::is_near};

const WAIT: Duration = Duration::from_secs(10);
/// Both answers are a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What somebody else's error says is shown up to here.
const REASON_LETTERS_MAX: usize = 300;

/// Where a KMS is, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsSeal {
    pub(crate) endpoint: String,
    /// The text of a PEM file with those who may vouch for the host. Clear text needs none.
    pub(crate) authorities: Option<String>,
    pub(crate) region: Region,
    /// The KMS key for new slots.
    pub(crate) key: String,
    /// The file with the access key. A command that is typed does not have the credentials of a service.
    pub(crate) credentials: Option<PathBuf>,
    /// systemd hands it over, and gives access in a way that shows as group permission.
    pub(crate) is_credential: bool,
}

impl KmsSeal {
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// The place, unless secrets must not go there. The error is a reason for people.
    pub(crate) fn reachable(&self) -> Result<Endpoint, String> {
        if !self.endpoint.starts_with("https://") && !is_near(&self.endpoint) {
            return Err(String::from(
                "a KMS is at a URL that begins with https://, unless it is on this machine",
            ));
        }
        Endpoint::new(&self.endpoint, self.authorities.as_deref()).map_err(|error| match error {
            EndpointError::NothingTrusted => {
                String::from("`seal.kms.authorities` says nothing of whom to trust there")
            }
            other => other.to_string(),
        })
    }

    /// Has the key of a new slot encrypted.
    pub(crate) async fn wrap(
        &self,
        clock: &Arc<dyn Clock>,
        store_id: &[u8; 16],
        slot: SlotId,
        key: &Secret<[u8; 32]>,
    ) -> Result<KmsSlot, Complaint> {
        let request = EncryptRequest {
            key_id: self.key.clone(),
            plaintext: Secret::new(key.expose().to_vec()),
            encryption_context: Some(context(store_id, slot)),
            ..EncryptRequest::default()
        };
        let client = self.client(clock)?;
        let answer = within(client.call::<Encrypt>(&request)).await.map_err(|error| {
            self.refused("encrypts no key for the store", &self.key, "kms:Encrypt", &error)
        })?;
        let unusable = || {
            Complaint::new(format!("the KMS at {} encrypts no key for the store", self.endpoint))
                .because("its answer is none of a KMS")
                .next("check `seal.kms.endpoint` in the configuration")
        };
        let ciphertext = answer.ciphertext_blob.filter(|blob| !blob.is_empty()).ok_or_else(unusable)?;
        // An alias may lead to another key tomorrow, and then that one is asked, which cannot decrypt this.
        let key_id = answer.key_id.unwrap_or_else(|| self.key.clone());
        KmsSlot::new(&self.endpoint, self.region.as_str(), &key_id, &ciphertext).ok_or_else(unusable)
    }

    /// Has the key of a slot decrypted.
    pub(crate) async fn unwrap(
        &self,
        clock: &Arc<dyn Clock>,
        store_id: &[u8; 16],
        slot: SlotId,
        at: &KmsSlot,
    ) -> Result<SlotKey, Complaint> {
        let request = DecryptRequest {
            ciphertext_blob: Some(at.ciphertext().to_vec()),
            key_id: Some(at.key_id().to_owned()),
            encryption_context: Some(context(store_id, slot)),
            ..DecryptRequest::default()
        };
        let client = self.client(clock)?;
        let answer = within(client.call::<Decrypt>(&request))
            .await
            .map_err(|error| self.refused("does not open the store", at.key_id(), "kms:Decrypt", &error))?;
        let key = answer.plaintext.and_then(|plaintext| plaintext.expose().as_slice().try_into().ok());
        let key = key.map(Secret::new).ok_or_else(|| {
            Complaint::new(format!("the KMS at {} does not open the store", self.endpoint))
                .because("what it decrypted is no key of a seal slot")
                .next("check `seal.kms.endpoint` in the configuration")
        })?;
        Ok(SlotKey::Kms { slot, key })
    }

    fn client(&self, clock: &Arc<dyn Clock>) -> Result<Client, Complaint> {
        let endpoint = self.reachable().map_err(|reason| {
            Complaint::new(format!("the KMS at {} cannot be asked", self.endpoint))
                .because(reason)
                .next("correct `[seal.kms]` in the configuration")
        })?;
        let client = Client::new(endpoint, self.credentials()?, self.region.clone(), Arc::clone(clock));
        Ok(client.answers_up_to(ANSWER_BYTES_MAX))
    }

    /// Read each time: access keys are changed while a server runs.
    fn credentials(&self) -> Result<Credentials, Complaint> {
        let Some(path) = &self.credentials else {
            return Err(Complaint::new(format!("there is no access key for the KMS at {}", self.endpoint))
                .because("`seal.kms.credentials` names no file, and systemd gave this process no credential coffer.kms")
                .next("a file with aws_access_key_id and aws_secret_access_key, and its path in the configuration"));
        };
        let what = format!("the access key for the KMS at {}", self.endpoint);
        let text = read_private(path, self.is_credential, &what)?;
        let value = |name: &str| value_of(text.expose(), name);
        let (Some(id), Some(key)) = (value("aws_access_key_id"), value("aws_secret_access_key")) else {
            return Err(Complaint::new(format!("the access key for the KMS at {} is none", self.endpoint))
                .because(format!("{} has no aws_access_key_id and aws_secret_access_key", path.display()))
                .next("the file as the AWS CLI writes it, with one access key"));
        };
        let secret = |text: &str| Arc::new(Secret::new(text.to_owned()));
        Ok(Credentials {
            access_key_id: id.to_owned(),
            secret_access_key: secret(key),
            session_token: value("aws_session_token").map(secret),
        })
    }

    fn refused(&self, what: &str, key: &str, action: &str, error: &ClientError) -> Complaint {
        let complaint = Complaint::new(format!("the KMS at {} {what}", self.endpoint)).because(shown(error));
        match (error, error.code().unwrap_or_default()) {
            (_, "DisabledException") => complaint.next(format!("enable the KMS key {key}")),
            (_, "KMSInvalidStateException") => {
                complaint.next(format!("cancel the deletion of the KMS key {key}, and enable it"))
            }
            (_, "AccessDeniedException") => {
                complaint.next(format!("let the owner of the access key call {action} on {key}"))
            }
            (_, "NotFoundException") => {
                complaint.next("check `[seal.kms]` in the configuration: endpoint, region and key")
            }
            (_, "InvalidCiphertextException" | "IncorrectKeyException") => {
                complaint.next("the KMS that the slot was made at; if that is lost, another seal slot")
            }
            (ClientError::Refused { .. }, _) => complaint.next("check the access key and the key at the KMS"),
            _ => complaint.next("check that it runs, and that this machine reaches it"),
        }
    }
}

/// Waits for a KMS where nothing else is to be done meanwhile. It has a thread of its own, so that it may be called from any.
pub(crate) fn wait_for<T: Send>(
    asking: impl Future<Output = Result<T, Complaint>> + Send,
) -> Result<T, Complaint> {
    let cannot = |reason: &dyn std::fmt::Display| Complaint::new("the KMS cannot be asked").because(reason);
    let waiting = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| cannot(&error))?.block_on(asking)
    };
    thread::scope(|scope| scope.spawn(waiting).join())
        .unwrap_or_else(|_| Err(cannot(&"a defect of Coffer; please report it")))
}

async fn within<T>(call: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    timeout(WAIT, call).await.unwrap_or(Err(ClientError::TimedOut))
}

/// What a ciphertext is bound to.
fn context(store_id: &[u8; 16], slot: SlotId) -> BTreeMap<String, String> {
    [("store", HEXLOWER.encode(store_id)), ("slot", HEXLOWER.encode(slot.as_bytes()))]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// An error without what would break a line, and not longer than one reads.
fn shown(error: &ClientError) -> String {
    error.to_string().chars().filter(|letter| !letter.is_control()).take(REASON_LETTERS_MAX).collect()
}

/// The first value of this name in a file of credentials.
fn value_of<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
        .filter(|value| !value.is_empty())
}

//! A second, slow and obvious Secrets Manager, in memory.
//!
//! It is written from the rules and not from the service: labels are a map from the label to its version, time is an argument,
//! nothing is stored, sealed or retried. A random walk compares the two. It knows one account and one region, no limits and no
//! validation.

use std::collections::BTreeMap;

use coffer_types::Timestamp;
use serde_json::{Map, Value, json};

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
const PENDING: &str = "AWSPENDING";

pub(crate) type Outcome = Result<Value, &'static str>;

const NOT_FOUND: &str = "ResourceNotFoundException";
const EXISTS: &str = "ResourceExistsException";
const STATE: &str = "InvalidRequestException";
const PARAMETER: &str = "InvalidParameterException";

#[derive(Debug, Default)]
pub(crate) struct Twin {
    pub(crate) secrets: BTreeMap<String, Secret>,
}

#[derive(Debug)]
pub(crate) struct Secret {
    name: String,
    /// The server draws the suffix; the twin hears of it.
    pub(crate) arn: String,
    created: Timestamp,
    changed: Timestamp,
    accessed: Option<Timestamp>,
    description: String,
    tags: Option<Vec<(String, String)>>,
    versions: BTreeMap<String, Version>,
    labels: BTreeMap<String, String>,
    deletion: Option<(Timestamp, Timestamp)>,
}

#[derive(Debug)]
struct Version {
    value: String,
    created: Timestamp,
    accessed: Option<Timestamp>,
}

/// What a request says, as far as the twin cares.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Create {
        name: String,
        value: Option<(String, String)>,
        description: Option<String>,
        tags: Option<Vec<(String, String)>>,
    },
    Put {
        name: String,
        value: (String, String),
        labels: Option<Vec<String>>,
    },
    Update {
        name: String,
        value: Option<(String, String)>,
        description: Option<String>,
    },
    Move {
        name: String,
        label: String,
        from: Option<String>,
        to: Option<String>,
    },
    Get {
        name: String,
        id: Option<String>,
        label: Option<String>,
    },
    Delete {
        name: String,
        days: Option<i64>,
        force: bool,
    },
    Restore {
        name: String,
    },
    Tag {
        name: String,
        tags: Vec<(String, String)>,
    },
    Untag {
        name: String,
        keys: Vec<String>,
    },
}

impl Request {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Create { name, .. }
            | Self::Put { name, .. }
            | Self::Update { name, .. }
            | Self::Move { name, .. }
            | Self::Get { name, .. }
            | Self::Delete { name, .. }
            | Self::Restore { name }
            | Self::Tag { name, .. }
            | Self::Untag { name, .. } => name,
        }
    }

    /// The request as a client writes it.
    pub(crate) fn on_the_wire(&self) -> (&'static str, Value) {
        let value = |input: &mut Value, value: &Option<(String, String)>| {
            if let Some((token, text)) = value {
                input["ClientRequestToken"] = token.as_str().into();
                input["SecretString"] = text.as_str().into();
            }
        };
        match self {
            Self::Create { name, value: new, description, tags } => {
                let mut input = json!({"Name": name, "Description": description, "Tags": tags.as_ref().map(|tags| shown(tags))});
                value(&mut input, new);
                ("CreateSecret", input)
            }
            Self::Put { name, value: new, labels } => {
                let mut input = json!({"SecretId": name, "VersionStages": labels});
                value(&mut input, &Some(new.clone()));
                ("PutSecretValue", input)
            }
            Self::Update { name, value: new, description } => {
                let mut input = json!({"SecretId": name, "Description": description});
                value(&mut input, new);
                ("UpdateSecret", input)
            }
            Self::Move { name, label, from, to } => (
                "UpdateSecretVersionStage",
                json!({"SecretId": name, "VersionStage": label, "RemoveFromVersionId": from, "MoveToVersionId": to}),
            ),
            Self::Get { name, id, label } => {
                ("GetSecretValue", json!({"SecretId": name, "VersionId": id, "VersionStage": label}))
            }
            Self::Delete { name, days, force } => (
                "DeleteSecret",
                json!({"SecretId": name, "RecoveryWindowInDays": days, "ForceDeleteWithoutRecovery": force}),
            ),
            Self::Restore { name } => ("RestoreSecret", json!({"SecretId": name})),
            Self::Tag { name, tags } => ("TagResource", json!({"SecretId": name, "Tags": shown(tags)})),
            Self::Untag { name, keys } => ("UntagResource", json!({"SecretId": name, "TagKeys": keys})),
        }
    }
}

impl Twin {
    /// What the server must answer, and the change that it must make.
    pub(crate) fn run(&mut self, request: &Request, now: Timestamp) -> Outcome {
        let name = request.name();
        if let Request::Create { value, description, tags, .. } = request {
            return self.create(name, value.as_ref(), description.as_deref(), tags.as_ref(), now);
        }
        if let Request::Delete { days, force: true, .. } = request {
            return match days {
                Some(_) => Err(PARAMETER),
                None => {
                    let arn = self.secrets.remove(name).map(|secret| secret.arn);
                    // The ARN of what never was is made up by the server.
                    Ok(json!({"ARN": arn, "Name": name, "DeletionDate": seconds(now)}))
                }
            };
        }
        if let Request::Delete { days: Some(days), .. } = request
            && !(7..=30).contains(days)
        {
            return Err(PARAMETER);
        }
        let secret = self.secrets.get_mut(name).ok_or(NOT_FOUND)?;
        if let Request::Restore { .. } = request {
            if secret.deletion.take().is_some() {
                secret.changed = now;
            }
            return Ok(secret.called());
        }
        if secret.deletion.is_some() {
            return Err(STATE);
        }
        match request {
            Request::Put { value: (token, value), labels, .. } => {
                secret.put(token, value, labels.as_ref(), now)
            }
            Request::Update { value, description, .. } => {
                secret.update(value.as_ref(), description.as_deref(), now)
            }
            Request::Move { label, from, to, .. } => secret.shift(label, from.as_ref(), to.as_ref(), now),
            Request::Get { id, label, .. } => secret.get(id.as_ref(), label.as_ref(), now),
            Request::Delete { days, .. } => {
                let due = now.plus_days(days.unwrap_or(30));
                secret.deletion = Some((now, due));
                secret.changed = now;
                let mut answer = secret.called();
                answer["DeletionDate"] = seconds(due);
                Ok(answer)
            }
            Request::Tag { tags, .. } => {
                if !tags.is_empty() {
                    let known = secret.tags.get_or_insert_default();
                    for (key, value) in tags {
                        match known.iter().position(|(old, _)| old == key) {
                            Some(at) => known[at].1.clone_from(value),
                            None => known.push((key.clone(), value.clone())),
                        }
                    }
                    secret.changed = now;
                }
                Ok(json!({}))
            }
            Request::Untag { keys, .. } => {
                if let Some(tags) = &mut secret.tags {
                    tags.retain(|(key, _)| !keys.contains(key));
                }
                secret.changed = now;
                Ok(json!({}))
            }
            Request::Create { .. } | Request::Restore { .. } => unreachable!(),
        }
    }

    fn create(
        &mut self,
        name: &str,
        value: Option<&(String, String)>,
        description: Option<&str>,
        tags: Option<&Vec<(String, String)>>,
        now: Timestamp,
    ) -> Outcome {
        if let Some(secret) = self.secrets.get(name) {
            if secret.deletion.is_some() {
                return Err(STATE);
            }
            return match value.and_then(|(token, value)| Some((secret.versions.get(token)?, token, value))) {
                Some((version, token, value)) if version.value == *value => {
                    let mut answer = secret.called();
                    answer["VersionId"] = token.as_str().into();
                    Ok(answer)
                }
                _ => Err(EXISTS),
            };
        }
        let mut secret = Secret {
            name: name.to_owned(),
            arn: String::new(),
            created: now,
            changed: now,
            accessed: None,
            description: description.unwrap_or_default().to_owned(),
            tags: tags.cloned(),
            versions: BTreeMap::new(),
            labels: BTreeMap::new(),
            deletion: None,
        };
        let mut answer = secret.called();
        if let Some((token, value)) = value {
            secret.add(token, value, &[CURRENT.to_owned()], now);
            answer["VersionId"] = token.as_str().into();
        }
        self.secrets.insert(name.to_owned(), secret);
        Ok(answer)
    }

    /// What the reaper does.
    pub(crate) fn reap(&mut self, now: Timestamp) {
        self.secrets.retain(|_, secret| secret.deletion.is_none_or(|(_, due)| due > now));
    }

    /// ListSecrets, scheduled ones included.
    pub(crate) fn list(&self) -> Value {
        let mut secrets: Vec<&Secret> = self.secrets.values().collect();
        secrets.sort_by_key(|secret| secret.created);
        secrets.iter().map(|secret| secret.describe("SecretVersionsToStages")).collect()
    }
}

impl Secret {
    fn called(&self) -> Value {
        json!({"ARN": self.arn, "Name": self.name})
    }

    fn labels_of(&self, id: &str) -> Vec<&str> {
        self.labels.iter().filter(|(_, holder)| *holder == id).map(|(label, _)| label.as_str()).collect()
    }

    fn add(&mut self, id: &str, value: &str, labels: &[String], now: Timestamp) {
        let is_first = self.versions.is_empty();
        self.versions
            .insert(id.to_owned(), Version { value: value.to_owned(), created: now, accessed: None });
        let before = self.labels.get(CURRENT).cloned();
        for label in labels {
            self.labels.insert(label.clone(), id.to_owned());
        }
        if is_first {
            self.labels.insert(CURRENT.to_owned(), id.to_owned());
        }
        if labels.iter().any(|label| label == CURRENT) {
            if let Some(before) = before {
                self.labels.insert(PREVIOUS.to_owned(), before);
            }
            self.labels.retain(|label, holder| label != PENDING || holder == id);
        }
        self.changed = now;
    }

    fn put(&mut self, token: &str, value: &str, labels: Option<&Vec<String>>, now: Timestamp) -> Outcome {
        match self.versions.get(token) {
            Some(version) if version.value != value => return Err(EXISTS),
            Some(_) => {}
            None => {
                let current = vec![CURRENT.to_owned()];
                self.add(token, value, labels.unwrap_or(&current), now);
            }
        }
        let mut answer = self.called();
        answer["VersionId"] = token.into();
        answer["VersionStages"] = self.labels_of(token).into();
        Ok(answer)
    }

    fn update(
        &mut self,
        value: Option<&(String, String)>,
        description: Option<&str>,
        now: Timestamp,
    ) -> Outcome {
        let known = value.and_then(|(token, _)| self.versions.get(token));
        if let (Some((_, value)), Some(version)) = (value, known)
            && version.value != *value
        {
            return Err(EXISTS);
        }
        let is_repeated = known.is_some();
        let mut answer = self.called();
        if let Some((token, value)) = value {
            if !is_repeated {
                self.add(token, value, &[CURRENT.to_owned()], now);
            }
            answer["VersionId"] = token.as_str().into();
        }
        if let Some(description) = description {
            description.clone_into(&mut self.description);
        }
        if description.is_some() || !is_repeated {
            self.changed = now;
        }
        Ok(answer)
    }

    fn shift(&mut self, label: &str, from: Option<&String>, to: Option<&String>, now: Timestamp) -> Outcome {
        let holder = self.labels.get(label).cloned();
        match (from, to, holder) {
            (None, None, _) => return Err(PARAMETER),
            (_, Some(to), _) if !self.versions.contains_key(to) => return Err(NOT_FOUND),
            (Some(from), _, holder) if holder.as_ref() != Some(from) => return Err(PARAMETER),
            (None, Some(to), Some(holder)) if holder != *to => return Err(PARAMETER),
            (Some(_), None, _) if label == CURRENT => return Err(PARAMETER),
            (_, Some(to), holder) => {
                self.labels.insert(label.to_owned(), to.clone());
                if label == CURRENT
                    && let Some(before) = holder.filter(|before| before != to)
                {
                    self.labels.insert(PREVIOUS.to_owned(), before);
                }
            }
            (_, None, _) => drop(self.labels.remove(label)),
        }
        self.changed = now;
        Ok(self.called())
    }

    fn get(&mut self, id: Option<&String>, label: Option<&String>, now: Timestamp) -> Outcome {
        let label = label.map_or(CURRENT, String::as_str);
        let id = match id {
            Some(id) => id.clone(),
            None => self.labels.get(label).ok_or(NOT_FOUND)?.clone(),
        };
        let asked_for_label = label != CURRENT;
        let labels: Vec<String> = self.labels_of(&id).into_iter().map(str::to_owned).collect();
        let version = self.versions.get_mut(&id).ok_or(NOT_FOUND)?;
        if asked_for_label && !labels.iter().any(|held| held == label) {
            return Err(STATE);
        }
        version.accessed = Some(now.start_of_day());
        self.accessed = Some(now.start_of_day());
        let mut answer = json!({
            "ARN": self.arn, "Name": self.name, "VersionId": id, "SecretString": version.value,
            "CreatedDate": seconds(version.created),
        });
        if !labels.is_empty() {
            answer["VersionStages"] = labels.into();
        }
        Ok(answer)
    }

    /// DescribeSecret, or an entry of ListSecrets, which calls one member otherwise.
    pub(crate) fn describe(&self, versions: &str) -> Value {
        let mut answer = self.called();
        answer["CreatedDate"] = seconds(self.created);
        answer["LastChangedDate"] = seconds(self.changed);
        if !self.description.is_empty() {
            answer["Description"] = self.description.as_str().into();
        }
        if let Some(tags) = &self.tags {
            answer["Tags"] = shown(tags);
        }
        if let Some(day) = self.accessed {
            answer["LastAccessedDate"] = seconds(day);
        }
        if let Some((asked, _)) = self.deletion {
            answer["DeletedDate"] = seconds(asked);
        }
        let labelled = self.versions.keys().map(|id| (id.clone(), json!(self.labels_of(id))));
        let labelled: Map<String, Value> = labelled.filter(|(_, labels)| *labels != json!([])).collect();
        if !labelled.is_empty() {
            answer[versions] = labelled.into();
        }
        answer
    }

    /// ListSecretVersionIds, deprecated ones included.
    pub(crate) fn list_versions(&self) -> Value {
        let mut versions: Vec<(&String, &Version)> = self.versions.iter().collect();
        versions.sort_by_key(|(id, version)| (version.created, *id));
        let entry = |(id, version): (&String, &Version)| {
            let mut entry = json!({
                "VersionId": id, "CreatedDate": seconds(version.created), "KmsKeyIds": ["DefaultEncryptionKey"],
            });
            let labels = self.labels_of(id);
            if !labels.is_empty() {
                entry["VersionStages"] = labels.into();
            }
            if let Some(day) = version.accessed {
                entry["LastAccessedDate"] = seconds(day);
            }
            entry
        };
        versions.into_iter().map(entry).collect()
    }
}

fn shown(tags: &[(String, String)]) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

/// As the wire has it: a whole number, or three decimals.
pub(crate) fn seconds(time: Timestamp) -> Value {
    let (whole, millis) = (time.seconds(), time.millis().rem_euclid(1000));
    if millis == 0 { whole.into() } else { format!("{whole}.{millis:03}").parse::<f64>().unwrap().into() }
}

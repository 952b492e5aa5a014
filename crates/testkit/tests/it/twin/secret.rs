//! One secret by the rules: versions, labels, tags, its policy, and what is shown of it.

use coffer_types::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    CURRENT, EXISTS, NOT_FOUND, Outcome, PARAMETER, PENDING, PREVIOUS, PUBLIC, Request, STATE, Secret,
    Version, request::is_public, seconds, shown,
};

impl Secret {
    /// A request that only this secret has to do with, which is neither scheduled for deletion nor in the wrong region.
    pub(super) fn run(&mut self, request: &Request, now: Timestamp) -> Outcome {
        match request {
            Request::Put { value: (token, value), labels, .. } => {
                self.put(token, value, labels.as_ref(), now)
            }
            Request::Update { value, description, key, .. } => {
                self.update(value.as_ref(), description.as_deref(), *key, now)
            }
            Request::Move { label, from, to, .. } => self.shift(label, from.as_ref(), to.as_ref(), now),
            Request::Get { id, label, .. } => self.get(id.as_ref(), label.as_deref(), now),
            Request::Delete { .. } if !self.replicas.is_empty() => Err(PARAMETER),
            Request::Delete { days, .. } => {
                let due = now.plus_days(days.unwrap_or(30));
                (self.deletion, self.due) = (Some(now), Some(due));
                self.changed = now;
                let mut answer = self.called();
                answer["DeletionDate"] = seconds(due);
                Ok(answer)
            }
            Request::Restore { .. } => {
                self.due = None;
                if self.deletion.take().is_some() {
                    self.changed = now;
                }
                Ok(self.called())
            }
            Request::Tag { tags, .. } => {
                if !tags.is_empty() {
                    self.tag(tags);
                    self.changed = now;
                }
                Ok(json!({}))
            }
            Request::Untag { keys, .. } => {
                if let Some(tags) = &mut self.tags {
                    tags.retain(|(key, _)| !keys.contains(key));
                }
                self.changed = now;
                Ok(json!({}))
            }
            Request::Rotate { .. } => self.rotate(request, now),
            Request::Cancel { .. } => self.cancel_rotation(now),
            Request::PutPolicy { policy, blocks_public, .. } => {
                if is_public(policy)? && *blocks_public {
                    return Err(PUBLIC);
                }
                self.policy = Some(policy.clone());
                self.changed = now;
                Ok(self.called_with_policy("default"))
            }
            Request::GetPolicy { policy_name, .. } => {
                let name = policy_name.unwrap_or("default");
                let mut answer = self.called_with_policy(name);
                if name != "default" {
                    return Err(NOT_FOUND);
                }
                if let Some(policy) = &self.policy {
                    answer["ResourcePolicy"] = policy.as_str().into();
                }
                Ok(answer)
            }
            Request::DeletePolicy { .. } => {
                if self.policy.take().is_some() {
                    self.changed = now;
                }
                Ok(self.called_with_policy("default"))
            }
            Request::ListPolicies { .. } => {
                let policies: Vec<Value> =
                    self.policy.iter().map(|_| json!({"PolicyName": "default"})).collect();
                Ok(json!({"ResourcePolicies": policies}))
            }
            Request::Create { .. }
            | Request::Replicate { .. }
            | Request::Unreplicate { .. }
            | Request::Promote { .. } => unreachable!("{request:?} is for more than one secret"),
        }
    }

    pub(super) fn called(&self) -> Value {
        json!({"ARN": self.arn, "Name": self.name})
    }

    fn called_with_policy(&self, name: &str) -> Value {
        json!({"ARN": self.arn, "Name": self.name, "PolicyName": name})
    }

    pub(super) fn labels_of(&self, id: &str) -> Vec<&str> {
        self.labels.iter().filter(|(_, holder)| *holder == id).map(|(label, _)| label.as_str()).collect()
    }

    /// Every label that is attached to something.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &String> {
        self.labels.keys()
    }

    pub(crate) fn holder(&self, label: &str) -> Option<&str> {
        self.labels.get(label).map(String::as_str)
    }

    /// Makes a version, or gives the one that waits for it its value.
    pub(super) fn add(&mut self, id: &str, value: &str, labels: &[String], now: Timestamp) {
        let is_first = self.versions.is_empty();
        let fresh = Version { value: None, created: now, accessed: None };
        self.versions.entry(id.to_owned()).or_insert(fresh).value = Some(value.to_owned());
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
        if self.labels.get(CURRENT).is_some_and(|current| current == id) {
            self.plan_rotation(now, now);
        }
        self.changed = now;
    }

    fn put(&mut self, token: &str, value: &str, labels: Option<&Vec<String>>, now: Timestamp) -> Outcome {
        match self.versions.get(token).and_then(|version| version.value.as_ref()) {
            Some(known) if known != value => return Err(EXISTS),
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
        key: bool,
        now: Timestamp,
    ) -> Outcome {
        let known = value.and_then(|(token, _)| self.versions.get(token)?.value.as_ref());
        if let (Some((_, value)), Some(known)) = (value, known)
            && known != value
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
        if description.is_some() || key || !is_repeated {
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
            (_, Some(to), _) if label == CURRENT && self.versions[to].value.is_none() => return Err(STATE),
            (_, Some(to), holder) => {
                self.labels.insert(label.to_owned(), to.clone());
                if label == CURRENT && holder.as_ref() != Some(to) {
                    // It follows to where AWSCURRENT was, and what just became current loses it in any case.
                    self.labels.retain(|label, holder| label != PREVIOUS || holder != to);
                    self.labels.extend(holder.map(|before| (PREVIOUS.to_owned(), before)));
                }
            }
            (_, None, _) => drop(self.labels.remove(label)),
        }
        self.changed = now;
        Ok(self.called())
    }

    fn get(&mut self, id: Option<&String>, label: Option<&str>, now: Timestamp) -> Outcome {
        let id = match id {
            Some(id) => id.clone(),
            None => self.labels.get(label.unwrap_or(CURRENT)).ok_or(NOT_FOUND)?.clone(),
        };
        let labels: Vec<String> = self.labels_of(&id).into_iter().map(str::to_owned).collect();
        let version = self.versions.get_mut(&id).ok_or(NOT_FOUND)?;
        if label.is_some_and(|label| !labels.iter().any(|held| held == label)) {
            return Err(STATE);
        }
        let value = version.value.as_ref().ok_or(NOT_FOUND)?;
        version.accessed = Some(now.start_of_day());
        self.accessed = Some(now.start_of_day());
        let mut answer = json!({
            "ARN": self.arn, "Name": self.name, "VersionId": id, "SecretString": value,
            "CreatedDate": seconds(version.created),
        });
        if !labels.is_empty() {
            answer["VersionStages"] = labels.into();
        }
        Ok(answer)
    }

    fn tag(&mut self, tags: &[(String, String)]) {
        let known = self.tags.get_or_insert_default();
        for (key, value) in tags {
            match known.iter().position(|(old, _)| old == key) {
                Some(at) => known[at].1.clone_from(value),
                None => known.push((key.clone(), value.clone())),
            }
        }
    }

    /// DescribeSecret.
    pub(crate) fn describe(&self) -> Value {
        let mut answer = self.described("VersionIdsToStages");
        if !self.replicas.is_empty() {
            answer["ReplicationStatus"] = self.statuses();
        }
        answer
    }

    /// An entry of ListSecrets, which calls one member otherwise and leaves another out.
    pub(super) fn entry(&self) -> Value {
        self.described("SecretVersionsToStages")
    }

    fn described(&self, versions: &str) -> Value {
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
        if let Some(asked) = self.deletion {
            answer["DeletedDate"] = seconds(asked);
        }
        if let Some(region) = self.primary_region() {
            answer["PrimaryRegion"] = region.into();
        }
        if let Some(rotation) = &self.rotation {
            rotation.show(&mut answer);
        }
        let labelled = self.versions.keys().map(|id| (id.clone(), json!(self.labels_of(id))));
        let labelled: Map<String, Value> = labelled.filter(|(_, labels)| *labels != json!([])).collect();
        if !labelled.is_empty() {
            answer[versions] = labelled.into();
        }
        answer
    }

    /// ListSecretVersionIds, deprecated ones included. A version without a value is none yet.
    pub(crate) fn list_versions(&self) -> Value {
        let mut versions: Vec<(&String, &Version)> =
            self.versions.iter().filter(|(_, version)| version.value.is_some()).collect();
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
        let versions: Value = versions.into_iter().map(entry).collect();
        json!({"ARN": self.arn, "Name": self.name, "Versions": versions})
    }
}

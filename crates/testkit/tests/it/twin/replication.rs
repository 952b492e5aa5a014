//! Replicas by the rules. Nothing here happens by itself: a primary notes what its replicas have to hear, a replica what its primary
//! has to hear, and when the twin settles everybody hears everything.

use std::collections::BTreeMap;

use coffer_types::Timestamp;
use serde_json::{Value, json};

use super::{Call, Request, Secret, Twin, Version, seconds};

/// What a primary knows of a replica.
#[derive(Debug)]
pub(super) struct Replica {
    region: &'static str,
    /// A region that is asked for once more gets another replica.
    number: u64,
    overwrites: bool,
    status: Status,
    accessed: Option<Timestamp>,
    has_to_hear: bool,
}

#[derive(Debug)]
enum Status {
    InProgress,
    InSync,
    Failed(String),
}

/// What a replica knows of its primary, and which replica of it this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    region: &'static str,
    pub(super) number: u64,
}

/// What is copied, and nothing else.
#[derive(Debug, Clone)]
pub(super) struct Read {
    description: String,
    tags: Option<Vec<(String, String)>>,
    policy: Option<String>,
    versions: BTreeMap<String, Version>,
    labels: BTreeMap<String, String>,
}

impl Read {
    /// Whether somebody who reads either finds the same. Days of reading are everybody's own.
    fn is_like(&self, other: &Self) -> bool {
        let versions = |read: &Self| -> Vec<(String, Option<String>, Timestamp)> {
            let of =
                |(id, version): (&String, &Version)| (id.clone(), version.value.clone(), version.created);
            read.versions.iter().map(of).collect()
        };
        (&self.description, &self.tags, &self.policy, &self.labels)
            == (&other.description, &other.tags, &other.policy, &other.labels)
            && versions(self) == versions(other)
    }
}

impl Secret {
    pub(super) fn read(&self) -> Read {
        Read {
            description: self.description.clone(),
            tags: self.tags.clone(),
            policy: self.policy.clone(),
            versions: self.versions.clone(),
            labels: self.labels.clone(),
        }
    }

    pub(super) fn primary_region(&self) -> Option<&'static str> {
        match self.origin {
            Some(origin) => Some(origin.region),
            None => (!self.replicas.is_empty()).then_some(self.region),
        }
    }

    /// Whether there is anything to do. What is there or on its way stays as it is; what failed is tried in the new way.
    pub(super) fn ask_for(
        &mut self,
        regions: &[&'static str],
        overwrites: bool,
        asked_for: &mut u64,
    ) -> bool {
        let mut is_news = false;
        for &region in regions {
            let known = self.replicas.iter_mut().find(|replica| replica.region == region);
            *asked_for += 1;
            let (status, number) = (Status::InProgress, *asked_for);
            let fresh = Replica { region, number, overwrites, status, accessed: None, has_to_hear: true };
            match known {
                Some(Replica { status: Status::InProgress | Status::InSync, .. }) => continue,
                Some(failed) => *failed = fresh,
                None => self.replicas.push(fresh),
            }
            is_news = true;
        }
        is_news
    }

    /// Numbers of the replicas that go.
    pub(super) fn dismiss(&mut self, regions: &[&'static str]) -> Vec<u64> {
        let is_gone = |replica: &Replica| regions.contains(&replica.region);
        let gone =
            self.replicas.iter().filter(|replica| is_gone(replica)).map(|replica| replica.number).collect();
        self.replicas.retain(|replica| !is_gone(replica));
        gone
    }

    /// After a change. It shows when there is more to hear than the time of it.
    pub(super) fn tell_replicas(&mut self, before: &Read) {
        let is_news = !self.read().is_like(before);
        for replica in &mut self.replicas {
            replica.has_to_hear = true;
            if is_news {
                replica.status = Status::InProgress;
            }
        }
    }

    pub(super) fn arn_and_statuses(&self) -> Value {
        json!({"ARN": self.arn, "ReplicationStatus": self.statuses()})
    }

    pub(super) fn statuses(&self) -> Value {
        let shown = |replica: &Replica| {
            let (status, message) = match &replica.status {
                Status::InProgress => ("InProgress", None),
                Status::InSync => ("InSync", Some("Replication succeeded")),
                Status::Failed(message) => ("Failed", Some(message.as_str())),
            };
            let mut shown =
                json!({"Region": replica.region, "KmsKeyId": "alias/aws/secretsmanager", "Status": status});
            if let Some(message) = message {
                shown["StatusMessage"] = message.into();
            }
            if let Some(day) = replica.accessed {
                shown["LastAccessedDate"] = seconds(day);
            }
            shown
        };
        self.replicas.iter().map(shown).collect()
    }

    fn arn_in(&self, region: &str) -> String {
        self.arn.replacen(self.region, region, 1)
    }
}

impl Twin {
    /// Whether two regions would have something to say to one place, so that the outcome hangs on who is heard first.
    ///
    /// Changes of a secret without replicas are seen by whoever arrives, and a primary may go on while one of its own replicas is
    /// promoted: it has nothing to say to that any more.
    pub(crate) fn is_contested(&self, call: &Call) -> bool {
        let Call { region, request } = call;
        let name = request.name();
        let speaks = matches!(request, Request::Promote { .. })
            || self.secret(region, name).is_some_and(|secret| !secret.replicas.is_empty());
        if request.is_read() || !(speaks || request.replicates()) {
            return false;
        }
        let mut others = self.secrets.values().filter(|other| other.name == name && other.region != *region);
        let has_news = |replica: &Replica| replica.has_to_hear || self.promoted.contains(&replica.number);
        others.any(|other| other.replicas.iter().any(has_news))
            || self.leaving.iter().any(|(from, of, _)| of == name && from != region)
            || (request.replicates() && !self.promoted.is_empty())
    }

    /// Everybody hears everything: first primaries of what happened to their replicas, then replicas of what their primaries are.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        let reads: Vec<_> = self
            .secrets
            .values()
            .filter_map(|secret| Some((secret.origin?.number, secret.accessed?)))
            .collect();
        let promoted = std::mem::take(&mut self.promoted);
        for primary in self.secrets.values_mut() {
            for replica in &mut primary.replicas {
                let read = reads.iter().find(|(number, _)| *number == replica.number).map(|(_, day)| *day);
                replica.accessed = replica.accessed.max(read);
            }
            let before = primary.replicas.len();
            primary.replicas.retain(|replica| !promoted.contains(&replica.number));
            if primary.replicas.len() < before {
                primary.changed = now;
                let read = primary.read();
                primary.tell_replicas(&read);
            }
        }
        let leaving = std::mem::take(&mut self.leaving);
        let is_leaving = |origin: Origin| leaving.iter().any(|(_, _, number)| *number == origin.number);
        self.secrets.retain(|_, secret| secret.origin.is_none_or(|origin| !is_leaving(origin)));

        let places: Vec<_> = self.secrets.keys().cloned().collect();
        for place in places {
            let count = self.secrets.get(&place).map_or(0, |primary| primary.replicas.len());
            for at in 0..count {
                let status = self.secrets[&place].replicas[at].has_to_hear.then(|| self.deliver(&place, at));
                let replica = &mut self.secrets.get_mut(&place).unwrap().replicas[at];
                replica.has_to_hear = false;
                if let Some(status) = status {
                    // The attempt is over for which somebody allowed it.
                    replica.overwrites = false;
                    replica.status = status;
                }
            }
        }
    }

    fn deliver(&mut self, place: &(&'static str, String), at: usize) -> Status {
        let primary = &self.secrets[place];
        let replica = &primary.replicas[at];
        let (region, name) = (replica.region, &primary.name);
        let origin = Origin { region: primary.region, number: replica.number };
        let arn = primary.arn_in(region);
        let there = self.secrets.get(&(region, name.clone()));
        let known = match there {
            None => None,
            Some(there) => match there.origin {
                Some(known) if known.region != origin.region || there.arn != arn => {
                    return Status::Failed(format!(
                        "Replication failed: Secret name {name} is currently replicated to {region} with a different arn"
                    ));
                }
                Some(known) => Some(there).filter(|_| known == origin),
                None if replica.overwrites && there.replicas.is_empty() => None,
                None => {
                    return Status::Failed(format!(
                        "Replication failed: Secret name {name} already exists in region {region}."
                    ));
                }
            },
        };
        let read = primary.read();
        let own = |id: &String, version: &Version| {
            let known = known.and_then(|known| known.versions.get(id));
            known.filter(|known| known.created == version.created).and_then(|known| known.accessed)
        };
        let versions = read
            .versions
            .iter()
            .map(|(id, version)| (id.clone(), Version { accessed: own(id, version), ..version.clone() }));
        let copy = Secret {
            region,
            name: name.clone(),
            arn,
            created: primary.created,
            changed: known.map_or(primary.changed, |known| known.changed.max(primary.changed)),
            accessed: known.and_then(|known| known.accessed),
            versions: versions.collect(),
            description: read.description,
            tags: read.tags,
            policy: read.policy,
            labels: read.labels,
            deletion: None,
            due: None,
            rotation: None,
            replicas: Vec::new(),
            origin: Some(origin),
        };
        self.secrets.insert((region, copy.name.clone()), copy);
        Status::InSync
    }
}

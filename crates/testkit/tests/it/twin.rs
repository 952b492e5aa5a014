//! A second, slow and obvious Secrets Manager, in memory.
//!
//! It is written from the rules and not from the service: labels are a map from the label to its version, time is an argument,
//! nothing is stored, sealed or retried, and replicas are made when somebody says so. A random walk compares the two. It knows one
//! account, a few regions, no quotas and next to no validation.

mod replication;
mod request;
mod rotation;
mod secret;

use std::collections::BTreeMap;

use coffer_types::Timestamp;
use serde_json::{Value, json};

use replication::{Origin, Replica};
pub(crate) use request::{Call, Request, policy};
use rotation::Rotation;
pub(crate) use rotation::Rules;

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
const PENDING: &str = "AWSPENDING";

pub(crate) type Outcome = Result<Value, &'static str>;

const NOT_FOUND: &str = "ResourceNotFoundException";
const EXISTS: &str = "ResourceExistsException";
const STATE: &str = "InvalidRequestException";
const PARAMETER: &str = "InvalidParameterException";
const DENIED: &str = "AccessDeniedException";
const MALFORMED: &str = "MalformedPolicyDocumentException";
const PUBLIC: &str = "PublicPolicyException";

#[derive(Debug, Default)]
pub(crate) struct Twin {
    /// By region and name.
    secrets: BTreeMap<(&'static str, String), Secret>,
    /// Replicas that were made secrets of their own, of which their primaries have not heard.
    promoted: Vec<u64>,
    /// Replicas that are to go, by the region of their primary and its name.
    leaving: Vec<(&'static str, String, u64)>,
    /// So many replicas were asked for; each has a number.
    replicas: u64,
}

#[derive(Debug)]
pub(crate) struct Secret {
    region: &'static str,
    name: String,
    /// The server draws the suffix; the twin hears of it.
    pub(crate) arn: String,
    created: Timestamp,
    changed: Timestamp,
    accessed: Option<Timestamp>,
    description: String,
    tags: Option<Vec<(String, String)>>,
    policy: Option<String>,
    versions: BTreeMap<String, Version>,
    labels: BTreeMap<String, String>,
    deletion: Option<Timestamp>,
    due: Option<Timestamp>,
    rotation: Option<Rotation>,
    /// In the order in which they were asked for.
    replicas: Vec<Replica>,
    /// Only a replica has one.
    origin: Option<Origin>,
}

#[derive(Debug, Clone)]
struct Version {
    /// None in the version that a rotation made and nobody has filled.
    value: Option<String>,
    created: Timestamp,
    accessed: Option<Timestamp>,
}

impl Twin {
    /// What the server must answer, and the change that it must make.
    pub(crate) fn run(&mut self, call: &Call, now: Timestamp) -> Outcome {
        let Call { region, request } = call;
        request.check(region)?;
        let name = request.name();
        match request {
            Request::Create { .. } => return self.create(region, request, now),
            Request::Delete { force: true, .. } => return self.erase(region, name, now),
            _ => {}
        }
        let secret = self.secrets.get_mut(&(*region, name.to_owned())).ok_or(NOT_FOUND)?;
        if secret.deletion.is_some() && !matches!(request, Request::Restore { .. }) {
            return Err(STATE);
        }
        if secret.origin.is_some() && !request.is_for_replicas() {
            return Err(PARAMETER);
        }
        let (before, changed) = (secret.read(), secret.changed);
        let outcome = match request {
            Request::Replicate { regions, overwrites, .. } => {
                if secret.ask_for(regions, *overwrites, &mut self.replicas) {
                    secret.changed = now;
                }
                Ok(secret.arn_and_statuses())
            }
            Request::Unreplicate { regions, .. } => {
                let gone = secret.dismiss(regions);
                if !gone.is_empty() {
                    secret.changed = now;
                }
                self.leaving.extend(gone.into_iter().map(|number| (*region, name.to_owned(), number)));
                Ok(secret.arn_and_statuses())
            }
            Request::Promote { .. } => match secret.origin.take() {
                Some(origin) => {
                    self.promoted.push(origin.number);
                    secret.changed = now;
                    Ok(json!({"ARN": secret.arn}))
                }
                None => Err(STATE),
            },
            _ => secret.run(request, now),
        };
        if secret.changed != changed {
            secret.tell_replicas(&before);
        }
        outcome
    }

    fn create(&mut self, region: &'static str, request: &Request, now: Timestamp) -> Outcome {
        let Request::Create { name, value, description, tags, replicas } = request else { unreachable!() };
        let place = (region, name.clone());
        if let Some(secret) = self.secrets.get(&place) {
            if secret.deletion.is_some() {
                return Err(STATE);
            }
            let Some((token, value)) = value.as_ref().filter(|_| secret.origin.is_none()) else {
                return Err(EXISTS);
            };
            if secret.versions.get(token).and_then(|version| version.value.as_ref()) != Some(value) {
                return Err(EXISTS);
            }
            let mut answer = secret.called();
            answer["VersionId"] = token.as_str().into();
            if replicas.is_some() {
                answer["ReplicationStatus"] = secret.statuses();
            }
            return Ok(answer);
        }
        let mut secret = Secret {
            region,
            name: name.clone(),
            arn: String::new(),
            created: now,
            changed: now,
            accessed: None,
            description: description.clone().unwrap_or_default(),
            tags: tags.clone(),
            policy: None,
            versions: BTreeMap::new(),
            labels: BTreeMap::new(),
            deletion: None,
            due: None,
            rotation: None,
            replicas: Vec::new(),
            origin: None,
        };
        let mut answer = secret.called();
        if let Some((token, value)) = value {
            secret.add(token, value, &[CURRENT.to_owned()], now);
            answer["VersionId"] = token.as_str().into();
        }
        if let Some((regions, overwrites)) = replicas {
            secret.ask_for(regions, *overwrites, &mut self.replicas);
            answer["ReplicationStatus"] = secret.statuses();
        }
        self.secrets.insert(place, secret);
        Ok(answer)
    }

    /// Deletes at once. What never was is gone as well, under an ARN that the server makes up.
    fn erase(&mut self, region: &'static str, name: &str, now: Timestamp) -> Outcome {
        let place = (region, name.to_owned());
        let is_bound = |secret: &Secret| secret.origin.is_some() || !secret.replicas.is_empty();
        if self.secrets.get(&place).is_some_and(is_bound) {
            return Err(PARAMETER);
        }
        let arn = self.secrets.remove(&place).map(|secret| secret.arn);
        Ok(json!({"ARN": arn, "Name": name, "DeletionDate": seconds(now)}))
    }

    /// What the reaper does.
    pub(crate) fn reap(&mut self, now: Timestamp) {
        self.secrets.retain(|_, secret| secret.due.is_none_or(|due| due > now));
    }

    pub(crate) fn secret(&self, region: &'static str, name: &str) -> Option<&Secret> {
        self.secrets.get(&(region, name.to_owned()))
    }

    pub(crate) fn learn_arn(&mut self, region: &'static str, name: &str, arn: &str) {
        if let Some(secret) = self.secrets.get_mut(&(region, name.to_owned())) {
            arn.clone_into(&mut secret.arn);
        }
    }

    /// ListSecrets, scheduled ones included.
    pub(crate) fn list(&self, region: &str) -> Value {
        let mut secrets: Vec<&Secret> =
            self.secrets.values().filter(|secret| secret.region == region).collect();
        secrets.sort_by_key(|secret| (secret.created, &secret.arn));
        secrets.iter().map(|secret| secret.entry()).collect()
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

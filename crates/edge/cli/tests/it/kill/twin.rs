//! What a secret must look like: the rules of AWS, written down a second time and slowly.
//!
//! The twin knows no store and no server. A change is a request and, applied to a state, the state that must follow. A value
//! is a function of the secret's name and the version's id, so that whoever reads one can tell whether it is the right one,
//! without asking the writer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::dice::Dice;

pub(crate) const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
const PENDING: &str = "AWSPENDING";
const OWN_LABELS: [&str; 2] = ["blue", "green"];
const TAG_KEYS: [&str; 4] = ["team", "stage", "cost-centre", "owner"];
/// Far from the quota of 100, and little to read back after each kill.
const VERSIONS_MAX: usize = 12;

/// A secret, or its absence.
pub(crate) type State = Option<Twin>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Twin {
    pub(crate) description: Option<String>,
    /// None until it is tagged for the first time.
    pub(crate) tags: Option<Vec<(String, String)>>,
    pub(crate) is_scheduled: bool,
    /// Every version with its labels, the deprecated ones too.
    pub(crate) versions: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Create { token: Option<String>, description: Option<String>, tag: Option<(String, String)> },
    Put { token: String, labels: Option<Vec<String>> },
    Update { token: Option<String>, description: Option<String> },
    Move { label: String, from: Option<String>, to: Option<String> },
    Tag { key: String, value: String },
    Untag { key: String },
    Schedule,
    Restore,
    Erase,
}

/// The value of a version: from a hundred bytes to sixty thousand.
pub(crate) fn value_of(name: &str, version: &str) -> String {
    let mut dice = version.bytes().fold(Dice::of(0), |dice, byte| dice.stirred(byte));
    let words = match dice.below(20) {
        0 => 3500,
        1..4 => 200,
        _ => 1 + dice.below(30),
    };
    let mut value = format!("{name}|{version}|");
    for _ in 0..words {
        value.push_str(&format!("{:016x} ", dice.next()));
    }
    value
}

impl Change {
    /// One of the changes that must succeed on this state.
    pub(crate) fn choose(state: &State, dice: &mut Dice) -> Self {
        let Some(secret) = state else {
            return if dice.percent(8) { Self::Erase } else { Self::create(dice) };
        };
        if secret.is_scheduled {
            return if dice.percent(70) { Self::Restore } else { Self::Erase };
        }
        if secret.versions.len() >= VERSIONS_MAX {
            return Self::Erase;
        }
        let versions: Vec<&String> = secret.versions.keys().collect();
        let any = |dice: &mut Dice| (*dice.pick(&versions)).clone();
        match dice.below(100) {
            _ if versions.is_empty() => Self::Put { token: token(dice), labels: None },
            0..30 => Self::Put { token: token(dice), labels: None },
            30..42 => {
                let label = *dice.pick(&[PENDING, "blue", "green"]);
                Self::Put { token: token(dice), labels: Some(vec![label.to_owned()]) }
            }
            // A request that was sent before, as a client does that did not hear the answer.
            42..47 => Self::Put { token: any(dice), labels: None },
            47..57 => {
                let description = dice.percent(50).then(|| text(dice));
                Self::Update { token: Some(token(dice)), description }
            }
            57..64 => Self::Update { token: None, description: Some(text(dice)) },
            64..82 => {
                let label = *dice.pick(&[CURRENT, CURRENT, PENDING, OWN_LABELS[0], OWN_LABELS[1]]);
                let from = secret.holder(label);
                let is_detached = label != CURRENT && from.is_some() && dice.percent(30);
                let to = (!is_detached).then(|| any(dice));
                Self::Move { label: label.to_owned(), from, to }
            }
            82..88 => Self::Tag { key: (*dice.pick(&TAG_KEYS)).to_owned(), value: text(dice) },
            88..92 => Self::Untag { key: (*dice.pick(&TAG_KEYS)).to_owned() },
            92..97 => Self::Schedule,
            _ => Self::Erase,
        }
    }

    fn create(dice: &mut Dice) -> Self {
        Self::Create {
            token: dice.percent(90).then(|| token(dice)),
            description: dice.percent(50).then(|| text(dice)),
            tag: dice.percent(50).then(|| ((*dice.pick(&TAG_KEYS)).to_owned(), text(dice))),
        }
    }

    pub(crate) const fn operation(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CreateSecret",
            Self::Put { .. } => "PutSecretValue",
            Self::Update { .. } => "UpdateSecret",
            Self::Move { .. } => "UpdateSecretVersionStage",
            Self::Tag { .. } => "TagResource",
            Self::Untag { .. } => "UntagResource",
            Self::Schedule | Self::Erase => "DeleteSecret",
            Self::Restore => "RestoreSecret",
        }
    }

    pub(crate) fn body(&self, name: &str) -> Value {
        let value = |token: &Option<String>| token.as_ref().map(|token| value_of(name, token));
        let body = match self {
            Self::Create { token, description, tag } => json!({
                "Name": name, "ClientRequestToken": token, "SecretString": value(token), "Description": description,
                "Tags": tag.as_ref().map(|(key, value)| json!([{"Key": key, "Value": value}])),
            }),
            Self::Put { token, labels } => json!({
                "SecretId": name, "ClientRequestToken": token, "SecretString": value_of(name, token), "VersionStages": labels,
            }),
            Self::Update { token, description } => json!({
                "SecretId": name, "ClientRequestToken": token, "SecretString": value(token), "Description": description,
            }),
            Self::Move { label, from, to } => json!({
                "SecretId": name, "VersionStage": label, "RemoveFromVersionId": from, "MoveToVersionId": to,
            }),
            Self::Tag { key, value } => json!({"SecretId": name, "Tags": [{"Key": key, "Value": value}]}),
            Self::Untag { key } => json!({"SecretId": name, "TagKeys": [key]}),
            Self::Schedule => json!({"SecretId": name, "RecoveryWindowInDays": 7}),
            Self::Erase => json!({"SecretId": name, "ForceDeleteWithoutRecovery": true}),
            Self::Restore => json!({"SecretId": name}),
        };
        // Members without a value are left out, as clients do.
        Value::Object(
            body.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()).collect(),
        )
    }

    /// The id of the version that the request makes, if it makes one.
    pub(crate) fn token(&self) -> Option<&str> {
        match self {
            Self::Create { token, .. } | Self::Update { token, .. } => token.as_deref(),
            Self::Put { token, .. } => Some(token),
            _ => None,
        }
    }

    /// The state that must follow.
    pub(crate) fn applied(&self, before: &State) -> State {
        let mut secret = match (self, before) {
            (Self::Erase, _) => return None,
            (Self::Create { .. }, _) | (_, None) => Twin::default(),
            (_, Some(secret)) => secret.clone(),
        };
        match self {
            Self::Create { token, description, tag } => {
                secret.description.clone_from(description);
                secret.tags = tag.clone().map(|tag| vec![tag]);
                token.iter().for_each(|token| secret.add(token, None));
            }
            Self::Put { token, labels } => secret.add(token, labels.as_deref()),
            Self::Update { token, description } => {
                if description.is_some() {
                    secret.description.clone_from(description);
                }
                token.iter().for_each(|token| secret.add(token, None));
            }
            Self::Move { label, from, to } => secret.relabel(label, from.as_deref(), to.as_deref()),
            Self::Tag { key, value } => {
                let tags = secret.tags.get_or_insert_default();
                match tags.iter_mut().find(|(known, _)| known == key) {
                    Some((_, known)) => known.clone_from(value),
                    None => tags.push((key.clone(), value.clone())),
                }
            }
            Self::Untag { key } => {
                secret.tags.iter_mut().for_each(|tags| tags.retain(|(known, _)| known != key));
            }
            Self::Schedule => secret.is_scheduled = true,
            Self::Restore => secret.is_scheduled = false,
            Self::Erase => {}
        }
        Some(secret)
    }
}

impl Twin {
    pub(crate) fn holder(&self, label: &str) -> Option<String> {
        self.versions.iter().find(|(_, labels)| labels.contains(label)).map(|(id, _)| id.clone())
    }

    fn add(&mut self, token: &str, labels: Option<&[String]>) {
        if self.versions.contains_key(token) {
            return;
        }
        let before = self.holder(CURRENT);
        let mut wanted = labels.map_or_else(|| vec![CURRENT.to_owned()], <[String]>::to_vec);
        if before.is_none() {
            wanted.push(CURRENT.to_owned());
        }
        self.versions.insert(token.to_owned(), BTreeSet::new());
        for label in &wanted {
            self.place(label, Some(token));
        }
        if wanted.iter().any(|label| label == CURRENT) {
            if let Some(before) = before {
                self.place(PREVIOUS, Some(&before));
            }
            // A rotation under way is abandoned.
            if self.holder(PENDING).is_some_and(|holder| holder != token) {
                self.place(PENDING, None);
            }
        }
    }

    fn relabel(&mut self, label: &str, from: Option<&str>, to: Option<&str>) {
        if from.is_some() && from == to {
            return;
        }
        self.place(label, to);
        if label == CURRENT {
            self.place(PREVIOUS, from);
        }
    }

    /// A label is on one version at most.
    fn place(&mut self, label: &str, on: Option<&str>) {
        for (id, labels) in &mut self.versions {
            labels.remove(label);
            if on == Some(id.as_str()) {
                labels.insert(label.to_owned());
            }
        }
    }
}

/// A client request token, which becomes the id of a version.
pub(crate) fn token(dice: &mut Dice) -> String {
    format!("{:016x}-{:016x}", dice.next(), dice.next())
}

fn text(dice: &mut Dice) -> String {
    format!("text {:016x}", dice.next())
}

/// The twin is held against the sequences that were recorded on AWS, so that it is no copy of our own mistakes.
#[test]
fn the_twin_follows_the_recorded_sequences() {
    let put = |token: &str, labels: &[&str]| Change::Put {
        token: token.to_owned(),
        labels: (!labels.is_empty()).then(|| labels.iter().map(|label| (*label).to_owned()).collect()),
    };
    let promote = |from: &str, to: &str| Change::Move {
        label: CURRENT.to_owned(),
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
    };
    let create = Change::Create { token: Some("v1".into()), description: None, tag: None };
    let sequences = [
        (
            vec![create.clone(), put("v2", &[PENDING]), promote("v1", "v2"), put("v3", &[])],
            "v1[] v2[AWSPREVIOUS] v3[AWSCURRENT]",
        ),
        (
            vec![create.clone(), put("v2", &[PENDING]), promote("v1", "v2")],
            "v1[AWSPREVIOUS] v2[AWSCURRENT AWSPENDING]",
        ),
        (
            vec![create, put("v2", &["one", "two", "three"]), put("v3", &["one", "two", "four"])],
            "v1[AWSCURRENT] v2[three] v3[four one two]",
        ),
        (
            vec![Change::Create { token: None, description: None, tag: None }, put("v1", &["blue"])],
            "v1[AWSCURRENT blue]",
        ),
    ];
    for (changes, expected) in sequences {
        let end = changes.iter().fold(None, |state, change| change.applied(&state)).unwrap();
        let words = |labels: &BTreeSet<String>| labels.iter().cloned().collect::<Vec<_>>().join(" ");
        let shown: Vec<String> =
            end.versions.iter().map(|(id, labels)| format!("{id}[{}]", words(labels))).collect();
        assert_eq!(shown.join(" "), expected);
    }
}

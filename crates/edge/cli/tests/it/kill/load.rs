//! Those who ask while the server lives: writers with secrets of their own, a square where all meet, and readers.
//!
//! A writer owns its secrets and asks one thing at a time, so when the server dies at most one of its requests is open and the
//! state of each secret is known but for that one. The square is written by all at once; of it only what holds for any order is
//! checked. Readers look at everything and know a wrong value when they see one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    dice::Dice,
    journal::{Answer, Asker, Fate, Journal},
    twin::{CURRENT, Change, State, Twin, token, value_of},
};

const SECRETS_PER_WRITER: usize = 3;
/// What a server says that cannot; clients try these again.
const FAULTS: [&str; 2] = ["InternalServiceError", "ServiceUnavailable"];

/// What is wrong, and with which secret.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) secret: String,
    pub(crate) says: String,
}

pub(crate) type Checked<T = ()> = Result<T, Finding>;

pub(crate) fn finding<T>(secret: &str, says: impl Into<String>) -> Checked<T> {
    Err(Finding { secret: secret.to_owned(), says: says.into() })
}

/// The one request of a writer whose answer did not come.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    secret: usize,
    change: Change,
    /// Whether it can have arrived at all.
    may_have_arrived: bool,
}

pub(crate) struct Writer {
    number: usize,
    secrets: Vec<(String, State)>,
    pub(crate) open: Option<Open>,
    dice: Dice,
}

/// How often a crash decided about a request, and how.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    pub(crate) happened: usize,
    pub(crate) not_happened: usize,
}

impl Writer {
    pub(crate) fn new(number: usize, dice: Dice) -> Self {
        let secrets = (0..SECRETS_PER_WRITER).map(|nth| (format!("writer-{number}/{nth}"), None)).collect();
        Self { number, secrets, open: None, dice }
    }

    /// Makes it believe that a change was acknowledged which nobody asked for, and which no open request can have made.
    pub(crate) fn deceive(&mut self) {
        self.open = None;
        let (_, state) = &mut self.secrets[0];
        state.get_or_insert_default().description = Some(token(&mut self.dice));
    }

    /// Writes until the server is gone. Every change is one that must succeed, so a refusal is a finding.
    pub(crate) async fn work(mut self, asker: Asker, square: String) -> Checked<Self> {
        match self.write(&asker, &square).await? {
            None => Ok(self),
            Some((name, refusal)) => finding(&name, format!("refused: {refusal}")),
        }
    }

    /// Writes until the server is gone or says that it cannot: with a fault of its own, never with one of the client.
    pub(crate) async fn work_until_refused(mut self, asker: &Asker, square: &str) -> Checked<Self> {
        match self.write(asker, square).await? {
            Some((name, refusal)) if !FAULTS.iter().any(|fault| refusal.contains(fault)) => {
                finding(&name, refusal)
            }
            _ => Ok(self),
        }
    }

    /// Answers with the secret and the refusal, if that was the end.
    async fn write(&mut self, asker: &Asker, square: &str) -> Checked<Option<(String, String)>> {
        let asker = asker.called(format!("writer {}", self.number));
        loop {
            if self.dice.percent(15) {
                match put_on_square(&asker, square, &mut self.dice).await? {
                    Answer::Done(_) => continue,
                    Answer::Refused { text, .. } => return Ok(Some((square.to_owned(), text))),
                    Answer::Unknown | Answer::NotSent => return Ok(None),
                }
            }
            let secret = self.dice.below(self.secrets.len());
            let (name, state) = &mut self.secrets[secret];
            let change = Change::choose(state, &mut self.dice);
            let answer = asker.ask(change.operation(), name, &change.body(name)).await;
            if let Answer::Done(answer) = &answer {
                *state = change.applied(state);
                check_answer(name, &change, state, answer)?;
                continue;
            }
            let name = name.clone();
            // An error may come after the change was made: then it is whole, as when no answer comes.
            self.open = Some(Open { secret, change, may_have_arrived: !matches!(answer, Answer::NotSent) });
            return Ok(match answer {
                Answer::Refused { text, .. } => Some((name, text)),
                _ => None,
            });
        }
    }

    /// Compares what is there after a crash with what was acknowledged. The open request happened in full or not at all, and
    /// what it says about itself in the audit log agrees; sent again, it succeeds.
    pub(crate) async fn check(
        &mut self,
        asker: &Asker,
        audited: &BTreeSet<String>,
        decided: &mut Decided,
    ) -> Checked {
        let asker = asker.called(format!("writer {} looks", self.number));
        let open = self.open.take();
        for (nth, (name, state)) in self.secrets.iter_mut().enumerate() {
            let seen = observe(&asker, name).await?;
            let Some(open) = open.as_ref().filter(|open| open.secret == nth) else {
                same(name, "everything was acknowledged", state, &seen)?;
                continue;
            };
            let after = open.change.applied(state);
            let happened = seen == after && open.may_have_arrived;
            if !happened {
                same(name, &format!("{:?} was not acknowledged", open.change), state, &seen)?;
                decided.not_happened += 1;
            } else if after != *state {
                decided.happened += 1;
            }
            let is_new = |token: &&str| state.as_ref().is_none_or(|was| !was.versions.contains_key(*token));
            if let Some(token) = open.change.token().filter(is_new)
                && audited.contains(token) != happened
            {
                let says =
                    format!("{:?} happened: {happened}, and the audit log says otherwise", open.change);
                return finding(name, says);
            }
            if open.change.token().is_some() {
                match asker.ask(open.change.operation(), name, &open.change.body(name)).await {
                    Answer::Done(answer) => check_answer(name, &open.change, &after, &answer)?,
                    other => {
                        return finding(name, format!("{:?} sent again: {other:?}", open.change));
                    }
                }
                same(name, "sent again", &after, &observe(&asker, name).await?)?;
            }
            *state = if happened || open.change.token().is_some() { after } else { seen };
        }
        Ok(())
    }
}

fn same(name: &str, when: &str, expected: &State, seen: &State) -> Checked {
    if expected == seen {
        return Ok(());
    }
    finding(name, format!("{when}\n  expected {expected:?}\n  seen     {seen:?}"))
}

fn check_answer(name: &str, change: &Change, state: &State, answer: &Value) -> Checked {
    if answer["VersionId"].as_str() != change.token() {
        return finding(name, format!("{change:?} answered {answer}"));
    }
    if let (Change::Put { token, .. }, Some(secret)) = (change, state) {
        let labels: BTreeSet<String> = serde_json::from_value(answer["VersionStages"].clone()).unwrap();
        if Some(&labels) != secret.versions.get(token) {
            return finding(name, format!("{change:?} answered {answer}, expected {secret:?}"));
        }
    }
    Ok(())
}

/// Reads all that can be read of a secret.
async fn observe(asker: &Asker, name: &str) -> Checked<State> {
    let id = json!({"SecretId": name});
    let described = match asker.ask("DescribeSecret", name, &id).await {
        Answer::Done(described) => described,
        Answer::Refused { code, .. } if code == "ResourceNotFoundException" => return Ok(None),
        other => return finding(name, format!("DescribeSecret: {other:?}")),
    };
    let listed = match asker
        .ask("ListSecretVersionIds", name, &json!({"SecretId": name, "IncludeDeprecated": true}))
        .await
    {
        Answer::Done(listed) if listed["NextToken"].is_null() => listed,
        other => return finding(name, format!("ListSecretVersionIds: {other:?}")),
    };
    let mut secret = Twin {
        description: described["Description"].as_str().map(str::to_owned),
        tags: described["Tags"].as_array().map(|tags| {
            let text = |tag: &Value, member: &str| tag[member].as_str().unwrap_or_default().to_owned();
            tags.iter().map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect()
        }),
        is_scheduled: !described["DeletedDate"].is_null(),
        versions: BTreeMap::new(),
    };
    for version in listed["Versions"].as_array().into_iter().flatten() {
        let id = version["VersionId"].as_str().unwrap_or_default();
        let labels: Option<BTreeSet<String>> =
            serde_json::from_value(version["VersionStages"].clone()).unwrap();
        let labels = labels.unwrap_or_default();
        let described: Option<BTreeSet<String>> =
            serde_json::from_value(described["VersionIdsToStages"][id].clone()).unwrap();
        if described.unwrap_or_default() != labels {
            return finding(name, format!("two answers about the labels of {id}"));
        }
        secret.versions.insert(id.to_owned(), labels);
        if !secret.is_scheduled {
            let request = json!({"SecretId": name, "VersionId": id});
            match asker.ask("GetSecretValue", name, &request).await {
                Answer::Done(answer) => check_value(name, &answer)?,
                other => return finding(name, format!("the value of {id}: {other:?}")),
            }
        }
    }
    Ok(Some(secret))
}

fn check_value(name: &str, answer: &Value) -> Checked {
    let version = answer["VersionId"].as_str().unwrap_or_default();
    if answer["Name"] == name && answer["SecretString"] == value_of(name, version) {
        Ok(())
    } else {
        finding(name, format!("the value of version {version} is not the one that was written"))
    }
}

async fn put_on_square(asker: &Asker, square: &str, dice: &mut Dice) -> Checked<Answer> {
    let change = Change::Put { token: token(dice), labels: None };
    match asker.ask(change.operation(), square, &change.body(square)).await {
        Answer::Done(answer) if answer["VersionId"].as_str() != change.token() => {
            finding(square, format!("{change:?}: {answer}"))
        }
        // A secret has a hundred versions at most, and in a good second there are more writes than that.
        Answer::Refused { code, .. } if code == "LimitExceededException" => Ok(Answer::Done(Value::Null)),
        answer => Ok(answer),
    }
}

pub(crate) async fn create_square(asker: &Asker, square: &str) -> Checked {
    let change = Change::Create { token: None, description: None, tag: None };
    match asker.ask(change.operation(), square, &change.body(square)).await {
        Answer::Done(_) => Ok(()),
        other => finding(square, format!("{other:?}")),
    }
}

/// Every acknowledged version is there, nothing is there that nobody sent, and one version is current.
pub(crate) async fn check_square(asker: &Asker, square: &str, journal: &Journal) -> Checked {
    let Some(seen) = observe(&asker.called("square"), square).await? else {
        return finding(square, "the square is gone");
    };
    let mut sent = 0;
    for entry in journal.entries() {
        let Some(token) = entry.token.filter(|_| entry.secret == square) else { continue };
        sent += 1;
        let is_there = seen.versions.contains_key(&token);
        let must_be = match entry.fate {
            Fate::Acknowledged { .. } => Some(true),
            Fate::Refused { .. } | Fate::NotSent => Some(false),
            Fate::Sent => None,
        };
        if must_be.is_some_and(|must_be| must_be != is_there) {
            return finding(square, format!("version {token} is there: {is_there}, noted {:?}", entry.fate));
        }
    }
    let holders = |label: &str| seen.versions.values().filter(|labels| labels.contains(label)).count();
    let (current, previous) = (holders(CURRENT), holders("AWSPREVIOUS"));
    let expected = (seen.versions.len().min(1), usize::from(seen.versions.len() > 1));
    if seen.versions.len() > sent || (current, previous) != expected {
        return finding(square, format!("{sent} sent, {current} current, {previous} previous: {seen:?}"));
    }
    Ok(())
}

/// Reads until the server is gone.
pub(crate) async fn read(asker: Asker, mut dice: Dice, writers: usize, square: String) -> Checked {
    loop {
        let own = format!("writer-{}/{}", dice.below(writers), dice.below(SECRETS_PER_WRITER));
        let name = if dice.percent(20) { &square } else { &own };
        let operation = *dice.pick(&["GetSecretValue", "GetSecretValue", "DescribeSecret", "ListSecrets"]);
        let body =
            if operation == "ListSecrets" { json!({"MaxResults": 20}) } else { json!({"SecretId": name}) };
        match asker.ask(operation, name, &body).await {
            Answer::Done(answer) if operation == "GetSecretValue" => check_value(name, &answer)?,
            Answer::Done(_) => {}
            Answer::Refused { code, .. }
                if ["ResourceNotFoundException", "InvalidRequestException"].contains(&code.as_str()) => {}
            Answer::Unknown | Answer::NotSent => return Ok(()),
            other => return finding(name, format!("{operation}: {other:?}")),
        }
    }
}

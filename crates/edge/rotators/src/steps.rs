//! The four steps, as AWS's published functions do them: the same checks in the same order, with the same sentences.
//!
//! Each may be done again at any time. What was put is kept, a password that opens the database already is not set again, and after a
//! crash that left open which password holds, each that may is tried. Nothing is ever deleted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use coffer_client::Outbound;
use coffer_core::{Caller, Inside, Principal};
use coffer_model::secretsmanager::{self as model, SERVICE};
use coffer_shape::Operation;
use coffer_types::{Arn, Secret};
use serde_json::Value;

use crate::{
    database::{Engine, Session},
    failure::Failure,
    secret::Words,
};

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";
const PREVIOUS: &str = "AWSPREVIOUS";
const NOT_FOUND: &str = "ResourceNotFoundException";
const CLONE: &str = "_clone";
const ACCESS_DENIED: &str = "AccessDeniedException";
const UNREADABLE: &str =
    "The master secret cannot be read in the name of whoever named this function for the rotation";
const NOBODY: &str = "he is not known, or is no more. Call RotateSecret with RotationLambdaARN again";
/// What AWS's functions ask of a new password unless their variables say something else.
const EXCLUDED: &str = ":/@\"'\\";
const PASSWORD_CHARS: i64 = 32;

/// Whose password changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Users {
    One,
    /// Two take turns, and somebody else sets their passwords.
    Alternating,
}

pub(crate) struct Rotation {
    engine: Engine,
    users: Users,
    outbound: Arc<Outbound>,
    caller: Caller,
    /// In whose name the secret of the master is read.
    reader: Option<Principal>,
    inside: Inside,
    troubles: Mutex<Vec<String>>,
}

/// What Secrets Manager asks for.
struct Asked {
    step: String,
    arn: String,
    token: String,
    rotation_token: Option<Secret<String>>,
}

impl Rotation {
    pub(crate) fn new(
        engine: Engine,
        users: Users,
        outbound: Arc<Outbound>,
        caller: Caller,
        reader: Option<Principal>,
        inside: Inside,
    ) -> Self {
        Self { engine, users, outbound, caller, reader, inside, troubles: Mutex::default() }
    }

    pub(crate) async fn run(&self, event: &Secret<Vec<u8>>) -> Result<(), Failure> {
        let outcome = self.step(event).await;
        if let Err(failure) = &outcome {
            let (kind, message, logins) = (&failure.kind, &failure.message, self.troubles());
            tracing::warn!(kind, message, logins, "a rotator failed");
        }
        outcome
    }

    async fn step(&self, event: &Secret<Vec<u8>>) -> Result<(), Failure> {
        let asked = asked(event)?;
        let Asked { step, arn, token, .. } = &asked;
        let (is_enabled, versions) = self.described(arn).await?;
        if !is_enabled {
            return Err(Failure::value(format!("Secret {arn} is not enabled for rotation")));
        }
        let Some(labels) = versions.get(token) else {
            return Err(Failure::value(format!(
                "Secret version {token} has no stage for rotation of secret {arn}."
            )));
        };
        if labels.iter().any(|label| label == CURRENT) {
            return Ok(());
        }
        if !labels.iter().any(|label| label == PENDING) {
            return Err(Failure::value(format!(
                "Secret version {token} not set as AWSPENDING for rotation of secret {arn}."
            )));
        }
        match step.as_str() {
            "createSecret" => self.create(asked).await,
            "setSecret" => match self.users {
                Users::One => self.set_one(&asked).await,
                Users::Alternating => self.set_alternate(&asked).await,
            },
            "testSecret" => self.test(&asked).await,
            "finishSecret" => self.finish(&asked).await,
            _ => Err(Failure::value(format!("Invalid step parameter {step} for secret {arn}"))),
        }
    }

    async fn create(&self, asked: Asked) -> Result<(), Failure> {
        let Asked { arn, token, rotation_token, .. } = asked;
        let mut words = self.words(&arn, CURRENT, None).await?;
        // Ours: if it may not be read any more, that is told before there is another password.
        if self.users == Users::Alternating
            && let Ok(master_arn) = words.master_arn()
        {
            self.master(master_arn, &arn).await?;
        }
        match self.words(&arn, PENDING, Some(&token)).await {
            Err(failure) if failure.kind == NOT_FOUND => {}
            kept => return kept.map(drop),
        }
        if self.users == Users::Alternating {
            let alternate = alternate(words.username(), self.engine)?;
            words.set("username", &alternate);
        }
        let made = self.call::<model::GetRandomPassword>(wanted_password()).await?;
        let password =
            made.random_password.ok_or_else(|| Failure::value(String::from("no password was made")))?;
        words.set("password", password.expose());
        let put = model::PutSecretValueRequest {
            secret_id: arn,
            client_request_token: Some(token),
            secret_string: Some(words.to_text()),
            version_stages: Some(vec![PENDING.to_owned()]),
            rotation_token,
            ..Default::default()
        };
        self.call::<model::PutSecretValue>(put).await.map(drop)
    }

    async fn set_one(&self, asked: &Asked) -> Result<(), Failure> {
        let Asked { arn, token, .. } = asked;
        let previous = match self.words(arn, PREVIOUS, None).await {
            Ok(words) => Some(words),
            Err(failure) if [NOT_FOUND, "KeyError"].contains(&failure.kind.as_str()) => None,
            Err(failure) => return Err(failure),
        };
        let current = self.words(arn, CURRENT, None).await?;
        let pending = self.words(arn, PENDING, Some(token)).await?;
        if self.log_in(&pending).await?.is_some() {
            return Ok(());
        }
        let (user, host) = (pending.username(), pending.host());
        if current.username() != user {
            let known = current.username();
            return Err(Failure::value(format!(
                "Attempting to modify user {user} other than current user {known}"
            )));
        }
        ensure_same_host(&current, &pending)?;
        let mut session = self.log_in(&current).await?;
        if let (None, Some(mut previous)) = (&session, previous) {
            previous.take_over("ssl", &current);
            session = self.log_in(&previous).await?;
            if previous.username() != user {
                let known = previous.username();
                return Err(Failure::value(format!(
                    "Attempting to modify user {user} other than previous valid user {known}"
                )));
            }
            if previous.host() != host {
                let known = previous.host();
                return Err(Failure::value(format!(
                    "Attempting to modify user for host {host} other than previous host {known}"
                )));
            }
        }
        let mut session = session.ok_or_else(|| {
            Failure::value(format!(
                "Unable to log into database with previous, current, or pending secret of secret arn {arn}"
            ))
        })?;
        Ok(session.set_own_password(user, pending.password()).await?)
    }

    async fn set_alternate(&self, asked: &Asked) -> Result<(), Failure> {
        let Asked { arn, token, .. } = asked;
        let current = self.words(arn, CURRENT, None).await?;
        let pending = self.words(arn, PENDING, Some(token)).await?;
        if self.log_in(&pending).await?.is_some() {
            return Ok(());
        }
        let (original, clone) = (current.username(), pending.username());
        if alternate(original, self.engine)? != clone {
            return Err(Failure::value(format!(
                "Attempting to modify user {clone} other than current user or clone {original}"
            )));
        }
        ensure_same_host(&current, &pending)?;
        // Whoever wrote the secret could name users who are not his. That the current one logs in says that they are.
        if self.log_in(&current).await?.is_none() {
            return Err(Failure::value(format!(
                "Unable to log into database using current credentials for secret {arn}"
            )));
        }
        let master_arn = current.master_arn()?;
        let mut master = self.master(master_arn, arn).await?;
        if self.engine == Engine::Postgres {
            master.take_over("dbname", &current);
        }
        if current.host() != master.host() {
            let (ours, theirs) = (current.host(), master.host());
            return Err(Failure::value(format!(
                "Current database host {ours} is not the same host as/rds replica of master {theirs}"
            )));
        }
        let mut session = self.log_in(&master).await?.ok_or_else(|| {
            Failure::value(format!(
                "Unable to log into database using credentials in master secret {master_arn}"
            ))
        })?;
        Ok(session.set_clone(original, clone, pending.password()).await?)
    }

    async fn test(&self, asked: &Asked) -> Result<(), Failure> {
        let Asked { arn, token, .. } = asked;
        let pending = self.words(arn, PENDING, Some(token)).await?;
        let mut session = self.log_in(&pending).await?.ok_or_else(|| {
            Failure::value(format!("Unable to log into database with pending secret of secret ARN {arn}"))
        })?;
        Ok(session.now().await?)
    }

    async fn finish(&self, asked: &Asked) -> Result<(), Failure> {
        let (_, versions) = self.described(&asked.arn).await?;
        let is_current = |(_, labels): &(&String, &Vec<String>)| labels.iter().any(|label| label == CURRENT);
        let current = versions.iter().find(is_current).map(|(version, _)| version.clone());
        if current.as_ref() == Some(&asked.token) {
            return Ok(());
        }
        let moved = model::UpdateSecretVersionStageRequest {
            secret_id: asked.arn.clone(),
            version_stage: CURRENT.to_owned(),
            remove_from_version_id: current,
            move_to_version_id: Some(asked.token.clone()),
        };
        self.call::<model::UpdateSecretVersionStage>(moved).await.map(drop)
    }

    async fn log_in(&self, words: &Words) -> Result<Option<Session>, Failure> {
        match Session::of(&self.outbound, self.engine, words).await? {
            Ok(session) => Ok(Some(session)),
            Err(trouble) => {
                let (user, reason) = (words.username(), trouble.reason());
                let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
                troubles.push(format!("{user}: {reason}"));
                Ok(None)
            }
        }
    }

    /// Why each login failed that did. The first of a rotation always does.
    fn troubles(&self) -> String {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).join("; ")
    }

    /// Whether rotation is on, and which labels which version has.
    async fn described(&self, arn: &str) -> Result<(bool, BTreeMap<String, Vec<String>>), Failure> {
        let input = model::DescribeSecretRequest { secret_id: arn.to_owned() };
        let described = self.call::<model::DescribeSecret>(input).await?;
        let versions = described.version_ids_to_stages.unwrap_or_default();
        Ok((described.rotation_enabled.unwrap_or(true), versions))
    }

    async fn words(&self, arn: &str, label: &str, version: Option<&str>) -> Result<Words, Failure> {
        let input = model::GetSecretValueRequest {
            secret_id: arn.to_owned(),
            version_id: version.map(str::to_owned),
            version_stage: Some(label.to_owned()),
        };
        self.understood(self.call::<model::GetSecretValue>(input).await?)
    }

    fn understood(&self, value: model::GetSecretValueResponse) -> Result<Words, Failure> {
        let text = value.secret_string.ok_or_else(|| Failure::key(String::from("'SecretString'")))?;
        Words::parse(&text, self.engine)
    }

    /// The secret of the one who sets passwords, which whoever wanted this rotation has to be able to read.
    async fn master(&self, master: &str, arn: &str) -> Result<Words, Failure> {
        ensure_is_ours(master, arn)?;
        let reader = self.reader.as_ref().ok_or_else(|| Failure::value(format!("{UNREADABLE}: {NOBODY}")))?;
        let read = self.inside.work(&self.caller, &SERVICE, |cx| {
            let input = model::GetSecretValueRequest {
                secret_id: master.to_owned(),
                version_stage: Some(CURRENT.to_owned()),
                ..Default::default()
            };
            // A refusal is on record as well.
            Ok(cx.in_the_name_of(reader, |cx| cx.invoke::<model::GetSecretValue>(input)))
        });
        match read.await? {
            Ok(value) => self.understood(value),
            Err(error) if error.code() == ACCESS_DENIED => {
                let message = format!("{UNREADABLE}: {}", error.message);
                Err(Failure { kind: error.code().to_owned(), message })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn call<O: Operation>(&self, input: O::Input) -> Result<O::Output, Failure> {
        Ok(self.inside.call::<O>(&self.caller, input).await?)
    }
}

/// As Secrets Manager finds secrets by their ARNs in its own account.
fn ensure_is_ours(master: &str, arn: &str) -> Result<(), Failure> {
    let of =
        |arn: &str| arn.parse::<Arn>().ok().map(|arn| (arn.region().to_owned(), arn.account().to_owned()));
    if !master.starts_with("arn:") || of(master).is_some_and(|place| Some(place) == of(arn)) {
        return Ok(());
    }
    Err(Failure::value(format!("Master secret {master} is not in the account and region of secret {arn}")))
}

fn asked(event: &Secret<Vec<u8>>) -> Result<Asked, Failure> {
    let event: Value = serde_json::from_slice(event.expose())
        .map_err(|_| Failure::value(String::from("the event is not valid JSON")))?;
    let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    let needed = |name: &str| text(name).ok_or_else(|| Failure::key(format!("'{name}'")));
    Ok(Asked {
        step: needed("Step")?,
        arn: needed("SecretId")?,
        token: needed("ClientRequestToken")?,
        rotation_token: text("RotationToken").map(Secret::new),
    })
}

fn wanted_password() -> model::GetRandomPasswordRequest {
    model::GetRandomPasswordRequest {
        password_length: Some(PASSWORD_CHARS),
        exclude_characters: Some(EXCLUDED.to_owned()),
        exclude_numbers: Some(false),
        exclude_punctuation: Some(false),
        exclude_uppercase: Some(false),
        exclude_lowercase: Some(false),
        include_space: None,
        require_each_included_type: Some(true),
    }
}

fn ensure_same_host(current: &Words, pending: &Words) -> Result<(), Failure> {
    let (known, host) = (current.host(), pending.host());
    if known == host {
        return Ok(());
    }
    Err(Failure::value(format!("Attempting to modify user for host {host} other than current host {known}")))
}

/// The user whose turn is next.
fn alternate(user: &str, engine: Engine) -> Result<String, Failure> {
    if let Some(original) = user.strip_suffix(CLONE) {
        return Ok(original.to_owned());
    }
    let most = engine.username_max();
    let clone = format!("{user}{CLONE}");
    // PostgreSQL counts bytes, and cuts what is longer without a word.
    let length = if engine == Engine::Postgres { clone.len() } else { clone.chars().count() };
    if length > most {
        return Err(Failure::value(format!(
            "Unable to clone user, username length with _clone appended would exceed {most} characters"
        )));
    }
    Ok(clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_take_turns() {
        for (engine, user, expected) in [
            (Engine::Postgres, "app", Some("app_clone")),
            (Engine::Postgres, "app_clone", Some("app")),
            (Engine::MySql, "app_clone_clone", Some("app_clone")),
        ] {
            assert_eq!(alternate(user, engine).ok().as_deref(), expected, "{user}");
        }
        for (engine, most) in [(Engine::Postgres, 63), (Engine::MySql, 32), (Engine::MariaDb, 80)] {
            assert!(alternate(&"u".repeat(most - CLONE.len()), engine).is_ok());
            let failure = alternate(&"u".repeat(most - CLONE.len() + 1), engine).unwrap_err();
            let said = format!("username length with _clone appended would exceed {most} characters");
            assert!(failure.message.contains(&said), "{failure:?}");
        }
        assert!(alternate(&"ü".repeat(40), Engine::Postgres).is_err());
    }
}

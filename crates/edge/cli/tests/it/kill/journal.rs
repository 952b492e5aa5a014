//! The judge: every request is noted before it leaves, every answer when it has come.
//!
//! The journal lives in the test, which survives the server. Between "sent" and "acknowledged" lies what a crash may decide
//! either way; everything before must be gone without a trace or be there, and everything after must be there.

use std::sync::{Arc, Mutex};

use coffer_client::{Client, ClientError};
use coffer_model::secretsmanager::SERVICE;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has left, or is about to.
    Sent,
    Acknowledged {
        request_id: String,
    },
    Refused {
        request_id: String,
        code: String,
    },
    /// No connection was made, so it cannot have arrived.
    NotSent,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) round: usize,
    pub(crate) who: String,
    pub(crate) operation: &'static str,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    /// The request without its value.
    pub(crate) says: String,
    pub(crate) fate: Fate,
}

/// What a caller learns.
#[derive(Debug)]
pub(crate) enum Answer {
    Done(Value),
    Refused {
        code: String,
        text: String,
    },
    /// The connection broke before the answer.
    Unknown,
    NotSent,
}

#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Vec<Entry>>);

impl Journal {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap().clone()
    }

    /// Makes it say that one more request was answered. It changed nothing, so that nothing but the audit log can tell.
    pub(crate) fn deceive(&self) {
        self.0.lock().unwrap().push(Entry {
            round: 0,
            who: String::from("nobody"),
            operation: "DescribeSecret",
            secret: String::from("writer-0/0"),
            token: None,
            says: String::from("{}"),
            fate: Fate::Acknowledged { request_id: String::from("never") },
        });
    }

    /// What was asked of one secret lately, for people who have to find out.
    pub(crate) fn last_of(&self, secret: &str, count: usize) -> String {
        let entries = self.0.lock().unwrap();
        let of_secret: Vec<&Entry> = entries.iter().filter(|entry| entry.secret == secret).collect();
        of_secret[of_secret.len().saturating_sub(count)..]
            .iter()
            .map(|entry| {
                format!(
                    "  round {} {} {} {} {:?}\n",
                    entry.round, entry.who, entry.operation, entry.says, entry.fate
                )
            })
            .collect()
    }
}

/// Somebody who asks, and notes it.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) client: Client,
    pub(crate) journal: Arc<Journal>,
    pub(crate) who: String,
    pub(crate) round: usize,
}

impl Asker {
    pub(crate) fn called(&self, who: impl Into<String>) -> Self {
        Self { who: who.into(), ..self.clone() }
    }

    pub(crate) async fn ask(&self, operation: &'static str, secret: &str, body: &Value) -> Answer {
        let mut shown = body.clone();
        if let Some(value) = shown.get_mut("SecretString") {
            *value = Value::from("..");
        }
        let place = {
            let mut entries = self.journal.0.lock().unwrap();
            entries.push(Entry {
                round: self.round,
                who: self.who.clone(),
                operation,
                secret: secret.to_owned(),
                token: body["ClientRequestToken"].as_str().map(str::to_owned),
                says: shown.to_string(),
                fate: Fate::Sent,
            });
            entries.len() - 1
        };
        let note = |fate: Fate| self.journal.0.lock().unwrap()[place].fate = fate;
        let answer = self.client.call_raw(&SERVICE, operation, body.to_string().as_bytes()).await;
        match answer {
            Ok(answer) => {
                let request_id =
                    answer.header("x-amzn-requestid").expect("every answer has an id").to_owned();
                let body: Value = serde_json::from_slice(answer.body.expose()).expect("every answer is JSON");
                if answer.status == 200 {
                    note(Fate::Acknowledged { request_id });
                    return Answer::Done(body);
                }
                let code = body["__type"].as_str().unwrap_or("no code").to_owned();
                note(Fate::Refused { request_id, code: code.clone() });
                Answer::Refused { code, text: body.to_string() }
            }
            Err(ClientError::Unreachable(_)) => {
                note(Fate::NotSent);
                Answer::NotSent
            }
            Err(ClientError::Lost(_)) => Answer::Unknown,
            Err(other) => panic!("{operation} on {secret}: {other}"),
        }
    }
}

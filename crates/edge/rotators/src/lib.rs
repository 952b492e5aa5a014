//! Rotators that come along with Coffer: functions for the passwords of PostgreSQL, MySQL and MariaDB that nobody has to upload.
//!
//! Secrets Manager calls them as it calls any function, four times, and they do what AWS's published functions do, in the same order and
//! with the same sentences ([`steps`]). They reach their secret through the operations of Secrets Manager, which are on record as its own.
//! The two clients of databases ([`postgres`], [`mysql`]) know just enough of their protocols to log in and to run a statement.
//!
//! INVARIANT: a password is in no error, no log and no `Debug`, and neither is a statement. What a database says is not repeated but
//! for its code.

mod database;
mod failure;
mod mysql;
mod postgres;
mod secret;
mod steps;
mod wire;

use std::sync::Arc;

use coffer_client::Outbound;
use coffer_core::{BuiltIn, Caller, FunctionAnswer, FunctionOutcome, Inside, Principal};
use coffer_model::secretsmanager::SERVICE;
use coffer_types::{RequestId, Secret};

use crate::{
    database::Engine,
    steps::{Rotation, Users},
};

/// As AWS's functions are called, with what is theirs to fill in.
const PREFIX: &str = "coffer-builtin-";
/// Where their log would be. There is none: what a rotator has to say is in its error.
const LOG_STREAM: &str = "";

/// All that come along.
#[derive(Debug, Clone)]
pub struct Rotators {
    outbound: Arc<Outbound>,
}

impl Rotators {
    pub fn new(outbound: Outbound) -> Self {
        Self { outbound: Arc::new(outbound) }
    }

    /// Whether there is one of this name.
    pub fn has(name: &str) -> bool {
        kind(name).is_some()
    }

    /// Whether it reads another secret than the one that it rotates.
    pub fn reads_master(name: &str) -> bool {
        kind(name).is_some_and(|(_, users)| users == Users::Alternating)
    }

    /// Does one step, as its event says. A secret that is not the one of the event is read in the name of whoever wanted the rotation.
    pub async fn run(
        self,
        built_in: Arc<BuiltIn>,
        request_id: RequestId,
        event: Secret<Vec<u8>>,
        on_behalf_of: Option<Principal>,
        inside: Inside,
    ) -> FunctionOutcome {
        let Some((engine, users)) = kind(&built_in.name) else {
            return FunctionOutcome::Unavailable(format!("there is no {}", built_in.name));
        };
        let (account, region) = (built_in.account, built_in.region.clone());
        let caller = Caller::service(account, region, SERVICE.event_source, request_id);
        let rotation = Rotation::new(engine, users, self.outbound, caller, on_behalf_of, inside);
        let (failed, payload) = match rotation.run(&event).await {
            Ok(()) => (false, b"null".to_vec()),
            Err(failure) => (true, failure.to_json().into_bytes()),
        };
        FunctionOutcome::Done(FunctionAnswer {
            payload: Secret::new(payload),
            failed,
            log: Vec::new(),
            log_stream: LOG_STREAM.to_owned(),
        })
    }
}

fn kind(name: &str) -> Option<(Engine, Users)> {
    let (engine, users) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let engine = match engine {
        "postgres" => Engine::Postgres,
        "mysql" => Engine::MySql,
        "mariadb" => Engine::MariaDb,
        _ => return None,
    };
    let users = match users {
        "single-user" => Users::One,
        "multi-user" => Users::Alternating,
        _ => return None,
    };
    Some((engine, users))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_six() {
        for (name, expected) in [
            ("coffer-builtin-postgres-single-user", true),
            ("coffer-builtin-postgres-multi-user", true),
            ("coffer-builtin-mysql-single-user", true),
            ("coffer-builtin-mysql-multi-user", true),
            ("coffer-builtin-mariadb-single-user", true),
            ("coffer-builtin-mariadb-multi-user", true),
            ("coffer-builtin-oracle-single-user", false),
            ("coffer-builtin-postgres-single-user-", false),
            ("coffer-builtin-postgres", false),
            ("coffer-builtin-", false),
            ("postgres-single-user", false),
        ] {
            assert_eq!(Rotators::has(name), expected, "{name}");
            assert_eq!(Rotators::reads_master(name), expected && name.ends_with("multi-user"), "{name}");
        }
    }
}

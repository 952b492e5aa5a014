//! Databases, whichever they are: logging in, and the statements that change a password.

use std::time::Duration;

use coffer_client::Outbound;
use tokio::time::timeout;

use crate::{
    failure::{Failure, Trouble},
    mysql, postgres,
    secret::{Encryption, Words},
    wire::Wire,
};

/// From the name of the host to somebody who is logged in.
const LOGIN_WAIT: Duration = Duration::from_secs(20);
/// All statements of a step.
const STATEMENTS_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgres,
    MySql,
    MariaDb,
}

impl Engine {
    /// What a secret may call it.
    pub(crate) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgres", "aurora-postgresql"],
            Self::MySql => &["mysql", "aurora-mysql"],
            Self::MariaDb => &["mariadb"],
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
            Self::MariaDb => "mariadb",
        }
    }

    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::MySql | Self::MariaDb => 3306,
        }
    }

    /// The longest name of a user.
    pub(crate) const fn username_max(self) -> usize {
        match self {
            Self::Postgres => 63,
            Self::MySql => 32,
            Self::MariaDb => 80,
        }
    }
}

/// Somebody is logged in.
pub(crate) enum Session {
    Postgres(postgres::Session),
    MySql(mysql::Session),
}

impl Session {
    /// Logs in as a secret says. Why not is for the log alone, as with AWS's functions.
    pub(crate) async fn of(
        outbound: &Outbound,
        engine: Engine,
        words: &Words,
    ) -> Result<Result<Self, Trouble>, Failure> {
        let port = words.port(engine)?;
        let encryption = words.encryption();
        let first = Self::open(outbound, engine, words, port, encryption != Encryption::Off).await;
        Ok(match first {
            Err(trouble) if encryption == Encryption::Preferred && may_do_without(&trouble) => {
                Self::open(outbound, engine, words, port, false).await
            }
            outcome => outcome,
        })
    }

    async fn open(
        outbound: &Outbound,
        engine: Engine,
        words: &Words,
        port: u16,
        encrypted: bool,
    ) -> Result<Self, Trouble> {
        in_time(LOGIN_WAIT, async {
            let wire = Wire::connect(outbound, words.host(), port).await?;
            match engine {
                Engine::Postgres => {
                    postgres::Session::open(wire, outbound, words, encrypted).await.map(Self::Postgres)
                }
                Engine::MySql | Engine::MariaDb => {
                    mysql::Session::open(wire, outbound, words, encrypted).await.map(Self::MySql)
                }
            }
        })
        .await
    }

    /// That it is one of use.
    pub(crate) async fn now(&mut self) -> Result<(), Trouble> {
        in_time(STATEMENTS_WAIT, async {
            match self {
                Self::Postgres(session) => session.query("SELECT NOW()").await.map(drop),
                Self::MySql(session) => session.query("SELECT NOW()").await.map(drop),
            }
        })
        .await
    }

    /// Whoever is logged in gets this password.
    pub(crate) async fn set_own_password(&mut self, user: &str, password: &str) -> Result<(), Trouble> {
        in_time(STATEMENTS_WAIT, async {
            match self {
                Self::Postgres(session) => session.set_password(user, password).await,
                Self::MySql(session) => session.set_own_password(password).await,
            }
        })
        .await
    }

    /// A user who may what another may, and has this password; he is made if he is not there.
    pub(crate) async fn set_clone(
        &mut self,
        original: &str,
        clone: &str,
        password: &str,
    ) -> Result<(), Trouble> {
        in_time(STATEMENTS_WAIT, async {
            match self {
                Self::Postgres(session) => session.set_clone(original, clone, password).await,
                Self::MySql(session) => session.set_clone(original, clone, password).await,
            }
        })
        .await
    }
}

/// However slowly the other side says how little.
async fn in_time<T>(wait: Duration, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(wait, work).await.unwrap_or(Err(Trouble::TimedOut))
}

/// Whether it is of use to try in clear text. A wrong password is as wrong there, and a host that is not there stays away.
fn may_do_without(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::NotEncrypted(_) | Trouble::Strange(_) => true,
        Trouble::Refused(code) => !["28P01", "1045"].contains(&code.as_str()),
        Trouble::Unreachable(_) | Trouble::TimedOut => false,
    }
}

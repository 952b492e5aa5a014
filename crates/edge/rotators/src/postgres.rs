//! PostgreSQL: as much of its protocol as a login and a statement need.
//!
//! A password travels neither in clear text nor in a statement: the login proves that it is known, and what is set is what the server would
//! have made of it. So no log of statements has it.

mod quote;
mod scram;

use bytes::BytesMut;
use coffer_client::Outbound;
use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    },
    message::{
        backend::{ErrorFields, Message},
        frontend,
    },
    password,
};

use crate::{
    failure::Trouble,
    secret::{Encryption, Words},
    wire::Wire,
};

const DATABASE: &str = "postgres";
/// Before the first, every message has a letter and a length.
const HEAD_BYTES: usize = 5;

pub(crate) struct Session {
    wire: Wire,
    /// As the server tells whoever logs in.
    is_superuser: bool,
}

impl Session {
    pub(crate) async fn open(
        mut wire: Wire,
        outbound: &Outbound,
        words: &Words,
        encrypted: bool,
    ) -> Result<Self, Trouble> {
        if encrypted {
            let mut request = BytesMut::new();
            frontend::ssl_request(&mut request);
            wire.write(&request).await?;
            if wire.read(1).await? != b"S" {
                return Err(Trouble::NotEncrypted(String::from("the database offers no encryption")));
            }
            wire.encrypt(outbound, words.host()).await?;
        }
        let mut session = Self { wire, is_superuser: false };
        session.log_in(words).await?;
        session.be_silent().await?;
        Ok(session)
    }

    async fn log_in(&mut self, words: &Words) -> Result<(), Trouble> {
        let (user, password) = (words.username(), words.password().as_bytes());
        let parameters = [
            ("user", user),
            ("database", words.dbname().unwrap_or(DATABASE)),
            ("client_encoding", "UTF8"),
            ("application_name", "coffer"),
        ];
        self.send(|buffer| frontend::startup_message(parameters, buffer)).await?;
        let may_be_clear = self.wire.is_encrypted() || words.encryption() == Encryption::Off;
        let mut scram: Option<ScramSha256> = None;
        let mut is_proven = false;
        loop {
            match self.receive().await? {
                Message::AuthenticationOk if scram.is_none() || is_proven => {}
                Message::AuthenticationOk => {
                    return Err(Trouble::Strange("it has not proven that it knows the password"));
                }
                Message::AuthenticationCleartextPassword if may_be_clear => {
                    self.send(|buffer| frontend::password_message(password, buffer)).await?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let proof = md5_hash(user.as_bytes(), password, body.salt());
                    self.send(|buffer| frontend::password_message(proof.as_bytes(), buffer)).await?;
                }
                Message::AuthenticationSasl(body) => {
                    let has = body.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))?;
                    if !has || scram.is_some() {
                        return Err(Trouble::Strange("it knows no SCRAM-SHA-256"));
                    }
                    let exchange = scram.insert(ScramSha256::new(password, ChannelBinding::unsupported()));
                    let first = exchange.message().to_vec();
                    self.send(|buffer| frontend::sasl_initial_response(SCRAM_SHA_256, &first, buffer))
                        .await?;
                }
                Message::AuthenticationSaslContinue(body) => {
                    let exchange = scram.take().filter(|_| !is_proven);
                    let exchange = exchange.ok_or(Trouble::Strange("its login has no beginning"))?;
                    let exchange = scram.insert(scram::answer(exchange, body.data()).await?);
                    let answer = exchange.message().to_vec();
                    self.send(|buffer| frontend::sasl_response(&answer, buffer)).await?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let exchange = scram.as_mut().filter(|_| !is_proven);
                    let exchange = exchange.ok_or(Trouble::Strange("its login has no beginning"))?;
                    let finished = exchange.finish(body.data());
                    finished.map_err(|_| Trouble::Strange("it has not proven that it knows the password"))?;
                    is_proven = true;
                }
                Message::ParameterStatus(body) => {
                    if body.name()? == "is_superuser" {
                        self.is_superuser = body.value()? == "on";
                    }
                }
                Message::BackendKeyData(_) | Message::NoticeResponse(_) => {}
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ErrorResponse(body) => return Err(refused(body.fields())),
                _ => return Err(Trouble::Strange("its login is one that is not known here")),
            }
        }
    }

    /// Whoever may switch off the log of statements does so for this session.
    async fn be_silent(&mut self) -> Result<(), Trouble> {
        if self.is_superuser {
            for setting in [
                "log_statement = 'none'",
                "log_min_duration_statement = -1",
                "log_min_error_statement = 'panic'",
            ] {
                match self.query(&format!("SET {setting}")).await {
                    Ok(_) | Err(Trouble::Refused(_)) => {}
                    Err(trouble) => return Err(trouble),
                }
            }
        }
        Ok(())
    }

    /// The first column of what it answers.
    pub(crate) async fn query(&mut self, statement: &str) -> Result<Vec<String>, Trouble> {
        self.send(|buffer| frontend::query(statement, buffer)).await?;
        let mut rows = Vec::new();
        let mut refusal = None;
        loop {
            match self.receive().await? {
                Message::DataRow(body) => {
                    let first = body.ranges().next()?.flatten();
                    let bytes = first.and_then(|range| body.buffer().get(range)).unwrap_or_default();
                    rows.push(String::from_utf8_lossy(bytes).into_owned());
                }
                Message::ErrorResponse(body) => refusal = Some(refused(body.fields())),
                Message::ReadyForQuery(_) => return refusal.map_or(Ok(rows), Err),
                Message::RowDescription(_)
                | Message::CommandComplete(_)
                | Message::EmptyQueryResponse
                | Message::NoticeResponse(_)
                | Message::NotificationResponse(_)
                | Message::ParameterStatus(_) => {}
                _ => return Err(Trouble::Strange("it answers a statement with something else")),
            }
        }
    }

    pub(crate) async fn set_password(&mut self, user: &str, password: &str) -> Result<(), Trouble> {
        let name = quote::identifier(user)?;
        let made = self.made_of(user, password).await?;
        match self.query(&format!("ALTER USER {name} WITH PASSWORD {}", quote::literal(&made)?)).await {
            // Some that check passwords want to see them.
            Err(Trouble::Refused(code)) if code == "22023" => {
                self.query(&format!("ALTER USER {name} WITH PASSWORD {}", quote::literal(password)?)).await
            }
            outcome => outcome,
        }
        .map(drop)
    }

    pub(crate) async fn set_clone(
        &mut self,
        original: &str,
        clone: &str,
        password: &str,
    ) -> Result<(), Trouble> {
        let named = quote::literal(clone)?;
        let found = self.query(&format!("SELECT 1 FROM pg_roles WHERE rolname = {named}")).await?;
        if !found.is_empty() {
            return self.set_password(clone, password).await;
        }
        let (original, name) = (quote::identifier(original)?, quote::identifier(clone)?);
        let made = quote::literal(&self.made_of(clone, password).await?)?;
        // Both or none: a clone that may nothing would be one that is there.
        for statement in [
            String::from("BEGIN"),
            format!("CREATE ROLE {name} WITH LOGIN PASSWORD {made}"),
            format!("GRANT {original} TO {name}"),
            String::from("COMMIT"),
        ] {
            self.query(&statement).await?;
        }
        Ok(())
    }

    /// What the server keeps of a password, so that it need not be told the password.
    async fn made_of(&mut self, user: &str, password: &str) -> Result<String, Trouble> {
        let how = self.query("SHOW password_encryption").await?;
        Ok(match how.first().map(String::as_str) {
            Some("scram-sha-256") => scram::made_of(password).await?,
            Some("md5" | "on") => password::md5(password.as_bytes(), user),
            _ => password.to_owned(),
        })
    }

    async fn send(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
    ) -> Result<(), Trouble> {
        let mut buffer = BytesMut::new();
        // What has a NUL in it cannot be said.
        write(&mut buffer).map_err(|_| Trouble::Strange("it takes no NUL"))?;
        self.wire.write(&buffer).await
    }

    async fn receive(&mut self) -> Result<Message, Trouble> {
        let head = self.wire.read(HEAD_BYTES).await?;
        let length = match head.as_slice() {
            [_, a, b, c, d] => u32::from_be_bytes([*a, *b, *c, *d]),
            _ => 0,
        };
        // The length counts itself.
        let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
        let length = length.ok_or(Trouble::Strange("a message without a length"))?;
        let mut message = BytesMut::from(head.as_slice());
        message.extend_from_slice(&self.wire.read(length).await?);
        match Message::parse(&mut message) {
            Ok(Some(message)) => Ok(message),
            Ok(None) | Err(_) => Err(Trouble::Strange("a message that is none")),
        }
    }
}

/// Only the code: the sentence may repeat what it was told.
fn refused(mut fields: ErrorFields<'_>) -> Trouble {
    while let Ok(Some(field)) = fields.next() {
        if field.type_() == b'C' {
            let code = String::from_utf8_lossy(field.value_bytes());
            return Trouble::Refused(code.chars().filter(char::is_ascii_alphanumeric).take(5).collect());
        }
    }
    Trouble::Refused(String::from("XX000"))
}

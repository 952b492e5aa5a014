//! MySQL and MariaDB: as much of their protocol as a login and a statement need.

mod auth;
mod grants;
mod packet;
mod quote;

use coffer_client::Outbound;
use coffer_crypto::hmac_sha256;
use coffer_types::encoding::HEXLOWER;

use self::{
    auth::{Plugin, Proof},
    grants::again_for,
    packet::{Greeting, Packet, Reading},
};
use crate::{failure::Trouble, secret::Words, wire::Wire};

/// What we can: long passwords, transactions, protocol 4.1, and plugins that prove that a password is known.
const ABILITIES: u32 = 0x0000_0001 | 0x0000_0200 | 0x0000_2000 | 0x0000_8000 | 0x0008_0000 | 0x0020_0000;
const WITH_DATABASE: u32 = 0x0000_0008;
const ENCRYPTED: u32 = 0x0000_0800;
/// The longest answer that we read.
const PACKET_BYTES_MAX: u32 = 1 << 20;
/// utf8mb4_general_ci, which both have.
const CHARACTERS: u8 = 45;
const QUERY: u8 = 3;
/// Rows of one answer: the grants of a user.
const ROWS_MAX: usize = 10_000;

type Row = Vec<Option<Vec<u8>>>;

pub(crate) struct Session {
    wire: Wire,
    sequence: u8,
    /// How whoever is logged in has proven it.
    plugin: Plugin,
    version: Version,
}

/// What is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    is_mariadb: bool,
    number: (u32, u32, u32),
}

impl Version {
    fn parse(text: &str) -> Self {
        // MariaDB says 5.5.5-10.11.6-MariaDB to those who expect no version above 9.
        let is_mariadb = text.contains("MariaDB");
        let own = if is_mariadb { text.strip_prefix("5.5.5-").unwrap_or(text) } else { text };
        let mut numbers =
            own.split(|char: char| !char.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self { is_mariadb, number: (next(), next(), next()) }
    }

    /// Passwords are set with ALTER USER; before, with a function that is gone since.
    fn alters_users(self) -> bool {
        !self.is_mariadb && self.number >= (5, 7, 6)
    }

    /// What has to be encrypted is said with ALTER USER; before, with GRANT.
    fn alters_requirements(self) -> bool {
        self.number >= if self.is_mariadb { (10, 2, 0) } else { (5, 7, 6) }
    }
}

impl Session {
    pub(crate) async fn open(
        wire: Wire,
        outbound: &Outbound,
        words: &Words,
        encrypted: bool,
    ) -> Result<Self, Trouble> {
        let version = Version { is_mariadb: false, number: (0, 0, 0) };
        let mut session = Self { wire, sequence: 0, plugin: Plugin::Native, version };
        session.log_in(outbound, words, encrypted).await?;
        // Then a quote is doubled and nothing else has a meaning, and names stand in the quotes that we expect.
        session.query("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'").await?;
        match session.query("SET SESSION sql_log_off = 1").await {
            Ok(_) | Err(Trouble::Refused(_)) => {}
            Err(trouble) => return Err(trouble),
        }
        let version = session.query("SELECT VERSION()").await?;
        let text = version.first().and_then(|row| row.first()).cloned().flatten().unwrap_or_default();
        session.version = Version::parse(&String::from_utf8_lossy(&text));
        Ok(session)
    }

    async fn log_in(&mut self, outbound: &Outbound, words: &Words, encrypted: bool) -> Result<(), Trouble> {
        let greeting = self.receive().await?;
        if let Packet::Refusal(code) = greeting.kind() {
            return Err(Trouble::Refused(code));
        }
        let greeting = Greeting::read(greeting.bytes())?;
        let mut abilities = ABILITIES;
        if words.dbname().is_some() {
            abilities |= WITH_DATABASE;
        }
        if encrypted {
            if !greeting.may_encrypt {
                return Err(Trouble::NotEncrypted(String::from("the database offers no encryption")));
            }
            abilities |= ENCRYPTED;
            self.send(&head(abilities)).await?;
            self.wire.encrypt(outbound, words.host()).await?;
        }
        let password = words.password();
        let mut plugin = Plugin::named(&greeting.plugin).unwrap_or(Plugin::Native);
        let mut challenge = greeting.challenge;
        let proof = plugin.proof(password, &challenge);
        let mut answer = head(abilities);
        for text in [words.username().as_bytes(), b"\0"] {
            answer.extend_from_slice(text);
        }
        packet::put_length(&mut answer, proof.len());
        answer.extend_from_slice(&proof);
        if let Some(database) = words.dbname() {
            answer.extend_from_slice(database.as_bytes());
            answer.push(0);
        }
        answer.extend_from_slice(plugin.name().as_bytes());
        answer.push(0);
        let says_nul =
            [words.username(), words.dbname().unwrap_or_default()].iter().any(|text| text.contains('\0'));
        if says_nul {
            return Err(Trouble::Strange("it takes no NUL"));
        }
        self.send(&answer).await?;
        let is_encrypted = self.wire.is_encrypted();
        // A switch and the turns of one plugin; nobody goes on for ever.
        for _ in 0..6 {
            let packet = self.receive().await?;
            match packet.kind() {
                Packet::Ok => {
                    self.plugin = plugin;
                    return Ok(());
                }
                Packet::Refusal(code) => return Err(Trouble::Refused(code)),
                Packet::Switch => {
                    let (name, data) = packet.switch()?;
                    plugin = Plugin::named(&name)
                        .ok_or(Trouble::Strange("its login is one that is not known here"))?;
                    challenge = data;
                    let proof = plugin.proof(password, &challenge);
                    self.send(&proof).await?;
                }
                Packet::More => match plugin.goes_on(packet.more(), password, &challenge, is_encrypted)? {
                    Proof::Wait => {}
                    Proof::Say(bytes) => self.send(bytes.expose()).await?,
                },
                Packet::Other => return Err(Trouble::Strange("its login is one that is not known here")),
            }
        }
        Err(Trouble::Strange("its login has no end"))
    }

    pub(crate) async fn query(&mut self, statement: &str) -> Result<Vec<Row>, Trouble> {
        let mut bytes = Vec::with_capacity(statement.len() + 1);
        bytes.push(QUERY);
        bytes.extend_from_slice(statement.as_bytes());
        self.sequence = 0;
        self.send(&bytes).await?;
        let first = self.receive().await?;
        match first.kind() {
            Packet::Ok => return Ok(Vec::new()),
            Packet::Refusal(code) => return Err(Trouble::Refused(code)),
            Packet::Switch | Packet::More | Packet::Other => {}
        }
        let columns = Reading::of(first.bytes()).length()?;
        for _ in 0..columns {
            self.receive().await?;
        }
        if !self.receive().await?.is_end() {
            return Err(Trouble::Strange("it answers a statement with something else"));
        }
        let mut rows = Vec::new();
        loop {
            let packet = self.receive().await?;
            if packet.is_end() {
                return Ok(rows);
            }
            if let Packet::Refusal(code) = packet.kind() {
                return Err(Trouble::Refused(code));
            }
            if rows.len() == ROWS_MAX {
                return Err(Trouble::Strange("its answer is too long"));
            }
            let mut reading = Reading::of(packet.bytes());
            let row: Result<Row, Trouble> = (0..columns).map(|_| reading.text()).collect();
            rows.push(row?);
        }
    }

    pub(crate) async fn set_own_password(&mut self, password: &str) -> Result<(), Trouble> {
        let text = quote::literal(password)?;
        if self.version.alters_users() {
            return self.query(&format!("ALTER USER USER() IDENTIFIED BY {text}")).await.map(drop);
        }
        if self.version.is_mariadb && self.plugin == Plugin::Native {
            // What the server would have made of it; where passwords are checked it is refused, since they have to be seen for that.
            let made = quote::literal(&auth::made_of(password))?;
            match self.query(&format!("SET PASSWORD = {made}")).await {
                Err(Trouble::Refused(_)) => {}
                outcome => return outcome.map(drop),
            }
        }
        self.query(&format!("SET PASSWORD = PASSWORD({text})")).await.map(drop)
    }

    pub(crate) async fn set_clone(
        &mut self,
        original: &str,
        clone: &str,
        password: &str,
    ) -> Result<(), Trouble> {
        let (from, to) = (quote::literal(original)?, quote::literal(clone)?);
        let text = quote::literal(password)?;
        let found =
            self.query(&format!("SELECT User FROM mysql.user WHERE User = {to} AND Host = '%'")).await?;
        if found.is_empty() {
            // AWS's functions give him the password at once. Then a crash before the grants leaves one who logs in and may nothing, and
            // is not set again. So it comes last, and until then he has one that nobody knows.
            let first = quote::literal(&first_password(password))?;
            self.query(&format!("CREATE USER {to}@'%' IDENTIFIED BY {first}")).await?;
        }
        for row in self.query(&format!("SHOW GRANTS FOR {from}@'%'")).await? {
            let grant = row.into_iter().next().flatten().unwrap_or_default();
            let grant = String::from_utf8(grant).map_err(|_| Trouble::Strange("its grants are no text"))?;
            if let Some(again) = again_for(&grant, &to) {
                self.query(&again).await?;
            }
        }
        self.copy_requirement(&from, &to).await?;
        let set = if self.version.alters_users() {
            format!("ALTER USER {to}@'%' IDENTIFIED BY {text}")
        } else {
            format!("SET PASSWORD FOR {to}@'%' = PASSWORD({text})")
        };
        self.query(&set).await.map(drop)
    }

    /// Whether a user has to come encrypted, and how.
    async fn copy_requirement(&mut self, from: &str, to: &str) -> Result<(), Trouble> {
        let found = self
            .query(&format!(
                "SELECT ssl_type, ssl_cipher, x509_issuer, x509_subject FROM mysql.user WHERE User = {from} AND Host = '%'"
            ))
            .await?;
        let mut columns = found.into_iter().next().unwrap_or_default().into_iter().map(|column| {
            let text = String::from_utf8_lossy(&column.unwrap_or_default()).into_owned();
            Some(text).filter(|text| !text.is_empty())
        });
        let mut next = || columns.next().flatten();
        let requirement = match next().as_deref() {
            None => String::from("NONE"),
            Some("ANY") => String::from("SSL"),
            Some("X509") => String::from("X509"),
            Some(_) => {
                let mut parts = Vec::new();
                for name in ["CIPHER", "ISSUER", "SUBJECT"] {
                    if let Some(value) = next() {
                        parts.push(format!("{name} {}", quote::literal(&value)?));
                    }
                }
                parts.join(" AND ")
            }
        };
        let statement = if self.version.alters_requirements() {
            format!("ALTER USER {to}@'%' REQUIRE {requirement}")
        } else {
            format!("GRANT USAGE ON *.* TO {to}@'%' REQUIRE {requirement}")
        };
        self.query(&statement).await.map(drop)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let packet = packet::framed(bytes, self.sequence)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.wire.write(&packet).await
    }

    async fn receive(&mut self) -> Result<packet::Bytes, Trouble> {
        let head = self.wire.read(4).await?;
        let (length, sequence) = match head.as_slice() {
            [a, b, c, sequence] => (u32::from_le_bytes([*a, *b, *c, 0]), *sequence),
            _ => (u32::MAX, 0),
        };
        if length >= PACKET_BYTES_MAX {
            return Err(Trouble::Strange("its answer is too long"));
        }
        self.sequence = sequence.wrapping_add(1);
        let bytes = self.wire.read(usize::try_from(length).unwrap_or(usize::MAX)).await?;
        Ok(packet::Bytes::new(bytes))
    }
}

/// Of a clone until he has all that he should have. It has a character of each kind, for servers that look at that.
fn first_password(password: &str) -> String {
    let made = hmac_sha256(password.as_bytes(), &[b"until it has its grants"]);
    format!("Aa1-{}", HEXLOWER.encode(&made))
}

/// What stands before the name of whoever logs in, and is alone before the connection is encrypted.
fn head(abilities: u32) -> Vec<u8> {
    let mut bytes = abilities.to_le_bytes().to_vec();
    bytes.extend_from_slice(&PACKET_BYTES_MAX.to_le_bytes());
    bytes.push(CHARACTERS);
    bytes.extend_from_slice(&[0; 23]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_password_is_set_depends_on_the_version() {
        for (text, is_mariadb, number, alters_users, alters_requirements) in [
            ("8.0.36", false, (8, 0, 36), true, true),
            ("9.1.0-commercial", false, (9, 1, 0), true, true),
            ("5.7.44-log", false, (5, 7, 44), true, true),
            ("5.6.51", false, (5, 6, 51), false, false),
            ("10.11.6-MariaDB-0+deb12u1", true, (10, 11, 6), false, true),
            ("5.5.5-10.5.8-MariaDB", true, (10, 5, 8), false, true),
            ("10.1.48-MariaDB", true, (10, 1, 48), false, false),
        ] {
            let version = Version::parse(text);
            assert_eq!(version, Version { is_mariadb, number }, "{text}");
            assert_eq!(version.alters_users(), alters_users, "{text}");
            assert_eq!(version.alters_requirements(), alters_requirements, "{text}");
        }
    }
}

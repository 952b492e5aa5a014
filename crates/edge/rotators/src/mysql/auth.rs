//! How somebody proves that he knows a password.

use coffer_crypto::{KeyKind, Oaep, PublicKey, sha1_of_mysql, sha256};
use coffer_types::{
    Secret,
    encoding::{BASE64, HEXUPPER},
};

use crate::failure::Trouble;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugin {
    /// Of MariaDB, and of MySQL before 8.
    Native,
    /// Of MySQL since 8.
    CachingSha2,
}

/// What a plugin does next.
pub(crate) enum Proof {
    Wait,
    Say(Secret<Vec<u8>>),
}

const NATIVE: &str = "mysql_native_password";
const CACHING_SHA2: &str = "caching_sha2_password";
/// The server has seen the password of late, or wants to see it.
const KNOWN: u8 = 3;
const WANTED: u8 = 4;
const WANTS_KEY: u8 = 2;

impl Plugin {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            NATIVE => Some(Self::Native),
            CACHING_SHA2 => Some(Self::CachingSha2),
            _ => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Native => NATIVE,
            Self::CachingSha2 => CACHING_SHA2,
        }
    }

    pub(crate) fn proof(self, password: &str, challenge: &[u8]) -> Vec<u8> {
        let password = password.as_bytes();
        if password.is_empty() {
            return Vec::new();
        }
        match self {
            Self::Native => {
                let once = sha1_of_mysql(&[password]);
                let twice = sha1_of_mysql(&[&once]);
                mixed(&once, &sha1_of_mysql(&[challenge, &twice]))
            }
            Self::CachingSha2 => {
                let once = sha256(password);
                let twice = sha256(&once);
                mixed(&once, &sha256(&[&twice, challenge].concat()))
            }
        }
    }

    /// Answers what the plugin of the server says after a proof.
    pub(crate) fn goes_on(
        self,
        said: &[u8],
        password: &str,
        challenge: &[u8],
        is_encrypted: bool,
    ) -> Result<Proof, Trouble> {
        let with_end = Secret::new([password.as_bytes(), &[0]].concat());
        match (self, said) {
            (Self::CachingSha2, [KNOWN]) => Ok(Proof::Wait),
            (Self::CachingSha2, [WANTED]) if is_encrypted => Ok(Proof::Say(with_end)),
            // As the clients of AWS's functions do. Whoever listens learns nothing; whoever is in between could give a key of his own, which
            // only an encrypted connection keeps out.
            (Self::CachingSha2, [WANTED]) => Ok(Proof::Say(Secret::new(vec![WANTS_KEY]))),
            (Self::CachingSha2, key) if !is_encrypted => {
                let hidden = Secret::new(mixed(with_end.expose(), challenge));
                Ok(Proof::Say(Secret::new(sealed_for(key, &hidden)?)))
            }
            _ => Err(Trouble::Strange("its login is one that is not known here")),
        }
    }
}

/// What the native plugin keeps of a password.
pub(crate) fn made_of(password: &str) -> String {
    let twice = sha1_of_mysql(&[&sha1_of_mysql(&[password.as_bytes()])]);
    format!("*{}", HEXUPPER.encode(&twice))
}

fn mixed(bytes: &[u8], with: &[u8]) -> Vec<u8> {
    bytes.iter().zip(with.iter().cycle()).map(|(left, right)| left ^ right).collect()
}

/// For the public key of a PEM text.
fn sealed_for(pem: &[u8], what: &Secret<Vec<u8>>) -> Result<Vec<u8>, Trouble> {
    const NO_KEY: Trouble = Trouble::Strange("its key is none");
    let text = std::str::from_utf8(pem).map_err(|_| NO_KEY)?;
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = BASE64.decode(body.trim_end_matches('\0').trim().as_bytes()).map_err(|_| NO_KEY)?;
    [KeyKind::Rsa2048, KeyKind::Rsa3072, KeyKind::Rsa4096]
        .into_iter()
        .find_map(|kind| PublicKey::from_der(kind, &der).ok())
        .and_then(|key| key.encrypt(Oaep::Sha1, what.expose()).ok())
        .ok_or(NO_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_password_is_what_the_server_says() {
        // SELECT PASSWORD('password')
        assert_eq!(made_of("password"), "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19");
    }

    #[test]
    fn a_password_is_shown_only_where_nobody_listens() {
        let goes_on = |is_encrypted| match Plugin::CachingSha2.goes_on(&[WANTED], "pw", b"", is_encrypted) {
            Ok(Proof::Say(bytes)) => Some(bytes.take()),
            _ => None,
        };
        assert_eq!(goes_on(true).unwrap(), b"pw\0");
        assert_eq!(goes_on(false).unwrap(), [WANTS_KEY]);
    }

    #[test]
    fn the_password_goes_out_under_the_key_of_the_server() {
        let key = coffer_crypto::PrivateKey::generate(KeyKind::Rsa2048);
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            BASE64.encode(&key.public_key())
        );
        let challenge = b"12345678901234567890";
        let Ok(Proof::Say(said)) = Plugin::CachingSha2.goes_on(pem.as_bytes(), "hunter2", challenge, false)
        else {
            panic!("nothing was said");
        };
        let opened = key.decrypt(Oaep::Sha1, said.expose()).unwrap();
        assert_eq!(mixed(opened.expose(), challenge), b"hunter2\0");
        assert!(Plugin::CachingSha2.goes_on(b"no key", "hunter2", challenge, false).is_err());
        assert!(Plugin::CachingSha2.goes_on(pem.as_bytes(), "hunter2", challenge, true).is_err());
    }
}

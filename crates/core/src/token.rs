//! Page tokens and other things we hand out and want back unchanged.
//!
//! A token is sealed: the client can neither read nor make one, and it opens only in the context it was made for (account,
//! region, operation, the rest of the request). Anything else is "not recognised", with no detail.

use coffer_barrier::{Barrier, Purpose};
use coffer_crypto::{NONCE_LEN, open, seal};
use coffer_types::{Entropy, Secret, encoding::BASE64URL_NOPAD};

use crate::{Cx, Db};

/// The shortest sealed token: nonce and tag around nothing.
const OVERHEAD: usize = NONCE_LEN + coffer_crypto::TAG_LEN;

/// Of tokens that temporary credentials carry.
const SESSION: &str = "session-token";

/// What one call seals for another, which brings it back: a service says with the purpose what for, and with the context what it belongs to.
impl Cx<'_> {
    pub fn seal_for(&self, purpose: &'static str, context: &[u8], content: &Secret<Vec<u8>>) -> String {
        SealedToken::seal(self.db().barrier(), self.entropy(), purpose, context, content.expose()).0
    }

    pub fn open_for(&self, purpose: &'static str, context: &[u8], token: &str) -> Option<Secret<Vec<u8>>> {
        SealedToken::open(self.db().barrier(), purpose, context, token)
    }
}

/// Tokens of sessions open in any call of whoever brings them, so that their context is not that of a request: it is the id of the key
/// that they belong to.
impl Cx<'_> {
    pub fn seal_session(&self, access_key_id: &str, content: &Secret<Vec<u8>>) -> String {
        let barrier = self.db().barrier();
        SealedToken::seal(barrier, self.entropy(), SESSION, access_key_id.as_bytes(), content.expose()).0
    }
}

impl Db {
    /// The content of a session's token; nothing for what is not ours, was changed, or belongs to another key.
    pub fn open_session(&self, access_key_id: &str, token: &str) -> Option<Secret<Vec<u8>>> {
        SealedToken::open(self.barrier(), SESSION, access_key_id.as_bytes(), token)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedToken(pub String);

impl SealedToken {
    pub(crate) fn seal(
        barrier: &Barrier,
        entropy: &dyn Entropy,
        purpose: &str,
        context: &[u8],
        content: &[u8],
    ) -> Self {
        let key = barrier.derive(Purpose::Token, purpose.as_bytes());
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut bytes = content.to_vec();
        seal(key.expose(), &nonce, context, &mut bytes);
        let mut token = nonce.to_vec();
        token.append(&mut bytes);
        Self(BASE64URL_NOPAD.encode(&token))
    }

    /// The content, or nothing for every kind of wrong token.
    pub(crate) fn open(
        barrier: &Barrier,
        purpose: &str,
        context: &[u8],
        token: &str,
    ) -> Option<Secret<Vec<u8>>> {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        if bytes.len() < OVERHEAD {
            return None;
        }
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let key = barrier.derive(Purpose::Token, purpose.as_bytes());
        let mut content = sealed.to_vec();
        open(key.expose(), nonce, context, &mut content).ok()?;
        Some(Secret::new(content))
    }
}

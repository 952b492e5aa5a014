//! A request that tests can change, a small server that answers it, and chance from a seed.

use std::time::Duration;

use coffer_crypto::sha256;
use coffer_sigv4::{
    Accepts, Claim, Credentials, Expect, Head, KeyKind, KeyMaterial, SignatureError, Signer, SigningKeys,
    TokenState, Verified, Window, verify,
};
use coffer_types::{Secret, Timestamp};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Reads a case of the vectors; `headers` names the member with the headers.
    pub(crate) fn of_case(case: &Value, headers: &str) -> Self {
        let headers = case[headers].as_array().unwrap();
        Self {
            method: text(case, "method"),
            path: text(case, "path"),
            query: text(case, "query"),
            headers: headers
                .iter()
                .map(|pair| (pair[0].as_str().unwrap().into(), pair[1].as_str().unwrap().into()))
                .collect(),
            body: text(case, "body").into_bytes(),
        }
    }

    pub(crate) fn with_head<R>(&self, look: impl FnOnce(&Head<'_>) -> R) -> R {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        look(&Head { method: &self.method, path: &self.path, query: &self.query, headers: &headers })
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.headers.push((name.into(), value.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(candidate, _)| !candidate.eq_ignore_ascii_case(name));
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.add(name, value);
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8(value.clone()).unwrap())
    }

    /// Replaces text inside one header and insists that it was there.
    pub(crate) fn replace_in(&mut self, name: &str, from: &str, to: &str) {
        let old = self.header(name).unwrap();
        assert!(old.contains(from), "{name} does not contain {from}");
        self.set(name, &old.replacen(from, to, 1));
    }

    pub(crate) fn sign(&mut self, server: &Server, now: Timestamp) {
        let added = self.with_head(|head| server.signer().sign(head, &sha256(&self.body), now)).unwrap();
        for (name, value) in added {
            self.add(name, value.expose());
        }
    }

    pub(crate) fn presign(&mut self, server: &Server, now: Timestamp, expires_seconds: u64) {
        let hash = sha256(&self.body);
        let query = self.with_head(|head| server.signer().presign(head, &hash, now, expires_seconds));
        self.query = query.unwrap().take();
    }
}

/// One service with one access key.
pub(crate) struct Server {
    pub(crate) service: String,
    pub(crate) region: String,
    pub(crate) now: Timestamp,
    pub(crate) access_key_id: String,
    pub(crate) secret: Secret<String>,
    pub(crate) active: bool,
    /// With one, the access key is a temporary one.
    pub(crate) session_token: Option<Secret<String>>,
    pub(crate) session_expired: bool,
    pub(crate) accepts: Accepts,
    pub(crate) keys: SigningKeys,
}

impl Server {
    pub(crate) fn of_case(case: &Value) -> Self {
        let scope = text(case, "scope");
        let parts: Vec<&str> = scope.split('/').collect();
        Self {
            service: parts[2].into(),
            region: parts[1].into(),
            now: at(&text(case, "timestamp")),
            access_key_id: text(case, "access_key"),
            secret: Secret::new(text(case, "secret_key")),
            active: true,
            session_token: case.get("session_token").and_then(Value::as_str).map(|it| Secret::new(it.into())),
            session_expired: false,
            accepts: Accepts::HeaderOrQuery { lifetime_max: Duration::from_secs(900) },
            keys: SigningKeys::default(),
        }
    }

    pub(crate) fn signer(&self) -> Signer<'_> {
        Signer {
            credentials: Credentials {
                access_key_id: &self.access_key_id,
                secret_access_key: &self.secret,
                session_token: self.session_token.as_ref(),
            },
            region: &self.region,
            service: &self.service,
        }
    }

    pub(crate) fn check(&self, request: &Request) -> Result<Verified, SignatureError> {
        request.with_head(|head| self.check_head(head, &request.body))
    }

    pub(crate) fn check_head(&self, head: &Head<'_>, body: &[u8]) -> Result<Verified, SignatureError> {
        let claim = Claim::read(head, self.accepts)?;
        let token = match (claim.session_token(), &self.session_token) {
            (None, _) => TokenState::NotSent,
            (Some(sent), Some(issued)) if sent.expose() == issued.expose() && self.session_expired => {
                TokenState::Expired
            }
            (Some(sent), Some(issued)) if sent.expose() == issued.expose() => TokenState::Valid,
            (Some(_), _) => TokenState::Invalid,
        };
        let known = self.active && claim.access_key_id() == self.access_key_id;
        let kind = if self.session_token.is_some() { KeyKind::Temporary } else { KeyKind::LongLived };
        let key = if known {
            KeyMaterial::Known { secret: &self.secret, generation: 1, kind }
        } else {
            KeyMaterial::Unknown
        };
        let serves_region = |region: &str| region == self.region;
        let expect = Expect {
            service: &self.service,
            serves_region: &serves_region,
            now: self.now,
            window: Window::DEFAULT,
        };
        verify(claim, head, &sha256(body), key, token, &expect, &self.keys)
    }
}

/// The vectors file, as the bytes that it is.
pub(crate) fn vectors() -> Value {
    serde_json::from_str(include_str!("../data/sigv4-vectors.json")).unwrap()
}

pub(crate) fn cases<'a>(vectors: &'a Value, group: &str) -> &'a [Value] {
    vectors[group].as_array().unwrap()
}

pub(crate) fn text(case: &Value, member: &str) -> String {
    case[member].as_str().unwrap_or_else(|| panic!("{member} in {case}")).to_owned()
}

pub(crate) fn at(basic: &str) -> Timestamp {
    Timestamp::parse_basic(basic).unwrap()
}

/// SplitMix64: the same numbers from the same seed, everywhere.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub(crate) fn text(&mut self, pieces: &[&str], count_max: usize) -> String {
        (0..self.below(count_max + 1)).map(|_| self.pick(pieces)).collect()
    }
}

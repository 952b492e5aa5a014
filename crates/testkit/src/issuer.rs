//! An identity provider, such as a Kubernetes cluster: it signs tokens, and a file of its keys is all that a server knows of it.

use std::{fmt, fs::File, io::Write, path::PathBuf};

use coffer_server::KeySource;
use coffer_types::encoding::BASE64URL_NOPAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SigningKey};
use serde_json::{Value, json};

const KEY_ID: &str = "key-1";
/// Each of the two numbers of a signature.
const NUMBER_BYTES: usize = 32;

pub struct Issuer {
    key: KeyPair,
    directory: tempfile::TempDir,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issuer")
    }
}

impl Issuer {
    /// As tokens name it.
    pub const URL: &str = "https://oidc.example.com/cluster";
    /// As IAM and the configuration know it.
    pub const NAME: &str = "oidc.example.com/cluster";

    /// Every issuer has a key of its own, so a token of one server's is none of another's.
    #[expect(clippy::new_without_default, reason = "chance makes it, so no two are the same")]
    pub fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (x, y) = key.der_bytes()[1..].split_at(NUMBER_BYTES);
        let part = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let keys = json!({"keys": [{"kid": KEY_ID, "kty": "EC", "crv": "P-256", "x": part(x), "y": part(y), "use": "sig"}]});
        let mut file = File::create(directory.path().join("keys.json")).unwrap();
        file.write_all(keys.to_string().as_bytes()).unwrap();
        Self { key, directory }
    }

    pub(crate) fn keys(&self) -> KeySource {
        KeySource::File(self.keys_file())
    }

    /// Where a server on this machine finds its keys.
    pub fn keys_file(&self) -> PathBuf {
        self.directory.path().join("keys.json")
    }

    /// A token that makes these claims.
    pub fn token(&self, claims: &Value) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let header = json!({"alg": "ES256", "kid": KEY_ID, "typ": "JWT"});
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = side_by_side(&self.key.sign(signed.as_bytes()).unwrap());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    /// What Kubernetes puts into the token of a service account, with some claims changed.
    pub fn claims(now: i64, subject: &str) -> Value {
        json!({
            "aud": ["sts.amazonaws.com"],
            "exp": now + 3600,
            "iat": now,
            "iss": Self::URL,
            "kubernetes.io": {"namespace": "prod", "pod": {"name": "api-0"}, "serviceaccount": {"name": "api"}},
            "nbf": now,
            "sub": subject,
        })
    }
}

/// The two numbers of a signature as a token has them, out of a sequence in DER.
fn side_by_side(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut out = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let digits: Vec<u8> = rest[2..2 + length].iter().copied().skip_while(|byte| *byte == 0).collect();
        out.extend(std::iter::repeat_n(0, NUMBER_BYTES - digits.len()).chain(digits));
        rest = &rest[2 + length..];
    }
    out
}

//! Tokens as Kubernetes makes them, everything that can be wrong with one, and keys that change.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use coffer_shape::ConditionValue;
use coffer_types::encoding::{BASE64, BASE64URL_NOPAD};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData, SigningKey};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    token::{SOURCE_IDENTITY_CLAIM, TAGS_CLAIM},
    *,
};

const NOW: i64 = 1_800_000_000;
const CLIENT: &str = "sts.amazonaws.com";

/// A provider with two keys, `a` and `b`.
struct Provider {
    a: KeyPair,
    b: KeyPair,
}

impl Provider {
    fn new() -> Self {
        let a = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let b = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        Self { a, b }
    }

    fn keys(&self) -> KeySet {
        KeySet::parse(self.published().as_bytes()).unwrap()
    }

    fn published(&self) -> String {
        let coordinate = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let key = |pair: &KeyPair, id: &str, curve: &str, size: usize| {
            let (x, y) = pair.der_bytes()[1..].split_at(size);
            json!({"kid": id, "kty": "EC", "crv": curve, "x": coordinate(x), "y": coordinate(y), "use": "sig"})
        };
        json!({"keys": [key(&self.a, "a", "P-256", 32), key(&self.b, "b", "P-384", 48)]}).to_string()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let (pair, size) = if header["kid"] == "b" { (&self.b, 48) } else { (&self.a, 32) };
        let signature = fixed(&pair.sign(signed.as_bytes()).unwrap(), size);
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    fn token(&self, change: impl Fn(&mut Value)) -> String {
        let mut claims = json!({
            "aud": [CLIENT],
            "exp": NOW + 3600,
            "iat": NOW,
            "iss": "https://kubernetes.default.svc.cluster.local",
            "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "api", "uid": "1"}},
            "nbf": NOW,
            "sub": "system:serviceaccount:prod:api",
        });
        change(&mut claims);
        self.sign(&json!({"alg": "ES256", "kid": "a"}), &claims)
    }

    fn verify(&self, token: &str) -> Result<Claims, TokenFault> {
        Token::read(token)?.verify(&self.keys(), &[CLIENT.to_owned()], Timestamp::from_seconds(NOW))
    }
}

/// Two numbers in DER, side by side instead.
fn fixed(der: &[u8], size: usize) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut out = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = rest[2..2 + length].iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
        out.extend(std::iter::repeat_n(0, size - number.len()).chain(number));
        rest = &rest[2 + length..];
    }
    out
}

#[test]
fn a_token_of_a_service_account_says_who_it_is() {
    let provider = Provider::new();
    let claims = provider.verify(&provider.token(|_| {})).unwrap();
    assert_eq!(claims.subject, "system:serviceaccount:prod:api");
    assert_eq!(claims.audience, CLIENT);
    let one = |name: &str, text: &str| (name.to_owned(), ConditionValue::One(text.to_owned()));
    assert_eq!(
        claims.conditions,
        [
            one("aud", CLIENT),
            one("iss", "https://kubernetes.default.svc.cluster.local"),
            one("sub", "system:serviceaccount:prod:api"),
        ]
    );
    let by_the_other = provider.sign(
        &json!({"alg": "ES384", "kid": "b"}),
        &json!({"iss": "https://x", "sub": "s", "aud": CLIENT, "exp": NOW + 1}),
    );
    assert_eq!(provider.verify(&by_the_other).unwrap().subject, "s");
}

#[test]
fn a_token_that_names_no_key_is_tried_with_all() {
    let provider = Provider::new();
    let claims = json!({"iss": "https://x", "sub": "s", "aud": CLIENT, "exp": NOW + 1});
    assert!(provider.verify(&provider.sign(&json!({"alg": "ES256"}), &claims)).is_ok());
    // What was signed with P-256 is no signature of P-384.
    let confused = provider.sign(&json!({"alg": "ES384"}), &claims);
    assert_eq!(provider.verify(&confused), Err(TokenFault::Signature));
}

#[test]
fn claims_that_do_not_fit() {
    let provider = Provider::new();
    let expired = |expires| TokenFault::Expired { now: NOW, expires };
    type Change = &'static dyn Fn(&mut Value);
    let cases: &[(Change, TokenFault)] = &[
        (&|claims| claims["exp"] = json!(NOW), expired(NOW)),
        (&|claims| claims["exp"] = json!(NOW - 1), expired(NOW - 1)),
        (&|claims| claims["exp"] = json!(1.5), expired(1)),
        (&|claims| claims["exp"] = json!("soon"), TokenFault::Malformed),
        (&|claims| claims["exp"] = Value::Null, TokenFault::Malformed),
        (&|claims| claims["nbf"] = json!(NOW + 301), TokenFault::NotYet),
        (&|claims| claims["iat"] = json!(NOW + 301), TokenFault::NotYet),
        (&|claims| claims["iat"] = json!(i64::MAX), TokenFault::NotYet),
        (&|claims| claims["aud"] = json!("other"), TokenFault::Audience),
        (&|claims| claims["aud"] = json!([]), TokenFault::Audience),
        (&|claims| claims["aud"] = json!(7), TokenFault::Audience),
        (&|claims| claims["azp"] = json!("other"), TokenFault::Audience),
        (&|claims| claims["azp"] = json!([CLIENT]), TokenFault::Audience),
        (&|claims| claims["sub"] = json!(""), TokenFault::Malformed),
        (&|claims| claims["sub"] = json!(7), TokenFault::Malformed),
        (&|claims| claims["iss"] = json!(7), TokenFault::Malformed),
        (
            &|claims| claims[TAGS_CLAIM] = json!({"principal_tags": {"team": ["a", "b"]}}),
            TokenFault::Malformed,
        ),
    ];
    for (change, expected) in cases {
        let token = provider.token(change);
        assert_eq!(provider.verify(&token), Err(expected.clone()), "{token}");
    }
    let good: [Change; 5] = [
        &|claims| claims["exp"] = json!(NOW + 1),
        &|claims| claims["exp"] = json!(NOW as f64 + 1.0),
        &|claims| claims["nbf"] = json!(NOW + 300),
        &|claims| claims["aud"] = json!(["other", CLIENT]),
        &|claims| (claims["azp"], claims["aud"]) = (json!(CLIENT), json!("other")),
    ];
    for change in good {
        assert!(provider.verify(&provider.token(change)).is_ok());
    }
}

#[test]
fn tags_and_a_source_identity_come_in_claims_of_their_own() {
    let provider = Provider::new();
    let token = provider.token(|claims| {
        claims[TAGS_CLAIM] =
            json!({"principal_tags": {"team": ["blue"], "env": "prod"}, "transitive_tag_keys": ["team"]});
        claims[SOURCE_IDENTITY_CLAIM] = json!("ann");
        claims["amr"] = json!(["mfa", "pwd"]);
    });
    let claims = provider.verify(&token).unwrap();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(claims.tags, [pair("team", "blue"), pair("env", "prod")]);
    assert_eq!(claims.transitive_tag_keys, ["team"]);
    assert_eq!(claims.source_identity.as_deref(), Some("ann"));
    let ways = vec![String::from("mfa"), String::from("pwd")];
    assert!(claims.conditions.contains(&(String::from("amr"), ConditionValue::Many(ways))));
}

#[test]
fn what_is_no_token_of_a_kind_that_we_check() {
    let provider = Provider::new();
    let good = provider.token(|_| {});
    let claims = json!({"iss": "https://x", "sub": "s", "aud": CLIENT, "exp": NOW + 1});
    let with = |header: Value| provider.sign(&header, &claims);
    for token in [
        String::new(),
        String::from("."),
        String::from(".."),
        String::from("a.b.c"),
        good.replace('.', ""),
        format!("{good}."),
        format!("{good}="),
        format!(" {good}"),
        with(json!({"alg": "none"})),
        with(json!({"alg": "HS256"})),
        with(json!({"alg": "PS256"})),
        with(json!({"alg": "es256"})),
        with(json!({"alg": ["ES256"]})),
        with(json!({})),
        with(json!({"alg": "ES256", "kid": "a", "crit": ["b64"], "b64": false})),
        with(json!([])),
    ] {
        assert_eq!(provider.verify(&token), Err(TokenFault::Malformed), "{token}");
    }
    assert_eq!(provider.verify(&with(json!({"alg": "ES256", "kid": "c"}))), Err(TokenFault::NoKey));
    // An RSA token where only curves are published.
    assert_eq!(provider.verify(&with(json!({"alg": "RS256"}))), Err(TokenFault::Signature));
}

#[test]
fn no_bit_of_a_token_can_be_changed() {
    let provider = Provider::new();
    let good = provider.token(|_| {});
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&changed));
        assert_eq!(provider.verify(&token), Err(TokenFault::Signature), "bit {bit}");
    }
    for place in 0..signed.len() {
        let mut changed = signed.as_bytes().to_vec();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let token = format!("{}.{signature}", String::from_utf8(changed).unwrap());
        assert!(provider.verify(&token).is_err(), "letter {place}");
    }
    assert!(provider.verify(&format!("{signed}.{}", BASE64.encode(&bytes))).is_err());
}

/// A clock that goes when it is told to.
#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(NOW)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

impl Hands {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

fn issuers(source: KeySource, hands: &Arc<Hands>) -> Issuers {
    let name = name(ISSUER).unwrap().to_owned();
    Issuers::new(&BTreeMap::from([(name, source)]), Arc::clone(hands) as Arc<dyn Clock>)
}

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

async fn verify(issuers: &Issuers, token: &str) -> Result<String, TokenFault> {
    let token = Token::read(token)?;
    let now = Timestamp::from_seconds(NOW);
    issuers.verify(&token, &[CLIENT.to_owned()], now).await.map(|claims| claims.subject)
}

fn write(path: &Path, text: &str) {
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn keys_that_change_are_read_again_and_not_for_every_token() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    let (old, new) = (Provider::new(), Provider::new());
    let hands = Arc::new(Hands::default());
    let issuers = issuers(KeySource::File(path.clone()), &hands);
    let subject = Ok(String::from("system:serviceaccount:prod:api"));
    let of = |provider: &Provider| provider.token(|_| {});

    // There is no file yet, and it is not looked for again at once.
    assert_eq!(verify(&issuers, &of(&old)).await, Err(TokenFault::NoKeys));
    write(&path, &old.published());
    assert_eq!(verify(&issuers, &of(&old)).await, Err(TokenFault::NoKeys));
    hands.pass(30);
    assert_eq!(verify(&issuers, &of(&old)).await, subject);

    // Keys of the same names are other keys. The old ones are believed for five minutes.
    write(&path, &new.published());
    hands.pass(299);
    assert_eq!(verify(&issuers, &of(&old)).await, subject);
    assert_eq!(verify(&issuers, &of(&new)).await, Err(TokenFault::Signature));
    hands.pass(1);
    assert_eq!(verify(&issuers, &of(&new)).await, subject);
    assert_eq!(verify(&issuers, &of(&old)).await, Err(TokenFault::Signature));

    // A token that names a key that is not there makes us look, once in half a minute.
    write(&path, &new.published().replace("\"a\"", "\"c\""));
    let by_c = new.sign(&json!({"alg": "ES256", "kid": "c"}), &claims());
    assert_eq!(verify(&issuers, &by_c).await, Err(TokenFault::NoKey));
    hands.pass(30);
    assert_eq!(verify(&issuers, &by_c).await, Ok(String::from("s")));

    // What cannot be read any more is known for a day.
    write(&path, "{");
    hands.pass(23 * 3600);
    assert_eq!(verify(&issuers, &by_c).await, Ok(String::from("s")));
    hands.pass(3600);
    assert_eq!(verify(&issuers, &by_c).await, Err(TokenFault::NoKeys));
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "s", "aud": CLIENT, "exp": NOW + 1})
}

#[tokio::test]
async fn only_issuers_that_are_configured_are_believed() {
    let provider = Provider::new();
    let hands = Arc::new(Hands::default());
    let issuers = issuers(KeySource::File("/does/not/exist".into()), &hands);
    for issuer in ["https://elsewhere.example", "http://kubernetes.default.svc.cluster.local", "https://"] {
        let token = provider.token(|claims| claims["iss"] = json!(issuer));
        assert_eq!(verify(&issuers, &token).await, Err(TokenFault::NoKeys), "{issuer}");
    }
}

#[tokio::test]
async fn keys_come_from_a_url_too_and_nothing_leads_away_from_it() {
    let provider = Provider::new();
    for (head, body, is_good) in [
        ("200 OK", provider.published(), true),
        ("200 OK", String::from("no keys"), false),
        ("200 OK", "x".repeat(1 << 21), false),
        ("302 Found\r\nlocation: http://127.0.0.1:1/keys", provider.published(), false),
        ("404 Not Found", provider.published(), false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            // Whoever has read enough hangs up.
            stream.write_all(answer.as_bytes()).await.ok();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let source = KeySource::parse(&format!("{base}/openid/v1/jwks?a=b"), None).unwrap();
        let issuers = issuers(source, &Arc::new(Hands::default()));
        let outcome = verify(&issuers, &provider.token(|_| {})).await;
        assert_eq!(outcome.is_ok(), is_good, "{head}: {outcome:?}");
        assert!(served.await.unwrap().starts_with("GET /openid/v1/jwks?a=b HTTP/1.1"));
    }
}

//! Thousands of requests that somebody signed well and somebody else changed, or that bring a token of something else: none gets in,
//! and each is told why with the code that AWS has for it.
//!
//! One thing is changed in a good request: a field is changed, dropped, doubled, moved, written another way or cut short; the body,
//! the region, the service or the date is another; a bit of the token is turned, or the token belongs to another key, to another
//! account, to a role that is gone, or to an hour that is over. What changes nothing that is signed, such as the order of a query, is
//! not among them.

use std::{collections::BTreeMap, time::Duration};

use coffer_client::{Credentials, RawRequest};
use coffer_crypto::sha256;
use coffer_model::iam;
use coffer_sigv4::{Head, Signer};
use coffer_testkit::{Engine, SimEntropy, TestServer};
use coffer_types::{
    AccountId, Secret, Timestamp,
    encoding::{BASE64, BASE64URL_NOPAD},
};
use coffer_wire::{Codec, read_error};

use crate::{campaign, sessions};

const REQUESTS: usize = 5_000;
const REGION: &str = "eu-west-1";

/// What all codes come to, whatever the protocol calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Incomplete,
    Mismatch,
    Unknown,
    Expired,
    TooLate,
    Missing,
}

use Verdict::{Expired, Incomplete, Mismatch, Missing, TooLate, Unknown};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_was_changed_gets_in() {
    let seed = campaign::seed(20_260_104);
    let requests = REQUESTS * usize::try_from(campaign::rounds(1, 20)).unwrap();
    let server = TestServer::start(Engine::Memory, seed).await;
    let keys = Keys::of(&server).await;
    let chance = SimEntropy::seeded(seed);
    for (base, kind) in bases().iter().flat_map(|base| [(base, Kind::User), (base, Kind::Session)]) {
        let good = Signed::of(base, &keys, kind, server.now()).send(&server).await;
        assert_eq!(good, None, "{base:?} {kind:?} is not refused");
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for number in 0..requests {
        let base = &bases()[chance.below(3)];
        let kind = if chance.below(2) == 0 { Kind::User } else { Kind::Session };
        let (name, forged, expected) = forge(base, kind, &keys, &chance, server.now());
        let came = forged.send(&server).await;
        assert!(
            came.is_some_and(|came| expected.contains(&came)),
            "COFFER_SEED={seed}, request {number}: {name} of {base:?} by {kind:?} came to {came:?} and not {expected:?}"
        );
        *seen.entry(name).or_default() += 1;
    }
    let rare: Vec<_> =
        CHANGES.iter().filter(|change| seen.get(change.name).is_none_or(|count| *count < 10)).collect();
    assert!(
        rare.is_empty(),
        "COFFER_SEED={seed}: {:?}",
        rare.iter().map(|change| change.name).collect::<Vec<_>>()
    );
    server.stop().await;
}

/// Good requests: a header and JSON, a header and a form, a presigned URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Query,
    Presigned,
}

const fn bases() -> [Form; 3] {
    [Form::Json, Form::Query, Form::Presigned]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Session,
}

/// Everybody whose key or token could get into a request.
struct Keys {
    user: Credentials,
    session: Credentials,
    /// Of the same role.
    other_session: Credentials,
    other_account: Credentials,
    expired: Credentials,
    orphaned: Credentials,
}

impl Keys {
    async fn of(server: &TestServer) -> Self {
        let client = server.client();
        let role = sessions::role(client, "app").await;
        let doomed = sessions::role(client, "doomed").await;
        let account: AccountId = "222233334444".parse().unwrap();
        let elsewhere = server.administrator_of(account).await;
        let role_elsewhere = sessions::role(&elsewhere, "app").await;
        let keys = Self {
            user: client.credentials().clone(),
            expired: sessions::assume(client, &role, 900).await,
            orphaned: sessions::assume(client, &doomed, 3600).await,
            session: {
                server.world().clock.advance(Duration::from_secs(900));
                sessions::assume(client, &role, 3600).await
            },
            other_session: sessions::assume(client, &role, 3600).await,
            other_account: sessions::assume(&elsewhere, &role_elsewhere, 3600).await,
        };
        let detach = iam::DetachRolePolicyRequest {
            role_name: String::from("doomed"),
            policy_arn: String::from("arn:aws:iam::aws:policy/AdministratorAccess"),
        };
        assert_eq!(sessions::ask::<iam::DetachRolePolicy>(client, &detach).await.status, 200);
        let delete = iam::DeleteRoleRequest { role_name: String::from("doomed") };
        assert_eq!(sessions::ask::<iam::DeleteRole>(client, &delete).await.status, 200);
        keys
    }

    const fn of_kind(&self, kind: Kind) -> &Credentials {
        match kind {
            Kind::User => &self.user,
            Kind::Session => &self.session,
        }
    }
}

/// A request with its signature, open to changes.
#[derive(Debug, Clone)]
struct Signed {
    method: &'static str,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Signed {
    fn of(form: &Form, keys: &Keys, kind: Kind, now: Timestamp) -> Self {
        Self::by(form, keys.of_kind(kind), now)
    }

    fn by(form: &Form, credentials: &Credentials, now: Timestamp) -> Self {
        let ask = "Action=GetCallerIdentity&Version=2011-06-15";
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let host = pair("host", "coffer.example");
        let mut request = match form {
            Form::Json => Self {
                method: "POST",
                path: String::from("/"),
                query: String::new(),
                headers: vec![
                    host,
                    pair("content-type", "application/x-amz-json-1.1"),
                    pair("x-amz-target", "secretsmanager.ListSecrets"),
                ],
                body: b"{}".to_vec(),
            },
            Form::Query => Self {
                method: "POST",
                path: String::from("/"),
                query: String::new(),
                headers: vec![host, pair("content-type", "application/x-www-form-urlencoded")],
                body: ask.as_bytes().to_vec(),
            },
            Form::Presigned => Self {
                method: "GET",
                path: String::from("/"),
                query: ask.to_owned(),
                headers: vec![host],
                body: Vec::new(),
            },
        };
        let headers = request.headers.clone();
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let query = request.query.clone();
        let head = Head { method: request.method, path: "/", query: &query, headers: &headers };
        let signer = Signer {
            credentials: coffer_sigv4::Credentials {
                access_key_id: &credentials.access_key_id,
                secret_access_key: &credentials.secret_access_key,
                session_token: credentials.session_token.as_deref(),
            },
            region: REGION,
            service: if *form == Form::Json { "secretsmanager" } else { "sts" },
        };
        let hash = sha256(&request.body);
        if *form == Form::Presigned {
            request.query = signer.presign(&head, &hash, now, 60).unwrap().take();
        } else {
            let added = signer.sign(&head, &hash, now).unwrap();
            let added = added.into_iter().map(|(name, value)| (name.to_lowercase(), value.take()));
            request.headers.extend(added);
        }
        request
    }

    fn header(&self, name: &str) -> String {
        self.headers.iter().find(|(known, _)| known == name).unwrap().1.clone()
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.headers.iter_mut().filter(|(known, _)| known == name).for_each(|(_, old)| value.clone_into(old));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Changes something inside the Authorization header.
    fn in_authorization(self, change: impl FnOnce(&str) -> String) -> Self {
        let changed = change(&self.header("authorization"));
        self.set("authorization", &changed)
    }

    /// Its three parts, without the algorithm.
    fn parts(&self) -> Vec<String> {
        let value = self.header("authorization");
        let (_, parts) = value.split_once(' ').unwrap();
        parts.split(", ").map(str::to_owned).collect()
    }

    fn with_parts(self, parts: &[String]) -> Self {
        self.in_authorization(|_| format!("AWS4-HMAC-SHA256 {}", parts.join(", ")))
    }

    fn parameters(&self) -> Vec<String> {
        self.query.split('&').map(str::to_owned).collect()
    }

    fn with_parameters(mut self, parameters: &[String]) -> Self {
        self.query = parameters.join("&");
        self
    }

    /// Changes the value of a parameter of a presigned URL.
    fn in_parameter(self, name: &str, change: impl Fn(&str) -> String) -> Self {
        let changed = |parameter: String| match parameter.split_once('=') {
            Some((known, value)) if known == name => format!("{name}={}", change(value)),
            _ => parameter,
        };
        let parameters: Vec<String> = self.parameters().into_iter().map(changed).collect();
        self.with_parameters(&parameters)
    }

    /// None if it got in.
    async fn send(self, server: &TestServer) -> Option<Verdict> {
        let target = if self.query.is_empty() { self.path } else { format!("{}?{}", self.path, self.query) };
        let headers = self.headers.into_iter().map(|(name, value)| (name, Secret::new(value.into_bytes())));
        let raw = RawRequest {
            method: self.method,
            target,
            headers: headers.collect(),
            body: Secret::new(self.body),
        };
        let answer = server.client().connections().send(raw).await.unwrap();
        if answer.status == 200 {
            return None;
        }
        let body = answer.body.expose();
        let codec = if body.starts_with(b"<") { Codec::Query { namespace: None } } else { Codec::Json };
        let code = read_error(codec, None, body).map(|error| error.code).unwrap_or_default();
        // Requests without any form are refused as bad ones, and all others of these services as forbidden.
        let is_bad =
            codec == Codec::Json || code.starts_with("AuthorizationQuery") || body_says_more_than_one(body);
        assert_eq!(answer.status, if is_bad { 400 } else { 403 }, "{code}");
        Some(match code.as_str() {
            "IncompleteSignatureException" | "IncompleteSignature" => Incomplete,
            "InvalidSignatureException" | "SignatureDoesNotMatch" => Mismatch,
            "UnrecognizedClientException" | "InvalidClientTokenId" => Unknown,
            "ExpiredTokenException" | "ExpiredToken" => Expired,
            "AuthorizationQueryParametersError" => Incomplete,
            "AccessDenied" | "AccessDeniedException" => TooLate,
            "MissingAuthenticationTokenException" | "MissingAuthenticationToken" => Missing,
            other => panic!("{other}: {}", String::from_utf8_lossy(body)),
        })
    }
}

/// A header twice is a fault of HTTP, in every protocol.
fn body_says_more_than_one(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    body.contains("More than one") && !body.contains("Authorization header")
}

/// What a change needs to know.
struct Hand<'a> {
    keys: &'a Keys,
    kind: Kind,
    form: Form,
    chance: &'a SimEntropy,
    now: Timestamp,
}

impl Hand<'_> {
    fn sign(&self, credentials: &Credentials) -> Signed {
        Signed::by(&self.form, credentials, self.now)
    }

    /// Signed with a token that goes with this key, or should.
    fn with_token(&self, key: &Credentials, token: &str) -> Signed {
        self.sign(&Credentials { session_token: Some(Secret::new(token.to_owned()).into()), ..key.clone() })
    }

    fn token(&self) -> String {
        text(self.keys.session.session_token.as_ref().unwrap())
    }
}

fn text(secret: &Secret<String>) -> String {
    secret.expose().clone()
}

struct Change {
    name: &'static str,
    /// Which requests it can be made to.
    fits: fn(Form, Kind) -> bool,
    make: fn(&Hand<'_>, Signed) -> Signed,
    expected: &'static [Verdict],
}

const fn in_header(form: Form, _: Kind) -> bool {
    matches!(form, Form::Json | Form::Query)
}

const fn in_query(form: Form, _: Kind) -> bool {
    matches!(form, Form::Presigned)
}

const fn of_session(_: Form, kind: Kind) -> bool {
    matches!(kind, Kind::Session)
}

const fn everywhere(_: Form, _: Kind) -> bool {
    true
}

fn change(
    name: &'static str,
    fits: fn(Form, Kind) -> bool,
    expected: &'static [Verdict],
    make: fn(&Hand<'_>, Signed) -> Signed,
) -> Change {
    Change { name, fits, make, expected }
}

static CHANGES: std::sync::LazyLock<Vec<Change>> = std::sync::LazyLock::new(|| {
    vec![
        // The Authorization header.
        change("a digit of the signature", in_header, &[Mismatch], |hand, signed| {
            signed.in_authorization(|value| other_digit(value, 64, hand.chance))
        }),
        change("a part is dropped", in_header, &[Incomplete], |hand, signed| {
            let mut parts = signed.parts();
            parts.remove(hand.chance.below(3));
            signed.with_parts(&parts)
        }),
        change("a part is doubled", in_header, &[Incomplete], |hand, signed| {
            let mut parts = signed.parts();
            parts.push(parts[hand.chance.below(3)].clone());
            signed.with_parts(&parts)
        }),
        change("the header is doubled", in_header, &[Incomplete], |_, signed| {
            let value = signed.header("authorization");
            signed.with("authorization", &value)
        }),
        change("the header is dropped", in_header, &[Missing], |_, signed| signed.without("authorization")),
        change("the header is cut short", in_header, &[Incomplete, Mismatch, Missing], |hand, signed| {
            signed.in_authorization(|value| value[..hand.chance.below(value.len())].to_owned())
        }),
        change("the signature is in capitals", in_header, &[Mismatch], |_, signed| {
            signed.in_authorization(|value| {
                let (start, digits) = value.split_at(value.len() - 64);
                // One that has no letter would be the same in capitals.
                format!("{start}{}", digits.to_uppercase())
                    + if digits.contains(char::is_alphabetic) { "" } else { "0" }
            })
        }),
        change("the signed headers change places", in_header, &[Mismatch], |_, signed| {
            signed.in_authorization(|value| {
                let (start, rest) = value.split_once("SignedHeaders=").unwrap();
                let (names, end) = rest.split_once(',').unwrap();
                let turned: Vec<&str> = names.split(';').rev().collect();
                format!("{start}SignedHeaders={},{end}", turned.join(";"))
            })
        }),
        change("a signed header is no longer listed", in_header, &[Mismatch], |hand, signed| {
            signed.in_authorization(|value| {
                let (start, rest) = value.split_once("SignedHeaders=").unwrap();
                let (names, end) = rest.split_once(',').unwrap();
                let mut names: Vec<&str> = names.split(';').collect();
                names.remove(hand.chance.below(names.len()));
                format!("{start}SignedHeaders={},{end}", names.join(";"))
            })
        }),
        change("the algorithm is another", in_header, &[Incomplete], |_, signed| {
            signed.in_authorization(|value| value.replace("HMAC-SHA256", "ECDSA-P256-SHA256"))
        }),
        // The scope.
        change("the region is another", in_header, &[Mismatch], |_, signed| {
            signed.in_authorization(|value| value.replace("/eu-west-1/", "/us-east-1/"))
        }),
        change("the service is another", in_header, &[Mismatch], |hand, signed| {
            let service = ["/kms/", "/iam/", "/cloudtrail/", "/s3/"][hand.chance.below(4)];
            signed.in_authorization(|value| {
                value.replace("/secretsmanager/", service).replace("/sts/", service)
            })
        }),
        change("the date is another", in_header, &[Mismatch], |hand, signed| {
            let day = hand.now.to_date();
            signed.in_authorization(|value| value.replace(&format!("/{day}/"), "/20251231/"))
        }),
        change("the end of the scope is another", in_header, &[Mismatch], |_, signed| {
            signed.in_authorization(|value| value.replace("/aws4_request", "/aws4_requests"))
        }),
        change("the scope is too short", in_header, &[Incomplete], |_, signed| {
            signed.in_authorization(|value| value.replace("/aws4_request", ""))
        }),
        // The rest of the request.
        change("the time is another", in_header, &[Mismatch], |hand, signed| {
            let seconds = 1 + u64::try_from(hand.chance.below(7200)).unwrap();
            let time = hand.now.plus(Duration::from_secs(seconds)).to_basic();
            signed.set("x-amz-date", &time)
        }),
        change("the time is dropped", in_header, &[Incomplete], |_, signed| signed.without("x-amz-date")),
        change("a signed header is dropped", in_header, &[Mismatch], |_, signed| {
            signed.without("content-type")
        }),
        change("a signed header is changed", in_header, &[Mismatch], |_, signed| {
            let value = signed.header("content-type") + "; charset=utf-8";
            signed.set("content-type", &value)
        }),
        change("a header is doubled", in_header, &[Incomplete], |_, signed| {
            let value = signed.header("content-type");
            signed.with("content-type", &value)
        }),
        change("a header of AWS's is added", in_header, &[Mismatch], |_, signed| {
            signed.with("x-amz-more", "1")
        }),
        change("the host is another", everywhere, &[Mismatch], |_, signed| {
            signed.set("host", "elsewhere.example")
        }),
        change("the body is another", in_header, &[Mismatch], |hand, mut signed| {
            let place = hand.chance.below(signed.body.len() + 1);
            signed.body.insert(place, b' ');
            signed
        }),
        change("the body is cut short", in_header, &[Mismatch], |hand, mut signed| {
            signed.body.truncate(hand.chance.below(signed.body.len()));
            signed
        }),
        change("the path is another", in_header, &[Mismatch], |_, mut signed| {
            signed.path.push_str("more");
            signed
        }),
        change("the method is another", everywhere, &[Mismatch], |_, mut signed| {
            signed.method = "PUT";
            signed
        }),
        change("a parameter is added", everywhere, &[Mismatch], |_, mut signed| {
            let between = if signed.query.is_empty() { "" } else { "&" };
            signed.query.push_str(&format!("{between}More=1"));
            signed
        }),
        change("the key is another", everywhere, &[Unknown], |hand, signed| {
            let id = &hand.keys.of_kind(hand.kind).access_key_id;
            let other = other_letter(id, 8, hand.chance);
            match hand.form {
                Form::Presigned => signed.in_parameter("X-Amz-Credential", |value| value.replace(id, &other)),
                _ => signed.in_authorization(|value| value.replace(id, &other)),
            }
        }),
        change("the secret is another", everywhere, &[Mismatch], |hand, _| {
            let key = hand.keys.of_kind(hand.kind);
            let secret_access_key = hand.keys.other_session.secret_access_key.clone();
            hand.sign(&Credentials { secret_access_key, ..key.clone() })
        }),
        // The presigned URL.
        change("a digit of the signature of a URL", in_query, &[Mismatch], |hand, signed| {
            signed.in_parameter("X-Amz-Signature", |value| other_digit(value, 64, hand.chance))
        }),
        change(
            "a parameter is dropped",
            in_query,
            &[Incomplete, Mismatch, Unknown, Missing],
            |hand, signed| {
                let mut parameters = signed.parameters();
                parameters.remove(hand.chance.below(parameters.len()));
                signed.with_parameters(&parameters)
            },
        ),
        change("a parameter is doubled", in_query, &[Incomplete, Mismatch], |hand, signed| {
            let mut parameters = signed.parameters();
            parameters.push(parameters[hand.chance.below(parameters.len())].clone());
            signed.with_parameters(&parameters)
        }),
        change(
            "a parameter is cut short",
            in_query,
            &[Incomplete, Mismatch, Unknown, Missing],
            |hand, signed| {
                let mut parameters = signed.parameters();
                let place = hand.chance.below(parameters.len());
                let parameter = &mut parameters[place];
                parameter.truncate(hand.chance.below(parameter.len()));
                signed.with_parameters(&parameters)
            },
        ),
        change("the scope of a URL is encoded twice", in_query, &[Incomplete], |_, signed| {
            signed.in_parameter("X-Amz-Credential", |value| value.replace('%', "%25"))
        }),
        change("a URL lives longer", in_query, &[Mismatch], |_, signed| {
            signed.in_parameter("X-Amz-Expires", |_| String::from("600"))
        }),
        change("a URL lives too long", in_query, &[Incomplete], |_, signed| {
            signed.in_parameter("X-Amz-Expires", |_| String::from("604801"))
        }),
        change("a URL is too old", in_query, &[TooLate], |hand, _| {
            let then = hand.now.minus(Duration::from_secs(61));
            Signed::by(&hand.form, hand.keys.of_kind(hand.kind), then)
        }),
        change("a URL has a body", in_query, &[Mismatch], |_, mut signed| {
            signed.body = b"Action=GetCallerIdentity".to_vec();
            signed
        }),
        // The token.
        change("a bit of the token", of_session, &[Unknown], |hand, _| {
            let mut bytes = BASE64URL_NOPAD.decode(hand.token().as_bytes()).unwrap();
            let bit = hand.chance.below(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            hand.with_token(&hand.keys.session, &BASE64URL_NOPAD.encode(&bytes))
        }),
        change("the token is cut short", of_session, &[Unknown], |hand, _| {
            let token = hand.token();
            hand.with_token(&hand.keys.session, &token[..1 + hand.chance.below(token.len() - 1)])
        }),
        change("the token goes on", of_session, &[Unknown], |hand, _| {
            hand.with_token(&hand.keys.session, &(hand.token() + "AAAA"))
        }),
        change("the token in another alphabet", of_session, &[Unknown], |hand, _| {
            let bytes = BASE64URL_NOPAD.decode(hand.token().as_bytes()).unwrap();
            // With signs of its own, or with padding, it is not the same text.
            hand.with_token(&hand.keys.session, &(BASE64.encode(&bytes) + "="))
        }),
        change("without a token", of_session, &[Unknown], |hand, _| {
            hand.sign(&Credentials { session_token: None, ..hand.keys.session.clone() })
        }),
        change("the token of another session", of_session, &[Unknown], |hand, _| {
            let token = hand.keys.other_session.session_token.as_ref().unwrap();
            hand.with_token(&hand.keys.session, token.expose())
        }),
        change("the token of another account", of_session, &[Unknown], |hand, _| {
            let token = hand.keys.other_account.session_token.as_ref().unwrap();
            hand.with_token(&hand.keys.session, token.expose())
        }),
        change("the key of another account", of_session, &[Unknown], |hand, _| {
            let key = &hand.keys.other_account;
            hand.with_token(key, &hand.token())
        }),
        change("the token is doubled", of_session, &[Incomplete, Mismatch], |hand, signed| match hand.form {
            Form::Presigned => {
                let token =
                    signed.parameters().into_iter().find(|one| one.starts_with("X-Amz-Security")).unwrap();
                let mut parameters = signed.parameters();
                parameters.push(token);
                signed.with_parameters(&parameters)
            }
            _ => signed.with("x-amz-security-token", &hand.token()),
        }),
        change("a token beside the key of a user", everywhere, &[Unknown], |hand, _| {
            hand.with_token(&hand.keys.user, &hand.token())
        }),
        change("a session that is over", everywhere, &[Expired], |hand, _| hand.sign(&hand.keys.expired)),
        change("a session of nobody", everywhere, &[Unknown], |hand, _| hand.sign(&hand.keys.orphaned)),
    ]
});

fn forge(
    form: &Form,
    kind: Kind,
    keys: &Keys,
    chance: &SimEntropy,
    now: Timestamp,
) -> (&'static str, Signed, &'static [Verdict]) {
    loop {
        let change = &CHANGES[chance.below(CHANGES.len())];
        if (change.fits)(*form, kind) {
            let hand = Hand { keys, kind, form: *form, chance, now };
            let forged = (change.make)(&hand, Signed::of(form, keys, kind, now));
            return (change.name, forged, change.expected);
        }
    }
}

/// Another of the last digits.
fn other_digit(value: &str, digits: usize, chance: &SimEntropy) -> String {
    let place = value.len() - 1 - chance.below(digits);
    let digit = if value.as_bytes()[place] == b'0' { "1" } else { "0" };
    format!("{}{digit}{}", &value[..place], &value[place + 1..])
}

/// Another of the last letters of a key's id.
fn other_letter(id: &str, letters: usize, chance: &SimEntropy) -> String {
    let place = id.len() - 1 - chance.below(letters);
    let letter = if id.as_bytes()[place] == b'A' { "B" } else { "A" };
    format!("{}{letter}{}", &id[..place], &id[place + 1..])
}

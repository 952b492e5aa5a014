//! One signed request, one change, and what a client of the running server reads then: the outcomes of the signature vectors.
//!
//! The requests are those of the vectors, signed anew with a key that the server knows. The wall clock of each vector is the
//! server's.

use std::{collections::BTreeMap, time::Duration};

use coffer_client::{Credentials, RawRequest};
use coffer_crypto::{hmac_sha256, sha256};
use coffer_model::iam;
use coffer_sigv4::{Head, Signer, signing_key};
use coffer_testkit::{Engine, TestServer};
use coffer_types::{Secret, Timestamp, encoding::HEXLOWER};
use coffer_wire::{Codec, read_error};
use serde_json::{Value, json};

use crate::{place, sessions};

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_a_signed_request_has_the_outcome_that_aws_gives_it() {
    let vectors = place::json(&place::tests("../crates/protocol/sigv4/tests/data/sigv4-vectors.json"));
    let server = TestServer::start(Engine::Memory, 1).await;
    server.world().clock.set(at("20260102T030405Z"));
    let there = server.client().with_region("us-east-1".parse().unwrap());
    let create = json!({"Name": "prod/db"}).to_string();
    let service = &coffer_model::secretsmanager::SERVICE;
    assert_eq!(there.call_raw(service, "CreateSecret", create.as_bytes()).await.unwrap().status, 200);

    let keys = Keys::of(&server).await;
    for outcome in vectors["outcomes"].as_array().unwrap() {
        let id = text(&outcome["id"]);
        let bases = vectors["additional"].as_array().unwrap();
        let base = bases.iter().find(|case| case["name"] == outcome["base"]).unwrap();
        let mut request = Request::of(base, keys.of_outcome(id));
        request.change(id);
        server.world().clock.set(at(text(&outcome["server_time"])));
        let answer = server.client().connections().send(request.raw()).await.unwrap();
        let is_query = outcome["json_protocol"].is_null();
        let (expected, codec) = match is_query {
            true => (&outcome["query_protocol"], Codec::Query { namespace: None }),
            false => (&outcome["json_protocol"], Codec::Json),
        };
        let came = match read_error(codec, None, answer.body.expose())
            .filter(|_| !reached(id, answer.body.expose()))
        {
            Some(error) => json!({"status": answer.status, "code": error.code, "message": error.message}),
            // The signature held: whatever the operation answers to this request is another matter.
            None => json!({"status": 200}),
        };
        assert_eq!(&came, expected, "{id}");
    }
    server.stop().await;
}

/// Whether an error is one of the operation, which only whoever passed the signature hears: this secret has no value.
fn reached(id: &str, body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    let told = body.contains("find the specified secret value for staging label");
    assert!(!told || ["ok", "unsigned-extra-header", "five-minutes-late"].contains(&id), "{id} got through");
    told
}

/// Keys in every state that a vector asks for.
struct Keys {
    usual: Credentials,
    inactive: Credentials,
    session: Credentials,
    /// Over before any of the vectors.
    expired: Credentials,
}

impl Keys {
    async fn of(server: &TestServer) -> Self {
        let client = server.client();
        let role = sessions::role(client, "app").await;
        let session = sessions::assume(client, &role, 3600).await;
        let now = server.now();
        server.world().clock.set(now.minus(Duration::from_secs(3600)));
        let expired = sessions::assume(client, &role, 3600).await;
        server.world().clock.set(now);
        let made = sessions::ask::<iam::CreateAccessKey>(client, &Default::default()).await;
        let inactive = Credentials {
            access_key_id: sessions::element(&made, "AccessKeyId"),
            secret_access_key: Secret::new(sessions::element(&made, "SecretAccessKey")).into(),
            session_token: None,
        };
        let update = iam::UpdateAccessKeyRequest {
            access_key_id: inactive.access_key_id.clone(),
            status: String::from("Inactive"),
            ..Default::default()
        };
        assert_eq!(sessions::ask::<iam::UpdateAccessKey>(client, &update).await.status, 200);
        Self { usual: client.credentials().clone(), inactive, session, expired }
    }

    fn of_outcome(&self, id: &str) -> &Credentials {
        match id {
            "inactive-access-key" => &self.inactive,
            "asia-without-token" | "tampered-token" => &self.session,
            "expired-token" => &self.expired,
            _ => &self.usual,
        }
    }
}

struct Request {
    method: &'static str,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    scope: BTreeMap<&'static str, String>,
    credentials: Credentials,
    signed_at: Timestamp,
}

impl Request {
    /// The request of a vector, with its signature replaced by one of our key.
    fn of(base: &Value, credentials: &Credentials) -> Self {
        let scope: Vec<&str> = text(&base["scope"]).split('/').collect();
        let presigned = base["auth"] == "query";
        let pairs = base["headers"].as_array().unwrap().iter().map(|pair| (text(&pair[0]), text(&pair[1])));
        let ours = ["authorization", "x-amz-date", "x-amz-security-token"];
        let mut request = Self {
            method: if base["method"] == "GET" { "GET" } else { "POST" },
            path: text(&base["path"]).to_owned(),
            query: text(&base["query"]).to_owned(),
            headers: pairs
                .filter(|(name, _)| !ours.contains(&name.to_lowercase().as_str()))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: text(&base["body"]).as_bytes().to_vec(),
            scope: BTreeMap::from([("region", scope[1].to_owned()), ("service", scope[2].to_owned())]),
            credentials: credentials.clone(),
            signed_at: at(text(&base["timestamp"])),
        };
        if presigned {
            request.presign();
        } else {
            request.sign();
        }
        request
    }

    fn signed<R>(&self, sign: impl FnOnce(&Signer<'_>, &Head<'_>) -> R) -> R {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let head = Head { method: self.method, path: &self.path, query: &self.query, headers: &headers };
        let signer = Signer {
            credentials: coffer_sigv4::Credentials {
                access_key_id: &self.credentials.access_key_id,
                secret_access_key: &self.credentials.secret_access_key,
                session_token: self.credentials.session_token.as_deref(),
            },
            region: &self.scope["region"],
            service: &self.scope["service"],
        };
        sign(&signer, &head)
    }

    fn sign(&mut self) {
        let hash = sha256(&self.body);
        let added = self.signed(|signer, head| signer.sign(head, &hash, self.signed_at)).unwrap();
        self.headers.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value.expose().clone())));
    }

    fn presign(&mut self) {
        // Everything but what signing adds, and the seconds that the vector gives.
        let own = |pair: &&str| !pair.starts_with("X-Amz-");
        let expires = self.query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Expires=")).unwrap();
        let expires = expires.parse().unwrap();
        self.query = self.query.split('&').filter(own).collect::<Vec<_>>().join("&");
        let hash = sha256(&self.body);
        self.query =
            self.signed(|signer, head| signer.presign(head, &hash, self.signed_at, expires)).unwrap().take();
    }

    /// Signs by hand what no client would sign: a chosen list of headers, and a chosen text for the hash of the body.
    fn sign_oddly(&mut self, signed_headers: &[&str], payload: &str) {
        let mut canonical = format!("{}\n{}\n{}\n", self.method, self.path, self.query);
        for name in signed_headers {
            canonical.push_str(&format!("{name}:{}\n", self.header(name)));
        }
        canonical.push_str(&format!("\n{}\n{payload}", signed_headers.join(";")));
        let (region, service) = (self.scope["region"].as_str(), self.scope["service"].as_str());
        let date = self.signed_at.to_date();
        let scope = format!("{date}/{region}/{service}/aws4_request");
        let hash = HEXLOWER.encode(&sha256(canonical.as_bytes()));
        let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hash}", self.signed_at.to_basic());
        let key = signing_key(&self.credentials.secret_access_key, &date, region, service);
        let signature = HEXLOWER.encode(&hmac_sha256(key.expose(), &[to_sign.as_bytes()]));
        let id = &self.credentials.access_key_id;
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={}, Signature={signature}",
            signed_headers.join(";")
        );
        self.set("authorization", &value);
    }

    /// What the words of `change` mean. A case that is not listed here fails instead of being skipped.
    fn change(&mut self, id: &str) {
        const EXACT: [&str; 4] = ["content-type", "host", "x-amz-date", "x-amz-target"];
        const WITH_HASH: [&str; 5] =
            ["content-type", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-target"];
        let key = self.credentials.access_key_id.clone();
        match id {
            "ok"
            | "five-minutes-late"
            | "inactive-access-key"
            | "expired-token"
            | "expired"
            | "not-yet-current"
            | "presigned-ok"
            | "presigned-expired" => {}
            "bad-signature" => {
                let value = self.header("authorization");
                let flipped = if value.ends_with('0') { "1" } else { "0" };
                self.set("authorization", &format!("{}{flipped}", &value[..value.len() - 1]));
            }
            "body-changed" => self.body.push(b' '),
            "signed-header-changed" => self.set("x-amz-target", "secretsmanager.DeleteSecret"),
            "host-changed" => self.set("host", "elsewhere.example"),
            "unsigned-extra-header" => self.add("X-Forwarded-For", "10.0.0.1"),
            "unknown-access-key" => {
                let last = if key.ends_with('A') { "B" } else { "A" };
                self.replace(&key, &format!("{}{last}", &key[..key.len() - 1]));
            }
            "asia-without-token" => self.remove("x-amz-security-token"),
            "tampered-token" => {
                let token = self.header("x-amz-security-token");
                let first = if token.starts_with('A') { "B" } else { "A" };
                self.set("x-amz-security-token", &format!("{first}{}", &token[1..]));
            }
            "token-with-long-lived-key" => self.add("X-Amz-Security-Token", "of-another-key"),
            // The name of the operation decides which service is asked.
            "wrong-service-scope" => {
                self.set("x-amz-target", "secretsmanager.GetSecretValue");
            }
            // Every region of the right form is served, so only another form is wrong.
            "wrong-region-scope" => self.replace("/us-east-1/", "/us-east/"),
            "wrong-terminator" => self.replace("aws4_request", "aws5_request"),
            "scope-date-mismatch" => self.replace("/20260102/", "/20260101/"),
            "no-authorization" => self.remove("authorization"),
            "authorization-garbage" => self.set("authorization", "Bearer abc"),
            "no-date" => self.remove("x-amz-date"),
            "bad-pair" => self.set(
                "authorization",
                "AWS4-HMAC-SHA256 Credential= AK/20260102/us-east-1/secretsmanager/aws4_request, ...",
            ),
            "short-scope" => {
                let credential = format!("{key}/20260102/us-east-1/secretsmanager/aws4_request");
                self.replace(&credential, "AK/20260102/us-east-1");
            }
            "host-not-signed" => self.replace(";host", ""),
            "target-not-signed" => self.sign_oddly(&EXACT[..3], &HEXLOWER.encode(&sha256(&self.body))),
            "presigned-too-long" => self.query = self.query.replace("Expires=60", "Expires=604801"),
            "both-header-and-query" => self.add("Authorization", "AWS4-HMAC-SHA256 Credential=x"),
            "duplicate-authorization" => {
                let first = self.header("authorization");
                self.add("Authorization", &first);
            }
            "unsigned-payload" => {
                self.add("x-amz-content-sha256", UNSIGNED);
                self.sign_oddly(&WITH_HASH, UNSIGNED);
            }
            "content-sha256-mismatch" => {
                self.add("x-amz-content-sha256", &HEXLOWER.encode(&sha256(b"another body")));
                self.sign_oddly(&WITH_HASH, &HEXLOWER.encode(&sha256(&self.body)));
            }
            other => panic!("no such change: {other}"),
        }
    }

    fn header(&self, name: &str) -> String {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).unwrap().1.clone()
    }

    fn add(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn remove(&mut self, name: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.add(name, value);
    }

    /// Inside the Authorization header, where it must be.
    fn replace(&mut self, from: &str, to: &str) {
        let old = self.header("authorization");
        assert!(old.contains(from), "{from} is not in {old}");
        self.set("authorization", &old.replacen(from, to, 1));
    }

    fn raw(self) -> RawRequest {
        let target = if self.query.is_empty() { self.path } else { format!("{}?{}", self.path, self.query) };
        let headers = self.headers.into_iter().map(|(name, value)| (name, Secret::new(value.into_bytes())));
        RawRequest { method: self.method, target, headers: headers.collect(), body: Secret::new(self.body) }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn at(basic: &str) -> Timestamp {
    Timestamp::parse_basic(basic).unwrap()
}

//! A node in memory behind a real socket, and requests that it understands.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use coffer_core::{Core, World};
use coffer_server::{
    Mode, Node, Settings,
    config::{Limits, Window},
    open, serve, world,
};
use coffer_sigv4::{Credentials, Head, Signer};
use coffer_types::{AccountId, Clock, Secret, Timestamp};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::browser_of_bytes::{Answer, Connection, send};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const NOW: &str = "2026-01-02T03:04:05Z";
pub(crate) const JSON: &str = "application/x-amz-json-1.1";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
pub(crate) const WHO_AM_I: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// A wall clock that tests move, beside a monotonic one that runs.
#[derive(Debug)]
pub(crate) struct Hands {
    wall_ms: AtomicI64,
    running: tokio::time::Instant,
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall_ms.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.running.elapsed()
    }
}

pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) node: Arc<Node>,
    pub(crate) key_id: String,
    pub(crate) secret: Secret<String>,
    hands: Arc<Hands>,
    leave: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
}

/// What a test wants to be different.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) dev: bool,
    pub(crate) limits: Limits,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) core: Option<fn(&World) -> Core>,
    pub(crate) sealed: bool,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(Plan::default()).await
    }

    pub(crate) async fn dev() -> Self {
        Self::with(Plan { dev: true, ..Plan::default() }).await
    }

    pub(crate) async fn with(plan: Plan) -> Self {
        let wall_ms = AtomicI64::new(Timestamp::parse_iso(NOW).unwrap().millis());
        let hands = Arc::new(Hands { wall_ms, running: tokio::time::Instant::now() });
        let world = World { clock: Arc::clone(&hands) as Arc<dyn Clock>, ..world::ephemeral() };
        let account: AccountId = if plan.dev { AccountId::DEV } else { ACCOUNT.parse().unwrap() };
        let settings = Settings {
            account,
            region: "us-east-1".parse().unwrap(),
            limits: plan.limits,
            signature: Window(Duration::from_secs(300)),
            oidc: std::collections::BTreeMap::new(),
        };
        let core = plan.core.map_or_else(|| open::dev_core(&world).unwrap(), |make| make(&world));
        let caller = open::local_caller(&world, account, coffer_types::Region::global());
        let made = core.run_local(&caller, |cx| coffer_iam::create_administrator(cx, "ann")).await.unwrap();
        let mode = if plan.dev { Mode::Dev } else { Mode::Production };
        let node = Arc::new(Node::new(mode, world, settings, None));
        if plan.sealed {
            node.wait_sealed();
        } else {
            node.open(core);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (leave, left) = oneshot::channel::<()>();
        let server = serve(Arc::clone(&node), listener, plan.tls, async {
            let _ = left.await;
        });
        let serving = tokio::spawn(server);
        let (key_id, secret) = (made.access_key_id, made.secret_access_key);
        Self { address, node, key_id, secret, hands, leave: Some(leave), serving }
    }

    pub(crate) fn set_clock(&self, basic: &str) {
        let at = Timestamp::parse_basic(basic).unwrap();
        self.hands.wall_ms.store(at.millis(), Ordering::Relaxed);
    }

    /// Tells the listener to stop, and hands over the promise that it has.
    pub(crate) fn leave(mut self) -> JoinHandle<std::io::Result<()>> {
        drop(self.leave.take());
        self.serving
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.hands.now()
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// A signed request to Secrets Manager.
    pub(crate) fn json(&self, operation: &str, body: &str) -> Request {
        let target = format!("secretsmanager.{operation}");
        let headers = [("content-type", JSON), ("x-amz-target", &target)];
        self.signed("secretsmanager", "/", &headers, body.as_bytes())
    }

    /// A signed form to STS.
    pub(crate) fn form(&self, body: &str) -> Request {
        self.signed("sts", "/", &[("content-type", FORM)], body.as_bytes())
    }

    pub(crate) fn signed(
        &self,
        service: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Request {
        Request {
            method: "POST".into(),
            target: target.into(),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            body: body.to_vec(),
            key_id: self.key_id.clone(),
            secret: self.secret.expose().clone(),
            token: None,
            host: self.host(),
            region: "us-east-1".into(),
            service: service.into(),
            at: self.now(),
        }
    }

    /// Sends as it is and demands an answer.
    pub(crate) async fn ask(&self, request: &Request) -> Answer {
        self.say(&request.bytes()).await
    }

    pub(crate) async fn say(&self, bytes: &[u8]) -> Answer {
        send(self.address, bytes).await.expect("an answer")
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }
}

/// Everything that goes into a signed request, to be changed before or after it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) host: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) at: Timestamp,
}

impl Request {
    /// All headers, signed. No length yet.
    pub(crate) fn signed_headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![("host".to_owned(), self.host.clone())];
        headers.extend(self.headers.iter().cloned());
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let borrowed: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let head = Head { method: &self.method, path, query, headers: &borrowed };
        let secret = Secret::new(self.secret.clone());
        let token = self.token.clone().map(Secret::new);
        let credentials = Credentials {
            access_key_id: &self.key_id,
            secret_access_key: &secret,
            session_token: token.as_ref(),
        };
        let signer = Signer { credentials, region: &self.region, service: &self.service };
        let added = signer.sign(&head, &coffer_crypto::sha256(&self.body), self.at).unwrap();
        headers.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value.expose().clone())));
        headers
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_with(&self.signed_headers(), &self.body)
    }

    /// The bytes with these headers and this body, whatever was signed.
    pub(crate) fn bytes_with(&self, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
        let length = ("content-length".to_owned(), body.len().to_string());
        let mut bytes = self.head_with(headers.iter().chain([&length]));
        bytes.extend_from_slice(body);
        bytes
    }

    pub(crate) fn head_with<'h>(&self, headers: impl IntoIterator<Item = &'h (String, String)>) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The same request as a URL: everything that proves it is in the query.
    pub(crate) fn presigned(&self, expires_seconds: u64) -> Self {
        let mut presigned = self.clone();
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let headers = [("host", self.host.as_bytes())];
        let head = Head { method: &self.method, path, query, headers: &headers };
        let secret = Secret::new(self.secret.clone());
        let credentials =
            Credentials { access_key_id: &self.key_id, secret_access_key: &secret, session_token: None };
        let signer = Signer { credentials, region: &self.region, service: &self.service };
        let query =
            signer.presign(&head, &coffer_crypto::sha256(&self.body), self.at, expires_seconds).unwrap();
        presigned.target = format!("{path}?{}", query.expose());
        presigned
    }

    /// The bytes of a request whose proof is in its target.
    pub(crate) fn plain_bytes(&self) -> Vec<u8> {
        let mut headers = vec![("host".to_owned(), self.host.clone())];
        headers.extend(self.headers.iter().cloned());
        self.bytes_with(&headers, &self.body)
    }
}

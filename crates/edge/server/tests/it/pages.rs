//! What a node says about itself, and what it says when it cannot serve.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use coffer_barrier::Barrier;
use coffer_core::{AppendFile, AuditLog, Core, Db, Files, Registry, World};
use coffer_model::sts;
use coffer_server::{Trouble, open};
use coffer_store::MemoryEngine;

use crate::house::{House, Plan, WHO_AM_I};

async fn page(house: &House, path: &str) -> (u16, String) {
    let answer = house.say(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_node_is_alive_and_ready_without_a_signature() {
    let house = House::open().await;
    assert_eq!(page(&house, "/health/live").await, (200, "{\"status\":\"live\"}".into()));
    assert_eq!(page(&house, "/health/ready").await, (200, "{\"status\":\"ready\"}".into()));
    house.node.set(Trouble::Draining, true);
    let (status, body) = page(&house, "/health/ready").await;
    assert_eq!((status, body.as_str()), (503, "{\"status\":\"unavailable\",\"reasons\":[\"draining\"]}"));
    assert_eq!(
        house.say(b"POST /health/live HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.status,
        405
    );
}

#[tokio::test]
async fn a_sealed_node_is_alive_and_answers_in_the_protocol() {
    let house = House::with(Plan { sealed: true, ..Plan::default() }).await;
    assert_eq!(page(&house, "/health/live").await.0, 200);
    assert_eq!(
        page(&house, "/health/ready").await,
        (503, "{\"status\":\"unavailable\",\"reasons\":[\"sealed\"]}".into())
    );
    for request in [house.json("ListSecrets", "{}"), house.form(WHO_AM_I)] {
        let answer = house.ask(&request).await;
        assert_eq!((answer.status, answer.code()), (503, "ServiceUnavailable"), "{}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}

#[tokio::test]
async fn requests_are_counted_by_operation_and_result() {
    let house = House::open().await;
    house.ask(&house.form(WHO_AM_I)).await;
    house.ask(&house.json("DescribeSecret", r#"{"SecretId":"a-name-nobody-may-see"}"#)).await;
    let (status, body) = page(&house, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "coffer_requests_total{service=\"sts\",operation=\"GetCallerIdentity\",result=\"ok\"} 1",
        "coffer_requests_total{service=\"secretsmanager\",operation=\"DescribeSecret\",result=\"refused\"} 1",
        "coffer_request_duration_seconds_count{service=\"sts\",operation=\"GetCallerIdentity\"} 1",
    ] {
        assert!(body.contains(line), "{line} is not in\n{body}");
    }
    for hidden in ["a-name-nobody-may-see", house.key_id.as_str(), crate::house::ACCOUNT] {
        assert!(!body.contains(hidden), "{hidden}");
    }
}

/// A core whose one operation cannot be trusted.
fn hostile(world: &World) -> Core {
    let barrier = Arc::new(Barrier::ephemeral(Arc::clone(&world.entropy)));
    let audit = AuditLog::open(world, Arc::clone(&barrier)).unwrap();
    let db = Db::new(Arc::new(MemoryEngine::new()), barrier, Arc::clone(&world.entropy)).unwrap();
    let mut registry = Registry::default();
    registry.serve::<sts::GetCallerIdentity>(|_, _| panic!("with a payload that must not be told"));
    Core::new(registry, db, audit, world.clone())
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_node_lives_on() {
    let house = House::with(Plan { core: Some(hostile), ..Plan::default() }).await;
    let mut connection = house.connect().await;
    for _ in 0..2 {
        connection.send(&house.form(WHO_AM_I).bytes()).await;
        let answer = connection.answer().await.unwrap();
        assert_eq!((answer.status, answer.code()), (500, "InternalFailure"), "{}", answer.body);
        assert!(!answer.body.contains("payload"));
    }
    assert!(page(&house, "/metrics").await.1.contains("coffer_panics_total 2"));
}

/// Whether the disk of [`Brim`] takes nothing more.
static FULL: AtomicBool = AtomicBool::new(false);

/// A disk for the audit log that can be full.
struct Brim;

impl Brim {
    fn ask() -> io::Result<()> {
        if FULL.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Files for Brim {
    fn create(&self, _: &str) -> io::Result<Arc<dyn AppendFile>> {
        Self::ask()?;
        Ok(Arc::new(Self))
    }
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn read_part(&self, _: &str, _: u64, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn length(&self, _: &str) -> io::Result<u64> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

impl AppendFile for Brim {
    fn append(&self, _: &[u8]) -> io::Result<()> {
        Self::ask()
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn on_the_brim(world: &World) -> Core {
    open::dev_core(&World { audit_files: Arc::new(Brim), ..world.clone() }).unwrap()
}

#[tokio::test]
async fn a_node_that_cannot_write_its_audit_log_is_not_ready_until_it_can() {
    let house = House::with(Plan { core: Some(on_the_brim), ..Plan::default() }).await;
    assert_eq!(house.ask(&house.form(WHO_AM_I)).await.status, 200);
    FULL.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let answer = house.ask(&house.form(WHO_AM_I)).await;
        assert_eq!((answer.status, answer.code()), (503, "ServiceUnavailable"), "{}", answer.body);
    }
    let told = "{\"status\":\"unavailable\",\"reasons\":[\"audit\"]}";
    assert_eq!(page(&house, "/health/ready").await, (503, told.into()));
    assert!(page(&house, "/metrics").await.1.contains("coffer_audit_append_failures_total 3"));
    FULL.store(false, Ordering::SeqCst);
    // What the server does all the time. Nobody has to ask for anything.
    tokio::time::sleep(Duration::from_millis(150)).await;
    house.node.core().unwrap().audit().sync().unwrap();
    assert_eq!(page(&house, "/health/ready").await.0, 200);
    assert_eq!(house.ask(&house.form(WHO_AM_I)).await.status, 200);
}

//! The typed client, against the real server and against servers that misbehave.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use coffer_client::{Client, ClientError, Connections, Endpoint, RawRequest};
use coffer_model::{secretsmanager as model, sts};
use coffer_server::{config::TlsConfig, tls, world::SystemClock};
use coffer_shape::Operation;
use coffer_testkit::{Engine, TestServer};
use coffer_types::{Clock, Secret};

use crate::stage::token;

fn create(name: &str, value: &str) -> model::CreateSecretRequest {
    model::CreateSecretRequest {
        name: name.to_owned(),
        client_request_token: Some(token(1)),
        secret_string: Some(Secret::new(value.to_owned())),
        ..model::CreateSecretRequest::default()
    }
}

fn get(name: &str) -> model::GetSecretValueRequest {
    model::GetSecretValueRequest { secret_id: name.to_owned(), ..model::GetSecretValueRequest::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shapes_go_out_and_come_back() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let client = server.client();
    let made = client.call::<model::CreateSecret>(&create("a", "päss\"word")).await.unwrap();
    assert_eq!(made.version_id, Some(token(1)));
    let read = client.call::<model::GetSecretValue>(&get("a")).await.unwrap();
    assert_eq!(read.arn, made.arn);
    assert_eq!(read.secret_string.unwrap().expose(), "päss\"word");
    assert_eq!(read.created_date, Some(server.now()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_has_its_code_its_sentence_and_its_status() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let error = server.client().call::<model::GetSecretValue>(&get("nobody")).await.unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    assert_eq!(error.message(), Some("Secrets Manager can't find the specified secret."));
    assert_eq!(error.status(), Some(400));
    let error = server.stranger().call::<model::GetSecretValue>(&get("nobody")).await.unwrap_err();
    assert_eq!(error.code(), Some("UnrecognizedClientException"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_answer_in_xml_are_called_too() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let who = sts::GetCallerIdentity::SPEC;
    let answer = server.client().call_shape(who, &sts::GetCallerIdentityRequest {}).await.unwrap();
    let body = String::from_utf8(answer.body.take()).unwrap();
    assert_eq!(answer.status, 200);
    assert!(body.contains("<Arn>arn:aws:iam::111122223333:user/administrator</Arn>"), "{body}");
    assert!(body.contains("<Account>111122223333</Account>"), "{body}");
    let answer = server.stranger().call_shape(who, &sts::GetCallerIdentityRequest {}).await.unwrap();
    assert_eq!(answer.status, 403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_endpoint_is_trusted_by_its_authority_alone() {
    let server = TestServer::start(Engine::Memory, 1).await;
    // Certificates are checked against the clock of this machine.
    server.world().clock.set(SystemClock::start().now());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let authority = |name: &str| {
        let directory = tempfile::tempdir().unwrap();
        let config = TlsConfig::Automatic {
            directory: directory.path().join(name),
            names: vec![String::from("localhost")],
        };
        let acceptor = tls::acceptor(&config, &server.world().world()).unwrap();
        let pem = std::fs::read_to_string(tls::authority(&directory.path().join(name))).unwrap();
        (acceptor, pem)
    };
    let (acceptor, ours) = authority("ours");
    let (_, of_somebody_else) = authority("others");
    let node = Arc::clone(server.node());
    let serving = tokio::spawn(coffer_server::serve(node, listener, Some(acceptor), std::future::pending()));

    let client = |pem: &str| {
        let endpoint = Endpoint::new(&url, Some(pem)).unwrap();
        let clock = Arc::clone(&server.world().clock) as Arc<dyn Clock>;
        Client::new(endpoint, server.client().credentials().clone(), server.client().region().clone(), clock)
    };
    client(&ours).call::<model::CreateSecret>(&create("a", "one")).await.unwrap();
    let error = client(&of_somebody_else).call::<model::CreateSecret>(&create("a", "one")).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
    serving.abort();
    server.stop().await;
}

/// A server that does to its connections, one after the other, what the test says; answers with how many there were.
fn misbehaving(acts: Vec<fn(&mut TcpStream)>) -> (Connections, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::new(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
    let serving = std::thread::spawn(move || {
        for act in acts {
            let (mut stream, _) = listener.accept().unwrap();
            act(&mut stream);
        }
    });
    (Connections::new(endpoint), serving)
}

fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

fn answer(stream: &mut TcpStream) {
    read_head(stream);
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
}

fn request() -> RawRequest {
    RawRequest { method: "GET", target: String::from("/"), headers: Vec::new(), body: Secret::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_one_after_the_other_take_one_connection() {
    // Nobody accepts a second one, so a client that opened it would wait in vain.
    let (connections, serving) = misbehaving(vec![|stream| (0..50).for_each(|_| answer(stream))]);
    for _ in 0..50 {
        connections.send(request()).await.unwrap();
    }
    serving.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_kept_and_replaced_when_they_were_closed_meanwhile() {
    let two_then_close: fn(&mut TcpStream) = |stream| {
        answer(stream);
        answer(stream);
    };
    let (connections, serving) = misbehaving(vec![two_then_close, answer]);
    for _ in 0..3 {
        let came = connections.send(request()).await.unwrap();
        assert_eq!((came.status, came.body.expose().as_slice()), (200, &b"ok"[..]));
        // Long enough to hear of a close; a request that crosses with it is another test.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Two connections served three requests, or the thread would still wait.
    serving.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    let (connections, serving) = misbehaving(vec![|stream| read_head(stream), answer]);
    let error = connections.send(request()).await.unwrap_err();
    assert!(matches!(error, ClientError::Lost(_)), "{error}");
    connections.send(request()).await.unwrap();
    serving.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_answer_is_none_and_no_server_is_said_to_be_none() {
    let half: fn(&mut TcpStream) = |stream| {
        read_head(stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok").unwrap();
    };
    let (connections, serving) = misbehaving(vec![half]);
    let error = connections.send(request()).await.unwrap_err();
    assert!(matches!(error, ClientError::Lost(_)), "{error}");
    serving.join().unwrap();
    let error = connections.send(request()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
}

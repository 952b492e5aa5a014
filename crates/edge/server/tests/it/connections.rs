//! What connections may cost, and how they end.

use std::time::Duration;

use coffer_server::config::Limits;
use tokio::time::{Instant, sleep};

use crate::{
    browser_of_bytes::Connection,
    house::{FORM, House, Plan, WHO_AM_I},
};

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";

const RESERVE_OF_ADDRESS: usize = 10;

async fn limited(limits: Limits) -> House {
    House::with(Plan { limits, ..Plan::default() }).await
}

const WHO: &[u8] = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";

/// Whether there is room for more than to say how the house is.
async fn has_a_seat(connection: &mut Connection) -> bool {
    connection.send(WHO).await;
    connection.answer().await.is_some_and(|answer| answer.status != 503)
}

async fn lives(connection: &mut Connection) -> bool {
    connection.send(LIVE).await;
    connection.answer().await.is_some_and(|answer| answer.status == 200)
}

#[tokio::test]
async fn one_address_has_so_many_seats_and_gets_them_back() {
    let house = limited(Limits { connections_per_address_max: 2, ..Limits::default() }).await;
    let mut one = house.connect().await;
    let mut two = house.connect().await;
    assert!(lives(&mut one).await && lives(&mut two).await);
    assert!(!has_a_seat(&mut house.connect().await).await, "there is none for the third");
    drop(two);
    let mut again = false;
    for _ in 0..50 {
        sleep(Duration::from_millis(20)).await;
        again = has_a_seat(&mut house.connect().await).await;
        if again {
            break;
        }
    }
    assert!(again);
}

#[tokio::test]
async fn all_addresses_together_have_so_many_seats() {
    let house = limited(Limits { connections_max: 1, ..Limits::default() }).await;
    let mut one = house.connect().await;
    assert!(has_a_seat(&mut one).await);
    assert!(!has_a_seat(&mut house.connect().await).await);
}

#[tokio::test]
async fn a_full_house_says_how_it_is_to_some_and_closes_on_the_rest() {
    let house = limited(Limits { connections_max: 1, ..Limits::default() }).await;
    let mut one = house.connect().await;
    assert!(has_a_seat(&mut one).await);
    for (page, status) in [("/health/live", 200), ("/health/ready", 200), ("/metrics", 200), ("/", 503)] {
        let mut watcher = house.connect().await;
        watcher.send(format!("GET {page} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await;
        let answer = watcher.answer().await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{page}");
        assert!(watcher.rest().await.is_empty());
    }
    // An address has a part of the reserve, and nobody stays in it by saying nothing.
    let begun = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..RESERVE_OF_ADDRESS {
        silent.push(house.connect().await);
    }
    assert!(house.connect().await.rest().await.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(4), "closed at once");
    for mut connection in silent {
        assert!(connection.rest().await.is_empty());
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let mut watcher = house.connect().await;
    watcher.send(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let body = watcher.answer().await.unwrap().body;
    assert!(body.contains("coffer_connections_refused_total{reason=\"total\"}"), "{body}");
}

#[tokio::test]
async fn a_head_that_does_not_end_ends_the_connection() {
    let house = limited(Limits { head_timeout: Duration::from_millis(300), ..Limits::default() }).await;
    for first in [b"".as_slice(), b"POST / HTTP/1.1\r\nhost: x\r\n"] {
        let begun = Instant::now();
        let mut connection = house.connect().await;
        connection.send(first).await;
        assert!(connection.answer().await.is_none());
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    // A byte now and then does not help.
    let mut connection = house.connect().await;
    let begun = Instant::now();
    for byte in b"POST / HTTP/1.1\r\nx: ".iter().cycle().take(200) {
        connection.send(&[*byte]).await;
        sleep(Duration::from_millis(20)).await;
        if begun.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    assert!(connection.answer().await.is_none_or(|answer| answer.status == 400));
}

#[tokio::test]
async fn a_connection_may_rest_between_requests_but_not_for_ever() {
    let house = limited(Limits {
        head_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(900),
        ..Limits::default()
    })
    .await;
    let mut connection = house.connect().await;
    assert!(lives(&mut connection).await);
    sleep(Duration::from_millis(500)).await;
    assert!(lives(&mut connection).await, "longer than a head may take, shorter than a rest may");
    let begun = Instant::now();
    assert!(connection.rest().await.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let house = limited(Limits { request_timeout: Duration::from_millis(400), ..Limits::default() }).await;
    let request = house.form(WHO_AM_I);
    let mut headers = request.signed_headers();
    headers.push(("content-length".into(), WHO_AM_I.len().to_string()));
    let mut connection = house.connect().await;
    connection.send(&request.head_with(&headers)).await;
    connection.send(b"Action").await;
    let answer = connection.answer().await.unwrap();
    assert_eq!((answer.status, answer.code()), (408, "RequestTimeoutException"));
    assert!(connection.rest().await.is_empty(), "what might still come is not a request");
}

#[tokio::test]
async fn a_refused_request_leaves_its_connection_usable() {
    let house = House::open().await;
    for authorization in [
        // Not well formed, and a key that nobody knows: both are refused from the head alone.
        String::from("AWS4-HMAC-SHA256 Credential=x"),
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIAUNKNOWN/20260102/us-east-1/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature={}",
            "0".repeat(64)
        ),
    ] {
        let mut connection = house.connect().await;
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\nx-amz-date: 20260102T030405Z\r\ncontent-type: {FORM}\r\ncontent-length: {}\r\nauthorization: {authorization}\r\n\r\n",
            house.host(),
            WHO_AM_I.len()
        );
        connection.send(head.as_bytes()).await;
        // The body comes later, as it does from a client that writes head and body apart.
        sleep(Duration::from_millis(50)).await;
        connection.send(WHO_AM_I.as_bytes()).await;
        let answer = connection.answer().await.unwrap();
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(lives(&mut connection).await, "{authorization}");
    }
}

#[tokio::test]
async fn what_the_head_refuses_is_refused_without_its_body() {
    let house = House::open().await;
    let unknown = (400, "UnknownOperationException");
    let hour = Duration::from_secs(3600);
    for (service, length, expect, age, expected) in [
        // More than anybody would read for the sake of a connection.
        ("dynamodb", 200 * 1024, None, Duration::ZERO, unknown),
        // These clients ask first, and are told before they have sent anything.
        ("dynamodb", 100, Some("100-continue"), Duration::ZERO, unknown),
        ("secretsmanager", 100, Some("100-continue"), hour, (400, "InvalidSignatureException")),
    ] {
        let mut request =
            house.signed(service, "/", &[("x-amz-target", "DynamoDB_20120810.ListTables")], b"");
        request.at = request.at.minus(age);
        let mut headers = request.signed_headers();
        headers.push(("content-length".into(), length.to_string()));
        headers.extend(expect.map(|value| ("expect".into(), value.into())));
        let mut connection = house.connect().await;
        let begun = Instant::now();
        connection.send(&request.head_with(&headers)).await;
        let answer = connection.answer().await.unwrap();
        assert_eq!((answer.status, answer.code()), expected, "{service} {length}: {}", answer.body);
        assert!(begun.elapsed() < Duration::from_secs(1), "{service} {length}");
    }
    // A small body is waited for, and the connection lives.
    let request = house.signed("dynamodb", "/", &[("x-amz-target", "DynamoDB_20120810.ListTables")], b"{}");
    let mut connection = house.connect().await;
    connection.send(&request.bytes()).await;
    assert_eq!(connection.answer().await.unwrap().code(), "UnknownOperationException");
    assert!(lives(&mut connection).await);
}

#[tokio::test]
async fn stopping_finishes_what_has_begun_and_nothing_else() {
    let house = House::open().await;
    let address = house.address;
    let request = house.form(WHO_AM_I);
    let mut headers = request.signed_headers();
    headers.push(("content-length".into(), WHO_AM_I.len().to_string()));
    let mut busy = house.connect().await;
    busy.send(&request.head_with(&headers)).await;
    let mut idle = house.connect().await;
    assert!(lives(&mut idle).await);

    let serving = house.leave();
    assert!(idle.rest().await.is_empty(), "an idle connection is closed");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody new is let in");
    busy.send(WHO_AM_I.as_bytes()).await;
    let answer = busy.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(serving.await.unwrap().is_ok());
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let house = limited(Limits { drain_timeout: Duration::from_millis(300), ..Limits::default() }).await;
    let request = house.form(WHO_AM_I);
    let mut headers = request.signed_headers();
    headers.push(("content-length".into(), "100".into()));
    let mut busy = house.connect().await;
    busy.send(&request.head_with(&headers)).await;
    sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    house.leave().await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(busy.rest().await.is_empty());
}

//! Who am I: the smallest request that goes all the way.

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::house::{ACCOUNT, House, WHO_AM_I};

const ANN: &str = "<Arn>arn:aws:iam::111122223333:user/ann</Arn>";

#[tokio::test]
async fn a_signed_form_is_answered_with_the_caller() {
    let house = House::open().await;
    let answer = house.ask(&house.form(WHO_AM_I)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains(ANN) && answer.body.contains(ACCOUNT), "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("text/xml"));
    assert!(answer.header("date").is_some_and(|date| date.ends_with("GMT")));
    let id = answer.header("x-amzn-requestid").unwrap();
    assert!(answer.body.contains(id));
}

#[tokio::test]
async fn a_presigned_get_is_answered_with_the_caller() {
    let house = House::open().await;
    let mut request = house.form("");
    request.method = "GET".into();
    request.target = format!("/?{WHO_AM_I}");
    request.headers.clear();
    let answer = house.say(&request.presigned(60).plain_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains(ANN));
}

#[tokio::test]
async fn a_json_service_answers_on_the_same_socket_and_connection() {
    let house = House::open().await;
    let mut connection = house.connect().await;
    for _ in 0..3 {
        connection.send(&house.json("ListSecrets", "{}").bytes()).await;
        let answer = connection.answer().await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "{\"SecretList\":[]}"));
        assert_eq!(answer.header("content-type"), Some("application/x-amz-json-1.1"));
        connection.send(&house.form(WHO_AM_I).bytes()).await;
        assert!(connection.answer().await.unwrap().body.contains(ANN));
    }
}

#[tokio::test]
async fn a_secret_goes_in_and_comes_out() {
    let house = House::open().await;
    let token = "00000000-0000-4000-8000-000000000001";
    let create = format!(r#"{{"Name":"db","SecretString":"hunter2","ClientRequestToken":"{token}"}}"#);
    let answer = house.ask(&house.json("CreateSecret", &create)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = house.ask(&house.json("GetSecretValue", r#"{"SecretId":"db"}"#)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("\"SecretString\":\"hunter2\""), "{}", answer.body);
}

#[tokio::test]
async fn the_body_may_wait_for_a_continue_or_come_in_chunks() {
    let house = House::open().await;
    let request = house.form(WHO_AM_I);
    let mut headers = request.signed_headers();
    headers.push(("content-length".into(), WHO_AM_I.len().to_string()));
    headers.push(("expect".into(), "100-continue".into()));
    let mut connection = house.connect().await;
    connection.send(&request.head_with(&headers)).await;
    assert_eq!(connection.answer().await.unwrap().status, 100);
    connection.send(WHO_AM_I.as_bytes()).await;
    assert_eq!(connection.answer().await.unwrap().status, 200);

    let mut headers = request.signed_headers();
    headers.push(("transfer-encoding".into(), "chunked".into()));
    connection.send(&request.head_with(&headers)).await;
    for piece in [&WHO_AM_I[..7], &WHO_AM_I[7..]] {
        connection.send(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await;
    }
    connection.send(b"0\r\n\r\n").await;
    assert_eq!(connection.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn http2_signs_its_authority_as_the_host() {
    let house = House::open().await;
    let stream = TcpStream::connect(house.address).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let signed = house.form(WHO_AM_I);
    let mut request = Request::post(format!("http://{}/", house.host()));
    for (name, value) in signed.signed_headers().iter().filter(|(name, _)| name != "host") {
        request = request.header(name.to_ascii_lowercase(), value);
    }
    let request = request.body(Full::new(Bytes::from_static(WHO_AM_I.as_bytes()))).unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8(body.to_vec()).unwrap().contains(ANN));
}

#[tokio::test]
async fn a_dev_node_believes_anybody_but_nobody() {
    let house = House::dev().await;
    for (key_id, account) in [("test", "000000000000"), ("444455556666", "444455556666")] {
        let mut request = house.form(WHO_AM_I);
        request.key_id = key_id.into();
        request.secret = "anything".into();
        let answer = house.ask(&request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.contains(&format!("<Arn>arn:aws:iam::{account}:root</Arn>")), "{}", answer.body);
    }
    let request = house.form(WHO_AM_I);
    let unsigned = request.bytes_with(&[("host".into(), house.host())], WHO_AM_I.as_bytes());
    let answer = house.say(&unsigned).await;
    // Without a content type and a signature nothing says that this is a form.
    assert_eq!((answer.status, answer.code()), (400, "MissingAuthenticationTokenException"));
}

#[tokio::test]
async fn a_dev_node_does_not_serve_pages_of_the_web() {
    let house = House::dev().await;
    let mut request = house.json("ListSecrets", "{}");
    request.headers.push(("origin".into(), "http://localhost:4566".into()));
    let answer = house.ask(&request).await;
    assert_eq!((answer.status, answer.code()), (403, "AccessDeniedException"));
}

#[tokio::test]
async fn a_dev_node_forgets_everything_when_asked() {
    let house = House::dev().await;
    let create =
        r#"{"Name":"db","SecretString":"x","ClientRequestToken":"00000000-0000-4000-8000-000000000001"}"#;
    assert_eq!(house.ask(&house.json("CreateSecret", create)).await.status, 200);
    let from_a_page = b"POST /_coffer/reset HTTP/1.1\r\nhost: x\r\norigin: https://evil.example\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(house.say(from_a_page).await.status, 403);
    assert!(house.ask(&house.json("ListSecrets", "{}")).await.body.contains("db"));

    let reset = b"POST /_coffer/reset HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(house.say(reset).await.status, 200);
    assert_eq!(house.ask(&house.json("ListSecrets", "{}")).await.body, "{\"SecretList\":[]}");
    assert_eq!(House::open().await.say(reset).await.status, 400, "a real store has no such request");
}

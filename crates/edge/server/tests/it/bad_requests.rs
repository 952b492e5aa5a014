//! What nobody should send: every one is answered with a 4xx in the protocol of the caller or ends the connection, and
//! changes nothing.

use crate::house::{FORM, House, JSON, Request, WHO_AM_I};

fn create(name_and_more: &str) -> String {
    format!(r#"{{"ClientRequestToken":"00000000-0000-4000-8000-000000000001",{name_and_more}}}"#)
}

#[tokio::test]
async fn bodies_that_are_signed_and_yet_no_input() {
    let house = House::open().await;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    let wide = create(&format!(r#""Name":"x","Tags":[{}]"#, vec!["null"; 20_000].join(",")));
    let long_name = create(&format!(r#""Name":"{}""#, "n".repeat(513)));
    let long_value = create(&format!(r#""Name":"x","SecretString":"{}""#, "v".repeat(65_537)));
    let serialization = (400, "SerializationException");
    let validation = (400, "ValidationException");
    for (name, body, expected) in [
        ("half an object", r#"{"Name": "#.as_bytes(), serialization),
        ("no object", b"[1]", serialization),
        ("a string", b"\"x\"", serialization),
        ("not UTF-8", b"{\"Name\":\"\xff\xfe\"}", serialization),
        ("half a surrogate pair", br#"{"Name":"\ud800"}"#, serialization),
        ("a zero byte", b"{\"Name\":\"a\0b\"}", serialization),
        ("two of one name", br#"{"Name":"a","Name":"b"}"#, serialization),
        ("two hundred levels", deep.as_bytes(), serialization),
        ("twenty thousand values", wide.as_bytes(), serialization),
        ("a number for a string", br#"{"Name":7}"#, serialization),
        ("an object for a string", br#"{"Name":{}}"#, serialization),
        ("bytes after the end", b"{} {}", serialization),
        ("no name", b"{}", validation),
        ("a name too long", long_name.as_bytes(), validation),
        ("a value too long", long_value.as_bytes(), validation),
    ] {
        let request = house.signed(
            "secretsmanager",
            "/",
            &[("content-type", JSON), ("x-amz-target", "secretsmanager.CreateSecret")],
            body,
        );
        let answer = house.ask(&request).await;
        assert_eq!((answer.status, answer.code()), expected, "{name}: {}", answer.body);
        assert!(answer.header("x-amzn-requestid").is_some(), "{name}");
    }
    let list = house.ask(&house.json("ListSecrets", "{}")).await;
    assert_eq!(list.body, "{\"SecretList\":[]}", "nothing was made");
}

#[tokio::test]
async fn operations_that_do_not_exist() {
    let house = House::open().await;
    let json = |target: &str, path: &str| {
        house.signed("secretsmanager", path, &[("content-type", JSON), ("x-amz-target", target)], b"{}")
    };
    let mut get = json("secretsmanager.ListSecrets", "/");
    get.method = "GET".into();
    let foreign = house.signed("dynamodb", "/", &[("x-amz-target", "DynamoDB_20120810.ListTables")], b"{}");
    let connect = [("content-type", JSON), ("x-amz-target", "TrentService.ConnectCustomKeyStore")];
    let unserved = house.signed("kms", "/", &connect, b"{}");
    let by_path = "/service/GraniteServiceVersion20100801/operation/PutMetricAlarm";
    let by_path = house.signed("monitoring", by_path, &[], b"");
    let unknown = (400, "UnknownOperationException");
    let invalid = (400, "InvalidAction");
    let malformed = (400, "MalformedInput");
    for (name, request, expected) in [
        ("no such operation", json("secretsmanager.Nothing", "/"), unknown),
        ("one that is not served", unserved, unknown),
        ("no operation", json("secretsmanager", "/"), unknown),
        ("another path", json("secretsmanager.ListSecrets", "/other"), unknown),
        ("two slashes", json("secretsmanager.ListSecrets", "//"), unknown),
        ("another method", get, unknown),
        ("a service we do not have", foreign, unknown),
        ("a service by its path", by_path, unknown),
        ("an action we do not have", house.form("Action=Nothing&Version=2011-06-15"), invalid),
        ("a version we do not have", house.form("Action=GetCallerIdentity&Version=1999-01-01"), invalid),
        ("no action", house.form("a=b"), invalid),
        ("an empty form", house.form(""), invalid),
        ("an action with half an escape", house.form("Action=%zz&Version=2011-06-15"), malformed),
        (
            "an action in the query and in the body",
            house.signed("sts", &format!("/?{WHO_AM_I}"), &[("content-type", FORM)], WHO_AM_I.as_bytes()),
            malformed,
        ),
        ("another spelling of the target", json("SecretsManager.ListSecrets", "/"), unknown),
        ("an action twice", house.form(&format!("{WHO_AM_I}&Action=Other")), malformed),
        ("a form with half an escape", house.form(&format!("{WHO_AM_I}&x=%4")), malformed),
    ] {
        let answer = house.ask(&request).await;
        assert_eq!((answer.status, answer.code()), expected, "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn heads_that_are_too_large_or_say_two_things() {
    let house = House::open().await;
    let with = |headers: &[(&str, &str)]| {
        let request = house.json("ListSecrets", "{}");
        let mut all = request.signed_headers();
        all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        request.bytes_with(&all, b"{}")
    };
    let wide = "x".repeat(17_000);
    let many: Vec<(&str, &str)> = vec![("x-many", "1"); 101];
    let long_target = format!("/?{}", "q".repeat(9_000));
    let long = house.signed("secretsmanager", "/", &[("x-amz-target", "secretsmanager.ListSecrets")], b"{}");
    let long = Request { target: long_target, ..long };
    for (name, bytes, status, code) in [
        ("seventeen kilobytes", with(&[("x-wide", &wide)]), 431, ""),
        ("a hundred and one headers more", with(&many), 431, ""),
        ("a long target", long.plain_bytes(), 414, "RequestUriTooLongException"),
        (
            "two targets",
            with(&[("x-amz-target", "secretsmanager.DeleteSecret")]),
            400,
            "IncompleteSignatureException",
        ),
        ("two content types", with(&[("content-type", "text/plain")]), 400, "IncompleteSignatureException"),
        ("two hosts", with(&[("host", "other.example")]), 400, "IncompleteSignatureException"),
        ("two dates", with(&[("x-amz-date", "20260102T030405Z")]), 400, "IncompleteSignatureException"),
        ("a packed body", with(&[("content-encoding", "gzip")]), 415, "UnsupportedMediaTypeException"),
    ] {
        let answer = house.say(&bytes).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn bytes_that_are_not_http() {
    let house = House::open().await;
    for (name, bytes) in [
        ("noise", b"\0\x01\x02\x03\r\n\r\n".as_slice()),
        (
            "a TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n",
        ),
        ("no version", b"GET /\r\n\r\n"),
        ("a folded header", b"POST / HTTP/1.1\r\nhost: x\r\nx-folded: a\r\n b\r\n\r\n"),
        ("a blank before the colon", b"POST / HTTP/1.1\r\nhost : x\r\n\r\n"),
        ("a length of minus one", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n"),
        ("a length in words", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ten\r\n\r\n"),
        ("two lengths", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        ("an unknown coding", b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: cow\r\n\r\n"),
        (
            "chunked and then not",
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        ),
        (
            "a chunk of no length",
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
        ),
        ("a connect", b"CONNECT x:1 HTTP/1.1\r\nhost: x:1\r\n\r\n"),
        ("an asterisk", b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("nothing signed", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"),
    ] {
        let mut connection = house.connect().await;
        connection.send(bytes).await;
        connection.finish().await;
        // Whether it is worth an answer is for the parser; what must not be is a fault of ours, or silence.
        if let Some(answer) = connection.answer().await {
            assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
        }
    }
    assert_eq!(house.ask(&house.form(WHO_AM_I)).await.status, 200, "and the next one is served");
}

#[tokio::test]
async fn two_framings_cannot_hide_a_second_request() {
    let house = House::open().await;
    let request = house.form(WHO_AM_I);
    let hidden = house.form(WHO_AM_I).bytes();
    for order in [["content-length", "transfer-encoding"], ["transfer-encoding", "content-length"]] {
        let mut headers = request.signed_headers();
        for name in order {
            let value =
                if name == "content-length" { (hidden.len() + 100).to_string() } else { "chunked".into() };
            headers.push((name.into(), value));
        }
        let mut connection = house.connect().await;
        connection.send(&request.head_with(&headers)).await;
        connection.send(format!("{:x}\r\n{WHO_AM_I}\r\n0\r\n\r\n", WHO_AM_I.len()).as_bytes()).await;
        connection.send(&hidden).await;
        let answers = String::from_utf8(connection.rest().await).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "one answer, then the end: {answers}");
        assert!(answers.contains("connection: close"), "{answers}");
    }
}

/// One length said twice is one length. The parser keeps the first and drops the other, so both readers of the head see one.
#[tokio::test]
async fn a_length_said_twice_frames_one_request() {
    let house = House::open().await;
    let request = house.form(WHO_AM_I);
    let mut headers = request.signed_headers();
    for _ in 0..2 {
        headers.push(("content-length".into(), WHO_AM_I.len().to_string()));
    }
    let mut connection = house.connect().await;
    for _ in 0..2 {
        connection.send(&request.head_with(&headers)).await;
        connection.send(WHO_AM_I.as_bytes()).await;
        assert_eq!(connection.answer().await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn bodies_of_the_wrong_length() {
    let house = House::open().await;
    // Too much, and says so: refused before a byte is read.
    let request = house.json("ListSecrets", "{}");
    let mut headers = request.signed_headers();
    headers.push(("content-length".into(), (300 * 1024).to_string()));
    let answer = house.say(&request.head_with(&headers)).await;
    assert_eq!((answer.status, answer.code()), (413, "RequestEntityTooLargeException"));
    // Too much, and does not say so.
    let mut headers = request.signed_headers();
    headers.push(("transfer-encoding".into(), "chunked".into()));
    let mut connection = house.connect().await;
    connection.send(&request.head_with(&headers)).await;
    let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, " ".repeat(64 * 1024));
    for _ in 0..5 {
        connection.send(chunk.as_bytes()).await;
    }
    assert_eq!(connection.answer().await.map(|answer| answer.status), Some(413));
    // Less than was said, and then the end.
    let mut headers = request.signed_headers();
    headers.push(("content-length".into(), "100".into()));
    let mut connection = house.connect().await;
    connection.send(&request.head_with(&headers)).await;
    connection.send(b"{}").await;
    connection.finish().await;
    if let Some(answer) = connection.answer().await {
        assert_eq!(answer.status, 400);
    }
    // More than was said: the rest is no request.
    let mut bytes = request.bytes();
    bytes.extend_from_slice(b"garbage\r\n\r\n");
    let mut connection = house.connect().await;
    connection.send(&bytes).await;
    assert_eq!(connection.answer().await.unwrap().status, 200);
    assert!(connection.answer().await.is_none_or(|answer| answer.status == 400));
}

#[tokio::test]
async fn a_plus_in_a_query_would_have_two_meanings() {
    let house = House::open().await;
    let mut request =
        house.signed("sts", &format!("/?{WHO_AM_I}&Note=a%2Bb"), &[("content-type", FORM)], b"");
    let headers = request.signed_headers();
    request.target = format!("/?{WHO_AM_I}&Note=a+b");
    let answer = house.say(&request.bytes_with(&headers, b"")).await;
    assert_eq!((answer.status, answer.code()), (400, "MalformedQueryString"));
}

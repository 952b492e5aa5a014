//! Arbitrary bytes: there is always an answer, it is never yes, and it costs no more than the request is long.

use coffer_sigv4::{Accepts, Claim, Family, Head, limits, normalized_path, query_pairs};
use proptest::{collection::vec, prelude::*};

use crate::{
    oracle::{random_request, random_server},
    request::{Chance, Request},
};

fn header_names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "(?i)(authorization|host|date|x-amz-date|x-amz-security-token|x-amz-target|content-type)",
        any::<String>(),
    ]
}

fn header_values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        "AWS4-HMAC-SHA256 (Credential=[a-z/]{0,20}|SignedHeaders=[a-z;]{0,20}|Signature=[0-9a-f]{0,64}|[ ,=]{1,3}){0,6}"
            .prop_map(String::into_bytes),
        "[0-9]{8}T[0-9]{6}Z".prop_map(String::into_bytes),
    ]
}

fn queries() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "(X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token)=[a-z0-9%/;]{0,20}&?){0,9}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_head_gets_an_answer(
        method in any::<String>(),
        path in any::<String>(),
        query in queries(),
        headers in vec((header_names(), header_values()), 0..12),
        body in vec(any::<u8>(), 0..20),
    ) {
        let request = Request { method, path, query, headers, body };
        let server = random_server(&mut Chance(5));
        let error = server.check(&request).unwrap_err();
        for family in [Family::Json, Family::Query, Family::RestJson] {
            prop_assert!(!error.code(family).is_empty() && !error.message(family).is_empty());
            prop_assert!((400..404).contains(&error.status(family)));
        }
    }

    #[test]
    fn a_valid_request_with_random_damage_gets_an_answer(
        seed in any::<u64>(), presigned in any::<bool>(), part in 0..3_usize, at in any::<usize>(), with in any::<char>(),
    ) {
        let mut chance = Chance(seed);
        let (server, mut request) = (random_server(&mut chance), random_request(&mut chance));
        if presigned { request.presign(&server, server.now, 60) } else { request.sign(&server, server.now) }
        let header = at % request.headers.len();
        match part {
            0 => request.path = damaged(&request.path, at, with),
            1 => request.query = damaged(&request.query, at, with),
            _ => {
                let value = String::from_utf8(request.headers[header].1.clone()).unwrap();
                request.headers[header].1 = damaged(&value, at / 16, with).into_bytes();
            }
        }
        // Some damage is none, such as a blank before a value, so either answer may be right here.
        drop(server.check(&request));
    }

    #[test]
    fn the_canonical_form_is_never_much_longer_than_the_request(
        path in any::<String>(), query in any::<String>(), value in vec(any::<u8>(), 0..200),
    ) {
        let mut request = Request { method: "GET".into(), path, query, headers: vec![], body: vec![] };
        request.headers.push(("X".into(), value.iter().copied().filter(|b| !matches!(b, 0 | b'\r' | b'\n')).collect()));
        request.add("Host", "h");
        request.add("X-Amz-Date", "20260102T030405Z");
        request.add("Authorization", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=host;x;x-amz-date,Signature=s");
        request.with_head(|head| {
            let canonical =
                Claim::read(head, Accepts::HeaderOnly).unwrap().canonical_request(head, &[0; 32]).unwrap();
            // Three bytes for one that is escaped, and an equals sign for a parameter that has none.
            let wire = 3 * (head.path.len() + head.query.len()) + value.len();
            prop_assert!(canonical.len() <= wire + 200, "{} of {wire}", canonical.len());
            Ok(())
        })?;
    }

    #[test]
    fn the_canonical_form_reads_back_as_itself(path in any::<String>(), query in any::<String>()) {
        let normal = normalized_path(&path).into_owned();
        prop_assert_eq!(&normalized_path(&normal), &normal);
        prop_assert!(normal.starts_with('/'));

        let canonical = canonical_query(&query);
        prop_assert_eq!(&canonical_query(&canonical), &canonical);
        let sorted = |query: &str| {
            let mut pairs: Vec<_> = query_pairs(query).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
            pairs.sort();
            pairs
        };
        prop_assert_eq!(sorted(&canonical), sorted(&query), "one signature, one meaning");
    }
}

fn canonical_query(query: &str) -> String {
    let mut request = Request {
        method: "GET".into(),
        path: "/".into(),
        query: query.into(),
        headers: vec![],
        body: vec![],
    };
    request.add("Host", "h");
    request.add("X-Amz-Date", "20260102T030405Z");
    request.add(
        "Authorization",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=host;x-amz-date,Signature=s",
    );
    let canonical = request.with_head(|head| {
        Claim::read(head, Accepts::HeaderOnly).unwrap().canonical_request(head, &[0; 32]).unwrap()
    });
    String::from_utf8(canonical).unwrap().split('\n').nth(2).unwrap().to_owned()
}

fn damaged(text: &str, at: usize, with: char) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = at % (chars.len() + 1);
    match chars.get_mut(at) {
        Some(one) => *one = with,
        None => chars.push(with),
    }
    chars.into_iter().collect()
}

#[test]
fn requests_beyond_the_limits_are_refused_by_name() {
    let long = "x".repeat(8 * 1024 + 1);
    let many = ["host"; limits::SIGNED_HEADERS_MAX + 1].join(";");
    let authorization = format!("AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders={many},Signature=s");
    let signed: [(&str, &[u8]); 2] =
        [("authorization", authorization.as_bytes()), ("x-amz-date", b"20260102T030405Z")];
    let token: [(&str, &[u8]); 3] = [
        ("authorization", b"AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=host;x-amz-date,Signature=s"),
        ("x-amz-date", b"20260102T030405Z"),
        ("x-amz-security-token", long.as_bytes()),
    ];
    let crowd: [(&str, &[u8]); limits::HEADERS_MAX + 1] = [("x", b""); limits::HEADERS_MAX + 1];
    for (path, query, headers, what) in [
        (long.as_str(), "", &[] as &[(&str, &[u8])], "path"),
        ("/", long.as_str(), &[], "query string"),
        ("/", "", &crowd, "number of headers"),
        ("/", "", &signed, "number of signed headers"),
        ("/", "", &token, "session token"),
    ] {
        let error =
            Claim::read(&Head { method: "GET", path, query, headers }, Accepts::HeaderOnly).unwrap_err();
        assert!(error.message(Family::Json).starts_with(&format!("The {what} of")), "{error:?}");
        assert_eq!(error.status(Family::Query), 400);
    }
}

#[test]
fn nothing_that_is_printed_holds_a_credential() {
    let mut chance = Chance(6);
    let mut server = random_server(&mut chance);
    server.access_key_id = "ASIACOFFEREXAMPLE003".into();
    server.session_token = Some(coffer_types::Secret::new("canary-token".into()));
    let mut request = random_request(&mut chance);
    request.sign(&server, server.now);
    let authorization = request.header("authorization").unwrap();
    let (_, signature) = authorization.split_once("Signature=").unwrap();
    let printed = request.with_head(|head| {
        let claim = Claim::read(head, server.accepts).unwrap();
        let verified = server.check_head(head, &request.body).unwrap();
        let refused = server.check_head(head, b"another body").unwrap_err();
        format!(
            "{head:?} {claim:?} {verified:?} {refused:?} {refused} {:?} {:?}",
            server.keys,
            server.signer()
        )
    });
    assert!(!printed.contains("canary-token") && !printed.contains(signature), "{printed}");
    assert!(
        !printed.contains(server.secret.expose()) && printed.contains("ASIACOFFEREXAMPLE003"),
        "{printed}"
    );
}

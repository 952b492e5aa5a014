//! Page tokens: what we hand out comes back unchanged, to the same question, or it is nothing.

use std::sync::{Arc, Mutex};

use coffer_types::Secret;

use crate::{
    house::{House, admin, number},
    service::{Ask, CHANGE, LOOK, PASSWORD_IN, ask, script},
};

fn query(name: &str) -> Ask {
    Ask { name: name.to_owned(), ..ask(0) }
}

#[tokio::test]
async fn a_token_opens_for_the_same_question_only() {
    let house = House::seeded(1);
    let kept = Arc::new(Mutex::new(String::new()));
    let keep = Arc::clone(&kept);
    house
        .look(move |cx| {
            cx.needs_no_permission("this test is about something else");
            *keep.lock().unwrap() = cx.seal_token(&query("q"), b"page two");
            assert_ne!(cx.seal_token(&query("q"), b"page two"), *keep.lock().unwrap());
            Ok(0)
        })
        .await
        .unwrap();
    let token = kept.lock().unwrap().clone();
    assert!(
        !token.contains("page") && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    );

    let opens = |token: &str, query: Ask| {
        let (token, query) = (token.to_owned(), Mutex::new(query));
        script(move |cx| {
            cx.needs_no_permission("this test is about something else");
            let opened = cx.open_token(&*query.lock().unwrap(), &token);
            Ok(i64::from(opened.is_some_and(|content| content.expose() == b"page two")))
        })
    };
    let mut other_secret = query("q");
    other_secret.password = Secret::new(format!("{PASSWORD_IN}!"));
    let (mut other_account, mut other_region) = (admin(), admin());
    other_account.principal.account = "999999999999".parse().unwrap();
    other_region.region = "eu-west-2".parse().unwrap();
    for (what, caller, spec, query, expected) in [
        ("the same", admin(), &LOOK, query("q"), 1),
        ("another query", admin(), &LOOK, query("r"), 0),
        ("another secret in the query", admin(), &LOOK, other_secret, 0),
        ("another operation", admin(), &CHANGE, query("q"), 0),
        ("another account", other_account, &LOOK, query("q"), 0),
        ("another region", other_region, &LOOK, query("q"), 0),
    ] {
        let answer = house.call(&caller, spec, opens(&token, query)).await.unwrap();
        assert_eq!(number(answer).unwrap(), expected, "{what}");
    }
    let again = house.restarted();
    let answer = again.call(&admin(), &LOOK, opens(&token, query("q"))).await.unwrap();
    assert_eq!(number(answer).unwrap(), 1, "after a restart");
}

#[tokio::test]
async fn a_token_with_any_bit_changed_is_nothing() {
    let house = House::seeded(2);
    house
        .look(|cx| {
            cx.needs_no_permission("this test is about something else");
            let token = cx.seal_token(&query("q"), b"page two");
            for at in 0..token.len() {
                for bit in 0..8 {
                    let mut bytes = token.clone().into_bytes();
                    bytes[at] ^= 1 << bit;
                    if let Ok(changed) = String::from_utf8(bytes) {
                        assert!(cx.open_token(&query("q"), &changed).is_none(), "byte {at} bit {bit}");
                    }
                }
                assert!(cx.open_token(&query("q"), &token[..at]).is_none(), "cut at {at}");
            }
            assert!(cx.open_token(&query("q"), &format!("{token}A")).is_none());
            assert!(cx.open_token(&query("q"), "").is_none());
            Ok(0)
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_sealed_for_something_opens_for_nothing_else() {
    let house = House::seeded(2);
    house
        .look(|cx| {
            cx.needs_no_permission("this test is about something else");
            let content = Secret::new(b"half a key".to_vec());
            let token = cx.seal_for("import", b"one", &content);
            let opens = |purpose, context: &[u8], token: &str| {
                cx.open_for(purpose, context, token).is_some_and(|opened| opened.expose() == content.expose())
            };
            assert!(opens("import", b"one", &token));
            for (purpose, context, token) in [
                ("import", &b"other"[..], token.as_str()),
                ("export", b"one", &token),
                ("import", b"one", &token[1..]),
                ("import", b"one", "???"),
                ("import", b"one", ""),
            ] {
                assert!(!opens(purpose, context, token), "{purpose} {context:?}");
            }
            Ok(0)
        })
        .await
        .unwrap();
}

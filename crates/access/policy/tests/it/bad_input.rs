//! What somebody sends who means harm: texts that are large, deep, ambiguous, or made to take long.

use coffer_policy::{Caller, Document, Kind, Malformed, Policies, Policy, Request};

const MEGABYTE_64TH: usize = 64 * 1024;

fn allow(actions: &str, resources: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": {actions}, "Resource": {resources}}}]}}"#
    )
}

/// Whether a policy of a user allows something.
fn allows(text: &str, action: &str, resource: &str) -> bool {
    let policy = Policy::new("mine", &Document::parse(Kind::Managed, text).unwrap());
    let caller = Caller::User {
        arn: "arn:aws:iam::111122223333:user/ann",
        account: "111122223333".parse().unwrap(),
        id: None,
    };
    let request = Request {
        caller,
        action,
        resource: Some(resource),
        resource_account: None,
        context: &(),
        encryption_context: &[],
    };
    Policies { identity: &[&policy], ..Policies::default() }.decide(&request).is_allowed()
}

#[test]
fn deep_and_broken_texts_are_refused() {
    let deep = |open: &str, close: &str| open.repeat(MEGABYTE_64TH / open.len()) + close;
    for text in [
        deep("[", ""),
        deep("{\"Statement\":", ""),
        deep("[", &"]".repeat(MEGABYTE_64TH)),
        deep("{\"a\":[", "1"),
        deep("\u{0}", ""),
        deep("\"\\ud800", ""),
        "[".repeat(100) + &"]".repeat(100),
        allow("\"s3:*\"", &(String::from("[") + &"[".repeat(60) + &"]".repeat(60) + "]")),
        allow("\"s3:*\"", "\"*\"") + "}",
        String::from("\u{feff}") + &allow("\"s3:*\"", "\"*\""),
    ] {
        for kind in [Kind::Managed, Kind::Inline, Kind::Trust, Kind::Resource] {
            let refused = Document::parse(kind, &text).unwrap_err();
            assert!(matches!(refused, Malformed::NotJson | Malformed::Syntax), "{refused:?}");
        }
    }
}

#[test]
fn a_name_that_stands_twice_is_refused_wherever_it_stands() {
    for text in [
        allow("\"s3:*\"", "\"*\"").replace("\"Action\"", "\"Action\": \"s3:Get*\", \"Action\""),
        allow("\"s3:*\"", "\"*\"").replace("\"Effect\"", "\"Effect\": \"Deny\", \"Eff\\u0065ct\""),
        allow("\"s3:*\"", "\"*\"").replace("\"Version\"", "\"Statement\": [], \"Version\""),
        allow("\"s3:*\"", "\"*\", \"Condition\": {\"Bool\": {\"a:b\": \"true\", \"a:b\": \"false\"}}"),
        allow("\"s3:*\"", "\"*\", \"Condition\": {\"Bool\": {\"a:b\": \"true\"}, \"Bool\": {}}"),
    ] {
        assert_eq!(Document::parse(Kind::Managed, &text), Err(Malformed::Syntax), "{text}");
    }
}

/// As much as fits into a policy, against the longest name there is. That the steps are few is shown where they are counted; here
/// the test would not end.
#[test]
fn patterns_that_look_exponential_are_decided() {
    let stars = "*a".repeat(3000) + "b";
    let resource = format!("arn:aws:s3:::{}", "a".repeat(2000));
    assert!(!allows(&allow("\"s3:*\"", &format!("\"arn:aws:s3:::{stars}\"")), "s3:GetObject", &resource));
    assert!(!allows(
        &allow(&format!("\"s3:{stars}\""), "\"*\""),
        &format!("s3:{}", "a".repeat(2000)),
        &resource
    ));
    let many = vec![format!("\"arn:aws:s3:::{}\"", "?*".repeat(20)); 100].join(", ");
    assert!(allows(&allow("\"s3:*\"", &format!("[{many}]")), "s3:GetObject", &resource));
}

#[test]
fn letters_that_look_alike_are_others() {
    let arn = "arn:aws:s3:::admin";
    for (actions, resources) in [
        // Greek, Cyrillic and full-width letters; a dotless one; a zero-width space; the kelvin sign and the long s, which Unicode
        // lower-cases or upper-cases to ASCII.
        ("\"s3:G\u{435}tObject\"", "\"*\""),
        ("\"s3:\u{ff27}etObject\"", "\"*\""),
        ("\"s3:GetOb\u{131}ect\"", "\"*\""),
        ("\"s3:GetObject\u{200b}\"", "\"*\""),
        ("\"s3:Get\u{2a}\u{301}\"", "\"*\""),
        ("\"*\"", "\"arn:aws:s3:::\u{430}dmin\""),
        ("\"*\"", "\"arn:aws:s3:::admin\u{200d}\""),
    ] {
        assert!(!allows(&allow(actions, resources), "s3:GetObject", arn), "{actions} {resources}");
    }
    assert!(!allows(&allow("\"x:\u{212a}ey\"", "\"*\""), "x:Key", arn));
    assert!(!allows(&allow("\"x:\u{17f}ee\"", "\"*\""), "x:See", arn));
    for action in ["\u{455}3:GetObject", "s3\u{ff1a}GetObject", "s3 :GetObject"] {
        assert!(
            Document::parse(Kind::Managed, &allow(&format!("\"{action}\""), "\"*\"")).is_err(),
            "{action}"
        );
    }
    // Nor are signs that look like a star.
    assert!(!allows(&allow("\"s3:\u{2217}\"", "\"*\""), "s3:GetObject", arn));
}

//! Requests that were valid before somebody touched them. None may be accepted.
//!
//! Every forgery changes what a dispatcher would do, or what the signer could have meant, or the signature itself.
//! The counterpart at the end lists the changes that mean nothing, which must be accepted.

use std::collections::BTreeMap;

use coffer_sigv4::normalized_path;

use crate::{
    oracle::{random_request, random_server},
    request::{Chance, Request, Server},
};

type Forgery = fn(&mut Request, &mut Server, &mut Chance);

/// Each leaves the request as it is when it does not apply, for example to a header of a presigned request.
const FORGERIES: [(&str, Forgery); 44] = [
    ("another method", |r, _, _| r.method = if r.method == "GET" { "POST" } else { "GET" }.into()),
    ("a lower-case method", |r, _, _| r.method = r.method.to_lowercase()),
    ("a longer path", |r, _, _| r.path.push_str("/x")),
    ("an escaped letter in the path", |r, _, _| r.path = r.path.replacen('a', "%61", 1)),
    ("an unescaped letter in the path", |r, _, _| r.path = r.path.replacen("%3A", ":", 1)),
    ("another case of an escape in the path", |r, _, _| r.path = r.path.replacen("%2f", "%2F", 1)),
    ("another case in the path", |r, _, _| r.path = r.path.replacen('B', "b", 1)),
    ("one more parameter", |r, _, _| push_param(r, "Action=DeleteUser")),
    ("one empty parameter", |r, _, _| push_param(r, "zz")),
    ("a parameter twice", |r, _, _| {
        if let Some(first) = r.query.split('&').next().filter(|first| !first.is_empty()) {
            r.query = format!("{first}&{}", r.query);
        }
    }),
    ("a parameter less", |r, _, _| {
        r.query = r.query.split_once('&').map_or(String::new(), |(_, rest)| rest.into());
    }),
    ("a longer value of a parameter", |r, _, _| r.query = r.query.replacen('=', "=0", 1)),
    ("another name of a parameter", |r, _, _| r.query = r.query.replacen("q=", "Q=", 1)),
    ("a parameter encoded twice", |r, _, _| r.query = r.query.replacen('%', "%25", 1)),
    ("the mark between two parameters escaped", |r, _, _| r.query = r.query.replacen('&', "%26", 1)),
    ("another body", |r, _, _| r.body.push(b'x')),
    ("no body", |r, _, _| r.body.clear()),
    ("another host", |r, _, _| edit(r, "host", |v| v.replace(".e", ".f"))),
    ("another port", |r, _, _| edit(r, "host", |v| v.replace(":8443", ":443"))),
    ("another case of the host", |r, _, _| edit(r, "host", str::to_uppercase)),
    ("no host", |r, _, _| r.remove("host")),
    ("a second host", |r, _, _| r.add("Host", "elsewhere")),
    ("a value appended to a signed header", |r, _, _| edit(r, "x-custom", |v| format!("{v}x"))),
    ("a space inside a signed header", |r, _, _| edit(r, "x-custom", |v| v.replacen('a', "a a", 1))),
    ("another case of a signed value", |r, _, _| edit(r, "x-custom", |v| v.replace('a', "A"))),
    ("a signed header less", |r, _, _| r.remove("x-amz-meta-a")),
    ("a signed header once more", |r, _, _| {
        if r.header("x-custom").is_some() {
            r.add("X-Custom", "more");
        }
    }),
    ("a signed header under another name", |r, _, _| {
        if let Some(value) = r.header("a") {
            r.remove("a");
            r.add("aa", &value);
        }
    }),
    ("two values of a signed header in the other order", swap_values),
    ("a line forged into a value", |r, _, _| edit(r, "x-custom", |v| format!("{v}\nx-forged:1"))),
    ("a header of ours smuggled in", |r, _, _| r.add("X-Amz-Target", "secretsmanager.DeleteSecret")),
    ("any x-amz header smuggled in", |r, _, _| r.add("x-AMZ-Anything", "1")),
    ("a second authorization", |r, _, c| {
        let second = r.header("authorization").unwrap_or_default();
        r.headers.insert(c.below(r.headers.len()), ("authorization".into(), second.into()));
    }),
    ("another session token", |r, _, _| r.set("X-Amz-Security-Token", "stolen")),
    ("a later time", |r, _, _| edit_claim(r, "Date", |date| next_digit(date, 14))),
    ("another day in the scope", |r, _, _| edit_claim(r, "Credential", |c| next_digit(c, 28))),
    ("another element of the scope", |r, _, c| {
        let at = c.below(5);
        edit_claim(r, "Credential", |credential| {
            let mut parts: Vec<String> = credential.split(['/']).map(str::to_owned).collect();
            parts[at].push('x');
            parts.join("/")
        });
    }),
    ("a shorter or longer list of signed headers", |r, _, c| {
        let longer = c.below(2) == 0;
        edit_claim(r, "SignedHeaders", |list| match list.rsplit_once(';') {
            Some((shorter, _)) if !longer => shorter.into(),
            _ => format!("{list};zz"),
        });
    }),
    ("another order, case or number in the list of signed headers", |r, _, c| {
        let how = c.below(3);
        edit_claim(r, "SignedHeaders", |list| match how {
            0 if list.contains(';') => list.split(';').rev().collect::<Vec<_>>().join(";"),
            1 => list.to_uppercase(),
            _ => format!("{list};{}", list.rsplit(';').next().unwrap()),
        });
    }),
    ("another digit in the signature", |r, _, c| {
        let at = c.below(64);
        edit_claim(r, "Signature", |s| next_digit(s, at));
    }),
    ("a shorter or longer signature", |r, _, c| {
        let length = c.below(64);
        edit_claim(r, "Signature", |s| if length == 0 { format!("{s}00") } else { s[..length].into() });
    }),
    ("an upper-case signature", |r, _, _| edit_claim(r, "Signature", str::to_uppercase)),
    ("another lifetime", |r, _, c| {
        let to = c.pick(&["61", "0", "-1", "604801", "+60", "060", ""]).to_owned();
        edit_claim(r, "Expires", |_| to.clone());
    }),
    ("another time at the server", |_, s, c| {
        let seconds = std::time::Duration::from_secs(301 + c.below(1_000_000) as u64);
        s.now = if c.below(2) == 0 { s.now.plus(seconds) } else { s.now.minus(seconds) };
    }),
];

#[test]
fn no_forged_request_is_accepted() {
    let mut chance = Chance(3);
    let mut tried: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..150 {
        let (mut server, mut valid) = (random_server(&mut chance), random_request(&mut chance));
        if chance.below(3) == 0 {
            valid.presign(&server, server.now, 60);
        } else {
            valid.sign(&server, server.now);
        }
        server.check(&valid).unwrap_or_else(|error| panic!("{error} in {valid:?}"));
        for (name, forge) in FORGERIES {
            let (mut forged, now) = (valid.clone(), server.now);
            forge(&mut forged, &mut server, &mut chance);
            if seen_by_a_dispatcher(&forged) != seen_by_a_dispatcher(&valid) || server.now != now {
                assert!(server.check(&forged).is_err(), "{name}: {forged:?}");
                *tried.entry(name).or_default() += 1;
            }
            server.now = now;
        }
    }
    let total: u32 = tried.values().sum();
    assert!(total >= 2_000, "{total}");
    for (name, _) in FORGERIES {
        assert!(tried.get(name).is_some_and(|&count| count >= 5), "{name} was hardly tried: {tried:?}");
    }
}

#[test]
fn spellings_that_mean_the_same_are_accepted() {
    let same: [(&str, Forgery); 8] = [
        ("an unsigned header", |r, _, _| r.add("X-Forwarded-For", "10.0.0.1")),
        ("headers in another order", |r, _, _| r.headers.sort_by(|one, other| other.0.cmp(&one.0))),
        ("header names in another case", |r, _, _| {
            for (name, _) in &mut r.headers {
                *name = name.to_uppercase();
            }
        }),
        ("blanks around values", |r, _, _| {
            for (_, value) in &mut r.headers {
                *value = [b" \t", value.as_slice(), b"  "].concat();
            }
        }),
        ("an empty parameter", |r, _, _| r.query = format!("&{}&&", r.query)),
        ("parameters in another order", |r, _, _| {
            r.query = r.query.split('&').rev().collect::<Vec<_>>().join("&");
        }),
        ("lower-case escapes in the query", |r, _, _| r.query = r.query.replace("%2B", "%2b")),
        ("dot segments", |r, _, _| r.path = format!("/./x/..{}", r.path)),
    ];
    let mut chance = Chance(4);
    for round in 0..100 {
        let (mut server, mut valid) = (random_server(&mut chance), random_request(&mut chance));
        // Sorting headers by name would mix the two spellings of this one.
        valid.remove("x-custom");
        if round % 3 == 0 {
            valid.presign(&server, server.now, 60);
        } else {
            valid.sign(&server, server.now);
        }
        for (name, respell) in same {
            let mut respelled = valid.clone();
            respell(&mut respelled, &mut server, &mut chance);
            server.check(&respelled).unwrap_or_else(|error| panic!("{name}: {error} in {respelled:?}"));
        }
    }
}

/// A change inside a segment that `..` removes is none.
fn seen_by_a_dispatcher(request: &Request) -> Request {
    Request { path: normalized_path(&request.path).into_owned(), ..request.clone() }
}

fn push_param(request: &mut Request, param: &str) {
    let between = if request.query.is_empty() { "" } else { "&" };
    request.query = format!("{}{between}{param}", request.query);
}

/// Changes the first value of a header in place. Its blanks at both ends mean nothing and are left alone if that is all.
fn edit(request: &mut Request, name: &str, change: impl Fn(&str) -> String) {
    if let Some((_, value)) = request.headers.iter_mut().find(|(found, _)| found.eq_ignore_ascii_case(name)) {
        let old = std::str::from_utf8(value).unwrap().trim();
        let new = change(old);
        if new != old {
            *value = new.into_bytes();
        }
    }
}

/// Swaps two values of one header that differ in more than blanks.
fn swap_values(request: &mut Request, _: &mut Server, _: &mut Chance) {
    let words =
        |value: &[u8]| String::from_utf8_lossy(value).split_whitespace().collect::<Vec<_>>().join(" ");
    let at: Vec<usize> = (0..request.headers.len())
        .filter(|&index| request.headers[index].0.eq_ignore_ascii_case("x-custom"))
        .collect();
    if let [one, other, ..] = at[..]
        && words(&request.headers[one].1) != words(&request.headers[other].1)
    {
        let kept = request.headers[one].1.clone();
        request.headers[one].1 = std::mem::replace(&mut request.headers[other].1, kept);
    }
}

/// Changes one part of the claim wherever the request carries it: header, pair or parameter.
fn edit_claim(request: &mut Request, part: &str, change: impl Fn(&str) -> String) {
    if let Some(header) = request.header("authorization") {
        if part == "Date" {
            return edit(request, "x-amz-date", change);
        }
        let pairs = header.split(", ").map(|pair| match pair.split_once(&format!("{part}=")) {
            Some((before, value)) if before.is_empty() || before.ends_with(' ') => {
                format!("{before}{part}={}", change(value))
            }
            _ => pair.to_owned(),
        });
        let changed = pairs.collect::<Vec<_>>().join(", ");
        return edit(request, "authorization", |_| changed.clone());
    }
    let name = format!("X-Amz-{part}=");
    let params = request.query.split('&').map(|param| match param.strip_prefix(&name) {
        Some(value) => {
            let plain = value.replace("%2F", "/").replace("%3B", ";");
            format!("{name}{}", change(&plain).replace('/', "%2F").replace(';', "%3B"))
        }
        None => param.to_owned(),
    });
    request.query = params.collect::<Vec<_>>().join("&");
}

/// Replaces one decimal or hexadecimal digit by another one.
fn next_digit(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
    String::from_utf8(bytes).unwrap()
}

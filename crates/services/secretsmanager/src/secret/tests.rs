//! The label machine, step by step. The sequences are recordings of AWS.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn entry(id: &str, now: Timestamp) -> VersionEntry {
    VersionEntry { id: id.to_owned(), created_at: now, has_value: true, ..VersionEntry::default() }
}

fn put(secret: &mut SecretRecord, id: &str, labels: &[&str]) -> Result<(), SecretError> {
    let labels = (!labels.is_empty()).then(|| labels.iter().map(|label| (*label).to_owned()).collect());
    secret.add_version(entry(id, at(0)), labels, at(0)).map(drop)
}

/// `v1{AWSPREVIOUS} v2{AWSCURRENT}`, as the recordings are written down.
fn shown(secret: &SecretRecord) -> String {
    let versions: Vec<String> = secret
        .versions
        .iter()
        .map(|version| format!("{}{{{}}}", version.id, version.labels.join(",")))
        .collect();
    versions.join(" ")
}

#[test]
fn promotion_keeps_pending_and_the_next_put_abandons_it() {
    let mut secret = SecretRecord::default();
    put(&mut secret, "v1", &[]).unwrap();
    assert_eq!(shown(&secret), "v1{AWSCURRENT}");
    put(&mut secret, "v2", &[PENDING]).unwrap();
    assert_eq!(shown(&secret), "v1{AWSCURRENT} v2{AWSPENDING}");
    secret.move_label(CURRENT, Some("v1"), Some("v2"), at(0)).unwrap();
    assert_eq!(shown(&secret), "v1{AWSPREVIOUS} v2{AWSCURRENT,AWSPENDING}");
    put(&mut secret, "v3", &[]).unwrap();
    assert_eq!(shown(&secret), "v1{} v2{AWSPREVIOUS} v3{AWSCURRENT}");
}

#[test]
fn custom_labels_stay_until_somebody_names_them() {
    let mut secret = SecretRecord::default();
    put(&mut secret, "v1", &[]).unwrap();
    put(&mut secret, "v2", &["one", "two", "three"]).unwrap();
    put(&mut secret, "v3", &["one", "two", "four"]).unwrap();
    assert_eq!(shown(&secret), "v1{AWSCURRENT} v2{three} v3{four,one,two}");
}

#[test]
fn the_order_of_the_labels_asked_for_means_nothing() {
    for labels in [[CURRENT, PREVIOUS], [PREVIOUS, CURRENT]] {
        let mut secret = SecretRecord::default();
        put(&mut secret, "v1", &[]).unwrap();
        put(&mut secret, "v2", &labels).unwrap();
        assert_eq!(shown(&secret), "v1{AWSPREVIOUS} v2{AWSCURRENT}", "{labels:?}");
    }
}

#[test]
fn the_first_version_is_current_whatever_was_asked() {
    let mut secret = SecretRecord::default();
    put(&mut secret, "v1", &["blue"]).unwrap();
    assert_eq!(shown(&secret), "v1{AWSCURRENT,blue}");
}

#[test]
fn a_rollback_moves_the_pair() {
    let mut secret = SecretRecord::default();
    put(&mut secret, "v1", &[]).unwrap();
    put(&mut secret, "v2", &[]).unwrap();
    secret.move_label(CURRENT, Some("v2"), Some("v1"), at(0)).unwrap();
    assert_eq!(shown(&secret), "v1{AWSCURRENT} v2{AWSPREVIOUS}");
}

#[test]
fn what_becomes_current_is_not_previous_even_if_nothing_was_current() {
    let mut secret = SecretRecord::default();
    secret.add_placeholder(VersionEntry { id: "v1".into(), ..VersionEntry::default() }, at(0)).unwrap();
    put(&mut secret, "v2", &[PREVIOUS, "blue"]).unwrap();
    assert_eq!(shown(&secret), "v1{AWSPENDING} v2{AWSPREVIOUS,blue}");
    secret.move_label(CURRENT, None, Some("v2"), at(0)).unwrap();
    assert_eq!(shown(&secret), "v1{AWSPENDING} v2{AWSCURRENT,blue}");
    // Nothing moves, so nothing follows.
    secret.move_label(PREVIOUS, None, Some("v2"), at(0)).unwrap();
    secret.move_label(CURRENT, Some("v2"), Some("v2"), at(0)).unwrap();
    assert_eq!(shown(&secret), "v1{AWSPENDING} v2{AWSCURRENT,AWSPREVIOUS,blue}");
}

#[test]
fn every_case_of_moving_a_label() {
    type Case<'a> = (&'a str, Option<&'a str>, Option<&'a str>, Result<&'a str, SecretError>);
    let elsewhere = |label: &str| Err(SecretError::LabelElsewhere { label: label.to_owned() });
    let cases: &[Case<'_>] = &[
        ("x", None, None, Err(SecretError::NeitherVersion)),
        ("x", None, Some("v1"), Ok("v1{AWSPREVIOUS,x} v2{AWSCURRENT,blue}")),
        ("blue", None, Some("v2"), Ok("v1{AWSPREVIOUS} v2{AWSCURRENT,blue}")),
        (
            CURRENT,
            None,
            Some("v1"),
            Err(SecretError::LabelNeedsRemoveFrom { label: CURRENT.into(), holder: "v2".into() }),
        ),
        ("blue", Some("v2"), Some("v1"), Ok("v1{AWSPREVIOUS,blue} v2{AWSCURRENT}")),
        ("blue", Some("v1"), Some("v2"), elsewhere("blue")),
        ("blue", Some("v2"), None, Ok("v1{AWSPREVIOUS} v2{AWSCURRENT}")),
        (CURRENT, Some("v2"), None, Err(SecretError::CurrentCannotBeRemoved)),
        ("blue", Some("v1"), None, elsewhere("blue")),
        ("x", Some("v1"), None, elsewhere("x")),
        ("blue", None, Some("v9"), Err(SecretError::NoValueForVersion { version_id: "v9".into() })),
        ("blue", Some("v9"), None, elsewhere("blue")),
        ("blue", Some("v9"), Some("v1"), elsewhere("blue")),
        (CURRENT, Some("v2"), Some("v1"), Ok("v1{AWSCURRENT} v2{AWSPREVIOUS,blue}")),
    ];
    for (label, remove_from, move_to, expected) in cases {
        let mut secret = SecretRecord::default();
        put(&mut secret, "v1", &[]).unwrap();
        put(&mut secret, "v2", &[CURRENT, "blue"]).unwrap();
        let outcome = secret.move_label(label, *remove_from, *move_to, at(0)).map(|()| shown(&secret));
        assert_eq!(
            outcome.as_deref(),
            expected.as_ref().map(|text| *text),
            "{label} {remove_from:?} {move_to:?}"
        );
    }
}

#[test]
fn current_never_moves_onto_an_empty_placeholder() {
    let mut secret = SecretRecord::default();
    put(&mut secret, "v1", &[]).unwrap();
    secret.versions.push(VersionEntry {
        id: "v2".into(),
        labels: vec![PENDING.into()],
        ..VersionEntry::default()
    });
    assert_eq!(
        secret.move_label(CURRENT, Some("v1"), Some("v2"), at(0)),
        Err(SecretError::CurrentOnEmptyVersion)
    );
    assert_eq!(secret.token("v2"), Token::Placeholder);
    put(&mut secret, "v2", &[PENDING]).unwrap();
    assert_eq!(secret.token("v2"), Token::Version);
    assert_eq!(shown(&secret), "v1{AWSCURRENT} v2{AWSPENDING}");
}

#[test]
fn twenty_labels_and_no_more() {
    let mut secret = SecretRecord::default();
    let labels: Vec<String> = (0..19).map(|n| format!("l{n}")).collect();
    secret.add_version(entry("v1", at(0)), Some(labels), at(0)).unwrap();
    assert_eq!(secret.move_label("one-more", None, Some("v1"), at(0)), Err(SecretError::TooManyLabels));
}

#[test]
fn the_label_that_comes_by_itself_is_not_counted() {
    let mut secret = SecretRecord::default();
    let labels: Vec<String> = (0..19).map(|n| format!("l{n}")).collect();
    secret.add_version(entry("v1", at(0)), Some(labels), at(0)).unwrap();
    // Twenty labels by name; the new value leaves AWSPREVIOUS behind as well.
    put(&mut secret, "v2", &[]).unwrap();
    assert_eq!(secret.holder(PREVIOUS).unwrap().id, "v1");
    secret.move_label(CURRENT, Some("v2"), Some("v1"), at(0)).unwrap();
    assert_eq!(secret.holder(PREVIOUS).unwrap().id, "v2");
    assert_eq!(put(&mut secret, "v3", &["one-more"]), Err(SecretError::TooManyLabels));
}

#[test]
fn old_deprecated_versions_make_room_and_young_ones_do_not() {
    let day = 24 * 3600;
    let mut secret = SecretRecord::default();
    for n in 0..100 {
        secret.add_version(entry(&format!("v{n}"), at(n)), None, at(n)).unwrap();
    }
    assert_eq!(secret.add_version(entry("x", at(200)), None, at(200)), Err(SecretError::TooManyVersions));
    let dropped = secret.add_version(entry("x", at(day)), None, at(day)).unwrap().dropped;
    assert_eq!(dropped, ["v0"]);
    assert_eq!(secret.versions.len(), 100);
    assert_eq!(secret.holder(CURRENT).unwrap().id, "x");
    assert_eq!(secret.holder(PREVIOUS).unwrap().id, "v99");
}

#[test]
fn selecting_a_version() {
    let mut secret = SecretRecord::default();
    let no_label = |label: &str| SecretError::NoValueForLabel { label: label.into() };
    assert_eq!(secret.select(None, None).map(|v| v.id.clone()), Err(no_label(CURRENT)));
    put(&mut secret, "v1", &[]).unwrap();
    put(&mut secret, "v2", &[]).unwrap();
    put(&mut secret, "v3", &[]).unwrap();
    for (id, label, expected) in [
        (None, None, Ok("v3")),
        (None, Some(PREVIOUS), Ok("v2")),
        (Some("v1"), None, Ok("v1")),
        (Some("v3"), Some(CURRENT), Ok("v3")),
        (Some("v2"), Some(CURRENT), Err(SecretError::LabelNotOnVersion)),
        (Some("v9"), Some(CURRENT), Err(SecretError::NoValueForVersion { version_id: "v9".into() })),
        (None, Some("x"), Err(no_label("x"))),
    ] {
        assert_eq!(secret.select(id, label).map(|version| version.id.as_str()), expected);
    }
}

#[test]
fn half_a_million_secrets_fit_into_a_region() {
    assert_eq!(ensure_room(499_999), Ok(()));
    assert_eq!(ensure_room(500_000), Err(SecretError::TooManySecrets));
    assert_eq!(ensure_room(usize::MAX), Err(SecretError::TooManySecrets));
}

//! The state of rotation on a secret, step by step.

use super::*;

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:111122223333:function:rotate";

fn at(text: &str) -> Timestamp {
    Timestamp::parse_iso(text).unwrap()
}

/// Noon of a day of January 2026.
fn noon(day: u32) -> Timestamp {
    at(&format!("2026-01-{day:02}T12:00:00.250Z"))
}

fn rules(days: Option<i64>, expression: Option<&str>, duration: Option<&str>) -> RotationRulesType {
    RotationRulesType {
        automatically_after_days: days,
        duration: duration.map(str::to_owned),
        schedule_expression: expression.map(str::to_owned),
    }
}

fn with_rules(rules: RotationRulesType) -> Configuration {
    Configuration { rules: Some(Rules::from_request(rules).unwrap()), ..Configuration::default() }
}

fn put(secret: &mut SecretRecord, id: &str, labels: Option<&[&str]>, now: Timestamp) -> bool {
    let version =
        VersionEntry { id: id.to_owned(), created_at: now, has_value: true, ..VersionEntry::default() };
    let labels = labels.map(|labels| labels.iter().map(|label| (*label).to_owned()).collect());
    secret.add_version(version, labels, now).unwrap().abandons_rotation
}

/// A secret whose value is of the 1st of January.
fn secret() -> SecretRecord {
    let mut secret =
        SecretRecord { arn: String::from("arn"), created_at: noon(1), ..SecretRecord::default() };
    put(&mut secret, "v1", None, noon(1));
    secret
}

fn rotation(secret: &SecretRecord) -> &RotationRecord {
    secret.rotation.as_deref().unwrap()
}

fn next_date(secret: &SecretRecord) -> Option<String> {
    Shown::of(secret).next_date.map(Timestamp::to_iso_millis)
}

fn shown(secret: &SecretRecord) -> String {
    let versions = secret.versions.iter().map(|version| {
        let empty = if version.has_value { "" } else { "!" };
        format!("{}{empty}{{{}}}", version.id, version.labels.join(","))
    });
    versions.collect::<Vec<_>>().join(" ")
}

#[test]
fn rules_are_days_or_an_expression() {
    let read = |days, expression, duration| Rules::from_request(rules(days, expression, duration)).map(drop);
    assert_eq!(read(Some(30), None, None), Ok(()));
    assert_eq!(read(Some(1000), None, Some("3h")), Ok(()));
    assert_eq!(read(None, Some("rate(10 days)"), Some("3h")), Ok(()));
    assert_eq!(read(Some(1), Some("rate(1 day)"), None), Err(SecretError::BothSchedules));
    assert_eq!(read(None, None, None), Err(SecretError::NeitherSchedule));
    assert_eq!(read(None, None, Some("3h")), Err(SecretError::NeitherSchedule));
    let too_long = SecretError::Schedule(ScheduleError::Duration { hours_max: 24 });
    assert_eq!(read(Some(30), None, Some("25h")), Err(too_long));
    assert_eq!(read(None, Some("daily"), None), Err(SecretError::Schedule(ScheduleError::Syntax)));
}

#[test]
fn the_function_is_the_one_asked_for_or_the_one_that_is_known() {
    let mut secret = secret();
    let asked = |arn: &str| Some(arn.to_owned());
    assert_eq!(secret.rotation_function(None), Err(SecretError::NoRotationFunction));
    assert_eq!(secret.rotation_function(asked("")), Err(SecretError::NoRotationFunction));
    assert_eq!(secret.rotation_function(asked(FUNCTION)), Ok(FUNCTION.to_owned()));
    assert!(secret.is_new_function(FUNCTION));
    secret.configure_rotation(FUNCTION.to_owned(), Configuration::default(), noon(2));
    assert_eq!(secret.rotation_function(None), Ok(FUNCTION.to_owned()));
    assert!(!secret.is_new_function(FUNCTION) && secret.is_new_function("other"));
    assert_eq!(secret.rotation_function(asked("other")), Ok(String::from("other")));
}

#[test]
fn what_is_absent_from_a_configuration_stays() {
    let mut secret = secret();
    let first = Configuration {
        role_arn: Some(String::from("role")),
        metadata: Some(vec![MetadataRecord { key: String::from("k"), value: String::from("v") }]),
        ..with_rules(rules(None, Some("cron(0 8 1 * ? *)"), Some("2h")))
    };
    secret.configure_rotation(FUNCTION.to_owned(), first, noon(2));
    secret.configure_rotation(FUNCTION.to_owned(), Configuration::default(), noon(3));
    assert_eq!(rotation(&secret).duration.as_deref(), Some("2h"));
    assert_eq!(rotation(&secret).schedule_set_at, noon(2));
    assert_eq!(next_date(&secret).as_deref(), Some("2026-02-01T09:59:59.000Z"));
    // Rules go as a whole: the duration was not for these.
    secret.configure_rotation(FUNCTION.to_owned(), with_rules(rules(Some(30), None, None)), noon(4));
    let now = rotation(&secret);
    assert_eq!((now.after_days, &now.expression, &now.duration), (Some(30), &None, &None));
    assert_eq!((now.schedule_set_at, now.role_arn.as_deref()), (noon(4), Some("role")));
    assert_eq!(now.metadata.as_ref().map(Vec::len), Some(1));
}

#[test]
fn without_rules_nothing_is_due() {
    let mut secret = secret();
    secret.configure_rotation(FUNCTION.to_owned(), Configuration::default(), noon(2));
    let shown = Shown::of(&secret);
    assert_eq!((shown.enabled, shown.next_date), (Some(true), None));
    assert!(shown.rules.is_none());
}

#[test]
fn days_count_from_the_value_until_a_rotation_begins() {
    let mut secret = secret();
    secret.configure_rotation(FUNCTION.to_owned(), with_rules(rules(Some(10), None, None)), noon(3));
    assert_eq!(next_date(&secret).as_deref(), Some("2026-01-11T23:59:59.000Z"));
    secret.begin_rotation("t1", noon(3)).unwrap();
    assert_eq!(next_date(&secret).as_deref(), Some("2026-01-13T23:59:59.000Z"));
}

#[test]
fn a_value_that_is_changed_by_hand_counts_as_a_rotation() {
    let mut secret = secret();
    secret.configure_rotation(FUNCTION.to_owned(), with_rules(rules(Some(10), None, None)), noon(3));
    put(&mut secret, "v2", None, noon(5));
    assert_eq!(next_date(&secret).as_deref(), Some("2026-01-15T23:59:59.000Z"));
    // A version that does not become current changes no value.
    put(&mut secret, "v3", Some(&["mine"]), noon(7));
    assert_eq!(next_date(&secret).as_deref(), Some("2026-01-15T23:59:59.000Z"));
    // Without rotation there is nothing to count.
    secret.cancel_rotation(noon(8)).unwrap();
    put(&mut secret, "v4", None, noon(9));
    assert_eq!(next_date(&secret), None);
}

#[test]
fn a_rotation_by_hand_from_its_beginning_to_its_end() {
    let mut secret = secret();
    secret.configure_rotation(FUNCTION.to_owned(), with_rules(rules(Some(10), None, None)), noon(2));
    secret.begin_rotation("t1", noon(2)).unwrap();
    assert_eq!(shown(&secret), "v1{AWSCURRENT} t1!{AWSPENDING}");
    assert!(secret.is_latest_rotation("t1") && !secret.is_latest_rotation("v1"));
    assert_eq!(secret.ensure_nothing_pending(), Err(SecretError::RotationIncomplete));

    assert!(!put(&mut secret, "t1", Some(&[PENDING]), noon(2)));
    assert_eq!(shown(&secret), "v1{AWSCURRENT} t1{AWSPENDING}");
    secret.move_label(CURRENT, Some("v1"), Some("t1"), noon(2)).unwrap();
    assert_eq!(shown(&secret), "v1{AWSPREVIOUS} t1{AWSCURRENT,AWSPENDING}");
    // AWSPENDING on the current version is what a finished rotation looks like.
    assert_eq!(secret.ensure_nothing_pending(), Ok(()));
    secret.begin_rotation("t2", noon(3)).unwrap();
    assert_eq!(shown(&secret), "v1{AWSPREVIOUS} t1{AWSCURRENT} t2!{AWSPENDING}");
}

#[test]
fn a_new_value_abandons_a_rotation_that_is_under_way() {
    let begun = || {
        let mut secret = secret();
        secret.configure_rotation(FUNCTION.to_owned(), Configuration::default(), noon(2));
        secret.begin_rotation("t1", noon(2)).unwrap();
        secret
    };
    let mut secret = begun();
    assert!(put(&mut secret, "v2", None, noon(3)));
    assert_eq!(shown(&secret), "v1{AWSPREVIOUS} t1!{} v2{AWSCURRENT}");
    assert!(!put(&mut secret, "v3", None, noon(3)), "once");

    let mut secret = begun();
    assert!(!put(&mut secret, "v2", Some(&["mine"]), noon(3)), "it does not become current");
    assert!(rotation(&secret).running);

    let mut secret = begun();
    assert!(!put(&mut secret, "t1", None, noon(3)), "its own value");
    assert_eq!(shown(&secret), "v1{AWSPREVIOUS} t1{AWSCURRENT,AWSPENDING}");
    assert!(!put(&mut secret, "v2", None, noon(4)), "it was promoted");
    assert!(!rotation(&secret).running);

    let mut secret = begun();
    put(&mut secret, "t1", None, noon(3));
    assert!(!secret.abandon_rotation(), "it was promoted");
    assert!(!rotation(&secret).running);

    let mut secret = begun();
    assert!(secret.abandon_rotation());
    assert!(!secret.abandon_rotation(), "once");
}

#[test]
fn a_secret_without_a_value_is_filled_by_its_rotation() {
    let mut secret = SecretRecord::default();
    secret.configure_rotation(FUNCTION.to_owned(), Configuration::default(), noon(2));
    secret.begin_rotation("t1", noon(2)).unwrap();
    put(&mut secret, "t1", Some(&[PENDING]), noon(2));
    // Not current by itself: the function promotes it, and need not say from where.
    assert_eq!(shown(&secret), "t1{AWSPENDING}");
    secret.move_label(CURRENT, None, Some("t1"), noon(2)).unwrap();
    assert_eq!(shown(&secret), "t1{AWSCURRENT,AWSPENDING}");
}

#[test]
fn cancelling_keeps_labels_and_configuration() {
    let mut secret = secret();
    assert_eq!(secret.cancel_rotation(noon(2)), Err(SecretError::NoRotationFunction));
    secret.configure_rotation(FUNCTION.to_owned(), with_rules(rules(Some(10), None, None)), noon(2));
    secret.begin_rotation("t1", noon(2)).unwrap();
    secret.cancel_rotation(noon(3)).unwrap();
    assert_eq!(shown(&secret), "v1{AWSCURRENT} t1!{AWSPENDING}");
    let shown = Shown::of(&secret);
    assert_eq!((shown.enabled, shown.next_date), (Some(false), None));
    assert_eq!(shown.function_arn.as_deref(), Some(FUNCTION));
    assert_eq!(shown.rules.and_then(|rules| rules.automatically_after_days), Some(10));
    // The call that began it is no longer that call; what is pending has to go first.
    assert!(!secret.is_latest_rotation("t1"));
    assert_eq!(secret.ensure_nothing_pending(), Err(SecretError::RotationIncomplete));
    assert_eq!(secret.cancel_rotation(noon(4)), Ok(()));
}

#[test]
fn a_rotation_needs_a_token_and_room_of_its_own() {
    let mut secret = secret();
    let used = SecretError::RotationTokenUsed { token: String::from("v1"), arn: String::from("arn") };
    assert_eq!(secret.begin_rotation("v1", noon(2)), Err(used));
    for number in 2..=100 {
        put(&mut secret, &format!("v{number}"), None, noon(1));
    }
    assert_eq!(secret.begin_rotation("t1", noon(1)), Err(SecretError::NoVersionForRotation));
    assert_eq!(secret.begin_rotation("t1", noon(4)), Ok(vec![String::from("v1")]));
}

#[test]
fn metadata_and_roles_of_external_secrets() {
    let item = |key: Option<&str>, value: Option<&str>| ExternalSecretRotationMetadataItem {
        key: key.map(str::to_owned),
        value: value.map(str::to_owned),
    };
    let read = |items| metadata_from_request(items).map(|items| items.len());
    assert_eq!(read(vec![item(Some("k"), Some("v")); 50]), Ok(50));
    assert_eq!(read(vec![item(Some("k"), Some("v")); 51]), Err(SecretError::TooMuchMetadata));
    assert_eq!(read(vec![item(Some("k"), None)]), Err(SecretError::MetadataIncomplete));
    assert_eq!(read(vec![item(None, Some("v"))]), Err(SecretError::MetadataIncomplete));
    for (arn, good) in [
        ("arn:aws:iam::111122223333:role/rotator", true),
        ("arn:aws:iam::111122223333:role/path/rotator", true),
        ("arn:aws:iam::111122223333:user/rotator", false),
        ("arn:aws:iam:::role/rotator", false),
        ("arn:aws:sts::111122223333:assumed-role/a/b", false),
        ("not an ARN, but long enough", false),
    ] {
        assert_eq!(check_role(arn).is_ok(), good, "{arn}");
    }
}

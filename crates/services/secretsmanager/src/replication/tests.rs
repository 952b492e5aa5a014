use super::*;

fn asked(regions: &[(&str, Option<&str>)]) -> Vec<ReplicaRegionType> {
    let region = |(region, key): &(&str, Option<&str>)| ReplicaRegionType {
        region: Some((*region).to_owned()),
        kms_key_id: key.map(str::to_owned),
    };
    regions.iter().map(region).collect()
}

fn understood(regions: Vec<ReplicaRegionType>) -> Result<Vec<Wanted>, SecretError> {
    Wanted::from_request(&"eu-west-1".parse().unwrap(), regions, None)
}

#[test]
fn what_may_be_asked_for() {
    let many = |count: usize| {
        (0..count)
            .map(|number| ReplicaRegionType { region: Some(format!("test-{number}")), kms_key_id: None })
            .collect::<Vec<_>>()
    };
    let twice = || SecretError::ReplicaRegionTwice { region: String::from("us-east-1") };
    for (regions, expected) in [
        (asked(&[("us-east-1", None)]), Ok(1)),
        (asked(&[("us-east-1", None), ("us-west-2", Some("alias/x"))]), Ok(2)),
        (asked(&[("us-east-1", None), ("us-east-1", None)]), Err(twice())),
        (asked(&[("us-east-1", None), ("eu-west-1", None)]), Err(SecretError::ReplicaRegionInvalid)),
        (asked(&[("global", None)]), Err(SecretError::ReplicaRegionInvalid)),
        (vec![ReplicaRegionType::default()], Err(SecretError::ReplicaRegionInvalid)),
        (many(REPLICAS_MAX), Ok(REPLICAS_MAX)),
        (many(REPLICAS_MAX + 1), Err(SecretError::TooManyReplicas)),
    ] {
        assert_eq!(understood(regions).map(|wanted| wanted.len()), expected);
    }
}

#[test]
fn an_empty_key_is_the_default_key_and_every_key_is_shown_as_it_was_written() {
    for (key, shown) in [
        (None, "alias/aws/secretsmanager"),
        (Some(""), "alias/aws/secretsmanager"),
        (Some("alias/aws/secretsmanager"), "alias/aws/secretsmanager"),
        (Some("1234abcd-12ab-34cd-56ef-1234567890ab"), "1234abcd-12ab-34cd-56ef-1234567890ab"),
    ] {
        let wanted = understood(asked(&[("us-east-1", key)])).unwrap();
        let replica = ReplicaRecord::new(&SecretRecord::default(), &wanted[0], 1, None);
        assert_eq!(replica.to_answer().kms_key_id.as_deref(), Some(shown), "{key:?}");
    }
}

#[test]
fn a_replica_is_in_progress_until_it_is_in_sync_or_failed() {
    let now = Timestamp::from_millis(1_000_000);
    let mut replica = ReplicaRecord { overwrites: true, ..ReplicaRecord::default() };
    let told = |replica: &ReplicaRecord| {
        let shown = replica.to_answer();
        (shown.status.unwrap(), shown.status_message, replica.due_at)
    };
    replica.begin();
    replica.make_due(now);
    assert_eq!(told(&replica), (String::from("InProgress"), None, Some(now)));
    replica.fail("Secret name a already exists in region us-east-1.");
    let failed = String::from("Replication failed: Secret name a already exists in region us-east-1.");
    assert_eq!(told(&replica), (String::from("Failed"), Some(failed), None));
    // Whoever tries again by himself asks nobody whether he may overwrite what is there by then.
    assert!(!replica.overwrites);
    replica.overwrites = true;
    replica.begin();
    replica.make_due(now);
    replica.put_off(now);
    assert!(replica.overwrites, "that attempt is not over");
    let later = Some(Timestamp::from_millis(1_030_000));
    assert_eq!(told(&replica), (String::from("InProgress"), None, later));
    replica.succeed();
    let succeeded = Some(String::from("Replication succeeded"));
    assert_eq!(told(&replica), (String::from("InSync"), succeeded.clone(), None));
    // It was asked for once, and must not undo a promotion later.
    assert!(!replica.overwrites);
    // A time alone is no news, but it travels.
    replica.make_due(now);
    assert_eq!(told(&replica), (String::from("InSync"), succeeded, Some(now)));
    assert_eq!(replica.change, 3);
}

#[test]
fn faults_are_tried_again_later_each_time() {
    let seconds: Vec<u64> =
        [0, 1, 2, 5, 6, 7, i64::MAX, -1].map(|faults| wait_after(faults).as_secs()).into();
    assert_eq!(seconds, [30, 60, 120, 960, 1800, 1800, 1800, 1800]);
}

#[test]
fn the_primary_region_is_told_where_there_is_replication() {
    let arn = String::from("arn:aws:secretsmanager:eu-west-1:111122223333:secret:a-AAAAAA");
    let secret = |replica_regions: &[&str], primary_region: Option<&str>| SecretRecord {
        arn: arn.clone(),
        replica_regions: replica_regions.iter().map(|region| (*region).to_owned()).collect(),
        primary_region: primary_region.map(str::to_owned),
        ..SecretRecord::default()
    };
    for (secret, expected) in [
        (secret(&[], None), None),
        (secret(&["us-east-1"], None), Some("eu-west-1")),
        (secret(&[], Some("us-west-2")), Some("us-west-2")),
    ] {
        assert_eq!(secret.shown_primary_region(), expected);
    }
}

#[test]
fn what_readers_see_is_news_and_the_rest_is_not() {
    let version = VersionEntry { id: String::from("1"), has_value: true, ..VersionEntry::default() };
    let secret = SecretRecord { versions: vec![version], ..SecretRecord::default() };
    let changed = |change: fn(&mut SecretRecord)| {
        let mut other = secret.clone();
        change(&mut other);
        !other.reads_like(&secret)
    };
    for (change, is_news) in [
        ((|secret| secret.description = Some(String::from("x"))) as fn(&mut SecretRecord), true),
        (|secret| secret.kind = Some(String::from("x")), true),
        (|secret| secret.tags = Some(Vec::new()), true),
        (|secret| secret.policies.push(String::from("default")), true),
        (|secret| secret.versions[0].labels.push(String::from("blue")), true),
        (|secret| secret.versions[0].has_value = false, true),
        (|secret| secret.versions.clear(), true),
        (|secret| secret.versions[0].accessed_on = Some(Timestamp::from_millis(0)), false),
        (|secret| secret.accessed_on = Some(Timestamp::from_millis(0)), false),
        (|secret| secret.changed_at = Timestamp::from_millis(1), false),
        (|secret| secret.kms_key_id = Some(String::from("x")), false),
        (|secret| secret.replica_regions.push(String::from("us-east-1")), false),
    ] {
        assert_eq!(changed(change), is_news);
    }
}

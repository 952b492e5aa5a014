//! What happens to one secret: it is made, read, changed, deleted, restored. And the calls that stand alone.

use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::Tag;

use crate::place::{Place, refused, seconds_until, step, value};

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

pub async fn made(place: Place) {
    let (client, name) = (&place.client, place.new_name());

    step("create");
    let made =
        client.create_secret().name(&name).description("the orders database").secret_string("пароль 🔑");
    let made = made.tags(tag("team", "orders")).send().await.unwrap();
    let (arn, version) = (made.arn().unwrap(), made.version_id().unwrap());
    assert!(arn.starts_with(&format!("arn:aws:secretsmanager:{}:", place.region)), "{arn}");
    assert_eq!(arn.rsplit_once(&format!(":secret:{name}-")).unwrap().1.len(), 6, "{arn}");
    assert_eq!((made.name(), version.len()), (Some(name.as_str()), 36));
    assert!(made.replication_status().is_empty());

    step("read by name, ARN and partial ARN");
    for id in [&name, arn, &arn[..arn.len() - 7]] {
        let got = client.get_secret_value().secret_id(id).send().await.unwrap();
        assert_eq!(
            (got.arn(), got.name(), got.version_id()),
            (Some(arn), Some(name.as_str()), Some(version))
        );
        assert_eq!(got.secret_string(), Some("пароль 🔑"));
        assert_eq!(got.secret_binary(), None);
        assert_eq!(got.version_stages(), ["AWSCURRENT"]);
        assert!((-60.0..1.0).contains(&seconds_until(got.created_date())), "{:?}", got.created_date());
    }

    step("describe");
    let described = client.describe_secret().secret_id(arn).send().await.unwrap();
    assert_eq!(described.description(), Some("the orders database"));
    assert_eq!(described.tags(), [tag("team", "orders")]);
    let labels = described.version_ids_to_stages().unwrap();
    assert_eq!((labels.len(), &labels[version]), (1, &vec!["AWSCURRENT".to_owned()]));
    assert!((-60.0..1.0).contains(&seconds_until(described.last_changed_date())));
    assert_eq!(described.last_accessed_date().unwrap().secs() % 86_400, 0, "the date of a day");
    assert_eq!((described.deleted_date(), described.rotation_enabled()), (None, None));
}

pub async fn bytes(place: Place) {
    let (client, name) = (&place.client, place.new_name());
    let all: Vec<u8> = (0..=255).collect();

    step("create with bytes");
    client.create_secret().name(&name).secret_binary(Blob::new(all.clone())).send().await.unwrap();
    let got = client.get_secret_value().secret_id(&name).send().await.unwrap();
    assert_eq!(got.secret_binary().unwrap().as_ref(), all);
    assert_eq!(got.secret_string(), None);

    step("put as many as there may be");
    let many: Vec<u8> = all.iter().copied().cycle().take(65_536).collect();
    client.put_secret_value().secret_id(&name).secret_binary(Blob::new(many.clone())).send().await.unwrap();
    let got = client.get_secret_value().secret_id(&name).send().await.unwrap();
    assert!(got.secret_binary().unwrap().as_ref() == many, "65,536 bytes");

    step("put one more than that");
    let more =
        client.put_secret_value().secret_id(&name).secret_binary(Blob::new(vec![7; 65_537])).send().await;
    refused(more, "ValidationException", "'secretBinary' failed to satisfy constraint");
}

pub async fn versions(place: Place) {
    let client = &place.client;
    let made = place.secret().await;
    let (id, first) = (made.arn().unwrap(), made.version_id().unwrap());
    let labelled = async |label: &str| {
        let got = client.get_secret_value().secret_id(id).version_stage(label).send().await;
        got.unwrap().secret_string.unwrap()
    };

    step("put");
    let put = client.put_secret_value().secret_id(id).secret_string("two").send().await.unwrap();
    assert_eq!(put.version_stages(), ["AWSCURRENT"]);
    let second = put.version_id().unwrap();
    assert_ne!(second, first);

    step("get by label and by version id");
    assert_eq!((labelled("AWSCURRENT").await, labelled("AWSPREVIOUS").await), ("two".into(), "one".into()));
    for (version, expected) in [(first, "one"), (second, "two")] {
        let got = client.get_secret_value().secret_id(id).version_id(version).send().await.unwrap();
        assert_eq!((got.secret_string(), got.version_id()), (Some(expected), Some(version)));
    }

    step("put with labels of one's own");
    let put = client.put_secret_value().secret_id(id).secret_string("three").version_stages("candidate");
    let third = put.version_stages("mine").send().await.unwrap();
    assert_eq!((labelled("candidate").await, labelled("AWSCURRENT").await), ("three".into(), "two".into()));

    step("move AWSCURRENT to it");
    let moved = client.update_secret_version_stage().secret_id(id).version_stage("AWSCURRENT");
    let moved = moved.remove_from_version_id(second).move_to_version_id(third.version_id().unwrap());
    moved.send().await.unwrap();
    assert_eq!((labelled("AWSCURRENT").await, labelled("AWSPREVIOUS").await), ("three".into(), "two".into()));

    step("move it back");
    let back = client.update_secret_version_stage().secret_id(id).version_stage("AWSCURRENT");
    let back = back.remove_from_version_id(third.version_id().unwrap()).move_to_version_id(second);
    back.send().await.unwrap();
    assert_eq!((value(client, id).await, labelled("AWSPREVIOUS").await), ("two".into(), "three".into()));

    step("get by a version id and a label that it does not have");
    let wrong =
        client.get_secret_value().secret_id(id).version_id(first).version_stage("AWSCURRENT").send().await;
    let wrong = refused(wrong, "InvalidRequestException", "not associated to the provided VersionId");
    assert!(matches!(wrong, GetSecretValueError::InvalidRequestException(_)), "{wrong:?}");
}

pub async fn changes(place: Place) {
    let client = &place.client;
    let made = place.secret().await;
    let id = made.arn().unwrap();

    step("update the description");
    let updated = client.update_secret().secret_id(id).description("new").send().await.unwrap();
    assert_eq!((updated.arn(), updated.version_id()), (Some(id), None), "that makes no version");

    step("update the value");
    let updated = client.update_secret().secret_id(id).secret_string("two").send().await.unwrap();
    assert_ne!(updated.version_id().unwrap(), made.version_id().unwrap());
    assert_eq!(value(client, id).await, "two");

    step("tag and untag");
    let tagged = client.tag_resource().secret_id(id).tags(tag("old", "")).tags(tag("new", "ä b"));
    tagged.send().await.unwrap();
    client.untag_resource().secret_id(id).tag_keys("old").tag_keys("never there").send().await.unwrap();
    let described = client.describe_secret().secret_id(id).send().await.unwrap();
    assert_eq!(described.tags(), [tag("new", "ä b")]);
    assert_eq!(described.description(), Some("new"));
}

pub async fn deletion(place: Place) {
    let client = &place.client;
    let made = place.secret().await;
    let id = made.arn().unwrap();

    step("schedule a deletion");
    let deleted = client.delete_secret().secret_id(id).recovery_window_in_days(7).send().await.unwrap();
    let days = seconds_until(deleted.deletion_date()) / 86_400.0;
    assert!((6.99..7.01).contains(&days), "{days} days");

    step("read what waits for its deletion");
    let closed = client.get_secret_value().secret_id(id).send().await;
    let closed = refused(closed, "InvalidRequestException", "because it was marked for deletion");
    assert!(matches!(closed, GetSecretValueError::InvalidRequestException(_)), "{closed:?}");
    let described = client.describe_secret().secret_id(id).send().await.unwrap();
    assert!((-60.0..1.0).contains(&seconds_until(described.deleted_date())), "it may still be described");

    step("restore");
    assert_eq!(client.restore_secret().secret_id(id).send().await.unwrap().arn(), Some(id));
    assert_eq!(value(client, id).await, "one");

    step("delete by force");
    client.delete_secret().secret_id(id).force_delete_without_recovery(true).send().await.unwrap();
    let gone = client.describe_secret().secret_id(id).send().await;
    assert!(refused(gone, "ResourceNotFoundException", "can't find").is_resource_not_found_exception());

    step("restore what is gone");
    let gone = client.restore_secret().secret_id(id).send().await;
    assert!(refused(gone, "ResourceNotFoundException", "can't find").is_resource_not_found_exception());
}

pub async fn many_at_once(place: Place) {
    const CALLS: usize = 40;
    let ids: Vec<String> = (0..CALLS).map(|_| place.new_name()).collect();
    let tasks = tokio::task::LocalSet::new();

    step("create, put and get in parallel");
    let running: Vec<_> = ids
        .iter()
        .map(|id| {
            let (client, id) = (place.client.clone(), id.clone());
            tasks.spawn_local(async move {
                client.create_secret().name(&id).secret_string("one").send().await.unwrap();
                client.put_secret_value().secret_id(&id).secret_string(&id).send().await.unwrap();
                value(&client, &id).await
            })
        })
        .collect();
    tasks.await;
    for (id, outcome) in ids.iter().zip(running) {
        assert_eq!(&outcome.await.unwrap(), id, "nobody got the answer of another");
    }
}

pub async fn password(place: Place) {
    step("a password as it comes");
    let plain = place.client.get_random_password().send().await.unwrap().random_password.unwrap();
    assert_eq!(plain.chars().count(), 32);

    step("a password of a chosen alphabet");
    let chosen = place.client.get_random_password().password_length(40).exclude_punctuation(true);
    let chosen = chosen.exclude_characters("abcXYZ019").send().await.unwrap().random_password.unwrap();
    assert!(chosen.len() == 40 && chosen.chars().all(|c| c.is_ascii_alphanumeric()), "{chosen}");
    assert!(!chosen.contains(|c| "abcXYZ019".contains(c)), "{chosen}");

    step("a password that cannot be");
    let short = place.client.get_random_password().password_length(3).send().await;
    assert!(refused(short, "InvalidParameterException", "").is_invalid_parameter_exception());
}

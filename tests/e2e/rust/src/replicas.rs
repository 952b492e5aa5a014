//! Replicas: made in another region, kept like their primary, and at last secrets of their own or gone.

use std::time::Duration;

use aws_sdk_secretsmanager::types::{ReplicaRegionType, ReplicationStatusType, StatusType};

use crate::place::{Place, refused, step, value};

const PATIENCE_TRIES: u32 = 400;
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until all replicas are in sync, and gives what is said of them.
async fn in_sync(place: &Place, id: &str) -> Vec<ReplicationStatusType> {
    let mut statuses = vec![];
    for _ in 0..PATIENCE_TRIES {
        let described = place.client.describe_secret().secret_id(id).send().await.unwrap();
        statuses = described.replication_status.unwrap_or_default();
        if statuses.iter().all(|status| status.status() == Some(&StatusType::InSync)) {
            return statuses;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("never in sync: {statuses:?}");
}

async fn replicate(place: &Place, id: &str) {
    let target = ReplicaRegionType::builder().region(&place.other_region).build();
    let asked =
        place.client.replicate_secret_to_regions().secret_id(id).add_replica_regions(target).send().await;
    let asked = asked.unwrap();
    let [status] = asked.replication_status() else { panic!("{asked:?}") };
    assert_eq!(status.region(), Some(place.other_region.as_str()));
    assert_eq!(status.status(), Some(&StatusType::InProgress));
}

pub async fn followed_and_promoted(place: Place) {
    let (here, there) = (&place.client, &place.there);
    let made = place.secret().await;
    let (arn, name) = (made.arn().unwrap(), made.name().unwrap());

    step("replicate to a region");
    replicate(&place, arn).await;
    let statuses = in_sync(&place, arn).await;
    assert_eq!(statuses[0].status_message(), Some("Replication succeeded"));

    step("read in that region");
    let replica = there.describe_secret().secret_id(name).send().await.unwrap();
    assert_eq!(replica.arn(), Some(arn.replace(&place.region, &place.other_region).as_str()));
    assert_eq!(replica.primary_region(), Some(place.region.as_str()));
    let got = there.get_secret_value().secret_id(name).send().await.unwrap();
    assert_eq!((got.secret_string(), got.version_id()), (Some("one"), made.version_id()));

    step("put at home, read there");
    here.put_secret_value().secret_id(arn).secret_string("two").send().await.unwrap();
    in_sync(&place, arn).await;
    assert_eq!(value(there, name).await, "two");

    step("promote");
    let promoted = there.stop_replication_to_replica().secret_id(name).send().await.unwrap();
    assert_eq!(promoted.arn(), replica.arn());
    there.put_secret_value().secret_id(name).secret_string("of its own").send().await.unwrap();
    let described = there.describe_secret().secret_id(name).send().await.unwrap();
    assert_eq!(described.primary_region(), None);

    step("each goes its own way");
    here.put_secret_value().secret_id(arn).secret_string("three").send().await.unwrap();
    assert!(in_sync(&place, arn).await.is_empty(), "nothing is left to follow");
    assert_eq!((value(here, arn).await, value(there, name).await), ("three".into(), "of its own".into()));
}

pub async fn kept_and_removed(place: Place) {
    let (here, there) = (&place.client, &place.there);
    let made = place.secret().await;
    let name = made.name().unwrap();
    replicate(&place, name).await;
    in_sync(&place, name).await;

    step("change the replica");
    let put = there.put_secret_value().secret_id(name).secret_string("two").send().await;
    let put = refused(put, "InvalidParameterException", "Operation not permitted on a replica secret.");
    assert!(put.is_invalid_parameter_exception());

    step("delete the primary before its replica");
    let deleted = here.delete_secret().secret_id(name).send().await;
    assert!(
        refused(deleted, "InvalidParameterException", &place.other_region).is_invalid_parameter_exception()
    );

    step("remove the replica, then the primary");
    let removed =
        here.remove_regions_from_replication().secret_id(name).remove_replica_regions(&place.other_region);
    assert!(removed.send().await.unwrap().replication_status().is_empty());
    here.delete_secret().secret_id(name).force_delete_without_recovery(true).send().await.unwrap();
    for _ in 0..PATIENCE_TRIES {
        match there.describe_secret().secret_id(name).send().await {
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
                return;
            }
            Err(error) => panic!("{error:?}"),
            Ok(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    panic!("the replica never went");
}

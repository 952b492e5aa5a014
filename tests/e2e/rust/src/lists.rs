//! Lists and batches, through the paginators that the SDK has: every page is turned, once, and the last one ends it.

use std::collections::BTreeSet;

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SortOrderType};

use crate::place::{Place, refused, step};

/// So many secrets; the part of their names that only they have, and the names.
async fn shelf(place: &Place, size: usize) -> (Filter, Vec<String>) {
    let prefix = place.new_name();
    let names: Vec<String> = (0..size).map(|number| format!("{prefix}/{number:02}")).collect();
    for name in &names {
        place.client.create_secret().name(name).secret_string(format!("of {name}")).send().await.unwrap();
    }
    let only_these = Filter::builder().key(FilterNameStringType::Name).values(format!("{prefix}/")).build();
    (only_these, names)
}

pub async fn secrets(place: Place) {
    step("fill a shelf");
    let (only_these, expected) = shelf(&place, 5).await;
    let list = || place.client.list_secrets().filters(only_these.clone()).sort_order(SortOrderType::Asc);

    step("page by page");
    let mut pages = list().into_paginator().page_size(2).send();
    let (mut sizes, mut found) = (vec![], vec![]);
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.secret_list().len());
        found.extend(page.secret_list().iter().map(|entry| entry.name().unwrap().to_owned()));
    }
    assert_eq!((sizes, found), (vec![2, 2, 1], expected));

    step("a page that is exactly the last");
    let pages = list().into_paginator().page_size(5).send().collect::<Vec<_>>().await;
    let sizes: Vec<usize> = pages.iter().map(|page| page.as_ref().unwrap().secret_list().len()).collect();
    assert_eq!(sizes, [5]);

    step("a token that nobody gave out");
    let foreign = list().next_token("nonsense").send().await;
    assert!(refused(foreign, "InvalidNextTokenException", "").is_invalid_next_token_exception());
}

pub async fn versions(place: Place) {
    let made = place.secret().await;
    let id = made.arn().unwrap();
    let mut expected = BTreeSet::from([made.version_id().unwrap().to_owned()]);
    step("put two more versions");
    for text in ["two", "three"] {
        let put = place.client.put_secret_value().secret_id(id).secret_string(text).send().await.unwrap();
        expected.insert(put.version_id.unwrap());
    }

    step("one version a page");
    let list = place.client.list_secret_version_ids().secret_id(id).include_deprecated(true);
    let mut pages = list.into_paginator().page_size(1).send();
    let (mut turned, mut found) = (0, BTreeSet::new());
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert_eq!((page.arn(), page.versions().len()), (Some(id), 1));
        found.insert(page.versions()[0].version_id().unwrap().to_owned());
        turned += 1;
    }
    assert_eq!((turned, found), (3, expected));

    step("a version without a label is listed only on request");
    let listed = place.client.list_secret_version_ids().secret_id(id).send().await.unwrap();
    let mut labels: Vec<&str> =
        listed.versions().iter().map(|version| version.version_stages()[0].as_str()).collect();
    labels.sort_unstable();
    assert_eq!(labels, ["AWSCURRENT", "AWSPREVIOUS"]);
}

pub async fn batches(place: Place) {
    step("fill a shelf");
    let (only_these, names) = shelf(&place, 23).await;
    let expected: Vec<String> = names.iter().map(|name| format!("of {name}")).collect();
    for (step_name, page_size, sizes) in
        [("pages as they come", None, vec![20, 3]), ("pages of ten", Some(10), vec![10, 10, 3])]
    {
        step(step_name);
        let batch = place.client.batch_get_secret_value().filters(only_these.clone());
        let mut paginator = batch.into_paginator();
        if let Some(size) = page_size {
            paginator = paginator.page_size(size);
        }
        let (mut turned, mut found) = (vec![], vec![]);
        let mut pages = paginator.send();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            turned.push(page.secret_values().len());
            found.extend(page.secret_values.unwrap().into_iter().map(|entry| entry.secret_string.unwrap()));
        }
        assert_eq!((turned, &found), (sizes, &expected));
    }
}

pub async fn batch_by_ids(place: Place) {
    let (made, missing) = (place.secret().await, place.new_name());

    step("one that is there and one that is not");
    let batch =
        place.client.batch_get_secret_value().secret_id_list(made.arn().unwrap()).secret_id_list(&missing);
    let batch = batch.send().await.unwrap();
    let [entry] = batch.secret_values() else { panic!("{batch:?}") };
    assert_eq!((entry.name(), entry.secret_string()), (made.name(), Some("one")));
    let [error] = batch.errors() else { panic!("{batch:?}") };
    assert_eq!(
        (error.secret_id(), error.error_code()),
        (Some(missing.as_str()), Some("ResourceNotFoundException"))
    );

    step("neither ids nor filters");
    let neither = place.client.batch_get_secret_value().send().await;
    let neither = refused(neither, "InvalidParameterException", "Either 'SecretIdList' or 'Filters'");
    assert!(neither.is_invalid_parameter_exception());
}

//! Filters of lists: what matches, and in which order it comes.

use std::collections::BTreeMap;

use serde_json::json;

use super::{entries, file, server, text};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_filter_matches_what_it_matches_on_aws() {
    let (file, server) = (file(), server().await);
    let mut stages = BTreeMap::new();
    for (number, (name, secrets)) in file["filter_datasets"].as_object().unwrap().iter().enumerate() {
        let stage = Stage::new(&server, number);
        for secret in secrets.as_array().unwrap() {
            let input = json!({
                "Name": secret["name"], "Description": secret["description"], "Tags": secret["tags"],
            });
            stage.get("CreateSecret", input).await;
        }
        stages.insert(name.as_str(), stage);
    }
    let filters = entries(&file, "filters");
    assert_eq!(filters.len(), 31);
    for vector in filters {
        let stage = &stages[text(&vector["dataset"])];
        let mut found = Vec::new();
        let mut next = None::<String>;
        // Page by page, so that filters and tokens are tried together.
        loop {
            let mut input = json!({"Filters": vector["filters"], "MaxResults": 2});
            if let Some(next) = &next {
                input["NextToken"] = next.as_str().into();
            }
            let page = stage.get("ListSecrets", input).await;
            found.extend(entries(&page, "SecretList").iter().map(|secret| secret["Name"].clone()));
            next = page["NextToken"].as_str().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        assert_eq!(json!(found), vector["matches"], "{vector}");
    }
    server.stop().await;
}

//! Facts recorded on AWS, played against a running server.
//!
//! Every vector of the file is executed. One that nobody knows how to come to or to see fails.

mod across;
mod errors;
mod facts;
mod fields;
mod filters;
mod labels;
mod links;
mod rotation;

use coffer_testkit::{Engine, TestServer};
use serde_json::Value;

use crate::place;

fn file() -> Value {
    place::json(&place::tests("vectors/secretsmanager-vectors.json"))
}

fn entries<'f>(file: &'f Value, section: &str) -> &'f Vec<Value> {
    file[section].as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn server() -> TestServer {
    TestServer::start(Engine::Memory, 1).await
}

#[test]
fn every_section_of_the_file_is_played_by_a_module() {
    let file = file();
    let about = ["api", "api_version", "version", "evidence_legend", "placeholders", "filter_note"];
    let mut sections: Vec<&str> = file.as_object().unwrap().keys().map(String::as_str).collect();
    sections.retain(|section| !about.contains(section));
    sections.sort_unstable();
    let played = [
        "cross_account_sequences",
        "errors",
        "filter_datasets",
        "filters",
        "misc",
        "response_fields",
        "rotation",
        "staging_sequences",
    ];
    assert_eq!(sections, played);
}

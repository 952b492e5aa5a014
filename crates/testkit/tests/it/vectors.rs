//! Facts recorded on AWS, played against a running server.
//!
//! Every vector of the file is executed, or belongs to an operation that is not served, or stands with its reason in
//! `tests/vectors/secretsmanager-pending.txt`. Both lists are compared exactly, and only shrink.

mod across;
mod errors;
mod facts;
mod fields;
mod filters;
mod labels;
mod links;
mod rotation;

use std::collections::{BTreeSet, HashSet};

use coffer_testkit::{Engine, TestServer};
use expect_test::expect_file;
use serde_json::Value;

use crate::place;

/// What is done with one vector.
#[derive(Debug, PartialEq)]
enum Plan {
    Run,
    Unserved(String),
    Pending(&'static str),
}

const NO_FUNCTIONS: &str = "functions do not run yet";

fn file() -> Value {
    place::json(&place::tests("vectors/secretsmanager-vectors.json"))
}

fn entries<'f>(file: &'f Value, section: &str) -> &'f Vec<Value> {
    file[section].as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn served() -> HashSet<&'static str> {
    let registry = coffer_server::open::registry();
    let specs = registry.public().into_iter();
    specs.filter(|spec| spec.service.name == "secretsmanager").map(|spec| spec.name).collect()
}

/// Runs unless nobody serves the operation.
fn if_served(operation: &str) -> Plan {
    let name = operation.split('.').next().unwrap_or_default();
    if served().contains(name) { Plan::Run } else { Plan::Unserved(name.to_owned()) }
}

async fn server() -> TestServer {
    TestServer::start(Engine::Memory, 1).await
}

#[test]
fn what_is_not_executed_stands_in_the_lists() {
    let file = file();
    let mut plans: Vec<(String, Plan)> = Vec::new();
    for vector in entries(&file, "errors") {
        plans.push((format!("errors {}", text(&vector["id"])), errors::plan(vector)));
    }
    for vector in entries(&file, "response_fields") {
        let id = format!("response_fields {}: {}", text(&vector["operation"]), text(&vector["context"]));
        plans.push((id, fields::plan(vector)));
    }
    for vector in entries(&file, "misc") {
        plans.push((format!("misc {}", text(&vector["fact"])), facts::plan(text(&vector["fact"]))));
    }
    for fact in rotation::facts(&file) {
        plans.push((format!("rotation {fact}"), rotation::plan(fact)));
    }
    // All label sequences, filters and links between accounts are executed.

    let mut pending = String::new();
    let mut unserved = BTreeSet::new();
    let mut run = 0;
    for (id, plan) in plans {
        match plan {
            Plan::Run => run += 1,
            Plan::Unserved(operation) => drop(unserved.insert(operation)),
            Plan::Pending(reason) => pending.push_str(&format!("{id}\n  {reason}\n")),
        }
    }
    let unserved: Vec<String> = unserved.into_iter().collect();
    println!("executed: {run}; skipped, because nobody serves them: {}", unserved.join(", "));
    expect_file![place::tests("vectors/secretsmanager-pending.txt")].assert_eq(&pending);
    expect_file![place::tests("vectors/secretsmanager-unserved.txt")]
        .assert_eq(&(unserved.join("\n") + "\n"));
}

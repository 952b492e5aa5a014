//! The golden exchanges: one file per operation, each against a server of its own.
//!
//! `UPDATE_EXPECT=1` writes the answers that came into the files; the difference is the review. The same files run over the
//! database too, where a restart closes and opens real files: the answers must not tell the engines apart.

use std::{fs, path::Path};

use coffer_testkit::{Engine, Script, TestServer};
use expect_test::expect_file;

use crate::place::tests;

/// Files whose operation nobody serves yet. This list only shrinks.
const NOT_SERVED: &[&str] = &[];

/// Every file, as `<service>/<operation>.wire`, in order.
fn files() -> Vec<String> {
    let mut files = Vec::new();
    for service in fs::read_dir(tests("wire")).unwrap() {
        let service = service.unwrap();
        for file in fs::read_dir(service.path()).unwrap() {
            let names = [service.file_name(), file.unwrap().file_name()];
            files.push(names.map(|name| name.into_string().unwrap()).join("/"));
        }
    }
    files.sort();
    files
}

async fn run_all(engine: Engine, check: impl Fn(&Path, &str)) {
    let mut skipped = Vec::new();
    for file in files() {
        let path = tests("wire").join(&file);
        let script = Script::parse(&fs::read_to_string(&path).unwrap());
        let unserved = script.unserved();
        if !unserved.is_empty() {
            println!("skipped: {}: {}", file, unserved.join(", "));
            skipped.push(format!("{}: {}", file, unserved.join(", ")));
            continue;
        }
        let server = TestServer::start(engine, 1).await;
        check(&path, &script.run(&server).await);
        server.stop().await;
    }
    assert_eq!(skipped, NOT_SERVED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_exchange_has_the_answer_on_paper() {
    run_all(Engine::Memory, |path, came| expect_file![path].assert_eq(came)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_gives_the_same_answers_as_the_memory() {
    run_all(Engine::Sqlite, |path, came| {
        // One test writes the files; this one would race with it.
        if std::env::var_os("UPDATE_EXPECT").is_none() {
            expect_file![path].assert_eq(came);
        }
    })
    .await;
}

#[test]
fn every_served_operation_has_its_file() {
    let present = files();
    let served = coffer_server::open::registry().public();
    let wanted = served.iter().map(|spec| format!("{}/{}.wire", spec.service.name, kebab(spec.name)));
    let missing: Vec<String> = wanted.filter(|file| !present.contains(file)).collect();
    assert_eq!(missing, [] as [&str; 0]);
}

/// `GetOpenIDConnectProvider` -> `get-open-id-connect-provider`
pub(crate) fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (place, letter) in letters.iter().enumerate() {
        let follows_small = place > 0 && letters[place - 1].is_lowercase();
        let leads_small = letters.get(place + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && place > 0 && (follows_small || leads_small) {
            out.push('-');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

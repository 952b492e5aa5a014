//! Looking at a store that a crash left behind: a log that lost acknowledged writes is named by everybody who looks, a person may go
//! on without them, and looking itself leaves no trace.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use coffer_server::{data_dir::DataDir, open::Store, world};
use coffer_store::{Dir, KeyRange, Read, Txn, TxnToken, Write};

use crate::place::Place;

const LOG: &str = "data/store.db-wal";

/// A store whose server was killed at the end of its second start, with its log as it was then.
fn killed() -> Place {
    let place = Place::new();
    place.server().stop();
    drop(place.server());
    assert!(!place.read(LOG).is_empty());
    place
}

/// One bit, in the last page that was written.
fn flip(place: &Place) -> Vec<u8> {
    let mut log = place.read(LOG);
    let at = log.len() - 100;
    log[at] ^= 16;
    place.write(LOG, &log);
    log
}

#[test]
fn a_damaged_log_is_named_by_all_and_given_up_by_name_only() {
    let place = killed();
    let damaged = flip(&place);

    let start = place.run(&["server", "--listen", "127.0.0.1:0"]);
    assert_eq!(start.code, 2, "{start:?}");
    let command = "coffer accept-loss ";
    let verify = place.run(&["verify"]);
    assert_eq!(verify.code, 2, "{verify:?}");
    let doctor = place.run(&["doctor"]);
    assert_eq!(doctor.code, 1, "{doctor:?}");
    for says in [&start.stderr, &verify.stdout, &doctor.stdout] {
        assert!(says.contains("the write-ahead log is damaged at frame"), "{says}");
        assert!(says.contains("acknowledged commits") && says.contains(command), "{says}");
    }
    assert_eq!(place.read(LOG), damaged, "nobody changed it");

    // Between the command and the id stand the flags of this command line.
    let id = start.stderr.split(command).nth(1).unwrap().lines().next().unwrap();
    let id = id.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_hexdigit())).unwrap();
    let other = place.run(&["accept-loss", "0123456789abcdef-1"]);
    assert!(other.code == 1 && other.stderr.contains("nothing was given up"), "{other:?}");
    assert_eq!(place.read(LOG), damaged);

    let done = place.run(&["accept-loss", id]).done();
    assert!(done.contains("given up"), "{done}");
    assert_eq!(place.read(&format!("{LOG}.damaged-{id}")), damaged, "the log is kept");
    let doctor = place.run(&["doctor"]);
    assert!(doctor.stdout.contains("given up by command"), "{doctor:?}");
    place.run(&["verify"]).done();
    place.server().stop();
}

#[test]
fn a_log_of_a_crash_is_no_damage() {
    let place = killed();
    place.run(&["verify"]).done();
    let doctor = place.run(&["doctor"]);
    assert!(doctor.stdout.contains("whole, and read at the next start"), "{doctor:?}");
    place.server().stop();
}

/// Names, sizes and times of everything in a directory.
fn traces(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        found.push(format!("{} {} {}.{}", path.display(), about.len(), about.mtime(), about.mtime_nsec()));
        if about.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}

#[test]
fn verify_leaves_no_trace() {
    for crashed in [true, false] {
        let place = Place::new();
        let server = place.server();
        if crashed {
            drop(server);
        } else {
            server.stop();
        }
        // What a backup does not bring along.
        fs::remove_file(place.path("data/store.db-shm")).ok();
        fs::remove_file(place.path("data/control.sock")).ok();
        let before = traces(&place.path("data"));
        let report: serde_json::Value =
            serde_json::from_str(&place.run(&["verify", "--json"]).done()).unwrap();
        assert_eq!(report["records"], 4, "{report}");
        assert_eq!(traces(&place.path("data")), before, "crashed: {crashed}");
    }
}

/// Takes away what lies in a table, as no handler ever would.
fn without_table(place: &Place, table: u16) {
    let data = place.path("data");
    let world = world::system(&data.join("audit"));
    let store = Store::take(DataDir::existing(&data).unwrap(), 0, &world).unwrap();
    let engine = store.engine();
    for (partition, _) in engine.partitions().unwrap() {
        let range = KeyRange::prefix(&table.to_be_bytes());
        let page = engine.scan(&partition, &range, Dir::Forward, 100, Read::Latest).unwrap();
        let mut txn = Txn::new(partition, TxnToken([7; 16]));
        txn.writes = page.entries.into_iter().map(|entry| Write::Delete { key: entry.key }).collect();
        engine.commit(&[txn]).unwrap();
    }
}

#[test]
fn records_that_contradict_each_other_are_counted_by_kind_and_named_on_request() {
    const IAM_USER: u16 = 0x10;
    const KIND: &str = "an access key of a user who does not exist";
    let place = Place::new();
    place.server().stop();
    let credentials = place.text("data/bootstrap/credentials");
    let key_id = credentials.lines().find_map(|line| line.strip_prefix("aws_access_key_id = ")).unwrap();
    without_table(&place, IAM_USER);

    let hidden = place.run(&["verify", "--json"]);
    assert_eq!(hidden.code, 2, "{hidden:?}");
    let report: serde_json::Value = serde_json::from_str(&hidden.stdout).unwrap();
    assert_eq!(
        (&report["contradictions"][KIND], &report["problem_count"]),
        (&1.into(), &1.into()),
        "{report}"
    );
    assert!(!hidden.stdout.contains(key_id), "{hidden:?}");
    let named = place.run(&["verify", "--names"]);
    assert!(named.code == 2 && named.stdout.contains(key_id) && named.stdout.contains(KIND), "{named:?}");
}

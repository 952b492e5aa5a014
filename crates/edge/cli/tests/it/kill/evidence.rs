//! What the audit log of a dead server says, read with the key of the store.
//!
//! An event may stand in the log twice when the move out of the store was cut off; its event id tells. Segments of earlier
//! processes are never written again, so what was read of them is kept, and it is checked that they are as long as they were.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use coffer_barrier::{Barrier, KeyringFile, SlotKey, keyfile};
use coffer_core::{open_row, verify_segment};
use coffer_crypto::SystemEntropy;
use coffer_server::{data_dir::DataDir, open::Store, world};
use coffer_store::{AuditPlace, PAGE_ENTRIES_MAX};
use serde_json::Value;

use super::journal::{Entry, Fate};

const SERVICE: &str = "secretsmanager.amazonaws.com";
/// What the service asks the other account when two secrets are linked. Nobody calls it.
const ACCEPTANCE: &str = "AcceptCrossAccountReplication";

/// An event of an API call, as far as the judge cares.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    operation: String,
    request_id: String,
    failed: bool,
    token: Option<String>,
}

type Events = BTreeMap<String, Call>;

/// What has been read of a store.
#[derive(Default)]
pub(crate) struct Evidence {
    segments: BTreeMap<String, (usize, Events)>,
    rows: Events,
}

impl Evidence {
    /// Reads what is new in a data directory that nobody uses.
    pub(crate) fn read(&mut self, data: &Path, keyfile: &Path) {
        let world = world::system(&data.join("audit"));
        let store = Store::take(DataDir::existing(data).unwrap(), 0, &world).unwrap();
        let key = SlotKey::Keyfile(keyfile::read(keyfile).unwrap());
        let keyring = KeyringFile::read(&data.join("keyring")).unwrap();
        let barrier = keyring.unseal(&key, Arc::new(SystemEntropy)).unwrap().barrier();
        for name in world.audit_files.list().unwrap() {
            let bytes = world.audit_files.read(&name).unwrap();
            match self.segments.get(&name) {
                Some((length, _)) => assert_eq!(*length, bytes.len(), "{name} belongs to an earlier process"),
                None => {
                    let events = read_segment(&barrier, &bytes);
                    self.segments.insert(name, (bytes.len(), events));
                }
            }
        }
        self.rows = read_rows(&store, &barrier);
    }

    /// Each answered call has exactly one event, and there are no more events than calls.
    pub(crate) fn check(&self, entries: &[Entry]) -> Result<(), String> {
        let mut calls: BTreeMap<&str, &Call> = BTreeMap::new();
        let mut by_request: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
        for (id, call) in self.segments.values().flat_map(|(_, events)| events).chain(&self.rows) {
            match calls.insert(id, call) {
                None => by_request.entry(&call.request_id).or_default().push(call),
                Some(known) if known == call => {}
                Some(known) => return Err(format!("event {id} is two events: {known:?} and {call:?}")),
            }
        }
        let mut unanswered = 0;
        let mut answered = 0;
        for entry in entries {
            let (request_id, failed) = match &entry.fate {
                Fate::Acknowledged { request_id } => (request_id, false),
                Fate::Refused { request_id, .. } => (request_id, true),
                Fate::Sent => {
                    unanswered += 1;
                    continue;
                }
                Fate::NotSent => continue,
            };
            answered += 1;
            match by_request.get(request_id.as_str()).map(Vec::as_slice) {
                Some([call]) if call.operation == entry.operation && call.failed == failed => {}
                other => return Err(format!("{entry:?} has these events: {other:?}")),
            }
        }
        let surplus = calls.len() - answered;
        if surplus > unanswered {
            return Err(format!("{surplus} events belong to no answer, but {unanswered} requests were open"));
        }
        Ok(())
    }

    /// The tokens of all calls that succeeded.
    pub(crate) fn tokens(&self) -> BTreeSet<String> {
        let calls = self.segments.values().flat_map(|(_, events)| events.values()).chain(self.rows.values());
        calls.filter(|call| !call.failed).filter_map(|call| call.token.clone()).collect()
    }
}

/// Everything on record in a data directory that nobody uses, each event once.
pub(crate) fn every_event(data: &Path, keyfile: &Path) -> Vec<Value> {
    let world = world::system(&data.join("audit"));
    let store = Store::take(DataDir::existing(data).unwrap(), 0, &world).unwrap();
    let key = SlotKey::Keyfile(keyfile::read(keyfile).unwrap());
    let keyring = KeyringFile::read(&data.join("keyring")).unwrap();
    let barrier = keyring.unseal(&key, Arc::new(SystemEntropy)).unwrap().barrier();
    let mut events = BTreeMap::new();
    let mut keep = |event: &str| {
        let event: Value = serde_json::from_str(event).expect("an event is JSON");
        events.insert(event["eventID"].to_string(), event);
    };
    for name in world.audit_files.list().unwrap() {
        let bytes = world.audit_files.read(&name).unwrap();
        assert_eq!(verify_segment(&barrier, &bytes, &mut keep).problem, None);
    }
    each_row(&store, &barrier, &mut keep);
    events.into_values().collect()
}

fn read_segment(barrier: &Barrier, bytes: &[u8]) -> Events {
    let mut events = Events::new();
    let report = verify_segment(barrier, bytes, &mut |event| note(&mut events, event));
    assert_eq!(report.problem, None);
    events
}

fn read_rows(store: &Store, barrier: &Barrier) -> Events {
    let mut events = Events::new();
    each_row(store, barrier, &mut |event| note(&mut events, event));
    events
}

fn each_row(store: &Store, barrier: &Barrier, visit: &mut dyn FnMut(&str)) {
    let engine = store.engine();
    for (partition, _) in engine.partitions().unwrap() {
        let mut after = AuditPlace::default();
        loop {
            let rows = engine.audit_rows(&partition, after, PAGE_ENTRIES_MAX).unwrap();
            let Some(last) = rows.last() else { break };
            after = last.place;
            for row in &rows {
                visit(&open_row(barrier, &partition, row).expect("the row opens"));
            }
        }
    }
}

fn note(events: &mut Events, event: &str) {
    let event: Value = serde_json::from_str(event).expect("an event is JSON");
    let is_call = event["eventType"] == "AwsApiCall" && event["eventSource"] == SERVICE;
    if !is_call || event["eventName"] == ACCEPTANCE {
        return;
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let call = Call {
        operation: text(&event["eventName"]).unwrap(),
        request_id: text(&event["requestID"]).unwrap(),
        failed: !event["errorCode"].is_null(),
        token: text(&event["requestParameters"]["clientRequestToken"]),
    };
    events.insert(text(&event["eventID"]).unwrap(), call);
}

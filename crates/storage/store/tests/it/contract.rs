//! One contract, many engines.

use std::{cell::RefCell, sync::atomic::Ordering};

use coffer_store::{
    MemoryEngine,
    testing::{FailingEngine, conformance},
};

use crate::open;

#[test]
fn the_memory_engine_keeps_the_contract() {
    conformance(&|| Box::new(MemoryEngine::new()));
}

#[test]
fn the_sqlite_engine_keeps_the_contract() {
    let parent = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU64::new(0);
    conformance(&|| {
        let name = count.fetch_add(1, Ordering::Relaxed).to_string();
        Box::new(open(&parent.path().join(name)))
    });
}

#[test]
fn the_failing_engine_keeps_it_too_while_nothing_is_planned() {
    let made = RefCell::new(0);
    conformance(&|| {
        *made.borrow_mut() += 1;
        Box::new(FailingEngine::new(Box::new(MemoryEngine::new())))
    });
    assert!(made.into_inner() > 10);
}

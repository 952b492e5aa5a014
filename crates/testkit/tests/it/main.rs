//! Coffer as its clients see it: every test speaks HTTP to a running server.

mod exchanges;

use std::path::PathBuf;

/// `tests/` at the root of the project.
fn tests_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests").canonicalize().unwrap()
}

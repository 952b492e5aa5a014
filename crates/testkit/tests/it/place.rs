//! Where the files of these tests lie.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A place under `tests/` at the root of the project.
pub(crate) fn tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").canonicalize().unwrap().join(path)
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

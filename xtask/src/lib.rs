//! Chores of the repository, as a library so that tests can hold the tree against them.
//!
//! The way of a model: botocore's JSON -> [`import`] -> `models/<service>.json` (facts, [`facts`]) + `models/<service>.toml`
//! (our knowledge, [`overlay`]) -> [`service`] (the two joined and checked) -> [`render`] -> `crates/protocol/model`.
//!
//! The same knowledge is told to people: [`fidelity`] writes docs/services/<service>.md from it.
//!
//! Beside it stands [`bench`], which measures the server that all of this becomes.
//!
//! Nothing here is shipped, and nothing that is shipped depends on it: the generated code is checked in.

pub mod bench;
pub mod codegen;
pub mod facts;
pub mod fidelity;
pub mod import;
pub mod manual;
pub mod marks;
pub mod names;
pub mod overlay;
pub mod render;
pub mod service;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The working tree and where things live in it.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The tree this binary was built from.
    pub fn here() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self { root: manifest.parent().unwrap_or(manifest).to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn facts(&self, service: &str) -> PathBuf {
        self.root.join("models").join(format!("{service}.json"))
    }

    pub fn overlay(&self, service: &str) -> PathBuf {
        self.root.join("models").join(format!("{service}.toml"))
    }

    pub fn generated(&self) -> PathBuf {
        self.root.join("crates/protocol/model/src")
    }

    /// Every service that has an overlay, by name.
    pub fn services(&self) -> Result<Vec<String>> {
        let models = self.root.join("models");
        let mut services = Vec::new();
        for entry in fs::read_dir(&models).with_context(|| models.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "toml")
                && let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
            {
                services.push(name.to_owned());
            }
        }
        services.sort();
        Ok(services)
    }
}

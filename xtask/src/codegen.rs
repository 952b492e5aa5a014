//! Writes `crates/protocol/model/src/<service>/`, or tells what would change.
//!
//! The text is made in memory and formatted there, so that writing and comparing are the same work and a check leaves no
//! trace. A generated file that no model asks for any more is removed by writing and reported by checking.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{Tree, import, render, service::Service};

/// Writes what has changed and names it.
pub fn write(tree: &Tree) -> Result<Vec<PathBuf>> {
    let (files, orphans) = plan(tree)?;
    let mut written = Vec::new();
    for (path, text) in files {
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            import::write(&path, &text)?;
            written.push(path);
        }
    }
    for path in orphans {
        fs::remove_file(&path).with_context(|| path.display().to_string())?;
    }
    Ok(written)
}

/// The files that writing would change, add or remove; empty when all is well.
pub fn stale(tree: &Tree) -> Result<Vec<String>> {
    let (files, orphans) = plan(tree)?;
    let name = |path: &Path| path.strip_prefix(tree.root()).unwrap_or(path).display().to_string();
    let changed = files
        .iter()
        .filter(|(path, text)| fs::read_to_string(path).ok().as_ref() != Some(text))
        .map(|(path, _)| name(path));
    Ok(changed.chain(orphans.iter().map(|path| name(path))).collect())
}

/// Every file as it should be, and the generated files that should not be there.
fn plan(tree: &Tree) -> Result<(BTreeMap<PathBuf, String>, Vec<PathBuf>)> {
    let mut files = BTreeMap::new();
    for module in tree.services()? {
        let service = Service::load(tree, &module)?;
        for (name, text) in render::render(&service)? {
            let text = format(tree, &text).with_context(|| format!("{module}/{name}"))?;
            files.insert(tree.generated().join(&module).join(name), text);
        }
    }
    ensure!(!files.is_empty(), "models/ has no overlay");
    let mut orphans = Vec::new();
    for entry in fs::read_dir(tree.generated())? {
        let directory = entry?.path();
        if directory.is_dir() {
            for entry in fs::read_dir(directory)? {
                orphans.push(entry?.path());
            }
        }
    }
    orphans.retain(|path| !files.contains_key(path));
    Ok((files, orphans))
}

/// Through the rustfmt of the toolchain, with the workspace's settings.
fn format(tree: &Tree, text: &str) -> Result<String> {
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout", "--config-path"])
        .arg(tree.root().join("rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("rustfmt could not be started")?;
    // rustfmt reads all of its input before it writes, so the pipe cannot fill both ways.
    rustfmt.stdin.take().context("rustfmt has no input")?.write_all(text.as_bytes())?;
    let output = rustfmt.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

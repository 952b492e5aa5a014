//! The manual of the configuration file, taken from the types that read it.
//!
//! A key's doc comment is its manual entry, so the page cannot say anything else than the code does. The source is read as lines: the
//! structures of `config.rs` that end in `File` or `Section` hold nothing but documented fields.

use std::{fmt::Write, fs};

use anyhow::{Context, Result, ensure};

use crate::{Tree, import};

const SOURCE: &str = "crates/edge/server/src/config.rs";
const PAGE: &str = "docs/configuration.md";

/// Writes the page.
pub fn write(tree: &Tree) -> Result<&'static str> {
    import::write(&tree.root().join(PAGE), &page(tree)?)?;
    Ok(PAGE)
}

/// Whether the page says what the code says.
pub fn is_fresh(tree: &Tree) -> Result<bool> {
    let present = fs::read_to_string(tree.root().join(PAGE)).unwrap_or_default();
    Ok(present == page(tree)?)
}

fn page(tree: &Tree) -> Result<String> {
    let source =
        fs::read_to_string(tree.root().join(SOURCE)).with_context(|| format!("cannot read {SOURCE}"))?;
    let mut page = String::from(
        "# Configuration\n\n\
         <!-- Written by `cargo xtask manual` from crates/edge/server/src/config.rs; do not edit. -->\n\n\
         `coffer server --config FILE` reads a TOML file. Without the flag it is `coffer.toml` beside the keyfile, if it is there. A flag\n\
         wins over the file, and the file over the defaults. Unknown keys are refused. No key holds a secret; keys name files that do.\n",
    );
    let mut keys = 0;
    for (name, body) in structures(&source) {
        let documented = documented(body);
        match name.strip_suffix("Section") {
            // One that holds nothing but sections.
            Some(_) if documented.is_empty() => {}
            Some(section) => write!(page, "\n## `[{}]`\n", dotted(section))?,
            None => page.push_str("\n## At the top of the file\n"),
        }
        for (key, entry) in documented {
            ensure!(!entry.is_empty(), "{SOURCE}: the key {key} has no doc comment");
            write!(page, "\n### `{key}`\n\n{entry}\n")?;
            keys += 1;
        }
    }
    ensure!(keys > 0, "{SOURCE}: no key was found");
    Ok(page)
}

/// A section in a section: `SealKms` is `seal.kms`.
fn dotted(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('.');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// The structures that the file is read into, in their order.
fn structures(source: &str) -> impl Iterator<Item = (&str, &str)> {
    source.split("\npub struct ").skip(1).filter_map(|text| {
        let (name, rest) = text.split_once(" {\n")?;
        let (body, _) = rest.split_once("\n}")?;
        (name.ends_with("File") || name.ends_with("Section")).then_some((name, body))
    })
}

/// Keys and what is said about them. A field that is a section of its own has its own heading and no comment here.
fn documented(body: &str) -> Vec<(&str, String)> {
    let mut keys = Vec::new();
    let mut entry = String::new();
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            if !entry.is_empty() {
                entry.push('\n');
            }
            entry.push_str(text);
        } else if let Some((key, kind)) = line.strip_prefix("pub ").and_then(|field| field.split_once(": ")) {
            let entry = std::mem::take(&mut entry);
            if !kind.trim_end_matches([',', '>']).ends_with("Section") {
                keys.push((key, entry));
            }
        }
    }
    keys
}

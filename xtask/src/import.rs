//! botocore's service models -> `models/<service>.json`.
//!
//! botocore ships the models that AWS publishes for its SDKs. We keep names, types, constraints and error codes, and drop
//! every sentence, example and address. Each attribute is listed as kept or dropped; one that is on neither list stops the
//! import, because it may change what a value looks like on the wire.
//!
//! Python unpacks the wheel: it is there wherever pip is, and a zip reader for a chore is not worth a dependency.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    Tree,
    facts::{Error, Facts, Metadata, Operation, Shape, Target},
};

/// Prints `{"version": .., "models": {service: model}}` for a wheel or a directory; the newest API version of each.
const UNPACK: &str = r#"
import gzip, json, pathlib, re, sys, zipfile
source, services = pathlib.Path(sys.argv[1]), sys.argv[2:]
root = zipfile.Path(source) if source.is_file() else source
if (root / "botocore").is_dir():
    root = root / "botocore"
init = (root / "__init__.py").read_text(encoding="utf-8")
version = re.search(r"__version__ = '([^']+)'", init).group(1)
models = {}
for service in services:
    home = root / "data" / service
    if not home.is_dir():
        sys.exit(f"botocore {version} has no service {service!r}")
    newest = max((entry for entry in home.iterdir() if entry.is_dir()), key=lambda entry: entry.name)
    packed = newest / "service-2.json.gz"
    if packed.is_file():
        models[service] = json.loads(gzip.decompress(packed.read_bytes()))
    else:
        models[service] = json.loads((newest / "service-2.json").read_text(encoding="utf-8"))
json.dump({"version": version, "models": models}, sys.stdout)
"#;

#[derive(Deserialize)]
struct Unpacked {
    version: String,
    models: BTreeMap<String, Map<String, Value>>,
}

/// Writes the facts of these services and says what was done, a line each.
pub fn import(tree: &Tree, services: &[String], botocore: Option<&Path>) -> Result<Vec<String>> {
    ensure!(!services.is_empty(), "name a service, or write an overlay first and use --all");
    let scratch = tempfile::tempdir()?;
    let source = match botocore {
        Some(path) => path.to_owned(),
        None => download(scratch.path())?,
    };
    let unpack = Command::new("python3").args(["-c", UNPACK]).arg(&source).args(services).output();
    let unpack = unpack.context("python3 could not be started")?;
    ensure!(
        unpack.status.success(),
        "{}: {}",
        source.display(),
        String::from_utf8_lossy(&unpack.stderr).trim()
    );
    let unpacked: Unpacked = serde_json::from_slice(&unpack.stdout)?;

    let mut report = vec![format!("botocore {}", unpacked.version)];
    for (service, model) in &unpacked.models {
        let facts = reduce(&unpacked.version, model).with_context(|| service.clone())?;
        let path = tree.facts(service);
        write(&path, &facts.print()?)?;
        report.push(format!("{service}: {} operations", facts.operations.len()));
    }
    Ok(report)
}

fn download(into: &Path) -> Result<PathBuf> {
    let status = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(into)
        .arg("botocore")
        .status()
        .context("python3 could not be started")?;
    ensure!(status.success(), "pip could not download botocore; give a wheel with --botocore");
    let wheel = fs::read_dir(into)?.next().context("pip downloaded nothing")??;
    Ok(wheel.path())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file of the working tree; losing it in a crash costs one more run"
)]
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, text).with_context(|| path.display().to_string())
}

/// The facts of one model of botocore.
pub fn reduce(version: &str, model: &Map<String, Value>) -> Result<Facts> {
    Ok(Facts {
        botocore: version.to_owned(),
        metadata: metadata(model)?,
        operations: each(model, "operations", operation)?,
        shapes: each(model, "shapes", shape)?,
    })
}

fn each<T>(
    model: &Map<String, Value>,
    section: &str,
    reduce: fn(&Map<String, Value>) -> Result<T>,
) -> Result<BTreeMap<String, T>> {
    let entries = model.get(section).and_then(Value::as_object).with_context(|| section.to_owned())?;
    entries
        .iter()
        .map(|(name, value)| {
            let value = value.as_object().with_context(|| name.clone())?;
            Ok((name.clone(), reduce(value).with_context(|| format!("{section}.{name}"))?))
        })
        .collect()
}

/// The attributes on the `keep` list; an attribute on neither list is an error.
fn pick<T: DeserializeOwned>(from: &Map<String, Value>, keep: &[&str], drop: &[&str]) -> Result<T> {
    let mut kept = Map::new();
    for (name, value) in from {
        if keep.contains(&name.as_str()) {
            kept.insert(name.clone(), value.clone());
        } else if !drop.contains(&name.as_str()) {
            bail!("attribute {name:?} is new: decide in import.rs whether it is a fact");
        }
    }
    Ok(serde_json::from_value(Value::Object(kept))?)
}

fn metadata(model: &Map<String, Value>) -> Result<Metadata> {
    let metadata = model.get("metadata").and_then(Value::as_object).context("metadata")?;
    pick(
        metadata,
        &[
            "apiVersion",
            "endpointPrefix",
            "jsonVersion",
            "protocols",
            "signingName",
            "targetPrefix",
            "xmlNamespace",
        ],
        &[
            "auth",
            "globalEndpoint",
            "protocol",
            "serviceAbbreviation",
            "serviceFullName",
            "serviceId",
            "signatureVersion",
            "uid",
        ],
    )
    .context("metadata")
}

fn operation(from: &Map<String, Value>) -> Result<Operation> {
    let mut facts: Operation = pick(
        from,
        &["authtype"],
        &[
            "auth",
            "deprecated",
            "deprecatedMessage",
            "documentation",
            "endpoint",
            "errors",
            "http",
            "idempotent",
            "input",
            "name",
            "output",
            "readonly",
        ],
    )?;
    let name = |value: &Value| value.get("shape").and_then(Value::as_str).map(str::to_owned);
    facts.input = from.get("input").and_then(name);
    facts.output = from.get("output").and_then(name);
    facts.result_wrapper = from
        .get("output")
        .and_then(|output| output.get("resultWrapper"))
        .and_then(Value::as_str)
        .map(str::to_owned);
    facts.errors =
        from.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(name).collect();
    let http = |key: &str| from.get("http").and_then(|http| http.get(key)).and_then(Value::as_str);
    let http = format!("{} {}", http("method").unwrap_or("POST"), http("requestUri").unwrap_or("/"));
    facts.http = (http != "POST /").then_some(http);
    let status = from.get("http").and_then(|http| http.get("responseCode")).and_then(Value::as_u64);
    facts.status = status.and_then(|status| u16::try_from(status).ok()).filter(|status| *status != 200);
    Ok(facts)
}

fn shape(from: &Map<String, Value>) -> Result<Shape> {
    let mut facts: Shape = pick(
        from,
        &[
            "enum",
            "exception",
            "fault",
            "flattened",
            "pattern",
            "payload",
            "required",
            "sensitive",
            "type",
            "union",
        ],
        &[
            "box",
            "deprecated",
            "deprecatedMessage",
            "documentation",
            "error",
            "event",
            "eventstream",
            "key",
            "max",
            "member",
            "members",
            "min",
            "streaming",
            "value",
        ],
    )?;
    facts.min = limit(from, "min")?;
    facts.max = limit(from, "max")?;
    facts.key = from.get("key").map(target).transpose()?;
    facts.member = from.get("member").map(target).transpose()?;
    facts.value = from.get("value").map(target).transpose()?;
    for (name, member) in from.get("members").and_then(Value::as_object).into_iter().flatten() {
        facts.members.push((name.clone(), target(member).with_context(|| name.clone())?));
    }
    facts.error = from
        .get("error")
        .and_then(Value::as_object)
        .map(|error| pick::<Error>(error, &["code", "httpStatusCode"], &["senderFault"]))
        .transpose()?;
    Ok(facts)
}

/// A limit of a double is written as one, and is whole all the same.
fn limit(from: &Map<String, Value>, name: &str) -> Result<Option<i64>> {
    let Some(value) = from.get(name) else { return Ok(None) };
    let text = value.to_string();
    let whole = text.strip_suffix(".0").unwrap_or(&text);
    Ok(Some(whole.parse().with_context(|| format!("{name}: {text}"))?))
}

fn target(from: &Value) -> Result<Target> {
    let from = from.as_object().context("not a use of a shape")?;
    pick(
        from,
        &["flattened", "idempotencyToken", "location", "locationName", "shape"],
        &["box", "deprecated", "deprecatedMessage", "deprecatedSince", "documentation", "eventpayload"],
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn model(shape: &Value) -> Map<String, Value> {
        let model = json!({
            "metadata": {"apiVersion": "1", "endpointPrefix": "x", "protocols": ["json"], "serviceFullName": "X"},
            "operations": {"Put": {
                "name": "Put", "http": {"method": "POST", "requestUri": "/"}, "documentation": "prose",
                "input": {"shape": "Name"}, "errors": [{"shape": "Gone"}],
            }},
            "shapes": {"Name": shape},
        });
        model.as_object().unwrap().clone()
    }

    #[test]
    fn prose_is_dropped_and_facts_are_kept() {
        let shape = json!({"type": "string", "max": 4, "sensitive": true, "documentation": "prose"});
        let text = reduce("9", &model(&shape)).unwrap().print().unwrap();
        assert!(!text.contains("prose") && !text.contains("serviceFullName"), "{text}");
        assert!(text.contains(r#""Name": {"max": 4, "sensitive": true, "type": "string"}"#), "{text}");
        assert!(text.contains(r#""Put": {"errors": ["Gone"], "input": "Name"}"#), "{text}");
    }

    #[test]
    fn an_attribute_nobody_has_decided_about_stops_the_import() {
        let error = reduce("9", &model(&json!({"type": "string", "document": true}))).unwrap_err();
        assert!(format!("{error:#}").contains("shapes.Name: attribute \"document\" is new"), "{error:#}");
    }
}

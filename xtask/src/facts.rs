//! `models/<service>.json`: what AWS publishes about a service, reduced to facts, as Rust types and back as text.
//!
//! The text is made for diffs: operations and shapes sorted by name, attributes sorted by name, one operation, one plain
//! shape or one member per line. Members keep the order of the model, because AWS reports violations in that order.
//!
//! Fields are declared in alphabetical order, so that serde writes them sorted. An attribute that is not listed here is an
//! error: the importer decides what is kept, and a new kind of fact wants a decision.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer, Serialize};

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    pub botocore: String,
    pub metadata: Metadata,
    pub operations: BTreeMap<String, Operation>,
    pub shapes: BTreeMap<String, Shape>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    pub api_version: String,
    pub endpoint_prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_version: Option<String>,
    pub protocols: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xml_namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// `none` for the few operations that anyone may call unsigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authtype: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// `METHOD path`; absent where it is `POST /`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_wrapper: Option<String>,
    /// Of a success; absent where it is 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    Blob,
    Boolean,
    Double,
    Float,
    Integer,
    List,
    Long,
    Map,
    #[default]
    String,
    Structure,
    Timestamp,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shape {
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub exception: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub fault: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub flattened: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Target>,
    #[serde(default, deserialize_with = "in_order", skip_serializing)]
    pub members: Vec<(String, Target)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The member that is the whole body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub sensitive: bool,
    #[serde(rename = "type")]
    pub kind: Type,
    #[serde(default, skip_serializing_if = "is_false")]
    pub union: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Target>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Error {
    /// Absent where it is the name of the shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub http_status_code: u16,
}

/// A use of a shape: in a member, as the element of a list, as the key or value of a map.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    #[serde(default, skip_serializing_if = "is_false")]
    pub flattened: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub idempotency_token: bool,
    /// Where a member of a REST request or answer stands, if not in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_name: Option<String>,
    pub shape: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

fn in_order<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, Target)>, D::Error> {
    serde_json::Map::deserialize(from)?
        .into_iter()
        .map(|(name, value)| Ok((name, Target::deserialize(value).map_err(serde::de::Error::custom)?)))
        .collect()
}

impl Facts {
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("not a reduced service model")
    }

    /// The file's text; `parse` of it gives the same facts.
    pub fn print(&self) -> Result<String> {
        let mut text = String::from("{\n");
        text += &format!(
            "\"botocore\": {},\n\"metadata\": {},\n\"operations\": {{",
            serde_json::to_string(&self.botocore)?,
            line(&self.metadata)?
        );
        let mut comma = "\n";
        for (name, operation) in &self.operations {
            text += &format!("{comma}  \"{name}\": {}", line(operation)?);
            comma = ",\n";
        }
        text += "\n},\n\"shapes\": {";
        comma = "\n";
        for (name, shape) in &self.shapes {
            text += &format!("{comma}  \"{name}\": {}", print_shape(shape)?);
            comma = ",\n";
        }
        text += "\n}\n}\n";
        Ok(text)
    }
}

/// A plain shape is one line; a structure has a line per member.
fn print_shape(shape: &Shape) -> Result<String> {
    let attributes = line(shape)?;
    if shape.members.is_empty() {
        return Ok(attributes);
    }
    let mut text = attributes.strip_suffix('}').unwrap_or(&attributes).to_owned();
    text += ", \"members\": {";
    let mut comma = "\n";
    for (name, target) in &shape.members {
        text += &format!("{comma}    \"{name}\": {}", line(target)?);
        comma = ",\n";
    }
    text += "\n  }}";
    Ok(text)
}

/// Compact JSON with a space after commas and colons, as a person would write it.
fn line<T: Serialize>(value: &T) -> Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Spaced))?;
    Ok(String::from_utf8(bytes)?)
}

struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, to: &mut W) -> std::io::Result<()> {
        to.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
"botocore": "1.0.0",
"metadata": {"apiVersion": "2017-10-17", "endpointPrefix": "x", "protocols": ["json"]},
"operations": {
  "Put": {"errors": ["Gone"], "input": "PutRequest"}
},
"shapes": {
  "Gone": {"exception": true, "type": "structure"},
  "Name": {"max": 64, "min": 1, "pattern": "[\\w]+", "type": "string"},
  "PutRequest": {"required": ["Zeta"], "type": "structure", "members": {
    "Zeta": {"shape": "Name"},
    "Alpha": {"idempotencyToken": true, "shape": "Name"}
  }}
}
}
"#;

    #[test]
    fn what_is_printed_reads_back_and_members_keep_their_order() {
        let facts = Facts::parse(TEXT).unwrap();
        assert_eq!(facts.print().unwrap(), TEXT);
        let members: Vec<&str> =
            facts.shapes["PutRequest"].members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(members, ["Zeta", "Alpha"]);
    }

    #[test]
    fn an_unknown_attribute_is_refused() {
        assert!(Facts::parse(&TEXT.replace("\"exception\"", "\"surprise\"")).is_err());
    }
}

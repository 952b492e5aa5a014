//! A service as we serve it: facts and overlay joined, checked against each other, reduced to what is reached.
//!
//! Everything a renderer could stumble over is found here and said with the file and the key, so that the renderers are
//! plain text templates. The important promise: a sensitive value cannot get onto an audit allow-list.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    Tree,
    facts::{Facts, Operation, Shape, Type},
    names,
    overlay::{Code, LengthIn, Overlay, Protocol},
};

/// Request bodies in bytes, unless an operation takes a larger value or says otherwise.
const JSON_BODY_BYTES_MAX: u32 = 256 * 1024;
/// A value of at most so many bytes is no reason for a larger body.
const SMALL_VALUE_BYTES: u32 = 64 * 1024;
/// What may stand around the largest value of a JSON body, each letter escaped: fifty tags take 225 KiB, a description 24 KiB.
const JSON_ROOM_BYTES: u32 = 288 * 1024;
const QUERY_BODY_BYTES_MAX: u32 = 64 * 1024;

#[derive(Debug)]
pub struct Service {
    /// The name of its files and of its module.
    pub module: String,
    pub facts: Facts,
    pub overlay: Overlay,
    /// Shapes that the inputs and outputs of served operations reach.
    pub reached: BTreeSet<String>,
    /// Constructor name -> error, for the errors that served operations declare.
    pub declared: BTreeMap<String, Code>,
}

/// A member of a REST request or answer that does not stand in its body.
#[derive(Debug)]
pub struct Bound {
    /// Its place in the structure.
    pub member: usize,
    /// What it is called where it stands.
    pub name: String,
    /// As [`coffer_shape`] calls it.
    pub place: &'static str,
    kind: Type,
}

impl Service {
    pub fn load(tree: &Tree, module: &str) -> Result<Self> {
        let read =
            |path: &std::path::Path| fs::read_to_string(path).with_context(|| path.display().to_string());
        let facts =
            Facts::parse(&read(&tree.facts(module))?).with_context(|| format!("models/{module}.json"))?;
        let overlay =
            Overlay::parse(&read(&tree.overlay(module))?).with_context(|| format!("models/{module}.toml"))?;
        Self::join(module, facts, overlay)
    }

    pub fn join(module: &str, facts: Facts, overlay: Overlay) -> Result<Self> {
        let mut service = Self {
            module: module.to_owned(),
            facts,
            overlay,
            reached: BTreeSet::new(),
            declared: BTreeMap::new(),
        };
        service.check_protocol().with_context(|| format!("models/{module}.toml"))?;
        service.reach().with_context(|| format!("models/{module}.json"))?;
        service.check_shapes().with_context(|| format!("models/{module}.toml"))?;
        service.check_operations().with_context(|| format!("models/{module}.toml"))?;
        service.declare().with_context(|| format!("models/{module}.json"))?;
        service.check_sentences().with_context(|| format!("models/{module}.toml"))?;
        service.check_names().with_context(|| format!("models/{module}.json"))?;
        Ok(service)
    }

    pub fn shape(&self, name: &str) -> Result<&Shape> {
        self.facts.shapes.get(name).with_context(|| format!("shapes.{name}: the model has no such shape"))
    }

    pub fn operation(&self, name: &str) -> Result<&Operation> {
        let operation = self.facts.operations.get(name);
        operation.with_context(|| format!("operations.{name}: the model has no such operation"))
    }

    /// Operations of the model that the overlay does not list.
    pub fn unserved(&self) -> impl Iterator<Item = &str> {
        self.facts
            .operations
            .keys()
            .map(String::as_str)
            .filter(|name| !self.overlay.operations.contains_key(*name))
    }

    /// A caller may write every letter of a value as an escape, and the body must not be what refuses it.
    pub fn body_limit(&self, operation: &Operation, asked: Option<u32>) -> Result<u32> {
        match (asked, self.overlay.protocol) {
            (Some(bytes), _) => Ok(bytes),
            (None, Protocol::Query) => Ok(QUERY_BODY_BYTES_MAX),
            (None, Protocol::AwsJson11 | Protocol::RestJson1) => {
                let mut shapes = BTreeSet::new();
                operation.input.iter().try_for_each(|input| self.follow(input, &mut shapes))?;
                let largest = shapes.iter().map(|name| self.escaped_bytes(name)).max().unwrap_or(0);
                let is_small = largest <= SMALL_VALUE_BYTES;
                Ok(if is_small { JSON_BODY_BYTES_MAX } else { largest.saturating_add(JSON_ROOM_BYTES) })
            }
        }
    }

    /// The most bytes that an allowed value of a shape takes in JSON, where `\u0041` is an A and base64 is a string too. A shape
    /// without a limit of its own must fit into what any body may have.
    fn escaped_bytes(&self, name: &str) -> u32 {
        const ESCAPE_LEN: u32 = 6;
        let Some(shape) = self.facts.shapes.get(name) else { return 0 };
        let Some(max) = shape.max.and_then(|max| u32::try_from(max).ok()) else { return 0 };
        let in_bytes = self.overlay.shapes.get(name).is_some_and(|ours| ours.length_in == LengthIn::Bytes);
        let escapes = match shape.kind {
            Type::String if in_bytes => max,
            // A character beyond the first 65,536 is a pair of escapes.
            Type::String => max.saturating_mul(2),
            Type::Blob => max.div_ceil(3).saturating_mul(4),
            _ => 0,
        };
        escapes.saturating_mul(ESCAPE_LEN)
    }

    pub fn is_sensitive(&self, name: &str) -> bool {
        self.facts.shapes.get(name).is_some_and(|shape| shape.sensitive)
            || self.overlay.shapes.get(name).is_some_and(|shape| shape.secret)
    }

    /// The constructor of a declared error.
    pub fn error_name(&self, shape: &str) -> String {
        let (short, whole) = (names::error(shape), names::snake(shape));
        if self.declared.contains_key(&whole) { whole } else { short }
    }

    /// Whether a secret is somewhere inside; such a type has no `Clone` and no `PartialEq`.
    pub fn holds_a_secret(&self, name: &str) -> bool {
        let mut shapes = BTreeSet::new();
        self.follow(name, &mut shapes).is_err() || shapes.iter().any(|name| self.is_sensitive(name))
    }

    fn check_protocol(&self) -> Result<()> {
        let metadata = &self.facts.metadata;
        let published = match self.overlay.protocol {
            Protocol::AwsJson11 => {
                ensure!(
                    metadata.target_prefix.is_some() && metadata.json_version.as_deref() == Some("1.1"),
                    "protocol: the model has no target prefix or is not JSON 1.1"
                );
                "json"
            }
            Protocol::Query => {
                ensure!(metadata.xml_namespace.is_some(), "protocol: the model has no XML namespace");
                "query"
            }
            Protocol::RestJson1 => "rest-json",
        };
        ensure!(
            metadata.protocols.iter().any(|protocol| protocol == published),
            "protocol: the model offers {:?}",
            metadata.protocols
        );
        Ok(())
    }

    fn reach(&mut self) -> Result<()> {
        let mut reached = BTreeSet::new();
        for name in self.overlay.operations.keys() {
            let operation = self.operation(name)?;
            for shape in operation.input.iter().chain(&operation.output) {
                self.follow(shape, &mut reached)?;
                ensure!(
                    self.shape(shape)?.kind == Type::Structure,
                    "shapes.{shape}: an input or output that is no structure"
                );
            }
            if self.overlay.protocol == Protocol::Query && operation.output.is_some() {
                // The codec writes `<Op>Result` around every answer; a model that differs needs a field for it.
                ensure!(
                    operation.result_wrapper.as_deref() == Some(&format!("{name}Result")),
                    "operations.{name}: the result wrapper is not {name}Result"
                );
            }
            let is_rest = self.overlay.protocol == Protocol::RestJson1;
            ensure!(is_rest == operation.http.is_some(), "operations.{name}: a path belongs to REST");
            if is_rest {
                self.check_rest(name, operation)?;
            }
        }
        self.reached = reached;
        for name in &self.reached {
            self.ensure_finite(name, &mut Vec::new())?;
        }
        Ok(())
    }

    /// Every label of the path is a member, and what stands outside of the body is of a kind that can.
    fn check_rest(&self, name: &str, operation: &Operation) -> Result<()> {
        let (_, path) = operation.http.as_deref().and_then(|http| http.split_once(' ')).context("no path")?;
        let bound = self.bound(operation.input.as_deref())?;
        let labels = path.split(['/', '?']).filter_map(|step| step.strip_prefix('{')?.strip_suffix('}'));
        let labels: BTreeSet<&str> = labels.collect();
        let uris = bound.iter().filter(|bound| bound.place == "Uri").map(|bound| bound.name.as_str());
        ensure!(labels == uris.collect(), "operations.{name}: the labels of {path} are not its members");
        let all = bound.into_iter().chain(self.bound(operation.output.as_deref())?);
        for Bound { name: member, place, kind, .. } in all {
            let is_plain = match place {
                "Payload" => kind == Type::Blob,
                "Query" => kind != Type::Map && kind != Type::Structure && kind != Type::Blob,
                _ => matches!(kind, Type::String | Type::Integer | Type::Long | Type::Boolean),
            };
            ensure!(is_plain, "operations.{name}: {member} is no plain value");
        }
        Ok(())
    }

    /// The members of an input or output that do not stand in the body.
    pub fn bound(&self, shape: Option<&str>) -> Result<Vec<Bound>> {
        let Some(shape) = shape else { return Ok(Vec::new()) };
        let shape = self.shape(shape)?;
        let mut bound = Vec::new();
        for (member, (name, target)) in shape.members.iter().enumerate() {
            let place = match target.location.as_deref() {
                Some("uri") => "Uri",
                Some("querystring") => "Query",
                Some("header") => "Header",
                Some("statusCode") => "Status",
                Some(other) => bail!("{name}: nobody can read a member at {other:?}"),
                None if shape.payload.as_ref() == Some(name) => "Payload",
                None => continue,
            };
            let mut name = target.location_name.as_ref().unwrap_or(name).clone();
            if place == "Header" {
                name.make_ascii_lowercase();
            }
            bound.push(Bound { member, name, place, kind: self.shape(&target.shape)?.kind });
        }
        Ok(bound)
    }

    fn follow(&self, name: &str, reached: &mut BTreeSet<String>) -> Result<()> {
        if !reached.insert(name.to_owned()) {
            return Ok(());
        }
        self.targets(name)?.into_iter().try_for_each(|target| self.follow(target, reached))
    }

    fn targets(&self, name: &str) -> Result<Vec<&str>> {
        let shape = self.shape(name)?;
        let parts = shape.key.iter().chain(&shape.value).chain(&shape.member);
        Ok(shape
            .members
            .iter()
            .map(|(_, target)| target)
            .chain(parts)
            .map(|target| target.shape.as_str())
            .collect())
    }

    /// A type that contains itself would need a box somewhere; none of what we serve does.
    fn ensure_finite(&self, name: &str, above: &mut Vec<String>) -> Result<()> {
        ensure!(
            !above.iter().any(|outer| outer == name),
            "shapes.{name}: contains itself, which needs a Box"
        );
        above.push(name.to_owned());
        for target in self.targets(name)? {
            self.ensure_finite(target, above)?;
        }
        above.pop();
        Ok(())
    }

    fn check_shapes(&self) -> Result<()> {
        for (name, ours) in &self.overlay.shapes {
            let shape = self.shape(name)?;
            ensure!(
                ours.pattern.is_none() || shape.pattern.is_some(),
                "shapes.{name}.pattern: the model publishes no pattern"
            );
            ensure!(
                ours.length_in == LengthIn::Characters || shape.kind == Type::String,
                "shapes.{name}.length_in: only strings are counted either way"
            );
        }
        let sensitive = self.facts.shapes.keys().filter(|name| self.is_sensitive(name));
        for name in
            sensitive.filter(|name| self.reached.contains(*name) || self.overlay.shapes.contains_key(*name))
        {
            let shape = self.shape(name)?;
            // Of a structure or map that the model calls sensitive as a whole, no audit record shows anything, and its members say
            // themselves what is secret about them.
            let is_whole = matches!(shape.kind, Type::Structure | Type::Map) && shape.sensitive;
            ensure!(
                is_whole || (matches!(shape.kind, Type::String | Type::Blob) && shape.values.is_empty()),
                "shapes.{name}: sensitive, but only free strings and blobs can be a Secret"
            );
        }
        Ok(())
    }

    fn check_operations(&self) -> Result<()> {
        for (name, ours) in &self.overlay.operations {
            let operation = self.operation(name)?;
            let key = format!("operations.{name}");
            self.check_audit(&ours.audit.request, operation.input.as_deref())
                .with_context(|| format!("{key}.audit.request"))?;
            self.check_audit(&ours.audit.response, operation.output.as_deref())
                .with_context(|| format!("{key}.audit.response"))?;
            ensure!(
                !ours.read_only || ours.audit.response.is_empty(),
                "{key}.audit.response: the record of a read has no answer in it"
            );
            for (condition, path) in &ours.conditions {
                self.check_condition(path, operation.input.as_deref())
                    .with_context(|| format!("{key}.conditions.{condition:?}"))?;
            }
            if let Some(owner) = &ours.owner {
                let kind = self.member(operation.input.as_deref(), owner).map(|shape| shape.kind);
                let kind = kind.with_context(|| format!("{key}.owner"))?;
                ensure!(kind == Type::String, "{key}.owner: {owner:?} is no text");
            }
            if let Some(action) = &ours.action {
                ensure!(action.contains(':'), "{key}.action: {action:?} is not <service>:<Action>");
            }
        }
        Ok(())
    }

    /// `Member`, or `Member.Inner` for a list of structures.
    fn check_condition(&self, path: &str, input: Option<&str>) -> Result<()> {
        let (member, inner) =
            path.split_once('.').map_or((path, None), |(member, inner)| (member, Some(inner)));
        let target = self.member(input, member)?;
        if let Some(inner) = inner {
            let element = target.member.as_ref().with_context(|| format!("{member:?} is no list"))?;
            self.member(Some(&element.shape), inner)?;
        }
        Ok(())
    }

    fn member(&self, shape: Option<&str>, name: &str) -> Result<&Shape> {
        let shape = self.shape(shape.context("there is no input")?)?;
        let found = shape.members.iter().find(|(member, _)| member == name);
        let (_, target) = found.with_context(|| format!("{name:?} is not a member"))?;
        self.shape(&target.shape)
    }

    fn check_audit(&self, allowed: &[String], shape: Option<&str>) -> Result<()> {
        let members = shape.map(|name| self.shape(name)).transpose()?.map_or(&[][..], |shape| &shape.members);
        let mut seen = BTreeSet::new();
        for name in allowed {
            let Some((_, target)) = members.iter().find(|(member, _)| member == name) else {
                bail!("{name:?} is not a member");
            };
            ensure!(!self.holds_a_secret(&target.shape), "{name:?} holds a secret");
            ensure!(seen.insert(name), "{name:?} stands there twice");
        }
        Ok(())
    }

    fn declare(&mut self) -> Result<()> {
        let mut declared: BTreeMap<String, Code> = BTreeMap::new();
        for name in self.overlay.operations.keys() {
            for shape in &self.operation(name)?.errors {
                declared.insert(names::error(shape), self.error(shape)?);
            }
        }
        for (name, code) in &self.overlay.errors {
            let is_given = self.overlay.operations.values().any(|operation| operation.errors.contains(name));
            ensure!(is_given, "errors.{name}: no operation gives it");
            ensure!(
                declared.insert(name.clone(), code.clone()).is_none(),
                "errors.{name}: the model declares it"
            );
        }
        for (operation, ours) in &self.overlay.operations {
            for name in &ours.errors {
                ensure!(self.overlay.errors.contains_key(name), "operations.{operation}: no error {name}");
            }
        }
        for (name, code) in self.overlay.codes.named() {
            // Where the layer in front answers with another code than the name says, the declared error keeps its whole name.
            match declared.remove(name) {
                Some(other) if other != *code => {
                    ensure!(
                        other.code != code.code,
                        "the declared error {name} differs from codes.{name} of the overlay"
                    );
                    declared.insert(format!("{name}_exception"), other);
                }
                _ => {}
            }
        }
        self.declared = declared;
        Ok(())
    }

    /// A sentence under a code that nobody can answer with is a slip.
    fn check_sentences(&self) -> Result<()> {
        let in_front = self.overlay.codes.named();
        let codes: BTreeSet<&str> = self
            .declared
            .values()
            .chain(in_front.map(|(_, code)| code))
            .map(|code| code.code.as_str())
            .collect();
        for code in self.overlay.sentences.keys() {
            ensure!(codes.contains(code.as_str()), "sentences.{code}: no operation answers with this code");
        }
        Ok(())
    }

    /// A declared error: the code is the shape's name unless the model has another, the fault is ours or the caller's.
    fn error(&self, name: &str) -> Result<Code> {
        let shape = self.shape(name)?;
        let message = shape.members.iter().find(|(member, _)| member.eq_ignore_ascii_case("message"));
        let status = if shape.fault { 500 } else { 400 };
        Ok(Code {
            code: shape.error.as_ref().and_then(|error| error.code.as_deref()).unwrap_or(name).to_owned(),
            status: shape.error.as_ref().map_or(status, |error| error.http_status_code),
            // A model that does not say how its message is spelt has it as the layer in front does.
            message: message.map_or_else(
                || self.spelling(name).to_owned(),
                |(member, target)| target.location_name.as_ref().unwrap_or(member).clone(),
            ),
        })
    }

    fn spelling(&self, name: &str) -> &str {
        let named = self.overlay.codes.named();
        named.into_iter().find(|(_, code)| code.code == name).map_or("message", |(_, code)| &code.message)
    }

    /// Two names that become one in Rust would not compile; say so here, where the model is at hand.
    fn check_names(&self) -> Result<()> {
        const TAKEN: &[&str] = &[
            "Action",
            "At",
            "AuditRule",
            "BTreeMap",
            "Bound",
            "Element",
            "Empty",
            "Entry",
            "Err",
            "Exposure",
            "Kind",
            "Limits",
            "Load",
            "Member",
            "None",
            "Ok",
            "Operation",
            "OperationSpec",
            "Option",
            "Pattern",
            "Protocol",
            "Read",
            "Reader",
            "Rest",
            "Result",
            "Schema",
            "Secret",
            "Self",
            "ServiceCodes",
            "ServiceSpec",
            "Shape",
            "Some",
            "String",
            "Timestamp",
            "TryFrom",
            "UnknownValue",
            "Vec",
            "Writer",
            "Wrote",
        ];
        let mut types: BTreeSet<&str> = TAKEN.iter().copied().collect();
        let mut statics = BTreeSet::new();
        for name in &self.reached {
            let shape = self.shape(name)?;
            ensure!(
                statics.insert(names::screaming(name)),
                "shapes.{name}: its static has the name of another"
            );
            if shape.kind == Type::Structure || !shape.values.is_empty() {
                ensure!(types.insert(name), "shapes.{name}: its type has a name that is taken");
            }
            let mut fields = BTreeSet::new();
            for (member, _) in &shape.members {
                ensure!(
                    fields.insert(names::field(member)),
                    "shapes.{name}.{member}: its field has the name of another"
                );
            }
        }
        for name in self.overlay.operations.keys() {
            ensure!(types.insert(name), "operations.{name}: its type has a name that is taken");
        }
        Ok(())
    }
}

//! `operations.rs`: a unit type with its specification per served operation, and an action per operation of the model.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::{
    facts, names,
    overlay::{Exposure, Load, Operation},
    service::{Bound, Service},
};

pub(super) fn render(service: &Service) -> Result<String> {
    let mut served = String::new();
    for (name, ours) in &service.overlay.operations {
        served += &operation(service, name, ours)?;
    }

    let mut text = super::header(service, "The operations that are served, and the actions of all.");
    if !service.overlay.operations.is_empty() {
        // `Shape` is never written out, but `SCHEMA` is its constant.
        text += &super::import(
            "coffer_shape",
            &[
                "Action",
                "At",
                "AuditRule",
                "Bound",
                "ConditionRule",
                "Empty",
                "Exposure",
                "Load",
                "Operation",
                "OperationSpec",
                "Rest",
                "Shape",
            ],
            &format!("{served} Shape"),
        );
        let mut types: Vec<&str> = service
            .overlay
            .operations
            .keys()
            .filter_map(|name| service.operation(name).ok())
            .flat_map(|operation| operation.input.iter().chain(&operation.output))
            .map(String::as_str)
            .collect();
        types.sort_unstable();
        types.dedup();
        let err = if served.contains("err::") { "err, " } else { "" };
        text += &format!("\nuse super::{{SERVICE, {err}shapes::{{{}}}}};\n", types.join(", "));
    }
    Ok(text + &served + &actions(service))
}

fn operation(service: &Service, name: &str, ours: &Operation) -> Result<String> {
    let facts = service.operation(name)?;
    let input = facts.input.as_deref().unwrap_or("Empty");
    let output = facts.output.as_deref().unwrap_or("Empty");
    let screaming = names::screaming(name);
    let action = match &ours.action {
        Some(action) => format!("Action({action:?})"),
        None => format!("action::{screaming}"),
    };
    let exposure = match ours.exposure {
        Exposure::Public => "Public",
        Exposure::Internal => "Internal",
    };
    // A declared error that is also the front layer's has the constant of the latter under its own name as well.
    let framework = service.overlay.codes.named().map(|(name, _)| name);
    let errors: Vec<String> = facts
        .errors
        .iter()
        .map(|shape| service.error_name(shape))
        .chain(ours.errors.iter().cloned())
        .filter(|error| service.declared.contains_key(error) || framework.contains(&error.as_str()))
        .map(|error| format!("err::{}", names::screaming(&error)))
        .collect();
    Ok(format!(
        "
#[derive(Debug, Clone, Copy)]
pub struct {name};

impl Operation for {name} {{
    type Input = {input};
    type Output = {output};
    const SPEC: &'static OperationSpec = &{screaming};
{}}}

pub(super) static {screaming}: OperationSpec = OperationSpec {{
    service: &SERVICE,
    name: {name:?},
    action: {action},
    read_only: {},
    load: Load::{},
    body_limit: {},
    exposure: Exposure::{exposure},
    audit: AuditRule {{ request: &{:?}, response: &{:?}, read_only: {} }},
    conditions: &[{}],
    rest: {},
    input: {input}::SCHEMA,
    output: {output}::SCHEMA,
    errors: &[{}],
}};
",
        owner(service, ours, facts.input.as_deref())?,
        ours.read_only,
        load(ours),
        grouped(service.body_limit(facts, ours.body_limit)?),
        ours.audit.request,
        ours.audit.response,
        ours.read_only || ours.audit.read_only,
        ours.conditions.iter().map(condition).collect::<String>(),
        rest(service, facts)?,
        errors.join(", "),
    ))
}

/// Credentials that are given out count as read, as they do in the audit log: nothing is kept of them.
const fn load(ours: &Operation) -> &'static str {
    match ours.load {
        Some(Load::List) => "List",
        Some(Load::Rotation) => "Rotation",
        None if ours.read_only || ours.audit.read_only => "Read",
        None => "Change",
    }
}

/// Where a REST operation is, and what of it does not stand in a body.
fn rest(service: &Service, facts: &facts::Operation) -> Result<String> {
    let Some(http) = &facts.http else { return Ok(String::from("None")) };
    let (method, path) = http.split_once(' ').unwrap_or((http, "/"));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (key, value) = query.split_once('=').unwrap_or((query, ""));
    let query = if query.is_empty() { String::from("None") } else { format!("Some(({key:?}, {value:?}))") };
    let bound = |shape: &Option<String>| -> Result<String> {
        let bound = service.bound(shape.as_deref())?;
        let line = |bound: &Bound| {
            format!("Bound {{ member: {}, at: At::{}, name: {:?} }},", bound.member, bound.place, bound.name)
        };
        Ok(bound.iter().map(line).collect())
    };
    Ok(format!(
        "Some(&Rest {{ method: {method:?}, path: {path:?}, query: {query}, status: {}, input: &[{}], output: &[{}] }})",
        facts.status.unwrap_or(200),
        bound(&facts.input)?,
        bound(&facts.output)?,
    ))
}

/// What the call is about, if it may be of another account.
fn owner(service: &Service, ours: &Operation, input: Option<&str>) -> Result<String> {
    let (Some(member), Some(input)) = (&ours.owner, input) else { return Ok(String::new()) };
    let field = names::field(member);
    let value = match service.shape(input)?.required.contains(member) {
        true => format!("Some(&input.{field})"),
        false => format!("input.{field}.as_deref()"),
    };
    Ok(format!("\nfn owner(input: &{input}) -> Option<&str> {{\n{value}\n}}\n"))
}

fn condition((key, path): (&String, &String)) -> String {
    let (member, inner) = match path.split_once('.') {
        Some((member, inner)) => (member, Some(inner)),
        None => (path.as_str(), None),
    };
    format!("ConditionRule {{ key: {key:?}, member: {member:?}, inner: {inner:?} }},")
}

/// `262144` -> `262_144`.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// Policies name every action, also of operations that we do not serve.
fn actions(service: &Service) -> String {
    let mut actions: BTreeMap<String, String> = BTreeMap::new();
    for name in service.facts.operations.keys().chain(&service.overlay.actions_without_operation) {
        actions.insert(names::screaming(name), format!("{}:{name}", service.overlay.name));
    }
    let mut text = String::from("\npub mod action {\nuse coffer_shape::Action;\n\n");
    for (name, action) in actions {
        text += &format!("pub const {name}: Action = Action({action:?});\n");
    }
    text + "}\n"
}

//! How faithful a service is to AWS's, as a page for whoever decides whether a program will work.
//!
//! What can be known from `models/` is written here: the members of each operation with their limits, the errors that AWS declares, what
//! goes on record, and the sentences of the overlay about what is as on AWS, what differs and what is missing, each with who told us.
//! What concerns the service as a whole is prose, and stands on the page outside the marks.
//!
//! A service has such a page when docs/services has a file of its name. Whether the sentences are true is not known here; that no error
//! of the service is missing among them is checked by a test that reads its source.

use std::{fmt::Write, fs};

use anyhow::{Context, Result};

use crate::{
    Tree,
    facts::{Shape, Type},
    import,
    marks::{Marks, splice},
    overlay::{self, Fact, LengthIn},
    service::Service,
};

const MARKS: Marks =
    ("<!-- From here on written by `cargo xtask manual` from models/. -->\n", "<!-- Up to here. -->\n");

/// Writes the pages and names them.
pub fn write(tree: &Tree) -> Result<Vec<String>> {
    let mut written = Vec::new();
    for (path, _, fresh) in pages(tree)? {
        import::write(&tree.root().join(&path), &fresh)?;
        written.push(path);
    }
    Ok(written)
}

/// Pages that do not say what `models/` says.
pub fn stale(tree: &Tree) -> Result<Vec<String>> {
    let pages = pages(tree)?.into_iter();
    Ok(pages.filter(|(_, present, fresh)| present != fresh).map(|(path, ..)| path).collect())
}

/// Path, present text and fresh text of every page.
fn pages(tree: &Tree) -> Result<Vec<(String, String, String)>> {
    let mut pages = Vec::new();
    for module in tree.services()? {
        let path = format!("docs/services/{module}.md");
        let Ok(present) = fs::read_to_string(tree.root().join(&path)) else { continue };
        let text = render(&Service::load(tree, &module)?)?;
        let fresh = splice(&present, MARKS, &text).with_context(|| format!("{path} has lost its marks"))?;
        pages.push((path, present, fresh));
    }
    Ok(pages)
}

/// The part of the page that is written.
pub fn render(service: &Service) -> Result<String> {
    let mut text = overview(service)?;
    text += "\n## Each operation\n";
    for name in service.overlay.operations.keys() {
        text += &operation(service, name)?;
    }
    text += "\n## Sentences of errors\n\n`<...>` stands for what is filled in.\n\n| Code | Sentence | Source |\n|---|---|---|\n";
    for (code, sentences) in &service.overlay.sentences {
        for sentence in sentences {
            writeln!(text, "| `{code}` | {} | {} |", code_span(sentence.text()), source(sentence))?;
        }
    }
    Ok(text)
}

fn overview(service: &Service) -> Result<String> {
    let mut text = String::from(
        "## Operations\n\n| Operation | Served | Differs on purpose | Not yet |\n|---|---|---|---|\n",
    );
    for name in service.facts.operations.keys() {
        match service.overlay.operations.get(name) {
            Some(ours) => {
                let count = |facts: &[Fact]| match facts.len() {
                    0 => String::from("-"),
                    count => count.to_string(),
                };
                let (differs, not_yet) = (count(&ours.page.differs), count(&ours.page.not_yet));
                writeln!(text, "| [{name}](#{}) | yes | {differs} | {not_yet} |", name.to_lowercase())?;
            }
            None => {
                let code = &service.overlay.codes.unknown_operation.code;
                writeln!(text, "| {name} | no: `{code}` | - | - |")?;
            }
        }
    }
    Ok(text)
}

fn operation(service: &Service, name: &str) -> Result<String> {
    let facts = service.operation(name)?;
    let ours = service.overlay.operations.get(name).context("an operation that is not served")?;
    let action = ours.action.clone().unwrap_or_else(|| format!("{}:{name}", service.overlay.name));
    let kind = if ours.read_only { "reads" } else { "writes" };
    let mut text = format!("\n### {name}\n\nAction `{action}`; {kind}.\n");

    if let Some(input) = &facts.input {
        text += "\n| Member | Limits | On record |\n|---|---|---|\n";
        let shape = service.shape(input)?;
        for (member, target) in &shape.members {
            let required = if shape.required.contains(member) { "required; " } else { "" };
            let token = if target.idempotency_token { "; SDKs send one by themselves" } else { "" };
            let on_record = match () {
                () if ours.audit.request.contains(member) => "yes",
                () if service.is_sensitive(&target.shape) => "never",
                () => "no",
            };
            let limits = limits(service, &target.shape)?;
            writeln!(text, "| `{member}` | {required}{limits}{token} | {on_record} |")?;
        }
    }
    let answer = facts.output.as_ref().map(|output| service.shape(output)).transpose()?;
    let members: Vec<&str> =
        answer.iter().flat_map(|shape| &shape.members).map(|(member, _)| member.as_str()).collect();
    writeln!(text, "\nAnswer: {}. On record of it: {}.", names(&members), names(&ours.audit.response))?;
    writeln!(text, "Declared errors: {}.", names(&facts.errors))?;
    text += &behaviour(&ours.page)?;
    Ok(text)
}

fn behaviour(page: &overlay::Page) -> Result<String> {
    let mut text = String::from("\n| Behaviour | Coffer | Source |\n|---|---|---|\n");
    for fact in &page.quirks {
        let how = if matches!(fact, Fact::Ours(_)) { "AWS unknown" } else { "as AWS" };
        writeln!(text, "| {} | {how} | {} |", fact.text(), source(fact))?;
    }
    for (facts, how) in [(&page.differs, "differs"), (&page.not_yet, "not yet")] {
        for fact in facts {
            writeln!(text, "| {} | {how} | {} |", fact.text(), source(fact))?;
        }
    }
    Ok(if page.quirks.is_empty() && page.differs.is_empty() && page.not_yet.is_empty() {
        String::new()
    } else {
        text
    })
}

const fn source(fact: &Fact) -> &'static str {
    match fact {
        Fact::Recorded(_) => "recorded on AWS",
        Fact::Reported(_) => "reported from AWS",
        Fact::Docs(_) => "AWS docs",
        Fact::Ours(_) => "our choice",
    }
}

fn names<T: AsRef<str>>(names: &[T]) -> String {
    if names.is_empty() {
        return String::from("nothing");
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    quoted.join(", ")
}

/// What may be sent as a value of a shape, down to the last member.
fn limits(service: &Service, name: &str) -> Result<String> {
    let shape = service.shape(name)?;
    Ok(match shape.kind {
        Type::String if !shape.values.is_empty() => format!("one of {}", names(&shape.values)),
        Type::String => {
            let in_bytes =
                service.overlay.shapes.get(name).is_some_and(|ours| ours.length_in == LengthIn::Bytes);
            let unit = if in_bytes { " bytes of UTF-8" } else { " characters" };
            let pattern = shape.pattern.as_deref().map(|pattern| format!(", {}", code_span(pattern)));
            format!("string{}{}", range(shape, " of ", unit), pattern.unwrap_or_default())
        }
        Type::Blob => format!("bytes in base64{}", range(shape, ", ", " bytes")),
        Type::Boolean => String::from("boolean"),
        Type::Integer | Type::Long => format!("integer{}", range(shape, ", ", "")),
        Type::Double | Type::Float => format!("number{}", range(shape, ", ", "")),
        Type::Timestamp => String::from("seconds since 1970"),
        Type::List => {
            let element = shape.member.as_ref().context("a list of nothing")?;
            format!("list{}: {}", range(shape, " of ", ""), limits(service, &element.shape)?)
        }
        Type::Map => String::from("map"),
        Type::Structure => {
            let mut members = Vec::with_capacity(shape.members.len());
            for (member, target) in &shape.members {
                let required = if shape.required.contains(member) { "required " } else { "" };
                members.push(format!("`{member}` ({required}{})", limits(service, &target.shape)?));
            }
            members.join(", ")
        }
    })
}

/// ` of 1-512 characters`; nothing where the model sets no limit.
fn range(shape: &Shape, before: &str, after: &str) -> String {
    match (shape.min, shape.max) {
        (Some(min), Some(max)) => format!("{before}{}-{}{after}", grouped(min), grouped(max)),
        (None, Some(max)) => format!("{before}at most {}{after}", grouped(max)),
        (Some(min), None) => format!("{before}at least {}{after}", grouped(min)),
        (None, None) => String::new(),
    }
}

/// `65,536`
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A bar would end the cell of a table, also between backticks.
fn code_span(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

//! `shapes.rs`: a schema per shape, a type with its walk per structure, a closed type beside every enumeration.

use anyhow::{Context, Result};

use crate::{
    facts::{Shape, Target, Type},
    names,
    overlay::{LengthIn, Protocol},
    service::Service,
};

pub(super) fn render(service: &Service) -> Result<String> {
    let mut types = String::new();
    let mut schemas = String::new();
    for name in &service.reached {
        let shape = service.shape(name)?;
        match shape.kind {
            Type::Structure => {
                types += &structure(service, name, shape)?;
                types += &walk(name, shape);
                schemas += &members(service, name, shape);
            }
            Type::String if !shape.values.is_empty() => types += &enumeration(name, shape),
            _ => {}
        }
        schemas += &pattern(service, name, shape);
        schemas += &schema(service, name, shape);
    }

    let body = types + &schemas;
    let mut text = super::header(service, "The values that served operations take and give.");
    text += &super::import("std::collections", &["BTreeMap"], &body);
    text += "\n";
    text += &super::import(
        "coffer_shape",
        &[
            "Element", "Entry", "Kind", "Limits", "Member", "Pattern", "Read", "Reader", "Schema", "Shape",
            "Writer", "Wrote",
        ],
        &body,
    );
    text += &super::import("coffer_types", &["Secret", "Timestamp"], &body);
    text += "\n";
    text += &super::import("crate", &["UnknownValue"], &body);
    Ok(text + &body)
}

/// The Rust type of a shape, before `Option`.
fn rust_type(service: &Service, name: &str) -> Result<String> {
    let shape = service.shape(name)?;
    let inner = |target: &Option<Target>| {
        let target = target.as_ref().with_context(|| format!("shapes.{name}: holds nothing"))?;
        rust_type(service, &target.shape)
    };
    Ok(match shape.kind {
        Type::String if service.is_sensitive(name) => String::from("Secret<String>"),
        Type::Blob if service.is_sensitive(name) => String::from("Secret<Vec<u8>>"),
        Type::String => String::from("String"),
        Type::Blob => String::from("Vec<u8>"),
        Type::Boolean => String::from("bool"),
        Type::Double | Type::Float => String::from("f64"),
        Type::Integer | Type::Long => String::from("i64"),
        Type::Timestamp => String::from("Timestamp"),
        Type::List => format!("Vec<{}>", inner(&shape.member)?),
        Type::Map => format!("BTreeMap<String, {}>", inner(&shape.value)?),
        Type::Structure => name.to_owned(),
    })
}

fn is_required(shape: &Shape, member: &str) -> bool {
    shape.required.iter().any(|required| required == member)
}

fn structure(service: &Service, name: &str, shape: &Shape) -> Result<String> {
    let derives =
        if service.holds_a_secret(name) { "Debug, Default" } else { "Debug, Default, Clone, PartialEq" };
    let mut text = format!("\n#[derive({derives})]\npub struct {name} {{\n");
    for (member, target) in &shape.members {
        let plain = rust_type(service, &target.shape)?;
        let full = if is_required(shape, member) { plain } else { format!("Option<{plain}>") };
        text += &format!("pub {}: {full},\n", names::field(member));
    }
    Ok(text + "}\n")
}

fn walk(name: &str, shape: &Shape) -> String {
    let schema = names::screaming(name);
    if shape.members.is_empty() {
        return format!(
            "
impl Shape for {name} {{
    const SCHEMA: &'static Schema = &{schema};

    fn read_as(_: &'static Schema, from: &mut dyn Reader) -> Read<Self> {{
        from.structure(&{schema}, &mut |_, _| Ok(()))?;
        Ok(Self {{}})
    }}

    fn write_as(&self, _: &'static Schema, to: &mut dyn Writer) -> Wrote {{
        to.structure(&{schema}, &mut |_| Ok(()))
    }}
}}
"
        );
    }
    let mut reads = Vec::new();
    let mut writes = String::new();
    for (index, (member, target)) in shape.members.iter().enumerate() {
        let field = names::field(member);
        let of = names::screaming(&target.shape);
        let announce = format!("to.member({index}, &{schema}_MEMBERS[{index}])?;");
        if is_required(shape, member) {
            reads.push(format!("value.{field} = Shape::read_as(&{of}, from)?"));
            writes += &format!("{announce}\nself.{field}.write_as(&{of}, to)?;\n");
        } else {
            reads.push(format!("value.{field} = Some(Shape::read_as(&{of}, from)?)"));
            writes += &format!(
                "if let Some(value) = &self.{field} {{\n{announce}\nvalue.write_as(&{of}, to)?;\n}}\n"
            );
        }
    }
    let reads = dispatch(&reads);
    format!(
        "
impl Shape for {name} {{
    const SCHEMA: &'static Schema = &{schema};

    fn read_as(_: &'static Schema, from: &mut dyn Reader) -> Read<Self> {{
        let mut value = Self::default();
        from.structure(&{schema}, &mut |index, from| {{
            {reads}
            Ok(())
        }})?;
        Ok(value)
    }}

    fn write_as(&self, _: &'static Schema, to: &mut dyn Writer) -> Wrote {{
        to.structure(&{schema}, &mut |to| {{
            {writes}Ok(())
        }})
    }}
}}
"
    )
}

/// What to do with the member at `index`: a match, in the forms that rustfmt and clippy agree about. An assignment that
/// would be broken over two lines is a block, and a match over one member is an `if`.
fn dispatch(reads: &[String]) -> String {
    const WIDTH_MAX: usize = 110;
    const INDENT: usize = 16;
    if let [only] = reads {
        return format!("if index == 0 {{ {only}; }}");
    }
    let mut text = String::from("match index {");
    for (index, assignment) in reads.iter().enumerate() {
        let line = format!("{index} => {assignment},");
        text +=
            &if INDENT + line.len() <= WIDTH_MAX { line } else { format!("{index} => {{ {assignment}; }}") };
        text.push('\n');
    }
    text + "_ => {} }"
}

fn members(service: &Service, name: &str, shape: &Shape) -> String {
    let mut text = String::new();
    for (member, target) in &shape.members {
        // In the query protocol a flattened list goes by the name of its element.
        let element = service
            .facts
            .shapes
            .get(&target.shape)
            .filter(|list| {
                service.overlay.protocol == Protocol::Query && (list.flattened || target.flattened)
            })
            .and_then(|list| list.member.as_ref())
            .and_then(|element| element.location_name.as_ref());
        // What does not stand in the body has no name there.
        let is_bound = target.location.is_some();
        let wire = target.location_name.as_ref().filter(|_| !is_bound).or(element).unwrap_or(member);
        text += &format!(
            "Member {{ name: {member:?}, wire: {wire:?}, required: {}, schema: &{} }},\n",
            is_required(shape, member),
            names::screaming(&target.shape),
        );
    }
    let count = shape.members.len();
    if count == 0 {
        return String::new();
    }
    format!("\nstatic {}_MEMBERS: [Member; {count}] = [\n{text}];\n", names::screaming(name))
}

fn schema(service: &Service, name: &str, shape: &Shape) -> String {
    let kind = kind(shape, name);
    let limits = limits(service, name, shape);
    let sensitive = service.is_sensitive(name);
    let value = if limits.is_empty() && !sensitive {
        format!("Schema::plain({name:?}, {kind})")
    } else {
        let limits = if limits.is_empty() {
            String::from("Limits::NONE")
        } else {
            format!("Limits {{ {limits} ..Limits::NONE }}")
        };
        format!("Schema {{ name: {name:?}, kind: {kind}, limits: {limits}, sensitive: {sensitive} }}")
    };
    format!("\nstatic {}: Schema = {value};\n", names::screaming(name))
}

/// A static of its own: a pattern compiles itself once, which a promoted constant could not. Shapes may be called patterns, so it is
/// named the other way round.
fn pattern(service: &Service, name: &str, shape: &Shape) -> String {
    let Some(printed) = &shape.pattern else { return String::new() };
    let replaced = service.overlay.shapes.get(name).and_then(|ours| ours.pattern.as_ref());
    let regex = replaced.unwrap_or(printed);
    format!(
        "\nstatic PATTERN_OF_{}: Pattern = Pattern::new({printed:?}, {regex:?});\n",
        names::screaming(name)
    )
}

fn kind(shape: &Shape, name: &str) -> String {
    let of = |target: &Option<Target>| {
        target.as_ref().map_or(String::new(), |target| names::screaming(&target.shape))
    };
    let wire = |target: &Option<Target>, default: &str| {
        target.as_ref().and_then(|target| target.location_name.clone()).unwrap_or_else(|| default.to_owned())
    };
    match shape.kind {
        Type::Blob => String::from("Kind::Blob"),
        Type::Boolean => String::from("Kind::Boolean"),
        Type::Double | Type::Float => String::from("Kind::Double"),
        Type::Integer => String::from("Kind::Integer"),
        Type::Long => String::from("Kind::Long"),
        Type::String => String::from("Kind::String"),
        Type::Timestamp => String::from("Kind::Timestamp"),
        Type::List => format!(
            "Kind::List(&Element {{ schema: &{}, wire: {:?}, flat: {} }})",
            of(&shape.member),
            wire(&shape.member, "member"),
            shape.flattened,
        ),
        Type::Map => format!(
            "Kind::Map(&Entry {{ key: &{}, value: &{}, key_wire: {:?}, value_wire: {:?}, flat: {} }})",
            of(&shape.key),
            of(&shape.value),
            wire(&shape.key, "key"),
            wire(&shape.value, "value"),
            shape.flattened,
        ),
        Type::Structure if shape.members.is_empty() => String::from("Kind::Structure(&[])"),
        Type::Structure => format!("Kind::Structure(&{}_MEMBERS)", names::screaming(name)),
    }
}

/// The limits that are set, each with a comma behind it.
fn limits(service: &Service, name: &str, shape: &Shape) -> String {
    let ours = service.overlay.shapes.get(name);
    let mut text = String::new();
    if ours.is_some_and(|ours| ours.unchecked) {
        return text;
    }
    if let Some(min) = shape.min {
        text += &format!("min: Some({min}), ");
    }
    if let Some(max) = shape.max {
        text += &format!("max: Some({max}), ");
    }
    if shape.pattern.is_some() {
        text += &format!("pattern: Some(&PATTERN_OF_{}), ", names::screaming(name));
    }
    if !shape.values.is_empty() {
        text += &format!("values: {}::NAMES, ", names::type_name(name));
    }
    if ours.is_some_and(|ours| ours.length_in == LengthIn::Bytes) {
        text += "in_bytes: true, ";
    }
    text
}

/// The closed side of an enumeration: on the wire it stays a string, a decision is made over this type.
fn enumeration(name: &str, shape: &Shape) -> String {
    let name = names::type_name(name);
    let variants: Vec<(String, &str)> =
        shape.values.iter().map(|value| (names::camel(value), value.as_str())).collect();
    let list = |line: &dyn Fn(&str, &str) -> String| -> String {
        variants.iter().map(|(variant, value)| line(variant, value)).collect()
    };
    format!(
        "
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum {name} {{
    {}
}}

impl {name} {{
    pub const NAMES: &'static [&'static str] = &{:?};

    pub const fn as_str(self) -> &'static str {{
        match self {{
            {}
        }}
    }}
}}

impl TryFrom<&str> for {name} {{
    type Error = UnknownValue;

    fn try_from(value: &str) -> Result<Self, UnknownValue> {{
        match value {{
            {}
            _ => Err(UnknownValue),
        }}
    }}
}}
",
        list(&|variant, _| format!("{variant},\n")),
        shape.values,
        list(&|variant, value| format!("Self::{variant} => {value:?},\n")),
        list(&|variant, value| format!("{value:?} => Ok(Self::{variant}),\n")),
    )
}

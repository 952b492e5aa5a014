//! One step beyond one limit, everything else left as it was.
//!
//! A valid value is walked twice: once to count the places where exactly one constraint can be broken, and once to break
//! the chosen one. A place where breaking one would break another as well is no place.

use super::{Made, Random, size, text};
use crate::{Kind, Limits, Schema};

/// What was broken: the path and the constraint, as AWS's message names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub path: String,
    pub constraint: String,
}

pub(super) fn break_one(schema: &'static Schema, made: &mut Made, random: &mut Random) -> Option<Broken> {
    let mut count = Walk { path: Vec::new(), seen: 0, target: None, broken: None };
    count.value(schema, made);
    let target = Some(random.below(count.seen)).filter(|_| count.seen > 0)?;
    let mut walk = Walk { path: Vec::new(), seen: 0, target: Some(target), broken: None };
    walk.value(schema, made);
    walk.broken
}

struct Walk {
    path: Vec<String>,
    seen: usize,
    target: Option<usize>,
    broken: Option<Broken>,
}

impl Walk {
    /// Whether this is the place to break. Counts it in any case.
    fn here(&mut self, constraint: &str) -> bool {
        let chosen = self.target == Some(self.seen);
        self.seen += 1;
        if chosen {
            self.broken = Some(Broken { path: self.path.join("."), constraint: constraint.to_owned() });
        }
        chosen
    }

    fn below(&mut self, step: String, schema: &'static Schema, value: &mut Made) {
        self.path.push(step);
        self.value(schema, value);
        self.path.pop();
    }

    fn value(&mut self, schema: &'static Schema, value: &mut Made) {
        let limits = &schema.limits;
        match (value, &schema.kind) {
            (Made::Structure(fields), Kind::Structure(members)) => {
                let mut missing = None;
                for (index, member_value) in &mut *fields {
                    let Some(member) = members.get(*index) else { continue };
                    self.path.push(lower_camel(member.name));
                    if member.required && self.here("Member must not be null") {
                        missing = Some(*index);
                    }
                    self.path.pop();
                    self.below(lower_camel(member.name), member.schema, member_value);
                }
                fields.retain(|(index, _)| Some(*index) != missing);
            }
            (Made::List(values), Kind::List(element)) => {
                for (at, inner) in values.iter_mut().enumerate() {
                    self.below(format!("{}.member", at + 1), element.schema, inner);
                }
                self.list(limits, values);
            }
            (Made::Map(values), Kind::Map(entry)) => {
                for (key, inner) in values {
                    self.below(format!("{key}.member"), entry.value, inner);
                }
            }
            (Made::String(text), Kind::String) => self.string(limits, text),
            (Made::Blob(bytes), Kind::Blob) => self.blob(limits, bytes),
            (Made::Long(number), Kind::Integer) => self.number(limits, number, i64::from(i32::MAX)),
            (Made::Long(number), Kind::Long) => self.number(limits, number, i64::MAX),
            _ => {}
        }
    }

    fn string(&mut self, limits: &Limits, text: &mut String) {
        let shorter = size(limits.min).and_then(|min| min.checked_sub(1));
        let longer = size(limits.max).map(|max| max + 1).filter(|length| *length <= text::CHARS_MAX);
        for (length, constraint) in [
            (
                shorter,
                format!("Member must have length greater than or equal to {}", limits.min.unwrap_or(0)),
            ),
            (longer, format!("Member must have length less than or equal to {}", limits.max.unwrap_or(0))),
        ] {
            let other = length.and_then(|length| text::shaped_of_length(limits, length, 0));
            if let Some(other) = other
                && self.here(&constraint)
            {
                *text = other;
            }
        }
        if let Some(pattern) = limits.pattern {
            // Some letter that the pattern does not know, in place of all the others.
            let length = text.chars().count();
            let other = ["\u{1}", "!", "z", "_"].iter().map(|letter| letter.repeat(length));
            let other = other
                .into_iter()
                .find(|text| !pattern.matches(text) && limits.values.is_empty() && length > 0);
            if let Some(other) = other
                && self.here(&format!("Member must satisfy regular expression pattern: {}", pattern.text))
            {
                *text = other;
            }
        }
        let other = String::from("no-such-value");
        let in_length = text::fits(&Limits { pattern: None, values: &[], ..*limits }, &other);
        if !limits.values.is_empty()
            && limits.pattern.is_none_or(|pattern| pattern.matches(&other))
            && in_length
            && self.here(&format!("Member must satisfy enum value set: [{}]", limits.values.join(", ")))
        {
            *text = other;
        }
    }

    fn blob(&mut self, limits: &Limits, bytes: &mut Vec<u8>) {
        if let Some(min) = size(limits.min).filter(|min| *min > 0)
            && self.here(&format!("Member must have length greater than or equal to {min}"))
        {
            bytes.truncate(min - 1);
        }
        if let Some(max) = size(limits.max).filter(|max| *max < text::CHARS_MAX)
            && self.here(&format!("Member must have length less than or equal to {max}"))
        {
            bytes.resize(max + 1, 0);
        }
    }

    fn number(&mut self, limits: &Limits, number: &mut i64, highest: i64) {
        if let Some(min) = limits.min
            && let Some(below) = min.checked_sub(1)
            && self.here(&format!("Member must have value greater than or equal to {min}"))
        {
            *number = below;
        }
        if let Some(max) = limits.max.filter(|max| *max < highest)
            && self.here(&format!("Member must have value less than or equal to {max}"))
        {
            *number = max + 1;
        }
    }

    fn list(&mut self, limits: &Limits, values: &mut Vec<Made>) {
        if let Some(min) = size(limits.min).filter(|min| *min > 0)
            && self.here(&format!("Member must have length greater than or equal to {min}"))
        {
            values.truncate(min - 1);
        }
        if let Some(max) = size(limits.max).filter(|max| *max <= 1_000)
            && let Some(last) = values.last().cloned()
            && self.here(&format!("Member must have length less than or equal to {max}"))
        {
            values.resize(max + 1, last);
        }
    }
}

/// `SecretId` -> `secretId`, as AWS prints member paths.
fn lower_camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

//! Validation as AWS words it: all violations of a request in one answer, each with the path of its member.
//!
//! [`Checked`] is a reader around another reader. It sees every value on its way in, so the shapes need no code for it,
//! and it never quotes a sensitive value.

use coffer_types::Timestamp;

use crate::{Kind, Read, ReadError, Reader, Schema, Shape};

/// One constraint that did not hold. The text is AWS's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    text: String,
}

#[derive(Debug)]
pub enum DecodeError {
    Malformed(ReadError),
    Invalid(Vec<Violation>),
}

/// Reads a shape and checks it against its model.
pub fn decode<S: Shape>(from: &mut dyn Reader) -> Result<S, DecodeError> {
    decode_as(S::SCHEMA, from)
}

/// The same for a type that has many schemas, such as a generated value.
pub fn decode_as<S: Shape>(schema: &'static Schema, from: &mut dyn Reader) -> Result<S, DecodeError> {
    let mut log = Log::default();
    let mut checked = Checked { inner: from, log: &mut log };
    let value = S::read_as(schema, &mut checked).map_err(DecodeError::Malformed)?;
    if log.violations.is_empty() { Ok(value) } else { Err(DecodeError::Invalid(log.violations)) }
}

/// `2 validation errors detected: …; …`
pub fn validation_message(violations: &[Violation]) -> String {
    let texts: Vec<&str> = violations.iter().map(|violation| violation.text.as_str()).collect();
    let noun = if texts.len() == 1 { "error" } else { "errors" };
    format!("{} validation {noun} detected: {}", texts.len(), texts.join("; "))
}

/// A request with more violations than this is answered with the first ones: a hostile list must not make a huge answer.
const VIOLATIONS_TOLD_MAX: usize = 100;

#[derive(Default)]
struct Log {
    path: Vec<String>,
    violations: Vec<Violation>,
}

impl Log {
    fn path(&self) -> String {
        self.path.join(".")
    }

    fn tell(&mut self, text: String) {
        if self.violations.len() < VIOLATIONS_TOLD_MAX {
            self.violations.push(Violation { text });
        }
    }

    fn null(&mut self) {
        let text =
            format!("Value null at '{}' failed to satisfy constraint: Member must not be null", self.path());
        self.tell(text);
    }

    /// `shown` is what AWS quotes; `None` where it must not or cannot be quoted.
    fn fails(&mut self, schema: &Schema, shown: Option<&str>, constraint: &str) {
        let path = self.path();
        let text = match shown {
            Some(value) if !schema.sensitive => {
                format!("Value '{value}' at '{path}' failed to satisfy constraint: {constraint}")
            }
            _ => format!("Value at '{path}' failed to satisfy constraint: {constraint}"),
        };
        self.tell(text);
    }

    fn length(&mut self, schema: &Schema, shown: Option<&str>, length: usize) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        if let Some(min) = schema.limits.min.filter(|min| length < *min) {
            self.fails(schema, shown, &format!("Member must have length greater than or equal to {min}"));
        }
        if let Some(max) = schema.limits.max.filter(|max| length > *max) {
            self.fails(schema, shown, &format!("Member must have length less than or equal to {max}"));
        }
    }

    fn string(&mut self, schema: &Schema, value: &str) {
        let limits = &schema.limits;
        if limits.min.is_some() || limits.max.is_some() {
            let length = if limits.in_bytes { value.len() } else { value.chars().count() };
            self.length(schema, Some(value), length);
        }
        if let Some(pattern) = limits.pattern
            && !pattern.matches(value)
        {
            let constraint = format!("Member must satisfy regular expression pattern: {}", pattern.text);
            self.fails(schema, Some(value), &constraint);
        }
        if !limits.values.is_empty() && !limits.values.contains(&value) {
            let constraint = format!("Member must satisfy enum value set: [{}]", limits.values.join(", "));
            self.fails(schema, Some(value), &constraint);
        }
    }

    fn number(&mut self, schema: &Schema, value: i64) {
        let shown = value.to_string();
        if let Some(min) = schema.limits.min.filter(|min| value < *min) {
            self.fails(
                schema,
                Some(&shown),
                &format!("Member must have value greater than or equal to {min}"),
            );
        }
        if let Some(max) = schema.limits.max.filter(|max| value > *max) {
            self.fails(schema, Some(&shown), &format!("Member must have value less than or equal to {max}"));
        }
    }
}

struct Checked<'a> {
    inner: &'a mut dyn Reader,
    log: &'a mut Log,
}

impl Checked<'_> {
    /// Walks what lies below one step of the path.
    fn below(
        inner: &mut dyn Reader,
        log: &mut Log,
        steps: &[&str],
        walk: impl FnOnce(&mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let depth = log.path.len();
        log.path.extend(steps.iter().map(|&step| step.to_owned()));
        let outcome = walk(&mut Checked { inner, log });
        log.path.truncate(depth);
        outcome
    }
}

impl Reader for Checked<'_> {
    fn is_null(&mut self) -> Read<bool> {
        self.inner.is_null()
    }

    fn string(&mut self, schema: &'static Schema) -> Read<String> {
        let value = self.inner.string(schema)?;
        self.log.string(schema, &value);
        Ok(value)
    }

    fn long(&mut self, schema: &'static Schema) -> Read<i64> {
        let value = self.inner.long(schema)?;
        self.log.number(schema, value);
        Ok(value)
    }

    fn double(&mut self, schema: &'static Schema) -> Read<f64> {
        self.inner.double(schema)
    }

    fn boolean(&mut self, schema: &'static Schema) -> Read<bool> {
        self.inner.boolean(schema)
    }

    fn timestamp(&mut self, schema: &'static Schema) -> Read<Timestamp> {
        self.inner.timestamp(schema)
    }

    fn blob(&mut self, schema: &'static Schema) -> Read<Vec<u8>> {
        let value = self.inner.blob(schema)?;
        self.log.length(schema, None, value.len());
        Ok(value)
    }

    fn structure(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(usize, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let members = schema.members();
        let mut seen = vec![false; members.len()];
        // Violations come out in the order of the model, whatever the order of arrival.
        let mut found: Vec<(usize, Vec<Violation>)> = Vec::new();
        let log = &mut *self.log;
        self.inner.structure(schema, &mut |index, from| {
            let Some(member) = members.get(index) else { return Ok(()) };
            if let Some(slot) = seen.get_mut(index) {
                *slot = true;
            }
            let before = log.violations.len();
            Self::below(from, log, &[&lower_camel(member.name)], |from| each(index, from))?;
            if log.violations.len() > before {
                found.push((index, log.violations.split_off(before)));
            }
            Ok(())
        })?;
        for ((index, member), seen) in members.iter().enumerate().zip(seen) {
            if member.required && !seen {
                let before = log.violations.len();
                log.path.push(lower_camel(member.name));
                log.null();
                log.path.pop();
                found.push((index, log.violations.split_off(before)));
            }
        }
        found.sort_by_key(|(index, _)| *index);
        log.violations.extend(found.into_iter().flat_map(|(_, violations)| violations));
        Ok(())
    }

    fn list(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(&mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let limited = schema.limits.min.is_some() || schema.limits.max.is_some();
        let before = self.log.violations.len();
        let mut length = 0_usize;
        let log = &mut *self.log;
        self.inner.list(schema, &mut |from| {
            length += 1;
            Self::below(from, log, &[&length.to_string(), "member"], |from| {
                if from.is_null()? {
                    return Err(ReadError::new(NULL_ELEMENT));
                }
                each(from)
            })
            .or_else(|error| {
                if error.message != NULL_ELEMENT {
                    return Err(error);
                }
                log.path.extend([length.to_string(), String::from("member")]);
                log.null();
                log.path.truncate(log.path.len() - 2);
                Ok(())
            })
        })?;
        if limited {
            // AWS quotes the whole list; we quote it only when it is empty, so that no sensitive element can slip out.
            let inner = self.log.violations.split_off(before);
            self.log.length(schema, (length == 0).then_some("[]"), length);
            self.log.violations.extend(inner);
        }
        Ok(())
    }

    fn map(
        &mut self,
        schema: &'static Schema,
        each: &mut dyn FnMut(String, &mut dyn Reader) -> Read<()>,
    ) -> Read<()> {
        let Kind::Map(entry) = schema.kind else { return Err(ReadError::new(schema.name)) };
        let before = self.log.violations.len();
        let mut length = 0_usize;
        let log = &mut *self.log;
        self.inner.map(schema, &mut |key, from| {
            length += 1;
            log.string(entry.key, &key);
            let step = key.clone();
            Self::below(from, log, &[&step, "member"], |from| each(key, from))
        })?;
        let inner = self.log.violations.split_off(before);
        self.log.length(schema, (length == 0).then_some("{}"), length);
        self.log.violations.extend(inner);
        Ok(())
    }
}

/// Marks a null list element on its way out of the inner reader; never shown to anybody.
const NULL_ELEMENT: &str = "null element";

/// `SecretId` -> `secretId`, as AWS prints member paths.
fn lower_camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

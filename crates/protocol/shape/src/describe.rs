//! What an audit record may say of a request or an answer: the allow-listed members, and nothing else.
//!
//! The output is JSON text with lower-camel names, as CloudTrail writes `requestParameters`. A sensitive value has no path
//! into it even when an allow-list names it by mistake.

use coffer_types::{Timestamp, encoding::BASE64};

use crate::{Member, Schema, Shape, Writer, Wrote};

/// A user-controlled string is cut here, so that a record stays small whatever the request was.
const STRING_CHARS_MAX: usize = 1024;

/// The allow-listed top-level members of `value` as a JSON object; `None` when none of them is present.
pub fn describe<S: Shape>(value: &S, allowed: &'static [&'static str]) -> Option<String> {
    if allowed.is_empty() {
        return None;
    }
    let mut writer = Describe { text: String::new(), depth: 0, skip: false, comma: false, allowed };
    // The writer itself never fails; a shape that does is left out of the record rather than half in it.
    value.write(&mut writer).ok()?;
    (writer.text.len() > 2).then_some(writer.text)
}

struct Describe {
    text: String,
    depth: usize,
    /// The member at hand is not allowed: its value goes nowhere.
    skip: bool,
    comma: bool,
    allowed: &'static [&'static str],
}

impl Describe {
    fn value(&mut self, schema: &Schema, write: impl FnOnce(&mut String)) -> Wrote {
        if self.skip {
            return Ok(());
        }
        self.separate();
        if schema.sensitive {
            self.text.push_str("\"***\"");
        } else {
            write(&mut self.text);
        }
        self.comma = true;
        Ok(())
    }

    fn separate(&mut self) {
        if self.comma {
            self.text.push(',');
        }
        self.comma = false;
    }

    fn nest(&mut self, open: char, close: char, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        if self.skip {
            return Ok(());
        }
        self.separate();
        self.text.push(open);
        self.depth += 1;
        fill(self)?;
        self.depth -= 1;
        self.text.push(close);
        self.comma = true;
        self.skip = false;
        Ok(())
    }

    fn name(&mut self, name: &str) {
        self.separate();
        push_json_string(&mut self.text, name);
        self.text.push(':');
    }
}

impl Writer for Describe {
    fn member(&mut self, _: usize, member: &'static Member) -> Wrote {
        self.skip = (self.depth == 1 && !self.allowed.contains(&member.name)) || member.schema.sensitive;
        if !self.skip {
            self.name(&audit_name(member.name));
        }
        Ok(())
    }

    fn key(&mut self, key: &str) -> Wrote {
        self.name(key);
        Ok(())
    }

    fn null(&mut self) -> Wrote {
        if self.skip {
            return Ok(());
        }
        self.separate();
        self.text.push_str("null");
        self.comma = true;
        Ok(())
    }

    fn string(&mut self, schema: &'static Schema, value: &str) -> Wrote {
        self.value(schema, |text| push_json_string(text, value))
    }

    fn long(&mut self, schema: &'static Schema, value: i64) -> Wrote {
        self.value(schema, |text| text.push_str(&value.to_string()))
    }

    fn double(&mut self, schema: &'static Schema, value: f64) -> Wrote {
        self.value(schema, |text| text.push_str(&value.to_string()))
    }

    fn boolean(&mut self, schema: &'static Schema, value: bool) -> Wrote {
        self.value(schema, |text| text.push_str(if value { "true" } else { "false" }))
    }

    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp) -> Wrote {
        self.value(schema, |text| push_json_string(text, &value.to_iso_millis()))
    }

    fn blob(&mut self, schema: &'static Schema, value: &[u8]) -> Wrote {
        self.value(schema, |text| push_json_string(text, &BASE64.encode(value)))
    }

    fn structure(&mut self, _: &'static Schema, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.nest('{', '}', fill)
    }

    fn list(
        &mut self,
        _: &'static Schema,
        _: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.nest('[', ']', fill)
    }

    fn map(&mut self, _: &'static Schema, _: usize, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.nest('{', '}', fill)
    }
}

/// `SecretId` -> `secretId`, `ARN` -> `arn`, `KMSKeyId` -> `kMSKeyId`, as CloudTrail does.
fn audit_name(name: &str) -> String {
    if name.chars().all(|letter| letter.is_ascii_uppercase()) {
        return name.to_ascii_lowercase();
    }
    let mut chars = name.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// Appends a JSON string; control characters are escaped and long texts are cut.
fn push_json_string(text: &mut String, value: &str) {
    text.push('"');
    for letter in value.chars().take(STRING_CHARS_MAX) {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            control if control.is_control() => {
                text.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

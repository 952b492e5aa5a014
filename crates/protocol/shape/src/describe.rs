//! What an audit record may say of a request or an answer: the allow-listed members, and nothing else.
//!
//! The output is JSON text with lower-camel names, as CloudTrail writes `requestParameters`. A sensitive value has no path
//! into it even when an allow-list names it by mistake.

use coffer_types::{Timestamp, encoding::BASE64};

use crate::{Member, Schema, Shape, Writer, Wrote, push_quoted};

/// A user-controlled string is cut here, so that a record stays small whatever the request was.
const STRING_CHARS_MAX: usize = 1024;
/// A name or an ARN and the id of a version.
const TEXT_LEN_USUAL: usize = 160;

/// The allow-listed top-level members of `value` as a JSON object; `None` when none of them is present.
pub fn describe<S: Shape>(value: &S, allowed: &'static [&'static str]) -> Option<String> {
    if allowed.is_empty() {
        return None;
    }
    let mut writer = Describe {
        text: String::with_capacity(TEXT_LEN_USUAL),
        depth: 0,
        skip: false,
        comma: false,
        allowed,
    };
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
        push_quoted(&mut self.text, name, STRING_CHARS_MAX);
        self.text.push(':');
    }
}

impl Writer for Describe {
    fn member(&mut self, _: usize, member: &'static Member) -> Wrote {
        self.skip = (self.depth == 1 && !self.allowed.contains(&member.name)) || member.schema.sensitive;
        if !self.skip {
            self.separate();
            self.text.push('"');
            push_audit_name(&mut self.text, member.name);
            self.text.push_str("\":");
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
        self.value(schema, |text| push_quoted(text, value, STRING_CHARS_MAX))
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
        self.value(schema, |text| push_quoted(text, &value.to_iso_millis(), STRING_CHARS_MAX))
    }

    fn blob(&mut self, schema: &'static Schema, value: &[u8]) -> Wrote {
        self.value(schema, |text| push_quoted(text, &BASE64.encode(value), STRING_CHARS_MAX))
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

/// `SecretId` -> `secretId`, `ARN` -> `arn`, `KMSKeyId` -> `kMSKeyId`, as CloudTrail does. Names of a model are plain letters.
fn push_audit_name(text: &mut String, name: &str) {
    let is_acronym = name.bytes().all(|letter| letter.is_ascii_uppercase());
    let mut letters = name.chars();
    if is_acronym {
        text.extend(letters.map(|letter| letter.to_ascii_lowercase()));
    } else {
        text.extend(letters.next().map(|first| first.to_ascii_lowercase()));
        text.push_str(letters.as_str());
    }
}

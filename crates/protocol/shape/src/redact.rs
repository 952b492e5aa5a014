//! A value as one line for a log or a test failure, with every sensitive member replaced.

use coffer_types::Timestamp;

use crate::{Member, Schema, Shape, Writer, Wrote};

/// `CreateSecretRequest { Name: "db", SecretString: *** }`
pub fn redacted<S: Shape>(value: &S) -> String {
    let mut writer = Redact { text: String::new(), comma: false };
    if value.write(&mut writer).is_err() {
        writer.text.push_str("..");
    }
    writer.text
}

struct Redact {
    text: String,
    comma: bool,
}

impl Redact {
    fn separate(&mut self) {
        if self.comma {
            self.text.push_str(", ");
        }
        self.comma = false;
    }

    fn value(&mut self, schema: &Schema, shown: &str) -> Wrote {
        self.separate();
        self.text.push_str(if schema.sensitive { "***" } else { shown });
        self.comma = true;
        Ok(())
    }

    fn nest(&mut self, open: &str, close: &str, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.separate();
        self.text.push_str(open);
        fill(self)?;
        self.text.push_str(close);
        self.comma = true;
        Ok(())
    }
}

impl Writer for Redact {
    fn member(&mut self, _: usize, member: &'static Member) -> Wrote {
        self.separate();
        self.text.push_str(member.name);
        self.text.push_str(": ");
        Ok(())
    }

    fn key(&mut self, key: &str) -> Wrote {
        self.separate();
        self.text.push_str(&format!("{key:?}: "));
        Ok(())
    }

    fn null(&mut self) -> Wrote {
        self.separate();
        self.text.push('-');
        self.comma = true;
        Ok(())
    }

    fn string(&mut self, schema: &'static Schema, value: &str) -> Wrote {
        self.value(schema, &format!("{value:?}"))
    }

    fn long(&mut self, schema: &'static Schema, value: i64) -> Wrote {
        self.value(schema, &value.to_string())
    }

    fn double(&mut self, schema: &'static Schema, value: f64) -> Wrote {
        self.value(schema, &value.to_string())
    }

    fn boolean(&mut self, schema: &'static Schema, value: bool) -> Wrote {
        self.value(schema, if value { "true" } else { "false" })
    }

    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp) -> Wrote {
        self.value(schema, &value.to_iso_millis())
    }

    fn blob(&mut self, schema: &'static Schema, value: &[u8]) -> Wrote {
        self.value(schema, &format!("{} bytes", value.len()))
    }

    fn structure(
        &mut self,
        schema: &'static Schema,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.nest(&format!("{} {{ ", schema.name), " }", fill)
    }

    fn list(
        &mut self,
        _: &'static Schema,
        _: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.nest("[", "]", fill)
    }

    fn map(&mut self, _: &'static Schema, _: usize, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.nest("{", "}", fill)
    }
}

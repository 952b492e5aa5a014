//! JSON as a person would lay it out: on one line while it fits, and member by member when it does not.

use serde_json::Value;

const WIDTH: usize = 108;

/// The order of members is kept: it is the order on the wire.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, 0, &mut out);
    out
}

/// `before` is what stands on the line already.
fn write(value: &Value, indent: usize, before: usize, out: &mut String) {
    let line = inline(value);
    if before + line.len() <= WIDTH {
        return out.push_str(&line);
    }
    let newline = format!(",\n{}", " ".repeat(indent + 1));
    match value {
        Value::Object(fields) => {
            out.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push_str(&newline);
                }
                let name = format!("{}: ", Value::from(name.as_str()));
                out.push_str(&name);
                write(value, indent + 1, indent + 1 + name.len(), out);
            }
            out.push('}');
        }
        Value::Array(values) if values.iter().all(|value| !value.is_object()) => {
            fill(values, indent, before, out);
        }
        Value::Array(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push_str(&newline);
                }
                write(value, indent + 1, indent + 1, out);
            }
            out.push(']');
        }
        _ => out.push_str(&line),
    }
}

/// Words side by side, as many as a line takes.
fn fill(words: &[Value], indent: usize, before: usize, out: &mut String) {
    let mut column = before + 1;
    out.push('[');
    for (at, word) in words.iter().map(inline).enumerate() {
        if at > 0 && column + word.len() + 2 > WIDTH {
            out.push_str(&format!(",\n{}", " ".repeat(indent + 1)));
            column = indent + 1;
        } else if at > 0 {
            out.push_str(", ");
            column += 2;
        }
        column += word.len();
        out.push_str(&word);
    }
    out.push(']');
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", Value::from(name.as_str()), inline(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_stay_on_one_line_and_long_ones_do_not() {
        let short = r#"{"B": [1, {"A": "x\"y"}], "A": {}}"#;
        assert_eq!(pretty(&serde_json::from_str(short).unwrap()), short);
        let word = "w".repeat(60);
        let long = format!(r#"{{"A":"{word}","B":{{"C":["{word}","{word}"]}}}}"#);
        let expected = format!("{{\"A\": \"{word}\",\n \"B\": {{\"C\": [\"{word}\",\n   \"{word}\"]}}}}");
        assert_eq!(pretty(&serde_json::from_str(&long).unwrap()), expected);
    }
}

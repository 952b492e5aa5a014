//! `{ $.eventName = "Get*" && ($.n > 3 || $.list[0] IS NULL) }`

use serde_json::Value;

use super::{
    scan::{Scan, number},
    test::Test,
};

const DEPTH_MAX: usize = 16;

#[derive(Debug)]
pub(crate) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Member(Vec<Step>, Asked),
}

#[derive(Debug)]
pub(crate) enum Step {
    Member(String),
    Element(usize),
}

#[derive(Debug)]
pub(crate) enum Asked {
    Is(Value),
    NotExists,
    Test(Test),
}

impl Condition {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut scan = Scan::new(text);
        scan.expect("{")?;
        let condition = any(&mut scan, DEPTH_MAX)?;
        scan.expect("}")?;
        if scan.is_at_end() {
            Ok(condition)
        } else {
            Err(String::from("something stands behind the condition"))
        }
    }

    /// A message that is no JSON does not match.
    pub(super) fn matches(&self, message: &str) -> bool {
        serde_json::from_str::<Value>(message).is_ok_and(|value| value.is_object() && self.holds(&value))
    }

    fn holds(&self, of: &Value) -> bool {
        match self {
            Self::All(inner) => inner.iter().all(|condition| condition.holds(of)),
            Self::Any(inner) => inner.iter().any(|condition| condition.holds(of)),
            Self::Member(steps, asked) => {
                let found = steps.iter().try_fold(of, |value, step| match step {
                    Step::Member(name) => value.get(name),
                    Step::Element(index) => value.get(index),
                });
                match (asked, found) {
                    (Asked::NotExists, found) => found.is_none(),
                    (_, None) => false,
                    (Asked::Is(wanted), Some(value)) => value == wanted,
                    (Asked::Test(test), Some(value)) => match value {
                        Value::String(text) => test.holds(text, number(text)),
                        Value::Number(value) => test.holds(&value.to_string(), value.as_f64()),
                        Value::Bool(_) | Value::Null => test.holds(&value.to_string(), None),
                        Value::Array(_) | Value::Object(_) => false,
                    },
                }
            }
        }
    }
}

fn any(scan: &mut Scan<'_>, depth: usize) -> Result<Condition, String> {
    let mut inner = vec![all(scan, depth)?];
    while scan.eat("||") {
        inner.push(all(scan, depth)?);
    }
    Ok(Condition::Any(inner))
}

fn all(scan: &mut Scan<'_>, depth: usize) -> Result<Condition, String> {
    let mut inner = vec![one(scan, depth)?];
    while scan.eat("&&") {
        inner.push(one(scan, depth)?);
    }
    Ok(Condition::All(inner))
}

fn one(scan: &mut Scan<'_>, depth: usize) -> Result<Condition, String> {
    if scan.eat("(") {
        let depth = depth.checked_sub(1).ok_or("it is too deep")?;
        let condition = any(scan, depth)?;
        scan.expect(")")?;
        return Ok(condition);
    }
    let steps = selector(scan)?;
    let asked = if scan.eat_word("IS") {
        let values = [("NULL", Value::Null), ("TRUE", Value::Bool(true)), ("FALSE", Value::Bool(false))];
        let found = values.into_iter().find(|(word, _)| scan.eat_word(word));
        Asked::Is(found.ok_or("IS asks for NULL, TRUE or FALSE")?.1)
    } else if scan.eat_word("NOT") {
        if !scan.eat_word("EXISTS") {
            return Err(String::from("EXISTS is missing behind NOT"));
        }
        Asked::NotExists
    } else {
        Asked::Test(Test::parse(scan)?)
    };
    Ok(Condition::Member(steps, asked))
}

/// `$.a.b[0].["c.d"]`
fn selector(scan: &mut Scan<'_>) -> Result<Vec<Step>, String> {
    scan.expect("$")?;
    let mut steps = Vec::new();
    loop {
        match scan.peek() {
            Some('.') => {
                scan.take();
                if scan.peek() != Some('[') {
                    let is_name =
                        |char: char| char.is_alphanumeric() || char == '_' || char == '-' || char == '@';
                    steps.push(Step::Member(
                        scan.word(is_name).map_err(|_| "the name of a member is missing")?,
                    ));
                }
            }
            Some('[') => {
                scan.take();
                steps.push(match scan.peek() {
                    Some('"' | '\'') => Step::Member(scan.quoted()?),
                    _ => {
                        let digits = scan.word(|char| char.is_ascii_digit());
                        let index = digits.ok().and_then(|digits| digits.parse().ok());
                        Step::Element(index.ok_or("the number of an element is missing")?)
                    }
                });
                scan.expect("]")?;
            }
            _ if steps.is_empty() => return Err(String::from("the name of a member is missing")),
            _ => return Ok(steps),
        }
    }
}

//! `[ip, user, ..., status = 4* && status != 404, size > 1000]`

use super::{scan::Scan, test::Test};

#[derive(Debug)]
pub(crate) struct Columns {
    before: Vec<Column>,
    /// Those behind `...`, counted from the end. Without it there are exactly as many columns as are named.
    behind: Option<Vec<Column>>,
}

/// Alternatives, each of which is a list of tests that all have to hold. None asks for nothing.
type Column = Vec<Vec<Test>>;

impl Columns {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut scan = Scan::new(text);
        scan.expect("[")?;
        let mut columns = Self { before: Vec::new(), behind: None };
        loop {
            if scan.eat("...") {
                if columns.behind.is_some() {
                    return Err(String::from("there are two ellipses"));
                }
                columns.behind = Some(Vec::new());
            } else {
                let column = column(&mut scan)?;
                columns.behind.as_mut().unwrap_or(&mut columns.before).push(column);
            }
            if !scan.eat(",") {
                break;
            }
        }
        scan.expect("]")?;
        if scan.is_at_end() { Ok(columns) } else { Err(String::from("something stands behind the columns")) }
    }

    pub(super) fn match_in(&self, message: &str) -> bool {
        let fields = split(message);
        let behind = self.behind.as_deref().unwrap_or_default();
        let least = self.before.len().saturating_add(behind.len());
        if fields.len() < least || (self.behind.is_none() && fields.len() > least) {
            return false;
        }
        let last = fields.get(fields.len().saturating_sub(behind.len())..).unwrap_or_default();
        let pairs = self.before.iter().zip(&fields).chain(behind.iter().zip(last));
        pairs.into_iter().all(|(column, field)| holds(column, field))
    }
}

fn holds(column: &Column, field: &str) -> bool {
    let number = field.parse().ok();
    column.is_empty() || column.iter().any(|tests| tests.iter().all(|test| test.holds(field, number)))
}

fn column(scan: &mut Scan<'_>) -> Result<Column, String> {
    let ends = |scan: &mut Scan<'_>| {
        scan.skip_space();
        matches!(scan.peek(), Some(',' | ']'))
    };
    // A column may have no name, and need not be asked for anything.
    if ends(scan) {
        return Ok(Vec::new());
    }
    name(scan)?;
    if ends(scan) {
        return Ok(Vec::new());
    }
    let mut alternatives = vec![vec![Test::parse(scan)?]];
    loop {
        let is_other = scan.eat("||");
        if !is_other && !scan.eat("&&") {
            return Ok(alternatives);
        }
        name(scan)?;
        let test = Test::parse(scan)?;
        match alternatives.last_mut() {
            Some(tests) if !is_other => tests.push(test),
            _ => alternatives.push(vec![test]),
        }
    }
}

/// What a column is called is for the reader.
fn name(scan: &mut Scan<'_>) -> Result<(), String> {
    scan.skip_space();
    let is_name = |char: char| char.is_alphanumeric() || char == '_' || char == '-';
    scan.word(is_name).map(drop).map_err(|_| String::from("the name of a column is missing"))
}

/// The fields of a line: words, and what stands in quotes or brackets.
fn split(message: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut rest = message.trim();
    while !rest.is_empty() {
        let closed = match rest.chars().next() {
            Some('"') => Some('"'),
            Some('[') => Some(']'),
            _ => None,
        };
        let inner = closed.and_then(|close| rest.get(1..)?.split_once(close));
        let (field, behind) = inner.unwrap_or_else(|| {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            rest.split_at(end)
        });
        fields.push(field);
        rest = behind.trim_start();
    }
    fields
}

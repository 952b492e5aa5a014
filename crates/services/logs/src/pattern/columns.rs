//! `[ip, user, ..., status = 4* && status != 404, size > 1000]`

use super::{
    scan::{Scan, number},
    test::Test,
};

#[derive(Debug)]
pub(crate) struct Columns {
    before: Vec<Column>,
    /// Those behind `...`, counted from the end. Without it the last column takes what is left of a line.
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
        let behind = self.behind.as_deref().unwrap_or_default();
        let most = if self.behind.is_none() { self.before.len() } else { usize::MAX };
        let fields = split(message, most);
        if fields.len() < self.before.len().saturating_add(behind.len()) {
            return false;
        }
        let last = fields.get(fields.len().saturating_sub(behind.len())..).unwrap_or_default();
        let mut pairs = self.before.iter().zip(&fields).chain(behind.iter().zip(last));
        pairs.all(|(column, field)| holds(column, field))
    }
}

fn holds(column: &Column, field: &str) -> bool {
    let number = number(field);
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

/// The fields of a line: words, and what stands in quotes or brackets. The last of so many takes what is left. Each sign that closes
/// something is looked for until it does not come again, so that a line is gone through once.
fn split(message: &str, most: usize) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut rest = message.trim();
    let (mut has_quote, mut has_bracket) = (true, true);
    while !rest.is_empty() {
        if fields.len().saturating_add(1) == most && rest.contains(char::is_whitespace) {
            let inner = closed(rest, &mut has_quote, &mut has_bracket);
            fields
                .push(inner.filter(|(_, behind)| behind.trim().is_empty()).map_or(rest, |(inner, _)| inner));
            break;
        }
        let (field, behind) = closed(rest, &mut has_quote, &mut has_bracket).unwrap_or_else(|| {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            rest.split_at(end)
        });
        fields.push(field);
        rest = behind.trim_start();
    }
    fields
}

fn closed<'m>(rest: &'m str, has_quote: &mut bool, has_bracket: &mut bool) -> Option<(&'m str, &'m str)> {
    let (close, may_come) = match rest.chars().next()? {
        '"' => ('"', has_quote),
        '[' => (']', has_bracket),
        _ => return None,
    };
    let found = if *may_come { rest.get(1..)?.split_once(close) } else { None };
    *may_come = found.is_some();
    found
}

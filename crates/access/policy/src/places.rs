//! Where in the text of a policy its statements stand, for whoever shows them to people.
//!
//! The places are those that AWS gives, so that an editor marks the same: a statement begins where a reader of the text stands before it
//! comes to it, behind the bracket or the statement before, and ends behind its last brace. One that stands alone, without brackets,
//! begins behind its first brace. Lines and columns are counted from one, columns in characters.
//!
//! The text is that of a policy that was understood, so that braces outside of strings come in pairs.

use crate::json::{Json, parse};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// The beginning and the end of each statement, in the order of the text.
pub fn statement_places(text: &str) -> Vec<(Position, Position)> {
    let mut places = Vec::new();
    let mut here = Position { line: 1, column: 1 };
    let mut depth = 0_usize;
    // Where the string begins that is being read, and the last one that ended.
    let mut string: Option<usize> = None;
    let mut is_escaped = false;
    let mut last_string = "";
    // How deep a statement's own braces are, once the list of statements has been come to, and where the next one begins.
    let mut inside: Option<(usize, Position)> = None;
    let mut is_value_of_statement = false;
    for (at, sign) in text.char_indices() {
        here = match sign {
            '\n' => Position { line: here.line + 1, column: 1 },
            _ => Position { column: here.column + 1, ..here },
        };
        if let Some(begin) = string {
            match sign {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => {
                    last_string = text.get(begin..=at).unwrap_or_default();
                    string = None;
                }
                _ => {}
            }
            continue;
        }
        match sign {
            '"' => string = Some(at),
            ':' => is_value_of_statement = depth == 1 && says_statement(last_string),
            '{' | '[' => {
                depth += 1;
                if std::mem::take(&mut is_value_of_statement) {
                    inside = Some((if sign == '[' { depth + 1 } else { depth }, here));
                }
            }
            '}' | ']' => {
                if let Some((of_statement, begin)) = inside {
                    if depth == of_statement {
                        places.push((begin, here));
                        inside = Some((of_statement, here));
                    }
                    if depth <= 2 {
                        inside = None;
                    }
                }
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
    }
    places
}

/// Names may be written with escapes.
fn says_statement(quoted: &str) -> bool {
    quoted == "\"Statement\""
        || parse(quoted).is_ok_and(|name| name == Json::String(String::from("Statement")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[[usize; 4]]) {
        let found: Vec<_> = statement_places(text)
            .iter()
            .map(|(begin, end)| [begin.line, begin.column, end.line, end.column])
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn statements_stand_where_aws_says_they_do() {
        // AdministratorAccess, as AWS writes it.
        check(
            "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\n      \"Effect\": \"Allow\",\n      \
             \"Action\": \"*\",\n      \"Resource\": \"*\"\n    }\n  ]\n}",
            &[[3, 17, 8, 6]],
        );
        // The example of the API reference.
        check(
            "{\n  \"Version\":\"2012-10-17\",\n  \"Statement\":{\n    \"Effect\":\"Allow\",\n    \
             \"Action\":\"s3:PutObject\",\n    \"Resource\":\"arn:aws:s3:::my-test-bucket\"\n  }\n}",
            &[[3, 16, 7, 4]],
        );
        check(r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}"#, &[[1, 41, 1, 60]]);
    }

    #[test]
    fn braces_in_strings_and_in_conditions_are_no_statements() {
        check(
            r#"{"Id":"{\"Statement\":[","Statement":[{"Sid":"}","C":{"a":["{"]}},{"Sid":"b"}],"X":[{"Statement":[{}]}]}"#,
            &[[1, 39, 1, 66], [1, 66, 1, 78]],
        );
        check(r#"{"St\u0061tement":{"Sid":"é"},"Id":"Statement"}"#, &[[1, 20, 1, 30]]);
        check("", &[]);
        check("}}]", &[]);
    }
}

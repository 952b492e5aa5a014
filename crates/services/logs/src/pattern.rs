//! Filter patterns, as AWS documents them: terms, members of JSON, and columns.
//!
//! Terms stand anywhere in a message and are told apart by case. All of them are wanted; those with `?` before them are alternatives, and
//! count only where nothing else is wanted; those with `-` are not. `%..%` is a regular expression. What nobody documents is ours: a term
//! need not be a whole word.

mod columns;
mod json;
mod scan;
mod test;

use regex::Regex;

use self::{
    columns::Columns,
    json::Condition,
    scan::{Scan, found},
};
use crate::error::LogsError;

#[derive(Debug)]
pub(crate) enum Pattern {
    All,
    Terms(Terms),
    Json(Condition),
    Columns(Columns),
}

#[derive(Debug, Default)]
pub(crate) struct Terms {
    wanted: Vec<Term>,
    alternatives: Vec<Term>,
    unwanted: Vec<Term>,
}

#[derive(Debug)]
enum Term {
    Text(String),
    Regex(Box<Regex>),
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(text) => message.contains(text.as_str()),
            Self::Regex(regex) => found(regex, message),
        }
    }
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, LogsError> {
        let text = text.trim();
        let parsed = match text.chars().next() {
            None => Ok(Self::All),
            Some('{') => Condition::parse(text).map(Self::Json),
            Some('[') => Columns::parse(text).map(Self::Columns),
            Some(_) => terms(text).map(Self::Terms),
        };
        parsed.map_err(|why| LogsError::Pattern { why })
    }

    pub(crate) fn matches(&self, message: &str) -> bool {
        match self {
            Self::All => true,
            Self::Terms(terms) => terms.match_in(message),
            Self::Json(condition) => condition.matches(message),
            Self::Columns(columns) => columns.match_in(message),
        }
    }
}

impl Terms {
    fn match_in(&self, message: &str) -> bool {
        let is_in = |term: &Term| term.is_in(message);
        if self.unwanted.iter().any(is_in) {
            return false;
        }
        let is_alone = self.wanted.is_empty() && self.unwanted.is_empty();
        if is_alone && !self.alternatives.is_empty() {
            return self.alternatives.iter().any(is_in);
        }
        self.wanted.iter().all(is_in)
    }
}

fn terms(text: &str) -> Result<Terms, String> {
    let mut scan = Scan::new(text);
    let mut terms = Terms::default();
    loop {
        scan.skip_space();
        let list = match scan.peek() {
            None => return Ok(terms),
            Some('?') => {
                scan.take();
                &mut terms.alternatives
            }
            Some('-') => {
                scan.take();
                scan.skip_space();
                &mut terms.unwanted
            }
            Some(_) => &mut terms.wanted,
        };
        list.push(match scan.peek() {
            Some('"') => Term::Text(scan.quoted()?),
            Some('%') => Term::Regex(Box::new(scan.regex()?)),
            _ => Term::Text(scan.word(|char| !char.is_whitespace())?),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, message: &str) -> bool {
        Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error:?}")).matches(message)
    }

    #[test]
    fn terms_are_wanted_alternatives_or_unwanted() {
        for (pattern, message, expected) in [
            ("", "anything", true),
            ("ERROR", "[ERROR] 404", true),
            ("ERROR", "[error] 404", false),
            ("ERROR 404", "404 ERROR", true),
            ("ERROR 404", "ERROR 500", false),
            ("\"INTERNAL SERVER\"", "500 INTERNAL SERVER ERROR", true),
            ("\"INTERNAL SERVER\"", "500 SERVER INTERNAL", false),
            ("?ERROR ?WARN", "WARN 1", true),
            ("?ERROR ?WARN", "INFO 1", false),
            ("?ERROR 404", "404", true),
            ("ERROR -EXITING", "ERROR 1", true),
            ("ERROR -EXITING", "ERROR EXITING", false),
            ("-EXITING", "x", true),
            ("-\"a b\"", "a b", false),
            ("?ERROR ?WARN -404", "WARN 404", false),
            ("?ERROR -404", "INFO 1", true),
            ("ERROR - \"EXITING\"", "ERROR EXITING", false),
            ("%4[0-9]{2}%", "status 404", true),
            ("%^a%", "ba", false),
            ("\"say \\\"no\\\"\"", "say \"no\"", true),
        ] {
            assert_eq!(matches(pattern, message), expected, "{pattern} in {message}");
        }
    }

    #[test]
    fn members_of_json_are_compared() {
        let event = r#"{"eventName": "GetSecretValue", "errorMessage": "You can't perform this operation on the secret because it was marked for deletion.",
            "n": 5, "big": 1e3, "f": false, "t": true, "z": null, "deep": {"er": ["a", {"x.y": "b"}]}, "ip": "10.0.0.7"}"#;
        for (pattern, expected) in [
            (r#"{ $.eventName = "GetSecretValue" }"#, true),
            (r#"{ $.eventName = GetSecretValue }"#, true),
            (r#"{ $.eventName = "getsecretvalue" }"#, false),
            (
                r#"{ $.eventName = "Get*" && $.errorMessage = "*secret because it was marked for deletion*" }"#,
                true,
            ),
            (r#"{ ($.eventName = "Put*") || ($.n > 3) }"#, true),
            (r#"{ $.eventName = "Put*" || $.n > 3 && $.n < 5 }"#, false),
            (r#"{ $.n = 5 }"#, true),
            (r#"{ $.n != 5 }"#, false),
            (r#"{ $.n >= 5 && $.n <= 5 }"#, true),
            (r#"{ $.big = 1000 }"#, true),
            (r#"{ $.big > 9e2 }"#, true),
            (r#"{ $.f IS FALSE }"#, true),
            (r#"{ $.t is true }"#, true),
            (r#"{ $.f IS TRUE }"#, false),
            (r#"{ $.z IS NULL }"#, true),
            (r#"{ $.none IS NULL }"#, false),
            (r#"{ $.none NOT EXISTS }"#, true),
            (r#"{ $.n NOT EXISTS }"#, false),
            (r#"{ $.none != "x" }"#, false),
            (r#"{ $.n = * }"#, true),
            (r#"{ $.none = * }"#, false),
            (r#"{ $.deep.er[0] = "a" }"#, true),
            (r#"{ $.deep.er[1].["x.y"] = "b" }"#, true),
            (r#"{ $.deep.er[7] = "a" }"#, false),
            (r#"{ $.ip = 10.0.0.* }"#, true),
            (r#"{ $.ip = %^10\.0\.% }"#, true),
            (r#"{ $.ip != %^10% }"#, false),
            (r#"{ $.deep = * }"#, false),
            (r#"{ $.deep != "x" }"#, false),
            (r#"{ $.eventName = nan }"#, false),
        ] {
            assert_eq!(matches(pattern, event), expected, "{pattern}");
        }
        assert!(!matches("{ $.a NOT EXISTS }", "no json"));
    }

    #[test]
    fn columns_are_counted_and_compared() {
        let line = r#"127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;
        for (pattern, expected) in [
            ("[ip, id, user, timestamp, request, status_code, size]", true),
            // The last one takes what is left, as AWS's own patterns have it.
            ("[ip, id, user, timestamp, request, status_code]", true),
            ("[ip, id, user, timestamp, request, status_code = 404]", false),
            ("[ip = 127.*, rest]", true),
            ("[ip, id, user, timestamp, request, status_code, size, more]", false),
            ("[ip, id, user, timestamp, request, status_code = 4*, size]", true),
            ("[ip, id, user, timestamp, request, status_code = 4* && status_code != 404, size]", false),
            ("[ip, id, user, timestamp, request, status_code = 500 || status_code = 404, size > 1000]", true),
            ("[ip = %127%, ...]", true),
            ("[..., size < 1000]", false),
            ("[..., status_code = 404, size]", true),
            ("[w1 = 127.*, ..., size]", true),
            ("[ip, id, user, timestamp, request = *html*, ...]", true),
            ("[ip, id, user = \"frank\", ...]", true),
            ("[ip, , user, ...]", true),
        ] {
            assert_eq!(matches(pattern, line), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in [
            "{",
            "{}",
            "{ $.a }",
            "{ $.a = }",
            "{ a = 1 }",
            "{ $.a = 1",
            "{ $.a = 1 } x",
            "{ $.a == 1 }",
            "{ ($.a = 1 }",
            "{ $.a[x] = 1 }",
            "{ $. = 1 }",
            "{ $.a > \"x }",
            "[",
            "[a",
            "[a = ]",
            "[a, b] c",
            "[..., a, ...]",
            "\"open",
            "%(%",
            "%a(b)c%",
            "%a% %b% %c%",
            "%[ab]{9000}%",
            "%open",
            "?",
            "-",
        ] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
        let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(400), ")".repeat(400));
        assert!(Pattern::parse(&deep).is_err());
    }
}

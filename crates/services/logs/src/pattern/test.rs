//! What is asked of one value: `= "Get*"`, `> 3`, `!= %regex%`.

use regex::Regex;

use super::scan::{Scan, found, number};

#[derive(Debug)]
pub(crate) struct Test {
    compares: Compares,
    with: Operand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compares {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug)]
enum Operand {
    Number(f64),
    /// With `*` for any letters.
    Text(String),
    Regex(Box<Regex>),
}

impl Test {
    pub(super) fn parse(scan: &mut Scan<'_>) -> Result<Self, String> {
        let compares = [
            ("!=", Compares::NotEqual),
            (">=", Compares::GreaterOrEqual),
            ("<=", Compares::LessOrEqual),
            (">", Compares::Greater),
            ("<", Compares::Less),
            ("=", Compares::Equal),
        ];
        let found = compares.into_iter().find(|(sign, _)| scan.eat(sign));
        let (_, compares) = found.ok_or("a comparison is missing")?;
        scan.skip_space();
        let with = match scan.peek() {
            Some('"') => Operand::Text(scan.quoted()?),
            Some('%') => Operand::Regex(Box::new(scan.regex()?)),
            _ => {
                let is_plain = |char: char| char.is_alphanumeric() || "*._-:+/@#$".contains(char);
                let word = scan.word(is_plain).map_err(|_| "a value is missing")?;
                number(&word).map_or(Operand::Text(word), Operand::Number)
            }
        };
        let is_order = !matches!(compares, Compares::Equal | Compares::NotEqual);
        if is_order && !matches!(with, Operand::Number(_)) {
            return Err(String::from("only numbers have an order"));
        }
        Ok(Self { compares, with })
    }

    /// Of a number, or of what can be read as one, and its text.
    pub(super) fn holds(&self, text: &str, number: Option<f64>) -> bool {
        let equals = match &self.with {
            Operand::Number(with) => {
                let Some(number) = number else { return self.compares == Compares::NotEqual };
                return match self.compares {
                    Compares::Equal => number == *with,
                    Compares::NotEqual => number != *with,
                    Compares::Less => number < *with,
                    Compares::LessOrEqual => number <= *with,
                    Compares::Greater => number > *with,
                    Compares::GreaterOrEqual => number >= *with,
                };
            }
            Operand::Text(pattern) => fits(pattern, text),
            Operand::Regex(regex) => found(regex, text),
        };
        equals == (self.compares == Compares::Equal)
    }
}

/// Whether a text is like a pattern in which `*` stands for any letters. Looks at each letter of the text once for each star at most.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_letters() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*a", "ba", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("ab*ba", "aba", false),
            ("*b*", "abc", true),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "axcxb", false),
            ("**", "x", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}

//! Reads a pattern letter by letter.

use regex::{Regex, RegexBuilder};

/// AWS takes no more, and no parentheses in them.
const REGEXES_MAX: usize = 2;
/// A pattern of a thousand letters can ask for a very large machine.
const REGEX_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub(super) struct Scan<'a> {
    rest: &'a str,
    regexes: usize,
}

impl<'a> Scan<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text, regexes: 0 }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let first = chars.next()?;
        self.rest = chars.as_str();
        Some(first)
    }

    pub(super) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes that text, if it is next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        self.skip_space();
        let behind = self.rest.strip_prefix(text);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    /// The same for a word in whatever case.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let Some((start, behind)) = self.rest.split_at_checked(word.len()) else { return false };
        let ends = behind.chars().next().is_none_or(|next| !next.is_alphanumeric());
        let is_it = start.eq_ignore_ascii_case(word) && ends;
        if is_it {
            self.rest = behind;
        }
        is_it
    }

    pub(super) fn expect(&mut self, text: &str) -> Result<(), String> {
        if self.eat(text) { Ok(()) } else { Err(format!("{text} is missing")) }
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.rest.is_empty()
    }

    /// Letters as long as they are of a kind, one at least.
    pub(super) fn word(&mut self, is_of_it: impl Fn(char) -> bool) -> Result<String, String> {
        let end = self.rest.find(|char| !is_of_it(char)).unwrap_or(self.rest.len());
        let (word, behind) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(String::from("a word is missing"));
        }
        self.rest = behind;
        Ok(word.to_owned())
    }

    /// A text in quotes, which are next. A backslash takes what is special from the letter behind it.
    pub(super) fn quoted(&mut self) -> Result<String, String> {
        let quote = self.take();
        let mut text = String::new();
        loop {
            match self.take() {
                None => return Err(String::from("a quote is not closed")),
                next if next == quote => return Ok(text),
                Some('\\') => text.extend(self.take()),
                Some(char) => text.push(char),
            }
        }
    }

    /// A regular expression between per cent signs, which are next. See [`found`].
    pub(super) fn regex(&mut self) -> Result<Regex, String> {
        self.take();
        let (text, behind) = self.rest.split_once('%').ok_or("a regular expression is not closed")?;
        self.rest = behind;
        self.regexes += 1;
        if self.regexes > REGEXES_MAX {
            return Err(String::from("there are more than two regular expressions"));
        }
        if text.contains(['(', ')']) {
            return Err(String::from("a regular expression has parentheses"));
        }
        let built =
            RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build();
        built.map_err(|_| String::from("a regular expression is not valid"))
    }
}

/// How far a text is looked through; ours. What a pattern asks of one event must not take seconds.
const LOOKED_THROUGH: usize = 64 * 1024;

pub(super) fn found(regex: &Regex, text: &str) -> bool {
    let mut end = text.len().min(LOOKED_THROUGH);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    regex.is_match(text.get(..end).unwrap_or_default())
}

/// A number as people write one, and not every word that could be read as one.
pub(super) fn number(text: &str) -> Option<f64> {
    let begins = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    let has_digit = text.contains(|char: char| char.is_ascii_digit());
    if begins && has_digit { text.parse().ok() } else { None }
}

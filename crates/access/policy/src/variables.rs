//! `${aws:username}` and `${aws:PrincipalTag/team, 'none'}`: texts in a policy that the request fills in.
//!
//! They are found once, when the policy is read. A template is the rest of the text with holes, and each hole knows its key. Documents
//! of the old version have no variables, so their `${…}` is text like any other.
//!
//! A key that is absent, or that has several values, fills in the default, or nothing. What nothing that means is for the place to decide where the template
//! stands: a resource is then nobody's, and a condition compares with nothing.

use std::borrow::Cow;

use crate::{
    Context, Key, Values, Version,
    glob::{self, Part, Span},
};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    key: Key,
    default: Option<Box<str>>,
}

/// Whether `*` and `?` are wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wildcards {
    Mean,
    AreText,
}

/// A text of a policy, with wildcards or without.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Template {
    parts: Box<[Part]>,
    variables: Box<[Variable]>,
}

impl Template {
    pub(crate) fn parse(version: Version, text: &str, wildcards: Wildcards) -> Self {
        let mut parts = Vec::new();
        let mut variables = Vec::new();
        push(&mut parts, &mut variables, version, text, wildcards);
        Self { parts: parts.into(), variables: variables.into() }
    }

    /// A pattern of resources, which has its variables behind the fifth colon only.
    pub(crate) fn resource(version: Version, text: &str) -> Self {
        let mut parts = Vec::new();
        let mut variables = Vec::new();
        let tail = text.match_indices(':').nth(4).map_or(text.len(), |(at, _)| at + 1);
        let (head, tail) = text.split_at(tail);
        glob::push_pattern(&mut parts, head);
        push(&mut parts, &mut variables, version, tail, Wildcards::Mean);
        Self { parts: parts.into(), variables: variables.into() }
    }

    /// `*`, which covers even what has no name.
    pub(crate) fn is_star(&self) -> bool {
        matches!(*self.parts, [Part::Star])
    }

    /// The text itself, where nothing is to be filled in and nothing is a wildcard.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// What the variables stand for; nothing if one of them stands for nothing.
    pub(crate) fn fill<'c>(&'c self, context: &'c dyn Context) -> Option<Filled<'c>> {
        let values = self.variables.iter().map(|variable| variable.value(context)).collect::<Option<_>>()?;
        Some(Filled { parts: &self.parts, values })
    }

    /// Whether the template covers a whole text; nothing if a variable stands for nothing.
    pub(crate) fn covers(&self, context: &dyn Context, text: &str, span: Span) -> Option<bool> {
        Some(self.fill(context)?.covers(text, span))
    }

    /// The keys that it asks for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.variables.iter().map(|variable| &variable.key)
    }
}

/// A template without holes.
#[derive(Debug)]
pub(crate) struct Filled<'c> {
    parts: &'c [Part],
    /// No allocation while there are none, as nearly always.
    values: Vec<Cow<'c, str>>,
}

impl<'c> Filled<'c> {
    pub(crate) fn covers(&self, text: &str, span: Span) -> bool {
        glob::covers(self.parts, &self.values, text, span)
    }

    /// All of it in a row. Only for templates in which wildcards are text.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self.parts {
            [] => Cow::Borrowed(""),
            [lone] => Cow::Borrowed(self.part(lone)),
            parts => Cow::Owned(parts.iter().map(|part| self.part(part)).collect()),
        }
    }

    fn part<'a>(&'a self, part: &'a Part) -> &'a str {
        match part {
            Part::Text(text) => text,
            Part::Variable(index) => self.values.get(*index).map_or("", |value| value),
            Part::One => "?",
            Part::Star => "*",
        }
    }
}

impl Variable {
    fn value<'c>(&'c self, context: &'c dyn Context) -> Option<Cow<'c, str>> {
        match context.values(&self.key) {
            Some(Values::One(value)) => Some(value),
            // A list is no text, not even a list of one.
            Some(Values::Many(_)) | None => self.default.as_deref().map(Cow::Borrowed),
        }
    }
}

fn push(
    parts: &mut Vec<Part>,
    variables: &mut Vec<Variable>,
    version: Version,
    mut text: &str,
    wildcards: Wildcards,
) {
    let plain = |parts: &mut Vec<Part>, text: &str| match wildcards {
        Wildcards::Mean => glob::push_pattern(parts, text),
        Wildcards::AreText => glob::push_text(parts, text),
    };
    while version == Version::V2012
        && let Some((before, after)) = text.split_once("${")
        && let Some((inside, rest)) = enclosed(after)
    {
        plain(parts, before);
        match inside {
            "*" | "?" | "$" => glob::push_text(parts, inside),
            _ => {
                parts.push(Part::Variable(variables.len()));
                variables.push(variable(inside));
            }
        }
        text = rest;
    }
    plain(parts, text);
}

/// What stands before the brace that closes, and what behind. A brace inside of a quoted default closes nothing.
fn enclosed(text: &str) -> Option<(&str, &str)> {
    let brace = text.find('}')?;
    if let Some((_, default)) = text.get(..brace)?.split_once(',')
        && let Some(quoted) = default.trim_start_matches(' ').strip_prefix('\'')
    {
        let from = text.len() - text.get(brace..)?.len() - quoted.len();
        let end = from + text.get(from..)?.find("'}")? + 1;
        return Some((text.get(..end)?, text.get(end + 1..)?));
    }
    text.split_once('}')
}

fn variable(inside: &str) -> Variable {
    let quoted = |default: &str| -> Option<Box<str>> {
        default.trim_start_matches(' ').strip_prefix('\'')?.strip_suffix('\'').map(Into::into)
    };
    let with_default = inside.split_once(',').and_then(|(key, default)| Some((key, quoted(default)?)));
    match with_default {
        Some((key, default)) => Variable { key: Key::new(key), default: Some(default) },
        None => Variable { key: Key::new(inside), default: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keys(&'static [(&'static str, &'static [&'static str])]);

    impl Context for Keys {
        fn values<'a>(&'a self, key: &'a Key) -> Option<Values<'a>> {
            let (_, values) = self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key.as_written()))?;
            Some(match values {
                [one] => Values::One(Cow::Borrowed(one)),
                many => Values::Many(many.iter().map(|value| Cow::Borrowed(*value)).collect()),
            })
        }
    }

    const CONTEXT: Keys = Keys(&[
        ("aws:username", &["ann"]),
        ("aws:PrincipalTag/team", &["r*d"]),
        ("aws:TagKeys", &["a", "b"]),
        ("x:empty", &[""]),
    ]);

    fn filled(version: Version, text: &str) -> Option<String> {
        let template = Template::parse(version, text, Wildcards::AreText);
        template.fill(&CONTEXT).map(|filled| filled.text().into_owned())
    }

    #[test]
    fn variables_are_filled_in_and_what_is_none_is_text() {
        for (text, expected) in [
            ("", Some("")),
            ("plain", Some("plain")),
            ("${aws:username}", Some("ann")),
            ("a/${AWS:UserName}/${aws:PrincipalTag/team}", Some("a/ann/r*d")),
            ("[${x:empty}]", Some("[]")),
            ("${*}${?}${$}{", Some("*?${")),
            ("${aws:nobody}", None),
            ("${aws:nobody, 'me'}", Some("me")),
            ("${aws:nobody,'me'}", Some("me")),
            ("${aws:nobody, ''}", Some("")),
            ("${aws:nobody, 'it's {}'}!", Some("it's {}!")),
            ("${aws:username, 'me'}", Some("ann")),
            ("${aws:TagKeys}", None),
            ("${aws:TagKeys, 'me'}", Some("me")),
            // What is not quoted is no default, but a strange name.
            ("${aws:username, me}", None),
            ("${}", None),
            ("${aws:username", Some("${aws:username")),
            ("$aws:username}", Some("$aws:username}")),
        ] {
            assert_eq!(filled(Version::V2012, text).as_deref(), expected, "{text}");
            assert_eq!(filled(Version::V2008, text).as_deref(), Some(text), "{text}");
        }
    }

    #[test]
    fn a_resource_has_variables_behind_its_fifth_colon_only() {
        let covers = |pattern: &str, arn: &str| {
            Template::resource(Version::V2012, pattern).covers(&CONTEXT, arn, Span::Fields)
        };
        assert_eq!(covers("arn:aws:s:r:a:${aws:username}/*", "arn:aws:s:r:a:ann/x"), Some(true));
        assert_eq!(covers("arn:aws:s:r:a:${aws:nobody}/*", "arn:aws:s:r:a:ann/x"), None);
        assert_eq!(covers("arn:aws:s:${aws:username}:a:x", "arn:aws:s:ann:a:x"), Some(false));
        assert_eq!(covers("arn:aws:s:${aws:nobody}:a:x", "arn:aws:s:${aws:nobody}:a:x"), Some(true));
    }
}

//! Filters of lists, as AWS matches them.
//!
//! Names and tags match by prefix. Descriptions and `all` match by words: a value matches a text when each of its words is the
//! beginning of some word of that text. What counts as a word was found from recordings; see the tokenizer below.

use std::cell::{Cell, OnceCell};

use coffer_model::secretsmanager::Filter;

use crate::{error::SecretError, secret::SecretRecord};

/// A filter that has been understood.
#[derive(Debug)]
pub(crate) struct Matcher {
    key: FilterKey,
    values: Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FilterKey {
    Name,
    Description,
    TagKey,
    TagValue,
    PrimaryRegion,
    OwningService,
    All,
}

#[derive(Debug)]
struct Value {
    negated: bool,
    text: String,
    /// Each once.
    words: Vec<String>,
}

impl Matcher {
    /// All of them must match: filters are joined by AND even when two have the same key.
    pub(crate) fn all(filters: Option<Vec<Filter>>) -> Result<Vec<Self>, SecretError> {
        filters.unwrap_or_default().into_iter().map(Self::new).collect()
    }

    fn new(filter: Filter) -> Result<Self, SecretError> {
        let Some(key) = filter.key else { return Err(SecretError::FilterWithoutKey) };
        let Some(values) = filter.values.filter(|values| !values.is_empty()) else {
            return Err(SecretError::FilterWithoutValues { key });
        };
        let key = match key.as_str() {
            "name" => FilterKey::Name,
            "description" => FilterKey::Description,
            "tag-key" => FilterKey::TagKey,
            "tag-value" => FilterKey::TagValue,
            "primary-region" => FilterKey::PrimaryRegion,
            "owning-service" => FilterKey::OwningService,
            "all" => FilterKey::All,
            // The model admits no other key; a newer one would be refused here.
            _ => return Err(SecretError::FilterWithoutKey),
        };
        let values = values
            .iter()
            .map(|value| {
                let (negated, text) =
                    value.strip_prefix('!').map_or((false, value.as_str()), |text| (true, text));
                let mut words = sorted_words(text);
                words.dedup();
                Value { negated, text: text.to_owned(), words }
            })
            .collect();
        Ok(Self { key, values })
    }

    pub(crate) fn matches(&self, texts: &Texts<'_>) -> bool {
        self.values.iter().any(|value| value.negated != self.value_matches(value, texts))
    }

    fn value_matches(&self, value: &Value, texts: &Texts<'_>) -> bool {
        let secret = texts.secret;
        let tags = || secret.tags.iter().flatten();
        match self.key {
            FilterKey::Name => secret.name.starts_with(&value.text),
            FilterKey::Description => value.matches_words(&texts.description),
            FilterKey::TagKey => tags().any(|tag| tag.key.starts_with(&value.text)),
            FilterKey::TagValue => tags().any(|tag| tag.value.starts_with(&value.text)),
            // No secret is replicated or owned by another service yet, so none has these attributes.
            FilterKey::PrimaryRegion | FilterKey::OwningService => false,
            FilterKey::All => texts.any(|text| value.matches_words(text)),
        }
    }
}

/// The texts of one secret, taken apart at most once however many filters look at them.
#[derive(Debug)]
pub(crate) struct Texts<'a> {
    secret: &'a SecretRecord,
    description: Text<'a>,
    others: OnceCell<Vec<Text<'a>>>,
}

impl<'a> Texts<'a> {
    pub(crate) fn of(secret: &'a SecretRecord) -> Self {
        let description = Text::new(secret.description.as_deref().unwrap_or_default());
        Self { secret, description, others: OnceCell::new() }
    }

    fn any(&self, matches: impl Fn(&Text<'a>) -> bool) -> bool {
        let others = self.others.get_or_init(|| {
            let tags = self.secret.tags.iter().flatten();
            let tags = tags.flat_map(|tag| [Text::new(&tag.key), Text::new(&tag.value)]);
            std::iter::once(Text::new(&self.secret.name)).chain(tags).collect()
        });
        matches(&self.description) || others.iter().any(matches)
    }
}

/// A text that may come apart into words.
#[derive(Debug)]
struct Text<'a> {
    raw: &'a str,
    /// Sorted.
    words: OnceCell<Vec<String>>,
    glances: Cell<u8>,
}

/// After so many looks at the letters, words are cheaper.
const GLANCES_MAX: u8 = 4;

impl<'a> Text<'a> {
    const fn new(raw: &'a str) -> Self {
        Self { raw, words: OnceCell::new(), glances: Cell::new(0) }
    }

    fn words(&self) -> &[String] {
        self.words.get_or_init(|| sorted_words(self.raw))
    }

    /// Most texts do not have a word's letters in them anywhere. That is seen without taking them apart.
    fn cannot_have(&self, word: &str) -> bool {
        // Other letters may become others when they are made small.
        if self.words.get().is_some() || self.glances.get() >= GLANCES_MAX || !self.raw.is_ascii() {
            return false;
        }
        self.glances.set(self.glances.get() + 1);
        !self.raw.as_bytes().windows(word.len()).any(|letters| letters.eq_ignore_ascii_case(word.as_bytes()))
    }
}

impl Value {
    fn matches_words(&self, text: &Text<'_>) -> bool {
        let Some(longest) = self.words.iter().max_by_key(|word| word.len()) else { return false };
        if text.cannot_have(longest) {
            return false;
        }
        let words = text.words();
        // They are sorted, so whether a word begins with another is one look.
        let is_there = |wanted: &String| {
            let place = words.partition_point(|word| word < wanted);
            words.get(place).is_some_and(|word| word.starts_with(wanted.as_str()))
        };
        self.words.iter().all(is_there)
    }
}

fn sorted_words(text: &str) -> Vec<String> {
    let mut words = words(text);
    words.sort_unstable();
    words
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Upper,
    Lower,
    /// Letters of scripts without case, and other letters.
    OtherLetter,
    Digit,
    Separator,
}

fn class(letter: char) -> Class {
    match letter {
        letter if letter.is_uppercase() => Class::Upper,
        letter if letter.is_lowercase() => Class::Lower,
        letter if letter.is_alphabetic() => Class::OtherLetter,
        letter if letter.is_numeric() => Class::Digit,
        _ => Class::Separator,
    }
}

/// Splits a text into lower-case words.
///
/// 1. at everything that is neither letter nor digit;
/// 2. between letters and digits;
/// 3. inside letters, each "one capital, then small letters" is a word, and what lies between such words is one too:
///    `AppBeta` is app, beta; `COMPANYthings` is compan, ythings; `myTest` is my, test.
fn words(text: &str) -> Vec<String> {
    let letters: Vec<(char, Class)> = text.chars().map(|letter| (letter, class(letter))).collect();
    let mut words = Vec::new();
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    let mut previous = Class::Separator;
    let mut capitalised = false;
    for (index, &(letter, class)) in letters.iter().enumerate() {
        let next = letters.get(index + 1).map_or(Class::Separator, |&(_, class)| class);
        let starts_capitalised = class == Class::Upper && next == Class::Lower;
        let breaks = class == Class::Separator
            || (class == Class::Digit) != (previous == Class::Digit)
            || starts_capitalised
            || (capitalised && class != Class::Lower);
        if breaks {
            end(&mut word);
            capitalised = false;
        }
        if class != Class::Separator {
            word.extend(letter.to_lowercase());
            capitalised |= starts_capitalised;
        }
        previous = class;
    }
    end(&mut word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::TagRecord;

    #[test]
    fn texts_come_apart_into_words() {
        for (text, expected) in [
            ("prod/AppBeta/424242", &["prod", "app", "beta", "424242"][..]),
            ("myTest", &["my", "test"]),
            ("COMPANYthings", &["compan", "ythings"]),
            ("COMPANY", &["company"]),
            ("Thirdsecret", &["thirdsecret"]),
            ("creds892", &["creds", "892"]),
            ("a secret", &["a", "secret"]),
            ("+", &[]),
            ("", &[]),
            ("AB", &["ab"]),
            ("ABc", &["a", "bc"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    fn secret(name: &str, description: &str, tags: &[(&str, &str)]) -> SecretRecord {
        SecretRecord {
            name: name.into(),
            description: (!description.is_empty()).then(|| description.into()),
            tags: Some(
                tags.iter()
                    .map(|(key, value)| TagRecord { key: (*key).into(), value: (*value).into() })
                    .collect(),
            ),
            ..SecretRecord::default()
        }
    }

    fn matches(key: &str, values: &[&str], secret: &SecretRecord) -> bool {
        let filter = Filter {
            key: Some(key.into()),
            values: Some(values.iter().map(|value| (*value).into()).collect()),
        };
        Matcher::new(filter).unwrap().matches(&Texts::of(secret))
    }

    #[test]
    fn every_key_matches_in_its_own_way() {
        let secret = secret("Prod/db", "The Main database", &[("Team", "blue")]);
        for (key, values, expected) in [
            ("name", &["Prod/"][..], true),
            ("name", &["prod/"], false),
            ("name", &["db"], false),
            ("name", &["x", "Prod"], true),
            ("name", &["!Prod"], false),
            ("name", &["!x"], true),
            ("description", &["main the"], true),
            ("description", &["main x"], false),
            ("tag-key", &["Te"], true),
            ("tag-key", &["te"], false),
            ("tag-value", &["bl"], true),
            ("all", &["BLUE"], true),
            ("all", &["main blue"], false),
            ("all", &["no", "not", "never", "nor", "neither", "blue"], true),
            ("all", &["lue"], false),
            ("primary-region", &["eu"], false),
            ("owning-service", &["!rds"], true),
        ] {
            assert_eq!(matches(key, values, &secret), expected, "{key} {values:?}");
        }
    }

    #[test]
    fn a_filter_without_key_or_values_is_refused() {
        assert_eq!(Matcher::new(Filter::default()).err(), Some(SecretError::FilterWithoutKey));
        let filter = Filter { key: Some("name".into()), values: None };
        assert_eq!(Matcher::new(filter).err(), Some(SecretError::FilterWithoutValues { key: "name".into() }));
    }
}

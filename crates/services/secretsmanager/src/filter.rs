//! Filters of lists, as AWS matches them.
//!
//! Names and tags match by prefix. Descriptions and `all` match by words: a value matches a text when each of its words is the
//! beginning of some word of that text. What counts as a word was found from recordings; see the tokenizer below.

use std::{
    cell::{Cell, OnceCell},
    iter::Peekable,
    str::CharIndices,
};

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

    /// Whether it looks at more than the record itself and its name.
    pub(crate) const fn reads_texts(&self) -> bool {
        matches!(self.key, FilterKey::Description | FilterKey::TagKey | FilterKey::TagValue | FilterKey::All)
    }

    pub(crate) fn matches(&self, texts: &Texts<'_>) -> bool {
        self.values.iter().any(|value| value.negated != self.value_matches(value, texts))
    }

    fn value_matches(&self, value: &Value, texts: &Texts<'_>) -> bool {
        let secret = texts.secret;
        let tags = || secret.tags.iter().flatten();
        match self.key {
            FilterKey::Name => secret.name.starts_with(&value.text),
            FilterKey::Description => {
                value.is_worth_a_look(texts.description.raw) && value.matches_words(&texts.description)
            }
            FilterKey::TagKey => tags().any(|tag| tag.key.starts_with(&value.text)),
            FilterKey::TagValue => tags().any(|tag| tag.value.starts_with(&value.text)),
            FilterKey::PrimaryRegion => {
                secret.shown_primary_region().is_some_and(|region| region.starts_with(&value.text))
            }
            // No secret is owned by another service yet.
            FilterKey::OwningService => false,
            FilterKey::All => {
                texts.raw().any(|raw| value.is_worth_a_look(raw))
                    && texts.any(|text| value.matches_words(text))
            }
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

    /// As they stand there; the description is the first.
    fn raw(&self) -> impl Iterator<Item = &'a str> {
        let secret = self.secret;
        let tags = secret.tags.iter().flatten().flat_map(|tag| [tag.key.as_str(), tag.value.as_str()]);
        [self.description.raw, secret.name.as_str()].into_iter().chain(tags)
    }

    fn any(&self, matches: impl Fn(&Text<'a>) -> bool) -> bool {
        let others = self.others.get_or_init(|| self.raw().skip(1).map(Text::new).collect());
        matches(&self.description) || others.iter().any(matches)
    }
}

/// A text that comes apart into words.
#[derive(Debug)]
struct Text<'a> {
    raw: &'a str,
    /// Sorted.
    words: OnceCell<Vec<String>>,
    looks: Cell<u8>,
}

/// After so many looks through a text it is taken apart for good.
const LOOKS_MAX: u8 = 4;

impl<'a> Text<'a> {
    const fn new(raw: &'a str) -> Self {
        Self { raw, words: OnceCell::new(), looks: Cell::new(0) }
    }

    /// Whether a word of the text begins with `wanted`, which is a word in small letters.
    fn has(&self, wanted: &str) -> bool {
        if self.words.get().is_none() && self.looks.get() < LOOKS_MAX {
            self.looks.set(self.looks.get() + 1);
            return Words::of(self.raw).any(|word| begins(word, wanted));
        }
        let words = self.words.get_or_init(|| sorted_words(self.raw));
        // They are sorted, so whether one of them begins with another is one look.
        let place = words.partition_point(|word| word.as_str() < wanted);
        words.get(place).is_some_and(|word| word.starts_with(wanted))
    }
}

impl Value {
    /// Most texts hold a word nowhere, not even in the middle of another. That is found out without taking them apart.
    fn is_worth_a_look(&self, raw: &str) -> bool {
        self.words.iter().all(|word| !(raw.is_ascii() && word.is_ascii()) || contains(raw, word))
    }

    fn matches_words(&self, text: &Text<'_>) -> bool {
        !self.words.is_empty() && self.words.iter().all(|word| text.has(word))
    }
}

/// Whether small letters stand somewhere in a text, be they large there. Both are ASCII.
fn contains(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    let Some(first) = wanted.first() else { return true };
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text).any(|start| {
        let there = start.checked_add(wanted.len()).and_then(|end| text.get(start..end));
        there.is_some_and(|there| there.eq_ignore_ascii_case(wanted))
    })
}

fn begins(word: &str, wanted: &str) -> bool {
    if word.is_ascii() {
        let start = word.as_bytes().get(..wanted.len());
        return start.is_some_and(|start| start.eq_ignore_ascii_case(wanted.as_bytes()));
    }
    let mut letters = word.chars().flat_map(char::to_lowercase);
    wanted.chars().all(|letter| letters.next() == Some(letter))
}

fn sorted_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Words::of(text).map(str::to_lowercase).collect();
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
        'a'..='z' => Class::Lower,
        'A'..='Z' => Class::Upper,
        '0'..='9' => Class::Digit,
        letter if letter.is_ascii() => Class::Separator,
        letter if letter.is_uppercase() => Class::Upper,
        letter if letter.is_lowercase() => Class::Lower,
        letter if letter.is_alphabetic() => Class::OtherLetter,
        letter if letter.is_numeric() => Class::Digit,
        _ => Class::Separator,
    }
}

/// The words of a text, as they stand in it. It comes apart
///
/// 1. at everything that is neither letter nor digit;
/// 2. between letters and digits;
/// 3. inside letters, each "one capital, then small letters" is a word, and what lies between such words is one too:
///    `AppBeta` is app, beta; `COMPANYthings` is compan, ythings; `myTest` is my, test.
#[derive(Debug)]
struct Words<'a> {
    text: &'a str,
    letters: Peekable<CharIndices<'a>>,
    begun: Option<usize>,
    previous: Class,
    capitalised: bool,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        let letters = text.char_indices().peekable();
        Self { text, letters, begun: None, previous: Class::Separator, capitalised: false }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        while let Some((index, letter)) = self.letters.next() {
            let class = class(letter);
            let starts_capitalised = class == Class::Upper
                && self.letters.peek().is_some_and(|(_, next)| self::class(*next) == Class::Lower);
            let breaks = class == Class::Separator
                || (class == Class::Digit) != (self.previous == Class::Digit)
                || starts_capitalised
                || (self.capitalised && class != Class::Lower);
            self.previous = class;
            let ended = if breaks { self.begun.take() } else { None };
            if breaks {
                self.capitalised = false;
            }
            if class != Class::Separator {
                self.begun.get_or_insert(index);
                self.capitalised |= starts_capitalised;
            }
            if let Some(word) = ended.and_then(|begun| self.text.get(begun..index)) {
                return Some(word);
            }
        }
        self.text.get(self.begun.take()?..)
    }
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
            let words: Vec<String> = Words::of(text).map(str::to_lowercase).collect();
            assert_eq!(words, expected, "{text}");
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
    fn a_look_through_a_text_finds_what_its_sorted_words_find() {
        let texts =
            ["prod/AppBeta/424242", "COMPANYthings", "die Straße 7, STRASSE", "Kelvin \u{212a}", "x", ""];
        let wanted = [
            "app", "appb", "beta", "b", "4242", "compan", "ythings", "stra", "strasse", "kel", "k", "x", "7",
        ];
        for text in texts {
            for word in wanted {
                let sorted = Text::new(text);
                sorted.looks.set(LOOKS_MAX);
                assert_eq!(Text::new(text).has(word), sorted.has(word), "{word} in {text}");
                let value = Value { negated: false, text: word.into(), words: vec![word.into()] };
                assert!(value.is_worth_a_look(text) || !sorted.has(word), "{word} in {text}");
            }
        }
    }

    #[test]
    fn the_primary_region_is_that_of_a_secret_with_replicas_or_of_a_replica() {
        let primary = SecretRecord {
            arn: String::from("arn:aws:secretsmanager:eu-west-1:111122223333:secret:a-AAAAAA"),
            replica_regions: vec![String::from("us-east-1")],
            ..SecretRecord::default()
        };
        let replica =
            SecretRecord { primary_region: Some(String::from("eu-west-1")), ..SecretRecord::default() };
        for secret in [&primary, &replica] {
            for (value, expected) in
                [("eu-west-1", true), ("eu-", true), ("us-", false), ("EU", false), ("!eu", false)]
            {
                assert_eq!(matches("primary-region", &[value], secret), expected, "{value}");
            }
        }
    }

    #[test]
    fn a_filter_without_key_or_values_is_refused() {
        assert_eq!(Matcher::new(Filter::default()).err(), Some(SecretError::FilterWithoutKey));
        let filter = Filter { key: Some("name".into()), values: None };
        assert_eq!(Matcher::new(filter).err(), Some(SecretError::FilterWithoutValues { key: "name".into() }));
    }
}

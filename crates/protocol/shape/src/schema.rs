//! The static description of a shape. The generator writes one per shape of a model; [`crate::record!`] one per record.

use std::sync::OnceLock;

use regex::Regex;

#[derive(Debug)]
pub struct Schema {
    /// The name in the service model; for records, the Rust name.
    pub name: &'static str,
    pub kind: Kind,
    pub limits: Limits,
    /// Passwords, key material, tokens. Only the protocol writers and the sealed store may see such a value.
    pub sensitive: bool,
}

#[derive(Debug)]
pub enum Kind {
    Structure(&'static [Member]),
    List(&'static Element),
    Map(&'static Entry),
    String,
    /// 32 bits on the wire.
    Integer,
    Long,
    Double,
    Boolean,
    Timestamp,
    Blob,
}

#[derive(Debug)]
pub struct Member {
    /// The name in the model, such as `SecretId`.
    pub name: &'static str,
    /// The name on the wire; almost always the same.
    pub wire: &'static str,
    pub required: bool,
    pub schema: &'static Schema,
}

/// What a list holds, and how the query protocol names an element of it.
#[derive(Debug)]
pub struct Element {
    pub schema: &'static Schema,
    pub wire: &'static str,
    /// Flattened in query and XML: `Tag.1` instead of `Tags.member.1`.
    pub flat: bool,
}

#[derive(Debug)]
pub struct Entry {
    pub key: &'static Schema,
    pub value: &'static Schema,
    pub key_wire: &'static str,
    pub value_wire: &'static str,
    pub flat: bool,
}

/// The constraints of a model. For strings and lists `min` and `max` are lengths, for numbers values.
#[derive(Debug)]
pub struct Limits {
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub pattern: Option<&'static Pattern>,
    /// The value set of an enumeration. It stays open on the way out: AWS may add to it tomorrow.
    pub values: &'static [&'static str],
    /// Count bytes of UTF-8 instead of characters, where a quota of AWS does.
    pub in_bytes: bool,
}

impl Limits {
    pub const NONE: Self = Self { min: None, max: None, pattern: None, values: &[], in_bytes: false };
}

/// A pattern as the model prints it, and as `regex` compiles it; most often the same text.
#[derive(Debug)]
pub struct Pattern {
    pub text: &'static str,
    pub regex: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub const fn new(text: &'static str, regex: &'static str) -> Self {
        Self { text, regex, compiled: OnceLock::new() }
    }

    /// Whether the whole of `value` matches, as AWS matches: a pattern is not searched for.
    pub fn matches(&self, value: &str) -> bool {
        self.compile().as_ref().is_some_and(|regex| regex.is_match(value))
    }

    /// False for a pattern that does not compile; a test over all models shows that there is none.
    pub fn is_valid(&self) -> bool {
        self.compile().is_some()
    }

    fn compile(&self) -> &Option<Regex> {
        self.compiled.get_or_init(|| Regex::new(&format!("^(?:{})$", self.regex)).ok())
    }
}

impl Schema {
    pub const fn plain(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, limits: Limits::NONE, sensitive: false }
    }

    pub const fn members(&self) -> &'static [Member] {
        match self.kind {
            Kind::Structure(members) => members,
            _ => &[],
        }
    }

    pub fn member(&self, wire: &str) -> Option<(usize, &'static Member)> {
        self.members().iter().enumerate().find(|(_, member)| member.wire == wire)
    }
}

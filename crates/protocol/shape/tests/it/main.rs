//! Generated values against validation: the generator and the checker were written apart and must agree.

use coffer_shape::{
    DecodeError, Element, Entry, Kind, Limits, Member, Pattern, Schema, Shape, decode_as, fingerprint,
    generate::{Made, Mode},
    validation_message,
};
use coffer_types::Entropy;

struct Seed(u64);

impl Entropy for Seed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().zip(self.0.to_le_bytes().iter().cycle()).for_each(|(slot, byte)| *slot = *byte);
    }
}

const fn text(limits: Limits) -> Schema {
    Schema { name: "Text", kind: Kind::String, limits, sensitive: false }
}

static REGION_PATTERN: Pattern = Pattern::new("^([a-z]+-)+\\d+$", "^([a-z]+-)+\\d+$");
static DURATION_PATTERN: Pattern = Pattern::new("[0-9]+h", "[0-9]+h");
static REGION: Schema =
    text(Limits { min: Some(1), max: Some(128), pattern: Some(&REGION_PATTERN), ..Limits::NONE });
static DURATION: Schema =
    text(Limits { min: Some(2), max: Some(3), pattern: Some(&DURATION_PATTERN), ..Limits::NONE });
static NAME: Schema = text(Limits { min: Some(1), max: Some(512), ..Limits::NONE });
static VALUE: Schema = Schema {
    name: "SecretString",
    kind: Kind::String,
    limits: Limits { min: Some(1), max: Some(65_536), in_bytes: true, ..Limits::NONE },
    sensitive: true,
};
static STATE: Schema = text(Limits { values: &["on", "off"], ..Limits::NONE });
static COUNT: Schema = Schema {
    name: "Count",
    kind: Kind::Integer,
    limits: Limits { min: Some(1), max: Some(100), ..Limits::NONE },
    sensitive: false,
};
static FREE: Schema = Schema::plain("Long", Kind::Long);
static BLOB: Schema = Schema {
    name: "Blob",
    kind: Kind::Blob,
    limits: Limits { min: Some(1), max: Some(64), ..Limits::NONE },
    sensitive: true,
};
static REGIONS: Schema = Schema {
    name: "Regions",
    kind: Kind::List(&Element { schema: &REGION, wire: "member", flat: false }),
    limits: Limits { min: Some(1), max: Some(10), ..Limits::NONE },
    sensitive: false,
};
static TAGS: Schema = Schema {
    name: "Tags",
    kind: Kind::Map(&Entry { key: &NAME, value: &NAME, key_wire: "key", value_wire: "value", flat: false }),
    limits: Limits { max: Some(8), ..Limits::NONE },
    sensitive: false,
};
static RULES: Schema = Schema::plain("Rules", Kind::Structure(RULE_MEMBERS));
static RULE_MEMBERS: &[Member] = &[member("Duration", true, &DURATION), member("Count", false, &COUNT)];
/// A shape that holds itself, as policies do.
static TREE: Schema = Schema::plain("Tree", Kind::Structure(TREE_MEMBERS));
static TREE_MEMBERS: &[Member] = &[member("Name", true, &NAME), member("Children", false, &TREES)];
static TREES: Schema =
    Schema::plain("Trees", Kind::List(&Element { schema: &TREE, wire: "member", flat: false }));
static EVERYTHING: Schema = Schema::plain(
    "Everything",
    Kind::Structure(&[
        member("Name", true, &NAME),
        member("SecretString", false, &VALUE),
        member("State", false, &STATE),
        member("Count", false, &COUNT),
        member("Free", false, &FREE),
        member("SecretBinary", false, &BLOB),
        member("Regions", false, &REGIONS),
        member("Tags", false, &TAGS),
        member("Rules", false, &RULES),
        member("Tree", false, &TREE),
        member("Double", false, <f64 as Shape>::SCHEMA),
        member("Flag", false, <bool as Shape>::SCHEMA),
        member("At", false, <coffer_types::Timestamp as Shape>::SCHEMA),
    ]),
);

const fn member(name: &'static str, required: bool, schema: &'static Schema) -> Member {
    Member { name, wire: name, required, schema }
}

fn complaints(made: &Made) -> String {
    match decode_as::<Made>(&EVERYTHING, &mut made.reader()) {
        Ok(back) => {
            assert_eq!(&back, made, "a value reads as itself");
            String::new()
        }
        Err(DecodeError::Invalid(violations)) => validation_message(&violations),
        Err(DecodeError::Malformed(error)) => error.message,
    }
}

#[test]
fn ordinary_and_boundary_values_satisfy_their_schema() {
    for mode in [Mode::Valid, Mode::Boundary] {
        for seed in 0..300 {
            let made = Made::new(&EVERYTHING, mode, &Seed(seed));
            assert_ne!(made, Made::Null, "every pattern here can be satisfied");
            assert_eq!(complaints(&made), "", "{mode:?} {seed}");
        }
    }
}

#[test]
fn a_broken_value_earns_exactly_the_complaint_that_was_foretold() {
    let mut constraints = std::collections::BTreeSet::new();
    for seed in 0..600 {
        let (made, broken) =
            Made::broken(&EVERYTHING, &Seed(seed)).expect("there is always a name to leave out");
        let message = complaints(&made);
        assert!(message.starts_with("1 validation error detected: Value "), "{seed}: {message}");
        assert!(message.contains(&format!(" at '{}' failed", broken.path)), "{seed}: {broken:?}: {message}");
        assert!(message.ends_with(&broken.constraint), "{seed}: {broken:?}: {message}");
        constraints.insert(broken.constraint);
    }
    // The table of constraints is covered, not only the easy ones.
    for kind in
        ["not be null", "length less", "length greater", "value less", "value greater", "pattern", "enum"]
    {
        assert!(constraints.iter().any(|constraint| constraint.contains(kind)), "{kind} was never broken");
    }
}

#[test]
fn one_seed_is_one_value() {
    let many: Vec<Made> = (0..20).map(|seed| Made::new(&EVERYTHING, Mode::Valid, &Seed(seed))).collect();
    let again: Vec<Made> = (0..20).map(|seed| Made::new(&EVERYTHING, Mode::Valid, &Seed(seed))).collect();
    assert_eq!(many, again);
    assert!(many.windows(2).all(|pair| pair[0] != pair[1]), "and another seed is another value");
}

#[test]
fn boundaries_are_really_reached() {
    let lengths: std::collections::BTreeSet<usize> = (0..200)
        .filter_map(|seed| match Made::new(&NAME, Mode::Boundary, &Seed(seed)) {
            Made::String(name) => Some(name.chars().count()),
            _ => None,
        })
        .collect();
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [1, 512]);
}

#[test]
fn different_values_never_share_a_fingerprint() {
    struct Under(Made);
    impl Shape for Under {
        const SCHEMA: &'static Schema = &EVERYTHING;
        fn read_as(schema: &'static Schema, from: &mut dyn coffer_shape::Reader) -> coffer_shape::Read<Self> {
            Made::read_as(schema, from).map(Self)
        }
        fn write_as(
            &self,
            schema: &'static Schema,
            to: &mut dyn coffer_shape::Writer,
        ) -> coffer_shape::Wrote {
            self.0.write_as(schema, to)
        }
    }
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..200 {
        let made = Under(Made::new(&EVERYTHING, Mode::Valid, &Seed(seed)));
        if let Some(other) = seen.insert(fingerprint(&made).expose().clone(), made.0.clone()) {
            assert_eq!(other, made.0);
        }
    }
}

//! Published patterns and our replacements for those that `regex` does not compile.
//!
//! All shapes of all imported models are held against the engine, not only the generated ones: an operation that is served
//! tomorrow should not bring a surprise.

use regex::Regex;
use xtask::{Tree, facts::Facts, overlay::Overlay};

fn models() -> Vec<(String, Facts, Overlay)> {
    let tree = Tree::here();
    let load = |service: String| {
        let read = |path| std::fs::read_to_string(path).unwrap();
        let facts = Facts::parse(&read(tree.facts(&service))).unwrap();
        let overlay = Overlay::parse(&read(tree.overlay(&service))).unwrap();
        (service, facts, overlay)
    };
    tree.services().unwrap().into_iter().map(load).collect()
}

/// As the schemas compile it: the whole value must match.
fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?:{pattern})$"))
}

#[test]
fn every_pattern_compiles_or_is_replaced_by_one_that_does() {
    let mut seen = 0;
    for (service, facts, overlay) in models() {
        for (name, shape) in &facts.shapes {
            let Some(printed) = &shape.pattern else { continue };
            let replaced = overlay.shapes.get(name).and_then(|shape| shape.pattern.as_ref());
            if let Err(error) = compile(replaced.unwrap_or(printed)) {
                panic!("models/{service}.toml: shapes.{name} needs a `pattern`: {error}");
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} patterns");
}

#[test]
fn only_patterns_that_do_not_compile_are_replaced() {
    for (service, facts, overlay) in models() {
        for (name, ours) in &overlay.shapes {
            if ours.pattern.is_some() {
                let printed = facts.shapes[name].pattern.as_ref().unwrap();
                assert!(
                    compile(printed).is_err(),
                    "models/{service}.toml: shapes.{name} needs no replacement"
                );
            }
        }
    }
}

/// Service and shape, what the published pattern accepts, what it refuses.
const SAMPLES: &[(&str, &str, &[&str], &[&str])] = &[
    (
        "iam",
        "accountAliasType",
        &["abc", "a-b", "a1b2", "my-company-1", "ab-c", "a-bc", "0-0-0"],
        &["ab", "a", "", "-abc", "abc-", "a--b", "my--company", "Abc", "a_b", "a-", "abc\n"],
    ),
    (
        "cloudtrail",
        "PartitionKeyName",
        &["", "a b", "tab\there", "\u{e9}", "\u{fffd}", "\u{1f511}", "\u{10ffff}"],
        &["\n", "a\u{0}", "\u{1f}", "\u{fffe}", "\u{ffff}"],
    ),
    (
        "cloudtrail",
        "PartitionKeyType",
        &["", "a b", "tab\there", "\u{e9}", "\u{fffd}", "\u{1f511}", "\u{10ffff}"],
        &["\n", "a\u{0}", "\u{1f}", "\u{fffe}", "\u{ffff}"],
    ),
    ("lambda", "Alias", &["live", "1a", "a1", "-", "_", "v1-2"], &["", "1", "007", "a b", "a:b"]),
    (
        "lambda",
        "CollectionName",
        &["a", "s", "sy", "system", "systems", "system_x", "_a.b", "0"],
        &["", "system.", "system.users", "-a", "a$", "$"],
    ),
    ("lambda", "FunctionUrlQualifier", &["live", "1a", "a1"], &["", "1", "007", "a b"]),
    (
        "lambda",
        "FunctionUrlFunctionName",
        &[
            "app",
            "app:live",
            "111122223333:function:app:1a",
            "arn:aws:lambda:eu-west-1:111122223333:function:app",
        ],
        &["", "app:1", "app:", "a b"],
    ),
    ("logs", "ResourceType", &["", "a", "a-b_c", "-"], &["a b", "a:b", "."]),
    ("lambda", "S3Bucket", &["bucket", "a.b", "a-b_c", "..a"], &["", ".", "a.", "a b"]),
];

#[test]
fn a_replacement_accepts_and_refuses_what_the_published_pattern_does() {
    let mut unsampled: Vec<String> = Vec::new();
    for (service, _, overlay) in models() {
        for (name, ours) in overlay.shapes {
            let Some(pattern) = ours.pattern else { continue };
            let regex = compile(&pattern).unwrap();
            let sample = SAMPLES.iter().find(|(of, shape, ..)| *of == service && *shape == name);
            let Some((_, _, accepted, refused)) = sample else {
                unsampled.push(format!("{service}.{name}"));
                continue;
            };
            for value in *accepted {
                assert!(regex.is_match(value), "{name} refuses {value:?}");
            }
            for value in *refused {
                assert!(!regex.is_match(value), "{name} accepts {value:?}");
            }
        }
    }
    assert!(unsampled.is_empty(), "replaced without samples: {unsampled:?}");
}

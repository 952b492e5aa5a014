//! The checked-in code is what the models say.

use xtask::{Tree, codegen, facts::Facts};

#[test]
fn generated_code_is_fresh() {
    let stale = codegen::stale(&Tree::here()).unwrap();
    assert!(stale.is_empty(), "out of date: {stale:?}; try: cargo xtask codegen");
}

#[test]
fn imported_facts_are_as_the_importer_prints_them() {
    let tree = Tree::here();
    for service in tree.services().unwrap() {
        let text = std::fs::read_to_string(tree.facts(&service)).unwrap();
        assert_eq!(
            Facts::parse(&text).unwrap().print().unwrap(),
            text,
            "models/{service}.json was edited by hand"
        );
    }
}

#[test]
fn models_hold_no_prose() {
    let tree = Tree::here();
    for service in tree.services().unwrap() {
        let text = std::fs::read_to_string(tree.facts(&service)).unwrap();
        for word in ["documentation", "<p>", "example", "deprecatedMessage"] {
            assert!(!text.contains(&format!("\"{word}")), "models/{service}.json has {word}");
        }
        // An address is a fact only as a namespace or inside a pattern.
        for line in text.lines().filter(|line| line.contains("://")) {
            let fact = line.contains("\"xmlNamespace\"") || line.contains("\"pattern\"");
            assert!(fact, "models/{service}.json: {line}");
        }
    }
}

//! Dependencies run one way. The table is the architecture; `cargo metadata` is what the tree does.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};
use xtask::Tree;

/// Crate, and the crates of ours that it may depend on. What is not listed may depend on none.
const ALLOWED: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("sys", &[]),
    ("crypto", &["types"]),
    ("shape", &["types"]),
    ("sigv4", &["types", "crypto"]),
    ("policy", &["types"]),
    // The twin of policy, which shares nothing with it.
    ("policy-spec", &[]),
    ("model", &["shape", "types"]),
    ("wire", &["model", "shape", "types"]),
    ("store", &["types", "sys"]),
    ("barrier", &["types", "crypto", "sys"]),
    ("core", &["types", "crypto", "shape", "model", "policy", "store", "barrier"]),
    // The points of the star: never each other, never wire, sigv4, an engine or a cipher.
    ("secretsmanager", SERVICE),
    ("kms", SERVICE),
    ("iam", SERVICE),
    ("cloudtrail", SERVICE),
    ("lambda", SERVICE),
    ("logs", SERVICE),
    ("client", &["wire", "sigv4", "model", "shape", "types", "crypto"]),
    // It runs what is not ours, so it is the one that asks the kernel for walls.
    ("functions", &["core", "crypto", "model", "shape", "sys", "types"]),
    // It reaches secrets through the operations of Secrets Manager, as anybody's function does.
    ("rotators", &["client", "core", "crypto", "model", "shape", "types"]),
    ("console", SERVICE),
    // The binary, in crates/edge/cli.
    ("coffer", &["client", "functions", "server", "barrier", "types", "crypto", "sys"]),
];

/// `crypto` too: a service owns the formats of its ciphertexts, and the library under them does no I/O. And `policy`: whoever
/// stores a policy must first read it.
const SERVICE: &[&str] = &["core", "model", "shape", "types", "crypto", "policy"];

/// The only place where wire and sigv4 meet core, the kit that tests whole servers, and the chores.
const MAY_USE_ANYTHING: &[&str] = &["server", "testkit", "xtask"];

/// A crate in here is a service, whether the table lists it or not.
const SERVICES: &str = "crates/services/";

#[derive(Debug)]
struct Edge {
    from: String,
    to: String,
    kind: DependencyKind,
    from_is_service: bool,
    to_is_service: bool,
}

fn edges() -> Vec<Edge> {
    let tree = Tree::here();
    let metadata =
        MetadataCommand::new().manifest_path(tree.root().join("Cargo.toml")).no_deps().exec().unwrap();
    let ours: BTreeMap<String, bool> = metadata
        .packages
        .iter()
        .map(|package| (package.name.to_string(), package.manifest_path.as_str().contains(SERVICES)))
        .collect();
    let short = |name: &str| name.strip_prefix("coffer-").unwrap_or(name).to_owned();
    let mut edges = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let Some(&to_is_service) = ours.get(&dependency.name) else { continue };
            edges.push(Edge {
                from: short(&package.name),
                to: short(&dependency.name),
                kind: dependency.kind,
                from_is_service: ours[package.name.as_str()],
                to_is_service,
            });
        }
    }
    edges
}

fn allowed(from: &str) -> &'static [&'static str] {
    ALLOWED.iter().find(|(name, _)| *name == from).map_or(&[], |(_, allowed)| allowed)
}

/// Why an edge should not be there.
fn objection(edge: &Edge) -> Option<String> {
    let Edge { from, to, kind, .. } = edge;
    if edge.from_is_service && edge.to_is_service {
        return Some(format!("{from} -> {to} ({kind}): a service reaches another through cx.invoke"));
    }
    let list = allowed(from);
    let fine = MAY_USE_ANYTHING.contains(&from.as_str())
        || list.contains(&to.as_str())
        // The tests of the binary open its store from outside, to compare what is there with what was said.
        || (*kind == DependencyKind::Development && from == "coffer")
        || (*kind == DependencyKind::Development && (to == "testkit" || to == "policy-spec"));
    (!fine).then(|| format!("{from} -> {to} ({kind}): {from} may use {list:?}"))
}

#[test]
fn dependencies_run_one_way() {
    let edges = edges();
    assert!(edges.iter().any(|edge| edge.from == "model" && edge.to == "shape"), "{edges:?}");
    let objections: Vec<String> = edges.iter().filter_map(objection).collect();
    assert!(objections.is_empty(), "{}", objections.join("\n"));
}

#[test]
fn an_arrow_that_is_not_in_the_table_is_refused() {
    let edge = |from: &str, to: &str, kind, from_is_service, to_is_service| Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        kind,
        from_is_service,
        to_is_service,
    };
    use DependencyKind::{Development, Normal};
    let refused = [
        edge("types", "crypto", Normal, false, false),
        edge("store", "crypto", Normal, false, false),
        edge("kms", "wire", Normal, true, false),
        edge("kms", "iam", Development, true, true),
        edge("core", "testkit", Normal, false, false),
        edge("policy", "policy-spec", Normal, false, false),
        edge("policy-spec", "policy", Normal, false, false),
        edge("coffer", "store", Normal, false, false),
        edge("newcomer", "types", Normal, false, false),
    ];
    for edge in &refused {
        assert!(objection(edge).is_some(), "{edge:?}");
    }
    let fine = [
        edge("core", "testkit", Development, false, false),
        edge("policy", "policy-spec", Development, false, false),
        edge("server", "wire", Normal, false, false),
        edge("kms", "core", Normal, true, false),
    ];
    for edge in &fine {
        assert_eq!(objection(edge), None);
    }
}

/// The table itself has no way round in a circle, so that no later edit can allow one.
#[test]
fn the_table_has_no_circle() {
    fn below(name: &str, path: &mut Vec<String>) {
        assert!(!path.iter().any(|above| above == name), "{path:?} -> {name}");
        path.push(name.to_owned());
        allowed(name).iter().for_each(|next| below(next, path));
        path.pop();
    }
    ALLOWED.iter().for_each(|(name, _)| below(name, &mut Vec::new()));
}

//! The pages about services say what the models say, and leave no error of the code out.

use std::fs;

use xtask::{Tree, facts::Facts, fidelity, overlay::Overlay, service::Service};

/// Each service that has a page, where its errors are written, and how many sentences there are at least.
const PAGES: [(&str, &[&str], usize); 6] = [
    ("cloudtrail", &["crates/services/cloudtrail/src/error.rs"], 7),
    ("kms", &["crates/services/kms/src/error.rs"], 60),
    ("lambda", &["crates/services/lambda/src/error.rs"], 50),
    ("logs", &["crates/services/logs/src/error.rs"], 20),
    ("secretsmanager", &["crates/services/secretsmanager/src/error.rs"], 60),
    ("sts", &["crates/services/iam/src/sts/error.rs", "crates/edge/server/src/oidc.rs"], 20),
];

#[test]
fn the_pages_about_services_are_fresh() {
    let tree = Tree::here();
    let mut pages: Vec<_> = fs::read_dir(tree.root().join("docs/services"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    assert_eq!(pages, PAGES.map(|(service, ..)| format!("{service}.md")));
    assert_eq!(fidelity::stale(&tree).unwrap(), Vec::<String>::new(), "try: cargo xtask manual");
}

#[test]
fn every_operation_that_is_served_is_described() {
    for (service, ..) in PAGES {
        for (name, ours) in &Service::load(&Tree::here(), service).unwrap().overlay.operations {
            assert!(
                !ours.page.quirks.is_empty(),
                "models/{service}.toml: operations.{name}.page says nothing"
            );
        }
    }
}

/// A sentence that a client may read stands on the page, so that a new one cannot be forgotten there.
#[test]
fn every_sentence_of_an_error_is_on_the_page() {
    let root = Tree::here().root().to_owned();
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    for (service, sources, at_least) in PAGES {
        let page = blanked(&read(&format!("docs/services/{service}.md")));
        let sentences: Vec<_> = sources.iter().flat_map(|source| sentences(&read(source))).collect();
        assert!(sentences.len() >= at_least, "only {} sentences of {service} were found", sentences.len());
        let missing: Vec<_> =
            sentences.into_iter().filter(|sentence| !page.contains(&blanked(sentence))).collect();
        assert!(missing.is_empty(), "not among the sentences of models/{service}.toml: {missing:#?}");
    }
}

#[test]
fn sentences_are_read_out_of_code() {
    let source = "// \"no comment\"\ntracing::warn!(\"for operators\");\nE => err(\"Say \\\"it\\\" to {who}.\"),\nF => \"Word\",\nG => f(\"a b\", \"c d\")";
    assert_eq!(sentences(source), ["Say \"it\" to {who}.", "a b", "c d"]);
    assert_eq!(blanked("Say {what} to <who>."), "Say <> to <>.");
    assert_eq!(blanked("from 1 to {\n}"), "from 1 to {\n}");
}

/// The texts between quotation marks that have a space in them. Comments are passed over, and what operators read.
fn sentences(source: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let is_for_operators = |line: &str| line.trim_start().starts_with("tracing::");
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//") && !is_for_operators(line));
    for line in lines {
        let line = line.replace("\\\"", "\u{1}");
        let quoted = line.split('"').skip(1).step_by(2).filter(|text| text.contains(' '));
        sentences.extend(quoted.map(|text| text.replace('\u{1}', "\"")));
    }
    sentences
}

/// The text with `<>` for whatever is filled in, in the code's way of writing it or the page's.
fn blanked(text: &str) -> String {
    regex::Regex::new(r"\{[^}\n]*\}|<[^>\n]*>").unwrap().replace_all(text, "<>").into_owned()
}

#[test]
fn members_facts_and_what_is_missing_are_rendered() {
    const FACTS: &str = r#"{
"botocore": "1.0.0",
"metadata": {"apiVersion": "1", "endpointPrefix": "x", "jsonVersion": "1.1", "protocols": ["json"], "targetPrefix": "X"},
"operations": {
  "Get": {},
  "Put": {"errors": ["GoneException"], "input": "PutRequest", "output": "PutResponse"}
},
"shapes": {
  "GoneException": {"exception": true, "type": "structure"},
  "Colour": {"enum": ["a", "b"], "type": "string"},
  "Name": {"max": 65536, "min": 1, "pattern": "a|b", "type": "string"},
  "Pair": {"required": ["Key"], "type": "structure", "members": {"Key": {"shape": "Name"}, "Colour": {"shape": "Colour"}}},
  "Pairs": {"max": 10, "member": {"shape": "Pair"}, "type": "list"},
  "PutRequest": {"required": ["Pairs"], "type": "structure", "members": {
    "Pairs": {"shape": "Pairs"}, "Token": {"idempotencyToken": true, "shape": "Colour"}, "Value": {"shape": "Value"}
  }},
  "PutResponse": {"type": "structure", "members": {"Colour": {"shape": "Colour"}}},
  "Value": {"min": 1, "sensitive": true, "type": "blob"}
}
}"#;
    const OVERLAY: &str = r#"
name = "x"
protocol = "awsJson1.1"
event_source = "x.amazonaws.com"
[codes]
validation = { code = "V", status = 400 }
serialization = { code = "S", status = 400 }
access_denied = { code = "A", status = 400 }
throttling = { code = "T", status = 400 }
internal = { code = "I", status = 500 }
unavailable = { code = "U", status = 503 }
unknown_operation = { code = "O", status = 400 }
[operations.Put]
exposure = "public"
audit = { request = ["Pairs"], response = [] }
[operations.Put.page]
quirks = [{ recorded = "One." }, { ours = "Two." }]
differs = [{ docs = "Three." }]
not_yet = [{ reported = "Four." }]
[sentences]
GoneException = [{ ours = "It is gone|away." }]
"#;
    let service = |overlay: &str| {
        let overlay = Overlay::parse(overlay).map_err(|error| error.to_string())?;
        Service::join("x", Facts::parse(FACTS).unwrap(), overlay).map_err(|error| format!("{error:#}"))
    };
    assert_eq!(
        fidelity::render(&service(OVERLAY).unwrap()).unwrap(),
        r"## Operations

| Operation | Served | Differs on purpose | Not yet |
|---|---|---|---|
| Get | no: `O` | - | - |
| [Put](#put) | yes | 1 | 1 |

## Each operation

### Put

Action `x:Put`; writes.

| Member | Limits | On record |
|---|---|---|
| `Pairs` | required; list of at most 10: `Key` (required string of 1-65,536 characters, `a\|b`), `Colour` (one of `a`, `b`) | yes |
| `Token` | one of `a`, `b`; SDKs send one by themselves | no |
| `Value` | bytes in base64, at least 1 bytes | never |

Answer: `Colour`. On record of it: nothing.
Declared errors: `GoneException`.

| Behaviour | Coffer | Source |
|---|---|---|
| One. | as AWS | recorded on AWS |
| Two. | AWS unknown | our choice |
| Three. | differs | AWS docs |
| Four. | not yet | reported from AWS |

## Sentences of errors

`<...>` stands for what is filled in.

| Code | Sentence | Source |
|---|---|---|
| `GoneException` | `It is gone\|away.` | our choice |
"
    );
    let error = service(&OVERLAY.replace("GoneException = [", "LostException = [")).unwrap_err();
    assert!(error.contains("sentences.LostException: no operation answers with this code"), "{error}");
    let error = service(&OVERLAY.replace("recorded", "guessed")).unwrap_err();
    assert!(error.contains("guessed"), "{error}");
}

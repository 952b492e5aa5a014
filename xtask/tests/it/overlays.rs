//! What is wrong in an overlay is said with its file and its key.

use xtask::{facts::Facts, overlay::Overlay, service::Service};

const FACTS: &str = r#"{
"botocore": "1.0.0",
"metadata": {"apiVersion": "1", "endpointPrefix": "x", "jsonVersion": "1.1", "protocols": ["json"], "targetPrefix": "X"},
"operations": {"Put": {"errors": ["GoneException"], "input": "PutRequest"}},
"shapes": {
  "GoneException": {"exception": true, "type": "structure"},
  "Inner": {"type": "structure", "members": {"Value": {"shape": "Token"}}},
  "Name": {"type": "string"},
  "PutRequest": {"type": "structure", "members": {
    "Name": {"shape": "Name"}, "Token": {"shape": "Token"}, "Inner": {"shape": "Inner"}
  }},
  "Token": {"sensitive": true, "type": "string"},
  "Count": {"type": "integer"}
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
audit = { request = ["Name"], response = [] }
[shapes.Name]
secret = false
"#;

fn join(facts: &str, overlay: &str) -> Result<Service, String> {
    let overlay = Overlay::parse(overlay).map_err(|error| format!("{error:#}"))?;
    Service::join("x", Facts::parse(facts).unwrap(), overlay).map_err(|error| format!("{error:#}"))
}

#[test]
fn a_sound_overlay_joins() {
    let service = join(FACTS, OVERLAY).unwrap();
    assert_eq!(service.reached.iter().collect::<Vec<_>>(), ["Inner", "Name", "PutRequest", "Token"]);
    assert!(service.holds_a_secret("PutRequest") && !service.holds_a_secret("Name"));
}

#[test]
fn a_body_holds_the_largest_value_with_every_letter_escaped() {
    let room = 288 * 1024;
    for (token, overlay, expected) in [
        (r#""type": "string""#, "", 256 * 1024),
        (r#""type": "string", "max": 100"#, "", 256 * 1024),
        (r#""type": "string", "max": 65536"#, "", 65_536 * 12 + room),
        (r#""type": "string", "max": 65536"#, "[shapes.Token]\nlength_in = \"bytes\"", 65_536 * 6 + room),
        (r#""type": "blob", "max": 65536"#, "", 87_384 * 6 + room),
    ] {
        let facts = FACTS.replace(r#""sensitive": true, "type": "string""#, token);
        let service = join(&facts, &format!("{OVERLAY}{overlay}")).unwrap();
        let operation = service.operation("Put").unwrap();
        assert_eq!(service.body_limit(operation, None).unwrap(), expected, "{token} {overlay}");
        assert_eq!(service.body_limit(operation, Some(7)).unwrap(), 7);
    }
}

#[test]
fn mistakes_name_the_key() {
    for (from, to, said) in [
        ("exposure = \"public\"", "exposure = \"public\"\nread_onyl = true", "read_onyl"),
        ("secret = false", "secrte = true", "secrte"),
        ("event_source", "event_sauce", "event_sauce"),
        ("throttling = { code = \"T\", status = 400 }", "", "throttling"),
        ("audit = { request = [\"Name\"], response = [] }", "", "audit"),
        ("exposure = \"public\"", "", "exposure"),
        ("[operations.Put]", "[operations.Pot]", "models/x.json: operations.Pot: the model has no such"),
        ("[shapes.Name]", "[shapes.Nam]", "models/x.toml: shapes.Nam: the model has no such shape"),
        ("[\"Name\"]", "[\"Nam\"]", "models/x.toml: operations.Put.audit.request: \"Nam\" is not a member"),
        ("[\"Name\"]", "[\"Token\"]", "operations.Put.audit.request: \"Token\" holds a secret"),
        ("[\"Name\"]", "[\"Inner\"]", "operations.Put.audit.request: \"Inner\" holds a secret"),
        ("[\"Name\"]", "[\"Name\", \"Name\"]", "\"Name\" stands there twice"),
        ("response = []", "response = [\"Name\"]", "operations.Put.audit.response: \"Name\" is not a member"),
        ("[shapes.Name]\nsecret = false", "[shapes.Name]\npattern = \"a\"", "publishes no pattern"),
        ("[shapes.Name]\nsecret = false", "[shapes.Count]\nlength_in = \"bytes\"", "shapes.Count.length_in"),
        (
            "[shapes.Name]\nsecret = false",
            "[shapes.Count]\nsecret = true",
            "shapes.Count: sensitive, but only",
        ),
        (
            "protocol = \"awsJson1.1\"",
            "protocol = \"query\"",
            "models/x.toml: protocol: the model has no XML",
        ),
    ] {
        assert!(OVERLAY.contains(from), "{from}");
        let error = join(FACTS, &OVERLAY.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(said), "{said:?} is not in: {error}");
    }
}

#[test]
fn models_that_need_more_than_we_generate_are_refused() {
    for (from, to, said) in [
        (
            "\"Value\": {\"shape\": \"Token\"}",
            "\"Value\": {\"shape\": \"Inner\"}",
            "shapes.Inner: contains itself",
        ),
        (
            "\"input\": \"PutRequest\"",
            "\"input\": \"Name\"",
            "shapes.Name: an input or output that is no structure",
        ),
        ("\"input\"", "\"http\": \"GET /x\", \"input\"", "operations.Put: a path belongs to REST"),
        (
            "\"Token\": {\"shape\"",
            "\"name\": {\"shape\"",
            "shapes.PutRequest.name: its field has the name of another",
        ),
        ("\"errors\": [\"GoneException\"]", "\"errors\": [\"LostException\"]", "shapes.LostException"),
    ] {
        assert!(FACTS.contains(from), "{from}");
        let error = join(&FACTS.replacen(from, to, 1), OVERLAY).unwrap_err();
        assert!(error.contains(said), "{said:?} is not in: {error}");
    }
}

#[test]
fn an_answer_of_a_query_service_is_wrapped_in_its_operations_name() {
    let facts = FACTS
        .replace("\"protocols\": [\"json\"]", "\"protocols\": [\"query\"]")
        .replace("\"targetPrefix\"", "\"xmlNamespace\"")
        .replace("\"input\": \"PutRequest\"", "\"output\": \"PutRequest\", \"resultWrapper\": \"PutResult\"");
    let overlay = OVERLAY.replace("awsJson1.1", "query").replace("[\"Name\"]", "[]");
    join(&facts, &overlay).unwrap();
    let error = join(&facts.replace("PutResult", "PutAnswer"), &overlay).unwrap_err();
    assert!(error.contains("operations.Put: the result wrapper is not PutResult"), "{error}");
}

//! JSON bodies: what is refused before any shape is asked, and how values convert.

use coffer_shape::{
    Shape,
    generate::{Made, Mode},
};
use coffer_types::Timestamp;
use coffer_wire::{
    conformance::check_against_model,
    json::{JsonBody, JsonWriter},
};

use crate::fixture::{EVERYTHING, Everything, Seed};

/// What a client is told, or the value as JSON text again.
fn read(body: &[u8]) -> Result<String, String> {
    let value = Everything::read(&mut JsonBody::parse(body).map_err(|error| error.message)?.reader())
        .map_err(|error| error.message)?;
    let mut json = JsonWriter::new();
    value.write(&mut json).map_err(|error| error.message)?;
    String::from_utf8(json.finish().take()).map_err(|error| error.to_string())
}

#[test]
fn what_is_not_json_is_refused() {
    let bodies: &[&[u8]] = &[
        b" ",
        b"\n",
        b"{",
        b"}",
        b"[",
        b"{]",
        b"[}",
        b"{}{}",
        b"{} x",
        b"{}\0",
        b"\0",
        b"{},",
        b"{,}",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{\"a\" 1}",
        b"{\"a\":1 \"b\":2}",
        b"{a:1}",
        b"{'a':1}",
        b"{1:1}",
        b"{null:1}",
        b"{\"a\":tru}",
        b"{\"a\":True}",
        b"{\"a\":nul}",
        b"{\"a\":undefined}",
        b"{\"a\":NaN}",
        b"{\"a\":Infinity}",
        b"{\"a\":-Infinity}",
        b"{\"a\":-}",
        b"{\"a\":+1}",
        b"{\"a\":01}",
        b"{\"a\":-01}",
        b"{\"a\":1.}",
        b"{\"a\":.1}",
        b"{\"a\":1e}",
        b"{\"a\":1e+}",
        b"{\"a\":0x10}",
        b"{\"a\":1_000}",
        b"{\"a\":1e999}",
        b"{\"a\":[1,]}",
        b"{\"a\":[,1]}",
        b"{\"a\":[1 2]}",
        b"{\"a\":\"",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\t\"}",
        b"{\"a\":\"\x00\"}",
        b"{\"a\":\"\\x41\"}",
        b"{\"a\":\"\\u12\"}",
        b"{\"a\":\"\\u{41}\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\\udc00\"}",
        b"{\"a\":\"\\ud800\\u0041\"}",
        b"{\"a\":\"\\\"}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\xc0\xaf\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"{\"\xff\":1}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":1}//",
        b"/* */{}",
        b"{\"a\":1;}",
        b"\xfe\xff\x00{",
        b"{\"a\":\xc2\xa01}",
        b"#{}",
    ];
    assert!(bodies.len() >= 60);
    for body in bodies {
        let shown = String::from_utf8_lossy(body);
        assert_eq!(read(body), Err("The request body is not valid JSON.".into()), "{shown}");
    }
    for body in ["[]", "null", "1", "\"a\"", "true", "[{}]"] {
        assert_eq!(read(body.as_bytes()), Err("The request body is not a JSON object.".into()), "{body}");
    }
}

#[test]
fn what_is_json_but_nobody_should_send_is_refused() {
    let deep = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let wide = |values: usize| format!("{{\"x\":[{}1]}}", "1,".repeat(values - 3));
    let key = |bytes: usize| format!("{{\"{}\":1}}", "k".repeat(bytes));
    let many = |twin: &str| {
        let names: Vec<String> = (0..50).map(|number| format!("\"n{number}\":1")).collect();
        format!("{{{},\"{twin}\":2}}", names.join(","))
    };
    let check = |body: String, expected: Result<&str, &str>| {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(read(body.as_bytes()), expected, "{}", body.chars().take(60).collect::<String>());
    };
    check(deep(32), Ok("{}"));
    check(deep(33), Err("The request body is nested too deeply."));
    check(deep(2000), Err("The request body is nested too deeply."));
    check(wide(10_000), Ok("{}"));
    check(wide(10_001), Err("The request body holds too many values."));
    check(key(4096), Ok("{}"));
    check(key(4097), Err("The request body holds a name that is too long."));
    check(many("n50"), Ok("{}"));
    check(many("n0"), Err("The request body names a member twice."));
    check("{\"a\":1,\"a\":1}".into(), Err("The request body names a member twice."));
    check("{\"a\":1,\"\\u0061\":1}".into(), Err("The request body names a member twice."));
    check("{\"a\":{\"b\":1,\"c\":2,\"b\":3}}".into(), Err("The request body names a member twice."));
}

#[test]
fn an_empty_body_nulls_and_unknown_members_are_an_empty_object() {
    for body in
        ["", "{}", " {\r\n\t} ", "{\"SecretId\":null}", "{\"Else\":[{\"a\":null}]}", "{\"secretId\":\"a\"}"]
    {
        assert_eq!(read(body.as_bytes()), Ok("{}".into()), "{body}");
    }
}

#[test]
fn values_convert_as_awss_own_services_convert_them() {
    let check = |member: &str, value: &str, expected: Result<&str, &str>| {
        let body = format!("{{\"{member}\":{value}}}");
        let expected = expected.map(|value| format!("{{\"{member}\":{value}}}")).map_err(str::to_owned);
        assert_eq!(read(body.as_bytes()), expected, "{body}");
    };
    let list = "Start of list found where not expected";
    let object = "Start of structure or map found where not expected.";

    check("SecretId", r#""\u00e9\ud83d\ude00\/\b""#, Ok("\"é😀/\\u0008\""));
    check("SecretId", "1", Err("NUMBER_VALUE can not be converted to a String"));
    check("SecretId", "1.5", Err("NUMBER_VALUE can not be converted to a String"));
    check("SecretId", "true", Err("TRUE_VALUE can not be converted to a String"));
    check("SecretId", "false", Err("FALSE_VALUE can not be converted to a String"));
    check("SecretId", "[]", Err(list));
    check("SecretId", "{}", Err(object));

    check("PasswordLength", "32", Ok("32"));
    check("PasswordLength", "-0", Ok("0"));
    for written_otherwise in ["1.0", "12.5", "-1.9", "1e2", "1E2"] {
        let refused = Err("NUMBER_VALUE can not be converted to an Integer");
        check("PasswordLength", written_otherwise, refused);
        check("Big", written_otherwise, Err("NUMBER_VALUE can not be converted to a Long"));
    }
    check("PasswordLength", "2147483647", Ok("2147483647"));
    check("PasswordLength", "2147483648", Err("NUMBER_VALUE can not be converted to an Integer"));
    check("PasswordLength", "1e300", Err("NUMBER_VALUE can not be converted to an Integer"));
    check("PasswordLength", "\"32\"", Err("STRING_VALUE can not be converted to an Integer"));
    check("PasswordLength", "true", Err("TRUE_VALUE can not be converted to an Integer"));
    check("PasswordLength", "[]", Err(list));

    check("Big", "9223372036854775807", Ok("9223372036854775807"));
    check("Big", "-9223372036854775808", Ok("-9223372036854775808"));
    check("Big", "9223372036854775808", Err("NUMBER_VALUE can not be converted to a Long"));
    check("Big", "18446744073709551616", Err("NUMBER_VALUE can not be converted to a Long"));

    check("Ratio", "2", Ok("2.0"));
    check("Ratio", "1e300", Ok("1e300"));
    check("Ratio", "\"2\"", Err("STRING_VALUE can not be converted to a Double"));

    check("Force", "true", Ok("true"));
    check("Force", "\"true\"", Err("STRING_VALUE can not be converted to a Boolean"));
    check("Force", "1", Err("NUMBER_VALUE can not be converted to a Boolean"));

    check("At", "1523477145.713", Ok("1523477145.713"));
    check("At", "1.523477145713E9", Ok("1523477145.713"));
    check("At", "1523477145", Ok("1523477145"));
    check("At", "-0.5", Ok("-0.5"));
    check("At", "\"2026-01-02T03:04:05Z\"", Err("STRING_VALUE can not be converted to a Timestamp"));

    check("SecretBinary", "\"aGk=\"", Ok("\"aGk=\""));
    for bad in ["aGk", "aGl=", "aGk==", "a Gk=", "aG_=", "=", "aGk=\\n"] {
        check("SecretBinary", &format!("\"{bad}\""), Err("STRING_VALUE can not be converted to a Blob"));
    }
    check("SecretBinary", "1", Err("NUMBER_VALUE can not be converted to a Blob"));

    check("Filters", "[]", Ok("[]"));
    check("Filters", "\"a\"", Err("Expected list or null"));
    check("Filters", "1", Err("Expected list or null"));
    check("Filters", "{}", Err(object));
    check("Filters", "[[]]", Err(list));
    check("Filters", "[true]", Err("Expected null"));
    check("Context", "{\"b\":\"1\",\"a\":\"2\"}", Ok("{\"b\":\"1\",\"a\":\"2\"}"));
    check("Context", "{\"a\":null}", Ok("{}"));
    check("Context", "1", Err("Expected map or null"));
    check("Context", "[]", Err(list));
    check("Nested", "1", Err("Expected null"));
}

#[test]
fn strings_leave_with_every_letter_json_wants_escaped() {
    let mut json = JsonWriter::new();
    let text: String = (0..0x20_u8).map(char::from).chain("\"\\/é\u{7f}\u{2028}".chars()).collect();
    let made = Everything(Made::Structure(vec![(0, Made::String(text.clone()))]));
    made.write(&mut json).unwrap();
    let written = json.finish();
    let parsed: serde_json::Value = serde_json::from_slice(written.expose()).unwrap();
    assert_eq!(parsed["SecretId"], text);
}

#[test]
fn timestamps_are_plain_seconds_with_at_most_three_decimals() {
    for (millis, expected) in [
        (0, "0"),
        (1, "0.001"),
        (10, "0.01"),
        (100, "0.1"),
        (-1, "-0.001"),
        (-1500, "-1.5"),
        (1_523_477_145_713, "1523477145.713"),
        (1_523_477_145_000, "1523477145"),
        (1_523_477_145_050, "1523477145.05"),
    ] {
        let made = Everything(Made::Structure(vec![(8, Made::Timestamp(Timestamp::from_millis(millis)))]));
        let mut json = JsonWriter::new();
        made.write(&mut json).unwrap();
        assert_eq!(json.finish().expose(), format!("{{\"At\":{expected}}}").as_bytes());
    }
}

#[test]
fn what_is_written_reads_back_and_conforms_to_the_model() {
    for mode in [Mode::Valid, Mode::Boundary] {
        for seed in 0..200 {
            let made = Everything(Made::new(&EVERYTHING, mode, &Seed(seed)));
            let mut json = JsonWriter::new();
            made.write(&mut json).unwrap();
            let bytes = json.finish();
            let back = Everything::read(&mut JsonBody::parse(bytes.expose()).unwrap().reader()).unwrap();
            assert_eq!(back, made, "{mode:?} {seed}");
            let value = serde_json::from_slice(bytes.expose()).unwrap();
            assert_eq!(check_against_model(&EVERYTHING, &value), [""; 0], "{mode:?} {seed}");
        }
    }
}

#[test]
fn the_conformance_check_finds_each_kind_of_departure() {
    let check = |answer: &str, expected: &[&str]| {
        let value = serde_json::from_str(answer).unwrap();
        assert_eq!(check_against_model(&EVERYTHING, &value), expected, "{answer}");
    };
    check("{}", &[]);
    check("[]", &["/ should be a structure and is something else"]);
    check(r#"{"Secret":1}"#, &["/Secret is not in Everything"]);
    check(r#"{"SecretId":null}"#, &["/SecretId should be a string and is null"]);
    check(
        r#"{"At":"2026-01-02T03:04:05Z"}"#,
        &["/At should be a time in epoch seconds and is something else"],
    );
    check(
        r#"{"PasswordLength":2147483648}"#,
        &["/PasswordLength should be an integer of 32 bits and is something else"],
    );
    check(r#"{"SecretBinary":"?"}"#, &["/SecretBinary should be base64 and is something else"]);
    check(r#"{"Filters":[{"Key":"no"}]}"#, &["/Filters/0/Key is not one of [all, name, tag-key]"]);
    check(r#"{"Context":{"a":1}}"#, &["/Context/a should be a string and is something else"]);
}

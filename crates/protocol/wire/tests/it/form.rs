//! Forms: how names become nested values.

use coffer_shape::{
    Shape,
    generate::{Made, Mode},
};
use coffer_wire::{
    json::JsonWriter,
    query::{Form, FormWriter, QueryReader},
};

use crate::fixture::{EVERYTHING, Everything, Seed};

/// The value a form stands for, as JSON, which is easier on the eye.
fn read(form: &str) -> Result<String, String> {
    let form = Form::parse(form.as_bytes()).map_err(|error| error.message)?;
    let value = Everything::read(&mut QueryReader::new(&form)).map_err(|error| error.message)?;
    let mut json = JsonWriter::new();
    value.write(&mut json).map_err(|error| error.message)?;
    String::from_utf8(json.finish().take()).map_err(|error| error.to_string())
}

fn check(form: &str, expected: &str) {
    assert_eq!(read(form), Ok(expected.to_owned()), "{form}");
}

fn refused(form: &str, expected: &str) {
    assert_eq!(read(form), Err(expected.to_owned()), "{form}");
}

#[test]
fn plain_values() {
    check("", "{}");
    check("Action=X&Version=Y&&Unknown.member.1=z", "{}");
    check("SecretId=a%20b+c%2Bd%C3%A9", r#"{"SecretId":"a b c+dé"}"#);
    check("SecretId", r#"{"SecretId":""}"#);
    check("SecretId=a=b", r#"{"SecretId":"a=b"}"#);
    check("%53ecretId=a", r#"{"SecretId":"a"}"#);
    check(
        "PasswordLength=12&Big=-9223372036854775808",
        r#"{"PasswordLength":12,"Big":-9223372036854775808}"#,
    );
    check("Force=true", r#"{"Force":true}"#);
    check("Ratio=1.5", r#"{"Ratio":1.5}"#);
    check("At=2026-01-02T03%3A04%3A05.678Z", r#"{"At":1767323045.678}"#);
    check("SecretBinary=aGk%3D", r#"{"SecretBinary":"aGk="}"#);
}

#[test]
fn lists_come_in_the_order_of_their_numbers_and_may_have_gaps() {
    check(
        "AddReplicaRegions.member.10=c&AddReplicaRegions.member.2=b&AddReplicaRegions.member.1=a",
        r#"{"AddReplicaRegions":["a","b","c"]}"#,
    );
    check("AddReplicaRegions=", r#"{"AddReplicaRegions":[]}"#);
    check("Flat.2=b&Flat.1=a", r#"{"Flat":["a","b"]}"#);
    check(
        "Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.11.Key=c&Tags.member.11.Value=&Tags.member.2.Value=2&Tags.member.2.Key=b",
        r#"{"Tags":[{"Key":"a","Value":"1"},{"Key":"b","Value":"2"},{"Key":"c","Value":""}]}"#,
    );
    check(
        "Filters.member.1.Values.member.1=x&Filters.member.1.Key=name",
        r#"{"Filters":[{"Key":"name","Values":["x"]}]}"#,
    );
    // Names that begin alike do not disturb each other.
    check(
        "Flat.1=a&Flat-x=1&FlatContext.1.Name=k&FlatContext.1.Value=v",
        r#"{"Flat":["a"],"FlatContext":{"k":"v"}}"#,
    );
}

#[test]
fn maps_come_as_entries() {
    check(
        "Context.entry.2.key=b&Context.entry.2.value=2&Context.entry.1.key=a&Context.entry.1.value=1",
        r#"{"Context":{"a":"1","b":"2"}}"#,
    );
    check("FlatContext.1.Name=a&FlatContext.1.Value=1", r#"{"FlatContext":{"a":"1"}}"#);
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let encoding = "The request parameters are not correctly encoded.";
    for form in
        ["SecretId=%", "SecretId=%4", "SecretId=%4g", "SecretId=%FF", "%C3=a", "SecretId=%+1", "a=%C3%28"]
    {
        refused(form, encoding);
    }
    assert!(Form::parse(b"SecretId=\xff").is_err());
    refused("SecretId=a&SecretId=b", "The request names a parameter twice.");
    refused("SecretId=a&%53ecretId=a", "The request names a parameter twice.");
    let numbered = "A list of the request is not numbered from 1.";
    for number in ["0", "01", "-1", "x", "", "1x", "10001", "99999999999999999999", "1-"] {
        refused(&format!("AddReplicaRegions.member.{number}=a"), numbered);
    }
    refused("Tags.1.Key=a", "A list of the request is not written as .member.N");
    refused("Tags=a", "A list of the request is not written as .member.N");
    refused("Context.member.1=a", "A list of the request is not written as .entry.N");
    refused("SecretId.a=b", "A plain value of the request is written as a structure.");
    refused("SecretId=a&SecretId.b=c", "A plain value of the request is written as a structure.");
    refused("Nested=a", "A structure of the request is written as a plain value.");
    refused("Context.entry.1.key=a", "A map of the request has a key without a value, or the reverse.");
    refused(
        "FlatContext.1.Name=a&FlatContext.1.Value=1&FlatContext.2.Name=a&FlatContext.2.Value=2",
        "A map of the request names a key twice.",
    );
    refused("PasswordLength=2147483648", "A value of the request is not an integer.");
    refused("PasswordLength=1.0", "A value of the request is not an integer.");
    refused("Big=", "A value of the request is not a long integer.");
    refused("Force=TRUE", "A value of the request is not true or false.");
    refused("Ratio=inf", "A value of the request is not a number.");
    refused("At=1767323045", "A value of the request is not an ISO 8601 time.");
    refused("SecretBinary=aGk", "A value of the request is not base64.");
}

#[test]
fn forms_are_bounded() {
    let pairs = |count: usize| (0..count).map(|number| format!("n{number}=")).collect::<Vec<_>>().join("&");
    check(&pairs(2000), "{}");
    refused(&pairs(2001), "The request holds too many parameters.");
    let long = "The request holds a parameter name that is too long.";
    check(&"n".repeat(1024), "{}");
    refused(&"n".repeat(1025), long);
    check(&vec!["n"; 32].join("."), "{}");
    refused(&vec!["n"; 33].join("."), long);
}

#[test]
fn what_is_written_reads_back() {
    for mode in [Mode::Valid, Mode::Boundary] {
        for seed in 0..300 {
            let made = Everything(Made::new(&EVERYTHING, mode, &Seed(seed)));
            let mut writer = FormWriter::new("AssumeEverything", "2011-06-15");
            made.write(&mut writer).unwrap();
            let bytes = writer.finish();
            let Ok(form) = Form::parse(bytes.expose()) else {
                // A boundary value may well have more parameters than a form may.
                assert_eq!(mode, Mode::Boundary);
                continue;
            };
            assert_eq!(Everything::read(&mut QueryReader::new(&form)).unwrap(), made, "{mode:?} {seed}");
        }
    }
}

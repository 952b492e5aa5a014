//! Answers, byte for byte.

use coffer_shape::{
    ApiError, ErrorSpec, OperationSpec, Read, Reader, Schema, Shape, Writer, Wrote, generate::Made,
};
use coffer_types::Timestamp;
use coffer_wire::{
    Codec, RemoteError, Response, encode_error, encode_output, encode_request, read_error, read_output,
};
use expect_test::{Expect, expect};

use crate::fixture::{ASSUME, Everything, FORGET, GET, RENEW, REQUEST_ID, SECRETS, STS, request_id};

fn everything() -> Made {
    let text = |text: &str| Made::String(text.to_owned());
    let tag = |key: &str| Made::Structure(vec![(0, text(key)), (1, text(""))]);
    Made::Structure(vec![
        (0, text("a<b>&\"c\"\r\n\u{1}é")),
        (3, Made::Blob(b"hi".to_vec())),
        (4, Made::Long(-7)),
        (6, Made::Double(1e300)),
        (7, Made::Boolean(true)),
        (8, Made::Timestamp(Timestamp::from_millis(1_767_323_045_678))),
        (9, Made::List(vec![])),
        (10, Made::List(vec![text("x"), text("y")])),
        (11, Made::List(vec![text("f"), text("g")])),
        (12, Made::Map(vec![("k".into(), text("v")), ("l".into(), text("w"))])),
        (13, Made::Map(vec![("k".into(), text("v"))])),
        (14, Made::List(vec![tag("t"), tag("u")])),
        (
            15,
            Made::Structure(vec![
                (1, Made::Structure(vec![])),
                (2, Made::List(vec![Made::Structure(vec![(0, text("n"))])])),
            ]),
        ),
    ])
}

fn output(operation: &OperationSpec, made: &Made, expected: &Expect) {
    let response = encode_output(operation, &|to| made.write_as(operation.output, to), request_id()).unwrap();
    assert_eq!(response.status, 200);
    check(&response, expected);
}

fn check(response: &Response, expected: &Expect) {
    assert_eq!(response.headers, [("x-amzn-requestid", REQUEST_ID.to_owned())]);
    let body = std::str::from_utf8(response.body.expose()).unwrap();
    expected.assert_eq(&format!(
        "{} {}\n{}\n",
        response.status,
        response.content_type,
        body.replace("><", ">\n<")
    ));
}

#[test]
fn an_output_in_json() {
    output(
        &GET,
        &everything(),
        &expect![[r#"
        200 application/x-amz-json-1.1
        {"SecretId":"a<b>&\"c\"\r\n\u0001é","SecretBinary":"aGk=","PasswordLength":-7,"Ratio":1e300,"Force":true,"At":1767323045.678,"Filters":[],"AddReplicaRegions":["x","y"],"Flat":["f","g"],"Context":{"k":"v","l":"w"},"FlatContext":{"k":"v"},"Tags":[{"Key":"t","Value":""},{"Key":"u","Value":""}],"Nested":{"Nested":{},"All":[{"Name":"n"}]}}
    "#]],
    );
    output(
        &GET,
        &Made::Structure(vec![]),
        &expect![[r#"
        200 application/x-amz-json-1.1
        {}
    "#]],
    );
}

#[test]
fn an_output_in_xml() {
    output(
        &ASSUME,
        &everything(),
        &expect![[r#"
        200 text/xml
        <AssumeEverythingResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <AssumeEverythingResult>
        <SecretId>a&lt;b&gt;&amp;&quot;c&quot;&#xD;
        �é</SecretId>
        <SecretBinary>aGk=</SecretBinary>
        <PasswordLength>-7</PasswordLength>
        <Ratio>1e300</Ratio>
        <Force>true</Force>
        <At>2026-01-02T03:04:05Z</At>
        <Filters/>
        <AddReplicaRegions>
        <member>x</member>
        <member>y</member>
        </AddReplicaRegions>
        <Flat>f</Flat>
        <Flat>g</Flat>
        <Context>
        <entry>
        <key>k</key>
        <value>v</value>
        </entry>
        <entry>
        <key>l</key>
        <value>w</value>
        </entry>
        </Context>
        <FlatContext>
        <Name>k</Name>
        <Value>v</Value>
        </FlatContext>
        <Tags>
        <member>
        <Key>t</Key>
        <Value/>
        </member>
        <member>
        <Key>u</Key>
        <Value/>
        </member>
        </Tags>
        <Nested>
        <Nested/>
        <All>
        <member>
        <Name>n</Name>
        </member>
        </All>
        </Nested>
        </AssumeEverythingResult>
        <ResponseMetadata>
        <RequestId>00000000-0000-4000-8000-000000000000</RequestId>
        </ResponseMetadata>
        </AssumeEverythingResponse>
    "#]],
    );
    output(
        &ASSUME,
        &Made::Structure(vec![]),
        &expect![[r#"
        200 text/xml
        <AssumeEverythingResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <AssumeEverythingResult>
        </AssumeEverythingResult>
        <ResponseMetadata>
        <RequestId>00000000-0000-4000-8000-000000000000</RequestId>
        </ResponseMetadata>
        </AssumeEverythingResponse>
    "#]],
    );
}

#[test]
fn an_operation_without_output_has_only_metadata_in_xml() {
    output(
        &FORGET,
        &Made::Structure(vec![]),
        &expect![[r#"
        200 text/xml
        <ForgetResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <ResponseMetadata>
        <RequestId>00000000-0000-4000-8000-000000000000</RequestId>
        </ResponseMetadata>
        </ForgetResponse>
    "#]],
    );
}

// The SDK for Go, and with it Terraform, looks for the element before it asks what is in it.
#[test]
fn an_output_without_members_is_there_in_xml() {
    output(
        &RENEW,
        &Made::Structure(vec![]),
        &expect![[r#"
        200 text/xml
        <RenewResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <RenewResult>
        </RenewResult>
        <ResponseMetadata>
        <RequestId>00000000-0000-4000-8000-000000000000</RequestId>
        </ResponseMetadata>
        </RenewResponse>
    "#]],
    );
}

fn error(codec: Codec, error: &ApiError, expected: &Expect) {
    check(&encode_error(codec, error, request_id()), expected);
}

const NOT_FOUND: ErrorSpec =
    ErrorSpec { code: "ResourceNotFoundException", status: 400, message_member: "Message" };

#[test]
fn errors_in_both_families() {
    let (json, query) = (Codec::of(&SECRETS), Codec::of(&STS));
    let not_found = ApiError::new(NOT_FOUND, "Secrets Manager can't find the specified <secret> \"a\".");
    error(
        json,
        &not_found,
        &expect![[r#"
        400 application/x-amz-json-1.1
        {"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified <secret> \"a\"."}
    "#]],
    );
    error(
        query,
        &not_found,
        &expect![[r#"
        400 text/xml
        <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <Error>
        <Type>Sender</Type>
        <Code>ResourceNotFoundException</Code>
        <Message>Secrets Manager can't find the specified &lt;secret&gt; &quot;a&quot;.</Message>
        </Error>
        <RequestId>00000000-0000-4000-8000-000000000000</RequestId>
        </ErrorResponse>
    "#]],
    );
    error(
        Codec::Query { namespace: None },
        &not_found,
        &expect![[r#"
        400 text/xml
        <ErrorResponse>
        <Error>
        <Type>Sender</Type>
        <Code>ResourceNotFoundException</Code>
        <Message>Secrets Manager can't find the specified &lt;secret&gt; &quot;a&quot;.</Message>
        </Error>
        <RequestId>00000000-0000-4000-8000-000000000000</RequestId>
        </ErrorResponse>
    "#]],
    );
    error(
        json,
        &ApiError::new(SECRETS.codes.serialization, ""),
        &expect![[r#"
        400 application/x-amz-json-1.1
        {"__type":"SerializationException"}
    "#]],
    );
}

#[test]
fn a_fault_never_shows_its_cause() {
    let fault = ApiError::new(SECRETS.codes.internal, "An error occurred on the server side.")
        .because("disk on fire");
    error(
        Codec::Json,
        &fault,
        &expect![[r#"
        500 application/x-amz-json-1.1
        {"__type":"InternalServiceError","Message":"An error occurred on the server side."}
    "#]],
    );
    error(
        Codec::of(&STS),
        &fault,
        &expect![[r#"
        500 text/xml
        <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <Error>
        <Type>Receiver</Type>
        <Code>InternalServiceError</Code>
        <Message>An error occurred on the server side.</Message>
        </Error>
        <RequestId>00000000-0000-4000-8000-000000000000</RequestId>
        </ErrorResponse>
    "#]],
    );
}

#[test]
fn a_shape_that_cannot_be_written_is_our_fault() {
    let made = Made::Structure(vec![(6, Made::Double(f64::NAN))]);
    let error = encode_output(&GET, &|to| made.write_as(GET.output, to), request_id()).unwrap_err();
    assert_eq!((error.code(), error.status()), ("InternalServiceError", 500));
    assert!(!error.message.contains("JSON"), "the reason stays in the log");
    assert!(error.cause.is_some());
}

#[test]
fn our_client_reads_what_our_server_writes() {
    let made = Made::Structure(vec![(0, Made::String("a".into())), (7, Made::Boolean(false))]);
    let response = encode_output(&GET, &|to| made.write_as(GET.output, to), request_id()).unwrap();
    assert_eq!(read_output::<Everything>(&GET, response.body.expose()).unwrap().0, made);

    let sent = ApiError::new(NOT_FOUND, "not <here> & \"there\" &lt;");
    for codec in [Codec::Json, Codec::of(&STS)] {
        let response = encode_error(codec, &sent, request_id());
        let read = read_error(codec, None, response.body.expose());
        assert_eq!(read, Some(RemoteError { code: sent.code().into(), message: sent.message.clone() }));
    }
    let qualified = br#"{"__type":"com.amazon.coral.service#SerializationException"}"#;
    let expected = RemoteError { code: "SerializationException".into(), message: String::new() };
    assert_eq!(read_error(Codec::Json, None, qualified), Some(expected));
    assert_eq!(read_error(Codec::Json, None, b"<html>"), None);
    assert_eq!(read_error(Codec::of(&STS), None, b"<html>\xff"), None);
}

#[test]
fn our_client_writes_requests_of_both_families() {
    let made = Made::Structure(vec![
        (0, Made::String("a b".into())),
        (10, Made::List(vec![Made::String("é".into())])),
    ]);
    let json = encode_request(&GET, &|to| made.write_as(GET.input, to)).unwrap();
    assert_eq!(json.headers[1], ("x-amz-target", "secretsmanager.GetEverything".to_owned()));
    assert_eq!(json.body.expose(), r#"{"SecretId":"a b","AddReplicaRegions":["é"]}"#.as_bytes());
    let form = encode_request(&ASSUME, &|to| made.write_as(ASSUME.input, to)).unwrap();
    let expected =
        "Action=AssumeEverything&Version=2011-06-15&SecretId=a%20b&AddReplicaRegions.member.1=%C3%A9";
    assert_eq!(form.body.expose(), expected.as_bytes());
}

/// An output that announces a null in a form has no meaning; the writers say so instead of inventing one.
#[test]
fn forms_and_xml_have_no_null() {
    struct Null;
    impl Shape for Null {
        const SCHEMA: &'static Schema = <String as Shape>::SCHEMA;
        fn read_as(_: &'static Schema, _: &mut dyn Reader) -> Read<Self> {
            Ok(Self)
        }
        fn write_as(&self, _: &'static Schema, to: &mut dyn Writer) -> Wrote {
            to.null()
        }
    }
    assert!(encode_request(&ASSUME, &|to| Null.write(to)).is_err());
    assert!(encode_output(&ASSUME, &|to| Null.write(to), request_id()).is_err());
}

//! Where the tuple of a message stands, and the same tuple in three formats.

use crate::space::{Format, Template, Tuple};
use stoa_amqp::content::Properties;
use stoa_amqp::{ShortStr, Table, Value};

fn matches(format: Format, octets: &[u8], template: &str) -> bool {
    let tuple = Tuple::encoded(format, octets).unwrap_or_else(|error| panic!("{octets:02x?}: {error}"));
    Template::from_json(template.as_bytes()).expect(template).matches(&tuple)
}

fn refused(format: Format, octets: &[u8]) -> String {
    Tuple::encoded(format, octets).expect_err("malformed").to_string()
}

#[test]
fn content_types() {
    for (content_type, format) in [
        ("application/json", Some(Format::Json)),
        ("Application/JSON; charset=utf-8", Some(Format::Json)),
        ("text/json", Some(Format::Json)),
        ("application/cloudevents+json", Some(Format::Json)),
        ("application/cbor", Some(Format::Cbor)),
        ("application/senml+cbor", Some(Format::Cbor)),
        ("application/x-msgpack", Some(Format::MessagePack)),
        ("application/vnd.msgpack", Some(Format::MessagePack)),
        ("application/octet-stream", None),
        ("text/plain", None),
        ("text/cbor", None),
        ("json", None),
        ("", None),
    ] {
        assert_eq!(Format::of_content_type(content_type.as_bytes()), format, "{content_type}");
    }
}

#[test]
fn the_same_values_in_three_formats() {
    let template = r#"{"a": 1, "b": [true, null, -1], "c": {"d": 1.5}, "e": "x"}"#;
    let json = br#"{"a": 1, "b": [true, null, -1], "c": {"d": 1.5}, "e": "x"}"#;
    // 1 in 32 bits, an array and a map without a length, a half-precision float.
    let cbor = b"\xa4\x61a\x1a\0\0\0\x01\x61b\x9f\xf5\xf6\x20\xff\x61c\xbf\x61d\xf9\x3e\x00\xff\x61e\x61x";
    // 1 in 16 bits, a float of 32.
    let message_pack = b"\x84\xa1a\xcd\0\x01\xa1b\x93\xc3\xc0\xff\xa1c\x81\xa1d\xca\x3f\xc0\0\0\xa1e\xd9\x01x";
    for (format, octets) in [(Format::Json, &json[..]), (Format::Cbor, cbor), (Format::MessagePack, message_pack)] {
        assert!(matches(format, octets, template), "{format:?}");
        for end in 0..octets.len() {
            refused(format, &octets[..end]);
        }
        refused(format, &[octets, b"1"].concat());
    }
}

#[test]
fn types_that_json_does_not_have() {
    let cases: [(Format, &[u8], &str); 12] = [
        (Format::Cbor, b"\x81\x42\x00\x01", r#"[{"bytes": "AAE="}]"#),
        (Format::Cbor, b"\x81\x5f\x41\x00\x41\x01\xff", r#"[{"bytes": "AAE="}]"#),
        (Format::Cbor, b"\x81\x7f\x61a\x61b\xff", r#"["ab"]"#),
        (Format::Cbor, b"\x81\xc1\x1a\x65\x53\xf1\x00", r#"[{"timestamp": 1700000000}]"#),
        (
            Format::Cbor,
            b"\x81\xc2\x49\x01\0\0\0\0\0\0\0\0",
            r#"[{"?": "int", "gt": 18446744073709551615}]"#,
        ),
        (Format::Cbor, b"\x81\xc3\x41\x00", "[-1]"),
        (
            Format::Cbor,
            b"\x81\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
            r#"[{"?": "int", "lt": -9223372036854775808}]"#,
        ),
        (Format::Cbor, b"\xd9\xd9\xf7\x81\xf7", "[null]"),
        (Format::MessagePack, b"\x91\xc4\x02\x00\x01", r#"[{"bytes": "AAE="}]"#),
        (
            Format::MessagePack,
            b"\x91\xd6\xff\x65\x53\xf1\x00",
            r#"[{"timestamp": 1700000000}]"#,
        ),
        (
            Format::MessagePack,
            b"\x91\xd7\xff\x77\x35\x94\x00\x65\x53\xf1\x00",
            r#"[{"gt": {"timestamp": 1700000000}, "lt": {"timestamp": 1700000001}}]"#,
        ),
        (
            Format::MessagePack,
            b"\x91\xc7\x0c\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
            r#"[{"timestamp": -1}]"#,
        ),
    ];
    for (format, octets, template) in cases {
        assert!(matches(format, octets, template), "{octets:02x?} {template}");
    }
}

#[test]
fn what_is_malformed_says_where() {
    let cases: [(Format, &[u8], &str); 9] = [
        (
            Format::Json,
            b"1",
            "the whole: expected an array or a table (an object), came an integer",
        ),
        (
            Format::Json,
            br#"{"a": {"b": 1, "b": 2}}"#,
            "field a.b: expected the field once, came the field twice",
        ),
        (
            Format::Cbor,
            b"\xa1\x61a\x82\x01\x1c",
            "field a[1]: expected CBOR, came octets that are none, or end too early, near octet 6",
        ),
        (
            Format::Cbor,
            b"\xa1\x01\x01",
            "the whole: expected names that are text or bytes, came another type",
        ),
        (
            Format::Cbor,
            b"\x81\xc1\x61a",
            "element [0]: expected seconds under tag 1, came text",
        ),
        (
            Format::Cbor,
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            "element [1]: expected CBOR, came octets that are none, or end too early, near octet 10",
        ),
        (
            Format::MessagePack,
            b"\x81\xa1a\xc1",
            "field a: expected a MessagePack value, came the reserved octet 0xc1",
        ),
        (
            Format::MessagePack,
            b"\xdd\xff\xff\xff\xff\x01",
            "element [1]: expected MessagePack, came 0 octets where 1 are announced",
        ),
        (
            Format::MessagePack,
            b"\x91\xd4\x05\x00",
            "element [0]: expected a value, or a timestamp (extension -1), came the extension 5 in 1 octets",
        ),
    ];
    for (format, octets, expected) in cases {
        assert_eq!(refused(format, octets), format!("malformed tuple, {expected}"), "{octets:02x?}");
    }
    for (format, open) in [(Format::Json, b'['), (Format::Cbor, 0x81), (Format::MessagePack, 0x91)] {
        let error = refused(format, &vec![open; 100_000]);
        assert!(error.contains("at most 32 arrays and tables within each other"), "{error}");
    }
    let error = refused(Format::Json, &vec![b' '; 300_000]);
    assert!(error.contains("at most 262144 octets, came 300000"), "{error}");
    let error = refused(Format::Json, format!("[{}1]", "1,".repeat(2000)).as_bytes());
    assert!(error.contains("at most 1024 values"), "{error}");
}

#[test]
fn where_the_tuple_of_a_message_stands() {
    let array = || Value::Array(vec![Value::from(7)]);
    type Fields<'a> = &'a [(&'a str, Value)];
    let body = br#"{"in": "body"}"#;
    let cases: [(&str, Fields<'_>, Result<&str, &str>); 9] = [
        ("", &[("in", Value::from("headers"))], Ok(r#"{"in": "headers"}"#)),
        ("text/plain", &[("in", Value::from("headers"))], Ok(r#"{"in": "headers"}"#)),
        (
            "application/json",
            &[("in", Value::from("headers"))],
            Ok(r#"{"is": {"in": "body"}}"#),
        ),
        (
            "application/json",
            &[("in", Value::from("headers")), ("x-tuple", Value::from("headers"))],
            Ok(r#"{"in": "headers"}"#),
        ),
        ("application/json", &[("x-tuple", array())], Ok("[7]")),
        (
            "application/json",
            &[("x-tuple", Value::from("body"))],
            Ok(r#"{"is": {"in": "body"}}"#),
        ),
        (
            "text/plain",
            &[("x-tuple", Value::from("body"))],
            Err("the whole: expected a content-type of JSON, CBOR or MessagePack with x-tuple: body, came \"text/plain\""),
        ),
        (
            "",
            &[("x-tuple", Value::from(1))],
            Err("field x-tuple: expected an array, \"headers\" or \"body\", came an integer"),
        ),
        ("", &[], Ok("{}")),
    ];
    for (content_type, headers, expected) in cases {
        let table = headers.iter().cloned().collect::<Table>().encoded();
        let properties = Properties {
            content_type: Some(ShortStr::literal(content_type)),
            headers: Some(table.raw()),
            ..Properties::default()
        };
        let tuple = Tuple::of_message(&properties, body);
        match (tuple, expected) {
            (Ok(tuple), Ok(template)) => {
                assert!(
                    Template::from_json(template.as_bytes()).expect(template).matches(&tuple),
                    "{tuple:?} {template}"
                );
            }
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), format!("malformed tuple, {expected}")),
            (tuple, expected) => panic!("{tuple:?} {expected:?}"),
        }
    }
    let zipped = Properties {
        content_type: Some(ShortStr::literal("application/json")),
        content_encoding: Some(ShortStr::literal("gzip")),
        ..Properties::default()
    };
    assert!(Tuple::of_message(&zipped, body).is_err());
    assert!(Tuple::of_message(&zipped, b"").is_ok());
}

//! Templates against tuples, and what is no template.

use super::Template;
use crate::space::{Format, Tuple};
use stoa_amqp::{RawArray, RawTable, Table, Value};

fn json(template: &str) -> Template {
    Template::from_json(template.as_bytes()).unwrap_or_else(|error| panic!("{template}: {error}"))
}

fn matches_json(template: &str, tuple: &str) -> bool {
    json(template).matches(&Tuple::encoded(Format::Json, tuple.as_bytes()).expect(tuple))
}

/// Whether a template for the field `a` matches a message with that header.
fn matches_value(template: &Template, value: impl Into<Value>) -> bool {
    let headers = [("a", value.into())].into_iter().collect::<Table>().to_bytes();
    let headers = RawTable::new(&headers).expect("a table");
    let matches = template.matches(&Tuple::record(headers).expect("a tuple"));
    assert_eq!(template.matches_headers(headers), matches);
    matches
}

fn table<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Table(fields.into_iter().collect())
}

fn every_width_of_one() -> [Value; 7] {
    [
        Value::I8(1),
        Value::U8(1),
        Value::I16(1),
        Value::U16(1),
        Value::I32(1),
        Value::U32(1),
        Value::I64(1),
    ]
}

fn octets(octets: &'static [u8]) -> bytes::Bytes {
    bytes::Bytes::from_static(octets)
}

#[test]
fn integers_of_every_width_are_the_same_and_no_floats() {
    let from_json = json(r#"{"a": 1}"#);
    for value in every_width_of_one() {
        let template = Template::from_amqp(&table([("a", value.clone())])).expect("a template");
        for other in every_width_of_one() {
            assert!(matches_value(&template, other.clone()), "{value:?} {other:?}");
        }
        assert!(matches_value(&from_json, value.clone()), "{value:?}");
        assert!(!matches_value(&json(r#"{"a": 1.0}"#), value.clone()), "{value:?}");
        assert!(!matches_value(&template, 1.0f64) && !matches_value(&template, 1.0f32), "{value:?}");
        assert!(matches_value(&json(r#"{"a": {"?": "int"}}"#), value.clone()));
        assert!(matches_value(&json(r#"{"a": {"?": "number"}}"#), value.clone()));
        assert!(!matches_value(&json(r#"{"a": {"?": "float"}}"#), value));
    }
    for (template, value) in [
        (-1, Value::I8(-1)),
        (-1, Value::I64(-1)),
        (255, Value::U8(255)),
        (65535, Value::U16(65535)),
    ] {
        assert!(matches_value(&json(&format!(r#"{{"a": {template}}}"#)), value.clone()), "{value:?}");
        assert!(!matches_value(&json(&format!(r#"{{"a": {}}}"#, template + 256)), value));
    }
    assert!(matches_json(r#"{"a": 18446744073709551615}"#, r#"{"a": 18446744073709551615}"#));
    // Beyond 64 bits a JSON number is a float.
    assert!(matches_json(r#"{"a": {"?": "float"}}"#, r#"{"a": 18446744073709551616}"#));
    assert!(matches_json(r#"{"a": {"float": 1}}"#, r#"{"a": 1.0}"#));
    assert!(!matches_json(r#"{"a": {"float": 1}}"#, r#"{"a": 1}"#));
}

#[test]
fn nan_equals_nothing_and_has_a_type() {
    let nan = Value::F64(f64::NAN);
    for template in [
        r#"{"?": "float"}"#,
        r#"{"?": "number"}"#,
        r#"{"?": "any"}"#,
        r#"{"ne": 1}"#,
        r#"{"exists": true}"#,
    ] {
        assert!(matches_value(&json(&format!(r#"{{"a": {template}}}"#)), nan.clone()), "{template}");
    }
    for template in ["1", "1.5", r#"{"gt": 0}"#, r#"{"le": 0}"#, r#"{"in": [1, 2.0]}"#, r#"{"?": "int"}"#] {
        assert!(!matches_value(&json(&format!(r#"{{"a": {template}}}"#)), nan.clone()), "{template}");
    }
    let error = Template::from_amqp(&table([("a", nan)])).expect_err("NaN");
    assert_eq!(
        error.to_string(),
        "malformed template, field a: expected a value that something can equal, came NaN"
    );
    assert!(matches_value(&json(r#"{"a": 0.0}"#), -0.0f64));
}

#[test]
fn text_and_bytes_are_two_types() {
    let text = json(r#"{"a": "abc"}"#);
    let bytes = Template::from_amqp(&table([("a", Value::ByteArray(octets(b"abc")))])).expect("a template");
    let coded = json(r#"{"a": {"bytes": "YWJj"}}"#);
    assert!(matches_value(&text, "abc") && !matches_value(&text, Value::ByteArray(octets(b"abc"))));
    for template in [bytes, coded] {
        assert!(!matches_value(&template, "abc") && matches_value(&template, Value::ByteArray(octets(b"abc"))));
    }
    // A long string that is no UTF-8 is bytes.
    let broken = Value::LongString(octets(b"\xff\x01"));
    assert!(matches_value(&json(r#"{"a": {"?": "bytes"}}"#), broken.clone()));
    assert!(!matches_value(&json(r#"{"a": {"?": "string"}}"#), broken.clone()));
    assert!(matches_value(&json(r#"{"a": {"bytes": "/wE="}}"#), broken));
}

#[test]
fn null_timestamps_and_decimals() {
    assert!(matches_value(&json(r#"{"a": null}"#), Value::Void));
    assert!(!matches_value(&json(r#"{"b": null}"#), Value::Void));
    assert!(matches_value(&json(r#"{"a": {"?": "null"}, "b": {"exists": false}}"#), Value::Void));
    let time = Value::Timestamp(1_700_000_000);
    assert!(!matches_value(&json(r#"{"a": 1700000000}"#), time.clone()));
    for template in [
        r#"{"timestamp": 1700000000}"#,
        r#"{"ge": {"timestamp": 1699999999.5}, "?": "timestamp"}"#,
        r#"{"in": [1, {"timestamp": 1700000000}]}"#,
    ] {
        assert!(matches_value(&json(&format!(r#"{{"a": {template}}}"#)), time.clone()), "{template}");
    }
    let decimal = Value::Decimal { scale: 2, value: 150 };
    for template in [
        r#"{"decimal": "1.5"}"#,
        r#"{"?": "decimal"}"#,
        r#"{"?": "number", "gt": 1, "lt": 1.75}"#,
    ] {
        assert!(
            matches_value(&json(&format!(r#"{{"a": {template}}}"#)), decimal.clone()),
            "{template}"
        );
    }
    assert!(!matches_value(&json(r#"{"a": 1.5}"#), decimal));
}

#[test]
fn operators() {
    // Template for the field `a`, values that match, values that do not; a tuple without the field is written as nothing.
    type Values<'a> = &'a [&'a str];
    let cases: [(&str, Values<'_>, Values<'_>); 22] = [
        ("1", &["1"], &["2", "1.0", "\"1\"", "null", "true", "[1]", "{}", ""]),
        ("true", &["true"], &["false", "1", "\"true\""]),
        (r#"{"?": "any"}"#, &["1", "null", "[]", "{}"], &[""]),
        (r#"{"?": "string"}"#, &["\"\""], &["1", "null", ""]),
        (r#"{"?": "array"}"#, &["[]", "[1]"], &["{}"]),
        (r#"{"?": "table"}"#, &["{}", r#"{"b": 1}"#], &["[]"]),
        ("{}", &["{}", r#"{"b": 1}"#], &["[]", "1", ""]),
        (r#"{"gt": 1}"#, &["2", "1.5"], &["1", "1.0", "\"2\"", ""]),
        (r#"{"ge": 1, "lt": 3}"#, &["1", "1.0", "2.9"], &["0", "3", "3.0"]),
        (r#"{"le": "b"}"#, &["\"a\"", "\"b\"", "\"\""], &["\"ba\"", "1"]),
        (r#"{"ne": 1}"#, &["2", "1.0", "null", "[1]"], &["1", ""]),
        (r#"{"in": [1, "x", null]}"#, &["1", "\"x\"", "null"], &["2", "1.0", ""]),
        (r#"{"prefix": "ab"}"#, &["\"ab\"", "\"abc\""], &["\"a\"", "\"cab\"", "1"]),
        (r#"{"suffix": "bc"}"#, &["\"bc\"", "\"abc\""], &["\"bcd\""]),
        (r#"{"exists": true}"#, &["1", "null"], &[""]),
        (r#"{"exists": false}"#, &[""], &["1", "null"]),
        (r#"{"not": 1}"#, &["2", ""], &["1"]),
        (r#"{"not": {"prefix": "a"}, "?": "string"}"#, &["\"b\""], &["\"a\"", "1", ""]),
        (r#"{"any": [1, {"prefix": "a"}, {"exists": false}]}"#, &["1", "\"ab\"", ""], &["2"]),
        (
            r#"{"b": {"c": 1}}"#,
            &[r#"{"b": {"c": 1, "d": 2}}"#],
            &[r#"{"b": {"c": 2}}"#, r#"{"c": 1}"#, "1"],
        ),
        (r#"{"is": {"gt": 1, "x": 2}}"#, &[r#"{"x": 2, "gt": 1}"#], &["2", r#"{"gt": 1}"#]),
        (r#"[1, {"?": "int"}, "..."]"#, &["[1, 2]", "[1, 2, 3]"], &["[1]", "[1, 2.0]", "{}"]),
    ];
    for (template, matching, others) in cases {
        for (values, expected) in [(matching, true), (others, false)] {
            for value in values {
                let tuple = if value.is_empty() {
                    r#"{"z": 0}"#.to_owned()
                } else {
                    format!(r#"{{"z": 0, "a": {value}}}"#)
                };
                assert_eq!(
                    matches_json(&format!(r#"{{"a": {template}}}"#), &tuple),
                    expected,
                    "{template} {tuple}"
                );
            }
        }
    }
}

#[test]
fn whole_templates() {
    let cases = [
        ("{}", "{}", true),
        ("{}", "[]", false),
        ("[]", "[]", true),
        ("[]", "[1]", false),
        (r#"["..."]"#, "[1]", true),
        (r#"[1, {"is": "..."}]"#, r#"[1, "..."]"#, true),
        (r#"["job", {"?": "int"}]"#, r#"["job", 7]"#, true),
        (r#"["job", {"?": "int"}]"#, r#"["job", 7, 8]"#, false),
        (r#"{"any": [{"a": 1}, [1]]}"#, "[1]", true),
        (r#"{"any": [{"a": 1}, [1]]}"#, r#"{"a": 2}"#, false),
        (r#"{"not": {"a": 1}}"#, r#"{"b": 1}"#, true),
        (r#"{"is": {"any": [1]}}"#, r#"{"any": [1]}"#, true),
        // Names are fields, at the root.
        (r#"{"gt": 1}"#, r#"{"gt": 1}"#, true),
        (r#"{"any": 1, "b": 2}"#, r#"{"any": 1, "b": 2}"#, true),
    ];
    for (template, tuple, expected) in cases {
        assert_eq!(matches_json(template, tuple), expected, "{template} {tuple}");
    }
}

#[test]
fn the_same_language_in_tables_arrays_and_text() {
    let positional = Value::Array(vec![Value::from("job"), table([("?", Value::from("int"))]), Value::from("...")]);
    let tuple = Value::Array(vec![Value::from("job"), Value::U16(7), Value::Void]);
    let mut octets = Vec::new();
    tuple.encode(&mut octets);
    let tuple = Tuple::positional(RawArray::new(&octets[5..]).expect("an array")).expect("a tuple");
    let text = Value::from(r#"["job", {"?": "int"}, "..."]"#);
    for template in [positional, text] {
        assert!(Template::from_amqp(&template).expect("a template").matches(&tuple), "{template:?}");
    }
}

#[test]
fn control_headers_are_no_fields_of_a_tuple_but_headers() {
    let headers = [("x-a", 1), ("b", 2)].into_iter().collect::<Table>().to_bytes();
    let headers = RawTable::new(&headers).expect("a table");
    let tuple = Tuple::record(headers).expect("a tuple");
    let template = json(r#"{"x-a": 1}"#);
    assert!(!template.matches(&tuple) && template.matches_headers(headers));
    assert!(json(r#"{"b": 2, "x-a": {"exists": false}}"#).matches(&tuple));
}

#[test]
fn of_a_header_that_comes_twice_the_first_counts() {
    let headers = [("a", 1), ("a", 2)].into_iter().collect::<Table>().to_bytes();
    let headers = RawTable::new(&headers).expect("a table");
    assert!(json(r#"{"a": 1}"#).matches_headers(headers) && !json(r#"{"a": 2}"#).matches_headers(headers));
    let error = Tuple::record(headers).expect_err("twice");
    assert_eq!(
        error.to_string(),
        "malformed tuple, field a: expected the field once, came the field twice"
    );
}

#[test]
fn what_is_no_template_says_where() {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let many = format!("[{}1]", "1,".repeat(300));
    let cases = [
        ("1", "the whole: expected a template: a table or an array, came an integer"),
        (
            r#"{"a": {"gt": null}}"#,
            "field a.gt: expected a number, text, bytes or a timestamp, came null",
        ),
        (r#"{"a": [1, {"lt": [1]}]}"#, "field a[1].lt: expected a literal, came an array"),
        (r#"{"a": {"exists": 1}}"#, "field a.exists: expected true or false, came an integer"),
        (
            r#"{"a": {"in": []}}"#,
            "field a.in: expected an array of one or more, came an empty one",
        ),
        (r#"{"a": {"in": [{"b": 1}]}}"#, "field a.in[0]: expected a literal, came a table"),
        (r#"{"a": {"prefix": 1}}"#, "field a.prefix: expected text or bytes, came an integer"),
        (
            r#"{"a": {"gt": 1, "b": 1}}"#,
            "field a: expected either operators or fields; {\"is\": {..}} takes all names for fields, came a mixture of them",
        ),
        (
            r#"{"a": {"bytes": "?"}}"#,
            "field a.bytes: expected bytes, or base64 in text, came text",
        ),
        (
            r#"["...", 1]"#,
            "element [0]: expected \"...\" as the last element only; {\"is\": \"...\"} is the text, came more elements behind it",
        ),
        (
            r#"{"any": [1]}"#,
            "field any[0]: expected a template: a table or an array, came an integer",
        ),
        (r#"{"a": 1, "a": 2}"#, "field a: expected the field once, came the field twice"),
        (
            r#"{"a": "#,
            "the whole: expected JSON, came EOF while parsing a value at line 1 column 6",
        ),
        (&many, "the whole: expected at most 256 values, came more"),
    ];
    for (template, expected) in cases {
        let error = Template::from_json(template.as_bytes()).expect_err(template);
        assert_eq!(error.to_string(), format!("malformed template, {expected}"), "{template}");
    }
    let error = Template::from_json(br#"{"a": {"?": "integer"}}"#)
        .expect_err("no such type")
        .to_string();
    assert!(
        error.starts_with("malformed template, field a.?: expected a type: any, null, bool, int,"),
        "{error}"
    );
    assert!(error.ends_with(", came \"integer\""), "{error}");
    let error = Template::from_json(deep.as_bytes()).expect_err("deep").to_string();
    assert!(error.contains("at most 32 arrays and tables within each other"), "{error}");
}

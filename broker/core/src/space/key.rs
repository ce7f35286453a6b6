//! The key of a tuple: the values of some fields as octets, the same for what is equal. What is made of them lies on disk, so they never change (invariant 8).

use super::declaration::Field;
use super::hash::FieldId;
use super::tuple::Tuple;
use super::value::Value;

impl Tuple<'_> {
    /// Appends the values at these fields, each with its field. False if one of them is not there, is null or NaN, or is an array or a table: then the tuple has no
    /// such key.
    pub fn push_key(&self, fields: &[Field], out: &mut Vec<u8>) -> bool {
        let root = self.value();
        fields.iter().all(|field| {
            let found = find(root, FieldId::ROOT, field.id());
            found.is_some_and(|value| push(value, out))
        })
    }
}

/// The value at a field.
fn find(value: Value<'_>, at: FieldId, wanted: FieldId) -> Option<Value<'_>> {
    if at == wanted {
        return Some(value);
    }
    match value {
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .find_map(|(index, element)| find(element, at.element(index), wanted)),
        Value::Table(fields) => fields.iter().find_map(|(name, value)| find(value, at.field(name), wanted)),
        _ => None,
    }
}

/// Appends a scalar: its type, its size, its octets.
fn push(value: Value<'_>, out: &mut Vec<u8>) -> bool {
    let mut scalar = |kind: u8, octets: &[u8]| {
        out.push(kind);
        out.extend_from_slice(&(octets.len() as u64).to_le_bytes());
        out.extend_from_slice(octets);
        true
    };
    match value {
        Value::Bool(flag) => scalar(1, &[flag.into()]),
        Value::Integer(n) => scalar(2, &n.to_le_bytes()),
        Value::Float(n) if n.is_nan() => false,
        // 0.0 and -0.0 are equal.
        Value::Float(n) => scalar(3, &(n + 0.0).to_bits().to_le_bytes()),
        Value::Decimal(n) => {
            let (digits, scale) = n.parts();
            scalar(4, &[&digits.to_le_bytes()[..], &[scale]].concat())
        }
        Value::Text(text) => scalar(5, text.as_bytes()),
        Value::Bytes(octets) => scalar(6, octets),
        Value::Timestamp(nanos) => scalar(7, &nanos.to_le_bytes()),
        Value::Null | Value::Array(_) | Value::Table(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Declaration, Format};

    fn key(fields: &str, tuple: &str) -> Option<Vec<u8>> {
        let argument = stoa_amqp::Value::Array(vec![stoa_amqp::Value::Array(
            fields.split(' ').map(stoa_amqp::Value::from).collect(),
        )]);
        let declarations = Declaration::from_amqp(&argument).expect("sound fields");
        let [Declaration::Equal(fields)] = &declarations[..] else {
            panic!("one index");
        };
        let tuple = Tuple::encoded(Format::Json, tuple.as_bytes()).expect("a sound tuple");
        let mut out = Vec::new();
        tuple.push_key(fields, &mut out).then_some(out)
    }

    #[test]
    fn keys_are_the_same_for_what_is_equal_there() {
        let one = key("id", r#"{"id":7,"n":1}"#);
        assert!(one.is_some());
        assert_eq!(one, key("id", r#"{"n":2,"id":7}"#));
        for other in [r#"{"id":"7"}"#, r#"{"id":7.0}"#, r#"{"id":true}"#, r#"{"id":8}"#] {
            let key = key("id", other);
            assert!(key.is_some() && key != one, "{other}");
        }
        assert_eq!(key("a.b [0]", r#"{"a":{"b":1}}"#), None);
        assert_eq!(
            key("a.b c", r#"{"a":{"b":1},"c":"x"}"#),
            key("a.b c", r#"{"c":"x","a":{"d":2,"b":1}}"#)
        );
        assert_eq!(key("[0] [2]", r#"["k",1,"v"]"#), key("[0] [2]", r#"["k",2,"v",4]"#));
        assert!(key("[0]", r#"["ab"]"#) != key("[0]", r#"["a","b"]"#));
        for none in [r#"{}"#, r#"{"id":null}"#, r#"{"id":[1]}"#, r#"{"id":{}}"#] {
            assert_eq!(key("id", none), None, "{none}");
        }
    }

    /// What is in a data directory refers to these.
    #[test]
    fn keys_never_change() {
        let expected = [&[2u8, 16, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 15], &[5, 1, 0, 0, 0, 0, 0, 0, 0, b'x']];
        assert_eq!(key("a b", r#"{"a":7,"b":"x"}"#), Some(expected.concat()));
    }
}

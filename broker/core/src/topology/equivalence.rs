//! When RabbitMQ takes two values of arguments for the same, and what it says when a declaration differs from what is there.

use super::error::{Resource, TopologyError};
use std::hash::{Hash, Hasher};
use stoa_amqp::{Table, Value};

/// Whether two values are the same: integers by their value whatever their width, and so floating-point numbers; text and octets alike.
/// An integer is never the same as a floating-point number, nor as a text.
pub(super) fn same_value(a: &Value, b: &Value) -> bool {
    match (float(a), float(b)) {
        (Some(a), Some(b)) => return a == b,
        (None, None) => {}
        _ => return false,
    }
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => return a == b,
        (None, None) => {}
        _ => return false,
    }
    match (a.as_bytes(), b.as_bytes()) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a == b,
        _ => false,
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Timestamp(seconds) => Some((*seconds).into()),
        other => other.as_i64().map(Into::into),
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::F32(n) => Some((*n).into()),
        Value::F64(n) => Some(*n),
        _ => None,
    }
}

/// Hashes a value so that the same values have the same hash. Not all that differ differ in it.
pub(super) fn hash_value(value: &Value, state: &mut impl Hasher) {
    if let Some(n) = integer(value) {
        n.hash(state);
    } else if let Some(n) = float(value) {
        // 0.0 and -0.0 are the same.
        (n + 0.0).to_bits().hash(state);
    } else if let Some(bytes) = value.as_bytes() {
        bytes.hash(state);
    } else if let Value::Bool(flag) = value {
        flag.hash(state);
    } else {
        value.type_name().hash(state);
    }
}

/// A value as RabbitMQ's messages show it.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Bool(flag) => flag.to_string(),
        Value::F32(n) => format!("{n:?}"),
        Value::F64(n) => format!("{n:?}"),
        Value::Decimal { scale, value } => format!("{{{scale},{value}}}"),
        Value::LongString(bytes) | Value::ByteArray(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Void => "undefined".to_owned(),
        Value::Array(_) | Value::Table(_) => format!("{value:?}"),
        number => integer(number).map_or_else(String::new, |n| n.to_string()),
    }
}

/// Compares a property that every declaration has.
pub(super) fn check_property<T: PartialEq + std::fmt::Display>(
    name: &str,
    resource: &Resource,
    received: T,
    current: T,
) -> Result<(), TopologyError> {
    if received == current {
        return Ok(());
    }
    Err(TopologyError::Inequivalent {
        argument: name.into(),
        resource: resource.clone(),
        received: format!("'{received}'").into(),
        current: format!("'{current}'").into(),
    })
}

/// Compares an argument that a declaration may have.
pub(super) fn check_argument(
    name: &str,
    resource: &Resource,
    received: Option<&Value>,
    current: Option<&Value>,
) -> Result<(), TopologyError> {
    let differ = |received: String, current: String| TopologyError::Inequivalent {
        argument: name.into(),
        resource: resource.clone(),
        received: received.into(),
        current: current.into(),
    };
    let lone = |value: &Value| format!("the value '{}' of type '{}'", text_of(value), value.type_name());
    match (received, current) {
        (None, None) => Ok(()),
        (Some(received), Some(current)) if same_value(received, current) => Ok(()),
        (Some(received), Some(current)) => Err(differ(format!("'{}'", text_of(received)), format!("'{}'", text_of(current)))),
        (Some(received), None) => Err(differ(lone(received), "none".to_owned())),
        (None, Some(current)) => Err(differ("none".to_owned(), lone(current))),
    }
}

/// The table with its fields in the order of their names, and so the tables within it: equal tables have equal octets then.
pub(super) fn in_order(table: &Table) -> Table {
    fn value_in_order(value: &Value) -> Value {
        match value {
            Value::Table(table) => Value::Table(in_order(table)),
            Value::Array(elements) => Value::Array(elements.iter().map(value_in_order).collect()),
            other => other.clone(),
        }
    }
    let mut fields: Vec<_> = table.iter().collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    fields
        .into_iter()
        .map(|(name, value)| (name.clone(), value_in_order(value)))
        .collect()
}

//! AMQP tables as JSON, and JSON as AMQP tables.

use serde_json::{Map, Value as Json};
use stoa_amqp::{ShortString, Table, Value};

/// The table as an object. Octets that are no text are replaced where they are not UTF-8.
pub(crate) fn to_json(table: &Table) -> Json {
    Json::Object(
        table
            .iter()
            .map(|(name, value)| (name.as_str_lossy().into_owned(), value_to_json(value)))
            .collect::<Map<_, _>>(),
    )
}

pub(crate) fn value_to_json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I8(value) => (*value).into(),
        Value::U8(value) => (*value).into(),
        Value::I16(value) => (*value).into(),
        Value::U16(value) => (*value).into(),
        Value::I32(value) => (*value).into(),
        Value::U32(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::F32(value) => f64::from(*value).into(),
        Value::F64(value) => (*value).into(),
        Value::Decimal { scale, value } => (f64::from(*value) / 10f64.powi((*scale).into())).into(),
        Value::LongString(text) | Value::ByteArray(text) => String::from_utf8_lossy(text).into_owned().into(),
        Value::Array(values) => values.iter().map(value_to_json).collect(),
        Value::Timestamp(seconds) => (*seconds).into(),
        Value::Table(table) => to_json(table),
        Value::Void => Json::Null,
    }
}

/// An object as a table; `None` if it cannot be one: a name is longer than 255 octets.
pub(crate) fn from_json(object: &Map<String, Json>) -> Option<Table> {
    let fields = object
        .iter()
        .map(|(name, value)| Some((ShortString::new(name.as_bytes()).ok()?, value_from_json(value)?)));
    fields.collect::<Option<Vec<_>>>().map(|fields| fields.into_iter().collect())
}

pub(crate) fn value_from_json(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Null => Value::Void,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(n), _) => Value::I64(n),
            (None, n) => Value::F64(n?),
        },
        Json::String(text) => Value::from(text.clone()),
        Json::Array(values) => Value::Array(values.iter().map(value_from_json).collect::<Option<_>>()?),
        Json::Object(object) => Value::Table(from_json(object)?),
    })
}

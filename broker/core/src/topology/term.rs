//! Values as RabbitMQ's messages about policies and limits show them: as Erlang terms.

use stoa_amqp::{Table, Value};

/// One value.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Bool(flag) => flag.to_string(),
        Value::F32(n) => format!("{n:?}"),
        Value::F64(n) => format!("{n:?}"),
        Value::LongString(octets) | Value::ByteArray(octets) => binary(octets),
        Value::Array(values) => format!("[{}]", values.iter().map(text).collect::<Vec<_>>().join(",")),
        Value::Table(table) => format!("#{{{}}}", fields(table, |name, value| format!("{name} => {value}"))),
        Value::Void => "null".to_owned(),
        number => number.as_i64().map_or_else(|| "undefined".to_owned(), |n| n.to_string()),
    }
}

/// Fields as a list of pairs.
pub(super) fn pairs(table: &Table) -> String {
    format!("[{}]", fields(table, |name, value| format!("{{{name},{value}}}")))
}

fn fields(table: &Table, field: impl Fn(String, String) -> String) -> String {
    let mut fields: Vec<_> = table.iter().collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    let fields = fields.into_iter().map(|(name, value)| field(binary(name.as_bytes()), text(value)));
    fields.collect::<Vec<_>>().join(",")
}

fn binary(octets: &[u8]) -> String {
    format!("<<\"{}\">>", String::from_utf8_lossy(octets))
}

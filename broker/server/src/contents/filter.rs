//! Which messages are meant: by exchange, routing key and headers.

use stoa_amqp::content::{ContentHeader, Properties};
use stoa_amqp::{ShortString, Table, Value};
use stoa_core::dead_letter::exchange_and_key;
use stoa_core::record::Record;

/// What messages have in common that are meant; empty: all messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The exchange that they were published to.
    pub exchange: Option<ShortString>,
    /// Their routing key.
    pub routing_key: Option<ShortString>,
    /// Headers that they have, with these values. Numbers are equal whatever their type.
    pub headers: Table,
}

impl Filter {
    /// Whether it leaves nothing out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn matches(&self, record: Record<'_>) -> bool {
        let (exchange, routing_key) = exchange_and_key(record.envelope());
        let is = |wanted: &Option<ShortString>, name: &[u8]| wanted.as_ref().is_none_or(|wanted| wanted.as_bytes() == name);
        is(&self.exchange, exchange.as_bytes()) && is(&self.routing_key, routing_key.as_bytes()) && self.matches_headers(record)
    }

    fn matches_headers(&self, record: Record<'_>) -> bool {
        if self.headers.is_empty() {
            return true;
        }
        let properties = ContentHeader::decode(record.header()).and_then(|content| Properties::decode(content.properties));
        let Some(headers) = properties.ok().and_then(|properties| properties.headers) else {
            return false;
        };
        let mut wanted = self.headers.iter();
        wanted.all(|(name, wanted)| headers.get(name.as_bytes()).is_some_and(|value| are_equal(&value, wanted)))
    }
}

fn are_equal(a: &Value, b: &Value) -> bool {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b || float(a).is_some_and(|a| float(b).is_some_and(|b| a == b)),
    }
}

/// A floating-point number, be it written as one or not.
fn float(value: &Value) -> Option<f64> {
    match value {
        Value::F32(number) => Some(f64::from(*number)),
        Value::F64(number) => Some(*number),
        _ => value.as_i64().map(|number| number as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_core::record;

    fn message(headers: &[(&str, Value)]) -> Vec<u8> {
        let mut table = Table::new();
        headers.iter().for_each(|(name, value)| table.insert(*name, value.clone()));
        let (encoded, mut list, mut header, mut out) = (table.encoded(), Vec::new(), Vec::new(), Vec::new());
        Properties {
            headers: (!headers.is_empty()).then(|| encoded.raw()),
            ..Properties::default()
        }
        .encode(&mut list);
        ContentHeader {
            class: stoa_amqp::content::CLASS_BASIC,
            body_size: 0,
            properties: &list,
        }
        .encode(&mut header);
        record::push(&mut out, 0, 0, b"\x02ex\x03key", &header, b"");
        out
    }

    #[test]
    fn all_that_is_named_must_be_so() {
        let text = |text: &str| Value::from(text.to_owned());
        let message = message(&[
            ("n", Value::U8(7)),
            ("f", Value::F32(0.5)),
            ("t", text("seven")),
            ("yes", Value::Bool(true)),
        ]);
        let record = Record::first_of(&message).expect("a record");
        let named = |exchange: &str, key: &str, headers: &[(&str, Value)]| {
            let name = |name: &str| (name != "-").then(|| ShortString::from(name));
            let mut table = Table::new();
            headers.iter().for_each(|(name, value)| table.insert(*name, value.clone()));
            Filter {
                exchange: name(exchange),
                routing_key: name(key),
                headers: table,
            }
            .matches(record)
        };
        type Headers<'a> = &'a [(&'a str, Value)];
        let cases: [(&str, &str, Headers<'_>, bool); 13] = [
            ("-", "-", &[], true),
            ("ex", "-", &[], true),
            ("", "-", &[], false),
            ("ex", "key", &[], true),
            ("ex", "ke", &[], false),
            ("-", "-", &[("n", Value::I64(7))], true),
            ("-", "-", &[("n", Value::F64(7.0))], true),
            ("-", "-", &[("n", text("7"))], false),
            ("-", "-", &[("f", Value::F64(0.5)), ("t", text("seven"))], true),
            ("-", "-", &[("f", Value::F64(0.5)), ("t", text("eight"))], false),
            ("-", "-", &[("yes", Value::Bool(true))], true),
            ("-", "-", &[("yes", Value::I64(1))], false),
            ("-", "key", &[("none", Value::Void)], false),
        ];
        for (exchange, key, headers, expected) in cases {
            assert_eq!(named(exchange, key, headers), expected, "{exchange} {key} {headers:?}");
        }
        let bare = self::message(&[]);
        let filter = Filter {
            headers: [(ShortString::from("n"), Value::I64(7))].into_iter().collect(),
            ..Filter::default()
        };
        assert!(!filter.matches(Record::first_of(&bare).expect("a record")));
    }
}

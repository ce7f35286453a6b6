//! What the broker writes into messages before they are routed, where it is configured to (RabbitMQ 3.12, `message_interceptors.incoming`).

use stoa_amqp::Value;
use stoa_amqp::content::{ContentHeader, Properties};
use stoa_core::ids::Millis;

use super::error::Exception;
use crate::config::{Incoming, Overwrite};

/// The time in milliseconds.
const TIMESTAMP: &str = "timestamp_in_ms";
/// The node that took the message.
const ROUTED_BY: &str = "x-routed-by";

/// As the HTTP API names the node.
const NODE: &str = "stoa@localhost";

/// The payload of the content header frame with what the interceptors write.
///
/// # Errors
/// If the properties are malformed.
pub(super) fn intercepted(header: &ContentHeader<'_>, incoming: &Incoming, now: Millis) -> Result<Vec<u8>, Exception> {
    let mut properties = Properties::decode(header.properties)?;
    let mut headers = properties.headers.map(|headers| headers.to_table()).unwrap_or_default();
    let writes = |overwrite, is_there: bool| match overwrite {
        Overwrite::Off => false,
        Overwrite::No => !is_there,
        Overwrite::Yes => true,
    };
    let timestamp = incoming.set_header_timestamp.overwrite;
    if writes(timestamp, properties.timestamp.is_some()) {
        properties.timestamp = Some(now.0 / 1000);
    }
    if writes(timestamp, headers.get(TIMESTAMP).is_some()) {
        headers.insert(TIMESTAMP, Value::I64(now.0.cast_signed()));
    }
    if writes(incoming.set_header_routing_node.overwrite, headers.get(ROUTED_BY).is_some()) {
        headers.insert(ROUTED_BY, NODE);
    }
    let encoded = headers.encoded();
    properties.headers = (!headers.is_empty()).then(|| encoded.raw());
    let mut list = Vec::with_capacity(header.properties.len() + 64);
    properties.encode(&mut list);
    let mut out = Vec::with_capacity(12 + list.len());
    ContentHeader {
        properties: &list,
        ..*header
    }
    .encode(&mut out);
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use stoa_amqp::Table;

    use super::*;
    use crate::config::SetHeader;

    fn message(timestamp: Option<u64>, headers: &Table) -> Vec<u8> {
        let encoded = headers.encoded();
        let mut list = Vec::new();
        Properties {
            timestamp,
            headers: (!headers.is_empty()).then(|| encoded.raw()),
            delivery_mode: Some(2),
            ..Properties::default()
        }
        .encode(&mut list);
        list
    }

    #[test]
    fn time_and_node_are_written_and_what_is_there_stays_unless_told_otherwise() {
        let (off, no, yes) = (Overwrite::Off, Overwrite::No, Overwrite::Yes);
        let own: Table = [
            (TIMESTAMP, Value::I64(7)),
            (ROUTED_BY, Value::from("me")),
            ("kept", Value::Bool(true)),
        ]
        .into_iter()
        .collect();
        let (ms, node) = (Value::I64(1_234_567), Value::from(NODE));
        for (own, given, timestamp, routing, expected) in [
            (&Table::new(), None, off, off, (None, None, None)),
            (&Table::new(), None, no, no, (Some(1234), Some(ms.clone()), Some(node.clone()))),
            (&Table::new(), Some(5), no, off, (Some(5), Some(ms.clone()), None)),
            (&own, Some(5), no, no, (Some(5), Some(Value::I64(7)), Some(Value::from("me")))),
            (&own, Some(5), yes, no, (Some(1234), Some(ms.clone()), Some(Value::from("me")))),
            (&own, None, off, yes, (None, Some(Value::I64(7)), Some(node))),
        ] {
            let list = message(given, own);
            let header = ContentHeader {
                class: 60,
                body_size: 3,
                properties: &list,
            };
            let set = |overwrite| SetHeader { overwrite };
            let incoming = Incoming {
                set_header_timestamp: set(timestamp),
                set_header_routing_node: set(routing),
            };
            assert_eq!(incoming.is_on(), (timestamp, routing) != (off, off));
            let out = intercepted(&header, &incoming, Millis(1_234_567)).unwrap();
            let header = ContentHeader::decode(&out).unwrap();
            let properties = Properties::decode(header.properties).unwrap();
            let headers = properties.headers.map(|headers| headers.to_table()).unwrap_or_default();
            assert_eq!(
                (
                    properties.timestamp,
                    headers.get(TIMESTAMP).cloned(),
                    headers.get(ROUTED_BY).cloned()
                ),
                expected,
                "{timestamp:?} {routing:?}"
            );
            assert_eq!((header.body_size, properties.delivery_mode), (3, Some(2)));
            assert_eq!(headers.get("kept"), own.get("kept"));
        }
    }
}

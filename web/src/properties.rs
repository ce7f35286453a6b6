//! A message's properties as RabbitMQ's API shows them.

use serde_json::{Map, Value};
use stoa_amqp::ShortStr;
use stoa_amqp::content::{ContentHeader, Properties};

use crate::tables::to_json;

/// The properties in the payload of a content header frame: those that are set.
pub(crate) fn of_header(header: &[u8]) -> Value {
    ContentHeader::decode(header).map_or_else(|_| Value::Object(Map::new()), |content| of(content.properties))
}

/// The properties as a content header has them.
pub(crate) fn of(octets: &[u8]) -> Value {
    let Ok(properties) = Properties::decode(octets) else {
        return Value::Object(Map::new());
    };
    let text = |text: Option<ShortStr<'_>>| text.map(|text| Value::from(text.as_str_lossy()));
    let fields = [
        ("content_type", text(properties.content_type)),
        ("content_encoding", text(properties.content_encoding)),
        ("headers", properties.headers.map(|headers| to_json(&headers.to_table()))),
        ("delivery_mode", properties.delivery_mode.map(Value::from)),
        ("priority", properties.priority.map(Value::from)),
        ("correlation_id", text(properties.correlation_id)),
        ("reply_to", text(properties.reply_to)),
        ("expiration", text(properties.expiration)),
        ("message_id", text(properties.message_id)),
        ("timestamp", properties.timestamp.map(Value::from)),
        ("type", text(properties.kind)),
        ("user_id", text(properties.user_id)),
        ("app_id", text(properties.app_id)),
        ("cluster_id", text(properties.cluster_id)),
    ];
    let set = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(set.collect())
}

//! Publishing to an exchange, and taking messages from a queue, over HTTP: for trying things out, not for traffic.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use stoa_amqp::content::Properties;
use stoa_amqp::{ShortStr, Table};
use stoa_server::{Broker, NewMessage, QueueDeclare, Requester, TakenMessage, Taking};

use crate::auth::Caller;
use crate::body::{Body, Field, optional, required};
use crate::failure::Failure;
use crate::tables::from_json;
use crate::{Site, names, properties};

/// A message to publish.
pub(crate) const MESSAGE: &[Field] = &[
    required("properties", "object"),
    required("routing_key", "string"),
    required("payload", "string"),
    required("payload_encoding", "string"),
];

/// How to take messages.
pub(crate) const GET: &[Field] = &[
    required("count", "integer"),
    optional("ackmode", "string"),
    required("encoding", "string"),
    optional("truncate", "integer"),
];

/// Octets of bodies in one answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Messages in one answer.
const ANSWER_COUNT_MAX: i64 = 10_000;

/// What a property's text or number is.
struct Given<'b>(&'b Map<String, Value>);

impl<'b> Given<'b> {
    fn text(&self, name: &str) -> Result<Option<ShortStr<'b>>, Failure> {
        let wrong = || Failure::bad_request(format!("property {name} should be a string of at most 255 octets"));
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => ShortStr::new(text.as_bytes()).map(Some).map_err(|_| wrong()),
            Some(_) => Err(wrong()),
        }
    }

    fn number<N: TryFrom<u64>>(&self, name: &str) -> Result<Option<N>, Failure> {
        let wrong = || Failure::bad_request(format!("property {name} should be a number"));
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => text
                .parse()
                .ok()
                .and_then(|number: u64| number.try_into().ok())
                .map(Some)
                .ok_or_else(wrong),
            Some(number) => number
                .as_u64()
                .and_then(|number| number.try_into().ok())
                .map(Some)
                .ok_or_else(wrong),
        }
    }
}

/// Properties as a content header has them.
fn encode(given: &Map<String, Value>) -> Result<Vec<u8>, Failure> {
    let headers = match given.get("headers") {
        None | Some(Value::Null) => None,
        Some(Value::Object(headers)) => Some(from_json(headers).ok_or_else(|| Failure::bad_request("a name is longer than 255 octets"))?),
        Some(_) => return Err(Failure::bad_request("headers should be an object")),
    };
    if headers.as_ref().is_some_and(|headers| headers.depth() >= Table::DEPTH_MAX) {
        return Err(Failure::bad_request("headers are nested too deep"));
    }
    let headers = headers.map(|headers| headers.encoded());
    let given = Given(given);
    let properties = Properties {
        content_type: given.text("content_type")?,
        content_encoding: given.text("content_encoding")?,
        headers: headers.as_ref().map(|headers| headers.raw()),
        delivery_mode: given.number("delivery_mode")?,
        priority: given.number("priority")?,
        correlation_id: given.text("correlation_id")?,
        reply_to: given.text("reply_to")?,
        expiration: given.text("expiration")?,
        message_id: given.text("message_id")?,
        timestamp: given.number("timestamp")?,
        kind: given.text("type")?,
        user_id: given.text("user_id")?,
        app_id: given.text("app_id")?,
        cluster_id: given.text("cluster_id")?,
    };
    let mut octets = Vec::new();
    properties.encode(&mut octets);
    Ok(octets)
}

type Name = Path<(String, String)>;

pub(crate) async fn publish(State(api): Site, caller: Caller, Path((vhost, exchange)): Name, body: Body) -> Result<Json<Value>, Failure> {
    let exchange = names::exchange(&exchange);
    if api.broker.exchange(&vhost, exchange.as_bytes()).is_none() {
        return Err(Failure::not_found());
    }
    body.require(&["properties", "routing_key", "payload", "payload_encoding"])?;
    let payload = body.required_text("payload")?;
    let octets = match body.required_text("payload_encoding")? {
        "string" => Bytes::copy_from_slice(payload.as_bytes()),
        "base64" => STANDARD
            .decode(payload)
            .map_err(|_| Failure::bad_request("payload is not base64"))?
            .into(),
        other => return Err(Failure::bad_request(format!("{{unsupported_encoding,{other}}}"))),
    };
    let none = Map::new();
    let properties = match body.get("properties") {
        Some(Value::Object(properties)) => properties,
        Some(Value::Array(empty)) if empty.is_empty() => &none,
        _ => return Err(Failure::bad_request("properties should be an object")),
    };
    let message = NewMessage {
        exchange: exchange.as_bytes(),
        routing_key: body.required_text("routing_key")?.as_bytes(),
        properties: &encode(properties)?,
        body: &octets,
    };
    let by = Requester {
        user: &caller.user,
        vhost: &vhost,
    };
    let routed = api.broker.publish_one(by, message).await?;
    Ok(Json(json!({"routed": routed})))
}

/// `ackmode`, or its older form `requeue`.
fn taking(body: &Body) -> Result<Taking, Failure> {
    let mode = match body.text("ackmode")? {
        Some(mode) => mode,
        None if body.get("requeue").is_some() => {
            if body.flag("requeue")? {
                "ack_requeue_true"
            } else {
                "ack_requeue_false"
            }
        }
        None => return Err(Failure::bad_request("[{key_missing,ackmode}]")),
    };
    match mode {
        "ack_requeue_true" | "reject_requeue_true" => Ok(Taking::Requeued),
        "ack_requeue_false" => Ok(Taking::Acknowledged),
        "reject_requeue_false" => Ok(Taking::Rejected),
        other => Err(Failure::bad_request(format!("{{ackmode_not_supported,{other}}}"))),
    }
}

fn view(message: &TakenMessage, as_base64: bool, truncate: Option<usize>) -> Value {
    let shown = &message.body[..truncate.unwrap_or(usize::MAX).min(message.body.len())];
    let text = std::str::from_utf8(shown).ok().filter(|_| !as_base64);
    let (payload, encoding) = match text {
        Some(text) => (text.to_owned(), "string"),
        None => (STANDARD.encode(shown), "base64"),
    };
    json!({
        "payload_bytes": message.body.len(),
        "redelivered": message.redelivered,
        "exchange": String::from_utf8_lossy(&message.exchange),
        "routing_key": String::from_utf8_lossy(&message.routing_key),
        "message_count": message.remaining,
        "properties": properties::of(&message.properties),
        "payload": payload,
        "payload_encoding": encoding,
    })
}

pub(crate) async fn get(State(api): Site, caller: Caller, Path((vhost, queue)): Name, body: Body) -> Result<Json<Value>, Failure> {
    api.broker.queue(&vhost, &queue).ok_or_else(Failure::not_found)?;
    let mode = if body.get("requeue").is_some() { "requeue" } else { "ackmode" };
    body.require(&[mode, "count", "encoding"])?;
    let taking = taking(&body)?;
    let as_base64 = match body.required_text("encoding")? {
        "auto" => false,
        "base64" => true,
        other => {
            return Err(Failure::bad_request(format!(
                "Unsupported encoding: {other}. Please use \"auto\" or \"base64\""
            )));
        }
    };
    let count = body.integer("count")?.unwrap_or(1);
    if !(0..=ANSWER_COUNT_MAX).contains(&count) {
        return Err(Failure::bad_request(format!("count should be from 0 to {ANSWER_COUNT_MAX}")));
    }
    let truncate = body.integer("truncate")?.map(|octets| usize::try_from(octets).unwrap_or(0));
    let by = Requester {
        user: &caller.user,
        vhost: &vhost,
    };
    let messages = api
        .broker
        .take_messages(by, queue.as_bytes(), count as u32, ANSWER_BYTES_MAX, taking)
        .await?;
    Ok(Json(messages.iter().map(|message| view(message, as_base64, truncate)).collect()))
}

/// Declares the queue `aliveness-test`, publishes to it and takes the message out again.
pub(crate) async fn prove_alive(broker: &Arc<Broker>, user: &str, vhost: &str) -> Result<(), Failure> {
    const QUEUE: &[u8] = b"aliveness-test";
    if !broker.has_vhost(vhost) {
        return Err(Failure::not_found());
    }
    let by = Requester { user, vhost };
    let wanted = QueueDeclare {
        name: QUEUE,
        ..QueueDeclare::default()
    };
    broker.request_queue(by, &wanted).await?;
    let message = NewMessage {
        exchange: b"",
        routing_key: QUEUE,
        properties: &encode(&Map::new())?,
        body: &Bytes::from_static(b"test_message"),
    };
    broker.publish_one(by, message).await?;
    let taken = broker.take_messages(by, QUEUE, 1, ANSWER_BYTES_MAX, Taking::Acknowledged).await?;
    if taken.is_empty() {
        return Err(Failure::bad_request("the message that was published did not come back"));
    }
    Ok(())
}

//! A message that is to be published, and its translation to AMQP's properties.

use std::time::Duration;

use lapin::BasicProperties;
use lapin::message::BasicReturnMessage;
use lapin::types::ShortString;
use serde::Serialize;

use crate::error::Error;
use crate::{Table, Value};

/// AMQP's `delivery-mode` of a message that is kept on disk.
const PERSISTENT: u8 = 2;
const TRANSIENT: u8 = 1;

/// A message: where it goes, what it carries, what is said about it. Persistent and mandatory unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    exchange: String,
    routing_key: String,
    body: Vec<u8>,
    mandatory: bool,
    transient: bool,
    content_type: Option<String>,
    message_id: Option<String>,
    correlation_id: Option<String>,
    reply_to: Option<String>,
    kind: Option<String>,
    priority: Option<u8>,
    expiration: Option<Duration>,
    headers: Vec<(String, Value)>,
}

impl Message {
    /// A message for an exchange. The exchange with the empty name leads to the queue that is named like the routing key.
    #[must_use]
    pub fn new(exchange: impl Into<String>, routing_key: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            body: body.into(),
            mandatory: true,
            transient: false,
            content_type: None,
            message_id: None,
            correlation_id: None,
            reply_to: None,
            kind: None,
            priority: None,
            expiration: None,
            headers: Vec::new(),
        }
    }

    /// A message whose body is `payload` as JSON, and whose content type says so.
    ///
    /// # Errors
    /// When `payload` cannot be written as JSON.
    pub fn json(exchange: impl Into<String>, routing_key: impl Into<String>, payload: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::new(exchange, routing_key, serde_json::to_vec(payload)?).content_type("application/json"))
    }

    /// Need not survive a restart of the broker: cheaper, and confirmed sooner.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.transient = true;
        self
    }

    /// It is all right when no queue takes the message: it is then dropped and confirmed, instead of being an
    /// [`Unroutable`](crate::PublishError::Unroutable) error.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.mandatory = false;
        self
    }

    /// The MIME type of the body.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// The application's identifier for the message.
    #[must_use]
    pub fn message_id(mut self, id: impl Into<String>) -> Self {
        self.message_id = Some(id.into());
        self
    }

    /// What this message belongs to, most often the request that it answers.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// The queue where an answer is expected.
    #[must_use]
    pub fn reply_to(mut self, queue: impl Into<String>) -> Self {
        self.reply_to = Some(queue.into());
        self
    }

    /// The application's name for this sort of message (AMQP's property `type`).
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Priority in queues that have priorities; higher goes first.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How long the message may wait in a queue, in whole milliseconds.
    #[must_use]
    pub fn expires_after(mut self, time: Duration) -> Self {
        self.expiration = Some(time);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: Value) -> Self {
        self.headers.push((name.into(), value));
        self
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn is_mandatory(&self) -> bool {
        self.mandatory
    }

    /// Exchange and routing key as AMQP has them.
    pub(crate) fn address(&self) -> Result<(ShortString, ShortString), Error> {
        Ok((short("the exchange", &self.exchange)?, short("the routing key", &self.routing_key)?))
    }

    pub(crate) fn properties(&self) -> Result<BasicProperties, Error> {
        let mut properties = BasicProperties::default().with_delivery_mode(if self.transient { TRANSIENT } else { PERSISTENT });
        if let Some(value) = &self.content_type {
            properties = properties.with_content_type(short("the content type", value)?);
        }
        if let Some(value) = &self.message_id {
            properties = properties.with_message_id(short("the message id", value)?);
        }
        if let Some(value) = &self.correlation_id {
            properties = properties.with_correlation_id(short("the correlation id", value)?);
        }
        if let Some(value) = &self.reply_to {
            properties = properties.with_reply_to(short("the reply queue", value)?);
        }
        if let Some(value) = &self.kind {
            properties = properties.with_type(short("the kind", value)?);
        }
        if let Some(value) = self.priority {
            properties = properties.with_priority(value);
        }
        if let Some(value) = self.expiration {
            properties = properties.with_expiration(short("the expiration", &value.as_millis().to_string())?);
        }
        if !self.headers.is_empty() {
            let mut headers = Table::default();
            for (name, value) in &self.headers {
                headers.insert(short("a header's name", name)?, value.clone());
            }
            properties = properties.with_headers(headers);
        }
        Ok(properties)
    }

    /// Whether the broker may have meant this message when it returned that one.
    pub(crate) fn is(&self, returned: &BasicReturnMessage) -> bool {
        self.mandatory
            && returned.exchange.as_str() == self.exchange
            && returned.routing_key.as_str() == self.routing_key
            && returned.data == self.body
            && self.properties().is_ok_and(|properties| properties == returned.properties)
    }
}

/// A string with AMQP's limit of 255 octets.
pub(crate) fn short(field: &'static str, value: &str) -> Result<ShortString, Error> {
    ShortString::try_new(value).map_err(|_| Error::TooLong {
        field,
        length: value.len(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_said_becomes_properties() {
        let message = Message::json("", "q", &[1, 2])
            .unwrap()
            .message_id("m")
            .correlation_id("c")
            .reply_to("r")
            .kind("k")
            .priority(3)
            .expires_after(Duration::from_secs(2))
            .header("h", Value::Boolean(true));
        let mut headers = Table::default();
        headers.insert("h".into(), Value::Boolean(true));
        let expected = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
            .with_message_id("m".into())
            .with_correlation_id("c".into())
            .with_reply_to("r".into())
            .with_type("k".into())
            .with_priority(3)
            .with_expiration("2000".into())
            .with_headers(headers);
        assert_eq!(message.properties().unwrap(), expected);
        assert_eq!(message.body(), b"[1,2]");
        assert_eq!(
            Message::new("", "q", "").transient().properties().unwrap(),
            BasicProperties::default().with_delivery_mode(1)
        );
    }

    #[test]
    fn what_is_too_long_is_named() {
        let long = "x".repeat(256);
        let cases: [(Message, &str); 5] = [
            (Message::new(&*long, "", ""), "the exchange"),
            (Message::new("", &*long, ""), "the routing key"),
            (Message::new("", "", "").message_id(&*long), "the message id"),
            (Message::new("", "", "").header(&*long, Value::Void), "a header's name"),
            (Message::new("", "", "").kind(&*long), "the kind"),
        ];
        for (message, expected) in cases {
            match message.address().err().or_else(|| message.properties().err()) {
                Some(Error::TooLong { field, length: 256 }) => assert_eq!(field, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        assert!(Message::new("x".repeat(255), "", "").address().is_ok());
    }
}

//! What ends a channel or a connection, and how it is put on the wire.

use stoa_amqp::{Method, ReplyCode, ShortStr, WireError};
use stoa_amqp::{channel, connection};
use stoa_core::topology::TopologyError;

/// A peer's mistake, or the broker's refusal. AMQP 0-9-1 calls them exceptions: a channel exception closes the channel, a connection
/// exception the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    pub(crate) code: ReplyCode,
    pub(crate) text: String,
    /// The method that caused it, as class and method id; zeros if none did.
    pub(crate) cause: (u16, u16),
    pub(crate) scope: Scope,
}

/// What an exception closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Channel,
    Connection,
}

impl Exception {
    /// A channel exception (a connection exception if the code is a hard error).
    pub(crate) fn new(code: ReplyCode, cause: (u16, u16), text: impl Into<String>) -> Self {
        let scope = if code.is_hard() { Scope::Connection } else { Scope::Channel };
        Self {
            code,
            text: text.into(),
            cause,
            scope,
        }
    }

    /// A connection exception, whatever the code.
    pub(crate) fn connection(code: ReplyCode, cause: (u16, u16), text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            cause,
            scope: Scope::Connection,
        }
    }

    pub(crate) fn of_topology(error: &TopologyError, cause: (u16, u16)) -> Self {
        Self::new(error.code(), cause, error.to_string())
    }

    /// The text that is sent: RabbitMQ's form, cut to what a short string holds.
    fn reply_text(&self) -> String {
        let mut text = format!("{} - {}", self.code.name(), self.text);
        let mut end = text.len().min(255);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text
    }

    /// Appends the `close` method.
    pub(crate) fn write(&self, channel: u16, out: &mut Vec<u8>) {
        let text = self.reply_text();
        let reply_text = ShortStr::new(text.as_bytes()).unwrap_or_default();
        let (class_id, method_id) = self.cause;
        let reply_code = self.code.code();
        match self.scope {
            Scope::Channel => Method::ChannelClose(channel::Close {
                reply_code,
                reply_text,
                class_id,
                method_id,
            })
            .write_frame(channel, out),
            Scope::Connection => Method::ConnectionClose(connection::Close {
                reply_code,
                reply_text,
                class_id,
                method_id,
            })
            .write_frame(0, out),
        }
    }
}

impl From<WireError> for Exception {
    fn from(error: WireError) -> Self {
        Self::connection(error.code(), error.class_method(), error.to_string())
    }
}

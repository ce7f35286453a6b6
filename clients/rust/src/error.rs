//! What can go wrong, by operation. Nothing here knows how it is put right.

use std::io;
use std::sync::Arc;

use lapin::ErrorKind;

/// Why a connection, a channel or an operation on one of them failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker refused, and closed the channel or the connection with this reply code (AMQP 0-9-1, section 1.1 of the domain tables).
    #[error("the broker refused: {text} ({code})")]
    Refused {
        /// The AMQP reply code, such as 404 for something that does not exist.
        code: u16,
        /// The broker's explanation.
        text: String,
    },
    /// The URI is not an AMQP URI.
    #[error("not an AMQP URI: {0}")]
    Uri(String),
    /// A name, routing key or property is longer than the 255 octets that AMQP has room for.
    #[error("{field} has {length} octets, and AMQP allows 255")]
    TooLong {
        /// Which one.
        field: &'static str,
        /// Its length in octets.
        length: usize,
    },
    /// The broker cannot be reached, or the socket failed.
    #[error("no connection to the broker: {0}")]
    Io(#[source] Arc<io::Error>),
    /// Nothing was heard from the broker for two heartbeat intervals.
    #[error("the broker is silent: no heartbeat came in time")]
    Silent,
    /// The channel or the connection was closed before; whatever depended on it has not happened as far as this side knows.
    #[error("the channel or connection is closed")]
    Closed,
    /// Anything else that the AMQP library reports.
    #[error(transparent)]
    Protocol(lapin::Error),
}

impl Error {
    /// The AMQP reply code, if the broker gave one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl From<lapin::Error> for Error {
    fn from(error: lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(refusal) => Self::Refused {
                code: refusal.get_id(),
                text: refusal.get_message().to_string(),
            },
            ErrorKind::IOError(io) | ErrorKind::RuntimeShutdownError(io) => Self::Io(io.clone()),
            ErrorKind::MissingHeartbeatError => Self::Silent,
            ErrorKind::InvalidChannel(_) | ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_) => Self::Closed,
            _ => Self::Protocol(error),
        }
    }
}

/// Why a message was not taken. The message may be published again, unless the cause lies in the message.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The message was mandatory, and no queue is bound that takes it (AMQP `basic.return`).
    #[error("no queue takes the message: {text} ({code})")]
    Unroutable {
        /// The AMQP reply code: 312, `NO_ROUTE`.
        code: u16,
        /// The broker's explanation.
        text: String,
    },
    /// The broker could not take responsibility for the message (RabbitMQ extension, `basic.nack`).
    #[error("the broker did not take the message")]
    Nacked,
    /// The channel or connection failed before the confirm came. The message may or may not have been taken.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<lapin::Error> for PublishError {
    fn from(error: lapin::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Some messages of a batch were not taken; all others were confirmed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} of {total} messages were not taken; number {}: {}", failures.len(), failures[0].0, failures[0].1)]
pub struct BatchError {
    /// The place in the batch and the reason of each message that was not confirmed, in order of place. Never empty.
    pub failures: Vec<(usize, PublishError)>,
    /// How many messages the batch had.
    pub total: usize,
}

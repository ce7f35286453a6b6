//! What a queue is declared with, and what the broker says of it.

use lapin::options::QueueDeclareOptions;

use crate::error::Error;
use crate::lifeline::Lifeline;
use crate::message::short;
use crate::{Table, Value};

/// A queue as it should be: declared by [`Connection::declare_queue`](crate::Connection::declare_queue).
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    name: String,
    options: QueueDeclareOptions,
    arguments: Table,
}

impl Queue {
    /// A queue that outlives restarts of the broker, and whose persistent messages do.
    #[must_use]
    pub fn durable(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            options: QueueDeclareOptions {
                durable: true,
                ..Default::default()
            },
            arguments: Table::default(),
        }
    }

    /// A queue of this connection alone, named by the broker and gone with the connection.
    #[must_use]
    pub fn temporary() -> Self {
        let options = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..Default::default()
        };
        Self {
            name: String::new(),
            options,
            arguments: Table::default(),
        }
    }

    /// Deleted once its last consumer is gone.
    #[must_use]
    pub fn auto_delete(mut self) -> Self {
        self.options.auto_delete = true;
        self
    }

    /// Adds an argument, such as `x-message-ttl`.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the name has more than 255 octets.
    pub fn argument(mut self, name: &str, value: Value) -> Result<Self, Error> {
        self.arguments.insert(short("an argument's name", name)?, value);
        Ok(self)
    }

    pub(crate) async fn declare(&self, channel: &lapin::Channel, lifeline: &Lifeline) -> Result<DeclaredQueue, Error> {
        let name = short("a queue's name", &self.name)?;
        let queue = lifeline
            .hold(channel.queue_declare(name, self.options, self.arguments.clone()))
            .await?;
        Ok(DeclaredQueue {
            name: queue.name().to_string(),
            messages: queue.message_count(),
            consumers: queue.consumer_count(),
        })
    }
}

/// A queue as the broker has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredQueue {
    /// Its name; the broker's choice for [`Queue::temporary`].
    pub name: String,
    /// Messages ready for delivery.
    pub messages: u32,
    /// Consumers on it.
    pub consumers: u32,
}

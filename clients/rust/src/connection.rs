//! The connection, from which everything else is had.

use lapin::ConnectionProperties;
use lapin::uri::AMQPUri;

use crate::consumer::{Consumer, ConsumerOptions};
use crate::error::Error;
use crate::lifeline::Lifeline;
use crate::producer::{Producer, ProducerOptions};
use crate::queue::{DeclaredQueue, Queue};
use crate::space::Space;

/// A connection to a broker. Producers and consumers each have a channel of their own on it; the connection is closed when it and all
/// of them are dropped.
#[derive(Debug)]
pub struct Connection {
    inner: lapin::Connection,
    lifeline: Lifeline,
}

impl Connection {
    /// Connects and logs in.
    ///
    /// `uri` is `amqp://user:password@host:port/vhost`; what is left out is `guest`, `guest`, 5672 and the vhost `/`. A path of a mere `/` is the
    /// vhost with the empty name; `/` itself is written `%2f`. `?heartbeat=SECONDS`, `?frame_max=OCTETS` and `?channel_max=N` lower
    /// what the broker offers.
    ///
    /// # Errors
    /// [`Error::Uri`], [`Error::Io`] when nobody answers, [`Error::Refused`] with 403 for a wrong password and 530 for an unknown vhost.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn open(uri: &str) -> Result<Self, Error> {
        let uri: AMQPUri = uri.parse().map_err(Error::Uri)?;
        let inner = lapin::Connection::connect_uri(uri, ConnectionProperties::default()).await?;
        Ok(Self {
            lifeline: Lifeline::of(&inner),
            inner,
        })
    }

    /// A producer with [`ProducerOptions::default`].
    ///
    /// # Errors
    /// When no channel can be opened.
    pub async fn producer(&self) -> Result<Producer, Error> {
        self.producer_with(ProducerOptions::default()).await
    }

    /// A producer on a channel of its own. It declares nothing.
    ///
    /// # Errors
    /// When no channel can be opened.
    pub async fn producer_with(&self, options: ProducerOptions) -> Result<Producer, Error> {
        Producer::new(self.channel().await?, self.lifeline.clone(), options).await
    }

    /// Starts to consume a queue, on a channel of its own. It declares nothing.
    ///
    /// # Errors
    /// [`Error::Refused`]: 404 when there is no such queue, 405 or 403 when somebody else has it alone.
    pub async fn consumer(&self, queue: &str, options: ConsumerOptions) -> Result<Consumer, Error> {
        Consumer::new(self.channel().await?, self.lifeline.clone(), queue, options).await
    }

    /// Declares a queue: creates it, or finds it as declared.
    ///
    /// # Errors
    /// [`Error::Refused`]: 406 when it exists and is different, 405 when it belongs to another connection.
    pub async fn declare_queue(&self, queue: &Queue) -> Result<DeclaredQueue, Error> {
        let channel = self.channel().await?;
        let declared = queue.declare(&channel, &self.lifeline).await?;
        self.lifeline.hold(channel.close(200, "OK".into())).await?;
        Ok(declared)
    }

    /// Opens a space, which is declared durable if it is not there.
    ///
    /// # Errors
    /// [`Error::Refused`] with 406 when there is a queue of that name that is something else.
    pub async fn space(&self, name: &str) -> Result<Space<'_>, Error> {
        Space::open(self, name).await
    }

    pub(crate) fn lifeline(&self) -> Lifeline {
        self.lifeline.clone()
    }

    /// A new channel of the AMQP library, for all that this crate has no word for.
    ///
    /// # Errors
    /// When the connection is closed or has as many channels as it may.
    pub async fn channel(&self) -> Result<lapin::Channel, Error> {
        self.lifeline.hold(self.inner.create_channel()).await
    }

    /// Closes the connection and waits until the broker has seen it: what was acknowledged before is acknowledged.
    ///
    /// # Errors
    /// [`Error::Closed`] when it was closed already.
    pub async fn close(self) -> Result<(), Error> {
        self.lifeline.hold(self.inner.close(200, "OK".into())).await
    }
}

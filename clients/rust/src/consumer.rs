//! Consuming: a stream of deliveries, each of which is a guard over one message.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{FutureExt, Stream, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions};
use lapin::{Channel, message};
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::lifeline::Lifeline;
use crate::message::short;
use crate::{Properties, Table};

/// How a [`Consumer`] consumes.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerOptions {
    /// How many deliveries the broker may have under way to this consumer, unsettled; 0 is no limit. Default: 256.
    pub prefetch: u16,
    /// Messages are settled as they are sent: whatever is under way when the connection breaks is lost, and acks do nothing. Default: false.
    pub no_ack: bool,
    /// Nobody else may consume the queue. Default: false.
    pub exclusive: bool,
    /// The consumer's name on its channel; empty: the broker chooses. Default: empty.
    pub tag: String,
    /// Arguments such as `x-priority`.
    pub arguments: Table,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            prefetch: 256,
            no_ack: false,
            exclusive: false,
            tag: String::new(),
            arguments: Table::default(),
        }
    }
}

/// A stream of deliveries from one queue.
///
/// It ends after [`cancel`](Self::cancel) and when the queue is deleted; when the channel or connection fails, it yields the error
/// and then ends. Dropped, it closes its channel, and the broker takes back all that is not settled: let it live at least as long as
/// its deliveries.
#[derive(Debug)]
pub struct Consumer {
    inner: lapin::Consumer,
    channel: Channel,
    lifeline: Lifeline,
    no_ack: bool,
    has_ended: bool,
}

impl Consumer {
    pub(crate) async fn new(channel: Channel, lifeline: Lifeline, queue: &str, options: ConsumerOptions) -> Result<Self, Error> {
        let ConsumerOptions {
            prefetch,
            no_ack,
            exclusive,
            tag,
            arguments,
        } = options;
        if prefetch > 0 {
            lifeline.hold(channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        }
        let options = BasicConsumeOptions {
            no_ack,
            exclusive,
            ..Default::default()
        };
        let (queue, tag) = (short("a queue's name", queue)?, short("a consumer tag", &tag)?);
        let inner = lifeline.hold(channel.basic_consume(queue, tag, options, arguments)).await?;
        Ok(Self {
            inner,
            channel,
            lifeline,
            no_ack,
            has_ended: false,
        })
    }

    /// The next delivery; the same as `StreamExt::next`.
    ///
    /// # Errors
    /// The stream yields an error as its last item when the channel or connection failed.
    pub async fn next(&mut self) -> Option<Result<Delivery, Error>> {
        StreamExt::next(self).await
    }

    /// The consumer's name on its channel.
    #[must_use]
    pub fn tag(&self) -> String {
        self.inner.tag().to_string()
    }

    /// Asks the broker to send nothing more, and waits for its answer. What has been delivered before is still in the stream, which then ends.
    ///
    /// # Errors
    /// [`Error::Closed`] when the channel is closed.
    pub async fn cancel(&self) -> Result<(), Error> {
        self.lifeline
            .hold(self.channel.basic_cancel(self.inner.tag(), Default::default()))
            .await
    }
}

impl Stream for Consumer {
    type Item = Result<Delivery, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let next = match self.inner.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(inner))) => Some(Ok(Delivery {
                inner,
                lifeline: self.lifeline.clone(),
                is_settled: self.no_ack,
            })),
            Poll::Ready(Some(Err(error))) => Some(Err(error.into())),
            Poll::Ready(None) => None,
            Poll::Pending => Some(Err(ready!(self.lifeline.poll_end(cx)))),
        };
        self.has_ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

/// A message that was delivered, and the duty to settle it (unless the consumer is [`no_ack`](ConsumerOptions::no_ack)): exactly one of [`ack`](Self::ack), [`nack`](Self::nack) and
/// [`reject`](Self::reject). Dropped without, it goes back to its queue, so that a consumer which fails half-way loses nothing;
/// a message on which every consumer fails then comes again and again, so reject it instead.
#[derive(Debug)]
pub struct Delivery {
    inner: message::Delivery,
    lifeline: Lifeline,
    is_settled: bool,
}

impl Delivery {
    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.inner.data
    }

    /// The body, read as JSON, whatever the content type says.
    ///
    /// # Errors
    /// When the body is not JSON, or not of that type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.inner.data)
    }

    /// The exchange that the message was published to.
    #[must_use]
    pub fn exchange(&self) -> &str {
        self.inner.exchange.as_str()
    }

    /// The routing key that the message was published with.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        self.inner.routing_key.as_str()
    }

    /// Whether the message may have been delivered before, to this consumer or another.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.inner.redelivered
    }

    /// The publisher's identifier for the message.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        self.inner.properties.message_id().as_ref().map(|id| id.as_str())
    }

    /// All that the publisher said about the message.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        &self.inner.properties
    }

    /// The message is done with and leaves the queue.
    ///
    /// # Errors
    /// [`Error::Closed`] when the channel is closed: the message will be delivered again.
    pub async fn ack(mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.is_settled, true) {
            return Ok(());
        }
        self.settle(self.inner.acker.ack(BasicAckOptions::default())).await
    }

    /// The message is not done. With `requeue` it returns to its place in the queue; else it is dropped, or dead-lettered if the queue says so.
    ///
    /// # Errors
    /// [`Error::Closed`] when the channel is closed: the message will be delivered again.
    pub async fn nack(mut self, requeue: bool) -> Result<(), Error> {
        if std::mem::replace(&mut self.is_settled, true) {
            return Ok(());
        }
        self.settle(self.inner.acker.nack(BasicNackOptions {
            requeue,
            ..Default::default()
        }))
        .await
    }

    /// The message is of no use: it is dropped, or dead-lettered if the queue says so. The same as a nack without requeue.
    ///
    /// # Errors
    /// [`Error::Closed`] when the channel is closed: the message will be delivered again.
    pub async fn reject(mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.is_settled, true) {
            return Ok(());
        }
        self.settle(self.inner.acker.reject(BasicRejectOptions { requeue: false })).await
    }
}

impl Delivery {
    /// lapin's `false` means that the channel is gone.
    async fn settle(&self, sent: impl Future<Output = Result<bool, lapin::Error>>) -> Result<(), Error> {
        if self.lifeline.hold(sent).await? {
            Ok(())
        } else {
            Err(Error::Closed)
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.is_settled {
            // the first poll hands the nack to the connection's task; there is nobody to tell of its end
            let _ = self
                .inner
                .acker
                .nack(BasicNackOptions {
                    requeue: true,
                    ..Default::default()
                })
                .now_or_never();
        }
    }
}

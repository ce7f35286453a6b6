//! The shared data space: Linda's operations on a queue of type `space`. Everything here is plain AMQP; docs/spaces.md says what lies beneath.

use std::time::Duration;

use futures_util::lock::Mutex;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions};

use crate::consumer::{Consumer, ConsumerOptions, Delivery};
use crate::error::{Error, PublishError};
use crate::lifeline::Lifeline;
use crate::message::short;
use crate::producer::Producer;
use crate::{Connection, Message, Queue, Table, Template, Tuple, Value};

/// A space, by a connection. Tuples are put in confirmed and persistent; what is taken is a guard, as a [`Delivery`] is.
///
/// Nothing here reconnects: see the crate's documentation.
#[derive(Debug)]
pub struct Space<'c> {
    connection: &'c Connection,
    name: String,
    producer: Mutex<Producer>,
}

/// A tuple that was taken: nobody else sees it. [`done`](Self::done) ends it; dropped without, it goes back to its place.
#[derive(Debug)]
pub struct Taken {
    delivery: Delivery,
    // Its channel lives as long as the tuple is held.
    _consumer: Consumer,
}

impl Taken {
    /// The tuple, if it is one of headers or of `x-tuple`: those of a body are for [`body`](Self::body).
    #[must_use]
    pub fn tuple(&self) -> Tuple {
        Tuple::of_delivery(&self.delivery)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.delivery.body()
    }

    /// The message that the tuple came in.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Somebody may have held it before, and been lost.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.delivery.is_redelivered()
    }

    /// The take is complete: the tuple is gone.
    ///
    /// # Errors
    /// [`Error::Closed`] when the channel is closed: the tuple is in the space again.
    pub async fn done(self) -> Result<(), Error> {
        self.delivery.ack().await
    }

    /// The tuple goes back to its place.
    ///
    /// # Errors
    /// [`Error::Closed`] when the channel is closed: it is there all the same.
    pub async fn give_back(self) -> Result<(), Error> {
        self.delivery.nack(true).await
    }
}

/// What is asked of a space.
#[derive(Clone, Copy)]
enum Mode {
    Take,
    Read,
}

impl<'c> Space<'c> {
    pub(crate) async fn open(connection: &'c Connection, name: &str) -> Result<Self, Error> {
        let queue = Queue::durable(name).argument("x-queue-type", Value::LongString("space".into()))?;
        connection.declare_queue(&queue).await?;
        Ok(Self {
            connection,
            name: name.to_owned(),
            producer: Mutex::new(connection.producer().await?),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts a tuple in (Linda's `out`). It is on disk when this returns.
    ///
    /// # Errors
    /// [`PublishError::Nacked`] when the space is full; [`PublishError::Failed`] with code 406 when the tuple is malformed.
    pub async fn out(&self, tuple: &Tuple) -> Result<(), PublishError> {
        self.put(&tuple.message(&self.name)).await
    }

    /// Puts a tuple in that is gone after `lease`, unless it is taken or [renewed](Self::renew) before.
    ///
    /// # Errors
    /// As [`out`](Self::out).
    pub async fn out_for(&self, tuple: &Tuple, lease: Duration) -> Result<(), PublishError> {
        self.put(&tuple.message(&self.name).expires_after(lease)).await
    }

    /// Puts a message in, whose tuple is its headers or its body (docs/spaces.md): for tuples with a payload.
    ///
    /// # Errors
    /// As [`out`](Self::out).
    pub async fn put(&self, message: &Message) -> Result<(), PublishError> {
        self.producer.lock().await.publish(message).await
    }

    /// Takes the oldest tuple that matches, once there is one (Linda's `in`).
    ///
    /// # Errors
    /// When the channel or connection fails, or more wait in the space than may.
    pub async fn take(&self, template: &Template) -> Result<Taken, Error> {
        let consumer = self.seek(Mode::Take, template, [("x-max", Value::LongInt(1))]).await?;
        one(consumer).await?.ok_or(Error::Closed)
    }

    /// The same, but waits for no longer than `time`.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn take_within(&self, template: &Template, time: Duration) -> Result<Option<Taken>, Error> {
        let arguments = [("x-max", Value::LongInt(1)), ("x-timeout", millis(time))];
        one(self.seek(Mode::Take, template, arguments).await?).await
    }

    /// Takes the oldest tuple that matches, if there is one (Linda's `inp`).
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn try_take(&self, template: &Template) -> Result<Option<Taken>, Error> {
        self.take_within(template, Duration::ZERO).await
    }

    /// Takes up to `max` tuples that match, of those that are there. They are held together, on one channel; dropped, they all go back.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn take_many(&self, template: &Template, max: u32) -> Result<TakenMany, Error> {
        let arguments = [("x-max", Value::LongUInt(max.max(1))), ("x-timeout", Value::LongInt(0))];
        let mut consumer = self.seek(Mode::Take, template, arguments).await?;
        let mut deliveries = Vec::new();
        while let Some(delivery) = consumer.next().await {
            deliveries.push(delivery?);
        }
        Ok(TakenMany {
            deliveries,
            _consumer: consumer,
        })
    }

    /// A copy of the oldest tuple that matches, once there is one (Linda's `rd`).
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn read(&self, template: &Template) -> Result<Delivery, Error> {
        let mut consumer = self.seek(Mode::Read, template, [("x-max", Value::LongInt(1))]).await?;
        consumer.next().await.unwrap_or(Err(Error::Closed))
    }

    /// The same, but waits for no longer than `time`.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn read_within(&self, template: &Template, time: Duration) -> Result<Option<Delivery>, Error> {
        let arguments = [("x-max", Value::LongInt(1)), ("x-timeout", millis(time))];
        self.seek(Mode::Read, template, arguments).await?.next().await.transpose()
    }

    /// A copy of the oldest tuple that matches, if there is one (Linda's `rdp`).
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn try_read(&self, template: &Template) -> Result<Option<Delivery>, Error> {
        self.read_within(template, Duration::ZERO).await
    }

    /// Copies of all tuples that match and are there, oldest first.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn read_all(&self, template: &Template) -> Result<Vec<Delivery>, Error> {
        let mut consumer = self.seek(Mode::Read, template, []).await?;
        let mut copies = Vec::new();
        while let Some(copy) = consumer.next().await {
            copies.push(copy?);
        }
        Ok(copies)
    }

    /// How many tuples match and are there.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn count(&self, template: &Template) -> Result<u32, Error> {
        let channel = self.connection.channel().await?;
        let lifeline = self.connection.lifeline();
        let arguments = arguments([
            ("x-queue-type", Value::LongString("view".into())),
            ("x-space", Value::LongString(self.name.as_str().into())),
            ("x-template", template.argument()),
        ]);
        let options = QueueDeclareOptions {
            exclusive: true,
            ..Default::default()
        };
        let view = lifeline.hold(channel.queue_declare("".into(), options, arguments)).await?;
        let name = view.name().clone();
        let passive = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let shown = lifeline
            .hold(channel.queue_declare(name.clone(), passive, Table::default()))
            .await?;
        lifeline.hold(channel.queue_delete(name, QueueDeleteOptions::default())).await?;
        lifeline.hold(channel.close(200, "OK".into())).await?;
        Ok(shown.message_count())
    }

    /// Copies of all tuples that match: those that are there, and then those that come, without a gap. One that was taken and comes back comes
    /// again, marked redelivered.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn watch(&self, template: &Template) -> Result<Consumer, Error> {
        self.seek(Mode::Read, template, [("x-tail", Value::Boolean(true))]).await
    }

    /// Takes all tuples that match, as they come, holding at most `prefetch` at a time: a stream, for workers.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn takes(&self, template: &Template, prefetch: u16) -> Result<Consumer, Error> {
        let mut options = options(Mode::Take, template, []);
        options.prefetch = prefetch;
        self.connection.consumer(&self.name, options).await
    }

    /// Puts the oldest tuple that matches in again, with a new lease from now on, in one step. False: there is none.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn renew(&self, template: &Template, lease: Duration) -> Result<bool, Error> {
        let transaction = self.transaction().await?;
        let Some(delivery) = transaction.try_take(template).await? else {
            return Ok(false);
        };
        let expiration = short("the expiration", &lease.as_millis().to_string())?;
        let properties = delivery.properties.clone().with_expiration(expiration);
        transaction.publish(&self.name, &delivery.data, properties).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Begins a transaction: its takes and outs happen together at the [commit](Transaction::commit), or not at all.
    ///
    /// # Errors
    /// When no channel can be opened.
    pub async fn transaction(&self) -> Result<Transaction, Error> {
        let (channel, lifeline) = (self.connection.channel().await?, self.connection.lifeline());
        lifeline.hold(channel.tx_select()).await?;
        Ok(Transaction {
            channel,
            lifeline,
            space: self.name.clone(),
        })
    }

    async fn seek(
        &self,
        mode: Mode,
        template: &Template,
        more: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Result<Consumer, Error> {
        self.connection.consumer(&self.name, options(mode, template, more)).await
    }
}

/// Tuples that were taken together.
#[derive(Debug)]
pub struct TakenMany {
    deliveries: Vec<Delivery>,
    // Their channel lives as long as they are held.
    _consumer: Consumer,
}

impl TakenMany {
    /// The messages that the tuples came in, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// All takes are complete: the tuples are gone.
    ///
    /// # Errors
    /// [`Error::Closed`] when the channel is closed: those that were not done are in the space again.
    pub async fn done(self) -> Result<(), Error> {
        for delivery in self.deliveries {
            delivery.ack().await?;
        }
        Ok(())
    }
}

/// Takes and outs that happen together. While it lives, nobody else sees what it took, and nobody sees what it put in. Dropped, it never was.
#[derive(Debug)]
pub struct Transaction {
    channel: Channel,
    lifeline: Lifeline,
    space: String,
}

impl Transaction {
    /// Puts a tuple in, at the commit.
    ///
    /// # Errors
    /// When the channel or connection fails.
    pub async fn out(&self, tuple: &Tuple) -> Result<(), Error> {
        let message = tuple.message(&self.space);
        self.publish(&self.space, &[], message.properties()?).await
    }

    /// Takes the oldest tuple that matches, once there is one.
    ///
    /// # Errors
    /// When the channel or connection fails.
    pub async fn take(&self, template: &Template) -> Result<lapin::message::Delivery, Error> {
        let taken = self.take_by(template, [("x-max", Value::LongInt(1))]).await?;
        taken.ok_or(Error::Closed)
    }

    /// Takes the oldest tuple that matches, if there is one.
    ///
    /// # Errors
    /// When the channel or connection fails.
    pub async fn try_take(&self, template: &Template) -> Result<Option<lapin::message::Delivery>, Error> {
        self.take_by(template, [("x-max", Value::LongInt(1)), ("x-timeout", Value::LongInt(0))])
            .await
    }

    async fn take_by(
        &self,
        template: &Template,
        more: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Result<Option<lapin::message::Delivery>, Error> {
        let arguments = options(Mode::Take, template, more).arguments;
        let name = short("a queue's name", &self.space)?;
        let consumed = self
            .channel
            .basic_consume(name, "".into(), BasicConsumeOptions::default(), arguments);
        let mut consumer = self.lifeline.hold(consumed).await?;
        let next = async { futures_util::StreamExt::next(&mut consumer).await.transpose() };
        let Some(delivery) = self.lifeline.hold(next).await? else {
            return Ok(None);
        };
        self.lifeline.hold(delivery.acker.ack(BasicAckOptions::default())).await?;
        Ok(Some(delivery))
    }

    async fn publish(&self, space: &str, body: &[u8], properties: crate::Properties) -> Result<(), Error> {
        let name = short("a queue's name", space)?;
        let published = self
            .channel
            .basic_publish("".into(), name, BasicPublishOptions::default(), body, properties);
        self.lifeline.hold(published).await.map(drop)
    }

    /// All of it happens now; it is on disk when this returns.
    ///
    /// # Errors
    /// When the channel or connection fails: then it may or may not have happened.
    pub async fn commit(self) -> Result<(), Error> {
        self.lifeline.hold(self.channel.tx_commit()).await?;
        self.lifeline.hold(self.channel.close(200, "OK".into())).await
    }

    /// None of it happens. The same as dropping it, but when this returns what was taken is back.
    ///
    /// # Errors
    /// When the channel or connection fails: then none of it happens either.
    pub async fn rollback(self) -> Result<(), Error> {
        self.lifeline.hold(self.channel.tx_rollback()).await?;
        self.lifeline.hold(self.channel.close(200, "OK".into())).await
    }
}

async fn one(mut consumer: Consumer) -> Result<Option<Taken>, Error> {
    match consumer.next().await.transpose()? {
        None => Ok(None),
        Some(delivery) => Ok(Some(Taken {
            delivery,
            _consumer: consumer,
        })),
    }
}

fn options(mode: Mode, template: &Template, more: impl IntoIterator<Item = (&'static str, Value)>) -> ConsumerOptions {
    let reads = matches!(mode, Mode::Read);
    let mode = if reads { "read" } else { "take" };
    let fixed = [("x-template", template.argument()), ("x-mode", Value::LongString(mode.into()))];
    ConsumerOptions {
        prefetch: 0,
        no_ack: reads,
        arguments: arguments(fixed.into_iter().chain(more)),
        ..Default::default()
    }
}

fn arguments(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Table {
    let mut table = Table::default();
    for (name, value) in fields {
        table.insert(name.into(), value);
    }
    table
}

/// At least a millisecond, unless it is no time at all.
fn millis(time: Duration) -> Value {
    let ms = if time.is_zero() { 0 } else { time.as_millis().max(1) };
    Value::LongLongInt(i64::try_from(ms).unwrap_or(i64::MAX))
}

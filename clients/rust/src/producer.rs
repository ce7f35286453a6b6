//! Publishing with confirms: one message at a time, or a batch with several under way.

use std::collections::VecDeque;

use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, PublisherConfirm};

use crate::error::{BatchError, Error, PublishError};
use crate::lifeline::Lifeline;
use crate::message::Message;

/// How a [`Producer`] publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerOptions {
    /// How many messages of a batch may wait for their confirms at a time; at least 1. Default: 256.
    pub window: usize,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self { window: 256 }
    }
}

/// Publishes messages and waits until the broker has confirmed them: a persistent message in a durable queue is then on disk.
///
/// A producer has a channel of its own and publishes in the order of its calls. For publishing from several tasks, have a producer in each.
#[derive(Debug)]
pub struct Producer {
    channel: Channel,
    lifeline: Lifeline,
    window: usize,
    /// A call is under way; set at the beginning of a call, it was given up half-way.
    busy: bool,
}

impl Producer {
    pub(crate) async fn new(channel: Channel, lifeline: Lifeline, options: ProducerOptions) -> Result<Self, Error> {
        lifeline.hold(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        let window = options.window.max(1);
        Ok(Self {
            channel,
            lifeline,
            window,
            busy: false,
        })
    }

    /// Publishes a message and waits for its confirm.
    ///
    /// When the future is dropped before its end, the message may or may not have been published.
    ///
    /// # Errors
    /// [`PublishError::Unroutable`] when no queue takes it (see [`Message::optional`]), [`PublishError::Nacked`] when the broker could not take it,
    /// [`PublishError::Failed`] when the channel is closed; with reply code 404 because there is no such exchange. After `Failed` with
    /// anything but [`Error::TooLong`] the producer is of no more use.
    pub async fn publish(&mut self, message: &Message) -> Result<(), PublishError> {
        self.begin().await?;
        let outcome = self.publish_one(message).await;
        self.busy = false;
        outcome
    }

    /// Publishes messages in order, with at most [`ProducerOptions::window`] of them waiting for their confirms at a time: when the broker is
    /// slow to confirm, the next message waits. Returns when all are settled.
    ///
    /// # Errors
    /// The messages that were not confirmed, each with the reason; see [`publish`](Self::publish). When the channel fails in the middle, the rest
    /// of the batch is not published and is listed too.
    pub async fn publish_batch(&mut self, messages: &[Message]) -> Result<(), BatchError> {
        let mut batch = Batch::new(messages, self.lifeline.clone());
        match self.begin().await {
            Ok(()) => {
                self.publish_all(&mut batch).await;
                self.busy = false;
            }
            Err(error) => (0..messages.len()).for_each(|place| batch.fail(place, error.clone().into())),
        }
        batch.result()
    }

    /// When an earlier call was given up half-way, its confirms are waited for, so that what they bring is not taken for this call's.
    async fn begin(&mut self) -> Result<(), Error> {
        if self.busy {
            self.lifeline.hold(self.channel.wait_for_confirms()).await?;
        }
        self.busy = true;
        Ok(())
    }

    async fn publish_one(&self, message: &Message) -> Result<(), PublishError> {
        let confirm = self.send(message).await?;
        match self.lifeline.hold(confirm).await? {
            Confirmation::Ack(Some(returned)) if message.is(&returned) => Err(unroutable(&returned)),
            Confirmation::Ack(_) | Confirmation::NotRequested => Ok(()),
            Confirmation::Nack(_) => Err(PublishError::Nacked),
        }
    }

    async fn publish_all(&self, batch: &mut Batch<'_>) {
        let mut waiting = VecDeque::with_capacity(self.window.min(batch.messages.len()));
        for (place, message) in batch.messages.iter().enumerate() {
            if waiting.len() == self.window {
                batch.settle_first(&mut waiting).await;
            }
            match self.send(message).await {
                Ok(confirm) => waiting.push_back((place, confirm)),
                Err(error) => batch.fail(place, error.into()),
            }
        }
        while !waiting.is_empty() {
            batch.settle_first(&mut waiting).await;
        }
    }

    /// Publishes; the confirm is still to come.
    async fn send(&self, message: &Message) -> Result<PublisherConfirm, Error> {
        let (exchange, routing_key) = message.address()?;
        let properties = message.properties()?;
        let options = BasicPublishOptions {
            mandatory: message.is_mandatory(),
            ..Default::default()
        };
        let published = self
            .channel
            .basic_publish(exchange, routing_key, options, message.body(), properties);
        self.lifeline.hold(published).await
    }
}

/// A batch under way: what came back, and what failed.
struct Batch<'a> {
    messages: &'a [Message],
    lifeline: Lifeline,
    returned: Vec<BasicReturnMessage>,
    failures: Vec<(usize, PublishError)>,
}

impl<'a> Batch<'a> {
    fn new(messages: &'a [Message], lifeline: Lifeline) -> Self {
        Self {
            messages,
            lifeline,
            returned: Vec::new(),
            failures: Vec::new(),
        }
    }

    fn fail(&mut self, place: usize, error: PublishError) {
        self.failures.push((place, error));
    }

    async fn settle_first(&mut self, waiting: &mut VecDeque<(usize, PublisherConfirm)>) {
        let Some((place, confirm)) = waiting.pop_front() else { return };
        match self.lifeline.hold(confirm).await {
            // lapin hangs a returned message on any one of the confirms that come with the same frame: whose it is, is found out at the end
            Ok(Confirmation::Ack(returned)) => self.returned.extend(returned),
            Ok(Confirmation::Nack(returned)) => {
                self.returned.extend(returned);
                self.fail(place, PublishError::Nacked);
            }
            Ok(Confirmation::NotRequested) => {}
            Err(error) => self.fail(place, error.into()),
        }
    }

    fn result(mut self) -> Result<(), BatchError> {
        for returned in std::mem::take(&mut self.returned) {
            let is_settled = |place| self.failures.iter().any(|(failed, _)| *failed == place);
            let found = self
                .messages
                .iter()
                .enumerate()
                .position(|(place, message)| message.is(&returned) && !is_settled(place));
            if let Some(place) = found {
                self.fail(place, unroutable(&returned));
            }
        }
        if self.failures.is_empty() {
            return Ok(());
        }
        self.failures.sort_by_key(|(place, _)| *place);
        Err(BatchError {
            failures: self.failures,
            total: self.messages.len(),
        })
    }
}

fn unroutable(returned: &BasicReturnMessage) -> PublishError {
    PublishError::Unroutable {
        code: returned.reply_code,
        text: returned.reply_text.to_string(),
    }
}

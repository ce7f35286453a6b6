//! Looking at messages.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use stoa_amqp::ShortString;
use stoa_core::dead_letter::exchange_and_key;
use stoa_core::ids::{Millis, QueueId, Sequence};
use stoa_core::record::Record;
use stoa_core::shard::{Look, MessageState};

use super::{Asker, Budget, ContentsError, Filter, Found};
use crate::broker::Broker;

/// What is to be looked at.
#[derive(Clone, Debug, Default)]
pub struct Browse {
    /// From this message on; absent: from the head of the queue.
    pub from: Option<Sequence>,
    /// Messages that are wanted; `limits.contents_page_max` at most.
    pub count: usize,
    /// Only those that stand like that.
    pub state: Option<MessageState>,
    /// Only such messages.
    pub filter: Filter,
    /// Octets of each body that are wanted; absent: all.
    pub truncate: Option<usize>,
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub struct MessageView {
    /// Its name: its position in the queue.
    pub sequence: Sequence,
    /// Where it stands.
    pub state: MessageState,
    /// The next delivery will be marked so.
    pub redelivered: bool,
    /// How often it came back, where the queue counts that.
    pub returns: u32,
    /// When it is ready again, if it waits for that; otherwise when it expires, or goes on.
    pub due: Option<Millis>,
    /// The exchange that it was published to.
    pub exchange: ShortString,
    /// Its routing key.
    pub routing_key: ShortString,
    /// The payload of its content header frame.
    pub header: Vec<u8>,
    /// Its body, or the beginning of it. Empty if it could not be read.
    pub body: Bytes,
    /// Octets of the whole body.
    pub size: u64,
}

/// A part of a queue.
#[derive(Clone, Debug, Default)]
pub struct MessagePage {
    /// In the order in which they would be delivered.
    pub messages: Vec<MessageView>,
    /// Where to go on; absent: that was all.
    pub next: Option<Sequence>,
}

impl Broker {
    /// Looks at messages of a queue. Nothing changes by that.
    ///
    /// # Errors
    /// If there is no such queue, the user may not read from it, or a part of it is damaged.
    pub fn browse(self: &Arc<Self>, asker: Asker<'_>, queue: &str, browse: &Browse) -> Result<MessagePage, ContentsError> {
        let queue = self.readable(asker, queue)?.id;
        self.page(queue, browse)
    }

    /// Looks at one message of a queue.
    ///
    /// # Errors
    /// As [`browse`](Self::browse), and if there is no such message.
    pub fn message(
        self: &Arc<Self>,
        asker: Asker<'_>,
        queue: &str,
        sequence: Sequence,
        truncate: Option<usize>,
    ) -> Result<MessageView, ContentsError> {
        let queue = self.readable(asker, queue)?.id;
        let found = self.find(queue, sequence)?.ok_or(ContentsError::NoMessage(sequence))?;
        Ok(self.view(&found, truncate))
    }

    pub(super) fn page(self: &Arc<Self>, queue: QueueId, browse: &Browse) -> Result<MessagePage, ContentsError> {
        let mut budget = Budget::new(self, browse.count);
        let truncate = browse.truncate;
        let (found, next) = self.look_for(queue, browse, &mut budget, |record| {
            let body = record.body_ref().map_or(0, |body| body.size as usize);
            record.bytes().len() + truncate.map_or(body, |most| body.min(most))
        })?;
        let messages = found.iter().map(|found| self.view(found, truncate)).collect();
        Ok(MessagePage { messages, next })
    }

    /// Copies of the messages that are looked for, as many as the budget allows, and where to go on.
    pub(super) fn look_for(
        self: &Arc<Self>,
        queue: QueueId,
        browse: &Browse,
        budget: &mut Budget,
        bytes: impl Fn(Record<'_>) -> usize,
    ) -> Result<(Vec<Found>, Option<Sequence>), ContentsError> {
        let mut found = Vec::new();
        let cell = self.shard_of(queue);
        let only = browse.state;
        let next = self.look_on(queue, browse.from, |from, value| {
            let looked = cell.look(self, |running| {
                running.shard.look_at(queue, Look { from, only }, value, |seen| {
                    if budget.is_spent() {
                        return ControlFlow::Break(());
                    }
                    budget.looked();
                    if browse.filter.matches(seen.record) {
                        budget.found(bytes(seen.record));
                        found.push(Found::from(seen));
                    }
                    ControlFlow::Continue(())
                })
            });
            // A look that finds nothing to look at has passed over many chunks.
            budget.looked();
            (looked, budget.is_spent())
        })?;
        Ok((found, next))
    }

    /// A copy of one message; `None` if it is not there.
    pub(super) fn find(self: &Arc<Self>, queue: QueueId, sequence: Sequence) -> Result<Option<Found>, ContentsError> {
        let cell = self.shard_of(queue);
        if cell.look(self, |running| running.shard.state_of(queue, sequence)).is_none() {
            return Ok(None);
        }
        let mut found = None;
        self.look_on(queue, Some(sequence), |from, value| {
            let looked = cell.look(self, |running| {
                running.shard.look_at(queue, Look { from, only: None }, value, |seen| {
                    // If it has gone meanwhile, this is the one behind it.
                    found = (seen.sequence == sequence).then(|| Found::from(seen));
                    ControlFlow::Break(())
                })
            });
            (looked, true)
        })?;
        Ok(found)
    }

    pub(super) fn view(&self, found: &Found, truncate: Option<usize>) -> MessageView {
        let record = Record::first_of(&found.record);
        let (exchange, routing_key) = exchange_and_key(record.map_or(&[][..], Record::envelope));
        let (body, size) = match record.and_then(Record::body_ref) {
            None => {
                let body = record.map_or(&[][..], Record::body);
                (Bytes::copy_from_slice(cut(body, truncate)), body.len() as u64)
            }
            Some(reference) => {
                let octets = self.bodies.get(reference.id).unwrap_or_default();
                let body = if truncate.is_none_or(|most| most >= octets.len()) {
                    octets
                } else {
                    Bytes::copy_from_slice(cut(&octets, truncate))
                };
                (body, reference.size)
            }
        };
        MessageView {
            sequence: found.sequence,
            state: found.state,
            redelivered: found.redelivered,
            returns: found.returns,
            due: found.due,
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            header: record.map_or(&[][..], Record::header).to_vec(),
            body,
            size,
        }
    }
}

fn cut(octets: &[u8], most: Option<usize>) -> &[u8] {
    &octets[..most.map_or(octets.len(), |most| most.min(octets.len()))]
}

//! What a shard says to the world while it is borrowed: deliveries, and what it wants of the store. No decisions here.

use std::sync::Arc;

use stoa_amqp::{ShortString, Table};

use crate::channel::Term;
use crate::ids::{BodyId, ConsumerId, OutletId, QueueId, Sequence};
use crate::record::Records;
use crate::settings::Settings;
use crate::shard::stored::{StoredChunk, StoredError};
use crate::space::Template;

/// A consumer as its client asked for it (AMQP 0-9-1, `basic.consume`).
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its name inside the broker.
    pub id: ConsumerId,
    /// The connection that its deliveries go to.
    pub outlet: OutletId,
    /// The channel on that connection.
    pub channel: u16,
    /// Its name on the channel.
    pub tag: ShortString,
    /// Deliveries are settled as they go out.
    pub no_ack: bool,
    /// Nobody else may consume from the queue.
    pub exclusive: bool,
    /// How many deliveries it may hold unsettled; 0: as many as there are. Means nothing with `no_ack`.
    pub prefetch: u16,
    /// Its channel limits all its consumers together (`basic.qos`, `global`): see [`Effects::lend`]. Means nothing with `no_ack`.
    pub limited: bool,
    /// Who has a higher one is served first (`x-priority`, RabbitMQ extension).
    pub priority: i32,
    /// How long it may hold a message, in milliseconds, 0 for ever; absent: as its queue says (`x-consumer-timeout`).
    pub timeout_ms: Option<u64>,
    /// It gets only messages whose headers are like this (`x-filter`, an extension of Stoa's).
    pub filter: Option<Arc<Template>>,
    /// What else the client said.
    pub arguments: Table,
}

impl Consumer {
    /// Whether its channel is asked before it gets anything.
    pub(crate) fn is_limited(&self) -> bool {
        self.limited
    }

    /// How long it may hold what the queue's consumers may hold for `term`.
    pub(crate) fn term(&self, term: Term) -> Term {
        Term {
            timeout_ms: self.timeout_ms.unwrap_or(term.timeout_ms),
            ..term
        }
    }
}

/// A run of messages on its way to one consumer.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Who gets them.
    pub consumer: &'a Consumer,
    /// Where they come from.
    pub queue: QueueId,
    /// The sequence of the first; the others follow without gaps.
    pub first: Sequence,
    /// All of them may have been delivered before, or none was.
    pub redelivered: bool,
    /// How long each of them may be held.
    pub term: Term,
    /// How often each of them came back after an attempt, where the queue counts that: goes out as header `x-delivery-count` if it is not 0.
    pub returns: u32,
    /// The messages, in the chunk: copy what must stay.
    pub records: Records<'a>,
}

/// Why messages leave a queue otherwise than by a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A consumer refused them for good.
    Rejected,
    /// Their time ran out.
    Expired,
    /// The queue was full.
    MaxLength,
    /// They came back too often.
    DeliveryLimit,
    /// No death: the queue is one that [`delays`](Settings::delays), and their time has come.
    Due,
}

impl Reason {
    /// As RabbitMQ writes it in `x-death`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
            Self::Due => "due",
        }
    }
}

/// What became of a tuple of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was put in.
    Write,
    /// Somebody was given it, and nobody else sees it.
    Take,
    /// Whoever had it gave it back, or is gone.
    Return,
    /// Its time ran out.
    Expire,
}

impl Event {
    /// The last word of the routing key of its notification.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Take => "take",
            Self::Return => "return",
            Self::Expire => "expire",
        }
    }
}

/// Messages that leave their queue for others. They stay in it, neither ready nor unacked, until
/// [`Command::DeadLettered`](crate::shard::Command::DeadLettered) says that they need not: so a crash in between loses nothing.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// Where they come from.
    pub queue: QueueId,
    /// What that was set to do, and so where they go.
    pub settings: &'a Arc<Settings>,
    /// The sequence of the first; the others follow without gaps.
    pub first: Sequence,
    /// Why they leave.
    pub reason: Reason,
    /// The messages, in the chunk: copy what must stay.
    pub records: Records<'a>,
}

/// Where effects go. The methods are called while the shard is borrowed, in the order in which things happened; `store`, `forget` and
/// `forget_range` must reach the store in that order too, each chunk's entry and data in one batch.
pub trait Effects {
    /// Messages go to a consumer.
    fn deliver(&mut self, delivery: Delivery<'_>);
    /// The value of this chunk is wanted: it comes back as [`Command::Loaded`](crate::shard::Command::Loaded), empty if it was not found.
    fn load(&mut self, queue: QueueId, chunk: Sequence);
    /// An index entry, and a chunk's value unless it is in the table as it is, are to be put into the table, with the value not before those
    /// of its [bodies](StoredChunk::bodies) that are not there: take these now, for a later call may release them. A chunk with `data` comes back as
    /// [`Command::Stored`](crate::shard::Command::Stored) when a read would find it there.
    fn store(&mut self, chunk: StoredChunk);
    /// The chunk that starts here was stored and all of it is settled: entry and value are to be deleted.
    fn forget(&mut self, queue: QueueId, chunk: Sequence);
    /// The same for everything of this queue whose key lies from `first` to `last`, both included (a purge, a deleted queue).
    fn forget_range(&mut self, queue: QueueId, first: Sequence, last: Sequence);
    /// A message that referred to this body is settled or was dropped, and its reference is gone; this comes once a message, for a delivery
    /// without acknowledgement after the message went out. With its last reference the body is not wanted any more. If the store has it, it
    /// is to be deleted there only when the group commit that collects next is durable: until then a restart may bring the message back.
    fn released(&mut self, body: BodyId);
    /// The outlet's window is used up and there is more for it: it gets nothing until [`Command::Resume`](crate::shard::Command::Resume).
    fn stalled(&mut self, outlet: OutletId);
    /// The queue is to be deleted with its last consumer, and that one went.
    fn unused(&mut self, queue: QueueId);
    /// A consumer whose channel is [`limited`](Consumer::limited) could take so many messages: gives how many it may. What was granted is
    /// delivered next, before any other effect, and counts as held by the channel then, unless the consumer does not acknowledge. None: the consumer waits for
    /// [`Command::Lend`](crate::shard::Command::Lend). Less than what was wanted: it asks again if it can take more.
    fn lend(&mut self, consumer: &Consumer, wanted: u32) -> u32;
    /// Messages leave their queue for a dead-letter exchange, or for the queues behind a delayed-message exchange.
    fn dead(&mut self, letter: Letter<'_>);
    /// The queue is full and takes no more: these records of a publish are not in it. `dead_letter`: they go to its dead-letter exchange all
    /// the same. References to their bodies are [released](Self::released) after this.
    fn refused(&mut self, queue: QueueId, settings: &Arc<Settings>, records: Records<'_>, dead_letter: bool);
    /// Something became of tuples of a space that tells an exchange of it ([`SpaceTerms::notify`](crate::settings::SpaceTerms::notify)).
    fn noted(&mut self, queue: QueueId, event: Event, records: Records<'_>) {
        let _ = (queue, event, records);
    }
    /// A message has taken the place of an older one (`x-last-value-key`). Until the group commit that collects next is durable, nothing must be
    /// written that the store is asked for from here on: else a crash could lose both.
    fn replaced(&mut self);
    /// The queue has not been used for as long as it may (`x-expires`).
    fn expired(&mut self, queue: QueueId);
    /// The queue was deleted under this consumer (RabbitMQ: consumer cancel notification).
    fn cancelled(&mut self, consumer: &Consumer, queue: QueueId);
    /// What was loaded is not the chunk. The queue delivers nothing from it or behind it, and nothing is skipped.
    fn damaged(&mut self, queue: QueueId, chunk: Sequence, error: StoredError);
}

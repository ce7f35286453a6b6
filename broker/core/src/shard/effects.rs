//! What a shard says to the world while it is borrowed: deliveries, and what it wants of the store. No decisions here.

use stoa_amqp::{ShortString, Table};

use crate::ids::{BodyId, ConsumerId, OutletId, QueueId, Sequence};
use crate::record::Records;
use crate::shard::stored::{StoredChunk, StoredError};

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
    /// What else the client said.
    pub arguments: Table,
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
    /// The queue was deleted under this consumer (RabbitMQ: consumer cancel notification).
    fn cancelled(&mut self, consumer: &Consumer, queue: QueueId);
    /// What was loaded is not the chunk. The queue delivers nothing from it or behind it, and nothing is skipped.
    fn damaged(&mut self, queue: QueueId, chunk: Sequence, error: StoredError);
}

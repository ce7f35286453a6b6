//! What a shard is told and what it answers: commands that travel in batches, and the arguments and outcomes of the rarer calls.

use std::sync::Arc;

use crate::channel::{Settled, Term};
use crate::ids::{ConsumerId, OutletId, QueueId, Sequence};
use crate::record::{Record, Records};
use crate::settings::Settings;
use crate::space::{IndexLimits, WaiterLimits, WaitersFull};

/// What travels in batches. Commands for queues, consumers and outlets that are gone do nothing.
#[derive(Clone, Debug)]
pub enum Command<'a> {
    /// Messages arrived: whole records, in order.
    Publish {
        /// The queue they were routed to.
        queue: QueueId,
        /// The messages.
        records: Records<'a>,
    },
    /// Deliveries were acknowledged or dropped: they are gone for good.
    Settle {
        /// The queue they came from.
        queue: QueueId,
        /// Who held them, if that was a consumer (and not `basic.get`): it has room for more now.
        consumer: Option<ConsumerId>,
        /// The sequence of the first.
        first: Sequence,
        /// How many, with consecutive sequences.
        count: u32,
    },
    /// Deliveries come back: to their old place, and marked redelivered from then on.
    Requeue {
        /// The queue they came from.
        queue: QueueId,
        /// Who held them, if that was a consumer.
        consumer: Option<ConsumerId>,
        /// The sequence of the first.
        first: Sequence,
        /// How many, with consecutive sequences.
        count: u32,
        /// Why.
        cause: ReturnCause,
    },
    /// Deliveries were refused for good (`basic.reject` or `basic.nack` without `requeue`): they are dead-lettered, or gone as if settled.
    Reject {
        /// The queue they came from.
        queue: QueueId,
        /// Who held them, if that was a consumer.
        consumer: Option<ConsumerId>,
        /// The sequence of the first.
        first: Sequence,
        /// How many, with consecutive sequences.
        count: u32,
    },
    /// The answer to [`Effects::dead`](crate::shard::Effects::dead). Each message that was handed out is answered for once, even if its queue is
    /// gone by then: [`letters_max`](ShardLimits::letters_max) are under way at most.
    DeadLettered {
        /// The queue they came from.
        queue: QueueId,
        /// The sequence of the first.
        first: Sequence,
        /// How many, with consecutive sequences.
        count: u32,
        /// They are in other queues, or need not be: they can go from this one. Otherwise they are offered again some time later.
        taken: bool,
    },
    /// A channel has credit again ([`Effects::lend`](crate::shard::Effects::lend)): its consumers that were refused may take messages.
    Lend {
        /// The connection.
        outlet: OutletId,
        /// The channel.
        channel: u16,
    },
    /// The outlet has written what it got; its window is open again.
    Resume {
        /// The outlet.
        outlet: OutletId,
    },
    /// The connection closed: all its consumers are gone. What they held comes back in `Requeue` commands.
    Gone {
        /// The connection.
        outlet: OutletId,
    },
    /// The answer to [`Effects::load`](crate::shard::Effects::load).
    Loaded {
        /// The queue.
        queue: QueueId,
        /// The sequence at which the chunk starts.
        chunk: Sequence,
        /// The value as it was stored; empty if there was none.
        data: Vec<u8>,
    },
    /// The answer to [`Effects::store`](crate::shard::Effects::store) with data: a load would find the chunk from now on.
    Stored {
        /// The queue.
        queue: QueueId,
        /// The sequence at which the chunk starts.
        chunk: Sequence,
        /// [`StoredChunk::upto`](crate::shard::StoredChunk::upto), as it was handed over.
        upto: u16,
    },
}

impl Settled {
    /// The deliveries were acknowledged.
    #[must_use]
    pub fn settle(self) -> Command<'static> {
        let Self {
            queue,
            consumer,
            first,
            count,
        } = self;
        Command::Settle {
            queue,
            consumer,
            first,
            count,
        }
    }

    /// The deliveries come back.
    #[must_use]
    pub fn requeue(self, cause: ReturnCause) -> Command<'static> {
        let Self {
            queue,
            consumer,
            first,
            count,
        } = self;
        Command::Requeue {
            queue,
            consumer,
            first,
            count,
            cause,
        }
    }

    /// The deliveries were refused for good.
    #[must_use]
    pub fn reject(self) -> Command<'static> {
        let Self {
            queue,
            consumer,
            first,
            count,
        } = self;
        Command::Reject {
            queue,
            consumer,
            first,
            count,
        }
    }
}

/// Why deliveries come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnCause {
    /// They never reached a consumer: no attempt is counted.
    #[default]
    Undelivered,
    /// The consumer gave them back: `basic.reject`, `basic.nack`, `basic.recover`.
    GivenBack,
    /// Channel or connection are gone, or the consumer took too long.
    Lost,
}

/// What a shard must know of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name inside the broker.
    pub id: QueueId,
    /// Its persistent messages outlive the process.
    pub durable: bool,
    /// It is deleted with its last consumer.
    pub auto_delete: bool,
    /// What else it does; absent if that is nothing special.
    pub settings: Option<Arc<Settings>>,
}

/// What is in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages that were delivered and not settled.
    pub unacked: u64,
    /// Messages that came back and wait before they are ready again (`x-delayed-retry-*`), or that a delayed-message exchange holds back.
    pub delayed: u64,
    /// Messages on their way to a dead-letter exchange, or to where somebody moves them.
    pub dead: u64,
    /// Consumers.
    pub consumers: u32,
    /// Octets of the chunks that hold them, in memory or not: a chunk counts until all of it is settled. A body that lies apart counts for
    /// each message until that is settled.
    pub bytes: u64,
}

/// A message for `basic.get`.
#[derive(Clone, Copy, Debug)]
pub struct Got<'a> {
    /// The message, in the chunk: copy what must stay.
    pub record: Record<'a>,
    /// Its position in the queue.
    pub sequence: Sequence,
    /// It may have been delivered before.
    pub redelivered: bool,
    /// How long it may be held.
    pub term: Term,
    /// See [`Delivery::returns`](crate::shard::Delivery::returns).
    pub returns: u32,
    /// How many ready messages are left behind it.
    pub remaining: u64,
}

/// What became of a `basic.get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetOutcome {
    /// There is no ready message, or no such queue.
    Empty,
    /// The message was handed over.
    Taken,
    /// The message is on disk. Its chunk was asked for ([`Effects::load`](crate::shard::Effects::load)): ask again after that command.
    Loading,
}

/// Why a queue was not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    /// `if-unused`, and it has consumers.
    #[error("in use")]
    InUse,
    /// `if-empty`, and it has ready messages.
    #[error("not empty")]
    NotEmpty,
    /// There is no such queue.
    #[error("no such queue")]
    NotFound,
}

/// Why a consumer was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// Another consumer has the queue for itself, or this one wants it for itself and is not the first.
    #[error("in exclusive use")]
    ExclusiveUse,
    /// It has a filter, and the queue keeps groups of messages together (`x-group-by`): a filter would tear them apart.
    #[error("filters and groups exclude each other")]
    Grouped,
    /// There is no such queue.
    #[error("no such queue")]
    NotFound,
    /// So many wait in the space that nobody more may.
    #[error(transparent)]
    Full(#[from] WaitersFull),
}

/// The bounds of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardLimits {
    /// Octets of messages in memory above which chunks are paged out. The caller stops publishers when
    /// [`Shard::resident_bytes`](crate::shard::Shard::resident_bytes) is far above it because the store does not keep up.
    pub memory_bytes_max: u64,
    /// Octets (bodies apart and 64 a message included) that an outlet gets until it says `Resume`. One delivery more may pass it.
    pub window_bytes: u64,
    /// Octets of chunks, bodies apart included, that are loaded ahead of the consumers of one queue.
    pub read_ahead_bytes: u64,
    /// Messages that one call of `dispatch` hands out at most, but for the rest of a run.
    pub dispatch_records_max: u32,
    /// Messages that are handed out as letters before they are answered for, but for the rest of a run. The others wait in their queues.
    pub letters_max: u32,
    /// Keys that a queue knows at most (`x-last-value-key`, `x-message-deduplication`). A message with one more is refused.
    pub keys_max: u32,
    /// Ready messages of a queue that wait for their group at most (`x-group-by`), but for those that come back. With so many, what lies behind them waits, too. And
    /// the ranges of ready messages that consumers with filters have passed over, in a queue or in each priority of it: with so many these look no further, until some are gone.
    pub skipped_max: u32,
    /// How long a delivery may be held, in milliseconds, where neither consumer nor queue says: 0 for ever. (Whoever has the channels sees to it.)
    pub consumer_timeout_ms: u64,
    /// Of every queue one message at a time is followed, to see [how long](crate::shard::Shard::latency) it waits and is held.
    pub probes: bool,
    /// How much the index of a space may hold. A tuple that it has no room for is refused.
    pub tuples: IndexLimits,
    /// How many consumers a space may have. One more is refused.
    pub waiters: WaiterLimits,
}

impl Default for ShardLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 << 20,
            window_bytes: 256 << 10,
            read_ahead_bytes: 1 << 20,
            dispatch_records_max: 16_384,
            letters_max: 4096,
            keys_max: 1_000_000,
            skipped_max: 100_000,
            consumer_timeout_ms: 1_800_000,
            probes: true,
            tuples: IndexLimits::default(),
            waiters: WaiterLimits::default(),
        }
    }
}

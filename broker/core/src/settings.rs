//! What a queue does with its messages, beyond keeping them: its arguments, with the policies that apply to it. The topology puts settings
//! together, shards act on them, and neither knows how the other does it.

use stoa_amqp::ShortString;

use crate::space::{Declaration, Field};

/// What a queue is set to do. Absent is what RabbitMQ does without the argument. Times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How long a message may stay (`x-message-ttl`); a message's own `expiration` counts if it is shorter.
    pub message_ttl_ms: Option<u64>,
    /// How long the queue stays unused: without consumers, `basic.get` and declarations (`x-expires`).
    pub expires_ms: Option<u64>,
    /// A queue with messages in it does not expire (`x-expires-if-empty`, an extension of Stoa's).
    pub expires_if_empty: bool,
    /// Ready messages that it holds at most (`x-max-length`).
    pub length_max: Option<u64>,
    /// Octets of the bodies of its ready messages that it holds at most (`x-max-length-bytes`).
    pub bytes_max: Option<u64>,
    /// What becomes of messages above either maximum (`x-overflow`).
    pub overflow: Overflow,
    /// Where messages go that are rejected, expire, or are dropped at a maximum.
    pub dead_letter: Option<DeadLetterTo>,
    /// Priorities from 0 to this are kept apart (`x-max-priority`); higher ones count as this. Absent: priorities mean nothing.
    pub priority_max: Option<u8>,
    /// Of its consumers one at a time gets messages (`x-single-active-consumer`).
    pub single_active: bool,
    /// The single active consumer gives way to one of a higher priority, once it holds nothing (quorum queues, RabbitMQ 4.0).
    pub active_yields: bool,
    /// How often a message may come back; the next time it is dropped or dead-lettered (`x-delivery-limit`). Never negative: that means no limit.
    pub delivery_limit: Option<u32>,
    /// How often a message came back is counted, and told on delivery (`x-delivery-count`): quorum queues, and all with a delivery limit.
    pub counts_deliveries: bool,
    /// How long a consumer may hold a message (`x-consumer-timeout`); absent: the broker's default. 0: for ever.
    pub consumer_timeout_ms: Option<u64>,
    /// Messages that come back wait before they are delivered again.
    pub retry: Option<Retry>,
    /// It belongs to a delayed-message exchange: nobody consumes from it, and what is due leaves it as a [`Letter`](crate::shard::Letter).
    pub delays: bool,
    /// What is there by the value of this header is not taken in again (`x-message-deduplication`, with `x-deduplication-header` for another header
    /// than that of this name).
    pub deduplicate_by: Option<ShortString>,
    /// Nobody is given anything: an operator has paused it.
    pub paused: bool,
    /// Messages with the same value of this header go to one consumer at a time, in order (`x-group-by`, an extension of Stoa's).
    pub group_by: Option<ShortString>,
    /// Messages a second that are taken in at most, and octets of their bodies (`x-max-publish-rate`, `x-max-publish-bytes-rate`, extensions of Stoa's). Whoever
    /// publishes more waits.
    pub publish_rate: Option<u64>,
    /// See `publish_rate`.
    pub publish_bytes_rate: Option<u64>,
    /// A message replaces a ready one with the same value of this header (`x-last-value-key`, an extension of Stoa's).
    pub last_value_key: Option<ShortString>,
    /// It is a space: its messages are tuples (`x-queue-type: space`, an extension of Stoa's).
    pub space: Option<SpaceTerms>,
}

/// What a space is set to do beyond a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SpaceTerms {
    /// Indexes that are there from the start (`x-space-index`).
    pub indexes: Vec<Declaration>,
    /// A tuple replaces a ready one with the same values there (`x-space-key`). Empty: none does.
    pub key: Vec<Field>,
    /// The exchange that is told of what becomes of its tuples (`x-notify-exchange`).
    pub notify: Option<ShortString>,
}

impl Settings {
    /// Whether a message may be refused, so that its publisher is to be told of it alone.
    #[must_use]
    pub fn may_refuse(&self) -> bool {
        self.overflow != Overflow::DropHead || self.has_keys()
    }

    /// Whether messages are told apart by a key. There are at most so many keys, and a message with another one is refused.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        let of_space = self.space.as_ref().is_some_and(|space| !space.key.is_empty());
        self.last_value_key.is_some() || self.deduplicate_by.is_some() || of_space
    }
}

/// What becomes of messages above a queue's maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// Messages at the head make room (`drop-head`).
    #[default]
    DropHead,
    /// New messages are refused, and their publishers told so (`reject-publish`).
    RejectPublish,
    /// The same, and they are dead-lettered (`reject-publish-dlx`).
    RejectPublishDeadLetter,
}

/// Where dead letters go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeadLetterTo {
    /// To this exchange (`x-dead-letter-exchange`).
    pub exchange: ShortString,
    /// With this routing key instead of their own (`x-dead-letter-routing-key`).
    pub routing_key: Option<ShortString>,
    /// They stay until some queue has taken them (`x-dead-letter-strategy`: `at-least-once`).
    pub at_least_once: bool,
}

/// How long messages wait that came back (RabbitMQ 4.3, `x-delayed-retry-*`): `min` times the number of returns, at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Retry {
    /// Which ones.
    pub of: RetryOf,
    /// The first delay.
    pub min_ms: u64,
    /// The longest delay.
    pub max_ms: u64,
    /// In percent: the delay grows by this factor with every return, instead of by `min` (`x-delayed-retry-multiplier`, an extension of Stoa's).
    pub multiplier_percent: Option<u32>,
}

/// Which returned messages wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryOf {
    /// All of them.
    All,
    /// Those whose delivery failed: its consumer is gone, or took too long.
    Failed,
    /// Those that a consumer gave back.
    Returned,
}

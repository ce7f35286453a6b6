//! What a queue's messages did since it came to be, counted a run at a time: for statistics, and in memory only.

use crate::ids::QueueId;
use crate::shard::Shard;

/// How many messages of a queue did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Came in.
    pub published: u64,
    /// Went to consumers that acknowledge.
    pub delivered: u64,
    /// Went to consumers that do not.
    pub delivered_no_ack: u64,
    /// Were taken by `basic.get`, to be acknowledged.
    pub got: u64,
    /// Were taken by `basic.get`, without.
    pub got_no_ack: u64,
    /// How often `basic.get` found nothing.
    pub got_empty: u64,
    /// Went out again: part of those that went out.
    pub redelivered: u64,
    /// Were settled, by acknowledgement or for good.
    pub acked: u64,
}

impl Traffic {
    /// Adds what others did.
    pub fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.delivered += other.delivered;
        self.delivered_no_ack += other.delivered_no_ack;
        self.got += other.got;
        self.got_no_ack += other.got_no_ack;
        self.got_empty += other.got_empty;
        self.redelivered += other.redelivered;
        self.acked += other.acked;
    }

    /// The greater of each.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        Self {
            published: self.published.max(other.published),
            delivered: self.delivered.max(other.delivered),
            delivered_no_ack: self.delivered_no_ack.max(other.delivered_no_ack),
            got: self.got.max(other.got),
            got_no_ack: self.got_no_ack.max(other.got_no_ack),
            got_empty: self.got_empty.max(other.got_empty),
            redelivered: self.redelivered.max(other.redelivered),
            acked: self.acked.max(other.acked),
        }
    }

    /// Went out, in whatever way.
    #[must_use]
    pub fn out(&self) -> u64 {
        self.delivered + self.delivered_no_ack + self.got + self.got_no_ack
    }

    /// A run goes to a consumer.
    pub fn deliver(&mut self, count: u32, no_ack: bool, redelivered: bool) {
        let counter = if no_ack { &mut self.delivered_no_ack } else { &mut self.delivered };
        *counter += u64::from(count);
        if redelivered {
            self.redelivered += u64::from(count);
        }
    }

    /// One is taken by `basic.get`.
    pub fn get(&mut self, no_ack: bool, redelivered: bool) {
        let counter = if no_ack { &mut self.got_no_ack } else { &mut self.got };
        *counter += 1;
        self.redelivered += u64::from(redelivered);
    }
}

impl Shard {
    /// What the messages of queues did that have been deleted.
    #[must_use]
    pub fn departed(&self) -> Traffic {
        self.departed.traffic
    }

    /// What the messages of a queue did; `None` if there is no such queue.
    #[must_use]
    pub fn traffic(&self, queue: QueueId) -> Option<Traffic> {
        self.queues.get(&queue).map(|queue| queue.traffic)
    }
}

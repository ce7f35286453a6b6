//! Spaces: queues whose messages are tuples, taken and read by template (Linda), in whatever order that makes.
//!
//! | file | knows |
//! |---|---|
//! | `tuples.rs` | the index of a space's tuples, and which of them arrived or came back and were not announced yet |
//! | `seekers.rs` | the consumers of a space: who waits, who searches, who cannot take more |
//! | `turn.rs` | dispatch: arrivals to those who wait, searches of those who came later |
//! | `notes.rs` | what an exchange is told of |
//! | `inquiry.rs` | those who do not wait: `basic.get`, counts, and whoever walks over matching tuples |
//!
//! A space has one lane. Every ready tuple is *skipped* there (see `groups`): below the cursor and out of any order, so that each can be taken by
//! itself, while expiry, limits, purges, requeues, journal and tables work as for any queue. The index is beside the lane, in what queues share:
//! the lane tells it what is settled and what comes back. That a tuple in the index is ready is looked at in the lane before it is given to
//! anybody, so one that died or is delayed is found out then.
//!
//! Order: readers before the one taker; of takers the one who has waited longest; of tuples the oldest first for whoever searches, and the one that
//! arrived for whoever waits. A tuple that comes back is announced again, marked redelivered: a reader that follows may see it twice.

mod inquiry;
mod notes;
mod seekers;
mod tuples;
mod turn;

pub use inquiry::{Inquired, Inquiry};
pub use seekers::Seek;
pub(crate) use seekers::{Seekers, Why, patience};
pub(crate) use tuples::{Tuples, each_entry};

use stoa_amqp::RawTable;
use stoa_amqp::content::{ContentHeader, Properties};

use crate::ids::{ConsumerId, QueueId};
use crate::record::Record;
use crate::shard::Shard;
use crate::space::{Malformed, Tuple};

/// The bit of a queue's id that says that what was delivered is a copy: settling it settles nothing.
const COPIES: u64 = 1 << 63;

impl QueueId {
    /// The name under which copies of this queue's messages are delivered. Commands that settle these find no queue of that name, so nothing
    /// happens to the messages.
    #[must_use]
    pub fn copies(self) -> Self {
        Self(self.0 | COPIES)
    }

    /// The queue itself, if this is the name of its copies.
    #[must_use]
    pub fn original(self) -> Self {
        Self(self.0 & !COPIES)
    }
}

/// The tuple of a message.
///
/// # Errors
/// If it has none that can be read: then nobody finds it.
pub(crate) fn tuple_of(record: Record<'_>) -> Result<Tuple<'_>, Malformed> {
    let body = if record.body_ref().is_some() { &[] } else { record.body() };
    let header = ContentHeader::decode(record.header());
    match header.and_then(|header| Properties::decode(header.properties)) {
        Ok(properties) => Tuple::of_message(&properties, body),
        // No client can have sent it: it was decoded before it came here.
        Err(_) => Tuple::record(RawTable::default()),
    }
}

impl Shard {
    /// Copies were settled: whoever read them has room for more.
    #[cold]
    pub(crate) fn release_copies(&mut self, copies: QueueId, consumer: Option<ConsumerId>, count: u32) {
        if let Some(queue) = self.queues.get_mut(&copies.original()) {
            queue.released(consumer, count, &mut self.common);
        }
    }
}

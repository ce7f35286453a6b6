//! The queues that are run together, by one thread at a time: what is ready, unacked or settled, who gets it, what the journal and the
//! table must know, and what stays in memory.
//!
//! Commands go in ([`Shard::apply`], and a method each for what is rare), effects come out ([`Effects`]). There is no I/O, no clock, no lock
//! and no thread here, and no topology: a queue is an id.
//!
//! ```text
//! apply(Publish | Settle | Requeue ..)*   a batch of commands changes queues
//! dispatch()                              deliver what can be delivered; do what is due; page out what memory has no room for
//! collect(log)                            a group commit takes what became of persistent messages
//! checkpoint()                            what only the journal knows goes to the table; older segments are free once that is flushed
//! create* restore_entry* replay* recovered for_each_body     and this is a start
//! ```
//!
//! A queue is one lane (`lane.rs`), or one for each priority. A message is a place in a chunk (`chunk.rs`); what is done to messages is done to runs of places. Only a chunk costs memory, and some 32
//! octets once it is paged out.

mod apart;
mod aside;
mod bits;
mod body;
mod browse;
mod chunk;
mod collect;
mod command;
mod common;
mod consumers;
mod dispatch;
mod effects;
mod expiry;
mod filters;
mod fit;
mod groups;
mod histogram;
mod idle;
mod invariants;
mod keys;
mod lane;
mod lanes;
mod latency;
mod letters;
mod limits;
mod map;
mod paging;
mod pick;
mod queue;
mod reading;
mod recovery;
mod removal;
mod returns;
mod run_map;
mod runs;
mod single;
mod space;
mod standing;
pub mod stored;
#[cfg(test)]
mod tests;
mod timers;
mod traffic;

pub use browse::{ChunkValue, Look, Looked, MessageState, Seen};
pub use command::{Command, ConsumeError, Counts, DeleteError, GetOutcome, Got, QueueSpec, ReturnCause, ShardLimits};
pub use consumers::{Activity, Attendance};
pub use effects::{Consumer, Delivery, Effects, Event, Letter, Reason};
pub use histogram::{BUCKETS, Histogram};
pub use latency::Latency;
pub use recovery::Restored;
pub use space::{Inquired, Inquiry, Seek};
pub use standing::{Stage, Standing};
pub use stored::{ChunkEntry, HeadEntry, IndexEntry, StoredChunk, StoredError};
pub use traffic::Traffic;

use std::sync::Arc;

use crate::ids::{QueueId, Sequence};
use crate::record::Record;
use crate::settings::Settings;
use common::Common;
use lane::{Lane, LaneId};
use map::IdMap;
use queue::Queue;
use removal::Departed;

/// Queues that are run together.
#[derive(Debug, Default)]
pub struct Shard {
    queues: IdMap<QueueId, Queue>,
    common: Common,
    /// Chunks in the table that the replay settled.
    forgotten: Vec<(QueueId, Sequence)>,
    /// What the messages of deleted queues did.
    departed: Departed,
}

impl Shard {
    /// A shard without queues.
    #[must_use]
    pub fn new(limits: ShardLimits) -> Self {
        Self {
            common: Common {
                limits,
                ..Common::default()
            },
            ..Self::default()
        }
    }

    fn lane_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.queues.get_mut(&id.queue)?.lanes.get_mut(id.index)
    }

    /// Adds an empty queue; one that is there stays as it is.
    pub fn create(&mut self, spec: QueueSpec) {
        let common = &mut self.common;
        let queue = self.queues.entry(spec.id).or_insert_with(|| Queue::new(spec, common));
        queue.used(&mut self.common);
        queue.configure_keys(&mut self.common);
        queue.configure_groups();
    }

    /// Somebody changed what a queue is set to do: a policy. What is in the queue keeps the expiry that it has.
    pub fn configure(&mut self, queue: QueueId, settings: Option<Arc<Settings>>) {
        if let Some(queue) = self.queues.get_mut(&queue) {
            queue.settings = settings;
            queue.configure_consumers(&mut self.common);
            queue.configure_returns();
            queue.configure_limits(&mut self.common);
            queue.configure_expiry(&mut self.common);
            queue.configure_keys(&mut self.common);
            queue.configure_groups();
            queue.activate(&mut self.common);
        }
    }

    /// What is in a queue; `None` if there is no such queue.
    #[must_use]
    pub fn counts(&self, queue: QueueId) -> Option<Counts> {
        let queue = self.queues.get(&queue)?;
        let consumers = queue.consumer_count() as u32;
        let tally = queue.tally();
        // What a delayed-message exchange holds back is ready only in that nothing has been done with it.
        let delays = queue.settings.as_ref().is_some_and(|settings| settings.delays);
        let (ready, held) = if delays { (0, tally.ready) } else { (tally.ready, 0) };
        Some(Counts {
            ready,
            unacked: tally.unacked,
            delayed: tally.delayed + held,
            dead: tally.dead,
            consumers,
            bytes: tally.bytes,
        })
    }

    /// Applies one command of a batch. Deliveries come with [`dispatch`](Self::dispatch), at the end of it.
    pub fn apply(&mut self, command: Command<'_>, effects: &mut impl Effects) {
        match command {
            Command::Publish { queue, records } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.traffic.published += u64::from(records.count);
                    queue.publish(records, &mut self.common, effects);
                } else {
                    let bodies = records.iter().filter_map(Record::body_ref);
                    bodies.for_each(|body| effects.released(body.id));
                }
            }
            Command::Settle {
                queue,
                consumer,
                first,
                count,
            } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.traffic.acked += u64::from(count);
                    queue.settle(first, count, &mut self.common, effects);
                    queue.ungroup(first, count, &mut self.common);
                    queue.released(consumer, count, &mut self.common);
                } else {
                    self.release_copies(queue, consumer, count);
                }
            }
            Command::Requeue {
                queue,
                consumer,
                first,
                count,
                cause,
            } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.requeue(first, count, cause, &mut self.common, effects);
                    queue.regroup(first, count, &mut self.common);
                    queue.released(consumer, count, &mut self.common);
                } else {
                    self.release_copies(queue, consumer, count);
                }
            }
            Command::Reject {
                queue,
                consumer,
                first,
                count,
            } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.reject(first, count, &mut self.common, effects);
                    queue.ungroup(first, count, &mut self.common);
                    queue.released(consumer, count, &mut self.common);
                } else {
                    self.release_copies(queue, consumer, count);
                }
            }
            Command::DeadLettered {
                queue,
                first,
                count,
                taken,
            } => {
                self.common.letters_out = self.common.letters_out.saturating_sub(count.into());
                if let Some(queue) = self.queues.get_mut(&queue) {
                    queue.dead_lettered(first, count, taken, &mut self.common, effects);
                }
            }
            Command::Lend { outlet, channel } => self.lend(outlet, channel),
            Command::Resume { outlet } => self.resume(outlet),
            Command::Gone { outlet } => self.gone(outlet, effects),
            Command::Loaded { queue, chunk, data } => self.loaded(queue, chunk, data, effects),
            Command::Stored { queue, chunk, upto } => self.stored(queue, chunk, upto),
        }
    }
}

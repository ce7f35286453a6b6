//! Purging and deleting queues.

use crate::ids::{QueueId, Sequence};
use crate::shard::bits::Bits;
use crate::shard::chunk::state;
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::lane::Lane;
use crate::shard::latency::Latency;
use crate::shard::queue::Queue;
use crate::shard::stored::{self, HEAD, HeadEntry};
use crate::shard::traffic::Traffic;
use crate::shard::{DeleteError, Shard};

/// More chunks than this are forgotten as a range, which the store does in one step but remembers for long.
const SINGLE_MAX: usize = 64;

/// What the messages of queues did that have been deleted, and how long they waited.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    pub(crate) traffic: Traffic,
    pub(crate) latency: Latency,
}

impl Shard {
    /// Removes a queue and what is in it (AMQP 0-9-1, `queue.delete`); says how many messages were ready.
    ///
    /// # Errors
    /// If a condition does not hold, or there is no such queue: then nothing has changed.
    pub fn delete(&mut self, queue: QueueId, if_unused: bool, if_empty: bool, effects: &mut impl Effects) -> Result<u32, DeleteError> {
        let found = self.queues.get(&queue).ok_or(DeleteError::NotFound)?;
        if if_unused && found.consumer_count() > 0 {
            return Err(DeleteError::InUse);
        }
        if if_empty && found.tally().ready > 0 {
            return Err(DeleteError::NotEmpty);
        }
        let Some(mut queue) = self.queues.remove(&queue) else {
            return Err(DeleteError::NotFound);
        };
        for consumer in queue.subscribers.iter() {
            self.common.leave(consumer.outlet, queue.id, consumer.id);
            effects.cancelled(consumer, queue.id);
        }
        for consumer in queue.space.iter().flat_map(|space| space.iter()) {
            self.common.leave(consumer.outlet, queue.id, consumer.id);
            effects.cancelled(consumer, queue.id);
        }
        self.departed.traffic.add(&queue.traffic);
        queue.add_latency(&mut self.departed.latency);
        let ready = u32::try_from(queue.tally().ready).unwrap_or(u32::MAX);
        queue.drop_all(&mut self.common, effects);
        self.common.keys.remove(&queue.id);
        self.common.tuples.remove(&queue.id);
        self.common.compact(self.queues.len(), |id| self.queues.contains_key(&id));
        Ok(ready)
    }

    /// Settles the ready messages of a queue (AMQP 0-9-1, `queue.purge`), and those that came back and are not ready yet; says how many there
    /// were. None of them is dead-lettered (as in RabbitMQ).
    pub fn purge(&mut self, queue: QueueId, effects: &mut impl Effects) -> u32 {
        let Some(queue) = self.queues.get_mut(&queue) else { return 0 };
        let ready = u32::try_from(queue.tally().ready + queue.tally().delayed).unwrap_or(u32::MAX);
        let common = &mut self.common;
        queue.lanes.update_all(|lane| {
            lane.end_delays(common);
            lane.purge(common, effects);
        });
        queue.ungroup_purged();
        ready
    }
}

impl Queue {
    /// Everything goes, and the store forgets it.
    fn drop_all(&mut self, common: &mut Common, effects: &mut impl Effects) {
        let mut forget = Vec::new();
        let first = self.lanes.iter().find_map(|lane| lane.chunks.front().map(|chunk| chunk.first));
        for lane in self.lanes.iter_mut() {
            let head = (lane.head != HeadEntry::default()).then(|| stored::head_of(lane.id.index));
            forget.extend(head);
            lane.drop_chunks(0, &mut forget, common, effects);
        }
        forget_all(self.id, forget, first.unwrap_or(HEAD), HEAD, effects);
    }
}

impl Lane {
    fn purge(&mut self, common: &mut Common, effects: &mut impl Effects) {
        if !self.skipped.is_empty() || self.aside.as_ref().is_some_and(|aside| aside.has_dead()) {
            return self.purge_around_dead(common, effects);
        }
        let returned = self.returned.take();
        for (first, end) in returned {
            self.settle_ready(first, end, common, effects);
        }
        let at = self.find(self.cursor);
        if let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.first < self.cursor) {
            let end = chunk.end();
            self.settle_ready(self.cursor, end, common, effects);
        }
        let at = self.chunks.partition_point(|chunk| chunk.first < self.cursor);
        for chunk in self.chunks.range(at..) {
            let known = chunk.collected.max(chunk.submitted);
            if self.durable && chunk.is(state::PERSISTENT) && known > 0 {
                self.settled.push((chunk.first, chunk.first.plus(known.into())));
            }
        }
        if !self.settled.is_empty() {
            self.mark_uncollected(common);
        }
        let last = self.chunks.back().map_or(Sequence(0), |chunk| chunk.first);
        let first = self.chunks.get(at).map_or(last, |chunk| chunk.first);
        let mut forget = Vec::new();
        self.drop_chunks(at, &mut forget, common, effects);
        forget_all(self.id.queue, forget, first, last, effects);
        self.cursor = self.next;
        self.tally.ready = 0;
        for chunk in &mut self.chunks {
            self.tally.bodies -= std::mem::take(&mut chunk.bodies);
        }
        if self.durable {
            self.mark_unstored(common);
        }
    }

    /// The same where others lie between the ready ones, or ready ones behind the cursor.
    fn purge_around_dead(&mut self, common: &mut Common, effects: &mut impl Effects) {
        let mut at = 0;
        while let Some(chunk) = self.chunks.get(at) {
            let (after, places) = (chunk.end(), self.ready_places(at));
            if !places.is_empty() {
                self.withdraw(at, places);
                self.settle_places(at, places, common, effects);
            }
            at = self.find(after);
        }
        self.cursor = self.next;
        if self.durable {
            self.mark_unstored(common);
        }
    }

    /// Settles the messages of a run that are not settled.
    fn settle_ready(&mut self, first: Sequence, end: Sequence, common: &mut Common, effects: &mut impl Effects) {
        let mut at = self.find(first);
        while let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.first < end) {
            let after = chunk.end();
            let bits = Bits::of(chunk.places(first, end)).without(chunk.settled());
            if !bits.is_empty() {
                self.settle_places(at, bits, common, effects);
            }
            at = self.find(after);
        }
    }

    /// Drops the chunks from `at` on, and names those that the store is to forget.
    fn drop_chunks(&mut self, at: usize, forget: &mut Vec<Sequence>, common: &mut Common, effects: &mut impl Effects) {
        for chunk in self.chunks.range(at..) {
            chunk.refs().iter().for_each(|body| effects.released(body.id));
        }
        while self.chunks.len() > at {
            forget.extend(self.free(self.chunks.len() - 1, common));
        }
    }
}

/// Makes the store forget these chunks, which are all that it has from `first` to `last`.
fn forget_all(queue: QueueId, forget: Vec<Sequence>, first: Sequence, last: Sequence, effects: &mut impl Effects) {
    if forget.len() > SINGLE_MAX {
        effects.forget_range(queue, first, last);
    } else {
        forget.into_iter().rev().for_each(|chunk| effects.forget(queue, chunk));
    }
}

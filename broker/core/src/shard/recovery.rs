//! Starting again: the index says which chunks and heads the table has, and the journal what came after it. Messages are not read, only
//! those in the journal. Applying the same things again, or older ones, changes nothing (invariant 6).

use crate::ids::{BodyId, Millis, Sequence};
use crate::log::LogRecord;
use crate::record::{self, Record, Records, flags};
use crate::shard::Shard;
use crate::shard::bits::Bits;
use crate::shard::chunk::{BYTES_MAX, Chunk, RECORDS_MAX, state};
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::fit::{self, Fit};
use crate::shard::lane::{Lane, lane_of};
use crate::shard::stored::{self, CHUNK_HEADER, ChunkEntry, IndexEntry, StoredError};
use crate::shard::timers::NEVER;

/// What became of an index entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Restored {
    /// It is part of a queue.
    Kept,
    /// Its queue is gone, or all its messages are: delete the key from the index and from the chunks.
    Obsolete,
}

impl Shard {
    /// Takes an entry of the index family. All durable queues have been created; nothing has been replayed.
    ///
    /// # Errors
    /// If it cannot be read: then the directory should not be used.
    pub fn restore_entry(&mut self, key: &[u8], value: &[u8]) -> Result<Restored, StoredError> {
        let (id, first) = stored::read_key(key)?;
        let entry = IndexEntry::decode(value)?;
        let Some(queue) = self.queues.get_mut(&id).filter(|queue| queue.durable) else {
            return Ok(Restored::Obsolete);
        };
        match entry {
            IndexEntry::Head(head) => {
                let index = stored::head_lane(first).ok_or(StoredError::Kind(2))?;
                queue.lanes.create(index);
                if let Some(lane) = queue.lanes.get_mut(index) {
                    lane.head = head;
                    lane.next = lane.next.max(head.next);
                }
                Ok(Restored::Kept)
            }
            IndexEntry::Chunk(_) if stored::head_lane(first).is_some() => Err(StoredError::Kind(1)),
            IndexEntry::Chunk(entry) => {
                queue.lanes.create(lane_of(first));
                let common = &mut self.common;
                let restored = queue.lanes.update(lane_of(first), |lane| lane.restore(first, &entry, common));
                restored.unwrap_or(Ok(Restored::Obsolete))
            }
        }
    }

    /// Applies a record of the journal, in the journal's order. Records of queues that are gone, of topology and of bodies do nothing.
    pub fn replay(&mut self, record: LogRecord<'_>) {
        match record {
            LogRecord::Messages { queue, first, records } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    let (index, common) = (lane_of(first), &mut self.common);
                    queue.lanes.create(index);
                    queue.lanes.update(index, |lane| lane.replay_messages(first, records, common));
                }
            }
            LogRecord::Settled { queue, first, count } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    let (id, index, forgotten, common) = (queue.id, lane_of(first), &mut self.forgotten, &mut self.common);
                    queue.lanes.create(index);
                    queue.lanes.update(index, |lane| {
                        lane.replay_settled(first, first.plus(count), common, |chunk| forgotten.push((id, chunk)));
                    });
                }
            }
            LogRecord::Stands {
                queue,
                first,
                count,
                standing,
            } => {
                if let Some(queue) = self.queues.get_mut(&queue) {
                    let (end, common) = (first.plus(count), &mut self.common);
                    queue
                        .lanes
                        .update(lane_of(first), |lane| lane.replay_standing(first, end, standing, common));
                }
            }
            LogRecord::Topology { .. } | LogRecord::Body { .. } => {}
        }
    }

    /// The journal is at its end: everything that is there is ready, unless it is known to wait or to be dead, and may have been delivered before.
    pub fn recovered(&mut self) {
        self.recover(|lane| lane.next);
    }

    /// The same after a clean stop, whose last checkpoint came after the last delivery: what was never delivered is not marked.
    pub fn recovered_after_clean_stop(&mut self) {
        self.recover(|lane| lane.head.taken);
    }

    /// Names the body and its size for every unsettled message whose body lies apart, after recovery: what this names has references, and
    /// as many.
    pub fn for_each_body(&self, mut each: impl FnMut(BodyId, u64)) {
        let lanes = self.queues.values().flat_map(|queue| queue.lanes.iter());
        let chunks = lanes.flat_map(|lane| &lane.chunks);
        chunks.flat_map(|chunk| chunk.refs()).for_each(|body| each(body.id, body.size));
    }

    fn recover(&mut self, delivered_below: impl Fn(&Lane) -> Sequence) {
        self.common.uncollected.clear();
        let common = &mut self.common;
        for queue in self.queues.values_mut() {
            let limit = queue.settings.as_ref().and_then(|settings| settings.delivery_limit);
            queue.lanes.update_all(|lane| {
                lane.recover(limit.unwrap_or(u32::MAX), common);
                lane.redelivered_below = delivered_below(lane);
                if lane.redelivered_below > lane.head.taken {
                    lane.mark_unstored(common);
                }
            });
            queue.recover_keys(common);
            if queue.space.is_some() {
                queue.lanes.update(0, Lane::skip_recovered);
            }
            queue.mark_crowded(common);
            queue.activate(common);
        }
    }

    /// Tells the store of chunks that the replay settled.
    pub(crate) fn forget_recovered(&mut self, effects: &mut impl Effects) {
        for (queue, chunk) in self.forgotten.drain(..) {
            effects.forget(queue, chunk);
        }
    }
}

/// A gap between messages up to this wide is filled with holes; a wider one begins a new chunk.
const HOLES_MAX: u64 = 64;

impl Lane {
    fn restore(&mut self, first: Sequence, entry: &ChunkEntry, common: &mut Common) -> Result<Restored, StoredError> {
        let chunk = Chunk::restored(first, entry);
        let at = self.find(first);
        if self.chunks.get(at).is_some_and(|next| next.first < chunk.end()) {
            return Err(StoredError::Overlap);
        }
        self.next = self.next.max(chunk.end());
        if chunk.live() == 0 {
            return Ok(Restored::Obsolete);
        }
        self.tally.bytes += chunk.weight();
        self.paged += 1;
        self.submitted_chunks += 1;
        self.tally.bodies += chunk.bodies;
        common.memory.changed(0, chunk.footprint());
        let due = chunk.due;
        self.chunks.insert(at, chunk);
        self.chunks[at].due = NEVER;
        self.set_due(at, due, common);
        if self.of_space {
            self.index_restored(at, &entry.tuples, common);
        }
        for (run, standing) in &entry.standings {
            self.remember(at, Bits::of(run.clone()).without(entry.gone), *standing);
        }
        Ok(Restored::Kept)
    }

    /// Adds those messages that are not there. What the table does not have below its head was settled.
    fn replay_messages(&mut self, mut first: Sequence, mut records: Records<'_>, common: &mut Common) {
        while records.count > 0 {
            let at = self.find(first);
            let (known_end, room_end) = match self.chunks.get(at) {
                Some(chunk) if chunk.first <= first => (chunk.end(), chunk.end()),
                Some(chunk) => (self.head.next, chunk.first),
                None => (self.head.next, Sequence(self.id.start().0 | u64::MAX >> 8)),
            };
            let skipped = known_end.0.min(room_end.0).saturating_sub(first.0);
            if skipped > 0 {
                let (known, rest) = fit::split(records, skipped);
                first = first.plus(known.count.into());
                records = rest;
                continue;
            }
            let (new, rest) = fit::split(records, room_end.0 - first.0);
            let added = self.replay_run(at, first, new, common);
            first = first.plus(added.count.into());
            records = Records {
                bytes: &records.bytes[added.bytes..],
                count: rest.count + new.count - u32::from(added.count),
            };
        }
    }

    /// Adds the beginning of a run in front of chunk `at`, to the chunk before that if it can take it.
    fn replay_run(&mut self, at: usize, first: Sequence, records: Records<'_>, common: &mut Common) -> Fit {
        let joined = at.checked_sub(1).filter(|&before| self.fill_gap(before, first, common));
        let fit = joined.map_or_else(Fit::default, |before| self.chunks[before].room_for(records));
        let (at, fit) = match joined {
            Some(before) if fit.count > 0 => (before, fit),
            _ => {
                let fit = fit::fit_alone(records);
                let chunk = Chunk::new(first, common.memory.body(fit.bytes));
                common.memory.changed(0, chunk.footprint());
                self.chunks.insert(at, chunk);
                (at, fit)
            }
        };
        let chunk = &mut self.chunks[at];
        let before = chunk.footprint();
        chunk.append(records.bytes, fit);
        chunk.collect(|_, _| {});
        common.memory.changed(before, chunk.footprint());
        self.tally.bytes += fit.bytes as u64 + fit.bodies;
        self.next = self.next.max(chunk.end());
        if fit.any & flags::TIMED != 0 {
            let records = Records { count: 0, ..records };
            let dues = records.iter().take(fit.count.into()).filter_map(Record::due);
            let due = dues.fold(self.chunks[at].due, Millis::min);
            self.set_due(at, due, common);
        }
        if self.of_space {
            self.index_replayed(at, first, common);
        }
        self.mark_unstored(common);
        fit
    }

    /// Makes an open chunk reach up to a sequence, with holes if need be. False if it does not.
    fn fill_gap(&mut self, at: usize, upto: Sequence, common: &mut Common) -> bool {
        let chunk = &mut self.chunks[at];
        let gap = upto.0 - chunk.end().0;
        let room = u64::from(RECORDS_MAX - chunk.count()).min(HOLES_MAX + 1);
        if chunk.is(state::CLOSED) || gap >= room || chunk.bytes() as usize + HOLES_MAX as usize * record::PREFIX > BYTES_MAX - CHUNK_HEADER
        {
            return false;
        }
        if gap > 0 {
            let mut holes = Vec::new();
            (0..gap).for_each(|_| record::push_hole(&mut holes));
            let before = (chunk.footprint(), chunk.bytes());
            let places = chunk.count()..chunk.count() + gap as u16;
            let fit = chunk.room_for(Records {
                bytes: &holes,
                count: gap as u32,
            });
            chunk.append(&holes, fit);
            chunk.settle(Bits::of(places), |_| {});
            common.memory.changed(before.0, chunk.footprint());
            self.tally.bytes += u64::from(chunk.bytes() - before.1);
        }
        true
    }

    fn replay_settled(&mut self, first: Sequence, end: Sequence, common: &mut Common, mut forget: impl FnMut(Sequence)) {
        self.next = self.next.max(end);
        // The journal has it; but not what else was settled of a chunk that goes with it.
        let mut unlogged = std::mem::take(&mut self.settled);
        let mut at = self.find(first);
        while let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.first < end) {
            let after = chunk.end();
            let bits = Bits::of(chunk.places(first, end)).without(chunk.settled());
            if !bits.is_empty()
                && let Some(chunk) = self.mark_settled(at, bits, common, |_| {})
            {
                unlogged.push((chunk, after));
                forget(chunk);
            }
            at = self.find(after);
        }
        self.settled = unlogged;
    }

    fn recover(&mut self, delivery_limit: u32, common: &mut Common) {
        self.is_uncollected = false;
        if !self.settled.is_empty() {
            self.mark_uncollected(common);
        }
        let next = self.next;
        let last = self.chunks.len().saturating_sub(1);
        for (at, chunk) in self.chunks.iter_mut().enumerate() {
            if at < last || chunk.end() != next {
                chunk.state |= state::CLOSED;
            }
            self.tally.ready += u64::from(chunk.live());
        }
        self.resume_standings(delivery_limit, common);
        if self.measured {
            // What the index does not say is not known yet.
            for at in 0..self.chunks.len() {
                if self.chunks[at].is_resident() || self.chunks[at].bodies == 0 {
                    self.recount(at);
                } else if self.aside.is_some() {
                    self.estimate_bodies(at);
                }
            }
        }
        self.cursor = self.chunks.front().map_or(next, |chunk| chunk.first);
        self.uncollected_from = next;
        self.unstored_from = if self.is_unstored { self.id.start() } else { next };
        if self.paged < self.chunks.len() {
            self.mark_spillable(common);
        }
    }
}

//! What must outlive the process: new messages and settlements for the journal at every group commit, and, at a checkpoint, whatever the
//! journal alone knows for the table.
//!
//! A settlement is logged if the journal or the table knows the message: else nothing would bring it back. It is logged even if a checkpoint
//! has put it into the table meanwhile, because that checkpoint may not live to be flushed.

use crate::ids::Millis;
use crate::log::{LogRecord, LogWriter};
use crate::shard::Shard;
use crate::shard::bits::Bits;
use crate::shard::chunk::{Chunk, state};
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::lane::Lane;
use crate::shard::stored::{self, HeadEntry, IndexEntry, StoredChunk};
use crate::shard::timers::{NEVER, UNKNOWN};

impl Shard {
    /// A group commit begins: appends what became of persistent messages in durable queues since the last time. What came and was settled
    /// in between is never written.
    pub fn collect(&mut self, log: &mut LogWriter<'_>) {
        self.common.memory.squeeze_at = 0;
        for id in std::mem::take(&mut self.common.uncollected) {
            if let Some(lane) = self.lane_mut(id) {
                lane.collect(log);
            }
        }
    }

    /// Whether [`collect`](Self::collect) may have something to write.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.common.uncollected.is_empty()
    }

    /// Gives the store everything that only the journal knows: unsettled chunks, the open ones included, and changed index entries. When all
    /// that was given to the store up to now is flushed, journal segments of commits that were collected before this call are free.
    pub fn checkpoint(&mut self, effects: &mut impl Effects) {
        self.forget_recovered(effects);
        for id in std::mem::take(&mut self.common.unstored) {
            if let Some(lane) = self.queues.get_mut(&id.queue).and_then(|queue| queue.lanes.get_mut(id.index)) {
                lane.checkpoint(&self.common, effects);
            }
        }
    }
}

impl Lane {
    fn collect(&mut self, log: &mut LogWriter<'_>) {
        self.is_uncollected = false;
        let queue = self.id.queue;
        let from = self.find(self.uncollected_from);
        for chunk in self.chunks.range_mut(from..) {
            chunk.collect(|first, records| log.push(LogRecord::Messages { queue, first, records }));
        }
        self.uncollected_from = self.next;
        self.collect_standings(log);
        self.settled.sort_unstable();
        let mut settled = self.settled.drain(..).peekable();
        while let Some((first, mut end)) = settled.next() {
            while let Some((_, next_end)) = settled.next_if(|next| next.0 <= end) {
                end = end.max(next_end);
            }
            log.push(LogRecord::Settled {
                queue,
                first,
                count: end.0 - first.0,
            });
        }
    }

    fn checkpoint(&mut self, common: &Common, effects: &mut impl Effects) {
        self.is_unstored = false;
        for at in self.find(self.unstored_from)..self.chunks.len() {
            let chunk = &self.chunks[at];
            if chunk.submitted < chunk.count() && chunk.has_live_persistent() {
                self.submit(at, common, effects);
            }
        }
        self.unstored_from = self.next;
        for first in std::mem::take(&mut self.old_entries) {
            if let Some(at) = self.find_exact(first).filter(|&at| self.chunks[at].is(state::ENTRY_OLD)) {
                self.submit(at, common, effects);
            }
        }
        let head = HeadEntry {
            next: self.next,
            taken: self.cursor.max(self.redelivered_below),
        };
        if head != self.head {
            self.head = head;
            effects.store(StoredChunk {
                queue: self.id.queue,
                first: stored::head_of(self.id.index),
                upto: 0,
                entry: IndexEntry::Head(head),
                data: None,
            });
        }
    }

    /// When the unsettled messages of a chunk are due, at the earliest, and how large their bodies are: after a restart all of them are ready.
    fn outlook(&self, at: usize) -> (Millis, u64) {
        let chunk = &self.chunks[at];
        if !chunk.is(state::TIMED) && !self.measured {
            return (NEVER, 0);
        }
        let unsettled = Bits::of(0..chunk.count()).without(chunk.settled());
        let others = unsettled.without(self.ready_places(at));
        let due = match chunk.is_resident() {
            true => chunk.dues(unsettled, None).1,
            false if others.is_empty() || !chunk.is(state::TIMED) => chunk.due,
            false => UNKNOWN,
        };
        let bodies = match self.measured {
            false => 0,
            true if chunk.is_resident() => chunk.body_bytes(unsettled),
            true => chunk.bodies + self.weigh(at, others),
        };
        (due, bodies)
    }

    /// Gives the store a chunk's index entry, and its value if that has grown since the store was given it.
    pub(crate) fn submit(&mut self, at: usize, common: &Common, effects: &mut impl Effects) {
        let (due, bodies) = self.outlook(at);
        let standings = self.standings(at, Bits::of(0..self.chunks[at].count()));
        let tuples = if self.of_space {
            self.tuple_entries(at, common)
        } else {
            Vec::new()
        };
        let chunk: &mut Chunk = &mut self.chunks[at];
        let grown = chunk.submitted < chunk.count();
        let data = if grown { chunk.share() } else { None };
        if data.is_some() {
            self.submitted_chunks += usize::from(chunk.submitted == 0);
            chunk.submitted = chunk.count();
            chunk.state |= state::IN_FLIGHT;
        }
        chunk.state &= !state::ENTRY_OLD;
        let mut entry = chunk.entry(self.durable, due, bodies);
        (entry.standings, entry.tuples) = (standings, tuples);
        let entry = IndexEntry::Chunk(entry);
        effects.store(StoredChunk {
            queue: self.id.queue,
            first: chunk.first,
            upto: chunk.submitted,
            entry,
            data,
        });
    }
}

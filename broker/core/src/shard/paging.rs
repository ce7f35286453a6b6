//! Memory: which chunks leave it when there are too many, and which come back ahead of their consumers. A lane keeps its head and its tail.

use std::ops::Range;

use crate::ids::{QueueId, Sequence};
use crate::shard::Shard;
use crate::shard::chunk::{Chunk, state};
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::lane::{Lane, lane_of};
use crate::shard::timers::NEVER;

/// Chunks that are read ahead at most, however small they are.
const AHEAD_CHUNKS_MAX: usize = 32;

/// An open chunk smaller than this is not paged out, unless it is urgent.
const SQUEEZE_BYTES_MIN: u64 = 1024;

/// What became of an attempt to page something out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spilled {
    /// A chunk is out, or on its way.
    Chunk,
    /// The next one to go has not been collected yet.
    NotYet,
    /// The lane has nothing to page out.
    Nothing,
}

impl Shard {
    /// Octets of messages in memory, buffers and bookkeeping included, and bodies apart as often as messages refer to them. Well above the
    /// limit: the store does not keep up, and publishers should wait.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.common.memory.resident
    }

    /// More is in memory than the limit allows, what is on its way out not counted. [`dispatch`](Self::dispatch) pages out what it can, but
    /// nothing that the journal has not taken: call it after [`collect`](Self::collect) too if this is so.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.common.memory.staying() > self.common.limits.memory_bytes_max
    }

    /// Pages out until memory is below its limit, one chunk of each lane after the other.
    pub(crate) fn spill(&mut self, effects: &mut impl Effects) {
        if !self.is_full() {
            self.common.memory.squeeze_at = 0;
            return;
        }
        let mut in_vain = 0;
        while self.is_full() && in_vain < self.common.spillable.len() {
            let Some(id) = self.common.spillable.pop_front() else { return };
            let Some(queue) = self.queues.get_mut(&id.queue) else { continue };
            let consumed = !queue.subscribers.is_empty();
            let Some(lane) = queue.lanes.get_mut(id.index) else { continue };
            match lane.spill(consumed, &mut self.common, effects) {
                Spilled::Nothing => {
                    lane.is_spillable = false;
                    continue;
                }
                Spilled::Chunk => in_vain = 0,
                Spilled::NotYet => in_vain += 1,
            }
            self.common.spillable.push_back(id);
        }
        self.squeeze(effects);
    }

    /// Heads and tails alone fill the memory, because there are many queues: those that deliver nothing now do without.
    fn squeeze(&mut self, effects: &mut impl Effects) {
        let max = self.common.limits.memory_bytes_max;
        if self.common.memory.staying() < self.common.memory.squeeze_at.max(max + max / 4) {
            return;
        }
        self.common.memory.drop_spare();
        let idle = self.queues.values_mut().filter(|queue| !queue.is_active);
        for lane in idle.flat_map(|queue| queue.lanes.iter_mut()) {
            let staying = self.common.memory.staying();
            if staying <= max {
                break;
            }
            let bytes_min = if staying > max + max / 2 { 1 } else { SQUEEZE_BYTES_MIN };
            lane.squeeze(bytes_min, &mut self.common, effects);
        }
        // Looking at all queues is not for every time, unless it becomes urgent.
        self.common.memory.squeeze_at = (self.common.memory.staying() + max / 16).min(max + max / 4 * 3);
    }

    pub(crate) fn loaded(&mut self, queue: QueueId, chunk: Sequence, data: Vec<u8>, effects: &mut impl Effects) {
        let Some(queue) = self.queues.get_mut(&queue) else { return };
        let common = &mut self.common;
        queue.lanes.update(lane_of(chunk), |lane| lane.loaded(chunk, data, common, effects));
        queue.index_loaded(chunk, common);
        queue.space_loaded(common);
        queue.mark_crowded(common);
        queue.activate(common);
    }

    pub(crate) fn stored(&mut self, queue: QueueId, chunk: Sequence, upto: u16) {
        let Some(queue) = self.queues.get_mut(&queue) else { return };
        let consumed = !queue.subscribers.is_empty();
        let Some(lane) = queue.lanes.get_mut(lane_of(chunk)) else { return };
        let Some(at) = lane.find_exact(chunk) else { return };
        let chunk = &mut lane.chunks[at];
        if upto != chunk.submitted || !chunk.is(state::IN_FLIGHT) {
            return;
        }
        chunk.state &= !state::IN_FLIGHT;
        if chunk.is(state::LEAVING) {
            chunk.state &= !state::LEAVING;
            self.common.memory.leaving -= chunk.weight();
            if consumed && lane.ahead(consumed, &self.common).contains(&at) {
                lane.keep(at);
            } else {
                lane.page_out(at, &mut self.common);
            }
        }
    }
}

impl Lane {
    fn loaded(&mut self, chunk: Sequence, data: Vec<u8>, common: &mut Common, effects: &mut impl Effects) {
        let Some(at) = self.find_exact(chunk) else { return };
        let chunk = &mut self.chunks[at];
        if !chunk.is(state::LOADING) {
            return;
        }
        chunk.state &= !state::LOADING;
        common.memory.coming -= chunk.weight();
        let before = chunk.footprint();
        if let Err(error) = chunk.page_in(data) {
            chunk.state |= state::DAMAGED;
            effects.damaged(self.id.queue, chunk.first, error);
            let first = chunk.first;
            self.set_due(at, NEVER, common);
            self.end_look(first, common);
        } else {
            common.memory.changed(before, chunk.footprint());
            self.paged -= 1;
            self.keep(at);
            if self.of_space {
                self.want(self.chunks[at].first, common);
            }
            self.mark_spillable(common);
            if self.chunks[at].is(state::LOOKING) {
                self.set_due(at, self.chunks[at].due, common);
            }
            if self.measured {
                self.recount(at);
            }
        }
        if self.has_letters() {
            self.mark_lettering(common);
        }
    }

    /// The chunks that its consumers need now and next, if there are consumers (`consumed`).
    fn ahead(&self, consumed: bool, common: &Common) -> Range<usize> {
        let head = self.find(self.returned.front().map_or(self.cursor, |(first, _)| first));
        if !consumed {
            return head..self.chunks.len().min(head + 1);
        }
        let mut bytes = 0;
        let wanted = self.chunks.range(head..).take(AHEAD_CHUNKS_MAX).take_while(|chunk| {
            let before = bytes;
            bytes += chunk.weight();
            before == 0 || bytes <= common.limits.read_ahead_bytes
        });
        head..head + wanted.count()
    }

    /// Asks for the chunks that consumers will need next.
    pub(crate) fn read_ahead(&mut self, consumed: bool, common: &mut Common, effects: &mut impl Effects) {
        for at in self.ahead(consumed, common) {
            let room = common.limits.memory_bytes_max + common.limits.memory_bytes_max / 8;
            if common.memory.staying() + common.memory.coming >= room {
                return;
            }
            self.load(at, false, common, effects);
        }
    }

    /// Asks for a chunk, if it is on disk and was not asked for. One that came back damaged is asked for again only if told so.
    pub(crate) fn load(&mut self, at: usize, again: bool, common: &mut Common, effects: &mut impl Effects) {
        let chunk = &mut self.chunks[at];
        if chunk.is_resident() || chunk.is(state::LOADING) || chunk.is(state::DAMAGED) && !again {
            return;
        }
        chunk.state = chunk.state & !state::DAMAGED | state::LOADING;
        common.memory.coming += chunk.weight();
        effects.load(self.id.queue, chunk.first);
    }

    /// Remembers a chunk that is in memory and that the way from head to tail will not meet again.
    fn keep(&mut self, at: usize) {
        let first = self.chunks[at].first;
        if first >= self.spill_from {
            return;
        }
        if self.kept.len() > 2 * (self.chunks.len() - self.paged) + 8 {
            let mut kept = std::mem::take(&mut self.kept);
            kept.retain(|&kept| self.find_exact(kept).is_some());
            self.kept = kept;
        }
        self.kept.push(first);
    }

    fn page_out(&mut self, at: usize, common: &mut Common) {
        let chunk = &mut self.chunks[at];
        let before = chunk.footprint();
        chunk.page_out();
        common.memory.changed(before, chunk.footprint());
        self.paged += 1;
    }

    /// Pages out one chunk that is not needed next: first of those that came back, then from head to tail.
    fn spill(&mut self, consumed: bool, common: &mut Common, effects: &mut impl Effects) -> Spilled {
        let ahead = self.ahead(consumed, common);
        for place in (0..self.kept.len()).rev() {
            match self.find_exact(self.kept[place]) {
                Some(at) if ahead.contains(&at) || self.is_wanted(self.kept[place], common) => {}
                Some(at) if self.may_leave(at) => {
                    self.kept.remove(place);
                    self.evict(at, common, effects);
                    return Spilled::Chunk;
                }
                _ => drop(self.kept.remove(place)),
            }
        }
        let mut at = self.find(self.spill_from);
        while let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.is(state::CLOSED)) {
            if self.awaits_collect(chunk) {
                return Spilled::NotYet;
            }
            self.spill_from = chunk.end();
            if ahead.contains(&at) {
                self.keep(at);
            } else if self.may_leave(at) {
                self.evict(at, common, effects);
                return Spilled::Chunk;
            }
            at += 1;
        }
        Spilled::Nothing
    }

    /// Pages out everything that the journal does not need any more, the open chunk included if it has `bytes_min`.
    fn squeeze(&mut self, bytes_min: u64, common: &mut Common, effects: &mut impl Effects) {
        if let Some(tail) = self.chunks.back_mut() {
            if tail.weight() >= bytes_min {
                tail.state |= state::CLOSED;
            } else {
                let before = tail.footprint();
                tail.shrink();
                common.memory.changed(before, tail.footprint());
            }
        }
        for at in 0..self.chunks.len() {
            let chunk = &self.chunks[at];
            let is_wanted = self.is_wanted(chunk.first, common);
            if chunk.is(state::CLOSED) && self.may_leave(at) && !self.awaits_collect(chunk) && !is_wanted {
                self.evict(at, common, effects);
            }
        }
    }

    fn awaits_collect(&self, chunk: &Chunk) -> bool {
        self.durable && chunk.awaits_collect()
    }

    fn may_leave(&self, at: usize) -> bool {
        self.chunks[at].is_resident() && !self.chunks[at].is(state::LEAVING)
    }

    /// Pages a chunk out: now if the store has it, else as soon as it does.
    fn evict(&mut self, at: usize, common: &mut Common, effects: &mut impl Effects) {
        if self.chunks[at].submitted < self.chunks[at].count() {
            self.submit(at, common, effects);
        }
        let chunk = &mut self.chunks[at];
        if chunk.is(state::IN_FLIGHT) {
            chunk.state |= state::LEAVING;
            common.memory.leaving += chunk.weight();
        } else {
            self.page_out(at, common);
        }
    }
}

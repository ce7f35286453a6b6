//! A lane: a run of chunks in the order of arrival, and which of their messages are ready, unacked or settled. A queue has one, or one for
//! each priority. Journal, store and memory each have a file.
//!
//! The lane is in the top 8 bits of a message's sequence, so a sequence alone says where in the queue a message is.

use std::collections::VecDeque;
use std::ops::Range;

use crate::ids::{BodyId, QueueId, Sequence};
use crate::record::{Record, Records, flags};
use crate::shard::aside::Aside;
use crate::shard::bits::Bits;
use crate::shard::chunk::{BYTES_MAX, Chunk, state};
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::fit::{self, Fit};
use crate::shard::keys::free_all;
use crate::shard::limits::body_bytes;
use crate::shard::runs::Runs;
use crate::shard::stored::HeadEntry;
use crate::shard::timers::NEVER;

/// The octets of a sequence that say where in its lane a message is.
const PLACE_BITS: u32 = 56;

/// A lane of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneId {
    pub(crate) queue: QueueId,
    pub(crate) index: u8,
}

impl LaneId {
    /// The sequence of the lane's first message.
    pub(crate) fn start(self) -> Sequence {
        Sequence(u64::from(self.index) << PLACE_BITS)
    }
}

/// The lane that a sequence is in.
pub(crate) fn lane_of(sequence: Sequence) -> u8 {
    (sequence.0 >> PLACE_BITS) as u8
}

/// Where in the order of delivery a message is: higher lanes come first.
pub(crate) type Order = (u8, Sequence);

pub(crate) fn order(sequence: Sequence) -> Order {
    (u8::MAX - lane_of(sequence), sequence)
}

/// How many messages of which kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) ready: u64,
    pub(crate) unacked: u64,
    /// Octets of all chunks' records, and of the bodies that unsettled ones refer to.
    pub(crate) bytes: u64,
    /// Messages that came back and are not ready yet.
    pub(crate) delayed: u64,
    /// Messages on their way to a dead-letter exchange, or to where somebody moves them.
    pub(crate) dead: u64,
    /// Octets of the bodies of ready messages, where the queue counts them.
    pub(crate) bodies: u64,
    /// Those ready messages that were passed over.
    pub(crate) skipped: u64,
}

impl Tally {
    /// Messages that are not settled.
    pub(crate) fn live(&self) -> u64 {
        self.ready + self.unacked + self.delayed + self.dead
    }

    /// A part of this sum was `before`, and is `after`.
    pub(crate) fn changed(&mut self, before: Self, after: Self) {
        self.ready = self.ready + after.ready - before.ready;
        self.unacked = self.unacked + after.unacked - before.unacked;
        self.bytes = self.bytes + after.bytes - before.bytes;
        self.delayed = self.delayed + after.delayed - before.delayed;
        self.dead = self.dead + after.dead - before.dead;
        self.bodies = self.bodies + after.bodies - before.bodies;
        self.skipped = self.skipped + after.skipped - before.skipped;
    }
}

/// Messages are in the order of their sequences. Those below the cursor were taken: they are settled, unacked, returned, skipped, delayed or dead. Those
/// from the cursor on are ready, or left on their own: settled or dead; or delayed, since before the last restart.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) id: LaneId,
    /// As its queue.
    pub(crate) durable: bool,
    /// In the order of their sequences, with gaps where chunks were settled.
    pub(crate) chunks: VecDeque<Chunk>,
    /// The sequence of the next message.
    pub(crate) next: Sequence,
    /// The first message that was not taken.
    pub(crate) cursor: Sequence,
    /// Messages below were here at the start and may have been delivered before.
    pub(crate) redelivered_below: Sequence,
    /// Messages below the cursor that came back.
    pub(crate) returned: Runs,
    /// Ready messages below the cursor that wait for their group, or for a consumer whose filter lets them through.
    pub(crate) skipped: Runs,
    /// Those among them that came back.
    pub(crate) skipped_again: Runs,
    pub(crate) tally: Tally,
    /// What is dead or delayed, and what came back how often; absent until there is something.
    pub(crate) aside: Option<Box<Aside>>,
    /// Octets of bodies are counted.
    pub(crate) measured: bool,
    /// Messages whose time ran out.
    pub(crate) expired: u64,
    /// How often messages come back is counted, attempts that are under way included.
    pub(crate) counted: bool,
    /// Its queue is a space: see `space`.
    pub(crate) of_space: bool,

    /// Settled since the last collect, and known to the journal or the table: first and end.
    pub(crate) settled: Vec<(Sequence, Sequence)>,
    /// Messages below were offered to the journal.
    pub(crate) uncollected_from: Sequence,

    /// Messages below were given to the store at a checkpoint, or did not need to be.
    pub(crate) unstored_from: Sequence,
    /// Chunks in the table whose entry is old.
    pub(crate) old_entries: Vec<Sequence>,
    /// The head entry in the table.
    pub(crate) head: HeadEntry,
    /// How many chunks the store was given.
    pub(crate) submitted_chunks: usize,

    /// How many chunks are not in memory.
    pub(crate) paged: usize,
    /// Chunks that start below have been paged out, or are in `kept`.
    pub(crate) spill_from: Sequence,
    /// Chunks below `spill_from` that are in memory: they were near the head then, or came back. Some are gone by now.
    pub(crate) kept: Vec<Sequence>,

    /// In which of the shard's lists the lane is.
    pub(crate) is_uncollected: bool,
    pub(crate) is_unstored: bool,
    pub(crate) is_spillable: bool,
    pub(crate) is_lettering: bool,
}

/// Messages that are next to be delivered: unsettled, consecutive, in one chunk.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) lane: u8,
    /// The index of the chunk.
    pub(crate) at: usize,
    pub(crate) places: Range<u16>,
    pub(crate) redelivered: bool,
    /// How often each of them came back, where that is counted.
    pub(crate) returns: u32,
}

impl Lane {
    pub(crate) fn new(id: LaneId, durable: bool, measured: bool, counted: bool) -> Self {
        let start = id.start();
        Self {
            id,
            durable,
            chunks: VecDeque::new(),
            next: start,
            cursor: start,
            redelivered_below: start,
            returned: Runs::default(),
            skipped: Runs::default(),
            skipped_again: Runs::default(),
            tally: Tally::default(),
            aside: None,
            measured,
            expired: 0,
            counted,
            of_space: false,
            settled: Vec::new(),
            uncollected_from: start,
            unstored_from: start,
            old_entries: Vec::new(),
            head: HeadEntry::default(),
            submitted_chunks: 0,
            paged: 0,
            spill_from: start,
            kept: Vec::new(),
            is_uncollected: false,
            is_unstored: false,
            is_spillable: false,
            is_lettering: false,
        }
    }

    /// The index of the chunk that a sequence is in, or of the first one behind it.
    pub(crate) fn find(&self, sequence: Sequence) -> usize {
        match (self.chunks.front(), self.chunks.back()) {
            (Some(front), _) if sequence < front.end() => 0,
            (_, Some(back)) if sequence >= back.end() => self.chunks.len(),
            (_, Some(back)) if sequence >= back.first => self.chunks.len() - 1,
            _ => self.chunks.partition_point(|chunk| chunk.end() <= sequence),
        }
    }

    /// The index of the chunk that starts at a sequence.
    pub(crate) fn find_exact(&self, first: Sequence) -> Option<usize> {
        let at = self.find(first);
        self.chunks.get(at).filter(|chunk| chunk.first == first).map(|_| at)
    }

    pub(crate) fn mark_uncollected(&mut self, common: &mut Common) {
        if !self.is_uncollected {
            self.is_uncollected = true;
            common.uncollected.push(self.id);
        }
    }
    pub(crate) fn mark_unstored(&mut self, common: &mut Common) {
        if !self.is_unstored {
            self.is_unstored = true;
            common.unstored.push(self.id);
        }
    }
    pub(crate) fn mark_spillable(&mut self, common: &mut Common) {
        if !self.is_spillable {
            self.is_spillable = true;
            common.spillable.push_back(self.id);
        }
    }

    /// Appends a run: one copy a chunk.
    pub(crate) fn publish(&mut self, mut records: Records<'_>, common: &mut Common) {
        let mut persistent = false;
        self.tally.ready += u64::from(records.count);
        self.tally.bytes += records.bytes.len() as u64;
        while records.count > 0 {
            let fit = match self.chunks.back().map(|chunk| chunk.room_for(records)) {
                Some(fit) if fit.count > 0 => fit,
                _ => self.begin_chunk(records, common),
            };
            let Some(chunk) = self.chunks.back_mut() else { return };
            let before = chunk.footprint();
            chunk.append(records.bytes, fit);
            common.memory.changed(before, chunk.footprint());
            self.tally.bytes += fit.bodies;
            persistent |= fit.any_persistent();
            self.next = chunk.end();
            if fit.any & flags::TIMED != 0 || self.measured {
                self.note_appended(&records.bytes[..fit.bytes], common);
            }
            records = Records {
                bytes: &records.bytes[fit.bytes..],
                count: records.count - u32::from(fit.count),
            };
        }
        if persistent && self.durable {
            self.mark_uncollected(common);
            self.mark_unstored(common);
        }
    }

    /// What was appended to the last chunk names times, or is counted.
    #[cold]
    fn note_appended(&mut self, bytes: &[u8], common: &mut Common) {
        let records = Records { bytes, count: 0 };
        let at = self.chunks.len() - 1;
        if self.measured {
            let bodies: u64 = records.iter().map(body_bytes).sum();
            self.chunks[at].bodies += bodies;
            self.tally.bodies += bodies;
        }
        if let Some(due) = records.iter().filter_map(Record::due).min() {
            self.set_due(at, due.min(self.chunks[at].due), common);
        }
    }

    /// Closes the last chunk and opens the next one; says how much of the run goes there.
    fn begin_chunk(&mut self, records: Records<'_>, common: &mut Common) -> Fit {
        let fit = fit::fit_alone(records);
        let mut room = fit.bytes;
        if let Some(full) = self.chunks.back_mut() {
            full.state |= state::CLOSED;
            room = room.max(BYTES_MAX.min(full.bytes() as usize));
            self.mark_spillable(common);
        }
        let chunk = Chunk::new(self.next, common.memory.body(room));
        common.memory.changed(0, chunk.footprint());
        self.chunks.push_back(chunk);
        fit
    }

    /// The messages that are next: those that came back, then those from the cursor on. `None` if nothing is ready.
    pub(crate) fn next_run(&mut self) -> Option<Next> {
        if let Some((first, end)) = self.returned.front() {
            let at = self.find(first);
            let (returns, end) = self
                .aside
                .as_ref()
                .map_or((0, end), |aside| aside.returns_of_first(first, end.min(self.chunks[at].end())));
            let places = self.chunks[at].places(first, end);
            return Some(Next {
                lane: self.id.index,
                at,
                places,
                redelivered: true,
                returns,
            });
        }
        let mut at = self.find(self.cursor);
        loop {
            let chunk = self.chunks.get(at)?;
            let mut passed = chunk.settled();
            if let Some(aside) = &self.aside {
                passed = passed.union(aside.places(chunk.first, chunk.count()));
            }
            let places = passed.gap(chunk.index(self.cursor.max(chunk.first))..chunk.count());
            if places.is_empty() {
                at += 1;
                continue;
            }
            self.cursor = chunk.first.plus(places.start.into());
            let redelivered = self.cursor < self.redelivered_below;
            let mut end = chunk.first.plus(places.end.into());
            if redelivered {
                end = end.min(self.redelivered_below);
            }
            let mut returns = 0;
            if let Some(aside) = &self.aside {
                // Before the last restart.
                (returns, end) = aside.returns_of_first(self.cursor, end);
            }
            let places = places.start..chunk.index(end);
            return Some(Next {
                lane: self.id.index,
                at,
                places,
                redelivered,
                returns,
            });
        }
    }

    /// The oldest ready messages, those that were skipped included.
    pub(crate) fn oldest_run(&mut self) -> Option<Next> {
        let next = self.next_run();
        let Some((first, end)) = self.skipped.front() else { return next };
        if next
            .as_ref()
            .is_some_and(|next| self.chunks[next.at].first.plus(next.places.start.into()) < first)
        {
            return next;
        }
        let at = self.find(first);
        Some(Next {
            lane: self.id.index,
            at,
            places: self.chunks[at].places(first, end),
            redelivered: true,
            returns: 0,
        })
    }

    /// The front of what [`next_run`](Self::next_run) gave went out: some of it is settled with that (`no_ack`), the rest is unacked now.
    pub(crate) fn take(&mut self, at: usize, places: Range<u16>, settled: Bits, common: &mut Common, effects: &mut impl Effects) {
        let end = self.chunks[at].first.plus(places.end.into());
        if self.returned.is_empty() {
            self.cursor = end;
        } else {
            self.returned.remove_below(end);
        }
        self.went_out(at, places, settled, common, effects);
    }

    /// Ready places of a chunk went out: some are settled with that, the rest is unacked now.
    #[inline]
    fn went_out(&mut self, at: usize, places: Range<u16>, settled: Bits, common: &mut Common, effects: &mut impl Effects) {
        let count = places.len() as u64;
        self.tally.ready -= count;
        if self.measured {
            self.forget_bodies(at, Bits::of(places.clone()), count);
        }
        if self.durable {
            self.mark_unstored(common);
            if self.counted {
                self.note(at, Bits::of(places).without(settled), common);
            }
        }
        self.tally.unacked += count - u64::from(settled.count());
        if !settled.is_empty() {
            self.settle_places(at, settled, common, effects);
        }
    }

    /// Ready places of a chunk, any of them, are ready no more. What becomes of them comes next.
    pub(crate) fn withdraw(&mut self, at: usize, places: Bits) {
        let count = places.count().into();
        if self.measured {
            self.forget_bodies(at, places, count);
        }
        self.tally.ready -= count;
        if !self.skipped.is_empty() {
            self.forget_skipped(at, places);
        }
        if !self.returned.is_empty() {
            let start = self.chunks[at].first;
            for run in places.runs() {
                self.returned.remove(start.plus(run.start.into()), start.plus(run.end.into()));
            }
        }
        if self.aside.is_some() {
            places.runs().for_each(|run| self.forget_returns(at, run));
        }
    }

    /// Places of a chunk are skipped no more.
    #[cold]
    pub(crate) fn forget_skipped(&mut self, at: usize, places: Bits) {
        let (start, count) = (self.chunks[at].first, self.chunks[at].count());
        let skipped = self.skipped.places(start, count).and(places);
        self.tally.skipped -= u64::from(skipped.count());
        for run in skipped.runs() {
            let (first, end) = (start.plus(run.start.into()), start.plus(run.end.into()));
            self.skipped.remove(first, end);
            self.skipped_again.remove(first, end);
        }
    }

    /// A message that was skipped went out; it is settled with that, or unacked now.
    pub(crate) fn take_skipped(&mut self, at: usize, place: u16, settled: Bits, common: &mut Common, effects: &mut impl Effects) {
        let sequence = self.chunks[at].first.plus(place.into());
        self.skipped.remove(sequence, sequence.plus(1));
        self.skipped_again.remove(sequence, sequence.plus(1));
        self.tally.skipped -= 1;
        self.went_out(at, place..place + 1, settled, common, effects);
    }

    /// Places of a chunk are ready.
    pub(crate) fn became_ready(&mut self, at: usize, places: Bits) {
        self.tally.ready += u64::from(places.count());
        if self.measured {
            let bodies = self.weigh(at, places);
            self.chunks[at].bodies += bodies;
            self.tally.bodies += bodies;
        }
    }

    /// The bodies of `count` places, which were ready, are not counted any more.
    pub(crate) fn forget_bodies(&mut self, at: usize, places: Bits, count: u64) {
        let chunk = &self.chunks[at];
        let bodies = if chunk.is_resident() {
            chunk.body_bytes(places).min(chunk.bodies)
        } else {
            chunk.bodies * count / u64::from(self.ready_places(at).count()).max(count)
        };
        self.chunks[at].bodies -= bodies;
        self.tally.bodies -= bodies;
    }

    /// The ready places of a chunk.
    pub(crate) fn ready_places(&self, at: usize) -> Bits {
        let chunk = &self.chunks[at];
        let taken = if chunk.first >= self.cursor {
            0
        } else {
            chunk.index(self.cursor.min(chunk.end()))
        };
        let mut places = Bits::of(taken..chunk.count()).without(chunk.settled());
        if let Some(aside) = &self.aside {
            places = places.without(aside.places(chunk.first, chunk.count()));
        }
        if !self.returned.is_empty() {
            places = places.union(self.returned.places(chunk.first, chunk.count()));
        }
        if !self.skipped.is_empty() {
            places = places.union(self.skipped.places(chunk.first, chunk.count()));
        }
        places
    }

    pub(crate) fn forget_returns(&mut self, at: usize, run: Range<u16>) {
        if let Some(aside) = &mut self.aside {
            let start = self.chunks[at].first;
            aside.forget_returns(start.plus(run.start.into()), start.plus(run.end.into()));
        }
    }

    /// The unacked places of a run, in one chunk after the other.
    pub(crate) fn unacked_places(&self, at: usize, first: Sequence, end: Sequence) -> Bits {
        let chunk = &self.chunks[at];
        let mut bits = Bits::of(chunk.places(first, end)).without(chunk.settled());
        if !self.returned.is_empty() {
            bits = bits.without(self.returned.places(chunk.first, chunk.count()));
        }
        if !self.skipped.is_empty() {
            bits = bits.without(self.skipped.places(chunk.first, chunk.count()));
        }
        if let Some(aside) = &self.aside {
            bits = bits.without(aside.places(chunk.first, chunk.count()));
        }
        bits
    }

    /// Unacked messages are settled; others of the run are left alone.
    pub(crate) fn settle(&mut self, first: Sequence, count: u32, common: &mut Common, effects: &mut impl Effects) {
        let end = first.plus(count.into()).min(self.cursor);
        let mut at = self.find(first);
        while let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.first < end) {
            let after = chunk.end();
            let bits = self.unacked_places(at, first, end);
            if !bits.is_empty() {
                self.tally.unacked -= u64::from(bits.count());
                self.settle_places(at, bits, common, effects);
            }
            if after >= end {
                break;
            }
            at = self.find(after);
        }
    }

    /// Settles places of a chunk, which are not settled yet, for bodies, journal and store too.
    pub(crate) fn settle_places(&mut self, at: usize, places: Bits, common: &mut Common, effects: &mut impl Effects) {
        if let Some(chunk) = self.mark_settled(at, places, common, |body| effects.released(body)) {
            effects.forget(self.id.queue, chunk);
        }
    }

    /// The same without effects: names the bodies that the messages referred to, and returns the chunk's first sequence if the store is to
    /// forget it.
    pub(crate) fn mark_settled(&mut self, at: usize, places: Bits, common: &mut Common, released: impl FnMut(BodyId)) -> Option<Sequence> {
        if self.aside.is_some() {
            places.runs().for_each(|run| self.forget_returns(at, run));
        }
        let chunk = &mut self.chunks[at];
        let before = chunk.footprint();
        let freed = chunk.settle(places, released);
        common.memory.changed(before, chunk.footprint());
        if chunk.keys().is_some() {
            self.forget_keys(at, places, common);
        }
        if self.of_space {
            self.forget_tuples(at, places, common);
        }
        let chunk = &mut self.chunks[at];
        if freed > 0 {
            self.tally.bytes -= freed;
            common.memory.leaving -= if chunk.is(state::LEAVING) { freed } else { 0 };
            common.memory.coming -= if chunk.is(state::LOADING) { freed } else { 0 };
        }
        let whole = chunk.live() == 0;
        self.log_gone(at, places, common);
        if whole { self.free(at, common) } else { None }
    }

    /// Places of a chunk are settled, as far as journal and table must know.
    pub(crate) fn log_gone(&mut self, at: usize, places: Bits, common: &mut Common) {
        let chunk = &mut self.chunks[at];
        if !self.durable || !chunk.is(state::PERSISTENT) {
            return;
        }
        let whole = chunk.live() == 0;
        let (first, known, submitted) = (chunk.first, chunk.collected.max(chunk.submitted), chunk.submitted > 0);
        if submitted && !whole && !chunk.is(state::ENTRY_OLD) {
            chunk.state |= state::ENTRY_OLD;
            self.old_entries.push(first);
            self.mark_unstored(common);
        }
        if submitted && whole {
            // With the chunk goes the table's word that parts of it were settled, which an older journal may not know.
            self.log_settled(first, first.plus(known.into()), common);
        } else {
            for run in places.and(Bits::of(0..known)).runs() {
                self.log_settled(first.plus(run.start.into()), first.plus(run.end.into()), common);
            }
        }
    }

    fn log_settled(&mut self, first: Sequence, end: Sequence, common: &mut Common) {
        match self.settled.last_mut() {
            Some(last) if last.0 <= first && first <= last.1 => last.1 = last.1.max(end),
            _ => self.settled.push((first, end)),
        }
        self.mark_uncollected(common);
    }

    /// Removes a chunk. Returns its first sequence if the store is to forget it.
    pub(crate) fn free(&mut self, at: usize, common: &mut Common) -> Option<Sequence> {
        self.set_due(at, NEVER, common);
        if self.aside.is_some() {
            self.forget_returns(at, 0..self.chunks[at].count());
            self.end_look(self.chunks[at].first, common);
        }
        let chunk = if at == 0 {
            self.chunks.pop_front()?
        } else {
            self.chunks.remove(at)?
        };
        self.tally.bytes -= chunk.weight();
        self.tally.bodies -= chunk.bodies;
        if let Some(keys) = chunk.keys() {
            free_all(self.id.queue, chunk.first, keys, common);
        }
        common.memory.changed(chunk.footprint(), 0);
        if chunk.is(state::LEAVING) {
            common.memory.leaving -= chunk.weight();
        }
        if chunk.is(state::LOADING) {
            common.memory.coming -= chunk.weight();
        }
        if !chunk.is_resident() {
            self.paged -= 1;
        }
        let forget = (chunk.submitted > 0).then_some(chunk.first);
        self.submitted_chunks -= usize::from(forget.is_some());
        common.memory.recycle(chunk.into_body());
        forget
    }
}

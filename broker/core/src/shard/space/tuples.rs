//! The stored tuples of a space: their index, kept by what happens in the lane, and which of them nobody was told of yet.

use std::collections::VecDeque;
use std::ops::Range;

use crate::ids::{QueueId, Sequence};
use crate::settings::SpaceTerms;
use crate::shard::ShardLimits;
use crate::shard::bits::Bits;
use crate::shard::chunk::Chunk;
use crate::shard::common::Common;
use crate::shard::lane::Lane;
use crate::shard::space::tuple_of;
use crate::space::{Digest, Entry, TupleIndex};

/// What is known of a space's tuples beside its lane.
#[derive(Debug)]
pub(crate) struct Tuples {
    pub(crate) index: TupleIndex,
    /// Somebody waits: who arrives or comes back is announced.
    pub(crate) awaited: bool,
    /// To be announced, in this order.
    pub(crate) fresh: VecDeque<Sequence>,
    /// An exchange is told of what becomes of tuples; of the return of these it was not yet.
    pub(crate) notifies: bool,
    pub(crate) came_back: Vec<Sequence>,
    /// A tuple that was held is not any more, since somebody looked.
    pub(crate) loosened: bool,
    /// Chunks that were loaded for somebody who has not looked at them yet: they stay in memory.
    wanted: VecDeque<Sequence>,
    digest: Digest,
}

/// So many chunks are kept for those who asked for them. Who asked before may have to ask again.
const WANTED_MAX: usize = 8;

impl Tuples {
    pub(crate) fn new(limits: &ShardLimits, terms: &SpaceTerms) -> Self {
        let mut index = TupleIndex::new(limits.tuples);
        terms.indexes.iter().for_each(|declaration| index.declare(declaration));
        Self {
            index,
            awaited: false,
            fresh: VecDeque::new(),
            notifies: terms.notify.is_some(),
            came_back: Vec::new(),
            loosened: false,
            wanted: VecDeque::new(),
            digest: Digest::default(),
        }
    }

    fn announce(&mut self, sequence: Sequence) {
        if self.awaited {
            self.fresh.push_back(sequence);
        }
    }
}

/// The tuples of a space, for what its lane tells them.
fn tuples_of(queue: QueueId, common: &mut Common) -> Option<&mut Tuples> {
    common.tuples.get_mut(&queue)
}

impl Lane {
    /// A chunk has come into memory for somebody.
    pub(crate) fn want(&self, chunk: Sequence, common: &mut Common) {
        if let Some(tuples) = tuples_of(self.id.queue, common) {
            if tuples.wanted.len() == WANTED_MAX {
                tuples.wanted.pop_front();
            }
            tuples.wanted.push_back(chunk);
        }
    }

    /// Somebody looks at a chunk in memory.
    pub(crate) fn looked_at(&self, chunk: Sequence, common: &mut Common) {
        if let Some(tuples) = tuples_of(self.id.queue, common).filter(|tuples| !tuples.wanted.is_empty()) {
            tuples.wanted.retain(|wanted| *wanted != chunk);
        }
    }

    /// Whether somebody has yet to look at a chunk that was loaded for that.
    pub(crate) fn is_wanted(&self, chunk: Sequence, common: &Common) -> bool {
        self.of_space
            && common
                .tuples
                .get(&self.id.queue)
                .is_some_and(|tuples| tuples.wanted.contains(&chunk))
    }

    /// Messages from `first` on were appended: they are indexed, skipped, and to be announced. Those without a tuple that can be read, which only another queue can
    /// have sent here, are found by nobody, and leave by time or limits.
    pub(crate) fn index_appended(&mut self, first: Sequence, common: &mut Common) {
        let Some(tuples) = tuples_of(self.id.queue, common) else { return };
        for at in self.find(first)..self.chunks.len() {
            let chunk = &mut self.chunks[at];
            index_places(chunk, chunk.places(first, chunk.end()), tuples, true);
        }
        self.skipped.insert(first, self.next);
        self.tally.skipped += self.next.0 - first.0;
        self.cursor = self.next;
    }

    /// Messages that the journal has were appended: they are indexed.
    #[cold]
    pub(crate) fn index_replayed(&mut self, at: usize, first: Sequence, common: &mut Common) {
        if let Some(tuples) = tuples_of(self.id.queue, common) {
            let chunk = &mut self.chunks[at];
            index_places(chunk, chunk.places(first, chunk.end()), tuples, false);
        }
    }

    /// A chunk is in the table, with the entries of its tuples.
    #[cold]
    pub(crate) fn index_restored(&self, at: usize, entries: &[u8], common: &mut Common) {
        let Some(tuples) = tuples_of(self.id.queue, common) else { return };
        let chunk = &self.chunks[at];
        each_entry(entries, |place, entry| {
            if !chunk.settled().contains(place) {
                tuples.index.restore(chunk.first.plus(place.into()), entry);
            }
        });
    }

    /// The journal is at its end: everything that is ready is skipped.
    pub(crate) fn skip_recovered(&mut self) {
        for at in 0..self.chunks.len() {
            let (start, places) = (self.chunks[at].first, self.ready_places(at));
            self.tally.skipped += u64::from(places.count());
            for run in places.runs() {
                self.skipped.insert(start.plus(run.start.into()), start.plus(run.end.into()));
            }
        }
        self.cursor = self.next;
    }

    /// Places of a chunk are settled.
    #[cold]
    pub(crate) fn forget_tuples(&self, at: usize, places: Bits, common: &mut Common) {
        let Some(tuples) = tuples_of(self.id.queue, common) else { return };
        let first = self.chunks[at].first;
        for place in places.runs().flatten() {
            tuples.index.remove(first.plus(place.into()));
        }
        tuples.loosened = true;
    }

    /// Places of a chunk are ready again.
    #[cold]
    pub(crate) fn give_back_tuples(&mut self, at: usize, places: Bits, common: &mut Common) {
        let Some(tuples) = tuples_of(self.id.queue, common) else { return };
        let first = self.chunks[at].first;
        for run in places.runs() {
            let (start, end) = (first.plus(run.start.into()), first.plus(run.end.into()));
            self.skipped.insert(start, end);
            self.skipped_again.insert(start, end);
            for sequence in (start.0..end.0).map(Sequence) {
                tuples.index.give_back(sequence);
                if tuples.notifies {
                    tuples.came_back.push(sequence);
                }
                tuples.announce(sequence);
            }
        }
        self.tally.skipped += u64::from(places.count());
        tuples.loosened = true;
    }

    /// The entries of a chunk's tuples, for the index of the store: of each a place and the entry.
    pub(crate) fn tuple_entries(&self, at: usize, common: &Common) -> Vec<u8> {
        let (Some(tuples), chunk) = (common.tuples.get(&self.id.queue), &self.chunks[at]) else {
            return Vec::new();
        };
        let mut octets = Vec::new();
        for place in Bits::of(0..chunk.count()).without(chunk.settled()).runs().flatten() {
            if let Some(entry) = tuples.index.entry_at(chunk.first.plus(place.into())) {
                octets.push(place as u8);
                octets.extend_from_slice(entry.octets());
            }
        }
        octets
    }
}

/// Indexes these places of a chunk in memory, those that are settled left out.
fn index_places(chunk: &mut Chunk, places: Range<u16>, tuples: &mut Tuples, announce: bool) {
    let (first, settled) = (chunk.first, chunk.settled());
    for place in places.filter(|place| !settled.contains(*place)) {
        let Some(tuple) = chunk.record(place).and_then(|record| tuple_of(record).ok()) else {
            continue;
        };
        tuples.digest.read(&tuple);
        let entry = tuples.index.entry(&tuples.digest);
        let sequence = first.plus(place.into());
        tuples.index.restore(sequence, entry.as_entry());
        if announce {
            tuples.announce(sequence);
        }
    }
}

/// Walks over what [`Lane::tuple_entries`] wrote. False if it is something else.
pub(crate) fn each_entry(mut octets: &[u8], mut each: impl FnMut(u16, Entry<'_>)) -> bool {
    while let Some((place, rest)) = octets.split_first() {
        let Some(entry) = Entry::first_of(rest) else { return false };
        each(u16::from(*place), entry);
        octets = &rest[entry.octets().len()..];
    }
    true
}

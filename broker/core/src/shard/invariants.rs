//! What must hold between two calls, whatever came before. For tests and the simulation; counts everything anew.

use hashbrown::HashSet;

use crate::ids::QueueId;
use crate::shard::Shard;
use crate::shard::bits::Bits;
use crate::shard::chunk::{Chunk, state};
use crate::shard::lane::{Lane, LaneId};
use crate::shard::queue::Queue;
use crate::shard::timers::{NEVER, Timer, What};

impl Shard {
    /// Checks the state against itself.
    ///
    /// # Panics
    /// If it does not hold together: a fault of this crate.
    pub fn invariants(&self) {
        let (mut resident, mut leaving, mut coming) = (0, 0, 0);
        for (id, queue) in &self.queues {
            assert_eq!(*id, queue.id);
            queue.invariants();
            queue.key_invariants(&self.common);
            for chunk in queue.lanes.iter().flat_map(|lane| &lane.chunks) {
                let bytes = chunk.weight();
                chunk.invariants();
                resident += chunk.footprint() as u64;
                leaving += if chunk.is(state::LEAVING) { bytes } else { 0 };
                coming += if chunk.is(state::LOADING) { bytes } else { 0 };
            }
        }
        let memory = &self.common.memory;
        assert_eq!(
            (memory.resident, memory.leaving, memory.coming),
            (resident, leaving, coming),
            "invariant 7: memory is counted"
        );
        self.list(self.common.active.iter(), |queue| queue.is_active);
        self.list(self.common.crowded.iter(), |queue| queue.is_crowded);
        self.list_lanes(self.common.lettering.iter(), |lane| lane.is_lettering);
        self.timers();
        self.list_lanes(self.common.uncollected.iter(), |lane| lane.is_uncollected);
        self.list_lanes(self.common.unstored.iter(), |lane| lane.is_unstored);
        self.list_lanes(self.common.spillable.iter(), |lane| lane.is_spillable);
    }

    /// Every chunk with something due is in the index, once, or is being loaded for it.
    fn timers(&self) {
        let mut indexed = 0;
        for lane in self.queues.values().flat_map(|queue| queue.lanes.iter()) {
            for chunk in &lane.chunks {
                let timer = Timer {
                    at: chunk.due,
                    queue: lane.id.queue,
                    what: What::Chunk(chunk.first),
                };
                let waits = chunk.due != NEVER && !chunk.is(state::LOOKING);
                assert_eq!(self.common.timers.contains(&timer), waits, "what is due is in the index: {chunk:?}");
                assert!(chunk.is(state::TIMED) || chunk.due == NEVER);
                assert!(!chunk.is(state::LOOKING) || chunk.is(state::LOADING));
                indexed += usize::from(waits);
            }
        }
        let chunks = self.common.timers.iter().filter(|timer| matches!(timer.what, What::Chunk(_)));
        assert_eq!(chunks.count(), indexed, "the index knows nothing that is gone");
    }

    /// A list holds those queues that say so, and each of them once. (Queues that were deleted leave it when it is next walked.)
    fn list<'a>(&self, list: impl Iterator<Item = &'a QueueId>, is_in: impl Fn(&Queue) -> bool) {
        let mut listed = HashSet::new();
        for id in list.filter_map(|id| self.queues.get(id)) {
            assert!(
                is_in(id) && listed.insert(id.id),
                "queue {} is in a list, once, and knows it",
                id.id
            );
        }
        assert_eq!(listed.len(), self.queues.values().filter(|queue| is_in(queue)).count());
    }

    /// The same for a list of lanes.
    fn list_lanes<'a>(&self, list: impl Iterator<Item = &'a LaneId>, is_in: impl Fn(&Lane) -> bool) {
        let mut listed = HashSet::new();
        for id in list {
            let Some(lane) = self.queues.get(&id.queue).and_then(|queue| queue.lanes.get(id.index)) else {
                continue;
            };
            assert!(is_in(lane) && listed.insert(*id), "lane {id:?} is in a list, once, and knows it");
        }
        let lanes = self.queues.values().flat_map(|queue| queue.lanes.iter());
        assert_eq!(listed.len(), lanes.filter(|lane| is_in(lane)).count());
    }
}

impl Queue {
    fn invariants(&self) {
        self.lanes.iter().for_each(Lane::invariants);
        self.lanes.invariants();
        if let Some(space) = &self.space {
            space.invariants();
            let skipped: u64 = self.lanes.iter().map(|lane| lane.skipped.count()).sum();
            return assert_eq!(
                (skipped, self.lanes.iter().count()),
                (self.tally().ready, 1),
                "what is ready in a space is in no order"
            );
        }
        assert!(
            self.is_active
                || self.is_paused()
                || self.groups.is_some()
                || self.is_filtered()
                || self.tally().ready == 0
                || !self.subscribers.any_in_turn()
                || self.lanes.current().waits(),
            "who can deliver is active"
        );
        self.subscribers.invariants();
        self.group_invariants();
        self.subscribers.readers().for_each(|reader| reader.invariants(&self.lanes));
    }
}

impl Lane {
    fn invariants(&self) {
        let (mut aside_count, mut bodies) = (0, 0);
        let (mut end, mut live, mut ready, mut bytes, mut paged, mut submitted) =
            (self.id.start(), 0, self.returned.count() + self.skipped.count(), 0, 0, 0);
        for (at, chunk) in self.chunks.iter().enumerate() {
            assert!(
                chunk.first >= end && chunk.count() > 0 && chunk.live() > 0,
                "chunks are in order and not wholly settled"
            );
            assert_eq!(chunk.settled().count(), chunk.count() - chunk.live());
            assert!(
                chunk.is(state::CLOSED) || at + 1 == self.chunks.len(),
                "only the last chunk is open"
            );
            assert!(
                chunk.is_resident() || chunk.is(state::CLOSED) && chunk.submitted == chunk.count(),
                "what left memory is in the store"
            );
            assert!(!chunk.is(state::LOADING) || !chunk.is_resident());
            assert!(!chunk.is(state::LEAVING) || chunk.is(state::IN_FLIGHT));
            assert!(chunk.collected <= chunk.count() && chunk.submitted <= chunk.count());
            end = chunk.end();
            live += u64::from(chunk.live());
            bytes += chunk.weight();
            paged += usize::from(!chunk.is_resident());
            submitted += usize::from(chunk.submitted > 0);
            let taken = if chunk.first >= self.cursor {
                0
            } else {
                chunk.index(self.cursor.min(end))
            };
            let aside = self
                .aside
                .as_ref()
                .map_or_else(Bits::default, |aside| aside.places(chunk.first, chunk.count()));
            ready += u64::from(Bits::of(taken..chunk.count()).without(chunk.settled()).without(aside).count());
            aside_count += u64::from(aside.count());
            let returned = self.returned.places(chunk.first, chunk.count());
            let skipped = self.skipped.places(chunk.first, chunk.count());
            assert!(
                skipped.and(returned.union(aside).union(chunk.settled())).is_empty() && skipped.without(Bits::of(0..taken)).is_empty(),
                "invariant 3: what was skipped is nothing else"
            );
            assert!(
                aside.and(chunk.settled()).is_empty() && aside.and(returned).is_empty(),
                "invariant 3: what is dead or delayed is nothing else"
            );
            if chunk.is_resident() {
                let due = chunk.dues(self.ready_places(at), None).1;
                assert!(chunk.due <= due || chunk.is(state::LOOKING), "nothing is due before its chunk");
                assert!(
                    !self.measured || chunk.bodies == chunk.body_bytes(self.ready_places(at)),
                    "bodies are counted"
                );
            }
            bodies += chunk.bodies;
            assert!(
                returned.and(chunk.settled()).is_empty() && returned.without(Bits::of(0..taken)).is_empty(),
                "invariant 3: ready once"
            );
        }
        assert!(end <= self.next && self.cursor <= self.next);
        assert_eq!((self.tally.bytes, self.paged, self.submitted_chunks), (bytes, paged, submitted));
        assert_eq!(
            self.tally.ready, ready,
            "invariant 3: ready is what came back and what was not taken"
        );
        assert_eq!(
            self.tally.live(),
            live,
            "invariant 3: a message is ready, unacked, delayed, dead or settled"
        );
        assert_eq!(self.tally.bodies, bodies);
        let dead = self.aside.as_ref().map_or(0, |aside| aside.dead_count());
        let delayed = self.aside.as_ref().map_or(0, |aside| aside.delayed.count());
        assert_eq!(
            (self.tally.dead, self.tally.delayed, self.tally.dead + self.tally.delayed),
            (dead, delayed, aside_count)
        );
        if let Some(aside) = &self.aside {
            let settled = |chunk: &Chunk, sequence| chunk.settled().contains(chunk.index(sequence));
            let chunk_of = |sequence| self.chunks.get(self.find(sequence)).filter(|chunk| chunk.first <= sequence);
            aside.invariants(
                |sequence| chunk_of(sequence).is_some_and(|chunk| !settled(chunk, sequence)),
                |first| {
                    self.find_exact(first)
                        .is_some_and(|at| self.chunks[at].due != NEVER && !self.chunks[at].is(state::DAMAGED))
                },
            );
        }
        assert!(
            self.durable || self.settled.is_empty() && !self.is_uncollected,
            "nothing of a queue that is not durable is logged"
        );
    }

    /// The next message is not in memory.
    fn waits(&self) -> bool {
        let next = self.returned.front().map_or(self.cursor, |(first, _)| first);
        self.chunks
            .get(self.find(next))
            .is_some_and(|chunk| !chunk.is_resident() && (chunk.is(state::LOADING) || chunk.is(state::DAMAGED)))
    }
}

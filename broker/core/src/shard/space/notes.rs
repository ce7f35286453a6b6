//! What an exchange is told of a space's tuples (`x-notify-exchange`): that they were put in, taken, given back, or ran out of time. Who has them told
//! pays for it; the others for a look at a flag.

use std::sync::Arc;

use crate::ids::Sequence;
use crate::record::Records;
use crate::settings::Settings;
use crate::shard::bits::Bits;
use crate::shard::common::Common;
use crate::shard::effects::{Effects, Event};
use crate::shard::lane::Lane;
use crate::shard::queue::Queue;

impl Queue {
    /// Takes tuples in, unless the index has no room for more.
    pub(crate) fn publish_tuples(
        &mut self,
        settings: &Arc<Settings>,
        records: Records<'_>,
        common: &mut Common,
        effects: &mut impl Effects,
    ) {
        let tuples = common.tuples.get(&self.id);
        if tuples.is_some_and(|tuples| tuples.index.has_room().is_err()) {
            return self.refuse(settings, records, effects);
        }
        let first = self.lanes.current().next;
        self.publish_set(settings, records, common, effects);
        if self.notifies(common) {
            let lane = self.lanes.current_mut();
            let next = lane.next;
            lane.note_run(Event::Write, first, next, effects);
        }
    }

    pub(super) fn notifies(&self, common: &Common) -> bool {
        common.tuples.get(&self.id).is_some_and(|tuples| tuples.notifies)
    }

    /// Tells of the tuples that came back. Those on disk are asked for first.
    pub(super) fn note_returned(&mut self, common: &mut Common, effects: &mut impl Effects) {
        let returned = match common.tuples.get_mut(&self.id) {
            Some(tuples) if !tuples.came_back.is_empty() => std::mem::take(&mut tuples.came_back),
            _ => return,
        };
        for sequence in returned {
            match self.at_hand(sequence, common, effects) {
                Some(true) => self.note_one(Event::Return, sequence, effects),
                Some(false) => self.space.iter_mut().for_each(|space| space.late_returns.push(sequence)),
                None => {}
            }
        }
    }

    /// Tells of a tuple in memory.
    pub(super) fn note_one(&mut self, event: Event, sequence: Sequence, effects: &mut impl Effects) {
        self.lanes.current_mut().note_run(event, sequence, sequence.plus(1), effects);
    }
}

impl Lane {
    /// Tells of a run, as far as it is there.
    fn note_run(&mut self, event: Event, first: Sequence, end: Sequence, effects: &mut impl Effects) {
        for at in self.find(first)..self.chunks.len() {
            let chunk = &self.chunks[at];
            if chunk.first >= end {
                return;
            }
            let places = Bits::of(chunk.places(first, end)).without(chunk.settled());
            self.note_places(event, at, places, effects);
        }
    }

    /// Places of a chunk in memory, whose time ran out.
    #[cold]
    pub(crate) fn note_expired(&mut self, at: usize, places: Bits, common: &Common, effects: &mut impl Effects) {
        if common.tuples.get(&self.id.queue).is_some_and(|tuples| tuples.notifies) {
            self.note_places(Event::Expire, at, places, effects);
        }
    }

    fn note_places(&mut self, event: Event, at: usize, places: Bits, effects: &mut impl Effects) {
        let queue = self.id.queue;
        let chunk = &mut self.chunks[at];
        for run in places.runs().filter(|_| chunk.is_resident()).collect::<Vec<_>>() {
            let count = run.len() as u32;
            let (_, _, bytes) = chunk.records(run, u64::MAX, 0);
            effects.noted(queue, event, Records { bytes, count });
        }
    }
}

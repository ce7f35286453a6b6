//! Messages that leave their queue otherwise than by a consumer: settled at once, or, if the queue has a dead-letter exchange, taken aside,
//! handed out and settled when that is answered.

use std::sync::Arc;

use crate::ids::{Millis, Sequence};
use crate::record::Records;
use crate::settings::Settings;
use crate::shard::Shard;
use crate::shard::bits::Bits;
use crate::shard::chunk::state;
use crate::shard::common::Common;
use crate::shard::effects::{Effects, Letter, Reason};
use crate::shard::lane::{Lane, lane_of};
use crate::shard::queue::Queue;
use crate::shard::timers::{Timer, What};

/// How long dead letters wait that nobody took, until they are offered again.
const OFFER_AGAIN_MS: u64 = 1000;

/// Whether messages of a queue with these settings go on to somewhere when they leave it.
pub(crate) fn keeps_dead(settings: Option<&Arc<Settings>>) -> bool {
    settings.is_some_and(|settings| settings.dead_letter.is_some() || settings.delays)
}

/// What became of an attempt to hand out what is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Posted {
    /// Nothing is left.
    All,
    /// The next ones, or some that come before them, are on disk.
    Waits,
    /// As much as was allowed.
    Some,
}

impl Shard {
    /// Hands out what is dead, as far as earlier letters were answered for.
    pub(crate) fn post(&mut self, effects: &mut impl Effects) {
        let mut budget = self.common.letters_room();
        while budget > 0
            && let Some(id) = self.common.lettering.pop_front()
        {
            let Some(queue) = self.queues.get_mut(&id.queue) else { continue };
            let (settings, common) = (&queue.settings, &mut self.common);
            let posted = queue.lanes.update(id.index, |lane| {
                lane.is_lettering = false;
                lane.post(settings.as_ref(), &mut budget, common, effects)
            });
            if posted == Some(Posted::Some) {
                queue
                    .lanes
                    .get_mut(id.index)
                    .into_iter()
                    .for_each(|lane| lane.mark_lettering(common));
            }
        }
    }
}

impl Queue {
    /// Deliveries were refused for good.
    pub(crate) fn reject(&mut self, first: Sequence, count: u32, common: &mut Common, effects: &mut impl Effects) {
        let keep = keeps_dead(self.settings.as_ref());
        self.lanes
            .update(lane_of(first), |lane| lane.reject(first, count, keep, common, effects));
        self.probe_ended(first, count, false, common.now);
    }

    /// The answer to a letter.
    pub(crate) fn dead_lettered(&mut self, first: Sequence, count: u32, taken: bool, common: &mut Common, effects: &mut impl Effects) {
        let end = first.plus(count.into());
        if taken {
            self.lanes.update(lane_of(first), |lane| lane.end_dead(first, end, common, effects));
        } else {
            let (at, queue, what) = (Millis(common.now.0 + OFFER_AGAIN_MS), self.id, What::Letters(first, end));
            common.timers.insert(Timer { at, queue, what });
        }
    }

    /// The dead ones of a run are handed out once more.
    pub(crate) fn offer_again(&mut self, first: Sequence, end: Sequence, common: &mut Common) -> u32 {
        self.lanes
            .get_mut(lane_of(first))
            .map_or(0, |lane| lane.offer_again(first, end, common))
    }
}

impl Lane {
    pub(crate) fn mark_lettering(&mut self, common: &mut Common) {
        if !self.is_lettering {
            self.is_lettering = true;
            common.lettering.push_back(self.id);
        }
    }

    /// Whether something is to be handed out.
    pub(crate) fn has_letters(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.has_letters())
    }

    fn reject(&mut self, first: Sequence, count: u32, keep: bool, common: &mut Common, effects: &mut impl Effects) {
        let end = first.plus(count.into()).min(self.cursor);
        let mut at = self.find(first);
        while let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.first < end) {
            let after = chunk.end();
            let places = self.unacked_places(at, first, end);
            if !places.is_empty() {
                self.tally.unacked -= u64::from(places.count());
                self.leave(at, places, Reason::Rejected, keep, common, effects);
            }
            at = self.find(after);
        }
    }

    /// Places of a chunk, which are neither ready nor unacked any more, leave the queue: if it is to `keep` the dead, not before somebody has
    /// taken them.
    pub(crate) fn leave(&mut self, at: usize, places: Bits, reason: Reason, keep: bool, common: &mut Common, effects: &mut impl Effects) {
        if reason == Reason::Expired {
            self.expired += u64::from(places.count());
            if self.of_space {
                self.note_expired(at, places, common, effects);
            }
        }
        if !keep {
            return self.settle_places(at, places, common, effects);
        }
        self.free_keys(at, places, common);
        let start = self.chunks[at].first;
        self.tally.dead += u64::from(places.count());
        let aside = self.aside.get_or_insert_default();
        let turn = aside.turn(reason, start, common.now);
        for (run, order) in self.chunks[at].letters(places, reason) {
            aside.bury((start.plus(run.start.into()), start.plus(run.end.into()), reason), (turn, order));
        }
        self.note_dead(at, places, reason, common);
        self.mark_lettering(common);
    }

    fn post(&mut self, settings: Option<&Arc<Settings>>, budget: &mut u32, common: &mut Common, effects: &mut impl Effects) -> Posted {
        while let Some((first, end, reason)) = self.aside.as_ref().and_then(|aside| aside.next_letter()) {
            let Some(settings) = settings.filter(|_| keeps_dead(settings)) else {
                // There is no dead-letter exchange any more.
                self.pop_letter();
                self.end_dead(first, end, common, effects);
                continue;
            };
            if *budget == 0 {
                return Posted::Some;
            }
            let at = self.find(first);
            let Some(chunk) = self.chunks.get_mut(at).filter(|chunk| !chunk.is(state::DAMAGED)) else {
                self.pop_letter();
                continue;
            };
            if !chunk.is_resident() {
                self.load(at, false, common, effects);
                return Posted::Waits;
            }
            let places = chunk.places(first, end);
            let (_, _, bytes) = chunk.records(places.clone(), u64::MAX, 0);
            let count = places.len() as u32;
            let records = Records { bytes, count };
            let queue = self.id.queue;
            effects.dead(Letter {
                queue,
                settings,
                first,
                reason,
                records,
            });
            *budget = budget.saturating_sub(count);
            common.letters_out += u64::from(count);
            self.pop_letter();
        }
        if self.has_letters() { Posted::Waits } else { Posted::All }
    }

    fn pop_letter(&mut self) {
        if let Some(aside) = &mut self.aside {
            aside.pop_letter();
        }
    }

    /// The dead ones of a run can go.
    fn end_dead(&mut self, first: Sequence, end: Sequence, common: &mut Common, effects: &mut impl Effects) {
        let Some(aside) = &mut self.aside else { return };
        for run in aside.dead_within(first, end) {
            self.aside.iter_mut().for_each(|aside| aside.settle(run));
            let (first, end, _) = run;
            self.tally.dead -= end.0 - first.0;
            let mut at = self.find(first);
            while let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.first < end) {
                let (after, places) = (chunk.end(), Bits::of(chunk.places(first, end)));
                self.settle_places(at, places, common, effects);
                at = self.find(after);
            }
        }
    }

    fn offer_again(&mut self, first: Sequence, end: Sequence, common: &mut Common) -> u32 {
        let Some(aside) = &self.aside else { return 0 };
        let (mut count, mut letters) = (0, Vec::new());
        for (first, end, reason) in aside.dead_within(first, end) {
            count += end.0 - first.0;
            for at in self.find(first)..self.chunks.len() {
                let chunk = &self.chunks[at];
                if chunk.first >= end {
                    break;
                }
                letters.push((first.max(chunk.first), end.min(chunk.end()), reason));
            }
        }
        if count > 0 {
            self.aside.iter_mut().for_each(|aside| aside.offer_again(letters.drain(..)));
            self.mark_lettering(common);
        }
        count as u32
    }
}

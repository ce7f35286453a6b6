//! How much a queue may hold: `x-max-length`, `x-max-length-bytes` and `x-overflow`, and how much it does. Both limits are about ready messages,
//! the second about their bodies only, as in RabbitMQ.
//!
//! Octets are counted only where a queue has a limit for them. They are exact but for messages that came back into a chunk which is not in
//! memory: these count as much as its average until it is loaded, and so do those of a chunk that was there before the limit.

use std::sync::Arc;

use crate::record::{Record, Records};
use crate::settings::{Overflow, Settings};
use crate::shard::Shard;
use crate::shard::bits::Bits;
use crate::shard::common::Common;
use crate::shard::effects::{Effects, Reason};
use crate::shard::fit::split;
use crate::shard::lane::Lane;
use crate::shard::letters::keeps_dead;
use crate::shard::queue::Queue;

/// Octets of a message's body, wherever it lies.
pub(crate) fn body_bytes(record: Record<'_>) -> u64 {
    record.body_ref().map_or(record.body().len() as u64, |body| body.size)
}

impl Shard {
    /// Drops what is above the limits of queues, as much as is allowed.
    pub(crate) fn shrink(&mut self, effects: &mut impl Effects) {
        let mut budget = self.common.limits.dispatch_records_max;
        while budget > 0
            && let Some(id) = self.common.crowded.pop_front()
        {
            let Some(queue) = self.queues.get_mut(&id) else { continue };
            queue.is_crowded = false;
            queue.shrink(&mut budget, &mut self.common, effects);
            // What it waited for may be gone.
            queue.activate(&mut self.common);
            if budget == 0 {
                queue.mark_crowded(&mut self.common);
            }
        }
    }
}

impl Queue {
    /// The most that it may hold, if messages at its head are to make room.
    fn drops_above(&self) -> Option<(u64, u64)> {
        let settings = self.settings.as_ref()?;
        let limited = settings.length_max.is_some() || settings.bytes_max.is_some();
        (limited && settings.overflow == Overflow::DropHead)
            .then(|| (settings.length_max.unwrap_or(u64::MAX), settings.bytes_max.unwrap_or(u64::MAX)))
    }

    /// The queue is in the shard's list of those that hold too much, if it does.
    pub(crate) fn mark_crowded(&mut self, common: &mut Common) {
        if let Some((length_max, bytes_max)) = self.drops_above()
            && !self.is_crowded
            && (self.tally().ready > length_max || self.tally().bodies > bytes_max)
        {
            self.is_crowded = true;
            common.crowded.push_back(self.id);
        }
    }

    /// What the queue is set to do has changed, as far as limits go.
    pub(crate) fn configure_limits(&mut self, common: &mut Common) {
        let measured = self.settings.as_ref().is_some_and(|settings| settings.bytes_max.is_some());
        if measured != self.lanes.current().measured {
            self.lanes.update_all(|lane| lane.measure(measured));
        }
        self.mark_crowded(common);
    }

    /// Takes a run into a queue that refuses what it has no room for. Whoever can take messages makes room.
    pub(crate) fn publish_or_refuse(
        &mut self,
        settings: &Arc<Settings>,
        mut records: Records<'_>,
        common: &mut Common,
        effects: &mut impl Effects,
    ) {
        loop {
            let (fitting, rest) = split(records, self.room(settings, records));
            if fitting.count > 0 {
                self.admit(settings, fitting, common);
            }
            records = rest;
            let ready = self.tally().ready;
            if records.count == 0 || !self.subscribers.any_in_turn() {
                break;
            }
            self.turn(common.limits.dispatch_records_max, common, effects);
            if self.tally().ready >= ready {
                break;
            }
        }
        if records.count > 0 {
            self.refuse(settings, records, effects);
        }
    }

    /// These messages are not taken in.
    pub(crate) fn refuse(&self, settings: &Arc<Settings>, records: Records<'_>, effects: &mut impl Effects) {
        let dead_letter = settings.overflow == Overflow::RejectPublishDeadLetter;
        effects.refused(self.id, settings, records, dead_letter);
        let bodies = records.iter().filter_map(Record::body_ref);
        bodies.for_each(|body| effects.released(body.id));
    }

    /// How many messages of a run it has room for.
    fn room(&self, settings: &Settings, records: Records<'_>) -> u64 {
        let tally = self.tally();
        let length = settings.length_max.map_or(u64::MAX, |max| max.saturating_sub(tally.ready));
        let Some(bytes_max) = settings.bytes_max else { return length };
        let mut bodies = tally.bodies;
        let fits = |record: &Record<'_>| {
            bodies += body_bytes(*record);
            bodies <= bytes_max
        };
        length.min(records.iter().take_while(fits).count() as u64)
    }

    /// Drops messages from the head, those of the highest priority first, as RabbitMQ does.
    fn shrink(&mut self, budget: &mut u32, common: &mut Common, effects: &mut impl Effects) {
        let Some((length_max, bytes_max)) = self.drops_above() else {
            return;
        };
        let keep = keeps_dead(self.settings.as_ref());
        while *budget > 0 {
            let (many, much) = (self.tally().ready.saturating_sub(length_max), self.tally().bodies > bytes_max);
            if many == 0 && !much {
                return;
            }
            let lane = self.lanes.current_mut();
            let Some(next) = lane.oldest_run() else { return };
            if lane.measured && !lane.chunks[next.at].is_resident() {
                return lane.load(next.at, false, common, effects);
            }
            let run = next.places.start..next.places.end.min(next.places.start.saturating_add((*budget).min(256) as u16));
            let excess = self.tally().bodies.saturating_sub(bytes_max);
            let chunk = &self.lanes.current().chunks[next.at];
            let most = if much { chunk.places_for(run.clone(), excess).into() } else { 0 };
            let dropped = (run.len() as u64).min(many.max(most)) as u16;
            let places = Bits::of(run.start..run.start + dropped);
            *budget = budget.saturating_sub(dropped.into());
            self.lanes.update(next.lane, |lane| {
                lane.withdraw(next.at, places);
                lane.leave(next.at, places, Reason::MaxLength, keep, common, effects);
            });
        }
    }
}

impl Lane {
    /// Octets of the bodies of these places; as many as is likely, if the chunk is not in memory.
    pub(crate) fn weigh(&self, at: usize, places: Bits) -> u64 {
        let chunk = &self.chunks[at];
        if chunk.is_resident() {
            return chunk.body_bytes(places);
        }
        chunk.weight() * u64::from(places.count()) / u64::from(chunk.count())
    }

    /// Octets of bodies are counted from now on, or are not.
    fn measure(&mut self, measured: bool) {
        self.measured = measured;
        (0..self.chunks.len()).for_each(|at| self.recount(at));
    }

    /// At a start a chunk on disk counts the bodies of all its unsettled messages: some of these are not ready.
    pub(crate) fn estimate_bodies(&mut self, at: usize) {
        let ready = u64::from(self.ready_places(at).count());
        let chunk = &mut self.chunks[at];
        let bodies = chunk.bodies * ready / u64::from(chunk.live()).max(1);
        self.tally.bodies = self.tally.bodies + bodies - chunk.bodies;
        chunk.bodies = bodies;
    }

    /// Counts the bodies of a chunk's ready messages anew.
    pub(crate) fn recount(&mut self, at: usize) {
        let bodies = if self.measured { self.weigh(at, self.ready_places(at)) } else { 0 };
        let chunk = &mut self.chunks[at];
        self.tally.bodies = self.tally.bodies + bodies - chunk.bodies;
        chunk.bodies = bodies;
    }
}

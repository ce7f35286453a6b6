//! Whose turn it is in a queue with groups: one message after the other, the oldest first that anybody may take.

use crate::ids::{ConsumerId, Millis, Sequence};
use crate::record::{Record, Records};
use crate::shard::bits::Bits;
use crate::shard::command::{GetOutcome, Got};
use crate::shard::common::Common;
use crate::shard::dispatch::OVERHEAD_BYTES;
use crate::shard::effects::{Delivery, Effects};
use crate::shard::groups::order;
use crate::shard::keys::Key;
use crate::shard::lane::{Lane, Next, lane_of};
use crate::shard::queue::Queue;

/// Waiting lines are not swept for fewer messages that are gone.
const SWEEP_MIN: u64 = 64;

/// A message that somebody may be given.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    sequence: Sequence,
    redelivered: bool,
    /// Its group, if it has one.
    key: Option<Key>,
    /// It waits in its group's line; else it is what the cursor or what came back is at.
    waits: bool,
}

/// What is next.
enum Found {
    /// This one.
    Message(Candidate),
    /// Nothing that may be delivered now.
    Nothing,
    /// A chunk that is being loaded.
    Loading,
    /// Something has changed: look again.
    Again,
}

impl Queue {
    /// As [`turn`](Self::turn), in a queue with groups.
    pub(crate) fn turn_grouped(&mut self, mut budget: u32, common: &mut Common, effects: &mut impl Effects) -> u32 {
        while budget > 0 && self.tally().ready > 0 && self.subscribers.any_in_turn() {
            let nudged = self.groups.as_mut().and_then(|groups| groups.nudged.pop_first());
            let (found, consumer) = if let Some(consumer) = nudged {
                if self.subscribers.is_in_turn(consumer) {
                    (self.next_of(consumer, common, effects), consumer)
                } else {
                    continue;
                }
            } else {
                let Some(consumer) = self.subscribers.in_turn().map(|subscriber| subscriber.consumer.id) else {
                    break;
                };
                (self.next_for(Some(consumer), common, effects), consumer)
            };
            match found {
                Found::Message(candidate) => {
                    self.hand(consumer, candidate, common, effects);
                    self.nudge(consumer);
                    budget -= 1;
                }
                // Skipping and looking are work, too.
                Found::Again => {
                    self.nudge(consumer);
                    budget -= 1;
                }
                Found::Nothing if nudged.is_some() => {}
                Found::Nothing => return budget,
                Found::Loading => {
                    self.nudge(consumer);
                    return budget;
                }
            }
        }
        self.activate(common);
        budget
    }

    /// The first message of the groups that a consumer holds.
    fn next_of(&mut self, consumer: ConsumerId, common: &mut Common, effects: &mut impl Effects) -> Found {
        let groups = self.groups.as_ref();
        let first = groups.and_then(|groups| groups.bound.get(&consumer)?.first().copied());
        first.map_or(Found::Nothing, |((_, sequence), key)| {
            self.waiting(sequence, key, false, common, effects)
        })
    }

    /// The first message of all groups that nobody holds, and of what was not looked at yet, for a consumer or for `basic.get`.
    fn next_for(&mut self, consumer: Option<ConsumerId>, common: &mut Common, effects: &mut impl Effects) -> Found {
        let free = self.groups.as_ref().and_then(|groups| groups.free.first().copied());
        let fresh = self.next_fresh(common).map(|next| {
            let lane = self.lanes.get(next.lane);
            let sequence = lane.map_or(Sequence(0), |lane| lane.chunks[next.at].first.plus(next.places.start.into()));
            (next, sequence)
        });
        match (free, fresh) {
            (Some(((lane, sequence), key)), fresh) if fresh.as_ref().is_none_or(|(_, fresh)| order(*fresh) > (lane, sequence)) => {
                self.waiting(sequence, key, consumer.is_none(), common, effects)
            }
            (_, Some((next, sequence))) => self.fresh(&next, sequence, consumer, common, effects),
            (_, None) => Found::Nothing,
        }
    }

    /// What is next of that was not skipped, unless too much was.
    fn next_fresh(&mut self, common: &Common) -> Option<Next> {
        let skipped = self.tally().skipped;
        if skipped >= common.limits.skipped_max.into() {
            return None;
        }
        let waiting = self.groups.as_ref().map_or(0, |groups| groups.waiting) as u64;
        if waiting > 2 * skipped + SWEEP_MIN {
            self.sweep_groups();
        }
        let mut ready = self.lanes.ready();
        while let Some(lane) = ready.last() {
            if let Some(next) = self.lanes.get_mut(lane as u8).and_then(Lane::next_run) {
                return Some(next);
            }
            ready = ready.without(Bits::of(lane..lane + 1));
        }
        None
    }

    /// A message in a waiting line, if it is still there. `again`: even if its chunk came back damaged before.
    fn waiting(&mut self, sequence: Sequence, key: Key, again: bool, common: &mut Common, effects: &mut impl Effects) -> Found {
        let lane = self.lanes.get(lane_of(sequence)).filter(|lane| lane.is_skipped(sequence));
        let Some(redelivered) = lane.map(|lane| lane.is_skipped_again(sequence)) else {
            if let Some(groups) = &mut self.groups {
                groups.wait_no_more(key, sequence);
            }
            return Found::Again;
        };
        if let Some(found) = self.unready(sequence, again, common, effects) {
            return found;
        }
        Found::Message(Candidate {
            sequence,
            redelivered,
            key: Some(key),
            waits: true,
        })
    }

    /// A message that nobody has looked at yet: it is skipped if its group is somebody else's, or others of it wait.
    fn fresh(
        &mut self,
        next: &Next,
        sequence: Sequence,
        consumer: Option<ConsumerId>,
        common: &mut Common,
        effects: &mut impl Effects,
    ) -> Found {
        if let Some(found) = self.unready(sequence, consumer.is_none(), common, effects) {
            return found;
        }
        let (Some(groups), Some(lane)) = (&mut self.groups, self.lanes.get_mut(next.lane)) else {
            return Found::Nothing;
        };
        let key = lane.record(sequence).and_then(|record| groups.key(record));
        let group = key.and_then(|key| groups.known.get(&key));
        let is_free = group.is_none_or(|group| {
            let own = group.holder.is_some() && group.holder == consumer;
            own && group.held > 0 && group.delayed == 0 && group.waiting.is_empty()
        });
        if let Some(key) = key.filter(|_| !is_free) {
            self.lanes.update(next.lane, |lane| lane.skip(sequence));
            groups.wait(key, sequence);
            return Found::Again;
        }
        Found::Message(Candidate {
            sequence,
            redelivered: next.redelivered,
            key,
            waits: false,
        })
    }

    /// Why a message cannot be delivered at once: its chunk is on disk, or it may be late.
    fn unready(&mut self, sequence: Sequence, again: bool, common: &mut Common, effects: &mut impl Effects) -> Option<Found> {
        let consumed = !self.subscribers.is_empty();
        let lane = self.lanes.get_mut(lane_of(sequence))?;
        let at = lane.find(sequence);
        let chunk = &lane.chunks[at];
        if !chunk.is_resident() {
            lane.load(at, again, common, effects);
            if sequence >= lane.cursor {
                lane.read_ahead(consumed, common, effects);
            }
            return Some(Found::Loading);
        }
        if chunk.due >= common.now {
            return None;
        }
        let (first, before_now) = (chunk.first, Millis(common.now.0 - 1));
        self.look(first, before_now, common, effects);
        Some(Found::Again)
    }

    /// Delivers a message to a consumer that is in line, unless its outlet or its channel cannot take it.
    fn hand(&mut self, id: ConsumerId, candidate: Candidate, common: &mut Common, effects: &mut impl Effects) {
        let term = self.term(common);
        let Some(subscriber) = self.subscribers.get(id) else { return };
        let Some(lane) = self.lanes.get_mut(lane_of(candidate.sequence)) else {
            return;
        };
        let consumer = &subscriber.consumer;
        let outlet = common.outlets.entry(consumer.outlet).or_default();
        if outlet.stalled || outlet.used >= common.limits.window_bytes {
            outlet.parked.push((self.id, id));
            if !std::mem::replace(&mut outlet.stalled, true) {
                effects.stalled(consumer.outlet);
            }
            return self.subscribers.park_one(id);
        }
        if consumer.is_limited() {
            let granted = effects.lend(consumer, 1) > 0;
            outlet.lent(consumer.channel, self.id, id, granted);
            if !granted {
                return self.subscribers.refuse_one(id);
            }
        }
        let at = lane.find(candidate.sequence);
        let returns = lane.returns_of(candidate.sequence);
        let chunk = &mut lane.chunks[at];
        let place = chunk.index(candidate.sequence);
        let (_, used, bytes) = chunk.records(place..place + 1, u64::MAX, OVERHEAD_BYTES);
        outlet.used += used;
        effects.deliver(Delivery {
            consumer,
            queue: self.id,
            first: candidate.sequence,
            redelivered: candidate.redelivered,
            term: consumer.term(term),
            returns,
            records: Records { bytes, count: 1 },
        });
        let no_ack = consumer.no_ack;
        self.subscribers.took_one(id);
        self.went_out(candidate, no_ack, Some(id), common, effects);
    }

    /// A message was delivered.
    fn went_out(
        &mut self,
        candidate: Candidate,
        no_ack: bool,
        holder: Option<ConsumerId>,
        common: &mut Common,
        effects: &mut impl Effects,
    ) {
        let sequence = candidate.sequence;
        if let (Some(groups), Some(key)) = (&mut self.groups, candidate.key) {
            if candidate.waits {
                groups.wait_no_more(key, sequence);
            }
            if !no_ack {
                groups.hold(key, sequence, holder);
            }
        }
        self.lanes.update(lane_of(sequence), |lane| {
            let at = lane.find(sequence);
            let place = lane.chunks[at].index(sequence);
            let places = place..place + 1;
            let settled = if no_ack { Bits::of(places.clone()) } else { Bits::default() };
            if candidate.waits {
                lane.take_skipped(at, place, settled, common, effects);
            } else {
                lane.take(at, places, settled, common, effects);
            }
        });
        self.probe_delivered(sequence, 1, no_ack, common.now);
    }

    /// As [`Shard::get`](crate::shard::Shard::get), in a queue with groups. Whoever takes a message holds its group, and shares it with nobody.
    pub(crate) fn get_grouped<E: Effects>(
        &mut self,
        no_ack: bool,
        common: &mut Common,
        effects: &mut E,
        take: impl FnOnce(Got<'_>),
    ) -> GetOutcome {
        let candidate = loop {
            match self.next_for(None, common, effects) {
                Found::Message(candidate) => break candidate,
                Found::Again => {}
                Found::Nothing => return GetOutcome::Empty,
                Found::Loading => return GetOutcome::Loading,
            }
        };
        let (term, remaining) = (self.term(common), self.tally().ready - 1);
        let Some(lane) = self.lanes.get_mut(lane_of(candidate.sequence)) else {
            return GetOutcome::Empty;
        };
        let returns = lane.returns_of(candidate.sequence);
        let Some(record) = lane.record(candidate.sequence) else {
            return GetOutcome::Empty;
        };
        take(Got {
            record,
            sequence: candidate.sequence,
            redelivered: candidate.redelivered,
            term,
            returns,
            remaining,
        });
        self.went_out(candidate, no_ack, None, common, effects);
        self.activate(common);
        GetOutcome::Taken
    }
}

impl Lane {
    /// A message in memory.
    fn record(&mut self, sequence: Sequence) -> Option<Record<'_>> {
        let at = self.find(sequence);
        let chunk = self.chunks.get_mut(at)?;
        chunk.record(chunk.index(sequence))
    }

    /// What [`next_run`](Self::next_run) gave is passed over.
    fn skip(&mut self, sequence: Sequence) {
        let end = sequence.plus(1);
        if self.returned.is_empty() {
            self.cursor = end;
        } else {
            self.returned.remove(sequence, end);
            self.skipped_again.insert(sequence, end);
        }
        self.skipped.insert(sequence, end);
        self.tally.skipped += 1;
    }
}

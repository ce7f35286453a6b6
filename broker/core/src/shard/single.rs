//! Messages that go out one at a time, because dispatch chooses among them: in queues with groups, and where consumers have filters. Which message is
//! next is decided there; here it is made sure that it can go out, and it goes.
//!
//! A message that is passed over is *skipped*: it stays ready, but lies below the cursor, in the lane's `skipped`.

use crate::channel::Term;
use crate::ids::{ConsumerId, Millis, QueueId, Sequence};
use crate::record::{Record, Records};
use crate::shard::bits::Bits;
use crate::shard::command::{GetOutcome, Got};
use crate::shard::common::Common;
use crate::shard::dispatch::OVERHEAD_BYTES;
use crate::shard::effects::{Consumer, Delivery, Effects};
use crate::shard::keys::Key;
use crate::shard::lane::{Lane, lane_of};
use crate::shard::queue::Queue;

/// A message that somebody may be given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) sequence: Sequence,
    pub(crate) redelivered: bool,
    /// Its group, if it has one.
    pub(crate) key: Option<Key>,
    /// It was skipped; else it is what the cursor or what came back is at.
    pub(crate) waits: bool,
}

/// Why a consumer cannot be given a message now.
pub(crate) enum Full {
    /// Its outlet's window is used up.
    Outlet,
    /// Its channel holds as many deliveries as it may.
    Channel,
}

/// What is next.
pub(crate) enum Found {
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
    /// Why a message cannot be delivered at once: its chunk is on disk, or it may be late.
    pub(crate) fn unready(&mut self, sequence: Sequence, again: bool, common: &mut Common, effects: &mut impl Effects) -> Option<Found> {
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

    /// Delivers a message to a consumer that is in line. False: its outlet or its channel cannot take it, and it is out of line.
    pub(crate) fn hand(&mut self, id: ConsumerId, candidate: Candidate, common: &mut Common, effects: &mut impl Effects) -> bool {
        let term = self.term(common);
        let (Some(subscriber), Some(lane)) = (self.subscribers.get(id), self.lanes.get_mut(lane_of(candidate.sequence))) else {
            return false;
        };
        let consumer = &subscriber.consumer;
        match common.room_for_one(consumer, self.id, effects) {
            Ok(()) => {}
            Err(Full::Outlet) => {
                self.subscribers.park_one(id);
                return false;
            }
            Err(Full::Channel) => {
                self.subscribers.refuse_one(id);
                return false;
            }
        }
        lane.deliver_one(
            candidate.sequence,
            candidate.redelivered,
            (consumer, self.id, term),
            common,
            effects,
        );
        let no_ack = consumer.no_ack;
        self.traffic.deliver(1, no_ack, candidate.redelivered);
        self.subscribers.took_one(id);
        self.went_out(candidate, no_ack, Some(id), common, effects);
        true
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

    /// As [`Shard::get`](crate::shard::Shard::get), where dispatch chooses among messages. Whoever takes a message holds its group, and shares it with
    /// nobody.
    pub(crate) fn get_single<E: Effects>(
        &mut self,
        no_ack: bool,
        common: &mut Common,
        effects: &mut E,
        take: impl FnOnce(Got<'_>),
    ) -> GetOutcome {
        let candidate = loop {
            let found = if self.groups.is_some() {
                self.next_for(None, common, effects)
            } else {
                self.next_unfiltered(common, effects)
            };
            match found {
                Found::Message(candidate) => break candidate,
                Found::Again => {}
                Found::Nothing => {
                    self.traffic.got_empty += 1;
                    return GetOutcome::Empty;
                }
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
        self.traffic.get(no_ack, candidate.redelivered);
        self.went_out(candidate, no_ack, None, common, effects);
        self.activate(common);
        GetOutcome::Taken
    }
}

impl Common {
    /// Whether the outlet and the channel of a queue's consumer take one message more. If not, it is told when they do.
    pub(crate) fn room_for_one(&mut self, consumer: &Consumer, queue: QueueId, effects: &mut impl Effects) -> Result<(), Full> {
        let outlet = self.outlets.entry(consumer.outlet).or_default();
        if outlet.stalled || outlet.used >= self.limits.window_bytes {
            outlet.parked.push((queue, consumer.id));
            if !std::mem::replace(&mut outlet.stalled, true) {
                effects.stalled(consumer.outlet);
            }
            return Err(Full::Outlet);
        }
        if consumer.is_limited() {
            let granted = effects.lend(consumer, 1) > 0;
            outlet.lent(consumer.channel, queue, consumer.id, granted);
            if !granted {
                return Err(Full::Channel);
            }
        }
        Ok(())
    }
}

impl Lane {
    /// Hands out one message in memory to a consumer that has [room](Common::room_for_one) for it, under the name of this queue.
    pub(crate) fn deliver_one(
        &mut self,
        sequence: Sequence,
        redelivered: bool,
        (consumer, queue, term): (&Consumer, QueueId, Term),
        common: &mut Common,
        effects: &mut impl Effects,
    ) {
        let at = self.find(sequence);
        let returns = self.returns_of(sequence);
        let chunk = &mut self.chunks[at];
        let place = chunk.index(sequence);
        let (_, used, bytes) = chunk.records(place..place + 1, u64::MAX, OVERHEAD_BYTES);
        common.outlets.entry(consumer.outlet).or_default().used += used;
        effects.deliver(Delivery {
            consumer,
            queue,
            first: sequence,
            redelivered,
            term: consumer.term(term),
            returns,
            records: Records { bytes, count: 1 },
        });
    }

    /// A message in memory.
    pub(crate) fn record(&mut self, sequence: Sequence) -> Option<Record<'_>> {
        let at = self.find(sequence);
        let chunk = self.chunks.get_mut(at)?;
        chunk.record(chunk.index(sequence))
    }

    /// What [`next_run`](Self::next_run) gave is passed over.
    pub(crate) fn skip(&mut self, sequence: Sequence) {
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

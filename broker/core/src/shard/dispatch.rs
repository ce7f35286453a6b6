//! Handing ready messages to consumers: in runs to one that is alone, in turns of one message to several.

use crate::ids::{Millis, QueueId};
use crate::record::{Record, Records};
use crate::shard::Shard;
use crate::shard::bits::Bits;
use crate::shard::command::{GetOutcome, Got};
use crate::shard::common::Common;
use crate::shard::effects::{Delivery, Effects};
use crate::shard::lane::Next;
use crate::shard::queue::Queue;

/// Messages that a queue hands out before it is the next queue's turn.
const TURN_RECORDS: u32 = 1024;
/// What a delivery takes of the window beside the message's own octets.
pub(crate) const OVERHEAD_BYTES: u64 = 64;

impl Shard {
    /// Delivers what can be delivered, at most `dispatch_records_max` messages, does what is due in portions of the same size, and pages out what memory has no room for. To be called at
    /// the end of every batch of commands; true if there is more to do, so that others get a chance in between.
    pub fn dispatch(&mut self, effects: &mut impl Effects) -> bool {
        self.forget_recovered(effects);
        let mut budget = self.common.limits.dispatch_records_max;
        while budget > 0
            && let Some(id) = self.common.active.pop_front()
        {
            let Some(queue) = self.queues.get_mut(&id) else { continue };
            queue.is_active = false;
            let turn = budget.min(TURN_RECORDS);
            budget -= turn - queue.turn(turn, &mut self.common, effects);
        }
        let more = self.attend(effects);
        self.spill(effects);
        more || !self.common.active.is_empty()
    }

    /// Takes the next message for `basic.get`. A message that was taken without `no_ack` is unacked until `Settle` or `Requeue`.
    pub fn get<E: Effects>(&mut self, queue: QueueId, no_ack: bool, effects: &mut E, take: impl FnOnce(Got<'_>)) -> GetOutcome {
        let Some(queue) = self.queues.get_mut(&queue) else {
            return GetOutcome::Empty;
        };
        queue.used(&mut self.common);
        if queue.is_paused() {
            return GetOutcome::Empty;
        }
        if queue.space.is_some() {
            return queue.get_tuple(no_ack, &mut self.common, effects, take);
        }
        if queue.groups.is_some() || queue.is_filtered() {
            return queue.get_single(no_ack, &mut self.common, effects, take);
        }
        let next = loop {
            let Some(next) = queue.next_run() else {
                queue.traffic.got_empty += 1;
                return GetOutcome::Empty;
            };
            if !queue.drop_late(&next, &mut self.common, effects) {
                break next;
            }
        };
        let term = queue.term(&self.common);
        let remaining = queue.tally().ready - 1;
        let lane = queue.lanes.current_mut();
        if !lane.chunks[next.at].is_resident() {
            lane.load(next.at, true, &mut self.common, effects);
            return GetOutcome::Loading;
        }
        let chunk = &mut lane.chunks[next.at];
        let places = next.places.start..next.places.start + 1;
        let sequence = chunk.first.plus(places.start.into());
        let (_, _, bytes) = chunk.records(places.clone(), u64::MAX, 0);
        let Some(record) = Record::first_of(bytes) else {
            unreachable!("what lies in a chunk is a record");
        };
        take(Got {
            record,
            sequence,
            redelivered: next.redelivered,
            term,
            returns: next.returns,
            remaining,
        });
        queue.traffic.get(no_ack, next.redelivered);
        let settled = if no_ack { Bits::of(places.clone()) } else { Bits::default() };
        let common = &mut self.common;
        queue
            .lanes
            .update(next.lane, |lane| lane.take(next.at, places, settled, common, effects));
        queue.probe_delivered(sequence, 1, no_ack, common.now);
        GetOutcome::Taken
    }
}

impl Queue {
    /// Delivers up to `budget` messages; returns what is left of it. The queue is in the list of active ones again if it can go on.
    pub(crate) fn turn(&mut self, mut budget: u32, common: &mut Common, effects: &mut impl Effects) -> u32 {
        if self.is_paused() {
            return budget;
        }
        let consumed = !self.subscribers.is_empty();
        if self.space.is_some() {
            return self.turn_space(budget, common, effects);
        }
        if self.lanes.current().paged > 0 {
            self.lanes.current_mut().read_ahead(consumed, common, effects);
        }
        if self.groups.is_some() {
            return self.turn_grouped(budget, common, effects);
        }
        if self.is_filtered() {
            return self.turn_filtered(budget, common, effects);
        }
        while budget > 0
            && self.subscribers.any_in_turn()
            && let Some(next) = self.next_run()
        {
            let lane = self.lanes.current_mut();
            if !lane.chunks[next.at].is_resident() {
                lane.load(next.at, false, common, effects);
                lane.read_ahead(consumed, common, effects);
                return budget;
            }
            if self.drop_late(&next, common, effects) {
                continue;
            }
            budget -= self.deliver(next, budget, common, effects);
        }
        self.activate(common);
        budget
    }

    /// Some of the next messages may be late, and their chunk is in memory: the late ones leave. Whatever is next then is to be found again.
    fn drop_late(&mut self, next: &Next, common: &mut Common, effects: &mut impl Effects) -> bool {
        let chunk = &self.lanes.current().chunks[next.at];
        if chunk.due >= common.now || !chunk.is_resident() {
            return false;
        }
        let (first, before_now) = (chunk.first, Millis(common.now.0 - 1));
        self.look(first, before_now, common, effects);
        true
    }

    /// Delivers messages of a run, up to `budget`, to those whose turn it is; parks those whose window is used up. Returns how many messages
    /// went out.
    fn deliver(&mut self, next: Next, budget: u32, common: &mut Common, effects: &mut impl Effects) -> u32 {
        let term = self.term(common);
        let chunk = &mut self.lanes.current_mut().chunks[next.at];
        let (mut at, end) = (
            next.places.start,
            next.places.end.min(next.places.start.saturating_add(budget.min(256) as u16)),
        );
        let first = chunk.first.plus(at.into());
        let mut settled = Bits::default();
        while at < end
            && let Some(subscriber) = self.subscribers.in_turn()
        {
            let consumer = &subscriber.consumer;
            let outlet = common.outlets.entry(consumer.outlet).or_default();
            let window = common.limits.window_bytes.saturating_sub(outlet.used);
            if window == 0 || outlet.stalled {
                outlet.parked.push((self.id, consumer.id));
                if !std::mem::replace(&mut outlet.stalled, true) {
                    effects.stalled(consumer.outlet);
                }
                self.subscribers.park();
                continue;
            }
            let most = if self.subscribers.one_in_turn() {
                subscriber.credit().min(u32::from(end - at)) as u16
            } else {
                1
            };
            let first = chunk.first.plus(at.into());
            let (mut upto, mut used, mut bytes) = chunk.records(at..at + most, window, OVERHEAD_BYTES);
            if consumer.is_limited() {
                let wanted = upto - at;
                let granted = effects.lend(consumer, wanted.into()).min(wanted.into()) as u16;
                outlet.lent(consumer.channel, self.id, consumer.id, granted > 0);
                if granted == 0 {
                    self.subscribers.refuse();
                    continue;
                }
                if granted < wanted {
                    (upto, used, bytes) = chunk.records(at..at + granted, window, OVERHEAD_BYTES);
                }
            }
            let records = Records {
                bytes,
                count: u32::from(upto - at),
            };
            outlet.used += used;
            effects.deliver(Delivery {
                consumer,
                queue: self.id,
                first,
                redelivered: next.redelivered,
                term: consumer.term(term),
                returns: next.returns,
                records,
            });
            if consumer.no_ack {
                settled.insert(Bits::of(at..upto));
            }
            self.traffic.deliver(records.count, consumer.no_ack, next.redelivered);
            self.subscribers.took(records.count);
            at = upto;
        }
        let places = next.places.start..at;
        let count = places.len() as u32;
        if count > 0 {
            self.lanes
                .update(next.lane, |lane| lane.take(next.at, places, settled, common, effects));
            self.probe_delivered(first, count, !settled.is_empty(), common.now);
        }
        count
    }
}

//! Single messages that are taken out of the middle of a queue by somebody who is no consumer: removed, or claimed while they are moved elsewhere.
//!
//! A claim is for one who publishes the message to other queues and then says whether it can go. In between it is nobody's: neither ready nor
//! delivered, and unsettled for journal and tables, as a dead letter is. Only ready and delayed messages can be had; the others are somebody's.

use crate::ids::{BodyId, QueueId, Sequence};
use crate::record::{Record, Records};
use crate::shard::Shard;
use crate::shard::bits::Bits;
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::lane::{Lane, lane_of};
use crate::shard::queue::Queue;

impl Shard {
    /// Settles those of these messages that are ready or delayed, without dead-lettering them. Says how many those were.
    pub fn remove(&mut self, queue: QueueId, sequences: &[Sequence], effects: &mut impl Effects) -> u32 {
        let common = &mut self.common;
        let Some(queue) = self.queues.get_mut(&queue) else { return 0 };
        let mut removed = 0;
        for &sequence in sequences {
            let done = queue.lanes.update(lane_of(sequence), |lane| {
                let (at, places) = lane.take_out(sequence)?;
                lane.settle_places(at, places, common, effects);
                Some(())
            });
            removed += u32::from(done.flatten().is_some());
        }
        // It may have waited for the chunk of one of these.
        queue.activate(common);
        removed
    }

    /// Claims those of these messages that are ready or delayed, and says which those are. Each is to be [released](Self::release). Call
    /// [`dispatch`](Self::dispatch) afterwards.
    #[must_use]
    pub fn claim(&mut self, queue: QueueId, sequences: &[Sequence]) -> Vec<Sequence> {
        let Some(queue) = self.queues.get_mut(&queue) else {
            return Vec::new();
        };
        let mut claim = |sequence| queue.lanes.update(lane_of(sequence), |lane| lane.claim(sequence)) == Some(true);
        let claimed = sequences.iter().copied().filter(|&sequence| claim(sequence)).collect();
        // It may have waited for the chunk of one of these.
        queue.activate(&mut self.common);
        claimed
    }

    /// The end of a claim: messages that are `gone` are settled, others are ready again at their old place. Call [`dispatch`](Self::dispatch) afterwards.
    pub fn release(&mut self, queue: QueueId, claimed: impl Iterator<Item = (Sequence, bool)>, effects: &mut impl Effects) {
        let Some(queue) = self.queues.get_mut(&queue) else { return };
        for (sequence, gone) in claimed {
            queue.end_claim(sequence, gone, &mut self.common, effects);
        }
        queue.mark_crowded(&mut self.common);
        queue.activate(&mut self.common);
    }

    /// Publishes another record of a message that is ready or delayed, and settles the one before. Returns the new one's sequence; `None`: it is not
    /// there, or somebody's. If its body lies apart, `retain` is called first: the new record refers to it too.
    pub fn replace<E: Effects>(
        &mut self,
        queue: QueueId,
        sequence: Sequence,
        record: Records<'_>,
        effects: &mut E,
        retain: impl FnOnce(BodyId) -> bool,
    ) -> Option<Sequence> {
        if self.claim(queue, &[sequence]).is_empty() {
            return None;
        }
        let queue_id = queue;
        let queue = self.queues.get_mut(&queue)?;
        let is_whole = record.iter().find_map(Record::body_ref).is_none_or(|body| retain(body.id));
        let ends = |queue: &Queue| queue.lanes.iter().map(|lane| lane.next).collect::<Vec<_>>();
        let mut next = None;
        if is_whole {
            let before = ends(queue);
            queue.publish(record, &mut self.common, effects);
            let last = ends(queue).into_iter().find(|end| !before.contains(end));
            next = last.map(|end| Sequence(end.0 - 1));
        }
        self.release(queue_id, [(sequence, next.is_some())].into_iter(), effects);
        next
    }
}

impl Queue {
    fn end_claim(&mut self, sequence: Sequence, gone: bool, common: &mut Common, effects: &mut impl Effects) {
        self.lanes.update(lane_of(sequence), |lane| {
            let Some((at, places)) = lane.end_claim(sequence) else { return };
            // A newer one with its key has come meanwhile: it must not come back.
            let replaced = lane.chunks[at].keys().is_some_and(|keys| !keys.replaced.and(places).is_empty());
            if gone || replaced {
                lane.settle_places(at, places, common, effects);
            } else if sequence < lane.cursor {
                lane.give_back(at, places, common);
            } else {
                lane.became_ready(at, places);
                lane.due_again(at, places, common);
            }
        });
    }
}

impl Lane {
    /// Makes a message neither ready nor delayed; what becomes of it comes next. `None` if it was neither.
    fn take_out(&mut self, sequence: Sequence) -> Option<(usize, Bits)> {
        let (at, place) = self.place_of(sequence)?;
        let (places, end) = (Bits::of(place..place + 1), sequence.plus(1));
        if self.ready_places(at).contains(place) {
            if self.measured {
                self.forget_bodies(at, places, 1);
            }
            self.returned.remove(sequence, end);
            if !self.skipped.is_empty() {
                self.forget_skipped(at, places);
            }
            self.tally.ready -= 1;
            return Some((at, places));
        }
        let aside = self.aside.as_mut()?;
        aside.delayed.within(sequence, end).next()?;
        aside.delayed.remove(sequence, end);
        self.tally.delayed -= 1;
        Some((at, places))
    }

    fn claim(&mut self, sequence: Sequence) -> bool {
        if self.take_out(sequence).is_none() {
            return false;
        }
        self.aside.get_or_insert_default().claimed.insert(sequence, sequence.plus(1));
        self.tally.dead += 1;
        true
    }

    fn end_claim(&mut self, sequence: Sequence) -> Option<(usize, Bits)> {
        let (at, place) = self.place_of(sequence)?;
        let (aside, end) = (self.aside.as_mut()?, sequence.plus(1));
        aside.claimed.within(sequence, end).next()?;
        aside.claimed.remove(sequence, end);
        self.tally.dead -= 1;
        Some((at, Bits::of(place..place + 1)))
    }
}

//! Whose turn it is in a queue with groups: one message after the other, the oldest first that anybody may take.

use crate::ids::{ConsumerId, Sequence};
use crate::shard::bits::Bits;
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::keys::Key;
use crate::shard::lane::{Lane, Next, lane_of, order};
use crate::shard::queue::Queue;
use crate::shard::single::{Candidate, Found};

/// Waiting lines are not swept for fewer messages that are gone.
const SWEEP_MIN: u64 = 64;

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
    pub(crate) fn next_for(&mut self, consumer: Option<ConsumerId>, common: &mut Common, effects: &mut impl Effects) -> Found {
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
}

//! Consumers with filters (`x-filter`, an extension of Stoa's): such a consumer gets only messages whose headers are like its template, oldest first. What
//! nobody's filter lets through stays in the queue, at its place and ready.
//!
//! Each consumer with a filter looks at every message once, in the order of delivery, and remembers how far it has come ([`Reader`]); what comes back to
//! a place that it has passed is looked at again. What it passes over at the cursor is skipped (`single.rs`), so that others get on with what is
//! behind. So a publish costs a look of each consumer in line, however many messages lie there that nobody wants.
//!
//! Everything here is in memory only. Among consumers of equal priority each takes what it finds; one of a lower priority gets nothing that one of a
//! higher, which could take it, has not looked at yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{ConsumerId, Sequence};
use crate::record::Record;
use crate::shard::bits::Bits;
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::keys::headers;
use crate::shard::lane::{Lane, LaneId, Order, lane_of, order};
use crate::shard::lanes::Lanes;
use crate::shard::queue::Queue;
use crate::shard::runs::Runs;
use crate::shard::single::{Candidate, Found};
use crate::space::Template;

/// Messages that a consumer looks at in vain before it is another's turn.
const LOOKS_MAX: u32 = 256;

/// Ranges of messages that came back which a consumer keeps in mind. With more of them it looks at all again from the first one on.
const AGAIN_MAX: usize = 1024;

/// How far a consumer with a filter has come.
#[derive(Debug)]
pub(crate) struct Reader {
    filter: Arc<Template>,
    /// In each lane, below what it has looked at everything that was ready. Never above the cursor.
    seen: BTreeMap<u8, Sequence>,
    /// Messages below that came back since. Some may be gone again.
    again: Runs,
}

impl Reader {
    pub(crate) fn new(filter: Arc<Template>) -> Box<Self> {
        Box::new(Self {
            filter,
            seen: BTreeMap::new(),
            again: Runs::default(),
        })
    }

    fn wants(&self, record: Record<'_>) -> bool {
        self.filter.matches_headers(headers(record).unwrap_or_default())
    }

    fn seen(&self, lane: LaneId) -> Sequence {
        self.seen.get(&lane.index).copied().unwrap_or(lane.start())
    }

    /// The first skipped message of a lane that it has not looked at since it was there.
    fn first_skipped(&mut self, lane: &Lane) -> Option<Sequence> {
        let seen = self.seen(lane.id);
        while let Some((first, end)) = self.again.first_within(lane.id.start(), seen) {
            match lane.skipped.first_within(first, end) {
                Some((skipped, _)) => return Some(skipped),
                None => self.again.remove(first, end),
            }
        }
        lane.skipped.first_within(seen, lane.cursor).map(|(first, _)| first)
    }

    /// It was given this message, or does not want it.
    fn pass(&mut self, lane: LaneId, sequence: Sequence) {
        if sequence < self.seen(lane) {
            self.again.remove(sequence, sequence.plus(1));
        } else {
            self.seen.insert(lane.index, sequence.plus(1));
        }
    }

    /// Messages came back.
    fn came_back(&mut self, lane: LaneId, first: Sequence, end: Sequence) {
        self.again.insert(first, end.min(self.seen(lane)));
        if self.again.len() <= AGAIN_MAX {
            return;
        }
        for (first, _) in self.again.take() {
            let seen = self.seen.entry(lane_of(first)).or_insert(first);
            *seen = first.min(*seen);
        }
    }

    /// It has come no further than the lanes have.
    pub(crate) fn invariants(&self, lanes: &Lanes) {
        for (&index, &seen) in &self.seen {
            assert!(
                lanes.get(index).is_some_and(|lane| seen <= lane.cursor),
                "nobody looks ahead of the cursor"
            );
        }
    }
}

/// Those of lower priority must not pass where those of higher ones are.
#[derive(Debug, Default)]
struct Fence {
    /// For the priority whose turn it is.
    at: Option<Order>,
    priority: i32,
    /// For those behind it.
    next: Option<Order>,
}

impl Fence {
    /// It is the turn of one of this priority.
    fn turn_of(&mut self, priority: i32) -> Option<Order> {
        if self.priority != priority {
            self.priority = priority;
            self.at = self.next;
        }
        self.at
    }

    /// The one whose turn it is has not looked at this yet.
    fn stops_at(&mut self, sequence: Sequence) {
        let at = order(sequence);
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

/// A ready message that somebody may look at.
#[derive(Clone, Copy, Debug)]
struct Place {
    sequence: Sequence,
    redelivered: bool,
    skipped: bool,
}

impl Queue {
    /// Dispatch chooses among messages: a consumer has a filter, or messages lie there that were skipped when one had.
    pub(crate) fn is_filtered(&self) -> bool {
        self.subscribers.any_filtered() || self.tally().skipped > 0
    }

    /// As [`turn`](Self::turn), where consumers have filters.
    pub(crate) fn turn_filtered(&mut self, mut budget: u32, common: &mut Common, effects: &mut impl Effects) -> u32 {
        self.skip_returned();
        let (mut at, mut looks, mut unfinished) = (0, 0, false);
        let mut fence = Fence::default();
        while budget > 0 && self.tally().ready > 0 {
            let Some(subscriber) = self.subscribers.in_line(at) else {
                if !unfinished {
                    return budget;
                }
                (at, unfinished, fence) = (0, false, Fence::default());
                continue;
            };
            let (id, priority) = (subscriber.consumer.id, subscriber.consumer.priority);
            let upto = fence.turn_of(priority);
            let place = self
                .place_for(Some(id), common)
                .filter(|place| upto.is_none_or(|upto| order(place.sequence) < upto));
            let found = place.map_or(Found::Nothing, |place| self.look_at(place, Some(id), common, effects));
            match (found, place) {
                (Found::Message(candidate), _) => {
                    if self.hand(id, candidate, common, effects) {
                        self.pass(id, candidate.sequence);
                        budget -= 1;
                    }
                    looks = 0;
                    continue;
                }
                (Found::Again, Some(place)) => {
                    budget -= 1;
                    looks += 1;
                    if looks < LOOKS_MAX {
                        continue;
                    }
                    unfinished = true;
                    fence.stops_at(place.sequence);
                }
                (Found::Loading, Some(place)) => fence.stops_at(place.sequence),
                _ => {}
            }
            at += 1;
            looks = 0;
        }
        self.activate(common);
        budget
    }

    /// The oldest ready message, for `basic.get`, in a queue where messages were skipped.
    pub(crate) fn next_unfiltered(&mut self, common: &mut Common, effects: &mut impl Effects) -> Found {
        self.skip_returned();
        match self.place_for(None, common) {
            Some(place) => self.look_at(place, None, common, effects),
            None => Found::Nothing,
        }
    }

    /// The first message that a consumer has not looked at; for one without a filter, or none, the first.
    fn place_for(&mut self, consumer: Option<ConsumerId>, common: &Common) -> Option<Place> {
        let mut reader = consumer.and_then(|id| self.subscribers.reader(id));
        let mut ready = self.lanes.ready();
        while let Some(index) = ready.last() {
            ready = ready.without(Bits::of(index..index + 1));
            let Some(lane) = self.lanes.get_mut(index as u8) else { continue };
            let skipped = match &mut reader {
                Some(reader) => reader.first_skipped(lane),
                None => lane.skipped.front().map(|(first, _)| first),
            };
            if let Some(sequence) = skipped {
                let redelivered = lane.is_skipped_again(sequence);
                let skipped = true;
                return Some(Place {
                    sequence,
                    redelivered,
                    skipped,
                });
            }
            if reader.is_some() && lane.skipped.len() >= common.limits.skipped_max as usize {
                return None;
            }
            if let Some(next) = lane.next_run() {
                return Some(Place {
                    sequence: lane.chunks[next.at].first.plus(next.places.start.into()),
                    redelivered: next.redelivered,
                    skipped: false,
                });
            }
        }
        None
    }

    /// A consumer looks at a message: it is passed over if it does not want it.
    fn look_at(&mut self, place: Place, consumer: Option<ConsumerId>, common: &mut Common, effects: &mut impl Effects) -> Found {
        let Place {
            sequence,
            redelivered,
            skipped,
        } = place;
        if let Some(found) = self.unready(sequence, consumer.is_none(), common, effects) {
            return found;
        }
        let reader = consumer.and_then(|id| self.subscribers.reader(id));
        let Some(lane) = self.lanes.get_mut(lane_of(sequence)) else {
            return Found::Nothing;
        };
        if let Some(reader) = reader
            && !lane.record(sequence).is_some_and(|record| reader.wants(record))
        {
            reader.pass(lane.id, sequence);
            if !skipped {
                self.lanes.update(lane_of(sequence), |lane| lane.skip(sequence));
            }
            return Found::Again;
        }
        Found::Message(Candidate {
            sequence,
            redelivered,
            key: None,
            waits: skipped,
        })
    }

    /// A consumer was given a message.
    fn pass(&mut self, consumer: ConsumerId, sequence: Sequence) {
        if let (Some(reader), Some(lane)) = (self.subscribers.reader(consumer), self.lanes.get(lane_of(sequence))) {
            reader.pass(lane.id, sequence);
        }
    }

    /// What came back is as if it had been skipped, and everybody looks at it again.
    fn skip_returned(&mut self) {
        let mut ready = self.lanes.ready();
        while let Some(index) = ready.last() {
            ready = ready.without(Bits::of(index..index + 1));
            let Some(lane) = self.lanes.get(index as u8).filter(|lane| !lane.returned.is_empty()) else {
                continue;
            };
            let id = lane.id;
            let runs = self.lanes.update(id.index, Lane::skip_returned_runs);
            for (first, end) in runs.unwrap_or_default() {
                self.subscribers.readers_mut().for_each(|reader| reader.came_back(id, first, end));
            }
        }
    }
}

impl Lane {
    /// Everything that came back is skipped.
    fn skip_returned_runs(&mut self) -> Vec<(Sequence, Sequence)> {
        let runs: Vec<_> = self.returned.take().collect();
        for &(first, end) in &runs {
            self.skipped.insert(first, end);
            self.skipped_again.insert(first, end);
            self.tally.skipped += end.0 - first.0;
        }
        runs
    }
}

//! What came back outlives a restart: how often, that it waits for its time, that it is dead, and that an attempt was under way. The journal
//! hears of it with the commit that collects next, for which nobody waits; the store with the chunk's index entry.
//!
//! An attempt that was under way when the broker went counts, as with RabbitMQ's quorum queues: there the log of the queue says who held a
//! message, and the loss of its holder is an unsuccessful attempt. So a message that takes the broker down with it does not do so for ever.
//! Where no commit had heard of the attempt it does not count.
//!
//! Standings only go up: of two that are known of a message the higher one is the later one. So a replay in which the table is ahead of the
//! journal, or that repeats itself, comes to the same, and no count goes back below what was durable. The price: an attempt that never reached
//! a consumer counts if a commit saw it under way and the broker crashes before the next checkpoint.

use std::ops::Range;

use crate::ids::{Millis, Sequence};
use crate::log::{LogRecord, LogWriter};
use crate::shard::Reason;
use crate::shard::bits::Bits;
use crate::shard::chunk::state;
use crate::shard::common::Common;
use crate::shard::lane::Lane;
use crate::shard::timers::{Timer, What};

/// Where a message stands that was delivered, or left, and is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How often it came back after an attempt; one that is under way is counted.
    pub returns: u32,
    /// What is to be done with it.
    pub stage: Stage,
}

/// What is to be done with a message after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A consumer had it: it is ready again, unless that was its last attempt.
    UnderWay,
    /// It is ready.
    Ready,
    /// It is ready again at this time.
    Delayed(Millis),
    /// It is handed out as a dead letter.
    Dead(Reason),
}

/// Octets of a standing.
pub(crate) const STANDING: usize = 13;

mod stage {
    pub(super) const UNDER_WAY: u8 = 1;
    pub(super) const READY: u8 = 2;
    pub(super) const DELAYED: u8 = 3;
    pub(super) const REJECTED: u8 = 4;
    pub(super) const MAX_LENGTH: u8 = 5;
    pub(super) const DELIVERY_LIMIT: u8 = 6;
    pub(super) const EXPIRED: u8 = 7;
    pub(super) const DUE: u8 = 8;
}

impl Standing {
    /// `stage u8  returns u32  until u64`: the time at which a delayed one is ready, 0 otherwise.
    #[must_use]
    pub(crate) fn encode(self) -> [u8; STANDING] {
        let (stage, until) = match self.stage {
            Stage::UnderWay => (stage::UNDER_WAY, 0),
            Stage::Ready => (stage::READY, 0),
            Stage::Delayed(until) => (stage::DELAYED, until.0),
            Stage::Dead(Reason::Rejected) => (stage::REJECTED, 0),
            Stage::Dead(Reason::MaxLength) => (stage::MAX_LENGTH, 0),
            Stage::Dead(Reason::DeliveryLimit) => (stage::DELIVERY_LIMIT, 0),
            Stage::Dead(Reason::Expired) => (stage::EXPIRED, 0),
            Stage::Dead(Reason::Due) => (stage::DUE, 0),
        };
        let mut octets = [0; STANDING];
        octets[0] = stage;
        octets[1..5].copy_from_slice(&self.returns.to_le_bytes());
        octets[5..].copy_from_slice(&until.to_le_bytes());
        octets
    }

    /// What [`encode`](Self::encode) wrote; `None` if a newer Stoa did.
    #[must_use]
    pub(crate) fn decode(octets: &[u8; STANDING]) -> Option<Self> {
        let [code, r0, r1, r2, r3, until @ ..] = *octets;
        let stage = match code {
            stage::UNDER_WAY => Stage::UnderWay,
            stage::READY => Stage::Ready,
            stage::DELAYED => Stage::Delayed(Millis(u64::from_le_bytes(until))),
            stage::REJECTED => Stage::Dead(Reason::Rejected),
            stage::MAX_LENGTH => Stage::Dead(Reason::MaxLength),
            stage::DELIVERY_LIMIT => Stage::Dead(Reason::DeliveryLimit),
            stage::EXPIRED => Stage::Dead(Reason::Expired),
            stage::DUE => Stage::Dead(Reason::Due),
            _ => return None,
        };
        Some(Self {
            returns: u32::from_le_bytes([r0, r1, r2, r3]),
            stage,
        })
    }

    /// The later of two. Who is dead stays so.
    pub(crate) fn later(self, other: Self) -> Self {
        let rank = |standing: Self| (matches!(standing.stage, Stage::Dead(_)), standing.returns, standing.stage);
        if rank(other) > rank(self) { other } else { self }
    }
}

/// Whether a restart must know that messages left for this reason. For the others it finds the reason again.
fn is_told(reason: Reason) -> bool {
    matches!(reason, Reason::Rejected | Reason::MaxLength | Reason::DeliveryLimit)
}

impl Lane {
    /// Something became of these places of a chunk that must outlive a restart.
    pub(crate) fn note(&mut self, at: usize, places: Bits, common: &mut Common) {
        let chunk = &mut self.chunks[at];
        if !self.durable || !chunk.is(state::PERSISTENT) {
            return;
        }
        let start = chunk.first;
        if chunk.submitted > 0 && !chunk.is(state::ENTRY_OLD) {
            chunk.state |= state::ENTRY_OLD;
            self.old_entries.push(start);
        }
        let aside = self.aside.get_or_insert_default();
        for run in places.runs() {
            aside.noted.insert(start.plus(run.start.into()), start.plus(run.end.into()));
        }
        self.mark_uncollected(common);
        self.mark_unstored(common);
    }

    /// The same of these, which have died.
    pub(crate) fn note_dead(&mut self, at: usize, places: Bits, reason: Reason, common: &mut Common) {
        if is_told(reason) {
            self.note(at, places, common);
        }
    }

    /// What a restart must know of these places of a chunk: runs in their order. Nothing of those that it would find ready, and for the first
    /// time, or would not find.
    pub(crate) fn standings(&self, at: usize, places: Bits) -> Vec<(Range<u16>, Standing)> {
        let mut standings = Vec::new();
        if !self.durable || self.aside.is_none() && !self.counted {
            return standings;
        }
        let chunk = &self.chunks[at];
        let (first, count) = (chunk.first, chunk.count());
        let places = places.without(chunk.gone());
        let ready = self.ready_places(at);
        let mut unacked = places.without(ready);
        let mut add = |run: Range<u16>, returns, stage| standings.push((run, Standing { returns, stage }));
        if let Some(aside) = &self.aside {
            unacked = unacked.without(aside.places(first, count));
            for (reason, dead) in aside.dead_places(first, count).filter(|(reason, _)| is_told(*reason)) {
                dead.and(places).runs().for_each(|run| add(run, 0, Stage::Dead(reason)));
            }
            for (run, end, until) in aside.delayed.within(first, first.plus(count.into())) {
                let delayed = Bits::of(chunk.places(run, end)).and(places);
                for run in delayed.runs() {
                    let returns = aside.returns(first.plus(run.start.into()), first.plus(run.end.into()));
                    returns.for_each(|(run, end, returns)| add(chunk.places(run, end), returns, Stage::Delayed(until)));
                }
            }
            // What is being moved away is ready again if that fails.
            for run in ready.union(aside.claimed.places(first, count)).and(places).runs() {
                let returns = aside.returns(first.plus(run.start.into()), first.plus(run.end.into()));
                let returned = returns.filter(|(_, _, returns)| *returns > 0);
                returned.for_each(|(run, end, returns)| add(chunk.places(run, end), returns, Stage::Ready));
            }
        }
        for run in unacked.runs().filter(|_| self.counted) {
            let Some(aside) = &self.aside else {
                add(run, 1, Stage::UnderWay);
                continue;
            };
            for (run, end, returns) in aside.returns(first.plus(run.start.into()), first.plus(run.end.into())) {
                add(chunk.places(run, end), returns.saturating_add(1), Stage::UnderWay);
            }
        }
        standings.sort_unstable_by_key(|(run, _)| run.start);
        standings
    }

    /// The journal hears of what was noted since the last time.
    pub(crate) fn collect_standings(&mut self, log: &mut LogWriter<'_>) {
        let Some(aside) = self.aside.as_mut().filter(|aside| !aside.noted.is_empty()) else {
            return;
        };
        let queue = self.id.queue;
        for (first, end) in aside.noted.take() {
            let mut at = self.find(first);
            while let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.first < end) {
                for (run, standing) in self.standings(at, Bits::of(chunk.places(first, end))) {
                    log.push(LogRecord::Stands {
                        queue,
                        first: chunk.first.plus(run.start.into()),
                        count: run.len() as u64,
                        standing,
                    });
                }
                at += 1;
            }
        }
    }

    /// The journal tells of messages: of those that are there, it is remembered until the end of the replay.
    pub(crate) fn replay_standing(&mut self, first: Sequence, end: Sequence, standing: Standing, common: &mut Common) {
        let mut at = self.find(first);
        while let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.first < end) {
            let places = Bits::of(chunk.places(first, end)).without(chunk.gone());
            self.remember(at, places, standing);
            let chunk = &mut self.chunks[at];
            if chunk.submitted > 0 && !chunk.is(state::ENTRY_OLD) {
                chunk.state |= state::ENTRY_OLD;
                self.old_entries.push(chunk.first);
            }
            self.mark_unstored(common);
            at += 1;
        }
    }

    /// At a start, of places of a chunk this is known, among other things.
    pub(crate) fn remember(&mut self, at: usize, places: Bits, standing: Standing) {
        let start = self.chunks[at].first;
        let aside = self.aside.get_or_insert_default();
        for run in places.runs() {
            let (first, end) = (start.plus(run.start.into()), start.plus(run.end.into()));
            for (first, end, known) in aside.restored.all_within(first, end) {
                let standing = known.map_or(standing, |known| known.later(standing));
                aside.restored.set(first, end, standing);
            }
        }
    }

    /// The replay is at its end, and all messages are ready: those that are known to stand elsewhere do so again. Who comes back for more than
    /// `limit` times is dead.
    pub(crate) fn resume_standings(&mut self, limit: u32, common: &mut Common) {
        let Some(restored) = self.aside.as_mut().map(|aside| std::mem::take(&mut aside.restored)) else {
            return;
        };
        for (first, end, standing) in restored.iter() {
            let mut at = self.find(first);
            while let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.first < end) {
                let places = Bits::of(chunk.places(first, end)).without(chunk.gone());
                places.runs().for_each(|run| self.resume(at, run, standing, limit, common));
                at += 1;
            }
        }
    }

    fn resume(&mut self, at: usize, run: Range<u16>, standing: Standing, limit: u32, common: &mut Common) {
        let (start, count) = (self.chunks[at].first, run.len() as u64);
        let (first, end) = (start.plus(run.start.into()), start.plus(run.end.into()));
        let aside = self.aside.get_or_insert_default();
        let dead = match standing.stage {
            Stage::Dead(reason) => Some(reason),
            Stage::UnderWay if standing.returns > limit => Some(Reason::DeliveryLimit),
            _ => None,
        };
        if let Some(reason) = dead {
            aside.bury((first, end, reason), (0, 0));
            self.tally.ready -= count;
            self.tally.dead += count;
            return self.mark_lettering(common);
        }
        aside.set_returns(first, end, standing.returns);
        if let Stage::Delayed(until) = standing.stage {
            aside.delayed.set(first, end, until);
            self.tally.ready -= count;
            self.tally.delayed += count;
            let (queue, what) = (self.id.queue, What::Return(first, end));
            common.timers.insert(Timer { at: until, queue, what });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Stage; 8] = [
        Stage::UnderWay,
        Stage::Ready,
        Stage::Delayed(Millis(0x0102)),
        Stage::Dead(Reason::Rejected),
        Stage::Dead(Reason::MaxLength),
        Stage::Dead(Reason::DeliveryLimit),
        Stage::Dead(Reason::Expired),
        Stage::Dead(Reason::Due),
    ];

    #[test]
    fn standings_read_back() {
        for (stage, code) in ALL.into_iter().zip(1..) {
            let standing = Standing { returns: 0x0304, stage };
            let octets = standing.encode();
            let until = if code == 3 { [2, 1] } else { [0, 0] };
            assert_eq!(octets, [code, 4, 3, 0, 0, until[0], until[1], 0, 0, 0, 0, 0, 0]);
            assert_eq!(Standing::decode(&octets), Some(standing));
        }
        assert_eq!(Standing::decode(&[9; STANDING]), None);
    }

    #[test]
    fn the_later_one_is_the_higher_one() {
        let of = |returns, stage| Standing { returns, stage };
        let order = [
            of(1, Stage::UnderWay),
            of(1, Stage::Ready),
            of(1, Stage::Delayed(Millis(5))),
            of(1, Stage::Delayed(Millis(6))),
            of(2, Stage::UnderWay),
            of(2, Stage::Delayed(Millis(1))),
            of(0, Stage::Dead(Reason::Rejected)),
        ];
        for (at, earlier) in order.iter().enumerate() {
            for later in &order[at..] {
                assert_eq!(earlier.later(*later), *later);
                assert_eq!(later.later(*earlier), *later);
            }
        }
    }
}

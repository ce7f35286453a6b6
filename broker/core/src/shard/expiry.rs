//! Messages and their time: which chunk must be looked at when, what leaves a chunk because its time has come, and how a queue stamps its
//! own limit (`x-message-ttl`) into what it takes.
//!
//! A chunk knows a time before which no ready message of it is due, mostly the exact one. So an expired message costs a look at its chunk,
//! wherever in the queue it is, and one that is consumed before costs nothing.

use crate::ids::{Millis, Sequence};
use crate::record::{DUE, PREFIX, Records, flags};
use crate::shard::bits::Bits;
use crate::shard::chunk::state;
use crate::shard::common::Common;
use crate::shard::effects::{Effects, Reason};
use crate::shard::fit::length_at;
use crate::shard::lane::{Lane, lane_of};
use crate::shard::letters::keeps_dead;
use crate::shard::queue::Queue;
use crate::shard::timers::{NEVER, Timer, UNKNOWN, What};

impl Queue {
    /// A chunk has something that may be due by `upto`: it leaves. Returns how many messages did.
    pub(crate) fn look(&mut self, chunk: Sequence, upto: Millis, common: &mut Common, effects: &mut impl Effects) -> u32 {
        let keep = keeps_dead(self.settings.as_ref());
        let reason = self.reason_of_dues();
        let done = self.lanes.update(lane_of(chunk), |lane| {
            let at = lane.find_exact(chunk)?;
            if lane.chunks[at].is_resident() {
                return Some(lane.expire(at, upto, reason, keep, common, effects));
            }
            lane.chunks[at].state |= state::LOOKING;
            if keep && reason == Reason::Expired {
                lane.aside.get_or_insert_default().begin_look(chunk, common.now);
            }
            lane.load(at, false, common, effects);
            None
        });
        // What it waited for may be gone.
        self.activate(common);
        done.flatten().unwrap_or(1)
    }

    /// What it means that a message of this queue is due.
    pub(crate) fn reason_of_dues(&self) -> Reason {
        match &self.settings {
            Some(settings) if settings.delays => Reason::Due,
            _ => Reason::Expired,
        }
    }
}

impl Lane {
    /// No ready message of a chunk is due before this.
    pub(crate) fn set_due(&mut self, at: usize, due: Millis, common: &mut Common) {
        let chunk = &mut self.chunks[at];
        if chunk.due == due && !chunk.is(state::LOOKING) {
            return;
        }
        let (queue, what) = (self.id.queue, What::Chunk(chunk.first));
        if chunk.due != NEVER && !chunk.is(state::LOOKING) {
            common.timers.remove(&Timer {
                at: chunk.due,
                queue,
                what,
            });
        }
        chunk.state &= !state::LOOKING;
        chunk.due = due;
        if due != NEVER {
            common.timers.insert(Timer { at: due, queue, what });
        }
    }

    /// Places of a chunk are ready again, whose time may have come meanwhile.
    pub(crate) fn due_again(&mut self, at: usize, places: Bits, common: &mut Common) {
        let chunk = &mut self.chunks[at];
        if !chunk.is(state::TIMED) || chunk.is(state::DAMAGED) {
            return;
        }
        let due = if chunk.is_resident() { chunk.dues(places, None).1 } else { UNKNOWN };
        let due = due.min(chunk.due);
        if chunk.is(state::LOOKING) {
            chunk.due = due;
        } else {
            self.set_due(at, due, common);
        }
    }

    /// The ready messages of a chunk in memory that are due by `upto` leave. Returns how many.
    pub(crate) fn expire(
        &mut self,
        at: usize,
        upto: Millis,
        reason: Reason,
        keep: bool,
        common: &mut Common,
        effects: &mut impl Effects,
    ) -> u32 {
        let first = self.chunks[at].first;
        let (due, next) = self.chunks[at].dues(self.ready_places(at), Some(upto));
        self.set_due(at, next, common);
        if !due.is_empty() {
            self.withdraw(at, due);
            self.leave(at, due, reason, keep, common, effects);
        }
        self.end_look(first, common);
        due.count().into()
    }

    /// What a chunk was looked at for has left.
    pub(crate) fn end_look(&mut self, chunk: Sequence, common: &mut Common) {
        if self.aside.as_mut().is_some_and(|aside| aside.end_look(chunk)) {
            self.mark_lettering(common);
        }
    }
}

/// Copies a run, with a time after which its messages expire unless they name an earlier one.
pub(crate) fn stamp(records: Records<'_>, due: Millis, out: &mut Vec<u8>) {
    out.clear();
    let mut rest = records.bytes;
    for record in records.iter() {
        let (octets, after) = rest.split_at(length_at(rest));
        rest = after;
        let start = out.len();
        out.extend_from_slice(&octets[..PREFIX]);
        if let Some(own) = record.due() {
            out.extend_from_slice(&own.min(due).0.to_le_bytes());
            out.extend_from_slice(&octets[PREFIX + DUE..]);
        } else {
            let length = (octets.len() + DUE) as u32;
            out[start..start + 4].copy_from_slice(&length.to_le_bytes());
            out[start + 4] |= flags::TIMED;
            out.extend_from_slice(&due.0.to_le_bytes());
            out.extend_from_slice(&octets[PREFIX..]);
        }
    }
}

/// Seconds, as powers of 64, that a slot of each level lasts.
const LEVELS: u64 = 4;

/// The lane of a message that is held back until `due`: 64 lanes of a second each, 64 of 64 seconds, 64 of 64² seconds, 63 of 64³ seconds, and
/// the last for all that is later. A lane is the slot that `due` is in, whenever it was sent, so that what is in a chunk falls due together.
pub(crate) fn slot(due: Millis, now: Millis) -> u8 {
    let (due, now) = (due.0 / 1000, now.0.min(due.0) / 1000);
    for level in 0..LEVELS {
        let slots = if level == LEVELS - 1 { 63 } else { 64 };
        let (slot, from) = (due >> (6 * level), now >> (6 * level));
        if slot - from < slots {
            return (level * 64 + slot % slots) as u8;
        }
    }
    u8::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Head, Record};

    #[test]
    fn a_slot_is_as_fine_as_the_time_is_near() {
        let now = 1_000_000_000;
        let s = |seconds: u64| slot(Millis((now + seconds) * 1000 + 999), Millis(now * 1000));
        let of = |level: u64, seconds: u64, slots: u64| (level * 64 + ((now + seconds) >> (6 * level)) % slots) as u8;
        for (seconds, lane) in [
            (0, of(0, 0, 64)),
            (63, of(0, 63, 64)),
            (64, of(1, 64, 64)),
            (4000, of(1, 4000, 64)),
            (5000, of(2, 5000, 64)),
            (200_000, of(2, 200_000, 64)),
            (300_000, of(3, 300_000, 63)),
            (16_000_000, of(3, 16_000_000, 63)),
            (17_000_000, 255),
            (u64::MAX / 2000, 255),
        ] {
            assert_eq!(s(seconds), lane, "in {seconds} s");
        }
        assert_eq!(slot(Millis(5), Millis(1 << 40)), 0, "the past");
    }

    #[test]
    fn a_stamp_is_an_upper_limit() {
        let head = Head {
            flags: flags::PERSISTENT,
            priority: 3,
            due: None,
            envelope: b"\0\x01q",
            header: b"header",
        };
        let mut run = Vec::new();
        head.push(&mut run, b"one");
        Head {
            due: Some(Millis(5)),
            ..head
        }
        .push(&mut run, b"two");
        Head {
            due: Some(Millis(50)),
            ..head
        }
        .push(&mut run, b"three");
        let mut out = b"old".to_vec();
        stamp(Records { bytes: &run, count: 3 }, Millis(10), &mut out);
        let stamped: Vec<Record<'_>> = Records { bytes: &out, count: 3 }.iter().collect();
        let dues: Vec<_> = stamped.iter().filter_map(|record| record.due()).collect();
        assert_eq!(dues, [Millis(10), Millis(5), Millis(10)]);
        let bodies: Vec<_> = stamped.iter().map(|record| record.body()).collect();
        assert_eq!(bodies, [&b"one"[..], b"two", b"three"]);
        assert!(
            stamped
                .iter()
                .all(|record| record.priority() == 3 && record.is_persistent() && record.header() == b"header")
        );
    }
}

//! How long messages wait in a queue and how long they are held, seen by probes: of every queue one message at a time is followed from its publish to its
//! settlement. So it costs a comparison a run of messages, whatever their number, and a queue without samples has nothing in memory for it.

use crate::ids::{Millis, QueueId, Sequence};
use crate::shard::Shard;
use crate::shard::browse::MessageState;
use crate::shard::histogram::Histogram;
use crate::shard::queue::Queue;

/// The message that is followed, and since when it is where it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Probe {
    #[default]
    None,
    Waits {
        sequence: Sequence,
        since: Millis,
        /// It was where it should be then.
        seen_at: Millis,
    },
    Held {
        sequence: Sequence,
        since: Millis,
        seen_at: Millis,
    },
}

/// What probes found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// From a message's arrival to its first delivery.
    pub queue: Histogram,
    /// From that to its acknowledgement or rejection.
    pub ack: Histogram,
    /// Messages that were not consumed in time: they expired. All are counted, and not only those that a probe followed.
    pub expired: u64,
}

/// A probe is looked after this often: its message may have left the queue otherwise.
const LOOK_AFTER_MS: u64 = 1000;

impl Latency {
    /// Adds what was seen elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.queue.add(&other.queue);
        self.ack.add(&other.ack);
        self.expired += other.expired;
    }
}

impl Shard {
    /// Adds what was seen of a queue's messages.
    pub fn add_latency(&self, queue: QueueId, to: &mut Latency) {
        if let Some(queue) = self.queues.get(&queue) {
            queue.add_latency(to);
        }
    }

    /// What was seen of the messages of queues that have been deleted.
    #[must_use]
    pub fn departed_latency(&self) -> &Latency {
        &self.departed.latency
    }

    /// What was seen of a queue's messages since it was declared or the broker started; `None` if there is no such queue.
    #[must_use]
    pub fn latency(&self, queue: QueueId) -> Option<Latency> {
        let queue = self.queues.get(&queue)?;
        let observed = queue.observed.as_deref().cloned().unwrap_or_default();
        Some(Latency {
            expired: queue.lanes.iter().map(|lane| lane.expired).sum(),
            ..observed
        })
    }
}

impl Queue {
    pub(crate) fn add_latency(&self, to: &mut Latency) {
        if let Some(observed) = &self.observed {
            to.queue.add(&observed.queue);
            to.ack.add(&observed.ack);
        }
        to.expired += self.lanes.iter().map(|lane| lane.expired).sum::<u64>();
    }

    /// A run of messages has arrived. The first of it is followed if no other one is.
    #[inline]
    pub(crate) fn probe_published(&mut self, first: Sequence, now: Millis) {
        let seen_at = match self.probe {
            Probe::None => return self.begin_probe(first, now),
            Probe::Waits { seen_at, .. } | Probe::Held { seen_at, .. } => seen_at,
        };
        if now.0 > seen_at.0 + LOOK_AFTER_MS {
            self.look_after_probe(first, now);
        }
    }

    fn begin_probe(&mut self, sequence: Sequence, now: Millis) {
        let is_held_back = self.settings.as_ref().is_some_and(|settings| settings.delays);
        // Before the first reading of the clock no time can be taken.
        if !is_held_back && now > Millis(0) {
            self.probe = Probe::Waits {
                sequence,
                since: now,
                seen_at: now,
            };
        }
    }

    #[cold]
    fn look_after_probe(&mut self, first: Sequence, now: Millis) {
        let (sequence, right) = match self.probe {
            Probe::None => return,
            Probe::Waits { sequence, .. } => (sequence, MessageState::Ready),
            Probe::Held { sequence, .. } => (sequence, MessageState::Unacked),
        };
        if self.state_of(sequence) != Some(right) {
            return self.begin_probe(first, now);
        }
        match &mut self.probe {
            Probe::None => {}
            Probe::Waits { seen_at, .. } | Probe::Held { seen_at, .. } => *seen_at = now,
        }
    }

    /// A run was delivered; `settled`: with that it is gone.
    #[inline]
    pub(crate) fn probe_delivered(&mut self, first: Sequence, count: u32, settled: bool, now: Millis) {
        if let Probe::Waits { sequence, since, .. } = self.probe
            && is_in(sequence, first, count)
        {
            self.observed.get_or_insert_default().queue.record(now.0.saturating_sub(since.0));
            self.probe = if settled {
                Probe::None
            } else {
                Probe::Held {
                    sequence,
                    since: now,
                    seen_at: now,
                }
            };
        }
    }

    /// A run was acknowledged or rejected, or comes back (`returned`).
    #[inline]
    pub(crate) fn probe_ended(&mut self, first: Sequence, count: u32, returned: bool, now: Millis) {
        if let Probe::Held { sequence, since, .. } = self.probe
            && is_in(sequence, first, count)
        {
            self.probe = Probe::None;
            if !returned {
                self.observed.get_or_insert_default().ack.record(now.0.saturating_sub(since.0));
            }
        }
    }
}

fn is_in(sequence: Sequence, first: Sequence, count: u32) -> bool {
    sequence >= first && sequence.0 - first.0 < u64::from(count)
}

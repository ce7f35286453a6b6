//! Messages that come back: to their old place, at once or after a while; counted, where the queue does so; and the last time not at all.
//!
//! Which returns count: all that follow an attempt, whether the consumer gave the message back or was lost, as in RabbitMQ's quorum queues up to
//! 4.2. (RabbitMQ 4.3 leaves out those by `basic.nack`, but counts those by `basic.reject`, which clients take for the same.)

use crate::ids::{Millis, Sequence};
use crate::settings::{Retry, RetryOf, Settings};
use crate::shard::ReturnCause;
use crate::shard::bits::Bits;
use crate::shard::chunk::state;
use crate::shard::common::Common;
use crate::shard::effects::{Effects, Reason};
use crate::shard::lane::{Lane, lane_of};
use crate::shard::letters::keeps_dead;
use crate::shard::queue::Queue;
use crate::shard::timers::{Timer, What};

/// What a queue does with messages that come back after an attempt.
#[derive(Clone, Copy, Debug)]
struct Terms {
    limit: u32,
    retry: Option<Retry>,
    keep: bool,
}

impl Terms {
    /// `None` if they simply are ready again.
    fn of(settings: &Settings, cause: ReturnCause, keep: bool) -> Option<Self> {
        let retries = |retry: &Retry| match retry.of {
            RetryOf::All => true,
            RetryOf::Failed => cause == ReturnCause::Lost,
            RetryOf::Returned => cause == ReturnCause::GivenBack,
        };
        (counts_returns(settings) && cause != ReturnCause::Undelivered).then(|| Self {
            limit: settings.delivery_limit.unwrap_or(u32::MAX),
            retry: settings.retry.filter(retries),
            keep,
        })
    }
}

/// Whether a queue with these settings counts how often messages come back.
pub(crate) fn counts_returns(settings: &Settings) -> bool {
    settings.counts_deliveries || settings.delivery_limit.is_some() || settings.retry.is_some()
}

/// How long a message waits that came back for the `returns`-th time.
fn delay_ms(retry: &Retry, returns: u32) -> u64 {
    let delay = match retry.multiplier_percent {
        None => retry.min_ms.saturating_mul(returns.into()),
        Some(percent) => {
            // Growing for longer than this does not matter: any delay is at its maximum, or does not grow.
            let times = returns.saturating_sub(1).min(1000);
            let grow = |delay: u64, _| delay.saturating_mul(percent.into()) / 100;
            let grown = (0..times).try_fold(
                retry.min_ms,
                |delay, n| if delay >= retry.max_ms { Err(delay) } else { Ok(grow(delay, n)) },
            );
            grown.unwrap_or_else(|most| most)
        }
    };
    delay.min(retry.max_ms)
}

impl Queue {
    /// What the queue is set to do has changed, as far as counting goes.
    pub(crate) fn configure_returns(&mut self) {
        let counted = self.settings.as_deref().is_some_and(counts_returns);
        if counted != self.lanes.current().counted {
            self.lanes.update_all(|lane| lane.counted = counted);
        }
    }

    /// Unacked messages come back.
    pub(crate) fn requeue(&mut self, first: Sequence, count: u32, cause: ReturnCause, common: &mut Common, effects: &mut impl Effects) {
        self.settle_replaced(first, count, common, effects);
        let keep = keeps_dead(self.settings.as_ref());
        let terms = self.settings.as_ref().and_then(|settings| Terms::of(settings, cause, keep));
        self.lanes
            .update(lane_of(first), |lane| lane.requeue(first, count, terms, keep, common, effects));
        self.probe_ended(first, count, true, common.now);
        self.mark_crowded(common);
        self.activate(common);
    }

    /// The wait of returned messages is over.
    pub(crate) fn end_delay(&mut self, first: Sequence, end: Sequence, common: &mut Common) -> u32 {
        let ready = self.lanes.update(lane_of(first), |lane| lane.end_delay(first, end, common));
        self.regroup_delayed(first, end);
        self.mark_crowded(common);
        self.activate(common);
        ready.unwrap_or(0)
    }
}

impl Lane {
    fn requeue(&mut self, first: Sequence, count: u32, terms: Option<Terms>, keep: bool, common: &mut Common, effects: &mut impl Effects) {
        let end = first.plus(count.into()).min(self.cursor);
        let mut at = self.find(first);
        while let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.first < end) {
            let (start, after) = (chunk.first, chunk.end());
            let places = self.unacked_places(at, first, end);
            if !places.is_empty() {
                self.tally.unacked -= u64::from(places.count());
                match terms {
                    None => self.give_back(at, places, common),
                    Some(terms) => self.give_back_on(at, places, terms, common, effects),
                }
                self.expire_returned(start, places, keep, common, effects);
            }
            at = self.find(after);
        }
    }

    /// Places of a chunk are ready again.
    pub(crate) fn give_back(&mut self, at: usize, places: Bits, common: &mut Common) {
        if places.is_empty() {
            return;
        }
        let start = self.chunks[at].first;
        if self.of_space {
            self.give_back_tuples(at, places, common);
            self.became_ready(at, places);
            return self.due_again(at, places, common);
        }
        for run in places.runs() {
            // Those behind the cursor are ready by that.
            let end = start.plus(run.end.into()).min(self.cursor);
            self.returned.insert(start.plus(run.start.into()), end);
        }
        self.became_ready(at, places);
        self.due_again(at, places, common);
    }

    /// Of what came back to a chunk, that leaves whose time is over, be it at this very moment: only a message that has just arrived may still
    /// be delivered then (RabbitMQ, a time to live of 0).
    fn expire_returned(&mut self, chunk: Sequence, places: Bits, keep: bool, common: &mut Common, effects: &mut impl Effects) {
        let Some(at) = self.find_exact(chunk).filter(|&at| {
            let chunk = &self.chunks[at];
            chunk.is(state::TIMED) && chunk.is_resident() && chunk.due <= common.now
        }) else {
            return;
        };
        let returned = self.ready_places(at).and(places);
        let (due, _) = self.chunks[at].dues(returned, Some(common.now));
        if !due.is_empty() {
            self.withdraw(at, due);
            self.leave(at, due, Reason::Expired, keep, common, effects);
        }
    }

    /// Places of a chunk come back after an attempt: each is ready, delayed, or dead.
    fn give_back_on(&mut self, at: usize, places: Bits, terms: Terms, common: &mut Common, effects: &mut impl Effects) {
        let start = self.chunks[at].first;
        let aside = self.aside.get_or_insert_default();
        let (mut ready, mut dead) = (Bits::default(), Bits::default());
        for run in places.runs() {
            for (first, end, returns) in aside.count_returns(start.plus(run.start.into()), start.plus(run.end.into())) {
                let places = Bits::of(self.chunks[at].places(first, end));
                if returns > terms.limit {
                    dead.insert(places);
                } else if let Some(delay) = terms.retry.map(|retry| delay_ms(&retry, returns)).filter(|&delay| delay > 0) {
                    let (queue, what) = (self.id.queue, What::Return(first, end));
                    let at = Millis(common.now.0.saturating_add(delay));
                    aside.delayed.set(first, end, at);
                    self.tally.delayed += end.0 - first.0;
                    common.timers.insert(Timer { at, queue, what });
                } else {
                    ready.insert(places);
                }
            }
        }
        self.note(at, places, common);
        self.give_back(at, ready, common);
        if !dead.is_empty() {
            dead.runs().for_each(|run| self.forget_returns(at, run));
            self.leave(at, dead, Reason::DeliveryLimit, terms.keep, common, effects);
        }
    }

    fn end_delay(&mut self, first: Sequence, end: Sequence, common: &mut Common) -> u32 {
        let Some(aside) = &mut self.aside else { return 0 };
        let runs: Vec<_> = aside.delayed.within(first, end).map(|(first, end, _)| (first, end)).collect();
        let mut count = 0;
        for (first, end) in runs {
            self.aside.iter_mut().for_each(|aside| aside.delayed.remove(first, end));
            count += end.0 - first.0;
            for at in self.find(first)..self.chunks.len() {
                let chunk = &self.chunks[at];
                if chunk.first >= end {
                    break;
                }
                let places = Bits::of(chunk.places(first, end));
                self.give_back(at, places, common);
            }
        }
        self.tally.delayed -= count;
        count as u32
    }

    /// All that is delayed is ready again, at once.
    pub(crate) fn end_delays(&mut self, common: &mut Common) {
        if self.tally.delayed > 0 {
            self.end_delay(self.id.start(), self.next, common);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_a_maximum() {
        let retry = |multiplier_percent| Retry {
            of: RetryOf::All,
            min_ms: 100,
            max_ms: 1000,
            multiplier_percent,
        };
        let cases: [(Option<u32>, [u64; 5]); 4] = [
            (None, [100, 200, 300, 1000, 1000]),
            (Some(200), [100, 200, 400, 1000, 1000]),
            (Some(150), [100, 150, 225, 1000, 1000]),
            (Some(100), [100, 100, 100, 100, 100]),
        ];
        for (multiplier, expected) in cases {
            let delays = [1, 2, 3, 10, u32::MAX].map(|returns| delay_ms(&retry(multiplier), returns));
            assert_eq!(delays, expected, "{multiplier:?}");
        }
    }
}

//! Deliveries that wait for their settlement, by tag, and how long they may.

use std::collections::VecDeque;

use crate::ids::{ConsumerId, DeliveryTag, Millis, QueueId, Sequence};

/// How long a delivery may be held (RabbitMQ: delivery acknowledgement timeout, `x-consumer-timeout`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// When it went out.
    pub since: Millis,
    /// For how long it may be held; 0: for ever.
    pub timeout_ms: u64,
}

/// Deliveries that went out within this time are one run: their timeout comes late by as much at most, and never early, and an age is as exact as that.
const MERGED_MS: u64 = 1000;

/// No delivery will ever be overdue.
const NEVER: Millis = Millis(u64::MAX);

impl Term {
    /// From when on a run that began so is overdue.
    fn end(self) -> Millis {
        match self.timeout_ms {
            0 => NEVER,
            timeout_ms => Millis(self.since.0.saturating_add(timeout_ms).saturating_add(MERGED_MS)),
        }
    }

    fn takes_in(self, next: Self) -> bool {
        self.timeout_ms == next.timeout_ms && next.since.0 <= self.since.0.saturating_add(MERGED_MS)
    }
}

/// A run of deliveries that were settled or that go back, as `Command::Settle` and `Command::Requeue` want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The queue they came from.
    pub queue: QueueId,
    /// Who they went to; `None` for `basic.get`.
    pub consumer: Option<ConsumerId>,
    /// The sequence of the first.
    pub first: Sequence,
    /// How many, with consecutive sequences.
    pub count: u32,
}

/// The tag is not outstanding on this channel (AMQP 0-9-1: a channel exception, 406).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown delivery tag {0}")]
pub struct UnknownDeliveryTag(pub DeliveryTag);

/// What a channel was delivered and has not settled, as runs: a flood in order is one run.
#[derive(Debug)]
pub struct Unacked {
    /// The last tag that was given out.
    last: u64,
    /// In the order of their tags.
    runs: VecDeque<Run>,
    sum: Sum,
    /// What went to consumers and was set aside: it still counts as held.
    aside: u64,
    /// No run is overdue before this.
    overdue_from: Millis,
}

/// Deliveries that are not settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    all: u64,
    /// Of these, what went to consumers.
    held: u64,
}

impl Sum {
    fn add(&mut self, what: &Settled) {
        self.all += u64::from(what.count);
        self.held += if what.consumer.is_some() { what.count.into() } else { 0 };
    }

    fn subtract(&mut self, what: &Settled) {
        self.all -= u64::from(what.count);
        self.held -= if what.consumer.is_some() { what.count.into() } else { 0 };
    }
}

impl Default for Unacked {
    fn default() -> Self {
        Self {
            last: 0,
            runs: VecDeque::new(),
            sum: Sum::default(),
            aside: 0,
            overdue_from: NEVER,
        }
    }
}

/// Deliveries with consecutive tags and sequences.
#[derive(Clone, Copy, Debug)]
struct Run {
    tag: u64,
    what: Settled,
    term: Term,
}

impl Run {
    /// The tag behind its last.
    fn end(&self) -> u64 {
        self.tag + u64::from(self.what.count)
    }

    /// Cuts off and returns the first `n`.
    fn take_front(&mut self, n: u32) -> Self {
        let front = Self {
            what: Settled { count: n, ..self.what },
            ..*self
        };
        self.tag += u64::from(n);
        self.what.first = self.what.first.plus(n.into());
        self.what.count -= n;
        front
    }
}

/// A run of deliveries that are not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldRun {
    /// The tag of the first; the others follow without gaps.
    pub tag: DeliveryTag,
    /// When the first of them went out; the others did within a second.
    pub since: Millis,
    /// What they are.
    pub what: Settled,
}

/// A run of deliveries that a transaction settles if it is committed.
#[derive(Clone, Copy, Debug)]
pub struct Aside(Run);

impl Aside {
    /// What it is.
    #[must_use]
    pub fn what(&self) -> Settled {
        self.0.what
    }
}

impl Unacked {
    /// Nothing was delivered yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is not settled, in the order of the tags; without what a transaction set aside.
    pub fn runs(&self) -> impl Iterator<Item = HeldRun> {
        self.runs.iter().map(|run| HeldRun {
            tag: DeliveryTag(run.tag),
            since: run.term.since,
            what: run.what,
        })
    }

    /// Deliveries that are not settled.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.sum.all
    }

    /// Those that went to consumers, and not to `basic.get`, and those that a transaction set aside: what a limit of the channel counts.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.sum.held + self.aside
    }

    /// No delivery is overdue before this; it may be that none is then.
    #[must_use]
    pub fn overdue_from(&self) -> Millis {
        self.overdue_from
    }

    /// The timeout of a delivery that has been held for too long, in milliseconds, if there is one.
    pub fn overdue(&mut self, now: Millis) -> Option<u64> {
        if now < self.overdue_from {
            return None;
        }
        let first = self.runs.iter().map(|run| run.term).min_by_key(|term| term.end());
        self.overdue_from = first.map_or(NEVER, Term::end);
        first.filter(|_| self.overdue_from <= now).map(|term| term.timeout_ms)
    }

    /// A run went out; returns the tag of its first message. Tags strictly increase (invariant 5). With `no_ack` they are counted and
    /// nothing is remembered.
    pub fn delivered(
        &mut self,
        consumer: Option<ConsumerId>,
        queue: QueueId,
        first: Sequence,
        count: u32,
        no_ack: bool,
        term: Term,
    ) -> DeliveryTag {
        let tag = self.last + 1;
        self.last += u64::from(count);
        if no_ack || count == 0 {
            return DeliveryTag(tag);
        }
        let what = Settled {
            queue,
            consumer,
            first,
            count,
        };
        self.sum.add(&what);
        self.overdue_from = self.overdue_from.min(term.end());
        match self.runs.back_mut() {
            Some(run) if run.end() == tag && follows(&run.what, &what) && run.term.takes_in(term) => run.what.count += count,
            _ => self.runs.push_back(Run { tag, what, term }),
        }
        DeliveryTag(tag)
    }

    /// The client settles one delivery, or all up to it (`multiple`; tag 0 then means all). Appends what that is to `out`, joined to its
    /// last entry where it continues it. As in RabbitMQ, `tag` itself must be outstanding in either case.
    ///
    /// # Errors
    /// If it is not; then nothing has changed.
    pub fn settle(&mut self, tag: DeliveryTag, multiple: bool, out: &mut Vec<Settled>) -> Result<(), UnknownDeliveryTag> {
        self.take(tag, multiple, |run| push(out, run.what))
    }

    /// The same for a transaction, which may yet [put them back](Self::put_back).
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub fn set_aside(&mut self, tag: DeliveryTag, multiple: bool, out: &mut Vec<Aside>) -> Result<(), UnknownDeliveryTag> {
        let held = self.sum.held;
        let taken = self.take(tag, multiple, |run| out.push(Aside(run)));
        self.aside += held - self.sum.held;
        taken
    }

    /// A transaction was committed: what it set aside is settled.
    pub fn committed(&mut self, aside: &Aside) {
        let mut settled = Sum::default();
        settled.add(&aside.0.what);
        self.aside -= settled.held;
    }

    /// A transaction was rolled back: these are unsettled again, with the tags that they had.
    pub fn put_back(&mut self, aside: Aside) {
        let run = aside.0;
        let at = self.runs.partition_point(|before| before.end() <= run.tag);
        self.committed(&aside);
        self.sum.add(&run.what);
        self.overdue_from = self.overdue_from.min(run.term.end());
        self.runs.insert(at, run);
    }

    fn take(&mut self, tag: DeliveryTag, multiple: bool, mut each: impl FnMut(Run)) -> Result<(), UnknownDeliveryTag> {
        if multiple && tag.0 == 0 {
            self.runs.drain(..).for_each(each);
            self.sum = Sum::default();
            return Ok(());
        }
        let at = self.runs.partition_point(|run| run.end() <= tag.0);
        let run = self
            .runs
            .get_mut(at)
            .filter(|run| run.tag <= tag.0)
            .ok_or(UnknownDeliveryTag(tag))?;
        if multiple {
            for run in self.runs.drain(..at) {
                self.sum.subtract(&run.what);
                each(run);
            }
            let run = &mut self.runs[0];
            let settled = run.take_front((tag.0 - run.tag + 1) as u32);
            self.sum.subtract(&settled.what);
            each(settled);
            if run.what.count == 0 {
                self.runs.pop_front();
            }
            return Ok(());
        }
        let front = run.take_front((tag.0 - run.tag) as u32);
        let settled = run.take_front(1);
        self.sum.subtract(&settled.what);
        each(settled);
        match (front.what.count > 0, run.what.count > 0) {
            (true, true) => self.runs.insert(at, front),
            (true, false) => *run = front,
            (false, true) => {}
            (false, false) => drop(self.runs.remove(at)),
        }
        Ok(())
    }

    /// Everything, to be requeued: the channel closes, or `basic.recover`.
    #[must_use]
    pub fn take_all(&mut self) -> Vec<Settled> {
        self.sum = Sum::default();
        let mut out = Vec::new();
        self.runs.drain(..).for_each(|run| push(&mut out, run.what));
        out
    }

    /// What this consumer holds, to be requeued. (AMQP leaves deliveries of a cancelled consumer with the channel: this is for consumers
    /// that end otherwise.)
    #[must_use]
    pub fn take_consumer(&mut self, consumer: ConsumerId) -> Vec<Settled> {
        let mut out = Vec::new();
        self.runs.retain(|run| {
            let theirs = run.what.consumer == Some(consumer);
            if theirs {
                push(&mut out, run.what);
                self.sum.subtract(&run.what);
            }
            !theirs
        });
        out
    }

    /// What must hold between calls; for tests.
    ///
    /// # Panics
    /// If it does not.
    pub fn invariants(&self) {
        let mut end = 0;
        let mut sum = Sum::default();
        for run in &self.runs {
            assert!(run.what.count > 0 && run.tag >= end.max(1), "runs are not empty and do not overlap");
            end = run.end();
            sum.add(&run.what);
            assert!(
                self.overdue_from <= run.term.end(),
                "a run that will be overdue is looked for in time"
            );
        }
        assert!(end <= self.last + 1, "invariant 5: nothing is outstanding that was not given out");
        assert_eq!(sum, self.sum);
    }
}

fn follows(run: &Settled, next: &Settled) -> bool {
    let end = run.first.plus(run.count.into());
    run.queue == next.queue && run.consumer == next.consumer && end == next.first && run.count.checked_add(next.count).is_some()
}

fn push(out: &mut Vec<Settled>, what: Settled) {
    match out.last_mut() {
        Some(last) if follows(last, &what) => last.count += what.count,
        _ => out.push(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(queue: u64, consumer: u64, first: u64, count: u32) -> Settled {
        Settled {
            queue: QueueId(queue),
            consumer: Some(ConsumerId(consumer)),
            first: Sequence(first),
            count,
        }
    }

    fn deliver(unacked: &mut Unacked, what: Settled) -> u64 {
        unacked
            .delivered(what.consumer, what.queue, what.first, what.count, false, Term::default())
            .0
    }

    /// Tags 1-10 of queue 1, 11-12 of queue 2, 13-15 no_ack, 16 of queue 1.
    fn example() -> Unacked {
        let mut unacked = Unacked::new();
        assert_eq!(deliver(&mut unacked, run(1, 1, 100, 4)), 1);
        assert_eq!(deliver(&mut unacked, run(1, 1, 104, 6)), 5);
        assert_eq!(deliver(&mut unacked, run(2, 2, 0, 2)), 11);
        assert_eq!(
            unacked.delivered(None, QueueId(3), Sequence(0), 3, true, Term::default()),
            DeliveryTag(13)
        );
        assert_eq!(deliver(&mut unacked, run(1, 1, 110, 1)), 16);
        unacked.invariants();
        unacked
    }

    #[test]
    fn settling_gives_the_runs_that_were_delivered() {
        type Case<'a> = (&'a [(u64, bool)], Result<&'a [Settled], u64>, u64);
        let cases: &[Case<'_>] = &[
            (&[(1, false)], Ok(&[run(1, 1, 100, 1)]), 12),
            (
                &[(5, false), (4, false), (6, false)],
                Ok(&[run(1, 1, 104, 1), run(1, 1, 103, 1), run(1, 1, 105, 1)]),
                10,
            ),
            (&[(1, false), (2, false), (3, true)], Ok(&[run(1, 1, 100, 3)]), 10),
            (&[(10, true), (12, true)], Ok(&[run(1, 1, 100, 10), run(2, 2, 0, 2)]), 1),
            (
                &[(12, true), (16, false)],
                Ok(&[run(1, 1, 100, 10), run(2, 2, 0, 2), run(1, 1, 110, 1)]),
                0,
            ),
            (&[(0, true)], Ok(&[run(1, 1, 100, 10), run(2, 2, 0, 2), run(1, 1, 110, 1)]), 0),
            (
                &[(16, true), (0, true)],
                Ok(&[run(1, 1, 100, 10), run(2, 2, 0, 2), run(1, 1, 110, 1)]),
                0,
            ),
            (&[(0, false)], Err(0), 13),
            (&[(13, false)], Err(13), 13),
            (&[(15, true)], Err(15), 13),
            (&[(17, true)], Err(17), 13),
            (&[(3, false), (3, false)], Err(3), 12),
            (&[(3, false), (3, true)], Err(3), 12),
        ];
        for (acks, expected, left) in cases {
            let mut unacked = example();
            let mut out = Vec::new();
            let result: Result<(), _> = acks
                .iter()
                .try_for_each(|&(tag, multiple)| unacked.settle(DeliveryTag(tag), multiple, &mut out));
            unacked.invariants();
            assert_eq!(
                result.map(|()| &out[..]),
                expected.map_err(|tag| UnknownDeliveryTag(DeliveryTag(tag))),
                "{acks:?}"
            );
            assert_eq!(unacked.count(), *left, "{acks:?}");
        }
    }

    #[test]
    fn what_was_set_aside_is_put_back_with_its_tags() {
        let acks: &[(u64, bool)] = &[(5, false), (2, true), (12, false), (0, true)];
        let mut unacked = example();
        let mut aside = Vec::new();
        for &(tag, multiple) in acks {
            assert_eq!(unacked.set_aside(DeliveryTag(tag), multiple, &mut aside), Ok(()));
            unacked.invariants();
        }
        assert_eq!(
            (unacked.count(), unacked.held()),
            (0, 13),
            "what is set aside is held until the commit"
        );
        assert_eq!(deliver(&mut unacked, run(1, 1, 111, 1)), 17);
        assert_eq!(
            unacked.set_aside(DeliveryTag(5), false, &mut aside),
            Err(UnknownDeliveryTag(DeliveryTag(5))),
            "nothing is settled twice in a transaction"
        );
        for aside in aside {
            unacked.put_back(aside);
            unacked.invariants();
        }
        assert_eq!((unacked.count(), unacked.held()), (14, 14));
        let mut aside = Vec::new();
        assert_eq!(unacked.set_aside(DeliveryTag(2), true, &mut aside), Ok(()));
        aside.iter().for_each(|aside| unacked.committed(aside));
        assert_eq!((unacked.count(), unacked.held()), (12, 12));
        let mut out = Vec::new();
        assert_eq!(unacked.settle(DeliveryTag(17), true, &mut out), Ok(()));
        assert_eq!(out, [run(1, 1, 102, 8), run(2, 2, 0, 2), run(1, 1, 110, 2)]);
    }

    #[test]
    fn what_is_taken_back_is_gone_and_tags_go_on() {
        let mut unacked = example();
        assert_eq!(unacked.take_consumer(ConsumerId(1)), [run(1, 1, 100, 11)]);
        assert_eq!(unacked.take_all(), [run(2, 2, 0, 2)]);
        assert_eq!(unacked.count(), 0);
        assert_eq!(deliver(&mut unacked, run(1, 1, 0, 1)), 17);
        unacked.invariants();
    }

    #[test]
    fn what_consumers_hold_is_counted_apart_from_what_was_got() {
        let mut unacked = example();
        assert_eq!((unacked.count(), unacked.held()), (13, 13));
        let tag = unacked.delivered(None, QueueId(1), Sequence(111), 1, false, Term::default());
        assert_eq!((unacked.count(), unacked.held()), (14, 13));
        unacked.settle(DeliveryTag(4), true, &mut Vec::new()).expect("outstanding");
        unacked.settle(tag, false, &mut Vec::new()).expect("outstanding");
        unacked.settle(DeliveryTag(6), false, &mut Vec::new()).expect("outstanding");
        unacked.invariants();
        assert_eq!((unacked.count(), unacked.held()), (8, 8));
        let _ = unacked.take_all();
        assert_eq!(unacked.held(), 0);
    }

    #[test]
    fn what_is_held_too_long_is_overdue() {
        let mut unacked = Unacked::new();
        let deliver = |unacked: &mut Unacked, first: u64, since: u64, timeout_ms: u64| {
            let since = Millis(since);
            unacked.delivered(None, QueueId(1), Sequence(first), 1, false, Term { since, timeout_ms })
        };
        for (first, since) in (0..).zip([1000, 1500, 2000, 2001, 2500]) {
            deliver(&mut unacked, first, since, 5000);
        }
        assert_eq!(unacked.runs.len(), 2, "what went out within a second is one run");
        assert_eq!(unacked.overdue(Millis(6999)), None);
        assert_eq!(unacked.overdue(Millis(7000)), Some(5000));
        let short = deliver(&mut unacked, 5, 2600, 100);
        deliver(&mut unacked, 6, 2600, 0);
        assert_eq!(unacked.overdue(Millis(3699)), None);
        assert_eq!(unacked.overdue(Millis(3700)), Some(100));
        unacked.settle(short, false, &mut Vec::new()).expect("outstanding");
        assert_eq!(unacked.overdue(Millis(3700)), None);
        assert_eq!(unacked.overdue_from(), Millis(7000));
        unacked.settle(DeliveryTag(3), true, &mut Vec::new()).expect("outstanding");
        assert_eq!(unacked.overdue(Millis(7000)), None);
        assert_eq!(unacked.overdue_from(), Millis(8001));
        unacked.settle(DeliveryTag(5), true, &mut Vec::new()).expect("outstanding");
        assert_eq!(unacked.overdue(Millis(9000)), None);
        assert_eq!((unacked.overdue_from(), unacked.count()), (NEVER, 1));
        unacked.invariants();
    }
}

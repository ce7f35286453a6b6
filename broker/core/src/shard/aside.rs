//! Messages of a lane that are neither settled nor with a consumer nor ready: dead ones that wait for their answer, those that are being moved, and
//! returned ones that wait for their time. And how often messages came back. Most lanes have nothing of the kind.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::Sequence;
use crate::shard::Reason;
use crate::shard::bits::Bits;
use crate::shard::runs::Runs;

/// All reasons, each at its place in [`Aside::dead`].
const REASONS: [Reason; 5] = [
    Reason::Rejected,
    Reason::Expired,
    Reason::MaxLength,
    Reason::DeliveryLimit,
    Reason::Due,
];

/// Consecutive messages that leave for the same reason.
pub(crate) type DeadRun = (Sequence, Sequence, Reason);

#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// Those that wait for [`Command::DeadLettered`](crate::shard::Command::DeadLettered), by reason.
    dead: [Runs; 5],
    /// Those among them that were not handed out: each run in one chunk.
    pub(crate) letters: VecDeque<DeadRun>,
    /// Those that came back and are not ready yet.
    pub(crate) delayed: Runs,
    /// Those that somebody moves to another queue at this moment.
    pub(crate) claimed: Runs,
    /// How often those came back that did.
    returns: BTreeMap<u64, u32>,
}

impl Aside {
    /// Places in a chunk of `count` messages from `first` on.
    pub(crate) fn places(&self, first: Sequence, count: u16) -> Bits {
        let dead = self.dead.iter().filter(|runs| !runs.is_empty());
        dead.chain([&self.delayed, &self.claimed])
            .fold(Bits::default(), |bits, runs| bits.union(runs.places(first, count)))
    }

    pub(crate) fn has_dead(&self) -> bool {
        self.dead.iter().any(|runs| !runs.is_empty()) || !self.claimed.is_empty()
    }
    /// Those that leave for other queues.
    pub(crate) fn dead_count(&self) -> u64 {
        self.dead.iter().map(Runs::count).sum::<u64>() + self.claimed.count()
    }

    /// These are dead, and will be handed out.
    pub(crate) fn bury(&mut self, run: DeadRun) {
        let (first, end, reason) = run;
        self.dead[reason as usize].insert(first, end);
        self.letters.push_back(run);
    }

    /// The dead ones of `first..end`.
    pub(crate) fn dead_within(&self, first: Sequence, end: Sequence) -> Vec<DeadRun> {
        let mut dead = Vec::new();
        for (runs, reason) in self.dead.iter().zip(REASONS) {
            dead.extend(runs.within(first, end).map(|(first, end)| (first, end, reason)));
        }
        dead
    }

    /// A run is dead no more.
    pub(crate) fn settle(&mut self, (first, end, reason): DeadRun) {
        self.dead[reason as usize].remove(first, end);
    }

    /// A message came back once more; how often that is.
    pub(crate) fn count_return(&mut self, sequence: Sequence) -> u32 {
        let returns = self.returns.entry(sequence.0).or_default();
        *returns = returns.saturating_add(1);
        *returns
    }

    /// How often the first of `first..end` came back, and where those end that came back as often.
    pub(crate) fn returns(&self, first: Sequence, end: Sequence) -> (u32, Sequence) {
        if self.returns.is_empty() {
            return (0, end);
        }
        let of = |sequence: u64| self.returns.get(&sequence).copied().unwrap_or(0);
        let returns = of(first.0);
        let other = (first.0 + 1..end.0).find(|&sequence| of(sequence) != returns);
        (returns, other.map_or(end, Sequence))
    }

    /// How often these came back does not matter any more.
    pub(crate) fn forget_returns(&mut self, first: Sequence, end: Sequence) {
        while let Some((&sequence, _)) = self.returns.range(first.0..end.0).next() {
            self.returns.remove(&sequence);
        }
    }

    /// Every dead run that is to be handed out is dead, and counts are of messages that `is_live`.
    pub(crate) fn invariants(&self, is_live: impl Fn(Sequence) -> bool) {
        for &(first, end, reason) in &self.letters {
            let within: u64 = self.dead[reason as usize]
                .within(first, end)
                .map(|(first, end)| end.0 - first.0)
                .sum();
            assert_eq!(within, end.0 - first.0, "what is handed out is dead");
        }
        assert!(
            self.returns.keys().all(|&sequence| is_live(Sequence(sequence))),
            "only what is there came back"
        );
    }
}

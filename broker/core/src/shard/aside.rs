//! Messages of a lane that are neither settled nor with a consumer nor ready: dead ones that wait for their answer, those that are being moved, and
//! returned ones that wait for their time. And how often messages came back. Most lanes have nothing of the kind. What of it outlives a restart
//! says `standing.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Millis, Sequence};
use crate::shard::Reason;
use crate::shard::bits::Bits;
use crate::shard::run_map::RunMap;
use crate::shard::runs::Runs;
use crate::shard::standing::Standing;

/// All reasons, each at its place in [`Aside::dead`].
const REASONS: [Reason; 5] = [
    Reason::Rejected,
    Reason::Expired,
    Reason::MaxLength,
    Reason::DeliveryLimit,
    Reason::Due,
];

/// When letters are handed out: by their turn, by when they were due where that is their reason, and by their place in the lane.
type Turn = (u64, u64, Sequence);

/// Consecutive messages that leave for the same reason.
pub(crate) type DeadRun = (Sequence, Sequence, Reason);

#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// Those that wait for [`Command::DeadLettered`](crate::shard::Command::DeadLettered), by reason.
    dead: [Runs; 5],
    /// Those among them that were not handed out, in the order in which they will be: each run in one chunk.
    letters: BTreeMap<Turn, (Sequence, Reason)>,
    /// What dies next has at least this turn, and has it since this time as far as it expires.
    turn: u64,
    turn_since: Millis,
    /// Chunks that are being loaded because something in them has expired, and the turn of that: what has a later turn waits.
    looking: BTreeSet<(u64, Sequence)>,
    /// Those that came back and are not ready yet, and when they are.
    pub(crate) delayed: RunMap<Millis>,
    /// Those that somebody moves to another queue at this moment.
    pub(crate) claimed: Runs,
    /// How often those came back that did.
    returns: RunMap<u32>,
    /// Those of which the next commit tells the journal where they stand.
    pub(crate) noted: Runs,
    /// Where they stood at the last stop, while the journal is replayed.
    pub(crate) restored: RunMap<Standing>,
}

impl Aside {
    /// Places in a chunk of `count` messages from `first` on.
    pub(crate) fn places(&self, first: Sequence, count: u16) -> Bits {
        let dead = self.dead.iter().filter(|runs| !runs.is_empty());
        dead.chain([&self.claimed])
            .map(|runs| runs.places(first, count))
            .chain((!self.delayed.is_empty()).then(|| self.delayed.places(first, count)))
            .fold(Bits::default(), Bits::union)
    }

    /// The dead ones among them, by reason.
    pub(crate) fn dead_places(&self, first: Sequence, count: u16) -> impl Iterator<Item = (Reason, Bits)> {
        let dead = REASONS.into_iter().zip(&self.dead).filter(|(_, runs)| !runs.is_empty());
        dead.map(move |(reason, runs)| (reason, runs.places(first, count)))
    }

    pub(crate) fn has_dead(&self) -> bool {
        self.dead.iter().any(|runs| !runs.is_empty()) || !self.claimed.is_empty()
    }
    /// Those that leave for other queues.
    pub(crate) fn dead_count(&self) -> u64 {
        self.dead.iter().map(Runs::count).sum::<u64>() + self.claimed.count()
    }

    /// These are dead, and will be handed out in their turn.
    pub(crate) fn bury(&mut self, (first, end, reason): DeadRun, (turn, order): (u64, u64)) {
        self.dead[reason as usize].insert(first, end);
        self.letters.insert((turn, order, first), (end, reason));
    }

    /// The turn of what leaves for this reason now: a turn of its own, or, if it expires, that of all that is found to be expired at this time.
    pub(crate) fn turn(&mut self, reason: Reason, chunk: Sequence, now: Millis) -> u64 {
        if reason == Reason::Due {
            return 0;
        }
        if let Some((turn, _)) = self.looked_at(chunk).filter(|_| reason == Reason::Expired) {
            return turn;
        }
        if reason != Reason::Expired || self.turn_since < now {
            self.turn += 1;
        }
        if reason == Reason::Expired {
            self.turn_since = now;
        }
        self.turn
    }

    fn looked_at(&self, chunk: Sequence) -> Option<(u64, Sequence)> {
        self.looking.iter().copied().find(|(_, looked)| *looked == chunk)
    }

    /// What has expired in this chunk is found out later, but has its turn now.
    pub(crate) fn begin_look(&mut self, chunk: Sequence, now: Millis) {
        let turn = self.turn(Reason::Expired, chunk, now);
        self.looking.insert((turn, chunk));
    }

    /// It has been found out, or nobody will ask any more. True if others may have waited for that.
    pub(crate) fn end_look(&mut self, chunk: Sequence) -> bool {
        let looked = if self.looking.is_empty() { None } else { self.looked_at(chunk) };
        looked.is_some_and(|looked| self.looking.remove(&looked)) && !self.letters.is_empty()
    }

    /// Whether something is to be handed out.
    pub(crate) fn has_letters(&self) -> bool {
        !self.letters.is_empty()
    }

    /// What is handed out next, unless it waits for others that are being loaded.
    pub(crate) fn next_letter(&self) -> Option<DeadRun> {
        let (&(turn, _, first), &(end, reason)) = self.letters.first_key_value()?;
        let in_turn = self
            .looking
            .first()
            .is_none_or(|&(looked, chunk)| turn < looked || turn == looked && first < chunk);
        (in_turn || reason != Reason::Expired).then_some((first, end, reason))
    }

    /// That was handed out.
    pub(crate) fn pop_letter(&mut self) {
        self.letters.pop_first();
    }

    /// Dead ones that nobody took are handed out once more, each run in one chunk.
    pub(crate) fn offer_again(&mut self, runs: impl IntoIterator<Item = DeadRun>) {
        self.turn += 1;
        let turn = self.turn;
        for (first, end, reason) in runs {
            self.letters.insert((turn, 0, first), (end, reason));
        }
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

    /// These came back once more; how often that is, as runs.
    pub(crate) fn count_returns(&mut self, first: Sequence, end: Sequence) -> Vec<(Sequence, Sequence, u32)> {
        let before = self.returns.all_within(first, end);
        let more = before
            .into_iter()
            .map(|(first, end, returns)| (first, end, returns.unwrap_or(0).saturating_add(1)));
        let counted: Vec<_> = more.collect();
        counted
            .iter()
            .for_each(|&(first, end, returns)| self.returns.set(first, end, returns));
        counted
    }

    /// These came back so often.
    pub(crate) fn set_returns(&mut self, first: Sequence, end: Sequence, returns: u32) {
        if returns > 0 {
            self.returns.set(first, end, returns);
        }
    }

    /// How often the first of `first..end` came back, and where those end that came back as often.
    pub(crate) fn returns_of_first(&self, first: Sequence, end: Sequence) -> (u32, Sequence) {
        if self.returns.is_empty() {
            return (0, end);
        }
        let (returns, end) = self.returns.first_within(first, end);
        (returns.unwrap_or(0), end)
    }

    /// How often `first..end` came back, as runs.
    pub(crate) fn returns(&self, first: Sequence, end: Sequence) -> impl Iterator<Item = (Sequence, Sequence, u32)> + use<> {
        let runs = self.returns.all_within(first, end).into_iter();
        runs.map(|(first, end, returns)| (first, end, returns.unwrap_or(0)))
    }

    /// How often these came back does not matter any more.
    pub(crate) fn forget_returns(&mut self, first: Sequence, end: Sequence) {
        if !self.returns.is_empty() {
            self.returns.remove(first, end);
        }
    }

    /// Every dead run that is to be handed out is dead, and counts are of messages that `is_live`.
    pub(crate) fn invariants(&self, is_live: impl Fn(Sequence) -> bool, is_looked_at: impl Fn(Sequence) -> bool) {
        for (&(turn, _, first), &(end, reason)) in &self.letters {
            assert!(turn <= self.turn);
            let within: u64 = self.dead[reason as usize]
                .within(first, end)
                .map(|(first, end)| end.0 - first.0)
                .sum();
            assert_eq!(within, end.0 - first.0, "what is handed out is dead");
        }
        assert!(
            self.looking.iter().all(|&(_, chunk)| is_looked_at(chunk)),
            "nobody waits for a chunk that is not looked at"
        );
        let mut returned = self.returns.iter().flat_map(|(first, end, _)| first.0..end.0);
        assert!(returned.all(|sequence| is_live(Sequence(sequence))), "only what is there came back");
        assert!(self.restored.is_empty(), "a start comes to its end");
    }
}

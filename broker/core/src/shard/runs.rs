//! A set of sequences as runs: what came back to a queue, or what was settled and not logged. Knows no messages.

use std::collections::BTreeMap;

use crate::ids::Sequence;
use crate::shard::bits::Bits;

/// Sequences, as runs that neither touch nor overlap.
#[derive(Debug, Default)]
pub(crate) struct Runs(BTreeMap<u64, u64>);

impl Runs {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many runs there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds `first..end`.
    pub(crate) fn insert(&mut self, first: Sequence, end: Sequence) {
        let (mut first, mut end) = (first.0, end.0);
        if first >= end {
            return;
        }
        while let Some((&other, &other_end)) = self.0.range(..=end).next_back().filter(|&(_, &other_end)| other_end >= first) {
            first = first.min(other);
            end = end.max(other_end);
            self.0.remove(&other);
        }
        self.0.insert(first, end);
    }

    /// The lowest run.
    pub(crate) fn front(&self) -> Option<(Sequence, Sequence)> {
        self.0.first_key_value().map(|(&first, &end)| (Sequence(first), Sequence(end)))
    }

    /// The runs in `first..end`.
    pub(crate) fn within(&self, first: Sequence, end: Sequence) -> impl Iterator<Item = (Sequence, Sequence)> {
        let before = self.0.range(..first.0).next_back().filter(|&(_, &end)| end > first.0);
        let runs = before.into_iter().chain(self.0.range(first.0..end.0));
        runs.map(move |(&run, &run_end)| (Sequence(run).max(first), Sequence(run_end).min(end)))
    }

    /// The lowest run in `first..end`.
    pub(crate) fn first_within(&self, first: Sequence, end: Sequence) -> Option<(Sequence, Sequence)> {
        self.within(first, end).next()
    }

    /// Takes `first..end` away.
    pub(crate) fn remove(&mut self, first: Sequence, end: Sequence) {
        while let Some((run, run_end)) = self.0.range(..end.0).next_back().map(|(&run, &end)| (run, end))
            && run_end > first.0
        {
            self.0.remove(&run);
            if run < first.0 {
                self.0.insert(run, first.0);
            }
            if run_end > end.0 {
                self.0.insert(end.0, run_end);
            }
        }
    }

    /// Takes everything below `upto` away.
    pub(crate) fn remove_below(&mut self, upto: Sequence) {
        while let Some((first, end)) = self.front().filter(|&(first, _)| first < upto) {
            self.0.remove(&first.0);
            if end > upto {
                self.0.insert(upto.0, end.0);
            }
        }
    }

    /// Which places of a chunk of `count` messages from `first` on are in the set.
    pub(crate) fn places(&self, first: Sequence, count: u16) -> Bits {
        let end = first.0 + u64::from(count);
        let mut bits = Bits::default();
        let before = self.0.range(..first.0).next_back();
        for (&run, &run_end) in before.into_iter().chain(self.0.range(first.0..end)) {
            if run_end > first.0 {
                bits.insert(Bits::of((run.max(first.0) - first.0) as u16..(run_end.min(end) - first.0) as u16));
            }
        }
        bits
    }

    /// Empties the set, lowest first.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (Sequence, Sequence)> + use<> {
        std::mem::take(&mut self.0)
            .into_iter()
            .map(|(first, end)| (Sequence(first), Sequence(end)))
    }

    /// How many sequences are in it.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|(first, end)| end - first).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(of: &[(u64, u64)]) -> Runs {
        let mut runs = Runs::default();
        of.iter().for_each(|&(first, end)| runs.insert(Sequence(first), Sequence(end)));
        runs
    }

    fn list(runs: &Runs) -> Vec<(u64, u64)> {
        runs.0.iter().map(|(&first, &end)| (first, end)).collect()
    }

    #[test]
    fn runs_that_touch_or_overlap_are_one() {
        type Run = (u64, u64);
        let cases: [(&[Run], &[Run]); 6] = [
            (&[(5, 7), (1, 2)], &[(1, 2), (5, 7)]),
            (&[(1, 3), (3, 5)], &[(1, 5)]),
            (&[(3, 5), (1, 3)], &[(1, 5)]),
            (&[(1, 2), (3, 4), (5, 6), (2, 5)], &[(1, 6)]),
            (&[(1, 9), (3, 4)], &[(1, 9)]),
            (&[(4, 4)], &[]),
        ];
        for (given, expected) in cases {
            assert_eq!(list(&runs(given)), expected, "{given:?}");
        }
    }

    #[test]
    fn the_front_goes_first() {
        let mut set = runs(&[(1, 4), (6, 8), (10, 11)]);
        assert_eq!(set.front(), Some((Sequence(1), Sequence(4))));
        assert_eq!(set.count(), 6);
        set.remove_below(Sequence(7));
        assert_eq!(list(&set), [(7, 8), (10, 11)]);
    }

    #[test]
    fn parts_are_found_and_taken_away() {
        type Run = (u64, u64);
        let cases: [(Run, &[Run], &[Run]); 5] = [
            ((0, 20), &[(1, 4), (6, 8), (10, 11)], &[]),
            ((2, 7), &[(2, 4), (6, 7)], &[(1, 2), (7, 8), (10, 11)]),
            ((4, 6), &[], &[(1, 4), (6, 8), (10, 11)]),
            ((2, 3), &[(2, 3)], &[(1, 2), (3, 4), (6, 8), (10, 11)]),
            ((8, 10), &[], &[(1, 4), (6, 8), (10, 11)]),
        ];
        for ((first, end), within, left) in cases {
            let mut set = runs(&[(1, 4), (6, 8), (10, 11)]);
            let found: Vec<_> = set
                .within(Sequence(first), Sequence(end))
                .map(|(first, end)| (first.0, end.0))
                .collect();
            assert_eq!(found, within, "{first}..{end}");
            set.remove(Sequence(first), Sequence(end));
            assert_eq!(list(&set), left, "without {first}..{end}");
        }
    }

    #[test]
    fn places_in_a_chunk() {
        let set = runs(&[(90, 102), (105, 107), (120, 400)]);
        let mut expected = Bits::of(0..2);
        expected.insert(Bits::of(5..7));
        expected.insert(Bits::of(20..30));
        assert_eq!(set.places(Sequence(100), 30), expected);
        assert_eq!(set.places(Sequence(400), 30), Bits::default());
    }
}

//! What is known of sequences, as runs of those of which the same is known. Knows no messages.

use std::collections::BTreeMap;

use crate::ids::Sequence;
use crate::shard::bits::Bits;

/// A value for some sequences, as runs that do not overlap; those that touch have different values.
#[derive(Debug)]
pub(crate) struct RunMap<V>(BTreeMap<u64, (u64, V)>);

impl<V> Default for RunMap<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V: Copy + PartialEq> RunMap<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many sequences have a value.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|(first, (end, _))| end - first).sum()
    }

    /// All runs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Sequence, Sequence, V)> {
        self.0.iter().map(|(&first, &(end, value))| (Sequence(first), Sequence(end), value))
    }

    /// The runs in `first..end`.
    pub(crate) fn within(&self, first: Sequence, end: Sequence) -> impl Iterator<Item = (Sequence, Sequence, V)> {
        let before = self.0.range(..first.0).next_back().filter(|(_, (end, _))| *end > first.0);
        let runs = before.into_iter().chain(self.0.range(first.0..end.0.max(first.0)));
        runs.map(move |(&run, &(run_end, value))| (Sequence(run).max(first), Sequence(run_end).min(end), value))
    }

    /// All of `first..end`, as runs that have the same value or none.
    pub(crate) fn all_within(&self, first: Sequence, end: Sequence) -> Vec<(Sequence, Sequence, Option<V>)> {
        let (mut at, mut all) = (first, Vec::new());
        for (run, run_end, value) in self.within(first, end) {
            if at < run {
                all.push((at, run, None));
            }
            all.push((run, run_end, Some(value)));
            at = run_end;
        }
        if at < end {
            all.push((at, end, None));
        }
        all
    }

    /// The value of the first of `first..end`, if it has one, and where those end that have the same.
    pub(crate) fn first_within(&self, first: Sequence, end: Sequence) -> (Option<V>, Sequence) {
        match self.within(first, end).next() {
            Some((run, run_end, value)) if run == first => (Some(value), run_end),
            Some((run, ..)) => (None, run),
            None => (None, end),
        }
    }

    /// Gives `first..end` a value.
    pub(crate) fn set(&mut self, first: Sequence, end: Sequence, value: V) {
        if first >= end {
            return;
        }
        self.remove(first, end);
        let (mut first, mut end) = (first.0, end.0);
        if let Some((&before, &(before_end, other))) = self.0.range(..first).next_back()
            && before_end == first
            && other == value
        {
            first = before;
        }
        if let Some(&(after_end, other)) = self.0.get(&end)
            && other == value
        {
            self.0.remove(&end);
            end = after_end;
        }
        self.0.insert(first, (end, value));
    }

    /// Takes the values of `first..end` away.
    pub(crate) fn remove(&mut self, first: Sequence, end: Sequence) {
        while let Some((run, (run_end, value))) = self.0.range(..end.0).next_back().map(|(&run, &last)| (run, last))
            && run_end > first.0
        {
            self.0.remove(&run);
            if run < first.0 {
                self.0.insert(run, (first.0, value));
            }
            if run_end > end.0 {
                self.0.insert(end.0, (run_end, value));
            }
        }
    }

    /// Which places of a chunk of `count` messages from `first` on have a value.
    pub(crate) fn places(&self, first: Sequence, count: u16) -> Bits {
        let mut bits = Bits::default();
        for (run, end, _) in self.within(first, first.plus(count.into())) {
            bits.insert(Bits::of((run.0 - first.0) as u16..(end.0 - first.0) as u16));
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Run = (u64, u64, char);

    fn map(of: &[Run]) -> RunMap<char> {
        let mut map = RunMap::default();
        of.iter()
            .for_each(|&(first, end, value)| map.set(Sequence(first), Sequence(end), value));
        map
    }

    fn list(map: &RunMap<char>) -> Vec<Run> {
        map.iter().map(|(first, end, value)| (first.0, end.0, value)).collect()
    }

    #[test]
    fn a_value_replaces_others_and_joins_its_like() {
        let cases: [(&[Run], &[Run]); 6] = [
            (&[(5, 7, 'a'), (1, 2, 'a')], &[(1, 2, 'a'), (5, 7, 'a')]),
            (&[(1, 3, 'a'), (3, 5, 'a')], &[(1, 5, 'a')]),
            (&[(3, 5, 'a'), (1, 3, 'a')], &[(1, 5, 'a')]),
            (&[(1, 3, 'a'), (3, 5, 'b')], &[(1, 3, 'a'), (3, 5, 'b')]),
            (&[(1, 9, 'a'), (3, 5, 'b')], &[(1, 3, 'a'), (3, 5, 'b'), (5, 9, 'a')]),
            (
                &[(1, 3, 'a'), (4, 6, 'a'), (2, 5, 'b'), (4, 4, 'c')],
                &[(1, 2, 'a'), (2, 5, 'b'), (5, 6, 'a')],
            ),
        ];
        for (set, expected) in cases {
            assert_eq!(list(&map(set)), expected, "{set:?}");
        }
    }

    #[test]
    fn removing_leaves_the_ends() {
        for (first, end, left) in [
            (0, 100, vec![]),
            (12, 14, vec![(10, 12, 'a'), (14, 20, 'a'), (20, 30, 'b')]),
            (15, 25, vec![(10, 15, 'a'), (25, 30, 'b')]),
            (0, 10, vec![(10, 20, 'a'), (20, 30, 'b')]),
            (30, 40, vec![(10, 20, 'a'), (20, 30, 'b')]),
        ] {
            let mut map = map(&[(10, 20, 'a'), (20, 30, 'b')]);
            map.remove(Sequence(first), Sequence(end));
            assert_eq!(list(&map), left, "without {first}..{end}");
        }
    }

    #[test]
    fn what_is_asked_for_is_cut_to_size() {
        let map = map(&[(10, 20, 'a'), (20, 30, 'b')]);
        let all = |first, end| map.all_within(Sequence(first), Sequence(end));
        let run = |first, end, value| (Sequence(first), Sequence(end), value);
        assert_eq!(all(5, 12), [run(5, 10, None), run(10, 12, Some('a'))]);
        assert_eq!(all(15, 35), [run(15, 20, Some('a')), run(20, 30, Some('b')), run(30, 35, None)]);
        assert_eq!(all(40, 41), [run(40, 41, None)]);
        assert_eq!(map.first_within(Sequence(5), Sequence(15)), (None, Sequence(10)));
        assert_eq!(map.first_within(Sequence(12), Sequence(25)), (Some('a'), Sequence(20)));
        assert_eq!(map.first_within(Sequence(30), Sequence(40)), (None, Sequence(40)));
        let mut places = Bits::of(3..13);
        places.insert(Bits::of(13..23));
        assert_eq!(map.places(Sequence(7), 100), places);
        assert_eq!(map.count(), 20);
    }
}

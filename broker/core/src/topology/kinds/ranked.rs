//! Destinations by their rank: for exchanges that give a message to one of them by a number.

use crate::topology::destinations::Target;

/// A set of counted destinations, in ascending order: what the n-th is depends on what is bound and not on when it was.
#[derive(Debug, Default)]
pub(super) struct Ranked(Vec<(Target, u32)>);

impl Ranked {
    pub(super) fn insert(&mut self, target: Target) {
        match self.0.binary_search_by_key(&target, |(target, _)| *target) {
            Ok(at) => self.0[at].1 += 1,
            Err(at) => self.0.insert(at, (target, 1)),
        }
    }

    /// # Panics
    /// If it was never inserted.
    pub(super) fn remove(&mut self, target: Target) {
        let found = self.0.binary_search_by_key(&target, |(target, _)| *target);
        let at = found.unwrap_or_else(|_| panic!("{target:?} is not among the destinations"));
        self.0[at].1 -= 1;
        if self.0[at].1 == 0 {
            self.0.remove(at);
        }
    }

    /// One of them, by a number.
    pub(super) fn by(&self, number: u64) -> Option<Target> {
        let at = number.checked_rem(self.0.len() as u64)?;
        self.0.get(at as usize).map(|(target, _)| *target)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

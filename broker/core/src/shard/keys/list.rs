//! The keys of a chunk's messages, as they lie in memory and in the chunk's index entry. What is settled leaves the list, so a key is given
//! free once, and what is listed is what a restart must know.
//!
//! They are not counted as memory of the chunk, for they stay when it leaves: how many there are is limited a queue
//! ([`keys_max`](crate::shard::ShardLimits::keys_max)).

use crate::shard::bits::Bits;
use crate::shard::keys::Key;

/// Keys of unsettled messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkKeys {
    /// By which rule: keys of another one mean nothing.
    pub(crate) of: u64,
    /// The messages that have a key.
    places: Bits,
    /// In the order of the places.
    keys: Vec<Key>,
    /// Messages that somebody holds and a newer one has replaced: they have no key, and must not come back.
    pub(crate) replaced: Bits,
}

impl ChunkKeys {
    pub(crate) fn new(of: u64) -> Self {
        Self { of, ..Self::default() }
    }

    /// What an index entry lists. `None` if there are not as many keys as places.
    pub(crate) fn listed(of: u64, places: Bits, keys: Vec<Key>) -> Option<Self> {
        let replaced = Bits::default();
        (usize::from(places.count()) == keys.len()).then_some(Self {
            of,
            places,
            keys,
            replaced,
        })
    }

    pub(crate) fn places(&self) -> Bits {
        self.places
    }
    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    fn below(&self, place: u16) -> usize {
        self.places.and(Bits::of(0..place)).count().into()
    }

    /// Lists a key; its place has none.
    pub(crate) fn insert(&mut self, place: u16, key: Key) {
        let at = self.below(place);
        self.places.insert_one(place);
        self.keys.insert(at, key);
    }

    /// Takes places out, and names those that had keys.
    #[cold]
    pub(crate) fn remove(&mut self, places: Bits, mut removed: impl FnMut(u16, Key)) {
        self.replaced = self.replaced.without(places);
        for run in places.and(self.places).runs() {
            let from = self.below(run.start);
            for (place, key) in run.clone().zip(self.keys.drain(from..from + run.len())) {
                removed(place, key);
            }
            self.places = self.places.without(Bits::of(run));
        }
    }

    /// Messages that have a key, and what that is.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, Key)> {
        self.places.runs().flatten().zip(self.keys.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_and_taken_by_place() {
        let mut keys = ChunkKeys::new(1);
        for place in [7, 2, 255, 3] {
            keys.insert(place, Key::from(place) * 10);
        }
        assert_eq!(keys.iter().collect::<Vec<_>>(), [(2, 20), (3, 30), (7, 70), (255, 2550)]);
        let mut removed = Vec::new();
        keys.remove(Bits::of(3..200), |place, key| removed.push((place, key)));
        assert_eq!(removed, [(3, 30), (7, 70)]);
        assert_eq!(keys.iter().collect::<Vec<_>>(), [(2, 20), (255, 2550)]);
        assert_eq!(Some(&keys), ChunkKeys::listed(1, keys.places(), keys.keys().to_vec()).as_ref());
        assert_eq!(ChunkKeys::listed(1, Bits::of(0..2), vec![1]), None);
    }
}

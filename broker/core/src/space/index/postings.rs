//! Sequences by key: 16 octets in a hash table for a key that one tuple has, an ordered set for one that several have.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use std::collections::BTreeSet;
use std::hash::{BuildHasherDefault, Hasher};

/// For keys that are hashes already.
#[derive(Clone, Debug, Default)]
pub(in crate::space) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.0 = self.0 << 8 | u64::from(*octet);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// A map by hashes.
pub(in crate::space) type ByHash<V> = HashMap<u64, V, BuildHasherDefault<Hashed>>;

/// Set in what stands for a list; sequences of spaces are below it.
const LIST: u64 = 1 << 63;

#[derive(Debug, Default)]
pub(super) struct Postings {
    /// A sequence, or with [`LIST`] the number of a list.
    heads: ByHash<u64>,
    lists: Vec<BTreeSet<u64>>,
    /// Lists that are not used.
    unused: Vec<usize>,
    /// How many sequences are in lists.
    listed: usize,
}

impl Postings {
    /// About how much memory this takes: a set of ordered numbers is filled to two thirds.
    pub(super) fn octets(&self) -> usize {
        self.heads.allocation_size() + self.lists.capacity() * size_of::<BTreeSet<u64>>() + self.listed * 14
    }

    pub(super) fn insert(&mut self, key: u64, sequence: u64) {
        match self.heads.entry(key) {
            Entry::Vacant(place) => {
                place.insert(sequence);
            }
            Entry::Occupied(mut place) => {
                let head = *place.get();
                if head & LIST != 0 {
                    self.listed += usize::from(self.lists[(head & !LIST) as usize].insert(sequence));
                    return;
                }
                if head == sequence {
                    return;
                }
                let number = self.unused.pop().unwrap_or_else(|| {
                    self.lists.push(BTreeSet::new());
                    self.lists.len() - 1
                });
                self.lists[number].extend([head, sequence]);
                self.listed += 2;
                place.insert(LIST | number as u64);
            }
        }
    }

    pub(super) fn remove(&mut self, key: u64, sequence: u64) {
        let Entry::Occupied(mut place) = self.heads.entry(key) else {
            return;
        };
        let head = *place.get();
        if head & LIST == 0 {
            if head == sequence {
                place.remove();
            }
            return;
        }
        let number = (head & !LIST) as usize;
        let list = &mut self.lists[number];
        self.listed -= usize::from(list.remove(&sequence));
        if list.len() == 1
            && let Some(last) = list.pop_first()
        {
            self.listed -= 1;
            place.insert(last);
            self.unused.push(number);
        }
    }

    /// The first sequence of that key from `from` on.
    pub(super) fn next(&self, key: u64, from: u64) -> Option<u64> {
        match self.heads.get(&key)? {
            head if head & LIST != 0 => self.lists[(head & !LIST) as usize].range(from..).next().copied(),
            head => Some(*head).filter(|sequence| *sequence >= from),
        }
    }

    /// How many sequences have that key.
    pub(super) fn count(&self, key: u64) -> usize {
        match self.heads.get(&key) {
            None => 0,
            Some(head) if head & LIST != 0 => self.lists[(head & !LIST) as usize].len(),
            Some(_) => 1,
        }
    }
}

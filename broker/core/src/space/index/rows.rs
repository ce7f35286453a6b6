//! The entries of all tuples by their sequence, in blocks of 64 neighbours. A tuple is free, or held by a taker who may give it back.

use super::entry::Entry;
use std::collections::BTreeMap;

/// How many sequences a block covers.
const BLOCK: u64 = 64;

/// How many octets of entries a block gathers before it is rid of those that are gone: more than those of all its tuples at once.
const BLOCK_OCTETS_MAX: usize = 32 * 1024;

#[derive(Debug, Default)]
pub(super) struct Rows {
    blocks: BTreeMap<u64, Block>,
    pub(super) free: usize,
    pub(super) held: usize,
    octets: usize,
}

#[derive(Debug)]
struct Block {
    free: u64,
    held: u64,
    /// Where each one's entry begins.
    starts: Box<[u16; BLOCK as usize]>,
    entries: Vec<u8>,
}

impl Block {
    fn octets(&self) -> usize {
        // A node of the tree has room for what is not there as well.
        2 * size_of::<Self>() + size_of_val(&*self.starts) + self.entries.capacity()
    }

    fn entry(&self, place: u64) -> Option<Entry<'_>> {
        let start = *self.starts.get(place as usize)?;
        Entry::first_of(self.entries.get(usize::from(start)..)?)
    }

    fn push(&mut self, place: u64, entry: Entry<'_>) {
        if self.entries.len() + entry.octets().len() > BLOCK_OCTETS_MAX {
            self.compact();
        }
        self.starts[place as usize] = self.entries.len() as u16;
        self.entries.extend_from_slice(entry.octets());
    }

    fn compact(&mut self) {
        let mut kept = Vec::new();
        for place in bits(self.free | self.held) {
            let start = kept.len() as u16;
            if let Some(entry) = self.entry(place) {
                kept.extend_from_slice(entry.octets());
            }
            self.starts[place as usize] = start;
        }
        self.entries = kept;
    }
}

/// The places of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let place = (word != 0).then(|| u64::from(word.trailing_zeros()))?;
        word &= word - 1;
        Some(place)
    })
}

impl Rows {
    /// About how much memory this takes.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Adds a free tuple. Whether there was none of that sequence.
    pub(super) fn insert(&mut self, sequence: u64, entry: Entry<'_>) -> bool {
        let (number, place) = (sequence / BLOCK, sequence % BLOCK);
        let new = !self.blocks.contains_key(&number);
        if new {
            self.trim(number);
        }
        let block = self.blocks.entry(number).or_insert_with(|| Block {
            free: 0,
            held: 0,
            starts: Box::new([0; BLOCK as usize]),
            entries: Vec::new(),
        });
        if (block.free | block.held) & 1 << place != 0 {
            return false;
        }
        let before = if new { 0 } else { block.octets() };
        block.push(place, entry);
        block.free |= 1 << place;
        self.octets = self.octets + block.octets() - before;
        self.free += 1;
        true
    }

    /// The block before a new one is full, as a rule: it needs no room to grow.
    fn trim(&mut self, number: u64) {
        if let Some((_, block)) = self.blocks.range_mut(..number).next_back() {
            let before = block.octets();
            block.entries.shrink_to_fit();
            self.octets = self.octets + block.octets() - before;
        }
    }

    /// The entry of a free tuple.
    pub(super) fn free(&self, sequence: u64) -> Option<Entry<'_>> {
        let block = self.blocks.get(&(sequence / BLOCK))?;
        let place = sequence % BLOCK;
        (block.free & 1 << place != 0).then(|| block.entry(place))?
    }

    /// The entry of a tuple, and whether it is held.
    pub(super) fn get(&self, sequence: u64) -> Option<(Entry<'_>, bool)> {
        let block = self.blocks.get(&(sequence / BLOCK))?;
        let bit = 1 << (sequence % BLOCK);
        ((block.free | block.held) & bit != 0).then(|| block.entry(sequence % BLOCK).map(|entry| (entry, block.held & bit != 0)))?
    }

    /// A free tuple becomes held or a held one free. Whether it was the other before.
    pub(super) fn set_held(&mut self, sequence: u64, held: bool) -> bool {
        let Some(block) = self.blocks.get_mut(&(sequence / BLOCK)) else {
            return false;
        };
        let bit = 1 << (sequence % BLOCK);
        let (from, to) = if held {
            (&mut block.free, &mut block.held)
        } else {
            (&mut block.held, &mut block.free)
        };
        if *from & bit == 0 {
            return false;
        }
        *from &= !bit;
        *to |= bit;
        if held {
            (self.free, self.held) = (self.free - 1, self.held + 1);
        } else {
            (self.free, self.held) = (self.free + 1, self.held - 1);
        }
        true
    }

    /// Forgets a tuple.
    pub(super) fn remove(&mut self, sequence: u64) {
        let number = sequence / BLOCK;
        let Some(block) = self.blocks.get_mut(&number) else { return };
        let bit = 1 << (sequence % BLOCK);
        self.free -= usize::from(block.free & bit != 0);
        self.held -= usize::from(block.held & bit != 0);
        block.free &= !bit;
        block.held &= !bit;
        if block.free | block.held == 0 {
            self.octets -= block.octets();
            self.blocks.remove(&number);
        }
    }

    /// The free tuples from `from` on, oldest first.
    pub(super) fn iter(&self, from: u64) -> impl Iterator<Item = (u64, Entry<'_>)> {
        self.walk(from, |block| block.free)
    }

    /// The held tuples from `from` on, oldest first.
    pub(super) fn iter_held(&self, from: u64) -> impl Iterator<Item = (u64, Entry<'_>)> {
        self.walk(from, |block| block.held)
    }

    fn walk(&self, from: u64, which: fn(&Block) -> u64) -> impl Iterator<Item = (u64, Entry<'_>)> {
        let first = from / BLOCK;
        self.blocks.range(first..).flat_map(move |(number, block)| {
            let mask = if *number == first { u64::MAX << (from % BLOCK) } else { u64::MAX };
            bits(which(block) & mask).filter_map(move |place| Some((number * BLOCK + place, block.entry(place)?)))
        })
    }
}

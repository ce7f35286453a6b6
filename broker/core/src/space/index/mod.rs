//! The index of a space's stored tuples: for a template it names candidates, oldest first, and whoever asks looks at the tuple, in memory or on
//! disk, whether it matches. It keeps no tuple, only an [`Entry`] of each, and the free ones in indexes by what templates ask for.
//!
//! Indexes come by declaration ([`TupleIndex::declare`]), or when searches of one kind have walked over many entries in vain. Those of the
//! second kind go again when they take too much memory, the one that was not used for longest first.

mod entry;
mod masks;
mod postings;
mod rows;
mod search;
#[cfg(test)]
mod tests;

pub use entry::{ENTRY_OCTETS_MAX, Entry, EntryBuf, LEAVES_MAX};
pub(in crate::space) use postings::ByHash;
pub use search::{Search, Step};

use super::declaration::Declaration;
use super::digest::Digest;
use crate::ids::Sequence;
use masks::{Index, Mask};
use rows::Rows;

/// How much an index may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexLimits {
    /// How many octets the entries of all tuples may take. Then [`TupleIndex::insert`] is refused, and the publish with it.
    pub entries_octets_max: usize,
    /// How many octets the indexes may take together. Those that came on demand go, then searches walk over the entries.
    pub indexes_octets_max: usize,
    /// How many indexes may come on demand. Another takes the place of the one that was not used for longest.
    pub indexes_max: usize,
    /// How many entries searches of one kind walk over in vain before they get an index.
    pub walked_max: usize,
}

impl Default for IndexLimits {
    /// 1 GiB of entries, some 12 million tuples of four fields; 256 MiB of indexes, 16 of them on demand.
    fn default() -> Self {
        Self {
            entries_octets_max: 1 << 30,
            indexes_octets_max: 256 << 20,
            indexes_max: 16,
            walked_max: 1024,
        }
    }
}

/// The entries take as much memory as they may ([`IndexLimits::entries_octets_max`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index of the space is full: its entries take the {octets_max} octets that they may")]
pub struct IndexFull {
    /// The limit.
    pub octets_max: usize,
}

/// After how many tuples more the indexes are weighed.
const WEIGHED_EVERY: usize = 1024;

/// How many kinds of searches are counted at once; beyond that the one with the least is forgotten.
const DEMANDS_MAX: usize = 32;

/// The index of a space's tuples. [`Sequence`]s are below 2^63: a space has no priorities.
#[derive(Debug, Default)]
pub struct TupleIndex {
    rows: Rows,
    indexes: Vec<Index>,
    demands: Vec<Demand>,
    limits: IndexLimits,
    /// The fields of declared indexes: entries have these whatever is left out.
    declared: Vec<u32>,
    /// Counts searches.
    now: u64,
    /// How many tuples were given back so far.
    given_back: u64,
    /// How many tuples went into indexes since they were weighed.
    entered: usize,
}

/// Searches that an index would help.
#[derive(Debug)]
struct Demand {
    index: Index,
    /// Entries walked over in vain.
    walked: usize,
    /// At how many there will be an index: more each time one was too large.
    worth: usize,
}

impl TupleIndex {
    /// One without tuples.
    #[must_use]
    pub fn new(limits: IndexLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How many tuples are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.rows.free
    }

    /// How many tuples are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.rows.held
    }

    /// About how many octets of memory everything takes.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.rows.octets() + self.indexes.iter().map(Index::octets).sum::<usize>()
    }

    /// An index that stays. One that is there already stays from now on.
    pub fn declare(&mut self, declaration: &Declaration) {
        let mut index = match declaration {
            Declaration::Equal(fields) => {
                let mut fields: Vec<_> = fields.iter().map(|field| field.short()).collect();
                fields.sort_unstable();
                fields.dedup();
                Index::mask(Mask {
                    shaped: false,
                    fields: fields.into(),
                })
            }
            Declaration::Ordered(field) => Index::order(field.short()),
        };
        if let Some(known) = self.indexes.iter_mut().find(|known| known.is_like(&index)) {
            known.declared = true;
            return;
        }
        let fields = match declaration {
            Declaration::Equal(fields) => fields,
            Declaration::Ordered(field) => std::slice::from_ref(field),
        };
        self.declared.extend(fields.iter().map(|field| field.short()));
        index.declared = true;
        for (sequence, entry) in self.rows.iter(0) {
            index.insert(sequence, entry);
        }
        index.covered = u64::MAX;
        self.indexes.push(index);
    }

    /// The entry that [`Self::insert`] would make: for the index on disk.
    #[must_use]
    pub fn entry(&self, digest: &Digest) -> EntryBuf {
        EntryBuf::new(digest, &self.declared)
    }

    /// Adds a tuple, free.
    ///
    /// # Errors
    /// [`IndexFull`] if the entries take as much memory as they may.
    ///
    /// # Panics
    /// If there is one of that sequence.
    pub fn insert(&mut self, sequence: Sequence, entry: Entry<'_>) -> Result<(), IndexFull> {
        self.has_room()?;
        debug_assert!(sequence.0 < 1 << 63, "a space has one lane");
        assert!(self.rows.insert(sequence.0, entry), "tuple {sequence} is there already");
        self.enter(sequence.0, entry);
        Ok(())
    }

    /// Adds a tuple that must be there whatever the limits: one that was taken in before. Does nothing if there is one of that sequence.
    pub fn restore(&mut self, sequence: Sequence, entry: Entry<'_>) {
        debug_assert!(sequence.0 < 1 << 63, "a space has one lane");
        if self.rows.insert(sequence.0, entry) {
            self.enter(sequence.0, entry);
        }
    }

    /// Whether a tuple more would be refused, and why.
    ///
    /// # Errors
    /// [`IndexFull`] if the entries take as much memory as they may.
    pub fn has_room(&self) -> Result<(), IndexFull> {
        let octets_max = self.limits.entries_octets_max;
        if self.rows.octets() < octets_max {
            return Ok(());
        }
        Err(IndexFull { octets_max })
    }

    /// The entry of a tuple, be it free or held.
    #[must_use]
    pub fn entry_at(&self, sequence: Sequence) -> Option<Entry<'_>> {
        self.rows.get(sequence.0).map(|(entry, _)| entry)
    }

    /// A taker holds the tuple: no search finds it. Whether it was free.
    pub fn hold(&mut self, sequence: Sequence) -> bool {
        let Some(entry) = self.rows.free(sequence.0) else { return false };
        self.indexes.iter_mut().for_each(|index| index.remove(sequence.0, entry));
        self.rows.set_held(sequence.0, true)
    }

    /// The tuple is free again, in its old place. Whether it was held.
    pub fn give_back(&mut self, sequence: Sequence) -> bool {
        if !self.rows.set_held(sequence.0, false) {
            return false;
        }
        self.given_back += 1;
        if let Some(entry) = self.rows.free(sequence.0) {
            for index in self.indexes.iter_mut().filter(|index| sequence.0 < index.covered) {
                index.insert(sequence.0, entry);
            }
        }
        true
    }

    /// The tuple is gone: taken for good, expired, deleted. Whether it was there.
    pub fn remove(&mut self, sequence: Sequence) -> bool {
        let Some((entry, held)) = self.rows.get(sequence.0) else {
            return false;
        };
        if !held {
            self.indexes.iter_mut().for_each(|index| index.remove(sequence.0, entry));
        }
        self.rows.remove(sequence.0);
        true
    }

    /// The entries of all tuples, held ones too, for the index on disk; in no order.
    pub fn entries(&self) -> impl Iterator<Item = (Sequence, Entry<'_>)> {
        let entries = self.rows.iter(0).chain(self.rows.iter_held(0));
        entries.map(|(sequence, entry)| (Sequence(sequence), entry))
    }

    fn enter(&mut self, sequence: u64, entry: Entry<'_>) {
        for index in self.indexes.iter_mut().filter(|index| sequence < index.covered) {
            index.insert(sequence, entry);
        }
        self.entered += 1;
        self.weigh();
    }

    /// Lets indexes go that take too much memory. Looks once in a while.
    fn weigh(&mut self) {
        if self.entered < WEIGHED_EVERY {
            return;
        }
        self.entered = 0;
        while self.indexes.iter().map(Index::octets).sum::<usize>() > self.limits.indexes_octets_max {
            if !self.drop_least_used() {
                return;
            }
        }
    }

    /// Lets go the index that was not used for longest, unless all are declared.
    fn drop_least_used(&mut self) -> bool {
        let on_demand = self.indexes.iter().enumerate().filter(|(_, index)| !index.declared);
        let Some((at, _)) = on_demand.min_by_key(|(_, index)| index.used) else {
            return false;
        };
        let index = self.indexes.swap_remove(at);
        if let Some(demand) = self.demands.iter_mut().find(|demand| demand.index.is_like(&index)) {
            demand.walked = 0;
            demand.worth = demand.worth.saturating_mul(4);
        }
        true
    }

    /// A search that `index`, which is not there, would have helped walked over so many entries in vain.
    fn demand(&mut self, index: Index, walked: usize) {
        let at = match self.demands.iter().position(|demand| demand.index.is_like(&index)) {
            Some(at) => at,
            None => {
                if self.demands.len() >= DEMANDS_MAX
                    && let Some((least, _)) = self.demands.iter().enumerate().min_by_key(|(_, demand)| demand.walked)
                {
                    self.demands.swap_remove(least);
                }
                let (walked, worth) = (0, self.limits.walked_max);
                self.demands.push(Demand { index, walked, worth });
                self.demands.len() - 1
            }
        };
        let demand = &mut self.demands[at];
        demand.walked += walked;
        if demand.walked < demand.worth {
            return;
        }
        let mut index = demand.index.empty();
        index.used = self.now;
        let on_demand = self.indexes.iter().filter(|index| !index.declared).count();
        if on_demand < self.limits.indexes_max || self.drop_least_used() {
            self.indexes.push(index);
        }
    }
}

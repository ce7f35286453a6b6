//! The blocked templates of a space: who waits for a tuple that is not there. An arriving tuple finds those whom it serves without a look at
//! the others: all readers, then exactly one taker, the one who has waited longest.
//!
//! Templates that fix the same fields share a [table](table), where the values of these fields lead to a bucket. In a bucket templates
//! lie in the order of the low ends of their ranges, and equal ones together, so that they are compared with the tuple once. So an arrival costs as
//! many look-ups as there are tables, whatever the number of waiters.

mod bucket;
mod table;
#[cfg(test)]
mod tests;

use super::digest::Digest;
use super::index::ByHash;
use super::template::{Keys, Template};
use super::tuple::Tuple;
use bucket::Group;
use std::sync::Arc;
use table::Table;

/// The place of a waiter in the line: lower ones are served first. Whoever adds waiters gives them out, each once, as a rule ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId(pub u64);

/// What a waiter wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A copy, which leaves the tuple to others (Linda's `rd`).
    Read,
    /// The tuple (Linda's `in`).
    Take,
}

/// How many may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaiterLimits {
    /// How many waiters there may be. The next is refused.
    pub waiters_max: usize,
    /// How many octets their templates may take, equal ones counted each. The next waiter is refused.
    pub octets_max: usize,
    /// For how many sets of fields there may be a table. Templates that fix another set are kept in the table of some of its fields, or of none,
    /// where each arrival compares them one by one.
    pub tables_max: usize,
}

impl Default for WaiterLimits {
    /// A million waiters, 256 MiB, 64 sets of fields.
    fn default() -> Self {
        Self {
            waiters_max: 1_000_000,
            octets_max: 256 << 20,
            tables_max: 64,
        }
    }
}

/// Why nobody more may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitersFull {
    /// [`WaiterLimits::waiters_max`]
    #[error("{0} wait in the space already, which is as many as may")]
    Waiters(usize),
    /// [`WaiterLimits::octets_max`]
    #[error("the templates of those who wait in the space take the {0} octets that they may")]
    Octets(usize),
}

/// Where a waiter is.
#[derive(Clone, Copy, Debug)]
struct Place {
    table: usize,
    key: u64,
    low: u64,
    fingerprint: u64,
    intent: Intent,
    weight: usize,
}

/// All that wait in a space.
#[derive(Debug, Default)]
pub struct Waiters {
    tables: Vec<Option<Table>>,
    places: ByHash<Place>,
    octets: usize,
    limits: WaiterLimits,
}

impl Waiters {
    /// Nobody waits.
    #[must_use]
    pub fn new(limits: WaiterLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Somebody waits for a tuple like this, at that place in the line.
    ///
    /// # Errors
    /// If so many wait that no more may.
    ///
    /// # Panics
    /// If the place is taken.
    pub fn add(&mut self, waiter: WaiterId, intent: Intent, template: &Arc<Template>) -> Result<(), WaitersFull> {
        let weight = template.weight();
        if self.places.len() >= self.limits.waiters_max {
            return Err(WaitersFull::Waiters(self.limits.waiters_max));
        }
        if self.octets + weight > self.limits.octets_max {
            return Err(WaitersFull::Octets(self.limits.octets_max));
        }
        let keys = template.keys();
        let number = self.table_for(keys);
        let Some(Some(table)) = self.tables.get_mut(number) else {
            unreachable!("a table was found or made");
        };
        let (key, range) = table.place(keys);
        let fingerprint = table.add(key, range, waiter, intent, template);
        let place = Place {
            table: number,
            key,
            low: range.0,
            fingerprint,
            intent,
            weight,
        };
        let before = self.places.insert(mixed(waiter), place);
        assert!(before.is_none(), "{waiter:?} waits already");
        self.octets += weight;
        Ok(())
    }

    /// Somebody waits no more. Whether it did.
    pub fn remove(&mut self, waiter: WaiterId) -> bool {
        let Some(place) = self.places.remove(&mixed(waiter)) else {
            return false;
        };
        self.octets -= place.weight;
        if let Some(slot) = self.tables.get_mut(place.table)
            && let Some(table) = slot
        {
            table.remove(place.key, (place.low, place.fingerprint), waiter, place.intent);
            if table.is_empty() {
                *slot = None;
            }
        }
        true
    }

    /// A tuple has arrived or was given back. Puts all readers that it serves into `readers`, in their order, and returns the one taker that gets
    /// it, if there is one. Nobody is removed: readers and takers that want no more are for the caller to [remove](Self::remove).
    ///
    /// `digest` is that of the tuple.
    pub fn arrived(&self, tuple: &Tuple<'_>, digest: &Digest, readers: &mut Vec<WaiterId>) -> Option<WaiterId> {
        let start = readers.len();
        let mut best = u64::MAX;
        let mut look = |group: &Group| {
            if (group.has_readers() || group.first_taker() < best) && group.template().matches(tuple) {
                readers.extend(group.readers());
                best = best.min(group.first_taker());
            }
        };
        for table in self.tables.iter().flatten() {
            if digest.ambiguous {
                table.each(&mut look);
            } else if let Some((key, image)) = table.sought(digest) {
                table.find(key, image, &mut look);
            }
        }
        readers[start..].sort_unstable();
        (best != u64::MAX).then_some(WaiterId(best))
    }

    /// The number of the table for templates with these keys.
    fn table_for(&mut self, keys: &Keys) -> usize {
        let wanted = Table::of(keys);
        if let Some(known) = self
            .tables
            .iter()
            .position(|table| table.as_ref().is_some_and(|table| table.is_like(&wanted)))
        {
            return known;
        }
        let used = self.tables.iter().flatten().count();
        // The last one is for templates that fit into no other.
        let table = if used + 1 < self.limits.tables_max {
            wanted
        } else {
            let fits = self
                .tables
                .iter()
                .enumerate()
                .filter(|(_, table)| table.as_ref().is_some_and(|table| table.takes(keys)));
            let best = fits.max_by_key(|(_, table)| table.as_ref().map_or(0, Table::fields));
            if let Some((best, _)) = best {
                return best;
            }
            Table::of(&Keys::default())
        };
        let free = self.tables.iter().position(Option::is_none).unwrap_or(self.tables.len());
        if free == self.tables.len() {
            self.tables.push(None);
        }
        self.tables[free] = Some(table);
        free
    }
}

/// A waiter's number as a hash.
fn mixed(waiter: WaiterId) -> u64 {
    super::hash::mix(waiter.0, 0)
}

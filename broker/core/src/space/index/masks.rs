//! Indexes over free tuples. A mask index finds those that have certain fields with certain values, an ordered one those in which a field lies
//! in a range.
//!
//! An index covers the tuples below a position, and grows by what searches walk over beyond it; so one that nobody needs as a whole is never
//! whole, and none is built at one go.

use super::entry::{Entry, ShortKeys, ShortRange};
use super::postings::Postings;
use crate::space::hash::mix;
use std::collections::BTreeSet;

/// The set of fields that an index looks at, and whether it looks at the shape too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mask {
    pub(super) shaped: bool,
    /// Ascending.
    pub(super) fields: Box<[u32]>,
}

/// What an index makes of a tuple.
enum Key {
    /// It has this key.
    Of(u64),
    /// It lacks a field, so no template of this mask matches it.
    None,
    /// Its entry is partial and does not tell.
    Unknown,
}

impl Mask {
    /// All that a template fixes.
    pub(super) fn of(keys: &ShortKeys) -> Self {
        Self {
            shaped: keys.shape.is_some(),
            fields: keys.equal.iter().map(|(field, _)| *field).collect(),
        }
    }

    fn start(&self, shape: u16) -> u64 {
        if self.shaped { mix(1, shape.into()) } else { 0 }
    }

    fn key(&self, entry: Entry<'_>) -> Key {
        let mut key = self.start(entry.shape().0);
        for field in &*self.fields {
            match entry.get(*field) {
                Some(leaf) => key = mix(key, leaf.hash.into()),
                None if entry.is_partial() => return Key::Unknown,
                None => return Key::None,
            }
        }
        Key::Of(key)
    }

    /// The key of the tuples that a template asks for, if it fixes all that this looks at.
    pub(super) fn wanted(&self, keys: &ShortKeys) -> Option<u64> {
        let shape = match keys.shape {
            Some(shape) => shape.0,
            None if self.shaped => return None,
            None => 0,
        };
        let mut key = self.start(shape);
        for field in &*self.fields {
            let at = keys.equal.binary_search_by_key(field, |(field, _)| *field).ok()?;
            key = mix(key, keys.equal.get(at)?.1.into());
        }
        Some(key)
    }
}

/// An index of either kind.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) by: By,
    /// All free tuples below are in it.
    pub(super) covered: u64,
    /// Those whose entries do not tell whether they belong: always looked at.
    loose: BTreeSet<u64>,
    /// Kept whatever memory it takes, for an argument of the space asks for it.
    pub(super) declared: bool,
    /// When it was last of use, as searches count.
    pub(super) used: u64,
}

#[derive(Debug)]
pub(super) enum By {
    Mask(Mask, Postings),
    /// By image and sequence.
    Order(u32, BTreeSet<(u64, u64)>),
}

impl Index {
    pub(super) fn mask(mask: Mask) -> Self {
        Self::new(By::Mask(mask, Postings::default()))
    }

    pub(super) fn order(field: u32) -> Self {
        Self::new(By::Order(field, BTreeSet::new()))
    }

    fn new(by: By) -> Self {
        Self {
            by,
            covered: 0,
            loose: BTreeSet::new(),
            declared: false,
            used: 0,
        }
    }

    /// One that looks at the same and has nothing in it.
    pub(super) fn empty(&self) -> Self {
        match &self.by {
            By::Mask(mask, _) => Self::mask(mask.clone()),
            By::Order(field, _) => Self::order(*field),
        }
    }

    /// Whether it looks at the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (&self.by, &other.by) {
            (By::Mask(a, _), By::Mask(b, _)) => a == b,
            (By::Order(a, _), By::Order(b, _)) => a == b,
            _ => false,
        }
    }

    /// About how much memory this takes.
    pub(super) fn octets(&self) -> usize {
        let content = match &self.by {
            By::Mask(_, postings) => postings.octets(),
            By::Order(_, entries) => entries.len() * 26,
        };
        content + self.loose.len() * 14
    }

    pub(super) fn insert(&mut self, sequence: u64, entry: Entry<'_>) {
        let told = match &mut self.by {
            By::Mask(mask, postings) => match mask.key(entry) {
                Key::Of(key) => {
                    postings.insert(key, sequence);
                    true
                }
                Key::None => true,
                Key::Unknown => false,
            },
            By::Order(field, entries) => match entry.get(*field) {
                Some(leaf) => {
                    entries.insert((leaf.image, sequence));
                    true
                }
                None => !entry.is_partial(),
            },
        };
        if !told {
            self.loose.insert(sequence);
        }
    }

    pub(super) fn remove(&mut self, sequence: u64, entry: Entry<'_>) {
        if sequence >= self.covered {
            return;
        }
        match &mut self.by {
            By::Mask(mask, postings) => {
                if let Key::Of(key) = mask.key(entry) {
                    postings.remove(key, sequence);
                }
            }
            By::Order(field, entries) => {
                if let Some(leaf) = entry.get(*field) {
                    entries.remove(&(leaf.image, sequence));
                }
            }
        }
        if entry.is_partial() {
            self.loose.remove(&sequence);
        }
    }

    /// How many tuples of this key it has, those that may be counted in.
    pub(super) fn count(&self, key: u64) -> usize {
        match &self.by {
            By::Mask(_, postings) => postings.count(key) + self.loose.len(),
            By::Order(..) => usize::MAX,
        }
    }

    /// The first tuple of this key, or that may be of it, from `from` on.
    pub(super) fn next(&self, key: u64, from: u64) -> Option<u64> {
        let By::Mask(_, postings) = &self.by else { return None };
        let loose = self.loose.range(from..).next().copied();
        postings.next(key, from).into_iter().chain(loose).min()
    }

    /// All tuples in a range from `from` on, or that may be; oldest first. `None` if the range is wider than `entries_max`.
    pub(super) fn gather(&self, range: ShortRange, from: u64, entries_max: usize) -> Option<Vec<u64>> {
        let By::Order(_, entries) = &self.by else { return None };
        if range.low > range.high {
            return Some(Vec::new());
        }
        let mut found = Vec::new();
        let within = entries
            .range((range.low, 0)..=(range.high, u64::MAX))
            .map(|(_, sequence)| *sequence);
        for (count, sequence) in within.chain(self.loose.range(from..).copied()).enumerate() {
            if count >= entries_max {
                return None;
            }
            if sequence >= from {
                found.push(sequence);
            }
        }
        found.sort_unstable();
        Some(found)
    }
}

//! The index entry of a tuple: its digest in short, the same in memory and on disk, where a chunk's entries make the indexes come back without
//! its tuples.
//!
//! ```text
//!  0       2        3                                       (16 each)
//!  +-------+--------+-----------+----------+-----------+
//!  | shape | leaves | field u32 | hash u32 | image u64 | ...
//!  |  u16  |   u8   |           |          |           |
//!  +-------+--------+-----------+----------+-----------+
//! ```
//!
//! Little-endian. The leaves ascend by field. If the top bit of `leaves` is set the entry is partial: the tuple has fields that are not in it,
//! because there are more than [`LEAVES_MAX`] or because two have the same hash.

use crate::space::digest::{Digest, Leaf, Shape};
use crate::space::template::Keys;

/// How many scalars of a tuple an entry has at most. Tuples with more are found by the others only after a look at the tuple, unless an index
/// was declared for them.
pub const LEAVES_MAX: usize = 16;

const PREFIX: usize = 3;
const LEAF: usize = 16;
const PARTIAL: u8 = 0x80;

/// The octets of the largest entry.
pub const ENTRY_OCTETS_MAX: usize = PREFIX + LEAVES_MAX * LEAF;

/// An entry, borrowed from where its octets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a>(&'a [u8]);

/// One scalar, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShortLeaf {
    pub(super) field: u32,
    pub(super) hash: u32,
    pub(super) image: u64,
}

impl<'a> Entry<'a> {
    /// The entry at the front of these octets, or `None` if there is no whole one.
    #[must_use]
    pub fn first_of(octets: &'a [u8]) -> Option<Self> {
        let count = usize::from(octets.get(2)? & !PARTIAL);
        if count > LEAVES_MAX {
            return None;
        }
        octets.get(..PREFIX + count * LEAF).map(Self)
    }

    /// All octets of it.
    #[must_use]
    pub fn octets(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn shape(self) -> Shape {
        Shape(u16::from_le_bytes([self.0[0], self.0[1]]))
    }

    pub(super) fn is_partial(self) -> bool {
        self.0[2] & PARTIAL != 0
    }

    pub(super) fn leaves(self) -> impl Iterator<Item = ShortLeaf> + 'a {
        let leaves = self.0[PREFIX..].as_chunks::<LEAF>().0;
        leaves.iter().map(|leaf| {
            let at = |range: std::ops::Range<usize>| leaf[range].iter().rev().fold(0u64, |n, octet| n << 8 | u64::from(*octet));
            ShortLeaf {
                field: at(0..4) as u32,
                hash: at(4..8) as u32,
                image: at(8..16),
            }
        })
    }

    pub(super) fn get(self, field: u32) -> Option<ShortLeaf> {
        self.leaves().find(|leaf| leaf.field == field)
    }

    /// Whether the tuple may match a template with these keys.
    pub(super) fn may_match(self, keys: &ShortKeys) -> bool {
        let absent = self.is_partial();
        keys.shape.is_none_or(|shape| shape == self.shape())
            && keys
                .equal
                .iter()
                .all(|(field, hash)| self.get(*field).map_or(absent, |leaf| leaf.hash == *hash))
            && keys.ranges.iter().all(|range| {
                self.get(range.field)
                    .map_or(absent, |leaf| (range.low..=range.high).contains(&leaf.image))
            })
    }
}

/// An entry that owns its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryBuf {
    octets: [u8; ENTRY_OCTETS_MAX],
    size: usize,
}

impl EntryBuf {
    /// The entry for a digest. If there are too many leaves, those of the fields in `first` stay, and then the first ones.
    pub(super) fn new(digest: &Digest, first: &[u32]) -> Self {
        // What is the same in short is left out, as if it were too much.
        let leaves = &digest.leaves;
        let same = |a: Option<&Leaf>, b: &Leaf| a.is_some_and(|a| a.field.short() == b.field.short());
        let clear = leaves.iter().enumerate().filter(|(at, leaf)| {
            let before = at.checked_sub(1).and_then(|at| leaves.get(at));
            !same(before, leaf) && !same(leaves.get(at + 1), leaf)
        });
        let clear = clear.map(|(_, leaf)| leaf);
        let mut entry = Self {
            octets: [0; ENTRY_OCTETS_MAX],
            size: PREFIX,
        };
        entry.octets[..2].copy_from_slice(&digest.shape.0.to_le_bytes());
        if leaves.len() <= LEAVES_MAX {
            clear.for_each(|leaf| entry.push(leaf));
        } else {
            let (wanted, others): (Vec<_>, Vec<_>) = clear.partition(|leaf| first.contains(&leaf.field.short()));
            let mut kept: Vec<_> = wanted.into_iter().chain(others).take(LEAVES_MAX).collect();
            kept.sort_unstable_by_key(|leaf: &&Leaf| leaf.field);
            kept.into_iter().for_each(|leaf| entry.push(leaf));
        }
        let count = (entry.size - PREFIX) / LEAF;
        entry.octets[2] = count as u8 | if count < leaves.len() { PARTIAL } else { 0 };
        entry
    }

    fn push(&mut self, leaf: &Leaf) {
        let [field, hash] = [leaf.field.short(), short(leaf.hash)].map(u32::to_le_bytes);
        let place = &mut self.octets[self.size..self.size + LEAF];
        place[..4].copy_from_slice(&field);
        place[4..8].copy_from_slice(&hash);
        place[8..].copy_from_slice(&leaf.image.to_le_bytes());
        self.size += LEAF;
    }

    /// The entry, to look at or to write.
    #[must_use]
    pub fn as_entry(&self) -> Entry<'_> {
        Entry(&self.octets[..self.size])
    }
}

/// The hash of a value in short.
fn short(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A template's [`Keys`] in short.
#[derive(Clone, Debug)]
pub(super) struct ShortKeys {
    pub(super) shape: Option<Shape>,
    /// By field, ascending.
    pub(super) equal: Vec<(u32, u32)>,
    pub(super) ranges: Vec<ShortRange>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ShortRange {
    pub(super) field: u32,
    pub(super) low: u64,
    pub(super) high: u64,
}

impl From<&Keys> for ShortKeys {
    fn from(keys: &Keys) -> Self {
        let mut equal: Vec<_> = keys.equal.iter().map(|(field, hash)| (field.short(), short(*hash))).collect();
        equal.dedup_by_key(|(field, _)| *field);
        let range = |range: &crate::space::template::Range| ShortRange {
            field: range.field.short(),
            low: range.low,
            high: range.high,
        };
        Self {
            shape: keys.shape,
            equal,
            ranges: keys.ranges.iter().map(range).collect(),
        }
    }
}

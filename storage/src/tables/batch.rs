//! A batch of changes to the tables, applied whole or not at all.

use std::ops::Range;

use rocksdb::{ColumnFamily, WriteBatch};

use super::{Family, POSITION_KEY};
use crate::journal::CommitNumber;

/// Changes in their order. It can be cleared and used again without new memory.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
    /// Keys and values, back to back.
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Change {
    family: Family,
    kind: Kind,
    key: Range<usize>,
    /// Of a range: its end. Of a delete: empty.
    value: Range<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Put,
    Delete,
    DeleteRange,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value under a key.
    pub fn put(&mut self, family: Family, key: &[u8], value: &[u8]) {
        self.push(family, Kind::Put, key, value);
    }

    /// Removes a key. A missing one is no error.
    pub fn delete(&mut self, family: Family, key: &[u8]) {
        self.push(family, Kind::Delete, key, b"");
    }

    /// Removes the keys from `from` (included) to `to` (excluded). For purges and deleted queues only: later reads pay for each range.
    pub fn delete_range(&mut self, family: Family, from: &[u8], to: &[u8]) {
        self.push(family, Kind::DeleteRange, from, to);
    }

    /// Says that with this batch everything before `position` is in the tables.
    pub fn set_position(&mut self, position: CommitNumber) {
        self.push(Family::Meta, Kind::Put, POSITION_KEY, &position.0.to_le_bytes());
    }

    /// How many changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The size of the keys and values, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the changes and keeps the memory.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.bytes.clear();
    }

    fn push(&mut self, family: Family, kind: Kind, key: &[u8], value: &[u8]) {
        let key = self.append(key);
        let value = self.append(value);
        self.changes.push(Change { family, kind, key, value });
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// About what RocksDB makes of it.
    pub(super) fn encoded_bytes(&self) -> usize {
        self.bytes.len() + 16 * self.changes.len() + 16
    }

    pub(super) fn replay<'a>(&self, out: &mut WriteBatch, handle: impl Fn(Family) -> &'a ColumnFamily) {
        for change in &self.changes {
            let (key, value) = (&self.bytes[change.key.clone()], &self.bytes[change.value.clone()]);
            let family = &handle(change.family);
            match change.kind {
                Kind::Put => out.put_cf(family, key, value),
                Kind::Delete => out.delete_cf(family, key),
                Kind::DeleteRange => out.delete_range_cf(family, key, value),
            }
        }
    }
}

//! A store that forgets what was not synced: a journal of numbered commits, and tables whose writes become durable in their order, at the
//! latest with a flush.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use stoa_core::ids::{BodyId, QueueId, Sequence};
use stoa_core::record::BodyRef;
use stoa_core::shard::StoredChunk;
use stoa_core::shard::stored::chunk_key;

use crate::bodies::octets;
use crate::rng::Rng;

pub type Key = [u8; 16];

/// One write to the tables.
#[derive(Clone)]
pub enum Write {
    /// A chunk, and those of its bodies that are not there.
    Put(StoredChunk, Vec<BodyRef>),
    DeleteBody(BodyId),
    Delete(RangeInclusive<Key>),
    /// The commit from which the journal must be replayed.
    Position(u64),
}

impl Write {
    pub fn delete(queue: QueueId, first: Sequence, last: Sequence) -> Self {
        Self::Delete(chunk_key(queue, first)..=chunk_key(queue, last))
    }
}

#[derive(Clone, Default)]
pub struct Tables {
    pub index: BTreeMap<Key, Vec<u8>>,
    chunks: BTreeMap<Key, Arc<Vec<u8>>>,
    pub bodies: BTreeMap<BodyId, Vec<u8>>,
    pub position: u64,
}

impl Tables {
    fn apply(&mut self, write: Write) {
        match write {
            Write::Put(chunk, bodies) => {
                let key = chunk.key();
                self.bodies.extend(bodies.into_iter().map(|body| (body.id, octets(body))));
                self.index.insert(key, chunk.entry.encode());
                if let Some(data) = chunk.data {
                    self.chunks.insert(key, data);
                }
            }
            Write::Delete(keys) if keys.start() == keys.end() => {
                self.index.remove(keys.start());
                self.chunks.remove(keys.start());
            }
            Write::Delete(keys) => {
                self.index.retain(|key, _| !keys.contains(key));
                self.chunks.retain(|key, _| !keys.contains(key));
            }
            Write::DeleteBody(id) => drop(self.bodies.remove(&id)),
            Write::Position(position) => self.position = position,
        }
    }

    pub fn chunk(&self, queue: QueueId, first: Sequence) -> Vec<u8> {
        self.chunks
            .get(&chunk_key(queue, first))
            .map_or_else(Vec::new, |data| data.to_vec())
    }

    /// A chunk without an entry would never be found again, and an entry without a chunk would be damage.
    pub fn invariants(&self) {
        for key in self.chunks.keys() {
            assert!(self.index.contains_key(key), "a chunk without an index entry is left behind");
        }
        for key in self.index.keys().filter(|key| key[9..] != [0xff; 7]) {
            assert!(self.chunks.contains_key(key), "an index entry without a chunk");
        }
    }
}

#[derive(Default)]
pub struct Disk {
    /// Durable commits that were not recycled.
    pub journal: BTreeMap<u64, Vec<u8>>,
    /// What a read finds.
    pub tables: Tables,
    flushed: Tables,
    unflushed: Vec<Write>,
}

impl Disk {
    pub fn write(&mut self, write: Write) {
        self.tables.apply(write.clone());
        self.unflushed.push(write);
    }

    pub fn flush(&mut self) {
        for write in self.unflushed.drain(..) {
            self.flushed.apply(write);
        }
    }

    /// Segments below the position are free.
    pub fn recycle(&mut self) {
        self.journal = self.journal.split_off(&self.flushed.position);
    }

    /// The power fails. A commit that was being written may have arrived or not; so may table writes, in their order.
    pub fn crash(&mut self, rng: &mut Rng, in_flight: Option<(u64, Vec<u8>)>) {
        if let Some((number, bytes)) = in_flight
            && rng.percent(50)
        {
            self.journal.insert(number, bytes);
        }
        let arrived = rng.below(self.unflushed.len() + 1);
        for write in self.unflushed.drain(..).take(arrived) {
            self.flushed.apply(write);
        }
        self.tables = self.flushed.clone();
    }
}

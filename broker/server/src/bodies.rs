//! Large bodies: kept once, however many queues their message is in, and counted by references.
//!
//! A body is in memory until it is in the tables and memory is wanted; it is in the journal when the message that it belongs to is, and in the
//! tables when a chunk that refers to it is, or at the next checkpoint. With its last reference it is gone everywhere.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use stoa_core::ids::BodyId;
use stoa_core::log::{LogRecord, LogWriter};
use stoa_storage::{Batch, Family, TableError, Tables};

/// Bodies of at least this many octets lie apart. Smaller ones are cheaper in their record.
pub(crate) const APART_MIN: usize = 4096;

/// All large bodies of the broker.
#[derive(Debug)]
pub(crate) struct Bodies {
    tables: Tables,
    next: AtomicU64,
    memory_bytes_max: usize,
    registry: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    bodies: HashMap<BodyId, Body>,
    resident_bytes: usize,
    /// Bodies that no commit has written yet.
    unwritten: Vec<BodyId>,
    /// Such bodies that lost their last reference since the last commit began to gather.
    late: Vec<(BodyId, Bytes)>,
    /// Bodies in the tables that nothing refers to any more.
    forgotten: Vec<BodyId>,
    /// Bodies in memory and in the tables, oldest first: the first to leave memory. May name some that have gone.
    evictable: VecDeque<BodyId>,
}

#[derive(Debug)]
struct Body {
    /// Records that refer to it, in all queues.
    references: u32,
    /// Absent when it is only in the tables.
    octets: Option<Bytes>,
    persistent: bool,
    /// A commit has it.
    written: bool,
    /// The tables have it, or are about to get it.
    stored: bool,
    /// The tables have it.
    readable: bool,
}

impl Bodies {
    pub(crate) fn new(tables: Tables, memory_bytes_max: usize) -> Self {
        Self {
            tables,
            next: AtomicU64::new(1),
            memory_bytes_max,
            registry: Mutex::default(),
        }
    }

    /// Takes in a body that so many records will refer to. `persistent`: a commit must write it.
    pub(crate) fn insert(&self, octets: Bytes, references: u32, persistent: bool) -> BodyId {
        let id = BodyId(self.next.fetch_add(1, Ordering::Relaxed));
        let mut registry = self.registry.lock();
        registry.resident_bytes += octets.len();
        if persistent {
            registry.unwritten.push(id);
        }
        registry.bodies.insert(
            id,
            Body {
                references,
                octets: Some(octets),
                persistent,
                written: false,
                stored: false,
                readable: false,
            },
        );
        id
    }

    /// So many more records refer to the body. `persistent`: one of them must outlive the process, which so far perhaps none had to. False: there is
    /// no such body, which is damage.
    pub(crate) fn retain(&self, id: BodyId, references: u32, persistent: bool) -> bool {
        let mut registry = self.registry.lock();
        let Some(body) = registry.bodies.get_mut(&id) else { return false };
        body.references += references;
        if !persistent || body.persistent {
            return true;
        }
        // From now on it stays in memory until a commit has written it.
        body.persistent = true;
        let is_resident = body.octets.is_some();
        drop(registry);
        if !is_resident && self.load(id).is_none() {
            return false;
        }
        self.registry.lock().unwritten.push(id);
        true
    }

    /// The body, from memory or from the tables. `None`: it is not there, which is damage.
    pub(crate) fn get(&self, id: BodyId) -> Option<Bytes> {
        if let Some(octets) = &self.registry.lock().bodies.get(&id)?.octets {
            return Some(octets.clone());
        }
        self.load(id)
    }

    /// Brings a body into memory ahead of its delivery.
    pub(crate) fn prefetch(&self, id: BodyId) {
        drop(self.get(id));
    }

    fn load(&self, id: BodyId) -> Option<Bytes> {
        let octets = match self.tables.get(Family::Bodies, &id.0.to_be_bytes()) {
            Ok(found) => Bytes::from(found?),
            Err(error) => {
                tracing::error!(body = %id, %error, "a body cannot be read");
                return None;
            }
        };
        let mut registry = self.registry.lock();
        if let Some(body) = registry.bodies.get_mut(&id)
            && body.octets.is_none()
        {
            body.octets = Some(octets.clone());
            registry.resident_bytes += octets.len();
            registry.evictable.push_back(id);
            registry.evict(self.memory_bytes_max);
        }
        Some(octets)
    }

    /// A record that referred to the body is settled.
    pub(crate) fn release(&self, id: BodyId) {
        let mut registry = self.registry.lock();
        let Some(body) = registry.bodies.get_mut(&id) else { return };
        body.references -= 1;
        if body.references > 0 {
            return;
        }
        let Some(body) = registry.bodies.remove(&id) else { return };
        if let Some(octets) = body.octets {
            registry.resident_bytes -= octets.len();
            if body.persistent && !body.written {
                registry.late.push((id, octets));
            }
        }
        if body.stored {
            registry.forgotten.push(id);
        }
    }

    /// A commit begins to gather: bodies that have come and gone by now need not be written. Gives those that the tables can delete once the
    /// commit is durable: until then a crash brings back the messages that referred to them.
    pub(crate) fn begin_commit(&self) -> Vec<BodyId> {
        let mut registry = self.registry.lock();
        registry.late.clear();
        std::mem::take(&mut registry.forgotten)
    }

    /// Appends what has not been written, after the shards were asked: the body of every message in this commit is in it or in an earlier one.
    pub(crate) fn collect(&self, log: &mut LogWriter<'_>) {
        let registry = &mut *self.registry.lock();
        for id in registry.unwritten.drain(..) {
            if let Some(body) = registry.bodies.get_mut(&id) {
                body.written = true;
                if let Some(octets) = &body.octets {
                    log.push(LogRecord::Body { id, octets });
                }
                if body.readable {
                    registry.evictable.push_back(id);
                }
            }
        }
        for (id, octets) in registry.late.drain(..) {
            log.push(LogRecord::Body { id, octets: &octets });
        }
    }

    /// Takes those of these bodies along that the tables do not have and are not about to get: they go into the same batch as the chunk that
    /// refers to them, even if they are released by then.
    pub(crate) fn take_along(&self, ids: impl IntoIterator<Item = BodyId>) -> Vec<(BodyId, Bytes)> {
        let mut registry = self.registry.lock();
        let take = |id: BodyId| {
            let body = registry.bodies.get_mut(&id).filter(|body| !body.stored)?;
            body.stored = true;
            Some((id, body.octets.clone()?))
        };
        ids.into_iter().filter_map(take).collect()
    }

    /// The tables have these bodies now: they may leave memory.
    pub(crate) fn are_stored(&self, ids: impl IntoIterator<Item = BodyId>) {
        let mut registry = self.registry.lock();
        let Registry { bodies, evictable, .. } = &mut *registry;
        for id in ids {
            if let Some(body) = bodies.get_mut(&id) {
                body.readable = true;
                evictable.push_back(id);
            }
        }
        registry.evict(self.memory_bytes_max);
    }

    /// The persistent bodies that only the journal has: a checkpoint stores them before the journal forgets them.
    pub(crate) fn journaled_only(&self) -> Vec<BodyId> {
        let registry = self.registry.lock();
        registry
            .bodies
            .iter()
            .filter(|(_, body)| body.written && !body.stored)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Recovery: the journal has this body.
    pub(crate) fn replay(&mut self, id: BodyId, octets: &[u8]) {
        self.next.fetch_max(id.0 + 1, Ordering::Relaxed);
        let registry = self.registry.get_mut();
        if registry.bodies.contains_key(&id) {
            // The tables have it already.
            return;
        }
        let octets = Bytes::copy_from_slice(octets);
        registry.resident_bytes += octets.len();
        let body = Body {
            references: 0,
            octets: Some(octets),
            persistent: true,
            written: true,
            stored: false,
            readable: false,
        };
        registry.bodies.insert(id, body);
    }

    /// Recovery: the tables have this body.
    pub(crate) fn restore(&mut self, id: BodyId) {
        self.next.fetch_max(id.0 + 1, Ordering::Relaxed);
        let body = Body {
            references: 0,
            octets: None,
            persistent: true,
            written: true,
            stored: true,
            readable: true,
        };
        self.registry.get_mut().bodies.insert(id, body);
    }

    /// Recovery: a record refers to the body. False: there is no such body.
    pub(crate) fn refer(&mut self, id: BodyId) -> bool {
        match self.registry.get_mut().bodies.get_mut(&id) {
            Some(body) => {
                body.references += 1;
                true
            }
            None => false,
        }
    }

    /// Recovery is over: what nothing refers to is dropped, and deleted by `obsolete`.
    pub(crate) fn recovered(&mut self, obsolete: &mut Batch) {
        let registry = self.registry.get_mut();
        let gone = registry.bodies.extract_if(|_, body| body.references == 0);
        let mut freed = 0;
        for (id, body) in gone {
            freed += body.octets.map_or(0, |octets| octets.len());
            delete(id, obsolete);
        }
        registry.resident_bytes -= freed;
    }

    /// Octets in memory.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.registry.lock().resident_bytes
    }
}

impl Registry {
    fn evict(&mut self, memory_bytes_max: usize) {
        while self.resident_bytes > memory_bytes_max {
            let Some(id) = self.evictable.pop_front() else { return };
            // What the tables have is durable only at the next checkpoint: until a commit has written the body, it is needed here. Then it comes
            // back into the list.
            let evictable = self
                .bodies
                .get_mut(&id)
                .filter(|body| body.readable && (body.written || !body.persistent));
            if let Some(octets) = evictable.and_then(|body| body.octets.take()) {
                self.resident_bytes -= octets.len();
            }
        }
    }
}

/// Adds a body to `batch`, and to the list of stored bodies.
pub(crate) fn put(id: BodyId, octets: &[u8], batch: &mut Batch) {
    batch.put(Family::Bodies, &id.0.to_be_bytes(), octets);
    batch.put(Family::Acks, &index_key(id), &[]);
}

/// Adds to `batch` that the tables forget this body.
pub(crate) fn delete(id: BodyId, batch: &mut Batch) {
    batch.delete(Family::Bodies, &id.0.to_be_bytes());
    batch.delete(Family::Acks, &index_key(id));
}

/// Bodies are listed in the index behind all queues: start-up reads that list, and not the bodies.
const INDEX_PREFIX: [u8; 8] = u64::MAX.to_be_bytes();

fn index_key(id: BodyId) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&INDEX_PREFIX);
    key[8..].copy_from_slice(&id.0.to_be_bytes());
    key
}

/// Whether a key of the index names a body.
pub(crate) fn is_index_key(key: &[u8]) -> bool {
    key.starts_with(&INDEX_PREFIX)
}

/// Reads the list of stored bodies.
pub(crate) fn scan(tables: &Tables, mut each: impl FnMut(BodyId)) -> Result<(), TableError> {
    tables.scan_keys(Family::Acks, &INDEX_PREFIX, |key| {
        if let Some(id) = key.get(8..).and_then(|id| id.try_into().ok()) {
            each(BodyId(u64::from_be_bytes(id)));
        }
        ControlFlow::Continue(())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use stoa_core::log;
    use stoa_storage::{Store, StoreOptions};

    use super::*;

    const MEMORY: usize = 10_000;

    fn tables() -> (tempfile::TempDir, Tables) {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            segment_bytes: 64 << 10,
            ..StoreOptions::new(dir.path().join("data"))
        };
        let tables = Store::open(&options).unwrap().tables;
        (dir, tables)
    }

    fn body(octet: u8) -> Bytes {
        vec![octet; APART_MIN].into()
    }

    /// As the pager does it.
    fn store(bodies: &Bodies, tables: &Tables, ids: &[BodyId]) {
        let mut batch = Batch::new();
        for (id, octets) in bodies.take_along(ids.iter().copied()) {
            put(id, &octets, &mut batch);
        }
        tables.write(&batch).unwrap();
        bodies.are_stored(ids.iter().copied());
    }

    /// The bodies that a commit would write.
    fn collected(bodies: &Bodies) -> Vec<BodyId> {
        let mut commit = Vec::new();
        bodies.collect(&mut LogWriter::new(&mut commit));
        let id = |record| match record {
            LogRecord::Body { id, .. } => id,
            other => panic!("{other:?} in place of a body"),
        };
        log::read(&commit).map(|record| id(record.unwrap())).collect()
    }

    #[test]
    fn a_body_goes_with_its_last_reference() {
        let (_dir, tables) = tables();
        let bodies = Bodies::new(tables.clone(), MEMORY);
        let id = bodies.insert(body(1), 2, true);
        store(&bodies, &tables, &[id]);
        bodies.release(id);
        assert_eq!(bodies.get(id), Some(body(1)));
        bodies.release(id);
        assert_eq!((bodies.get(id), bodies.resident_bytes()), (None, 0));
        assert_eq!(
            bodies.begin_commit(),
            [id],
            "the tables are to forget it when the commit is durable"
        );
        assert!(bodies.begin_commit().is_empty());
    }

    #[test]
    fn a_transient_body_that_comes_to_a_durable_queue_is_written() {
        let (_dir, tables) = tables();
        let bodies = Bodies::new(tables.clone(), MEMORY);
        let ids: Vec<_> = (0..4).map(|octet| bodies.insert(body(octet), 1, false)).collect();
        store(&bodies, &tables, &ids);
        assert_eq!(bodies.resident_bytes(), 2 * APART_MIN, "two are in the tables only");
        assert!(collected(&bodies).is_empty());
        assert!(bodies.retain(ids[0], 1, true) && bodies.retain(ids[3], 1, true) && bodies.retain(ids[3], 1, true));
        assert!(bodies.retain(ids[1], 1, false));
        assert_eq!(collected(&bodies), [ids[0], ids[3]]);
        for octet in [0, 1] {
            let id = ids[usize::from(octet)];
            bodies.release(id);
            assert_eq!(bodies.get(id), Some(body(octet)));
            bodies.release(id);
            assert_eq!((bodies.get(id), bodies.retain(id, 1, true)), (None, false));
        }
    }

    #[test]
    fn what_came_and_went_before_a_commit_is_not_written() {
        let (_dir, tables) = tables();
        let bodies = Bodies::new(tables, MEMORY);
        let gone = bodies.insert(body(1), 1, true);
        let transient = bodies.insert(body(2), 1, false);
        let kept = bodies.insert(body(3), 1, true);
        bodies.release(gone);
        bodies.begin_commit();
        assert_eq!(collected(&bodies), [kept], "neither {gone} nor {transient}");
        assert!(collected(&bodies).is_empty(), "a body is written once");
        assert_eq!(bodies.journaled_only(), [kept]);
    }

    #[test]
    fn what_goes_while_a_commit_gathers_is_written() {
        let (_dir, tables) = tables();
        let bodies = Bodies::new(tables, MEMORY);
        let id = bodies.insert(body(1), 1, true);
        bodies.begin_commit();
        // a shard was asked, and its message is in the commit; then the message is acknowledged
        bodies.release(id);
        assert_eq!(collected(&bodies), [id]);
    }

    #[test]
    fn stored_bodies_leave_memory_and_come_back() {
        let (_dir, tables) = tables();
        let bodies = Bodies::new(tables.clone(), MEMORY);
        let ids: Vec<_> = (0..5).map(|octet| bodies.insert(body(octet), 1, true)).collect();
        assert_eq!(bodies.resident_bytes(), 5 * APART_MIN, "what is only in memory stays there");
        store(&bodies, &tables, &ids);
        assert_eq!(bodies.resident_bytes(), 5 * APART_MIN, "no commit has written them yet");
        assert_eq!(collected(&bodies), ids);
        bodies.are_stored([]);
        assert!(bodies.resident_bytes() <= MEMORY);
        for (octet, id) in (0..).zip(&ids) {
            assert_eq!(bodies.get(*id), Some(body(octet)));
            assert!(bodies.resident_bytes() <= MEMORY);
        }
    }

    #[test]
    fn a_body_released_on_its_way_to_the_tables_still_gets_there() {
        let (_dir, tables) = tables();
        let bodies = Bodies::new(tables, MEMORY);
        let id = bodies.insert(body(1), 1, true);
        let taken = bodies.take_along([id]);
        bodies.release(id);
        assert_eq!(taken, [(id, body(1))]);
        assert_eq!(bodies.begin_commit(), [id], "and is forgotten there in its turn");
    }

    #[test]
    fn recovery_keeps_what_is_referred_to_and_deletes_the_rest() {
        let (_dir, tables) = tables();
        let (stored, orphan) = {
            let bodies = Bodies::new(tables.clone(), MEMORY);
            let ids = [bodies.insert(body(1), 1, true), bodies.insert(body(2), 1, true)];
            store(&bodies, &tables, &ids);
            ids.into()
        };
        let mut bodies = Bodies::new(tables.clone(), MEMORY);
        scan(&tables, |id| bodies.restore(id)).unwrap();
        let journaled = BodyId(70);
        bodies.replay(journaled, &body(3));
        bodies.replay(stored, &body(1));
        assert!(bodies.refer(stored) && bodies.refer(journaled) && !bodies.refer(BodyId(99)));
        let mut obsolete = Batch::new();
        bodies.recovered(&mut obsolete);
        tables.write(&obsolete).unwrap();
        assert_eq!(bodies.get(stored), Some(body(1)));
        assert_eq!(bodies.get(journaled), Some(body(3)));
        assert_eq!(bodies.get(orphan), None);
        assert_eq!(bodies.journaled_only(), [journaled]);
        let mut listed = Vec::new();
        scan(&tables, |id| listed.push(id)).unwrap();
        assert_eq!(listed, [stored], "the orphan is gone from the tables");
        assert_eq!(bodies.insert(body(4), 1, true), BodyId(71), "no id in use is given again");
    }
}

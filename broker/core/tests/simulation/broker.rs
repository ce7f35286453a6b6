//! The broker around the shards, as far as they need one: effects are kept and carried out later, in any order that the contract allows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use stoa_core::ids::{BodyId, ConsumerId, OutletId, QueueId, Sequence};
use stoa_core::log::{self, LogRecord, LogWriter};
use stoa_core::record::Records;
use stoa_core::settings::{Overflow, Settings};
use stoa_core::shard::{
    Command, Consumer, Delivery, Effects, Letter, QueueSpec, Reason, Restored, Shard, ShardLimits, StoredChunk, StoredError,
};

use crate::bodies::{Bodies, Shared};
use crate::disk::{Disk, Write};
use crate::rng::Rng;

/// How often what happened: a simulation in which nothing pages out proves nothing about paging.
#[derive(Debug, Default)]
pub struct Seen(pub BTreeMap<&'static str, u64>);

impl Seen {
    pub fn saw(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
    pub fn add(&mut self, other: Self) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
}

/// A delivery, copied out.
pub struct Delivered {
    pub outlet: OutletId,
    pub consumer: ConsumerId,
    pub no_ack: bool,
    pub queue: QueueId,
    pub first: Sequence,
    pub redelivered: bool,
    pub returns: u32,
    /// The numbers in the bodies.
    pub ids: Vec<usize>,
}

/// A dead letter, copied out.
pub struct Lettered {
    pub queue: QueueId,
    pub first: Sequence,
    pub reason: Reason,
    pub ids: Vec<usize>,
}

/// What a record's body says, or its header if others have the same body.
pub fn ids(records: Records<'_>, bodies: &Bodies) -> Vec<usize> {
    let ids: Vec<_> = records
        .iter()
        .map(|record| {
            if record.body_ref().is_some() {
                bodies.check(record);
                return record.header().try_into().map(usize::from_le_bytes).expect("a number");
            }
            let (id, rest) = record.body().split_first_chunk::<8>().expect("bodies begin with a number");
            assert!(rest.iter().all(|&octet| octet == id[0]), "the body is what was published");
            u64::from_le_bytes(*id) as usize
        })
        .collect();
    assert_eq!(ids.len(), records.count as usize, "a run has as many records as it says");
    ids
}

/// The effects of one shard that were not carried out yet.
#[derive(Default)]
pub struct Sink {
    pub delivered: Vec<Delivered>,
    pub stalled: Vec<OutletId>,
    pub unused: Vec<QueueId>,
    pub letters: Vec<Lettered>,
    pub refused: Vec<(QueueId, Vec<usize>)>,
    pub cancelled: Vec<(OutletId, ConsumerId)>,
    /// A message has taken the place of another one.
    pub replaced: bool,
    pub seen: Seen,
    pub bodies: Shared,
    loads: Vec<(QueueId, Sequence)>,
    writes: VecDeque<Write>,
    /// Written, and not reported.
    stored: VecDeque<(QueueId, Sequence, u16)>,
}

impl Effects for Sink {
    fn lend(&mut self, _consumer: &Consumer, wanted: u32) -> u32 {
        wanted
    }
    fn dead(&mut self, letter: Letter<'_>) {
        self.seen.saw(match letter.reason {
            Reason::Rejected => "dead: rejected",
            Reason::Expired => "dead: expired",
            Reason::MaxLength => "dead: maxlen",
            Reason::DeliveryLimit => "dead: delivery limit",
            Reason::Due => "dead: due",
        });
        self.letters.push(Lettered {
            queue: letter.queue,
            first: letter.first,
            reason: letter.reason,
            ids: ids(letter.records, &self.bodies.borrow()),
        });
    }
    fn refused(&mut self, queue: QueueId, settings: &Arc<Settings>, records: Records<'_>, dead_letter: bool) {
        self.seen.saw("refuse");
        assert_eq!(dead_letter, settings.overflow == Overflow::RejectPublishDeadLetter);
        self.refused.push((queue, ids(records, &self.bodies.borrow())));
    }
    fn replaced(&mut self) {
        self.seen.saw("replace");
        self.replaced = true;
    }
    fn expired(&mut self, queue: QueueId) {
        self.seen.saw("queue expires");
        self.unused.push(queue);
    }

    fn deliver(&mut self, delivery: Delivery<'_>) {
        self.seen.saw(if delivery.redelivered { "redeliver" } else { "deliver" });
        if delivery.records.iter().any(|record| record.body_ref().is_some()) {
            self.seen.saw("deliver a body");
        }
        let Consumer { id, outlet, no_ack, .. } = *delivery.consumer;
        let Delivery {
            consumer: _,
            queue,
            first,
            redelivered,
            returns,
            term: _,
            records,
        } = delivery;
        self.delivered.push(Delivered {
            outlet,
            consumer: id,
            no_ack,
            queue,
            first,
            redelivered,
            returns,
            ids: ids(records, &self.bodies.borrow()),
        });
    }
    fn load(&mut self, queue: QueueId, chunk: Sequence) {
        self.seen.saw("load");
        self.loads.push((queue, chunk));
    }
    fn store(&mut self, chunk: StoredChunk) {
        self.seen.saw(if chunk.data.is_some() { "store a chunk" } else { "store an entry" });
        let bodies = self.bodies.borrow().unstored(chunk.bodies());
        assert!(
            chunk.data.is_some() || bodies.is_empty() || self.is_writing(chunk.queue, chunk.first),
            "bodies come with their records"
        );
        self.writes.push_back(Write::Put(chunk, bodies));
    }
    fn forget(&mut self, queue: QueueId, chunk: Sequence) {
        self.seen.saw("forget");
        self.writes.push_back(Write::delete(queue, chunk, chunk));
    }
    fn forget_range(&mut self, queue: QueueId, first: Sequence, last: Sequence) {
        self.seen.saw("forget a range");
        self.writes.push_back(Write::delete(queue, first, last));
    }
    fn released(&mut self, body: BodyId) {
        self.seen.saw("body is released");
        self.bodies.borrow_mut().release(body);
    }
    fn stalled(&mut self, outlet: OutletId) {
        self.seen.saw("stall");
        self.stalled.push(outlet);
    }
    fn unused(&mut self, queue: QueueId) {
        self.seen.saw("unused");
        self.unused.push(queue);
    }
    fn cancelled(&mut self, consumer: &Consumer, _queue: QueueId) {
        self.seen.saw("cancelled");
        self.cancelled.push((consumer.outlet, consumer.id));
    }
    fn damaged(&mut self, queue: QueueId, chunk: Sequence, error: StoredError) {
        panic!("chunk {chunk} of queue {queue}: {error}");
    }
}

impl Sink {
    /// Chunks were asked for.
    pub fn is_loading(&self) -> bool {
        !self.loads.is_empty()
    }

    /// A value of this chunk is on its way to the table.
    fn is_writing(&self, queue: QueueId, first: Sequence) -> bool {
        self.writes
            .iter()
            .any(|write| matches!(write, Write::Put(chunk, _) if (chunk.queue, chunk.first) == (queue, first) && chunk.data.is_some()))
    }
}

/// Where a checkpoint stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checkpoint {
    None,
    /// Its writes are being written; behind them comes this position.
    Writing(u64),
    /// Written, not flushed.
    Written,
}

pub struct Broker {
    pub shards: Vec<(Shard, Sink)>,
    pub disk: Disk,
    pub bodies: Shared,
    /// The commit that is durable.
    durable: u64,
    /// The commit that collects what happens now.
    pub epoch: u64,
    /// The commit of the last transaction: until it is durable, nothing is written to the tables.
    pub transaction: u64,
    in_flight: Option<(u64, Vec<u8>)>,
    checkpoint: Checkpoint,
    limits: ShardLimits,
    pub seen: Seen,
}

impl Broker {
    pub fn new(shards: usize, limits: ShardLimits) -> Self {
        let bodies = Shared::default();
        bodies.borrow_mut().epoch = 1;
        Self {
            shards: new_shards(shards, limits, &bodies),
            disk: Disk::default(),
            bodies,
            durable: 0,
            epoch: 1,
            transaction: 0,
            in_flight: None,
            checkpoint: Checkpoint::None,
            limits,
            seen: Seen::default(),
        }
    }

    pub fn shard(&mut self, queue: QueueId) -> &mut (Shard, Sink) {
        let shards = self.shards.len() as u64;
        &mut self.shards[(queue.0 % shards) as usize]
    }

    pub fn apply(&mut self, queue: QueueId, command: Command<'_>) {
        let (shard, sink) = self.shard(queue);
        shard.apply(command, sink);
        if std::mem::take(&mut sink.replaced) {
            self.transaction = self.epoch;
        }
    }

    pub fn begin_commit(&mut self) {
        if self.in_flight.is_some() {
            return;
        }
        let mut bytes = Vec::new();
        for (shard, _) in &mut self.shards {
            shard.collect(&mut LogWriter::new(&mut bytes));
            assert!(!shard.is_dirty());
        }
        self.bodies.borrow_mut().collect(&mut LogWriter::new(&mut bytes));
        self.in_flight = Some((self.epoch, bytes));
        self.begin_epoch(self.epoch + 1);
    }

    fn begin_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.bodies.borrow_mut().epoch = epoch;
    }

    /// Returns the commit that is durable now.
    pub fn end_commit(&mut self) -> Option<u64> {
        let (number, bytes) = self.in_flight.take()?;
        self.disk.journal.insert(number, bytes);
        self.durable = number;
        Some(number)
    }

    /// False if one is on its way.
    pub fn begin_checkpoint(&mut self, durable: u64) -> bool {
        if self.checkpoint != Checkpoint::None {
            return false;
        }
        self.shards.iter_mut().for_each(|(shard, sink)| shard.checkpoint(sink));
        self.checkpoint = Checkpoint::Writing(durable + 1);
        true
    }

    /// Writes some of what is to be written.
    pub fn write(&mut self, rng: &mut Rng) {
        if self.transaction > self.durable {
            return self.seen.saw("write waits for a transaction");
        }
        let at = rng.below(self.shards.len());
        let (_, sink) = &mut self.shards[at];
        let count = rng.range(1, 10).min(sink.writes.len());
        for write in sink.writes.drain(..count) {
            if let Write::Put(chunk, bodies) = &write {
                if chunk.data.is_some() {
                    sink.stored.push_back((chunk.queue, chunk.first, chunk.upto));
                }
                for body in bodies {
                    self.seen.saw("body is stored");
                    self.bodies.borrow_mut().stored(body.id);
                }
            }
            self.disk.write(write);
        }
        if self.shards.iter().all(|(_, sink)| sink.writes.is_empty()) {
            self.delete_bodies();
        }
        if let Checkpoint::Writing(position) = self.checkpoint
            && self.shards.iter().all(|(_, sink)| sink.writes.is_empty())
        {
            self.disk.write(Write::Position(position));
            self.checkpoint = Checkpoint::Written;
        }
    }

    /// Deletes the bodies that no write and no restart can ask for any more.
    pub fn delete_bodies(&mut self) {
        for id in self.bodies.borrow_mut().obsolete(self.durable) {
            self.seen.saw("body is deleted");
            self.disk.write(Write::DeleteBody(id));
        }
    }

    /// True if the checkpoint is through.
    pub fn flush(&mut self, rng: &mut Rng) -> bool {
        let written = self.checkpoint == Checkpoint::Written;
        if written {
            self.disk.flush();
            self.checkpoint = Checkpoint::None;
            self.seen.saw("flush");
            if rng.percent(70) {
                self.disk.recycle();
            }
        }
        written
    }

    /// Reports a chunk that was written, and brings one that was asked for.
    pub fn answer(&mut self, rng: &mut Rng) {
        let at = rng.below(self.shards.len());
        let (shard, sink) = &mut self.shards[at];
        if let Some((queue, chunk, upto)) = sink.stored.pop_front() {
            shard.apply(Command::Stored { queue, chunk, upto }, sink);
        }
        if !sink.loads.is_empty() {
            let (queue, chunk) = sink.loads.swap_remove(rng.below(sink.loads.len()));
            let data = self.disk.tables.chunk(queue, chunk);
            shard.apply(Command::Loaded { queue, chunk, data }, sink);
        }
    }

    /// Whether any shard waits for the store.
    pub fn is_waiting(&self) -> bool {
        self.shards
            .iter()
            .any(|(_, sink)| !sink.loads.is_empty() || !sink.writes.is_empty() || !sink.stored.is_empty())
    }

    /// Everything that can be made durable is.
    pub fn stop(&mut self, rng: &mut Rng, durable: u64) {
        while self.is_waiting() || self.checkpoint != Checkpoint::None {
            self.write(rng);
            self.flush(rng);
            self.answer(rng);
        }
        self.begin_checkpoint(durable);
        while self.checkpoint != Checkpoint::None {
            self.write(rng);
            self.flush(rng);
        }
    }

    /// The process dies, and another one finds what was durable.
    pub fn restart(&mut self, rng: &mut Rng, queues: &[QueueSpec], clean: bool) {
        self.seen.saw(if clean { "clean stop" } else { "crash" });
        for (_, sink) in &mut self.shards {
            self.seen.add(std::mem::take(&mut sink.seen));
        }
        self.transaction = 0;
        let in_flight = self.in_flight.take();
        self.disk.crash(rng, in_flight);
        self.disk.tables.invariants();
        self.checkpoint = Checkpoint::None;
        self.bodies.borrow_mut().crash();
        for (&id, octets) in &self.disk.tables.bodies {
            self.bodies.borrow_mut().found(id, octets, true);
        }
        self.shards = new_shards(self.shards.len(), self.limits, &self.bodies);
        for queue in queues {
            self.shard(queue.id).0.create(queue.clone());
        }
        let mut obsolete = Vec::new();
        for (key, value) in self.disk.tables.index.clone() {
            let queue = QueueId(u64::from_be_bytes(key[..8].try_into().expect("8 octets")));
            let restored = self.shard(queue).0.restore_entry(&key, &value).expect("a sound index");
            self.seen.saw(if restored == Restored::Kept { "restore" } else { "obsolete" });
            if restored == Restored::Obsolete {
                obsolete.push(Write::Delete(key..=key));
            }
        }
        obsolete.into_iter().for_each(|write| self.disk.write(write));
        let oldest = self.disk.journal.keys().next().copied().unwrap_or(0).min(self.disk.tables.position);
        let from = if rng.percent(30) { oldest } else { self.disk.tables.position };
        for (_, bytes) in self.disk.journal.clone().range(from..) {
            for record in log::read(bytes) {
                let record = record.expect("a sound journal");
                match record {
                    LogRecord::Messages { queue, .. } => {
                        self.seen.saw("replay messages");
                        self.shard(queue).0.replay(record);
                    }
                    LogRecord::Settled { queue, .. } => {
                        self.seen.saw("replay settled");
                        self.shard(queue).0.replay(record);
                    }
                    LogRecord::Stands { queue, .. } => {
                        self.seen.saw("replay standings");
                        self.shard(queue).0.replay(record);
                    }
                    LogRecord::Body { id, octets } => {
                        self.seen.saw("replay body");
                        self.bodies.borrow_mut().found(id, octets, false);
                    }
                    LogRecord::Topology { .. } => {}
                }
            }
        }
        for (shard, _) in &mut self.shards {
            if clean {
                shard.recovered_after_clean_stop()
            } else {
                shard.recovered()
            }
        }
        self.count_bodies();
        self.begin_epoch(self.epoch.max(self.disk.journal.keys().last().map_or(0, |last| last + 1)));
    }

    /// Counts the references of bodies anew, and drops what has none.
    fn count_bodies(&mut self) {
        let bodies = &mut *self.bodies.borrow_mut();
        for (shard, _) in &self.shards {
            shard.for_each_body(|id, size| {
                self.seen.saw("body comes back");
                bodies.refer(id, size);
            });
        }
        for id in bodies.unreferenced() {
            self.seen.saw("body is dropped");
            self.disk.write(Write::DeleteBody(id));
        }
    }

    pub fn invariants(&self) {
        self.shards.iter().for_each(|(shard, _)| shard.invariants());
    }

    pub fn check_references(&self) {
        let mut references = BTreeMap::new();
        for (shard, _) in &self.shards {
            shard.for_each_body(|id, _| *references.entry(id).or_default() += 1);
        }
        assert_eq!(references, self.bodies.borrow().references(), "each unsettled record counts once");
    }
}

fn new_shards(count: usize, limits: ShardLimits, bodies: &Shared) -> Vec<(Shard, Sink)> {
    let sink = || Sink {
        bodies: Shared::clone(bodies),
        ..Sink::default()
    };
    (0..count).map(|_| (Shard::new(limits), sink())).collect()
}

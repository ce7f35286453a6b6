//! The pager: one thread that moves chunks between the shards' memory and the store's tables, and takes checkpoints.
//!
//! A checkpoint makes the journal's older segments superfluous: every shard hands over what is unsettled and only in the journal, the tables
//! are flushed, and the commits that preceded it are released.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use stoa_core::ids::{BodyId, QueueId, Sequence};
use stoa_core::record::{Record, Records};
use stoa_core::shard::{Command, StoredChunk, stored};
use stoa_core::topology::Change;
use stoa_storage::{Batch, CommitNumber, Family, TableError, Tables};

use crate::bodies;
use crate::broker::Broker;
use crate::dispatch::Dispatch;
use crate::recovery;
use crate::shards::{Pages, Running};

/// What a shard asks of the pager.
pub(crate) enum Page {
    /// Read a chunk.
    Load { queue: QueueId, chunk: Sequence },
    /// Write a chunk, or only its entry in the index, and the bodies that come along.
    Store(StoredChunk, Vec<(BodyId, Bytes)>),
    /// Chunks are settled: delete all whose first sequence lies in this range, both ends included.
    Forget { queue: QueueId, first: Sequence, last: Sequence },
    /// Nothing refers to this body any more: delete it.
    ForgetBody(BodyId),
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Page::Load { queue, chunk } => write!(f, "load {queue}/{chunk}"),
            Page::Store(chunk, _) => write!(f, "store {}/{} ({} octets)", chunk.queue, chunk.first, self.bytes()),
            Page::Forget { queue, first, last } => write!(f, "forget {queue}/{first}..={last}"),
            Page::ForgetBody(id) => write!(f, "forget body {id}"),
        }
    }
}

impl Page {
    fn writes(&self) -> bool {
        !matches!(self, Page::Load { .. })
    }

    fn bytes(&self) -> usize {
        match self {
            Page::Store(chunk, bodies) => {
                let data = chunk.data.as_ref().map_or(0, |data| data.len());
                64 + data + bodies.iter().map(|(_, octets)| octets.len()).sum::<usize>()
            }
            _ => 64,
        }
    }
}

enum Ask {
    Pages(Pages),
    Checkpoint,
    /// Everything that the shards handed over for a checkpoint lies before this in the channel.
    Complete(Checkpoint),
    DropQueue(QueueId),
    Stop,
}

/// The way to the pager thread.
#[derive(Debug)]
pub(crate) struct Pager {
    asks: Mutex<Sender<Ask>>,
    tables: Tables,
    checkpoint_wanted: AtomicBool,
}

impl Pager {
    /// The handle, and what the thread is run with.
    pub(crate) fn new(tables: Tables) -> (Self, Inbox) {
        let (sender, receiver) = std::sync::mpsc::channel();
        (
            Self {
                asks: Mutex::new(sender),
                tables,
                checkpoint_wanted: AtomicBool::new(false),
            },
            Inbox(receiver),
        )
    }

    /// The tables, for whoever only reads.
    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    fn send(&self, ask: Ask) {
        // The thread ends only when the broker stops: then there is nothing left to move.
        let _ = self.asks.lock().send(ask);
    }

    pub(crate) fn ask(&self, pages: Pages) {
        self.send(Ask::Pages(pages));
    }

    /// Asks for a checkpoint, unless one is under way.
    pub(crate) fn want_checkpoint(&self) {
        if !self.checkpoint_wanted.swap(true, Ordering::SeqCst) {
            self.send(Ask::Checkpoint);
        }
    }

    /// Deletes whatever the tables hold of a queue.
    pub(crate) fn drop_queue(&self, queue: QueueId) {
        self.send(Ask::DropQueue(queue));
    }

    /// Deletes bodies that nothing refers to any more.
    pub(crate) fn forget_bodies(&self, bodies: Vec<BodyId>) {
        if !bodies.is_empty() {
            self.ask(bodies.into_iter().map(|body| (0, Page::ForgetBody(body))).collect());
        }
    }

    /// Checkpoints a last time and ends the thread.
    pub(crate) fn stop(&self) {
        self.send(Ask::Stop);
    }

    /// Topology records go into the tables when their commit is durable; a checkpoint flushes them.
    pub(crate) fn write_topology(&self, changes: &[Change]) -> Result<(), TableError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for change in changes {
            match &change.value {
                Some(value) => batch.put(Family::Meta, &change.key, value),
                None => batch.delete(Family::Meta, &change.key),
            }
        }
        self.tables.write(&batch)
    }
}

/// What the pager thread reads its work from.
#[derive(Debug)]
pub(crate) struct Inbox(Receiver<Ask>);

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ask")
    }
}

/// The pager thread.
pub(crate) fn run(broker: &Arc<Broker>, inbox: &Inbox) {
    let tables = &broker.pager.tables;
    while let Ok(ask) = inbox.0.recv() {
        let outcome = match ask {
            Ask::Pages(pages) => parts(pages).into_iter().try_for_each(|part| move_pages(broker, tables, part)),
            Ask::Checkpoint => {
                begin_checkpoint(broker, false);
                Ok(())
            }
            Ask::Complete(checkpoint) => match complete_checkpoint(broker, tables, &checkpoint) {
                Ok(()) if checkpoint.last => return,
                outcome => outcome,
            },
            Ask::DropQueue(queue) => drop_queue(tables, queue),
            Ask::Stop => {
                begin_checkpoint(broker, true);
                Ok(())
            }
        };
        if let Err(error) = outcome {
            broker.store_failed(&error);
            return;
        }
    }
}

fn drop_queue(tables: &Tables, queue: QueueId) -> Result<(), TableError> {
    let mut batch = Batch::new();
    let (from, to) = (
        stored::chunk_key(queue, Sequence(0)),
        stored::chunk_key(QueueId(queue.0 + 1), Sequence(0)),
    );
    batch.delete_range(Family::Chunks, &from, &to);
    batch.delete_range(Family::Acks, &from, &to);
    tables.write(&batch)
}

fn move_pages(broker: &Arc<Broker>, tables: &Tables, mut pages: Pages) -> Result<(), TableError> {
    tracing::trace!(?pages, "moving");
    if pages.iter().any(|(_, page)| page.writes()) && !broker.commits.await_transactions() {
        pages.retain(|(_, page)| !page.writes());
    }
    let mut answers: HashMap<usize, Vec<Command<'static>>> = HashMap::new();
    let mut batch = Batch::new();
    let mut stored_bodies = Vec::new();
    for (shard, page) in &pages {
        match page {
            Page::Store(chunk, bodies) => {
                let key = chunk.key();
                batch.put(Family::Acks, &key, &chunk.entry.encode());
                for (id, octets) in bodies {
                    bodies::put(*id, octets, &mut batch);
                    stored_bodies.push(*id);
                }
                if let Some(data) = &chunk.data {
                    batch.put(Family::Chunks, &key, data);
                    let stored = Command::Stored {
                        queue: chunk.queue,
                        chunk: chunk.first,
                        upto: chunk.upto,
                    };
                    answers.entry(*shard).or_default().push(stored);
                }
            }
            Page::Forget { queue, first, last } if first == last => {
                let key = stored::chunk_key(*queue, *first);
                batch.delete(Family::Chunks, &key);
                batch.delete(Family::Acks, &key);
            }
            Page::Forget { queue, first, last } => {
                let from = stored::chunk_key(*queue, *first);
                // The range ends before its upper bound: the least key after the last one.
                let to = [&stored::chunk_key(*queue, *last)[..], &[0]].concat();
                batch.delete_range(Family::Chunks, &from, &to);
                batch.delete_range(Family::Acks, &from, &to);
            }
            Page::ForgetBody(id) => bodies::delete(*id, &mut batch),
            Page::Load { .. } => {}
        }
    }
    tables.write(&batch)?;
    if !stored_bodies.is_empty() {
        broker.bodies.are_stored(stored_bodies);
    }
    for (shard, page) in pages {
        if let Page::Load { queue, chunk } = page {
            let data = tables.get(Family::Chunks, &stored::chunk_key(queue, chunk))?.unwrap_or_default();
            prefetch_bodies(broker, &data);
            answers.entry(shard).or_default().push(Command::Loaded { queue, chunk, data });
        }
    }
    for (shard, commands) in answers {
        broker.shards[shard].answer(broker, commands);
    }
    Ok(())
}

/// The bodies of a chunk that is about to be delivered are wanted in memory.
fn prefetch_bodies(broker: &Broker, value: &[u8]) {
    let records = Records {
        bytes: value.get(stored::CHUNK_HEADER..).unwrap_or_default(),
        count: 0,
    };
    records
        .iter()
        .filter_map(Record::body_ref)
        .for_each(|body| broker.bodies.prefetch(body.id));
}

/// Octets of chunks written to the tables at a time.
const CHECKPOINT_BATCH_BYTES: usize = 4 << 20;
/// Bodies written to the tables at a time.
const BODIES_BATCH: usize = 64;

/// A checkpoint under way.
#[derive(Debug)]
struct Checkpoint {
    /// All commits before this one were applied to the shards before they were asked.
    position: CommitNumber,
    began: Instant,
    /// The broker stops.
    last: bool,
}

/// Lets every shard hand over what is unsettled and only in the journal. It comes through the channel, behind what the shards asked before.
fn begin_checkpoint(broker: &Arc<Broker>, last: bool) {
    let (position, began) = (broker.commits.next_commit(), Instant::now());
    for cell in &broker.shards {
        let mut dispatch = Dispatch::new(broker, cell.index);
        cell.look(broker, |Running { shard, outlets }| {
            shard.checkpoint(&mut dispatch.to(outlets));
            dispatch.hand_over(cell);
        });
        dispatch.after_unlock();
    }
    broker.pager.send(Ask::Complete(Checkpoint { position, began, last }));
}

fn complete_checkpoint(broker: &Arc<Broker>, tables: &Tables, checkpoint: &Checkpoint) -> Result<(), TableError> {
    if !broker.commits.await_transactions() {
        // Some of what belongs to it was not written: the journal keeps it.
        return Ok(());
    }
    // A body may be in the journal before the shard has taken in the message that refers to it: such bodies are no chunk's yet.
    for part in broker.bodies.journaled_only().chunks(BODIES_BATCH) {
        let mut batch = Batch::new();
        for (id, octets) in broker.bodies.take_along(part.iter().copied()) {
            bodies::put(id, &octets, &mut batch);
        }
        tables.write(&batch)?;
        broker.bodies.are_stored(part.iter().copied());
    }
    // No connection: nothing is delivered after this.
    if checkpoint.last && !broker.commits.has_failed() && broker.connections.lock().is_empty() {
        let mut batch = Batch::new();
        batch.put(Family::Meta, recovery::CLEAN_STOP, &[]);
        tables.write(&batch)?;
    }
    tables.set_position(checkpoint.position)?;
    tables.flush()?;
    broker.pager.checkpoint_wanted.store(false, Ordering::SeqCst);
    broker.commits.release(checkpoint.position);
    tracing::debug!(position = ?checkpoint.position, took_ms = checkpoint.began.elapsed().as_millis() as u64, "checkpoint");
    Ok(())
}

/// Cuts what is to be written into batches of bounded size.
fn parts(pages: Pages) -> Vec<Pages> {
    let mut parts = Vec::new();
    let mut bytes = CHECKPOINT_BATCH_BYTES;
    for page in pages {
        if bytes >= CHECKPOINT_BATCH_BYTES {
            parts.push(Pages::new());
            bytes = 0;
        }
        bytes += page.1.bytes();
        if let Some(part) = parts.last_mut() {
            part.push(page);
        }
    }
    parts
}

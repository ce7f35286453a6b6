//! From a data directory to a topology and shards: the tables as the last checkpoint left them, then the journal from there on, through the
//! same code as live operation. Reads keys and heads, never messages.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use stoa_core::ids::QueueId;
use stoa_core::log::{self, LogError, LogRecord};
use stoa_core::shard::{QueueSpec, Shard, ShardLimits, StoredError, stored};
use stoa_core::topology::{RestoreError, Topology};
use stoa_storage::{Family, OpenError, Store, TableError};

use crate::config::Config;

/// What a data directory says when the broker starts.
pub(crate) struct Recovered {
    pub(crate) topology: Topology,
    pub(crate) shards: Vec<Shard>,
    /// Queues that left chunks behind and are no more.
    pub(crate) orphans: Vec<QueueId>,
}

/// Why a data directory cannot be recovered. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The store refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A table could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The topology's records make no sense.
    #[error("the topology cannot be restored: {0}")]
    Topology(#[from] RestoreError),
    /// A commit holds something unknown.
    #[error("the journal cannot be replayed: {0}")]
    Log(#[from] LogError),
    /// An entry of the index makes no sense.
    #[error("the index of the queues cannot be read: {0}")]
    Index(#[from] StoredError),
}

pub(crate) fn recover(store: &mut Store, config: &Config) -> Result<Recovered, RecoveryError> {
    let began = std::time::Instant::now();
    let mut shards: Vec<Shard> = (0..config.threads).map(|_| Shard::new(limits(config))).collect();
    let mut meta = BTreeMap::new();
    store.tables.scan(Family::Meta, &[], |key, value| {
        meta.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })?;
    restore_index(store, &mut shards)?;
    let mut problem = None;
    let replayed = store.journal.replay(store.tables.position()?, |_, commit| {
        if problem.is_none() {
            problem = replay(commit, &mut meta, &mut shards).err();
        }
    })?;
    if let Some(problem) = problem {
        return Err(problem.into());
    }
    let topology = Topology::restore(&meta)?;
    let orphans = reconcile(&topology, &mut shards);
    tracing::info!(
        queues = topology.queue_count(),
        commits = replayed.commits,
        journal_bytes = replayed.bytes,
        took_ms = began.elapsed().as_millis() as u64,
        "recovered"
    );
    if let Some(torn) = replayed.torn {
        tracing::info!(?torn, "the journal's last commit was not finished when the broker stopped; nothing of it had been confirmed");
    }
    Ok(Recovered { topology, shards, orphans })
}

fn limits(config: &Config) -> ShardLimits {
    let memory_bytes_max = (config.limits.memory_bytes_max / config.threads) as u64;
    ShardLimits { memory_bytes_max, window_bytes: config.limits.window_bytes as u64, ..ShardLimits::default() }
}

/// The shard of a queue, which has heard of the queue after this. What the queue is like is said at the end.
fn shard_of(shards: &mut [Shard], queue: QueueId) -> &mut Shard {
    let index = (queue.0 % shards.len() as u64) as usize;
    let shard = &mut shards[index];
    if shard.counts(queue).is_none() {
        shard.create(QueueSpec { id: queue, durable: true, auto_delete: false });
    }
    shard
}

fn restore_index(store: &Store, shards: &mut [Shard]) -> Result<(), RecoveryError> {
    let mut problem = None;
    store.tables.scan(Family::Acks, &[], |key, value| {
        let restored = stored::read_key(key).and_then(|(queue, _)| shard_of(shards, queue).restore_entry(key, value));
        match restored {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                problem = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    problem.map_or(Ok(()), |error| Err(error.into()))
}

fn replay(commit: &[u8], meta: &mut BTreeMap<Vec<u8>, Vec<u8>>, shards: &mut [Shard]) -> Result<(), LogError> {
    for record in log::read(commit) {
        match record? {
            LogRecord::Topology { key, value: Some(value) } => {
                meta.insert(key.to_vec(), value.to_vec());
            }
            LogRecord::Topology { key, value: None } => {
                meta.remove(key);
            }
            record @ (LogRecord::Messages { queue, .. } | LogRecord::Settled { queue, .. }) => shard_of(shards, queue).replay(record),
        }
    }
    Ok(())
}

/// Shards and topology know the same queues after this; gives those of which only messages were left.
fn reconcile(topology: &Topology, shards: &mut [Shard]) -> Vec<QueueId> {
    let mut orphans = Vec::new();
    for shard in shards.iter_mut() {
        let gone: Vec<QueueId> = shard.queues().filter(|&queue| topology.queue_by_id(queue).is_none()).collect();
        for queue in gone {
            shard.forget_queue(queue);
            orphans.push(queue);
        }
    }
    for queue in topology.all_queues() {
        let index = (queue.id.0 % shards.len() as u64) as usize;
        shards[index].create(QueueSpec { id: queue.id, durable: queue.durable, auto_delete: queue.auto_delete });
    }
    for shard in shards {
        shard.recovered();
    }
    orphans
}

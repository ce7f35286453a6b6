//! From a data directory to a topology and shards: the tables as the last checkpoint left them, then the journal from there on, through the
//! same code as live operation. Reads keys and heads, never messages.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use stoa_core::ids::QueueId;
use stoa_core::log::{self, LogError, LogRecord};
use stoa_core::shard::{QueueSpec, Restored, Shard, ShardLimits, StoredError, stored};
use stoa_core::space::{IndexLimits, WaiterLimits};
use stoa_core::topology::{Purpose, Queue, RestoreError, Topology};
use stoa_storage::{Batch, CommitNumber, Family, OpenError, Store, TableError, Tables};

use crate::bodies::{self, Bodies};
use crate::config::Config;
use crate::deduplication::SeenKeys;

/// What a data directory says when the broker starts.
pub(crate) struct Recovered {
    pub(crate) topology: Topology,
    pub(crate) shards: Vec<Shard>,
    pub(crate) bodies: Bodies,
    pub(crate) seen: SeenKeys,
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
    /// A chunk with keys of messages is damaged.
    #[error("the keys that an exchange with deduplication has seen cannot be read: {0}; restore the data directory from a backup")]
    Keys(StoredError),
}

pub(crate) fn recover(store: &mut Store, config: &Config) -> Result<Recovered, RecoveryError> {
    let began = std::time::Instant::now();
    let position = store.tables.position()?;
    let clean = take_clean_stop(&store.tables)?;
    let mut topology = restore_topology(store, position)?;
    topology.limit_histories(config.limits.history_length_max);
    let mut shards: Vec<Shard> = (0..config.threads).map(|_| Shard::new(limits(config))).collect();
    for queue in all_queues(&topology) {
        let spec = QueueSpec {
            id: queue.id,
            durable: queue.durable,
            auto_delete: queue.auto_delete,
            settings: topology.settings(queue.id),
        };
        shard_of(&mut shards, queue.id).create(spec);
    }
    for holding in topology.holdings() {
        let spec = QueueSpec {
            id: holding.queue,
            durable: holding.durable,
            auto_delete: false,
            settings: Some(holding.settings),
        };
        shard_of(&mut shards, holding.queue).create(spec);
    }
    let mut obsolete = restore_index(store, &mut shards)?;
    let mut bodies = Bodies::new(store.tables.clone(), config.limits.memory_bytes_max);
    bodies::scan(&store.tables, |id| bodies.restore(id))?;
    let mut problem = None;
    let replayed = store.journal.replay(position, |_, commit| {
        if problem.is_none() {
            problem = replay(commit, &mut shards, &mut bodies).err();
        }
    })?;
    if let Some(problem) = problem {
        return Err(problem.into());
    }
    let recovered = if clean {
        Shard::recovered_after_clean_stop
    } else {
        Shard::recovered
    };
    shards.iter_mut().for_each(recovered);
    count_references(&shards, &mut bodies);
    bodies.recovered(&mut obsolete);
    tracing::info!(
        queues = all_queues(&topology).count(),
        commits = replayed.commits,
        journal_bytes = replayed.bytes,
        took_ms = began.elapsed().as_millis() as u64,
        "recovered"
    );
    if let Some(torn) = replayed.torn {
        tracing::info!(
            ?torn,
            "the journal's last commit was not finished when the broker stopped; nothing of it had been confirmed"
        );
    }
    store.tables.write(&obsolete)?;
    let seen = SeenKeys::new(config.limits.deduplication_keys_max);
    read_keys(&store.tables, &topology, &shards, &seen)?;
    Ok(Recovered {
        topology,
        shards,
        bodies,
        seen,
    })
}

/// The keys of messages that exchanges have seen, out of the queues in which they lie.
fn read_keys(tables: &Tables, topology: &Topology, shards: &[Shard], seen: &SeenKeys) -> Result<(), RecoveryError> {
    for holding in topology.holdings().filter(|holding| holding.purpose == Purpose::Keys) {
        let mut problem = None;
        let shard = &shards[(holding.queue.0 % shards.len() as u64) as usize];
        let read = shard.read(
            holding.queue,
            |chunk| match tables.get(Family::Chunks, &stored::chunk_key(holding.queue, chunk)) {
                Ok(found) => found.unwrap_or_default(),
                Err(error) => {
                    problem = Some(error);
                    Vec::new()
                }
            },
            |record| seen.restore(holding.queue, record),
        );
        if let Some(error) = problem {
            return Err(error.into());
        }
        read.map_err(RecoveryError::Keys)?;
    }
    Ok(())
}

/// Lies in the tables while no broker runs and the last one stopped in good order: then what was never delivered is known.
pub(crate) const CLEAN_STOP: &[u8] = b"\0clean-stop";

/// Whether the last stop was a clean one. From now on it is not.
fn take_clean_stop(tables: &Tables) -> Result<bool, TableError> {
    let clean = tables.get(Family::Meta, CLEAN_STOP)?.is_some();
    if clean {
        let mut batch = Batch::new();
        batch.delete(Family::Meta, CLEAN_STOP);
        tables.write(&batch)?;
        // Before the first delivery: a crash must not find the mark again.
        tables.flush()?;
    }
    Ok(clean)
}

/// All queues of all virtual hosts.
pub(crate) fn all_queues(topology: &Topology) -> impl Iterator<Item = &Arc<Queue>> {
    topology.vhosts().flat_map(|vhost| topology.queues(vhost))
}

/// The topology as of the last commit: messages of queues that were deleted later need not be looked at.
fn restore_topology(store: &Store, position: CommitNumber) -> Result<Topology, RecoveryError> {
    let mut meta = BTreeMap::new();
    store.tables.scan(Family::Meta, &[], |key, value| {
        meta.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })?;
    let mut problem = None;
    let mut changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
    store.journal.scan(position, |_, commit| {
        for record in log::read(commit) {
            match record {
                Ok(LogRecord::Topology { key, value }) => drop(changes.insert(key.to_vec(), value.map(<[u8]>::to_vec))),
                Ok(LogRecord::Messages { .. } | LogRecord::Settled { .. } | LogRecord::Stands { .. } | LogRecord::Body { .. }) => {}
                Err(error) => problem = problem.or(Some(error)),
            }
        }
    })?;
    // As in live operation: the next checkpoint lets the journal forget these changes, so the tables must have them by then.
    let mut batch = Batch::new();
    for (key, value) in changes {
        match value {
            Some(value) => {
                batch.put(Family::Meta, &key, &value);
                meta.insert(key, value);
            }
            None => {
                batch.delete(Family::Meta, &key);
                meta.remove(&key);
            }
        }
    }
    if problem.is_none() {
        store.tables.write(&batch)?;
    }
    match problem {
        Some(problem) => Err(problem.into()),
        None => Ok(Topology::restore(&meta)?),
    }
}

fn limits(config: &Config) -> ShardLimits {
    let memory_bytes_max = (config.limits.memory_bytes_max / config.threads) as u64;
    ShardLimits {
        memory_bytes_max,
        window_bytes: config.limits.window_bytes as u64,
        keys_max: config.limits.queue_keys_max,
        skipped_max: config.limits.queue_skipped_max,
        consumer_timeout_ms: config.limits.consumer_timeout.as_millis() as u64,
        probes: config.statistics,
        tuples: IndexLimits {
            entries_octets_max: config.limits.space_entries_bytes_max,
            indexes_octets_max: config.limits.space_indexes_bytes_max,
            indexes_max: config.limits.space_indexes_max,
            ..IndexLimits::default()
        },
        waiters: WaiterLimits {
            waiters_max: config.limits.space_waiters_max,
            octets_max: config.limits.space_templates_bytes_max,
            ..WaiterLimits::default()
        },
        ..ShardLimits::default()
    }
}

fn shard_of(shards: &mut [Shard], queue: QueueId) -> &mut Shard {
    let index = (queue.0 % shards.len() as u64) as usize;
    &mut shards[index]
}

/// Takes the index of chunks; gives what is to be deleted of it.
fn restore_index(store: &Store, shards: &mut [Shard]) -> Result<Batch, RecoveryError> {
    let mut obsolete = Batch::new();
    let mut problem = None;
    store.tables.scan(Family::Acks, &[], |key, value| {
        if bodies::is_index_key(key) {
            return ControlFlow::Continue(());
        }
        match stored::read_key(key).and_then(|(queue, _)| shard_of(shards, queue).restore_entry(key, value)) {
            Ok(Restored::Kept) => {}
            Ok(Restored::Obsolete) => {
                obsolete.delete(Family::Acks, key);
                obsolete.delete(Family::Chunks, key);
            }
            Err(error) => {
                problem = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    problem.map_or(Ok(obsolete), |error| Err(error.into()))
}

fn replay(commit: &[u8], shards: &mut [Shard], bodies: &mut Bodies) -> Result<(), LogError> {
    for record in log::read(commit) {
        match record? {
            LogRecord::Topology { .. } => {}
            LogRecord::Body { id, octets } => bodies.replay(id, octets),
            record @ (LogRecord::Messages { queue, .. } | LogRecord::Settled { queue, .. } | LogRecord::Stands { queue, .. }) => {
                shard_of(shards, queue).replay(record);
            }
        }
    }
    Ok(())
}

/// Every unsettled record with a body apart refers to it.
fn count_references(shards: &[Shard], bodies: &mut Bodies) {
    for shard in shards {
        shard.for_each_body(|id, _| {
            if !bodies.refer(id) {
                tracing::error!(body = %id, "a message's body is missing; restore the data directory from a backup");
            }
        });
    }
}

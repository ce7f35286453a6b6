//! What can be configured, with its defaults. The binary fills this in from flags and the environment; nothing here reads either.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::compat::Compat;

/// The whole configuration of a broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// Where AMQP is spoken. Port 0: any free port.
    pub amqp: SocketAddr,
    /// Threads that serve connections, and shards that queues are spread over. Default: one per core.
    pub threads: usize,
    /// Whom clients take the broker for.
    pub compat: Compat,
    /// See [`Limits`].
    pub limits: Limits,
    /// See [`StoreConfig`].
    pub store: StoreConfig,
}

impl Config {
    /// The defaults, with the data in `data` and AMQP at `amqp`.
    #[must_use]
    pub fn new(data: PathBuf, amqp: SocketAddr) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            data,
            amqp,
            threads,
            compat: Compat::default(),
            limits: Limits::default(),
            store: StoreConfig::default(),
        }
    }
}

/// Every limit that a peer can run into, with the answer that it gets.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest frame offered in tune, in octets. A larger one is a frame error (501).
    pub frame_max: u32,
    /// Channels on a connection offered in tune. Opening one more is not allowed (530).
    pub channel_max: u16,
    /// Heartbeat offered in tune. Two intervals of silence close the connection.
    pub heartbeat: Duration,
    /// From accept to `connection.open`. Later than that, the socket is closed.
    pub handshake: Duration,
    /// Largest body of a message, in octets. A larger one closes its channel (406).
    pub message_size_max: u64,
    /// Octets of messages and settlements that a transaction holds until its commit. A larger one closes its channel (406) and is rolled back.
    pub transaction_bytes_max: usize,
    /// Octets waiting to be written to one connection at which the broker stops reading from it and delivering to it. A
    /// direct reply that would come on top is dropped.
    pub outbox_bytes_max: usize,
    /// Octets of messages that a shard delivers to a connection ahead of what its socket has taken.
    pub window_bytes: usize,
    /// Octets of messages kept in memory, over all queues. What exceeds it is paged out; at twice as much, publishers wait for the disk.
    pub memory_bytes_max: usize,
    /// Octets of commands waiting at a busy shard at which connections wait for their turn.
    pub inbox_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
            message_size_max: 128 << 20,
            transaction_bytes_max: 256 << 20,
            outbox_bytes_max: 4 << 20,
            window_bytes: 256 << 10,
            memory_bytes_max: 256 << 20,
            inbox_bytes_max: 8 << 20,
        }
    }
}

/// How the store spends time and space.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Octets of a journal segment.
    pub segment_bytes: u64,
    /// Octets in the journal at which a checkpoint moves what is unsettled behind it.
    pub checkpoint_bytes: u64,
    /// Octets in the journal at which commits wait for the checkpoint.
    pub journal_bytes_max: u64,
    /// How long changes that nobody waits for are gathered before they are committed.
    pub gather: Duration,
    /// When a commit counts as durable.
    pub sync: stoa_storage::SyncPolicy,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            checkpoint_bytes: 192 << 20,
            journal_bytes_max: 1 << 30,
            gather: Duration::from_millis(5),
            sync: stoa_storage::SyncPolicy::Always,
        }
    }
}

//! What can be configured, with its defaults. The binary fills this in from a file, the environment and flags; nothing here reads any of them.
//!
//! The names of the fields are the names in the file; docs/configuration.md explains each, and a test holds it to what is here.

mod alarms;
mod interceptors;
mod listen;
mod management;
mod sasl;
mod tls;
mod units;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::compat::Compat;

pub use alarms::AlarmConfig;
pub use interceptors::{Incoming, Interceptors, Overwrite, SetHeader};
pub use listen::{ListenError, TcpListen, UnixListen};
pub use management::ManagementConfig;
pub use sasl::{CertificateName, SaslConfig};
pub use tls::{ClientCertificates, TlsConfig, TlsVersion};
pub use units::{UnitError, parse_bytes};

/// The whole configuration of a broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// Where AMQP is spoken over TCP. Port 0: any free port.
    pub amqp: Vec<TcpListen>,
    /// Where AMQP is spoken over TLS. Needs a certificate and its key in `tls`.
    pub amqps: Vec<TcpListen>,
    /// Where AMQP is spoken over Unix sockets.
    pub amqp_unix: Vec<UnixListen>,
    /// Threads that serve connections, and shards that queues are spread over. Default: one per core.
    pub threads: usize,
    /// Whom clients take the broker for.
    pub compat: Compat,
    /// Queues' latencies are observed.
    pub statistics: bool,
    /// See [`Limits`].
    pub limits: Limits,
    /// See [`StoreConfig`].
    pub store: StoreConfig,
    /// See [`TlsConfig`].
    pub tls: TlsConfig,
    /// See [`SaslConfig`].
    pub sasl: SaslConfig,
    /// See [`AlarmConfig`].
    pub alarms: AlarmConfig,
    /// See [`ManagementConfig`].
    pub management: ManagementConfig,
    /// See [`Interceptors`].
    pub message_interceptors: Interceptors,
}

/// A setting that cannot be as it is.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{key}: {why}")]
pub struct ConfigError {
    /// The setting's name in the file.
    pub key: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl ConfigError {
    fn new(key: &'static str, why: impl Into<String>) -> Self {
        Self { key, why: why.into() }
    }
}

impl Config {
    /// The defaults, with the data in `data` and no listener at all.
    #[must_use]
    pub fn new(data: PathBuf) -> Self {
        Self {
            data,
            amqp: Vec::new(),
            amqps: Vec::new(),
            amqp_unix: Vec::new(),
            threads: Self::default_threads(),
            compat: Compat::default(),
            statistics: true,
            limits: Limits::default(),
            store: StoreConfig::default(),
            tls: TlsConfig::default(),
            sasl: SaslConfig::default(),
            alarms: AlarmConfig::default(),
            management: ManagementConfig::default(),
            message_interceptors: Interceptors::default(),
        }
    }

    /// One thread per core.
    #[must_use]
    pub fn default_threads() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// Whether a broker can run with this.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting with which it cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Limits {
            frame_max,
            channel_max,
            memory_bytes_max,
            connections_max,
            handshakes_max,
            contents_page_max,
            contents_bytes_max,
            contents_looked_max,
            contents_requests_max,
            ..
        } = self.limits;
        let least = [
            ("threads", self.threads as u64, 1),
            ("limits.frame_max", frame_max.into(), 4096),
            ("limits.channel_max", channel_max.into(), 1),
            ("limits.memory_bytes_max", memory_bytes_max as u64, 1 << 20),
            ("limits.connections_max", connections_max as u64, 1),
            ("limits.handshakes_max", handshakes_max as u64, 1),
            ("limits.contents_page_max", contents_page_max as u64, 1),
            ("limits.contents_bytes_max", contents_bytes_max as u64, 1),
            ("limits.contents_looked_max", contents_looked_max as u64, 1),
            ("limits.contents_requests_max", contents_requests_max as u64, 1),
            ("store.checkpoint_bytes", self.store.checkpoint_bytes, 1 << 20),
        ];
        for (key, value, least) in least {
            if value < least {
                return Err(ConfigError::new(key, format!("{value} is less than {least}, the least that works")));
            }
        }
        if self.limits.handshake.is_zero() {
            return Err(ConfigError::new("limits.handshake", "nobody can log in within no time"));
        }
        if self.store.journal_bytes_max < self.store.checkpoint_bytes {
            let why = "is less than store.checkpoint_bytes: commits would wait for a checkpoint that does not begin";
            return Err(ConfigError::new("store.journal_bytes_max", why));
        }
        self.alarms.check()?;
        self.management.check()?;
        self.tls.check(!self.amqps.is_empty())
    }
}

/// Every limit that a peer can run into, with the answer that it gets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest frame offered in tune, in octets. A larger one is a frame error (501).
    #[serde(with = "units::bytes")]
    pub frame_max: u32,
    /// Channels on a connection offered in tune. Opening one more is not allowed (530).
    pub channel_max: u16,
    /// Heartbeat offered in tune. Two intervals of silence close the connection.
    #[serde(with = "units::duration")]
    pub heartbeat: Duration,
    /// From accept to `connection.open`, a PROXY header and the handshake of TLS included. Later than that, the socket is closed.
    #[serde(with = "units::duration")]
    pub handshake: Duration,
    /// Open connections. One more is not allowed (530) at `connection.open`.
    pub connections_max: usize,
    /// Sockets that were accepted and are not open connections yet. One more is closed at once.
    pub handshakes_max: usize,
    /// Largest body of a message, in octets. A larger one closes its channel (406).
    #[serde(with = "units::bytes")]
    pub message_size_max: u64,
    /// How long a consumer may hold a message if neither its queue nor itself says (`x-consumer-timeout`); zero: for ever. Longer than that, its
    /// channel is closed (406).
    #[serde(with = "units::duration")]
    pub consumer_timeout: Duration,
    /// Keys that a queue knows at most (`x-last-value-key`, `x-message-deduplication`). A message with one more is refused (`basic.nack`).
    pub queue_keys_max: u32,
    /// Ready messages of a queue that wait for their group at most (`x-group-by`). With so many, what lies behind them waits, too. And the ranges
    /// of messages that consumers with filters (`x-filter`) have passed over: with so many they look no further.
    pub queue_skipped_max: u32,
    /// Consumers that a space has at most. One more is refused (406).
    pub space_waiters_max: usize,
    /// Octets that the templates of a space's consumers take, together. One more is refused (406).
    #[serde(with = "units::bytes")]
    pub space_templates_bytes_max: usize,
    /// Octets in memory of what the index of a space knows of its tuples, some 80 a tuple of four fields. With so many a tuple is refused (`basic.nack`).
    #[serde(with = "units::bytes")]
    pub space_entries_bytes_max: usize,
    /// Octets that the indexes of a space take beyond that. Those that came on demand go, then searches take longer.
    #[serde(with = "units::bytes")]
    pub space_indexes_bytes_max: usize,
    /// Indexes of a space that come on demand. Another takes the place of the one that was not used for longest.
    pub space_indexes_max: usize,
    /// Octets of messages and settlements that a transaction holds until its commit. A larger one closes its channel (406) and is rolled back.
    #[serde(with = "units::bytes")]
    pub transaction_bytes_max: usize,
    /// Octets waiting to be written to one connection at which the broker stops reading from it and delivering to it. A
    /// direct reply that would come on top is dropped.
    #[serde(with = "units::bytes")]
    pub outbox_bytes_max: usize,
    /// Octets of messages that a shard delivers to a connection ahead of what its socket has taken.
    #[serde(with = "units::bytes")]
    pub window_bytes: usize,
    /// Octets of messages kept in memory, over all queues. What exceeds it is paged out; at twice as much, publishers wait for the disk.
    #[serde(with = "units::bytes")]
    pub memory_bytes_max: usize,
    /// Octets of commands waiting at a busy shard at which connections wait for their turn.
    #[serde(with = "units::bytes")]
    pub inbox_bytes_max: usize,
    /// Messages in one answer about a queue's contents, and messages that one request removes or moves. Where there is more, the answer says where to go on.
    pub contents_page_max: usize,
    /// Octets of messages in such an answer, or moved at a time; a single message may be larger.
    #[serde(with = "units::bytes")]
    pub contents_bytes_max: usize,
    /// Messages that one such request looks at to find those that it is about. The answer says where to go on.
    pub contents_looked_max: usize,
    /// Such requests at a time; further ones wait for their turn.
    pub contents_requests_max: usize,
    /// Keys of messages that exchanges with deduplication remember, all of them together: some 100 octets each. At this many an exchange
    /// forgets its oldest key for each new one, and one that has none yet does not remember.
    pub deduplication_keys_max: usize,
    /// Messages that an exchange may keep for those who come later (`x-recent-history-length`). One that is to keep more is not declared (406).
    pub history_length_max: u64,
    /// Letters that some of their queues have taken and others refused (`at-least-once`), of which is remembered who has taken them. When there are
    /// more, the oldest are offered to all their queues again.
    pub letters_remembered_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
            connections_max: 100_000,
            handshakes_max: 4096,
            message_size_max: 128 << 20,
            consumer_timeout: Duration::from_secs(30 * 60),
            queue_keys_max: 1_000_000,
            queue_skipped_max: 100_000,
            space_waiters_max: 1_000_000,
            space_templates_bytes_max: 256 << 20,
            space_entries_bytes_max: 1 << 30,
            space_indexes_bytes_max: 256 << 20,
            space_indexes_max: 16,
            transaction_bytes_max: 256 << 20,
            outbox_bytes_max: 4 << 20,
            window_bytes: 256 << 10,
            memory_bytes_max: 256 << 20,
            inbox_bytes_max: 8 << 20,
            contents_page_max: 1000,
            contents_bytes_max: 16 << 20,
            contents_looked_max: 20_000,
            contents_requests_max: 4,
            deduplication_keys_max: 1_000_000,
            history_length_max: 100_000,
            letters_remembered_max: 10_000,
        }
    }
}

/// How the store spends time and space.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Octets of a journal segment.
    #[serde(with = "units::bytes")]
    pub segment_bytes: u64,
    /// Octets in the journal at which a checkpoint moves what is unsettled behind it.
    #[serde(with = "units::bytes")]
    pub checkpoint_bytes: u64,
    /// Octets in the journal at which commits wait for the checkpoint.
    #[serde(with = "units::bytes")]
    pub journal_bytes_max: u64,
    /// How long changes that nobody waits for are gathered before they are committed.
    #[serde(with = "units::duration")]
    pub gather: Duration,
    /// When a commit counts as durable.
    #[serde(with = "units::sync_policy")]
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

//! The tokio shell around the core: listeners, connections, shards and who runs them, timers, statistics.
//!
//! ```text
//! socket -> connection -> publish (route, encode) -> shards (run on the spot) -> dispatch -> outlet -> socket
//!                                                      |                                      ^
//!                                                      +-> commit (journal) -> durable -------+
//!                                                      +-> pager (tables)
//! timers -> shards, when they are due
//! ```

mod administration;
mod bodies;
mod broker;
mod commit;
mod compat;
mod config;
mod connection;
mod dispatch;
mod letters;
mod listener;
mod outlet;
mod overview;
mod pager;
mod recovery;
mod reply_to;
mod shards;
mod tallies;
mod timers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use stoa_amqp::ReplyCode;
use stoa_storage::{Journal, OpenError, Store, StoreOptions};

pub use administration::{AdministrationError, TopicPermission};
pub use broker::Broker;
pub use commit::CommitStatus;
pub use compat::{Compat, RABBITMQ_VERSION};
pub use config::{Config, Limits, StoreConfig};
pub use connection::{Identity, Presence};
pub use overview::{ConnectionView, Overview, QueueView};
pub use recovery::RecoveryError;
pub use stoa_core::topology::{LimitError, LimitOf, LimitSet, Policy, PolicyKind, TopicPermissions};

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is in the data directory cannot be used.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The address is taken, or not ours.
    #[error("cannot listen for AMQP on {address}: {error}; is another broker running there? choose another address with --amqp")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
    /// No thread, no runtime.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// A broker that runs until it is [stopped](Running::stop).
#[derive(Debug)]
pub struct Running {
    /// For those who look at it.
    pub broker: Arc<Broker>,
    /// Where AMQP is spoken.
    pub amqp: SocketAddr,
    commit: JoinHandle<Journal>,
    pager: JoinHandle<()>,
    timers: JoinHandle<()>,
}

/// How long clients have to take leave when the broker stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Scheduler turns between two looks at the sockets: low, so that a light client beside a flood is not kept waiting.
const EVENT_INTERVAL: u32 = 4;

/// Opens the data directory, recovers what is in it and serves AMQP.
///
/// # Errors
/// [`StartError`]; nothing is left running.
pub fn start(config: Config) -> Result<Running, StartError> {
    let listener = listener::bind(config.amqp).map_err(|error| StartError::Listen {
        address: config.amqp,
        error,
    })?;
    let amqp = listener.local_addr()?;
    let options = StoreOptions {
        segment_bytes: config.store.segment_bytes,
        sync: config.store.sync,
        ..StoreOptions::new(config.data.clone())
    };
    let mut store = Store::open(&options)?;
    let recovered = recovery::recover(&mut store, &config)?;
    let (pager, pages) = pager::Pager::new(store.tables);
    let runtimes = (0..config.threads).map(runtime).collect::<io::Result<Vec<_>>>()?;
    let timers = Arc::new(timers::Timers::new(recovered.shards.len()));
    let shards = recovered
        .shards
        .into_iter()
        .enumerate()
        .map(|(index, shard)| shards::ShardCell::new(index, shard, timers.clone()))
        .collect();
    let broker = Arc::new(Broker::new(broker::Parts {
        config,
        topology: recovered.topology,
        shards,
        timers,
        pager,
        bodies: recovered.bodies,
        runtimes,
        journal: &store.journal,
    }));
    let commit = {
        let broker = broker.clone();
        std::thread::Builder::new()
            .name("commit".into())
            .spawn(move || commit::run(&broker, store.journal))?
    };
    let pager = {
        let broker = broker.clone();
        std::thread::Builder::new()
            .name("pager".into())
            .spawn(move || pager::run(&broker, &pages))?
    };
    let timers = {
        let broker = broker.clone();
        std::thread::Builder::new()
            .name("timers".into())
            .spawn(move || timers::run(&broker))?
    };
    // What became due while the broker was away, and what becomes due without anybody coming.
    for cell in &broker.shards {
        cell.run_soon(&broker);
    }
    broker.runtimes[0].spawn(listener::accept(broker.clone(), listener));
    Ok(Running {
        broker,
        amqp,
        commit,
        pager,
        timers,
    })
}

/// A thread that serves connections, and the way to it.
fn runtime(index: usize) -> io::Result<tokio::runtime::Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()?;
    let handle = runtime.handle().clone();
    let serve = move || runtime.block_on(std::future::pending::<()>());
    std::thread::Builder::new().name(format!("serve-{index}")).spawn(serve)?;
    Ok(handle)
}

impl Running {
    /// Says good-bye to the clients, makes everything durable, and closes the store.
    pub fn stop(self) {
        let broker = &self.broker;
        broker.stopping.store(true, Ordering::SeqCst);
        broker.close_all(ReplyCode::ConnectionForced, "broker shut down");
        let began = Instant::now();
        while !broker.connections.lock().is_empty() && began.elapsed() < FAREWELL {
            std::thread::sleep(Duration::from_millis(5));
        }
        broker.settle_letters(began + FAREWELL);
        broker.timers.stop();
        if self.timers.join().is_err() {
            tracing::error!("the thread of the timers has panicked");
        }
        broker.commits.stop();
        let journal = self.commit.join();
        broker.pager.stop();
        let pager = self.pager.join();
        match (journal, pager) {
            (Ok(journal), Ok(())) => {
                if let Err(error) = journal.close() {
                    tracing::error!(%error, "the journal was not closed in good order; it has everything that was confirmed");
                }
            }
            _ => tracing::error!("a thread of the store has panicked; the journal has everything that was confirmed"),
        }
    }
}

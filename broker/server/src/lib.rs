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
mod alarms;
mod bodies;
mod broker;
mod buckets;
mod commit;
mod compat;
mod config;
mod connection;
mod contents;
mod counters;
mod deduplication;
mod dispatch;
mod failures;
mod letters;
mod logins;
mod names;
mod outlet;
mod overview;
mod pager;
mod presence;
mod rates;
mod recovery;
mod reply_to;
mod requests;
mod shards;
mod tallies;
mod tenancy;
mod timeouts;
mod timers;
mod transport;
mod views;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use stoa_amqp::ReplyCode;
use stoa_storage::{Journal, OpenError, Store, StoreOptions};

pub use administration::{AdministrationError, TopicPermission};
pub use alarms::AlarmStatus;
pub use broker::Broker;
pub use buckets::Buckets;
pub use commit::CommitStatus;
pub use compat::{Compat, RABBITMQ_VERSION};
pub use config::{
    AlarmConfig, CertificateName, ClientCertificates, Config, ConfigError, Incoming, Interceptors, Limits, ListenError, ManagementConfig,
    Overwrite, SaslConfig, SetHeader, StoreConfig, TcpListen, TlsConfig, TlsVersion, UnitError, UnixListen, parse_bytes,
};
pub use connection::{Identity, NewMessage, Presence, TakenMessage, Taking};
pub use contents::{
    Asker, Browse, ContentsError, Destination, Filter, HolderView, MessagePage, MessageView, Moved, Pick, Removed, UnackedPage, UnackedView,
};
pub use counters::{DeadLettered, ExchangeTraffic, SIZES, Sizes};
pub use outlet::ChannelMode;
pub use overview::{ConnectionView, Overview, QueueTally, QueueView};
pub use presence::{ChannelTraffic, ChannelView, ConsumerView};
pub use recovery::RecoveryError;
pub use requests::{BindingRequest, Refusal, Requester};
pub use stoa_core::ids::{ConnectionId, Millis, QueueId, Sequence};
pub use stoa_core::shard::{Activity, Histogram, Latency, MessageState, Traffic};
pub use stoa_core::topology::{
    AccessError, Binding, Description, Destination as Bound, Exchange, ExchangeDeclare, ExchangeKind, Governing, Hashing, Parameter,
    PasswordHash, Permission, Permissions, Queue, QueueDeclare, TopologyError, User,
};
pub use stoa_core::topology::{LimitError, LimitOf, LimitSet, Policy, PolicyKind, TopicPermissions};
pub use tenancy::{NewPassword, PermissionView, UserView};
pub use transport::{Listening, Peer, TlsError, TlsSummary};
pub use views::{BindingView, BindingsOf, ExchangeView};

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is in the data directory cannot be used.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// A setting cannot be as it is.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What TLS needs cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is taken, or not ours.
    #[error(
        "cannot listen on {at}: {error}; is another broker running there? choose another address with {}",
        flag(at)
    )]
    Listen {
        /// Where.
        at: Listening,
        /// What the operating system said.
        error: io::Error,
    },
    /// No thread, no runtime.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

fn flag(at: &Listening) -> &'static str {
    match at {
        Listening::Amqp(_) => "--amqp",
        Listening::Amqps(_) => "--amqps",
        Listening::Unix(_) => "--amqp-unix",
    }
}

/// A broker that runs until it is [stopped](Running::stop).
#[derive(Debug)]
pub struct Running {
    /// For those who look at it.
    pub broker: Arc<Broker>,
    /// Where clients are listened to.
    pub listening: Vec<Listening>,
    alarms: JoinHandle<()>,
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
    config.check()?;
    let certificates = load_certificates(&config)?;
    let bound = transport::bind(&config, certificates.as_ref()).map_err(|(at, error)| StartError::Listen { at, error })?;
    let listening: Vec<_> = bound.iter().map(|bound| bound.at.clone()).collect();
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
        seen: recovered.seen,
        runtimes,
        certificates,
        journal: &store.journal,
    }));
    broker.listening.get_or_init(|| listening.clone());
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
    broker.runtimes[0].spawn(timeouts::run(broker.clone()));
    alarms::look(&broker);
    let alarms = {
        let broker = broker.clone();
        std::thread::Builder::new()
            .name("alarms".into())
            .spawn(move || alarms::run(&broker))?
    };
    for bound in bound {
        broker.runtimes[0].spawn(transport::accept(broker.clone(), bound));
    }
    Ok(Running {
        broker,
        listening,
        alarms,
        commit,
        pager,
        timers,
    })
}

fn load_certificates(config: &Config) -> Result<Option<Arc<transport::Certificates>>, TlsError> {
    if config.amqps.is_empty() {
        return Ok(None);
    }
    let certificates = transport::Certificates::load(config.tls.clone())?;
    Ok(Some(Arc::new(certificates)))
}

impl Config {
    /// Whether a broker can run with this, and can use the files that it names.
    ///
    /// # Errors
    /// [`StartError::Config`] or [`StartError::Tls`].
    pub fn check_files(&self) -> Result<(), StartError> {
        self.check()?;
        load_certificates(self)?;
        Ok(())
    }
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
        for at in &self.listening {
            if let Listening::Unix(path) = at {
                drop(std::fs::remove_file(path));
            }
        }
        broker.alarms.stop();
        if self.alarms.join().is_err() {
            tracing::error!("the thread of the alarms has panicked");
        }
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

//! The broker: what all its threads share, and the few things that touch topology and shards together.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use stoa_amqp::ReplyCode;
use stoa_core::ids::{ConnectionId, ConsumerId, QueueId};
use stoa_core::shard::QueueSpec;
use stoa_core::topology::{Change, Holding, Queue, Topology};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::alarms::Alarms;
use crate::bodies::Bodies;
use crate::commit::Commits;
use crate::config::Config;
use crate::connection::Identity;
use crate::counters::{Counters, ExchangeTallies};
use crate::deduplication::SeenKeys;
use crate::failures::LoginFailures;
use crate::letters::Takers;
use crate::logins::Logins;
use crate::pager::Pager;
use crate::rates::Rates;
use crate::shards::{Running, ShardCell};
use crate::tallies::Tallies;
use crate::timers::Timers;
use crate::transport::{Admission, Certificates, Listening};

/// A running broker. The HTTP surface reads it, connections and threads share it.
#[derive(Debug)]
pub struct Broker {
    pub(crate) config: Config,
    pub(crate) topology: RwLock<Site>,
    /// Changes with every change of the topology: cached routes are good for one version.
    pub(crate) topology_version: AtomicU64,
    pub(crate) shards: Vec<ShardCell>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) commits: Commits,
    pub(crate) pager: Pager,
    pub(crate) bodies: Bodies,
    pub(crate) connections: Mutex<HashMap<ConnectionId, Arc<crate::connection::Presence>>>,
    pub(crate) counters: Counters,
    pub(crate) exchange_tallies: ExchangeTallies,
    pub(crate) tallies: Arc<Tallies>,
    /// How many look into queues at a time.
    pub(crate) contents: Semaphore,
    pub(crate) runtimes: Vec<Handle>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) alarms: Alarms,
    pub(crate) seen: SeenKeys,
    pub(crate) rates: Rates,
    pub(crate) takers: Takers,
    /// None: no listener speaks TLS.
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// The broker is about to end: no connection is accepted any more.
    pub(crate) stopping: AtomicBool,
    pub(crate) started: Instant,
    pub(crate) started_at: SystemTime,
    next_id: AtomicU64,
    next_draw: AtomicU64,
    next_runtime: AtomicUsize,
    /// What passwords are marked with, so that marks are this process's own.
    pub(crate) mark: RandomState,
    pub(crate) logins: Logins,
    pub(crate) login_failures: LoginFailures,
    /// Where clients are listened to; set once the broker serves.
    pub(crate) listening: OnceLock<Vec<Listening>>,
}

/// The topology, and those of its changes that the next commit takes in.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) topology: Topology,
    pub(crate) unwritten: Vec<Change>,
    /// Durable queues whose deletion is among the unwritten changes.
    pub(crate) dropped: Vec<QueueId>,
}

impl Site {
    pub(crate) fn take_unwritten(&mut self) -> (Vec<Change>, Vec<QueueId>) {
        (std::mem::take(&mut self.unwritten), std::mem::take(&mut self.dropped))
    }
}

/// What a broker is put together from.
pub(crate) struct Parts<'j> {
    pub(crate) config: Config,
    pub(crate) topology: Topology,
    pub(crate) shards: Vec<ShardCell>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) pager: Pager,
    pub(crate) bodies: Bodies,
    pub(crate) seen: SeenKeys,
    pub(crate) runtimes: Vec<Handle>,
    pub(crate) certificates: Option<Arc<Certificates>>,
    pub(crate) journal: &'j stoa_storage::Journal,
}

impl Broker {
    pub(crate) fn new(parts: Parts<'_>) -> Self {
        Self {
            login_failures: LoginFailures::new(&parts.config.management),
            contents: Semaphore::new(parts.config.limits.contents_requests_max),
            takers: Takers::new(parts.config.limits.letters_remembered_max),
            config: parts.config,
            topology: RwLock::new(Site {
                topology: parts.topology,
                unwritten: Vec::new(),
                dropped: Vec::new(),
            }),
            topology_version: AtomicU64::new(1),
            shards: parts.shards,
            timers: parts.timers,
            commits: Commits::new(parts.journal.next_number()),
            pager: parts.pager,
            bodies: parts.bodies,
            connections: Mutex::default(),
            counters: Counters::default(),
            exchange_tallies: ExchangeTallies::default(),
            tallies: Arc::default(),
            runtimes: parts.runtimes,
            admission: Arc::default(),
            alarms: Alarms::default(),
            seen: parts.seen,
            rates: Rates::default(),
            certificates: parts.certificates,
            stopping: AtomicBool::new(false),
            started: Instant::now(),
            started_at: SystemTime::now(),
            next_id: AtomicU64::new(1),
            next_draw: AtomicU64::new(RandomState::new().hash_one(0)),
            next_runtime: AtomicUsize::new(0),
            mark: RandomState::new(),
            logins: Logins::default(),
            listening: OnceLock::new(),
        }
    }

    pub(crate) fn next_connection_id(&self) -> ConnectionId {
        ConnectionId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn next_consumer_id(&self) -> ConsumerId {
        ConsumerId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// A number by chance, for exchanges that choose (Weyl's sequence through splitmix64's finalizer: even, and no secret).
    pub(crate) fn draw(&self) -> u64 {
        let mut n = self.next_draw.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    /// The runtime whose turn it is: connections are spread over all of them.
    pub(crate) fn next_runtime(&self) -> &Handle {
        let n = self.next_runtime.fetch_add(1, Ordering::Relaxed);
        &self.runtimes[n % self.runtimes.len()]
    }

    /// Changes the topology. What `change` leaves in the list of changes is written by the next commit; shards are told within `change`, so
    /// that nobody can publish to a queue that its shard has not heard of.
    pub(crate) fn change_topology<R>(self: &Arc<Self>, change: impl FnOnce(&mut Topology, &mut Vec<Change>) -> R) -> Changed<R> {
        let mut site = self.topology.write();
        let Site {
            topology,
            unwritten,
            dropped,
        } = &mut *site;
        let before = unwritten.len();
        let outcome = change(topology, unwritten);
        let durable = unwritten.len() != before;
        let released = topology.take_released();
        dropped.extend_from_slice(&released);
        let replays = topology.take_replays();
        let arrivals = self.replay(topology, &replays);
        self.topology_version.fetch_add(1, Ordering::SeqCst);
        drop(site);
        self.arrive(&arrivals);
        self.delete_released(released);
        if durable {
            self.commits.note_dirty();
        }
        Changed { outcome, durable }
    }

    /// Makes the queues of a new exchange's own, while the topology is locked. Their shards must be [run](ShardCell::run_if_needed) then.
    pub(crate) fn create_holdings(&self, holdings: &[Holding]) {
        for holding in holdings {
            self.shard_of(holding.queue).lock().shard.create(QueueSpec {
                id: holding.queue,
                durable: holding.durable,
                auto_delete: false,
                settings: Some(holding.settings.clone()),
            });
        }
    }

    /// Exchanges are gone, and what lay in queues of their own with them.
    fn delete_released(self: &Arc<Self>, released: Vec<QueueId>) {
        for queue in released {
            self.seen.forget(queue);
            // Nobody else can have deleted it, and if so it is as good.
            self.with_shard(queue, |shard, effects| shard.delete(queue, false, false, effects))
                .ok();
        }
    }

    /// Runs a shard soon, on another task.
    pub(crate) fn run_later(self: &Arc<Self>, shard: usize) {
        let broker = self.clone();
        self.next_runtime().spawn(async move {
            broker.shards[shard].run_if_idle(&broker);
        });
    }

    /// An auto-delete queue has lost its last consumer.
    pub(crate) fn delete_unused(self: &Arc<Self>, queue: QueueId) {
        let site = self.topology.write();
        if let Some(found) = site.topology.queue_by_id(queue) {
            self.delete_found(site, &found, true, false).ok();
        }
    }

    /// A queue has not been used for as long as it may, and nobody has begun to use it since.
    pub(crate) fn delete_expired(self: &Arc<Self>, queue: QueueId) {
        let site = self.topology.write();
        let cell = self.shard_of(queue);
        let found = site.topology.queue_by_id(queue).filter(|_| cell.lock().shard.is_expired(queue));
        match found {
            // Whoever begins to use a queue looks it up before: nobody can, until it is gone.
            Some(found) => drop(self.delete_found(site, &found, true, false)),
            None => drop(site),
        }
        cell.run_if_needed(self);
    }

    /// Deletes a queue from topology and shard; gives the number of messages it held.
    pub(crate) fn delete_queue_if(
        self: &Arc<Self>,
        vhost: &str,
        name: &[u8],
        if_unused: bool,
        if_empty: bool,
    ) -> Result<Changed<u32>, stoa_core::shard::DeleteError> {
        let site = self.topology.write();
        match site.topology.find_queue(vhost, name) {
            Some(queue) => self.delete_found(site, &queue, if_unused, if_empty),
            None => Ok(Changed {
                outcome: 0,
                durable: false,
            }),
        }
    }

    fn delete_found(
        self: &Arc<Self>,
        mut site: RwLockWriteGuard<'_, Site>,
        queue: &Queue,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<Changed<u32>, stoa_core::shard::DeleteError> {
        let cell = self.shard_of(queue.id);
        let (mut running, mut dispatch) = cell.begin(self);
        let Running { shard, outlets } = &mut *running;
        let messages = match shard.delete(queue.id, if_unused, if_empty, &mut dispatch.to(outlets)) {
            Ok(messages) => messages,
            Err(error) => {
                drop(site);
                cell.end(self, running, dispatch);
                return Err(error);
            }
        };
        let Site {
            topology,
            unwritten,
            dropped,
        } = &mut *site;
        let before = unwritten.len();
        topology.delete_queue(&queue.vhost, queue.name.as_bytes(), unwritten);
        self.counters.queues_deleted.fetch_add(1, Ordering::Relaxed);
        self.counters.dead.forget(queue.id);
        let released = topology.take_released();
        dropped.push(queue.id);
        dropped.extend_from_slice(&released);
        let durable = unwritten.len() != before;
        self.topology_version.fetch_add(1, Ordering::SeqCst);
        drop(site);
        cell.end(self, running, dispatch);
        if durable {
            self.commits.note_dirty();
        }
        self.delete_released(released);
        Ok(Changed {
            outcome: messages,
            durable,
        })
    }

    /// A connection is gone, and the queues that were its own with it.
    pub(crate) fn delete_exclusive_queues(self: &Arc<Self>, connection: ConnectionId) {
        let queues = self.topology.read().topology.exclusive_queues(connection);
        for queue in queues {
            self.delete_queue_if(&queue.vhost, queue.name.as_bytes(), false, false).ok();
        }
    }

    /// Something could not be written or synced: nothing is confirmed any more, and who publishes is blocked.
    pub(crate) fn store_failed(&self, error: &dyn std::error::Error) {
        tracing::error!(
            error = %error,
            "the store failed: nothing is confirmed any more, connections that publish are blocked; free space or replace the disk, then restart"
        );
        self.commits.fail();
        self.alarms.raise_store();
        let all: Vec<_> = self.connections.lock().values().cloned().collect();
        for presence in all {
            presence.outlet.wake.notify_one();
        }
    }

    /// Reads the files of TLS again. Connections keep the session that they have; if the files cannot be used, everything is as before.
    pub fn reload_certificates(&self) {
        let Some(certificates) = &self.certificates else { return };
        match certificates.reload() {
            Ok(()) => tracing::info!("certificates read again"),
            Err(error) => tracing::error!(%error, "the certificates have changed and cannot be used; the ones before stay in use"),
        }
    }

    /// Closes the connections of those that this is true of.
    pub(crate) fn close_connections(&self, reason: &str, is_meant: impl Fn(&Identity) -> bool) {
        let all: Vec<_> = self.connections.lock().values().cloned().collect();
        for presence in all.iter().filter(|presence| is_meant(&presence.identity.lock())) {
            presence.outlet.close_with(ReplyCode::ConnectionForced, reason.to_owned());
        }
    }

    /// Closes every connection with this reason.
    pub(crate) fn close_all(&self, code: ReplyCode, text: &str) {
        let all: Vec<_> = self.connections.lock().values().cloned().collect();
        for presence in all {
            presence.outlet.close_with(code, text.to_owned());
        }
    }
}

/// The outcome of a change, and whether it has to be durable before it is answered.
pub(crate) struct Changed<R> {
    pub(crate) outcome: R,
    pub(crate) durable: bool,
}

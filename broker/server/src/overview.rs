//! What the HTTP surface and metrics read: snapshots, each taken in one go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use stoa_amqp::Table;
use stoa_core::ids::QueueId;
use stoa_core::shard::{Counts, Latency};
use stoa_core::topology::Governing;

use crate::alarms::AlarmStatus;
use crate::broker::Broker;
use crate::commit::CommitStatus;
use crate::recovery::all_queues;
use crate::transport::{Peer, TlsSummary};

/// The broker as a whole.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Time since the start.
    pub uptime: Duration,
    /// When it started.
    pub started_at: SystemTime,
    /// Open connections, channels on them, and consumers.
    pub connections: usize,
    /// Open channels.
    pub channels: usize,
    /// Consumers on all queues.
    pub consumers: u64,
    /// Queues in all virtual hosts.
    pub queues: usize,
    /// Exchanges in all virtual hosts, the predeclared ones included.
    pub exchanges: usize,
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages that were delivered and not settled.
    pub unacked: u64,
    /// Messages published since the start.
    pub published: u64,
    /// Messages delivered since the start.
    pub delivered: u64,
    /// Deliveries settled by acknowledgement or rejection since the start.
    pub acknowledged: u64,
    /// Connections accepted and closed since the start.
    pub connections_opened: u64,
    /// Connections closed since the start.
    pub connections_closed: u64,
    /// Octets of messages in memory.
    pub resident_bytes: u64,
    /// Octets of large bodies in memory.
    pub body_bytes: u64,
    /// The commit thread.
    pub commit: CommitStatus,
    /// Watermarks of disk and memory.
    pub alarms: AlarmStatus,
}

/// A queue with its counts.
#[derive(Clone, Debug)]
pub struct QueueView {
    /// Its declaration.
    pub queue: Arc<stoa_core::topology::Queue>,
    /// What is in it.
    pub counts: Counts,
    /// The policies that it is under.
    pub governing: Governing,
    /// Nobody is given anything of it until it is resumed.
    pub paused: bool,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    /// Its client's address.
    pub peer: Peer,
    /// Its TLS, if it speaks it.
    pub tls: Option<TlsSummary>,
    /// It publishes, and is held back by an alarm.
    pub blocked: bool,
    /// When it was accepted.
    pub connected_at: SystemTime,
    /// The user it logged in as.
    pub user: String,
    /// Its virtual host.
    pub vhost: String,
    /// What the client said of itself.
    pub properties: Table,
    /// Open channels.
    pub channels: usize,
}

impl Broker {
    /// The broker as a whole.
    #[must_use]
    pub fn overview(self: &Arc<Self>) -> Overview {
        let queues = self.queues();
        let sum = |count: fn(&Counts) -> u64| queues.iter().map(|view| count(&view.counts)).sum();
        let connections = self.connections();
        let counters = &self.counters;
        Overview {
            uptime: self.started.elapsed(),
            started_at: self.started_at,
            connections: connections.len(),
            channels: connections.iter().map(|view| view.channels).sum(),
            consumers: sum(|counts| counts.consumers.into()),
            queues: queues.len(),
            exchanges: self.exchange_count(),
            ready: sum(|counts| counts.ready),
            unacked: sum(|counts| counts.unacked),
            published: counters.published.load(Ordering::Relaxed),
            delivered: counters.delivered.load(Ordering::Relaxed),
            acknowledged: counters.acknowledged.load(Ordering::Relaxed),
            connections_opened: counters.connections_opened.load(Ordering::Relaxed),
            connections_closed: counters.connections_closed.load(Ordering::Relaxed),
            resident_bytes: self
                .shards
                .iter()
                .map(|cell| cell.look(self, |running| running.shard.resident_bytes()))
                .sum(),
            body_bytes: self.bodies.resident_bytes() as u64,
            commit: self.commits.status(),
            alarms: self.alarms(),
        }
    }

    /// All queues with their counts, by virtual host and name.
    #[must_use]
    pub fn queues(self: &Arc<Self>) -> Vec<QueueView> {
        let mut queues: Vec<_> = {
            let topology = &self.topology.read().topology;
            let all = all_queues(topology);
            all.map(|queue| (queue.clone(), topology.governing_queue(queue.id), topology.is_paused(queue.id)))
                .collect()
        };
        queues.sort_by(|(a, ..), (b, ..)| (&a.vhost, &a.name).cmp(&(&b.vhost, &b.name)));
        let mut views: Vec<QueueView> = queues
            .into_iter()
            .map(|(queue, governing, paused)| QueueView {
                queue,
                governing,
                paused,
                counts: Counts::default(),
            })
            .collect();
        for cell in &self.shards {
            cell.look(self, |running| {
                for view in views.iter_mut().filter(|view| self.shard_index(view.queue.id) == cell.index) {
                    view.counts = running.shard.counts(view.queue.id).unwrap_or_default();
                }
            });
        }
        views
    }

    /// One queue with its counts.
    #[must_use]
    pub fn queue(self: &Arc<Self>, vhost: &str, name: &str) -> Option<QueueView> {
        let (queue, governing, paused) = {
            let topology = &self.topology.read().topology;
            let queue = topology.find_queue(vhost, name.as_bytes())?;
            let governing = topology.governing_queue(queue.id);
            let paused = topology.is_paused(queue.id);
            (queue, governing, paused)
        };
        let counts = self.counts(queue.id);
        Some(QueueView {
            queue,
            counts,
            governing,
            paused,
        })
    }

    /// How long messages wait in a queue and are held, and how many expired, since it was declared or the broker started.
    #[must_use]
    pub fn latency(self: &Arc<Self>, queue: QueueId) -> Option<Latency> {
        self.shard_of(queue).look(self, |running| running.shard.latency(queue))
    }

    /// What is in a queue; nothing if there is no such queue.
    pub(crate) fn counts(self: &Arc<Self>, queue: QueueId) -> Counts {
        self.shard_of(queue)
            .look(self, |running| running.shard.counts(queue))
            .unwrap_or_default()
    }

    fn exchange_count(&self) -> usize {
        let topology = &self.topology.read().topology;
        topology.vhosts().map(|vhost| topology.exchanges(vhost).count()).sum()
    }

    /// Whether there is such a virtual host.
    #[must_use]
    pub fn has_vhost(&self, vhost: &str) -> bool {
        self.topology.read().topology.has_vhost(vhost)
    }

    /// Open connections, in the order in which they came.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionView> {
        let mut all: Vec<_> = self
            .connections
            .lock()
            .iter()
            .map(|(id, presence)| (*id, presence.clone()))
            .collect();
        all.sort_by_key(|(id, _)| *id);
        all.into_iter()
            .map(|(_, presence)| {
                let identity = presence.identity.lock().clone();
                ConnectionView {
                    peer: presence.peer,
                    tls: presence.tls.get().cloned(),
                    blocked: presence.blocked.load(Ordering::Relaxed),
                    connected_at: presence.connected_at,
                    user: identity.user,
                    vhost: identity.vhost,
                    properties: identity.properties,
                    channels: presence.outlet.lock().channel_count(),
                }
            })
            .collect()
    }

    /// What a user may do beside messaging; nothing if there is no such user.
    #[must_use]
    pub fn tags(&self, user: &str) -> Vec<Box<str>> {
        let site = self.topology.read();
        site.topology.user(user).map(|user| user.tags.clone()).unwrap_or_default()
    }

    /// Whether a user may do anything in a virtual host.
    #[must_use]
    pub fn may_access(&self, user: &str, vhost: &str) -> bool {
        self.topology.read().topology.may_access_vhost(user, vhost)
    }

    /// Whether this user may log in from there, for the HTTP surface.
    #[must_use]
    pub fn authenticate(&self, user: &str, password: &str, loopback: bool) -> bool {
        self.topology.read().topology.authenticate(user, password, loopback)
    }
}

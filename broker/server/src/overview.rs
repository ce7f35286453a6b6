//! What the HTTP surface and metrics read: snapshots, each taken in one go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use stoa_core::ids::{ConnectionId, QueueId};
use stoa_core::shard::{Counts, Latency, Shard, Traffic};
use stoa_core::topology::{Governing, Queue};

use crate::alarms::AlarmStatus;
use crate::broker::Broker;
use crate::commit::CommitStatus;
use crate::connection::Identity;
use crate::counters::{DeadLettered, Sizes};
use crate::recovery::all_queues;
use crate::transport::{self, Listening, Peer, TlsSummary};

/// Queues that are looked at under one lock.
const CHUNK: usize = 1000;

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
    /// What is in all queues, and what messages did since the start in these and in those that are gone.
    pub messages: QueueTally,
    /// Connections accepted and closed since the start.
    pub connections_opened: u64,
    /// Connections closed since the start.
    pub connections_closed: u64,
    /// Octets that came over all connections since the start.
    pub received_bytes: u64,
    /// Octets that went over all connections since the start.
    pub sent_bytes: u64,
    /// Messages that clients published since the start, by the size of their bodies.
    pub published: Sizes,
    /// Messages that left queues for dead-letter exchanges since the start.
    pub dead_lettered: Vec<DeadLettered>,
    /// Publishes in confirm mode since the start.
    pub confirmed: u64,
    /// Messages without a queue that went back to their publishers since the start.
    pub returned: u64,
    /// Messages without a queue that nobody wanted back since the start.
    pub dropped: u64,
    /// Channels opened since the start.
    pub channels_opened: u64,
    /// Channels closed since the start.
    pub channels_closed: u64,
    /// Declarations of queues since the start, of those that were there included.
    pub queues_declared: u64,
    /// Queues made since the start.
    pub queues_created: u64,
    /// Queues deleted since the start.
    pub queues_deleted: u64,
    /// Octets of messages in memory.
    pub resident_bytes: u64,
    /// Octets of large bodies in memory.
    pub body_bytes: u64,
    /// The commit thread.
    pub commit: CommitStatus,
    /// Watermarks of disk and memory.
    pub alarms: AlarmStatus,
}

/// What is in a queue, or in several, and what their messages did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueTally {
    /// The queue, if it is one.
    pub queue: QueueId,
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages that were delivered and not settled.
    pub unacked: u64,
    /// Consumers.
    pub consumers: u64,
    /// Octets of the messages, in memory or not.
    pub bytes: u64,
    /// What the messages did.
    pub traffic: Traffic,
}

impl QueueTally {
    fn new(queue: QueueId, counts: Counts, traffic: Traffic) -> Self {
        Self {
            queue,
            ready: counts.ready,
            unacked: counts.unacked,
            consumers: counts.consumers.into(),
            bytes: counts.bytes,
            traffic,
        }
    }

    /// All of them together.
    #[must_use]
    pub fn sum(tallies: &[Self]) -> Self {
        let mut sum = Self::default();
        tallies.iter().for_each(|tally| sum.add(tally));
        sum
    }

    fn add(&mut self, other: &Self) {
        self.ready += other.ready;
        self.unacked += other.unacked;
        self.consumers += other.consumers;
        self.bytes += other.bytes;
        self.traffic.add(&other.traffic);
    }
}

/// A queue with its counts.
#[derive(Clone, Debug)]
pub struct QueueView {
    /// Its declaration.
    pub queue: Arc<stoa_core::topology::Queue>,
    /// What is in it.
    pub counts: Counts,
    /// What its messages did.
    pub traffic: Traffic,
    /// The policies that it is under.
    pub governing: Governing,
    /// Nobody is given anything of it until it is resumed.
    pub paused: bool,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    /// Its number.
    pub id: ConnectionId,
    /// Its client's address.
    pub peer: Peer,
    /// The broker's own end of it; none over a Unix socket.
    pub local: Option<SocketAddr>,
    /// Its TLS, if it speaks it.
    pub tls: Option<TlsSummary>,
    /// It publishes, and is held back by an alarm.
    pub blocked: bool,
    /// It publishes, and a rate has held it back in the last five seconds.
    pub flow: bool,
    /// When it was accepted.
    pub connected_at: SystemTime,
    /// Who it is; the user is empty until it has logged in.
    pub identity: Identity,
    /// Open channels.
    pub channels: usize,
    /// Octets that came.
    pub received: u64,
    /// Octets that went.
    pub sent: u64,
}

impl QueueView {
    /// What is in it, and what its messages did.
    #[must_use]
    pub fn tally(&self) -> QueueTally {
        QueueTally::new(self.queue.id, self.counts, self.traffic)
    }
}

impl Broker {
    /// The broker as a whole.
    #[must_use]
    pub fn overview(self: &Arc<Self>) -> Overview {
        let tallies = self.queue_tallies();
        let mut messages = QueueTally::sum(&tallies);
        for cell in &self.shards {
            messages.traffic.add(&cell.look(self, |running| running.shard.departed()));
        }
        messages.traffic = self.counters.never_less(messages.traffic);
        let connections = self.connections();
        let counters = &self.counters;
        Overview {
            uptime: self.started.elapsed(),
            started_at: self.started_at,
            connections: connections.len(),
            channels: connections.iter().map(|view| view.channels).sum(),
            consumers: messages.consumers,
            queues: tallies.len(),
            exchanges: self.exchange_count(),
            messages,
            connections_opened: counters.connections_opened.load(Ordering::Relaxed),
            received_bytes: counters.received.with_open(connections.iter().map(|view| view.received).sum()),
            sent_bytes: counters.sent.with_open(connections.iter().map(|view| view.sent).sum()),
            connections_closed: counters.connections_closed.load(Ordering::Relaxed),
            published: counters.sizes.read(),
            dead_lettered: counters.dead.read(),
            confirmed: counters.confirmed.load(Ordering::Relaxed),
            returned: counters.returned.load(Ordering::Relaxed),
            dropped: counters.dropped.load(Ordering::Relaxed),
            channels_opened: counters.channels_opened.load(Ordering::Relaxed),
            channels_closed: counters.channels_closed.load(Ordering::Relaxed),
            queues_declared: counters.queues_declared.load(Ordering::Relaxed),
            queues_created: counters.queues_created.load(Ordering::Relaxed),
            queues_deleted: counters.queues_deleted.load(Ordering::Relaxed),
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

    /// Time since the start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Connections there are, those that are not open yet included.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.lock().len()
    }

    /// Whether the store has failed: nothing is accepted any more.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.commits.has_failed()
    }

    /// Where clients are listened to.
    #[must_use]
    pub fn listening(&self) -> &[Listening] {
        self.listening.get().map_or(&[], Vec::as_slice)
    }

    /// When the certificates of TLS end, by the files that they are in.
    #[must_use]
    pub fn certificate_ends(&self) -> Vec<(String, SystemTime)> {
        if self.certificates.is_none() {
            return Vec::new();
        }
        let tls = &self.config.tls;
        let files = [&tls.cert, &tls.ca].into_iter().filter(|file| !file.as_os_str().is_empty());
        let ends = files.flat_map(|file| {
            let ends = transport::certificate_ends(file);
            ends.into_iter().map(|end| (file.display().to_string(), end))
        });
        ends.collect()
    }

    /// The same of all queues together, those that are gone included.
    #[must_use]
    pub fn latency_of_all(self: &Arc<Self>) -> Latency {
        let mut all = Latency::default();
        self.look_at_queues(|shard, queue, _| shard.add_latency(queue, &mut all));
        for cell in &self.shards {
            cell.look(self, |running| all.add(running.shard.departed_latency()));
        }
        all
    }

    /// Shows every queue to `f`, with the place of its virtual host among those that are given. Locks are held for a thousand queues at a time.
    fn look_at_queues(self: &Arc<Self>, mut f: impl FnMut(&Shard, QueueId, usize)) -> Vec<Arc<str>> {
        let (ids, vhosts) = {
            let topology = &self.topology.read().topology;
            let vhosts: Vec<_> = topology.vhosts().cloned().collect();
            let of = |(place, vhost): (usize, &Arc<str>)| -> Vec<_> { topology.queues(vhost).map(|queue| (queue.id, place)).collect() };
            let ids: Vec<(QueueId, usize)> = vhosts.iter().enumerate().flat_map(of).collect();
            (ids, vhosts)
        };
        for cell in &self.shards {
            let own: Vec<_> = ids.iter().filter(|(id, _)| self.shard_index(*id) == cell.index).collect();
            for ids in own.chunks(CHUNK) {
                cell.look(self, |running| ids.iter().for_each(|(id, place)| f(&running.shard, *id, *place)));
            }
        }
        vhosts
    }

    /// What is in every queue and what its messages did, in no particular order. Locks are held for a thousand queues at a time.
    #[must_use]
    pub fn queue_tallies(self: &Arc<Self>) -> Vec<QueueTally> {
        self.tallies().0
    }

    /// The same, and of each virtual host together.
    #[must_use]
    pub fn tallies(self: &Arc<Self>) -> (Vec<QueueTally>, Vec<(Arc<str>, QueueTally)>) {
        let mut tallies = Vec::new();
        let mut sums: Vec<QueueTally> = Vec::new();
        let vhosts = self.look_at_queues(|shard, id, place| {
            let (counts, traffic) = (shard.counts(id).unwrap_or_default(), shard.traffic(id).unwrap_or_default());
            let tally = QueueTally::new(id, counts, traffic);
            if sums.len() <= place {
                sums.resize_with(place + 1, QueueTally::default);
            }
            sums[place].add(&tally);
            tallies.push(tally);
        });
        sums.resize_with(vhosts.len(), QueueTally::default);
        (tallies, vhosts.into_iter().zip(sums).collect())
    }

    /// All queues with their counts, by virtual host and name; of one virtual host, or of all. Locks are held for a thousand queues at a time, so that
    /// nobody waits for the whole of it.
    #[must_use]
    pub fn queues(self: &Arc<Self>, vhost: Option<&str>) -> Vec<QueueView> {
        let mut queues: Vec<_> = {
            let topology = &self.topology.read().topology;
            match vhost {
                Some(vhost) => topology.queues(vhost).cloned().collect(),
                None => all_queues(topology).cloned().collect(),
            }
        };
        queues.sort_by(|a, b| (&a.vhost, &a.name).cmp(&(&b.vhost, &b.name)));
        let mut views = Vec::with_capacity(queues.len());
        for queues in queues.chunks(CHUNK) {
            let topology = &self.topology.read().topology;
            views.extend(queues.iter().map(|queue| QueueView {
                queue: queue.clone(),
                governing: topology.governing_queue(queue.id),
                paused: topology.is_paused(queue.id),
                counts: Counts::default(),
                traffic: Traffic::default(),
            }));
        }
        for cell in &self.shards {
            for views in views.chunks_mut(CHUNK) {
                cell.look(self, |running| {
                    for view in views.iter_mut().filter(|view| self.shard_index(view.queue.id) == cell.index) {
                        view.counts = running.shard.counts(view.queue.id).unwrap_or_default();
                        view.traffic = running.shard.traffic(view.queue.id).unwrap_or_default();
                    }
                });
            }
        }
        views
    }

    /// The queues of a virtual host as they were declared, by name.
    #[must_use]
    pub fn declared_queues(&self, vhost: &str) -> Vec<Arc<Queue>> {
        let mut queues: Vec<_> = self.topology.read().topology.queues(vhost).cloned().collect();
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        queues
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
        let (counts, traffic) = self.shard_of(queue.id).look(self, |running| {
            let shard = &running.shard;
            (
                shard.counts(queue.id).unwrap_or_default(),
                shard.traffic(queue.id).unwrap_or_default(),
            )
        });
        Some(QueueView {
            queue,
            counts,
            traffic,
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

    /// Default exchanges count, as in RabbitMQ.
    fn exchange_count(&self) -> usize {
        let topology = &self.topology.read().topology;
        topology.vhosts().map(|vhost| topology.exchanges(vhost).count() + 1).sum()
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
            .map(|(id, presence)| {
                let identity = presence.identity.lock().clone();
                let (channels, sent) = {
                    let state = presence.outlet.lock();
                    (state.channel_count(), state.octets_sent)
                };
                ConnectionView {
                    id,
                    peer: presence.peer,
                    local: presence.local,
                    tls: presence.tls.get().cloned(),
                    blocked: presence.blocked.load(Ordering::Relaxed),
                    flow: presence.is_in_flow(self),
                    connected_at: presence.connected_at,
                    identity,
                    channels,
                    received: presence.received.load(Ordering::Relaxed),
                    sent,
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
}

//! What happened since the start, for statistics: of the broker, of each exchange, and of what each channel publishes.
//!
//! Messages are counted where their connection handles them, in a plain [`Tally`], and added here once a batch. What queues and channels do with
//! messages is counted in `Traffic`, by runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;
use stoa_core::ids::QueueId;
use stoa_core::settings::Settings;
use stoa_core::shard::{Reason, Traffic};

use crate::broker::Broker;

/// What has happened since the start, over all connections.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections_opened: AtomicU64,
    pub(crate) connections_closed: AtomicU64,
    /// Publishes of channels in confirm mode that the shards have.
    pub(crate) confirmed: AtomicU64,
    /// Messages that found no queue: returned, and dropped.
    pub(crate) returned: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) channels_opened: AtomicU64,
    pub(crate) channels_closed: AtomicU64,
    pub(crate) queues_declared: AtomicU64,
    pub(crate) queues_created: AtomicU64,
    pub(crate) queues_deleted: AtomicU64,
    /// Messages that left queues for their dead-letter exchanges.
    pub(crate) dead: DeadCounters,
    /// All messages that were published, by the size of their bodies.
    pub(crate) sizes: SizeCounters,
    /// Octets of the connections that are closed: that came, and that went.
    pub(crate) received: OctetCounter,
    pub(crate) sent: OctetCounter,
    /// The most that was told of what messages did in all queues.
    told: Mutex<Traffic>,
}

impl Counters {
    /// What messages did in all queues. It is added up queue by queue while others come and go, and a counter that seems to go back would be taken for a
    /// restart.
    pub(crate) fn never_less(&self, seen: Traffic) -> Traffic {
        let mut told = self.told.lock();
        *told = told.max(&seen);
        *told
    }
}

/// Octets of connections.
#[derive(Debug, Default)]
pub(crate) struct OctetCounter {
    closed: AtomicU64,
    told: AtomicU64,
}

impl OctetCounter {
    /// A connection is closed that had so many.
    pub(crate) fn close(&self, octets: u64) {
        self.closed.fetch_add(octets, Ordering::Relaxed);
    }

    /// Those of all connections since the start, if the open ones have so many. Never less than what was said before: see [`Counters::never_less`].
    pub(crate) fn with_open(&self, open: u64) -> u64 {
        let all = self.closed.load(Ordering::Relaxed) + open;
        self.told.fetch_max(all, Ordering::Relaxed).max(all)
    }
}

/// The sizes, in octets, up to which bodies are counted together; RabbitMQ 4.1's.
pub const SIZES: [u64; 8] = [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000, 100_000_000];

/// How many messages have bodies of which size.
#[derive(Debug, Default)]
pub(crate) struct SizeCounters {
    counts: [AtomicU64; SIZES.len() + 1],
    octets: AtomicU64,
}

/// How many messages were published, by the size of their bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Those that are not larger than [`SIZES`] says, nor as small as those before; last, all that are larger.
    pub counts: [u64; SIZES.len() + 1],
    /// All their octets.
    pub octets: u64,
}

impl Sizes {
    /// All of them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl SizeCounters {
    pub(crate) fn read(&self) -> Sizes {
        Sizes {
            counts: self.counts.each_ref().map(|count| count.load(Ordering::Relaxed)),
            octets: self.octets.load(Ordering::Relaxed),
        }
    }
}

/// Why messages were dead-lettered, by whether they must arrive.
#[derive(Debug, Default)]
pub(crate) struct DeadCounters {
    at_most_once: [AtomicU64; REASONS.len()],
    at_least_once: [AtomicU64; REASONS.len()],
    /// Of each queue that is there and that some have left.
    by_queue: Mutex<HashMap<QueueId, u64>>,
}

const REASONS: [Reason; 4] = [Reason::Rejected, Reason::Expired, Reason::MaxLength, Reason::DeliveryLimit];

/// Messages that left queues for dead-letter exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLettered {
    /// As RabbitMQ writes it in `x-death`.
    pub reason: &'static str,
    /// With `x-dead-letter-strategy`: `at-least-once`.
    pub at_least_once: bool,
    /// How many.
    pub count: u64,
}

impl DeadCounters {
    /// Messages leave a queue.
    pub(crate) fn add(&self, queue: QueueId, settings: &Settings, reason: Reason, count: u32) {
        let Some(to) = &settings.dead_letter else { return };
        let counts = if to.at_least_once {
            &self.at_least_once
        } else {
            &self.at_most_once
        };
        // What a delayed-message exchange lets go is not dead.
        if let Some(place) = REASONS.iter().position(|known| *known == reason) {
            counts[place].fetch_add(count.into(), Ordering::Relaxed);
            *self.by_queue.lock().entry(queue).or_default() += u64::from(count);
        }
    }

    /// A queue is gone.
    pub(crate) fn forget(&self, queue: QueueId) {
        self.by_queue.lock().remove(&queue);
    }

    pub(crate) fn read(&self) -> Vec<DeadLettered> {
        let both = [(false, &self.at_most_once), (true, &self.at_least_once)];
        let all = both.iter().flat_map(|(at_least_once, counts)| {
            REASONS.iter().zip(counts.iter()).map(|(reason, count)| DeadLettered {
                reason: reason.name(),
                at_least_once: *at_least_once,
                count: count.load(Ordering::Relaxed),
            })
        });
        all.collect()
    }
}

/// What a channel publishes. Its connection counts, others read.
#[derive(Debug, Default)]
pub(crate) struct PublishCounters {
    pub(crate) published: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

impl PublishCounters {
    /// A message found no queue: it goes back to its publisher, or nowhere.
    pub(crate) fn note_lost(&self, all: &Counters, is_returned: bool) {
        let (own, all) = if is_returned {
            (&self.returned, &all.returned)
        } else {
            (&self.dropped, &all.dropped)
        };
        own.fetch_add(1, Ordering::Relaxed);
        all.fetch_add(1, Ordering::Relaxed);
    }
}

/// Messages that were published to an exchange, and copies of them that went into queues.
#[derive(Debug, Default)]
pub(crate) struct ExchangeCounters {
    /// No other exchange has or had it.
    id: u64,
    name: Box<[u8]>,
    published_in: AtomicU64,
    published_out: AtomicU64,
    /// There is no such exchange any more.
    gone: AtomicBool,
}

impl ExchangeCounters {
    /// Whether a message to the exchange of this name counts here, in the virtual host in which it was looked up.
    pub(crate) fn is_of(&self, name: &[u8]) -> bool {
        *self.name == *name && !self.gone.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, published_in: u64, published_out: u64) {
        self.published_in.fetch_add(published_in, Ordering::Relaxed);
        self.published_out.fetch_add(published_out, Ordering::Relaxed);
    }
}

/// What went through an exchange since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExchangeTraffic {
    /// A number of its own in this process, by which samples know it; 0: nothing was published to it yet.
    pub id: u64,
    /// Messages that were published to it.
    pub published_in: u64,
    /// Copies of them that went into queues, by way of other exchanges or not.
    pub published_out: u64,
}

impl ExchangeTraffic {
    fn of(counters: &ExchangeCounters) -> Self {
        Self {
            id: counters.id,
            published_in: counters.published_in.load(Ordering::Relaxed),
            published_out: counters.published_out.load(Ordering::Relaxed),
        }
    }
}

type ByName = HashMap<Box<[u8]>, Arc<ExchangeCounters>>;

/// The counters of all exchanges that were published to, by virtual host and name.
#[derive(Debug, Default)]
pub(crate) struct ExchangeTallies {
    of: Mutex<HashMap<String, ByName>>,
    last_id: AtomicU64,
}

impl ExchangeTallies {
    /// Those of one exchange. Asked for when a route is found, and kept with it.
    pub(crate) fn of(&self, vhost: &str, exchange: &[u8]) -> Arc<ExchangeCounters> {
        let mut all = self.of.lock();
        let of_vhost = all.entry_ref(vhost).or_default();
        if let Some(known) = of_vhost.get(exchange) {
            return known.clone();
        }
        let new = Arc::new(ExchangeCounters {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            name: exchange.into(),
            ..ExchangeCounters::default()
        });
        of_vhost.insert(exchange.into(), new.clone());
        new
    }

    pub(crate) fn read(&self, vhost: &str, exchange: &[u8]) -> ExchangeTraffic {
        let all = self.of.lock();
        let known = all.get(vhost).and_then(|of_vhost| of_vhost.get(exchange));
        known.map(|counters| ExchangeTraffic::of(counters)).unwrap_or_default()
    }
}

impl Broker {
    /// How many messages have left queues for their dead-letter exchanges since the start, of the queues that any have left.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<(QueueId, u64)> {
        let by_queue = self.counters.dead.by_queue.lock();
        by_queue.iter().map(|(queue, count)| (*queue, *count)).collect()
    }

    /// Messages that were published to the exchanges of a virtual host that are there, since the start.
    #[must_use]
    pub fn published_in(&self, vhost: &str) -> u64 {
        let all = self.exchange_tallies.of.lock();
        let own = all.get(vhost).into_iter().flat_map(HashMap::values);
        own.map(|counters| counters.published_in.load(Ordering::Relaxed)).sum()
    }

    /// What went through the exchanges that were published to since the start, by virtual host and name. Those that are gone are forgotten here.
    #[must_use]
    pub fn exchange_traffic(&self) -> Vec<(String, Vec<u8>, ExchangeTraffic)> {
        let topology = &self.topology.read().topology;
        let mut all = self.exchange_tallies.of.lock();
        let mut traffic = Vec::new();
        all.retain(|vhost, of_vhost| {
            of_vhost.retain(|name, counters| {
                let is_there = if name.is_empty() {
                    topology.has_vhost(vhost)
                } else {
                    topology.exchange(vhost, name).is_some()
                };
                if is_there {
                    traffic.push((vhost.clone(), name.to_vec(), ExchangeTraffic::of(counters)));
                } else {
                    counters.gone.store(true, Ordering::Relaxed);
                }
                is_there
            });
            !of_vhost.is_empty()
        });
        traffic
    }
}

/// Publishes of a connection to one exchange that are not counted anywhere yet.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// The channel of the last, and how many were on it in a row.
    pub(crate) channel: u16,
    on_channel: u32,
    count: u32,
    out: u64,
    /// Octets of the last body, and how many in a row had as many.
    size: usize,
    alike: u32,
    sizes: [u32; SIZES.len() + 1],
    octets: u64,
}

impl Tally {
    /// A message is published, with this many octets, into so many queues. Most messages are as large as the one before.
    #[inline]
    pub(crate) fn add(&mut self, size: usize, out: u32) {
        self.count += 1;
        self.on_channel += 1;
        self.out += u64::from(out);
        if self.size != size {
            self.turn(size);
        }
        self.alike += 1;
    }

    fn turn(&mut self, size: usize) {
        let (octets, alike) = (self.size as u64, std::mem::take(&mut self.alike));
        let place = SIZES.iter().position(|most| octets <= *most).unwrap_or(SIZES.len());
        self.sizes[place] += alike;
        self.octets += octets * u64::from(alike);
        self.size = size;
    }

    /// What comes next is on another channel than before.
    pub(crate) fn turn_channel(&mut self, before: Option<&PublishCounters>, channel: u16) {
        let published = std::mem::take(&mut self.on_channel);
        if let Some(before) = before {
            before.published.fetch_add(published.into(), Ordering::Relaxed);
        }
        self.channel = channel;
    }

    /// Nothing waits to be counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds it to the counters, and begins anew.
    pub(crate) fn settle(&mut self, broker: &Counters, channel: Option<&PublishCounters>, exchange: Option<&ExchangeCounters>) {
        self.turn(self.size);
        self.turn_channel(channel, self.channel);
        let published = u64::from(std::mem::take(&mut self.count));
        if let Some(exchange) = exchange {
            exchange.add(published, std::mem::take(&mut self.out));
        }
        self.out = 0;
        for (count, counter) in self.sizes.iter_mut().zip(&broker.sizes.counts).filter(|(count, _)| **count > 0) {
            counter.fetch_add(std::mem::take(count).into(), Ordering::Relaxed);
        }
        broker.sizes.octets.fetch_add(std::mem::take(&mut self.octets), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_size_and_all_at_once() {
        let (counters, channel) = (Counters::default(), PublishCounters::default());
        let exchange = ExchangeCounters::default();
        let mut tally = Tally::default();
        for size in [0, 0, 100, 101, 101, 1_000_000_000] {
            tally.add(size, 2);
        }
        tally.settle(&counters, Some(&channel), Some(&exchange));
        assert!(tally.is_empty());
        tally.add(1_000_000_000, 0);
        tally.settle(&counters, None, Some(&exchange));
        let sizes = counters.sizes.read();
        assert_eq!(sizes.counts, [3, 2, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!((sizes.count(), sizes.octets), (7, 100 + 202 + 2_000_000_000));
        assert_eq!(channel.published.load(Ordering::Relaxed), 6);
        let through = ExchangeTraffic::of(&exchange);
        assert_eq!((through.published_in, through.published_out), (7, 12));
    }

    #[test]
    fn exchanges_are_counted_by_virtual_host_and_name() {
        let tallies = ExchangeTallies::default();
        let counters = tallies.of("/", b"x");
        tallies.of("/", b"x").add(1, 3);
        tallies.of("v", b"x").add(1, 0);
        assert!(counters.is_of(b"x") && !counters.is_of(b"y"));
        let traffic = tallies.read("/", b"x");
        assert_eq!((traffic.published_in, traffic.published_out), (1, 3));
        assert_eq!(tallies.read("/", b"none"), ExchangeTraffic::default());
    }
}

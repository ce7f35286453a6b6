//! What the connections know: who consumes, what it holds, what its channel may hold. Judges every delivery by that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use stoa_core::channel::Unacked;
use stoa_core::ids::{BodyId, ConsumerId, OutletId, QueueId, Sequence};
use stoa_core::record::Records;
use stoa_core::settings::Settings;
use stoa_core::shard::{Consumer, Delivery, Effects, Letter, StoredChunk, StoredError};

pub type ChannelId = (OutletId, u16);

#[derive(Default)]
pub struct Channel {
    pub unacked: Unacked,
    /// The tags that are not settled.
    pub held: BTreeSet<u64>,
    pub limit: Option<u32>,
    /// Shards that were refused credit.
    pub refused: Vec<usize>,
}

impl Channel {
    pub fn credit(&self) -> u32 {
        self.limit
            .map_or(u32::MAX, |limit| limit.saturating_sub(self.unacked.held() as u32))
    }
}

#[derive(Debug)]
pub struct Known {
    pub queue: QueueId,
    pub consumer: Consumer,
    /// What it holds.
    pub held: u32,
}

impl Known {
    fn channel(&self) -> ChannelId {
        (self.consumer.outlet, self.consumer.channel)
    }

    fn credit(&self) -> u32 {
        match self.consumer.prefetch {
            prefetch @ 1.. if !self.consumer.no_ack => u32::from(prefetch).saturating_sub(self.held),
            _ => u32::MAX,
        }
    }
}

#[derive(Default)]
pub struct Queue {
    single_active: bool,
    active: Option<ConsumerId>,
}

impl Queue {
    pub fn set_single_active(&mut self, single_active: bool, consumers: &[&Known]) {
        if self.single_active != single_active {
            self.single_active = single_active;
            self.active = None;
            self.elect(consumers);
        }
    }

    fn elect(&mut self, consumers: &[&Known]) {
        if self.single_active && self.active.is_none() {
            let first = consumers.iter().min_by_key(|known| (-known.consumer.priority, known.consumer.id));
            self.active = first.map(|known| known.consumer.id);
        }
    }
}

#[derive(Default)]
pub struct Sink {
    /// Which shard speaks.
    pub shard: usize,
    pub channels: HashMap<ChannelId, Channel>,
    pub consumers: BTreeMap<ConsumerId, Known>,
    pub queues: HashMap<QueueId, Queue>,
    /// Outlets that a shard gives nothing to.
    pub stalled: Vec<(usize, OutletId)>,
    /// Shards that are to hear that a channel has credit.
    pub lendings: Vec<(usize, ChannelId)>,
    pub seen: BTreeMap<&'static str, u64>,
    lent: Option<(ConsumerId, u32)>,
}

impl Sink {
    pub fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub fn channel(&mut self, id: ChannelId) -> &mut Channel {
        self.channels.entry(id).or_default()
    }

    fn elect(&mut self, queue: QueueId) {
        let of: Vec<_> = self.consumers.values().filter(|known| known.queue == queue).collect();
        self.queues.entry(queue).or_default().elect(&of);
    }

    pub fn add(&mut self, known: Known) {
        let queue = known.queue;
        self.consumers.insert(known.consumer.id, known);
        self.elect(queue);
    }

    pub fn remove(&mut self, ids: &[ConsumerId]) {
        let gone: Vec<_> = ids.iter().filter_map(|id| self.consumers.remove(id)).collect();
        for known in gone {
            let queue = self.queues.entry(known.queue).or_default();
            if queue.active == Some(known.consumer.id) {
                queue.active = None;
                self.elect(known.queue);
                if self.queues[&known.queue].active.is_some() {
                    self.saw("handed over");
                }
            }
        }
    }

    pub fn set_single_active(&mut self, queue: QueueId, single_active: bool) {
        let of: Vec<_> = self.consumers.values().filter(|known| known.queue == queue).collect();
        self.queues.entry(queue).or_default().set_single_active(single_active, &of);
    }

    pub fn limit(&mut self, id: ChannelId, limited: bool) {
        for known in self.consumers.values_mut().filter(|known| known.channel() == id) {
            known.consumer.limited = limited;
        }
    }

    pub fn released(&mut self, consumer: Option<ConsumerId>, count: u32) {
        if let Some(known) = consumer.and_then(|id| self.consumers.get_mut(&id)) {
            known.held -= count;
        }
    }

    /// The consumers that get messages from a queue when they can.
    pub fn active(&self, queue: QueueId) -> Vec<ConsumerId> {
        let active = self.queues[&queue].active;
        let of = self.consumers.values().filter(|known| known.queue == queue);
        of.map(|known| known.consumer.id)
            .filter(|id| active.is_none_or(|active| active == *id))
            .collect()
    }

    /// Those of them that can take one now.
    pub fn able(&self, queue: QueueId, shard: usize) -> impl Iterator<Item = &Known> {
        self.active(queue).into_iter().map(|id| &self.consumers[&id]).filter(move |known| {
            let channel = self.channels.get(&known.channel());
            let lent = channel.is_none_or(|channel| channel.credit() > 0 && !channel.refused.contains(&shard))
                && !self.lendings.contains(&(shard, known.channel()));
            known.credit() > 0 && (lent || !known.consumer.limited) && !self.stalled.contains(&(shard, known.consumer.outlet))
        })
    }
}

impl Effects for Sink {
    fn lend(&mut self, consumer: &Consumer, wanted: u32) -> u32 {
        assert!(consumer.limited && wanted > 0 && self.lent.is_none());
        let shard = self.shard;
        let channel = self.channel((consumer.outlet, consumer.channel));
        let granted = match channel.credit() {
            credit if consumer.no_ack && credit > 0 => wanted,
            credit => credit.min(wanted),
        };
        if granted == 0 && !channel.refused.contains(&shard) {
            channel.refused.push(shard);
        }
        self.lent = (granted > 0).then_some((consumer.id, granted));
        self.saw(match granted {
            0 => "refused",
            _ if granted < wanted => "lent less",
            _ => "lent",
        });
        granted
    }

    fn deliver(&mut self, delivery: Delivery<'_>) {
        let Delivery {
            consumer,
            queue,
            first,
            records: Records { count, .. },
            term,
            ..
        } = delivery;
        self.saw("delivered");
        let known = &self.consumers[&consumer.id];
        assert_eq!((known.queue, known.consumer.limited), (queue, consumer.limited));
        assert!(count <= known.credit(), "it has room for what it gets");
        assert!(self.active(queue).contains(&consumer.id), "others are not active");
        let lent = self.lent.take();
        if consumer.limited && !consumer.no_ack {
            assert_eq!(lent, Some((consumer.id, count)), "what was lent is delivered");
        }
        let better = self
            .able(queue, self.shard)
            .find(|other| other.consumer.priority > consumer.priority);
        assert!(better.is_none(), "{better:?} comes before {consumer:?}");
        let lower = self
            .able(queue, self.shard)
            .any(|other| other.consumer.priority < consumer.priority);
        if lower {
            self.saw("passed a lower one");
        }
        if !consumer.no_ack {
            self.consumers.get_mut(&consumer.id).expect("it is there").held += count;
        }
        let channel = self.channel((consumer.outlet, consumer.channel));
        let tag = channel
            .unacked
            .delivered(Some(consumer.id), queue, first, count, consumer.no_ack, term);
        if !consumer.no_ack {
            channel.held.extend(tag.0..tag.0 + u64::from(count));
        }
        channel.unacked.invariants();
    }

    fn stalled(&mut self, outlet: OutletId) {
        self.saw("stalled");
        self.stalled.push((self.shard, outlet));
    }

    fn cancelled(&mut self, _consumer: &Consumer, queue: QueueId) {
        panic!("queue {queue} stays");
    }
    fn unused(&mut self, queue: QueueId) {
        panic!("queue {queue} stays");
    }
    fn replaced(&mut self) {}
    fn expired(&mut self, queue: QueueId) {
        panic!("queue {queue} stays");
    }
    fn dead(&mut self, letter: Letter<'_>) {
        panic!("nothing dies here: {:?}", letter.reason);
    }
    fn refused(&mut self, queue: QueueId, _settings: &Arc<Settings>, _records: Records<'_>, _dead_letter: bool) {
        panic!("queue {queue} takes everything");
    }
    fn load(&mut self, _queue: QueueId, chunk: Sequence) {
        panic!("chunk {chunk} is in memory");
    }
    fn store(&mut self, chunk: StoredChunk) {
        panic!("chunk {} is not durable", chunk.first);
    }
    fn forget(&mut self, _queue: QueueId, chunk: Sequence) {
        panic!("chunk {chunk} was never stored");
    }
    fn forget_range(&mut self, _queue: QueueId, first: Sequence, _last: Sequence) {
        panic!("chunk {first} was never stored");
    }
    fn released(&mut self, body: BodyId) {
        panic!("body {body} does not lie apart");
    }
    fn damaged(&mut self, _queue: QueueId, chunk: Sequence, error: StoredError) {
        panic!("chunk {chunk}: {error}");
    }
}

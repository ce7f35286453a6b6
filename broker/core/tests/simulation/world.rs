//! Clients that publish, consume, settle, requeue, vanish and come back, and the oracle that watches them.

use std::collections::BTreeMap;

use stoa_amqp::{ShortString, Table};
use stoa_core::channel::{Confirm, Confirms, Settled, Ticket, Unacked};
use stoa_core::ids::{ConnectionId, ConsumerId, DeliveryTag, Epoch, QueueId};
use stoa_core::record::{self, Records, flags};
use stoa_core::shard::{Command, Consumer, GetOutcome, QueueSpec, ShardLimits};

use crate::broker::{Broker, Delivered, Seen, ids};
use crate::oracle::{Fate, Message, Oracle};
use crate::rng::Rng;

/// A connection with one channel.
struct Client {
    id: ConnectionId,
    unacked: Unacked,
    confirms: Confirms,
    /// The messages behind each publish, by its tag.
    published: Vec<Vec<usize>>,
    confirmed: usize,
    /// What it was delivered and has not settled.
    held: BTreeMap<u64, usize>,
    last_tag: u64,
    consumers: Vec<(QueueId, ConsumerId)>,
}

/// How likely each kind of step is in this run.
struct Weights(Vec<(Step, usize)>);

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Publish,
    Consume,
    Cancel,
    Settle,
    Get,
    Disconnect,
    Resume,
    Dispatch,
    BeginCommit,
    EndCommit,
    Checkpoint,
    Write,
    Flush,
    Answer,
    Purge,
    Delete,
    Crash,
    Stop,
}

const STEPS: [(Step, usize); 18] = [
    (Step::Publish, 12),
    (Step::Consume, 4),
    (Step::Cancel, 1),
    (Step::Settle, 10),
    (Step::Get, 3),
    (Step::Disconnect, 1),
    (Step::Resume, 6),
    (Step::Dispatch, 14),
    (Step::BeginCommit, 8),
    (Step::EndCommit, 8),
    (Step::Checkpoint, 3),
    (Step::Write, 8),
    (Step::Flush, 4),
    (Step::Answer, 10),
    (Step::Purge, 1),
    (Step::Delete, 1),
    (Step::Crash, 1),
    (Step::Stop, 1),
];

pub struct World {
    rng: Rng,
    weights: Weights,
    broker: Broker,
    oracle: Oracle,
    queues: Vec<QueueSpec>,
    clients: Vec<Client>,
    stalled: Vec<(usize, ConnectionId)>,
    next_id: u64,
    /// Octets of the larger bodies.
    body_max: usize,
    /// How many of a hundred messages have their body apart, and the octets of the largest of these.
    apart: usize,
    apart_max: usize,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let limits = ShardLimits {
            memory_bytes_max: [1 << 12, 1 << 14, 1 << 17, 1 << 30][rng.below(4)],
            window_bytes: [300, 3000, 1 << 20][rng.below(3)],
            read_ahead_bytes: [1, 1 << 14, 1 << 20][rng.below(3)],
            dispatch_records_max: [3, 200, 10_000][rng.below(3)],
        };
        let weights = STEPS.map(|(step, weight)| (step, weight * [0, 1, 2, 4, 8][rng.range(usize::from(weight > 1), 4)]));
        let body_max = [0, 60, 3000, 150_000][rng.below(4)];
        let (apart, apart_max) = ([0, 5, 100][rng.below(3)], [100, 10_000, 1 << 20][rng.below(3)]);
        let broker = Broker::new(rng.range(1, 2), limits);
        let mut world = Self {
            rng,
            weights: Weights(weights.to_vec()),
            broker,
            oracle: Oracle::default(),
            queues: Vec::new(),
            clients: Vec::new(),
            stalled: Vec::new(),
            next_id: 0,
            body_max,
            apart,
            apart_max,
        };
        for _ in 0..world.rng.range(1, 4) {
            world.create_queue();
        }
        for _ in 0..world.rng.range(1, 4) {
            world.connect();
        }
        world
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn create_queue(&mut self) {
        let spec = QueueSpec {
            id: QueueId(self.fresh_id()),
            durable: self.rng.percent(80),
            auto_delete: self.rng.percent(10),
        };
        self.broker.shard(spec.id).0.create(spec);
        self.queues.push(spec);
    }

    fn connect(&mut self) {
        let id = ConnectionId(self.fresh_id());
        self.clients.push(Client {
            id,
            unacked: Unacked::new(),
            confirms: Confirms::new(),
            published: Vec::new(),
            confirmed: 0,
            held: BTreeMap::new(),
            last_tag: 0,
            consumers: Vec::new(),
        });
    }

    pub fn run(mut self, steps: usize) -> Seen {
        for _ in 0..steps {
            let step = self.choose();
            self.step(step);
            self.settle_effects();
            self.broker.invariants();
        }
        self.finish();
        let mut seen = self.broker.seen;
        self.broker.shards.into_iter().for_each(|(_, sink)| seen.add(sink.seen));
        seen
    }

    fn choose(&mut self) -> Step {
        let all: usize = self.weights.0.iter().map(|(_, weight)| weight).sum();
        let mut at = self.rng.below(all);
        for &(step, weight) in &self.weights.0 {
            if at < weight {
                return step;
            }
            at -= weight;
        }
        Step::Dispatch
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish => self.publish(),
            Step::Consume => self.consume(),
            Step::Cancel => self.cancel(),
            Step::Settle => self.settle(),
            Step::Get => self.get(),
            Step::Disconnect => self.disconnect(),
            Step::Resume => self.resume(),
            Step::Dispatch => self.dispatch(),
            Step::BeginCommit => self.broker.begin_commit(),
            Step::EndCommit => self.end_commit(),
            Step::Checkpoint => {
                if self.broker.begin_checkpoint(self.oracle.durable) {
                    self.oracle.begin_checkpoint();
                }
            }
            Step::Write => self.broker.write(&mut self.rng),
            Step::Flush => {
                if self.broker.flush(&mut self.rng) {
                    self.oracle.end_checkpoint();
                }
            }
            Step::Answer => self.broker.answer(&mut self.rng),
            Step::Purge => self.purge(),
            Step::Delete => self.delete(),
            Step::Crash => {
                if self.rng.percent(30) {
                    self.restart(false);
                }
            }
            Step::Stop => {
                if self.rng.percent(20) {
                    self.stop();
                }
            }
        }
    }

    fn publish(&mut self) {
        let at = self.rng.below(self.clients.len());
        let publisher = self.clients[at].id.0;
        let fan_out = if self.rng.percent(20) { 2 } else { 1 };
        let start = self.rng.below(self.queues.len());
        let queues: Vec<_> = self
            .queues
            .iter()
            .cycle()
            .skip(start)
            .take(fan_out.min(self.queues.len()))
            .copied()
            .collect();
        let count = if self.rng.percent(20) {
            self.rng.range(50, 400)
        } else {
            self.rng.range(1, 20)
        };
        let persistent = [0, 50, 100, 100][self.rng.below(4)];
        let large = self.rng.percent(10);
        let mut runs = vec![Vec::new(); queues.len()];
        let mut counts = 0;
        for n in 0..count {
            let persistent = self.rng.percent(persistent);
            let size = if large && n < 5 {
                self.rng.below(self.body_max + 1)
            } else {
                self.rng.below(self.body_max.min(60) + 1)
            };
            let apart = self.rng.percent(self.apart).then(|| {
                let persistent = persistent && queues.iter().any(|queue| queue.durable);
                let size = self.rng.range(1, self.apart_max) as u64;
                self.broker.bodies.borrow_mut().insert(size, queues.len() as u32, persistent)
            });
            let flags = if persistent { flags::PERSISTENT } else { 0 };
            let mut behind = Vec::new();
            for (queue, run) in queues.iter().zip(&mut runs) {
                let id = self.oracle.published(Message {
                    queue: queue.id,
                    publisher,
                    persistent: persistent && queue.durable,
                    epoch: self.broker.epoch,
                    confirmed: false,
                    delivered: false,
                    fate: Fate::Ready,
                });
                behind.push(id);
                let id = (id as u64).to_le_bytes();
                if let Some(body) = apart {
                    record::push_apart(run, flags, 0, b"\0\x01q", &id, body);
                    continue;
                }
                let mut body = id.to_vec();
                body.resize(8 + size, body[0]);
                record::push(run, flags, 0, b"\0\x01q", b"header", &body);
            }
            self.clients[at].published.push(behind);
            counts += 1;
        }
        let ticket = self.clients[at].confirms.published(counts, queues.len() as u32);
        for (queue, run) in queues.iter().zip(&runs) {
            let records = Records { bytes: run, count: counts };
            self.broker.apply(queue.id, Command::Publish { queue: queue.id, records });
            self.applied(at, ticket, queue.durable.then_some(Epoch(self.broker.epoch)));
        }
    }

    fn applied(&mut self, client: usize, ticket: Ticket, epoch: Option<Epoch>) {
        let confirm = self.clients[client].confirms.applied(ticket, epoch);
        self.confirm(client, confirm);
    }

    fn confirm(&mut self, client: usize, confirm: Option<Confirm>) {
        let Some(Confirm { tag, multiple }) = confirm else { return };
        let client = &mut self.clients[client];
        let upto = tag.0 as usize;
        assert_eq!(multiple, upto - client.confirmed > 1);
        for &id in client.published[client.confirmed..upto].iter().flatten() {
            self.oracle.confirmed(id);
        }
        self.broker.seen.saw(if multiple { "confirm several" } else { "confirm one" });
        client.confirmed = upto;
    }

    fn end_commit(&mut self) {
        let Some(durable) = self.broker.end_commit() else { return };
        self.oracle.durable(durable);
        for client in 0..self.clients.len() {
            let confirm = self.clients[client].confirms.durable(Epoch(durable));
            self.confirm(client, confirm);
        }
    }

    fn consume(&mut self) {
        let at = self.rng.below(self.clients.len());
        let queue = self.queues[self.rng.below(self.queues.len())].id;
        let consumer = Consumer {
            id: ConsumerId(self.fresh_id()),
            outlet: self.clients[at].id,
            channel: 1,
            tag: ShortString::from("tag"),
            no_ack: self.rng.percent(30),
            exclusive: self.rng.percent(5),
            prefetch: [0, 1, 7, 300][self.rng.below(4)],
            arguments: Table::default(),
        };
        let id = consumer.id;
        if self.broker.shard(queue).0.consume(queue, consumer).is_ok() {
            self.clients[at].consumers.push((queue, id));
        }
    }

    fn cancel(&mut self) {
        let at = self.rng.below(self.clients.len());
        let Some(&(queue, consumer)) = self.rng.pick(&self.clients[at].consumers) else {
            return;
        };
        let (shard, sink) = self.broker.shard(queue);
        assert!(shard.cancel(queue, consumer, sink));
        self.clients[at].consumers.retain(|other| *other != (queue, consumer));
    }

    /// A client acknowledges or requeues one delivery, or all up to one.
    fn settle(&mut self) {
        let at = self.rng.below(self.clients.len());
        let client = &mut self.clients[at];
        let tags: Vec<_> = client.held.keys().copied().collect();
        let requeue = self.rng.percent(20);
        let mut out = Vec::new();
        for _ in 0..self.rng.range(1, 5) {
            let Some(&tag) = self.rng.pick(&tags[..tags.len().min(300)]) else {
                return;
            };
            if !client.held.contains_key(&tag) {
                assert!(client.unacked.settle(DeliveryTag(tag), false, &mut out).is_err());
                continue;
            }
            let multiple = self.rng.percent(40);
            client
                .unacked
                .settle(DeliveryTag(tag), multiple, &mut out)
                .expect("an outstanding tag");
            let settled: Vec<_> = client
                .held
                .range(if multiple { 0 } else { tag }..=tag)
                .map(|(&tag, &id)| (tag, id))
                .collect();
            for (tag, id) in settled {
                client.held.remove(&tag);
                if requeue {
                    self.oracle.returned(id)
                } else {
                    self.oracle.settled(id, self.broker.epoch)
                }
            }
            client.unacked.invariants();
        }
        self.give_back(out, requeue);
    }

    fn give_back(&mut self, runs: Vec<Settled>, requeue: bool) {
        for Settled {
            queue,
            consumer,
            first,
            count,
        } in runs
        {
            let command = if requeue {
                Command::Requeue {
                    queue,
                    consumer,
                    first,
                    count,
                }
            } else {
                Command::Settle {
                    queue,
                    consumer,
                    first,
                    count,
                }
            };
            self.broker.apply(queue, command);
        }
    }

    fn get(&mut self) {
        let at = self.rng.below(self.clients.len());
        let queue = self.queues[self.rng.below(self.queues.len())].id;
        let no_ack = self.rng.percent(30);
        let bodies = self.broker.bodies.clone();
        let (shard, sink) = self.broker.shard(queue);
        let mut got = None;
        let outcome = shard.get(queue, no_ack, sink, |message| {
            let records = Records {
                bytes: message.record.bytes(),
                count: 1,
            };
            got = Some((
                ids(records, &bodies.borrow())[0],
                message.sequence,
                message.redelivered,
                message.remaining,
            ));
        });
        let ready = shard.counts(queue).expect("it is there").ready;
        match (outcome, got) {
            (GetOutcome::Taken, Some((id, first, redelivered, remaining))) => {
                assert_eq!(remaining, ready);
                let (outlet, consumer) = (self.clients[at].id, ConsumerId(0));
                self.deliver(
                    at,
                    None,
                    Delivered {
                        outlet,
                        consumer,
                        no_ack,
                        queue,
                        first,
                        redelivered,
                        ids: vec![id],
                    },
                );
            }
            (GetOutcome::Empty, None) => assert_eq!(ready, 0),
            (GetOutcome::Loading, None) => {
                sink.seen.saw("get waits");
                assert!(self.broker.is_waiting());
            }
            (outcome, got) => panic!("{outcome:?} with {got:?}"),
        }
    }

    fn deliver(&mut self, at: usize, consumer: Option<ConsumerId>, delivered: Delivered) {
        let Delivered {
            no_ack,
            queue,
            first,
            redelivered,
            ids,
            ..
        } = delivered;
        let client = &mut self.clients[at];
        let tag = client.unacked.delivered(consumer, queue, first, ids.len() as u32, no_ack).0;
        assert!(tag > client.last_tag, "invariant 5: delivery tags strictly increase");
        client.last_tag = tag + ids.len() as u64 - 1;
        for (tag, id) in (tag..).zip(ids) {
            self.oracle.delivered(id, queue, redelivered, no_ack, self.broker.epoch);
            if !no_ack {
                client.held.insert(tag, id);
            }
        }
    }

    fn disconnect(&mut self) {
        let at = self.rng.below(self.clients.len());
        let mut client = self.clients.swap_remove(at);
        for shard in 0..self.broker.shards.len() {
            let (shard, sink) = &mut self.broker.shards[shard];
            shard.apply(Command::Gone { outlet: client.id }, sink);
        }
        client.held.values().for_each(|&id| self.oracle.returned(id));
        let runs = client.unacked.take_all();
        self.give_back(runs, true);
        self.stalled.retain(|(_, outlet)| *outlet != client.id);
        self.connect();
    }

    fn resume(&mut self) {
        if !self.stalled.is_empty() {
            let (shard, outlet) = self.stalled.swap_remove(self.rng.below(self.stalled.len()));
            let (shard, sink) = &mut self.broker.shards[shard];
            shard.apply(Command::Resume { outlet }, sink);
        }
    }

    fn dispatch(&mut self) {
        for shard in 0..self.broker.shards.len() {
            let (shard, sink) = &mut self.broker.shards[shard];
            while shard.dispatch(sink) && self.rng.percent(80) {}
        }
    }

    fn purge(&mut self) {
        let queue = self.queues[self.rng.below(self.queues.len())].id;
        let (shard, sink) = self.broker.shard(queue);
        let purged = shard.purge(queue, sink);
        assert_eq!(shard.counts(queue).map(|counts| counts.ready), Some(0));
        self.oracle.purged(queue, self.broker.epoch, purged);
    }

    fn delete(&mut self) {
        if self.rng.percent(20) {
            let queue = self.queues[self.rng.below(self.queues.len())].id;
            self.delete_queue(queue);
        }
    }

    fn delete_queue(&mut self, queue: QueueId) {
        let (shard, sink) = self.broker.shard(queue);
        shard.delete(queue, false, false, sink).expect("it is there");
        self.forget_queue(queue);
        self.create_queue();
    }

    fn forget_queue(&mut self, queue: QueueId) {
        self.queues.retain(|other| other.id != queue);
        self.oracle.deleted(queue);
        for client in &mut self.clients {
            client.consumers.retain(|(other, _)| *other != queue);
            let gone: Vec<_> = client
                .held
                .iter()
                .filter(|&(_, &id)| self.oracle.messages[id].queue == queue)
                .map(|(&tag, _)| tag)
                .collect();
            for tag in gone {
                client
                    .unacked
                    .settle(DeliveryTag(tag), false, &mut Vec::new())
                    .expect("an outstanding tag");
                client.held.remove(&tag);
            }
        }
    }

    /// Hands on what the shards had to say.
    fn settle_effects(&mut self) {
        for shard in 0..self.broker.shards.len() {
            let sink = &mut self.broker.shards[shard].1;
            let delivered = std::mem::take(&mut sink.delivered);
            self.stalled.extend(sink.stalled.drain(..).map(|outlet| (shard, outlet)));
            let unused = std::mem::take(&mut sink.unused);
            sink.cancelled.clear();
            for delivered in delivered {
                let at = self
                    .clients
                    .iter()
                    .position(|client| client.id == delivered.outlet)
                    .expect("a connection that is there");
                self.deliver(at, Some(delivered.consumer), delivered);
            }
            for queue in unused {
                self.delete_queue(queue);
            }
        }
        if self.rng.percent(10) {
            self.check_counts();
        }
    }

    fn check_counts(&mut self) {
        for queue in self.queues.clone() {
            let counts = self.broker.shard(queue.id).0.counts(queue.id).expect("it is there");
            let (ready, unacked, maybe) = self.oracle.counts(queue.id);
            assert_eq!(counts.unacked, unacked, "invariant 3: unacked messages of queue {}", queue.id);
            assert!(
                (ready..=ready + maybe).contains(&counts.ready),
                "{counts:?}: {ready} and perhaps {maybe} are ready"
            );
        }
    }

    fn stop(&mut self) {
        self.clients.clear();
        for message in &mut self.oracle.messages {
            if message.fate == Fate::Unacked {
                message.fate = Fate::Ready;
            }
        }
        self.end_commit();
        self.broker.begin_commit();
        self.end_commit();
        let durable = self.oracle.durable;
        self.broker.stop(&mut self.rng, durable);
        self.restart(true);
    }

    fn restart(&mut self, clean: bool) {
        self.clients.clear();
        self.stalled.clear();
        for queue in self.queues.clone().iter().filter(|queue| !queue.durable) {
            self.forget_queue(queue.id);
        }
        self.broker.restart(&mut self.rng, &self.queues, clean);
        self.oracle.restarted(clean);
        self.broker.invariants();
        self.check_counts();
        while self.queues.is_empty() || self.rng.percent(20) {
            self.create_queue();
        }
        for _ in 0..self.rng.range(1, 4) {
            self.connect();
        }
    }

    /// A last crash, perhaps; then everything that is there is consumed, and what is missing is lost.
    fn finish(&mut self) {
        match self.rng.below(3) {
            0 => self.restart(false),
            1 => self.stop(),
            _ => {}
        }
        while !self.clients.is_empty() {
            let mut client = self.clients.pop().expect("one is there");
            for (shard, sink) in &mut self.broker.shards {
                shard.apply(Command::Gone { outlet: client.id }, sink);
            }
            client.held.values().for_each(|&id| self.oracle.returned(id));
            let runs = client.unacked.take_all();
            self.give_back(runs, true);
        }
        self.stalled.clear();
        self.connect();
        for queue in self.queues.clone() {
            let id = ConsumerId(self.fresh_id());
            let consumer = Consumer {
                id,
                outlet: self.clients[0].id,
                channel: 1,
                tag: ShortString::from("last"),
                no_ack: true,
                exclusive: false,
                prefetch: 0,
                arguments: Table::default(),
            };
            self.broker
                .shard(queue.id)
                .0
                .consume(queue.id, consumer)
                .expect("nobody else is there");
        }
        for _ in 0..100_000 {
            self.dispatch();
            self.broker.begin_commit();
            self.end_commit();
            self.broker.write(&mut self.rng);
            self.broker.answer(&mut self.rng);
            self.resume();
            self.settle_effects();
            let ready: u64 = self
                .broker
                .shards
                .iter()
                .map(|(shard, _)| {
                    self.queues
                        .iter()
                        .filter_map(|queue| shard.counts(queue.id))
                        .map(|counts| counts.ready)
                        .sum::<u64>()
                })
                .sum();
            if ready == 0 {
                break;
            }
        }
        self.broker.invariants();
        self.oracle.drained();
        while self.broker.is_waiting() {
            self.broker.write(&mut self.rng);
            self.broker.answer(&mut self.rng);
        }
        self.broker.begin_commit();
        self.end_commit();
        self.broker.delete_bodies();
        assert!(
            self.broker.disk.tables.bodies.is_empty(),
            "bodies that nothing refers to are left behind"
        );
    }
}

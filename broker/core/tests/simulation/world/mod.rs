//! The world in which the shards live: what there is in it, and what happens next.

mod clients;
mod ends;

use std::collections::BTreeMap;
use std::sync::Arc;

use stoa_amqp::{ShortString, Table};
use stoa_core::channel::{Confirms, Unacked};
use stoa_core::ids::{ConnectionId, ConsumerId, Epoch, QueueId};
use stoa_core::settings::Settings;
use stoa_core::shard::{Consumer, QueueSpec, ShardLimits};

use crate::broker::{Broker, Seen};
use crate::oracle::Oracle;
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
            settings: self.settings(),
        };
        self.broker.shard(spec.id).0.create(spec.clone());
        self.queues.push(spec);
    }

    /// What a new queue is set to do.
    fn settings(&mut self) -> Option<Arc<Settings>> {
        let mut settings = Settings::default();
        if self.rng.percent(30) {
            settings.priority_max = Some([1, 5, 255][self.rng.below(3)]);
        }
        (settings != Settings::default()).then(|| Arc::new(settings))
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
            if self.rng.percent(10) {
                self.check_counts();
            }
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

    fn end_commit(&mut self) {
        let Some(durable) = self.broker.end_commit() else { return };
        self.oracle.durable(durable);
        for client in 0..self.clients.len() {
            self.clients[client].confirms.durable(Epoch(durable));
            self.confirm(client);
        }
    }

    fn dispatch(&mut self) {
        for shard in 0..self.broker.shards.len() {
            let (shard, sink) = &mut self.broker.shards[shard];
            while shard.dispatch(sink) && self.rng.percent(80) {}
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
    }
}

/// A consumer that takes all it can get.
fn consumer(id: ConsumerId, outlet: ConnectionId) -> Consumer {
    Consumer {
        id,
        outlet,
        channel: 1,
        tag: ShortString::from("tag"),
        no_ack: true,
        exclusive: false,
        prefetch: 0,
        limited: false,
        priority: 0,
        arguments: Table::default(),
    }
}

//! The world in which the shards live: what there is in it, and what happens next.

mod clients;
mod ends;
mod picks;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;

use stoa_amqp::{ShortString, Table};
use stoa_core::channel::{Confirms, Unacked};
use stoa_core::ids::{ConnectionId, ConsumerId, Epoch, QueueId};
use stoa_core::settings::{DeadLetterTo, Overflow, Retry, RetryOf, Settings};
use stoa_core::shard::{Attendance, Command, Consumer, QueueSpec, ShardLimits};

use crate::broker::{Broker, Lettered, Seen};
use crate::moves::Moves;
use crate::oracle::Oracle;
use crate::rng::Rng;
use picks::Claim;

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
    Transact,
    Get,
    Browse,
    Pick,
    Disconnect,
    Resume,
    Dispatch,
    BeginCommit,
    EndCommit,
    Checkpoint,
    Write,
    Flush,
    Answer,
    Pass,
    Post,
    Configure,
    Pause,
    Purge,
    Delete,
    Crash,
    Stop,
}

const STEPS: [(Step, usize); 24] = [
    (Step::Publish, 12),
    (Step::Consume, 4),
    (Step::Cancel, 1),
    (Step::Settle, 10),
    (Step::Get, 3),
    (Step::Browse, 2),
    (Step::Pick, 4),
    (Step::Disconnect, 1),
    (Step::Resume, 6),
    (Step::Dispatch, 14),
    (Step::BeginCommit, 8),
    (Step::EndCommit, 8),
    (Step::Checkpoint, 3),
    (Step::Write, 8),
    (Step::Flush, 4),
    (Step::Answer, 10),
    (Step::Pass, 6),
    (Step::Post, 8),
    (Step::Configure, 1),
    (Step::Pause, 1),
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
    moves: Moves,
    /// No queue is set to lose messages, so transactions can be watched.
    plain: bool,
    /// Queues tell messages apart by keys, and do nothing else that loses messages.
    keyed: bool,
    /// Queues have groups.
    grouped: bool,
    /// Consumers have filters, and none is kept from looking as far as it likes.
    filtered: bool,
    queues: Vec<QueueSpec>,
    clients: Vec<Client>,
    stalled: Vec<(usize, ConnectionId)>,
    /// Dead letters that were not answered.
    letters: Vec<Lettered>,
    /// Messages that were claimed and not released.
    claims: Vec<Claim>,
    /// Time passes in steps up to this many milliseconds.
    pass_max: usize,
    next_id: u64,
    /// Shards that had nothing more to dispatch.
    rested: Vec<usize>,
    /// Octets of the larger bodies.
    body_max: usize,
    /// How many of a hundred messages have their body apart, and the octets of the largest of these.
    apart: usize,
    apart_max: usize,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let filtered = seed % 8 == 3 || seed % 16 == 1;
        let limits = ShardLimits {
            memory_bytes_max: [1 << 12, 1 << 14, 1 << 17, 1 << 30][rng.below(4)],
            window_bytes: [300, 3000, 1 << 20][rng.below(3)],
            read_ahead_bytes: [1, 1 << 14, 1 << 20][rng.below(3)],
            dispatch_records_max: [3, 200, 10_000][rng.below(3)],
            letters_max: [1, 50, 4096][rng.below(3)],
            skipped_max: if filtered { 100_000 } else { [3, 100_000][rng.below(2)] },
            ..ShardLimits::default()
        };
        let weights = STEPS.map(|(step, weight)| (step, weight * [0, 1, 2, 4, 8][rng.range(usize::from(weight > 1), 4)]));
        let (plain, keyed, grouped) = (seed.is_multiple_of(4), seed % 4 == 1, seed % 4 == 2);
        let mut weights = weights.to_vec();
        weights.extend(plain.then_some((Step::Transact, 40)));
        let body_max = [0, 60, 3000, 150_000][rng.below(4)];
        let (apart, apart_max) = (
            [0, 5, 100][if keyed || grouped || filtered { 0 } else { rng.below(3) }],
            [100, 10_000, 1 << 20][rng.below(3)],
        );
        let pass_max = [10, 1000, 100_000][rng.below(3)];
        let broker = Broker::new(rng.range(1, 2), limits);
        let mut world = Self {
            rng,
            weights: Weights(weights),
            broker,
            oracle: Oracle::new(filtered),
            moves: Moves::default(),
            plain,
            keyed,
            grouped,
            filtered,
            queues: Vec::new(),
            clients: Vec::new(),
            stalled: Vec::new(),
            letters: Vec::new(),
            claims: Vec::new(),
            pass_max,
            next_id: 0,
            rested: Vec::new(),
            body_max,
            apart,
            apart_max,
        };
        world.pass(1_000_000_000);
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
        self.oracle.configured(spec.id, spec.settings.as_ref());
        self.queues.push(spec);
    }

    /// What a new queue is set to do.
    fn settings(&mut self) -> Option<Arc<Settings>> {
        if self.plain {
            return None;
        }
        let (mut settings, grouped) = (Settings::default(), self.grouped);
        if self.keyed {
            let header = || Some(ShortString::from("k"));
            match self.rng.below(5) {
                0 | 1 => settings.last_value_key = header(),
                2 | 3 => settings.deduplicate_by = header(),
                _ => return None,
            }
            settings.priority_max = [None, Some(3)][self.rng.below(2)];
            settings.group_by = header().filter(|_| self.rng.percent(30));
            return Some(Arc::new(settings));
        }
        let mut rng = |percent, of: &[u64]| self.rng.percent(percent).then(|| of[self.rng.below(of.len())]);
        settings.delays = rng(10, &[1]).is_some();
        settings.expires_ms = rng(5, &[1000, 100_000]);
        if settings.delays {
            return Some(Arc::new(settings));
        }
        settings.group_by = rng(70, &[1]).map(|_| ShortString::from("k")).filter(|_| grouped);
        settings.priority_max = rng(30, &[1, 5, 255]).map(|max| max as u8);
        settings.delivery_limit = rng(15, &[0, 1, 5]).map(|limit| limit as u32);
        settings.counts_deliveries = settings.delivery_limit.is_some() || rng(10, &[1]).is_some();
        settings.retry = rng(15, &[1, 500, 30_000]).map(|min_ms| Retry {
            of: [RetryOf::All, RetryOf::Failed, RetryOf::Returned][min_ms as usize % 3],
            min_ms,
            max_ms: 2 * min_ms + 1,
            multiplier_percent: None,
        });
        self.change(&mut settings);
        (settings != Settings::default()).then(|| Arc::new(settings))
    }

    /// What a policy may change.
    fn change(&mut self, settings: &mut Settings) {
        let mut rng = |percent, of: &[u64]| self.rng.percent(percent).then(|| of[self.rng.below(of.len())]);
        settings.message_ttl_ms = rng(25, &[0, 10, 1000, 100_000]);
        settings.length_max = rng(15, &[0, 1, 20, 300]);
        settings.bytes_max = rng(15, &[1000, 10_000]);
        settings.overflow =
            [Overflow::DropHead, Overflow::RejectPublish, Overflow::RejectPublishDeadLetter][rng(50, &[1, 2]).unwrap_or(0) as usize];
        settings.dead_letter = rng(70, &[1]).map(|_| DeadLetterTo {
            exchange: ShortString::from("dlx"),
            routing_key: None,
            at_least_once: true,
        });
    }

    /// Somebody sets a policy.
    fn configure(&mut self) {
        let at = self.rng.below(self.queues.len());
        let QueueSpec { id, ref settings, .. } = self.queues[at];
        let mut settings = settings.as_deref().cloned().unwrap_or_default();
        if settings.delays || self.plain || self.keyed {
            return;
        }
        self.change(&mut settings);
        let settings = Some(Arc::new(settings));
        self.queues[at].settings.clone_from(&settings);
        self.oracle.configured(id, settings.as_ref());
        self.broker.shard(id).0.configure(id, settings);
    }

    /// Somebody pauses a queue, or lets it go on.
    fn pause(&mut self) {
        let at = self.rng.below(self.queues.len());
        let settings = self.queues[at].settings.as_deref();
        if settings.is_none_or(|settings| !settings.delays) {
            let paused = settings.is_some_and(|settings| settings.paused);
            self.broker.seen.saw(if paused { "resume" } else { "pause" });
            self.set_paused(at, !paused);
        }
    }

    fn set_paused(&mut self, at: usize, paused: bool) {
        let QueueSpec { id, ref settings, .. } = self.queues[at];
        let settings = Settings {
            paused,
            ..settings.as_deref().cloned().unwrap_or_default()
        };
        let settings = (settings != Settings::default()).then(|| Arc::new(settings));
        self.queues[at].settings.clone_from(&settings);
        self.oracle.configured(id, settings.as_ref());
        self.broker.shard(id).0.configure(id, settings);
    }

    /// Time passes.
    fn pass(&mut self, ms: u64) {
        self.oracle.now.0 += ms;
        let now = self.oracle.now;
        self.broker.shards.iter_mut().for_each(|(shard, _)| shard.advance(now));
    }

    /// A dead letter is answered, even if its queue is gone meanwhile: others wait until it is.
    fn post(&mut self, taken: bool) {
        if self.letters.is_empty() {
            return;
        }
        let at = self.rng.below(self.letters.len());
        let Lettered { queue, first, ids, .. } = self.letters.swap_remove(at);
        let count = ids.len() as u32;
        if self.queues.iter().any(|other| other.id == queue) {
            ids.iter().for_each(|&id| self.oracle.answered(id, taken, self.broker.epoch));
        } else {
            self.broker.seen.saw("letter of a queue that is gone");
        }
        self.broker.seen.saw(if taken { "letter is taken" } else { "letter is not taken" });
        self.broker.apply(
            queue,
            Command::DeadLettered {
                queue,
                first,
                count,
                taken,
            },
        );
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
            let rested = std::mem::take(&mut self.rested);
            self.settle_effects();
            self.broker.invariants();
            rested.into_iter().for_each(|shard| self.check_rest(shard));
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
            Step::Transact => self.transact(),
            Step::Get => self.get(),
            Step::Browse => self.browse(),
            Step::Pause => self.pause(),
            Step::Pick => self.pick(),
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
            Step::Pass => {
                let ms = self.rng.below(self.pass_max + 1);
                self.pass(ms as u64);
            }
            Step::Post => {
                for _ in 0..self.rng.range(1, 5) {
                    let taken = self.rng.percent(80);
                    self.post(taken);
                }
            }
            Step::Configure => self.configure(),
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
        for at in 0..self.broker.shards.len() {
            let (shard, sink) = &mut self.broker.shards[at];
            let mut more = true;
            while more && self.rng.percent(80) {
                more = shard.dispatch(sink);
            }
            if !more && !sink.is_loading() {
                self.rested.push(at);
            }
        }
    }

    /// A shard that has dispatched all it could kept nothing from anybody.
    fn check_rest(&mut self, shard: usize) {
        let shards = self.broker.shards.len();
        let queues = self.queues.iter().map(|queue| queue.id);
        for queue in queues.filter(|queue| queue.0 as usize % shards == shard).collect::<Vec<_>>() {
            let (there, sink) = self.broker.shard(queue);
            if sink.is_loading() {
                continue;
            }
            for Attendance { consumer, unacked, .. } in there.consumers(queue) {
                let has_credit = consumer.no_ack || consumer.prefetch == 0 || unacked < consumer.prefetch.into();
                if has_credit && !self.stalled.contains(&(shard, consumer.outlet)) {
                    self.oracle.rests(queue, consumer.id);
                }
            }
            self.broker.seen.saw("rest");
        }
    }

    /// Hands on what the shards had to say.
    fn settle_effects(&mut self) {
        for shard in 0..self.broker.shards.len() {
            let sink = &mut self.broker.shards[shard].1;
            let delivered = std::mem::take(&mut sink.delivered);
            self.stalled.extend(sink.stalled.drain(..).map(|outlet| (shard, outlet)));
            let unused = std::mem::take(&mut sink.unused);
            let (letters, refused) = (std::mem::take(&mut sink.letters), std::mem::take(&mut sink.refused));
            sink.cancelled.clear();
            for delivered in delivered {
                let at = self
                    .clients
                    .iter()
                    .position(|client| client.id == delivered.outlet)
                    .expect("a connection that is there");
                self.deliver(at, Some(delivered.consumer), delivered);
            }
            for (_, ids) in refused {
                self.oracle.refused(&ids);
            }
            for letter in letters {
                letter.ids.iter().for_each(|&id| self.oracle.died(id, letter.reason));
                self.letters.push(letter);
            }
            for queue in unused {
                if self.queues.iter().any(|other| other.id == queue) {
                    self.delete_queue(queue);
                }
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
        timeout_ms: None,
        filter: None,
        arguments: Table::default(),
    }
}

//! Consumers that come and go, with priorities, limits of their own and of their channel, windows that fill up, and single active ones, over
//! several shards; all of it following from a seed. Two things are checked beside the shard's invariants: nobody gets what is not due to it, and
//! when nothing more happens, nobody waits that could be served: no wake-up was lost.
//!
//! `STOA_SEEDS=n` runs n seeds, `STOA_SEED=s` the one that failed.

#![allow(missing_docs, unreachable_pub, clippy::print_stdout)]

#[path = "../simulation/rng.rs"]
mod rng;
mod sink;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use rng::Rng;
use sink::{ChannelId, Known, Sink};
use stoa_amqp::{ShortString, Table};
use stoa_core::channel::Settled;
use stoa_core::ids::{ConnectionId, ConsumerId, DeliveryTag, QueueId};
use stoa_core::record::{self, Records};
use stoa_core::settings::Settings;
use stoa_core::shard::{Command, Consumer, QueueSpec, ReturnCause, Shard, ShardLimits};

const SEEDS: u64 = 400;
const STEPS: usize = 300;
const QUEUES: u64 = 4;

struct World {
    rng: Rng,
    shards: Vec<Shard>,
    sink: Sink,
    next_id: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let limits = ShardLimits {
            window_bytes: [100, 400, 1 << 20][rng.below(3)],
            dispatch_records_max: [3, 10_000][rng.below(2)],
            ..ShardLimits::default()
        };
        let shards = (0..rng.range(1, 3)).map(|_| Shard::new(limits)).collect();
        let mut world = Self {
            rng,
            shards,
            sink: Sink::default(),
            next_id: 0,
        };
        for id in 0..QUEUES {
            let id = QueueId(id);
            let single = world.rng.percent(30);
            world.sink.queues.entry(id).or_default().set_single_active(single, &[]);
            let spec = QueueSpec {
                id,
                durable: false,
                auto_delete: false,
                settings: settings(single),
            };
            let at = world.shard_of(id);
            world.shards[at].create(spec);
        }
        world
    }

    fn shard_of(&self, queue: QueueId) -> usize {
        (queue.0 % self.shards.len() as u64) as usize
    }

    fn queue(&mut self) -> QueueId {
        QueueId(self.rng.below(QUEUES as usize) as u64)
    }

    /// One of a few connections, with a few channels.
    fn channel(&mut self) -> ChannelId {
        (ConnectionId(self.rng.below(3) as u64), self.rng.range(1, 2) as u16)
    }

    fn apply(&mut self, shard: usize, command: Command<'_>) {
        self.sink.shard = shard;
        self.shards[shard].apply(command, &mut self.sink);
    }

    fn publish(&mut self) {
        let queue = self.queue();
        let count = self.rng.range(1, 12) as u32;
        let mut bytes = Vec::new();
        (0..count).for_each(|_| record::push(&mut bytes, 0, 0, b"\0\x01q", b"header", b"body"));
        let shard = self.shard_of(queue);
        let records = Records { bytes: &bytes, count };
        self.apply(shard, Command::Publish { queue, records });
    }

    fn consume(&mut self) {
        let queue = self.queue();
        let (outlet, channel) = self.channel();
        self.next_id += 1;
        let id = ConsumerId(self.next_id);
        let consumer = Consumer {
            id,
            outlet,
            channel,
            tag: ShortString::from("tag"),
            no_ack: self.rng.percent(15),
            exclusive: false,
            prefetch: [0, 1, 3, 20][self.rng.below(4)],
            limited: self.sink.channel((outlet, channel)).limit.is_some(),
            priority: [0, 0, 0, 5, -2][self.rng.below(5)],
            timeout_ms: None,
            filter: None,
            arguments: Table::default(),
        };
        let shard = self.shard_of(queue);
        self.shards[shard].consume(queue, consumer.clone()).expect("nobody is alone");
        self.sink.add(Known { queue, consumer, held: 0 });
    }

    fn cancel(&mut self) {
        let ids: Vec<_> = self.sink.consumers.keys().copied().collect();
        let Some(&id) = self.rng.pick(&ids) else { return };
        let queue = self.sink.consumers[&id].queue;
        self.sink.shard = self.shard_of(queue);
        let shard = self.sink.shard;
        assert!(self.shards[shard].cancel(queue, id, &mut self.sink));
        self.sink.remove(&[id]);
    }

    /// A channel closes, or a connection with all of its channels: what they hold comes back.
    fn close(&mut self, whole: bool) {
        let channel = self.channel();
        let ends = |(outlet, number): ChannelId| outlet == channel.0 && (whole || number == channel.1);
        let of = |known: &&Known| ends((known.consumer.outlet, known.consumer.channel));
        let gone: Vec<_> = self
            .sink
            .consumers
            .values()
            .filter(of)
            .map(|known| (known.queue, known.consumer.id))
            .collect();
        if whole {
            for shard in 0..self.shards.len() {
                self.apply(shard, Command::Gone { outlet: channel.0 });
            }
            self.sink.stalled.retain(|(_, outlet)| *outlet != channel.0);
        } else {
            for &(queue, id) in &gone {
                self.sink.shard = self.shard_of(queue);
                let shard = self.sink.shard;
                assert!(self.shards[shard].cancel(queue, id, &mut self.sink));
                self.sink.remove(&[id]);
            }
        }
        let ids: Vec<_> = gone.into_iter().map(|(_, id)| id).collect();
        self.sink.remove(&ids);
        let channels: Vec<_> = self.sink.channels.keys().copied().filter(|&id| ends(id)).collect();
        for id in channels {
            let mut closed = self.sink.channels.remove(&id).expect("it is there");
            self.sink.lendings.retain(|(_, of)| *of != id);
            self.give_back(closed.unacked.take_all(), true);
        }
    }

    fn settle(&mut self) {
        let channel = self.channel();
        let requeue = self.rng.percent(30);
        let (back, multiple) = (self.rng.below(6) as u64, self.rng.percent(30));
        let mut out = Vec::new();
        if multiple && back == 0 {
            let channel = self.sink.channel(channel);
            channel.held.clear();
            out = channel.unacked.take_all();
        } else {
            let held = &mut self.sink.channel(channel).held;
            let Some(tag) = held.iter().copied().nth(back as usize) else {
                return;
            };
            held.retain(|&other| if multiple { other > tag } else { other != tag });
            let unacked = &mut self.sink.channel(channel).unacked;
            unacked.settle(DeliveryTag(tag), multiple, &mut out).expect("it is outstanding");
        }
        self.give_back(out, requeue);
        self.note_credit(channel);
    }

    fn give_back(&mut self, runs: Vec<Settled>, requeue: bool) {
        for Settled {
            queue,
            consumer,
            first,
            count,
        } in runs
        {
            self.sink.released(consumer, count);
            let command = if requeue {
                Command::Requeue {
                    queue,
                    consumer,
                    first,
                    count,
                    cause: ReturnCause::GivenBack,
                }
            } else {
                Command::Settle {
                    queue,
                    consumer,
                    first,
                    count,
                }
            };
            self.apply(self.shard_of(queue), command);
        }
    }

    /// Whoever frees credit finds the shards that were refused.
    fn note_credit(&mut self, id: ChannelId) {
        let channel = self.sink.channel(id);
        if channel.credit() > 0 {
            let refused = std::mem::take(&mut channel.refused);
            self.sink.lendings.extend(refused.into_iter().map(|shard| (shard, id)));
        }
    }

    fn limit(&mut self) {
        let id = self.channel();
        let limit = [None, Some(1), Some(2), Some(7)][self.rng.below(4)];
        let channel = self.sink.channel(id);
        let before = std::mem::replace(&mut channel.limit, limit);
        if before.is_some() != limit.is_some() {
            self.shards.iter_mut().for_each(|shard| shard.limit(id.0, id.1, limit.is_some()));
            self.sink.limit(id, limit.is_some());
        }
        self.note_credit(id);
    }

    fn configure(&mut self) {
        let queue = self.queue();
        let single = self.rng.percent(50);
        let shard = self.shard_of(queue);
        self.shards[shard].configure(queue, settings(single));
        self.sink.set_single_active(queue, single);
    }

    fn lend(&mut self) {
        if !self.sink.lendings.is_empty() {
            let at = self.rng.below(self.sink.lendings.len());
            let (shard, (outlet, channel)) = self.sink.lendings.swap_remove(at);
            self.apply(shard, Command::Lend { outlet, channel });
        }
    }

    fn resume(&mut self) {
        if !self.sink.stalled.is_empty() {
            let at = self.rng.below(self.sink.stalled.len());
            let (shard, outlet) = self.sink.stalled.swap_remove(at);
            self.apply(shard, Command::Resume { outlet });
        }
    }

    /// True if there is more to do.
    fn dispatch(&mut self) -> bool {
        let mut more = false;
        for shard in 0..self.shards.len() {
            self.sink.shard = shard;
            more |= self.shards[shard].dispatch(&mut self.sink);
        }
        more
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..20 => self.publish(),
            20..30 => self.consume(),
            30..34 => self.cancel(),
            34..36 => self.close(false),
            36..37 => self.close(true),
            37..62 => self.settle(),
            62..67 => self.limit(),
            67..69 => self.configure(),
            69..75 => self.lend(),
            75..81 => self.resume(),
            81..85 => self.settle_down(),
            _ => drop(self.dispatch()),
        }
        for shard in &self.shards {
            shard.invariants();
        }
    }

    /// All that is under way arrives. Who could be served then has been.
    fn settle_down(&mut self) {
        while self.dispatch() || !self.sink.lendings.is_empty() || !self.sink.stalled.is_empty() {
            self.lend();
            self.resume();
        }
        for queue in (0..QUEUES).map(QueueId) {
            let shard = self.shard_of(queue);
            let ready = self.shards[shard].counts(queue).expect("it is there").ready;
            let waiting = self.sink.able(queue, shard).next();
            assert!(
                ready == 0 || waiting.is_none(),
                "{ready} messages are ready in queue {queue}, and nobody serves {waiting:?}"
            );
            let active: Vec<_> = self.shards[shard]
                .consumers(queue)
                .filter(|one| one.activity.is_active())
                .map(|one| one.consumer.id)
                .collect();
            assert_eq!(active, self.sink.active(queue), "who is active in queue {queue}");
        }
    }
}

fn settings(single_active: bool) -> Option<Arc<Settings>> {
    single_active.then(|| {
        Arc::new(Settings {
            single_active,
            ..Settings::default()
        })
    })
}

#[test]
fn everybody_gets_what_is_due_and_nobody_is_forgotten() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse().expect("a number"));
    let seeds = match number("STOA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("STOA_SEEDS").unwrap_or(SEEDS),
    };
    let whole = seeds.end - seeds.start >= SEEDS;
    let mut seen = std::collections::BTreeMap::new();
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.settle_down();
            world.sink.seen
        }));
        match run {
            Ok(run) => run.into_iter().for_each(|(what, count)| *seen.entry(what).or_insert(0) += count),
            Err(failure) => {
                eprintln!("the simulation failed: run it again with STOA_SEED={seed}");
                resume_unwind(failure);
            }
        }
    }
    println!("{seen:#?}");
    if whole {
        for what in [
            "delivered",
            "lent",
            "lent less",
            "refused",
            "stalled",
            "handed over",
            "passed a lower one",
        ] {
            assert!(
                seen.get(what).is_some_and(|&count| count > 20),
                "the simulation hardly sees `{what}`"
            );
        }
    }
}

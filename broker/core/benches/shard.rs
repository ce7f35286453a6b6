//! What a message costs in a shard: publishing, dispatch, settlement, journal and backlog. The receiver of deliveries counts and copies
//! nothing, so these are the costs of the shard alone. Throughput is in messages.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use stoa_amqp::{ShortString, Table};
use stoa_core::channel::Unacked;
use stoa_core::ids::{BodyId, ConnectionId, ConsumerId, OutletId, QueueId, Sequence};
use stoa_core::log::LogWriter;
use stoa_core::record::{self, Records, flags};
use stoa_core::settings::Settings;
use stoa_core::shard::{Command, Consumer, Delivery, Effects, Letter, QueueSpec, Shard, ShardLimits, StoredChunk, StoredError};

const QUEUE: QueueId = QueueId(1);
/// Messages in what a read buffer holds of one route.
const RUN: u32 = 200;

/// Counts deliveries; knows what has to be settled and who waits.
#[derive(Default)]
struct Sink {
    delivered: u64,
    unacked: Unacked,
    stalled: bool,
    stored: Vec<StoredChunk>,
    loads: Vec<Sequence>,
}

impl Effects for Sink {
    fn lend(&mut self, _consumer: &Consumer, wanted: u32) -> u32 {
        wanted
    }
    fn dead(&mut self, letter: Letter<'_>) {
        panic!("nothing dies here: {:?}", letter.reason);
    }
    fn refused(&mut self, queue: QueueId, _settings: &Arc<Settings>, _records: Records<'_>, _dead_letter: bool) {
        panic!("queue {queue} takes everything");
    }
    fn replaced(&mut self) {}
    fn expired(&mut self, queue: QueueId) {
        panic!("queue {queue} stays");
    }

    fn deliver(&mut self, delivery: Delivery<'_>) {
        self.delivered += u64::from(delivery.records.count);
        black_box(delivery.records.bytes);
        let Consumer { id, no_ack, .. } = *delivery.consumer;
        let Delivery {
            queue,
            first,
            records,
            term,
            ..
        } = delivery;
        self.unacked.delivered(Some(id), queue, first, records.count, no_ack, term);
    }
    fn load(&mut self, _queue: QueueId, chunk: Sequence) {
        self.loads.push(chunk);
    }
    fn store(&mut self, chunk: StoredChunk) {
        self.stored.push(chunk);
    }
    fn forget(&mut self, _queue: QueueId, _chunk: Sequence) {}
    fn forget_range(&mut self, _queue: QueueId, _first: Sequence, _last: Sequence) {}
    fn released(&mut self, _body: BodyId) {}
    fn stalled(&mut self, _outlet: OutletId) {
        self.stalled = true;
    }
    fn unused(&mut self, _queue: QueueId) {}
    fn cancelled(&mut self, _consumer: &Consumer, _queue: QueueId) {}
    fn damaged(&mut self, _queue: QueueId, chunk: Sequence, error: StoredError) {
        panic!("chunk {chunk}: {error}");
    }
}

fn run_of(count: u32, body: usize, flags: u8) -> Vec<u8> {
    let mut run = Vec::new();
    for _ in 0..count {
        record::push(&mut run, flags, 0, b"\0\x05queue", &[0; 14], &vec![7; body]);
    }
    run
}

fn shard(limits: ShardLimits, consumers: u64, no_ack: bool, prefetch: u16) -> Shard {
    let mut shard = Shard::new(limits);
    shard.create(QueueSpec {
        id: QUEUE,
        durable: true,
        auto_delete: false,
        settings: None,
    });
    for id in 0..consumers {
        let consumer = Consumer {
            id: ConsumerId(id),
            outlet: ConnectionId(id),
            channel: 1,
            tag: ShortString::from("tag"),
            no_ack,
            exclusive: false,
            prefetch,
            limited: false,
            priority: 0,
            timeout_ms: None,
            filter: None,
            arguments: Table::default(),
        };
        shard.consume(QUEUE, consumer).expect("a new consumer");
    }
    shard
}

fn publish(shard: &mut Shard, sink: &mut Sink, run: &[u8]) {
    let records = Records { bytes: run, count: RUN };
    shard.apply(Command::Publish { queue: QUEUE, records }, sink);
}

/// Dispatches until nothing is left, opening windows that are used up.
fn dispatch(shard: &mut Shard, sink: &mut Sink, consumers: u64) {
    loop {
        while shard.dispatch(sink) {}
        if !std::mem::take(&mut sink.stalled) {
            return;
        }
        (0..consumers).for_each(|id| shard.apply(Command::Resume { outlet: ConnectionId(id) }, sink));
    }
}

fn settle(shard: &mut Shard, sink: &mut Sink) {
    for what in sink.unacked.take_all() {
        let (queue, consumer, first, count) = (what.queue, what.consumer, what.first, what.count);
        shard.apply(
            Command::Settle {
                queue,
                consumer,
                first,
                count,
            },
            sink,
        );
    }
}

fn flood(c: &mut Criterion) {
    let mut group = c.benchmark_group("flood");
    group.throughput(Throughput::Elements(RUN.into()));
    for (name, body, persistent, consumers, no_ack) in [
        ("16 B, auto-ack", 16, 0, 1, true),
        ("1 KiB, auto-ack", 1024, 0, 1, true),
        ("16 B, ack multiple", 16, 0, 1, false),
        ("16 B, auto-ack, 4 consumers in turn", 16, 0, 4, true),
        ("16 B, ack multiple, 4 consumers in turn", 16, 0, 4, false),
        ("16 B, persistent, auto-ack", 16, flags::PERSISTENT, 1, true),
    ] {
        let run = run_of(RUN, body, persistent);
        let mut shard = shard(ShardLimits::default(), consumers, no_ack, 0);
        let mut sink = Sink::default();
        group.bench_function(name, |b| {
            b.iter(|| {
                publish(&mut shard, &mut sink, &run);
                dispatch(&mut shard, &mut sink, consumers);
                settle(&mut shard, &mut sink);
            });
        });
    }
    group.finish();
}

fn one_by_one(c: &mut Criterion) {
    let mut group = c.benchmark_group("one by one");
    group.throughput(Throughput::Elements(1));
    let run = run_of(1, 16, 0);
    for (name, no_ack, prefetch) in [("auto-ack", true, 0), ("ack each, prefetch 1", false, 1)] {
        let mut shard = shard(ShardLimits::default(), 1, no_ack, prefetch);
        let mut sink = Sink::default();
        group.bench_function(name, |b| {
            b.iter(|| {
                let records = Records { bytes: &run, count: 1 };
                shard.apply(Command::Publish { queue: QUEUE, records }, &mut sink);
                dispatch(&mut shard, &mut sink, 1);
                settle(&mut shard, &mut sink);
            });
        });
    }
    group.finish();
}

fn journal(c: &mut Criterion) {
    let mut group = c.benchmark_group("persistent");
    group.throughput(Throughput::Elements(RUN.into()));
    for (name, body) in [
        ("16 B, publish, collect, ack, collect", 16),
        ("1 KiB, publish, collect, ack, collect", 1024),
    ] {
        let run = run_of(RUN, body, flags::PERSISTENT);
        let mut shard = shard(ShardLimits::default(), 1, false, 0);
        let mut sink = Sink::default();
        let mut log = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                publish(&mut shard, &mut sink, &run);
                dispatch(&mut shard, &mut sink, 1);
                log.clear();
                shard.collect(&mut LogWriter::new(&mut log));
                settle(&mut shard, &mut sink);
                shard.collect(&mut LogWriter::new(&mut log));
            });
        });
    }
    group.finish();
}

fn backlog(c: &mut Criterion) {
    const RUNS: u32 = 1000;
    let mut group = c.benchmark_group("backlog of 200,000");
    group.sample_size(10).throughput(Throughput::Elements((RUN * RUNS).into()));
    let run = run_of(RUN, 100, flags::PERSISTENT);
    let build = |limits| {
        let (mut shard, mut sink, mut log) = (shard(limits, 0, true, 0), Sink::default(), Vec::new());
        for n in 0..RUNS {
            publish(&mut shard, &mut sink, &run);
            if n % 20 == 0 {
                log.clear();
                shard.collect(&mut LogWriter::new(&mut log));
                shard.dispatch(&mut sink);
            }
        }
        (shard, sink)
    };
    group.bench_function("build", |b| b.iter_with_large_drop(|| build(ShardLimits::default())));
    let consume = |shard: &mut Shard| {
        let consumer = Consumer {
            id: ConsumerId(0),
            outlet: ConnectionId(0),
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
        };
        shard.consume(QUEUE, consumer).expect("a new consumer");
    };
    group.bench_function("drain", |b| {
        b.iter_batched_ref(
            || build(ShardLimits::default()),
            |(shard, sink)| {
                consume(shard);
                dispatch(shard, sink, 1);
            },
            BatchSize::PerIteration,
        );
    });
    let small = ShardLimits {
        memory_bytes_max: 4 << 20,
        ..ShardLimits::default()
    };
    group.bench_function("build, paging out", |b| b.iter_with_large_drop(|| build(small)));
    let paged_out = || {
        let (mut shard, mut sink) = build(small);
        for chunk in sink.stored.clone() {
            shard.apply(
                Command::Stored {
                    queue: QUEUE,
                    chunk: chunk.first,
                    upto: chunk.upto,
                },
                &mut sink,
            );
        }
        let copies: Vec<_> = sink
            .stored
            .drain(..)
            .map(|chunk| (chunk.first, Arc::unwrap_or_clone(chunk.data.unwrap_or_default())))
            .collect();
        (shard, sink, copies)
    };
    group.bench_function("drain, paging in", |b| {
        b.iter_batched_ref(
            paged_out,
            |(shard, sink, copies)| {
                consume(shard);
                loop {
                    dispatch(shard, sink, 1);
                    if sink.loads.is_empty() {
                        break;
                    }
                    for first in std::mem::take(&mut sink.loads) {
                        let at = copies.binary_search_by_key(&first, |copy| copy.0).expect("a stored chunk");
                        let data = std::mem::take(&mut copies[at].1);
                        shard.apply(
                            Command::Loaded {
                                queue: QUEUE,
                                chunk: first,
                                data,
                            },
                            sink,
                        );
                    }
                }
                assert_eq!(sink.delivered, u64::from(RUN * RUNS));
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, flood, one_by_one, journal, backlog);
criterion_main!(benches);

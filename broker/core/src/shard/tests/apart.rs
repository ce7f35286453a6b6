//! Bodies that lie apart, seen from outside a shard: when they are released, what they cost, and that a restart counts them again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use stoa_amqp::{ShortString, Table};

use crate::ids::{BodyId, ConnectionId, ConsumerId, OutletId};
use crate::log::{self, LogWriter};
use crate::record::{self, BodyRef, Records, flags};
use crate::settings::Settings;
use crate::shard::*;

const QUEUE: QueueId = QueueId(1);
const CONSUMER: ConsumerId = ConsumerId(7);
const OUTLET: OutletId = ConnectionId(5);
const SPEC: QueueSpec = QueueSpec {
    id: QUEUE,
    durable: true,
    auto_delete: false,
    settings: None,
};

/// A store, and a list of what happened to messages.
#[derive(Default)]
struct Sink {
    events: Rc<RefCell<Vec<String>>>,
    released: Vec<u64>,
    loads: Vec<Sequence>,
    written: Vec<(Sequence, u16)>,
    index: BTreeMap<[u8; 16], Vec<u8>>,
    chunks: BTreeMap<[u8; 16], Vec<u8>>,
    /// The bodies of the chunks, in the order in which these were stored.
    bodies: Vec<Vec<u64>>,
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
        self.events
            .borrow_mut()
            .push(format!("deliver {} from {}", delivery.records.count, delivery.first));
    }
    fn load(&mut self, _queue: QueueId, chunk: Sequence) {
        self.loads.push(chunk);
    }
    fn store(&mut self, chunk: StoredChunk) {
        self.index.insert(chunk.key(), chunk.entry.encode());
        if let Some(data) = &chunk.data {
            self.bodies.push(chunk.bodies().iter().map(|body| body.id.0).collect());
            self.written.push((chunk.first, chunk.upto));
            self.chunks.insert(chunk.key(), data.to_vec());
        }
    }
    fn forget(&mut self, queue: QueueId, chunk: Sequence) {
        self.forget_range(queue, chunk, chunk);
    }
    fn forget_range(&mut self, queue: QueueId, first: Sequence, last: Sequence) {
        let keys = stored::chunk_key(queue, first)..=stored::chunk_key(queue, last);
        self.index.retain(|key, _| !keys.contains(key));
        self.chunks.retain(|key, _| !keys.contains(key));
    }
    fn released(&mut self, body: BodyId) {
        self.events.borrow_mut().push(format!("release {body}"));
        self.released.push(body.0);
    }
    fn stalled(&mut self, _outlet: OutletId) {
        self.events.borrow_mut().push("stall".to_owned());
    }
    fn unused(&mut self, _queue: QueueId) {}
    fn cancelled(&mut self, _consumer: &Consumer, _queue: QueueId) {}
    fn damaged(&mut self, _queue: QueueId, chunk: Sequence, error: StoredError) {
        panic!("chunk {chunk}: {error}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Get,
    GetNoAck,
    Consume { no_ack: bool },
    Ack(u64, u32),
    Requeue(u64, u32),
    Purge,
    Delete,
}

struct Fixture {
    shard: Shard,
    sink: Sink,
    journal: Vec<u8>,
}

impl Fixture {
    fn new(limits: ShardLimits) -> Self {
        let mut shard = Shard::new(limits);
        shard.create(SPEC);
        Self {
            shard,
            sink: Sink::default(),
            journal: Vec::new(),
        }
    }

    /// Publishes messages with bodies apart, or without where the id is 0; those with an odd id are persistent.
    fn publish(&mut self, queue: QueueId, bodies: &[u64], size: u64) {
        let mut run = Vec::new();
        for &id in bodies {
            let body = BodyRef { id: BodyId(id), size };
            match id {
                0 => record::push(&mut run, flags::PERSISTENT, 0, b"\0\x01q", b"header", b"body"),
                _ => record::push_apart(&mut run, (id % 2) as u8, 0, b"\0\x01q", b"header", body),
            }
        }
        let records = Records {
            bytes: &run,
            count: bodies.len() as u32,
        };
        self.shard.apply(Command::Publish { queue, records }, &mut self.sink);
    }

    fn step(&mut self, step: Step) {
        let (shard, sink) = (&mut self.shard, &mut self.sink);
        let (queue, consumer) = (QUEUE, None);
        match step {
            Step::Get | Step::GetNoAck => {
                let no_ack = matches!(step, Step::GetNoAck);
                let events = Rc::clone(&sink.events);
                let got = |got: Got<'_>| events.borrow_mut().push(format!("get {}", got.sequence));
                if shard.get(queue, no_ack, sink, got) == GetOutcome::Loading {
                    self.answer();
                    return self.step(step);
                }
            }
            Step::Consume { no_ack } => {
                let consumer = Consumer {
                    id: CONSUMER,
                    outlet: OUTLET,
                    channel: 1,
                    tag: ShortString::from("tag"),
                    no_ack,
                    exclusive: false,
                    prefetch: 0,
                    limited: false,
                    priority: 0,
                    timeout_ms: None,
                    filter: None,
                    arguments: Table::default(),
                };
                shard.consume(queue, consumer).expect("nobody else is there");
                while self.shard.dispatch(&mut self.sink) || !self.sink.loads.is_empty() {
                    self.answer();
                }
                self.shard.cancel(queue, CONSUMER, &mut self.sink);
            }
            Step::Ack(first, count) => {
                let first = Sequence(first);
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
            Step::Requeue(first, count) => {
                let first = Sequence(first);
                shard.apply(
                    Command::Requeue {
                        queue,
                        consumer,
                        first,
                        count,
                        cause: ReturnCause::GivenBack,
                    },
                    sink,
                );
            }
            Step::Purge => drop(shard.purge(queue, sink)),
            Step::Delete => drop(shard.delete(queue, false, false, sink)),
        }
        self.shard.invariants();
    }

    /// Carries out what was asked of the store.
    fn answer(&mut self) {
        let queue = QUEUE;
        for chunk in std::mem::take(&mut self.sink.loads) {
            let data = self.sink.chunks[&stored::chunk_key(queue, chunk)].clone();
            self.shard.apply(Command::Loaded { queue, chunk, data }, &mut self.sink);
        }
        for (chunk, upto) in std::mem::take(&mut self.sink.written) {
            self.shard.apply(Command::Stored { queue, chunk, upto }, &mut self.sink);
        }
        self.shard.invariants();
    }

    /// Leaves nothing in memory: the limit is 0.
    fn page_out(&mut self) {
        self.collect();
        self.shard.checkpoint(&mut self.sink);
        self.answer();
        self.shard.dispatch(&mut self.sink);
        self.answer();
        self.shard.dispatch(&mut self.sink);
        self.shard.invariants();
    }

    fn collect(&mut self) {
        self.shard.collect(&mut LogWriter::new(&mut self.journal));
    }

    /// The shard that a restart finds.
    fn restarted(&self) -> Shard {
        let mut shard = Shard::new(ShardLimits::default());
        if self.shard.counts(QUEUE).is_some() {
            shard.create(SPEC);
        }
        for (key, value) in &self.sink.index {
            let restored = shard.restore_entry(key, value);
            assert!(restored.is_ok(), "a sound entry");
        }
        log::read(&self.journal).for_each(|record| shard.replay(record.expect("a sound journal")));
        shard.recovered();
        shard.invariants();
        shard
    }
}

fn bodies(shard: &Shard, size: u64) -> Vec<u64> {
    let mut ids = Vec::new();
    shard.for_each_body(|id, found| {
        assert_eq!(found, size);
        ids.push(id.0);
    });
    ids.sort_unstable();
    ids
}

/// Messages 0 to 6, some without a body apart, some transient.
const BODIES: [u64; 7] = [1, 0, 2, 3, 0, 5, 7];
const SIZE: u64 = 5000;

#[test]
fn whatever_settles_a_message_releases_its_body_once() {
    use Step::*;
    let take_all = Consume { no_ack: false };
    let cases: [(&[Step], &[u64]); 16] = [
        (&[Get, Ack(0, 1)], &[1]),
        (&[Get, Get, Get, Ack(1, 2)], &[2]),
        (&[Get, Ack(0, 1), Ack(0, 1)], &[1]),
        (&[GetNoAck, GetNoAck, GetNoAck], &[1, 2]),
        (&[Get, Requeue(0, 1)], &[]),
        (&[Get, Requeue(0, 1), GetNoAck, GetNoAck], &[1]),
        (&[take_all], &[]),
        (&[take_all, Ack(0, 7)], &[1, 2, 3, 5, 7]),
        (&[take_all, Ack(3, 1), Ack(0, 4), Ack(2, 5)], &[3, 1, 2, 5, 7]),
        (&[Consume { no_ack: true }], &[1, 2, 3, 5, 7]),
        (&[Purge], &[1, 2, 3, 5, 7]),
        (&[Get, Get, Purge, Ack(0, 2)], &[2, 3, 5, 7, 1]),
        (&[Get, Get, Get, Requeue(0, 1), Purge], &[1, 3, 5, 7]),
        (&[Delete], &[1, 2, 3, 5, 7]),
        (&[Get, Get, Get, Ack(1, 2), Delete, Ack(0, 7)], &[2, 1, 3, 5, 7]),
        (&[Purge, Delete], &[1, 2, 3, 5, 7]),
    ];
    for (steps, expected) in cases {
        // In memory; out of it before each step; all in one chunk, or in two.
        for (paging, runs) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
            let memory_bytes_max = if paging { 0 } else { u64::MAX / 2 };
            let mut fixture = Fixture::new(ShardLimits {
                memory_bytes_max,
                ..ShardLimits::default()
            });
            for run in BODIES.chunks(BODIES.len().div_ceil(runs)) {
                fixture.publish(QUEUE, run, SIZE);
                if paging {
                    fixture.page_out();
                }
            }
            for &step in steps {
                if paging {
                    fixture.page_out();
                }
                fixture.step(step);
            }
            let Fixture { shard, sink, .. } = &fixture;
            assert_eq!(sink.released, expected, "{steps:?}, paging: {paging}");
            let mut rest: Vec<_> = BODIES.into_iter().filter(|id| *id > 0 && !expected.contains(id)).collect();
            rest.sort_unstable();
            assert_eq!(bodies(shard, SIZE), rest, "{steps:?}, paging: {paging}");
            fixture.collect();
            let persistent: Vec<_> = rest.into_iter().filter(|id| id % 2 == 1).collect();
            assert_eq!(bodies(&fixture.restarted(), SIZE), persistent, "{steps:?}, paging: {paging}");
        }
    }
}

#[test]
fn a_body_is_released_behind_its_delivery() {
    let mut fixture = Fixture::new(ShardLimits::default());
    fixture.publish(QUEUE, &[1, 2], SIZE);
    fixture.step(Step::Consume { no_ack: true });
    fixture.publish(QUEUE, &[3], SIZE);
    fixture.step(Step::GetNoAck);
    let expected = ["deliver 2 from 0", "release 1", "release 2", "get 2", "release 3"];
    assert_eq!(*fixture.sink.events.borrow(), expected);
    fixture.publish(QueueId(99), &[5, 0, 4], SIZE);
    assert_eq!(
        fixture.sink.released,
        [1, 2, 3, 5, 4],
        "who publishes to a queue that is gone keeps nothing"
    );
}

#[test]
fn bodies_count_as_long_as_their_messages_are_there() {
    let size = 200 << 10;
    let mut fixture = Fixture::new(ShardLimits {
        memory_bytes_max: 0,
        ..ShardLimits::default()
    });
    let bytes = |fixture: &Fixture| fixture.shard.counts(QUEUE).expect("it is there").bytes;
    fixture.publish(QUEUE, &[1, 0, 3, 5, 7], size);
    assert!((4 * size..4 * size + 1000).contains(&bytes(&fixture)));
    assert!((4 * size..5 * size).contains(&fixture.shard.resident_bytes()));
    fixture.step(Step::GetNoAck);
    assert!((3 * size..3 * size + 1000).contains(&bytes(&fixture)));
    assert!((3 * size..4 * size).contains(&fixture.shard.resident_bytes()));
    fixture.page_out();
    assert_eq!(fixture.sink.bodies, [vec![3], vec![5, 7]], "a chunk has bodies of 512 KiB");
    assert!((3 * size..3 * size + 1000).contains(&bytes(&fixture)));
    assert!(fixture.shard.resident_bytes() < 2000, "what is paged out takes its bodies along");
    let restarted = fixture.restarted();
    assert!((3 * size..3 * size + 1000).contains(&restarted.counts(QUEUE).expect("it is there").bytes));
    fixture.step(Step::Purge);
    assert_eq!((bytes(&fixture), fixture.shard.resident_bytes()), (0, 0));
}

#[test]
fn a_larger_body_is_alone_in_its_chunk() {
    let mut fixture = Fixture::new(ShardLimits::default());
    fixture.publish(QUEUE, &[1, 3], 1 << 30);
    fixture.publish(QUEUE, &[5], 100);
    fixture.publish(QUEUE, &[0], 0);
    fixture.shard.checkpoint(&mut fixture.sink);
    assert_eq!(fixture.sink.bodies, [vec![1], vec![3], vec![5]]);
}

#[test]
fn a_body_takes_its_size_of_the_window() {
    let cases: [(u64, &[&str]); 4] = [
        (100, &["deliver 3 from 0"]),
        (3000, &["deliver 2 from 0", "deliver 1 from 2"]),
        (6000, &["deliver 1 from 0", "deliver 1 from 1", "stall"]),
        (60_000, &["deliver 1 from 0", "stall"]),
    ];
    for (size, expected) in cases {
        let mut fixture = Fixture::new(ShardLimits {
            window_bytes: 8192,
            ..ShardLimits::default()
        });
        fixture.publish(QUEUE, &[1, 2, 3], size);
        fixture.step(Step::Consume { no_ack: false });
        assert_eq!(*fixture.sink.events.borrow(), expected, "bodies of {size} octets");
    }
}

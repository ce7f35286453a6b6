//! A queue against the plainest model of one: a `VecDeque` of numbers, and a set of those that somebody holds.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::shard::chunk::{Chunk, state};

const MEMORY_BYTES_MAX: u64 = 8000;

#[derive(Clone, Debug)]
enum Op {
    Publish(u64, bool),
    /// `basic.get`: that many.
    Take(u8),
    TakeSettled(u8),
    /// Settle or return what is held, from a place in it on.
    Settle(prop::sample::Index, u8),
    Requeue(prop::sample::Index, u8),
    Purge,
    Commit,
    Checkpoint,
    Page,
}

fn op() -> impl Strategy<Value = Op> {
    let held = || (any::<prop::sample::Index>(), 1..60u8);
    prop_oneof![
        5 => (1..150u64, any::<bool>()).prop_map(|(count, persistent)| Op::Publish(count, persistent)),
        4 => (1..100u8).prop_map(Op::Take),
        1 => (1..100u8).prop_map(Op::TakeSettled),
        4 => held().prop_map(|(at, count)| Op::Settle(at, count)),
        2 => held().prop_map(|(at, count)| Op::Requeue(at, count)),
        1 => Just(Op::Purge),
        3 => Just(Op::Commit),
        1 => Just(Op::Checkpoint),
        3 => Just(Op::Page),
    ]
}

#[derive(Default)]
struct Model {
    /// In the order of delivery: number, and whether it came back.
    ready: VecDeque<(u64, bool)>,
    held: BTreeSet<u64>,
}

impl Model {
    fn run(&self, at: prop::sample::Index, count: u8) -> Vec<u64> {
        let held: Vec<_> = self.held.iter().copied().collect();
        if held.is_empty() {
            Vec::new()
        } else {
            held.into_iter().skip(at.index(self.held.len())).take(count.into()).collect()
        }
    }

    fn requeue(&mut self, number: u64) {
        self.held.remove(&number);
        let at = self.ready.partition_point(|&(other, _)| other < number);
        self.ready.insert(at, (number, true));
    }
}

/// Takes one message, from disk if need be.
fn take(t: &mut Bench, no_ack: bool) -> Option<(u64, bool)> {
    loop {
        match t.get(no_ack) {
            Ok(got) => return Some(got),
            Err(GetOutcome::Loading) => {
                t.stored();
                let loads: Vec<u64> = t
                    .sink
                    .lines
                    .iter()
                    .filter_map(|line| line.strip_prefix("load ")?.parse().ok())
                    .collect();
                t.sink.lines.clear();
                assert!(!loads.is_empty(), "what is waited for was asked for");
                loads.into_iter().for_each(|chunk| t.load(chunk));
            }
            Err(_) => return None,
        }
    }
}

fn step(t: &mut Bench, model: &mut Model, op: Op) {
    match op {
        Op::Publish(count, persistent) => {
            model.ready.extend((t.published..t.published + count).map(|number| (number, false)));
            t.run(|_| if persistent { flags::PERSISTENT } else { 0 }, count, 8);
        }
        Op::Take(count) => {
            for _ in 0..count {
                let expected = model.ready.pop_front();
                assert_eq!(take(t, false), expected);
                model.held.extend(expected.map(|(number, _)| number));
            }
        }
        Op::TakeSettled(count) => (0..count).for_each(|_| assert_eq!(take(t, true), model.ready.pop_front())),
        Op::Settle(at, count) => {
            for number in model.run(at, count) {
                model.held.remove(&number);
                t.settle(0, number, 1);
            }
        }
        Op::Requeue(at, count) => {
            for number in model.run(at, count) {
                model.requeue(number);
                t.requeue(0, number, 1);
            }
        }
        Op::Purge => {
            assert_eq!(t.shard.purge(QUEUE, &mut t.sink) as usize, model.ready.len());
            model.ready.clear();
        }
        Op::Commit => drop(t.collect_log()),
        Op::Checkpoint => t.checkpoint(),
        Op::Page => {
            drop(t.collect_log());
            t.dispatch();
            t.stored();
            let mut chunks = t.shard.queues[&QUEUE].lanes.iter().flat_map(|lane| &lane.chunks);
            let may_leave = |chunk: &Chunk| chunk.is_resident() && chunk.is(state::CLOSED);
            let enough = t.shard.resident_bytes() <= MEMORY_BYTES_MAX * 7 / 4;
            assert!(enough || !chunks.any(may_leave), "invariant 7: memory is bounded");
        }
    }
    t.shard.invariants();
    t.expect_counts(model.ready.len() as u64, model.held.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_queue_is_a_deque(ops in prop::collection::vec(op(), 1..60)) {
        let mut t = Bench::new(ShardLimits { memory_bytes_max: MEMORY_BYTES_MAX, ..ShardLimits::default() }, true);
        let mut model = Model::default();
        for op in ops {
            step(&mut t, &mut model, op);
        }
        while let Some(expected) = model.ready.pop_front() {
            prop_assert_eq!(take(&mut t, true), Some(expected));
        }
        prop_assert_eq!(take(&mut t, true), None);
    }
}

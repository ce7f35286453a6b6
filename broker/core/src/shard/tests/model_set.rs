//! A queue with priorities, expiry, a maximum and dead letters against the plainest model of one: a `VecDeque` for each priority.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

const PRIORITY_MAX: u8 = 3;
const TTL_MS: u64 = 500;

#[derive(Clone, Debug)]
enum Op {
    /// A message each: its priority, and how long it lives by itself.
    Publish(Vec<(u8, Option<u64>)>),
    /// `basic.get`: that many.
    Take(u8),
    Settle(prop::sample::Index, u8),
    Requeue(prop::sample::Index, u8),
    Reject(prop::sample::Index, u8),
    Pass(u64),
    Purge,
    Commit,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let held = || (any::<prop::sample::Index>(), 1..20u8);
    let message = (0..6u8, prop::option::weighted(0.3, 0..800u64));
    prop_oneof![
        6 => prop::collection::vec(message, 1..40).prop_map(Op::Publish),
        4 => (1..30u8).prop_map(Op::Take),
        3 => held().prop_map(|(at, count)| Op::Settle(at, count)),
        3 => held().prop_map(|(at, count)| Op::Requeue(at, count)),
        2 => held().prop_map(|(at, count)| Op::Reject(at, count)),
        4 => (0..400u64).prop_map(Op::Pass),
        1 => Just(Op::Purge),
        2 => Just(Op::Commit),
        1 => Just(Op::Restart),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    number: u64,
    priority: u8,
    due: u64,
    again: bool,
}

#[derive(Default)]
struct Model {
    now: u64,
    length_max: usize,
    bodies_max: u64,
    ready: [VecDeque<Message>; PRIORITY_MAX as usize + 1],
    held: BTreeMap<u64, Message>,
    /// Why each died that did since the last look.
    dead: BTreeMap<u64, &'static str>,
}

impl Model {
    fn len(&self) -> usize {
        self.ready.iter().map(VecDeque::len).sum()
    }
    fn bodies(&self) -> u64 {
        self.ready.iter().flatten().map(|message| size(message.number)).sum()
    }
    fn pop(&mut self) -> Option<Message> {
        self.ready.iter_mut().rev().find_map(VecDeque::pop_front)
    }
    fn insert(&mut self, message: Message) {
        let lane = &mut self.ready[usize::from(message.priority)];
        let at = lane.partition_point(|other| other.number < message.number);
        lane.insert(at, message);
    }
    fn some_held(&self, at: prop::sample::Index, count: u8) -> Vec<u64> {
        let held: Vec<_> = self.held.keys().copied().collect();
        match held.len() {
            0 => held,
            len => held.into_iter().skip(at.index(len)).take(count.into()).collect(),
        }
    }

    /// What is due expires, then what is above the maximum is dropped.
    fn settle(&mut self) {
        for lane in &mut self.ready {
            for message in lane.iter().filter(|message| message.due <= self.now) {
                self.dead.insert(message.number, "expired");
            }
            lane.retain(|message| message.due > self.now);
        }
        while self.len() > self.length_max || self.bodies() > self.bodies_max {
            let Some(message) = self.pop() else { return };
            self.dead.insert(message.number, "maxlen");
        }
    }
}

/// Octets of a message's body.
fn size(number: u64) -> u64 {
    8 + number % 7 * 10
}

struct World {
    t: Bench,
    model: Model,
    log: Vec<Vec<u8>>,
}

impl World {
    fn new(length_max: usize, bodies_max: u64) -> Self {
        let mut t = Bench::set(ShardLimits::default(), |settings| {
            settings.priority_max = Some(PRIORITY_MAX);
            settings.message_ttl_ms = Some(TTL_MS);
            settings.length_max = Some(length_max as u64);
            settings.bytes_max = Some(bodies_max);
            settings.dead_letter = dead_letters();
        });
        t.advance(1000);
        let model = Model {
            now: 1000,
            length_max,
            bodies_max,
            ..Model::default()
        };
        Self { t, model, log: Vec::new() }
    }

    fn publish(&mut self, messages: Vec<(u8, Option<u64>)>) {
        let (now, mut run) = (self.model.now, Vec::new());
        for (number, &(priority, lives)) in (self.t.published..).zip(&messages) {
            let head = Head {
                flags: flags::PERSISTENT,
                priority,
                due: lives.map(|lives| Millis(now + lives)),
                envelope: b"\0\x01q",
                header: b"header",
            };
            let mut body = number.to_le_bytes().to_vec();
            body.resize(size(number) as usize, 0);
            head.push(&mut run, &body);
            self.model.insert(Message {
                number,
                priority: priority.min(PRIORITY_MAX),
                due: now + lives.unwrap_or(TTL_MS).min(TTL_MS),
                again: false,
            });
        }
        let count = messages.len() as u32;
        self.t.published += u64::from(count);
        let records = Records { bytes: &run, count };
        self.t.apply(Command::Publish { queue: QUEUE, records });
    }

    fn take(&mut self) {
        let mut got = None;
        let outcome = self.t.shard.get(QUEUE, false, &mut self.t.sink, |message| {
            got = Some((number(message.record), message.redelivered, message.sequence));
        });
        let expected = self.model.pop();
        assert_eq!(outcome == GetOutcome::Taken, expected.is_some());
        assert_eq!(
            got.map(|(number, again, _)| (number, again)),
            expected.map(|message| (message.number, message.again))
        );
        if let (Some((number, _, sequence)), Some(message)) = (got, expected) {
            self.t.sink.places.insert(number, sequence);
            self.model.held.insert(number, message);
        }
    }

    /// Everything that is there comes back, and may have been delivered before.
    fn restart(&mut self) {
        self.log.push(self.t.collect_log());
        let commits: Vec<&[u8]> = self.log.iter().map(Vec::as_slice).collect();
        self.t = self.t.restart(&commits);
        self.t.shard.advance(Millis(self.model.now));
        for message in std::mem::take(&mut self.model.held).into_values() {
            self.model.insert(message);
        }
        self.model.ready.iter_mut().flatten().for_each(|message| message.again = true);
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Publish(messages) => self.publish(messages),
            Op::Take(count) => (0..count).for_each(|_| self.take()),
            Op::Settle(at, count) => {
                for number in self.model.some_held(at, count) {
                    self.model.held.remove(&number);
                    self.t.settle(7, self.t.place(number), 1);
                }
            }
            Op::Requeue(at, count) => {
                for number in self.model.some_held(at, count) {
                    let message = self.model.held.remove(&number).expect("it is held");
                    self.model.insert(Message { again: true, ..message });
                    self.t.give_back(number, ReturnCause::GivenBack);
                }
            }
            Op::Reject(at, count) => {
                for number in self.model.some_held(at, count) {
                    self.model.held.remove(&number);
                    self.model.dead.insert(number, "rejected");
                    self.t.reject(number);
                }
            }
            Op::Pass(ms) => {
                self.model.now += ms;
                self.t.shard.advance(Millis(self.model.now));
            }
            Op::Purge => {
                let purged = self.t.shard.purge(QUEUE, &mut self.t.sink);
                assert_eq!(purged as usize, self.model.len());
                self.model.ready.iter_mut().for_each(VecDeque::clear);
            }
            Op::Commit => self.log.push(self.t.collect_log()),
            Op::Restart => self.restart(),
        }
        self.t.dispatch();
        self.model.settle();
        self.check();
    }

    fn check(&mut self) {
        self.t.sink.lines.retain(|line| !line.starts_with("forget"));
        let mut dead = BTreeMap::new();
        for line in self.t.sink.lines.drain(..) {
            let (numbers, reason) = line.strip_prefix("dead ").and_then(|line| line.split_once(": ")).expect("a letter");
            dead.extend(
                numbers
                    .split(' ')
                    .map(|number| (number.parse().expect("a number"), reason.to_owned())),
            );
        }
        let expected = std::mem::take(&mut self.model.dead).into_iter();
        assert_eq!(dead, expected.map(|(number, reason)| (number, reason.to_owned())).collect());
        let (ready, held) = (self.model.len() as u64, self.model.held.len() as u64);
        let letters: u32 = self.t.sink.letters.iter().map(|(_, count)| count).sum();
        self.t.expect_all_counts(ready, held, 0, letters.into());
        self.t.answer(true);
        self.t.expect_all_counts(ready, held, 0, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_queue_that_is_set_to_do_much_is_some_deques(
        length_max in 0..60usize, bodies_max in prop_oneof![Just(1 << 40), 0..1500u64], ops in prop::collection::vec(op(), 1..50)
    ) {
        let mut world = World::new(length_max, bodies_max);
        for op in ops {
            world.step(op);
        }
        while world.model.len() > 0 {
            world.take();
        }
    }
}

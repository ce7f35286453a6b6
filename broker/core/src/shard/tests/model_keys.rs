//! Queues with keys, and with priorities, against the plainest model of them: a list, looked through.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    /// A message each: its key, and whether its priority is the higher one.
    Publish(Vec<(u8, bool)>),
    Take(u8),
    Settle(prop::sample::Index, u8),
    Requeue(prop::sample::Index, u8),
    Purge,
    Commit,
    Checkpoint,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let held = || (any::<prop::sample::Index>(), 1..20u8);
    prop_oneof![
        6 => prop::collection::vec((0..9u8, any::<bool>()), 1..12).prop_map(Op::Publish),
        4 => (1..8u8).prop_map(Op::Take),
        3 => held().prop_map(|(at, count)| Op::Settle(at, count)),
        3 => held().prop_map(|(at, count)| Op::Requeue(at, count)),
        1 => Just(Op::Purge),
        2 => Just(Op::Commit),
        2 => Just(Op::Checkpoint),
        1 => Just(Op::Restart),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    number: u64,
    /// 0: none.
    key: u8,
    high: bool,
    again: bool,
    replaced: bool,
}

struct World {
    t: Bench,
    deduplicates: bool,
    ready: Vec<Message>,
    held: BTreeMap<u64, Message>,
    log: Vec<Vec<u8>>,
}

impl World {
    fn new(deduplicates: bool) -> Self {
        let t = Bench::set(ShardLimits::default(), |settings| {
            settings.priority_max = Some(1);
            let header = Some(ShortString::from("k"));
            if deduplicates {
                settings.deduplicate_by = header;
            } else {
                settings.last_value_key = header;
            }
        });
        Self {
            t,
            deduplicates,
            ready: Vec::new(),
            held: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    fn insert(&mut self, message: Message) {
        let at = self
            .ready
            .partition_point(|other| (!other.high, other.number) < (!message.high, message.number));
        self.ready.insert(at, message);
    }

    fn publish(&mut self, messages: &[(u8, bool)]) {
        let texts: Vec<String> = messages
            .iter()
            .map(|(key, high)| {
                let key = if *key == 0 { String::new() } else { key.to_string() };
                format!("{}{key}", if *high { "+" } else { "" })
            })
            .collect();
        for (number, &(key, high)) in (self.t.published..).zip(messages) {
            let same = |other: &Message| key != 0 && other.key == key && !other.replaced;
            if self.deduplicates && self.ready.iter().chain(self.held.values()).any(same) {
                continue;
            }
            self.ready.retain(|other| !same(other));
            self.held
                .values_mut()
                .filter(|other| same(other))
                .for_each(|other| other.replaced = true);
            self.insert(Message {
                number,
                key,
                high,
                again: false,
                replaced: false,
            });
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.t.headed("k", &texts);
    }

    fn take(&mut self) {
        let mut got = None;
        let outcome = loop {
            let outcome = self.t.shard.get(QUEUE, false, &mut self.t.sink, |message| {
                got = Some((number(message.record), message.redelivered, message.sequence));
            });
            if outcome != GetOutcome::Loading {
                break outcome;
            }
            self.t.load_all();
        };
        let expected = (!self.ready.is_empty()).then(|| self.ready.remove(0));
        assert_eq!(outcome == GetOutcome::Taken, expected.is_some());
        assert_eq!(
            got.map(|(number, again, _)| (number, again)),
            expected.map(|message| (message.number, message.again))
        );
        if let (Some((number, _, sequence)), Some(message)) = (got, expected) {
            self.t.sink.places.insert(number, sequence);
            self.held.insert(number, message);
        }
    }

    fn some_held(&self, at: prop::sample::Index, count: u8) -> Vec<u64> {
        let held: Vec<_> = self.held.keys().copied().collect();
        match held.len() {
            0 => held,
            len => held.into_iter().skip(at.index(len)).take(count.into()).collect(),
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Publish(messages) => self.publish(&messages),
            Op::Take(count) => (0..count).for_each(|_| self.take()),
            Op::Settle(at, count) => {
                for number in self.some_held(at, count) {
                    self.held.remove(&number);
                    self.t.settle(7, self.t.place(number), 1);
                }
            }
            Op::Requeue(at, count) => {
                for number in self.some_held(at, count) {
                    let message = self.held.remove(&number).expect("it is held");
                    if !message.replaced {
                        self.insert(Message { again: true, ..message });
                    }
                    self.t.give_back(number, ReturnCause::GivenBack);
                }
            }
            Op::Purge => {
                let purged = self.t.shard.purge(QUEUE, &mut self.t.sink);
                assert_eq!(purged as usize, self.ready.len());
                self.ready.clear();
            }
            Op::Commit => self.log.push(self.t.collect_log()),
            Op::Checkpoint => self.t.checkpoint(),
            Op::Restart => {
                self.log.push(self.t.collect_log());
                let commits: Vec<&[u8]> = self.log.iter().map(Vec::as_slice).collect();
                self.t = self.t.restart(&commits);
                for message in std::mem::take(&mut self.held).into_values() {
                    if !message.replaced {
                        self.insert(message);
                    }
                }
                self.ready.iter_mut().for_each(|message| message.again = true);
            }
        }
        self.t.dispatch();
        self.t.expect_counts(self.ready.len() as u64, self.held.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_queue_with_keys_is_a_list(deduplicates in any::<bool>(), ops in prop::collection::vec(op(), 1..50)) {
        let mut world = World::new(deduplicates);
        for op in ops {
            world.step(op);
        }
        while !world.ready.is_empty() {
            world.take();
        }
    }
}

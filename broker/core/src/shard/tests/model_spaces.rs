//! A space against the plainest model of one: whatever is done, in whatever order, with the disk in between and restarts, nobody gets what is not there or
//! not like the template, and whoever can take or read something has it once nothing moves any more.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::settings::SpaceTerms;
use crate::shard::{Inquired, Inquiry, Seek};
use crate::space::{Intent, Template};

const KEYS: [&str; 4] = ["a", "b", "c", "dd"];

/// Templates, and which keys are like them.
const TEMPLATES: [(&str, &[&str]); 5] = [
    (r#"{"k":"a"}"#, &["a"]),
    (r#"{"k":{"in":["a","b"]}}"#, &["a", "b"]),
    (r#"{"k":{"?":"string"}}"#, &["a", "b", "c", "dd"]),
    (r#"{"k":{"ge":"c"}}"#, &["c", "dd"]),
    (r#"{"k":{"suffix":"d"}}"#, &["dd"]),
];

/// Numbers that are the same for the same seed (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Held(u64),
}

#[derive(Debug)]
struct Asker {
    keys: &'static [&'static str],
    reads: bool,
    /// What it holds at most, and does.
    prefetch: usize,
    held: BTreeSet<u64>,
    seen: BTreeSet<u64>,
    left: Option<u32>,
}

struct Model {
    t: Bench,
    tuples: BTreeMap<u64, (&'static str, State)>,
    askers: BTreeMap<u64, Asker>,
    next_id: u64,
    log: Vec<u8>,
}

impl Model {
    fn new(memory_bytes_max: u64) -> Self {
        let limits = ShardLimits {
            memory_bytes_max,
            ..ShardLimits::default()
        };
        let settings = Settings {
            space: Some(SpaceTerms::default()),
            ..Settings::default()
        };
        let mut t = Bench::of(limits, true, Some(Arc::new(settings)));
        t.sink.by_number = true;
        Self {
            t,
            tuples: BTreeMap::new(),
            askers: BTreeMap::new(),
            next_id: 1,
            log: Vec::new(),
        }
    }

    fn out(&mut self, random: &mut Random) {
        let count = 1 + random.below(20);
        let keys: Vec<_> = (0..count).map(|_| KEYS[random.below(4) as usize]).collect();
        let first = self.t.published;
        self.tuples.extend((first..).zip(keys.iter().map(|key| (*key, State::Ready))));
        self.t.headed("k", &keys);
    }

    fn seek(&mut self, random: &mut Random) {
        let (template, keys) = TEMPLATES[random.below(5) as usize];
        let reads = random.below(3) == 0;
        let left = (random.below(2) == 0).then(|| 1 + random.below(3) as u32);
        let prefetch = if reads { 0 } else { random.below(3) as u16 };
        let id = self.next_id;
        self.next_id += 1;
        let consumer = Consumer {
            id: ConsumerId(id),
            outlet: ConnectionId(id),
            prefetch,
            ..self.t.consumer()
        };
        let seek = Seek {
            template: Arc::new(Template::from_json(template.as_bytes()).expect("a sound template")),
            intent: if reads { Intent::Read } else { Intent::Take },
            max: left,
            follow: true,
            ..Seek::default()
        };
        assert_eq!(self.t.shard.seek(QUEUE, consumer, seek), Ok(()));
        let asker = Asker {
            keys,
            reads,
            prefetch: if prefetch == 0 { usize::MAX } else { prefetch.into() },
            held: BTreeSet::new(),
            seen: BTreeSet::new(),
            left,
        };
        self.askers.insert(id, asker);
    }

    /// Somebody settles something, or gives it back.
    fn settle(&mut self, random: &mut Random) {
        let held = self.tuples.iter().filter_map(|(number, (_, state))| match state {
            State::Held(by) => Some((*number, *by)),
            State::Ready => None,
        });
        let held: Vec<_> = held.collect();
        if held.is_empty() {
            return;
        }
        let (number, by) = held[random.below(held.len() as u64) as usize];
        self.askers.values_mut().for_each(|asker| {
            asker.held.remove(&number);
        });
        let place = self.t.place(number);
        if random.below(3) == 0 {
            self.tuples.entry(number).and_modify(|tuple| tuple.1 = State::Ready);
            // Who has seen it sees it again.
            self.askers.values_mut().for_each(|asker| {
                asker.seen.remove(&number);
            });
            self.t.requeue(by, place, 1);
        } else {
            self.tuples.remove(&number);
            self.t.settle(by, place, 1);
        }
    }

    fn cancel(&mut self, random: &mut Random) {
        let ids: Vec<_> = self.askers.keys().copied().collect();
        if !ids.is_empty() {
            let id = ids[random.below(ids.len() as u64) as usize];
            assert!(self.t.shard.cancel(QUEUE, ConsumerId(id), &mut self.t.sink));
            self.askers.remove(&id);
        }
    }

    /// Takes one without waiting.
    fn inp(&mut self, random: &mut Random) {
        let (template, keys) = TEMPLATES[random.below(5) as usize];
        let mut inquiry = Inquiry::new(Arc::new(Template::from_json(template.as_bytes()).expect("a sound template")));
        loop {
            let mut got = None;
            let outcome = self.t.shard.take_tuple(QUEUE, &mut inquiry, false, &mut self.t.sink, |message| {
                got = Some((number(message.record), message.sequence));
            });
            match outcome {
                Inquired::Found => {
                    let (number, sequence) = got.expect("handed over");
                    let oldest = self
                        .tuples
                        .iter()
                        .find(|(_, (key, state))| *state == State::Ready && keys.contains(key));
                    assert_eq!(oldest.map(|(number, _)| *number), Some(number), "the oldest that matches");
                    self.t.sink.places.insert(number, sequence);
                    self.tuples.entry(number).and_modify(|tuple| tuple.1 = State::Held(0));
                    return;
                }
                Inquired::End => {
                    let any = self
                        .tuples
                        .values()
                        .any(|(key, state)| *state == State::Ready && keys.contains(key));
                    return assert!(!any, "there is one like {template}");
                }
                Inquired::Loading => self.rest(),
                Inquired::Pausing => {}
            }
        }
    }

    /// Another process goes on: nobody holds anything, and nobody waits.
    fn restart(&mut self) {
        let commit = self.t.collect_log();
        self.log.extend(commit);
        let log = std::mem::take(&mut self.log);
        self.t = self.t.restart(&[&log]);
        self.log = log;
        self.askers.clear();
        self.tuples.values_mut().for_each(|tuple| tuple.1 = State::Ready);
    }

    fn store(&mut self) {
        let commit = self.t.collect_log();
        self.log.extend(commit);
        self.t.dispatch();
        self.t.stored();
    }

    /// Until nothing moves any more; what was delivered is looked at.
    fn rest(&mut self) {
        self.t.dispatch();
        self.t.load_all();
        self.t.dispatch();
        for line in std::mem::take(&mut self.t.sink.lines) {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                [id, "<-", number, ..] => self.delivered(id.parse().expect("an id"), number.parse().expect("a number")),
                ["cancelled", id, ..] => {
                    let id = id.parse().expect("an id");
                    let asker = self.askers.remove(&id).expect("it was there");
                    assert_eq!(asker.left, Some(0), "it wanted no more");
                }
                _ => {}
            }
        }
    }

    fn delivered(&mut self, id: u64, number: u64) {
        let (key, state) = self.tuples.get_mut(&number).expect("it is there");
        let asker = self.askers.get_mut(&id).expect("it asks");
        assert!(asker.keys.contains(key), "{key} is not what {id} wants");
        assert_eq!(*state, State::Ready, "nobody holds {number}");
        asker.left = asker.left.map(|left| left.checked_sub(1).expect("it wants more"));
        if asker.reads {
            asker.seen.insert(number);
        } else {
            *state = State::Held(id);
            asker.held.insert(number);
            assert!(asker.held.len() <= asker.prefetch);
        }
    }

    fn check(&self) {
        let ready = self.tuples.values().filter(|(_, state)| *state == State::Ready).count() as u64;
        self.t.expect_counts(ready, self.tuples.len() as u64 - ready);
        for (id, asker) in self.askers.iter().filter(|(_, asker)| asker.held.len() < asker.prefetch) {
            let wanted = self.tuples.iter().find(|(number, (key, state))| {
                *state == State::Ready && asker.keys.contains(key) && !(asker.reads && asker.seen.contains(number))
            });
            assert_eq!(wanted, None, "{id} could have it: {asker:?}");
        }
    }
}

#[test]
fn spaces_are_like_the_model() {
    let mut paged = 0;
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let mut model = Model::new(if seed % 2 == 0 { 10_000 } else { 1 << 30 });
        for _ in 0..200 {
            match random.below(20) {
                0..=7 => model.out(&mut random),
                8..=10 => model.seek(&mut random),
                11..=14 => model.settle(&mut random),
                15 => model.cancel(&mut random),
                16 | 17 => model.inp(&mut random),
                18 => model.store(),
                _ if random.below(8) == 0 => model.restart(),
                _ => model.t.checkpoint(),
            }
            model.rest();
            model.check();
        }
        paged += model.t.sink.chunks.len();
    }
    assert!(paged > 0, "some tuples were on disk");
}

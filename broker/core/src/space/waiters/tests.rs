//! Waiters against a scan over all of them.

use super::*;
use crate::space::testing;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Op {
    Add(Arc<Template>, bool),
    /// Like somebody who waits.
    AddAlike(sample::Index, bool),
    Remove(sample::Index),
    /// One that was removed waits again, at its old place.
    Return(sample::Index),
    Arrive(Vec<u8>, bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (testing::template(), any::<bool>()).prop_map(|(template, take)| Op::Add(template, take)),
        4 => (any::<sample::Index>(), any::<bool>()).prop_map(|(index, take)| Op::AddAlike(index, take)),
        2 => any::<sample::Index>().prop_map(Op::Remove),
        1 => any::<sample::Index>().prop_map(Op::Return),
        8 => (testing::tuple(), any::<bool>()).prop_map(|(tuple, leaves)| Op::Arrive(tuple, leaves)),
    ]
}

#[derive(Default)]
struct Model {
    waiters: Waiters,
    line: BTreeMap<WaiterId, (Intent, Arc<Template>)>,
    gone: Vec<(WaiterId, (Intent, Arc<Template>))>,
    next: u64,
}

impl Model {
    fn add(&mut self, template: Arc<Template>, take: bool) {
        let (waiter, intent) = (WaiterId(self.next), if take { Intent::Take } else { Intent::Read });
        self.next += 1;
        self.waiters.add(waiter, intent, &template).expect("room");
        self.line.insert(waiter, (intent, template));
    }

    fn remove(&mut self, waiter: WaiterId) {
        assert!(self.waiters.remove(waiter));
        assert!(!self.waiters.remove(waiter));
        let one = self.line.remove(&waiter).expect("it waited");
        self.gone.push((waiter, one));
    }

    fn pick(&self, index: sample::Index) -> Option<WaiterId> {
        let line: Vec<_> = self.line.keys().copied().collect();
        (!line.is_empty()).then(|| *index.get(&line))
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Add(template, take) => self.add(template, take),
            Op::AddAlike(index, take) => {
                if let Some(waiter) = self.pick(index) {
                    self.add(self.line[&waiter].1.clone(), take);
                }
            }
            Op::Remove(index) => {
                if let Some(waiter) = self.pick(index) {
                    self.remove(waiter);
                }
            }
            Op::Return(index) => {
                if !self.gone.is_empty() {
                    let (waiter, (intent, template)) = self.gone.swap_remove(index.index(self.gone.len()));
                    self.waiters.add(waiter, intent, &template).expect("room");
                    self.line.insert(waiter, (intent, template));
                }
            }
            Op::Arrive(octets, leaves) => {
                let tuple = testing::read(&octets);
                let mut readers = Vec::new();
                let taker = self.waiters.arrived(&tuple, &Digest::of(&tuple), &mut readers);
                let served = self.line.iter().filter(|(_, (_, template))| template.matches(&tuple));
                let (read, take): (Vec<_>, Vec<_>) = served.partition(|(_, (intent, _))| *intent == Intent::Read);
                assert_eq!(readers, read.iter().map(|(waiter, _)| **waiter).collect::<Vec<_>>());
                assert_eq!(taker, take.first().map(|(waiter, _)| **waiter));
                if let Some(taker) = taker.filter(|_| leaves) {
                    self.remove(taker);
                }
            }
        }
        assert_eq!(self.waiters.len(), self.line.len());
    }
}

proptest! {
    #[test]
    fn an_arrival_finds_what_a_scan_finds(ops in vec(op(), 1..150), tables_max in prop_oneof![Just(1usize), Just(3), Just(64)]) {
        let limits = WaiterLimits { tables_max, ..WaiterLimits::default() };
        let mut model = Model { waiters: Waiters::new(limits), ..Model::default() };
        ops.into_iter().for_each(|op| model.apply(op));
        assert!(model.waiters.tables.iter().flatten().count() <= tables_max);
        while let Some(waiter) = model.line.keys().next().copied() {
            model.remove(waiter);
        }
        assert!(model.waiters.is_empty() && model.waiters.tables.iter().all(Option::is_none));
        assert_eq!(model.waiters.octets, 0);
    }

    #[test]
    fn many_ranges_side_by_side(ranges in vec((-300..300i32, 0..100i32, any::<bool>()), 1..400), values in vec(-320..420i32, 1..20)) {
        let mut model = Model::default();
        for (low, size, take) in ranges {
            let template = format!(r#"{{"a": {{"ge": {low}, "le": {}}}}}"#, low + size);
            model.add(Arc::new(Template::from_json(template.as_bytes()).expect("a template")), take);
        }
        for value in values {
            model.apply(Op::Arrive(format!(r#"{{"a": {value}}}"#).into_bytes(), true));
        }
    }
}

#[test]
fn no_more_wait_than_may() {
    let template = Arc::new(Template::from_json(br#"{"a": 1}"#).expect("a template"));
    let limits = WaiterLimits {
        waiters_max: 2,
        octets_max: template.weight() * 3,
        tables_max: 1,
    };
    let mut waiters = Waiters::new(limits);
    let add = |waiters: &mut Waiters, n| waiters.add(WaiterId(n), Intent::Take, &template);
    assert_eq!((add(&mut waiters, 0), add(&mut waiters, 1)), (Ok(()), Ok(())));
    assert_eq!(add(&mut waiters, 2), Err(WaitersFull::Waiters(2)));
    assert!(waiters.remove(WaiterId(0)) && add(&mut waiters, 2).is_ok());
    let limits = WaiterLimits {
        waiters_max: 4,
        octets_max: template.weight(),
        ..limits
    };
    let mut waiters = Waiters::new(limits);
    assert_eq!(add(&mut waiters, 0), Ok(()));
    assert_eq!(add(&mut waiters, 1), Err(WaitersFull::Octets(template.weight())));
}

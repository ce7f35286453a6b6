//! The index against a scan over all tuples.

use super::*;
use crate::space::testing;
use crate::space::{Template, Tuple};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Op {
    Insert(Vec<u8>),
    /// The oldest match is taken.
    Take(Arc<Template>),
    /// All that match are looked at, and the tuples in between change.
    ReadAll(Arc<Template>),
    GiveBack(sample::Index),
    Remove(sample::Index),
    Declare(usize),
    /// The index is read back from what was written of it.
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => testing::tuple().prop_map(Op::Insert),
        5 => testing::template().prop_map(Op::Take),
        3 => testing::template().prop_map(Op::ReadAll),
        3 => any::<sample::Index>().prop_map(Op::GiveBack),
        2 => any::<sample::Index>().prop_map(Op::Remove),
        1 => (0..DECLARATIONS.len()).prop_map(Op::Declare),
        1 => Just(Op::Restart),
    ]
}

const DECLARATIONS: [&[&str]; 5] = [&["a"], &["a", "b"], &["[0]"], &["wide19"], &["ordered", "c"]];

fn declaration(number: usize) -> Declaration {
    use stoa_amqp::Value;
    let index = match DECLARATIONS[number] {
        ["ordered", field] => Value::Table([("ordered", Value::from(*field))].into_iter().collect()),
        fields => Value::Array(fields.iter().map(|field| Value::from(*field)).collect()),
    };
    Declaration::from_amqp(&Value::Array(vec![index])).expect("a declaration").remove(0)
}

struct Model {
    index: TupleIndex,
    limits: IndexLimits,
    declared: Vec<usize>,
    tuples: BTreeMap<u64, (Tuple<'static>, bool)>,
    next: u64,
}

impl Model {
    fn naive(&self, template: &Template) -> Vec<u64> {
        let matches = self.tuples.iter().filter(|(_, (tuple, held))| !held && template.matches(tuple));
        matches.map(|(sequence, _)| *sequence).collect()
    }

    /// The next match of a search, which looks at candidates as a shard does.
    fn next(&mut self, search: &mut Search, template: &Template) -> Option<u64> {
        loop {
            match self.index.next(search) {
                Step::End => return None,
                Step::Pause => {}
                Step::Candidate(sequence) => {
                    let (tuple, held) = self.tuples.get(&sequence.0).expect("a candidate is there");
                    assert!(!held, "a candidate is free");
                    if template.matches(tuple) {
                        return Some(sequence.0);
                    }
                }
            }
        }
    }

    fn all(&mut self, template: &Template) -> Vec<u64> {
        let mut search = Search::new(template);
        std::iter::from_fn(|| self.next(&mut search, template)).collect()
    }

    fn pick(&self, index: sample::Index) -> Option<u64> {
        let sequences: Vec<_> = self.tuples.keys().copied().collect();
        (!sequences.is_empty()).then(|| *index.get(&sequences))
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Insert(octets) => {
                let tuple = testing::read(&octets);
                let entry = self.index.entry(&Digest::of(&tuple));
                self.index.insert(Sequence(self.next), entry.as_entry()).expect("room");
                self.tuples.insert(self.next, (tuple, false));
                // Not all sequences of a queue are tuples that are still there.
                self.next += 1 + self.next % 3 * 30;
            }
            Op::Take(template) => {
                let taken = self.next(&mut Search::new(&template), &template);
                assert_eq!(taken, self.naive(&template).first().copied(), "{template:?}");
                if let Some(sequence) = taken {
                    assert!(self.index.hold(Sequence(sequence)));
                    assert!(!self.index.hold(Sequence(sequence)));
                    self.tuples.get_mut(&sequence).expect("there").1 = true;
                }
            }
            Op::ReadAll(template) => {
                let expected = self.naive(&template);
                assert_eq!(self.all(&template), expected, "{template:?}");
                let held = self.tuples.iter().find(|(_, (tuple, held))| *held && template.matches(tuple));
                let held = held.map(|(sequence, _)| *sequence);
                let mut found = self.index.next_held(&template, Sequence(0));
                while let Some(sequence) = found.filter(|sequence| !template.matches(&self.tuples[&sequence.0].0)) {
                    found = self.index.next_held(&template, sequence.plus(1));
                }
                assert_eq!(found, held.map(Sequence));
            }
            Op::GiveBack(index) => {
                if let Some(sequence) = self.pick(index) {
                    let held = std::mem::take(&mut self.tuples.get_mut(&sequence).expect("there").1);
                    assert_eq!(self.index.give_back(Sequence(sequence)), held);
                }
            }
            Op::Remove(index) => {
                if let Some(sequence) = self.pick(index) {
                    self.tuples.remove(&sequence);
                    assert!(self.index.remove(Sequence(sequence)));
                    assert!(!self.index.remove(Sequence(sequence)));
                }
            }
            Op::Declare(number) => {
                self.declared.push(number);
                self.index.declare(&declaration(number));
            }
            Op::Restart => self.restart(),
        }
        let held = self.tuples.values().filter(|(_, held)| *held).count();
        assert_eq!((self.index.free(), self.index.held()), (self.tuples.len() - held, held));
    }

    fn restart(&mut self) {
        let mut index = TupleIndex::new(self.limits);
        self.declared.iter().for_each(|number| index.declare(&declaration(*number)));
        for (sequence, entry) in self.index.entries() {
            let octets = [entry.octets(), b"what follows"].concat();
            index.insert(sequence, Entry::first_of(&octets).expect("an entry")).expect("room");
        }
        self.index = index;
        self.tuples.values_mut().for_each(|(_, held)| *held = false);
    }
}

proptest! {
    #[test]
    fn a_search_finds_what_a_scan_finds(
        ops in vec(op(), 1..120),
        walked_max in prop_oneof![Just(1usize), Just(8), Just(1024)],
        indexes_max in 0..4usize,
    ) {
        let limits = IndexLimits { walked_max, indexes_max, ..IndexLimits::default() };
        let mut model = Model {
            index: TupleIndex::new(limits),
            limits,
            declared: Vec::new(),
            tuples: BTreeMap::new(),
            next: 0,
        };
        ops.into_iter().for_each(|op| model.apply(op));
    }
}

fn json(template: &str) -> Template {
    Template::from_json(template.as_bytes()).expect(template)
}

fn filled(limits: IndexLimits, count: u64, tuple: impl Fn(u64) -> String) -> TupleIndex {
    let mut index = TupleIndex::new(limits);
    for n in 0..count {
        let entry = index.entry(&Digest::of(&testing::read(tuple(n).as_bytes())));
        index.insert(Sequence(n), entry.as_entry()).expect("room");
    }
    index
}

/// The candidates of a search, which are few if an index is any good.
fn candidates(index: &mut TupleIndex, template: &Template) -> Vec<u64> {
    let mut search = Search::new(template);
    let mut found = Vec::new();
    loop {
        match index.next(&mut search) {
            Step::Candidate(sequence) => found.push(sequence.0),
            Step::Pause => {}
            Step::End => return found,
        }
    }
}

#[test]
fn a_search_by_value_or_range_names_hardly_any_others() {
    let tuple = |n| {
        format!(
            r#"{{"type": "job{}", "id": {n}, "price": {}, "to": "customer/{n:05}"}}"#,
            n % 3,
            n * 7919 % 10_000
        )
    };
    let mut index = filled(IndexLimits::default(), 10_000, tuple);
    for _ in 0..3 {
        assert_eq!(candidates(&mut index, &json(r#"{"type": "job1", "id": 4000}"#)), [4000]);
        assert_eq!(candidates(&mut index, &json(r#"{"id": 4001}"#)), [4001]);
        assert_eq!(candidates(&mut index, &json(r#"{"id": 4001.0}"#)), [0u64; 0]);
        assert_eq!(candidates(&mut index, &json(r#"{"type": "job1", "id": 4001}"#)), [0u64; 0]);
        let mut wanted: Vec<_> = (0..10_000).filter(|n| n * 7919 % 10_000 >= 9990).collect();
        assert_eq!(candidates(&mut index, &json(r#"{"price": {"ge": 9990}}"#)), wanted);
        wanted.retain(|n| n % 3 == 1);
        assert_eq!(
            candidates(&mut index, &json(r#"{"type": "job1", "price": {"gt": 9989.5}}"#)),
            wanted
        );
    }
    let kinds = index
        .indexes
        .iter()
        .map(|index| matches!(index.by, masks::By::Mask(..)))
        .collect::<Vec<_>>();
    assert_eq!(kinds.iter().filter(|mask| **mask).count(), 3, "type and id, id, type: {kinds:?}");
    assert_eq!(kinds.len(), 4, "and by price");
}

#[test]
fn memory_is_bounded() {
    let tuple = |n| format!(r#"{{"type": "job", "id": {n}, "at": {}}}"#, n * 3);
    let mut index = filled(IndexLimits::default(), 20_000, tuple);
    let per_entry = index.rows.octets() / 20_000;
    assert!(per_entry <= 3 + 3 * 16 + 8, "{per_entry} octets an entry of three fields");
    for field in ["id", "at"] {
        let template = json(&format!(r#"{{"{field}": 30000}}"#));
        (0..3).for_each(|_| drop(candidates(&mut index, &template)));
    }
    assert_eq!(index.indexes.len(), 2);
    for one in &index.indexes {
        assert!(one.octets() / 20_000 <= 48, "{} octets a tuple in an index", one.octets() / 20_000);
    }
    // Where one has room and two have not, the last one used stays.
    let limits = IndexLimits {
        indexes_octets_max: index.indexes[0].octets() * 3 / 2,
        ..IndexLimits::default()
    };
    let mut index = filled(limits, 20_000, tuple);
    for field in ["id", "at", "id"] {
        let template = json(&format!(r#"{{"{field}": 30000}}"#));
        (0..6).for_each(|_| drop(candidates(&mut index, &template)));
        assert!(index.indexes.len() <= 1);
    }
    // And the entries.
    let limits = IndexLimits {
        entries_octets_max: 100_000,
        ..IndexLimits::default()
    };
    let mut index = TupleIndex::new(limits);
    let entry = index.entry(&Digest::of(&testing::read(tuple(0).as_bytes())));
    let full = (0..10_000).find_map(|n| index.insert(Sequence(n), entry.as_entry()).err());
    assert_eq!(full, Some(IndexFull { octets_max: 100_000 }));
    assert!(index.octets() < 105_000);
}

#[test]
fn a_block_whose_tuples_come_and_go_stays_small() {
    let mut index = filled(IndexLimits::default(), 64, |n| format!(r#"{{"id": {n}, "a": 1, "b": 2}}"#));
    let entry = index.entry(&Digest::of(&testing::read(br#"{"id": 7, "a": 1, "b": 3}"#)));
    for _ in 0..5000 {
        assert!(index.remove(Sequence(7)));
        index.insert(Sequence(7), entry.as_entry()).expect("room");
    }
    assert!(index.octets() < 80_000, "{}", index.octets());
    assert_eq!(candidates(&mut index, &json(r#"{"b": 3}"#)), [7]);
    assert_eq!(candidates(&mut index, &json(r#"{"id": 8}"#)), [8]);
}

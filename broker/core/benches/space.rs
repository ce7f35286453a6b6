//! What it costs to find tuples by templates and templates by tuples. The figures that count are the ratios between the sizes: flat is the goal.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used)]

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use stoa_amqp::{RawTable, Table, Value};
use stoa_core::ids::Sequence;
use stoa_core::space::{Declaration, Digest, Entry, Format, Intent, Search, Step, Template, Tuple, TupleIndex, WaiterId, Waiters};

/// The headers of the tuple with that number.
fn headers(n: u64) -> Vec<u8> {
    let fields = [
        ("type", Value::from("order")),
        ("id", Value::from(n as i64)),
        ("customer", Value::from(format!("customer-{}", n % 1000))),
        ("price", Value::from((n.wrapping_mul(0x9e37_79b9) % 1_000_000) as f64)),
    ];
    fields.into_iter().collect::<Table>().to_bytes()
}

fn tuple(headers: &[u8]) -> Tuple<'_> {
    Tuple::record(RawTable::new(headers).unwrap()).unwrap()
}

fn template(json: &str) -> Arc<Template> {
    Arc::new(Template::from_json(json.as_bytes()).unwrap())
}

/// An index, and the tuples as a shard would have them.
struct Space {
    index: TupleIndex,
    octets: Vec<u8>,
    starts: Vec<usize>,
}

impl Space {
    fn filled(count: u64) -> Self {
        let (mut index, mut digest) = (TupleIndex::default(), Digest::default());
        let (mut octets, mut starts) = (Vec::new(), vec![0]);
        for n in 0..count {
            let headers = headers(n);
            digest.read(&tuple(&headers));
            let entry = index.entry(&digest);
            index.insert(Sequence(n), entry.as_entry()).unwrap();
            octets.extend_from_slice(&headers);
            starts.push(octets.len());
        }
        Self { index, octets, starts }
    }

    fn tuple(&self, sequence: Sequence) -> Tuple<'_> {
        let n = sequence.0 as usize;
        tuple(&self.octets[self.starts[n]..self.starts[n + 1]])
    }

    /// The first match, as a shard looks for it.
    fn first(&mut self, template: &Template) -> Option<Sequence> {
        let mut search = Search::new(template);
        loop {
            match self.index.next(&mut search) {
                Step::Candidate(sequence) if template.matches(&self.tuple(sequence)) => return Some(sequence),
                Step::Candidate(_) | Step::Pause => {}
                Step::End => return None,
            }
        }
    }
}

fn stored(criterion: &mut Criterion) {
    for count in [1000, 100_000, 1_000_000] {
        let mut space = Space::filled(count);
        let cases = [
            ("take by exact key", format!(r#"{{"type": "order", "id": {}}}"#, count / 2)),
            ("take by another exact key", format!(r#"{{"id": {}}}"#, count - 1)),
            ("take nothing by exact key", r#"{"id": -1}"#.to_owned()),
            ("take the oldest of many", r#"{"type": "order"}"#.to_owned()),
            (
                "take by a range of a hundred",
                format!(r#"{{"price": {{"ge": 500000, "lt": {}}}}}"#, 500_000 + 100_000_000 / count),
            ),
            ("take by a wide range", r#"{"price": {"ge": 500000}}"#.to_owned()),
        ];
        for (name, json) in cases {
            let template = template(&json);
            // The index for this kind of template comes with the first searches.
            (0..8).for_each(|_| assert!(space.first(&template).is_some() || name.contains("nothing")));
            criterion
                .benchmark_group(name)
                .bench_function(BenchmarkId::from_parameter(count), |bencher| {
                    bencher.iter(|| {
                        if let Some(sequence) = space.first(black_box(&template)) {
                            space.index.hold(sequence);
                            space.index.give_back(sequence);
                        }
                    });
                });
        }
        criterion
            .benchmark_group("out and remove")
            .bench_function(BenchmarkId::from_parameter(count), |bencher| {
                let (mut digest, headers) = (Digest::default(), headers(count));
                bencher.iter(|| {
                    digest.read(&tuple(&headers));
                    let entry = space.index.entry(&digest);
                    space.index.insert(Sequence(count), entry.as_entry()).unwrap();
                    space.index.remove(Sequence(count));
                });
            });
    }
}

/// Blocked takers and one arrival after the other, each of which serves one that waits again afterwards.
fn arrive(criterion: &mut Criterion, group: &str, count: u64, json: impl Fn(u64) -> String) {
    let mut waiters = Waiters::default();
    let templates: Vec<_> = (0..count).map(|n| template(&json(n))).collect();
    for (n, template) in templates.iter().enumerate() {
        waiters.add(WaiterId(n as u64), Intent::Take, template).unwrap();
    }
    let (mut digest, mut readers) = (Digest::default(), Vec::new());
    let tuples: Vec<_> = (0..64).map(|n| headers(n * 7919 % count)).collect();
    let mut tuples = tuples.iter().cycle();
    criterion
        .benchmark_group(group)
        .bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let tuple = tuple(tuples.next().unwrap());
                digest.read(&tuple);
                let taker = waiters.arrived(&tuple, &digest, &mut readers).unwrap();
                waiters.remove(taker);
                waiters.add(taker, Intent::Take, &templates[taker.0 as usize]).unwrap();
            });
        });
}

fn blocked(criterion: &mut Criterion) {
    for count in [1000, 10_000, 100_000] {
        arrive(criterion, "out to distinct templates of 4 masks", count, |n| match n % 4 {
            0 => format!(r#"{{"id": {n}}}"#),
            1 => format!(r#"{{"type": "order", "id": {n}}}"#),
            2 => format!(r#"{{"id": {n}, "customer": "customer-{}"}}"#, n % 1000),
            _ => format!(r#"{{"type": "order", "id": {n}, "customer": "customer-{}"}}"#, n % 1000),
        });
    }
    for count in [100, 10_000] {
        arrive(criterion, "out to identical templates", count, |_| {
            r#"{"type": "order"}"#.to_owned()
        });
    }
    for count in [1000, 100_000] {
        arrive(criterion, "out to ranges", count, |n| {
            format!(r#"{{"type": "order", "id": {{"ge": {n}, "lt": {}}}}}"#, n + 10)
        });
    }
}

fn single(criterion: &mut Criterion) {
    let headers = headers(7);
    let by_key = template(r#"{"type": "order", "id": 7}"#);
    let by_all = template(r#"{"type": {"prefix": "o"}, "id": {"?": "int"}, "price": {"ge": 0, "lt": 2000000}}"#);
    let tuple = tuple(&headers);
    criterion.bench_function("match headers by key", |bencher| {
        bencher.iter(|| black_box(&by_key).matches(&tuple))
    });
    criterion.bench_function("match headers by operators", |bencher| {
        bencher.iter(|| black_box(&by_all).matches(&tuple))
    });
    let mut digest = Digest::default();
    criterion.bench_function("digest of headers", |bencher| bencher.iter(|| digest.read(black_box(&tuple))));
    let json = br#"{"type": "order", "id": 7, "customer": "customer-7", "price": 12.5}"#;
    criterion.bench_function("tuple of JSON", |bencher| {
        bencher.iter(|| Tuple::encoded(Format::Json, black_box(json)).unwrap());
    });
}

/// The entries of a million tuples come back, and an index with them.
fn restart(criterion: &mut Criterion) {
    let written: Vec<u8> = Space::filled(1_000_000)
        .index
        .entries()
        .flat_map(|(_, entry)| entry.octets().to_vec())
        .collect();
    let by_id = Declaration::from_amqp(&Value::Array(vec![Value::from("id")])).unwrap();
    let mut group = criterion.benchmark_group("restart");
    group.sample_size(10);
    group.bench_function("1000000 tuples, an index", |bencher| {
        let fresh = || {
            let mut index = TupleIndex::default();
            by_id.iter().for_each(|declaration| index.declare(declaration));
            index
        };
        let read = |mut index: TupleIndex| {
            let (mut rest, mut n) = (&written[..], 0);
            while let Some(entry) = Entry::first_of(rest) {
                index.insert(Sequence(n), entry).unwrap();
                rest = &rest[entry.octets().len()..];
                n += 1;
            }
            assert_eq!(index.free(), 1_000_000);
            index
        };
        bencher.iter_batched(fresh, read, BatchSize::PerIteration);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(std::time::Duration::from_millis(300)).measurement_time(std::time::Duration::from_secs(1));
    targets = single, blocked, stored, restart
}
criterion_main!(benches);

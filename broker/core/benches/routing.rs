//! What it costs to find the way of a message, and to change the ways.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use stoa_amqp::{Table, Value};
use stoa_core::ids::ConnectionId;
use stoa_core::topology::{Actor, Change, ExchangeDeclare, Facts, PolicyKind, QueueDeclare, Topology};

const ACTOR: Actor<'static> = Actor {
    vhost: "/",
    user: "guest",
    connection: ConnectionId(1),
};

fn declare(topology: &mut Topology, name: &[u8], changes: &mut Vec<Change>) {
    let declare = QueueDeclare {
        name,
        durable: true,
        ..QueueDeclare::default()
    };
    topology.declare_queue(&ACTOR, &declare, changes).unwrap();
}

fn bind(topology: &mut Topology, queue: &[u8], exchange: &[u8], key: &[u8], arguments: &Table, changes: &mut Vec<Change>) {
    topology.bind_queue(&ACTOR, queue, exchange, key, arguments, changes).unwrap();
}

/// `count` bindings to as many queues, but no more than a thousand.
fn bound(exchange: &[u8], count: usize, key: impl Fn(usize) -> String, arguments: impl Fn(usize) -> Table) -> Topology {
    let (mut topology, mut changes) = (Topology::new(), Vec::new());
    for n in 0..count {
        let queue = format!("queue-{}", n % 1000).into_bytes();
        if n < 1000 {
            declare(&mut topology, &queue, &mut changes);
        }
        bind(&mut topology, &queue, exchange, key(n).as_bytes(), &arguments(n), &mut changes);
    }
    topology
}

/// Routes by each of the keys in turn.
fn route(criterion: &mut Criterion, group: &str, parameter: usize, topology: &Topology, exchange: &[u8], keys: &[String], headers: &Table) {
    let mut out = Vec::with_capacity(1024);
    let mut keys = keys.iter().cycle();
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::from_parameter(parameter), |bencher| {
        bencher.iter(|| {
            out.clear();
            let key = keys.next().unwrap().as_bytes();
            topology
                .route("/", black_box(exchange), &[key], &mut || Facts::from(headers.clone()), &mut out)
                .unwrap();
            out.len()
        });
    });
}

fn routing(criterion: &mut Criterion) {
    let none = |_| Table::new();
    for count in [1, 100, 10_000] {
        let key = |n: usize| format!("orders.eu.{n}");
        let keys: Vec<_> = (0..count).step_by(1.max(count / 64)).map(key).collect();
        let topology = bound(b"amq.direct", count, key, none);
        route(criterion, "direct", count, &topology, b"amq.direct", &keys, &Table::new());
    }
    let names: Vec<_> = (0..64).map(|n| format!("queue-{n}")).collect();
    let topology = bound(b"amq.direct", 1000, |n| n.to_string(), none);
    route(criterion, "default", 1000, &topology, b"", &names, &Table::new());
    for count in [1, 10, 1000] {
        let topology = bound(b"amq.fanout", count, |n| n.to_string(), none);
        route(criterion, "fanout", count, &topology, b"amq.fanout", &names, &Table::new());
    }
    for count in [1, 100, 10_000, 100_000] {
        // Sensors in rooms: literal, one word free, and everything below a room.
        let pattern = |n: usize| match n % 3 {
            0 => format!("site.{}.room.{}", n / 100, n % 100),
            1 => format!("site.*.sensor{n}.temperature"),
            _ => format!("site.{}.#.alarm{}", n / 100, n % 100),
        };
        let keys: Vec<_> = (0..64)
            .map(|n| n * 7 % count)
            .map(|n| format!("site.{}.sensor{n}.temperature", n / 100))
            .collect();
        let topology = bound(b"amq.topic", count, pattern, none);
        route(criterion, "topic", count, &topology, b"amq.topic", &keys, &Table::new());
    }
    for count in [1, 100, 10_000] {
        let arguments = |n: usize| -> Table {
            [("type", Value::from("order")), ("customer", Value::from(n as i64))]
                .into_iter()
                .collect()
        };
        let topology = bound(b"amq.headers", count, |_| String::new(), arguments);
        route(
            criterion,
            "headers",
            count,
            &topology,
            b"amq.headers",
            &names,
            &arguments(count / 2),
        );
    }
}

fn through_exchanges(criterion: &mut Criterion) {
    let (mut topology, mut changes) = (bound(b"amq.fanout", 1, |n| n.to_string(), |_| Table::new()), Vec::new());
    let none = Table::new();
    topology
        .bind_exchange(&ACTOR, b"amq.topic", b"amq.direct", b"k", &none, &mut changes)
        .unwrap();
    topology
        .bind_exchange(&ACTOR, b"amq.fanout", b"amq.topic", b"#", &none, &mut changes)
        .unwrap();
    route(
        criterion,
        "exchange to exchange",
        3,
        &topology,
        b"amq.direct",
        &["k".to_owned()],
        &none,
    );
}

/// A queue with a binding comes and goes where there are a hundred thousand of them already.
fn churn(criterion: &mut Criterion) {
    let (mut topology, mut changes, none) = (Topology::new(), Vec::new(), Table::new());
    for n in 0..100_000 {
        let queue = format!("queue-{n}").into_bytes();
        declare(&mut topology, &queue, &mut changes);
        for exchange in ["amq.topic", "amq.fanout"] {
            bind(
                &mut topology,
                &queue,
                exchange.as_bytes(),
                format!("site.{n}.*").as_bytes(),
                &none,
                &mut changes,
            );
        }
        changes.clear();
    }
    criterion.bench_function("declare, bind and delete among 100000", |bencher| {
        bencher.iter(|| {
            changes.clear();
            declare(&mut topology, b"new", &mut changes);
            for exchange in ["amq.topic", "amq.fanout"] {
                bind(&mut topology, b"new", exchange.as_bytes(), b"site.new.*", &none, &mut changes);
            }
            topology.delete_queue("/", b"new", &mut changes).unwrap();
        });
    });
    let records: Vec<_> = topology
        .records()
        .into_iter()
        .map(|record| (record.key, record.value.unwrap()))
        .collect();
    let mut group = criterion.benchmark_group("restore");
    group.sample_size(10);
    group.bench_function("100000 queues, 200000 bindings", |bencher| {
        bencher.iter(|| Topology::restore(records.iter().map(|(key, value)| (key, value))).unwrap());
    });
}

/// Everything that is bound to an exchange goes at once, and what leads to a queue with it.
fn deletions(criterion: &mut Criterion) {
    let none = |_| Table::new();
    let mut group = criterion.benchmark_group("delete an exchange with 10000 bindings");
    group.sample_size(10);
    for exchange in ["amq.direct", "amq.fanout", "amq.topic"] {
        let kind = exchange.trim_start_matches("amq.");
        group.bench_function(kind, |bencher| {
            let fill = || {
                let mut topology = bound(b"amq.match", 10_000, |n| n.to_string(), none);
                let declare = ExchangeDeclare {
                    name: b"x",
                    kind: kind.as_bytes(),
                    ..ExchangeDeclare::default()
                };
                topology.declare_exchange(&ACTOR, &declare, &mut Vec::new()).unwrap();
                for n in 0..10_000 {
                    let (queue, key) = (format!("queue-{n}"), format!("site.{n}.*"));
                    bind(
                        &mut topology,
                        queue.as_bytes(),
                        b"x",
                        key.as_bytes(),
                        &Table::new(),
                        &mut Vec::new(),
                    );
                }
                topology
            };
            bencher.iter_batched(
                fill,
                |mut topology| topology.delete_exchange(&ACTOR, b"x", false, &mut Vec::new()).unwrap(),
                criterion::BatchSize::PerIteration,
            );
        });
    }
}

/// Publishing to a topic exchange with 100,000 bindings, while bindings come and go there.
fn publish_beside_churn(criterion: &mut Criterion) {
    let pattern = |n: usize| format!("site.*.sensor{n}.temperature");
    let mut topology = bound(b"amq.topic", 100_000, pattern, |_| Table::new());
    let (mut changes, none) = (Vec::new(), Table::new());
    let (mut out, mut n) = (Vec::new(), 0_usize);
    criterion.bench_function("bind, route 10 and unbind among 100000 patterns", |bencher| {
        bencher.iter(|| {
            n += 1;
            let key = format!("site.#.churn{}", n % 1000);
            bind(&mut topology, b"queue-0", b"amq.topic", key.as_bytes(), &none, &mut changes);
            for sensor in 0..10 {
                out.clear();
                let key = format!("site.7.sensor{}.temperature", (n + sensor) % 100_000);
                let routed = topology.route("/", b"amq.topic", &[key.as_bytes()], &mut Facts::default, &mut out);
                routed.unwrap();
                assert_eq!(black_box(&out).len(), 1);
            }
            topology
                .unbind_queue(&ACTOR, b"queue-0", b"amq.topic", key.as_bytes(), &none, &mut changes)
                .unwrap();
            changes.clear();
        });
    });
}

/// A new queue looks at every policy once, and at no other queue.
fn declare_under_policies(criterion: &mut Criterion) {
    for policies in [0, 10, 100] {
        let (mut topology, mut changes) = (bound(b"amq.direct", 100_000, |n| n.to_string(), |_| Table::new()), Vec::new());
        for n in 0..policies {
            let definition: Table = [("max-length", Value::from(n))].into_iter().collect();
            let terms: Table = [
                ("pattern", Value::from(format!("^tenant-{n}\\."))),
                ("definition", Value::from(definition)),
            ]
            .into_iter()
            .collect();
            topology
                .set_policy(PolicyKind::User, "/", &n.to_string(), &terms, &mut changes)
                .unwrap();
        }
        criterion.bench_function(
            &format!("declare and delete among 100000 queues under {policies} policies"),
            |bencher| {
                bencher.iter(|| {
                    changes.clear();
                    declare(&mut topology, b"tenant-9.new", &mut changes);
                    topology.delete_queue("/", b"tenant-9.new", &mut changes).unwrap();
                });
            },
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(std::time::Duration::from_millis(300)).measurement_time(std::time::Duration::from_secs(1));
    targets = routing, through_exchanges, churn, publish_beside_churn, deletions, declare_under_policies
}
criterion_main!(benches);

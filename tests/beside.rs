//! What one thing costs that goes on beside another: a list of 50,000 queues that is asked for every second beside messages that are to be on time,
//! bindings that come and go beside a publisher. Not part of the default run:
//!
//! ```text
//! cargo test --release --test beside -- --ignored --nocapture --test-threads 1
//! ```
//!
//! Figures are printed, not asserted; docs/performance.md has some. `STOA_SCALE=n` takes that many queues or bindings.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use support::raw::{self, Event, Raw};
use support::{Broker, http};

/// For so long each figure is taken.
const SPAN: Duration = Duration::from_secs(10);
/// Messages a second that are to be on time.
const RATE: u32 = 1000;

fn scale(usual: u64) -> u64 {
    std::env::var("STOA_SCALE").map_or(usual, |scale| scale.parse().unwrap())
}

fn message(exchange: &str, key: &str, body: &[u8]) -> Vec<u8> {
    [
        raw::publish(1, exchange, key, &[false, false]),
        raw::header(1, body.len() as u64),
        raw::frame(raw::BODY, 1, body),
    ]
    .concat()
}

/// Declares durable queues by these names; the last one is answered when all are durable.
fn declare(raw: &mut Raw, names: impl Iterator<Item = String>) {
    let names: Vec<_> = names.collect();
    for names in names.chunks(1000) {
        let queues = names
            .iter()
            .map(|name| raw::queue_declare(1, name, [false, true, false, false, true]));
        raw.send(&queues.collect::<Vec<_>>().concat());
        raw.call(&raw::queue_declare(1, "last", [false, true, false, false, false]), 50, 11);
    }
}

/// Calls `f` again and again in a thread while `during` runs.
fn beside<R>(mut f: impl FnMut() + Send, during: impl FnOnce() -> R) -> R {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                f();
            }
        });
        let outcome = during();
        over.store(true, Ordering::SeqCst);
        outcome
    })
}

/// How long messages take that are published one by one at a rate, from when each was due to be published; sorted.
fn latencies(address: SocketAddr) -> Vec<Duration> {
    let mut consumer = Raw::login(address);
    consumer.open(1);
    consumer.call(&raw::queue_declare(1, "on-time", [false, false, true, false, false]), 50, 11);
    consumer.call(&raw::consume(1, "on-time", "c", [false, true, false, false]), 60, 21);
    let count = RATE * SPAN.as_secs() as u32;
    let (began, (sender, dues)) = (Instant::now(), mpsc::channel());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut publisher = Raw::login(address);
            publisher.open(1);
            let message = message("", "on-time", b"sixteen octets..");
            for number in 0..count {
                let due = began + Duration::from_secs(1) / RATE * number;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                sender.send(due).unwrap();
                publisher.send(&message);
            }
        });
        let mut latencies = Vec::new();
        while latencies.len() < count as usize {
            match consumer.next() {
                Event::Frame(frame) if frame.kind == raw::BODY => latencies.push(dues.recv().unwrap().elapsed()),
                Event::Frame(_) => {}
                other => panic!("{other:?}"),
            }
        }
        latencies.sort_unstable();
        latencies
    })
}

fn print(what: &str, latencies: &[Duration]) {
    let at = |permille: usize| latencies[(latencies.len() - 1) * permille / 1000];
    println!("{what}: {:?} (median), {:?} (99 %), {:?} at most", at(500), at(990), at(1000));
}

#[test]
#[ignore = "takes a minute"]
fn messages_on_time_beside_a_poll_of_all_queues() {
    let Some(broker) = Broker::own() else { return };
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let count = scale(50_000);
    declare(&mut raw, (0..count).map(|n| format!("q{n}")));
    print("without a poll", &latencies(broker.amqp()));
    for path in [
        "/api/queues?page=1&page_size=100&sort=messages",
        "/api/queues?columns=name,messages",
        "/api/queues",
    ] {
        let mut polls = Vec::new();
        let poll = || {
            let began = Instant::now();
            http::json(broker.http(), path);
            polls.push(began.elapsed());
            std::thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
        };
        let late = beside(poll, || latencies(broker.amqp()));
        polls.sort_unstable();
        print(&format!("beside {path} a second, which takes {:?}", polls[polls.len() / 2]), &late);
    }
}

/// Publishes to 64 of the bindings in turn, 100 messages at a time, and waits for their confirms; gives messages a second.
fn published(address: SocketAddr, bindings: u64) -> f64 {
    let mut raw = Raw::login(address);
    raw.open(1);
    raw.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
    let messages: Vec<_> = (0..64)
        .map(|n| {
            message(
                "amq.topic",
                &format!("site.7.sensor{}.temperature", n * 7919 % bindings),
                b"sixteen octets..",
            )
        })
        .collect();
    let (began, mut count) = (Instant::now(), 0);
    let mut next = messages.iter().cycle();
    while began.elapsed() < SPAN {
        let batch: Vec<_> = next.by_ref().take(100).flatten().copied().collect();
        raw.send(&batch);
        count += 100;
        while raw.expect(60, 80).arguments().u64() < count {}
    }
    count as f64 / began.elapsed().as_secs_f64()
}

#[test]
#[ignore = "takes a minute"]
fn publishing_by_topic_beside_bindings_that_come_and_go() {
    let Some(broker) = Broker::own() else { return };
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let bindings = scale(100_000);
    declare(&mut raw, (0..1000).map(|n| format!("q{n}")));
    let bind = |queue: &str, key: &str, nowait: bool| {
        raw::method(1, 50, 20, |a| {
            a.u16(0).short(queue).short("amq.topic").short(key).bits(&[nowait]).table(b"")
        })
    };
    for n in 0..bindings {
        let key = format!("site.*.sensor{n}.temperature");
        raw.send(&bind(&format!("q{}", n % 1000), &key, n + 1 < bindings));
    }
    raw.expect(50, 21);
    let mut changes = 0;
    for turn in 0..3 {
        println!(
            "{:.0} messages a second among {bindings} bindings",
            published(broker.amqp(), bindings)
        );
        let began = Instant::now();
        let mut churn = Raw::login(broker.amqp());
        churn.open(1);
        let change = || {
            let (queue, key) = (format!("churn{turn}-{changes}"), format!("site.#.churn{changes}"));
            churn.call(&raw::queue_declare(1, &queue, [false, false, true, false, false]), 50, 11);
            churn.call(&bind(&queue, &key, false), 50, 21);
            let unbind = raw::method(1, 50, 50, |a| a.u16(0).short(&queue).short("amq.topic").short(&key).table(b""));
            churn.call(&unbind, 50, 51);
            churn.call(
                &raw::method(1, 50, 40, |a| a.u16(0).short(&queue).bits(&[false, false, false])),
                50,
                41,
            );
            changes += 1;
            std::thread::sleep(Duration::from_millis(5));
        };
        let rate = beside(change, || published(broker.amqp(), bindings));
        println!(
            "{rate:.0} beside queues and bindings that come and go, {:.0} a second",
            f64::from(std::mem::take(&mut changes)) / began.elapsed().as_secs_f64()
        );
    }
}

//! What much of something costs: a million messages that wait for a time of their own, a hundred thousand queues. Not part of the default run:
//!
//! ```text
//! cargo test --release --test scale -- --ignored --nocapture --test-threads 1
//! ```
//!
//! `STOA_SCALE=n` takes that many messages, and a tenth as many queues. Times and memory are printed, not asserted; docs/performance.md has
//! some. Asserted is what must hold however long it takes: nothing is lost, nothing is early, a kill changes neither.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use support::raw::{self, Event, Raw, Writer};
use support::{Broker, DEADLINE, http};

/// Messages that are published before their confirms are waited for.
const WINDOW: u64 = 10_000;
/// Of so many messages one is watched.
const WATCHED: u64 = 100;

fn scale() -> u64 {
    std::env::var("STOA_SCALE").map_or(1_000_000, |scale| scale.parse().unwrap())
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A number without pattern below `most`, the same in every run.
fn scattered(number: u64, most: u64) -> u64 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) % most
}

fn entry(name: &str, value: &str) -> Vec<u8> {
    Writer::default().short(name).u8(b'S').long(value.as_bytes()).0
}

fn declare_queue(raw: &mut Raw, name: &str, arguments: &[u8]) {
    let durable = [false, true, false, false, false];
    raw.call(
        &raw::method(1, 50, 10, |a| a.u16(0).short(name).bits(&durable).table(arguments)),
        50,
        11,
    );
}

/// A persistent message with one more property: its flag, and its octets before and behind the delivery mode.
fn message(exchange: &str, key: &str, flag: u16, before: &[u8], behind: &[u8], body: &[u8]) -> Vec<u8> {
    let mut header = Writer::default().u16(60).u16(0).u64(body.len() as u64).u16(0x1000 | flag);
    header.0.extend_from_slice(before);
    let mut header = header.u8(2);
    header.0.extend_from_slice(behind);
    let publish = raw::publish(1, exchange, key, &[false, false]);
    [publish, raw::frame(raw::HEADER, 1, &header.0), raw::frame(raw::BODY, 1, body)].concat()
}

/// With a delay for a delayed-message exchange, or with an expiration.
fn timed(exchange: &str, key: &str, ms: u64, body: &[u8]) -> Vec<u8> {
    if exchange.is_empty() {
        let expiration = Writer::default().short(&ms.to_string()).0;
        return message(exchange, key, 0x0100, b"", &expiration, body);
    }
    let headers = Writer::default().short("x-delay").u8(b'l').u64(ms).0;
    let headers = Writer::default().table(&headers).0;
    message(exchange, key, 0x2000, &headers, b"", body)
}

/// Waits until all up to `tag` are confirmed.
fn until_confirmed(raw: &mut Raw, tag: u64) {
    loop {
        let ack = raw.expect(60, 80);
        let mut arguments = ack.arguments();
        if arguments.u64() >= tag {
            return;
        }
    }
}

/// Consumes what comes to `out`, so many messages; each says when it was due, and none was due later than `last`. Gives by how much they were late, sorted.
fn lateness(broker: &Broker, count: u64, last: u64) -> Vec<u64> {
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    raw.call(&raw::consume(1, "out", "c", [false, true, false, false]), 60, 21);
    let mut late = Vec::new();
    while (late.len() as u64) < count {
        match raw.next() {
            Event::Frame(frame) if frame.kind == raw::BODY => {
                let text = String::from_utf8(frame.payload).unwrap();
                let due: u64 = text.split(' ').next().unwrap().parse().unwrap();
                let now = now_ms();
                assert!(now + 1 >= due, "early by {} ms", due - now);
                assert!(due < last, "one that is not due");
                late.push(now - due.min(now));
            }
            Event::Frame(_) => {}
            Event::Silence => assert!(now_ms() < last + DEADLINE.as_millis() as u64, "{} of {count} came", late.len()),
            Event::End => panic!("the broker closed the connection"),
        }
    }
    late.sort_unstable();
    late
}

fn print_lateness(late: &[u64]) {
    let at = |percent: usize| late[(late.len() - 1) * percent / 100];
    println!(
        "{} were late by {} ms (median), {} ms (99 %), {} ms at most",
        late.len(),
        at(50),
        at(99),
        at(100)
    );
}

/// Where messages wait for their time: they go to this exchange with this key, and come out in the queue `out`.
struct Waiting {
    exchange: &'static str,
    key: &'static str,
}

/// Publishes messages with times up to a day ahead, in no order, and looks how a few of them do that are due soon, with a kill in between.
fn wait_for_their_time(broker: &mut Broker, raw: &mut Raw, waiting: &Waiting) {
    let (count, began) = (scale(), Instant::now());
    raw.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
    // The watched ones are among the last, and due when the broker is back.
    let (most, mut soon) = (count / 5 * 4, 0);
    let (mut bytes, mut watched) = (Vec::new(), 0);
    for number in 0..count {
        if number == most {
            soon = now_ms() + 20_000 + began.elapsed().as_millis() as u64;
        }
        let is_watched = number >= most && scattered(number, WATCHED) == 0;
        watched += u64::from(is_watched);
        let due = if is_watched {
            soon + scattered(number, 20_000)
        } else {
            now_ms() + 7_200_000 + scattered(number, 86_400_000)
        };
        let delay = due.saturating_sub(now_ms());
        bytes.extend(timed(
            waiting.exchange,
            waiting.key,
            delay,
            format!("{due} and some octets more").as_bytes(),
        ));
        if (number + 1).is_multiple_of(WINDOW) || number + 1 == count {
            raw.send(&std::mem::take(&mut bytes));
            until_confirmed(raw, number + 1);
        }
    }
    println!(
        "{count} published in {:?}; the broker has {} MiB",
        began.elapsed(),
        broker.process().resident_kib() >> 10
    );
    broker.kill();
    let began = Instant::now();
    broker.restart();
    println!("back in {:?} with {} MiB", began.elapsed(), broker.process().resident_kib() >> 10);
    let back = now_ms();
    let late = lateness(broker, watched, soon + 20_000);
    println!("the first was due {} ms after the broker was back", soon as i64 - back as i64);
    print_lateness(&late);
    println!("the broker has {} MiB", broker.process().resident_kib() >> 10);
}

#[test]
#[ignore = "takes minutes"]
fn delayed_messages_by_the_million() {
    let Some(mut broker) = Broker::own() else { return };
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let arguments = entry("x-delayed-type", "direct");
    let (name, kind, durable) = ("later", "x-delayed-message", [false, true, false, false, false]);
    raw.call(
        &raw::method(1, 40, 10, |a| a.u16(0).short(name).short(kind).bits(&durable).table(&arguments)),
        40,
        11,
    );
    declare_queue(&mut raw, "out", b"");
    raw.call(
        &raw::method(1, 50, 20, |a| {
            a.u16(0).short("out").short(name).short("k").bits(&[false]).table(b"")
        }),
        50,
        21,
    );
    wait_for_their_time(&mut broker, &mut raw, &Waiting { exchange: name, key: "k" });
}

#[test]
#[ignore = "takes minutes"]
fn messages_with_times_to_live_by_the_million() {
    let Some(mut broker) = Broker::own() else { return };
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let arguments = [entry("x-dead-letter-exchange", ""), entry("x-dead-letter-routing-key", "out")].concat();
    declare_queue(&mut raw, "out", b"");
    declare_queue(&mut raw, "mixed", &arguments);
    wait_for_their_time(
        &mut broker,
        &mut raw,
        &Waiting {
            exchange: "",
            key: "mixed",
        },
    );
}

/// Most of a backlog stays, its first message too, and is on disk; a few in it expire, each at its time.
#[test]
#[ignore = "takes a minute"]
fn times_to_live_in_a_backlog_on_disk() {
    let Some(mut broker) = Broker::own_with(&["--memory", "16"]) else {
        return;
    };
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let arguments = [entry("x-dead-letter-exchange", ""), entry("x-dead-letter-routing-key", "out")].concat();
    declare_queue(&mut raw, "out", b"");
    declare_queue(&mut raw, "backlog", &arguments);
    raw.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
    let (count, began, mut watched) = (scale() / 5, now_ms(), 0);
    for first in (0..count).step_by(1000) {
        let mut bytes = Vec::new();
        for number in first..count.min(first + 1000) {
            // The first and those that are not watched stay.
            let due = began + 30_000 + scattered(number, 20_000);
            let body = format!("{due} {}", "x".repeat(1000));
            if number > 0 && scattered(number, WATCHED) == 0 {
                bytes.extend(timed("", "backlog", due.saturating_sub(now_ms()), body.as_bytes()));
                watched += 1;
            } else {
                bytes.extend(message("", "backlog", 0, b"", b"", body.as_bytes()));
            }
        }
        raw.send(&bytes);
        until_confirmed(&mut raw, count.min(first + 1000));
    }
    println!(
        "{count} of 1 KiB published in {} ms; the broker has {} MiB",
        now_ms() - began,
        broker.process().resident_kib() >> 10
    );
    print_lateness(&lateness(&broker, watched, began + 50_000));
    assert_eq!(messages(&broker), Some(count - watched));
}

/// Messages that come back wait before they are delivered again, over a kill too.
#[test]
#[ignore = "takes minutes"]
fn messages_that_wait_for_a_retry_by_the_million() {
    const WAIT_MS: u64 = 60_000;
    let Some(mut broker) = Broker::own() else { return };
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let wait = |name: &str| Writer::default().short(name).u8(b'l').u64(WAIT_MS).0;
    let arguments = [
        entry("x-delayed-retry-type", "all"),
        wait("x-delayed-retry-min"),
        wait("x-delayed-retry-max"),
    ];
    declare_queue(&mut raw, "retried", &arguments.concat());
    raw.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
    let count = scale();
    for first in (0..count).step_by(WINDOW as usize) {
        let end = count.min(first + WINDOW);
        let messages = (first..end).map(|number| message("", "retried", 0, b"", b"", &number.to_be_bytes()));
        raw.send(&messages.collect::<Vec<_>>().concat());
        until_confirmed(&mut raw, end);
    }
    let number_of = |event: Event| match event {
        Event::Frame(frame) if frame.kind == raw::BODY => Some(u64::from_be_bytes(frame.payload.try_into().unwrap())),
        Event::Frame(_) => None,
        other => panic!("{other:?}"),
    };
    raw.call(&raw::consume(1, "retried", "c", [false, false, false, false]), 60, 21);
    let (mut returned, mut tag) = (vec![0; count as usize], 0);
    while tag < count {
        let Some(number) = number_of(raw.next()) else { continue };
        tag += 1;
        returned[number as usize] = now_ms();
        // One by one, so that hardly any two wait for the same time.
        raw.send(&raw::method(1, 60, 120, |a| a.u64(tag).bits(&[false, true])));
    }
    println!("{count} came back; the broker has {} MiB", broker.process().resident_kib() >> 10);
    // The commit of what came back is one that nobody waits for: a declaration's comes after it.
    declare_queue(&mut raw, "later", b"");
    broker.kill();
    broker.restart();
    println!("back with {} MiB", broker.process().resident_kib() >> 10);
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    raw.call(&raw::consume(1, "retried", "c", [false, true, false, false]), 60, 21);
    let mut late = Vec::new();
    while (late.len() as u64) < count {
        let event = raw.next();
        if event == Event::Silence && now_ms() < returned[count as usize - 1] + WAIT_MS {
            continue;
        }
        let Some(number) = number_of(event) else { continue };
        let (now, due) = (now_ms(), returned[number as usize] + WAIT_MS);
        assert!(now + 1 >= due, "early by {} ms", due - now);
        late.push(now - due.min(now));
    }
    late.sort_unstable();
    print_lateness(&late);
}

fn messages(broker: &Broker) -> Option<u64> {
    http::json(broker.http(), "/api/overview")
        .pointer("/queue_totals/messages")?
        .as_u64()
}

/// How long a page of the list of queues takes; not asked of a debug build, which takes longer than an HTTP client waits.
fn listed(broker: &Broker) -> Duration {
    let began = Instant::now();
    if cfg!(debug_assertions) {
        return Duration::ZERO;
    }
    http::json(broker.http(), "/api/queues?page=2&page_size=100");
    began.elapsed()
}

#[test]
#[ignore = "takes a minute"]
fn queues_by_the_hundred_thousand() {
    let Some(mut broker) = Broker::own() else { return };
    let count = scale() / 10;
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let began = Instant::now();
    // Durable, and without an answer each; the last is answered when all are durable.
    let (declared, answered) = ([false, true, false, false, true], [false, true, false, false, false]);
    for first in (0..count).step_by(1000) {
        let queues = (first..count.min(first + 1000)).map(|n| raw::queue_declare(1, &format!("q{n}"), declared));
        raw.send(&queues.collect::<Vec<_>>().concat());
        raw.call(&raw::queue_declare(1, "last", answered), 50, 11);
    }
    println!(
        "{count} queues declared in {:?}; the broker has {} MiB",
        began.elapsed(),
        broker.process().resident_kib() >> 10
    );
    let began = Instant::now();
    raw.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
    for first in (0..count).step_by(1000) {
        let end = count.min(first + 1000);
        let messages = (first..end).map(|n| message("", &format!("q{n}"), 0, b"", b"", b"the message"));
        raw.send(&messages.collect::<Vec<_>>().concat());
        until_confirmed(&mut raw, end);
    }
    println!(
        "a message to each in {:?}; a page of the list in {:?}",
        began.elapsed(),
        listed(&broker)
    );
    assert_eq!(messages(&broker), Some(count));
    broker.kill();
    for what in ["a kill", "another"] {
        let began = Instant::now();
        broker.restart();
        let mut raw = Raw::login(broker.amqp());
        raw.open(1);
        println!(
            "back after {what} in {:?} with {} MiB; a page of the list in {:?}",
            began.elapsed(),
            broker.process().resident_kib() >> 10,
            listed(&broker)
        );
        assert_eq!(messages(&broker), Some(count));
        broker.kill();
    }
    broker.restart();
    let began = Instant::now();
    broker.process().terminate();
    println!("stopped in good order in {:?}", began.elapsed());
    let began = Instant::now();
    broker.restart();
    println!("back after that in {:?}", began.elapsed());
    assert_eq!(messages(&broker), Some(count));
}

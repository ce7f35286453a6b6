//! The life of connections and channels: login, heartbeats, frames in pieces, the ways to close.

use std::time::Instant;

use crate::support::raw::{self, BODY, Event, Frame, HEADER, HEARTBEAT, Raw, Writer};
use crate::support::{Broker, DEADLINE, unique};

#[test]
fn the_broker_says_what_it_can() {
    let broker = Broker::shared();
    let start = Raw::product(broker.amqp());
    for word in ["product", "version", "PLAIN", "en_US"] {
        assert!(start.contains(word), "no {word} in connection.start");
    }
    for capability in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "authentication_failure_close",
        "per_consumer_qos",
        "consumer_priorities",
        "direct_reply_to",
        "connection.blocked",
    ] {
        assert!(start.contains(capability), "no {capability} among the capabilities");
    }
}

#[test]
fn heartbeats_come_and_keep_a_connection_open_and_silence_ends_it() {
    let broker = Broker::shared();
    let mut raw = Raw::connect(broker.amqp());
    raw.send(raw::PROTOCOL_HEADER);
    raw.expect(10, 10);
    raw.send(&raw::start_ok("PLAIN", b"\0guest\0guest", true));
    raw.expect(10, 30);
    raw.send(&raw::tune_ok(2047, 131_072, 1));
    raw.send(&raw::connection_open("/"));
    raw.expect(10, 41);
    let heartbeat = Frame {
        kind: HEARTBEAT,
        channel: 0,
        payload: Vec::new(),
    };
    for _ in 0..5 {
        assert_eq!(raw.next_or_heartbeat(), Event::Frame(heartbeat.clone()));
        raw.send(&raw::frame(HEARTBEAT, 0, b""));
    }
    let silent_since = Instant::now();
    loop {
        match raw.next_or_heartbeat() {
            Event::Frame(frame) => assert_eq!(frame, heartbeat),
            Event::End => break,
            Event::Silence => panic!("neither heartbeats nor an end"),
        }
        assert!(silent_since.elapsed() < DEADLINE, "a silent client is kept");
    }
}

#[test]
fn any_frame_counts_as_a_heartbeat() {
    let broker = Broker::shared();
    let mut raw = Raw::connect(broker.amqp());
    raw.send(raw::PROTOCOL_HEADER);
    raw.expect(10, 10);
    raw.send(&raw::start_ok("PLAIN", b"\0guest\0guest", true));
    raw.expect(10, 30);
    raw.send(&raw::tune_ok(2047, 131_072, 1));
    raw.send(&raw::connection_open("/"));
    raw.expect(10, 41);
    raw.open(1);
    for _ in 0..4 {
        while !matches!(raw.next_or_heartbeat(), Event::Frame(Frame { kind: HEARTBEAT, .. })) {}
        raw.call(&raw::method(1, 60, 10, |a| a.u32(0).u16(0).u8(0)), 60, 11);
    }
}

#[test]
fn octets_may_come_one_by_one_or_all_at_once() {
    let broker = Broker::shared();
    let queue = unique("pieces");
    let mut session = raw::PROTOCOL_HEADER.to_vec();
    for part in [
        raw::start_ok("PLAIN", b"\0guest\0guest", true),
        raw::tune_ok(2047, 131_072, 0),
        raw::connection_open("/"),
        raw::method(1, 20, 10, |a| a.short("")),
        raw::queue_declare(1, &queue, [false; 5]),
        raw::publish(1, "", &queue, &[false, false]),
        raw::header(1, 6),
        raw::frame(BODY, 1, b"abc"),
        raw::frame(HEARTBEAT, 0, b""),
        raw::frame(BODY, 1, b"def"),
        raw::method(1, 60, 70, |a| a.u16(0).short(&queue).u8(1)),
    ] {
        session.extend(part);
    }
    for size in [1, 7, session.len()] {
        let mut raw = Raw::connect(broker.amqp());
        for piece in session.chunks(size) {
            raw.send(piece);
        }
        for (class, method) in [(10, 10), (10, 30), (10, 41), (20, 11), (50, 11), (60, 71)] {
            raw.expect(class, method);
        }
        assert!(matches!(raw.next(), Event::Frame(Frame { kind: HEADER, .. })));
        assert_eq!(
            raw.next(),
            Event::Frame(Frame {
                kind: BODY,
                channel: 1,
                payload: b"abcdef".to_vec()
            }),
            "in pieces of {size}"
        );
    }
}

#[test]
fn contents_of_several_channels_may_be_interleaved() {
    let broker = Broker::shared();
    let mut raw = Raw::login(broker.amqp());
    let queue = unique("interleaved");
    raw.open(1);
    raw.open(2);
    raw.call(&raw::queue_declare(1, &queue, [false; 5]), 50, 11);
    raw.send(&raw::publish(1, "", &queue, &[false, false]));
    raw.send(&raw::publish(2, "", &queue, &[false, false]));
    raw.send(&raw::header(2, 4));
    raw.send(&raw::header(1, 4));
    raw.send(&raw::frame(BODY, 1, b"on"));
    raw.send(&raw::frame(BODY, 2, b"tw"));
    raw.send(&raw::frame(BODY, 2, b"o."));
    raw.call(&raw::method(2, 60, 10, |a| a.u32(0).u16(0).u8(0)), 60, 11);
    raw.send(&raw::frame(BODY, 1, b"e."));
    for expected in [b"two.", b"one."] {
        raw.call(&raw::method(1, 60, 70, |a| a.u16(0).short(&queue).u8(1)), 60, 71);
        assert!(matches!(raw.next(), Event::Frame(Frame { kind: HEADER, .. })));
        assert_eq!(
            raw.next(),
            Event::Frame(Frame {
                kind: BODY,
                channel: 1,
                payload: expected.to_vec()
            })
        );
    }
}

#[test]
fn the_broker_keeps_to_the_clients_frame_max() {
    let broker = Broker::shared();
    let mut raw = Raw::login_tuned(broker.amqp(), Some(4096));
    raw.open(1);
    let queue = unique("small-frames");
    raw.call(&raw::queue_declare(1, &queue, [false; 5]), 50, 11);
    let body: Vec<u8> = (0..20_000_u32).map(|at| (at % 251) as u8).collect();
    raw.send(&raw::publish(1, "", &queue, &[false, false]));
    raw.send(&raw::header(1, body.len() as u64));
    for piece in body.chunks(1000) {
        raw.send(&raw::frame(BODY, 1, piece));
    }
    raw.call(&raw::consume(1, &queue, "c", [false, true, false, false]), 60, 21);
    raw.expect(60, 60);
    assert!(matches!(raw.next(), Event::Frame(Frame { kind: HEADER, .. })));
    let mut got = Vec::new();
    while got.len() < body.len() {
        let Event::Frame(Frame { kind: BODY, payload, .. }) = raw.next() else {
            panic!("expected a body")
        };
        assert!(payload.len() + 8 <= 4096, "a frame of {} octets", payload.len() + 8);
        got.extend(payload);
    }
    assert!(got == body);
}

#[test]
fn closing_is_answered() {
    let broker = Broker::shared();
    let mut raw = Raw::login(broker.amqp());
    for _ in 0..3 {
        raw.open(1);
        raw.call(&raw::queue_declare(1, "", [false, false, true, false, false]), 50, 11);
        raw.call(&raw::method(1, 20, 40, |a| a.u16(200).short("bye").u16(0).u16(0)), 20, 41);
    }
    raw.open(2);
    raw.call(&raw::method(0, 10, 50, |a| a.u16(200).short("bye").u16(0).u16(0)), 10, 51);
}

#[test]
fn after_a_channel_error_only_close_ok_is_heard() {
    let broker = Broker::shared();
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let queue = unique("unheard");
    raw.send(&raw::queue_declare(1, "missing", [true, false, false, false, false]));
    raw.send(&raw::queue_declare(1, &queue, [false; 5]));
    raw.send(&raw::publish(1, "", &queue, &[false, false]));
    raw.send(&raw::header(1, 2));
    raw.send(&raw::frame(BODY, 1, b"xy"));
    raw.expect(20, 40);
    raw.send(&raw::method(1, 20, 41, |a| a));
    raw.open(1);
    raw.send(&raw::queue_declare(1, &queue, [true, false, false, false, false]));
    assert_eq!(raw.expect(20, 40).arguments().u16(), 404);
}

#[test]
fn no_wait_is_not_answered() {
    let broker = Broker::shared();
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let (queue, exchange) = (unique("silent"), unique("silent"));
    raw.send(&raw::queue_declare(1, &queue, [false, false, false, false, true]));
    raw.send(&raw::exchange_declare(1, &exchange, "fanout", [false, false, false, false, true]));
    raw.send(&raw::method(1, 50, 20, |a| {
        a.u16(0).short(&queue).short(&exchange).short("").u8(1).table(b"")
    }));
    raw.send(&raw::publish(1, &exchange, "", &[false, false]));
    raw.send(&raw::header(1, 0));
    raw.send(&raw::consume(1, &queue, "tag", [false, true, false, true]));
    let delivery = raw.expect(60, 60);
    assert_eq!(delivery.arguments().short(), "tag");
    assert!(matches!(raw.next(), Event::Frame(Frame { kind: HEADER, .. })));
    raw.send(&raw::method(1, 60, 30, |a| a.short("tag").bits(&[true])));
    raw.send(&raw::method(1, 40, 20, |a| a.short("").short("").u8(0)));
    raw.expect(10, 50);
}

#[test]
fn amqplain_logs_in_too() {
    let broker = Broker::shared();
    let mut raw = Raw::connect(broker.amqp());
    raw.send(raw::PROTOCOL_HEADER);
    raw.expect(10, 10);
    let credentials = Writer::default()
        .short("LOGIN")
        .u8(b'S')
        .long(b"guest")
        .short("PASSWORD")
        .u8(b'S')
        .long(b"guest")
        .0;
    raw.send(&raw::start_ok("AMQPLAIN", &credentials, true));
    raw.expect(10, 30);
}

#[test]
fn close_ok_is_found_behind_a_frame_that_was_too_large() {
    let broker = Broker::shared();
    let mut raw = Raw::login_tuned(broker.amqp(), Some(4096));
    raw.open(1);
    let start = Instant::now();
    raw.send(&raw::frame(BODY, 1, &[0; 100_000]));
    raw.expect(10, 50);
    // the rest of a frame that nobody reads to its end, and behind it the answer
    raw.send(&[0xCE; 100_000]);
    raw.send(&raw::method(0, 10, 51, |a| a));
    assert!(raw.ends(), "the socket stays open after connection.close-ok");
    if !Raw::is_rabbitmq(broker.amqp()) {
        assert!(
            start.elapsed().as_secs() < 4,
            "close-ok was missed: the socket was closed after {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_close_that_crosses_the_brokers_own_is_answered_and_the_channel_opens_again() {
    let broker = Broker::shared();
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    raw.send(&raw::queue_declare(1, &unique("none"), [true, false, false, false, false]));
    raw.send(&raw::method(1, 20, 40, |a| a.u16(200).short("").u16(0).u16(0)));
    raw.expect(20, 40);
    raw.expect(20, 41);
    // what comes before the answer to the broker's close is dropped
    raw.send(&raw::queue_declare(1, "", [false; 5]));
    raw.send(&raw::method(1, 20, 41, |a| a));
    raw.open(1);
    raw.call(&raw::queue_declare(1, "", [false, false, true, false, false]), 50, 11);
}

/// Clients with several threads send several; and whoever has the answer may rely on the connection's queues being gone.
#[test]
fn every_close_is_answered_after_the_exclusive_queues_are_deleted() {
    let address = Broker::shared().amqp();
    let queue = unique("exclusive");
    let declare = raw::queue_declare(1, &queue, [false, false, true, false, false]);
    let mut leaving = Raw::login(address);
    leaving.open(1);
    leaving.call(&declare, 50, 11);
    let close = raw::method(0, 10, 50, |a| a.u16(200).short("bye").u16(0).u16(0));
    leaving.send(&[close.clone(), close].concat());
    leaving.expect(10, 51);
    // the one that leaves has not closed its socket yet
    let mut next = Raw::login(address);
    next.open(1);
    next.call(&declare, 50, 11);
    leaving.expect(10, 51);
}

/// The same where it is the broker that closes: the queues are gone when it says so.
#[test]
fn an_exception_deletes_exclusive_queues_before_it_is_told() {
    let address = Broker::shared().amqp();
    let queue = unique("exclusive");
    let declare = raw::queue_declare(1, &queue, [false, false, true, false, false]);
    let mut failing = Raw::login(address);
    failing.open(1);
    failing.call(&declare, 50, 11);
    failing.call(
        &raw::method(2, 50, 10, |a| a.u16(0).short("x").bits(&[false; 5]).table(b"")),
        10,
        50,
    );
    let mut next = Raw::login(address);
    next.open(1);
    next.call(&declare, 50, 11);
}

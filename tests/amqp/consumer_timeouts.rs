//! Consumers that hold a message for too long lose their channel. RabbitMQ has the argument for queues of the type quorum in version 4, and looks
//! once a minute: these tests are for a broker of our own.

use crate::support::raw::{self, Event, HEADER, Raw, Writer};
use crate::support::{Broker, unique};

fn timeout(ms: u32) -> Vec<u8> {
    Writer::default().short("x-consumer-timeout").u8(b'I').u32(ms).0
}

fn declare(raw: &mut Raw, queue: &str, arguments: &[u8]) {
    let declare = raw::method(1, 50, 10, |a| a.u16(0).short(queue).bits(&[false; 5]).table(arguments));
    raw.call(&declare, 50, 11);
}

fn publish(raw: &mut Raw, queue: &str) {
    raw.send(&raw::publish(1, "", queue, &[false, false]));
    raw.send(&raw::header(1, 0));
}

fn consume(raw: &mut Raw, channel: u16, queue: &str, arguments: &[u8]) {
    let consume = raw::method(channel, 60, 20, |a| {
        a.u16(0).short(queue).short("tag").bits(&[false; 4]).table(arguments)
    });
    raw.call(&consume, 60, 21);
    raw.expect(60, 60);
    assert!(matches!(raw.next(), Event::Frame(frame) if frame.kind == HEADER));
}

/// The next frame closes this channel, as RabbitMQ says it.
fn expect_timeout(raw: &mut Raw, channel: u16, ms: u32) {
    let closed = raw.expect(20, 40);
    let mut arguments = closed.arguments();
    assert_eq!((closed.channel, arguments.u16()), (channel, 406));
    let text = format!(
        "PRECONDITION_FAILED - delivery acknowledgement on channel {channel} timed out. Timeout value used: {ms} ms. This timeout value can be \
         configured, see consumers doc guide to learn more"
    );
    assert_eq!((arguments.short(), arguments.u16(), arguments.u16()), (text, 0, 0));
}

#[test]
fn what_is_held_too_long_goes_back_and_the_channel_is_closed() {
    let Some(broker) = Broker::own() else { return };
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let queue = unique("held");
    declare(&mut raw, &queue, &timeout(200));
    publish(&mut raw, &queue);
    for channel in [2, 3] {
        raw.open(channel);
        if channel == 2 {
            consume(&mut raw, channel, &queue, b"");
        } else {
            // Without a consumer the same holds.
            raw.call(&raw::method(channel, 60, 70, |a| a.u16(0).short(&queue).u8(0)), 60, 71);
            raw.next();
        }
        expect_timeout(&mut raw, channel, 200);
        raw.send(&raw::method(channel, 20, 41, |a| a));
    }
    let got = raw.call(&raw::method(1, 60, 70, |a| a.u16(0).short(&queue).u8(1)), 60, 71);
    let mut arguments = got.arguments();
    assert_eq!((arguments.u64(), arguments.u8()), (1, 1), "it came back, as redelivered");
}

#[test]
fn a_consumer_may_have_a_timeout_of_its_own() {
    let Some(broker) = Broker::own_with(&["--set", "limits.consumer_timeout=1s"]) else {
        return;
    };
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let (usual, patient) = (unique("usual"), unique("patient"));
    declare(&mut raw, &usual, b"");
    declare(&mut raw, &patient, &timeout(3_600_000));
    for queue in [&usual, &patient, &usual, &patient] {
        publish(&mut raw, queue);
    }
    for (channel, queue, arguments) in [
        (2, &patient, timeout(300)),
        (3, &usual, Vec::new()),
        (4, &usual, timeout(0)),
        (5, &patient, Vec::new()),
    ] {
        raw.open(channel);
        raw.send(&raw::method(channel, 60, 10, |a| a.u32(0).u16(1).bits(&[false])));
        raw.expect(60, 11);
        consume(&mut raw, channel, queue, &arguments);
    }
    let mut closed = Vec::new();
    while closed.len() < 2 {
        match raw.next() {
            Event::Frame(frame) if frame.method() == Some((20, 40)) => closed.push(frame.channel),
            Event::Frame(_) => {}
            other => panic!("expected channel.close, got {other:?}"),
        }
    }
    closed.sort_unstable();
    assert_eq!(closed, [2, 3]);
    for channel in [4, 5] {
        raw.send(&raw::method(channel, 60, 80, |a| a.u64(1).bits(&[false])));
        raw.send(&raw::method(channel, 60, 10, |a| a.u32(0).u16(1).bits(&[false])));
    }
    let mut alive = Vec::new();
    while alive.len() < 2 {
        match raw.next() {
            Event::Frame(frame) if frame.method() == Some((60, 11)) => alive.push(frame.channel),
            Event::Frame(frame) if frame.method() == Some((20, 40)) => panic!("channel {} was closed too", frame.channel),
            Event::Frame(_) => {}
            other => panic!("expected basic.qos-ok, got {other:?}"),
        }
    }
}

//! Sequences that are odd but allowed, or nearly: what a channel does when methods come pipelined, without waiting, or where nobody expects them.

use crate::peer::{Peer, table};
use crate::support::raw::{self, Writer};
use crate::{case, check};

/// A queue with so many messages, whose bodies are their numbers from 0.
fn filled(p: &mut Peer, count: u32) {
    p.queue("$q", table());
    for number in 0..count {
        p.publish("", "$q", &number.to_string());
    }
    p.settle("$q", count);
}

/// `basic.publish` to the default exchange, and the frames of its content as they are given.
fn content(p: &mut Peer, size: u64, bodies: &[&[u8]]) {
    let queue = p.name("$q");
    p.raw.send(&raw::publish(1, "", &queue, &[false, false]));
    p.raw.send(&raw::header(1, size));
    for body in bodies {
        p.raw.send(&raw::frame(raw::BODY, 1, body));
    }
}

#[test]
fn contents() {
    check(&[
        case(
            "bodies without an octet, in empty frames, and octet by octet",
            |p| {
                p.queue("$q", table());
                content(p, 0, &[]);
                content(p, 3, &[b"", b"a", b"", b"bc"]);
                content(p, 5, &[b"h", b"e", b"l", b"l", b"o"]);
                for _ in 0..4 {
                    p.get("$q", true);
                }
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$q' left 2 body ''",
                "get-ok 2 redelivered 0 exchange '' key '$q' left 1 body 'abc'",
                "get-ok 3 redelivered 0 exchange '' key '$q' left 0 body 'hello'",
                "get-empty",
            ],
        ),
        case(
            "messages on two channels whose frames are mixed, with heartbeats between them",
            |p| {
                p.queue("$q", table());
                p.queue("$d", table());
                p.raw.open(2);
                for (channel, queue) in [(1, p.name("$q")), (2, p.name("$d"))] {
                    p.raw.send(&raw::publish(channel, "", &queue, &[false, false]));
                }
                for channel in [2, 1] {
                    p.raw.send(&raw::header(channel, 4));
                    p.raw.send(&raw::frame(raw::HEARTBEAT, 0, b""));
                }
                for (channel, body) in [(1, b"on"), (2, b"tw"), (2, b"o."), (1, b"e.")] {
                    p.raw.send(&raw::frame(raw::BODY, channel, body));
                }
                p.settle("$q", 1);
                p.settle("$d", 1);
                p.get("$q", true);
                p.get("$d", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$q' left 0 body 'one.'",
                "get-ok 2 redelivered 0 exchange '' key '$d' left 0 body 'two.'",
            ],
        ),
        case(
            "what is wrong with the exchange comes before what is wrong with the message",
            |p| {
                let expiration = Writer::default().short("soon");
                p.publish_with("$x", "k", "", false, 0x0100, expiration);
                p.see(1);
            },
            &["channel.close 404 NOT_FOUND - no exchange '$x' in vhost '/' 60.40"],
        ),
        case(
            "a delivery mode that is neither 1 nor 2",
            |p| {
                p.queue("$q", table());
                p.publish_with("", "$q", "", false, 0x1000, Writer::default().u8(3));
                p.get("$q", true);
            },
            &["get-ok 1 redelivered 0 exchange '' key '$q' left 0 delivery-mode 3 body ''"],
        )
        .but_rabbitmq(
            "before 3.13; since then it is taken for transient, as here",
            &["channel.close 406 PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,3} 60.40"],
        ),
    ]);
}

#[test]
fn methods() {
    check(&[
        case(
            "everything that can be asked for without an answer",
            |p| {
                let [q, x, y] = ["$q", "$x", "$y"].map(|name| p.name(name));
                p.raw.send(&raw::queue_declare(1, &q, [false, false, false, false, true]));
                for exchange in [&x, &y] {
                    p.raw
                        .send(&raw::exchange_declare(1, exchange, "fanout", [false, false, false, false, true]));
                }
                let bind = |class, method, to: &str, from: &str| {
                    raw::method(1, class, method, |a| a.u16(0).short(to).short(from).short("").u8(1).table(b""))
                };
                p.raw.send(&bind(50, 20, &q, &x));
                p.raw.send(&bind(40, 30, &x, &y));
                p.publish("$y", "", "1");
                p.settle("$q", 1);
                p.raw.send(&raw::consume(1, &q, "t", [false, false, false, true]));
                p.see(1);
                p.raw.send(&raw::method(1, 60, 30, |a| a.short("t").u8(1)));
                p.raw.send(&bind(40, 40, &x, &y));
                p.raw.send(&raw::method(1, 85, 10, |a| a.u8(1)));
                p.publish("$x", "", "2");
                p.see(1);
                p.counts("$q");
                p.raw.send(&raw::method(1, 50, 30, |a| a.u16(0).short(&q).u8(1)));
                p.counts("$q");
                p.raw.send(&raw::method(1, 40, 20, |a| a.u16(0).short(&x).bits(&[false, true])));
                p.raw.send(&raw::method(1, 40, 20, |a| a.u16(0).short(&y).bits(&[false, true])));
                p.raw
                    .send(&raw::method(1, 50, 40, |a| a.u16(0).short(&q).bits(&[false, false, true])));
                p.counts("$q");
            },
            &[
                "deliver t 1 redelivered 0 exchange '$y' key '' body '1'",
                "ack 1",
                "declare-ok $q messages 1 consumers 0",
                "declare-ok $q messages 0 consumers 0",
                "channel.close 404 NOT_FOUND - no queue '$q' in vhost '/' 50.10",
            ],
        ),
        case(
            "a ticket, as clients of AMQP 0-8 ask for it",
            |p| p.call(&raw::method(1, 30, 10, |a| a.short("/data").u8(0x1f))),
            &["30.11"],
        ),
        case(
            "close-ok that nobody waits for",
            |p| p.call(&raw::method(1, 20, 41, |a| a)),
            &["connection.close 503 COMMAND_INVALID - channel.close-ok does not belong here"],
        )
        .but_rabbitmq(
            "it has one text for all such methods",
            &["connection.close 503 COMMAND_INVALID - unimplemented method"],
        ),
        case(
            "a client that says it is blocked",
            |p| p.call(&raw::method(0, 10, 60, |a| a.short("I am"))),
            &["connection.close 504 CHANNEL_ERROR - connection.blocked does not belong on channel 0 of an open connection"],
        )
        .but_rabbitmq(
            "it has one text for all such methods",
            &["connection.close 504 CHANNEL_ERROR - unexpected method in connection state running"],
        ),
        case(
            "a passive declaration without a name, which stands for no queue",
            |p| {
                p.queue("$q", table());
                p.counts("");
            },
            &["channel.close 404 NOT_FOUND - no queue '' in vhost '/' 50.10"],
        ),
        case(
            "what was published after a mistake, before its close was answered, is lost; the channel can be used again",
            |p| {
                p.queue("$q", table());
                let nobody = p.name("$d");
                p.raw.send(&raw::queue_declare(1, &nobody, [true, false, false, false, false]));
                content(p, 4, &[b"lost"]);
                p.see(1);
                p.raw.send(&raw::method(1, 20, 41, |a| a));
                p.call(&raw::method(1, 20, 10, |a| a.short("")));
                content(p, 2, &[b"in"]);
                p.get("$q", true);
            },
            &[
                "channel.close 404 NOT_FOUND - no queue '$d' in vhost '/' 50.10",
                "20.11",
                "get-ok 1 redelivered 0 exchange '' key '$q' left 0 body 'in'",
            ],
        ),
    ]);
}

#[test]
fn consumers() {
    check(&[
        case(
            "recovery is answered, then everything comes again",
            |p| {
                filled(p, 3);
                p.qos(2, false);
                p.consume("$q", "t", false, table());
                p.see(2);
                p.call(&raw::method(1, 60, 110, |a| a.u8(1)));
                p.see(2);
                p.ack(4, true);
                p.see(1);
            },
            &[
                "consume-ok t",
                "deliver t 1 redelivered 0 exchange '' key '$q' body '0'",
                "deliver t 2 redelivered 0 exchange '' key '$q' body '1'",
                "60.111",
                "deliver t 3 redelivered 1 exchange '' key '$q' body '0'",
                "deliver t 4 redelivered 1 exchange '' key '$q' body '1'",
                "deliver t 5 redelivered 0 exchange '' key '$q' body '2'",
            ],
        ),
        case(
            "a consumer that is cancelled keeps what it has",
            |p| {
                filled(p, 5);
                p.qos(3, false);
                p.consume("$q", "t", false, table());
                p.see(3);
                p.call(&raw::method(1, 60, 30, |a| a.short("t").u8(0)));
                p.ack(2, false);
                p.ack(1, false);
                p.nack(3, false, true);
                p.settle("$q", 3);
                p.consume("$q", "u", false, table());
                p.see(3);
            },
            &[
                "consume-ok t",
                "deliver t 1 redelivered 0 exchange '' key '$q' body '0'",
                "deliver t 2 redelivered 0 exchange '' key '$q' body '1'",
                "deliver t 3 redelivered 0 exchange '' key '$q' body '2'",
                "cancel-ok t",
                "consume-ok u",
                "deliver u 4 redelivered 1 exchange '' key '$q' body '2'",
                "deliver u 5 redelivered 0 exchange '' key '$q' body '3'",
                "deliver u 6 redelivered 0 exchange '' key '$q' body '4'",
            ],
        ),
        case(
            "consumers that come and go without waiting",
            |p| {
                p.queue("$q", table());
                let queue = p.name("$q");
                let tags: Vec<_> = (0..50).map(|number| format!("t{number}")).collect();
                // RabbitMQ's channel breaks (541) when one is cancelled whose consume-ok is still on its way
                for tag in &tags {
                    p.raw.send(&raw::consume(1, &queue, tag, [false; 4]));
                }
                for _ in &tags {
                    p.raw.expect(60, 21);
                }
                for tag in &tags {
                    p.raw.send(&raw::method(1, 60, 30, |a| a.short(tag).u8(0)));
                }
                for _ in &tags {
                    p.raw.expect(60, 31);
                }
                p.publish("", "$q", "nobody's");
                p.settle("$q", 1);
                p.counts("$q");
            },
            &["declare-ok $q messages 1 consumers 0"],
        ),
        case(
            "nothing is delivered after close-ok",
            |p| {
                filled(p, 50);
                let queue = p.name("$q");
                p.raw.send(&raw::consume(1, &queue, "t", [false; 4]));
                p.raw.send(&raw::method(1, 20, 40, |a| a.u16(200).short("").u16(0).u16(0)));
                while !matches!(p.raw.next(), raw::Event::Frame(frame) if frame.method() == Some((20, 41))) {}
                p.call(&raw::method(1, 20, 10, |a| a.short("")));
                p.settle("$q", 50);
                p.counts("$q");
            },
            &["20.11", "declare-ok $q messages 50 consumers 0"],
        ),
        case(
            "limits of each consumer and of the channel at once",
            |p| {
                filled(p, 8);
                p.qos(2, false);
                p.qos(3, true);
                p.consume("$q", "a", false, table());
                p.see(2);
                p.consume("$q", "b", false, table());
                p.see(1);
                p.ack(1, false);
                p.see(1);
                p.ack(3, false);
                p.see(1);
            },
            &[
                "consume-ok a",
                "deliver a 1 redelivered 0 exchange '' key '$q' body '0'",
                "deliver a 2 redelivered 0 exchange '' key '$q' body '1'",
                "consume-ok b",
                "deliver b 3 redelivered 0 exchange '' key '$q' body '2'",
                "deliver a 4 redelivered 0 exchange '' key '$q' body '3'",
                "deliver b 5 redelivered 0 exchange '' key '$q' body '4'",
            ],
        ),
        case(
            "a limit of each consumer that is set after the channel's",
            |p| {
                filled(p, 8);
                p.qos(3, true);
                p.qos(2, false);
                p.consume("$q", "a", false, table());
                p.consume("$q", "b", false, table());
                p.see(3);
                p.ack(1, false);
                p.see(1);
            },
            &[
                "consume-ok a",
                "deliver a 1 redelivered 0 exchange '' key '$q' body '0'",
                "deliver a 2 redelivered 0 exchange '' key '$q' body '1'",
                "consume-ok b",
                "deliver b 3 redelivered 0 exchange '' key '$q' body '2'",
                "deliver a 4 redelivered 0 exchange '' key '$q' body '3'",
            ],
        )
        .but_rabbitmq(
            "it forgets the channel's limit, which its documentation does not say",
            &[
                "consume-ok a",
                "deliver a 1 redelivered 0 exchange '' key '$q' body '0'",
                "deliver a 2 redelivered 0 exchange '' key '$q' body '1'",
                "consume-ok b",
                "deliver b 3 redelivered 0 exchange '' key '$q' body '2'",
                "deliver b 4 redelivered 0 exchange '' key '$q' body '3'",
            ],
        ),
    ]);
}

//! Declaring, getting, consuming, settling.

use crate::peer::table;
use crate::support::raw::{self, Writer};
use crate::{case, check};

#[test]
fn declarations_and_counts() {
    check(&[
        case(
            "counts of a new queue, and of one with messages and a consumer",
            |p| {
                let q = p.name("$q");
                p.call(&raw::queue_declare(1, &q, [false; 5]));
                p.publish("", "$q", "one");
                p.publish("", "$q", "two");
                p.settle("$q", 2);
                p.call(&raw::queue_declare(1, &q, [false; 5]));
                p.get("$q", false);
                p.counts("$q");
                p.qos(1, false);
                p.consume("$q", "c", false, table());
                p.see(1);
                p.counts("$q");
                p.call(&raw::method(1, 50, 30, |a| a.u16(0).short(&q).u8(0)));
                p.call(&raw::method(1, 50, 40, |a| a.u16(0).short(&q).bits(&[false, false, false])));
            },
            &[
                "declare-ok $q messages 0 consumers 0",
                "declare-ok $q messages 2 consumers 0",
                "get-ok 1 redelivered 0 exchange '' key '$q' left 1 body 'one'",
                "declare-ok $q messages 1 consumers 0",
                "consume-ok c",
                "deliver c 2 redelivered 0 exchange '' key '$q' body 'two'",
                "declare-ok $q messages 0 consumers 1",
                "purge-ok 0",
                "delete-ok 0",
            ],
        ),
        case(
            "deleting a queue counts what was ready",
            |p| {
                p.queue("$q", table());
                for body in ["1", "2", "3"] {
                    p.publish("", "$q", body);
                }
                p.settle("$q", 3);
                p.get("$q", false);
                let q = p.name("$q");
                p.call(&raw::method(1, 50, 40, |a| a.u16(0).short(&q).bits(&[false, false, false])));
                p.call(&raw::method(1, 50, 40, |a| a.u16(0).short(&q).bits(&[false, false, false])));
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$q' left 2 body '1'",
                "delete-ok 2",
                "delete-ok 0",
            ],
        ),
        case(
            "an exclusive queue is never durable",
            |p| {
                let q = p.name("$q");
                p.call(&raw::queue_declare(1, &q, [false, true, true, false, false]));
                p.call(&raw::queue_declare(1, &q, [false, false, true, false, false]));
            },
            &["declare-ok $q messages 0 consumers 0", "declare-ok $q messages 0 consumers 0"],
        ),
        case(
            "an auto-delete queue goes with its last consumer",
            |p| {
                let q = p.name("$q");
                p.call(&raw::queue_declare(1, &q, [false, false, false, true, false]));
                p.consume("$q", "c", true, table());
                p.call(&raw::method(1, 60, 30, |a| a.short("c").u8(0)));
                p.counts("$q");
            },
            &[
                "declare-ok $q messages 0 consumers 0",
                "consume-ok c",
                "cancel-ok c",
                "channel.close 404 NOT_FOUND - no queue '$q' in vhost '/' 50.10",
            ],
        ),
        case(
            "a wrong argument, and one that nobody knows",
            |p| {
                let q = p.name("$q");
                let declare = |arguments: Writer| raw::method(1, 50, 10, |a| a.u16(0).short(&q).bits(&[false; 5]).table(&arguments.0));
                p.call(&declare(table().text("x-unheard-of", "anything")));
                p.raw.send(&declare(table().text("x-message-ttl", "soon")));
                p.see(1);
            },
            &[
                "declare-ok $q messages 0 consumers 0",
                "channel.close 406 PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue '$q' in vhost '/': received the value 'soon' of type 'longstr' but current is none 50.10",
            ],
        ),
        case(
            "the same arguments in another type",
            |p| {
                let q = p.name("$q");
                let declare = |arguments: Writer| raw::method(1, 50, 10, |a| a.u16(0).short(&q).bits(&[false; 5]).table(&arguments.0));
                p.call(&declare(table().int("x-message-ttl", 5000)));
                p.call(&declare(table().short("x-message-ttl").u8(b'l').u64(5000)));
                p.call(&declare(table().int("x-message-ttl", 6000)));
            },
            &[
                "declare-ok $q messages 0 consumers 0",
                "declare-ok $q messages 0 consumers 0",
                "channel.close 406 PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue '$q' in vhost '/': received '6000' but current is '5000' 50.10",
            ],
        ),
    ]);
}

#[test]
fn deliveries() {
    check(&[
        case(
            "get counts what is left, and marks what comes again",
            |p| {
                p.queue("$q", table());
                for body in ["1", "2", "3"] {
                    p.publish("", "$q", body);
                }
                p.settle("$q", 3);
                p.get("$q", false);
                p.get("$q", false);
                p.nack(1, false, true);
                p.settle("$q", 2);
                p.get("$q", true);
                p.get("$q", true);
                p.get("$q", true);
                p.ack(2, false);
                p.counts("$q");
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$q' left 2 body '1'",
                "get-ok 2 redelivered 0 exchange '' key '$q' left 1 body '2'",
                "get-ok 3 redelivered 1 exchange '' key '$q' left 1 body '1'",
                "get-ok 4 redelivered 0 exchange '' key '$q' left 0 body '3'",
                "get-empty",
                "declare-ok $q messages 0 consumers 0",
            ],
        ),
        case(
            "nack of several puts all back in their places",
            |p| {
                p.queue("$q", table());
                for body in ["1", "2", "3", "4"] {
                    p.publish("", "$q", body);
                }
                p.settle("$q", 4);
                for _ in 0..3 {
                    p.get("$q", false);
                }
                p.nack(3, true, true);
                p.settle("$q", 4);
                for _ in 0..4 {
                    p.get("$q", true);
                }
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$q' left 3 body '1'",
                "get-ok 2 redelivered 0 exchange '' key '$q' left 2 body '2'",
                "get-ok 3 redelivered 0 exchange '' key '$q' left 1 body '3'",
                "get-ok 4 redelivered 1 exchange '' key '$q' left 3 body '1'",
                "get-ok 5 redelivered 1 exchange '' key '$q' left 2 body '2'",
                "get-ok 6 redelivered 1 exchange '' key '$q' left 1 body '3'",
                "get-ok 7 redelivered 0 exchange '' key '$q' left 0 body '4'",
            ],
        ),
        case(
            "a consumer's deliveries, its prefetch, and what its cancellation leaves",
            |p| {
                p.queue("$q", table());
                for body in ["1", "2", "3"] {
                    p.publish("", "$q", body);
                }
                p.settle("$q", 3);
                p.qos(2, false);
                p.consume("$q", "c", false, table());
                p.see(2);
                p.counts("$q");
                p.ack(1, false);
                p.see(1);
                p.call(&raw::method(1, 60, 30, |a| a.short("c").u8(0)));
                p.counts("$q");
                p.raw.call(&raw::method(1, 60, 110, |a| a.bits(&[true])), 60, 111);
                p.settle("$q", 2);
                p.get("$q", true);
            },
            &[
                "consume-ok c",
                "deliver c 1 redelivered 0 exchange '' key '$q' body '1'",
                "deliver c 2 redelivered 0 exchange '' key '$q' body '2'",
                "declare-ok $q messages 1 consumers 1",
                "deliver c 3 redelivered 0 exchange '' key '$q' body '3'",
                "cancel-ok c",
                "declare-ok $q messages 0 consumers 0",
                "get-ok 4 redelivered 1 exchange '' key '$q' left 1 body '2'",
            ],
        ),
        case(
            "a prefetch for the whole channel",
            |p| {
                p.queue("$q", table());
                p.qos(2, true);
                p.consume("$q", "a", false, table());
                p.consume("$q", "b", false, table());
                for body in ["1", "2", "3"] {
                    p.publish("", "$q", body);
                }
                p.see(2);
                p.settle("$q", 1);
                p.ack(2, true);
                p.see(1);
            },
            &[
                "consume-ok a",
                "consume-ok b",
                "deliver a 1 redelivered 0 exchange '' key '$q' body '1'",
                "deliver b 2 redelivered 0 exchange '' key '$q' body '2'",
                "deliver a 3 redelivered 0 exchange '' key '$q' body '3'",
            ],
        ),
        case(
            "consumers take turns",
            |p| {
                p.queue("$q", table());
                p.consume("$q", "a", true, table());
                p.consume("$q", "b", true, table());
                for body in ["1", "2", "3", "4"] {
                    p.publish("", "$q", body);
                    p.see(1);
                }
            },
            &[
                "consume-ok a",
                "consume-ok b",
                "deliver a 1 redelivered 0 exchange '' key '$q' body '1'",
                "deliver b 2 redelivered 0 exchange '' key '$q' body '2'",
                "deliver a 3 redelivered 0 exchange '' key '$q' body '3'",
                "deliver b 4 redelivered 0 exchange '' key '$q' body '4'",
            ],
        ),
        case(
            "a consumer of higher priority comes first, until it is full",
            |p| {
                p.queue("$q", table());
                p.qos(1, false);
                p.consume("$q", "low", false, table());
                p.consume("$q", "high", false, table().int("x-priority", 10));
                p.publish("", "$q", "1");
                p.see(1);
                p.publish("", "$q", "2");
                p.see(1);
            },
            &[
                "consume-ok low",
                "consume-ok high",
                "deliver high 1 redelivered 0 exchange '' key '$q' body '1'",
                "deliver low 2 redelivered 0 exchange '' key '$q' body '2'",
            ],
        ),
        case(
            "one active consumer, and the next when it goes",
            |p| {
                p.queue("$q", table().truth("x-single-active-consumer", true));
                p.consume("$q", "a", true, table());
                p.consume("$q", "b", true, table());
                for body in ["1", "2"] {
                    p.publish("", "$q", body);
                    p.see(1);
                }
                p.call(&raw::method(1, 60, 30, |a| a.short("a").u8(0)));
                p.publish("", "$q", "3");
                p.see(1);
            },
            &[
                "consume-ok a",
                "consume-ok b",
                "deliver a 1 redelivered 0 exchange '' key '$q' body '1'",
                "deliver a 2 redelivered 0 exchange '' key '$q' body '2'",
                "cancel-ok a",
                "deliver b 3 redelivered 0 exchange '' key '$q' body '3'",
            ],
        ),
        case(
            "a queue that is deleted cancels its consumers",
            |p| {
                let mut other = crate::peer::Peer::new(p.address);
                p.raw = login_with_cancel_notify(p.address);
                p.queue("$q", table());
                p.consume("$q", "c", true, table());
                let q = p.name("$q");
                other
                    .raw
                    .call(&raw::method(1, 50, 40, |a| a.u16(0).short(&q).bits(&[false, false, false])), 50, 41);
                p.see(1);
            },
            &["consume-ok c", "cancel c"],
        ),
        case(
            "what nobody acknowledged comes to the next after the connection's end",
            |p| {
                p.queue("$q", table());
                p.publish("", "$q", "1");
                p.settle("$q", 1);
                p.get("$q", false);
                p.raw = raw::Raw::login(p.address);
                p.raw.open(1);
                p.settle("$q", 1);
                p.get("$q", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$q' left 0 body '1'",
                "get-ok 1 redelivered 1 exchange '' key '$q' left 0 body '1'",
            ],
        ),
        case(
            "priorities, and their order",
            |p| {
                p.queue("$q", table().int("x-max-priority", 5));
                for (body, priority) in [("0", 0), ("9", 9), ("3", 3), ("5", 5), ("3 again", 3)] {
                    p.publish_with("", "$q", body, false, 0x0800, Writer::default().u8(priority));
                }
                p.publish("", "$q", "none");
                p.settle("$q", 6);
                for _ in 0..6 {
                    p.get("$q", true);
                }
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$q' left 5 priority 9 body '9'",
                "get-ok 2 redelivered 0 exchange '' key '$q' left 4 priority 5 body '5'",
                "get-ok 3 redelivered 0 exchange '' key '$q' left 3 priority 3 body '3'",
                "get-ok 4 redelivered 0 exchange '' key '$q' left 2 priority 3 body '3 again'",
                "get-ok 5 redelivered 0 exchange '' key '$q' left 1 priority 0 body '0'",
                "get-ok 6 redelivered 0 exchange '' key '$q' left 0 body 'none'",
            ],
        ),
    ]);
}

#[test]
fn publishing() {
    fn confirm(p: &mut crate::peer::Peer) {
        p.raw.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
    }
    check(&[
        case(
            "what cannot be routed comes back, then its confirm",
            |p| {
                confirm(p);
                p.publish_with("amq.direct", "$q", "lost", true, 0x8000, Writer::default().short("text/plain"));
                p.see(2);
                p.publish("amq.direct", "$q", "not wanted back");
                p.see(1);
            },
            &[
                "return 312 NO_ROUTE exchange 'amq.direct' key '$q' content-type text/plain body 'lost'",
                "ack 1",
                "ack 2",
            ],
        ),
        case(
            "a full queue that refuses",
            |p| {
                p.queue("$q", table().int("x-max-length", 1).text("x-overflow", "reject-publish"));
                confirm(p);
                p.publish("", "$q", "1");
                p.see(1);
                p.publish("", "$q", "2");
                p.see(1);
                p.counts("$q");
            },
            &["ack 1", "nack 2", "declare-ok $q messages 1 consumers 0"],
        ),
        case(
            "a transaction: nothing before its commit, nothing after its rollback",
            |p| {
                p.queue("$q", table());
                p.raw.call(&raw::method(1, 90, 10, |a| a), 90, 11);
                p.publish("", "$q", "1");
                p.counts("$q");
                p.call(&raw::method(1, 90, 20, |a| a));
                p.counts("$q");
                p.publish("", "$q", "2");
                p.call(&raw::method(1, 90, 30, |a| a));
                p.counts("$q");
                p.get("$q", false);
                p.ack(1, false);
                p.call(&raw::method(1, 90, 30, |a| a));
                p.ack(1, false);
                p.call(&raw::method(1, 90, 20, |a| a));
                p.counts("$q");
            },
            &[
                "declare-ok $q messages 0 consumers 0",
                "90.21",
                "declare-ok $q messages 1 consumers 0",
                "90.31",
                "declare-ok $q messages 1 consumers 0",
                "get-ok 1 redelivered 0 exchange '' key '$q' left 0 body '1'",
                "90.31",
                "90.21",
                "declare-ok $q messages 0 consumers 0",
            ],
        ),
        case(
            "a mandatory message in a transaction comes back with the commit",
            |p| {
                p.raw.call(&raw::method(1, 90, 10, |a| a), 90, 11);
                p.publish_with("", "$q", "lost", true, 0, table());
                p.call(&raw::method(1, 90, 20, |a| a));
                p.see(1);
            },
            &["return 312 NO_ROUTE exchange '' key '$q' body 'lost'", "90.21"],
        ),
        case(
            "all properties come as they were sent",
            |p| {
                p.queue("$q", table());
                let headers = table().text("text", "s").int("number", 7).truth("yes", true).0;
                let properties = Writer::default()
                    .short("type/sub")
                    .short("utf-8")
                    .table(&headers)
                    .u8(2)
                    .u8(4)
                    .short("correlation")
                    .short("reply")
                    .short("60000")
                    .short("message")
                    .u64(1_700_000_000)
                    .short("type")
                    .short("guest")
                    .short("app")
                    .short("cluster");
                p.publish_with("", "$q", "body", false, 0xFFFC, properties);
                p.settle("$q", 1);
                p.get("$q", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$q' left 0 content-type type/sub content-encoding utf-8 headers {text=S:s, number=I:7, yes=t:1} delivery-mode 2 priority 4 correlation-id correlation reply-to reply expiration 60000 message-id message timestamp 1700000000 type type user-id guest app-id app cluster-id cluster body 'body'",
            ],
        ),
        case(
            "a reply goes straight to who asked",
            |p| {
                p.consume("amq.rabbitmq.reply-to", "r", true, table());
                p.queue("$q", table());
                p.publish_with("", "$q", "ask", false, 0x0200, Writer::default().short("amq.rabbitmq.reply-to"));
                p.settle("$q", 1);
                let q = p.name("$q");
                let got = p.raw.call(&raw::method(1, 60, 70, |a| a.u16(0).short(&q).u8(1)), 60, 71);
                drop(got);
                let header = match p.raw.next() {
                    raw::Event::Frame(frame) => frame,
                    other => panic!("{other:?}"),
                };
                let mut a = raw::Reader(&header.payload[14..]);
                let to = a.short();
                p.raw.next();
                p.note(if to.starts_with("amq.rabbitmq.reply-to.") {
                    "reply-to is rewritten"
                } else {
                    "reply-to stays"
                });
                p.publish("", &to, "answer");
                match p.raw.next() {
                    raw::Event::Frame(frame) if frame.method() == Some((60, 60)) => p.note("delivered"),
                    other => p.note(format!("{other:?}")),
                }
            },
            &["consume-ok r", "reply-to is rewritten", "delivered"],
        ),
    ]);
}

fn login_with_cancel_notify(address: std::net::SocketAddr) -> raw::Raw {
    let mut raw = raw::Raw::connect(address);
    raw.send(raw::PROTOCOL_HEADER);
    raw.expect(10, 10);
    let capabilities = Writer::default().short("consumer_cancel_notify").u8(b't').u8(1).0;
    let properties = Writer::default().short("capabilities").u8(b'F').table(&capabilities).0;
    raw.send(&raw::method(0, 10, 11, |a| {
        a.table(&properties).short("PLAIN").long(b"\0guest\0guest").short("en_US")
    }));
    raw.expect(10, 30);
    raw.send(&raw::tune_ok(2047, 131_072, 0));
    raw.send(&raw::connection_open("/"));
    raw.expect(10, 41);
    raw.open(1);
    raw
}

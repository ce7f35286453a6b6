//! How messages leave a queue unconsumed, and what dead letters say of it.

use crate::peer::{Peer, table};
use crate::support::raw::Writer;
use crate::{case, check};

/// `$q` with dead letters to the queue `$d`, and more arguments.
fn queues(p: &mut Peer, arguments: Writer) {
    let d = p.name("$d");
    p.queue("$d", table());
    p.queue(
        "$q",
        arguments.text("x-dead-letter-exchange", "").text("x-dead-letter-routing-key", &d),
    );
}

#[test]
fn dead_letters() {
    check(&[
        case(
            "rejected",
            |p| {
                queues(p, table());
                p.publish_with(
                    "",
                    "$q",
                    "1",
                    false,
                    0x2000,
                    Writer::default().table(&table().text("mine", "kept").0),
                );
                p.settle("$q", 1);
                p.get("$q", false);
                p.nack(1, false, false);
                p.settle("$d", 1);
                p.get("$d", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$q' left 0 headers {mine=S:kept} body '1'",
                "get-ok 2 redelivered 0 exchange '' key '$d' left 0 headers {mine=S:kept, x-death=A:[F:{count=l:1, reason=S:rejected, queue=S:$q, time=T:time, exchange=S:, routing-keys=A:[S:$q]}], x-first-death-exchange=S:, x-first-death-queue=S:$q, x-first-death-reason=S:rejected, x-last-death-exchange=S:, x-last-death-queue=S:$q, x-last-death-reason=S:rejected} body '1'",
            ],
        ),
        case(
            "expired by its own expiration, which is taken away",
            |p| {
                queues(p, table());
                p.publish_with("", "$q", "1", false, 0x0100, Writer::default().short("20"));
                p.settle("$d", 1);
                p.get("$d", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$d' left 0 headers {x-death=A:[F:{count=l:1, reason=S:expired, queue=S:$q, time=T:time, exchange=S:, routing-keys=A:[S:$q], original-expiration=S:20}], x-first-death-exchange=S:, x-first-death-queue=S:$q, x-first-death-reason=S:expired, x-last-death-exchange=S:, x-last-death-queue=S:$q, x-last-death-reason=S:expired} body '1'",
            ],
        ),
        case(
            "expired by its queue",
            |p| {
                queues(p, table().int("x-message-ttl", 20));
                p.publish("", "$q", "1");
                p.settle("$d", 1);
                p.get("$d", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$d' left 0 headers {x-death=A:[F:{count=l:1, reason=S:expired, queue=S:$q, time=T:time, exchange=S:, routing-keys=A:[S:$q]}], x-first-death-exchange=S:, x-first-death-queue=S:$q, x-first-death-reason=S:expired, x-last-death-exchange=S:, x-last-death-queue=S:$q, x-last-death-reason=S:expired} body '1'",
            ],
        ),
        case(
            "pushed out of a full queue",
            |p| {
                queues(p, table().int("x-max-length", 1));
                p.publish("", "$q", "1");
                p.publish("", "$q", "2");
                p.settle("$d", 1);
                p.get("$d", true);
                p.get("$q", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$d' left 0 headers {x-death=A:[F:{count=l:1, reason=S:maxlen, queue=S:$q, time=T:time, exchange=S:, routing-keys=A:[S:$q]}], x-first-death-exchange=S:, x-first-death-queue=S:$q, x-first-death-reason=S:maxlen, x-last-death-exchange=S:, x-last-death-queue=S:$q, x-last-death-reason=S:maxlen} body '1'",
                "get-ok 2 redelivered 0 exchange '' key '$q' left 0 body '2'",
            ],
        ),
        case(
            "refused by a full queue",
            |p| {
                queues(p, table().int("x-max-length", 1).text("x-overflow", "reject-publish-dlx"));
                p.publish("", "$q", "1");
                p.publish("", "$q", "2");
                p.settle("$d", 1);
                p.get("$d", true);
                p.get("$q", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$d' left 0 headers {x-death=A:[F:{count=l:1, reason=S:maxlen, queue=S:$q, time=T:time, exchange=S:, routing-keys=A:[S:$q]}], x-first-death-exchange=S:, x-first-death-queue=S:$q, x-first-death-reason=S:maxlen, x-last-death-exchange=S:, x-last-death-queue=S:$q, x-last-death-reason=S:maxlen} body '2'",
                "get-ok 2 redelivered 0 exchange '' key '$q' left 0 body '1'",
            ],
        ),
        case(
            "twice through the same queue: one entry that counts",
            |p| {
                queues(p, table());
                p.publish("", "$q", "1");
                p.settle("$q", 1);
                p.get("$q", false);
                p.nack(1, false, false);
                p.settle("$d", 1);
                let d = p.name("$d");
                // by hand back into the queue, with the headers that it has by now
                p.raw.send(&crate::support::raw::method(1, 60, 70, |a| a.u16(0).short(&d).u8(1)));
                p.raw.expect(60, 71);
                let (header, body) = (p.raw.next(), p.raw.next());
                let (crate::support::raw::Event::Frame(header), crate::support::raw::Event::Frame(_)) = (header, body) else {
                    return p.note("no content");
                };
                let q = p.name("$q");
                p.raw.send(&crate::support::raw::publish(1, "", &q, &[false, false]));
                p.raw
                    .send(&crate::support::raw::frame(crate::support::raw::HEADER, 1, &header.payload));
                p.raw.send(&crate::support::raw::frame(crate::support::raw::BODY, 1, b"1"));
                p.settle("$q", 1);
                p.get("$q", false);
                p.nack(3, false, false);
                p.settle("$d", 1);
                p.get("$d", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$q' left 0 body '1'",
                "get-ok 3 redelivered 0 exchange '' key '$q' left 0 headers {x-death=A:[F:{count=l:1, reason=S:rejected, queue=S:$q, time=T:time, exchange=S:, routing-keys=A:[S:$q]}], x-first-death-exchange=S:, x-first-death-queue=S:$q, x-first-death-reason=S:rejected, x-last-death-exchange=S:, x-last-death-queue=S:$q, x-last-death-reason=S:rejected} body '1'",
                "get-ok 4 redelivered 0 exchange '' key '$d' left 0 headers {x-death=A:[F:{count=l:2, exchange=S:, queue=S:$q, reason=S:rejected, routing-keys=A:[S:$q], time=T:time}], x-first-death-exchange=S:, x-first-death-queue=S:$q, x-first-death-reason=S:rejected, x-last-death-exchange=S:, x-last-death-queue=S:$q, x-last-death-reason=S:rejected} body '1'",
            ],
        ),
        case(
            "through two queues: the last is first",
            |p| {
                let (d, q) = (p.name("$d"), p.name("$q"));
                p.queue(
                    "$d",
                    table()
                        .int("x-message-ttl", 20)
                        .text("x-dead-letter-exchange", "")
                        .text("x-dead-letter-routing-key", &p.name("$x")),
                );
                p.queue("$x", table());
                p.queue(
                    "$q",
                    table()
                        .int("x-message-ttl", 20)
                        .text("x-dead-letter-exchange", "")
                        .text("x-dead-letter-routing-key", &d),
                );
                let _ = q;
                p.publish("", "$q", "1");
                p.settle("$x", 1);
                p.get("$x", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$x' left 0 headers {x-death=A:[F:{count=l:1, exchange=S:, queue=S:$d, reason=S:expired, routing-keys=A:[S:$d], time=T:time}, F:{count=l:1, reason=S:expired, queue=S:$q, time=T:time, exchange=S:, routing-keys=A:[S:$q]}], x-first-death-exchange=S:, x-first-death-queue=S:$q, x-first-death-reason=S:expired, x-last-death-exchange=S:, x-last-death-queue=S:$d, x-last-death-reason=S:expired} body '1'",
            ],
        ),
        case(
            "without a key of its own it keeps the message's, and CC",
            |p| {
                p.exchange("$x", "fanout", table());
                let x = p.name("$x");
                p.queue("$d", table());
                p.bind("$d", "$x", "");
                p.queue("$q", table().text("x-dead-letter-exchange", &x));
                let list = Writer::default().u8(b'S').long(b"copy").0;
                let entries = Writer::default().short("CC").u8(b'A').long(&list);
                p.publish_with("", "$q", "1", false, 0x2000, Writer::default().table(&entries.0));
                p.settle("$q", 1);
                p.get("$q", false);
                p.nack(1, false, false);
                p.settle("$d", 1);
                p.get("$d", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key '$q' left 0 headers {CC=A:[S:copy]} body '1'",
                "get-ok 2 redelivered 0 exchange '$x' key '$q' left 0 headers {CC=A:[S:copy], x-death=A:[F:{count=l:1, reason=S:rejected, queue=S:$q, time=T:time, exchange=S:, routing-keys=A:[S:$q, S:copy]}], x-first-death-exchange=S:, x-first-death-queue=S:$q, x-first-death-reason=S:rejected, x-last-death-exchange=S:, x-last-death-queue=S:$q, x-last-death-reason=S:rejected} body '1'",
            ],
        ),
        case(
            "a circle of expiries is broken",
            |p| {
                let q = p.name("$q");
                p.queue(
                    "$q",
                    table()
                        .int("x-message-ttl", 20)
                        .text("x-dead-letter-exchange", "")
                        .text("x-dead-letter-routing-key", &q),
                );
                p.publish("", "$q", "1");
                std::thread::sleep(std::time::Duration::from_millis(400));
                p.counts("$q");
            },
            &["declare-ok $q messages 0 consumers 0"],
        ),
    ]);
}

#[test]
fn limits_and_time() {
    check(&[
        case(
            "the oldest goes from a full queue",
            |p| {
                p.queue("$q", table().int("x-max-length", 2));
                for body in ["1", "2", "3"] {
                    p.publish("", "$q", body);
                }
                p.settle("$q", 2);
                p.get("$q", true);
            },
            &["get-ok 1 redelivered 0 exchange '' key '$q' left 1 body '2'"],
        ),
        case(
            "a queue that is full of octets",
            |p| {
                p.queue("$q", table().int("x-max-length-bytes", 10));
                for body in ["aaaa", "bbbb", "cccc"] {
                    p.publish("", "$q", body);
                }
                p.settle("$q", 2);
                p.get("$q", true);
            },
            &["get-ok 1 redelivered 0 exchange '' key '$q' left 1 body 'bbbb'"],
        ),
        case(
            "expiration behind a message that stays",
            |p| {
                p.queue("$q", table());
                p.publish("", "$q", "stays");
                p.publish_with("", "$q", "goes", false, 0x0100, Writer::default().short("20"));
                std::thread::sleep(std::time::Duration::from_millis(400));
                p.counts("$q");
            },
            &["declare-ok $q messages 1 consumers 0"],
        )
        .but_rabbitmq(
            "only the head of a queue expires there; here every message does, on time",
            &["declare-ok $q messages 2 consumers 0"],
        ),
        case(
            "a queue that expires unless it is used",
            |p| {
                p.queue("$q", table().int("x-expires", 100));
                std::thread::sleep(std::time::Duration::from_millis(600));
                p.counts("$q");
            },
            &["channel.close 404 NOT_FOUND - no queue '$q' in vhost '/' 50.10"],
        ),
        case(
            "a time to live of zero reaches a consumer that waits, and nobody else",
            |p| {
                p.queue("$q", table().int("x-message-ttl", 0));
                p.publish("", "$q", "1");
                p.counts("$q");
                p.consume("$q", "c", true, table());
                p.publish("", "$q", "2");
                p.see(1);
            },
            &[
                "declare-ok $q messages 0 consumers 0",
                "consume-ok c",
                "deliver c 1 redelivered 0 exchange '' key '$q' body '2'",
            ],
        ),
    ]);
}

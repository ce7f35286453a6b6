//! Exchanges and bindings.

use crate::peer::{Peer, table};
use crate::support::raw::{self, Writer};
use crate::{case, check};

fn bind_exchange(p: &mut Peer, destination: &str, source: &str, key: &str) {
    let (destination, source) = (p.name(destination), p.name(source));
    p.raw.call(
        &raw::method(1, 40, 30, |a| {
            a.u16(0).short(&destination).short(&source).short(key).u8(0).table(b"")
        }),
        40,
        31,
    );
}

fn bind_with(p: &mut Peer, queue: &str, exchange: &str, arguments: &Writer) {
    let (queue, exchange) = (p.name(queue), p.name(exchange));
    p.raw.call(
        &raw::method(1, 50, 20, |a| {
            a.u16(0).short(&queue).short(&exchange).short("").u8(0).table(&arguments.0)
        }),
        50,
        21,
    );
}

fn headers(entries: Writer) -> Writer {
    Writer::default().table(&entries.0)
}

#[test]
fn routing() {
    check(&[
        case(
            "two bindings to one queue deliver once",
            |p| {
                p.queue("$q", table());
                p.exchange("$x", "topic", table());
                p.bind("$q", "$x", "a.#");
                p.bind("$q", "$x", "#.b");
                p.publish("$x", "a.b", "1");
                p.publish("$x", "c", "2");
                p.settle("$q", 1);
                p.get("$q", true);
                p.get("$q", true);
            },
            &["get-ok 1 redelivered 0 exchange '$x' key 'a.b' left 0 body '1'", "get-empty"],
        ),
        case(
            "topics: stars, hashes, empty words",
            |p| {
                p.queue("$q", table());
                p.exchange("$x", "topic", table());
                p.bind("$q", "$x", "*.x.#");
                for key in ["a.x", "x", "a.b.x", "a.x.b.c", ".x", "", "a.x."] {
                    p.publish("$x", key, key);
                }
                p.publish("", "$q", "the end");
                for _ in 0..5 {
                    p.settle("$q", 5);
                }
                p.counts("$q");
            },
            &["declare-ok $q messages 5 consumers 0"],
        ),
        case(
            "headers: all, any, and what a binding leaves out",
            |p| {
                p.queue("$q", table());
                p.queue("$d", table());
                p.exchange("$x", "headers", table());
                bind_with(p, "$q", "$x", &table().text("x-match", "all").int("a", 1).text("b", "two"));
                bind_with(p, "$d", "$x", &table().text("x-match", "any").int("a", 1).text("b", "two"));
                p.publish_with(
                    "$x",
                    "",
                    "both",
                    false,
                    0x2000,
                    headers(table().int("a", 1).text("b", "two").int("c", 3)),
                );
                p.publish_with("$x", "", "one", false, 0x2000, headers(table().int("a", 1)));
                p.publish_with("$x", "", "wrong", false, 0x2000, headers(table().int("a", 2)));
                p.publish("$x", "", "none");
                p.settle("$q", 1);
                p.settle("$d", 2);
                p.get("$q", true);
                p.get("$d", true);
                p.get("$d", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '$x' key '' left 0 headers {a=I:1, b=S:two, c=I:3} body 'both'",
                "get-ok 2 redelivered 0 exchange '$x' key '' left 1 headers {a=I:1, b=S:two, c=I:3} body 'both'",
                "get-ok 3 redelivered 0 exchange '$x' key '' left 0 headers {a=I:1} body 'one'",
            ],
        ),
        case(
            "exchanges bound in a circle",
            |p| {
                p.queue("$q", table());
                p.exchange("$x", "fanout", table());
                p.exchange("$y", "fanout", table());
                bind_exchange(p, "$y", "$x", "");
                bind_exchange(p, "$x", "$y", "");
                p.bind("$q", "$x", "");
                p.bind("$q", "$y", "");
                p.publish("$x", "k", "once");
                p.settle("$q", 1);
                p.get("$q", true);
                p.get("$q", true);
            },
            &["get-ok 1 redelivered 0 exchange '$x' key 'k' left 0 body 'once'", "get-empty"],
        ),
        case(
            "an alternate exchange, and its own alternate",
            |p| {
                p.queue("$q", table());
                let y = p.name("$y");
                p.exchange("$y", "direct", table().text("alternate-exchange", "amq.fanout"));
                p.exchange("$x", "direct", table().text("alternate-exchange", &y));
                p.bind("$q", "amq.fanout", "");
                p.publish_with("$x", "nowhere", "1", true, 0, table());
                p.settle("$q", 1);
                p.get("$q", true);
            },
            &["get-ok 1 redelivered 0 exchange '$x' key 'nowhere' left 0 body '1'"],
        ),
        case(
            "copies: CC stays, BCC goes",
            |p| {
                p.queue("$q", table());
                p.queue("$d", table());
                let (q, d) = (p.name("$q"), p.name("$d"));
                let list = |text: &str| Writer::default().u8(b'S').long(text.as_bytes()).0;
                let entries = Writer::default()
                    .short("CC")
                    .u8(b'A')
                    .long(&list(&q))
                    .short("BCC")
                    .u8(b'A')
                    .long(&list(&d));
                p.publish_with("", "nobody-has-this-name", "1", false, 0x2000, headers(entries));
                p.settle("$q", 1);
                p.settle("$d", 1);
                p.get("$q", true);
                p.get("$d", true);
            },
            &[
                "get-ok 1 redelivered 0 exchange '' key 'nobody-has-this-name' left 0 headers {CC=A:[S:$q]} body '1'",
                "get-ok 2 redelivered 0 exchange '' key 'nobody-has-this-name' left 0 headers {CC=A:[S:$q]} body '1'",
            ],
        ),
        case(
            "an auto-delete exchange goes with its last binding",
            |p| {
                let x = p.name("$x");
                p.raw
                    .call(&raw::exchange_declare(1, &x, "direct", [false, false, true, false, false]), 40, 11);
                p.queue("$q", table());
                p.bind("$q", "$x", "k");
                let q = p.name("$q");
                p.raw.call(
                    &raw::method(1, 50, 50, |a| a.u16(0).short(&q).short(&x).short("k").table(b"")),
                    50,
                    51,
                );
                p.call(&raw::exchange_declare(1, &x, "direct", [true, false, false, false, false]));
            },
            &["channel.close 404 NOT_FOUND - no exchange '$x' in vhost '/' 40.10"],
        ),
        case(
            "unbinding what is not bound, deleting what is not there",
            |p| {
                p.queue("$q", table());
                let (q, x) = (p.name("$q"), p.name("$x"));
                p.call(&raw::method(1, 50, 50, |a| {
                    a.u16(0).short(&q).short("amq.direct").short("k").table(b"")
                }));
                p.call(&raw::method(1, 40, 20, |a| a.u16(0).short(&x).bits(&[false, false])));
                p.call(&raw::method(1, 50, 50, |a| a.u16(0).short(&q).short(&x).short("k").table(b"")));
            },
            &["50.51", "40.21", "50.51"],
        ),
    ]);
}

//! Exchanges, queues and bindings that are not there, not allowed, or not as they were declared.

use crate::support::raw;
use crate::{DURABLE, NONE, PASSIVE, case, channel, check, connection};

#[test]
fn declarations() {
    check(&[
        case(
            "a queue that does not exist, declared passively",
            |s| s.send(&raw::queue_declare(1, &s.queue.clone(), PASSIVE)),
            channel(404, 50, 10, "NOT_FOUND - no queue '$q' in vhost '/'"),
        ),
        case(
            "an exchange that does not exist, declared passively",
            |s| s.send(&raw::exchange_declare(1, &s.exchange.clone(), "direct", PASSIVE)),
            channel(404, 40, 10, "NOT_FOUND - no exchange '$x' in vhost '/'"),
        ),
        case(
            "a queue declared again with another durability",
            |s| {
                s.declare_queue(DURABLE);
                s.send(&raw::queue_declare(1, &s.queue.clone(), NONE));
            },
            channel(
                406,
                50,
                10,
                "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '$q' in vhost '/': received 'false' but current is 'true'",
            ),
        ),
        case(
            "a queue declared again with another auto-delete",
            |s| {
                s.declare_queue(DURABLE);
                s.send(&raw::queue_declare(1, &s.queue.clone(), [false, true, false, true, false]));
            },
            channel(
                406,
                50,
                10,
                "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue '$q' in vhost '/': received 'true' but current is 'false'",
            ),
        ),
        case(
            "a shared queue declared again as exclusive",
            |s| {
                s.declare_queue(NONE);
                s.send(&raw::queue_declare(1, &s.queue.clone(), [false, false, true, false, false]));
            },
            channel(
                405,
                50,
                10,
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '$q' in vhost '/'",
            ),
        ),
        case(
            "an exchange declared again with another type",
            |s| {
                s.declare_exchange("direct", NONE);
                s.send(&raw::exchange_declare(1, &s.exchange.clone(), "fanout", NONE));
            },
            channel(
                406,
                40,
                10,
                "PRECONDITION_FAILED - inequivalent arg 'type' for exchange '$x' in vhost '/': received 'fanout' but current is 'direct'",
            ),
        ),
        case(
            "an exchange declared again with another durability",
            |s| {
                s.declare_exchange("direct", NONE);
                s.send(&raw::exchange_declare(1, &s.exchange.clone(), "direct", DURABLE));
            },
            channel(
                406,
                40,
                10,
                "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange '$x' in vhost '/': received 'true' but current is 'false'",
            ),
        ),
        case(
            "an exchange of unknown type",
            |s| s.send(&raw::exchange_declare(1, &s.exchange.clone(), "x-nothing", NONE)),
            connection(503, 40, 10, "COMMAND_INVALID - unknown exchange type 'x-nothing'"),
        ),
        case(
            "a queue name that begins with amq.",
            |s| s.send(&raw::queue_declare(1, "amq.mine", NONE)),
            channel(
                403,
                50,
                10,
                "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
            ),
        ),
        case(
            "an exchange name that begins with amq.",
            |s| s.send(&raw::exchange_declare(1, "amq.mine", "direct", NONE)),
            channel(
                403,
                40,
                10,
                "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
            ),
        ),
        case(
            "the default exchange declared",
            |s| s.send(&raw::exchange_declare(1, "", "direct", DURABLE)),
            channel(403, 40, 10, "ACCESS_REFUSED - operation not permitted on the default exchange"),
        ),
        case(
            "another connection's exclusive queue declared",
            |s| {
                s.foreign_queue();
                s.send(&raw::queue_declare(1, &s.queue.clone(), [false, false, true, false, false]));
            },
            channel(
                405,
                50,
                10,
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '$q' in vhost '/'",
            ),
        ),
        case(
            "another connection's exclusive queue declared passively",
            |s| {
                s.foreign_queue();
                s.send(&raw::queue_declare(1, &s.queue.clone(), PASSIVE));
            },
            channel(
                405,
                50,
                10,
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '$q' in vhost '/'",
            ),
        ),
        case(
            "the queue declared last, when there was none",
            |s| {
                s.send(&raw::method(1, 50, 20, |a| {
                    a.u16(0).short("").short("amq.direct").short("k").u8(0).table(b"")
                }))
            },
            channel(404, 50, 20, "NOT_FOUND - no previously declared queue"),
        ),
    ]);
}

#[test]
fn bindings_and_deletions() {
    fn bind(queue: &str, exchange: &str) -> Vec<u8> {
        raw::method(1, 50, 20, |a| a.u16(0).short(queue).short(exchange).short("k").u8(0).table(b""))
    }
    fn bind_exchange(destination: &str, source: &str) -> Vec<u8> {
        raw::method(1, 40, 30, |a| a.u16(0).short(destination).short(source).short("k").u8(0).table(b""))
    }
    fn delete_queue(queue: &str, if_unused: bool, if_empty: bool) -> Vec<u8> {
        raw::method(1, 50, 40, |a| a.u16(0).short(queue).bits(&[if_unused, if_empty, false]))
    }
    fn delete_exchange(exchange: &str, if_unused: bool) -> Vec<u8> {
        raw::method(1, 40, 20, |a| a.u16(0).short(exchange).bits(&[if_unused, false]))
    }
    check(&[
        case(
            "a binding to an exchange that does not exist",
            |s| {
                s.declare_queue(NONE);
                s.send(&bind(&s.queue.clone(), &s.exchange.clone()));
            },
            channel(404, 50, 20, "NOT_FOUND - no exchange '$x' in vhost '/'"),
        ),
        case(
            "a binding of a queue that does not exist",
            |s| s.send(&bind(&s.queue.clone(), "amq.direct")),
            channel(404, 50, 20, "NOT_FOUND - no queue '$q' in vhost '/'"),
        ),
        case(
            "a binding to the default exchange",
            |s| {
                s.declare_queue(NONE);
                s.send(&bind(&s.queue.clone(), ""));
            },
            channel(403, 50, 20, "ACCESS_REFUSED - operation not permitted on the default exchange"),
        ),
        case(
            "a binding of another connection's exclusive queue",
            |s| {
                s.foreign_queue();
                s.send(&bind(&s.queue.clone(), "amq.direct"));
            },
            channel(
                405,
                50,
                20,
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '$q' in vhost '/'",
            ),
        ),
        case(
            "a binding between exchanges, of which the source does not exist",
            |s| s.send(&bind_exchange("amq.fanout", &s.exchange.clone())),
            channel(404, 40, 30, "NOT_FOUND - no exchange '$x' in vhost '/'"),
        ),
        case(
            "a binding between exchanges, of which the destination does not exist",
            |s| s.send(&bind_exchange(&s.exchange.clone(), "amq.fanout")),
            channel(404, 40, 30, "NOT_FOUND - no exchange '$x' in vhost '/'"),
        ),
        case(
            "a queue with a consumer deleted if unused",
            |s| {
                s.declare_queue(NONE);
                s.raw.call(&raw::consume(1, &s.queue, "", [false; 4]), 60, 21);
                s.send(&delete_queue(&s.queue.clone(), true, false));
            },
            channel(406, 50, 40, "PRECONDITION_FAILED - queue '$q' in vhost '/' in use"),
        ),
        case(
            "a queue with a message deleted if empty",
            |s| {
                s.declare_queue(NONE);
                s.send(&raw::publish(1, "", &s.queue.clone(), &[false, false]));
                s.send(&raw::header(1, 0));
                s.send(&delete_queue(&s.queue.clone(), false, true));
            },
            channel(406, 50, 40, "PRECONDITION_FAILED - queue '$q' in vhost '/' not empty"),
        ),
        case(
            "another connection's exclusive queue deleted",
            |s| {
                s.foreign_queue();
                s.send(&delete_queue(&s.queue.clone(), false, false));
            },
            channel(
                405,
                50,
                40,
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '$q' in vhost '/'",
            ),
        ),
        case(
            "an exchange with a binding deleted if unused",
            |s| {
                s.declare_queue(NONE);
                s.declare_exchange("direct", NONE);
                s.raw.call(&bind(&s.queue, &s.exchange), 50, 21);
                s.send(&delete_exchange(&s.exchange.clone(), true));
            },
            channel(406, 40, 20, "PRECONDITION_FAILED - exchange '$x' in vhost '/' in use"),
        ),
        case(
            "the default exchange deleted",
            |s| s.send(&delete_exchange("", false)),
            channel(403, 40, 20, "ACCESS_REFUSED - operation not permitted on the default exchange"),
        ),
        case(
            "a predeclared exchange deleted",
            |s| s.send(&delete_exchange("amq.direct", false)),
            channel(
                403,
                40,
                20,
                "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
            ),
        ),
        case(
            "a queue that does not exist purged",
            |s| s.send(&raw::method(1, 50, 30, |a| a.u16(0).short(&s.queue).u8(0))),
            channel(404, 50, 30, "NOT_FOUND - no queue '$q' in vhost '/'"),
        ),
        case(
            "another connection's exclusive queue purged",
            |s| {
                s.foreign_queue();
                s.send(&raw::method(1, 50, 30, |a| a.u16(0).short(&s.queue).u8(0)));
            },
            channel(
                405,
                50,
                30,
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '$q' in vhost '/'",
            ),
        ),
    ]);
}

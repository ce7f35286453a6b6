//! Publishing, getting, consuming, settling.

use crate::support::raw::{self, Writer};
use crate::{Answer, DURABLE, NONE, Setting, case, channel, check, connection};

#[test]
fn messages() {
    fn get(queue: &str) -> Vec<u8> {
        raw::method(1, 60, 70, |a| a.u16(0).short(queue).u8(0))
    }
    fn ack(tag: u64, multiple: bool) -> Vec<u8> {
        raw::method(1, 60, 80, |a| a.u64(tag).bits(&[multiple]))
    }
    fn with_properties(s: &mut Setting, flags: u16, properties: impl FnOnce(Writer) -> Writer) {
        s.send(&raw::publish(1, "", "", &[false, false]));
        s.send(&raw::frame(
            raw::HEADER,
            1,
            &properties(Writer::default().u16(60).u16(0).u64(0).u16(flags)).0,
        ));
    }
    check(&[
        case(
            "publishing to an exchange that does not exist",
            |s| {
                s.send(&raw::publish(1, &s.exchange.clone(), "", &[false, false]));
                s.send(&raw::header(1, 0));
            },
            channel(404, 60, 40, "NOT_FOUND - no exchange '$x' in vhost '/'"),
        ),
        case(
            "publishing to an internal exchange",
            |s| {
                s.declare_exchange("direct", [false, false, false, true, false]);
                s.send(&raw::publish(1, &s.exchange.clone(), "", &[false, false]));
                s.send(&raw::header(1, 0));
            },
            channel(
                403,
                60,
                40,
                "ACCESS_REFUSED - cannot publish to internal exchange '$x' in vhost '/'",
            ),
        ),
        case(
            "publishing with immediate",
            |s| {
                s.send(&raw::publish(1, "", "", &[false, true]));
                s.send(&raw::header(1, 0));
            },
            connection(540, 60, 40, "NOT_IMPLEMENTED - immediate=true"),
        ),
        case(
            "publishing in the name of another user",
            |s| with_properties(s, 0x0010, |a| a.short("somebody")),
            channel(
                406,
                60,
                40,
                "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'",
            ),
        ),
        case(
            "an expiration that is not a number",
            |s| with_properties(s, 0x0100, |a| a.short("soon")),
            channel(406, 60, 40, "PRECONDITION_FAILED - invalid expiration 'soon': no_integer"),
        ),
        case(
            "an expiration with something behind the number",
            |s| with_properties(s, 0x0100, |a| a.short("5ms")),
            channel(
                406,
                60,
                40,
                "PRECONDITION_FAILED - invalid expiration '5ms': {leftover_string,\"ms\"}",
            ),
        ),
        case(
            "a negative expiration",
            |s| with_properties(s, 0x0100, |a| a.short("-1")),
            channel(406, 60, 40, "PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}"),
        ),
        case(
            "an expiration of more than ten years",
            |s| with_properties(s, 0x0100, |a| a.short("315360000001")),
            channel(
                406,
                60,
                40,
                "PRECONDITION_FAILED - invalid expiration '315360000001': {value_too_large,315360000001}",
            ),
        ),
        case(
            "copies to what is no list",
            |s| with_properties(s, 0x2000, |a| a.table(&Writer::default().short("CC").u8(b'S').long(b"key").0)),
            channel(
                406,
                60,
                40,
                "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}",
            ),
        ),
        case(
            "blind copies to what is no list",
            |s| with_properties(s, 0x2000, |a| a.table(&Writer::default().short("BCC").u8(b't').u8(1).0)),
            channel(
                406,
                60,
                40,
                "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"BCC\",bool}",
            ),
        ),
        case(
            "asking for direct replies without a consumer of them",
            |s| with_properties(s, 0x0200, |a| a.short("amq.rabbitmq.reply-to")),
            channel(406, 60, 40, "PRECONDITION_FAILED - fast reply consumer does not exist"),
        ),
        case(
            "a message from a queue that does not exist",
            |s| s.send(&get(&s.queue.clone())),
            channel(404, 60, 70, "NOT_FOUND - no queue '$q' in vhost '/'"),
        ),
        case(
            "a message from another connection's exclusive queue",
            |s| {
                s.foreign_queue();
                s.send(&get(&s.queue.clone()));
            },
            channel(
                405,
                60,
                70,
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '$q' in vhost '/'",
            ),
        ),
        case(
            "acknowledging an unknown delivery tag",
            |s| s.send(&ack(7, false)),
            channel(406, 60, 80, "PRECONDITION_FAILED - unknown delivery tag 7"),
        ),
        case(
            "acknowledging an unknown delivery tag and all before",
            |s| s.send(&ack(7, true)),
            channel(406, 60, 80, "PRECONDITION_FAILED - unknown delivery tag 7"),
        ),
        case(
            "acknowledging twice",
            |s| {
                s.declare_queue(NONE);
                s.send(&raw::publish(1, "", &s.queue.clone(), &[false, false]));
                s.send(&raw::header(1, 0));
                s.raw.call(&get(&s.queue), 60, 71);
                s.send(&ack(1, false));
                s.send(&ack(1, false));
            },
            channel(406, 60, 80, "PRECONDITION_FAILED - unknown delivery tag 1"),
        ),
        case(
            "acknowledging what was delivered without acknowledgement",
            |s| {
                s.declare_queue(NONE);
                s.send(&raw::publish(1, "", &s.queue.clone(), &[false, false]));
                s.send(&raw::header(1, 0));
                s.raw.call(&raw::method(1, 60, 70, |a| a.u16(0).short(&s.queue).u8(1)), 60, 71);
                s.send(&ack(1, false));
            },
            channel(406, 60, 80, "PRECONDITION_FAILED - unknown delivery tag 1"),
        ),
        case(
            "nacking an unknown delivery tag",
            |s| s.send(&raw::method(1, 60, 120, |a| a.u64(7).bits(&[false, true]))),
            channel(406, 60, 120, "PRECONDITION_FAILED - unknown delivery tag 7"),
        ),
        case(
            "rejecting an unknown delivery tag",
            |s| s.send(&raw::method(1, 60, 90, |a| a.u64(7).bits(&[true]))),
            channel(406, 60, 90, "PRECONDITION_FAILED - unknown delivery tag 7"),
        ),
        case(
            "recovering without requeue",
            |s| s.send(&raw::method(1, 60, 110, |a| a.bits(&[false]))),
            connection(540, 60, 110, "NOT_IMPLEMENTED - requeue=false"),
        ),
    ]);
}

/// basic.consume with arguments.
fn consume_with(queue: &str, exclusive: bool, arguments: &[u8]) -> Vec<u8> {
    raw::method(1, 60, 20, |a| {
        a.u16(0)
            .short(queue)
            .short("")
            .bits(&[false, false, exclusive, false])
            .table(arguments)
    })
}

#[test]
fn consumers() {
    check(&[
        case(
            "a prefetch in octets",
            |s| s.send(&raw::method(1, 60, 10, |a| a.u32(1000).u16(0).u8(0))),
            connection(540, 60, 10, "NOT_IMPLEMENTED - prefetch_size!=0 (1000)"),
        ),
        case(
            "consuming a queue that does not exist",
            |s| s.send(&raw::consume(1, &s.queue.clone(), "", [false; 4])),
            channel(404, 60, 20, "NOT_FOUND - no queue '$q' in vhost '/'"),
        ),
        case(
            "consuming another connection's exclusive queue",
            |s| {
                s.foreign_queue();
                s.send(&raw::consume(1, &s.queue.clone(), "", [false; 4]));
            },
            channel(
                405,
                60,
                20,
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '$q' in vhost '/'",
            ),
        ),
        case(
            "consuming direct replies with acknowledgement",
            |s| s.send(&raw::consume(1, "amq.rabbitmq.reply-to", "", [false; 4])),
            channel(406, 60, 20, "PRECONDITION_FAILED - reply consumer cannot acknowledge"),
        ),
        case(
            "consuming direct replies twice on a channel",
            |s| {
                let consume = raw::consume(1, "amq.rabbitmq.reply-to", "", [false, true, false, false]);
                s.raw.call(&consume, 60, 21);
                s.send(&consume);
            },
            channel(406, 60, 20, "PRECONDITION_FAILED - reply consumer already set"),
        ),
        case(
            "consuming direct replies with a tag that is in use",
            |s| {
                s.declare_queue(NONE);
                s.raw.call(&raw::consume(1, &s.queue, "tag", [false; 4]), 60, 21);
                s.send(&raw::consume(1, "amq.rabbitmq.reply-to", "tag", [false, true, false, false]));
            },
            connection(530, 60, 20, "NOT_ALLOWED - attempt to reuse consumer tag 'tag'"),
        ),
        case(
            "asking for direct replies by a name that nobody has",
            |s| s.send(&raw::queue_declare(1, "amq.rabbitmq.reply-to.nobody", NONE)),
            channel(404, 50, 10, "NOT_FOUND - no queue 'amq.rabbitmq.reply-to.nobody' in vhost '/'"),
        ),
        case(
            "getting direct replies",
            |s| s.send(&raw::method(1, 60, 70, |a| a.u16(0).short("amq.rabbitmq.reply-to").u8(1))),
            channel(404, 60, 70, "NOT_FOUND - no queue 'amq.rabbitmq.reply-to' in vhost '/'"),
        ),
        case(
            "getting from a quorum queue with a single active consumer",
            |s| {
                let arguments = [&b"\x0cx-queue-typeS\0\0\0\x06quorum"[..], b"\x18x-single-active-consumert\x01"].concat();
                let declare = raw::method(1, 50, 10, |a| a.u16(0).short(&s.queue).bits(&DURABLE).table(&arguments));
                s.raw.call(&declare, 50, 11);
                s.send(&raw::method(1, 60, 70, |a| a.u16(0).short(&s.queue).u8(0)));
            },
            channel(
                405,
                60,
                70,
                "RESOURCE_LOCKED - cannot obtain access to locked queue '$q' in vhost '/'. basic.get operations are not supported by quorum queues with single active consumer",
            ),
        ),
        case(
            "a consumer tag used twice on a channel",
            |s| {
                s.declare_queue(NONE);
                s.raw.call(&raw::consume(1, &s.queue, "tag", [false; 4]), 60, 21);
                s.send(&raw::consume(1, &s.queue.clone(), "tag", [false; 4]));
            },
            connection(530, 60, 20, "NOT_ALLOWED - attempt to reuse consumer tag 'tag'"),
        ),
        case(
            "a priority that is no number",
            |s| {
                s.declare_queue(NONE);
                let priority = raw::Writer::default().short("x-priority").u8(b'S').long(b"high").0;
                s.send(&consume_with(&s.queue.clone(), false, &priority));
            },
            channel(
                406,
                60,
                20,
                "PRECONDITION_FAILED - invalid arg 'x-priority' for queue '$q' in vhost '/': \"expected integer, got longstr\"",
            ),
        ),
        case(
            "a consumer's timeout that is negative",
            |s| {
                s.declare_queue(NONE);
                let timeout = raw::Writer::default().short("x-consumer-timeout").u8(b'I').u32(u32::MAX).0;
                s.send(&consume_with(&s.queue.clone(), false, &timeout));
            },
            channel(
                406,
                60,
                20,
                "PRECONDITION_FAILED - invalid arg 'x-consumer-timeout' for queue '$q' in vhost '/': {value_negative,-1}",
            ),
        )
        // It does not know the argument on consumers.
        .but_rabbitmq(Answer::Silence),
        case(
            "consuming alone where there is a single active consumer",
            |s| {
                let single = raw::Writer::default().short("x-single-active-consumer").u8(b't').u8(1).0;
                let declare = raw::method(1, 50, 10, |a| a.u16(0).short(&s.queue).bits(&NONE).table(&single));
                s.raw.call(&declare, 50, 11);
                s.send(&consume_with(&s.queue.clone(), true, b""));
            },
            channel(403, 60, 20, "ACCESS_REFUSED - queue '$q' in vhost '/' in exclusive use"),
        ),
        case(
            "consuming alone when there is a consumer",
            |s| {
                s.declare_queue(NONE);
                s.raw.call(&raw::consume(1, &s.queue, "", [false; 4]), 60, 21);
                s.send(&raw::consume(1, &s.queue.clone(), "", [false, false, true, false]));
            },
            channel(403, 60, 20, "ACCESS_REFUSED - queue '$q' in vhost '/' in exclusive use"),
        ),
        case(
            "consuming when somebody consumes alone",
            |s| {
                s.declare_queue(NONE);
                s.raw.call(&raw::consume(1, &s.queue, "", [false, false, true, false]), 60, 21);
                s.send(&raw::consume(1, &s.queue.clone(), "", [false; 4]));
            },
            channel(403, 60, 20, "ACCESS_REFUSED - queue '$q' in vhost '/' in exclusive use"),
        ),
    ]);
}

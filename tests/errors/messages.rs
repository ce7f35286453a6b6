//! Publishing, getting, consuming, settling.

use crate::support::raw::{self, Writer};
use crate::{NONE, Setting, case, channel, check, connection};

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
            channel(406, 60, 40, "PRECONDITION_FAILED - invalid expiration 'soon'"),
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
            "a consumer tag used twice on a channel",
            |s| {
                s.declare_queue(NONE);
                s.raw.call(&raw::consume(1, &s.queue, "tag", [false; 4]), 60, 21);
                s.send(&raw::consume(1, &s.queue.clone(), "tag", [false; 4]));
            },
            connection(530, 60, 20, "NOT_ALLOWED - attempt to reuse consumer tag 'tag'"),
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

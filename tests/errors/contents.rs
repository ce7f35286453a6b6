//! Content that comes without its method, in another order or in another size than announced.

use crate::support::raw::{self, BODY, Writer};
use crate::{Answer, NONE, case, channel, check, connection};

#[test]
fn contents() {
    check(&[
        case(
            "a content header without a method",
            |s| s.send(&raw::header(1, 0)),
            connection(505, 0, 0, "UNEXPECTED_FRAME - "),
        ),
        case(
            "a body without a method",
            |s| s.send(&raw::frame(BODY, 1, b"x")),
            connection(505, 0, 0, "UNEXPECTED_FRAME - "),
        ),
        case(
            "a method where a content header is due",
            |s| {
                s.send(&raw::publish(1, "", "", &[false, false]));
                s.send(&raw::queue_declare(1, "", NONE));
            },
            connection(505, 60, 40, "UNEXPECTED_FRAME - "),
        ),
        case(
            "a body where a content header is due",
            |s| {
                s.send(&raw::publish(1, "", "", &[false, false]));
                s.send(&raw::frame(BODY, 1, b"x"));
            },
            connection(505, 60, 40, "UNEXPECTED_FRAME - "),
        ),
        case(
            "a content header of another class",
            |s| {
                s.send(&raw::publish(1, "", "", &[false, false]));
                s.send(&raw::frame(raw::HEADER, 1, &Writer::default().u16(50).u16(0).u64(0).u16(0).0));
            },
            connection(505, 60, 40, "UNEXPECTED_FRAME - "),
        ),
        case(
            "a method where a body is due",
            |s| {
                s.send(&raw::publish(1, "", "", &[false, false]));
                s.send(&raw::header(1, 3));
                s.send(&raw::queue_declare(1, "", NONE));
            },
            connection(505, 60, 40, "UNEXPECTED_FRAME - "),
        ),
        case(
            "a second content header where a body is due",
            |s| {
                s.send(&raw::publish(1, "", "", &[false, false]));
                s.send(&raw::header(1, 3));
                s.send(&raw::header(1, 3));
            },
            connection(505, 60, 40, "UNEXPECTED_FRAME - "),
        ),
        case(
            "more body than the header said",
            |s| {
                s.send(&raw::publish(1, "", "", &[false, false]));
                s.send(&raw::header(1, 3));
                s.send(&raw::frame(BODY, 1, b"abcd"));
            },
            connection(501, 60, 40, "FRAME_ERROR - "),
        )
        .but_rabbitmq(Answer::Silence),
        case(
            "a content header that is cut off",
            |s| {
                s.send(&raw::publish(1, "", "", &[false, false]));
                s.send(&raw::frame(raw::HEADER, 1, &Writer::default().u16(60).u16(0).u32(0).0));
            },
            connection(501, 0, 0, "FRAME_ERROR - "),
        ),
        case(
            "properties that are not there",
            |s| {
                s.send(&raw::publish(1, "", "", &[false, false]));
                s.send(&raw::frame(raw::HEADER, 1, &Writer::default().u16(60).u16(0).u64(0).u16(0x8000).0));
            },
            connection(502, 60, 40, "SYNTAX_ERROR - "),
        )
        .but_rabbitmq(connection(541, 0, 0, "INTERNAL_ERROR")),
        case(
            "a body larger than any may be",
            |s| {
                s.send(&raw::publish(1, "", "", &[false, false]));
                s.send(&raw::header(1, 1 << 40));
            },
            channel(
                406,
                60,
                40,
                "PRECONDITION_FAILED - message size 1099511627776 is larger than configured max size 134217728",
            ),
        )
        .but_rabbitmq(Answer::Silence),
    ]);
}

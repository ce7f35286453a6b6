//! What is wrong with octets: frames, methods that do not exist, arguments and tables that cannot be read.

use crate::support::raw::{self, BODY, METHOD, Raw};
use crate::{Answer, NONE, case, check, connection};

#[test]
fn frames() {
    check(&[
        case(
            "a frame that does not end with 0xCE",
            |s| {
                let mut bytes = raw::queue_declare(1, "", NONE);
                *bytes.last_mut().unwrap() = 0xCD;
                s.send(&bytes);
            },
            connection(501, 0, 0, "FRAME_ERROR"),
        ),
        case(
            "a frame above the negotiated frame_max",
            |s| {
                s.send(&raw::publish(1, "", "", &[false, false]));
                s.send(&raw::header(1, 1 << 20));
                s.send(&raw::frame(BODY, 1, &vec![0; 131_072 + 1]));
            },
            connection(501, 0, 0, "FRAME_ERROR"),
        ),
        case(
            "a frame above a frame_max that was lowered",
            |s| {
                s.raw = Raw::login_tuned(s.address, Some(4096));
                s.raw.open(1);
                s.send(&raw::publish(1, "", "", &[false, false]));
                s.send(&raw::header(1, 1 << 20));
                s.send(&raw::frame(BODY, 1, &[0; 4096 + 1]));
            },
            connection(501, 0, 0, "FRAME_ERROR"),
        ),
        case(
            "a frame of unknown kind",
            |s| s.send(&raw::frame(7, 1, b"xyz")),
            connection(501, 0, 0, "FRAME_ERROR - "),
        ),
        case(
            "a frame of kind 0",
            |s| s.send(&raw::frame(0, 0, b"xyz")),
            connection(501, 0, 0, "FRAME_ERROR - "),
        ),
        case(
            "a heartbeat on a channel",
            |s| s.send(&raw::frame(8, 1, b"")),
            connection(505, 0, 0, "UNEXPECTED_FRAME - "),
        ),
        case(
            "a heartbeat with content",
            |s| s.send(&raw::frame(8, 0, b"x")),
            connection(501, 0, 0, "FRAME_ERROR - "),
        ),
        case(
            "a method frame without a method",
            |s| s.send(&raw::frame(METHOD, 1, b"\x00")),
            connection(501, 0, 0, "FRAME_ERROR - "),
        ),
        case(
            "an unknown class",
            |s| s.send(&raw::method(1, 99, 10, |a| a)),
            connection(503, 99, 10, "COMMAND_INVALID - "),
        )
        .but_rabbitmq(Answer::End),
        case(
            "an unknown method",
            |s| s.send(&raw::method(1, 50, 99, |a| a)),
            connection(540, 50, 99, "NOT_IMPLEMENTED - "),
        )
        .but_rabbitmq(Answer::End),
        case(
            "an unknown method on channel 0",
            |s| s.send(&raw::method(0, 10, 99, |a| a)),
            connection(540, 10, 99, "NOT_IMPLEMENTED - "),
        )
        .but_rabbitmq(Answer::End),
        case(
            "arguments that end too early",
            |s| s.send(&raw::method(1, 50, 10, |a| a.u16(0))),
            connection(501, 50, 10, "FRAME_ERROR - "),
        ),
        case(
            "a string that runs out of its frame",
            |s| s.send(&raw::method(1, 50, 10, |a| a.u16(0).u8(200).u8(b'a'))),
            connection(501, 50, 10, "FRAME_ERROR - "),
        ),
        case(
            "more arguments than the method has",
            |s| s.send(&raw::method(1, 20, 40, |a| a.u16(200).short("").u16(0).u16(0).u32(7))),
            connection(501, 20, 40, "FRAME_ERROR - "),
        ),
        case(
            "a table with an unknown type in it",
            |s| s.send(&raw::method(1, 50, 10, |a| a.u16(0).short("").u8(0).table(b"\x01aZ"))),
            connection(502, 50, 10, "SYNTAX_ERROR - "),
        )
        .but_rabbitmq(Answer::End),
        case(
            "a table that is cut off",
            |s| s.send(&raw::method(1, 50, 10, |a| a.u16(0).short("").u8(0).table(b"\x05ab"))),
            connection(502, 50, 10, "SYNTAX_ERROR - "),
        )
        .but_rabbitmq(Answer::End),
    ]);
}

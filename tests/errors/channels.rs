//! Methods on the wrong channel, or out of their order.

use crate::support::raw;
use crate::{NONE, case, check, connection};

#[test]
fn channels() {
    check(&[
        case(
            "a method on a channel that is not open",
            |s| s.send(&raw::queue_declare(2, "", NONE)),
            connection(504, 50, 10, "CHANNEL_ERROR - expected 'channel.open'"),
        ),
        case(
            "a content header on a channel that is not open",
            |s| s.send(&raw::header(2, 0)),
            connection(505, 0, 0, "UNEXPECTED_FRAME - "),
        ),
        case(
            "a channel opened twice",
            |s| s.send(&raw::method(1, 20, 10, |a| a.short(""))),
            connection(504, 20, 10, "CHANNEL_ERROR - second 'channel.open' seen"),
        ),
        case(
            "channel.open on channel 0",
            |s| s.send(&raw::method(0, 20, 10, |a| a.short(""))),
            connection(504, 20, 10, "CHANNEL_ERROR - "),
        ),
        case(
            "queue.declare on channel 0",
            |s| s.send(&raw::queue_declare(0, "", NONE)),
            connection(504, 50, 10, "CHANNEL_ERROR - "),
        ),
        case(
            "connection.open on a channel",
            |s| s.send(&raw::method(1, 10, 40, |a| a.short("/").short("").u8(0))),
            connection(503, 10, 40, "COMMAND_INVALID - "),
        ),
        case(
            "connection.open twice",
            |s| s.send(&raw::connection_open("/")),
            connection(504, 10, 40, "CHANNEL_ERROR - "),
        ),
        case(
            "connection.tune-ok once more",
            |s| s.send(&raw::tune_ok(0, 0, 0)),
            connection(504, 10, 31, "CHANNEL_ERROR - "),
        ),
        case(
            "a method that only brokers send",
            |s| s.send(&raw::method(1, 50, 11, |a| a.short("q").u32(0).u32(0))),
            connection(503, 50, 11, "COMMAND_INVALID - "),
        ),
        case(
            "basic.deliver from a client",
            |s| {
                s.send(&raw::method(1, 60, 60, |a| a.short("c").u64(1).u8(0).short("").short("")));
                s.send(&raw::header(1, 0));
            },
            connection(503, 60, 60, "COMMAND_INVALID - "),
        ),
        case(
            "stopping the broker's deliveries by channel.flow",
            |s| s.send(&raw::method(1, 20, 20, |a| a.bits(&[false]))),
            connection(540, 20, 20, "NOT_IMPLEMENTED - active=false"),
        ),
    ]);
}

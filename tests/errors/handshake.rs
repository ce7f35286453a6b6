//! From the protocol header to connection.open.

use crate::support::raw::{self, Raw};
use crate::support::{Broker, rabbitmq};
use crate::{Answer, Setting, case, check, connection};

#[test]
fn handshake() {
    fn restart(s: &mut Setting, header: &[u8]) {
        s.raw = Raw::connect(s.address);
        s.send(header);
    }
    fn start(s: &mut Setting) {
        restart(s, raw::PROTOCOL_HEADER);
        s.raw.expect(10, 10);
    }
    fn tuned(s: &mut Setting) {
        start(s);
        s.send(&raw::start_ok("PLAIN", b"\0guest\0guest", true));
        s.raw.expect(10, 30);
    }
    check(&[
        case(
            "a wrong password",
            |s| {
                start(s);
                s.send(&raw::start_ok("PLAIN", b"\0guest\0wrong", true));
            },
            connection(
                403,
                0,
                0,
                "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
            ),
        ),
        case(
            "an unknown user",
            |s| {
                start(s);
                s.send(&raw::start_ok("PLAIN", b"\0nobody\0guest", true));
            },
            connection(
                403,
                0,
                0,
                "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
            ),
        ),
        case(
            "a wrong password from a client that does not know connection.close before tune",
            |s| {
                start(s);
                s.send(&raw::start_ok("PLAIN", b"\0guest\0wrong", false));
            },
            Answer::End,
        ),
        case(
            "credentials that are none",
            |s| {
                start(s);
                s.send(&raw::start_ok("PLAIN", b"guest", true));
            },
            connection(403, 0, 0, "ACCESS_REFUSED - "),
        )
        .but_rabbitmq(Answer::End),
        case(
            "an unknown mechanism",
            |s| {
                start(s);
                s.send(&raw::start_ok("WHISPER", b"", true));
            },
            Answer::End,
        ),
        case(
            "an unknown vhost",
            |s| {
                tuned(s);
                s.send(&raw::tune_ok(2047, 131_072, 0));
                s.send(&raw::connection_open("nowhere"));
            },
            connection(530, 10, 40, "NOT_ALLOWED - vhost nowhere not found"),
        ),
        case(
            "a frame_max below the least",
            |s| {
                tuned(s);
                s.send(&raw::tune_ok(2047, 4095, 0));
            },
            Answer::End,
        ),
        case(
            "a frame_max above the offer",
            |s| {
                tuned(s);
                s.send(&raw::tune_ok(2047, 131_073, 0));
            },
            Answer::End,
        ),
        case(
            "a channel_max above the offer",
            |s| {
                tuned(s);
                s.send(&raw::tune_ok(2048, 131_072, 0));
            },
            Answer::End,
        ),
        case(
            "connection.open before connection.tune-ok",
            |s| {
                tuned(s);
                s.send(&raw::connection_open("/"));
            },
            Answer::End,
        ),
        case(
            "channel.open before the login",
            |s| {
                start(s);
                s.send(&raw::method(1, 20, 10, |a| a.short("")));
            },
            Answer::End,
        ),
        case(
            "a frame with a wrong end before the login",
            |s| {
                start(s);
                s.send(b"\x01\x00\x00\x00\x00\x00\x01xy");
            },
            Answer::End,
        ),
    ]);
}

#[test]
fn protocol_header() {
    let broker = Broker::shared();
    for header in [
        &b"HTTP/1.1"[..],
        b"AMQP\x00\x00\x08\x00",
        b"AMQP\x00\x00\x09\x02",
        b"AMQP\x03\x01\x00\x00",
        // 0-8, which RabbitMQ still speaks: it numbers `connection.close` otherwise and has no arguments for `basic.consume`. What spoke it last is of 2009.
        b"AMQP\x01\x01\x08\x00",
        b"AMQP\x01\x01\x09\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
    ] {
        let mut raw = Raw::connect(broker.amqp());
        raw.send(header);
        assert_eq!(raw.octets(9), raw::PROTOCOL_HEADER, "the answer to {}", header.escape_ascii());
    }
}

/// The header of 0-9, as Perl's Net::AMQP sends it, is as good as that of 0-9-1.
#[test]
fn protocol_header_of_0_9() {
    for address in std::iter::once(Broker::shared().amqp()).chain(rabbitmq::address()) {
        let mut raw = Raw::connect(address);
        raw.send(b"AMQP\x01\x01");
        raw.send(b"\x00\x09");
        raw.expect(10, 10);
    }
}

//! Connections and channels: what is agreed on, how they end, what comes after.

use crate::peer::Peer;
use crate::support::raw::{self, Raw};
use crate::{case, check};

/// Logs in and answers the offers of `connection.tune` with these.
fn tune(p: &mut Peer, channel_max: u16, frame_max: u32) {
    p.raw = Raw::connect(p.address);
    p.raw.send(raw::PROTOCOL_HEADER);
    p.raw.expect(10, 10);
    p.raw.send(&raw::start_ok("PLAIN", b"\0guest\0guest", true));
    p.raw.expect(10, 30);
    p.raw.send(&raw::tune_ok(channel_max, frame_max, 0));
    p.call(&raw::connection_open("/"));
}

#[test]
fn connections() {
    check(&[
        case("what is offered is taken", |p| tune(p, 2047, 131_072), &["10.41"]),
        case("less than what is offered", |p| tune(p, 1, 4096), &["10.41"]),
        case(
            "one channel more than was agreed on, whatever its number",
            |p| {
                tune(p, 2, 4096);
                for number in [1, 65535, 2] {
                    p.call(&raw::method(number, 20, 10, |a| a.short("")));
                }
            },
            &[
                "10.41",
                "20.11",
                "20.11",
                "connection.close 530 NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)",
            ],
        ),
        case("no limit of one's own", |p| tune(p, 0, 0), &["10.41"]).but_rabbitmq(
            "RabbitMQ takes 0 for a wish to have no limit at all and refuses it; here the broker's own limits hold",
            &["the end"],
        ),
        case(
            "a new secret",
            |p| p.call(&raw::method(0, 10, 70, |a| a.long(b"guest").short("renewed"))),
            &["10.71"],
        ),
        case(
            "the end of a connection",
            |p| p.call(&raw::method(0, 10, 50, |a| a.u16(200).short("bye").u16(0).u16(0))),
            &["10.51"],
        ),
        case(
            "a channel closed, opened again, and its number used by another",
            |p| {
                p.call(&raw::method(1, 20, 40, |a| a.u16(200).short("").u16(0).u16(0)));
                p.call(&raw::method(1, 20, 10, |a| a.short("")));
                p.call(&raw::method(2047, 20, 10, |a| a.short("")));
            },
            &["20.41", "20.11", "20.11"],
        ),
        case(
            "channel.flow that stops nothing",
            |p| p.call(&raw::method(1, 20, 20, |a| a.bits(&[true]))),
            &["20.21"],
        ),
        case(
            "a channel that the broker has closed is deaf until close-ok",
            |p| {
                let q = p.name("$q");
                p.call(&raw::queue_declare(1, &q, [true, false, false, false, false]));
                p.raw.send(&raw::queue_declare(1, &q, [false; 5]));
                p.call(&raw::method(1, 20, 40, |a| a.u16(200).short("").u16(0).u16(0)));
                p.raw.send(&raw::method(1, 20, 41, |a| a));
                p.call(&raw::method(1, 20, 10, |a| a.short("")));
                p.counts("$q");
            },
            &[
                "channel.close 404 NOT_FOUND - no queue '$q' in vhost '/' 50.10",
                "20.41",
                "20.11",
                "channel.close 404 NOT_FOUND - no queue '$q' in vhost '/' 50.10",
            ],
        ),
        case(
            "a channel opened again before the broker's close was answered",
            |p| {
                let q = p.name("$q");
                p.call(&raw::queue_declare(1, &q, [true, false, false, false, false]));
                p.call(&raw::method(1, 20, 10, |a| a.short("")));
            },
            &[
                "channel.close 404 NOT_FOUND - no queue '$q' in vhost '/' 50.10",
                "connection.close 504 CHANNEL_ERROR - second 'channel.open' seen",
            ],
        ),
        case(
            "a frame above 4096 octets before anything larger is agreed on",
            |p| {
                p.raw = Raw::connect(p.address);
                p.raw.send(raw::PROTOCOL_HEADER);
                p.raw.expect(10, 10);
                let long = vec![b'x'; 5000];
                p.call(&raw::method(0, 10, 11, |a| a.table(b"").short("PLAIN").long(&long).short("en_US")));
            },
            &["the end"],
        ),
    ]);
}

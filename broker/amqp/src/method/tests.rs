//! Methods against payloads made without this codec, and against the crate amq-protocol.

use super::*;
use crate::testing::{payload, payload_of};
use crate::{Fault, RawTable, ReplyCode, ShortStr, Table, Value, basic, connection, exchange, queue};
use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame};
use amq_protocol::protocol as theirs;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn encoded(method: &Method<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    method.encode(&mut out);
    out
}

/// What amq-protocol writes.
fn their_payload(class: theirs::AMQPClass) -> Vec<u8> {
    let frame = AMQPFrame::Method(1, class);
    let (frame, _) = gen_frame::<Vec<u8>>(&frame)(WriteContext::from(Vec::new()))
        .expect("frame")
        .into_inner();
    frame[7..frame.len() - 1].to_vec()
}

#[test]
fn every_method_reads_and_writes_what_was_laid_out() {
    for &(class, method) in Method::IDS {
        let mut runner = TestRunner::new(Config::with_cases(40));
        let check = |payload: Vec<u8>| {
            let decoded = Method::decode(&payload).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(decoded.id(), (class, method));
            prop_assert_eq!(Some(decoded.name()), name_of(class, method));
            prop_assert_eq!(encoded(&decoded), payload);
            Ok(())
        };
        runner.run(&payload_of(class, method), check).expect("round trip");
    }
}

#[test]
fn amq_protocol_reads_and_writes_the_same() {
    // It has no fields for the ticket of the one, which it writes as 1, and the prefetch-size of the other.
    let without = [access::RequestOk::ID, basic::Qos::ID];
    for &(class, method) in Method::IDS.iter().filter(|id| !without.contains(id)) {
        let mut runner = TestRunner::new(Config::with_cases(20));
        let check = |payload: Vec<u8>| {
            let Ok((rest, theirs)) = theirs::parse_class(&payload[..]) else {
                // Only where it insists on UTF-8 and RabbitMQ does not.
                prop_assert!(class == 60 && std::str::from_utf8(&payload).is_err());
                return Ok(());
            };
            prop_assert!(rest.is_empty());
            prop_assert_eq!(their_payload(theirs), payload);
            Ok(())
        };
        runner.run(&payload_of(class, method), check).expect("the same");
    }
}

/// Both crates write the same for the same fields.
#[track_caller]
fn check_places(theirs: theirs::AMQPClass, ours: impl Into<Method<'static>>) {
    let (payload, ours) = (their_payload(theirs), ours.into());
    assert_eq!(Method::decode(&payload), Ok(ours));
    assert_eq!(encoded(&ours), payload);
}

fn their_arguments() -> amq_protocol::types::FieldTable {
    let mut arguments = amq_protocol::types::FieldTable::default();
    arguments.insert("n".into(), amq_protocol::types::AMQPValue::LongInt(5));
    arguments
}

fn our_arguments() -> RawTable<'static> {
    RawTable::new(b"\x01nI\0\0\0\x05").expect("a table")
}

#[test]
fn fields_of_declarations_have_their_places() {
    check_places(
        theirs::AMQPClass::Queue(theirs::queue::AMQPMethod::Declare(theirs::queue::Declare {
            queue: "q".into(),
            passive: true,
            durable: false,
            exclusive: true,
            auto_delete: false,
            nowait: true,
            arguments: their_arguments(),
        })),
        queue::Declare {
            queue: ShortStr::literal("q"),
            passive: true,
            durable: false,
            exclusive: true,
            auto_delete: false,
            no_wait: true,
            arguments: our_arguments(),
        },
    );
    check_places(
        theirs::AMQPClass::Exchange(theirs::exchange::AMQPMethod::Declare(theirs::exchange::Declare {
            exchange: "x".into(),
            kind: "topic".into(),
            passive: false,
            durable: true,
            auto_delete: false,
            internal: true,
            nowait: false,
            arguments: their_arguments(),
        })),
        exchange::Declare {
            exchange: ShortStr::literal("x"),
            kind: ShortStr::literal("topic"),
            passive: false,
            durable: true,
            auto_delete: false,
            internal: true,
            no_wait: false,
            arguments: our_arguments(),
        },
    );
    check_places(
        theirs::AMQPClass::Exchange(theirs::exchange::AMQPMethod::Bind(theirs::exchange::Bind {
            destination: "d".into(),
            source: "s".into(),
            routing_key: "k".into(),
            nowait: true,
            arguments: their_arguments(),
        })),
        exchange::Bind {
            destination: ShortStr::literal("d"),
            source: ShortStr::literal("s"),
            routing_key: ShortStr::literal("k"),
            no_wait: true,
            arguments: our_arguments(),
        },
    );
}

#[test]
fn fields_of_messages_have_their_places() {
    check_places(
        theirs::AMQPClass::Basic(theirs::basic::AMQPMethod::Consume(theirs::basic::Consume {
            queue: "q".into(),
            consumer_tag: "c".into(),
            no_local: false,
            no_ack: true,
            exclusive: false,
            nowait: true,
            arguments: their_arguments(),
        })),
        basic::Consume {
            queue: ShortStr::literal("q"),
            consumer_tag: ShortStr::literal("c"),
            no_local: false,
            no_ack: true,
            exclusive: false,
            no_wait: true,
            arguments: our_arguments(),
        },
    );
    check_places(
        theirs::AMQPClass::Basic(theirs::basic::AMQPMethod::Deliver(theirs::basic::Deliver {
            consumer_tag: "c".into(),
            delivery_tag: 1 << 40,
            redelivered: true,
            exchange: "x".into(),
            routing_key: "k".into(),
        })),
        basic::Deliver {
            consumer_tag: ShortStr::literal("c"),
            delivery_tag: 1 << 40,
            redelivered: true,
            exchange: ShortStr::literal("x"),
            routing_key: ShortStr::literal("k"),
        },
    );
    check_places(
        theirs::AMQPClass::Basic(theirs::basic::AMQPMethod::Nack(theirs::basic::Nack {
            delivery_tag: 9,
            multiple: false,
            requeue: true,
        })),
        basic::Nack {
            delivery_tag: 9,
            multiple: false,
            requeue: true,
        },
    );
}

#[test]
fn fields_of_connections_have_their_places() {
    check_places(
        theirs::AMQPClass::Connection(theirs::connection::AMQPMethod::Tune(theirs::connection::Tune {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 60,
        })),
        connection::Tune {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 60,
        },
    );
    check_places(
        theirs::AMQPClass::Connection(theirs::connection::AMQPMethod::Close(theirs::connection::Close {
            reply_code: 320,
            reply_text: "CONNECTION_FORCED".into(),
            class_id: 10,
            method_id: 40,
        })),
        connection::Close {
            reply_code: 320,
            reply_text: ShortStr::literal("CONNECTION_FORCED"),
            class_id: 10,
            method_id: 40,
        },
    );
}

#[test]
fn the_numbers_are_the_specifications() {
    let names: Vec<_> = Method::IDS.iter().filter_map(|&(class, method)| name_of(class, method)).collect();
    assert_eq!((names.len(), Method::IDS.len()), (66, 66));
    assert!(Method::IDS.is_sorted());
    for (class, method, name) in [
        (10, 70, "connection.update-secret"),
        (40, 51, "exchange.unbind-ok"),
        (50, 51, "queue.unbind-ok"),
        (60, 72, "basic.get-empty"),
        (60, 120, "basic.nack"),
        (85, 11, "confirm.select-ok"),
        (90, 31, "tx.rollback-ok"),
    ] {
        assert_eq!(name_of(class, method), Some(name));
    }
    assert_eq!(basic::Deliver::ID, (60, 60));
    assert_eq!(basic::Deliver::NAME, "basic.deliver");
}

#[test]
fn reserved_fields_are_on_the_wire_only() {
    let open = Method::from(connection::Open {
        virtual_host: ShortStr::literal("/"),
    });
    assert_eq!(encoded(&open), b"\0\x0a\0\x28\x01/\0\0");
    // Old clients fill them in: capabilities and insist.
    assert_eq!(Method::decode(b"\0\x0a\0\x28\x01/\x04caps\x01"), Ok(open));
    let get = Method::from(basic::Get {
        queue: ShortStr::literal("q"),
        no_ack: true,
    });
    assert_eq!(Method::decode(b"\0\x3c\0\x46\x12\x34\x01q\x01"), Ok(get));
    // Bits that mean nothing are ignored.
    assert_eq!(Method::decode(b"\0\x3c\0\x46\x12\x34\x01q\xff"), Ok(get));
}

#[test]
fn what_is_malformed_is_answered_as_rabbitmq_answers() {
    use ReplyCode::{CommandInvalid, FrameError, NotImplemented, SyntaxError};
    type Case = (&'static [u8], ReplyCode, (u16, u16), &'static str);
    let cases: &[Case] = &[
        (b"", FrameError, (0, 0), "a payload of 0 octets is no method"),
        (b"\0\x0a\0", FrameError, (0, 0), "a payload of 3 octets is no method"),
        (b"\0\x0b\0\x0a", CommandInvalid, (11, 10), "unknown class 11, method 10"),
        (b"\0\x32\0\x63", NotImplemented, (50, 99), "unknown method 99 of class 50"),
        (
            b"\0\x3c\0\x50\0\0\0\0",
            FrameError,
            (60, 80),
            "basic.ack, field delivery_tag: 8 octets were expected, 4 are left",
        ),
        (
            b"\0\x3c\0\x50\0\0\0\0\0\0\0\x01",
            FrameError,
            (60, 80),
            "basic.ack, field multiple: 1 octets were expected, 0 are left",
        ),
        (b"\0\x5a\0\x0a\0", FrameError, (90, 10), "tx.select, field (end): 1 octets too many"),
        (
            b"\0\x32\0\x1e\0\0\x02\xff\xfe\0",
            FrameError,
            (50, 30),
            "queue.purge, field queue: a name that is not UTF-8",
        ),
        (
            b"\0\x32\0\x1e\0\0\x05q",
            FrameError,
            (50, 30),
            "queue.purge, field queue: 5 octets were expected, 1 are left",
        ),
        (
            b"\0\x32\0\x0a\0\0\x01q\0\0\0\0\x09\x01a",
            FrameError,
            (50, 10),
            "queue.declare, field arguments: 9 octets were expected, 2 are left",
        ),
        (
            b"\0\x32\0\x0a\0\0\x01q\0\0\0\0\x03\x01aZ",
            SyntaxError,
            (50, 10),
            "queue.declare, field arguments: table: unknown field type 0x5a",
        ),
        (
            b"\0\x32\0\x0a\0\0\x01q\0\0\0\0\x04\x01aI\0",
            SyntaxError,
            (50, 10),
            "queue.declare, field arguments: table: 4 octets were expected, 1 are left",
        ),
    ];
    for &(payload, code, id, text) in cases {
        let error = Method::decode(payload).expect_err("malformed");
        assert_eq!((error.code(), error.class_method(), error.to_string().as_str()), (code, id, text));
    }
}

#[test]
fn routing_keys_may_be_any_octets_as_in_rabbitmq() {
    let publish = Method::decode(b"\0\x3c\0\x28\0\0\x01\xff\x02\xc3\x28\x02").expect("a publish");
    let Method::BasicPublish(publish) = publish else {
        panic!("{publish:?}");
    };
    assert_eq!(publish.routing_key.as_bytes(), b"\xc3\x28");
    assert!(publish.immediate && !publish.mandatory);
}

proptest! {
    #[test]
    fn every_cut_and_every_octet_too_many_is_a_frame_error(payload in payload(), extra in any::<u8>()) {
        for end in 0..payload.len() {
            let error = Method::decode(&payload[..end]).expect_err("cut");
            prop_assert_eq!(error.code(), ReplyCode::FrameError, "{} at {}", error, end);
        }
        let longer = [&payload[..], &[extra]].concat();
        let trailing = matches!(Method::decode(&longer), Err(WireError::Field { fault: Fault::Trailing(1), .. }));
        prop_assert!(trailing);
    }

    #[test]
    fn any_octets_are_a_method_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..200), id in proptest::sample::select(Method::IDS)) {
        for payload in [octets.clone(), [&id.0.to_be_bytes()[..], &id.1.to_be_bytes(), &octets].concat()] {
            match Method::decode(&payload) {
                Ok(method) => {
                    let again = encoded(&method);
                    prop_assert_eq!(Method::decode(&again), Ok(method));
                }
                Err(error) => prop_assert!(!error.to_string().is_empty() && error.code().is_hard()),
            }
        }
    }
}

#[test]
fn a_value_in_a_raw_table_is_found_without_building_the_rest() {
    let table: Table = [("a", Value::Void), ("b", Value::I32(1)), ("b", Value::I32(2))]
        .into_iter()
        .collect();
    let bytes = table.to_bytes();
    let raw = RawTable::new(&bytes).expect("a table");
    assert_eq!((raw.get("b"), raw.get("c")), (Some(Value::I32(1)), None));
    assert_eq!(raw.to_table(), table);
}

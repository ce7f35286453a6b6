//! Declarations and deletions of exchanges: what is done, and what is refused in which words.

use super::*;

const NO_RIGHTS: &str = "operation not permitted on the default exchange";

#[test]
fn an_exchange_can_be_declared_again_if_nothing_differs() {
    let arguments = table([("alternate-exchange", text("spare"))]);
    let first = ExchangeDeclare {
        name: b"x",
        kind: b"topic",
        durable: true,
        arguments,
        ..ExchangeDeclare::default()
    };
    let differs = |what: &str| format!("inequivalent arg '{what}");
    let cases = [
        (first.clone(), Ok(())),
        (
            ExchangeDeclare {
                arguments: table([("alternate-exchange", text("spare")), ("x-else", text("?"))]),
                ..first.clone()
            },
            Ok(()),
        ),
        (
            ExchangeDeclare {
                kind: b"fanout",
                ..first.clone()
            },
            Err(differs(
                "type' for exchange 'x' in vhost '/': received 'fanout' but current is 'topic'",
            )),
        ),
        (
            ExchangeDeclare {
                durable: false,
                ..first.clone()
            },
            Err(differs(
                "durable' for exchange 'x' in vhost '/': received 'false' but current is 'true'",
            )),
        ),
        (
            ExchangeDeclare {
                auto_delete: true,
                ..first.clone()
            },
            Err(differs(
                "auto_delete' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
            )),
        ),
        (
            ExchangeDeclare {
                internal: true,
                ..first.clone()
            },
            Err(differs(
                "internal' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
            )),
        ),
        (
            ExchangeDeclare {
                arguments: Table::new(),
                ..first.clone()
            },
            Err(differs(
                "alternate-exchange' for exchange 'x' in vhost '/': received none but current is the value 'spare' of type 'longstr'",
            )),
        ),
        (
            ExchangeDeclare {
                arguments: table([("alternate-exchange", text("other"))]),
                ..first.clone()
            },
            Err(differs(
                "alternate-exchange' for exchange 'x' in vhost '/': received 'other' but current is 'spare'",
            )),
        ),
        (
            ExchangeDeclare {
                name: b"x",
                passive: true,
                ..ExchangeDeclare::default()
            },
            Ok(()),
        ),
    ];
    let mut site = Site::new();
    assert_eq!(site.declare_exchange(first), Ok(()));
    for (declare, expected) in cases {
        let expected = expected.map_err(|text| (406, text));
        assert_eq!(site.declare_exchange(declare.clone()), expected, "{declare:?}");
    }
}

#[test]
fn what_rabbitmq_refuses_of_exchanges_is_refused_in_its_words() {
    let x = |name: &'static str, kind: &'static str| ExchangeDeclare {
        name: name.as_bytes(),
        kind: kind.as_bytes(),
        ..ExchangeDeclare::default()
    };
    let cases = [
        (x("", "direct"), refused(ReplyCode::AccessRefused, NO_RIGHTS)),
        (
            ExchangeDeclare {
                passive: true,
                ..x("", "direct")
            },
            refused(ReplyCode::AccessRefused, NO_RIGHTS),
        ),
        (
            x("x", "x-nothing"),
            refused(ReplyCode::CommandInvalid, "unknown exchange type 'x-nothing'"),
        ),
        (
            x("amq.x", "direct"),
            refused(ReplyCode::AccessRefused, "exchange name 'amq.x' contains reserved prefix 'amq.*'"),
        ),
        (
            ExchangeDeclare {
                durable: true,
                ..x("amq.direct", "direct")
            },
            Ok(()),
        ),
        (
            ExchangeDeclare {
                passive: true,
                ..x("x", "")
            },
            refused(ReplyCode::NotFound, "no exchange 'x' in vhost '/'"),
        ),
        (
            ExchangeDeclare {
                passive: true,
                ..x("amq.match", "")
            },
            Ok(()),
        ),
        (
            ExchangeDeclare {
                arguments: table([("alternate-exchange", Value::from(7))]),
                ..x("x", "direct")
            },
            refused(
                ReplyCode::PreconditionFailed,
                "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'",
            ),
        ),
        (
            ExchangeDeclare {
                name: b"\xff",
                ..x("", "direct")
            },
            refused(
                ReplyCode::PreconditionFailed,
                "exchange name '\u{fffd}' is not valid: a name is UTF-8 of at most 255 octets",
            ),
        ),
        (x("with\r\nbreaks", "fanout"), Ok(())),
        (
            ExchangeDeclare {
                passive: true,
                ..x("withbreaks", "")
            },
            Ok(()),
        ),
    ];
    for (declare, expected) in cases {
        let mut site = Site::new();
        site.declare_exchange(x("withbreaks", "fanout")).unwrap();
        assert_eq!(site.declare_exchange(declare.clone()), expected, "{declare:?}");
    }
}

#[test]
fn exchanges_are_deleted_with_their_bindings() {
    let mut site = Site::new();
    site.exchange("x", "direct").unwrap();
    site.exchange("y", "fanout").unwrap();
    site.queue("q").unwrap();
    let none = Table::new();
    site.bind("q", "x", "k", &none).unwrap();
    site.bind_exchange("x", "y", "").unwrap();
    let cases = [
        ("", false, refused(ReplyCode::AccessRefused, NO_RIGHTS)),
        (
            "amq.topic",
            false,
            refused(
                ReplyCode::AccessRefused,
                "deletion of system exchange 'amq.topic' in vhost '/' not allowed",
            ),
        ),
        (
            "x",
            true,
            refused(ReplyCode::PreconditionFailed, "exchange 'x' in vhost '/' in use"),
        ),
        ("x", false, Ok(())),
        ("x", false, Ok(())),
        ("y", true, Ok(())),
    ];
    for (name, if_unused, expected) in cases {
        assert_eq!(site.delete_exchange(name, if_unused), expected, "{name}");
    }
    assert_eq!(site.list(), ["q"]);
}

//! The values that arguments of queues may have, and RabbitMQ's words for those that they may not.

use super::*;

fn check(fields: &[(&str, Value)], expected: Result<(), &str>) {
    let outcome = Site::new().declare_queue(QueueDeclare {
        name: b"q",
        durable: true,
        arguments: fields.iter().cloned().collect(),
        ..QueueDeclare::default()
    });
    let outcome = outcome.map(|declared| assert_eq!(declared.queue.arguments, fields.iter().cloned().collect(), "they are kept"));
    let expected = expected.map_err(|why| {
        let argument = fields[0].0;
        (406, format!("invalid arg '{argument}' for queue 'q' in vhost '/': {why}"))
    });
    assert_eq!(outcome, expected, "{fields:?}");
}

#[test]
fn numbers() {
    for argument in [
        "x-message-ttl",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-consumer-timeout",
    ] {
        check(&[(argument, Value::from(7_u8))], Ok(()));
        check(&[(argument, Value::from(7_i64))], Ok(()));
        check(&[(argument, Value::from(-1))], Err("{value_negative,-1}"));
        check(&[(argument, text("7"))], Err("\"expected integer, got longstr\""));
        check(&[(argument, Value::Timestamp(7))], Err("\"expected integer, got timestamp\""));
    }
    check(&[("x-message-ttl", Value::from(0))], Ok(()));
    check(&[("x-expires", Value::from(0))], Err("{value_zero,0}"));
    check(&[("x-expires", Value::from(315_360_000_000_i64))], Ok(()));
    check(
        &[("x-message-ttl", Value::from(315_360_000_001_i64))],
        Err("{value_too_large,315360000001}"),
    );
    check(&[("x-max-priority", Value::from(255))], Ok(()));
    check(&[("x-max-priority", Value::from(256))], Err("{max_value_exceeded,256}"));
    check(&[("x-queue-version", Value::from(2))], Ok(()));
    check(&[("x-queue-version", Value::from(3))], Err("\"unsupported queue version '3'\""));
    check(&[("x-delivery-limit", Value::from(-1))], Ok(()));
}

#[test]
fn retries_and_other_extensions() {
    check(&[("x-delayed-retry-type", text("failed"))], Ok(()));
    check(&[("x-delayed-retry-type", text("never"))], Err("invalid_delayed_retry_type"));
    for argument in ["x-delayed-retry-min", "x-delayed-retry-max"] {
        check(&[(argument, Value::from(1))], Ok(()));
        check(&[(argument, Value::from(0))], Err("{value_zero,0}"));
        check(&[(argument, Value::from(-3))], Err("{value_negative,-3}"));
        check(&[(argument, Value::from(true))], Err("\"expected integer, got bool\""));
    }
    for good in [Value::from(2), Value::F64(1.5), Value::F32(1.0)] {
        check(&[("x-delayed-retry-multiplier", good)], Ok(()));
    }
    for bad in [Value::from(0), Value::F64(0.5), Value::F64(f64::NAN), text("2")] {
        let outcome = Site::new().declare_queue(QueueDeclare {
            name: b"q",
            arguments: table([("x-delayed-retry-multiplier", bad)]),
            ..QueueDeclare::default()
        });
        let why = "\"expected a number from 1 to 1000\"";
        let expected = format!("invalid arg 'x-delayed-retry-multiplier' for queue 'q' in vhost '/': {why}");
        assert_eq!(outcome.map(drop), refused(ReplyCode::PreconditionFailed, &expected));
    }
    check(&[("x-expires-if-empty", text("yes"))], Err("{unacceptable_type,longstr}"));
    check(&[("x-message-deduplication", Value::from(1))], Err("{unacceptable_type,signedint}"));
    check(&[("x-group-by", text("customer"))], Ok(()));
    check(&[("x-group-by", text(""))], Err("\"expected the name of a header\""));
    check(&[("x-last-value-key", Value::from(1))], Err("{unacceptable_type,signedint}"));
}

#[test]
fn texts() {
    let dead = ("x-dead-letter-exchange", text("dead"));
    check(std::slice::from_ref(&dead), Ok(()));
    check(&[("x-dead-letter-routing-key", text("k")), dead.clone()], Ok(()));
    check(&[("x-dead-letter-routing-key", text("k"))], Err("routing_key_but_no_dlx_defined"));
    check(
        &[("x-dead-letter-routing-key", Value::from(1)), dead],
        Err("{unacceptable_type,signedint}"),
    );
    for known in ["drop-head", "reject-publish", "reject-publish-dlx"] {
        check(&[("x-overflow", text(known))], Ok(()));
    }
    check(&[("x-overflow", text("spill"))], Err("invalid_overflow"));
    check(&[("x-overflow", Value::from(true))], Err("{unacceptable_type,bool}"));
    check(&[("x-dead-letter-strategy", text("never"))], Err("invalid_dlx_strategy"));
    check(&[("x-queue-mode", text("lazy"))], Ok(()));
    check(&[("x-queue-mode", text("eager"))], Err("\"unsupported queue mode 'eager'\""));
    check(&[("x-queue-leader-locator", text("here"))], Err("invalid_queue_locator_arg"));
}

#[test]
fn flags_types_and_the_unknown() {
    check(&[("x-single-active-consumer", Value::from(true))], Ok(()));
    check(&[("x-single-active-consumer", text("true"))], Err("{unacceptable_type,longstr}"));
    check(&[("x-queue-type", text("classic"))], Ok(()));
    check(&[("x-queue-type", text("quorum"))], Ok(()));
    check(&[("x-queue-type", text("magic"))], Err("\"unsupported queue type 'magic'\""));
    check(&[("x-queue-type", Value::from(1))], Err("{unacceptable_type,signedint}"));
    check(&[("x-anything", Value::Void), ("else", Value::Array(vec![]))], Ok(()));
}

#[test]
fn what_only_queues_of_another_type_take_is_refused() {
    let outcome = |kind: &str, argument: &str, value: Value| {
        let declared = Site::new().declare_queue(QueueDeclare {
            name: b"q",
            durable: true,
            arguments: table([("x-queue-type", text(kind)), (argument, value)]),
            ..QueueDeclare::default()
        });
        declared.map(drop)
    };
    // The value does not matter: it is not looked at.
    for (kind, argument) in [
        ("quorum", "x-max-priority"),
        ("quorum", "x-queue-mode"),
        ("quorum", "x-max-age"),
        ("classic", "x-max-age"),
        ("classic", "x-max-in-memory-length"),
        ("classic", "x-quorum-initial-group-size"),
    ] {
        let expected = format!("invalid arg '{argument}' for queue 'q' in vhost '/' of queue type rabbit_{kind}_queue");
        assert_eq!(
            outcome(kind, argument, Value::Void),
            refused(ReplyCode::PreconditionFailed, &expected)
        );
    }
    let zero = "invalid arg 'x-quorum-initial-group-size' for queue 'q' in vhost '/': {value_zero,0}";
    assert_eq!(
        outcome("quorum", "x-quorum-initial-group-size", Value::from(0)),
        refused(ReplyCode::PreconditionFailed, zero)
    );
    assert_eq!(outcome("quorum", "x-quorum-initial-group-size", Value::from(3)), Ok(()));
    for argument in ["x-delivery-limit", "x-consumer-timeout", "x-delayed-retry-min"] {
        assert_eq!(outcome("classic", argument, Value::from(1)), Ok(()), "{argument}");
    }
}

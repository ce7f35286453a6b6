//! What a queue's arguments are taken to mean.

use super::*;
use crate::settings::{DeadLetterTo, Overflow, Retry, RetryOf, Settings};

/// What a queue of these arguments is set to do.
fn settings(fields: &[(&str, Value)]) -> Option<Arc<Settings>> {
    let declared = Site::new().declare_queue(QueueDeclare {
        name: b"q",
        durable: true,
        arguments: fields.iter().cloned().collect(),
        ..QueueDeclare::default()
    });
    declared.unwrap().settings
}

fn check(fields: &[(&str, Value)], expected: Settings) {
    assert_eq!(settings(fields).as_deref().cloned().unwrap_or_default(), expected, "{fields:?}");
}

fn quorum() -> Settings {
    Settings {
        delivery_limit: Some(20),
        counts_deliveries: true,
        ..Settings::default()
    }
}

/// Compares settings field by field with those of a plain queue.
fn with(set: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    set(&mut settings);
    settings
}

#[test]
fn an_argument_a_setting() {
    let n = Value::from;
    let table = [
        ("x-message-ttl", n(0), with(|s| s.message_ttl_ms = Some(0))),
        ("x-expires", n(5), with(|s| s.expires_ms = Some(5))),
        ("x-expires-if-empty", Value::from(true), with(|s| s.expires_if_empty = true)),
        ("x-max-length", n(3), with(|s| s.length_max = Some(3))),
        ("x-max-length-bytes", n(4), with(|s| s.bytes_max = Some(4))),
        ("x-overflow", text("drop-head"), Settings::default()),
        ("x-overflow", text("reject-publish"), with(|s| s.overflow = Overflow::RejectPublish)),
        (
            "x-overflow",
            text("reject-publish-dlx"),
            with(|s| s.overflow = Overflow::RejectPublishDeadLetter),
        ),
        ("x-max-priority", n(255), with(|s| s.priority_max = Some(255))),
        ("x-max-priority", n(0), Settings::default()),
        ("x-single-active-consumer", Value::from(true), with(|s| s.single_active = true)),
        ("x-consumer-timeout", n(0), with(|s| s.consumer_timeout_ms = Some(0))),
        (
            "x-delivery-limit",
            n(2),
            with(|s| (s.delivery_limit, s.counts_deliveries) = (Some(2), true)),
        ),
        ("x-delivery-limit", n(-1), Settings::default()),
        ("x-queue-mode", text("lazy"), Settings::default()),
        ("x-anything", n(1), Settings::default()),
    ];
    check(&[], Settings::default());
    for (argument, value, expected) in table {
        check(&[(argument, value)], expected);
    }
}

#[test]
fn dead_letters() {
    let to = |routing_key: Option<&str>, at_least_once| {
        with(|settings| {
            settings.dead_letter = Some(DeadLetterTo {
                exchange: "dead".into(),
                routing_key: routing_key.map(ShortString::from),
                at_least_once,
            });
        })
    };
    let exchange = ("x-dead-letter-exchange", text("dead"));
    let key = ("x-dead-letter-routing-key", text("k"));
    let strategy = ("x-dead-letter-strategy", text("at-least-once"));
    check(std::slice::from_ref(&exchange), to(None, false));
    check(&[exchange.clone(), key], to(Some("k"), false));
    // At least once only if the queue need not drop its head.
    check(&[exchange.clone(), strategy.clone()], to(None, false));
    let rejects = Settings {
        overflow: Overflow::RejectPublish,
        ..to(None, true)
    };
    check(&[exchange, strategy, ("x-overflow", text("reject-publish"))], rejects);
}

#[test]
fn quorum_queues_limit_deliveries() {
    let kind = ("x-queue-type", text("quorum"));
    check(std::slice::from_ref(&kind), quorum());
    check(
        &[kind.clone(), ("x-delivery-limit", Value::from(0))],
        Settings {
            delivery_limit: Some(0),
            ..quorum()
        },
    );
    check(
        &[kind, ("x-delivery-limit", Value::from(-1))],
        Settings {
            delivery_limit: None,
            ..quorum()
        },
    );
}

#[test]
fn retries() {
    let retry = |of, min_ms, max_ms, multiplier_percent| Settings {
        retry: Some(Retry {
            of,
            min_ms,
            max_ms,
            multiplier_percent,
        }),
        counts_deliveries: true,
        ..Settings::default()
    };
    let of = |name| ("x-delayed-retry-type", text(name));
    let min = ("x-delayed-retry-min", Value::from(100));
    let max = ("x-delayed-retry-max", Value::from(900));
    check(&[of("all"), min.clone()], retry(RetryOf::All, 100, 100, None));
    check(&[of("failed"), min.clone(), max.clone()], retry(RetryOf::Failed, 100, 900, None));
    let double = ("x-delayed-retry-multiplier", Value::F64(1.5));
    check(
        &[of("returned"), min.clone(), max.clone(), double],
        retry(RetryOf::Returned, 100, 900, Some(150)),
    );
    // As in RabbitMQ these ask for nothing.
    check(&[of("disabled"), min.clone(), max.clone()], Settings::default());
    check(&[of("all"), max.clone()], Settings::default());
    check(&[min, max], Settings::default());
}

#[test]
fn keys_and_groups() {
    let plain = Settings::default;
    let name = |name: &str| Some(ShortString::new(name.as_bytes()).unwrap());
    check(
        &[("x-last-value-key", text("symbol"))],
        Settings {
            last_value_key: name("symbol"),
            ..plain()
        },
    );
    check(
        &[("x-group-by", text("order"))],
        Settings {
            group_by: name("order"),
            ..plain()
        },
    );
    let flag = |on: bool| ("x-message-deduplication", Value::from(on));
    let other = ("x-deduplication-header", text("id"));
    check(
        &[flag(true)],
        Settings {
            deduplicate_by: name("x-deduplication-header"),
            ..plain()
        },
    );
    check(
        &[flag(true), other.clone()],
        Settings {
            deduplicate_by: name("id"),
            ..plain()
        },
    );
    check(&[flag(false), other], plain());
}

#[test]
fn equal_settings_are_shared_and_known_by_id() {
    let mut site = Site::new();
    let declare = |site: &mut Site, name: &str| {
        let arguments = table([("x-max-length", Value::from(1))]);
        let declare = QueueDeclare {
            name: name.as_bytes(),
            durable: true,
            arguments,
            ..QueueDeclare::default()
        };
        site.declare_queue(declare).unwrap()
    };
    let (a, b) = (declare(&mut site, "a"), declare(&mut site, "b"));
    let shared = a.settings.unwrap();
    assert!(Arc::ptr_eq(&shared, &b.settings.unwrap()));
    assert!(Arc::ptr_eq(&shared, &site.topology.settings(b.queue.id).unwrap()));
    let again = declare(&mut site, "a");
    assert!(
        !again.created && Arc::ptr_eq(&shared, &again.settings.unwrap()),
        "an equivalent declaration tells them too"
    );
    assert_eq!(site.restarted().topology.settings(a.queue.id).as_deref(), Some(&*shared));
}

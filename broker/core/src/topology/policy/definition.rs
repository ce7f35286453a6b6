//! What policies may define: which keys there are and what values they take, with RabbitMQ's words for those that they do not.

use super::super::queue_arguments::QueueType;
use super::super::settings::multiplier_percent;
use super::{PolicyKind, term};
use stoa_amqp::{Table, Value};

/// What values a key takes.
enum Check {
    /// A text.
    Text,
    /// An integer.
    Integer,
    /// An integer from this to that.
    Range(i64, i64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A time with its unit, as in `7D`.
    Age,
    /// 1 or more, not only whole.
    Factor,
    /// True or false.
    Flag,
    /// The name of a header.
    Name,
    /// Anything: for what Stoa keeps and does nothing about.
    Any,
}

use Check::{Age, Any, Factor, Flag, Integer, Name, OneOf, Range, Text};

const FROM_0: Check = Range(0, i64::MAX);
const FROM_1: Check = Range(1, i64::MAX);

/// The longest segment of a stream that RabbitMQ accepts, in octets.
const SEGMENT_BYTES_MAX: i64 = 3_000_000_000;

/// The keys, what they take, and what RabbitMQ calls a value that will not do.
///
/// In their order of appearance: what Stoa does; what it has no use for, being one machine and having one kind of classic queue; what
/// belongs to streams; what older RabbitMQs' exports have in them.
const KEYS: [(&str, Check, &str); 45] = [
    ("alternate-exchange", Text, "alternate exchange name"),
    ("consumer-timeout", FROM_0, "consumer timeout"),
    ("dead-letter-exchange", Text, "dead letter exchange name"),
    ("dead-letter-routing-key", Text, "dead letter routing key"),
    (
        "dead-letter-strategy",
        OneOf(&["at-most-once", "at-least-once"]),
        "dead letter strategy",
    ),
    (
        "delayed-retry-max",
        FROM_1,
        "delayed retry maximum delay. Must be a positive integer",
    ),
    (
        "delayed-retry-min",
        FROM_1,
        "delayed retry minimum delay. Must be a positive integer",
    ),
    (
        "delayed-retry-multiplier",
        Factor,
        "delayed retry multiplier. Must be a number from 1 to 1000",
    ),
    (
        "delayed-retry-type",
        OneOf(&["all", "failed", "returned", "disabled"]),
        "delayed retry type. Must be one of: all, failed, returned, disabled",
    ),
    ("deduplication-header", Name, "header. Must be a text of 1 to 255 octets"),
    ("delivery-limit", Integer, "delivery limit"),
    ("expires", FROM_1, "queue expiry"),
    ("expires-if-empty", Flag, "flag. Must be true or false"),
    ("group-by", Name, "header. Must be a text of 1 to 255 octets"),
    ("last-value-key", Name, "header. Must be a text of 1 to 255 octets"),
    ("max-length", FROM_0, "maximum length"),
    ("max-length-bytes", FROM_0, "maximum length in bytes"),
    ("max-publish-bytes-rate", FROM_0, "maximum rate of published octets"),
    ("max-publish-rate", FROM_0, "maximum rate of published messages"),
    ("message-deduplication", Flag, "flag. Must be true or false"),
    ("message-ttl", FROM_0, "message TTL"),
    (
        "overflow",
        OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"]),
        "overflow value",
    ),
    ("consumer-disconnected-timeout", FROM_0, "consumer disconnected timeout"),
    ("initial-cluster-size", FROM_0, "cluster size"),
    ("max-in-memory-bytes", FROM_0, "maximum memory in bytes"),
    ("max-in-memory-length", FROM_0, "maximum memory in bytes"),
    (
        "member-placement-tag",
        Text,
        "member-placement-tag value. Must be a non-empty string",
    ),
    (
        "queue-leader-locator",
        OneOf(&["client-local", "balanced", "random", "least-leaders"]),
        "queue leader locator value",
    ),
    ("queue-mode", OneOf(&["default", "lazy"]), "queue-mode value"),
    ("queue-version", Range(1, 2), "queue-version value"),
    ("target-group-size", FROM_1, "qq target count value"),
    ("max-age", Age, "max age"),
    ("stream-filter-size-bytes", Range(16, 255), "filter size. Valid range is 16-255"),
    ("stream-max-segment-size-bytes", Range(0, SEGMENT_BYTES_MAX), "segment size"),
    ("federation-upstream", Any, ""),
    ("federation-upstream-pattern", Any, ""),
    ("federation-upstream-set", Any, ""),
    ("ha-mode", OneOf(&["all", "exactly", "nodes"]), "ha-mode value"),
    ("ha-params", Any, ""),
    ("ha-promote-on-failure", Any, ""),
    ("ha-promote-on-shutdown", Any, ""),
    ("ha-sync-batch-size", Any, ""),
    ("ha-sync-mode", Any, ""),
    ("queue-master-locator", Any, ""),
    ("shards-per-node", Any, ""),
];

/// The keys that operator policies may define; the last seven are Stoa's own addition.
const OPERATORS_KEYS: [&str; 19] = [
    "expires",
    "message-ttl",
    "max-length",
    "max-length-bytes",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "delivery-limit",
    "queue-version",
    "overflow",
    "delayed-retry-type",
    "delayed-retry-min",
    "delayed-retry-max",
    "target-group-size",
    "member-placement-tag",
    "delayed-retry-multiplier",
    "expires-if-empty",
    "consumer-timeout",
    "max-publish-rate",
    "max-publish-bytes-rate",
];

/// What classic queues cannot do. Unlike RabbitMQ's they have `delivery-limit`, `dead-letter-strategy` and `delayed-retry-*`.
const NOT_FOR_CLASSIC: [&str; 6] = [
    "max-age",
    "stream-max-segment-size-bytes",
    "initial-cluster-size",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "target-group-size",
];

/// What quorum queues cannot do.
const NOT_FOR_QUORUM: [&str; 10] = [
    "queue-mode",
    "ha-mode",
    "ha-params",
    "ha-sync-mode",
    "ha-promote-on-shutdown",
    "ha-promote-on-failure",
    "queue-master-locator",
    "max-age",
    "stream-max-segment-size-bytes",
    "initial-cluster-size",
];

/// Whether queues of this type can do all of that.
pub(super) fn suits(definition: &Table, queue_type: QueueType) -> bool {
    let ruled_out: &[&str] = match queue_type {
        QueueType::Classic => &NOT_FOR_CLASSIC,
        QueueType::Quorum => &NOT_FOR_QUORUM,
        QueueType::Space | QueueType::View => &NOT_FOR_CLASSIC,
    };
    !ruled_out.iter().any(|key| definition.get(key).is_some())
}

/// Looks at what a policy is to define.
///
/// # Errors
/// What RabbitMQ says of the first thing that is wrong.
pub(super) fn check(kind: PolicyKind, definition: &Table) -> Result<(), String> {
    if definition.is_empty() {
        return Err("no policy provided".to_owned());
    }
    let mut fields: Vec<_> = definition.iter().collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut unknown = Table::new();
    for (key, value) in fields {
        let known = KEYS.iter().find(|(name, ..)| *key == **name);
        match known.filter(|(name, ..)| kind == PolicyKind::User || OPERATORS_KEYS.contains(name)) {
            None => {
                unknown.insert(key.clone(), value.clone());
            }
            Some((_, check, what)) => {
                if !check.takes(value) {
                    return Err(format!("{} is not a valid {what}", term::text(value)));
                }
            }
        }
    }
    check_retry(definition)?;
    if unknown.is_empty() {
        return Ok(());
    }
    Err(format!("{} are not recognised policy settings", term::pairs(&unknown)))
}

fn check_retry(definition: &Table) -> Result<(), String> {
    let number = |key| definition.get(key).and_then(Value::as_i64);
    let (min, max) = (number("delayed-retry-min"), number("delayed-retry-max"));
    match definition.get("delayed-retry-type").and_then(Value::as_str) {
        Some(kind) if kind != "disabled" && min.is_none() => {
            return Err(format!("delayed-retry-min is required when delayed-retry-type is {kind}"));
        }
        _ => {}
    }
    match (min, max) {
        (Some(min), Some(max)) if max < min => Err(format!(
            "delayed-retry-max ({max}) must not be smaller than delayed-retry-min ({min})"
        )),
        _ => Ok(()),
    }
}

impl Check {
    fn takes(&self, value: &Value) -> bool {
        match self {
            Text => value.as_str().is_some(),
            Integer => value.as_i64().is_some(),
            Range(from, to) => value.as_i64().is_some_and(|n| (*from..=*to).contains(&n)),
            OneOf(known) => value.as_str().is_some_and(|text| known.contains(&text)),
            Age => value.as_str().is_some_and(is_age),
            Factor => multiplier_percent(value).is_some(),
            Flag => value.as_bool().is_some(),
            Name => value.as_str().is_some_and(|name| (1..=255).contains(&name.len())),
            Any => true,
        }
    }
}

/// A number and one of the units year, month, day, hour, minute, second.
fn is_age(text: &str) -> bool {
    let number = text.strip_suffix(['Y', 'M', 'D', 'h', 'm', 's']);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit()))
}

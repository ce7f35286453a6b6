//! The arguments of a queue's declaration: which are known, what values they take, and which two declarations must agree on.
//!
//! What an argument brings about is the business of whoever does it. An argument that is not known is kept and means nothing.

use super::error::{Resource, TopologyError};
use super::settings::multiplier_percent;
use super::view::{self, View};
use crate::space::{Declaration, key_fields};
use std::sync::Arc;
use stoa_amqp::{Table, Value};

pub(super) const TYPE: &str = "x-queue-type";
pub(super) const NOTIFY_EXCHANGE: &str = "x-notify-exchange";
pub(super) const SPACE_KEY: &str = "x-space-key";
pub(super) const SPACE_INDEX: &str = "x-space-index";
pub(super) const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";

/// Ten years in milliseconds: the longest time that may be asked for.
const EXPIRY_MS_MAX: i64 = 315_360_000_000;

/// What values an argument takes.
#[derive(Clone, Copy)]
enum Check {
    /// Any integer.
    Integer,
    /// An integer from 0 on.
    NonNegative,
    /// An integer from 1 on.
    NotZero,
    /// Milliseconds, up to ten years.
    Expiry,
    /// The same, but not none.
    ExpiryNotZero,
    /// A priority.
    Priority,
    /// 1 or 2.
    Version,
    /// True or false.
    Flag,
    /// A text.
    Text,
    /// A factor by which delays grow.
    Factor,
    /// The name of a header.
    Header,
    /// The indexes of a space.
    Indexes,
    /// The fields that are the key of a space's tuples.
    Key,
    /// A text, which needs a dead-letter exchange.
    DeadLetterKey,
    /// One of these texts; if none of them, this error, with the text in place of `{}`.
    OneOf(&'static [&'static str], &'static str),
}

/// The arguments that are looked at, in the order in which RabbitMQ looks at them.
const CHECKS: [(&str, Check); 33] = [
    ("x-expires", Check::ExpiryNotZero),
    ("x-message-ttl", Check::Expiry),
    (DEAD_LETTER_EXCHANGE, Check::Text),
    ("x-dead-letter-routing-key", Check::DeadLetterKey),
    (
        "x-dead-letter-strategy",
        Check::OneOf(&["at-most-once", "at-least-once"], "invalid_dlx_strategy"),
    ),
    ("x-max-length", Check::NonNegative),
    ("x-max-length-bytes", Check::NonNegative),
    ("x-max-in-memory-length", Check::NonNegative),
    ("x-max-in-memory-bytes", Check::NonNegative),
    ("x-max-priority", Check::Priority),
    (
        "x-overflow",
        Check::OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"], "invalid_overflow"),
    ),
    ("x-queue-version", Check::Version),
    (
        "x-queue-mode",
        Check::OneOf(&["default", "lazy"], "\"unsupported queue mode '{}'\""),
    ),
    ("x-single-active-consumer", Check::Flag),
    ("x-consumer-timeout", Check::NonNegative),
    ("x-delivery-limit", Check::Integer),
    ("x-queue-master-locator", Check::Text),
    ("x-quorum-initial-group-size", Check::NotZero),
    (
        "x-queue-leader-locator",
        Check::OneOf(
            &["client-local", "balanced", "random", "least-leaders"],
            "invalid_queue_locator_arg",
        ),
    ),
    (
        "x-delayed-retry-type",
        Check::OneOf(&["disabled", "all", "failed", "returned"], "invalid_delayed_retry_type"),
    ),
    ("x-delayed-retry-min", Check::ExpiryNotZero),
    ("x-delayed-retry-max", Check::ExpiryNotZero),
    ("x-delayed-retry-multiplier", Check::Factor),
    ("x-expires-if-empty", Check::Flag),
    ("x-group-by", Check::Header),
    ("x-last-value-key", Check::Header),
    ("x-message-deduplication", Check::Flag),
    ("x-deduplication-header", Check::Header),
    ("x-max-publish-rate", Check::NonNegative),
    ("x-max-publish-bytes-rate", Check::NonNegative),
    (SPACE_INDEX, Check::Indexes),
    (SPACE_KEY, Check::Key),
    (NOTIFY_EXCHANGE, Check::Text),
];

/// The arguments that a second declaration must give as the first did. The queue type is compared apart.
pub(super) const COMPARED: [&str; 37] = [
    "x-expires",
    "x-message-ttl",
    DEAD_LETTER_EXCHANGE,
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-consumer-timeout",
    "x-delivery-limit",
    "x-queue-master-locator",
    "x-queue-leader-locator",
    "x-quorum-initial-group-size",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-delayed-retry-type",
    "x-delayed-retry-min",
    "x-delayed-retry-max",
    "x-delayed-retry-multiplier",
    "x-expires-if-empty",
    "x-group-by",
    "x-last-value-key",
    "x-message-deduplication",
    "x-deduplication-header",
    "x-max-publish-rate",
    "x-max-publish-bytes-rate",
    SPACE_INDEX,
    SPACE_KEY,
    NOTIFY_EXCHANGE,
    view::SPACE,
    view::TEMPLATE,
    view::MODE,
    view::WAIT_HELD,
];

/// What a space cannot do: it has no order.
const NOT_FOR_SPACES: [&str; 14] = [
    "x-max-priority",
    "x-single-active-consumer",
    "x-group-by",
    "x-last-value-key",
    "x-message-deduplication",
    "x-deduplication-header",
    "x-queue-mode",
    "x-queue-version",
    "x-queue-master-locator",
    "x-quorum-initial-group-size",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    "x-initial-cluster-size",
];

/// What a view, which stores nothing, cannot do. How long it may stay unused it can be told.
const NOT_FOR_VIEWS: [&str; 14] = [
    "x-message-ttl",
    DEAD_LETTER_EXCHANGE,
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-single-active-consumer",
    "x-delivery-limit",
    "x-group-by",
    "x-last-value-key",
    "x-message-deduplication",
    SPACE_INDEX,
];

/// The arguments that queues of a type do not take, though those of another do. Unlike RabbitMQ's, classic queues have `x-dead-letter-strategy`,
/// `x-delivery-limit`, `x-delayed-retry-*`, and take `x-queue-leader-locator` (as from RabbitMQ 4 on).
fn refused_by(queue_type: QueueType) -> &'static [&'static str] {
    match queue_type {
        QueueType::Classic => &[
            "x-max-in-memory-length",
            "x-max-in-memory-bytes",
            "x-quorum-initial-group-size",
            "x-max-age",
            "x-stream-max-segment-size-bytes",
            "x-stream-filter-size-bytes",
            "x-initial-cluster-size",
        ],
        QueueType::Quorum => &[
            "x-max-priority",
            "x-queue-mode",
            "x-queue-version",
            "x-queue-master-locator",
            "x-max-age",
            "x-stream-max-segment-size-bytes",
            "x-stream-filter-size-bytes",
            "x-initial-cluster-size",
        ],
        QueueType::Space => &NOT_FOR_SPACES,
        QueueType::View => &NOT_FOR_VIEWS,
    }
}

/// Looks at the values of the known arguments of a new queue of this type.
pub(super) fn check(queue_type: QueueType, arguments: &Table, resource: &Resource) -> Result<(), TopologyError> {
    let refused = refused_by(queue_type);
    let is_looked_at = |argument: &str| {
        !refused.contains(&argument) && (![SPACE_INDEX, SPACE_KEY, NOTIFY_EXCHANGE].contains(&argument) || queue_type == QueueType::Space)
    };
    for (argument, check) in CHECKS.iter().filter(|(argument, _)| is_looked_at(argument)) {
        if let Some(value) = arguments.get(argument) {
            check.value(value, arguments).map_err(|why| TopologyError::Argument {
                argument,
                resource: resource.clone(),
                why: why.into(),
            })?;
        }
    }
    match arguments
        .iter()
        .find_map(|(name, _)| refused.iter().find(|argument| *name == ***argument))
    {
        None => Ok(()),
        Some(argument) => Err(TopologyError::ArgumentOfOther {
            argument,
            resource: resource.clone(),
            queue_type: queue_type.module(),
        }),
    }
}

impl Check {
    /// Why the value will not do: the Erlang term that RabbitMQ shows.
    fn value(self, value: &Value, arguments: &Table) -> Result<(), String> {
        match self {
            Self::Integer => integer(value).map(drop),
            Self::NonNegative => non_negative(value).map(drop),
            Self::Expiry => expiry(value).map(drop),
            Self::NotZero => match non_negative(value)? {
                0 => Err("{value_zero,0}".to_owned()),
                _ => Ok(()),
            },
            Self::ExpiryNotZero => match expiry(value)? {
                0 => Err("{value_zero,0}".to_owned()),
                _ => Ok(()),
            },
            Self::Factor => {
                let is_factor = multiplier_percent(value).is_some();
                is_factor
                    .then_some(())
                    .ok_or_else(|| "\"expected a number from 1 to 1000\"".to_owned())
            }
            Self::Header => match text(value)? {
                name if (1..=255).contains(&name.len()) => Ok(()),
                _ => Err("\"expected the name of a header\"".to_owned()),
            },
            Self::Key => key_fields(value).map(drop).map_err(|error| format!("\"{error}\"")),
            Self::Indexes => Declaration::from_amqp(value).map(drop).map_err(|error| format!("\"{error}\"")),
            Self::Priority => match non_negative(value)? {
                n if n > 255 => Err(format!("{{max_value_exceeded,{n}}}")),
                _ => Ok(()),
            },
            Self::Version => match non_negative(value)? {
                1 | 2 => Ok(()),
                n => Err(format!("\"unsupported queue version '{n}'\"")),
            },
            Self::Flag => value.as_bool().map(drop).ok_or_else(|| unacceptable(value)),
            Self::Text => text(value).map(drop),
            Self::DeadLetterKey => {
                text(value)?;
                let exchange = arguments.get(DEAD_LETTER_EXCHANGE).map(drop);
                exchange.ok_or_else(|| "routing_key_but_no_dlx_defined".to_owned())
            }
            Self::OneOf(known, error) => {
                let text = text(value)?;
                let is_known = known.iter().any(|known| known.as_bytes() == text);
                is_known
                    .then_some(())
                    .ok_or_else(|| error.replace("{}", &String::from_utf8_lossy(text)))
            }
        }
    }
}

fn unacceptable(value: &Value) -> String {
    format!("{{unacceptable_type,{}}}", value.type_name())
}

fn text(value: &Value) -> Result<&[u8], String> {
    match value {
        Value::LongString(text) => Ok(text),
        other => Err(unacceptable(other)),
    }
}

fn integer(value: &Value) -> Result<i64, String> {
    value
        .as_i64()
        .ok_or_else(|| format!("\"expected integer, got {}\"", value.type_name()))
}

fn non_negative(value: &Value) -> Result<i64, String> {
    match integer(value)? {
        n if n < 0 => Err(format!("{{value_negative,{n}}}")),
        n => Ok(n),
    }
}

fn expiry(value: &Value) -> Result<i64, String> {
    match non_negative(value)? {
        n if n > EXPIRY_MS_MAX => Err(format!("{{value_too_large,{n}}}")),
        n => Ok(n),
    }
}

/// What kind of queue it is to be (`x-queue-type`, RabbitMQ extension).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum QueueType {
    #[default]
    Classic,
    Quorum,
    /// Its messages are tuples (an extension of Stoa's).
    Space,
    /// It shows a space (an extension of Stoa's).
    View,
}

impl QueueType {
    /// The queue type that the arguments ask for.
    pub(super) fn of(arguments: &Table, resource: &Resource) -> Result<Self, TopologyError> {
        let refused = |why: String| TopologyError::Argument {
            argument: TYPE,
            resource: resource.clone(),
            why: why.into(),
        };
        match arguments.get(TYPE) {
            None => Ok(Self::default()),
            Some(Value::LongString(name)) => match &**name {
                b"undefined" => Ok(Self::default()),
                b"classic" => Ok(Self::Classic),
                b"quorum" => Ok(Self::Quorum),
                b"space" => Ok(Self::Space),
                b"view" => Ok(Self::View),
                _ => Err(refused(format!("\"unsupported queue type '{}'\"", String::from_utf8_lossy(name)))),
            },
            Some(other) => Err(refused(unacceptable(other))),
        }
    }

    /// The type of that name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        [Self::Classic, Self::Quorum].into_iter().find(|known| known.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
            Self::Space => "space",
            Self::View => "view",
        }
    }

    /// What RabbitMQ calls it in messages.
    pub(super) fn module(self) -> &'static str {
        match self {
            Self::Classic => "rabbit_classic_queue",
            Self::Quorum => "rabbit_quorum_queue",
            Self::Space => "stoa_space",
            Self::View => "stoa_view",
        }
    }

    pub(super) fn may_be_server_named(self) -> bool {
        self != Self::Quorum
    }

    /// What a queue of this type shows, if it is a view.
    pub(super) fn view(self, arguments: &Table, resource: &Resource) -> Result<Option<Arc<View>>, TopologyError> {
        if self != Self::View {
            return Ok(None);
        }
        let view = View::of(arguments).map_err(|(argument, why)| TopologyError::Argument {
            argument,
            resource: resource.clone(),
            why: why.into(),
        });
        view.map(|view| Some(Arc::new(view)))
    }

    /// Looks whether a queue of this type can have these properties.
    pub(super) fn check(self, durable: bool, exclusive: bool, auto_delete: bool, resource: &Resource) -> Result<(), TopologyError> {
        if self != Self::Quorum {
            return Ok(());
        }
        let ruled_out = [
            (auto_delete, "auto-delete"),
            (exclusive, "exclusive-owner"),
            (!durable, "non-durable"),
        ];
        match ruled_out.into_iter().find(|(is_so, _)| *is_so) {
            None => Ok(()),
            Some((_, property)) => Err(TopologyError::Property {
                property,
                resource: resource.clone(),
            }),
        }
    }
}

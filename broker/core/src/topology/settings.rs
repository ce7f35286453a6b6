//! What a queue's arguments come to, together with the policies that apply to it.
//!
//! Where both name a value, RabbitMQ decides so: of numbers the lower counts; of texts the argument's, except the overflow of a quorum queue, which
//! its policy decides. Absurd values, which only an older Stoa can have let in, count as absent.

use super::queue_arguments::{NOTIFY_EXCHANGE, QueueType, SPACE_INDEX, SPACE_KEY};
use crate::settings::{DeadLetterTo, Overflow, Retry, RetryOf, Settings, SpaceTerms};
use crate::space::{Declaration, key_fields};
use hashbrown::HashSet;
use std::sync::Arc;
use stoa_amqp::{ShortString, Table, Value};

/// How often a quorum queue's messages may come back if nothing else is said (RabbitMQ 4.0).
const QUORUM_DELIVERY_LIMIT: i64 = 20;

/// The header by which messages are told apart if the queue names no other, as RabbitMQ's plugin has it.
const DEDUPLICATION_HEADER: &str = "x-deduplication-header";

/// What is asked of a queue.
pub(super) struct Asked<'a> {
    pub(super) queue_type: QueueType,
    pub(super) arguments: &'a Table,
    /// What the policies that apply to it define together.
    pub(super) policy: Option<&'a Table>,
    /// An operator has paused it.
    pub(super) paused: bool,
}

impl Asked<'_> {
    /// What a queue is set to do of which that is asked.
    pub(super) fn settings(&self) -> Settings {
        let delivery_limit = self.delivery_limit();
        let retry = self.retry();
        let overflow = self.overflow();
        Settings {
            message_ttl_ms: self.least("x-message-ttl"),
            expires_ms: self.least("x-expires").filter(|ms| *ms > 0),
            expires_if_empty: self.is_true("x-expires-if-empty"),
            length_max: self.least("x-max-length"),
            bytes_max: self.least("x-max-length-bytes"),
            overflow,
            dead_letter: self.dead_letter(overflow),
            priority_max: self.priority_max(),
            single_active: self.is_true("x-single-active-consumer"),
            active_yields: self.queue_type == QueueType::Quorum && self.is_true("x-single-active-consumer"),
            delivery_limit,
            counts_deliveries: self.queue_type == QueueType::Quorum || delivery_limit.is_some() || retry.is_some(),
            consumer_timeout_ms: self.least("x-consumer-timeout"),
            retry,
            delays: false,
            paused: self.paused,
            deduplicate_by: self.deduplicate_by(),
            publish_rate: self.least("x-max-publish-rate"),
            publish_bytes_rate: self.least("x-max-publish-bytes-rate"),
            group_by: self.header("x-group-by"),
            last_value_key: self.header("x-last-value-key"),
            space: (self.queue_type == QueueType::Space).then(|| self.space_terms()),
        }
    }

    fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments.get(name)
    }

    /// What the policies say where an argument of this name could.
    fn policy(&self, argument: &str) -> Option<&Value> {
        let key = argument.strip_prefix("x-").unwrap_or(argument);
        self.policy?.get(key)
    }

    fn integers(&self, name: &str) -> (Option<i64>, Option<i64>) {
        (
            self.argument(name).and_then(Value::as_i64),
            self.policy(name).and_then(Value::as_i64),
        )
    }

    /// The lower of argument and policy.
    fn least(&self, name: &str) -> Option<u64> {
        let (argument, policy) = self.integers(name);
        let least = argument.into_iter().chain(policy).filter(|n| *n >= 0).min();
        least.map(i64::cast_unsigned)
    }

    /// The argument, or else the policy.
    fn text(&self, name: &str) -> Option<&[u8]> {
        let text = |value: Option<&'_ Value>| value.and_then(Value::as_bytes).is_some();
        let argument = self.argument(name);
        let value = if text(argument) { argument } else { self.policy(name) };
        value.and_then(Value::as_bytes)
    }

    /// The policy, or else the argument.
    fn text_of_policy(&self, name: &str) -> Option<&[u8]> {
        let of_policy = self.policy(name).and_then(Value::as_bytes);
        of_policy.or_else(|| self.text(name))
    }

    fn is_true(&self, name: &str) -> bool {
        let of = |value: Option<&Value>| value.and_then(Value::as_bool);
        of(self.argument(name)).or_else(|| of(self.policy(name))).unwrap_or(false)
    }

    /// What was found valid when it was declared.
    fn space_terms(&self) -> SpaceTerms {
        let indexes = self.argument(SPACE_INDEX).and_then(|value| Declaration::from_amqp(value).ok());
        let key = self.argument(SPACE_KEY).and_then(|value| key_fields(value).ok());
        SpaceTerms {
            indexes: indexes.unwrap_or_default(),
            key: key.unwrap_or_default(),
            notify: self.header(NOTIFY_EXCHANGE),
        }
    }

    fn deduplicate_by(&self) -> Option<ShortString> {
        let named = || self.header("x-deduplication-header");
        self.is_true("x-message-deduplication")
            .then(|| named().unwrap_or_else(|| ShortString::from(DEDUPLICATION_HEADER)))
    }

    fn header(&self, name: &str) -> Option<ShortString> {
        ShortString::new(self.text(name)?).ok().filter(|name| !name.as_bytes().is_empty())
    }

    /// With a maximum of 0 there is one priority, as there is without.
    fn priority_max(&self) -> Option<u8> {
        let max = self.argument("x-max-priority").and_then(Value::as_i64)?;
        u8::try_from(max).ok().filter(|max| *max > 0)
    }

    fn overflow(&self) -> Overflow {
        let name = "x-overflow";
        let text = match self.queue_type {
            QueueType::Classic | QueueType::Space | QueueType::View => self.text(name),
            QueueType::Quorum => self.text_of_policy(name),
        };
        match text {
            Some(b"reject-publish") => Overflow::RejectPublish,
            Some(b"reject-publish-dlx") => Overflow::RejectPublishDeadLetter,
            _ => Overflow::DropHead,
        }
    }

    /// As RabbitMQ, a queue that drops its head at its maximum cannot wait until its dead letters are taken: it could not keep to the maximum.
    fn dead_letter(&self, overflow: Overflow) -> Option<DeadLetterTo> {
        let exchange = ShortString::new(self.text("x-dead-letter-exchange")?).ok()?;
        let routing_key = self.text("x-dead-letter-routing-key");
        Some(DeadLetterTo {
            exchange,
            routing_key: routing_key.and_then(|key| ShortString::new(key).ok()),
            at_least_once: overflow != Overflow::DropHead && self.text("x-dead-letter-strategy") == Some(b"at-least-once"),
        })
    }

    /// A negative limit is none, and of two of which one is negative the greater counts (RabbitMQ 4).
    fn delivery_limit(&self) -> Option<u32> {
        let default = match self.queue_type {
            QueueType::Classic | QueueType::Space | QueueType::View => None,
            QueueType::Quorum => Some(QUORUM_DELIVERY_LIMIT),
        };
        let limit = match self.integers("x-delivery-limit") {
            (Some(a), Some(b)) if a < 0 || b < 0 => Some(a.max(b)),
            (Some(a), Some(b)) => Some(a.min(b)),
            (argument, policy) => argument.or(policy).or(default),
        };
        limit
            .filter(|limit| *limit >= 0)
            .map(|limit| u32::try_from(limit).unwrap_or(u32::MAX))
    }

    /// Without a least delay there is none, and without a greatest one it does not grow (RabbitMQ 4.3).
    fn retry(&self) -> Option<Retry> {
        let of = match self.text_of_policy("x-delayed-retry-type")? {
            b"all" => RetryOf::All,
            b"failed" => RetryOf::Failed,
            b"returned" => RetryOf::Returned,
            _ => return None,
        };
        let min_ms = self.least("x-delayed-retry-min").filter(|ms| *ms > 0)?;
        let max_ms = self.least("x-delayed-retry-max").filter(|ms| *ms > 0);
        let name = "x-delayed-retry-multiplier";
        let multiplier = self.argument(name).or_else(|| self.policy(name));
        Some(Retry {
            of,
            min_ms,
            max_ms: max_ms.unwrap_or(min_ms),
            multiplier_percent: multiplier.and_then(multiplier_percent),
        })
    }
}

/// The greatest factor by which a delay may grow.
const MULTIPLIER_MAX: f64 = 1000.0;

/// A factor from 1 to 1000, in percent; `None` if it is none.
pub(super) fn multiplier_percent(value: &Value) -> Option<u32> {
    let factor = match value {
        Value::F32(factor) => f64::from(*factor),
        Value::F64(factor) => *factor,
        other => other.as_i64()? as f64,
    };
    let is_factor = (1.0..=MULTIPLIER_MAX).contains(&factor);
    is_factor.then(|| (factor * 100.0).round() as u32)
}

/// The settings of all queues, each different one once.
#[derive(Debug, Default)]
pub(super) struct SettingsPool {
    known: HashSet<Arc<Settings>>,
    /// At this size those that no queue has any more are thrown out.
    sweep_at: usize,
}

impl SettingsPool {
    /// The one copy of such settings; none for those that are nothing special.
    pub(super) fn share(&mut self, settings: Settings) -> Option<Arc<Settings>> {
        if settings == Settings::default() {
            return None;
        }
        if let Some(known) = self.known.get(&settings) {
            return Some(known.clone());
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.sweep_at = 2 * self.known.len().max(32);
        }
        let shared = Arc::new(settings);
        self.known.insert(shared.clone());
        Some(shared)
    }
}

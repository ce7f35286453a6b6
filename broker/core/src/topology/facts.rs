//! What routing may have to know of a message beside exchange and routing key.

use stoa_amqp::content::Properties;
use stoa_amqp::{ShortString, Table, Value};

/// What a message says of itself, and a number by chance. Asked for only by exchanges that route by it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Its headers.
    pub headers: Table,
    /// The property `message-id`.
    pub message_id: Option<ShortString>,
    /// The property `correlation-id`.
    pub correlation_id: Option<ShortString>,
    /// The property `timestamp`, in seconds.
    pub timestamp: Option<u64>,
    /// By chance, evenly over all numbers: the core has no randomness of its own.
    pub draw: u64,
}

impl Facts {
    /// What property flags and list say; nothing if they are malformed.
    #[must_use]
    pub fn of(properties: &[u8], draw: u64) -> Self {
        let Ok(properties) = Properties::decode(properties) else {
            return Self { draw, ..Self::default() };
        };
        Self {
            headers: properties.headers.map(|headers| headers.to_table()).unwrap_or_default(),
            message_id: properties.message_id.map(Into::into),
            correlation_id: properties.correlation_id.map(Into::into),
            timestamp: properties.timestamp,
            draw,
        }
    }
}

impl From<Table> for Facts {
    fn from(headers: Table) -> Self {
        Self {
            headers,
            ..Self::default()
        }
    }
}

/// The header that says for how long a delayed-message exchange holds a message back.
pub const DELAY: &str = "x-delay";
/// Longer delays count as none (RabbitMQ's plugin; about 49 days).
const DELAY_MS_MAX: i64 = u32::MAX as i64;

/// For how many milliseconds a delayed-message exchange holds back a message with these headers, if it does. Negative delays are those of
/// messages that have been held back before. As with RabbitMQ's plugin a text may hold the number, and fractions are dropped.
#[must_use]
pub fn delay_ms(headers: &Table) -> Option<u64> {
    let delay = match headers.get(DELAY)? {
        Value::F32(ms) => f64::from(*ms) as i64,
        Value::F64(ms) => *ms as i64,
        text @ (Value::LongString(_) | Value::ByteArray(_)) => std::str::from_utf8(text.as_bytes()?).ok()?.parse().ok()?,
        number => number.as_i64()?,
    };
    (1..=DELAY_MS_MAX).contains(&delay).then_some(delay.cast_unsigned())
}

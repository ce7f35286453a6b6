//! Exchanges that route each message once: the type `x-message-deduplication` (noxdafox's plugin for RabbitMQ), which else is a fanout, and any other
//! exchange with the argument `x-message-deduplication` (LavinMQ).
//!
//! A message is known by the value of one of its headers; without that it is not looked at. What an exchange has seen is not kept here, because
//! routing changes nothing (invariant 4): whoever routes is [asked](super::Inquiry) with a [`MessageKey`]. A duplicate finds no destination, so
//! that it goes to the alternate exchange, or comes back if it is mandatory, as with the plugin.

use super::exchange::ExchangeKind;
use crate::ids::QueueId;
use sha2::{Digest, Sha256};
use stoa_amqp::{ShortString, Table, Value};

/// The argument that makes any exchange one that looks for duplicates (LavinMQ).
const DEDUPLICATES: &str = "x-message-deduplication";
/// The header that is looked at; where any exchange may do it, also the argument that names another header.
const HEADER: &str = "x-deduplication-header";
/// How many keys an exchange remembers at most.
const SIZE: &str = "x-cache-size";
/// For how many milliseconds a key is remembered: an argument, and a header of a message that counts instead.
const TTL: &str = "x-cache-ttl";
/// Where keys are kept: `memory` or `disk`.
const PERSISTENCE: &str = "x-cache-persistence";

/// Keys that an exchange remembers if it does not say: with the plugin it has to, with LavinMQ there is no end.
const SIZE_DEFAULT: u64 = 1_000_000;

/// How an exchange tells duplicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deduplication {
    header: ShortString,
    size_max: u64,
    ttl_ms: Option<u64>,
    /// Keys outlive a restart if their exchange does.
    pub(super) persistent: bool,
}

/// By what an exchange knows a message again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageKey {
    /// The exchange's own queue, by which its memory is known, and in which the keys lie that outlive a restart.
    pub queue: QueueId,
    /// They do.
    pub durable: bool,
    /// The first half of the value's SHA-256: numbers are the same whatever their type, all else if type and value are.
    pub hash: [u8; 16],
    /// How long it is to be remembered; absent: as long as there is room.
    pub ttl_ms: Option<u64>,
    /// How many keys the exchange remembers at most; the oldest make room.
    pub size_max: u64,
}

impl Deduplication {
    /// What the arguments of an exchange say; they have been found valid.
    pub(super) fn of(kind: ExchangeKind, arguments: &Table) -> Option<Self> {
        let is_asked = arguments.get(DEDUPLICATES).and_then(Value::as_bool) == Some(true);
        let is_plugin = kind == ExchangeKind::Deduplication;
        if !is_plugin && !is_asked {
            return None;
        }
        let header = arguments.get(HEADER).and_then(Value::as_bytes).filter(|_| !is_plugin);
        let header = header.and_then(|name| ShortString::new(name).ok());
        Some(Self {
            header: header.unwrap_or_else(|| HEADER.into()),
            size_max: positive(arguments, SIZE).unwrap_or(SIZE_DEFAULT),
            ttl_ms: positive(arguments, TTL),
            persistent: arguments.get(PERSISTENCE).and_then(Value::as_bytes) != Some(b"memory"),
        })
    }

    /// How many keys lie in the exchange's queue at most.
    pub(super) fn size_max(&self) -> u64 {
        self.size_max
    }

    /// The key of a message with these headers, if it has one.
    pub(super) fn key(&self, queue: QueueId, durable: bool, headers: &Table) -> Option<MessageKey> {
        let value = headers.get(self.header.as_bytes()).filter(|value| !matches!(value, Value::Void))?;
        let ttl_ms = positive(headers, TTL).or(self.ttl_ms);
        Some(MessageKey {
            queue,
            durable,
            hash: hash(value),
            ttl_ms,
            size_max: self.size_max,
        })
    }
}

fn hash(value: &Value) -> [u8; 16] {
    let mut octets = Vec::with_capacity(40);
    match (value.as_i64(), value.as_bytes()) {
        (Some(number), _) => {
            octets.push(b'n');
            octets.extend_from_slice(&number.to_be_bytes());
        }
        (None, Some(text)) => {
            octets.push(b's');
            octets.extend_from_slice(text);
        }
        (None, None) => {
            octets.push(b'v');
            value.encode(&mut octets);
        }
    }
    let digest: [u8; 32] = Sha256::digest(&octets).into();
    std::array::from_fn(|at| digest[at])
}

/// A number above 0, which may be in a text (the plugin).
fn positive(table: &Table, name: &str) -> Option<u64> {
    let number = match table.get(name)? {
        text @ (Value::LongString(_) | Value::ByteArray(_)) => std::str::from_utf8(text.as_bytes()?).ok()?.parse().ok()?,
        number => number.as_i64()?,
    };
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// What is wrong with the arguments of an exchange, in the plugin's words.
pub(super) fn check(kind: ExchangeKind, arguments: &Table) -> Result<(), String> {
    if kind != ExchangeKind::Deduplication && arguments.get(DEDUPLICATES).and_then(Value::as_bool) != Some(true) {
        return Ok(());
    }
    let is_wrong = |name| arguments.get(name).is_some() && positive(arguments, name).is_none();
    if is_wrong(SIZE) || kind == ExchangeKind::Deduplication && arguments.get(SIZE).is_none() {
        return Err(format!("Missing or invalid argument, '{SIZE}' must be an integer greater than 0"));
    }
    if is_wrong(TTL) {
        return Err(format!("Invalid argument, '{TTL}' must be an integer greater than 0"));
    }
    if !matches!(
        arguments.get(PERSISTENCE).map(Value::as_bytes),
        None | Some(Some(b"disk" | b"memory"))
    ) {
        return Err(format!("Invalid argument, '{PERSISTENCE}' must be either 'disk' or 'memory'"));
    }
    let name = arguments
        .get(HEADER)
        .map(|name| name.as_bytes().and_then(|name| ShortString::new(name).ok()));
    if name.is_some_and(|name| name.is_none_or(|name| name.is_empty())) {
        return Err(format!("Invalid argument, '{HEADER}' must be the name of a header"));
    }
    Ok(())
}

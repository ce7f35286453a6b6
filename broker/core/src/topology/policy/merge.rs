//! A policy and an operator policy for the same exchange or queue.

use super::super::equivalence::in_order;
use std::cmp::Ordering;
use stoa_amqp::{Table, Value};

/// Which of two values counts.
enum Winner {
    /// The lower number.
    Lower,
    /// The greater number.
    Greater,
    /// The lower number, unless one is negative and so no limit: then the greater.
    LowerLimit,
    /// The operator's.
    Operator,
}

/// As RabbitMQ decides it, key by key. Of the multiplier, which is Stoa's own, the slower growth counts.
fn winner(key: &[u8]) -> Winner {
    match key {
        b"message-ttl"
        | b"max-length"
        | b"max-length-bytes"
        | b"max-in-memory-length"
        | b"max-in-memory-bytes"
        | b"expires"
        | b"consumer-timeout"
        | b"delayed-retry-max"
        | b"delayed-retry-multiplier" => Winner::Lower,
        b"delayed-retry-min" | b"target-group-size" => Winner::Greater,
        b"delivery-limit" => Winner::LowerLimit,
        _ => Winner::Operator,
    }
}

/// What both define together.
pub(super) fn merged(policy: &Table, operator: &Table) -> Table {
    let mut merged = policy.clone();
    for (key, bound) in operator {
        let value = match policy.get(key) {
            Some(own) if keeps(key.as_bytes(), own, bound) => own,
            _ => bound,
        };
        merged.insert(key.clone(), value.clone());
    }
    in_order(&merged)
}

/// Whether the policy's own value stays beside the operator's.
fn keeps(key: &[u8], own: &Value, bound: &Value) -> bool {
    let order = compare(own, bound);
    match winner(key) {
        Winner::Lower => order == Ordering::Less,
        Winner::Greater => order == Ordering::Greater,
        Winner::LowerLimit if [own, bound].iter().any(|value| value.as_i64().is_some_and(|n| n < 0)) => order == Ordering::Greater,
        Winner::LowerLimit => order == Ordering::Less,
        Winner::Operator => false,
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    let number = |value: &Value| match value {
        Value::F64(n) => Some(*n),
        Value::F32(n) => Some(f64::from(*n)),
        other => other.as_i64().map(|n| n as f64),
    };
    number(a).partial_cmp(&number(b)).unwrap_or(Ordering::Equal)
}

//! The consistent hash exchange, `x-consistent-hash` (RabbitMQ's plugin): a message goes to one of the destinations, by the hash of its routing key,
//! or of a header (`hash-header`) or property (`hash-property`). The key of a binding is its weight: the share of messages that its destination gets.
//!
//! Each destination has as many buckets as its weight says, one destination after the other in ascending order, and so the newest queue last. Jump
//! consistent hashing (Lamping and Veach, 2014) gives the bucket: where one is added at the end, only its share of the keys moves. Unlike in
//! RabbitMQ, the buckets depend on what is bound alone, so keys go the same way after a restart.

use super::hash::hash;
use crate::topology::destinations::Target;
use crate::topology::equivalence::text_of;
use crate::topology::route::{Found, Message};
use std::collections::BTreeMap;
use stoa_amqp::{ShortString, Table, Value};

/// The highest weight (RabbitMQ).
const WEIGHT_MAX: i64 = 10_000;

/// What messages are told apart by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum By {
    #[default]
    RoutingKey,
    Header(ShortString),
    MessageId,
    CorrelationId,
    Timestamp,
}

const HEADER: &str = "hash-header";
const PROPERTY: &str = "hash-property";

impl By {
    /// # Errors
    /// What RabbitMQ's plugin says of arguments that make no sense.
    fn of(arguments: &Table) -> Result<Self, String> {
        match (arguments.get(HEADER), arguments.get(PROPERTY)) {
            (None, None) => Ok(Self::RoutingKey),
            (Some(_), Some(_)) => Err("hash-header and hash-property are mutually exclusive".to_owned()),
            (Some(header), None) => {
                let name = header.as_bytes().and_then(|name| ShortString::new(name).ok());
                name.map(Self::Header)
                    .ok_or_else(|| format!("Unsupported header: {}", text_of(header)))
            }
            (None, Some(property)) => match property.as_bytes() {
                Some(b"message_id") => Ok(Self::MessageId),
                Some(b"correlation_id") => Ok(Self::CorrelationId),
                Some(b"timestamp") => Ok(Self::Timestamp),
                _ => Err(format!("Unsupported property: {}", text_of(property))),
            },
        }
    }

    /// The hash of what tells the message apart. Messages that lack it go the same way.
    fn hash(&self, key: &[u8], message: &mut Message<'_>) -> u64 {
        match self {
            Self::RoutingKey => hash(key),
            Self::Header(name) => hash(&message.facts().headers.get(name).map(octets).unwrap_or_default()),
            Self::MessageId => hash(message.facts().message_id.as_ref().map(ShortString::as_bytes).unwrap_or_default()),
            Self::CorrelationId => hash(
                message
                    .facts()
                    .correlation_id
                    .as_ref()
                    .map(ShortString::as_bytes)
                    .unwrap_or_default(),
            ),
            Self::Timestamp => hash(&message.facts().timestamp.unwrap_or_default().to_be_bytes()),
        }
    }
}

/// Texts by what they say, numbers by their value, whatever their width.
fn octets(value: &Value) -> Vec<u8> {
    match (value.as_bytes(), value.as_i64()) {
        (Some(text), _) => text.to_vec(),
        (None, Some(number)) => number.to_be_bytes().to_vec(),
        (None, None) => text_of(value).into_bytes(),
    }
}

/// Looks at the arguments of such an exchange.
pub(in crate::topology) fn check(arguments: &Table) -> Result<(), String> {
    By::of(arguments).map(drop)
}

/// The weight that the key of a binding says.
///
/// # Errors
/// What RabbitMQ's plugin says of keys that are none.
pub(in crate::topology) fn weight(key: &ShortString) -> Result<u32, String> {
    let text = key.as_str_lossy();
    match text.parse::<i64>() {
        Err(_) => Err(format!("The binding key must be an integer: <<\"{text}\">>")),
        Ok(weight) if weight < 1 => Err("The binding key must be greater than 0".to_owned()),
        Ok(weight) if weight > WEIGHT_MAX => Err(format!("The binding key must not exceed {WEIGHT_MAX}")),
        Ok(weight) => Ok(weight as u32),
    }
}

#[derive(Debug)]
pub(in crate::topology) struct ConsistentHash {
    by: By,
    /// The weights that a destination is bound with, counted. The greatest is its own.
    weights: BTreeMap<Target, BTreeMap<u32, u32>>,
    /// The destinations in order, each with the number of buckets up to its last.
    buckets: Vec<(u64, Target)>,
}

impl ConsistentHash {
    pub(in crate::topology) fn new(arguments: &Table) -> Self {
        Self {
            by: By::of(arguments).unwrap_or_default(),
            weights: BTreeMap::new(),
            buckets: Vec::new(),
        }
    }

    pub(in crate::topology) fn insert(&mut self, key: &ShortString, target: Target) {
        let weights = self.weights.entry(target).or_default();
        *weights.entry(weight(key).unwrap_or(1)).or_default() += 1;
        self.lay_out(target);
    }

    pub(in crate::topology) fn remove(&mut self, key: &ShortString, target: Target) {
        let weight = weight(key).unwrap_or(1);
        if let Some(weights) = self.weights.get_mut(&target) {
            if let Some(count) = weights.get_mut(&weight) {
                *count -= 1;
                if *count == 0 {
                    weights.remove(&weight);
                }
            }
            if weights.is_empty() {
                self.weights.remove(&target);
            }
        }
        self.lay_out(target);
    }

    /// Gives buckets to this destination and all behind it, which takes as long as these are many: none, for a new queue.
    fn lay_out(&mut self, from: Target) {
        let kept = self.buckets.partition_point(|(_, target)| *target < from);
        self.buckets.truncate(kept);
        let mut end = self.buckets.last().map_or(0, |(end, _)| *end);
        for (target, weights) in self.weights.range(from..) {
            end += weights.keys().next_back().map_or(0, |weight| u64::from(*weight));
            self.buckets.push((end, *target));
        }
    }

    pub(in crate::topology) fn route(&self, key: &[u8], message: &mut Message<'_>, found: &mut Found<'_>) {
        let Some((count, _)) = self.buckets.last() else { return };
        let bucket = jump(self.by.hash(key, message), *count);
        let at = self.buckets.partition_point(|(end, _)| *end <= bucket);
        found.add_one(self.buckets[at].1);
    }

    pub(in crate::topology) fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }
}

/// Jump consistent hashing: the bucket of a key, of that many.
fn jump(mut key: u64, buckets: u64) -> u64 {
    let (mut bucket, mut next) = (0, 0);
    while next < buckets {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((bucket + 1) as f64 * ((1_u64 << 31) as f64 / ((key >> 33) + 1) as f64)) as u64;
    }
    bucket
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_more_takes_its_share_and_moves_nothing_else() {
        for buckets in [1, 2, 3, 10, 100] {
            let mut per_bucket = vec![0; buckets as usize + 1];
            let keys: u64 = 10_000 * (buckets + 1);
            for key in 0..keys {
                let key = hash(&key.to_be_bytes());
                let (before, after) = (jump(key, buckets), jump(key, buckets + 1));
                assert!(before == after || after == buckets, "a key moves to the new bucket or stays");
                per_bucket[after as usize] += 1;
            }
            let is_even = |count: &u64| (9_000..11_000).contains(count);
            assert!(per_bucket.iter().all(is_even), "{per_bucket:?}");
        }
    }
}

//! Routing as one would write it down: every binding is looked at, and nothing is remembered.

use super::*;
use std::collections::BTreeSet;

/// Whether a pattern matches a key, word by word.
pub(super) fn topic_matches(pattern: &str, key: &str) -> bool {
    fn words(text: &str) -> Vec<&str> {
        if text.is_empty() { Vec::new() } else { text.split('.').collect() }
    }
    fn matches(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            (["#", rest @ ..], _) => matches(rest, key) || !key.is_empty() && matches(pattern, &key[1..]),
            (["*", pattern @ ..], [_, key @ ..]) => matches(pattern, key),
            ([word, pattern @ ..], [other, key @ ..]) => word == other && matches(pattern, key),
            _ => false,
        }
    }
    matches(&words(pattern), &words(key))
}

fn headers_match(arguments: &Table, headers: &Table) -> bool {
    let how = arguments.get("x-match").and_then(Value::as_str).unwrap_or("all");
    let mut asked = arguments.iter().filter(|(name, _)| {
        let is_x = name.as_bytes().starts_with(b"x-");
        !is_x || how.ends_with("-with-x") && *name != *"x-match"
    });
    let has = |(name, wanted): &(stoa_amqp::ShortString, Value)| match (wanted, headers.get(name)) {
        (_, None) => false,
        (Value::Void, Some(_)) => true,
        (wanted, Some(value)) => match (wanted.as_i64(), value.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => wanted == value,
        },
    };
    if how.starts_with("any") { asked.any(has) } else { asked.all(has) }
}

/// The queues that a message reaches.
#[derive(Debug, Default)]
pub(super) struct Expected {
    all: BTreeSet<QueueId>,
    /// An exchange chose one destination of several: which one is not for the model to say, nor what is reached from there.
    chosen: bool,
}

impl Expected {
    /// Whether it may reach these.
    pub(super) fn allows(&self, reached: &BTreeSet<QueueId>) -> bool {
        if self.chosen {
            reached.is_subset(&self.all)
        } else {
            *reached == self.all
        }
    }
}

/// Routing, with all that may be reached where an exchange chooses.
pub(super) fn route(topology: &Topology, vhost: &str, exchange: &str, key: &str, headers: &Table) -> Expected {
    let mut expected = Expected::default();
    let mut asked = BTreeSet::new();
    let mut to_ask = vec![exchange.to_owned()];
    while let Some(name) = to_ask.pop() {
        let Some(exchange) = topology.exchange(vhost, name.as_bytes()) else {
            continue;
        };
        if !asked.insert(name.clone()) {
            continue;
        }
        if let Some(holding) = exchange.own.delays.filter(|_| headers.get("x-delay").is_some()) {
            expected.all.insert(holding);
            continue;
        }
        expected.all.extend(exchange.own.history);
        let mut found_any = false;
        for binding in topology.bindings(vhost).filter(|binding| binding.source == *name.as_str()) {
            let matches = match exchange.kind {
                ExchangeKind::Direct => binding.routing_key == *key,
                ExchangeKind::Fanout
                | ExchangeKind::ConsistentHash
                | ExchangeKind::ModulusHash
                | ExchangeKind::Random
                | ExchangeKind::Deduplication
                | ExchangeKind::RecentHistory
                | ExchangeKind::LocalRandom => true,
                ExchangeKind::Topic | ExchangeKind::Delayed => topic_matches(&binding.routing_key.as_str_lossy(), key),
                ExchangeKind::Headers => headers_match(&binding.arguments, headers),
            };
            if matches {
                expected.chosen |= matches!(
                    exchange.kind,
                    ExchangeKind::ConsistentHash | ExchangeKind::ModulusHash | ExchangeKind::Random | ExchangeKind::LocalRandom
                );
                found_any = true;
                match &binding.destination {
                    Destination::Queue(queue) => drop(expected.all.insert(topology.find_queue(vhost, queue.as_bytes()).unwrap().id)),
                    Destination::Exchange(exchange) => to_ask.push(exchange.to_string()),
                }
            }
        }
        let policy = topology.governing_exchange(vhost, name.as_bytes()).definition().unwrap_or_default();
        let argument = exchange.arguments.get("alternate-exchange").or(policy.get("alternate-exchange"));
        if !found_any && let Some(alternate) = argument {
            to_ask.extend(alternate.as_str().map(str::to_owned));
        }
    }
    expected
}

//! What the exchange types do with a message: one file each.
//!
//! Each keeps, beside the bindings themselves, what it needs to find the destinations of a message quickly. None looks anything up outside.

mod consistent_hash;
mod direct;
mod fanout;
mod hash;
mod headers;
mod modulus_hash;
mod random;
mod ranked;
mod topic;

use super::bindings::BindingIndex;
use super::destinations::Target;
use super::exchange::Exchange;
use super::exchange::ExchangeKind;
use super::route::{Found, Message};
use stoa_amqp::{ShortString, Table};

pub(super) use consistent_hash::{check as check_consistent_hash, weight};
pub(super) use headers::Match;
pub use headers::MatchError;

/// The bindings of an exchange in the form in which it routes by them.
#[derive(Debug)]
pub(super) enum Routes {
    Direct(direct::Direct),
    Fanout(fanout::Fanout),
    Topic(topic::Topic),
    Headers(headers::HeadersTable),
    ConsistentHash(consistent_hash::ConsistentHash),
    ModulusHash(modulus_hash::ModulusHash),
    Random(random::Random),
}

impl Routes {
    pub(super) fn new(exchange: &Exchange) -> Self {
        match exchange.routes_as() {
            ExchangeKind::Direct => Self::Direct(direct::Direct::default()),
            // None routes as a delayed one: its declaration is refused.
            ExchangeKind::Fanout | ExchangeKind::Delayed | ExchangeKind::Deduplication | ExchangeKind::RecentHistory => {
                Self::Fanout(fanout::Fanout::default())
            }
            ExchangeKind::Topic => Self::Topic(topic::Topic::default()),
            ExchangeKind::Headers => Self::Headers(headers::HeadersTable::default()),
            ExchangeKind::ConsistentHash => Self::ConsistentHash(consistent_hash::ConsistentHash::new(&exchange.arguments)),
            ExchangeKind::ModulusHash => Self::ModulusHash(modulus_hash::ModulusHash::default()),
            ExchangeKind::Random | ExchangeKind::LocalRandom => Self::Random(random::Random::default()),
        }
    }

    /// Takes a new binding in. Its arguments have been found valid.
    pub(super) fn insert(&mut self, binding: BindingIndex, key: &ShortString, arguments: &Table, target: Target) {
        match self {
            Self::Direct(direct) => direct.insert(key, target),
            Self::Fanout(fanout) => fanout.insert(target),
            Self::Topic(topic) => topic.insert(key.as_bytes(), target),
            Self::Headers(headers) => headers.insert(binding, arguments, target),
            Self::ConsistentHash(consistent) => consistent.insert(key, target),
            Self::ModulusHash(modulus) => modulus.insert(target),
            Self::Random(random) => random.insert(target),
        }
    }

    /// Takes a binding out that was taken in before.
    pub(super) fn remove(&mut self, binding: BindingIndex, key: &ShortString, target: Target) {
        match self {
            Self::Direct(direct) => direct.remove(key, target),
            Self::Fanout(fanout) => fanout.remove(target),
            Self::Topic(topic) => topic.remove(key.as_bytes(), target),
            Self::Headers(headers) => headers.remove(binding),
            Self::ConsistentHash(consistent) => consistent.remove(key, target),
            Self::ModulusHash(modulus) => modulus.remove(target),
            Self::Random(random) => random.remove(target),
        }
    }

    /// Finds the destinations of a message.
    pub(super) fn route(&self, key: &[u8], message: &mut Message<'_>, found: &mut Found<'_>) {
        match self {
            Self::Direct(direct) => direct.route(key, found),
            Self::Fanout(fanout) => fanout.route(found),
            Self::Topic(topic) => topic.route(key, found),
            Self::Headers(table) => {
                if !table.is_empty() {
                    table.route(&message.facts().headers, found);
                }
            }
            Self::ConsistentHash(consistent) => consistent.route(key, message, found),
            Self::ModulusHash(modulus) => modulus.route(key, found),
            Self::Random(random) => random.route(message, found),
        }
    }

    /// Whether each routing key of a message may lead elsewhere. The others look at none, or choose one destination for the message.
    pub(super) fn goes_by_each_key(&self) -> bool {
        matches!(self, Self::Direct(_) | Self::Topic(_))
    }

    /// Whether nothing is left of any binding.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Direct(direct) => direct.is_empty(),
            Self::Fanout(fanout) => fanout.is_empty(),
            Self::Topic(topic) => topic.is_empty(),
            Self::Headers(headers) => headers.is_empty(),
            Self::ConsistentHash(consistent) => consistent.is_empty(),
            Self::ModulusHash(modulus) => modulus.is_empty(),
            Self::Random(random) => random.is_empty(),
        }
    }
}

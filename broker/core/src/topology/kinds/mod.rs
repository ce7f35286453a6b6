//! What the exchange types do with a message: one file each.
//!
//! Each keeps, beside the bindings themselves, what it needs to find the destinations of a message quickly. None looks anything up outside.

mod direct;
mod fanout;
mod headers;
mod topic;

use super::bindings::BindingIndex;
use super::destinations::Target;
use super::exchange::ExchangeKind;
use super::route::{Found, Headers};
use stoa_amqp::{ShortString, Table};

pub(super) use headers::Match;
pub use headers::MatchError;

/// The bindings of an exchange in the form in which it routes by them.
#[derive(Debug)]
pub(super) enum Routes {
    Direct(direct::Direct),
    Fanout(fanout::Fanout),
    Topic(topic::Topic),
    Headers(headers::HeadersTable),
}

impl Routes {
    pub(super) fn new(kind: ExchangeKind) -> Self {
        match kind {
            ExchangeKind::Direct => Self::Direct(direct::Direct::default()),
            ExchangeKind::Fanout => Self::Fanout(fanout::Fanout::default()),
            ExchangeKind::Topic => Self::Topic(topic::Topic::default()),
            ExchangeKind::Headers => Self::Headers(headers::HeadersTable::default()),
        }
    }

    /// Takes a new binding in. Its arguments have been found valid.
    pub(super) fn insert(&mut self, binding: BindingIndex, key: &ShortString, arguments: &Table, target: Target) {
        match self {
            Self::Direct(direct) => direct.insert(key, target),
            Self::Fanout(fanout) => fanout.insert(target),
            Self::Topic(topic) => topic.insert(key.as_bytes(), target),
            Self::Headers(headers) => headers.insert(binding, arguments, target),
        }
    }

    /// Takes a binding out that was taken in before.
    pub(super) fn remove(&mut self, binding: BindingIndex, key: &ShortString, target: Target) {
        match self {
            Self::Direct(direct) => direct.remove(key, target),
            Self::Fanout(fanout) => fanout.remove(target),
            Self::Topic(topic) => topic.remove(key.as_bytes(), target),
            Self::Headers(headers) => headers.remove(binding),
        }
    }

    /// Finds the destinations of a message.
    pub(super) fn route(&self, key: &[u8], headers: &mut Headers<'_>, found: &mut Found<'_>) {
        match self {
            Self::Direct(direct) => direct.route(key, found),
            Self::Fanout(fanout) => fanout.route(found),
            Self::Topic(topic) => topic.route(key, found),
            Self::Headers(table) => {
                if !table.is_empty() {
                    table.route(headers.get(), found);
                }
            }
        }
    }

    /// Whether nothing is left of any binding.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Direct(direct) => direct.is_empty(),
            Self::Fanout(fanout) => fanout.is_empty(),
            Self::Topic(topic) => topic.is_empty(),
            Self::Headers(headers) => headers.is_empty(),
        }
    }
}

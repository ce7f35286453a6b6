//! The queues that exchanges have of their own: those in which they hold messages back (`x-delayed-message`, RabbitMQ's plugin), remember keys
//! (`deduplication.rs`) or keep a history (`history.rs`).
//!
//! Such a queue has a [`QueueId`] and no name: no client sees it, and nobody consumes from it. It comes and goes with its exchange.

use super::deduplication::Deduplication;
use super::exchange::{Exchange, ExchangeKind};
use super::{Change, ShortString, Topology, history, queue};
use crate::ids::QueueId;
use crate::settings::Settings;
use std::sync::Arc;
use stoa_amqp::{Table, Value};

/// The argument that says as what the exchange routes.
pub(super) const DELAYED_TYPE: &str = "x-delayed-type";

pub(super) fn delayed_kind(arguments: &Table) -> Option<ExchangeKind> {
    let name = arguments.get(DELAYED_TYPE).and_then(Value::as_bytes)?;
    ExchangeKind::of_name(name)
}

/// What an exchange has a queue of its own for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Messages that are held back.
    Delays,
    /// Keys of messages that have been routed.
    Keys,
    /// The last messages.
    History,
}

impl Purpose {
    pub(super) const ALL: [Self; 3] = [Self::Delays, Self::Keys, Self::History];

    /// The field of the exchange's record that has the queue's id.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Delays => "holding",
            Self::Keys => "keys",
            Self::History => "history",
        }
    }

    /// Whether such an exchange has such a queue.
    pub(super) fn is_of(self, kind: ExchangeKind, arguments: &Table) -> bool {
        match self {
            Self::Delays => kind == ExchangeKind::Delayed,
            Self::Keys => Deduplication::of(routes_as(kind, arguments), arguments).is_some(),
            Self::History => routes_as(kind, arguments) == ExchangeKind::RecentHistory,
        }
    }
}

/// As what an exchange routes what it does not hold back.
pub(super) fn routes_as(kind: ExchangeKind, arguments: &Table) -> ExchangeKind {
    match kind {
        ExchangeKind::Delayed => delayed_kind(arguments).unwrap_or(ExchangeKind::Fanout),
        kind => kind,
    }
}

/// The queues of its own that an exchange has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnQueues {
    /// See [`Purpose::Delays`].
    pub delays: Option<QueueId>,
    /// See [`Purpose::Keys`].
    pub keys: Option<QueueId>,
    /// See [`Purpose::History`].
    pub history: Option<QueueId>,
}

impl OwnQueues {
    /// Gives ids to the queues that a new exchange has.
    pub(super) fn take(kind: ExchangeKind, arguments: &Table, ids: &mut queue::Ids, changes: &mut Vec<Change>) -> Self {
        let mut own = Self::default();
        for purpose in Purpose::ALL.into_iter().filter(|purpose| purpose.is_of(kind, arguments)) {
            *own.of(purpose) = Some(ids.take(changes));
        }
        own
    }

    pub(super) fn of(&mut self, purpose: Purpose) -> &mut Option<QueueId> {
        match purpose {
            Purpose::Delays => &mut self.delays,
            Purpose::Keys => &mut self.keys,
            Purpose::History => &mut self.history,
        }
    }

    /// All of them.
    pub fn iter(mut self) -> impl Iterator<Item = (Purpose, QueueId)> {
        Purpose::ALL
            .into_iter()
            .filter_map(move |purpose| Some((purpose, (*self.of(purpose))?)))
    }
}

/// A queue of an exchange's own, as its shard must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// By what shards, journal and store know it.
    pub queue: QueueId,
    /// What it is for.
    pub purpose: Purpose,
    /// Survives a restart, as its exchange does.
    pub durable: bool,
    /// It does what it is for, and that is all.
    pub settings: Arc<Settings>,
}

impl Holding {
    pub(super) fn all_of(exchange: &Exchange) -> impl Iterator<Item = Self> {
        exchange.own.iter().map(|(purpose, queue)| Self {
            queue,
            purpose,
            durable: exchange.durable,
            settings: Arc::new(settings(exchange, purpose)),
        })
    }
}

fn settings(exchange: &Exchange, purpose: Purpose) -> Settings {
    let none = Settings::default();
    match purpose {
        Purpose::Delays => Settings { delays: true, ..none },
        Purpose::Keys => Settings {
            length_max: exchange.deduplication().map(|deduplication| deduplication.size_max()),
            ..none
        },
        Purpose::History => Settings {
            length_max: Some(history::length(&exchange.arguments)),
            ..none
        },
    }
}

/// Whose queue it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) vhost: Arc<str>,
    pub(super) exchange: ShortString,
}

impl Topology {
    /// The queues of all exchanges' own, in no particular order.
    pub fn holdings(&self) -> impl Iterator<Item = Holding> {
        self.holding.iter().filter_map(|(queue, held)| {
            let exchange = self.exchange(&held.vhost, held.exchange.as_bytes())?;
            Holding::all_of(&exchange).find(|holding| holding.queue == *queue)
        })
    }

    /// Whether an exchange still has this queue.
    #[must_use]
    pub fn is_held(&self, queue: QueueId) -> bool {
        self.holding.contains_key(&queue)
    }

    /// The queues of exchanges' own that have gone since the last call: what they hold is for the caller to delete.
    pub fn take_released(&mut self) -> Vec<QueueId> {
        std::mem::take(&mut self.released)
    }

    /// Forgets the queues of exchanges that a virtual host has lost.
    pub(super) fn forget_holding(&mut self, vhost: &str) {
        if let Some(vhost) = self.vhosts.get_mut(vhost) {
            for queue in vhost.released.drain(..) {
                self.holding.remove(&queue);
                self.released.push(queue);
            }
        }
    }
}

//! The queues of delayed-message exchanges, in which they hold messages back (`x-delayed-message`, RabbitMQ's plugin).
//!
//! Such a queue has a [`QueueId`] and no name: no client sees it, and nobody consumes from it. It comes and goes with its exchange.

use super::exchange::ExchangeKind;
use super::{ShortString, Topology};
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

/// The queue of a delayed-message exchange, as its shard must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// By what shards, journal and store know it.
    pub queue: QueueId,
    /// Survives a restart, as its exchange does.
    pub durable: bool,
    /// It delays, and that is all.
    pub settings: Arc<Settings>,
}

impl Holding {
    pub(super) fn new(queue: QueueId, durable: bool) -> Self {
        let settings = Settings {
            delays: true,
            ..Settings::default()
        };
        Self {
            queue,
            durable,
            settings: Arc::new(settings),
        }
    }
}

/// Whose queue it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) vhost: Arc<str>,
    pub(super) exchange: ShortString,
}

impl Topology {
    /// The queues of all delayed-message exchanges, in no particular order.
    pub fn holdings(&self) -> impl Iterator<Item = Holding> {
        self.holding.iter().filter_map(|(queue, held)| {
            let exchange = self.exchange(&held.vhost, held.exchange.as_bytes())?;
            Some(Holding::new(*queue, exchange.durable))
        })
    }

    /// The queues of delayed-message exchanges that have gone since the last call: what they hold is for the caller to delete.
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

//! Exchanges that keep the last messages for those who come later (`x-recent-history`, RabbitMQ's plugin): else they are fanouts.
//!
//! The messages lie in a queue of the exchange's own, in which the newest push out the oldest. It is one more destination, and none that counts: a
//! message that reaches nothing else is unroutable. What is bound to the exchange gets the history first ([`Replay`]).

use super::destinations::Target;
use super::exchange::{Exchange, ExchangeKind};
use super::holding::Purpose;
use super::route::RouteTarget;
use super::{Topology, TopologyError};
use crate::ids::QueueId;
use std::sync::Arc;
use stoa_amqp::{ShortString, Table, Value};

/// The argument that says how many messages are kept.
const LENGTH: &str = "x-recent-history-length";
/// The header of a message that is not to be kept.
const NO_STORE: &str = "x-recent-history-no-store";

/// As many are kept if the exchange does not say.
const LENGTH_DEFAULT: u64 = 20;

/// Messages of an exchange's history for what was bound to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The exchange's own queue: what is in it is to be copied, in its order.
    pub history: QueueId,
    /// Where to.
    pub to: ReplayTo,
}

/// What was bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayTo {
    /// A queue.
    Queue(RouteTarget),
    /// An exchange, which routes each of the messages.
    Exchange(Arc<str>, ShortString),
}

/// How many messages an exchange with these arguments keeps.
pub(super) fn length(arguments: &Table) -> u64 {
    let length = arguments.get(LENGTH).and_then(Value::as_i64);
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(LENGTH_DEFAULT)
}

/// What is wrong with the arguments, in the plugin's words.
pub(super) fn check(arguments: &Table) -> Result<(), String> {
    match arguments.get(LENGTH) {
        None => Ok(()),
        Some(length) if length.as_i64().is_some_and(|length| length > 0) => Ok(()),
        Some(length) => {
            let shown = match (length.as_i64(), length.as_bytes()) {
                (Some(number), _) => number.to_string(),
                (None, Some(text)) => format!("<<\"{}\">>", String::from_utf8_lossy(text)),
                (None, None) => length.type_name().to_owned(),
            };
            Err(format!("Invalid argument {shown}, '{LENGTH}' must be a positive integer"))
        }
    }
}

/// Whether a message with these headers is kept.
pub(super) fn keeps(headers: &Table) -> bool {
    headers.get(NO_STORE).and_then(Value::as_bool) != Some(true)
}

impl Exchange {
    /// Where it keeps what it routes.
    pub(super) fn history_target(&self) -> Option<RouteTarget> {
        self.own.history.map(|queue| RouteTarget {
            queue,
            durable: self.durable,
            delays: false,
            keeps: true,
        })
    }
}

impl Topology {
    /// Something was bound to this exchange.
    pub(super) fn note_replay(&mut self, vhost: &Arc<str>, source: &Exchange, target: Target) {
        let Some(history) = source.own.history else { return };
        let to = match target {
            Target::Queue(queue) => ReplayTo::Queue(queue),
            Target::Exchange(id) => {
                let Some(vhost) = self.vhosts.get(vhost) else { return };
                ReplayTo::Exchange(vhost.name.clone(), vhost.node(id).exchange.name.clone())
            }
        };
        self.replays.push(Replay { history, to });
    }

    /// From now on no exchange is declared that would keep more messages than this. Those that are there stay as they are.
    pub fn limit_histories(&mut self, messages_max: u64) {
        self.history_max = messages_max;
    }

    /// Whether an exchange may be declared with these arguments, as far as its history goes.
    pub(super) fn check_history(&self, kind: ExchangeKind, arguments: &Table) -> Result<(), TopologyError> {
        let wanted = length(arguments);
        if !Purpose::History.is_of(kind, arguments) || wanted <= self.history_max {
            return Ok(());
        }
        let text = format!("Invalid argument {wanted}, '{LENGTH}' must not be above {}", self.history_max);
        Err(TopologyError::ExchangeArgument(text.into()))
    }

    /// The histories that are to be copied because of what was bound since the last call, before anything else is published there.
    pub fn take_replays(&mut self) -> Vec<Replay> {
        std::mem::take(&mut self.replays)
    }
}

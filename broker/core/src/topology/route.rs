//! Routing: from an exchange and a routing key to queues. It changes nothing (invariant 4), and allocates only where exchanges are bound to
//! exchanges.

use super::deduplication::MessageKey;
use super::destinations::{Destinations, ExchangeId, Target};
use super::error::{Resource, ResourceKind};
use super::facts::{Facts, delay_ms};
use super::history;
use super::vhost::Node;
use super::{Topology, Vhost};
use crate::ids::QueueId;
use hashbrown::HashSet;
use stoa_amqp::ReplyCode;

/// A queue that a message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteTarget {
    /// The queue.
    pub queue: QueueId,
    /// Whether it survives a restart, and with it the persistent messages in it.
    pub durable: bool,
    /// It belongs to a delayed-message exchange: it takes a record of its own, which says until when the message is held back.
    pub delays: bool,
    /// It belongs to an exchange that keeps a history, and is nobody's destination: what goes nowhere else is unroutable.
    pub keeps: bool,
}

/// Why a message cannot be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The virtual host is gone.
    #[error("vhost {0} not found")]
    NoVhost(Box<str>),
    /// There is no such exchange.
    #[error("no {0}")]
    NoExchange(Resource),
    /// The exchange takes messages from other exchanges only.
    #[error("cannot publish to internal {0}")]
    Internal(Resource),
}

impl RouteError {
    /// The reply code that RabbitMQ answers with.
    #[must_use]
    pub fn code(&self) -> ReplyCode {
        match self {
            Self::NoVhost(_) => ReplyCode::NotAllowed,
            Self::NoExchange(_) => ReplyCode::NotFound,
            Self::Internal(_) => ReplyCode::AccessRefused,
        }
    }
}

/// What exchanges on the way may ask of whoever has a message routed. A function that gives facts answers as if no message had been there before.
pub trait Inquiry {
    /// What the message says of itself.
    fn facts(&mut self) -> Facts;

    /// Whether the exchange with this memory meets the key for the first time. It will remember it, if the message gets where it is to go.
    fn is_new(&mut self, key: &MessageKey) -> bool {
        let _ = key;
        true
    }
}

impl<F: FnMut() -> Facts> Inquiry for F {
    fn facts(&mut self) -> Facts {
        self()
    }
}

/// A message on its way: what it says of itself is looked up when the first exchange asks.
pub(super) struct Message<'a> {
    inquiry: &'a mut dyn Inquiry,
    facts: Option<Facts>,
    /// It has been held back once; that was enough.
    is_due: bool,
}

impl Message<'_> {
    pub(super) fn facts(&mut self) -> &Facts {
        self.facts.get_or_insert_with(|| self.inquiry.facts())
    }

    /// Whether a delayed-message exchange is to hold it back.
    fn is_delayed(&mut self) -> bool {
        !self.is_due && delay_ms(&self.facts().headers).is_some()
    }

    /// Whether the exchange has routed it before.
    fn is_duplicate(&mut self, node: &Node) -> bool {
        let (Some(deduplication), Some(queue)) = (&node.deduplication, node.exchange.own.keys) else {
            return false;
        };
        let durable = node.exchange.durable && deduplication.persistent;
        let key = deduplication.key(queue, durable, &self.facts().headers);
        key.is_some_and(|key| !self.inquiry.is_new(&key))
    }
}

/// More exchanges than this on a message's way, and they are looked up in a set.
const LINEAR_MAX: usize = 32;

/// What was found so far: queues, and exchanges still to be asked.
pub(super) struct Found<'a> {
    out: &'a mut Vec<RouteTarget>,
    /// How many sets of destinations were added. Each is in order and free of duplicates; two together need not be.
    sets: usize,
    /// Exchanges on the way but the first, each once, in the order in which they are asked.
    exchanges: Vec<ExchangeId>,
    /// The same once there are many, to look them up in.
    seen: Option<HashSet<ExchangeId>>,
    start: ExchangeId,
}

impl Found<'_> {
    pub(super) fn add(&mut self, destinations: &Destinations) {
        if destinations.is_empty() {
            return;
        }
        self.sets += 1;
        destinations.for_each(|target| match target {
            Target::Queue(queue) => self.out.push(queue),
            Target::Exchange(exchange) => self.visit(exchange),
        });
    }

    pub(super) fn add_one(&mut self, target: Target) {
        self.sets += 1;
        match target {
            Target::Queue(queue) => self.out.push(queue),
            Target::Exchange(exchange) => self.visit(exchange),
        }
    }

    /// How many exchanges are known of so far, beside the first.
    pub(super) fn exchanges_seen(&self) -> u64 {
        self.exchanges.len() as u64
    }

    fn hold(&mut self, queue: RouteTarget) {
        self.sets += 1;
        self.out.push(queue);
    }

    fn visit(&mut self, exchange: ExchangeId) {
        let is_known = if self.exchanges.len() <= LINEAR_MAX {
            self.exchanges.contains(&exchange)
        } else {
            let seen = self.seen.get_or_insert_with(|| self.exchanges.iter().copied().collect());
            !seen.insert(exchange)
        };
        if !is_known && exchange != self.start {
            self.exchanges.push(exchange);
        }
    }
}

impl Topology {
    /// Appends the queues that a message goes to: each once, in ascending order of [`QueueId`].
    ///
    /// A way that leads through several exchanges ends however they are bound to each other: each is asked once. An exchange that finds no
    /// destination passes the message to its alternate exchange (RabbitMQ extension), if there is one of that name.
    ///
    /// A delayed-message exchange that is to hold the message back leads to its own queue, with [`RouteTarget::delays`]; when the message is due, it
    /// goes on by [`Topology::route_due`].
    ///
    /// Nothing is asked, and for facts at most once, unless there is an exchange on the way that routes by more than the routing key, or by chance. If nothing
    /// was asked, the outcome depends on exchange and routing keys alone until the topology changes, and may be remembered.
    ///
    /// A message has several routing keys if it names them itself (`CC` and `BCC`, a RabbitMQ extension). They stay together: each exchange on the way
    /// is asked for all of them, those that choose one destination for the first.
    ///
    /// # Errors
    /// If there is no such virtual host or exchange, or the exchange is internal. Nothing is appended then.
    pub fn route(
        &self,
        vhost: &str,
        exchange: &[u8],
        routing_keys: &[&[u8]],
        inquiry: &mut dyn Inquiry,
        out: &mut Vec<RouteTarget>,
    ) -> Result<(), RouteError> {
        self.route_by((vhost, exchange, false), routing_keys, inquiry, out)
    }

    /// The same for messages that queues and not clients send to an exchange: it may be internal.
    ///
    /// # Errors
    /// If there is no such virtual host or exchange. Nothing is appended then.
    pub fn route_letter(
        &self,
        vhost: &str,
        exchange: &[u8],
        routing_keys: &[&[u8]],
        inquiry: &mut dyn Inquiry,
        out: &mut Vec<RouteTarget>,
    ) -> Result<(), RouteError> {
        self.route_by((vhost, exchange, true), routing_keys, inquiry, out)
    }

    fn route_by(
        &self,
        (vhost, exchange, even_internal): (&str, &[u8], bool),
        routing_keys: &[&[u8]],
        inquiry: &mut dyn Inquiry,
        out: &mut Vec<RouteTarget>,
    ) -> Result<(), RouteError> {
        let Some(vhost) = self.vhosts.get(vhost) else {
            return Err(RouteError::NoVhost(vhost.into()));
        };
        if exchange.is_empty() {
            let first = out.len();
            out.extend(
                routing_keys
                    .iter()
                    .filter_map(|key| vhost.queues.get(*key))
                    .filter(|queue| queue.view.is_none())
                    .map(|queue| queue.target()),
            );
            if routing_keys.len() > 1 {
                sort_and_dedup(out, first);
            }
            return Ok(());
        }
        let resource = || Resource::new(ResourceKind::Exchange, exchange, &vhost.name);
        let start = vhost.exchange_id(exchange).ok_or_else(|| RouteError::NoExchange(resource()))?;
        if vhost.node(start).exchange.internal && !even_internal {
            return Err(RouteError::Internal(resource()));
        }
        let message = Message {
            inquiry,
            facts: None,
            is_due: false,
        };
        route_from(vhost, start, routing_keys, message, out);
        Ok(())
    }

    /// Appends the queues that a message goes to which a delayed-message exchange held back in this queue of its own: from there on as if it had
    /// never been delayed, and no exchange holds it back again. Nothing is appended if the exchange is gone.
    pub fn route_due(&self, queue: QueueId, routing_keys: &[&[u8]], inquiry: &mut dyn Inquiry, out: &mut Vec<RouteTarget>) {
        let Some(held) = self.holding.get(&queue) else { return };
        let vhost = self.vhosts.get(&held.vhost);
        let found = vhost.and_then(|vhost| Some((vhost, vhost.exchange_id(held.exchange.as_bytes())?)));
        if let Some((vhost, start)) = found {
            let message = Message {
                inquiry,
                facts: None,
                is_due: true,
            };
            route_from(vhost, start, routing_keys, message, out);
        }
    }
}

fn route_from(vhost: &Vhost, start: ExchangeId, keys: &[&[u8]], mut message: Message<'_>, out: &mut Vec<RouteTarget>) {
    let first = out.len();
    let mut found = Found {
        out,
        sets: 0,
        exchanges: Vec::new(),
        seen: None,
        start,
    };
    let (mut current, mut asked) = (start, 0);
    loop {
        let node = vhost.node(current);
        let sets = found.sets;
        // What it held back has been asked for when it came.
        let is_held_no_more = message.is_due && current == start;
        let is_duplicate = !is_held_no_more && message.is_duplicate(node);
        let mut is_routed = false;
        match node.exchange.holding_target() {
            _ if is_duplicate => {}
            Some(holding) if message.is_delayed() => found.hold(holding),
            _ => {
                is_routed = true;
                let asked_for = if node.routes.goes_by_each_key() { keys.len() } else { 1 };
                for key in keys.iter().take(asked_for) {
                    node.routes.route(key, &mut message, &mut found);
                }
            }
        }
        if found.sets == sets
            && let Some(alternate) = node.alternate.as_ref().and_then(|name| vhost.exchange_id(name.as_bytes()))
        {
            found.visit(alternate);
        }
        if let Some(kept) = node.exchange.history_target()
            && is_routed
            && history::keeps(&message.facts().headers)
        {
            found.hold(kept);
        }
        let Some(next) = found.exchanges.get(asked) else { break };
        current = *next;
        asked += 1;
    }
    if found.sets > 1 {
        sort_and_dedup(out, first);
    }
}

/// Puts the list in order from `first` on, and takes duplicates out.
fn sort_and_dedup(out: &mut Vec<RouteTarget>, first: usize) {
    out[first..].sort_unstable();
    let mut kept = first;
    for at in first..out.len() {
        if kept == first || out[kept - 1] != out[at] {
            out[kept] = out[at];
            kept += 1;
        }
    }
    out.truncate(kept);
}

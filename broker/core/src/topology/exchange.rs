//! Exchanges: what they are, and their declaration and deletion (AMQP 0-9-1, class `exchange`).

use super::change::Change;
use super::deduplication::{self, Deduplication};
use super::equivalence::{check_argument, check_property};
use super::error::{Permission, Resource, ResourceKind, TopologyError};
use super::holding::{Held, Holding, OwnQueues, routes_as};
use super::kinds::check_consistent_hash;
use super::vhost::exchange_key;
use super::{Actor, RouteTarget, Topology, check_depth, history, new_name, stripped};
use std::fmt;
use std::sync::Arc;
use stoa_amqp::{ShortString, Table, Value};

/// The argument that names the exchange for what finds no destination (RabbitMQ extension).
pub(super) const ALTERNATE: &str = "alternate-exchange";

/// By what an exchange routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// The routing key, literally.
    Direct,
    /// Nothing: every binding gets every message.
    Fanout,
    /// The routing key, by patterns.
    Topic,
    /// The message's headers.
    Headers,
    /// A hash of the routing key, a header or a property, to one destination by weight (`x-consistent-hash`).
    ConsistentHash,
    /// A hash of the routing key, to one destination (`x-modulus-hash`).
    ModulusHash,
    /// Chance, to one destination (`x-random`).
    Random,
    /// Chance, to one classic queue on the same machine (`x-local-random`, RabbitMQ 4).
    LocalRandom,
    /// As another kind, its argument `x-delayed-type`, after a delay that the message asks for (`x-delayed-message`).
    Delayed,
    /// Nothing, and a message that was there before is not routed again (`x-message-deduplication`, noxdafox's plugin).
    Deduplication,
    /// Nothing, and what is bound later gets the last messages first (`x-recent-history`).
    RecentHistory,
}

impl ExchangeKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Direct,
        Self::Fanout,
        Self::Topic,
        Self::Headers,
        Self::ConsistentHash,
        Self::ModulusHash,
        Self::Random,
        Self::LocalRandom,
        Self::Delayed,
        Self::Deduplication,
        Self::RecentHistory,
    ];

    /// The name by which clients declare it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::ConsistentHash => "x-consistent-hash",
            Self::ModulusHash => "x-modulus-hash",
            Self::Random => "x-random",
            Self::LocalRandom => "x-local-random",
            Self::Delayed => "x-delayed-message",
            Self::Deduplication => "x-message-deduplication",
            Self::RecentHistory => "x-recent-history",
        }
    }

    /// The kind of that name, if there is one.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().as_bytes() == name)
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The exchanges that every virtual host has beside the default exchange: name, kind, and whether it is internal.
pub(super) const PREDECLARED: [(&str, ExchangeKind, bool); 6] = [
    ("amq.direct", ExchangeKind::Direct, false),
    ("amq.fanout", ExchangeKind::Fanout, false),
    ("amq.headers", ExchangeKind::Headers, false),
    ("amq.match", ExchangeKind::Headers, false),
    ("amq.rabbitmq.trace", ExchangeKind::Topic, true),
    ("amq.topic", ExchangeKind::Topic, false),
];

/// An exchange as it was declared. It never changes: what is bound to it is kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Its name.
    pub name: ShortString,
    /// The virtual host that it is in.
    pub vhost: Arc<str>,
    /// By what it routes.
    pub kind: ExchangeKind,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with the last binding that begins at it.
    pub auto_delete: bool,
    /// Takes messages from other exchanges only.
    pub internal: bool,
    /// What else was asked for.
    pub arguments: Table,
    /// The queues of its own. No client sees them.
    pub own: OwnQueues,
}

impl Exchange {
    /// By what it routes what it does not hold back.
    pub(super) fn routes_as(&self) -> ExchangeKind {
        routes_as(self.kind, &self.arguments)
    }

    /// How it tells duplicates, if it does.
    pub(super) fn deduplication(&self) -> Option<Deduplication> {
        Deduplication::of(self.routes_as(), &self.arguments)
    }

    /// Where it holds messages back.
    pub(super) fn holding_target(&self) -> Option<RouteTarget> {
        self.own.delays.map(|queue| RouteTarget {
            queue,
            durable: self.durable,
            delays: true,
            keeps: false,
        })
    }

    /// Where messages go that find no destination: its argument says so, or else the policies that it is under.
    pub(super) fn alternate(&self, policy: Option<&Table>) -> Option<ShortString> {
        let of_policy = || policy.and_then(|definition| definition.get(ALTERNATE));
        let name = self.arguments.get(ALTERNATE).or_else(of_policy)?;
        ShortString::new(name.as_bytes()?).ok()
    }

    /// Whether there is a record of it in the store.
    pub(super) fn is_recorded(&self) -> bool {
        self.durable && !self.name.as_bytes().starts_with(b"amq.")
    }

    pub(super) fn record(&self) -> Change {
        let mut fields: Table = [
            ("type", Value::from(self.kind.name())),
            ("auto-delete", Value::from(self.auto_delete)),
            ("internal", Value::from(self.internal)),
            ("arguments", Value::from(self.arguments.clone())),
        ]
        .into_iter()
        .collect();
        for (purpose, queue) in self.own.iter() {
            fields.insert(purpose.field(), queue.0.cast_signed());
        }
        Change::put(exchange_key(&self.vhost, &self.name), &fields)
    }

    fn check_equivalence(&self, kind: ExchangeKind, declare: &ExchangeDeclare<'_>, resource: &Resource) -> Result<(), TopologyError> {
        check_property("type", resource, kind, self.kind)?;
        check_property("durable", resource, declare.durable, self.durable)?;
        check_property("auto_delete", resource, declare.auto_delete, self.auto_delete)?;
        check_property("internal", resource, declare.internal, self.internal)?;
        check_argument(ALTERNATE, resource, declare.arguments.get(ALTERNATE), self.arguments.get(ALTERNATE))
    }
}

/// What `exchange.declare` asks for.
#[derive(Clone, Debug, Default)]
pub struct ExchangeDeclare<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The exchange type by name; ignored if passive.
    pub kind: &'a [u8],
    /// Only look whether it is there.
    pub passive: bool,
    /// It is to survive a restart.
    pub durable: bool,
    /// It is to go with its last binding.
    pub auto_delete: bool,
    /// It is to take messages from other exchanges only.
    pub internal: bool,
    /// What else is asked for.
    pub arguments: Table,
}

impl Topology {
    /// Declares an exchange, or finds that an equivalent one is there. Gives the queues of its own that a new one has: their shards must be told.
    ///
    /// # Errors
    /// As RabbitMQ: see [`TopologyError`]. A passive declaration asks for any permission on the exchange, as RabbitMQ 4.3 does.
    pub fn declare_exchange(
        &mut self,
        actor: &Actor<'_>,
        declare: &ExchangeDeclare<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<Vec<Holding>, TopologyError> {
        let vhost = self.vhost(actor.vhost)?;
        let name = stripped(declare.name);
        let resource = Resource::new(ResourceKind::Exchange, &name, &vhost.name);
        if declare.passive {
            check_not_default(&name)?;
            self.check_any(actor, &resource)?;
            return vhost.exchange(&name).map(|_| Vec::new()).ok_or(TopologyError::NotFound(resource));
        }
        let kind = ExchangeKind::of_name(declare.kind);
        let kind = kind.ok_or_else(|| TopologyError::ExchangeType(String::from_utf8_lossy(declare.kind).into()))?;
        check_not_default(&name)?;
        self.check(actor, Permission::Configure, &resource)?;
        if let Some(exchange) = vhost.exchange(&name) {
            return exchange.check_equivalence(kind, declare, &resource).map(|()| Vec::new());
        }
        let name = new_name(ResourceKind::Exchange, &name)?;
        if name.as_bytes().starts_with(b"amq.") {
            return Err(TopologyError::ReservedName {
                kind: ResourceKind::Exchange,
                name,
            });
        }
        check_depth(&declare.arguments, &resource)?;
        self.check_exchange_argument(actor, ALTERNATE, &declare.arguments, &resource)?;
        check_arguments(kind, &declare.arguments)?;
        self.check_history(kind, &declare.arguments)?;
        let vhost = vhost.name.clone();
        let own = OwnQueues::take(kind, &declare.arguments, &mut self.ids, changes);
        let exchange = Exchange {
            name,
            vhost,
            own,
            kind,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: declare.arguments.clone(),
        };
        if exchange.durable {
            changes.push(exchange.record());
        }
        Ok(self.add_exchange(exchange))
    }

    /// Takes a new exchange in; gives the queues of its own.
    pub(super) fn add_exchange(&mut self, exchange: Exchange) -> Vec<Holding> {
        let holdings: Vec<_> = Holding::all_of(&exchange).collect();
        for holding in &holdings {
            let held = Held {
                vhost: exchange.vhost.clone(),
                exchange: exchange.name.clone(),
            };
            self.holding.insert(holding.queue, held);
        }
        if let Some(vhost) = self.vhosts.get_mut(&exchange.vhost) {
            vhost.add_exchange(exchange);
        }
        holdings
    }

    /// Deletes an exchange with its bindings. If it is not there, that is as good.
    ///
    /// # Errors
    /// If the user may not, the exchange is a predeclared one, or bindings begin at it and it was to be deleted only if unused.
    pub fn delete_exchange(
        &mut self,
        actor: &Actor<'_>,
        name: &[u8],
        if_unused: bool,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        let vhost = self.vhost(actor.vhost)?;
        let name = stripped(name);
        let resource = Resource::new(ResourceKind::Exchange, &name, &vhost.name);
        check_not_default(&name)?;
        if name.starts_with(b"amq.") {
            return Err(TopologyError::SystemExchange(resource));
        }
        self.check(actor, Permission::Configure, &resource)?;
        let Some(id) = vhost.exchange_id(&name) else { return Ok(()) };
        if if_unused && vhost.bindings.any_of_source(id).is_some() {
            return Err(TopologyError::InUse(resource));
        }
        self.vhost_mut(actor.vhost)?.drop_exchange(id, changes);
        self.forget_holding(actor.vhost);
        Ok(())
    }

    /// An argument that names an exchange must be a text, and the user must be allowed to read from what is declared and to write to that exchange.
    pub(super) fn check_exchange_argument(
        &self,
        actor: &Actor<'_>,
        argument: &'static str,
        arguments: &Table,
        resource: &Resource,
    ) -> Result<(), TopologyError> {
        match arguments.get(argument) {
            None => Ok(()),
            Some(Value::LongString(name)) => {
                self.check(actor, Permission::Read, resource)?;
                self.check(actor, Permission::Write, &resource.exchange(name))
            }
            Some(other) => Err(TopologyError::ArgumentType {
                kind: other.type_name(),
                argument,
                resource: resource.clone(),
            }),
        }
    }
}

pub(super) fn check_not_default(exchange: &[u8]) -> Result<(), TopologyError> {
    if exchange.is_empty() {
        return Err(TopologyError::DefaultExchange);
    }
    Ok(())
}

/// Looks at the arguments that only exchanges of this kind have.
pub(super) fn check_arguments(kind: ExchangeKind, arguments: &Table) -> Result<(), TopologyError> {
    let invalid = |text: &str| TopologyError::ExchangeArgument(text.into());
    deduplication::check(kind, arguments).map_err(|text| invalid(&text))?;
    match kind {
        ExchangeKind::RecentHistory => history::check(arguments).map_err(|text| invalid(&text)),
        ExchangeKind::ConsistentHash => check_consistent_hash(arguments).map_err(|text| invalid(&text)),
        ExchangeKind::Delayed => {
            let name = arguments.get(super::holding::DELAYED_TYPE).and_then(Value::as_bytes);
            let name = name.ok_or_else(|| invalid("Invalid argument, 'x-delayed-type' must be an existing exchange type"))?;
            match ExchangeKind::of_name(name) {
                Some(ExchangeKind::Delayed) => Err(invalid("Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'")),
                Some(kind) => check_arguments(kind, arguments),
                None => Err(TopologyError::ExchangeType(String::from_utf8_lossy(name).into())),
            }
        }
        _ => Ok(()),
    }
}

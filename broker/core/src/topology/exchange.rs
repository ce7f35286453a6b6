//! Exchanges: what they are, and their declaration and deletion (AMQP 0-9-1, class `exchange`).

use super::change::Change;
use super::equivalence::{check_argument, check_property};
use super::error::{Permission, Resource, ResourceKind, TopologyError};
use super::vhost::exchange_key;
use super::{Actor, Topology, check_depth, new_name, stripped};
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
}

impl ExchangeKind {
    const ALL: [Self; 4] = [Self::Direct, Self::Fanout, Self::Topic, Self::Headers];

    /// The name by which clients declare it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
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
}

impl Exchange {
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
        let fields: Table = [
            ("type", Value::from(self.kind.name())),
            ("auto-delete", Value::from(self.auto_delete)),
            ("internal", Value::from(self.internal)),
            ("arguments", Value::from(self.arguments.clone())),
        ]
        .into_iter()
        .collect();
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
    /// Declares an exchange, or finds that an equivalent one is there.
    ///
    /// # Errors
    /// As RabbitMQ: see [`TopologyError`]. A passive declaration asks for any permission on the exchange, as RabbitMQ 4.3 does.
    pub fn declare_exchange(
        &mut self,
        actor: &Actor<'_>,
        declare: &ExchangeDeclare<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        let vhost = self.vhost(actor.vhost)?;
        let name = stripped(declare.name);
        let resource = Resource::new(ResourceKind::Exchange, &name, &vhost.name);
        if declare.passive {
            check_not_default(&name)?;
            self.check_any(actor, &resource)?;
            return vhost.exchange(&name).map(drop).ok_or(TopologyError::NotFound(resource));
        }
        let kind = ExchangeKind::of_name(declare.kind);
        let kind = kind.ok_or_else(|| TopologyError::ExchangeType(String::from_utf8_lossy(declare.kind).into()))?;
        check_not_default(&name)?;
        self.check(actor, Permission::Configure, &resource)?;
        if let Some(exchange) = vhost.exchange(&name) {
            return exchange.check_equivalence(kind, declare, &resource);
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
        let exchange = Exchange {
            name,
            vhost: vhost.name.clone(),
            kind,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: declare.arguments.clone(),
        };
        if exchange.durable {
            changes.push(exchange.record());
        }
        self.vhost_mut(actor.vhost)?.add_exchange(exchange);
        Ok(())
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

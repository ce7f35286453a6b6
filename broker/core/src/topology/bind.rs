//! Binding and unbinding (AMQP 0-9-1, `queue.bind`, `queue.unbind`; RabbitMQ extension: `exchange.bind`, `exchange.unbind`).

use super::bindings::{Binding, Destination};
use super::change::Change;
use super::destinations::Target;
use super::equivalence::in_order;
use super::error::{Permission, Resource, ResourceKind, TopologyError};
use super::exchange::check_not_default;
use super::kinds::{Match, weight};
use super::queue_arguments::QueueType;
use super::vhost::{Vhost, binding_key};
use super::{Actor, ExchangeKind, Topology, short, stripped};
use stoa_amqp::{ShortString, Table};

impl Topology {
    /// Binds a queue to an exchange. If it is so bound already, that is as good. A binding outlives a restart if both of its ends do.
    ///
    /// # Errors
    /// As RabbitMQ: it takes permission to write to the queue and to read from the exchange; both must be there, the queue not another connection's own.
    pub fn bind_queue(
        &mut self,
        actor: &Actor<'_>,
        queue: &[u8],
        exchange: &[u8],
        routing_key: &[u8],
        arguments: &Table,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        let ends = (ResourceKind::Queue, queue, exchange);
        let binding = self.checked(actor, ends, routing_key, arguments)?;
        self.bind(actor, binding, changes)
    }

    /// Takes the binding of a queue to an exchange away. If there is no such binding, or neither queue nor exchange, that is as good.
    ///
    /// # Errors
    /// If the user may not, or the queue is another connection's own.
    pub fn unbind_queue(
        &mut self,
        actor: &Actor<'_>,
        queue: &[u8],
        exchange: &[u8],
        routing_key: &[u8],
        arguments: &Table,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        let ends = (ResourceKind::Queue, queue, exchange);
        let binding = self.checked(actor, ends, routing_key, arguments)?;
        self.unbind(actor, &binding, changes)
    }

    /// Binds an exchange to another, which may be itself. If it is so bound already, that is as good.
    ///
    /// # Errors
    /// As RabbitMQ: it takes permission to write to the destination and to read from the source; both must be there.
    pub fn bind_exchange(
        &mut self,
        actor: &Actor<'_>,
        destination: &[u8],
        source: &[u8],
        routing_key: &[u8],
        arguments: &Table,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        let ends = (ResourceKind::Exchange, destination, source);
        let binding = self.checked(actor, ends, routing_key, arguments)?;
        self.bind(actor, binding, changes)
    }

    /// Takes the binding of an exchange to another away. If there is no such binding, that is as good.
    ///
    /// # Errors
    /// If the user may not.
    pub fn unbind_exchange(
        &mut self,
        actor: &Actor<'_>,
        destination: &[u8],
        source: &[u8],
        routing_key: &[u8],
        arguments: &Table,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        let ends = (ResourceKind::Exchange, destination, source);
        let binding = self.checked(actor, ends, routing_key, arguments)?;
        self.unbind(actor, &binding, changes)
    }

    /// The binding that is asked for, if the user may ask.
    fn checked(
        &self,
        actor: &Actor<'_>,
        (kind, destination, source): (ResourceKind, &[u8], &[u8]),
        routing_key: &[u8],
        arguments: &Table,
    ) -> Result<Binding, TopologyError> {
        let vhost = &self.vhost(actor.vhost)?.name;
        let (source, destination) = (stripped(source), stripped(destination));
        self.check(actor, Permission::Write, &Resource::new(kind, &destination, vhost))?;
        if kind == ResourceKind::Exchange {
            check_not_default(&destination)?;
        }
        check_not_default(&source)?;
        self.check(actor, Permission::Read, &Resource::new(ResourceKind::Exchange, &source, vhost))?;
        self.check_topic(actor, Permission::Read, &source, routing_key)?;
        let destination = short(kind, &destination)?;
        Ok(Binding {
            source: short(ResourceKind::Exchange, &source)?,
            destination: match kind {
                ResourceKind::Queue => Destination::Queue(destination),
                ResourceKind::Exchange => Destination::Exchange(destination),
            },
            routing_key: ShortString::new(routing_key).map_err(|_| TopologyError::RoutingKey)?,
            arguments: in_order(arguments),
        })
    }

    fn bind(&mut self, actor: &Actor<'_>, binding: Binding, changes: &mut Vec<Change>) -> Result<(), TopologyError> {
        let vhost = self.vhost_mut(actor.vhost)?;
        let missing = |kind, name: &ShortString| TopologyError::NotFound(Resource::new(kind, name.as_bytes(), &vhost.name));
        let source = vhost.exchange_id(binding.source.as_bytes());
        let source = source.ok_or_else(|| missing(ResourceKind::Exchange, &binding.source))?;
        let target = vhost.target(&binding.destination);
        let target = target.ok_or_else(|| missing(binding.destination.kind(), binding.destination.name()))?;
        let exchange = &vhost.node(source).exchange;
        let invalid = |text: String| TopologyError::InvalidBinding(text.into());
        match exchange.routes_as() {
            ExchangeKind::Headers => drop(Match::of(&binding.arguments)?),
            ExchangeKind::ConsistentHash => drop(weight(&binding.routing_key).map_err(invalid)?),
            ExchangeKind::LocalRandom => vhost.check_local(&binding).map_err(invalid)?,
            _ => {}
        }
        vhost.check_access(actor, &binding.destination)?;
        vhost.check_stores(&binding.destination)?;
        if vhost.bindings.find(&binding).is_some() {
            return Ok(());
        }
        let durable = exchange.durable && vhost.is_durable(target);
        if durable {
            changes.push(Change::put(binding_key(&vhost.name, &binding), &Table::new()));
        }
        let (exchange, vhost_name) = (exchange.clone(), vhost.name.clone());
        vhost.bind(binding, source, target, durable);
        self.note_replay(&vhost_name, &exchange, target);
        Ok(())
    }

    fn unbind(&mut self, actor: &Actor<'_>, binding: &Binding, changes: &mut Vec<Change>) -> Result<(), TopologyError> {
        let vhost = self.vhost_mut(actor.vhost)?;
        let Some(index) = vhost.bindings.find(binding).map(|bound| bound.index) else {
            return Ok(());
        };
        vhost.check_access(actor, &binding.destination)?;
        vhost.unbind(index, changes);
        self.forget_holding(actor.vhost);
        Ok(())
    }
}

impl Vhost {
    /// Where a destination's name leads, if it is there.
    pub(super) fn target(&self, destination: &Destination) -> Option<Target> {
        match destination {
            Destination::Queue(name) => self.queues.get(name).map(|queue| Target::Queue(queue.target())),
            Destination::Exchange(name) => self.exchange_id(name.as_bytes()).map(Target::Exchange),
        }
    }

    pub(super) fn is_durable(&self, target: Target) -> bool {
        match target {
            Target::Queue(queue) => queue.durable,
            Target::Exchange(id) => self.node(id).exchange.durable,
        }
    }

    /// What RabbitMQ says of bindings that an `x-local-random` exchange does not take: those with a key, and those to anything but classic queues.
    fn check_local(&self, binding: &Binding) -> Result<(), String> {
        if !binding.routing_key.as_bytes().is_empty() {
            return Err(format!("Non empty binding '{}' key not permitted", binding.routing_key));
        }
        let queue = match &binding.destination {
            Destination::Queue(name) => self.queues.get(name),
            Destination::Exchange(_) => None,
        };
        match queue.map(|queue| queue.queue_type()) {
            Some(QueueType::Classic | QueueType::Space) => Ok(()),
            Some(other) => Err(format!("Queue type {} not valid for this exchange type", other.module())),
            None => Err("Destination not found".to_owned()),
        }
    }

    /// Nothing is routed to a view, so nothing leads there.
    fn check_stores(&self, destination: &Destination) -> Result<(), TopologyError> {
        let queue = match destination {
            Destination::Queue(name) => self.queues.get(name),
            Destination::Exchange(_) => None,
        };
        match queue.filter(|queue| queue.view.is_some()) {
            None => Ok(()),
            Some(queue) => {
                let text = format!("{} is a view and stores nothing: bind its space", queue.resource());
                Err(TopologyError::InvalidBinding(text.into()))
            }
        }
    }

    fn check_access(&self, actor: &Actor<'_>, destination: &Destination) -> Result<(), TopologyError> {
        match destination {
            Destination::Queue(name) => self.queues.get(name).map_or(Ok(()), |queue| queue.check_access(actor.connection)),
            Destination::Exchange(_) => Ok(()),
        }
    }
}

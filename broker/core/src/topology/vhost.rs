//! A virtual host: its exchanges, queues and bindings, put in and taken out without asking who wants it.

use super::bindings::{Binding, BindingIndex, Bindings};
use super::change::{Change, Key, Kind};
use super::deduplication::Deduplication;
use super::description::Description;
use super::destinations::{ExchangeId, Target};
use super::exchange::{Exchange, PREDECLARED};
use super::holding::OwnQueues;
use super::kinds::Routes;
use super::limits::{LimitOf, LimitSet};
use super::parameters::{self, ParameterName};
use super::policy::{Governing, Policies};
use super::queue::Queue;
use super::{Topology, TopologyError};
use crate::ids::QueueId;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use stoa_amqp::{ShortString, Table, Value};

/// The virtual host that is always there to begin with.
pub(super) const DEFAULT: &str = "/";

/// An exchange and what it needs to route.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) exchange: Arc<Exchange>,
    pub(super) routes: Routes,
    /// Where messages go that find no destination, if there is an exchange of that name then.
    pub(super) alternate: Option<ShortString>,
    /// How it tells duplicates, if it does.
    pub(super) deduplication: Option<Deduplication>,
    /// The policies that it is under.
    pub(super) governing: Governing,
}

impl Node {
    fn new(exchange: Exchange, governing: Governing) -> Self {
        let mut node = Self {
            routes: Routes::new(&exchange),
            deduplication: exchange.deduplication(),
            alternate: None,
            exchange: Arc::new(exchange),
            governing: Governing::default(),
        };
        node.govern(governing);
        node
    }

    /// Puts it under these policies.
    pub(super) fn govern(&mut self, governing: Governing) {
        self.alternate = self.exchange.alternate(governing.definition().as_ref());
        self.governing = governing;
    }
}

#[derive(Debug)]
pub(super) struct Vhost {
    pub(super) name: Arc<str>,
    pub(super) queues: HashMap<ShortString, Arc<Queue>>,
    pub(super) exchanges: HashMap<ShortString, ExchangeId>,
    nodes: Vec<Option<Node>>,
    free: Vec<ExchangeId>,
    pub(super) bindings: Bindings,
    pub(super) policies: Policies,
    /// What may be in it at most.
    pub(super) limits: LimitSet,
    /// What it is for.
    pub(super) description: Description,
    /// Parameters of components.
    pub(super) parameters: BTreeMap<ParameterName, Value>,
    /// The queues of their own of exchanges that have gone, for the topology to forget.
    pub(super) released: Vec<QueueId>,
}

impl Vhost {
    /// A virtual host with the predeclared exchanges.
    pub(super) fn new(name: Arc<str>) -> Self {
        let mut vhost = Self {
            name,
            queues: HashMap::new(),
            exchanges: HashMap::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            bindings: Bindings::default(),
            policies: Policies::default(),
            limits: LimitSet::default(),
            description: Description::default(),
            parameters: BTreeMap::new(),
            released: Vec::new(),
        };
        for (name, kind, internal) in PREDECLARED {
            vhost.add_exchange(Exchange {
                name: name.into(),
                vhost: vhost.name.clone(),
                kind,
                durable: true,
                auto_delete: false,
                internal,
                arguments: Table::new(),
                own: OwnQueues::default(),
            });
        }
        vhost
    }

    pub(super) fn exchange_id(&self, name: &[u8]) -> Option<ExchangeId> {
        self.exchanges.get(name).copied()
    }

    /// The exchange of an id that is in use.
    pub(super) fn node(&self, id: ExchangeId) -> &Node {
        self.nodes[id.0 as usize].as_ref().expect("an exchange that is there")
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().flatten()
    }

    pub(super) fn node_mut(&mut self, id: ExchangeId) -> &mut Node {
        self.nodes[id.0 as usize].as_mut().expect("an exchange that is there")
    }

    pub(super) fn exchange(&self, name: &[u8]) -> Option<&Arc<Exchange>> {
        self.exchange_id(name).map(|id| &self.node(id).exchange)
    }

    pub(super) fn add_exchange(&mut self, exchange: Exchange) -> ExchangeId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            ExchangeId((self.nodes.len() - 1) as u32)
        });
        self.exchanges.insert(exchange.name.clone(), id);
        let governing = self.policies.of_exchange(&exchange.name);
        self.nodes[id.0 as usize] = Some(Node::new(exchange, governing));
        id
    }

    /// Adds a binding that is not there yet.
    pub(super) fn bind(&mut self, binding: Binding, source: ExchangeId, target: Target, durable: bool) {
        let binding = Arc::new(binding);
        let index = self.bindings.insert(binding.clone(), source, target, durable).index;
        let routes = &mut self.node_mut(source).routes;
        routes.insert(index, &binding.routing_key, &binding.arguments, target);
    }

    /// Takes a binding away. The exchange that it began at is returned if it must go with its last binding.
    fn take_binding(&mut self, index: BindingIndex, changes: &mut Vec<Change>) -> Option<ExchangeId> {
        let bound = self.bindings.remove(index);
        let node = self.node_mut(bound.source);
        node.routes.remove(index, &bound.binding.routing_key, bound.target);
        let auto_delete = node.exchange.auto_delete;
        if bound.durable {
            changes.push(Change::delete(binding_key(&self.name, &bound.binding)));
        }
        (auto_delete && self.bindings.any_of_source(bound.source).is_none()).then_some(bound.source)
    }

    /// Takes a binding away, and what goes with it.
    pub(super) fn unbind(&mut self, index: BindingIndex, changes: &mut Vec<Change>) {
        if let Some(exchange) = self.take_binding(index, changes) {
            self.drop_exchange(exchange, changes);
        }
    }

    /// Takes an exchange away, its bindings, and the auto-delete exchanges that had no others.
    pub(super) fn drop_exchange(&mut self, id: ExchangeId, changes: &mut Vec<Change>) {
        let mut doomed = vec![id];
        while let Some(id) = doomed.pop() {
            while let Some(binding) = self.bindings.any_of_source(id) {
                self.take_binding(binding, changes);
            }
            while let Some(binding) = self.bindings.any_of_target(Target::Exchange(id)) {
                doomed.extend(self.take_binding(binding, changes));
            }
            let Some(node) = self.nodes[id.0 as usize].take() else { continue };
            self.free.push(id);
            self.released.extend(node.exchange.own.iter().map(|(_, queue)| queue));
            self.exchanges.remove(&node.exchange.name);
            if node.exchange.durable {
                changes.push(Change::delete(exchange_key(&self.name, &node.exchange.name)));
            }
        }
    }

    /// Takes a queue away, its bindings, and the auto-delete exchanges that had no others.
    pub(super) fn drop_queue(&mut self, name: &[u8], changes: &mut Vec<Change>) -> Option<Arc<Queue>> {
        let queue = self.queues.remove(name)?;
        while let Some(binding) = self.bindings.any_of_target(Target::Queue(queue.target())) {
            self.unbind(binding, changes);
        }
        if queue.durable {
            changes.push(Change::delete(queue_key(&self.name, &queue.name)));
        }
        Some(queue)
    }
}

fn vhost_key(vhost: &str) -> Key {
    Key::new(Kind::Vhost).part(vhost)
}

/// What the store must hold of a virtual host: nothing if it is as it was predeclared.
pub(super) fn described(vhost: &str, description: &Description) -> Change {
    if vhost == DEFAULT && *description == Description::default() {
        Change::delete(vhost_key(vhost))
    } else {
        Change::put(vhost_key(vhost), &description.fields())
    }
}

/// What is kept of a virtual host that is deleted.
pub(super) fn without_vhost(vhost: &str) -> Change {
    if vhost == DEFAULT {
        Change::put(vhost_key(vhost), &tombstone())
    } else {
        Change::delete(vhost_key(vhost))
    }
}

pub(super) fn exchange_key(vhost: &str, name: &ShortString) -> Key {
    Key::new(Kind::Exchange).part(vhost).part(name)
}

pub(super) fn queue_key(vhost: &str, name: &ShortString) -> Key {
    Key::new(Kind::Queue).part(vhost).part(name)
}

pub(super) fn binding_key(vhost: &str, binding: &Binding) -> Key {
    let tag: &[u8] = match binding.destination {
        super::Destination::Queue(_) => b"q",
        super::Destination::Exchange(_) => b"e",
    };
    Key::new(Kind::Binding)
        .part(vhost)
        .part(&binding.source)
        .tagged(tag, binding.destination.name().as_bytes())
        .part(&binding.routing_key)
        .rest(&binding.arguments.to_bytes())
}

/// The value of what was predeclared and is gone.
pub(super) fn tombstone() -> Table {
    [("deleted", Value::Bool(true))].into_iter().collect()
}

impl Topology {
    /// Adds a virtual host, which nobody may use yet. Returns false if it is there already.
    ///
    /// # Errors
    /// [`TopologyError::VhostName`] if the name is empty or longer than 255 octets.
    pub fn add_vhost(&mut self, name: &str, changes: &mut Vec<Change>) -> Result<bool, TopologyError> {
        if name.is_empty() || name.len() > 255 {
            return Err(TopologyError::VhostName(name.into()));
        }
        if self.has_vhost(name) {
            return Ok(false);
        }
        let vhost = Vhost::new(name.into());
        self.vhosts.insert(vhost.name.clone(), vhost);
        changes.push(described(name, &Description::default()));
        Ok(true)
    }

    /// Deletes a virtual host with all that is in it, and the permissions in it. Returns its queues, in the order of their ids: what they hold
    /// is for the caller to delete. `None` if there is no such virtual host.
    pub fn delete_vhost(&mut self, name: &str, changes: &mut Vec<Change>) -> Option<Vec<Arc<Queue>>> {
        let vhost = self.vhosts.remove(name)?;
        let first = changes.len();
        for (_, holding) in vhost.nodes().flat_map(|node| node.exchange.own.iter()) {
            self.holding.remove(&holding);
            self.released.push(holding);
        }
        let bindings = vhost.bindings.iter().filter(|bound| bound.durable);
        changes.extend(bindings.map(|bound| Change::delete(binding_key(name, &bound.binding))));
        let exchanges = vhost.nodes().map(|node| &node.exchange).filter(|exchange| exchange.is_recorded());
        changes.extend(exchanges.map(|exchange| Change::delete(exchange_key(name, &exchange.name))));
        let queues = vhost.queues.values().filter(|queue| queue.durable);
        changes.extend(queues.map(|queue| Change::delete(queue_key(name, &queue.name))));
        changes.extend(vhost.policies.records().map(|record| Change { value: None, ..record }));
        changes.extend(parameters::records(&vhost).map(|record| Change { value: None, ..record }));
        if !vhost.limits.is_empty() {
            changes.push(LimitSet::default().change(LimitOf::Vhost, name));
        }
        self.clear_vhost_permissions(name, changes);
        changes.push(without_vhost(name));
        changes[first..].sort_by(|a, b| b.key.cmp(&a.key));
        let mut queues: Vec<_> = vhost.queues.into_values().collect();
        queues.sort_by_key(|queue| queue.id);
        for queue in &queues {
            self.forget_queue(queue);
        }
        Some(queues)
    }
}

//! Tests of the topology as a whole, through its public methods.

#![allow(clippy::unwrap_used)]

mod access;
mod bind;
mod declare_exchange;
mod declare_queue;
mod exchange_memory;
mod exchange_types;
mod limits;
mod model;
mod pause;
mod policies;
mod queue_arguments;
mod random;
mod routing;
mod scale;
mod settings;

use super::*;
use crate::ids::ConnectionId;
use std::collections::BTreeMap;
use stoa_amqp::{ReplyCode, Table, Value};

/// A topology, the store that its changes went to, and whoever acts on it.
struct Site {
    topology: Topology,
    store: BTreeMap<Vec<u8>, Vec<u8>>,
    changes: Vec<Change>,
    vhost: &'static str,
    user: &'static str,
    connection: ConnectionId,
}

/// What became of a request: nothing to say, or the code and the text of a refusal.
type Outcome<T = ()> = Result<T, (u16, String)>;

/// A refusal, as a table of expectations writes it.
fn refused<T>(code: ReplyCode, text: &str) -> Outcome<T> {
    Err((code.code(), text.to_owned()))
}

fn table<const N: usize>(fields: [(&str, Value); N]) -> Table {
    fields.into_iter().collect()
}

fn text(text: &str) -> Value {
    Value::from(text.to_owned())
}

impl Site {
    fn new() -> Self {
        Self {
            topology: Topology::new(),
            store: BTreeMap::new(),
            changes: Vec::new(),
            vhost: "/",
            user: "guest",
            connection: ConnectionId(1),
        }
    }

    /// Does something as the current actor, and looks at the traces that it left.
    fn act<T>(&mut self, act: impl FnOnce(&mut Topology, &Actor<'_>, &mut Vec<Change>) -> Result<T, TopologyError>) -> Outcome<T> {
        let actor = Actor {
            vhost: self.vhost,
            user: self.user,
            connection: self.connection,
        };
        let outcome = act(&mut self.topology, &actor, &mut self.changes);
        self.topology.invariants();
        if outcome.is_err() {
            assert_eq!(self.changes, [], "a refusal changes nothing");
        }
        self.commit();
        outcome.map_err(|error| (error.code().code(), error.to_string()))
    }

    /// Brings the changes to the store.
    fn commit(&mut self) {
        for Change { key, value } in self.changes.drain(..) {
            match value {
                Some(value) => self.store.insert(key, value),
                None => self.store.remove(&key),
            };
        }
    }

    fn declare_exchange(&mut self, declare: ExchangeDeclare<'_>) -> Outcome {
        self.act(|topology, actor, changes| topology.declare_exchange(actor, &declare, changes).map(drop))
    }

    /// A durable exchange.
    fn exchange(&mut self, name: &str, kind: &str) -> Outcome {
        self.declare_exchange(ExchangeDeclare {
            name: name.as_bytes(),
            kind: kind.as_bytes(),
            durable: true,
            ..ExchangeDeclare::default()
        })
    }

    /// An exchange of any type with arguments, and its own queues.
    fn exchange_with(&mut self, name: &str, kind: &str, arguments: Table) -> Outcome<Vec<Holding>> {
        let declare = ExchangeDeclare {
            name: name.as_bytes(),
            kind: kind.as_bytes(),
            durable: true,
            arguments,
            ..ExchangeDeclare::default()
        };
        self.act(|topology, actor, changes| topology.declare_exchange(actor, &declare, changes))
    }

    fn delete_exchange(&mut self, name: &str, if_unused: bool) -> Outcome {
        self.act(|topology, actor, changes| topology.delete_exchange(actor, name.as_bytes(), if_unused, changes))
    }

    fn declare_queue(&mut self, declare: QueueDeclare<'_>) -> Outcome<Declared> {
        self.act(|topology, actor, changes| topology.declare_queue(actor, &declare, changes))
    }

    /// A durable queue.
    fn queue(&mut self, name: &str) -> Outcome {
        let declared = self.declare_queue(QueueDeclare {
            name: name.as_bytes(),
            durable: true,
            ..QueueDeclare::default()
        });
        declared.map(drop)
    }

    fn delete_queue(&mut self, name: &str) -> Option<Arc<Queue>> {
        let deleted = self.act(|topology, actor, changes| Ok(topology.delete_queue(actor.vhost, name.as_bytes(), changes)));
        deleted.unwrap()
    }

    fn bind(&mut self, queue: &str, exchange: &str, key: &str, arguments: &Table) -> Outcome {
        self.act(|topology, actor, changes| {
            topology.bind_queue(actor, queue.as_bytes(), exchange.as_bytes(), key.as_bytes(), arguments, changes)
        })
    }

    fn unbind(&mut self, queue: &str, exchange: &str, key: &str, arguments: &Table) -> Outcome {
        self.act(|topology, actor, changes| {
            topology.unbind_queue(actor, queue.as_bytes(), exchange.as_bytes(), key.as_bytes(), arguments, changes)
        })
    }

    fn bind_exchange(&mut self, destination: &str, source: &str, key: &str) -> Outcome {
        let none = Table::new();
        self.act(|topology, actor, changes| {
            topology.bind_exchange(actor, destination.as_bytes(), source.as_bytes(), key.as_bytes(), &none, changes)
        })
    }

    fn unbind_exchange(&mut self, destination: &str, source: &str, key: &str) -> Outcome {
        let none = Table::new();
        self.act(|topology, actor, changes| {
            topology.unbind_exchange(actor, destination.as_bytes(), source.as_bytes(), key.as_bytes(), &none, changes)
        })
    }

    /// The names of the queues that a message reaches, in order of their ids.
    fn route(&self, exchange: &str, key: &str, headers: &Table) -> Outcome<Vec<String>> {
        self.route_copies(exchange, &[key.as_bytes()], headers)
    }

    /// The same for a message with several routing keys.
    fn route_copies(&self, exchange: &str, keys: &[&[u8]], headers: &Table) -> Outcome<Vec<String>> {
        let mut out = Vec::new();
        let routed = self.topology.route(
            self.vhost,
            exchange.as_bytes(),
            keys,
            &mut || Facts::from(headers.clone()),
            &mut out,
        );
        routed.map_err(|error| (error.code().code(), error.to_string()))?;
        let name = |target: &RouteTarget| self.topology.queue_by_id(target.queue).unwrap().name.to_string();
        Ok(out.iter().map(name).collect())
    }

    /// What there is, as words: `x kind`, `q`, and `source -key-> destination`.
    fn list(&self) -> Vec<String> {
        let exchanges = self
            .topology
            .exchanges(self.vhost)
            .filter(|x| !x.name.as_bytes().starts_with(b"amq."));
        let mut list: Vec<_> = exchanges.map(|x| format!("{} {}", x.name, x.kind)).collect();
        list.extend(self.topology.queues(self.vhost).map(|queue| queue.name.to_string()));
        let bindings = self.topology.bindings(self.vhost);
        list.extend(bindings.map(|b| format!("{} -{}-> {}", b.source, b.routing_key, b.destination.name())));
        list.sort();
        list
    }

    /// The same site after a restart.
    fn restarted(&self) -> Self {
        let topology = Topology::restore(&self.store).unwrap();
        topology.invariants();
        Self {
            topology,
            store: self.store.clone(),
            changes: Vec::new(),
            ..*self
        }
    }
}

//! Exchanges and bindings as the HTTP surface sees them.

use std::sync::Arc;

use stoa_amqp::{ShortString, Table};
use stoa_core::topology::{Binding, Destination, Exchange, ExchangeKind, Governing, OwnQueues, Topology};

use crate::broker::Broker;
use crate::counters::ExchangeTraffic;

/// An exchange, and the policies that it is under.
#[derive(Clone, Debug)]
pub struct ExchangeView {
    /// Its declaration.
    pub exchange: Arc<Exchange>,
    /// Its policies.
    pub governing: Governing,
    /// What went through it.
    pub traffic: ExchangeTraffic,
}

/// A binding, and where it is.
#[derive(Clone, Debug)]
pub struct BindingView {
    /// The virtual host.
    pub vhost: Arc<str>,
    /// What it says.
    pub binding: Arc<Binding>,
}

/// Which bindings are wanted.
#[derive(Clone, Copy, Debug)]
pub enum BindingsOf<'a> {
    /// Those that begin at an exchange.
    Source(&'a [u8]),
    /// Those that lead to an exchange.
    Exchange(&'a [u8]),
    /// Those that lead to a queue.
    Queue(&'a [u8]),
    /// All of the virtual host.
    All,
}

/// The exchange without a name, which every virtual host has and nobody declares.
fn default_exchange(vhost: &Arc<str>, traffic: ExchangeTraffic) -> ExchangeView {
    let exchange = Exchange {
        name: ShortString::default(),
        vhost: vhost.clone(),
        kind: ExchangeKind::Direct,
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: Table::new(),
        own: OwnQueues::default(),
    };
    ExchangeView {
        exchange: Arc::new(exchange),
        governing: Governing::default(),
        traffic,
    }
}

/// The binding that every queue has to the default exchange.
fn default_binding(queue: &ShortString) -> Arc<Binding> {
    Arc::new(Binding {
        source: ShortString::default(),
        destination: Destination::Queue(queue.clone()),
        routing_key: queue.clone(),
        arguments: Table::new(),
    })
}

fn vhost_named(topology: &Topology, name: &str) -> Option<Arc<str>> {
    topology.vhosts().find(|vhost| ***vhost == *name).cloned()
}

impl Broker {
    /// The names of all virtual hosts, in their order.
    #[must_use]
    pub fn vhosts(&self) -> Vec<Arc<str>> {
        let mut vhosts: Vec<_> = self.topology.read().topology.vhosts().cloned().collect();
        vhosts.sort_unstable();
        vhosts
    }

    /// The exchanges of a virtual host by name, the default exchange first; `None` if there is no such virtual host.
    #[must_use]
    pub fn exchanges(&self, vhost: &str) -> Option<Vec<ExchangeView>> {
        let mut views: Vec<_> = {
            let topology = &self.topology.read().topology;
            let vhost = vhost_named(topology, vhost)?;
            let declared = topology.exchanges(&vhost).map(|exchange| ExchangeView {
                exchange: exchange.clone(),
                governing: topology.governing_exchange(&vhost, exchange.name.as_bytes()),
                traffic: self.exchange_tallies.read(&vhost, exchange.name.as_bytes()),
            });
            declared
                .chain([default_exchange(&vhost, self.exchange_tallies.read(&vhost, b""))])
                .collect()
        };
        views.sort_by(|a, b| a.exchange.name.cmp(&b.exchange.name));
        Some(views)
    }

    /// An exchange; the empty name is the default exchange.
    #[must_use]
    pub fn exchange(&self, vhost: &str, name: &[u8]) -> Option<ExchangeView> {
        let topology = &self.topology.read().topology;
        let vhost = vhost_named(topology, vhost)?;
        let traffic = self.exchange_tallies.read(&vhost, name);
        if name.is_empty() {
            return Some(default_exchange(&vhost, traffic));
        }
        let exchange = topology.exchange(&vhost, name)?;
        let governing = topology.governing_exchange(&vhost, name);
        Some(ExchangeView {
            exchange,
            governing,
            traffic,
        })
    }

    /// How many bindings begin at an exchange, or that many queues there are, at the default exchange.
    #[must_use]
    pub fn binding_count(&self, vhost: &str, exchange: &[u8]) -> usize {
        let topology = &self.topology.read().topology;
        match exchange {
            b"" => topology.queues(vhost).count(),
            name => topology.bindings_of_source(vhost, name).count(),
        }
    }

    /// Bindings of a virtual host, those to the default exchange included, by source, destination and key; `None` if there is no such virtual host,
    /// exchange or queue.
    #[must_use]
    pub fn bindings(&self, vhost: &str, of: BindingsOf<'_>) -> Option<Vec<BindingView>> {
        let (vhost, mut bindings) = {
            let topology = &self.topology.read().topology;
            let vhost = vhost_named(topology, vhost)?;
            let queues = || topology.queues(&vhost).map(|queue| default_binding(&queue.name));
            let bindings: Vec<_> = match of {
                BindingsOf::All => queues().chain(topology.bindings(&vhost).cloned()).collect(),
                BindingsOf::Source(b"") => queues().collect(),
                BindingsOf::Source(name) => {
                    topology.exchange(&vhost, name)?;
                    topology.bindings_of_source(&vhost, name).cloned().collect()
                }
                BindingsOf::Exchange(b"") => Vec::new(),
                BindingsOf::Exchange(name) => {
                    topology.exchange(&vhost, name)?;
                    topology.bindings_of_exchange(&vhost, name).cloned().collect()
                }
                BindingsOf::Queue(name) => {
                    let queue = topology.find_queue(&vhost, name)?;
                    let declared = topology.bindings_of_queue(&vhost, name).cloned();
                    [default_binding(&queue.name)].into_iter().chain(declared).collect()
                }
            };
            (vhost, bindings)
        };
        let key = |binding: &Arc<Binding>| (binding.source.clone(), binding.destination.clone(), binding.routing_key.clone());
        bindings.sort_by_cached_key(key);
        let vhost = &vhost;
        let view = |binding| BindingView {
            vhost: vhost.clone(),
            binding,
        };
        Some(bindings.into_iter().map(view).collect())
    }
}

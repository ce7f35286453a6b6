//! What there is, for those who look at it from outside.

use super::Topology;
use super::bindings::Binding;
use super::destinations::{ExchangeId, Target};
use super::exchange::Exchange;
use super::policy::Governing;
use super::queue::Queue;
use super::vhost::Vhost;
use crate::ids::QueueId;
use crate::settings::Settings;
use std::sync::Arc;

impl Topology {
    /// Whether there is a virtual host of that name.
    #[must_use]
    pub fn has_vhost(&self, name: &str) -> bool {
        self.vhosts.contains_key(name)
    }

    /// The names of all virtual hosts, in no particular order.
    pub fn vhosts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.vhosts.keys()
    }

    /// The queues of a virtual host, in no particular order.
    pub fn queues(&self, vhost: &str) -> impl Iterator<Item = &Arc<Queue>> {
        self.vhosts.get(vhost).into_iter().flat_map(|vhost| vhost.queues.values())
    }

    /// The exchanges of a virtual host but the default exchange, in no particular order.
    pub fn exchanges(&self, vhost: &str) -> impl Iterator<Item = &Arc<Exchange>> {
        let vhosts = self.vhosts.get(vhost).into_iter();
        vhosts.flat_map(|vhost| vhost.nodes().map(|node| &node.exchange))
    }

    /// The exchange of that name, if there is one. The default exchange has no definition.
    #[must_use]
    pub fn exchange(&self, vhost: &str, name: &[u8]) -> Option<Arc<Exchange>> {
        self.vhosts.get(vhost)?.exchange(name).cloned()
    }

    /// The bindings of a virtual host, in no particular order. Every queue's binding to the default exchange goes without saying.
    pub fn bindings(&self, vhost: &str) -> impl Iterator<Item = &Arc<Binding>> {
        let vhosts = self.vhosts.get(vhost).into_iter();
        vhosts.flat_map(|vhost| vhost.bindings.iter().map(|bound| &bound.binding))
    }

    /// The bindings from an exchange, in no particular order.
    pub fn bindings_of_source(&self, vhost: &str, exchange: &[u8]) -> impl Iterator<Item = &Arc<Binding>> {
        let found = self.exchange_in(vhost, exchange).into_iter();
        found
            .flat_map(|(vhost, id)| vhost.bindings.of_source(id))
            .map(|bound| &bound.binding)
    }

    /// The bindings to an exchange, in no particular order.
    pub fn bindings_of_exchange(&self, vhost: &str, exchange: &[u8]) -> impl Iterator<Item = &Arc<Binding>> {
        let found = self.exchange_in(vhost, exchange).into_iter();
        found
            .flat_map(|(vhost, id)| vhost.bindings.of_target(Target::Exchange(id)))
            .map(|bound| &bound.binding)
    }

    /// The bindings to a queue, in no particular order, the one to the default exchange left out.
    pub fn bindings_of_queue(&self, vhost: &str, queue: &[u8]) -> impl Iterator<Item = &Arc<Binding>> {
        let found = self.vhosts.get(vhost).and_then(|vhost| Some((vhost, vhost.queues.get(queue)?)));
        found
            .into_iter()
            .flat_map(|(vhost, queue)| vhost.bindings.of_target(Target::Queue(queue.target())).map(|bound| &bound.binding))
    }

    /// The queue of that id, if it still exists.
    #[must_use]
    pub fn queue_by_id(&self, id: QueueId) -> Option<Arc<Queue>> {
        self.queues.get(&id).map(|known| known.queue.clone())
    }

    /// What the queue of that id is set to do; `None` if that is nothing special.
    #[must_use]
    pub fn settings(&self, id: QueueId) -> Option<Arc<Settings>> {
        self.queues.get(&id)?.settings.clone()
    }

    /// The policies that the queue of that id is under.
    #[must_use]
    pub fn governing_queue(&self, id: QueueId) -> Governing {
        self.queues.get(&id).map(|known| known.governing.clone()).unwrap_or_default()
    }

    /// The policies that an exchange is under.
    #[must_use]
    pub fn governing_exchange(&self, vhost: &str, name: &[u8]) -> Governing {
        let found = self.exchange_in(vhost, name);
        found.map(|(vhost, id)| vhost.node(id).governing.clone()).unwrap_or_default()
    }

    fn exchange_in(&self, vhost: &str, exchange: &[u8]) -> Option<(&Vhost, ExchangeId)> {
        let vhost = self.vhosts.get(vhost)?;
        Some((vhost, vhost.exchange_id(exchange)?))
    }
}

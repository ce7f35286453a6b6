//! What is always true of a topology, for tests and the simulation.

use super::Topology;
use super::bindings::Destination;
use super::destinations::Target;
use super::queue::Known;
use super::vhost::Vhost;
use std::sync::Arc;

impl Topology {
    /// Looks at everything; takes as long as there is much.
    ///
    /// # Panics
    /// If something is not as it must be.
    pub fn invariants(&self) {
        assert!(self.ids.next <= self.ids.reserved, "ids are written down before they are given out");
        let declared: usize = self.vhosts.values().map(|vhost| vhost.queues.len()).sum();
        assert_eq!(self.queues.len(), declared, "every queue is known by its id");
        for (id, known) in &self.queues {
            let Known {
                queue,
                settings,
                governing,
                paused,
            } = known;
            let vhost = self.vhosts.get(&queue.vhost);
            let expected = vhost.map(|vhost| vhost.policies.of_queue(queue.queue_type(), &queue.name));
            assert!(
                expected.is_some_and(|expected| expected.is(governing)),
                "{queue:?} is under the policies that match"
            );
            assert_eq!(
                *settings.clone().unwrap_or_default(),
                Self::settings_of(queue, governing, *paused),
                "{queue:?} is set to do what is asked of it"
            );
            assert_eq!(*id, queue.id);
            assert!(queue.id.0 < self.ids.next, "{queue:?} has an id that was given out");
            let by_name = self.vhosts.get(&queue.vhost).and_then(|vhost| vhost.queues.get(&queue.name));
            assert!(
                by_name.is_some_and(|other| Arc::ptr_eq(other, queue)),
                "{queue:?} is known by its name"
            );
            let own = queue.exclusive.and_then(|connection| self.exclusive.get(&connection));
            assert_eq!(
                queue.exclusive.is_some(),
                own.is_some_and(|own| own.contains(id)),
                "{queue:?} is its connection's"
            );
            assert!(!(queue.durable && queue.exclusive.is_some()), "{queue:?} goes with its connection");
        }
        let own: usize = self.exclusive.values().map(|own| own.len()).sum();
        assert_eq!(own, self.queues.values().filter(|known| known.queue.exclusive.is_some()).count());
        for user in self.users() {
            assert!(
                user.all_permissions().all(|(vhost, _)| self.has_vhost(vhost)),
                "{user:?} has permissions where there is something"
            );
            assert!(user.topic_permissions.keys().all(|(vhost, _)| self.has_vhost(vhost)));
        }
        self.vhosts.values().for_each(Vhost::invariants);
        let nodes = self.vhosts.values().flat_map(Vhost::nodes);
        let own = nodes.flat_map(|node| node.exchange.own.iter());
        assert_eq!(
            own.count(),
            self.holding.len(),
            "every queue of an exchange's own is known by its id"
        );
        for (queue, held) in &self.holding {
            assert!(queue.0 < self.ids.next && !self.queues.contains_key(queue));
            let exchange = self.exchange(&held.vhost, held.exchange.as_bytes());
            let is_own = exchange.is_some_and(|exchange| exchange.own.iter().any(|(_, own)| own == *queue));
            assert!(is_own, "{queue} of {held:?}");
        }
    }
}

impl Vhost {
    fn invariants(&self) {
        self.policies.invariants();
        let mut by_ends = (0, 0);
        for (name, id) in &self.exchanges {
            let node = self.node(*id);
            assert_eq!(*name, node.exchange.name);
            assert!(
                node.governing.is(&self.policies.of_exchange(name)),
                "{name} is under the policies that match"
            );
            assert_eq!(node.alternate, node.exchange.alternate(node.governing.definition().as_ref()));
            let (outgoing, incoming) = (self.bindings.of_source(*id), self.bindings.of_target(Target::Exchange(*id)));
            let is_bound = outgoing.inspect(|bound| assert_eq!(bound.source, *id)).count();
            assert_eq!(node.routes.is_empty(), is_bound == 0, "{name} routes by its bindings");
            by_ends = (by_ends.0 + is_bound, by_ends.1 + incoming.count());
        }
        for queue in self.queues.values() {
            by_ends.1 += self.bindings.of_target(Target::Queue(queue.target())).count();
        }
        assert_eq!(by_ends, (self.bindings.len(), self.bindings.len()), "every binding has two ends");
        for bound in self.bindings.iter() {
            let found = self.bindings.find(&bound.binding).map(|found| found.index);
            assert_eq!(found, Some(bound.index), "{bound:?} is found by what it says");
            assert_eq!(self.target(&bound.binding.destination), Some(bound.target));
            assert_eq!(self.exchange_id(bound.binding.source.as_bytes()), Some(bound.source));
            let ends = self.node(bound.source).exchange.durable && self.is_durable(bound.target);
            assert_eq!(bound.durable, ends, "{bound:?} lives as long as both of its ends");
            if let Destination::Queue(name) = &bound.binding.destination {
                assert!(self.queues.contains_key(name));
            }
        }
    }
}

//! The random exchange, `x-random`: a message goes to one of the destinations, by chance (RabbitMQ's plugin). Routing keys mean nothing.

use super::hash::mix;
use super::ranked::Ranked;
use crate::topology::destinations::Target;
use crate::topology::route::{Found, Message};

#[derive(Debug, Default)]
pub(in crate::topology) struct Random(Ranked);

impl Random {
    pub(in crate::topology) fn insert(&mut self, target: Target) {
        self.0.insert(target);
    }

    pub(in crate::topology) fn remove(&mut self, target: Target) {
        self.0.remove(target);
    }

    pub(in crate::topology) fn route(&self, message: &mut Message<'_>, found: &mut Found<'_>) {
        if !self.is_empty() {
            // Where one such exchange leads to another, the second must not choose as the first did.
            let draw = mix(message.facts().draw.wrapping_add(found.exchanges_seen()));
            self.0.by(draw).into_iter().for_each(|target| found.add_one(target));
        }
    }

    pub(in crate::topology) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

//! The fanout exchange: a message goes to all that is bound (AMQP 0-9-1, section 3.1.3.2).

use crate::topology::destinations::{Destinations, Target};
use crate::topology::route::Found;

#[derive(Debug, Default)]
pub(in crate::topology) struct Fanout(Destinations);

impl Fanout {
    pub(in crate::topology) fn insert(&mut self, target: Target) {
        self.0.insert(target);
    }

    pub(in crate::topology) fn remove(&mut self, target: Target) {
        self.0.remove(target);
    }

    pub(in crate::topology) fn route(&self, found: &mut Found<'_>) {
        found.add(&self.0);
    }

    pub(in crate::topology) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

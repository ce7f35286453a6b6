//! The modulus hash exchange, `x-modulus-hash`: a message goes to one of the destinations, by the hash of its routing key (RabbitMQ's sharding
//! plugin). The same key goes the same way as long as the bindings are the same. The keys of bindings mean nothing.

use super::hash::hash;
use super::ranked::Ranked;
use crate::topology::destinations::Target;
use crate::topology::route::Found;

#[derive(Debug, Default)]
pub(in crate::topology) struct ModulusHash(Ranked);

impl ModulusHash {
    pub(in crate::topology) fn insert(&mut self, target: Target) {
        self.0.insert(target);
    }

    pub(in crate::topology) fn remove(&mut self, target: Target) {
        self.0.remove(target);
    }

    pub(in crate::topology) fn route(&self, key: &[u8], found: &mut Found<'_>) {
        self.0.by(hash(key)).into_iter().for_each(|target| found.add_one(target));
    }

    pub(in crate::topology) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

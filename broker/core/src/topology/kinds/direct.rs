//! The direct exchange: a message goes where its routing key is bound (AMQP 0-9-1, section 3.1.3.1).

use crate::topology::destinations::{Destinations, Target};
use crate::topology::route::Found;
use hashbrown::HashMap;
use stoa_amqp::ShortString;

#[derive(Debug, Default)]
pub(in crate::topology) struct Direct(HashMap<ShortString, Destinations>);

impl Direct {
    pub(in crate::topology) fn insert(&mut self, key: &ShortString, target: Target) {
        self.0.entry_ref(key).or_default().insert(target);
    }

    pub(in crate::topology) fn remove(&mut self, key: &ShortString, target: Target) {
        if let Some(destinations) = self.0.get_mut(key) {
            destinations.remove(target);
            if destinations.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub(in crate::topology) fn route(&self, key: &[u8], found: &mut Found<'_>) {
        if let Some(destinations) = self.0.get(key) {
            found.add(destinations);
        }
    }

    pub(in crate::topology) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

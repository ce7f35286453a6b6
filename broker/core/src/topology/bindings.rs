//! The bindings of a virtual host, found by what they say, by where they begin and by where they lead.

use super::destinations::{ExchangeId, Target};
use super::error::ResourceKind;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::BuildHasher;
use std::sync::Arc;
use stoa_amqp::{ShortString, Table};

/// Where a binding leads, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// A queue.
    Queue(ShortString),
    /// Another exchange (RabbitMQ extension).
    Exchange(ShortString),
}

impl Destination {
    /// The name of the queue or exchange.
    #[must_use]
    pub fn name(&self) -> &ShortString {
        match self {
            Self::Queue(name) | Self::Exchange(name) => name,
        }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::Queue(_) => ResourceKind::Queue,
            Self::Exchange(_) => ResourceKind::Exchange,
        }
    }
}

/// A binding. All of it is its identity: binding again what differs in anything makes another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The exchange that messages come from.
    pub source: ShortString,
    /// Where they go.
    pub destination: Destination,
    /// The routing key or pattern.
    pub routing_key: ShortString,
    /// The arguments, in the order of their names.
    pub arguments: Table,
}

/// The place of a binding in [`Bindings`], while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BindingIndex(u32);

/// A binding and its two ends.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) index: BindingIndex,
    pub(super) binding: Arc<Binding>,
    pub(super) source: ExchangeId,
    pub(super) target: Target,
    /// Survives a restart.
    pub(super) durable: bool,
}

#[derive(Debug)]
struct Slot {
    bound: Bound,
    /// Where it stands in the lists of its two ends.
    in_source: usize,
    in_target: usize,
}

/// All bindings of a virtual host. Adding and removing one costs the same however many there are.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    slots: Vec<Option<Slot>>,
    free: Vec<BindingIndex>,
    by_content: HashTable<BindingIndex>,
    by_source: HashMap<ExchangeId, Vec<BindingIndex>>,
    by_target: HashMap<Target, Vec<BindingIndex>>,
    hasher: DefaultHashBuilder,
}

impl Bindings {
    pub(super) fn len(&self) -> usize {
        self.by_content.len()
    }

    /// The binding that says the same, if there is one.
    pub(super) fn find(&self, binding: &Binding) -> Option<&Bound> {
        let is_it = |index: &BindingIndex| *self.bound(*index).binding == *binding;
        self.by_content.find(self.hash(binding), is_it).map(|index| self.bound(*index))
    }

    /// Adds a binding that is not there yet.
    pub(super) fn insert(&mut self, binding: Arc<Binding>, source: ExchangeId, target: Target, durable: bool) -> &Bound {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            BindingIndex((self.slots.len() - 1) as u32)
        });
        let hash = self.hash(&binding);
        let of_source = self.by_source.entry(source).or_default();
        let of_target = self.by_target.entry(target).or_default();
        let (in_source, in_target) = (of_source.len(), of_target.len());
        of_source.push(index);
        of_target.push(index);
        let bound = Bound {
            index,
            binding,
            source,
            target,
            durable,
        };
        let slot = &mut self.slots[index.0 as usize];
        *slot = Some(Slot {
            bound,
            in_source,
            in_target,
        });
        let Self {
            slots, by_content, hasher, ..
        } = self;
        by_content.insert_unique(hash, index, |other| hash_of(hasher, &slot_of(slots, *other).bound.binding));
        self.bound(index)
    }

    /// Takes a binding away.
    pub(super) fn remove(&mut self, index: BindingIndex) -> Bound {
        let hash = self.hash(&self.bound(index).binding);
        if let Ok(entry) = self.by_content.find_entry(hash, |other| *other == index) {
            entry.remove();
        }
        let slot = self.slots[index.0 as usize].take().expect("a binding that is there");
        self.free.push(index);
        if let Some(moved) = swap_remove(&mut self.by_source, slot.bound.source, slot.in_source) {
            self.slot_mut(moved).in_source = slot.in_source;
        }
        if let Some(moved) = swap_remove(&mut self.by_target, slot.bound.target, slot.in_target) {
            self.slot_mut(moved).in_target = slot.in_target;
        }
        slot.bound
    }

    /// A binding that begins at an exchange.
    pub(super) fn any_of_source(&self, source: ExchangeId) -> Option<BindingIndex> {
        self.by_source.get(&source).and_then(|list| list.last()).copied()
    }

    /// A binding that leads to a destination.
    pub(super) fn any_of_target(&self, target: Target) -> Option<BindingIndex> {
        self.by_target.get(&target).and_then(|list| list.last()).copied()
    }

    /// The bindings that begin at an exchange, in no particular order.
    pub(super) fn of_source(&self, source: ExchangeId) -> impl Iterator<Item = &Bound> {
        self.by_source.get(&source).into_iter().flatten().map(|index| self.bound(*index))
    }

    /// The bindings that lead to a destination, in no particular order.
    pub(super) fn of_target(&self, target: Target) -> impl Iterator<Item = &Bound> {
        self.by_target.get(&target).into_iter().flatten().map(|index| self.bound(*index))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Bound> {
        self.slots.iter().flatten().map(|slot| &slot.bound)
    }

    fn hash(&self, binding: &Binding) -> u64 {
        hash_of(&self.hasher, binding)
    }

    fn bound(&self, index: BindingIndex) -> &Bound {
        &slot_of(&self.slots, index).bound
    }

    fn slot_mut(&mut self, index: BindingIndex) -> &mut Slot {
        self.slots[index.0 as usize].as_mut().expect("a binding that is there")
    }
}

fn slot_of(slots: &[Option<Slot>], index: BindingIndex) -> &Slot {
    slots[index.0 as usize].as_ref().expect("a binding that is there")
}

/// Arguments count by their number only: hardly any two bindings differ in nothing else.
fn hash_of(hasher: &DefaultHashBuilder, binding: &Binding) -> u64 {
    hasher.hash_one((&binding.source, &binding.destination, &binding.routing_key, binding.arguments.len()))
}

/// Takes the entry at `place` out of a list and gives the one that moved there instead, if any.
fn swap_remove<K: std::hash::Hash + Eq>(lists: &mut HashMap<K, Vec<BindingIndex>>, key: K, place: usize) -> Option<BindingIndex> {
    let list = lists.get_mut(&key)?;
    list.swap_remove(place);
    let moved = list.get(place).copied();
    if list.is_empty() {
        lists.remove(&key);
    }
    moved
}

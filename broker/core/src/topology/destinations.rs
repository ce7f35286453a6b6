//! Where bindings lead: the set of destinations that one routing key, pattern or rule has.
//!
//! Several bindings may lead from one key to one destination (they differ in their arguments), so destinations are counted. They are kept in
//! order, so what a message reaches depends on what is bound and not on when it was.

use super::route::RouteTarget;
use std::collections::BTreeMap;

/// An exchange within its virtual host, while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ExchangeId(pub(super) u32);

/// One destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Target {
    /// A queue.
    Queue(RouteTarget),
    /// An exchange of the same virtual host.
    Exchange(ExchangeId),
}

/// How many destinations are kept in a plain list; more go into a tree, so that taking one out of a hundred thousand is still quick.
const FEW_MAX: usize = 64;

/// A set of counted destinations, in ascending order.
#[derive(Clone, Debug)]
pub(super) enum Destinations {
    Few(Vec<(Target, u32)>),
    Many(BTreeMap<Target, u32>),
}

impl Default for Destinations {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Destinations {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(list) => list.is_empty(),
            Self::Many(tree) => tree.is_empty(),
        }
    }

    /// Counts a binding to `target` in.
    pub(super) fn insert(&mut self, target: Target) {
        match self {
            Self::Few(list) => match list.binary_search_by_key(&target, |(t, _)| *t) {
                Ok(at) => list[at].1 += 1,
                Err(_) if list.len() == FEW_MAX => {
                    let mut tree: BTreeMap<_, _> = list.drain(..).collect();
                    tree.insert(target, 1);
                    *self = Self::Many(tree);
                }
                Err(at) => {
                    if list.is_empty() {
                        // Most keys have one destination for ever: the usual room for four would be wasted on them.
                        list.reserve_exact(1);
                    }
                    list.insert(at, (target, 1));
                }
            },
            Self::Many(tree) => *tree.entry(target).or_insert(0) += 1,
        }
    }

    /// Counts a binding to `target` out.
    ///
    /// # Panics
    /// If it was never counted in.
    pub(super) fn remove(&mut self, target: Target) {
        let held = match self {
            Self::Few(list) => list.binary_search_by_key(&target, |(t, _)| *t).map(|at| {
                list[at].1 -= 1;
                if list[at].1 == 0 {
                    list.remove(at);
                }
            }),
            Self::Many(tree) => match tree.get_mut(&target) {
                Some(1) => {
                    tree.remove(&target);
                    Ok(())
                }
                Some(count) => {
                    *count -= 1;
                    Ok(())
                }
                None => Err(0),
            },
        };
        assert!(held.is_ok(), "{target:?} is not among the destinations");
    }

    /// The destinations, in order.
    pub(super) fn for_each(&self, mut take: impl FnMut(Target)) {
        match self {
            Self::Few(list) => list.iter().for_each(|(target, _)| take(*target)),
            Self::Many(tree) => tree.keys().for_each(|target| take(*target)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::QueueId;
    use proptest::prelude::*;

    fn target(n: u64) -> Target {
        Target::Queue(RouteTarget {
            queue: QueueId(n),
            durable: n.is_multiple_of(2),
            delays: false,
            keeps: false,
        })
    }

    fn all(destinations: &Destinations) -> Vec<Target> {
        let mut list = Vec::new();
        destinations.for_each(|target| list.push(target));
        list
    }

    proptest! {
        #[test]
        fn a_destination_stays_until_its_last_binding_goes(steps in prop::collection::vec((0_u64..150, 0_u8..5), 0..400)) {
            let mut set = Destinations::default();
            let mut model = BTreeMap::<Target, u32>::new();
            for (n, action) in steps {
                let target = target(n);
                if action > 0 {
                    set.insert(target);
                    *model.entry(target).or_default() += 1;
                } else if let Some(count) = model.get_mut(&target) {
                    set.remove(target);
                    *count -= 1;
                    if *count == 0 {
                        model.remove(&target);
                    }
                }
                prop_assert_eq!(set.is_empty(), model.is_empty());
            }
            prop_assert_eq!(all(&set), model.into_keys().collect::<Vec<_>>());
        }
    }

    #[test]
    #[should_panic(expected = "is not among the destinations")]
    fn what_was_never_counted_in_cannot_go() {
        let mut set = Destinations::default();
        set.insert(target(1));
        set.remove(target(2));
    }
}

//! Transactions that moved a message from one queue to another, and what a crash may make of them: all of it or nothing.

use std::collections::HashMap;

use crate::oracle::{Fate, Oracle};

/// A message that was settled, and another one that was published in its place, by one transaction.
#[derive(Debug)]
struct Move {
    from: usize,
    to: usize,
    epoch: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There was no restart since.
    Fresh,
    /// A crash came before the commit was known to be durable. At most one of the two is there; one must be if `must`.
    Open { must: bool, came: bool },
    /// Nothing can be said any more, or the oracle says it.
    Void,
}

#[derive(Debug, Default)]
pub struct Moves {
    all: Vec<Move>,
    /// The moves that a message takes part in.
    of: HashMap<usize, Vec<usize>>,
    /// What came since the restart after a move, of its two messages.
    came: HashMap<usize, usize>,
}

impl Moves {
    pub fn moved(&mut self, from: usize, to: usize, epoch: u64) {
        for id in [from, to] {
            self.of.entry(id).or_default().push(self.all.len());
        }
        self.all.push(Move {
            from,
            to,
            epoch,
            state: State::Fresh,
        });
    }

    pub fn delivered(&mut self, id: usize) {
        for &at in self.of.get(&id).into_iter().flatten() {
            if let State::Open { came, .. } = &mut self.all[at].state {
                let first = *self.came.entry(at).or_insert(id);
                assert_eq!(first, id, "both messages of a transaction are there: {:?}", self.all[at]);
                *came = true;
            }
        }
    }

    /// A queue was purged or deleted: what was in it is not heard of again.
    pub fn forget(&mut self, oracle: &Oracle, queue: stoa_core::ids::QueueId) {
        for one in &mut self.all {
            if [one.from, one.to].iter().any(|&id| oracle.messages[id].queue == queue) {
                one.state = State::Void;
            }
        }
    }

    /// The broker stops or has crashed; the oracle has not heard of it yet.
    pub fn restarted(&mut self, oracle: &Oracle, clean: bool) {
        for one in self.all.iter_mut().filter(|one| one.state == State::Fresh) {
            one.state = if clean || one.epoch <= oracle.durable {
                State::Void
            } else {
                let there = |id: usize| matches!(oracle.messages[id].fate, Fate::Ready | Fate::Unacked);
                State::Open {
                    must: there(one.to) && oracle.messages[one.from].epoch <= oracle.durable,
                    came: false,
                }
            };
        }
    }

    /// Every queue was drained. Gives how many moves a crash made uncertain.
    pub fn drained(&self, oracle: &Oracle) -> usize {
        let open = self.all.iter().filter(|one| matches!(one.state, State::Open { .. }));
        open.inspect(|one| {
            let lost = State::Open { must: true, came: false };
            // What a newer message has replaced since the restart is not heard of again.
            let replaceable = [one.from, one.to].iter().any(|&id| oracle.is_replaceable(id));
            assert!(one.state != lost || replaceable, "both messages of a transaction are lost: {one:?}");
        })
        .count()
    }
}

//! Who gets a queue's messages, in turn, and how much each outlet may still be given. Which messages those are is not known here.

use std::collections::{BTreeSet, VecDeque};

use crate::ids::{ConsumerId, OutletId, QueueId};
use crate::shard::common::Common;
use crate::shard::effects::{Consumer, Effects};
use crate::shard::queue::Queue;
use crate::shard::{ConsumeError, Shard};

/// A consumer of a queue.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) consumer: Consumer,
    /// Deliveries that it has not settled.
    unacked: u32,
    standing: Standing,
}

/// Why a consumer gets messages or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It waits for its turn.
    InTurn,
    /// It holds as many deliveries as it may.
    NoCredit,
    /// Its outlet's window is used up.
    Parked,
}

impl Subscriber {
    /// How many deliveries it may take.
    pub(crate) fn credit(&self) -> u32 {
        match self.consumer.prefetch {
            prefetch @ 1.. if !self.consumer.no_ack => u32::from(prefetch).saturating_sub(self.unacked),
            _ => u32::MAX,
        }
    }
}

/// The consumers of a queue, and the order of their turns.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    /// In the order of their ids.
    list: Vec<Subscriber>,
    /// Those that may take a message, the next one in front: their places in the list.
    turns: VecDeque<u32>,
}

impl Subscribers {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.list.iter().map(|subscriber| &subscriber.consumer)
    }
    /// Whether anybody may take a message.
    pub(crate) fn any_in_turn(&self) -> bool {
        !self.turns.is_empty()
    }
    /// Whether nobody shares the messages with the one whose turn it is.
    pub(crate) fn one_in_turn(&self) -> bool {
        self.turns.len() == 1
    }

    fn place(&self, id: ConsumerId) -> Result<usize, usize> {
        self.list.binary_search_by_key(&id, |subscriber| subscriber.consumer.id)
    }

    /// Whose turn it is.
    pub(crate) fn in_turn(&self) -> Option<&Subscriber> {
        self.list.get(*self.turns.front()? as usize)
    }

    fn add(&mut self, consumer: Consumer) {
        let Err(at) = self.place(consumer.id) else { return };
        let at_turn = at as u32;
        self.turns.iter_mut().filter(|turn| **turn >= at_turn).for_each(|turn| *turn += 1);
        self.turns.push_back(at_turn);
        let standing = Standing::InTurn;
        self.list.insert(
            at,
            Subscriber {
                consumer,
                unacked: 0,
                standing,
            },
        );
    }

    fn remove(&mut self, id: ConsumerId) -> Option<Consumer> {
        let at = self.place(id).ok()?;
        let at_turn = at as u32;
        self.turns.retain(|&turn| turn != at_turn);
        self.turns.iter_mut().filter(|turn| **turn > at_turn).for_each(|turn| *turn -= 1);
        Some(self.list.remove(at).consumer)
    }

    /// The one whose turn it is was given `count` messages; it is the next one's turn.
    pub(crate) fn took(&mut self, count: u32) {
        let Some(&turn) = self.turns.front() else { return };
        let subscriber = &mut self.list[turn as usize];
        if !subscriber.consumer.no_ack {
            subscriber.unacked += count;
        }
        if subscriber.credit() > 0 {
            if self.turns.len() > 1 {
                self.turns.rotate_left(1);
            }
        } else {
            subscriber.standing = Standing::NoCredit;
            self.turns.pop_front();
        }
    }

    /// The one whose turn it is waits for its outlet.
    pub(crate) fn park(&mut self) {
        if let Some(turn) = self.turns.pop_front() {
            self.list[turn as usize].standing = Standing::Parked;
        }
    }

    fn unpark(&mut self, id: ConsumerId) {
        if let Ok(at) = self.place(id) {
            self.take_turns(at, Standing::Parked);
        }
    }

    /// A consumer has given `count` deliveries back, one way or the other.
    pub(crate) fn settled(&mut self, id: ConsumerId, count: u32) {
        if let Ok(at) = self.place(id) {
            let subscriber = &mut self.list[at];
            subscriber.unacked = subscriber.unacked.saturating_sub(count);
            self.take_turns(at, Standing::NoCredit);
        }
    }

    /// Whoever stood like that stands in line again, if there is credit.
    fn take_turns(&mut self, at: usize, stood: Standing) {
        let subscriber = &mut self.list[at];
        if subscriber.standing != stood {
            return;
        }
        if subscriber.credit() == 0 {
            subscriber.standing = Standing::NoCredit;
            return;
        }
        subscriber.standing = Standing::InTurn;
        self.turns.push_back(at as u32);
    }

    pub(crate) fn invariants(&self) {
        assert!(self.list.is_sorted_by_key(|subscriber| subscriber.consumer.id));
        let in_turn = self.list.iter().filter(|subscriber| subscriber.standing == Standing::InTurn);
        assert_eq!(in_turn.count(), self.turns.len(), "who may take a message is in line");
        for &turn in &self.turns {
            let subscriber = &self.list[turn as usize];
            assert!(subscriber.standing == Standing::InTurn && subscriber.credit() > 0);
        }
    }
}

/// A connection, as far as this shard's deliveries go.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    /// Octets that it was given since its window was opened.
    pub(crate) used: u64,
    /// Its window is used up and it was told so.
    pub(crate) stalled: bool,
    /// Its consumers.
    consumers: BTreeSet<(QueueId, ConsumerId)>,
    /// Those that would have been given more.
    pub(crate) parked: Vec<(QueueId, ConsumerId)>,
}

impl Common {
    /// A consumer is gone.
    pub(crate) fn leave(&mut self, outlet: OutletId, queue: QueueId, consumer: ConsumerId) {
        if let Some(outlet) = self.outlets.get_mut(&outlet) {
            outlet.consumers.remove(&(queue, consumer));
            outlet.parked.retain(|&parked| parked != (queue, consumer));
        }
    }
}

impl Shard {
    /// Adds a consumer (AMQP 0-9-1, `basic.consume`). Call [`dispatch`](Self::dispatch) afterwards.
    ///
    /// # Errors
    /// If somebody wants the queue for itself and is not alone, or there is no such queue.
    pub fn consume(&mut self, queue: QueueId, consumer: Consumer) -> Result<(), ConsumeError> {
        let queue = self.queues.get_mut(&queue).ok_or(ConsumeError::NotFound)?;
        let taken = if consumer.exclusive {
            !queue.subscribers.is_empty()
        } else {
            queue.subscribers.iter().any(|other| other.exclusive)
        };
        if taken {
            return Err(ConsumeError::ExclusiveUse);
        }
        let outlet = self.common.outlets.entry(consumer.outlet).or_default();
        outlet.consumers.insert((queue.id, consumer.id));
        queue.subscribers.add(consumer);
        queue.activate(&mut self.common);
        Ok(())
    }

    /// Removes a consumer (`basic.cancel`). What it holds stays with its channel. False if there is none.
    pub fn cancel(&mut self, queue: QueueId, consumer: ConsumerId, effects: &mut impl Effects) -> bool {
        let Some(queue) = self.queues.get_mut(&queue) else { return false };
        let Some(consumer) = queue.subscribers.remove(consumer) else {
            return false;
        };
        self.common.leave(consumer.outlet, queue.id, consumer.id);
        tell_if_unused(queue, effects);
        true
    }

    pub(crate) fn resume(&mut self, outlet: OutletId) {
        let Some(outlet) = self.common.outlets.get_mut(&outlet) else {
            return;
        };
        outlet.used = 0;
        outlet.stalled = false;
        for (queue, consumer) in std::mem::take(&mut outlet.parked) {
            if let Some(queue) = self.queues.get_mut(&queue) {
                queue.subscribers.unpark(consumer);
                queue.activate(&mut self.common);
            }
        }
    }

    pub(crate) fn gone(&mut self, outlet: OutletId, effects: &mut impl Effects) {
        let Some(outlet) = self.common.outlets.remove(&outlet) else {
            return;
        };
        for (queue, consumer) in outlet.consumers {
            if let Some(queue) = self.queues.get_mut(&queue)
                && queue.subscribers.remove(consumer).is_some()
            {
                tell_if_unused(queue, effects);
            }
        }
    }
}

impl Queue {
    /// A consumer gave deliveries back.
    pub(crate) fn released(&mut self, consumer: Option<ConsumerId>, count: u32, common: &mut Common) {
        if let Some(consumer) = consumer {
            self.subscribers.settled(consumer, count);
            self.activate(common);
        }
    }
}

fn tell_if_unused(queue: &Queue, effects: &mut impl Effects) {
    if queue.auto_delete && queue.subscribers.is_empty() {
        effects.unused(queue.id);
    }
}

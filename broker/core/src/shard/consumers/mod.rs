//! Consumers as they come, wait and go, and how much each outlet and channel may still be given. Whose turn it is is known to `subscribers.rs`;
//! which messages those are is not known here.

mod subscribers;

pub(crate) use subscribers::Subscribers;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::channel::Term;
use crate::ids::{ConsumerId, OutletId, QueueId};
use crate::settings::Settings;
use crate::shard::common::Common;
use crate::shard::effects::{Consumer, Effects};
use crate::shard::queue::Queue;
use crate::shard::space::{self, Seek, Why};
use crate::shard::{ConsumeError, Shard};

/// What a consumer does, by its queue and not by its own credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It gets messages, as others may.
    Up,
    /// It is the one consumer that gets messages.
    SingleActive,
    /// Another consumer is the one that gets messages; it may be the next.
    Waiting,
}

impl Activity {
    /// As RabbitMQ's listings say it (`activity_status`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::SingleActive => "single_active",
            Self::Waiting => "waiting",
        }
    }

    /// Whether it gets messages (`active` in RabbitMQ's listings).
    #[must_use]
    pub fn is_active(self) -> bool {
        self != Self::Waiting
    }
}

/// A consumer as its queue sees it.
#[derive(Clone, Copy, Debug)]
pub struct Attendance<'a> {
    /// Who it is.
    pub consumer: &'a Consumer,
    /// What it does.
    pub activity: Activity,
    /// Deliveries that it has not settled.
    pub unacked: u32,
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
    /// Those whose channel had no credit, with the channel: who was refused first is served first, and keeps its place until it is.
    refused: Vec<(u16, QueueId, ConsumerId)>,
}

impl Outlet {
    /// A consumer of a limited channel was given something, or was refused.
    pub(crate) fn lent(&mut self, channel: u16, queue: QueueId, consumer: ConsumerId, granted: bool) {
        let place = self.refused.iter().position(|&(_, of, other)| (of, other) == (queue, consumer));
        match place {
            Some(place) if granted => drop(self.refused.remove(place)),
            None if !granted => self.refused.push((channel, queue, consumer)),
            _ => {}
        }
    }
}

impl Common {
    /// A consumer is gone.
    pub(crate) fn leave(&mut self, outlet: OutletId, queue: QueueId, consumer: ConsumerId) {
        if let Some(outlet) = self.outlets.get_mut(&outlet) {
            outlet.consumers.remove(&(queue, consumer));
            outlet.parked.retain(|&parked| parked != (queue, consumer));
            outlet.refused.retain(|&(_, of, refused)| (of, refused) != (queue, consumer));
        }
    }
}

impl Shard {
    /// Adds a consumer (AMQP 0-9-1, `basic.consume`). Call [`dispatch`](Self::dispatch) afterwards.
    ///
    /// # Errors
    /// If somebody wants the queue for itself and is not alone, or the queue has a single active consumer and this one wants to be the only
    /// one (as in RabbitMQ), or it has a filter and the queue has groups, or there is no such queue.
    pub fn consume(&mut self, queue: QueueId, consumer: Consumer) -> Result<(), ConsumeError> {
        if self.is_space(queue) {
            return self.seek(queue, consumer, Seek::default());
        }
        let queue = self.queues.get_mut(&queue).ok_or(ConsumeError::NotFound)?;
        let taken = if consumer.exclusive {
            !queue.subscribers.is_empty() || queue.subscribers.is_single_active()
        } else {
            queue.subscribers.iter().any(|other| other.exclusive)
        };
        if taken {
            return Err(ConsumeError::ExclusiveUse);
        }
        if consumer.filter.is_some() && queue.groups.is_some() {
            return Err(ConsumeError::Grouped);
        }
        let outlet = self.common.outlets.entry(consumer.outlet).or_default();
        outlet.consumers.insert((queue.id, consumer.id));
        queue.subscribers.add(consumer);
        queue.activate(&mut self.common);
        Ok(())
    }

    /// Adds a consumer of a space. Call [`dispatch`](Self::dispatch) afterwards.
    ///
    /// # Errors
    /// If somebody wants the space for itself and is not alone, if no more may wait there, or if there is no such space.
    pub fn seek(&mut self, queue: QueueId, consumer: Consumer, seek: Seek) -> Result<(), ConsumeError> {
        let common = &mut self.common;
        let queue = self.queues.get_mut(&queue).ok_or(ConsumeError::NotFound)?;
        let space = queue.space.as_mut().ok_or(ConsumeError::NotFound)?;
        space.admits(&consumer, &seek)?;
        let outlet = common.outlets.entry(consumer.outlet).or_default();
        outlet.consumers.insert((queue.id, consumer.id));
        let patience = space::patience(queue.id, consumer.id, &seek, common.now);
        common.timers.extend(patience);
        space.add(consumer, Arc::new(seek), patience);
        queue.used(common);
        queue.activate(common);
        Ok(())
    }

    /// Removes a consumer (`basic.cancel`). What it holds stays with its channel. False if there is none.
    pub fn cancel(&mut self, queue: QueueId, consumer: ConsumerId, effects: &mut impl Effects) -> bool {
        let Some(queue) = self.queues.get_mut(&queue) else { return false };
        let Some(consumer) = queue.remove_consumer(consumer, &mut self.common) else {
            return false;
        };
        self.common.leave(consumer.outlet, queue.id, consumer.id);
        queue.used(&mut self.common);
        queue.configure_groups();
        // Another one may be the single active consumer now.
        queue.activate(&mut self.common);
        queue.tell_if_unused(effects);
        true
    }

    /// The consumers of a queue, the oldest first.
    pub fn consumers(&self, queue: QueueId) -> impl Iterator<Item = Attendance<'_>> {
        let queue = self.queues.get(&queue).into_iter();
        queue.flat_map(|queue| {
            let of_space = queue.space.iter().flat_map(|space| space.attendance());
            queue.subscribers.attendance().chain(of_space)
        })
    }

    /// A channel limits all its consumers together from now on, or does not any more (`basic.qos` with `global`, as RabbitMQ has it). Call
    /// [`dispatch`](Self::dispatch) afterwards.
    pub fn limit(&mut self, outlet: OutletId, channel: u16, limited: bool) {
        let Some(known) = self.common.outlets.get(&outlet) else { return };
        for (queue, consumer) in &known.consumers {
            if let Some(queue) = self.queues.get_mut(queue) {
                queue.subscribers.limit(*consumer, channel, limited);
                queue.space.iter_mut().for_each(|space| space.limit(*consumer, channel, limited));
            }
        }
        self.lend(outlet, channel);
    }

    /// A channel has credit again, or needs none.
    pub(crate) fn lend(&mut self, outlet: OutletId, channel: u16) {
        let refused = match self.common.outlets.get(&outlet) {
            Some(outlet) if !outlet.refused.is_empty() => outlet.refused.clone(),
            _ => return,
        };
        for (of, queue, consumer) in refused {
            if of == channel
                && let Some(queue) = self.queues.get_mut(&queue)
            {
                queue.subscribers.lent(consumer);
                queue.nudge(consumer);
                queue.space.iter_mut().for_each(|space| space.resume(consumer, Why::Refused));
                queue.activate(&mut self.common);
            }
        }
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
                queue.nudge(consumer);
                queue.space.iter_mut().for_each(|space| space.resume(consumer, Why::Parked));
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
                && queue.remove_consumer(consumer, &mut self.common).is_some()
            {
                queue.used(&mut self.common);
                queue.configure_groups();
                queue.activate(&mut self.common);
                queue.tell_if_unused(effects);
            }
        }
    }
}

impl Queue {
    /// How long what goes out now may be held, if the consumer says nothing else.
    pub(crate) fn term(&self, common: &Common) -> Term {
        let settings = self.settings.as_ref();
        let timeout_ms = settings
            .and_then(|settings| settings.consumer_timeout_ms)
            .unwrap_or(common.limits.consumer_timeout_ms);
        let since = common.now;
        Term { since, timeout_ms }
    }

    /// What the queue is set to do has changed, as far as its consumers care.
    pub(crate) fn configure_consumers(&mut self, common: &mut Common) {
        let single_active = is_single_active(self.settings.as_ref());
        self.subscribers.set_single_active(single_active);
        let yields = self.settings.as_ref().is_some_and(|settings| settings.active_yields);
        self.subscribers.set_yields(yields);
        self.activate(common);
    }

    /// How many consumers it has.
    pub(crate) fn consumer_count(&self) -> usize {
        self.subscribers.len() + self.space.as_ref().map_or(0, |space| space.len())
    }

    fn remove_consumer(&mut self, id: ConsumerId, common: &mut Common) -> Option<Consumer> {
        let Some(space) = &mut self.space else {
            return self.subscribers.remove(id);
        };
        let consumer = space.remove(id, common);
        self.note_awaited(common);
        consumer
    }

    pub(crate) fn tell_if_unused(&self, effects: &mut impl Effects) {
        if self.auto_delete && self.consumer_count() == 0 {
            effects.unused(self.id);
        }
    }

    /// A consumer gave deliveries back.
    pub(crate) fn released(&mut self, consumer: Option<ConsumerId>, count: u32, common: &mut Common) {
        if let Some(consumer) = consumer {
            self.subscribers.settled(consumer, count);
            self.nudge(consumer);
            self.space.iter_mut().for_each(|space| space.settled(consumer, count));
            self.activate(common);
        }
    }
}

/// Whether a queue with these settings has a single active consumer.
pub(crate) fn is_single_active(settings: Option<&Arc<Settings>>) -> bool {
    settings.is_some_and(|settings| settings.single_active)
}

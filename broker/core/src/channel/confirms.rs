//! Publishes that wait for their confirm, by the order of publishing.

use std::collections::VecDeque;

use crate::ids::{DeliveryTag, Epoch};

/// Which publishes of a channel in confirm mode wait for what (RabbitMQ: publisher confirms).
#[derive(Debug, Default)]
pub struct Confirms {
    /// The last publish that was counted.
    last: u64,
    /// The last publish that was confirmed.
    confirmed: u64,
    /// What is durable.
    durable: Epoch,
    entries: VecDeque<Pending>,
}

/// The publishes behind the entry before, up to `upto`.
#[derive(Debug)]
struct Pending {
    upto: u64,
    /// Shards that have not applied their part yet.
    jobs: u32,
    /// What must be durable first.
    epoch: Option<Epoch>,
}

/// Names a batch of publishes: its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub DeliveryTag);

/// A `basic.ack` for the publisher: this tag, and those before it if `multiple`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// The last publish that it confirms.
    pub tag: DeliveryTag,
    /// It confirms more than that one.
    pub multiple: bool,
}

impl Confirms {
    /// Nothing was published yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `count` messages were published and handed to shards in `jobs` parts. Each part is answered by [`applied`](Self::applied) with the
    /// ticket. Without parts (nothing was routed) [`next`](Self::next) gives the confirm.
    pub fn published(&mut self, count: u32, jobs: u32) -> Ticket {
        self.last += u64::from(count);
        if count > 0 {
            self.entries.push_back(Pending {
                upto: self.last,
                jobs,
                epoch: None,
            });
        }
        Ticket(DeliveryTag(self.last))
    }

    /// A shard has applied its part of a batch. `epoch`: what must be durable before it is confirmed; `None` if nothing of it was persistent.
    /// Returns what can be confirmed now.
    pub fn applied(&mut self, ticket: Ticket, epoch: Option<Epoch>) -> Option<Confirm> {
        let at = self.entries.partition_point(|entry| entry.upto < ticket.0.0);
        if let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.upto == ticket.0.0) {
            entry.jobs = entry.jobs.saturating_sub(1);
            entry.epoch = entry.epoch.max(epoch);
        }
        self.next()
    }

    /// Everything up to `epoch` is durable. Returns what can be confirmed now.
    pub fn durable(&mut self, epoch: Epoch) -> Option<Confirm> {
        self.durable = self.durable.max(epoch);
        self.next()
    }

    #[expect(clippy::should_implement_trait, reason = "it goes on after `None`, unlike an iterator")]
    /// What can be confirmed now, in the order of publishing and as one ack (invariant 2).
    pub fn next(&mut self) -> Option<Confirm> {
        let mut upto = self.confirmed;
        while let Some(entry) = self
            .entries
            .pop_front_if(|entry| entry.jobs == 0 && entry.epoch.is_none_or(|epoch| epoch <= self.durable))
        {
            upto = entry.upto;
        }
        let count = upto - self.confirmed;
        self.confirmed = upto;
        (count > 0).then_some(Confirm {
            tag: DeliveryTag(upto),
            multiple: count > 1,
        })
    }

    /// Publishes that are not confirmed.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.last - self.confirmed
    }

    /// The greatest epoch that a publish waits for, once its parts are applied.
    #[must_use]
    pub fn awaited(&self) -> Option<Epoch> {
        self.entries.iter().filter_map(|entry| entry.epoch).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirms_come_in_order_and_joined() {
        let confirm = |tag, multiple| {
            Some(Confirm {
                tag: DeliveryTag(tag),
                multiple,
            })
        };
        let mut confirms = Confirms::new();
        let a = confirms.published(3, 2);
        let b = confirms.published(1, 1);
        let c = confirms.published(2, 0);
        let d = confirms.published(1, 1);
        assert_eq!(confirms.next(), None);
        assert_eq!(confirms.applied(a, Some(Epoch(7))), None);
        assert_eq!(confirms.applied(b, None), None, "the first batch comes first");
        assert_eq!(confirms.durable(Epoch(7)), None, "half of the first batch is not applied");
        assert_eq!(
            confirms.applied(a, Some(Epoch(6))),
            confirm(6, true),
            "and all that waited behind it"
        );
        assert_eq!(confirms.applied(d, Some(Epoch(8))), None);
        assert_eq!((confirms.outstanding(), confirms.awaited()), (1, Some(Epoch(8))));
        assert_eq!(confirms.durable(Epoch(9)), confirm(7, false));
        assert_eq!(confirms.durable(Epoch(10)), None);
        assert_eq!(c, Ticket(DeliveryTag(6)));
    }
}

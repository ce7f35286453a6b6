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
    /// A queue refused them.
    refused: bool,
}

/// Names a batch of publishes: its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub DeliveryTag);

/// A `basic.ack` or `basic.nack` for the publisher: this tag, and those before it that were not confirmed yet if `multiple`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// The last publish that it confirms.
    pub tag: DeliveryTag,
    /// It confirms more than that one.
    pub multiple: bool,
    /// A nack: a queue took none of them (RabbitMQ, `x-overflow`: `reject-publish`).
    pub refused: bool,
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
                refused: false,
            });
        }
        Ticket(DeliveryTag(self.last))
    }

    fn pending(&mut self, ticket: Ticket) -> Option<&mut Pending> {
        let at = self.entries.partition_point(|entry| entry.upto < ticket.0.0);
        self.entries.get_mut(at).filter(|entry| entry.upto == ticket.0.0)
    }

    /// A queue refused what a ticket stands for; to be said before [`applied`](Self::applied). A ticket whose publishes may be refused should stand
    /// for one only: all of it is nacked.
    pub fn refused(&mut self, ticket: Ticket) {
        if let Some(entry) = self.pending(ticket) {
            entry.refused = true;
        }
    }

    /// A shard has applied its part of a batch. `epoch`: what must be durable before it is confirmed; `None` if nothing of it was persistent.
    /// [`next`](Self::next) gives what can be confirmed now.
    pub fn applied(&mut self, ticket: Ticket, epoch: Option<Epoch>) {
        if let Some(entry) = self.pending(ticket) {
            entry.jobs = entry.jobs.saturating_sub(1);
            entry.epoch = entry.epoch.max(epoch);
        }
    }

    /// Everything up to `epoch` is durable. [`next`](Self::next) gives what can be confirmed now.
    pub fn durable(&mut self, epoch: Epoch) {
        self.durable = self.durable.max(epoch);
    }

    #[expect(clippy::should_implement_trait, reason = "it goes on after `None`, unlike an iterator")]
    /// What can be confirmed now, in the order of publishing (invariant 2): as one ack up to the next refused publish, or as one nack up to the
    /// next that was taken. To be called until there is nothing more.
    pub fn next(&mut self) -> Option<Confirm> {
        let (mut upto, mut refused) = (self.confirmed, None);
        while let Some(entry) = self.entries.pop_front_if(|entry| {
            entry.jobs == 0
                && entry.epoch.is_none_or(|epoch| epoch <= self.durable)
                && refused.is_none_or(|refused| refused == entry.refused)
        }) {
            upto = entry.upto;
            refused = Some(entry.refused);
        }
        let count = upto - self.confirmed;
        self.confirmed = upto;
        (count > 0).then_some(Confirm {
            tag: DeliveryTag(upto),
            multiple: count > 1,
            refused: refused.unwrap_or_default(),
        })
    }

    /// Publishes that were confirmed, or refused.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        self.confirmed
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

    fn all(confirms: &mut Confirms) -> Vec<(u64, bool, bool)> {
        std::iter::from_fn(|| confirms.next())
            .map(|confirm| (confirm.tag.0, confirm.multiple, confirm.refused))
            .collect()
    }

    #[test]
    fn confirms_come_in_order_and_joined() {
        let mut confirms = Confirms::new();
        let a = confirms.published(3, 2);
        let b = confirms.published(1, 1);
        let c = confirms.published(2, 0);
        let d = confirms.published(1, 1);
        assert_eq!(all(&mut confirms), []);
        confirms.applied(a, Some(Epoch(7)));
        confirms.applied(b, None);
        assert_eq!(all(&mut confirms), [], "the first batch comes first");
        confirms.durable(Epoch(7));
        assert_eq!(all(&mut confirms), [], "half of the first batch is not applied");
        confirms.applied(a, Some(Epoch(6)));
        assert_eq!(all(&mut confirms), [(6, true, false)], "and all that waited behind it");
        confirms.applied(d, Some(Epoch(8)));
        assert_eq!((confirms.outstanding(), confirms.awaited()), (1, Some(Epoch(8))));
        confirms.durable(Epoch(9));
        assert_eq!(all(&mut confirms), [(7, false, false)]);
        confirms.durable(Epoch(10));
        assert_eq!(all(&mut confirms), []);
        assert_eq!(c, Ticket(DeliveryTag(6)));
    }

    #[test]
    fn what_was_refused_is_nacked_in_its_place() {
        let mut confirms = Confirms::new();
        let tickets: Vec<_> = (0..7).map(|_| confirms.published(1, 1)).collect();
        for refused in [0, 3, 4] {
            confirms.refused(tickets[refused]);
        }
        let first = tickets[0];
        for ticket in tickets.into_iter().skip(1) {
            confirms.applied(ticket, Some(Epoch(1)));
        }
        confirms.durable(Epoch(1));
        assert_eq!(all(&mut confirms), [], "the first has another part under way");
        confirms.applied(first, None);
        assert_eq!(
            all(&mut confirms),
            [(1, false, true), (3, true, false), (5, true, true), (7, true, false)]
        );
        assert_eq!((confirms.outstanding(), confirms.awaited()), (0, None));
    }
}

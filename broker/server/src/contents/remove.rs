//! Removing messages.

use std::ops::ControlFlow;
use std::sync::Arc;

use stoa_core::ids::{QueueId, Sequence};
use stoa_core::shard::{Look, MessageState};

use super::{Asker, Browse, Budget, ContentsError};
use crate::broker::Broker;

/// What a removal came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Messages that are gone.
    pub count: u64,
    /// Where to go on; absent: that was all.
    pub next: Option<Sequence>,
}

impl Broker {
    /// Removes a message that is ready or delayed. It is not dead-lettered. Answered when that is durable.
    ///
    /// # Errors
    /// If there is no such queue or message, the user may not read from the queue, the message is somebody's, or the store has failed.
    pub async fn remove_message(self: &Arc<Self>, asker: Asker<'_>, queue: &str, sequence: Sequence) -> Result<(), ContentsError> {
        let queue = self.readable(asker, queue)?;
        self.remove_one(queue.id, sequence)?;
        self.made_durable(queue.durable).await
    }

    /// Purges a queue (RabbitMQ).
    ///
    /// # Errors
    /// If there is no such queue, the user may not read from it, or the store has failed.
    pub async fn purge(self: &Arc<Self>, asker: Asker<'_>, queue: &str) -> Result<(), ContentsError> {
        let queue = self.readable(asker, queue)?;
        self.with_shard(queue.id, |shard, effects| shard.purge(queue.id, effects));
        self.made_durable(queue.durable).await
    }

    /// Removes ready and delayed messages, as many as one request looks at. They are not dead-lettered.
    ///
    /// # Errors
    /// If there is no such queue, the user may not read from it, a part of it is damaged, or the store has failed.
    pub fn remove_messages(self: &Arc<Self>, asker: Asker<'_>, queue: &str, browse: &Browse) -> Result<Removed, ContentsError> {
        let queue = self.readable(asker, queue)?.id;
        let mut budget = Budget::new(self, browse.count);
        let mut count = 0;
        let next = self.look_on(queue, browse.from, |from, value| {
            let looked = self.with_shard(queue, |shard, effects| {
                let mut found = Vec::new();
                let only = browse.state;
                let looked = shard.look_at(queue, Look { from, only }, value, |seen| {
                    if budget.is_spent() {
                        return ControlFlow::Break(());
                    }
                    budget.looked();
                    if matches!(seen.state, MessageState::Ready | MessageState::Delayed) && browse.filter.matches(seen.record) {
                        budget.found(0);
                        found.push(seen.sequence);
                    }
                    ControlFlow::Continue(())
                });
                count += u64::from(shard.remove(queue, &found, effects));
                looked
            });
            budget.looked();
            (looked, budget.is_spent())
        })?;
        Ok(Removed { count, next })
    }

    /// Waits until what was removed is durably so.
    ///
    /// # Errors
    /// If the store has failed.
    pub async fn contents_durable(&self) -> Result<(), ContentsError> {
        self.made_durable(true).await
    }

    pub(super) fn remove_one(self: &Arc<Self>, queue: QueueId, sequence: Sequence) -> Result<(), ContentsError> {
        let (removed, state) = self.with_shard(queue, |shard, effects| {
            let removed = shard.remove(queue, &[sequence], effects);
            (removed > 0, shard.state_of(queue, sequence))
        });
        match state {
            _ if removed => Ok(()),
            None => Err(ContentsError::NoMessage(sequence)),
            Some(state) => Err(ContentsError::InUse {
                sequence,
                state,
                holder: self.holder_of(queue, sequence).map(Box::new),
            }),
        }
    }

    pub(super) async fn made_durable(&self, durable: bool) -> Result<(), ContentsError> {
        if durable {
            self.commits.durable().await.map_err(|_| ContentsError::NotDurable)?;
        }
        Ok(())
    }
}

//! Queues that are not used for long (`x-expires`, RabbitMQ extension): used is what has a consumer, is asked for a message, or is declared
//! again. A restart is a use.

use crate::ids::{Millis, QueueId};
use crate::shard::Shard;
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::queue::Queue;
use crate::shard::timers::{Timer, What};

impl Shard {
    /// Somebody uses a queue without taking anything from it: it was declared again (`x-expires`).
    pub fn touch(&mut self, queue: QueueId) {
        if let Some(queue) = self.queues.get_mut(&queue) {
            queue.used(&mut self.common);
        }
    }

    /// Whether nobody has used the queue since [`Effects::expired`] named it.
    #[must_use]
    pub fn is_expired(&self, queue: QueueId) -> bool {
        let queue = self.queues.get(&queue);
        queue.is_some_and(|queue| queue.expires_ms().is_some() && queue.expiry.is_none() && queue.consumer_count() == 0)
    }
}

impl Queue {
    fn expires_ms(&self) -> Option<u64> {
        self.settings.as_ref()?.expires_ms
    }

    /// Somebody uses the queue.
    pub(crate) fn used(&mut self, common: &mut Common) {
        if let Some(expires_ms) = self.expires_ms() {
            self.used_at = common.now;
            if self.expiry.is_none() {
                self.expire_at(Millis(common.now.0.saturating_add(expires_ms)), common);
            }
        }
    }

    /// How long it may be unused has changed.
    pub(crate) fn configure_expiry(&mut self, common: &mut Common) {
        if let Some(at) = self.expiry.take() {
            let (queue, what) = (self.id, What::Unused);
            common.timers.remove(&Timer { at, queue, what });
        }
        self.used(common);
    }

    fn expire_at(&mut self, at: Millis, common: &mut Common) {
        // Before the first reading of the clock there is no time to wait for.
        if common.now > Millis(0) {
            let (queue, what) = (self.id, What::Unused);
            self.expiry = Some(at);
            common.timers.insert(Timer { at, queue, what });
        }
    }

    /// The time has come to look whether the queue was used. Once it was not, nothing more happens until it is.
    pub(crate) fn elapse(&mut self, at: Millis, common: &mut Common, effects: &mut impl Effects) -> u32 {
        if self.expiry != Some(at) {
            return 1;
        }
        self.expiry = None;
        let Some(expires_ms) = self.expires_ms() else { return 1 };
        let end = Millis(self.used_at.0.saturating_add(expires_ms));
        let waits = self.settings.as_ref().is_some_and(|settings| settings.expires_if_empty) && self.tally().live() > 0;
        if self.consumer_count() > 0 {
            // The last one to go is the last use.
        } else if end > common.now {
            self.expire_at(end, common);
        } else if waits {
            self.expire_at(Millis(common.now.0.saturating_add(expires_ms)), common);
        } else {
            effects.expired(self.id);
        }
        1
    }
}

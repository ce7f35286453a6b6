//! Queues that an operator has paused: nobody is given anything of them until they are resumed. Of a durable queue that outlives a restart.

use super::Topology;
use super::change::Change;
use super::policy::Reconfigured;
use crate::ids::QueueId;
use crate::settings::Settings;
use std::sync::Arc;

impl Topology {
    /// Pauses a queue, or resumes it. Gives the queues whose shards must be told; `None`: there is no such queue.
    pub fn pause_queue(&mut self, vhost: &str, name: &[u8], paused: bool, changes: &mut Vec<Change>) -> Option<Reconfigured> {
        let queue = self.find_queue(vhost, name)?;
        if self.is_paused(queue.id) == paused {
            return Some(Vec::new());
        }
        if queue.durable {
            changes.push(queue.record(paused));
        }
        Some(self.set_paused(queue.id, paused).into_iter().collect())
    }

    /// Whether the queue of that id is paused.
    #[must_use]
    pub fn is_paused(&self, queue: QueueId) -> bool {
        self.queues.get(&queue).is_some_and(|known| known.paused)
    }

    pub(super) fn set_paused(&mut self, queue: QueueId, paused: bool) -> Option<(QueueId, Option<Arc<Settings>>)> {
        let known = self.queues.get_mut(&queue)?;
        known.paused = paused;
        let settings = Self::settings_of(&known.queue, &known.governing, paused);
        known.settings = self.settings.share(settings);
        Some((queue, known.settings.clone()))
    }
}

//! Histories (`x-recent-history`): what was bound to such an exchange gets the messages that the exchange has kept.

use std::sync::Arc;

use stoa_core::record::Record;
use stoa_core::shard::stored;
use stoa_core::topology::{Replay, ReplayTo, Topology};
use stoa_storage::Family;

use super::post::{Content, Post};
use crate::broker::Broker;

impl Broker {
    /// Leaves the messages of histories in the inboxes of the shards of what was bound: the topology is still locked, so nothing that is published by the
    /// new binding can get there before. Gives the shards, which must be [run](Broker::arrive) then.
    pub(crate) fn replay(self: &Arc<Self>, topology: &Topology, replays: &[Replay]) -> Vec<usize> {
        let mut touched = Vec::new();
        for replay in replays {
            let mut post = Post::new(self, 0);
            let cell = self.shard_of(replay.history);
            // It stays locked while the messages are copied, so that bodies are not given up in between.
            let running = cell.lock();
            let read = running.shard.read(
                replay.history,
                |chunk| {
                    let key = stored::chunk_key(replay.history, chunk);
                    self.pager.tables().get(Family::Chunks, &key).ok().flatten().unwrap_or_default()
                },
                |record| post.replay(topology, &replay.to, record),
            );
            drop(running);
            if let Err(error) = read {
                tracing::error!(queue = %replay.history, %error, "a history on disk is damaged: what was bound gets what lies before; restore the data directory from a backup");
            }
            for (shard, ops) in post.per_shard.into_iter().enumerate().filter(|(_, ops)| !ops.is_empty()) {
                self.shards[shard].leave_batch(ops, post.arena.clone());
                touched.push(shard);
            }
            touched.push(cell.index);
        }
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// Has shards apply what was left for them before this returns.
    pub(crate) fn arrive(self: &Arc<Self>, shards: &[usize]) {
        for shard in shards {
            self.shards[*shard].apply_inbox(self);
        }
    }
}

impl Post<'_> {
    fn replay(&mut self, topology: &Topology, to: &ReplayTo, record: Record<'_>) {
        self.targets.clear();
        match to {
            ReplayTo::Queue(target) => self.targets.push(*target),
            ReplayTo::Exchange(vhost, name) => {
                let keys = stoa_core::dead_letter::routing_keys(record);
                let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
                let mut facts = || self.broker.facts(record.header());
                // Without that exchange the messages go nowhere.
                topology
                    .route_letter(vhost, name.as_bytes(), &keys, &mut facts, &mut self.targets)
                    .ok();
            }
        }
        let content = Content {
            record,
            due: record.due(),
            envelope: record.envelope(),
            header: record.header(),
        };
        self.deliver(&content, false, None);
    }
}

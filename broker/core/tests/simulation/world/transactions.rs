//! Transactions over several queues: messages that a client holds are acknowledged and published to other queues, as a whole.

use stoa_core::ids::DeliveryTag;
use stoa_core::record::{self, Records, flags};
use stoa_core::shard::Command;

use super::World;
use super::clients::How;
use crate::oracle::{Fate, Message};
use crate::stands::Stands;

impl World {
    /// A client moves some of what it holds to another queue, or changes its mind.
    pub(super) fn transact(&mut self) {
        if self.clients.iter().all(|client| client.held.is_empty()) {
            (0..5).for_each(|_| self.get());
        }
        let at = self.rng.below(self.clients.len());
        let plain: Vec<_> = self.queues.iter().filter(|queue| queue.durable).map(|queue| queue.id).collect();
        let Some(&to) = self.rng.pick(&plain) else { return };
        let count = self.rng.range(1, 5);
        let client = &mut self.clients[at];
        let movable = |id: usize| {
            let message = &self.oracle.messages[id];
            message.persistent && message.due.is_none() && plain.contains(&message.queue)
        };
        let held: Vec<_> = client
            .held
            .iter()
            .map(|(&tag, &id)| (tag, id))
            .filter(|&(_, id)| movable(id))
            .take(count)
            .collect();
        if held.is_empty() {
            return;
        }
        let mut aside = Vec::new();
        for &(tag, _) in &held {
            client
                .unacked
                .set_aside(DeliveryTag(tag), false, &mut aside)
                .expect("an outstanding tag");
        }
        if self.rng.percent(20) {
            aside.into_iter().for_each(|aside| client.unacked.put_back(aside));
            client.unacked.invariants();
            return self.broker.seen.saw("roll back");
        }
        let publisher = client.id.0;
        let mut run = Vec::new();
        for &(tag, from) in &held {
            let id = self.oracle.published(Message {
                queue: to,
                publisher,
                priority: 0,
                persistent: true,
                epoch: self.broker.epoch,
                confirmed: false,
                delivered: false,
                due: None,
                stands: Stands::default(),
                offered: false,
                passed: false,
                key: 0,
                replaced: None,
                holder: None,
                claimed: false,
                fate: Fate::Ready,
            });
            let body = (id as u64).to_le_bytes();
            record::push(&mut run, flags::PERSISTENT, 0, b"\0\x01q", b"header", &body);
            self.clients[at].held.remove(&tag);
            self.oracle.settled(from, self.broker.epoch);
            self.moves.moved(from, id, self.broker.epoch);
        }
        self.broker.transaction = self.broker.epoch;
        let records = Records {
            bytes: &run,
            count: held.len() as u32,
        };
        self.broker.apply(to, Command::Publish { queue: to, records });
        self.give_back(aside.iter().map(stoa_core::channel::Aside::what).collect(), How::Settle);
        self.broker.seen.saw("commit a transaction");
    }
}

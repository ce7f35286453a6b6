//! How things end: queues that are purged and deleted, brokers that stop or crash and start again, and the last look at what is left.

use stoa_core::ids::{ConsumerId, DeliveryTag, QueueId};
use stoa_core::shard::{Command, ReturnCause};

use super::clients::How;
use super::{World, consumer};
use crate::oracle::Fate;

impl World {
    pub(super) fn purge(&mut self) {
        let queue = self.queues[self.rng.below(self.queues.len())].id;
        let (shard, sink) = self.broker.shard(queue);
        let purged = shard.purge(queue, sink);
        let counts = shard.counts(queue).expect("it is there");
        assert_eq!((counts.ready, counts.delayed), (0, 0));
        self.oracle.purged(queue, self.broker.epoch, purged);
        self.moves.forget(&self.oracle, queue);
    }

    pub(super) fn delete(&mut self) {
        if self.rng.percent(20) {
            let queue = self.queues[self.rng.below(self.queues.len())].id;
            self.delete_queue(queue);
        }
    }

    pub(super) fn delete_queue(&mut self, queue: QueueId) {
        let (shard, sink) = self.broker.shard(queue);
        shard.delete(queue, false, false, sink).expect("it is there");
        self.forget_queue(queue);
        self.create_queue();
    }

    pub(super) fn forget_queue(&mut self, queue: QueueId) {
        self.queues.retain(|other| other.id != queue);
        self.claims.retain(|claim| claim.queue != queue);
        self.oracle.deleted(queue);
        self.moves.forget(&self.oracle, queue);
        for client in &mut self.clients {
            client.consumers.retain(|(other, _)| *other != queue);
            let gone: Vec<_> = client
                .held
                .iter()
                .filter(|&(_, &id)| self.oracle.messages[id].queue == queue)
                .map(|(&tag, _)| tag)
                .collect();
            for tag in gone {
                client
                    .unacked
                    .settle(DeliveryTag(tag), false, &mut Vec::new())
                    .expect("an outstanding tag");
                client.held.remove(&tag);
            }
        }
    }

    pub(super) fn check_counts(&mut self) {
        self.broker.check_references();
        for queue in self.queues.clone() {
            let counts = self.broker.shard(queue.id).0.counts(queue.id).expect("it is there");
            let (ready, unacked, maybe) = self.oracle.counts(queue.id);
            assert_eq!(counts.unacked, unacked, "invariant 3: unacked messages of queue {}", queue.id);
            let there = counts.ready + counts.delayed + counts.dead;
            assert!(
                (ready..=ready + maybe).contains(&there),
                "{counts:?}: {ready} and perhaps {maybe} are ready"
            );
        }
    }

    pub(super) fn stop(&mut self) {
        self.clients.clear();
        for message in &mut self.oracle.messages {
            if message.fate == Fate::Unacked {
                message.fate = Fate::Ready;
            }
        }
        self.end_commit();
        self.broker.begin_commit();
        self.end_commit();
        let durable = self.oracle.durable;
        self.broker.stop(&mut self.rng, durable);
        self.restart(true);
    }

    pub(super) fn restart(&mut self, clean: bool) {
        self.clients.clear();
        self.letters.clear();
        self.claims.clear();
        self.stalled.clear();
        self.rested.clear();
        for queue in self.queues.clone().iter().filter(|queue| !queue.durable) {
            self.forget_queue(queue.id);
        }
        self.broker.restart(&mut self.rng, &self.queues, clean);
        self.pass(0);
        self.moves.restarted(&self.oracle, clean);
        self.oracle.restarted(clean);
        self.broker.invariants();
        self.check_counts();
        while self.queues.is_empty() || self.rng.percent(20) {
            self.create_queue();
        }
        for _ in 0..self.rng.range(1, 4) {
            self.connect();
        }
    }

    /// A last crash, perhaps; then everything that is there is consumed, and what is missing is lost.
    pub(super) fn finish(&mut self) {
        match self.rng.below(3) {
            0 => self.restart(false),
            1 => self.stop(),
            _ => {}
        }
        while !self.claims.is_empty() {
            self.release();
        }
        while let Some(mut client) = self.clients.pop() {
            for (shard, sink) in &mut self.broker.shards {
                shard.apply(Command::Gone { outlet: client.id }, sink);
            }
            let lost = ReturnCause::Lost;
            client
                .held
                .values()
                .for_each(|&id| self.oracle.returned(id, lost, self.broker.epoch));
            let runs = client.unacked.take_all();
            self.give_back(runs, How::Requeue(lost));
        }
        self.stalled.clear();
        for at in 0..self.queues.len() {
            if self.queues[at].settings.as_ref().is_some_and(|settings| settings.paused) {
                self.set_paused(at, false);
            }
        }
        self.connect();
        for queue in self.queues.clone() {
            if queue.settings.as_ref().is_some_and(|settings| settings.delays) {
                continue;
            }
            let id = ConsumerId(self.fresh_id());
            let last = consumer(id, self.clients[0].id);
            self.broker.shard(queue.id).0.consume(queue.id, last).expect("nobody else is there");
        }
        for _ in 0..100_000 {
            for _ in 0..20 {
                self.dispatch();
                self.settle_effects();
                self.resume();
                self.post(true);
            }
            self.broker.begin_commit();
            self.end_commit();
            self.broker.write(&mut self.rng);
            self.broker.answer(&mut self.rng);
            let ready: u64 = self
                .broker
                .shards
                .iter()
                .map(|(shard, _)| {
                    self.queues
                        .iter()
                        .filter_map(|queue| shard.counts(queue.id))
                        .map(|counts| counts.ready + counts.delayed + counts.dead)
                        .sum::<u64>()
                })
                .sum();
            if ready == 0 {
                break;
            }
            if !self.broker.is_waiting() && self.letters.is_empty() {
                let next = self.broker.shards.iter().filter_map(|(shard, _)| shard.next_due()).min();
                self.pass(next.map_or(0, |next| next.0.saturating_sub(self.oracle.now.0) + 20_000));
            }
        }
        self.broker.invariants();
        self.oracle.drained();
        for _ in 0..self.moves.drained(&self.oracle) {
            self.broker.seen.saw("transactions that a crash cut short");
        }
        for (times, what) in [
            (self.oracle.counted, "came back before a restart"),
            (self.oracle.dead_again, "dead since before a restart"),
        ] {
            (0..times).for_each(|_| self.broker.seen.saw(what));
        }
        // The tables wait for what is in no commit yet.
        self.end_commit();
        self.broker.begin_commit();
        self.end_commit();
        while self.broker.is_waiting() {
            self.broker.write(&mut self.rng);
            self.broker.answer(&mut self.rng);
        }
        self.broker.begin_commit();
        self.end_commit();
        self.broker.delete_bodies();
        assert!(
            self.broker.disk.tables.bodies.is_empty(),
            "bodies that nothing refers to are left behind"
        );
    }
}

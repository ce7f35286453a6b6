//! Those who are no consumers: they look into queues, and take single messages out of the middle, for good or to move them.

use std::ops::ControlFlow;

use stoa_core::ids::{QueueId, Sequence};
use stoa_core::record::{self, Records, flags};
use stoa_core::shard::{ChunkValue, Command, Look, Looked, MessageState};

use super::World;
use crate::broker::ids;
use crate::oracle::{Fate, Message};
use crate::stands::Stands;

/// Messages that are claimed: their sequences and numbers.
pub struct Claim {
    pub queue: QueueId,
    messages: Vec<(Sequence, usize)>,
}

impl World {
    /// Somebody looks through a queue, and sees what is there.
    pub(super) fn browse(&mut self) {
        let queue = self.queues[self.rng.below(self.queues.len())].id;
        let counts = self.broker.shard(queue).0.counts(queue).expect("it is there");
        let only = [None, Some(MessageState::ALL[self.rng.below(4)])][self.rng.below(2)];
        let seen = self.look_through(queue, only);
        let of = |state| seen.iter().filter(|(_, _, other, _)| *other == state).count() as u64;
        let states = MessageState::ALL.into_iter().filter(|state| only.is_none_or(|only| only == *state));
        for state in states {
            let expected = match state {
                MessageState::Ready => counts.ready,
                MessageState::Unacked => counts.unacked,
                MessageState::Delayed => counts.delayed,
                MessageState::Dead => counts.dead,
            };
            assert_eq!(of(state), expected, "{state:?} in queue {queue}");
        }
        for (_, id, state, redelivered) in seen {
            self.oracle.seen(id, queue, state, redelivered);
        }
        self.broker.seen.saw("browse");
    }

    /// Everything in a queue, a random number of messages at a time.
    fn look_through(&mut self, queue: QueueId, only: Option<MessageState>) -> Vec<(Sequence, usize, MessageState, bool)> {
        let (mut seen, mut from, mut value) = (Vec::new(), None, None::<(Sequence, Vec<u8>)>);
        let bodies = self.broker.bodies.clone();
        loop {
            let most = seen.len() + self.rng.range(1, 300);
            let stored = value.as_ref().map(|(first, octets)| ChunkValue { first: *first, octets });
            let looked = self.broker.shard(queue).0.look_at(queue, Look { from, only }, stored, |message| {
                if seen.len() == most {
                    return ControlFlow::Break(());
                }
                let bytes = message.record.bytes();
                let id = ids(Records { bytes, count: 1 }, &bodies.borrow())[0];
                seen.push((message.sequence, id, message.state, message.redelivered));
                ControlFlow::Continue(())
            });
            match looked {
                Looked::Upto(next) => (from, value) = (Some(next), None),
                Looked::Stored { chunk } => {
                    self.broker.seen.saw("browse what is on disk");
                    value = Some((chunk, self.broker.disk.tables.chunk(queue, chunk)));
                }
                Looked::All => return seen,
                Looked::Damaged { chunk, error, .. } => panic!("chunk {chunk} of queue {queue}: {error}"),
            }
        }
    }

    /// Somebody claims some of what he has seen, or takes it out, or is through with what he claimed.
    pub(super) fn pick(&mut self) {
        if !self.claims.is_empty() && self.rng.percent(60) {
            return self.release();
        }
        let queue = self.queues[self.rng.below(self.queues.len())].id;
        let mut seen = self.look_through(queue, None);
        let percent = self.rng.below(30);
        seen.retain(|_| self.rng.percent(percent));
        let sequences: Vec<_> = seen.iter().map(|(sequence, ..)| *sequence).collect();
        let can_be_had = |state| matches!(state, MessageState::Ready | MessageState::Delayed);
        seen.retain(|(_, _, state, _)| can_be_had(*state));
        // It is there, and perhaps nobody will be given it.
        seen.iter().for_each(|(_, id, ..)| self.moves.delivered(*id));
        let (shard, sink) = self.broker.shard(queue);
        if self.rng.percent(20) {
            assert_eq!(shard.remove(queue, &sequences, sink) as usize, seen.len());
            let epoch = self.broker.epoch;
            for (_, id, ..) in seen {
                self.oracle.claimed(id);
                self.oracle.released(id, true, epoch);
            }
            return;
        }
        let claimed = shard.claim(queue, &sequences);
        assert_eq!(claimed.len(), seen.len());
        let messages: Vec<_> = seen.iter().map(|(sequence, id, ..)| (*sequence, *id)).collect();
        messages.iter().for_each(|&(_, id)| self.oracle.claimed(id));
        if !messages.is_empty() {
            self.broker.seen.saw("claim");
            self.claims.push(Claim { queue, messages });
        }
    }

    /// What was claimed goes to another queue in one transaction, or is dropped, or stays after all.
    pub(super) fn release(&mut self) {
        let at = self.rng.below(self.claims.len());
        let Claim { queue, messages } = self.claims.swap_remove(at);
        let epoch = self.broker.epoch;
        let durable: Vec<_> = self.queues.iter().filter(|queue| queue.durable).map(|queue| queue.id).collect();
        let to = self.rng.pick(&durable).copied().filter(|_| self.plain && durable.contains(&queue));
        let mut released = Vec::new();
        let mut run = Vec::new();
        let mut count = 0;
        for (sequence, from) in messages {
            let gone = self.rng.percent(70);
            released.push((sequence, gone));
            self.oracle.released(from, gone, epoch);
            let message = &self.oracle.messages[from];
            let Some(to) = to.filter(|_| gone && message.persistent && message.due.is_none()) else {
                continue;
            };
            let id = self.oracle.published(Message {
                queue: to,
                publisher: 0,
                priority: 0,
                persistent: true,
                epoch,
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
            record::push(&mut run, flags::PERSISTENT, 0, b"\0\x01q", b"header", &(id as u64).to_le_bytes());
            count += 1;
            self.moves.moved(from, id, epoch);
        }
        if let Some(to) = to.filter(|_| count > 0) {
            self.broker.transaction = epoch;
            let records = Records { bytes: &run, count };
            self.broker.apply(to, Command::Publish { queue: to, records });
            self.broker.seen.saw("move");
        }
        let (shard, sink) = self.broker.shard(queue);
        shard.release(queue, released.into_iter(), sink);
        self.broker.seen.saw("release");
    }
}

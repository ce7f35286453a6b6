//! What became of every message, as its publisher and its consumers saw it, and what may therefore still happen to it.

use std::collections::HashMap;

use stoa_core::ids::QueueId;

/// A message in one queue.
#[derive(Debug, Clone)]
pub struct Message {
    pub queue: QueueId,
    pub publisher: u64,
    /// As far as its queue tells priorities apart.
    pub priority: u8,
    /// Survives a restart, once its commit is durable.
    pub persistent: bool,
    /// The commit that makes its arrival durable.
    pub epoch: u64,
    pub confirmed: bool,
    /// It may have been delivered before.
    pub delivered: bool,
    pub fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Ready,
    /// Delivered to this channel and not settled.
    Unacked,
    /// Settled; `durable` once the commit of this epoch is.
    Settled {
        epoch: u64,
    },
    /// Settled, and the settlement is durable; or gone with its queue, or transient before a crash.
    Gone,
    /// After a crash: settled or published without a durable commit. It may be there or not.
    Maybe,
}

#[derive(Default)]
pub struct Oracle {
    pub messages: Vec<Message>,
    /// The last message of each publisher and priority that each queue delivered for the first time.
    order: HashMap<(QueueId, u64, u8), usize>,
    /// Settled, and that is not durable. Some are not any more.
    settled: Vec<usize>,
    /// Settled when the checkpoint began that is on its way.
    checkpoint: Vec<usize>,
    /// The commit that is durable.
    pub durable: u64,
    /// Messages with a priority above 0.
    priorities: usize,
}

impl Oracle {
    pub fn published(&mut self, message: Message) -> usize {
        self.priorities += usize::from(message.priority > 0);
        self.messages.push(message);
        self.messages.len() - 1
    }

    pub fn delivered(&mut self, id: usize, queue: QueueId, redelivered: bool, no_ack: bool, epoch: u64) {
        let priority = self.messages[id].priority;
        let overtaken = |other: &Message| other.queue == queue && other.fate == Fate::Ready && other.priority > priority;
        assert!(
            self.priorities == 0 || !self.messages.iter().any(overtaken),
            "message {id} overtook one of higher priority"
        );
        let message = &mut self.messages[id];
        assert_eq!(message.queue, queue, "message {id} is in the queue that it was routed to");
        match message.fate {
            Fate::Ready | Fate::Maybe => {}
            fate => panic!("invariants 3 and 6: message {id} was delivered and is {fate:?}"),
        }
        assert_eq!(
            redelivered, message.delivered,
            "redelivered says whether message {id} may have been delivered before"
        );
        if !redelivered {
            let last = self.order.insert((queue, message.publisher, message.priority), id);
            assert!(last.is_none_or(|last| last < id), "message {id} was overtaken by {last:?}");
        }
        message.delivered = true;
        message.fate = if no_ack { Fate::Settled { epoch } } else { Fate::Unacked };
        self.settled.extend(no_ack.then_some(id));
    }

    pub fn settled(&mut self, id: usize, epoch: u64) {
        assert_eq!(self.messages[id].fate, Fate::Unacked);
        self.messages[id].fate = Fate::Settled { epoch };
        self.settled.push(id);
    }

    pub fn returned(&mut self, id: usize) {
        assert_eq!(self.messages[id].fate, Fate::Unacked);
        self.messages[id].fate = Fate::Ready;
    }

    /// All ready messages of a queue were settled.
    pub fn purged(&mut self, queue: QueueId, epoch: u64, count: u32) {
        let mut ready = 0;
        let mut maybe = 0;
        for (id, message) in self.messages.iter_mut().enumerate().filter(|(_, message)| message.queue == queue) {
            match message.fate {
                Fate::Ready => ready += 1,
                Fate::Maybe => maybe += 1,
                _ => continue,
            }
            message.fate = Fate::Settled { epoch };
            self.settled.push(id);
        }
        assert!(
            (ready..=ready + maybe).contains(&count),
            "purged {count} of {ready} and perhaps {maybe}"
        );
    }

    pub fn deleted(&mut self, queue: QueueId) {
        for message in self.messages.iter_mut().filter(|message| message.queue == queue) {
            message.fate = Fate::Gone;
        }
    }

    pub fn confirmed(&mut self, id: usize) {
        let message = &mut self.messages[id];
        let needless = !message.persistent || matches!(message.fate, Fate::Settled { .. } | Fate::Gone);
        assert!(
            needless || message.epoch <= self.durable,
            "invariant 2: message {id} is confirmed before it is durable"
        );
        message.confirmed = true;
    }

    pub fn durable(&mut self, epoch: u64) {
        self.durable = epoch;
        let messages = &mut self.messages;
        self.settled.retain(|&id| match messages[id].fate {
            Fate::Settled { epoch: settled } if settled <= epoch => {
                messages[id].fate = Fate::Gone;
                false
            }
            fate => matches!(fate, Fate::Settled { .. }),
        });
    }

    /// What is settled now will be durable once the checkpoint that begins now is flushed.
    pub fn begin_checkpoint(&mut self) {
        let settled = |id: &usize| matches!(self.messages[*id].fate, Fate::Settled { .. });
        self.checkpoint = self.settled.iter().copied().filter(settled).collect();
    }

    pub fn end_checkpoint(&mut self) {
        for id in std::mem::take(&mut self.checkpoint) {
            self.messages[id].fate = Fate::Gone;
        }
    }

    /// The broker stopped and starts again. After a clean stop everything was durable.
    pub fn restarted(&mut self, clean: bool) {
        let durable = self.durable;
        self.checkpoint.clear();
        self.settled.clear();
        for message in &mut self.messages {
            message.fate = match message.fate {
                _ if !message.persistent => Fate::Gone,
                Fate::Gone => Fate::Gone,
                Fate::Settled { .. } if clean => Fate::Gone,
                Fate::Settled { .. } | Fate::Maybe => Fate::Maybe,
                Fate::Ready | Fate::Unacked if clean || message.confirmed || message.epoch <= durable => Fate::Ready,
                Fate::Ready | Fate::Unacked => Fate::Maybe,
            };
            message.delivered |= !clean;
        }
    }

    /// How many messages of a queue are ready and unacked for sure, and how many may be there besides.
    pub fn counts(&self, queue: QueueId) -> (u64, u64, u64) {
        let (mut ready, mut unacked, mut maybe) = (0, 0, 0);
        for message in self.messages.iter().filter(|message| message.queue == queue) {
            match message.fate {
                Fate::Ready => ready += 1,
                Fate::Unacked => unacked += 1,
                Fate::Maybe => maybe += 1,
                Fate::Settled { .. } | Fate::Gone => {}
            }
        }
        (ready, unacked, maybe)
    }

    /// Every queue was drained: nothing may be left.
    pub fn drained(&self) {
        for (id, message) in self.messages.iter().enumerate() {
            assert!(
                !matches!(message.fate, Fate::Ready | Fate::Unacked),
                "invariant 6: message {id} is lost (confirmed: {}): {message:?}",
                message.confirmed
            );
        }
    }
}

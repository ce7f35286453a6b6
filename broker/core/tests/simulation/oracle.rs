//! What became of every message, as its publisher and its consumers saw it, and what may therefore still happen to it.

use std::collections::HashMap;
use std::sync::Arc;

use stoa_core::ids::{ConsumerId, Millis, QueueId};
use stoa_core::settings::{RetryOf, Settings};
use stoa_core::shard::{MessageState, Reason, ReturnCause};

use crate::filter::Filter;
use crate::stands::Stands;

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
    /// When it expires, or goes on.
    pub due: Option<Millis>,
    /// How often it came back, as far as its queue counts that, until when it waits, and why it is dead.
    pub stands: Stands,
    /// It was dead or skipped when the broker stopped: others behind it may have been delivered, so it may say that it was.
    pub passed: bool,
    /// Handed out as a dead letter, and not answered.
    pub offered: bool,
    /// What its queue tells it apart by; 0: nothing.
    pub key: usize,
    /// It was unacked when a newer one took its place, in the commit of this epoch.
    pub replaced: Option<u64>,
    /// Who holds it if it is unacked: nobody's name for `basic.get`.
    pub holder: Option<ConsumerId>,
    /// Somebody who is no consumer has claimed it, or it waited for a retry when the broker stopped: others of its group may have overtaken it.
    pub claimed: bool,
    pub fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Ready,
    /// Delivered to this channel and not settled.
    Unacked,
    /// It left for the dead-letter exchange, and nobody has it yet.
    Dead,
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
    /// The last message of each publisher and priority, and of each group, that each queue delivered for the first time.
    order: HashMap<(QueueId, u64, u8, usize), usize>,
    /// Settled, and that is not durable. Some are not any more.
    settled: Vec<usize>,
    /// Settled when the checkpoint began that is on its way.
    checkpoint: Vec<usize>,
    /// The commit that is durable.
    pub durable: u64,
    pub now: Millis,
    /// What queues are set to do, and what they ever were.
    queues: HashMap<QueueId, Set>,
    /// What the consumers that have a filter want.
    pub filters: HashMap<ConsumerId, Filter>,
    /// Consumers may have filters.
    filtered: bool,
    /// Messages with a priority above 0.
    priorities: usize,
    /// Messages of which was found after a restart that they had come back before it, and that they were dead.
    pub counted: u64,
    pub dead_again: u64,
}

/// What a queue is set to do, and whether it ever had limits, or messages left it without a trace.
#[derive(Default)]
struct Set {
    settings: Settings,
    limited: bool,
    silent: bool,
}

impl Set {
    fn counts(&self) -> bool {
        let settings = &self.settings;
        settings.counts_deliveries || settings.delivery_limit.is_some() || settings.retry.is_some()
    }
}

impl Oracle {
    pub fn new(filtered: bool) -> Self {
        Self {
            filtered,
            ..Self::default()
        }
    }

    pub fn configured(&mut self, queue: QueueId, settings: Option<&Arc<Settings>>) {
        let set = self.queues.entry(queue).or_default();
        set.settings = settings.map(|settings| Settings::clone(settings)).unwrap_or_default();
        let Settings { length_max, bytes_max, .. } = set.settings;
        set.limited |= length_max.is_some() || bytes_max.is_some();
        set.silent |= set.settings.dead_letter.is_none() && !set.settings.delays;
    }

    /// A ready message may have left its queue meanwhile.
    fn may_leave(&self, message: &Message) -> bool {
        message.due.is_some_and(|due| due <= self.now) || self.queues[&message.queue].limited
    }

    /// A message may have been dead when the broker started, or have died then.
    fn may_be_dead(&self, message: &Message) -> bool {
        let limit = self.queues[&message.queue].settings.delivery_limit;
        message.stands.perhaps_dead.is_some() || message.stands.may_die(limit)
    }

    /// A message may be gone without anybody having been told.
    fn may_vanish(&self, message: &Message) -> bool {
        self.queues[&message.queue].silent && (message.fate == Fate::Dead || self.may_leave(message) || self.may_be_dead(message))
    }

    /// The queue took these not in.
    pub fn refused(&mut self, ids: &[usize]) {
        for &id in ids {
            assert_eq!(self.messages[id].fate, Fate::Ready, "message {id} is refused at once");
            self.messages[id].fate = Fate::Gone;
        }
    }

    /// A dead letter is handed out.
    pub fn died(&mut self, id: usize, reason: Reason) {
        let message = &self.messages[id];
        let set = &self.queues[&message.queue];
        let is_due = message.due.is_some_and(|due| due <= self.now);
        let right = match (message.fate, reason) {
            (Fate::Dead, _) => message.stands.dead.is_none_or(|dead| dead == reason),
            (Fate::Ready | Fate::Maybe, _) if message.stands.dead == Some(reason) || message.stands.perhaps_dead == Some(reason) => true,
            (Fate::Ready | Fate::Maybe, Reason::DeliveryLimit) => message.stands.may_die(set.settings.delivery_limit),
            (Fate::Ready | Fate::Maybe, Reason::Expired) => is_due && !set.settings.delays,
            (Fate::Ready | Fate::Maybe, Reason::Due) => is_due && set.settings.delays,
            (Fate::Ready | Fate::Maybe, Reason::MaxLength) => set.limited,
            _ => false,
        };
        assert!(right, "message {id} left as {reason:?}: {message:?}");
        assert!(!message.offered, "message {id} is offered once at a time");
        let message = &mut self.messages[id];
        self.dead_again += u64::from(message.fate == Fate::Dead && message.stands.uncertain);
        message.offered = true;
        message.fate = Fate::Dead;
        message.stands.dead.get_or_insert(reason);
    }

    /// A letter is answered.
    pub fn answered(&mut self, id: usize, taken: bool, epoch: u64) {
        let message = &mut self.messages[id];
        assert!(message.fate == Fate::Dead && message.offered, "message {id} is dead");
        message.offered = false;
        if taken {
            message.fate = Fate::Settled { epoch };
            self.settled.push(id);
        }
    }

    /// A consumer refused it for good.
    pub fn rejected(&mut self, id: usize, epoch: u64) {
        assert_eq!(self.messages[id].fate, Fate::Unacked);
        self.leaves(id, Reason::Rejected, epoch);
    }

    /// Somebody who looks at the queue sees it there.
    pub fn seen(&self, id: usize, queue: QueueId, state: MessageState, redelivered: bool) {
        let message = &self.messages[id];
        assert_eq!(message.queue, queue, "message {id} is in the queue that it was routed to");
        let right = match message.fate {
            Fate::Ready | Fate::Maybe => {
                let may_be_dead = || self.may_leave(message) || self.may_be_dead(message) || message.stands.dead.is_some();
                state != MessageState::Unacked && (state != MessageState::Dead || may_be_dead())
            }
            Fate::Unacked => state == MessageState::Unacked,
            Fate::Dead => state == MessageState::Dead,
            Fate::Settled { .. } | Fate::Gone => false,
        };
        assert!(right, "message {id} is seen as {state:?}: {message:?}");
        let says_so = message.delivered || message.passed || state == MessageState::Dead;
        assert!(!redelivered || says_so, "message {id} was not delivered before: {message:?}");
        assert!(
            redelivered || !message.delivered || says_so && message.passed || state == MessageState::Dead,
            "message {id} was delivered before"
        );
    }

    /// Somebody claims a message.
    pub fn claimed(&mut self, id: usize) {
        let message = &mut self.messages[id];
        assert!(
            matches!(message.fate, Fate::Ready | Fate::Maybe),
            "message {id} can be had: {message:?}"
        );
        message.passed = true;
        message.claimed = true;
        message.fate = Fate::Dead;
    }

    /// The end of a claim.
    pub fn released(&mut self, id: usize, gone: bool, epoch: u64) {
        let message = &mut self.messages[id];
        assert_eq!(message.fate, Fate::Dead);
        message.stands.undelayed();
        let gone = gone || message.replaced.is_some();
        message.fate = if gone { Fate::Settled { epoch } } else { Fate::Ready };
        self.settled.extend(gone.then_some(id));
    }

    fn leaves(&mut self, id: usize, reason: Reason, epoch: u64) {
        let message = &mut self.messages[id];
        if self.queues[&message.queue].settings.dead_letter.is_some() {
            message.fate = Fate::Dead;
            message.stands.dead = Some(reason);
            message.stands.note(0, epoch);
        } else {
            message.fate = Fate::Settled { epoch };
            self.settled.push(id);
        }
    }

    pub fn published(&mut self, message: Message) -> usize {
        self.priorities += usize::from(message.priority > 0);
        self.messages.push(message);
        self.messages.len() - 1
    }

    /// Whether newer messages may take the place of this one.
    pub fn is_replaceable(&self, id: usize) -> bool {
        let Message { queue, key, .. } = self.messages[id];
        let set = self.queues.get(&queue);
        key > 0 && set.is_none_or(|set| set.settings.last_value_key.is_some())
    }

    /// A message with a key came to a queue that keeps the last value of each: names those in whose place it is.
    pub fn replaces(&mut self, id: usize, epoch: u64) -> Vec<usize> {
        let Message { queue, key, .. } = self.messages[id];
        let mut replaced = Vec::new();
        for (other, message) in self.messages[..id].iter_mut().enumerate() {
            if message.queue != queue || message.key != key || message.replaced.is_some() {
                continue;
            }
            match message.fate {
                // Nobody dies here: it was claimed.
                Fate::Unacked | Fate::Dead => message.replaced = Some(epoch),
                Fate::Ready | Fate::Maybe => {
                    if message.fate == Fate::Ready {
                        replaced.push(other);
                    }
                    message.fate = Fate::Settled { epoch };
                    self.settled.push(other);
                }
                _ => {}
            }
        }
        replaced
    }

    /// A message with a key came to a queue that takes no key twice. True if it was dropped for sure.
    pub fn is_duplicate(&mut self, id: usize) -> bool {
        let Message { queue, key, .. } = self.messages[id];
        let others = self.messages[..id].iter().filter(|other| other.queue == queue && other.key == key);
        let (mut there, mut maybe) = (false, false);
        for other in others {
            match other.fate {
                Fate::Ready if self.may_leave(other) => maybe = true,
                Fate::Ready | Fate::Unacked => there = true,
                // Its key is free, but a restart may have brought it back.
                Fate::Maybe | Fate::Dead => maybe = true,
                Fate::Settled { .. } | Fate::Gone => {}
            }
        }
        if there {
            self.messages[id].fate = Fate::Gone;
        } else if maybe {
            self.messages[id].fate = Fate::Maybe;
        }
        there
    }

    /// A message of a group goes to somebody: nobody else holds any of it, and no older one of it is there.
    fn check_group(&self, id: usize, holder: Option<ConsumerId>) {
        let Message { queue, key, priority, .. } = self.messages[id];
        for (other, message) in self.messages.iter().enumerate() {
            if message.queue != queue || message.key != key || other == id {
                continue;
            }
            assert!(
                message.fate != Fate::Unacked || holder.is_some() && message.holder == holder,
                "message {id} went to {holder:?} while {:?} holds {other} of its group",
                message.holder
            );
            // After a restart a retry, or what was claimed, does not keep its group waiting (`shard/groups`).
            let was_apart = message.passed && message.stands.uncertain;
            let waits = message.fate == Fate::Ready && !message.claimed && !was_apart && !self.may_leave(message);
            assert!(
                !waits || (message.priority, other) > (priority, id) || message.priority < priority,
                "message {id} overtook {other} of its group: {message:?}"
            );
        }
    }

    pub fn delivered(
        &mut self,
        (id, holder): (usize, Option<ConsumerId>),
        queue: QueueId,
        (redelivered, returns): (bool, u32),
        no_ack: bool,
        epoch: u64,
    ) {
        let Message { priority, key, .. } = self.messages[id];
        let settings = &self.queues[&queue].settings;
        assert!(!settings.paused, "message {id} comes out of a queue that is paused");
        let grouped = settings.group_by.is_some();
        if grouped && key > 0 {
            self.check_group(id, holder);
        }
        let filter = holder.and_then(|holder| self.filters.get(&holder));
        let wants = |key| filter.is_none_or(|filter| filter.wants(key));
        assert!(wants(key), "message {id} with key {key} went to one who wants {filter:?}");
        self.messages[id].holder = holder;
        let overtaken = |other: &Message| {
            let waits =
                other.queue == queue && other.fate == Fate::Ready && other.stands.not_before == Millis(0) && !other.stands.uncertain;
            waits && other.priority > priority && wants(other.key) && !self.may_leave(other)
        };
        assert!(
            grouped || self.priorities == 0 || !self.messages.iter().any(overtaken),
            "message {id} overtook one of higher priority"
        );
        let now = self.now;
        let counts = self.queues[&queue].counts();
        let message = &mut self.messages[id];
        assert!(message.due.is_none_or(|due| due >= now), "message {id} is delivered too late");
        assert!(message.stands.not_before <= now, "message {id} is delivered too early");
        self.counted += u64::from(message.stands.uncertain && returns > 0);
        message.stands.delivered(returns, counts && !no_ack, epoch);
        assert_eq!(message.queue, queue, "message {id} is in the queue that it was routed to");
        match message.fate {
            Fate::Ready | Fate::Maybe => {}
            fate => panic!("invariants 3 and 6: message {id} was delivered and is {fate:?}"),
        }
        assert!(
            redelivered == message.delivered || message.passed,
            "redelivered says whether message {id} may have been delivered before"
        );
        if !redelivered {
            let group = if grouped || self.filtered { key } else { 0 };
            let last = self.order.insert((queue, message.publisher, message.priority, group), id);
            assert!(last.is_none_or(|last| last < id), "message {id} was overtaken by {last:?}");
        }
        message.delivered = true;
        message.fate = if no_ack { Fate::Settled { epoch } } else { Fate::Unacked };
        self.settled.extend(no_ack.then_some(id));
    }

    /// An older message is ready in its queue.
    pub fn has_older(&self, id: usize) -> bool {
        let queue = self.messages[id].queue;
        let mut older = self.messages[..id].iter().rev();
        older.any(|message| message.queue == queue && message.fate == Fate::Ready)
    }

    /// A consumer that could take something is given nothing: no message is there for it.
    pub fn rests(&self, queue: QueueId, consumer: ConsumerId) {
        let settings = &self.queues[&queue].settings;
        if settings.paused || settings.group_by.is_some() {
            return;
        }
        let filter = self.filters.get(&consumer);
        for (id, message) in self.messages.iter().enumerate() {
            let is_there = message.queue == queue && message.fate == Fate::Ready && !message.stands.uncertain;
            let may_be_elsewhere = self.may_leave(message) || self.may_be_dead(message) || message.stands.not_before > self.now;
            assert!(
                !is_there || may_be_elsewhere || filter.is_some_and(|filter| !filter.wants(message.key)),
                "message {id} is kept from {consumer}, who wants {filter:?}: {message:?}"
            );
        }
    }

    pub fn settled(&mut self, id: usize, epoch: u64) {
        assert_eq!(self.messages[id].fate, Fate::Unacked);
        self.messages[id].fate = Fate::Settled { epoch };
        self.settled.push(id);
    }

    pub fn returned(&mut self, id: usize, cause: ReturnCause, epoch: u64) {
        let message = &mut self.messages[id];
        assert_eq!(message.fate, Fate::Unacked);
        if message.replaced.is_some() {
            return self.settled(id, epoch);
        }
        message.fate = Fate::Ready;
        let set = &self.queues[&message.queue];
        let settings = &set.settings;
        if !set.counts() {
            return;
        }
        if cause == ReturnCause::Undelivered {
            return message.stands.note(message.stands.returns, epoch);
        }
        message.stands.returns += 1;
        let returns = message.stands.returns;
        if settings.delivery_limit.is_some_and(|limit| returns > limit) {
            message.stands.returns = 0;
            return self.leaves(id, Reason::DeliveryLimit, epoch);
        }
        if let Some(retry) = settings.retry
            && (retry.of == RetryOf::All || (retry.of == RetryOf::Failed) == (cause == ReturnCause::Lost))
        {
            let delay = (retry.min_ms * u64::from(returns)).min(retry.max_ms);
            message.stands.not_before = Millis(self.now.0 + delay);
        }
        message.stands.note(returns, epoch);
    }

    /// All ready messages of a queue were settled.
    pub fn purged(&mut self, queue: QueueId, epoch: u64, count: u32) {
        let mut ready = 0;
        let mut maybe = 0;
        for id in 0..self.messages.len() {
            let message = &self.messages[id];
            if message.queue != queue {
                continue;
            }
            match message.fate {
                // It may be dead, and stays then.
                Fate::Ready if self.may_leave(message) || self.may_be_dead(message) => {
                    maybe += 1;
                    self.messages[id].fate = Fate::Maybe;
                    continue;
                }
                Fate::Ready => ready += 1,
                Fate::Maybe => {
                    maybe += 1;
                    if self.may_leave(message) || self.may_be_dead(message) || message.stands.dead.is_some() {
                        continue;
                    }
                }
                _ => continue,
            }
            self.messages[id].fate = Fate::Settled { epoch };
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
        self.messages.iter_mut().for_each(|message| message.stands.durable(epoch));
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
        self.messages.iter_mut().for_each(|message| message.stands.begin_checkpoint());
        let settled = |id: &usize| matches!(self.messages[*id].fate, Fate::Settled { .. });
        self.checkpoint = self.settled.iter().copied().filter(settled).collect();
    }

    pub fn end_checkpoint(&mut self) {
        self.messages.iter_mut().for_each(|message| message.stands.end_checkpoint());
        for id in std::mem::take(&mut self.checkpoint) {
            self.messages[id].fate = Fate::Gone;
        }
    }

    /// The broker stopped and starts again. After a clean stop everything was durable.
    pub fn restarted(&mut self, clean: bool) {
        let durable = self.durable;
        self.checkpoint.clear();
        self.settled.clear();
        let passed: Vec<_> = self
            .messages
            .iter()
            .map(|message| {
                let skipped = self.filtered || self.queues[&message.queue].settings.group_by.is_some();
                message.fate == Fate::Dead || skipped || self.may_leave(message) || self.may_be_dead(message)
            })
            .collect();
        for (message, passed) in self.messages.iter_mut().zip(passed) {
            message.passed |= passed;
            let dead = message.stands.restarted(clean);
            // Nobody was told if its queue let it go because there was no dead-letter exchange any more.
            if message.fate == Fate::Dead && self.queues[&message.queue].silent {
                message.fate = Fate::Maybe;
            }
            message.fate = match message.fate {
                Fate::Dead if message.persistent && dead => Fate::Dead,
                _ if !message.persistent => Fate::Gone,
                Fate::Gone => Fate::Gone,
                // What was replaced does not come back if what replaced it does.
                Fate::Ready | Fate::Unacked | Fate::Dead if message.replaced.is_some() => {
                    let known = clean || message.replaced.is_some_and(|epoch| epoch <= durable);
                    if known { Fate::Gone } else { Fate::Maybe }
                }
                Fate::Settled { .. } if clean => Fate::Gone,
                Fate::Settled { .. } | Fate::Maybe => Fate::Maybe,
                Fate::Ready | Fate::Unacked | Fate::Dead if clean || message.confirmed || message.epoch <= durable => Fate::Ready,
                Fate::Ready | Fate::Unacked | Fate::Dead => Fate::Maybe,
            };
            message.delivered |= !clean;
            message.offered = false;
            message.replaced = None;
            // What waits for a retry since before the restart holds its group back no more.
            message.claimed |= message.stands.not_before > Millis(0);
        }
    }

    /// How many messages of a queue are ready (or delayed, or dead) and unacked for sure, and how many may be there besides.
    pub fn counts(&self, queue: QueueId) -> (u64, u64, u64) {
        let (mut ready, mut unacked, mut maybe) = (0, 0, 0);
        for message in self.messages.iter().filter(|message| message.queue == queue) {
            match message.fate {
                Fate::Ready | Fate::Dead if self.may_vanish(message) => maybe += 1,
                Fate::Ready | Fate::Dead => ready += 1,
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
                !matches!(message.fate, Fate::Ready | Fate::Unacked | Fate::Dead) || self.may_vanish(message),
                "invariant 6: message {id} is lost (confirmed: {}): {message:?}",
                message.confirmed
            );
        }
    }
}

//! Clients that publish, consume, settle, requeue, vanish and come back, and the oracle that watches them.

use stoa_amqp::content::{CLASS_BASIC, ContentHeader, Properties};
use stoa_amqp::{Table, Value};
use stoa_core::channel::{Confirm, Settled, Term, Ticket};
use stoa_core::ids::{ConsumerId, DeliveryTag, Epoch, Millis, QueueId};
use stoa_core::record::{Head, Records, flags};
use stoa_core::shard::{Command, Consumer, GetOutcome, ReturnCause};

use super::{World, consumer};
use crate::broker::{Delivered, ids};
use crate::filter::Filter;
use crate::oracle::{Fate, Message};
use crate::stands::Stands;

/// How deliveries are given back.
#[derive(Clone, Copy)]
pub enum How {
    Settle,
    Reject,
    Requeue(ReturnCause),
}

/// The payload of a header frame that names a key, unless that is 0.
fn header_of(key: usize) -> Vec<u8> {
    if key == 0 {
        return b"header".to_vec();
    }
    let headers: Table = [("k", Value::from(key as i64))].into_iter().collect();
    let headers = headers.encoded();
    let (mut properties, mut out) = (Vec::new(), Vec::new());
    let named = Properties {
        headers: Some(headers.raw()),
        ..Properties::default()
    };
    named.encode(&mut properties);
    let header = ContentHeader {
        class: CLASS_BASIC,
        body_size: 0,
        properties: &properties,
    };
    header.encode(&mut out);
    out
}

impl World {
    pub(super) fn publish(&mut self) {
        let at = self.rng.below(self.clients.len());
        let publisher = self.clients[at].id.0;
        let fan_out = if self.rng.percent(20) { 2 } else { 1 };
        let start = self.rng.below(self.queues.len());
        let queues: Vec<_> = self
            .queues
            .iter()
            .cycle()
            .skip(start)
            .take(fan_out.min(self.queues.len()))
            .cloned()
            .collect();
        let count = if self.rng.percent(20) {
            self.rng.range(50, 400)
        } else {
            self.rng.range(1, 20)
        };
        let persistent = [0, 50, 100, 100][self.rng.below(4)];
        let large = self.rng.percent(10);
        let (timed, longest) = ([0, 0, 20, 100][self.rng.below(4)], [100, 10_000, 1_000_000][self.rng.below(3)]);
        let mut runs = vec![Vec::new(); queues.len()];
        let mut counts = 0;
        let mut priority = 0;
        for n in 0..count {
            let persistent = self.rng.percent(persistent);
            let size = if large && n < 5 {
                self.rng.below(self.body_max + 1)
            } else {
                self.rng.below(self.body_max.min(60) + 1)
            };
            let apart = self.rng.percent(self.apart).then(|| {
                let persistent = persistent && queues.iter().any(|queue| queue.durable);
                let size = self.rng.range(1, self.apart_max) as u64;
                self.broker.bodies.borrow_mut().insert(size, queues.len() as u32, persistent)
            });
            let flags = if persistent { flags::PERSISTENT } else { 0 };
            if self.rng.percent(10) {
                priority = [0, 0, 1, 3, 5, 200, 255][self.rng.below(7)];
            }
            let own_due = self
                .rng
                .percent(timed)
                .then(|| Millis(self.oracle.now.0 + self.rng.below(longest) as u64));
            let key = self.any_key();
            let header = header_of(key);
            let mut behind = Vec::new();
            for (queue, run) in queues.iter().zip(&mut runs) {
                let settings = queue.settings.as_deref().cloned().unwrap_or_default();
                let after = |ms: u64| Millis(self.oracle.now.0 + ms);
                let delay = settings.delays.then(|| after(self.rng.below(longest) as u64));
                let ttl = settings.message_ttl_ms.map(after);
                let head = Head {
                    flags,
                    priority,
                    due: own_due.into_iter().chain(delay).min(),
                    envelope: b"\0\x01q",
                    header: &header,
                };
                let id = self.oracle.published(Message {
                    queue: queue.id,
                    publisher,
                    priority: settings.priority_max.map_or(0, |max| max.min(priority)),
                    persistent: persistent && queue.durable,
                    epoch: self.broker.epoch,
                    confirmed: false,
                    delivered: false,
                    due: [own_due, delay, ttl].into_iter().flatten().min(),
                    stands: Stands::default(),
                    offered: false,
                    passed: false,
                    key,
                    replaced: None,
                    holder: None,
                    claimed: false,
                    fate: Fate::Ready,
                });
                behind.push(id);
                if key > 0 && settings.has_keys() {
                    self.keyed(id, settings.last_value_key.is_some());
                }
                let id = (id as u64).to_le_bytes();
                if let Some(body) = apart {
                    Head { header: &id, ..head }.push_apart(run, body);
                    continue;
                }
                let mut body = id.to_vec();
                body.resize(8 + size, body[0]);
                head.push(run, &body);
            }
            self.clients[at].published.push(behind);
            counts += 1;
        }
        let ticket = self.clients[at].confirms.published(counts, queues.len() as u32);
        for (queue, run) in queues.iter().zip(&runs) {
            let records = Records { bytes: run, count: counts };
            self.broker.apply(queue.id, Command::Publish { queue: queue.id, records });
            self.applied(at, ticket, queue.durable.then_some(Epoch(self.broker.epoch)));
        }
    }

    /// A key, or none, where keys mean something.
    fn any_key(&mut self) -> usize {
        let has_keys = self.keyed || self.grouped || self.filtered;
        if has_keys { self.rng.below(8) } else { 0 }
    }

    /// A message with a key comes to a queue that tells messages apart.
    fn keyed(&mut self, id: usize, last_value: bool) {
        let epoch = self.broker.epoch;
        if !last_value {
            if self.oracle.is_duplicate(id) {
                self.broker.seen.saw("drop a duplicate");
            }
            return;
        }
        for other in self.oracle.replaces(id, epoch) {
            let stays = |id: &usize| self.oracle.messages[*id].persistent && self.oracle.messages[*id].due.is_none();
            if [id, other].iter().all(stays) {
                self.moves.moved(other, id, epoch);
            }
        }
    }

    pub(super) fn applied(&mut self, client: usize, ticket: Ticket, epoch: Option<Epoch>) {
        self.clients[client].confirms.applied(ticket, epoch);
        self.confirm(client);
    }

    pub(super) fn confirm(&mut self, client: usize) {
        while let Some(confirm) = self.clients[client].confirms.next() {
            self.confirmed(client, confirm);
        }
    }

    fn confirmed(&mut self, client: usize, confirm: Confirm) {
        let Confirm { tag, multiple, .. } = confirm;
        let client = &mut self.clients[client];
        let upto = tag.0 as usize;
        assert_eq!(multiple, upto - client.confirmed > 1);
        for &id in client.published[client.confirmed..upto].iter().flatten() {
            self.oracle.confirmed(id);
        }
        self.broker.seen.saw(if multiple { "confirm several" } else { "confirm one" });
        client.confirmed = upto;
    }

    pub(super) fn consume(&mut self) {
        let at = self.rng.below(self.clients.len());
        let Some(queue) = self.queue_with_consumers() else { return };
        let filter = (self.filtered && self.rng.percent(70)).then(|| Filter::any(&mut self.rng));
        let consumer = Consumer {
            no_ack: self.rng.percent(30),
            exclusive: self.rng.percent(5),
            prefetch: [0, 1, 7, 300][self.rng.below(4)],
            priority: if self.filtered { [0, 0, 1][self.rng.below(3)] } else { 0 },
            filter: filter.map(Filter::template),
            ..consumer(ConsumerId(self.fresh_id()), self.clients[at].id)
        };
        let id = consumer.id;
        if self.broker.shard(queue).0.consume(queue, consumer).is_ok() {
            self.clients[at].consumers.push((queue, id));
            self.oracle.filters.extend(filter.map(|filter| (id, filter)));
        }
    }

    /// A queue that is not one of a delayed-message exchange.
    fn queue_with_consumers(&mut self) -> Option<QueueId> {
        let queue = &self.queues[self.rng.below(self.queues.len())];
        let delays = queue.settings.as_ref().is_some_and(|settings| settings.delays);
        (!delays).then_some(queue.id)
    }

    pub(super) fn cancel(&mut self) {
        let at = self.rng.below(self.clients.len());
        let Some(&(queue, consumer)) = self.rng.pick(&self.clients[at].consumers) else {
            return;
        };
        let (shard, sink) = self.broker.shard(queue);
        assert!(shard.cancel(queue, consumer, sink));
        self.clients[at].consumers.retain(|other| *other != (queue, consumer));
    }

    /// A client acknowledges or requeues one delivery, or all up to one.
    pub(super) fn settle(&mut self) {
        let at = self.rng.below(self.clients.len());
        let client = &mut self.clients[at];
        let tags: Vec<_> = client.held.keys().cloned().collect();
        let cause = [ReturnCause::GivenBack, ReturnCause::Lost, ReturnCause::Undelivered][self.rng.below(3)];
        let how = match self.rng.below(10) {
            0 | 1 => How::Requeue(cause),
            2 => How::Reject,
            _ => How::Settle,
        };
        let mut out = Vec::new();
        for _ in 0..self.rng.range(1, 5) {
            let Some(&tag) = self.rng.pick(&tags[..tags.len().min(300)]) else {
                return;
            };
            if !client.held.contains_key(&tag) {
                assert!(client.unacked.settle(DeliveryTag(tag), false, &mut out).is_err());
                continue;
            }
            let multiple = self.rng.percent(40);
            client
                .unacked
                .settle(DeliveryTag(tag), multiple, &mut out)
                .expect("an outstanding tag");
            let settled: Vec<_> = client
                .held
                .range(if multiple { 0 } else { tag }..=tag)
                .map(|(&tag, &id)| (tag, id))
                .collect();
            for (tag, id) in settled {
                client.held.remove(&tag);
                match how {
                    How::Requeue(cause) => self.oracle.returned(id, cause, self.broker.epoch),
                    How::Reject => self.oracle.rejected(id, self.broker.epoch),
                    How::Settle => self.oracle.settled(id, self.broker.epoch),
                }
            }
            client.unacked.invariants();
        }
        self.give_back(out, how);
    }

    pub(super) fn give_back(&mut self, runs: Vec<Settled>, how: How) {
        for run in runs {
            let command = match how {
                How::Requeue(cause) => run.requeue(cause),
                How::Reject => run.reject(),
                How::Settle => run.settle(),
            };
            self.broker.apply(run.queue, command);
        }
    }

    pub(super) fn get(&mut self) {
        let at = self.rng.below(self.clients.len());
        let Some(queue) = self.queue_with_consumers() else { return };
        let no_ack = self.rng.percent(30);
        let bodies = self.broker.bodies.clone();
        let (shard, sink) = self.broker.shard(queue);
        let mut got = None;
        let outcome = shard.get(queue, no_ack, sink, |message| {
            let records = Records {
                bytes: message.record.bytes(),
                count: 1,
            };
            got = Some((
                ids(records, &bodies.borrow())[0],
                message.sequence,
                message.redelivered,
                message.returns,
                message.remaining,
            ));
        });
        let ready = shard.counts(queue).expect("it is there").ready;
        match (outcome, got) {
            (GetOutcome::Taken, Some((id, first, redelivered, returns, remaining))) => {
                assert_eq!(remaining, ready);
                let (outlet, consumer) = (self.clients[at].id, ConsumerId(0));
                self.deliver(
                    at,
                    None,
                    Delivered {
                        outlet,
                        consumer,
                        no_ack,
                        queue,
                        first,
                        redelivered,
                        returns,
                        ids: vec![id],
                    },
                );
            }
            (GetOutcome::Empty, None) => {
                let settings = self.queues.iter().find(|other| other.id == queue);
                let settings = settings.and_then(|queue| queue.settings.as_ref());
                if settings.is_some_and(|settings| settings.group_by.is_some()) {
                    self.broker.seen.saw("get finds all groups held");
                } else if settings.is_none_or(|settings| !settings.paused) {
                    assert_eq!(ready, 0);
                }
            }
            (GetOutcome::Loading, None) => {
                sink.seen.saw("get waits");
                assert!(self.broker.is_waiting());
            }
            (outcome, got) => panic!("{outcome:?} with {got:?}"),
        }
    }

    pub(super) fn deliver(&mut self, at: usize, consumer: Option<ConsumerId>, delivered: Delivered) {
        let Delivered {
            no_ack,
            queue,
            first,
            redelivered,
            returns,
            ids,
            ..
        } = delivered;
        let client = &mut self.clients[at];
        let tag = client
            .unacked
            .delivered(consumer, queue, first, ids.len() as u32, no_ack, Term::default())
            .0;
        assert!(tag > client.last_tag, "invariant 5: delivery tags strictly increase");
        client.last_tag = tag + ids.len() as u64 - 1;
        if consumer.is_some_and(|consumer| self.oracle.filters.contains_key(&consumer)) {
            self.broker.seen.saw("filter lets through");
            if ids.iter().any(|&id| self.oracle.has_older(id)) {
                self.broker.seen.saw("filter leaves what does not match");
            }
        }
        for (tag, id) in (tag..).zip(ids) {
            self.moves.delivered(id);
            self.oracle
                .delivered((id, consumer), queue, (redelivered, returns), no_ack, self.broker.epoch);
            if !no_ack {
                client.held.insert(tag, id);
            }
        }
    }

    pub(super) fn disconnect(&mut self) {
        let at = self.rng.below(self.clients.len());
        let mut client = self.clients.swap_remove(at);
        for shard in 0..self.broker.shards.len() {
            let (shard, sink) = &mut self.broker.shards[shard];
            shard.apply(Command::Gone { outlet: client.id }, sink);
        }
        let lost = ReturnCause::Lost;
        client
            .held
            .values()
            .for_each(|&id| self.oracle.returned(id, lost, self.broker.epoch));
        let runs = client.unacked.take_all();
        self.give_back(runs, How::Requeue(lost));
        self.stalled.retain(|(_, outlet)| *outlet != client.id);
        self.connect();
    }

    pub(super) fn resume(&mut self) {
        if !self.stalled.is_empty() {
            let (shard, outlet) = self.stalled.swap_remove(self.rng.below(self.stalled.len()));
            let (shard, sink) = &mut self.broker.shards[shard];
            shard.apply(Command::Resume { outlet }, sink);
        }
    }
}

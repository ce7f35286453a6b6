//! Publishing: the messages of a read buffer are routed and encoded into one arena, and every shard gets its part as one batch.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use stoa_amqp::content::ContentHeader;
use stoa_amqp::{ReplyCode, fast};
use stoa_core::channel::Settled;
use stoa_core::ids::{Millis, QueueId};
use stoa_core::record::{self, flags};
use stoa_core::shard::ReturnCause;
use stoa_core::topology::RouteTarget;

use super::error::Exception;
use super::interceptors::intercepted;
use super::properties::{Checked, rewritten};
use super::records::{Dues, push_records};
use super::route::{Route, reply_names};
use super::session::Open;
use super::space::check_tuple;
use crate::bodies::APART_MIN;
use crate::broker::Broker;
use crate::deduplication::Claim;
use crate::outlet::Outlet;
use crate::reply_to::Reply;
use crate::shards::{Confirming, Job, Op, Receipt, UNCONFIRMED};

pub(super) const PUBLISH: (u16, u16) = (60, 40);

/// What a read buffer amounts to, before the shards see it. One per thread, reused.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    arena: Vec<u8>,
    per_shard: Vec<Vec<Op>>,
    /// The run of messages that go the same way, not yet turned into commands.
    run: Run,
    /// What channels in confirm mode published, in its order.
    confirms: Vec<ToConfirm>,
    /// The time, if a message of this batch wanted to know it.
    now: Option<Millis>,
    /// It has messages and keys that are durable together or not at all.
    whole: bool,
}

/// Publishes of a channel in confirm mode that are confirmed together.
#[derive(Clone, Copy, Debug)]
struct ToConfirm {
    channel: u16,
    count: u32,
    /// One of them must be durable first.
    durable: bool,
    /// It is one, which a queue may refuse.
    alone: bool,
}

#[derive(Debug, Default)]
struct Run {
    start: usize,
    count: u32,
}

/// A whole message, wherever its parts are.
pub(crate) struct Message<'a> {
    pub(crate) channel: u16,
    pub(crate) exchange: &'a [u8],
    pub(crate) routing_key: &'a [u8],
    pub(crate) envelope: &'a [u8],
    pub(crate) mandatory: bool,
    pub(crate) header: &'a [u8],
    pub(crate) body: Body<'a>,
}

/// A message's body, where it is.
pub(crate) enum Body<'a> {
    /// In the read buffer.
    Borrowed(&'a [u8]),
    /// Put together from several frames.
    Own(Bytes),
}

impl Body<'_> {
    pub(super) fn octets(&self) -> &[u8] {
        match self {
            Body::Borrowed(octets) => octets,
            Body::Own(octets) => octets,
        }
    }

    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Body::Borrowed(octets) => Bytes::copy_from_slice(octets),
            Body::Own(octets) => octets,
        }
    }
}

impl<'a> Message<'a> {
    pub(crate) fn of(publish: &fast::Publish<'a>) -> Self {
        Self {
            channel: publish.channel,
            exchange: publish.exchange.as_bytes(),
            routing_key: publish.routing_key.as_bytes(),
            envelope: publish.envelope,
            mandatory: publish.mandatory,
            header: publish.header,
            body: Body::Borrowed(publish.body),
        }
    }
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.run.count == 0 && self.confirms.is_empty() && self.per_shard.iter().all(Vec::is_empty)
    }

    fn ops(&mut self, broker: &Broker, queue: QueueId) -> &mut Vec<Op> {
        if self.per_shard.len() < broker.shards.len() {
            self.per_shard.resize_with(broker.shards.len(), Vec::new);
        }
        &mut self.per_shard[broker.shard_index(queue)]
    }

    pub(crate) fn settle(&mut self, broker: &Broker, settled: &Settled) {
        self.ops(broker, settled.queue).push(settled.settle().into());
    }

    pub(crate) fn requeue(&mut self, broker: &Broker, settled: &Settled, cause: ReturnCause) {
        self.ops(broker, settled.queue).push(settled.requeue(cause).into());
    }

    pub(crate) fn reject(&mut self, broker: &Broker, settled: &Settled) {
        self.ops(broker, settled.queue).push(settled.reject().into());
    }

    /// Messages for one queue that lie in an arena which [`take_arena`](Self::take_arena) will bring. A refusal is told by
    /// [`apply_now`](Self::apply_now).
    pub(super) fn publish_held(&mut self, broker: &Broker, queue: QueueId, place: std::ops::Range<usize>, count: u32) {
        self.ops(broker, queue).push(Op::Publish {
            queue,
            start: place.start,
            end: place.end,
            count,
            confirm: 0,
        });
    }

    pub(super) fn take_arena(&mut self, arena: Vec<u8>) {
        self.arena = arena;
    }

    /// Has every shard apply its part before this returns; says whether a queue refused something.
    pub(super) fn apply_now(self, broker: &Arc<Broker>) -> bool {
        let mut refused = false;
        for (shard, ops) in self.per_shard.iter().enumerate().filter(|(_, ops)| !ops.is_empty()) {
            let job = Job {
                ops,
                arena: &self.arena,
                receipt: None,
            };
            refused |= broker.shards[shard].apply_now(broker, job);
        }
        refused
    }

    /// Turns the current run of messages into one command per queue.
    pub(super) fn close_run(&mut self, broker: &Broker, targets: &[RouteTarget], confirm: u32) {
        let run = std::mem::replace(
            &mut self.run,
            Run {
                start: self.arena.len(),
                count: 0,
            },
        );
        self.send_run(broker, &run, self.arena.len(), targets, confirm);
    }

    fn send_run(&mut self, broker: &Broker, run: &Run, end: usize, targets: &[RouteTarget], confirm: u32) {
        if run.count > 0 {
            for target in targets {
                self.ops(broker, target.queue).push(Op::Publish {
                    queue: target.queue,
                    start: run.start,
                    end,
                    count: run.count,
                    confirm,
                });
            }
        }
    }

    /// Hands everything to the shards.
    pub(crate) fn submit(&mut self, broker: &Arc<Broker>, outlet: &Arc<Outlet>, route: &Route) {
        let whole = std::mem::take(&mut self.whole).then(|| broker.commits.transaction());
        self.hand_over(broker, outlet, route, whole.is_some());
    }

    /// Hands everything to the shards, which apply it before this returns if it is for one commit. Says whether a queue refused something, then.
    fn hand_over(&mut self, broker: &Arc<Broker>, outlet: &Arc<Outlet>, route: &Route, at_once: bool) -> bool {
        let mut refused = false;
        self.close_run(broker, &route.targets, UNCONFIRMED);
        let jobs = self.per_shard.iter().filter(|ops| !ops.is_empty()).count() as u32;
        if !self.confirms.is_empty() {
            let count = self.confirms.iter().map(|wanted| u64::from(wanted.count)).sum();
            broker.counters.confirmed.fetch_add(count, Ordering::Relaxed);
        }
        let receipt = (!self.confirms.is_empty()).then(|| self.expect_confirms(outlet, jobs));
        for (shard, ops) in self.per_shard.iter_mut().enumerate() {
            if !ops.is_empty() {
                let (cell, job) = (
                    &broker.shards[shard],
                    Job {
                        ops,
                        arena: &self.arena,
                        receipt: receipt.as_ref(),
                    },
                );
                if at_once {
                    refused |= cell.apply_now(broker, job);
                } else {
                    cell.submit(broker, job);
                }
                ops.clear();
            }
        }
        self.arena.clear();
        if self.arena.capacity() > ARENA_KEPT_MAX {
            self.arena = Vec::new();
        }
        self.run = Run::default();
        self.now = None;
        refused
    }

    /// Takes in the records of keys that a message has claimed. What came before has become commands.
    pub(super) fn remember(&mut self, broker: &Broker, claims: &[Claim], persistent: bool) {
        // Without its message no key outlives a restart.
        for claim in claims.iter().filter(|claim| claim.key.durable && persistent) {
            let (queue, start) = (claim.key.queue, self.arena.len());
            claim.push(&mut self.arena);
            let end = self.arena.len();
            self.ops(broker, queue).push(Op::Publish {
                queue,
                start,
                end,
                count: 1,
                confirm: UNCONFIRMED,
            });
            self.whole = true;
        }
        self.run.start = self.arena.len();
    }

    /// Takes in a message that an exchange holds back: it is a run of its own.
    fn publish_delayed(&mut self, broker: &Broker, message: Message<'_>, stamps: (Checked, Dues), targets: &[RouteTarget], confirm: u32) {
        let mut arena = std::mem::take(&mut self.arena);
        let mut runs = Vec::with_capacity(2);
        push_records(&mut arena, broker, message, stamps, targets, |record, targets| {
            runs.push((record, targets.to_vec()));
        });
        self.arena = arena;
        for (record, targets) in runs {
            let run = Run {
                start: record.start,
                count: 1,
            };
            self.send_run(broker, &run, record.end, &targets, confirm);
        }
        self.run = Run {
            start: self.arena.len(),
            count: 0,
        };
    }

    /// The times that a message is stamped with.
    fn dues(&mut self, broker: &Broker, checked: Checked, route: &Route) -> Dues {
        Dues {
            expires: checked.expiration_ms.map(|ms| self.due(broker, ms)),
            held_until: route.delay_ms.map(|ms| self.due(broker, ms)),
        }
    }

    /// When a message that may wait this long expires. The clock is read once a batch.
    fn due(&mut self, broker: &Broker, after_ms: u64) -> Millis {
        let now = *self.now.get_or_insert_with(|| broker.timers.clock.now());
        Millis(now.0 + after_ms)
    }

    /// Counts a publish of a channel in confirm mode in. `alone`: its place, if its confirm must not be joined with others'.
    fn confirm(&mut self, channel: u16, durable: bool, alone: bool) -> u32 {
        match self.confirms.last_mut() {
            Some(last) if last.channel == channel && !alone && !last.alone => {
                last.count += 1;
                last.durable |= durable;
            }
            _ => self.confirms.push(ToConfirm {
                channel,
                count: 1,
                durable,
                alone,
            }),
        }
        (self.confirms.len() - 1) as u32
    }

    fn expect_confirms(&mut self, outlet: &Arc<Outlet>, jobs: u32) -> Receipt {
        let mut state = outlet.lock();
        let channels = self
            .confirms
            .drain(..)
            .map(|wanted| {
                // A channel that is gone waits for nothing; it keeps its place, by which a refusal would name it.
                let ticket = state.expect_confirm(wanted.channel, wanted.count, jobs).unwrap_or_default();
                (wanted.channel, ticket, wanted.durable)
            })
            .collect();
        Receipt::Publisher(Confirming {
            outlet: outlet.clone(),
            channels,
        })
    }
}

/// The arena grows with large messages; what is larger than this is given back.
const ARENA_KEPT_MAX: usize = 4 << 20;

impl Open {
    /// Adds a message to the batch that goes the way of the one before and asks for nothing special: the way of most messages, which must be
    /// short. False: [`publish`](Self::publish) has to look at it.
    #[inline]
    pub(crate) fn publish_alike(&mut self, broker: &Broker, batch: &mut Batch, message: &Message<'_>) -> bool {
        let (route, body) = (&self.route, message.body.octets());
        let is_alike = route.is_plain
            && route.envelope == message.envelope
            && route.version == broker.topology_version.load(Ordering::Acquire)
            && body.len() < APART_MIN;
        if !is_alike {
            return false;
        }
        let header = ContentHeader::decode(message.header).ok();
        let (Some(checked), Some(channel)) = (
            header.and_then(|header| self.known.plain(&header)),
            self.channels.get(&message.channel).filter(|channel| channel.transaction.is_none()),
        ) else {
            return false;
        };
        if self.tally.channel != message.channel {
            let before = self.channels.get(&self.tally.channel);
            self.tally.turn_channel(before.map(|channel| &*channel.counts), message.channel);
        }
        self.tally.add(body.len(), route.outs);
        if channel.confirms {
            batch.confirm(message.channel, checked.persistent && route.is_durable, false);
        }
        let flags = if checked.persistent { flags::PERSISTENT } else { 0 };
        record::push(&mut batch.arena, flags, checked.priority, message.envelope, message.header, body);
        batch.run.count += 1;
        true
    }

    /// A message that is published goes the way of the route.
    #[inline]
    fn count(&mut self, channel: u16, octets: usize) {
        if self.tally.channel != channel {
            let before = self.channels.get(&self.tally.channel);
            self.tally.turn_channel(before.map(|channel| &*channel.counts), channel);
        }
        self.tally.add(octets, self.route.outs);
    }

    /// Counts what was published since this was called last. To be called before another route is taken, and when a read is through.
    pub(super) fn count_published(&mut self, broker: &Broker) {
        if !self.tally.is_empty() {
            let channel = self.channels.get(&self.tally.channel).map(|channel| &*channel.counts);
            self.tally.settle(&broker.counters, channel, self.route.exchange.as_deref());
        }
    }

    /// Routes a message, and adds it to the batch.
    pub(crate) fn publish(&mut self, broker: &Arc<Broker>, batch: &mut Batch, message: Message<'_>) -> Result<(), Exception> {
        let octets = message.body.octets().len() as u64;
        let outcome = self.take_in(broker, batch, message);
        if outcome.is_ok() && (self.paying.is_any() || !self.route.rated.is_empty()) {
            self.paying.pay(octets, &self.route.rated);
        }
        if !self.route.claims.is_empty() {
            if outcome.is_err() {
                broker.seen.give_back(&self.route.claims);
            }
            self.route.claims.clear();
        }
        outcome
    }

    fn take_in(&mut self, broker: &Arc<Broker>, batch: &mut Batch, message: Message<'_>) -> Result<(), Exception> {
        let header = ContentHeader::decode(message.header)?;
        let checked = match self.known.check(&header, &self.user) {
            Ok(checked) => checked,
            Err(exception) => return Err(self.exchange_refuses(broker, &message).err().unwrap_or(exception)),
        };
        let mut message = message;
        let (intercepted_header, edited);
        let mut header = header;
        let incoming = &broker.config.message_interceptors.incoming;
        if incoming.is_on() {
            intercepted_header = intercepted(&header, incoming, broker.timers.clock.now())?;
            header = ContentHeader::decode(&intercepted_header)?;
            message.header = &intercepted_header;
        }
        self.route(broker, batch, &message, &header, checked)?;
        if self.known.copies.is_blind || checked.wants_reply_name {
            let name = if checked.wants_reply_name {
                self.reply_name(message.channel)?
            } else {
                None
            };
            edited = rewritten(&header, self.known.copies.is_blind, name.as_deref())?;
            message.header = &edited;
        }
        let mut checked = checked;
        if self.route.takes_tuples {
            checked.is_tuple = check_tuple(&ContentHeader::decode(message.header)?, message.body.octets())?;
        }
        self.count(message.channel, message.body.octets().len());
        let durable = checked.persistent && self.route.is_durable;
        let Some(channel) = self.channels.get_mut(&message.channel) else {
            return Ok(());
        };
        if let Some(transaction) = &mut channel.transaction {
            if !self.route.reaches {
                channel.counts.note_lost(&broker.counters, message.mandatory);
            }
            let taken = transaction.publish(broker, &self.route, &self.known, message, checked);
            // They are claimed at the commit.
            self.route.claims.clear();
            return taken;
        }
        let keyed = !self.route.claims.is_empty();
        let (confirms, may_refuse) = (channel.confirms, self.route.may_refuse);
        let alone = may_refuse && (confirms || keyed);
        if alone && keyed {
            // Whether it is refused must be known before its keys are kept.
            batch.submit(broker, &self.outlet, &self.route);
        }
        if message.mandatory && self.route.targets.is_empty() && !batch.is_empty() {
            // What was published before can be confirmed before this one comes back, whether or not both were read at once.
            batch.submit(broker, &self.outlet, &self.route);
        }
        let mut confirm = if alone { 0 } else { UNCONFIRMED };
        if confirms {
            let place = batch.confirm(message.channel, durable, alone);
            if alone {
                batch.close_run(broker, &self.route.targets, UNCONFIRMED);
                confirm = place;
            }
        }
        let replied = self.route.replies && self.send_replies(broker, &message);
        if !self.route.reaches {
            // Whoever gets it back may send it again.
            broker.seen.give_back(&self.route.claims);
            self.route.claims.clear();
            if !replied && let Some(channel) = self.channels.get(&message.channel) {
                channel.counts.note_lost(&broker.counters, message.mandatory);
            }
            if message.mandatory && !replied {
                let mut state = self.outlet.lock();
                let frame_max = state.frame_max();
                write_return(
                    state.buffer(),
                    message.channel,
                    (message.envelope, message.header, message.body.octets()),
                    frame_max,
                );
            }
        }
        if self.route.targets.is_empty() {
            return Ok(());
        }
        let dues = batch.dues(broker, checked, &self.route);
        let Route { targets, delay_ms, .. } = &self.route;
        if delay_ms.is_none() {
            push_records(&mut batch.arena, broker, message, (checked, dues), targets, |_, _| ());
            batch.run.count += 1;
            if alone {
                batch.close_run(broker, targets, confirm);
            }
        } else {
            batch.publish_delayed(broker, message, (checked, dues), targets, confirm);
        }
        if keyed {
            batch.close_run(broker, targets, confirm);
            self.keep_claims(broker, batch, durable, may_refuse);
        }
        Ok(())
    }

    /// The message is in the batch, and its keys are kept with it. `may_refuse`: it alone is in the batch, and only if no queue refuses it its keys are kept,
    /// so that its publisher can send it again.
    fn keep_claims(&self, broker: &Arc<Broker>, batch: &mut Batch, persistent: bool, may_refuse: bool) {
        if !may_refuse {
            return batch.remember(broker, &self.route.claims, persistent);
        }
        let _whole = broker.commits.transaction();
        if batch.hand_over(broker, &self.outlet, &self.route, true) {
            broker.seen.give_back(&self.route.claims);
            return;
        }
        batch.remember(broker, &self.route.claims, persistent);
        batch.whole = false;
        batch.hand_over(broker, &self.outlet, &self.route, true);
    }

    /// The name by which the channel's own consumer of replies is reached.
    fn reply_name(&self, number: u16) -> Result<Option<String>, Exception> {
        let mut state = self.outlet.lock();
        let Some(out) = state.channel(number) else { return Ok(None) };
        match &out.replies {
            Some(replies) => Ok(Some(replies.name.clone())),
            None => Err(Exception::new(
                ReplyCode::PreconditionFailed,
                PUBLISH,
                "fast reply consumer does not exist",
            )),
        }
    }

    /// Delivers a message straight to those whom it answers; says whether there was one.
    fn send_replies(&self, broker: &Broker, message: &Message<'_>) -> bool {
        let reply = Reply {
            envelope: message.envelope,
            header: message.header,
            body: message.body.octets(),
        };
        let mut sent = false;
        for name in reply_names(message.routing_key, &self.known) {
            sent |= broker.reply_to(name, reply);
        }
        sent
    }
}

/// Appends the return of a message that reached nobody.
pub(super) fn write_return(out: &mut Vec<u8>, channel: u16, (envelope, header, body): (&[u8], &[u8], &[u8]), frame_max: u32) {
    fast::write_return(
        out,
        channel,
        ReplyCode::NoRoute.code(),
        "NO_ROUTE",
        envelope,
        header,
        body,
        frame_max,
    );
}

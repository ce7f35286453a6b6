//! Transactions (AMQP 0-9-1, class `tx`): what a channel publishes and settles is held until `tx.commit`, and then takes effect as a whole, in all
//! queues that it concerns and across a crash. RabbitMQ promises that for one queue only.
//!
//! A publish is checked and routed when it comes, as in RabbitMQ; what it lacks is told then. A mandatory message comes back with the commit if it
//! reached no queue, or if none of its queues is there any more. Its time to live, and its delay, count from the commit. Settled deliveries are set aside: they cannot be settled again, and come back with a rollback.
//!
//! How it becomes one with its commit: [`Commits::transaction`](crate::commit::Commits::transaction).

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use stoa_amqp::{Method, ReplyCode, ShortString, tx};
use stoa_core::channel::Aside;
use stoa_core::ids::{Millis, QueueId};
use stoa_core::record::{Head, Record, Records, put_off};
use stoa_core::shard::ReturnCause;
use stoa_core::topology::{RouteTarget, Topology};

use super::error::Exception;
use super::properties::{Checked, KnownProperties};
use super::publish::{Batch, Message, write_return};
use super::records::{Dues, push_records};
use super::route::{Route, reply_names};
use super::session::{Open, Outcome};
use crate::broker::Broker;
use crate::deduplication::Claim;
use crate::reply_to::Reply;

/// What the memory of a settled run or of a message counts beside its octets.
const OVERHEAD_BYTES: usize = 64;

/// What a channel has done since `tx.select` or the last commit or rollback.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    arena: Vec<u8>,
    runs: Vec<Run>,
    /// The queues that the runs go to.
    targets: Vec<RouteTarget>,
    /// What they are called: the message is for the queue of that name at the commit, as in RabbitMQ.
    names: HashMap<QueueId, ShortString>,
    /// Some records name a time: it is a duration until the commit.
    is_timed: bool,
    /// Messages that exchanges know by keys, which are claimed at the commit.
    keyed: Vec<Keyed>,
    settled: Vec<(Aside, Fate)>,
    /// Messages that answer somebody directly: the name, and a record in `answers_arena`.
    answers: Vec<(Box<[u8]>, Range<usize>)>,
    answers_arena: Vec<u8>,
    bytes: usize,
}

/// Messages that go to the same queues.
#[derive(Debug)]
struct Run {
    start: usize,
    end: usize,
    count: u32,
    /// Empty for what has reached nobody and comes back.
    targets: Range<usize>,
    /// The messages come back if none of these queues is there at the commit. Of a message that is in two runs, the last says so.
    mandatory: Option<Range<usize>>,
}

/// A message and the keys by which exchanges know it.
#[derive(Debug)]
struct Keyed {
    /// Its runs: it alone is in them.
    runs: Range<usize>,
    claims: Vec<Claim>,
    persistent: bool,
}

/// What becomes of a delivery that is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Acknowledged,
    Rejected,
    Requeued,
}

impl Transaction {
    /// Takes a message in that was checked and routed.
    #[allow(clippy::too_many_arguments)] // All that is known of a message where publishes part ways.
    pub(super) fn publish(
        &mut self,
        broker: &Broker,
        route: &Route,
        known: &KnownProperties,
        message: Message<'_>,
        checked: Checked,
    ) -> Result<(), Exception> {
        self.grow(
            broker,
            message.body.octets().len() + message.header.len() + OVERHEAD_BYTES,
            (60, 40),
        )?;
        let mut answers = false;
        for name in reply_names(message.routing_key, known).filter(|name| route.replies && broker.expects_replies(name)) {
            answers = true;
            let start = self.answers_arena.len();
            let head = Head {
                envelope: message.envelope,
                header: message.header,
                ..Default::default()
            };
            head.push(&mut self.answers_arena, message.body.octets());
            self.answers.push((name.into(), start..self.answers_arena.len()));
        }
        if !route.reaches && message.mandatory && !answers {
            self.hold_to_return(&message);
        }
        if route.targets.is_empty() {
            return Ok(());
        }
        let dues = Dues {
            expires: checked.expiration_ms.map(Millis),
            held_until: route.delay_ms.map(Millis),
        };
        self.is_timed |= dues.expires.is_some() || dues.held_until.is_some();
        let mandatory = message.mandatory && !answers && route.reaches;
        let is_keyed = route.reaches && !route.claims.is_empty();
        let first_run = self.runs.len();
        let may_join = !is_keyed && self.keyed.last().is_none_or(|keyed| keyed.runs.end < first_run);
        let persistent = checked.persistent && route.is_durable;
        let Self { arena, runs, targets, .. } = self;
        let mut queues_left = route.targets.len();
        push_records(arena, broker, message, (checked, dues), &route.targets, |record, to| {
            queues_left -= to.len();
            match runs.last_mut() {
                Some(run)
                    if may_join
                        && run.end == record.start
                        && run.mandatory.is_some() == mandatory
                        && targets[run.targets.clone()] == *to
                        && to.len() == route.targets.len() =>
                {
                    run.end = record.end;
                    run.count += 1;
                }
                _ => {
                    let first = targets.len();
                    targets.extend_from_slice(to);
                    let all = targets.len() - (route.targets.len() - queues_left)..targets.len();
                    runs.push(Run {
                        start: record.start,
                        end: record.end,
                        count: 1,
                        targets: first..targets.len(),
                        mandatory: (mandatory && queues_left == 0).then_some(all),
                    });
                }
            }
        });
        if self.runs.len() > first_run {
            self.note_names(broker, &route.targets);
        }
        if is_keyed {
            self.bytes += route.claims.len() * OVERHEAD_BYTES;
            self.keyed.push(Keyed {
                runs: first_run..self.runs.len(),
                claims: route.claims.clone(),
                persistent,
            });
        }
        Ok(())
    }

    fn note_names(&mut self, broker: &Broker, targets: &[RouteTarget]) {
        let unknown = |target: &&RouteTarget| !self.names.contains_key(&target.queue);
        let unknown: Vec<_> = targets.iter().filter(unknown).map(|target| target.queue).collect();
        if unknown.is_empty() {
            return;
        }
        let site = broker.topology.read();
        let queues = unknown.into_iter().filter_map(|id| site.topology.queue_by_id(id));
        for queue in queues {
            self.bytes += OVERHEAD_BYTES + queue.name.len();
            self.names.insert(queue.id, queue.name.clone());
        }
    }

    /// Messages for queues that are gone go to those that have their names now.
    fn find_again(&mut self, broker: &Broker, topology: &Topology, vhost: &str) {
        for run in 0..self.runs.len() {
            for at in self.runs[run].targets.clone() {
                let target = self.targets[at];
                if topology.queue_by_id(target.queue).is_some() {
                    continue;
                }
                let name = self.names.get(&target.queue);
                let Some(found) = name.and_then(|name| topology.find_queue(vhost, name.as_bytes())) else {
                    continue;
                };
                self.targets[at] = found.target();
                for record in self
                    .records(&self.runs[run])
                    .iter()
                    .filter(|record| found.durable && record.is_persistent())
                {
                    // The body is to outlive the process, which it may not have been before.
                    if let Some(body) = record.body_ref()
                        && broker.bodies.retain(body.id, 1, true)
                    {
                        broker.bodies.release(body.id);
                    }
                }
            }
        }
    }

    /// Claims the keys of the messages. What somebody else has published meanwhile, or this transaction before, is a duplicate and goes nowhere.
    fn claim(&mut self, broker: &Broker) {
        let now = broker.timers.clock.now();
        let mut keyed = std::mem::take(&mut self.keyed);
        for message in &mut keyed {
            for claim in &mut message.claims {
                *claim = Claim::new(claim.key, now);
            }
            let claimed = message.claims.iter().take_while(|claim| broker.seen.claim(claim, now)).count();
            if claimed < message.claims.len() {
                broker.seen.give_back(&message.claims[..claimed]);
                message.claims.clear();
                for at in message.runs.clone() {
                    self.release_bodies(broker, &self.runs[at]);
                    let run = &mut self.runs[at];
                    run.targets = 0..0;
                    run.mandatory = run.mandatory.as_ref().map(|_| 0..0);
                }
            }
        }
        self.keyed = keyed;
    }

    /// The records of the keys, or, if a queue `refused` a message, none, and nobody has seen any of the messages: the publisher may send them again.
    fn remember(&self, broker: &Arc<Broker>, refused: bool) {
        let mut batch = Batch::default();
        for message in &self.keyed {
            if refused {
                broker.seen.give_back(&message.claims);
            } else {
                batch.remember(broker, &message.claims, message.persistent);
            }
        }
        batch.apply_now(broker);
    }

    /// Holds a message that has reached nobody until the commit returns it.
    fn hold_to_return(&mut self, message: &Message<'_>) {
        let start = self.arena.len();
        let head = Head {
            envelope: message.envelope,
            header: message.header,
            ..Head::default()
        };
        head.push(&mut self.arena, message.body.octets());
        self.runs.push(Run {
            start,
            end: self.arena.len(),
            count: 1,
            targets: 0..0,
            mandatory: Some(0..0),
        });
    }

    /// Holds a settlement.
    pub(super) fn settle(&mut self, broker: &Broker, aside: Vec<Aside>, fate: Fate, cause: (u16, u16)) -> Result<(), Exception> {
        let bytes = aside.len() * OVERHEAD_BYTES;
        self.settled.extend(aside.into_iter().map(|aside| (aside, fate)));
        self.grow(broker, bytes, cause)
    }

    fn grow(&mut self, broker: &Broker, bytes: usize, cause: (u16, u16)) -> Result<(), Exception> {
        self.bytes += bytes;
        let max = broker.config.limits.transaction_bytes_max;
        if self.bytes > max {
            let text = format!("the transaction is larger than {max} octets");
            return Err(Exception::new(ReplyCode::PreconditionFailed, cause, text));
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.runs.iter().all(|run| run.targets.is_empty()) && self.settled.is_empty()
    }

    /// Drops what was published. The settled deliveries are the caller's again.
    pub(super) fn roll_back(self, broker: &Broker) -> impl Iterator<Item = Aside> {
        for run in &self.runs {
            self.release_bodies(broker, run);
        }
        self.settled.into_iter().map(|(aside, _)| aside)
    }

    fn release_bodies(&self, broker: &Broker, run: &Run) {
        for body in self.records(run).iter().filter_map(Record::body_ref) {
            run.targets.clone().for_each(|_| broker.bodies.release(body.id));
        }
    }

    fn records(&self, run: &Run) -> Records<'_> {
        Records {
            bytes: &self.arena[run.start..run.end],
            count: run.count,
        }
    }

    /// The frames of the mandatory messages whose queues are not there, in the order in which they were published.
    fn returns(&self, broker: &Broker, topology: &Topology, channel: u16, frame_max: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let is_there = |target: &RouteTarget| target.delays || topology.queue_by_id(target.queue).is_some();
        for run in &self.runs {
            let Some(queues) = &run.mandatory else { continue };
            if self.targets[queues.clone()].iter().any(is_there) {
                continue;
            }
            for record in self.records(run).iter() {
                let apart = record.body_ref().map(|body| broker.bodies.get(body.id));
                let body = match &apart {
                    None => record.body(),
                    Some(Some(octets)) => octets,
                    // It is damaged, and that has been said.
                    Some(None) => continue,
                };
                write_return(&mut out, channel, (record.envelope(), record.header(), body), frame_max);
            }
        }
        out
    }

    /// What waits for so long counts from now on.
    fn start_clocks(&mut self, now: Millis) {
        if self.is_timed {
            put_off(&mut self.arena, now.0);
        }
    }

    /// As commands for the shards: the messages first, then what was settled, as RabbitMQ does it.
    fn fill(&mut self, broker: &Broker, batch: &mut Batch) {
        for run in &self.runs {
            for target in &self.targets[run.targets.clone()] {
                batch.publish_held(broker, target.queue, run.start..run.end, run.count);
            }
        }
        for (aside, fate) in &self.settled {
            match fate {
                Fate::Acknowledged => batch.settle(broker, &aside.what()),
                Fate::Rejected => batch.reject(broker, &aside.what()),
                Fate::Requeued => batch.requeue(broker, &aside.what(), ReturnCause::GivenBack),
            }
        }
        batch.take_arena(std::mem::take(&mut self.arena));
    }

    fn answer(&self, broker: &Broker) {
        for (name, place) in &self.answers {
            if let Some(record) = Record::first_of(&self.answers_arena[place.clone()]) {
                let (envelope, header, body) = (record.envelope(), record.header(), record.body());
                broker.reply_to(name, Reply { envelope, header, body });
            }
        }
    }
}

impl Open {
    /// `tx.select`, `tx.commit` and `tx.rollback`. What came before has been handed to the shards.
    pub(crate) fn tx_method(&mut self, broker: &Arc<Broker>, number: u16, method: &Method<'_>) -> Outcome {
        let refused = |text: &str| Err(Exception::new(ReplyCode::PreconditionFailed, method.id(), text));
        let Some(channel) = self.channels.get_mut(&number) else {
            return Ok(None);
        };
        if let Method::TxSelect(_) = method {
            if channel.confirms {
                return refused("cannot switch from confirm to tx mode");
            }
            channel.transaction.get_or_insert_default();
            self.note_mode(number, |mode| mode.transactional = true);
            self.reply(number, &Method::TxSelectOk(tx::SelectOk {}));
            return Ok(None);
        }
        let Some(transaction) = &mut channel.transaction else {
            return refused("channel is not transactional");
        };
        let transaction = std::mem::take(&mut **transaction);
        if let Method::TxCommit(_) = method {
            return self.commit(broker, number, transaction, method.id());
        }
        let aside = transaction.roll_back(broker);
        let mut state = self.outlet.lock();
        if let Some(out) = state.channel(number) {
            aside.for_each(|aside| out.unacked.put_back(aside));
        }
        Method::TxRollbackOk(tx::RollbackOk {}).write_frame(number, state.reply_buffer());
        Ok(None)
    }

    fn commit(&mut self, broker: &Arc<Broker>, number: u16, mut transaction: Transaction, cause: (u16, u16)) -> Outcome {
        if broker.commits.has_failed() {
            // It would never be answered. It is rolled back with the connection.
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.transaction = Some(Box::new(transaction));
            }
            let text = "the store has failed, nothing can be committed";
            return Err(Exception::connection(ReplyCode::InternalError, cause, text));
        }
        transaction.find_again(broker, &broker.topology.read().topology, &self.vhost);
        transaction.claim(broker);
        if transaction.runs.iter().any(|run| run.mandatory.is_some()) {
            let frame_max = self.outlet.lock().frame_max();
            let returns = transaction.returns(broker, &broker.topology.read().topology, number, frame_max);
            self.outlet.lock().reply_buffer().extend_from_slice(&returns);
        }
        transaction.answer(broker);
        transaction.start_clocks(broker.timers.clock.now());
        let mut refused = false;
        if !transaction.is_empty() {
            let mut batch = Batch::default();
            transaction.fill(broker, &mut batch);
            let _whole = broker.commits.transaction();
            refused = batch.apply_now(broker);
            if !transaction.keyed.is_empty() {
                transaction.remember(broker, refused);
            }
            if let Some(out) = self.outlet.lock().channel(number) {
                transaction.settled.iter().for_each(|(aside, _)| out.unacked.committed(aside));
            }
        }
        if refused {
            // As RabbitMQ says it: the refused messages are not there, the rest is.
            return Err(Exception::new(ReplyCode::PreconditionFailed, cause, "partial tx completion"));
        }
        self.reply_when_durable(broker, number, &Method::TxCommitOk(tx::CommitOk {}), !transaction.is_empty());
        Ok(None)
    }

    /// The channel ends: its transaction is rolled back, and what it had settled is unsettled again.
    pub(crate) fn abandon_transaction(&mut self, broker: &Broker, number: u16) {
        let Some(transaction) = self.channels.get_mut(&number).and_then(|channel| channel.transaction.take()) else {
            return;
        };
        let aside = transaction.roll_back(broker);
        if let Some(out) = self.outlet.lock().channel(number) {
            aside.for_each(|aside| out.unacked.put_back(aside));
        }
    }
}

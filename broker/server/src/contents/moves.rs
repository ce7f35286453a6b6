//! Moving messages to other queues: published there and gone from here in one commit, as a transaction is.
//!
//! What is to be moved is copied first, then claimed, so that no consumer gets it meanwhile; what was claimed is published, and what some queue took is
//! settled. All of that reaches the shards while the gate of transactions is held, so a commit takes in all of it or nothing, and a crash leaves every
//! message in one of its queues. What no queue takes stays where it was.

use std::sync::Arc;

use parking_lot::Mutex;
use stoa_amqp::content::{ContentHeader, Properties};
use stoa_amqp::{ShortStr, ShortString};
use stoa_core::dead_letter::exchange_and_key;
use stoa_core::ids::{QueueId, Sequence};
use stoa_core::record::Record;
use stoa_core::shard::MessageState;
use stoa_core::topology::{Facts, Permission, RouteTarget, Topology, delay_ms};

use super::{Asker, Browse, Budget, ContentsError, Found};
use crate::broker::Broker;
use crate::letters::{Content, add_publish, push_content};
use crate::shards::{Job, Op, Receipt};

/// Which messages are to be moved.
#[derive(Clone, Debug)]
pub enum Pick {
    /// These; those that are gone or somebody's stay out.
    These(Vec<Sequence>),
    /// Those that a look finds, if they are ready or delayed.
    Found(Browse),
}

/// Where messages go.
#[derive(Clone, Debug)]
pub struct Destination {
    /// To this exchange.
    pub exchange: ShortString,
    /// With this routing key; absent: with their own.
    pub routing_key: Option<ShortString>,
}

/// What a move came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Messages that are in other queues now.
    pub moved: u64,
    /// Messages that stayed because no queue took them: there was none, or it was full.
    pub stayed: u64,
    /// Where to go on, for messages that were looked for; absent: that was all.
    pub next: Option<Sequence>,
}

impl Broker {
    /// Moves messages of a queue to where an exchange leads. They keep their properties; a time to live, and a delay, begin anew. Headers `CC` and `BCC` lead
    /// nowhere. To be followed by [`contents_durable`](Self::contents_durable).
    ///
    /// # Errors
    /// If there is no such queue or exchange, the user may not read from the one or write to the other, too many are named, a part of the queue is damaged,
    /// or the store has failed. Then nothing is moved.
    pub fn move_messages(self: &Arc<Self>, asker: Asker<'_>, queue: &str, pick: &Pick, to: &Destination) -> Result<Moved, ContentsError> {
        let queue = self.readable(asker, queue)?.id;
        self.check_destination(asker, to)?;
        if self.commits.has_failed() {
            return Err(ContentsError::NotDurable);
        }
        let mut budget = Budget::new(self, usize::MAX);
        let (mut found, next) = match pick {
            Pick::These(sequences) => (self.find_all(queue, sequences)?, None),
            Pick::Found(browse) => {
                budget.messages = budget.messages.min(browse.count);
                self.look_for(queue, browse, &mut budget, |record| record.bytes().len())?
            }
        };
        found.retain(|found| matches!(found.state, MessageState::Ready | MessageState::Delayed));
        let (moved, stayed) = self.move_found(asker, queue, &found, to)?;
        Ok(Moved { moved, stayed, next })
    }

    fn check_destination(&self, asker: Asker<'_>, to: &Destination) -> Result<(), ContentsError> {
        let site = self.topology.read();
        site.topology.check_write(&asker.actor(), to.exchange.as_bytes())?;
        if let Some(key) = &to.routing_key {
            site.topology
                .check_topic(&asker.actor(), Permission::Write, to.exchange.as_bytes(), key.as_bytes())?;
        }
        // Without messages, too, it is an error that there is no such exchange.
        let mut facts = Facts::default;
        let key: &[u8] = to.routing_key.as_ref().map_or(&[], |key| key.as_bytes());
        site.topology
            .route(asker.vhost, to.exchange.as_bytes(), &[key], &mut facts, &mut Vec::new())?;
        Ok(())
    }

    fn find_all(self: &Arc<Self>, queue: QueueId, sequences: &[Sequence]) -> Result<Vec<Found>, ContentsError> {
        let max = self.config.limits.contents_page_max;
        if sequences.len() > max {
            return Err(ContentsError::TooMany(max));
        }
        let mut sequences = sequences.to_vec();
        sequences.sort_unstable();
        sequences.dedup();
        let found = sequences.into_iter().map(|sequence| self.find(queue, sequence));
        found.filter_map(Result::transpose).collect()
    }

    /// Gives how many went and how many stayed.
    fn move_found(
        self: &Arc<Self>,
        asker: Asker<'_>,
        queue: QueueId,
        found: &[Found],
        to: &Destination,
    ) -> Result<(u64, u64), ContentsError> {
        let sequences: Vec<_> = found.iter().map(|found| found.sequence).collect();
        // One commit takes in everything below, or none does.
        let _whole = self.commits.transaction();
        let claimed = self.shard_of(queue).look(self, |running| running.shard.claim(queue, &sequences));
        let mut parts = Parts::new(self);
        let mut records = found.iter();
        let mut refused = None;
        for sequence in &claimed {
            let record = records
                .find(|found| found.sequence == *sequence)
                .and_then(|found| Record::first_of(&found.record));
            let added = match record {
                Some(record) => parts.add(&self.topology.read().topology, asker, record, to),
                None => Ok(()),
            };
            if let Err(error) = added {
                refused = Some(error);
                break;
            }
        }
        let taken = match refused {
            None => parts.apply(),
            Some(_) => Vec::new(),
        };
        let is_taken = |at: usize| taken.get(at).copied().unwrap_or(false);
        let released = claimed.iter().enumerate().map(|(at, sequence)| (*sequence, is_taken(at)));
        self.with_shard(queue, |shard, effects| shard.release(queue, released, effects));
        if let Some(error) = refused {
            return Err(error);
        }
        let moved = (0..claimed.len()).filter(|&at| is_taken(at)).count();
        Ok((moved as u64, (claimed.len() - moved) as u64))
    }
}

/// The messages of a move, as the shards of their new queues get them.
struct Parts<'b> {
    broker: &'b Arc<Broker>,
    arena: Vec<u8>,
    per_shard: Vec<Vec<Op>>,
    /// How many queues each message goes to, and the references that these need to its body.
    queues: Vec<u32>,
    bodies: Vec<(stoa_core::ids::BodyId, u32, bool)>,
    targets: Vec<RouteTarget>,
}

impl<'b> Parts<'b> {
    fn new(broker: &'b Arc<Broker>) -> Self {
        Self {
            broker,
            arena: Vec::new(),
            per_shard: (0..broker.shards.len()).map(|_| Vec::new()).collect(),
            queues: Vec::new(),
            bodies: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Adds the next message.
    fn add(&mut self, topology: &Topology, asker: Asker<'_>, record: Record<'_>, to: &Destination) -> Result<(), ContentsError> {
        let number = self.queues.len() as u32;
        let own_key = exchange_and_key(record.envelope()).1;
        let key = to.routing_key.as_ref().map_or(own_key, ShortString::as_short);
        topology.check_topic(&asker.actor(), Permission::Write, to.exchange.as_bytes(), key.as_bytes())?;
        let mut facts = || self.broker.facts(record.header());
        self.targets.clear();
        topology.route(
            asker.vhost,
            to.exchange.as_bytes(),
            &[key.as_bytes()],
            &mut facts,
            &mut self.targets,
        )?;
        let readable = record.body_ref().is_none_or(|body| self.broker.bodies.get(body.id).is_some());
        if !readable {
            tracing::error!(body = ?record.body_ref(), "the body of a message is missing: it cannot go to another queue");
            self.targets.clear();
        }
        self.queues.push(self.targets.len() as u32);
        if let Some(body) = record.body_ref() {
            let is_durable = record.is_persistent() && self.targets.iter().any(|target| target.durable);
            self.bodies.push((body.id, self.targets.len() as u32, is_durable));
        }
        let envelope = envelope(to.exchange.as_short(), key);
        let (mut plain, mut delayed) = (None, None);
        for target in std::mem::take(&mut self.targets) {
            let place = if target.delays { &mut delayed } else { &mut plain };
            let (start, end) = *place.get_or_insert_with(|| {
                let after_ms = if target.delays {
                    Some(delay_ms(&self.broker.facts(record.header()).headers).unwrap_or_default())
                } else {
                    expiration_ms(record)
                };
                let content = Content {
                    record,
                    due: after_ms.map(|ms| self.broker.in_ms(ms)),
                    envelope: &envelope,
                    header: record.header(),
                };
                push_content(&mut self.arena, &content, content.due)
            });
            let ops = &mut self.per_shard[self.broker.shard_index(target.queue)];
            add_publish(ops, target.queue, (start, end), number);
        }
        Ok(())
    }

    /// Hands the shards their parts. Says of each message whether a queue has it.
    fn apply(self) -> Vec<bool> {
        for &(body, references, durable) in self.bodies.iter().filter(|(_, references, _)| *references > 0) {
            self.broker.bodies.retain(body, references, durable);
        }
        let refusals = Arc::new(Mutex::new(Vec::new()));
        let receipt = Receipt::Moves(refusals.clone());
        for (cell, ops) in self.broker.shards.iter().zip(&self.per_shard) {
            if !ops.is_empty() {
                let job = Job {
                    ops,
                    arena: &self.arena,
                    receipt: Some(&receipt),
                };
                cell.apply_now(self.broker, job);
            }
        }
        let mut queues = self.queues;
        for refused in refusals.lock().drain(..) {
            if let Some(left) = queues.get_mut(refused as usize) {
                *left = left.saturating_sub(1);
            }
        }
        queues.into_iter().map(|left| left > 0).collect()
    }
}

fn envelope(exchange: ShortStr<'_>, key: ShortStr<'_>) -> Vec<u8> {
    let mut envelope = Vec::with_capacity(2 + exchange.as_bytes().len() + key.as_bytes().len());
    for part in [exchange, key] {
        envelope.push(part.as_bytes().len() as u8);
        envelope.extend_from_slice(part.as_bytes());
    }
    envelope
}

/// How long the message may wait in a queue, as its publisher said.
fn expiration_ms(record: Record<'_>) -> Option<u64> {
    let content = ContentHeader::decode(record.header()).ok()?;
    let expiration = Properties::decode(content.properties).ok()?.expiration?;
    expiration.as_str_lossy().parse().ok()
}

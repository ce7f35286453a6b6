//! Messages that the HTTP API publishes and takes, one at a time: what a client's `basic.publish` and `basic.get` do, with the same checks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use stoa_amqp::ReplyCode;
use stoa_amqp::content::{CLASS_BASIC, ContentHeader};
use stoa_core::ids::{Millis, QueueId, Sequence};
use stoa_core::shard::{Command, GetOutcome, ReturnCause};

use super::error::Exception;
use super::interceptors::intercepted;
use super::properties::{KnownProperties, rewritten};
use super::publish::{Batch, Body, Message};
use super::records::{Dues, push_records};
use super::route::Route;
use super::space::check_tuple;
use crate::broker::Broker;
use crate::counters::Tally;
use crate::requests::{Refusal, Requester};

/// A message that is to be published.
#[derive(Clone, Copy, Debug)]
pub struct NewMessage<'a> {
    /// The exchange; empty: the default exchange.
    pub exchange: &'a [u8],
    /// The routing key.
    pub routing_key: &'a [u8],
    /// The properties, as a content header has them.
    pub properties: &'a [u8],
    /// The body.
    pub body: &'a Bytes,
}

/// A message that was taken from a queue.
#[derive(Clone, Debug)]
pub struct TakenMessage {
    /// The exchange that it was published to.
    pub exchange: Vec<u8>,
    /// Its routing key.
    pub routing_key: Vec<u8>,
    /// Its properties, as a content header has them.
    pub properties: Vec<u8>,
    /// Its body.
    pub body: Bytes,
    /// It may have been delivered before.
    pub redelivered: bool,
    /// Messages that were ready behind it.
    pub remaining: u64,
}

/// What becomes of messages once they were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// They are gone.
    Acknowledged,
    /// They go back to where they were.
    Requeued,
    /// They are rejected: dead-lettered, where that is asked for.
    Rejected,
}

impl From<Exception> for Refusal {
    fn from(exception: Exception) -> Self {
        Self::new(exception.code, exception.text)
    }
}

impl Broker {
    /// Publishes a message. Gives whether it went to any queue, once it is durable if it has to be.
    ///
    /// # Errors
    /// As AMQP; and if publishers are blocked by an alarm, or a queue refuses it.
    pub async fn publish_one(self: &Arc<Self>, by: Requester<'_>, message: NewMessage<'_>) -> Result<bool, Refusal> {
        let raised = self.alarms.raised();
        if raised.any() {
            return Err(Refusal::new(
                ReplyCode::ResourceError,
                format!("{}: publishing is blocked", raised.reason()),
            ));
        }
        if self.commits.has_failed() {
            return Err(Refusal::not_durable());
        }
        let (refused, routed) = self.put_into_queues(by, message)?;
        if refused {
            return Err(Refusal::new(
                ReplyCode::PreconditionFailed,
                "a queue is full and refuses the message",
            ));
        }
        self.commits.durable().await.map_err(|_| Refusal::not_durable())?;
        Ok(routed)
    }

    fn put_into_queues(self: &Arc<Self>, by: Requester<'_>, message: NewMessage<'_>) -> Result<(bool, bool), Refusal> {
        let mut envelope = Vec::new();
        for name in [message.exchange, message.routing_key] {
            let size = u8::try_from(name.len()).map_err(|_| Refusal::new(ReplyCode::SyntaxError, "a name is longer than 255 octets"))?;
            envelope.push(size);
            envelope.extend_from_slice(name);
        }
        let body_size = message.body.len() as u64;
        if body_size > self.config.limits.message_size_max {
            let most = self.config.limits.message_size_max;
            let text = format!("message size {body_size} is larger than configured max size {most}");
            return Err(Refusal::new(ReplyCode::PreconditionFailed, text));
        }
        let content = ContentHeader {
            class: CLASS_BASIC,
            body_size,
            properties: message.properties,
        };
        let mut known = KnownProperties::default();
        let checked = known.check(&content, by.user)?;
        if checked.wants_reply_name {
            return Err(Refusal::new(ReplyCode::PreconditionFailed, "fast reply consumer does not exist"));
        }
        let mut header = Vec::new();
        content.encode(&mut header);
        let incoming = &self.config.message_interceptors.incoming;
        let intercepted_header;
        let content = if incoming.is_on() {
            intercepted_header = intercepted(&content, incoming, self.timers.clock.now())?;
            header.clone_from(&intercepted_header);
            ContentHeader::decode(&intercepted_header).map_err(Exception::from)?
        } else {
            content
        };
        if known.copies.is_blind {
            header = rewritten(&content, true, None)?;
        }
        let message = Message {
            channel: 0,
            exchange: message.exchange,
            routing_key: message.routing_key,
            envelope: &envelope,
            mandatory: false,
            header: &header,
            body: Body::Own(message.body.clone()),
        };
        let mut route = Route::default();
        let found = route.find(self, &by.actor(), &known, &message, (&content, checked), false);
        if found.is_err() || !route.reaches {
            self.seen.give_back(&route.claims);
            route.claims.clear();
        }
        found?;
        let mut checked = checked;
        if route.takes_tuples {
            checked.is_tuple = check_tuple(&ContentHeader::decode(&header).map_err(Exception::from)?, message.body.octets())?;
        }
        let mut tally = Tally::default();
        tally.add(message.body.octets().len(), route.outs);
        tally.settle(&self.counters, None, route.exchange.as_deref());
        if !route.reaches {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if route.targets.is_empty() {
            return Ok((false, false));
        }
        let now = self.timers.clock.now();
        let due = |ms: u64| Millis(now.0.saturating_add(ms));
        let dues = Dues {
            expires: checked.expiration_ms.map(due),
            held_until: route.delay_ms.map(due),
        };
        let (mut arena, mut runs) = (Vec::new(), Vec::new());
        if route.delay_ms.is_some() {
            push_records(&mut arena, self, message, (checked, dues), &route.targets, |record, targets| {
                runs.push((record, targets.to_vec()));
            });
        } else {
            push_records(&mut arena, self, message, (checked, dues), &route.targets, |_, _| ());
            runs.push((0..arena.len(), route.targets.clone()));
        }
        let mut batch = Batch::default();
        for (record, targets) in runs {
            for target in targets {
                batch.publish_held(self, target.queue, record.clone(), 1);
            }
        }
        batch.take_arena(arena);
        if route.claims.is_empty() {
            return Ok((batch.apply_now(self), route.reaches));
        }
        // The keys are kept with the message, or not at all.
        let _whole = self.commits.transaction();
        let refused = batch.apply_now(self);
        if refused {
            self.seen.give_back(&route.claims);
        } else {
            let mut keys = Batch::default();
            keys.remember(self, &route.claims, checked.persistent && route.is_durable);
            keys.apply_now(self);
        }
        Ok((refused, route.reaches))
    }

    /// Takes up to `count` messages from the head of a queue, whose bodies have `bytes_max` octets together at most, but for the first.
    ///
    /// # Errors
    /// As AMQP.
    pub async fn take_messages(
        self: &Arc<Self>,
        by: Requester<'_>,
        name: &[u8],
        count: u32,
        bytes_max: usize,
        taking: Taking,
    ) -> Result<Vec<TakenMessage>, Refusal> {
        let queue = {
            let site = self.topology.read();
            let queue = site.topology.queue(&by.actor(), name)?;
            site.topology.check_read(&by.actor(), name)?;
            queue
        };
        let (mut messages, mut places) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while (messages.len() as u32) < count && bytes < bytes_max {
            let seen = self.shard_of(queue.id).progress();
            let no_ack = taking == Taking::Acknowledged;
            let mut taken = None;
            let outcome = self.with_shard(queue.id, |shard, effects| {
                shard.get(queue.id, no_ack, effects, |got| {
                    taken = Some((got.sequence, self.taken(&got)));
                })
            });
            match (outcome, taken) {
                (GetOutcome::Taken, Some((place, message))) => {
                    bytes += message.body.len();
                    places.push(place);
                    messages.push(message);
                }
                (GetOutcome::Loading, _) => self.shard_of(queue.id).progress_since(seen).await,
                _ => break,
            }
        }
        self.leave_messages(queue.id, &places, taking);
        Ok(messages)
    }

    fn leave_messages(self: &Arc<Self>, queue: QueueId, places: &[Sequence], taking: Taking) {
        if taking == Taking::Acknowledged || places.is_empty() {
            return;
        }
        self.with_shard(queue, |shard, effects| {
            for &first in places {
                let command = if taking == Taking::Requeued {
                    Command::Requeue {
                        queue,
                        consumer: None,
                        first,
                        count: 1,
                        cause: ReturnCause::GivenBack,
                    }
                } else {
                    Command::Reject {
                        queue,
                        consumer: None,
                        first,
                        count: 1,
                    }
                };
                shard.apply(command, effects);
            }
        });
    }

    fn taken(&self, got: &stoa_core::shard::Got<'_>) -> TakenMessage {
        let record = got.record;
        let mut rest = record.envelope();
        let mut part = || {
            let (size, behind) = rest.split_first().unwrap_or((&0, &[]));
            let (part, behind) = behind.split_at_checked((*size).into()).unwrap_or((behind, &[]));
            rest = behind;
            part.to_vec()
        };
        let (exchange, routing_key) = (part(), part());
        let apart = record.body_ref().map(|reference| self.bodies.get(reference.id).unwrap_or_default());
        let properties = ContentHeader::decode(record.header()).map(|header| header.properties.to_vec());
        TakenMessage {
            exchange,
            routing_key,
            properties: properties.unwrap_or_default(),
            body: apart.unwrap_or_else(|| Bytes::copy_from_slice(record.body())),
            redelivered: got.redelivered,
            remaining: got.remaining,
        }
    }
}

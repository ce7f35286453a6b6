//! Methods of the class basic that take messages from queues and settle them, and those of channel and confirm.

use std::sync::Arc;

use stoa_amqp::{Method, ReplyCode, ShortStr, ShortString};
use stoa_amqp::{access, basic, channel, confirm};
use stoa_core::ids::DeliveryTag;
use stoa_core::shard::{ConsumeError, Consumer, GetOutcome, ReturnCause};

use super::arguments;
use super::error::Exception;
use super::publish::Batch;
use super::session::{Open, Outcome, Wait, misplaced};
use super::tx::Fate;
use crate::broker::Broker;
use crate::names;
use crate::outlet::{ChannelOut, ConsumerRef};
use crate::reply_to::{self, ReplyConsumer};

/// `basic.ack`, by class and method.
const ACK: (u16, u16) = (60, 80);

/// What a client says of its deliveries: `basic.ack`, `basic.nack` or `basic.reject`.
struct Settlement {
    tag: u64,
    multiple: bool,
    requeue: bool,
    cause: (u16, u16),
}

/// A consumer's tag, or one that the broker gives.
fn tag_or_new(tag: ShortStr<'_>) -> ShortString {
    if tag.is_empty() {
        ShortString::truncated(&format!("amq.ctag-{}", names::unguessable()))
    } else {
        tag.into()
    }
}

impl Open {
    /// A method on an open channel that is neither its end nor a publish.
    pub(crate) fn channel_method(&mut self, broker: &Arc<Broker>, batch: &mut Batch, number: u16, method: &Method<'_>) -> Outcome {
        match method {
            Method::BasicAck(basic::Ack { delivery_tag, multiple }) => {
                let (tag, multiple, requeue) = (*delivery_tag, *multiple, false);
                return self.settle(
                    broker,
                    batch,
                    number,
                    &Settlement {
                        tag,
                        multiple,
                        requeue,
                        cause: method.id(),
                    },
                );
            }
            Method::BasicNack(basic::Nack {
                delivery_tag,
                multiple,
                requeue,
            }) => {
                let (tag, multiple, requeue) = (*delivery_tag, *multiple, *requeue);
                return self.settle(
                    broker,
                    batch,
                    number,
                    &Settlement {
                        tag,
                        multiple,
                        requeue,
                        cause: method.id(),
                    },
                );
            }
            Method::BasicReject(basic::Reject { delivery_tag, requeue }) => {
                let (tag, multiple, requeue) = (*delivery_tag, false, *requeue);
                return self.settle(
                    broker,
                    batch,
                    number,
                    &Settlement {
                        tag,
                        multiple,
                        requeue,
                        cause: method.id(),
                    },
                );
            }
            Method::TxSelect(_) | Method::TxCommit(_) | Method::TxRollback(_) => {
                batch.submit(broker, &self.outlet, &self.route);
                return self.tx_method(broker, number, method);
            }
            Method::ExchangeDeclare(_) | Method::ExchangeDelete(_) | Method::ExchangeBind(_) | Method::ExchangeUnbind(_) => {
                return self.declare_method(broker, batch, number, method);
            }
            Method::QueueDeclare(_) | Method::QueueBind(_) | Method::QueueUnbind(_) | Method::QueuePurge(_) | Method::QueueDelete(_) => {
                return self.declare_method(broker, batch, number, method);
            }
            _ => {}
        }
        // What the answers before this one wait for comes first: a delivery must not overtake them.
        if self.outlet.lock().is_holding() {
            return Ok(Some(Wait::Commit));
        }
        batch.submit(broker, &self.outlet, &self.route);
        match method {
            Method::BasicQos(qos) => self.qos(broker, number, qos, method.id()),
            Method::BasicConsume(consume) if consume.queue.as_bytes() == reply_to::QUEUE => {
                self.consume_replies(number, consume, method.id())
            }
            Method::BasicConsume(consume) => self.consume(broker, number, consume, method.id()),
            Method::BasicCancel(cancel) => self.cancel(broker, number, cancel),
            Method::BasicGet(get) => self.get(broker, number, get, method.id()),
            Method::BasicRecover(recover) => {
                may_recover(recover.requeue, method.id())?;
                // The answer goes before what it brings back, as in RabbitMQ.
                self.reply(number, &Method::BasicRecoverOk(basic::RecoverOk {}));
                self.recover(broker, batch, number);
                Ok(None)
            }
            Method::BasicRecoverAsync(recover) => {
                may_recover(recover.requeue, method.id())?;
                self.recover(broker, batch, number);
                Ok(None)
            }
            // Clients of AMQP 0-8 ask for a ticket before they do anything; RabbitMQ, too, gives all of them the same.
            Method::AccessRequest(_) => {
                self.reply(number, &Method::AccessRequestOk(access::RequestOk { ticket: 1 }));
                Ok(None)
            }
            Method::ConfirmSelect(select) => self.confirm_select(number, select.no_wait, method.id()),
            // An answer to the broker's own cancel, which wants none.
            Method::BasicCancelOk(_) => Ok(None),
            Method::ChannelFlow(flow) if flow.active => {
                self.reply(number, &Method::ChannelFlowOk(channel::FlowOk { active: true }));
                Ok(None)
            }
            Method::ChannelFlow(_) => Err(Exception::connection(ReplyCode::NotImplemented, method.id(), "active=false")),
            method => Err(misplaced(method)),
        }
    }

    /// Publishes are confirmed from now on.
    fn confirm_select(&mut self, number: u16, no_wait: bool, cause: (u16, u16)) -> Outcome {
        if let Some(channel) = self.channels.get_mut(&number) {
            if channel.transaction.is_some() {
                let text = "cannot switch from tx to confirm mode";
                return Err(Exception::new(ReplyCode::PreconditionFailed, cause, text));
            }
            channel.confirms = true;
            self.note_mode(number, |mode| mode.confirms = true);
        }
        if !no_wait {
            self.reply(number, &Method::ConfirmSelectOk(confirm::SelectOk {}));
        }
        Ok(None)
    }

    fn consume(&mut self, broker: &Arc<Broker>, number: u16, consume: &basic::Consume<'_>, cause: (u16, u16)) -> Outcome {
        let wanted = consume.consumer_tag.as_bytes();
        let reused = |out: &ChannelOut| {
            out.consumers.contains_key(wanted) || out.replies.as_ref().is_some_and(|replies| replies.tag.as_bytes() == wanted)
        };
        if self.outlet.lock().channel(number).is_some_and(|out| reused(out)) {
            let text = format!("attempt to reuse consumer tag '{}'", consume.consumer_tag);
            return Err(Exception::connection(ReplyCode::NotAllowed, cause, text));
        }
        let queue = self.readable_queue(broker, number, consume.queue, cause)?;
        let sought = self.sought(broker, number, &queue, consume.arguments, cause)?;
        let (queue, seek, lease_ms) = match sought {
            None => (queue, None, None),
            Some(sought) => (sought.space, Some(sought.seek), sought.lease_ms),
        };
        let refused = |(argument, problem): (&str, String)| {
            let text = format!(
                "invalid arg '{argument}' for queue '{}' in vhost '{}': {problem}",
                queue.name, self.vhost
            );
            Exception::new(ReplyCode::PreconditionFailed, cause, text)
        };
        let wanted = arguments::Wanted::of(consume.arguments).map_err(refused)?;
        if seek.is_some() && wanted.filter.is_some() {
            let problem = "a space is asked by x-template".to_owned();
            return Err(refused(("x-filter", problem)));
        }
        let tag = tag_or_new(consume.consumer_tag);
        let consumer = Consumer {
            id: broker.next_consumer_id(),
            outlet: self.id,
            channel: number,
            tag: tag.clone(),
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            prefetch: self.channels.get(&number).map_or(0, |channel| channel.prefetch),
            limited: self.outlet.lock().channel(number).is_some_and(|out| out.limit.is_some()),
            priority: wanted.priority,
            timeout_ms: lease_ms.or(wanted.timeout_ms),
            filter: wanted.filter,
            arguments: consume.arguments.to_table(),
        };
        let reference = ConsumerRef {
            id: consumer.id,
            queue: queue.id,
        };
        // The answer is in the outlet before the first delivery.
        let registered = broker.shard_of(queue.id).in_order(broker, |running, _| {
            let mut state = self.outlet.lock();
            let Some(out) = state.channel(number) else { return Ok(()) };
            let consumed = match seek {
                None => running.shard.consume(queue.id, consumer),
                Some(seek) => running.shard.seek(queue.id, consumer, seek),
            };
            consumed.map_err(|error| {
                let (name, vhost) = (&queue.name, &self.vhost);
                let (code, text) = match error {
                    ConsumeError::ExclusiveUse => (
                        ReplyCode::AccessRefused,
                        format!("queue '{name}' in vhost '{vhost}' in exclusive use"),
                    ),
                    ConsumeError::Grouped => (
                        ReplyCode::PreconditionFailed,
                        format!("invalid arg 'x-filter' for queue '{name}' in vhost '{vhost}': the queue has groups ('x-group-by')"),
                    ),
                    ConsumeError::NotFound => (ReplyCode::NotFound, format!("no queue '{name}' in vhost '{vhost}'")),
                    ConsumeError::Full(full) => (
                        ReplyCode::PreconditionFailed,
                        format!("queue '{name}' in vhost '{vhost}': {full}; cancel consumers, or raise limits.space_waiters_max or limits.space_templates_bytes_max"),
                    ),
                };
                Exception::new(code, cause, text)
            })?;
            out.consumers.insert(tag.clone(), reference);
            if !consume.no_wait {
                let ok = basic::ConsumeOk {
                    consumer_tag: tag.as_short(),
                };
                Method::BasicConsumeOk(ok).write_frame(number, state.reply_buffer());
            }
            running.outlets.entry(self.id).or_insert_with(|| self.outlet.clone());
            Ok(())
        });
        registered.map(|()| None)
    }

    /// A consumer of direct replies ([`reply_to`]): one a channel.
    fn consume_replies(&mut self, number: u16, consume: &basic::Consume<'_>, cause: (u16, u16)) -> Outcome {
        let mut state = self.outlet.lock();
        let Some(out) = state.channel(number) else { return Ok(None) };
        let refused = |text| Err(Exception::new(ReplyCode::PreconditionFailed, cause, text));
        if out.consumers.contains_key(consume.consumer_tag.as_bytes()) {
            let text = format!("attempt to reuse consumer tag '{}'", consume.consumer_tag);
            return Err(Exception::connection(ReplyCode::NotAllowed, cause, text));
        }
        if !consume.no_ack {
            return refused("reply consumer cannot acknowledge");
        }
        if out.replies.is_some() {
            return refused("reply consumer already set");
        }
        let tag = tag_or_new(consume.consumer_tag);
        out.replies = Some(ReplyConsumer::new(self.id, number, tag.clone()));
        if !consume.no_wait {
            let consumer_tag = tag.as_short();
            Method::BasicConsumeOk(basic::ConsumeOk { consumer_tag }).write_frame(number, state.reply_buffer());
        }
        Ok(None)
    }

    fn cancel(&mut self, broker: &Arc<Broker>, number: u16, cancel: &basic::Cancel<'_>) -> Outcome {
        let consumer = self.outlet.lock().channel(number).and_then(|out| {
            out.replies
                .take_if(|replies| replies.tag.as_bytes() == cancel.consumer_tag.as_bytes());
            out.consumers.remove(cancel.consumer_tag.as_bytes())
        });
        if let Some(consumer) = consumer {
            self.end_consumer(broker, consumer);
        }
        if !cancel.no_wait {
            self.reply(
                number,
                &Method::BasicCancelOk(basic::CancelOk {
                    consumer_tag: cancel.consumer_tag,
                }),
            );
        }
        Ok(None)
    }

    /// Takes a consumer away from its queue: nothing is delivered to it after this.
    pub(crate) fn end_consumer(&self, broker: &Arc<Broker>, consumer: ConsumerRef) {
        broker.with_shard(consumer.queue, |shard, effects| shard.cancel(consumer.queue, consumer.id, effects));
    }

    fn get(&mut self, broker: &Arc<Broker>, number: u16, get: &basic::Get<'_>, cause: (u16, u16)) -> Outcome {
        let queue = self.readable_queue(broker, number, get.queue, cause)?;
        if queue.view.is_some() || queue.is_space() {
            return self.get_tuple(broker, number, &queue, get.no_ack, cause);
        }
        if queue.refuses_get() {
            let text = format!(
                "cannot obtain access to locked {}. basic.get operations are not supported by quorum queues with single active consumer",
                queue.resource()
            );
            return Err(Exception::new(ReplyCode::ResourceLocked, cause, text));
        }
        let outlet = self.outlet.clone();
        let seen = broker.shard_of(queue.id).progress();
        let outcome = broker.with_shard(queue.id, |shard, effects| {
            shard.get(queue.id, get.no_ack, effects, |got| {
                outlet.lock().got(number, queue.id, get.no_ack, &got, &broker.bodies);
            })
        });
        match outcome {
            GetOutcome::Taken => {}
            GetOutcome::Empty => {
                let mut state = self.outlet.lock();
                if let Some(out) = state.channel(number) {
                    out.traffic.got_empty += 1;
                }
                Method::BasicGetEmpty(basic::GetEmpty {}).write_frame(number, state.reply_buffer());
            }
            GetOutcome::Loading => return Ok(Some(Wait::Load(broker.shard_index(queue.id), seen))),
        }
        Ok(None)
    }

    fn settle(&mut self, broker: &Arc<Broker>, batch: &mut Batch, number: u16, wanted: &Settlement) -> Outcome {
        if let Some(transaction) = self.channels.get_mut(&number).and_then(|channel| channel.transaction.as_mut()) {
            let fate = match (wanted.cause, wanted.requeue) {
                (_, true) => Fate::Requeued,
                (ACK, _) => Fate::Acknowledged,
                _ => Fate::Rejected,
            };
            let mut aside = Vec::new();
            let known = match self.outlet.lock().channel(number) {
                Some(out) => out.unacked.set_aside(DeliveryTag(wanted.tag), wanted.multiple, &mut aside),
                None => Ok(()),
            };
            known.map_err(|error| Exception::new(ReplyCode::PreconditionFailed, wanted.cause, error.to_string()))?;
            return transaction.settle(broker, aside, fate, wanted.cause).map(|()| None);
        }
        let mut settled = Vec::new();
        let known = match self.outlet.lock().channel(number) {
            Some(out) => {
                let known = out.unacked.settle(DeliveryTag(wanted.tag), wanted.multiple, &mut settled);
                if wanted.cause == ACK {
                    out.traffic.acked += settled.iter().map(|run| u64::from(run.count)).sum::<u64>();
                }
                known
            }
            None => Ok(()),
        };
        known.map_err(|error| Exception::new(ReplyCode::PreconditionFailed, wanted.cause, error.to_string()))?;
        for settled in &settled {
            match (wanted.cause, wanted.requeue) {
                (_, true) => batch.requeue(broker, settled, ReturnCause::GivenBack),
                (ACK, _) => batch.settle(broker, settled),
                (_, false) => batch.reject(broker, settled),
            }
        }
        Ok(None)
    }

    /// Gives back all that the channel was delivered and has not settled.
    fn recover(&mut self, broker: &Arc<Broker>, batch: &mut Batch, number: u16) {
        let unacked = self
            .outlet
            .lock()
            .channel(number)
            .map(|out| out.unacked.take_all())
            .unwrap_or_default();
        for unacked in &unacked {
            batch.requeue(broker, unacked, ReturnCause::GivenBack);
        }
        batch.submit(broker, &self.outlet, &self.route);
    }
}

/// Delivering to the same consumer again is not implemented, in RabbitMQ neither.
fn may_recover(requeue: bool, cause: (u16, u16)) -> Result<(), Exception> {
    if requeue {
        Ok(())
    } else {
        Err(Exception::connection(ReplyCode::NotImplemented, cause, "requeue=false"))
    }
}

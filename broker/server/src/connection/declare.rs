//! Methods that change the topology: exchanges, queues, bindings. Their answers go out when the change is durable.

use std::sync::Arc;

use stoa_amqp::{Method, ReplyCode, ShortStr, ShortString};
use stoa_amqp::{exchange, queue};
use stoa_core::topology::{ExchangeDeclare, QueueDeclare};

use super::error::Exception;
use super::publish::Batch;
use super::session::{Open, Outcome};
use crate::broker::Broker;
use crate::names;
use crate::reply_to;

impl Open {
    /// A method of the classes exchange and queue.
    pub(crate) fn declare_method(&mut self, broker: &Arc<Broker>, batch: &mut Batch, number: u16, method: &Method<'_>) -> Outcome {
        batch.submit(broker, &self.outlet, &self.route);
        match method {
            Method::ExchangeDeclare(declare) => self.exchange_declare(broker, number, declare, method.id()),
            Method::ExchangeDelete(delete) => {
                let done = broker.change_topology(|topology, changes| {
                    topology.delete_exchange(&self.actor(), delete.exchange.as_bytes(), delete.if_unused, changes)
                });
                done.outcome.map_err(|error| Exception::of_topology(&error, method.id()))?;
                self.answer(
                    broker,
                    number,
                    delete.no_wait,
                    &Method::ExchangeDeleteOk(exchange::DeleteOk {}),
                    done.durable,
                );
                Ok(None)
            }
            Method::ExchangeBind(bind) => {
                let done = broker.change_topology(|topology, changes| {
                    let (destination, source) = (bind.destination.as_bytes(), bind.source.as_bytes());
                    topology.bind_exchange(
                        &self.actor(),
                        destination,
                        source,
                        bind.routing_key.as_bytes(),
                        &bind.arguments.to_table(),
                        changes,
                    )
                });
                done.outcome.map_err(|error| Exception::of_topology(&error, method.id()))?;
                self.answer(
                    broker,
                    number,
                    bind.no_wait,
                    &Method::ExchangeBindOk(exchange::BindOk {}),
                    done.durable,
                );
                Ok(None)
            }
            Method::ExchangeUnbind(bind) => {
                let done = broker.change_topology(|topology, changes| {
                    let (destination, source) = (bind.destination.as_bytes(), bind.source.as_bytes());
                    topology.unbind_exchange(
                        &self.actor(),
                        destination,
                        source,
                        bind.routing_key.as_bytes(),
                        &bind.arguments.to_table(),
                        changes,
                    )
                });
                done.outcome.map_err(|error| Exception::of_topology(&error, method.id()))?;
                self.answer(
                    broker,
                    number,
                    bind.no_wait,
                    &Method::ExchangeUnbindOk(exchange::UnbindOk {}),
                    done.durable,
                );
                Ok(None)
            }
            Method::QueueDeclare(declare) => self.queue_declare(broker, number, declare, method.id()),
            Method::QueueBind(bind) => {
                let name = self.queue_name(number, bind.queue, method.id())?;
                let done = broker.change_topology(|topology, changes| {
                    let (exchange, key) = (bind.exchange.as_bytes(), key_of_binding(bind.queue, bind.routing_key, &name));
                    topology.bind_queue(&self.actor(), name.as_bytes(), exchange, key, &bind.arguments.to_table(), changes)
                });
                done.outcome.map_err(|error| Exception::of_topology(&error, method.id()))?;
                self.answer(broker, number, bind.no_wait, &Method::QueueBindOk(queue::BindOk {}), done.durable);
                Ok(None)
            }
            Method::QueueUnbind(bind) => {
                let name = self.queue_name(number, bind.queue, method.id())?;
                let done = broker.change_topology(|topology, changes| {
                    let (exchange, key) = (bind.exchange.as_bytes(), key_of_binding(bind.queue, bind.routing_key, &name));
                    topology.unbind_queue(&self.actor(), name.as_bytes(), exchange, key, &bind.arguments.to_table(), changes)
                });
                done.outcome.map_err(|error| Exception::of_topology(&error, method.id()))?;
                self.answer(broker, number, false, &Method::QueueUnbindOk(queue::UnbindOk {}), done.durable);
                Ok(None)
            }
            Method::QueuePurge(purge) => self.queue_purge(broker, number, purge, method.id()),
            Method::QueueDelete(delete) => self.queue_delete(broker, number, delete, method.id()),
            method => Err(super::session::misplaced(method)),
        }
    }

    fn answer(&self, broker: &Broker, number: u16, no_wait: bool, method: &Method<'_>, durable: bool) {
        if !no_wait {
            self.reply_when_durable(broker, number, method, durable);
        }
    }

    fn exchange_declare(&mut self, broker: &Arc<Broker>, number: u16, declare: &exchange::Declare<'_>, cause: (u16, u16)) -> Outcome {
        let wanted = ExchangeDeclare {
            name: declare.exchange.as_bytes(),
            kind: declare.kind.as_bytes(),
            passive: declare.passive,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: declare.arguments.to_table(),
        };
        let done = broker.declare_exchange(&self.actor(), &wanted);
        done.outcome.map_err(|error| Exception::of_topology(&error, cause))?;
        self.answer(
            broker,
            number,
            declare.no_wait,
            &Method::ExchangeDeclareOk(exchange::DeclareOk {}),
            done.durable,
        );
        Ok(None)
    }

    fn queue_declare(&mut self, broker: &Arc<Broker>, number: u16, declare: &queue::Declare<'_>, cause: (u16, u16)) -> Outcome {
        let name: ShortString = declare.queue.into();
        // Unlike elsewhere an empty name does not stand for the queue that was declared last.
        if declare.passive && name.is_empty() {
            let text = format!("no queue '' in vhost '{}'", self.vhost);
            return Err(Exception::new(ReplyCode::NotFound, cause, text));
        }
        if name.as_bytes().starts_with(reply_to::QUEUE) {
            return self.declare_replies(broker, number, &name, declare.no_wait, cause);
        }
        let generated = if name.is_empty() { names::unguessable() } else { String::new() };
        let wanted = QueueDeclare {
            name: name.as_bytes(),
            generated: &generated,
            passive: declare.passive,
            durable: declare.durable,
            exclusive: declare.exclusive,
            auto_delete: declare.auto_delete,
            arguments: declare.arguments.to_table(),
        };
        let done = broker.declare_queue(&self.actor(), &wanted);
        let declared = done.outcome.map_err(|error| Exception::of_topology(&error, cause))?;
        let queue = declared.queue;
        let shown = match &queue.view {
            // Another declaration without a name would make another view, so such a one does not wait for the disk.
            Some(_) if generated.is_empty() => match self.count_of(broker, number, &queue, cause)? {
                Ok(count) => Some(count),
                Err(wait) => return Ok(Some(wait)),
            },
            _ => None,
        };
        let counts = broker.with_shard(queue.id, |shard, _| {
            if !declared.created {
                // Whoever asks for it uses it (RabbitMQ, `x-expires`), a passive declaration included.
                shard.touch(queue.id);
            }
            shard.counts(queue.id)
        });
        let counts = counts.unwrap_or_default();
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.last_queue = Some(queue.name.clone());
        }
        let message_count = shown.unwrap_or(counts.ready).min(u64::from(u32::MAX)) as u32;
        let ok = queue::DeclareOk {
            queue: queue.name.as_short(),
            message_count,
            consumer_count: counts.consumers,
        };
        self.answer(broker, number, declare.no_wait, &Method::QueueDeclareOk(ok), done.durable);
        Ok(None)
    }

    /// Nobody declares the pseudo-queues of direct reply-to: it is asked whether they are there.
    fn declare_replies(&self, broker: &Arc<Broker>, number: u16, name: &ShortString, no_wait: bool, cause: (u16, u16)) -> Outcome {
        if !broker.expects_replies(name.as_bytes()) {
            let text = format!("no queue '{name}' in vhost '{}'", self.vhost);
            return Err(Exception::new(ReplyCode::NotFound, cause, text));
        }
        let ok = queue::DeclareOk {
            queue: name.as_short(),
            message_count: 0,
            consumer_count: 1,
        };
        self.answer(broker, number, no_wait, &Method::QueueDeclareOk(ok), false);
        Ok(None)
    }

    fn queue_purge(&mut self, broker: &Arc<Broker>, number: u16, purge: &queue::Purge<'_>, cause: (u16, u16)) -> Outcome {
        let queue = self.readable_queue(broker, number, purge.queue, cause)?;
        let message_count = broker.with_shard(queue.id, |shard, effects| shard.purge(queue.id, effects));
        self.answer(
            broker,
            number,
            purge.no_wait,
            &Method::QueuePurgeOk(queue::PurgeOk { message_count }),
            queue.durable,
        );
        Ok(None)
    }

    fn queue_delete(&mut self, broker: &Arc<Broker>, number: u16, delete: &queue::Delete<'_>, cause: (u16, u16)) -> Outcome {
        let name = self.queue_name(number, delete.queue, cause)?;
        let checked = {
            let site = broker.topology.read();
            let topology = &site.topology;
            topology
                .check_configure(&self.actor(), name.as_bytes())
                .and_then(|()| topology.queue(&self.actor(), name.as_bytes()))
        };
        if let Err(error) = checked {
            // Deleting what is not there is no error (RabbitMQ).
            if error.code() != ReplyCode::NotFound {
                return Err(Exception::of_topology(&error, cause));
            }
        }
        // The client's own consumers hear of it after the answer: some clients end when they do, and would not take the answer any more.
        self.outlet.lock().postpone_cancelled();
        let deleted = broker.delete_queue_if(&self.vhost, name.as_bytes(), delete.if_unused, delete.if_empty);
        if deleted.is_err() {
            self.outlet.lock().tell_cancelled();
        }
        let deleted = deleted.map_err(|error| {
            Exception::new(
                ReplyCode::PreconditionFailed,
                cause,
                format!("queue '{name}' in vhost '{}' {error}", self.vhost),
            )
        })?;
        let ok = queue::DeleteOk {
            message_count: deleted.outcome,
        };
        self.answer(broker, number, delete.no_wait, &Method::QueueDeleteOk(ok), deleted.durable);
        self.outlet.lock().tell_cancelled();
        Ok(None)
    }

    /// A queue that the user may read from and that is not exclusive to somebody else.
    pub(crate) fn readable_queue(
        &self,
        broker: &Broker,
        number: u16,
        name: ShortStr<'_>,
        cause: (u16, u16),
    ) -> Result<Arc<stoa_core::topology::Queue>, Exception> {
        let name = self.queue_name(number, name, cause)?;
        let site = broker.topology.read();
        let queue = site
            .topology
            .queue(&self.actor(), name.as_bytes())
            .map_err(|error| Exception::of_topology(&error, cause))?;
        site.topology
            .check_read(&self.actor(), name.as_bytes())
            .map_err(|error| Exception::of_topology(&error, cause))?;
        Ok(queue)
    }
}

/// Without the name of a queue and without a routing key, the binding is to the queue that the channel declared last, by that queue's name (AMQP 0-9-1,
/// `queue.bind`).
fn key_of_binding<'a>(named: ShortStr<'a>, key: ShortStr<'a>, meant: &'a ShortString) -> &'a [u8] {
    if named.is_empty() && key.is_empty() {
        meant.as_bytes()
    } else {
        key.as_bytes()
    }
}

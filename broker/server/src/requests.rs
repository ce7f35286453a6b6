//! What the HTTP API asks for in a user's name: the commands of AMQP, with the same checks and the same errors, answered when they are durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use stoa_amqp::{ReplyCode, Table};
use stoa_core::ids::ConnectionId;
use stoa_core::shard::{DeleteError, QueueSpec};
use stoa_core::topology::{Actor, Declared, Destination, ExchangeDeclare, QueueDeclare, SYSTEM, TopologyError};

use crate::broker::{Broker, Changed};

/// Why a request was not done: what AMQP would answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} - {text}", code.name())]
pub struct Refusal {
    /// The reply code.
    pub code: ReplyCode,
    /// The reply text, without the code's name.
    pub text: String,
}

impl Refusal {
    pub(crate) fn new(code: ReplyCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub(crate) fn not_durable() -> Self {
        Self::new(ReplyCode::InternalError, "the store has failed")
    }
}

impl From<TopologyError> for Refusal {
    fn from(error: TopologyError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// In whose name something is asked for, and of which virtual host.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// The user.
    pub user: &'a str,
    /// The virtual host.
    pub vhost: &'a str,
}

impl<'a> Requester<'a> {
    /// The broker itself, which needs no permissions: for definitions that an administrator imports.
    #[must_use]
    pub fn system(vhost: &'a str) -> Self {
        Self { user: SYSTEM, vhost }
    }

    /// No connection has this number: exclusive queues are all others'.
    pub(crate) fn actor(self) -> Actor<'a> {
        Actor {
            vhost: self.vhost,
            user: self.user,
            connection: ConnectionId(0),
        }
    }
}

/// A binding that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct BindingRequest<'a> {
    /// Where it begins.
    pub source: &'a [u8],
    /// Where it leads.
    pub destination: &'a Destination,
    /// Its key or pattern.
    pub routing_key: &'a [u8],
    /// Its arguments.
    pub arguments: &'a Table,
}

impl Broker {
    /// Declares an exchange in somebody's name; the shards of queues of its own are told.
    pub(crate) fn declare_exchange(
        self: &Arc<Self>,
        actor: &Actor<'_>,
        wanted: &ExchangeDeclare<'_>,
    ) -> Changed<Result<(), TopologyError>> {
        let done = self.change_topology(|topology, changes| {
            let holdings = topology.declare_exchange(actor, wanted, changes)?;
            self.create_holdings(&holdings);
            Ok(holdings)
        });
        let outcome = done.outcome.map(|holdings| {
            for holding in &holdings {
                self.shard_of(holding.queue).run_if_needed(self);
            }
        });
        Changed {
            outcome,
            durable: done.durable,
        }
    }

    /// Declares a queue in somebody's name; its shard is told if it is new.
    pub(crate) fn declare_queue(
        self: &Arc<Self>,
        actor: &Actor<'_>,
        wanted: &QueueDeclare<'_>,
    ) -> Changed<Result<Declared, TopologyError>> {
        self.change_topology(|topology, changes| {
            let declared = topology.declare_queue(actor, wanted, changes)?;
            self.counters.queues_declared.fetch_add(1, Ordering::Relaxed);
            if declared.created {
                self.counters.queues_created.fetch_add(1, Ordering::Relaxed);
                let queue = &declared.queue;
                let spec = QueueSpec {
                    id: queue.id,
                    durable: queue.durable && queue.exclusive.is_none(),
                    auto_delete: queue.auto_delete,
                    settings: declared.settings.clone(),
                };
                self.shard_of(queue.id).lock().shard.create(spec);
            }
            Ok(declared)
        })
    }

    /// Waits until what was changed is durable.
    async fn last(&self, durable: bool) -> Result<(), Refusal> {
        if durable {
            self.commits.durable().await.map_err(|_| Refusal::not_durable())?;
        }
        Ok(())
    }

    /// Declares an exchange (`exchange.declare`). Gives whether it is new.
    ///
    /// # Errors
    /// As AMQP; see [`Refusal`].
    pub async fn request_exchange(self: &Arc<Self>, by: Requester<'_>, wanted: &ExchangeDeclare<'_>) -> Result<bool, Refusal> {
        let is_new = self.topology.read().topology.exchange(by.vhost, wanted.name).is_none();
        let durable = {
            let done = self.declare_exchange(&by.actor(), wanted);
            done.outcome?;
            done.durable
        };
        self.last(durable).await?;
        Ok(is_new)
    }

    /// Deletes an exchange (`exchange.delete`). Gives whether there was one.
    ///
    /// # Errors
    /// As AMQP.
    pub async fn request_exchange_end(self: &Arc<Self>, by: Requester<'_>, name: &[u8], if_unused: bool) -> Result<bool, Refusal> {
        let was_there = self.topology.read().topology.exchange(by.vhost, name).is_some();
        let durable = {
            let done = self.change_topology(|topology, changes| topology.delete_exchange(&by.actor(), name, if_unused, changes));
            done.outcome?;
            done.durable
        };
        self.last(durable).await?;
        Ok(was_there)
    }

    /// Declares a queue (`queue.declare`). Gives whether it is new.
    ///
    /// # Errors
    /// As AMQP.
    pub async fn request_queue(self: &Arc<Self>, by: Requester<'_>, wanted: &QueueDeclare<'_>) -> Result<bool, Refusal> {
        let (created, durable) = {
            let done = self.declare_queue(&by.actor(), wanted);
            (done.outcome?.created, done.durable)
        };
        self.last(durable).await?;
        Ok(created)
    }

    /// Deletes a queue (`queue.delete`). Gives whether there was one.
    ///
    /// # Errors
    /// As AMQP.
    pub async fn request_queue_end(
        self: &Arc<Self>,
        by: Requester<'_>,
        name: &[u8],
        if_unused: bool,
        if_empty: bool,
    ) -> Result<bool, Refusal> {
        let found = {
            let site = self.topology.read();
            site.topology.check_configure(&by.actor(), name)?;
            site.topology.queue(&by.actor(), name)
        };
        match found {
            Ok(_) => {}
            Err(error) if error.code() == ReplyCode::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let durable = {
            let deleted = self.delete_queue_if(by.vhost, name, if_unused, if_empty);
            let refused = |error: DeleteError| {
                let name = String::from_utf8_lossy(name);
                Refusal::new(
                    ReplyCode::PreconditionFailed,
                    format!("queue '{name}' in vhost '{}' {error}", by.vhost),
                )
            };
            deleted.map_err(refused)?.durable
        };
        self.last(durable).await?;
        Ok(true)
    }

    /// Takes all ready messages out of a queue (`queue.purge`).
    ///
    /// # Errors
    /// As AMQP.
    pub async fn request_purge(self: &Arc<Self>, by: Requester<'_>, name: &[u8]) -> Result<(), Refusal> {
        let queue = {
            let site = self.topology.read();
            let queue = site.topology.queue(&by.actor(), name)?;
            site.topology.check_read(&by.actor(), name)?;
            queue
        };
        self.with_shard(queue.id, |shard, effects| shard.purge(queue.id, effects));
        self.last(queue.durable).await
    }

    /// Binds (`queue.bind`, `exchange.bind`).
    ///
    /// # Errors
    /// As AMQP.
    pub async fn request_binding(self: &Arc<Self>, by: Requester<'_>, wanted: BindingRequest<'_>) -> Result<(), Refusal> {
        self.change_binding(by, wanted, true).await
    }

    /// Takes a binding away (`queue.unbind`, `exchange.unbind`).
    ///
    /// # Errors
    /// As AMQP.
    pub async fn request_binding_end(self: &Arc<Self>, by: Requester<'_>, wanted: BindingRequest<'_>) -> Result<(), Refusal> {
        self.change_binding(by, wanted, false).await
    }

    async fn change_binding(self: &Arc<Self>, by: Requester<'_>, wanted: BindingRequest<'_>, bound: bool) -> Result<(), Refusal> {
        let BindingRequest {
            source,
            destination,
            routing_key: key,
            arguments,
        } = wanted;
        let durable = {
            let actor = by.actor();
            let done = self.change_topology(|topology, changes| match (destination, bound) {
                (Destination::Queue(name), true) => topology.bind_queue(&actor, name.as_bytes(), source, key, arguments, changes),
                (Destination::Queue(name), false) => topology.unbind_queue(&actor, name.as_bytes(), source, key, arguments, changes),
                (Destination::Exchange(name), true) => topology.bind_exchange(&actor, name.as_bytes(), source, key, arguments, changes),
                (Destination::Exchange(name), false) => topology.unbind_exchange(&actor, name.as_bytes(), source, key, arguments, changes),
            });
            done.outcome?;
            done.durable
        };
        self.last(durable).await
    }
}

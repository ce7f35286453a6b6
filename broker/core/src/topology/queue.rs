//! Queues: what they are, and their declaration and deletion (AMQP 0-9-1, class `queue`). What they hold is the shards' business.

use super::change::{Change, Key, Kind};
use super::description::with_default_type;
use super::equivalence::{check_argument, check_property};
use super::error::{Permission, Resource, ResourceKind, TopologyError};
use super::policy::Governing;
use super::queue_arguments::{self, COMPARED, QueueType, TYPE};
use super::settings::Asked;
use super::vhost::queue_key;
use super::view::View;
use super::{Actor, RouteTarget, Topology, check_depth, new_name, stripped};
use crate::ids::{ConnectionId, QueueId};
use crate::settings::Settings;
use std::sync::Arc;
use stoa_amqp::{ShortString, Table, Value};

/// The argument that gives a server-named queue's name a beginning (RabbitMQ extension). It is used up by the declaration.
const NAME_PREFIX: &str = "x-name-prefix";
const NAME_PREFIX_MAX: usize = 64;

/// The field of a queue's record that says that it is paused.
pub(super) const PAUSED: &str = "paused";

/// A queue as it was declared. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// By what shards, journal and store know it.
    pub id: QueueId,
    /// Its name.
    pub name: ShortString,
    /// The virtual host that it is in.
    pub vhost: Arc<str>,
    /// Survives a restart. An exclusive queue does not, whatever was asked for.
    pub durable: bool,
    /// The connection that alone may use it, and with which it goes.
    pub exclusive: Option<ConnectionId>,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// What else was asked for.
    pub arguments: Table,
    /// What it shows, if it is a view: then it stores nothing, and nothing is routed to it.
    pub view: Option<Arc<View>>,
}

impl Queue {
    /// What a message that is routed to it is told.
    #[must_use]
    pub fn target(&self) -> RouteTarget {
        RouteTarget {
            queue: self.id,
            durable: self.durable,
            delays: false,
            keeps: false,
        }
    }

    /// Its messages are tuples.
    #[must_use]
    pub fn is_space(&self) -> bool {
        self.queue_type() == QueueType::Space
    }

    /// What kind of queue it is: by RabbitMQ's names `classic` or `quorum`, or else `space` or `view`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.queue_type().name()
    }

    /// Its messages go to its consumers only, and `basic.get` is refused: a quorum queue with a single active consumer, as in RabbitMQ. A classic one allows it.
    #[must_use]
    pub fn refuses_get(&self) -> bool {
        self.arguments.get("x-single-active-consumer") == Some(&Value::Bool(true)) && self.queue_type() == QueueType::Quorum
    }

    /// As an error names it.
    #[must_use]
    pub fn resource(&self) -> Resource {
        Resource::new(ResourceKind::Queue, self.name.as_bytes(), &self.vhost)
    }

    /// `paused`: nobody is given anything of it.
    pub(super) fn record(&self, paused: bool) -> Change {
        let fields: Table = [
            ("id", Value::from(self.id.0.cast_signed())),
            ("auto-delete", Value::from(self.auto_delete)),
            ("arguments", Value::from(self.arguments.clone())),
        ]
        .into_iter()
        .chain(paused.then_some((PAUSED, Value::from(true))))
        .collect();
        Change::put(queue_key(&self.vhost, &self.name), &fields)
    }

    /// Whether the connection may use it.
    pub(super) fn check_access(&self, connection: ConnectionId) -> Result<(), TopologyError> {
        match self.exclusive {
            Some(owner) if owner != connection => Err(TopologyError::Locked(self.resource())),
            _ => Ok(()),
        }
    }

    /// What was found valid when it was declared.
    pub(super) fn queue_type(&self) -> QueueType {
        QueueType::of(&self.arguments, &self.resource()).unwrap_or_default()
    }

    fn check_equivalence(&self, actor: &Actor<'_>, declare: &QueueDeclare<'_>) -> Result<(), TopologyError> {
        let resource = self.resource();
        if self.exclusive != declare.exclusive.then_some(actor.connection) {
            return Err(TopologyError::Locked(resource));
        }
        check_property("durable", &resource, declare.is_durable(), self.durable)?;
        check_property("auto_delete", &resource, declare.auto_delete, self.auto_delete)?;
        for name in COMPARED {
            check_argument(name, &resource, declare.arguments.get(name), self.arguments.get(name))?;
        }
        let queue_type = |arguments: &Table| arguments.get(TYPE).cloned().unwrap_or(Value::from(QueueType::default().name()));
        let (received, current) = (queue_type(&declare.arguments), queue_type(&self.arguments));
        check_argument(TYPE, &resource, Some(&received), Some(&current))
    }
}

/// What `queue.declare` asks for.
#[derive(Clone, Debug, Default)]
pub struct QueueDeclare<'a> {
    /// The name; the empty name asks the broker for one.
    pub name: &'a [u8],
    /// What sets a name that the broker gives apart from all others. The core has no randomness of its own.
    pub generated: &'a str,
    /// Only look whether it is there.
    pub passive: bool,
    /// It is to survive a restart.
    pub durable: bool,
    /// It is to be this connection's own.
    pub exclusive: bool,
    /// It is to go with its last consumer.
    pub auto_delete: bool,
    /// What else is asked for.
    pub arguments: Table,
}

impl QueueDeclare<'_> {
    fn is_durable(&self) -> bool {
        self.durable && !self.exclusive
    }

    /// The name of a queue that is declared with none.
    fn generated_name(&self) -> Result<Vec<u8>, TopologyError> {
        let prefix = match self.arguments.get(NAME_PREFIX) {
            Some(Value::LongString(prefix)) if !prefix.is_empty() => stripped(prefix).into_owned(),
            _ => b"amq.gen".to_vec(),
        };
        if prefix.len() > NAME_PREFIX_MAX {
            return Err(TopologyError::NamePrefix(String::from_utf8_lossy(&prefix).into()));
        }
        Ok([&*prefix, b"-", self.generated.as_bytes()].concat())
    }
}

/// What a declaration came to.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The queue.
    pub queue: Arc<Queue>,
    /// What it is set to do; `None` if that is nothing special.
    pub settings: Option<Arc<Settings>>,
    /// It is new: its shard must be told.
    pub created: bool,
}

/// A queue, and what it is set to do, which policies may change.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) queue: Arc<Queue>,
    pub(super) settings: Option<Arc<Settings>>,
    /// The policies that it is under.
    pub(super) governing: Governing,
    /// An operator has paused it.
    pub(super) paused: bool,
}

/// Gives out the ids of queues, each once, restarts included: so many are written down as used before the first of them is.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) next: u64,
    pub(super) reserved: u64,
}

impl Default for Ids {
    fn default() -> Self {
        Self { next: 1, reserved: 1 }
    }
}

impl Ids {
    /// How many are written down at a time. So many are lost at a restart, of 2^64.
    const BLOCK: u64 = 1024;

    pub(super) fn take(&mut self, changes: &mut Vec<Change>) -> QueueId {
        if self.next == self.reserved {
            self.reserved += Self::BLOCK;
            changes.push(self.record());
        }
        let id = QueueId(self.next);
        self.next += 1;
        id
    }

    pub(super) fn record(&self) -> Change {
        let fields: Table = [("reserved", self.reserved.cast_signed())].into_iter().collect();
        Change::put(Key::new(Kind::Ids), &fields)
    }
}

impl Topology {
    /// Declares a queue, or finds that an equivalent one is there.
    ///
    /// # Errors
    /// As RabbitMQ: see [`TopologyError`]. A passive declaration asks for any permission on the queue, as RabbitMQ 4.3 does.
    pub fn declare_queue(
        &mut self,
        actor: &Actor<'_>,
        declare: &QueueDeclare<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<Declared, TopologyError> {
        let vhost = self.vhost(actor.vhost)?;
        let declare = &*with_default_type(declare, &vhost.description);
        let mut name = stripped(declare.name);
        let mut resource = Resource::new(ResourceKind::Queue, &name, &vhost.name);
        if declare.passive {
            self.check_any(actor, &resource)?;
            let queue = self.queue(actor, &name)?;
            return Ok(self.declared(queue, false));
        }
        if name.is_empty() {
            let queue_type = QueueType::of(&declare.arguments, &resource)?;
            if !queue_type.may_be_server_named() {
                return Err(TopologyError::ServerNamed(queue_type.module()));
            }
            name = declare.generated_name()?.into();
            resource = Resource::new(ResourceKind::Queue, &name, &vhost.name);
        } else if name.starts_with(b"amq.") {
            return Err(TopologyError::ReservedName {
                kind: ResourceKind::Queue,
                name: new_name(ResourceKind::Queue, &name)?,
            });
        }
        self.check(actor, Permission::Configure, &resource)?;
        if let Some(queue) = vhost.queues.get(&*name) {
            queue.check_equivalence(actor, declare)?;
            return Ok(self.declared(queue.clone(), false));
        }
        let name = new_name(ResourceKind::Queue, &name)?;
        self.check_queue_limit(actor.vhost, name.as_bytes())?;
        check_depth(&declare.arguments, &resource)?;
        self.check_exchange_argument(actor, queue_arguments::DEAD_LETTER_EXCHANGE, &declare.arguments, &resource)?;
        let queue_type = QueueType::of(&declare.arguments, &resource)?;
        if queue_type == QueueType::Space {
            self.check_exchange_argument(actor, queue_arguments::NOTIFY_EXCHANGE, &declare.arguments, &resource)?;
        }
        queue_arguments::check(queue_type, &declare.arguments, &resource)?;
        queue_type.check(declare.is_durable(), declare.exclusive, declare.auto_delete, &resource)?;
        let view = queue_type.view(&declare.arguments, &resource)?;
        let mut arguments = declare.arguments.clone();
        arguments.remove(NAME_PREFIX);
        let queue = Arc::new(Queue {
            name,
            vhost: vhost.name.clone(),
            id: self.ids.take(changes),
            durable: declare.is_durable(),
            exclusive: declare.exclusive.then_some(actor.connection),
            auto_delete: declare.auto_delete,
            arguments,
            view,
        });
        if queue.durable {
            changes.push(queue.record(false));
        }
        self.add_queue(queue.clone());
        Ok(self.declared(queue, true))
    }

    fn declared(&self, queue: Arc<Queue>, created: bool) -> Declared {
        Declared {
            settings: self.settings(queue.id),
            queue,
            created,
        }
    }

    /// What is asked of a queue, by its arguments and by the policies that it is under.
    pub(super) fn settings_of(queue: &Queue, governing: &Governing, paused: bool) -> Settings {
        let policy = governing.definition();
        let asked = Asked {
            queue_type: queue.queue_type(),
            arguments: &queue.arguments,
            policy: policy.as_ref(),
            paused,
        };
        asked.settings()
    }

    /// The queue of that name, for one who may use it. Permissions are not looked at.
    ///
    /// # Errors
    /// If there is none, or it is another connection's own.
    pub fn queue(&self, actor: &Actor<'_>, name: &[u8]) -> Result<Arc<Queue>, TopologyError> {
        let vhost = self.vhost(actor.vhost)?;
        let queue = vhost.queues.get(name);
        let queue = queue.ok_or_else(|| TopologyError::NotFound(Resource::new(ResourceKind::Queue, name, &vhost.name)))?;
        queue.check_access(actor.connection)?;
        Ok(queue.clone())
    }

    /// The queue of that name, if there is one, whoever asks.
    #[must_use]
    pub fn find_queue(&self, vhost: &str, name: &[u8]) -> Option<Arc<Queue>> {
        self.vhosts.get(vhost)?.queues.get(name).cloned()
    }

    /// Deletes a queue with its bindings, and the auto-delete exchanges that had no others. Who may, and whether the queue is unused or empty, is
    /// for the caller to find out before.
    pub fn delete_queue(&mut self, vhost: &str, name: &[u8], changes: &mut Vec<Change>) -> Option<Arc<Queue>> {
        let queue = self.vhosts.get_mut(vhost)?.drop_queue(name, changes)?;
        self.forget_queue(&queue);
        self.forget_holding(vhost);
        Some(queue)
    }

    /// A connection's own queues, in the order of their declaration.
    #[must_use]
    pub fn exclusive_queues(&self, connection: ConnectionId) -> Vec<Arc<Queue>> {
        let ids = self.exclusive.get(&connection).into_iter().flatten();
        ids.filter_map(|id| self.queue_by_id(*id)).collect()
    }

    /// Takes a new queue in.
    pub(super) fn add_queue(&mut self, queue: Arc<Queue>) {
        if let Some(connection) = queue.exclusive {
            self.exclusive.entry(connection).or_default().insert(queue.id);
        }
        let policies = self.vhosts.get(&queue.vhost).map(|vhost| &vhost.policies);
        let governing = policies
            .map(|policies| policies.of_queue(queue.queue_type(), &queue.name))
            .unwrap_or_default();
        let settings = Self::settings_of(&queue, &governing, false);
        let known = Known {
            settings: self.settings.share(settings),
            governing,
            paused: false,
            queue: queue.clone(),
        };
        self.queues.insert(queue.id, known);
        if let Some(vhost) = self.vhosts.get_mut(&queue.vhost) {
            vhost.queues.insert(queue.name.clone(), queue);
        }
    }

    /// Forgets a queue that its virtual host has lost.
    pub(super) fn forget_queue(&mut self, queue: &Queue) {
        self.queues.remove(&queue.id);
        if let Some(connection) = queue.exclusive
            && let Some(own) = self.exclusive.get_mut(&connection)
        {
            own.remove(&queue.id);
            if own.is_empty() {
                self.exclusive.remove(&connection);
            }
        }
    }
}

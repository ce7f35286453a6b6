//! Virtual hosts, users, permissions, exchanges, queues' declarations and bindings, and the routing of messages by them.
//!
//! [`Topology`] is a plain struct: whoever owns it locks it. A request comes from an [`Actor`], is checked as RabbitMQ checks it, and is done or refused
//! with RabbitMQ's reply code and text ([`TopologyError`]). What must outlive a restart is appended to the caller's list of [`Change`]s, in the
//! order in which it must reach the store; [`Topology::restore`] builds the same topology from what is there then.
//!
//! What queues hold, who consumes from them, and whether they are empty or unused is not known here.

mod access;
mod bind;
mod bindings;
mod change;
mod deduplication;
mod description;
mod destinations;
mod equivalence;
mod error;
mod exchange;
mod facts;
mod history;
mod holding;
mod invariants;
mod kinds;
mod limits;
mod listing;
mod parameters;
mod password;
mod pattern;
mod pause;
mod permissions;
mod policy;
mod queue;
mod queue_arguments;
mod restore;
mod route;
mod settings;
mod term;
#[cfg(test)]
mod tests;
mod topic_permissions;
mod vhost;
mod view;

pub use access::{AccessError, SYSTEM, User};
pub use bindings::{Binding, Destination};
pub use change::{Change, KEY_PREFIX, RestoreError};
pub use deduplication::MessageKey;
pub use description::Description;
pub use error::{Permission, Resource, ResourceKind, TopologyError};
pub use exchange::{Exchange, ExchangeDeclare, ExchangeKind};
pub use facts::{DELAY, Facts, delay_ms};
pub use history::{Replay, ReplayTo};
pub use holding::{Holding, OwnQueues, Purpose};
pub use kinds::MatchError;
pub use limits::{LimitError, LimitOf, LimitSet, MAX_CHANNELS, MAX_CONNECTIONS, MAX_PUBLISH_BYTES_RATE, MAX_PUBLISH_RATE, MAX_QUEUES};
pub use parameters::Parameter;
pub use password::{Hashing, PasswordHash};
pub use permissions::Permissions;
pub use policy::{ApplyTo, Governing, Policy, PolicyError, PolicyKind, Reconfigured};
pub use queue::{Declared, Queue, QueueDeclare};
pub use route::{Inquiry, RouteError, RouteTarget};
pub use topic_permissions::TopicPermissions;
pub use view::View;

use crate::ids::{ConnectionId, QueueId};
use hashbrown::HashMap;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stoa_amqp::{ShortString, Table, Value};
use vhost::Vhost;

/// Who asks, and for which virtual host.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    /// The virtual host of the connection.
    pub vhost: &'a str,
    /// The user.
    pub user: &'a str,
    /// The connection: exclusive queues belong to it.
    pub connection: ConnectionId,
}

/// All that is declared. See the module's documentation.
#[derive(Debug)]
pub struct Topology {
    vhosts: HashMap<Arc<str>, Vhost>,
    users: HashMap<Arc<str>, User>,
    queues: HashMap<QueueId, queue::Known>,
    settings: settings::SettingsPool,
    /// The queues of exchanges' own, which are in no virtual host's list of queues.
    holding: HashMap<QueueId, holding::Held>,
    released: Vec<QueueId>,
    replays: Vec<Replay>,
    /// See [`Topology::limit_histories`].
    history_max: u64,
    /// The exclusive queues of each connection that has any.
    exclusive: HashMap<ConnectionId, BTreeSet<QueueId>>,
    ids: queue::Ids,
    global_parameters: BTreeMap<Box<str>, Value>,
}

impl Default for Topology {
    fn default() -> Self {
        Self::new()
    }
}

impl Topology {
    /// What a broker begins with: the virtual host `/`, and the user `guest`, password `guest`, an administrator with all permissions in it who may
    /// log in from the broker's own machine only.
    #[must_use]
    pub fn new() -> Self {
        let vhost = Vhost::new(Arc::from(vhost::DEFAULT));
        let guest = User::guest();
        Self {
            vhosts: [(vhost.name.clone(), vhost)].into_iter().collect(),
            users: [(guest.name.clone(), guest)].into_iter().collect(),
            queues: HashMap::new(),
            settings: settings::SettingsPool::default(),
            holding: HashMap::new(),
            released: Vec::new(),
            replays: Vec::new(),
            history_max: u64::MAX,
            exclusive: HashMap::new(),
            ids: queue::Ids::default(),
            global_parameters: BTreeMap::new(),
        }
    }

    fn vhost(&self, name: &str) -> Result<&Vhost, TopologyError> {
        self.vhosts.get(name).ok_or_else(|| TopologyError::NoVhost(name.into()))
    }

    fn vhost_mut(&mut self, name: &str) -> Result<&mut Vhost, TopologyError> {
        self.vhosts.get_mut(name).ok_or_else(|| TopologyError::NoVhost(name.into()))
    }
}

/// The name as RabbitMQ takes it: carriage returns and line feeds are left out.
fn stripped(name: &[u8]) -> Cow<'_, [u8]> {
    let is_break = |octet: &u8| matches!(octet, b'\r' | b'\n');
    if name.iter().any(is_break) {
        Cow::Owned(name.iter().copied().filter(|octet| !is_break(octet)).collect())
    } else {
        Cow::Borrowed(name)
    }
}

/// Arguments lie in records, one level deeper than they come, and must be read back from there.
fn check_depth(arguments: &Table, resource: &Resource) -> Result<(), TopologyError> {
    if arguments.depth() >= Table::DEPTH_MAX {
        return Err(TopologyError::Nesting(resource.clone()));
    }
    Ok(())
}

/// A name that can be one.
fn short(kind: ResourceKind, name: &[u8]) -> Result<ShortString, TopologyError> {
    ShortString::new(name).map_err(|_| TopologyError::InvalidName {
        kind,
        name: String::from_utf8_lossy(name).into(),
    })
}

/// A name for something new.
fn new_name(kind: ResourceKind, name: &[u8]) -> Result<ShortString, TopologyError> {
    if std::str::from_utf8(name).is_err() {
        return Err(TopologyError::InvalidName {
            kind,
            name: String::from_utf8_lossy(name).into(),
        });
    }
    short(kind, name)
}

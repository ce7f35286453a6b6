//! Why a request about the topology is refused: RabbitMQ's reply codes and texts, without the code's name in front.

use super::kinds::MatchError;
use std::fmt;
use std::sync::Arc;
use stoa_amqp::{ReplyCode, ShortString};

/// What kind of thing a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// An exchange.
    Exchange,
    /// A queue.
    Queue,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exchange => "exchange",
            Self::Queue => "queue",
        })
    }
}

/// What an error is about, shown as `queue 'q' in vhost '/'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    kind: ResourceKind,
    name: Box<[u8]>,
    vhost: Arc<str>,
}

impl Resource {
    pub(super) fn new(kind: ResourceKind, name: &[u8], vhost: &Arc<str>) -> Self {
        Self {
            kind,
            name: name.into(),
            vhost: vhost.clone(),
        }
    }

    /// An exchange of the same virtual host.
    pub(super) fn exchange(&self, name: &[u8]) -> Self {
        Self::new(ResourceKind::Exchange, name, &self.vhost)
    }

    pub(super) fn kind(&self) -> ResourceKind {
        self.kind
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// As a refusal shows it: the default exchange has a name there.
    pub(super) fn for_access(mut self) -> Self {
        if self.kind == ResourceKind::Exchange && self.name.is_empty() {
            self.name = b"amq.default".as_slice().into();
        }
        self
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} '{}' in vhost '{}'",
            self.kind,
            String::from_utf8_lossy(&self.name),
            self.vhost
        )
    }
}

/// What a user may be allowed to do with exchanges and queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Declare and delete.
    Configure,
    /// Publish to an exchange, bind a queue.
    Write,
    /// Consume from a queue, bind to an exchange.
    Read,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        })
    }
}

/// Why a request about the topology is refused. Shown as RabbitMQ's reply text without the code's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// The virtual host does not exist.
    #[error("vhost {0} not found")]
    NoVhost(Box<str>),
    /// A virtual host cannot have that name.
    #[error("vhost name '{0}' is not valid: a name is UTF-8 of 1 to 255 octets")]
    VhostName(Box<str>),
    /// A parameter cannot have that name.
    #[error("parameter name '{0}' is not valid: a name is UTF-8 of 1 to 255 octets")]
    ParameterName(Box<str>),
    /// A parameter's value holds lists and objects within others, deeper than a record can.
    #[error("the value of parameter '{0}' is nested too deep")]
    ParameterDepth(Box<str>),
    /// There is no such queue type.
    #[error("unsupported queue type '{0}'")]
    QueueType(Box<str>),
    /// The exchange or queue does not exist.
    #[error("no {0}")]
    NotFound(Resource),
    /// The user may not do that.
    #[error("{permission} access to {resource} refused for user '{user}'")]
    Refused {
        /// What it would have taken.
        permission: Permission,
        /// On what.
        resource: Resource,
        /// Who asked.
        user: Box<str>,
    },
    /// The user may not use that routing key with a topic exchange.
    #[error("{permission} access to topic '{routing_key}' in exchange topic '{exchange}' in vhost '{vhost}' refused for user '{user}'")]
    RefusedTopic {
        /// What it would have taken.
        permission: Permission,
        /// The key.
        routing_key: Box<str>,
        /// The exchange.
        exchange: ShortString,
        /// The virtual host.
        vhost: Arc<str>,
        /// Who asked.
        user: Box<str>,
    },
    /// The virtual host has as many queues as it may.
    #[error("cannot declare queue '{queue}': queue limit in vhost '{vhost}' ({limit}) is reached")]
    QueueLimit {
        /// The queue.
        queue: Box<str>,
        /// The virtual host.
        vhost: Arc<str>,
        /// How many it may have.
        limit: u64,
    },
    /// The default exchange can be published to, and that is all.
    #[error("operation not permitted on the default exchange")]
    DefaultExchange,
    /// The predeclared exchanges stay.
    #[error("deletion of system {0} not allowed")]
    SystemExchange(Resource),
    /// A name beginning with `amq.` can only be declared if it is there already.
    #[error("{kind} name '{name}' contains reserved prefix 'amq.*'")]
    ReservedName {
        /// Of what.
        kind: ResourceKind,
        /// The name.
        name: ShortString,
    },
    /// The name is not UTF-8, or longer than 255 octets.
    #[error("{kind} name '{name}' is not valid: a name is UTF-8 of at most 255 octets")]
    InvalidName {
        /// Of what.
        kind: ResourceKind,
        /// The name, as far as it can be shown.
        name: Box<str>,
    },
    /// The argument `x-name-prefix` is longer than 64 octets.
    #[error("Queue name prefix '{0}' exceeds the 64-byte limit")]
    NamePrefix(Box<str>),
    /// A queue of this type needs a name.
    #[error("Cannot declare a server-named queue for type {0}")]
    ServerNamed(&'static str),
    /// The queue is another connection's own.
    #[error(
        "cannot obtain exclusive access to locked {0}. It could be originally declared on another connection or the exclusive property \
         value does not match that of the original declaration."
    )]
    Locked(Resource),
    /// The exchange has bindings and was to be deleted only if it had none.
    #[error("{0} in use")]
    InUse(Resource),
    /// There is no such exchange type.
    #[error("unknown exchange type '{0}'")]
    ExchangeType(Box<str>),
    /// What is declared exists and is different.
    #[error("inequivalent arg '{argument}' for {resource}: received {received} but current is {current}")]
    Inequivalent {
        /// The argument or property that differs.
        argument: Box<str>,
        /// Of what.
        resource: Resource,
        /// What the declaration says.
        received: Box<str>,
        /// What is there.
        current: Box<str>,
    },
    /// An argument's value makes no sense.
    #[error("invalid arg '{argument}' for {resource}: {why}")]
    Argument {
        /// The argument.
        argument: &'static str,
        /// Of what.
        resource: Resource,
        /// Why not: an Erlang term.
        why: Box<str>,
    },
    /// Queues of this type do not take that argument.
    #[error("invalid arg '{argument}' for {resource} of queue type {queue_type}")]
    ArgumentOfOther {
        /// The argument.
        argument: &'static str,
        /// Of what.
        resource: Resource,
        /// The type, as RabbitMQ names it here.
        queue_type: &'static str,
    },
    /// An argument that names an exchange is not a text.
    #[error("invalid type '{kind}' for arg '{argument}' in {resource}")]
    ArgumentType {
        /// The type it has.
        kind: &'static str,
        /// The argument.
        argument: &'static str,
        /// Of what.
        resource: Resource,
    },
    /// The queue type does not allow that.
    #[error("invalid property '{property}' for {resource}")]
    Property {
        /// What it does not allow.
        property: &'static str,
        /// Of what.
        resource: Resource,
    },
    /// The arguments hold tables within tables, deeper than a record of them can.
    #[error("the arguments of {0} are nested too deep")]
    Nesting(Resource),
    /// A routing key is a short string.
    #[error("a routing key is of at most 255 octets")]
    RoutingKey,
    /// The arguments of an exchange make no sense to its type.
    #[error("{0}")]
    ExchangeArgument(Box<str>),
    /// The exchange does not take such a binding: its key is no weight where one is wanted, or its destination is of the wrong kind.
    #[error("{0}")]
    InvalidBinding(Box<str>),
    /// The arguments of a binding make no sense to the exchange.
    #[error(transparent)]
    Binding(#[from] MatchError),
}

impl TopologyError {
    /// The reply code that RabbitMQ answers with. Whether it closes the channel or the connection is in the code.
    #[must_use]
    pub fn code(&self) -> ReplyCode {
        match self {
            Self::NoVhost(_) => ReplyCode::NotAllowed,
            Self::NotFound(_) => ReplyCode::NotFound,
            Self::Refused { .. }
            | Self::RefusedTopic { .. }
            | Self::DefaultExchange
            | Self::SystemExchange(_)
            | Self::ReservedName { .. } => ReplyCode::AccessRefused,
            Self::Locked(_) => ReplyCode::ResourceLocked,
            // RabbitMQ since 3.13 closes only the channel, with 406
            Self::ExchangeType(_) => ReplyCode::CommandInvalid,
            Self::VhostName(_)
            | Self::ParameterName(_)
            | Self::ParameterDepth(_)
            | Self::QueueType(_)
            | Self::RoutingKey
            | Self::Nesting(_)
            | Self::QueueLimit { .. }
            | Self::ExchangeArgument(_)
            | Self::InvalidBinding(_)
            | Self::InvalidName { .. }
            | Self::NamePrefix(_)
            | Self::ServerNamed(_)
            | Self::InUse(_)
            | Self::Inequivalent { .. }
            | Self::Argument { .. }
            | Self::ArgumentOfOther { .. }
            | Self::ArgumentType { .. }
            | Self::Property { .. }
            | Self::Binding(_) => ReplyCode::PreconditionFailed,
        }
    }
}

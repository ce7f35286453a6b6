//! Policies: arguments that an operator gives to exchanges and queues by patterns of their names (RabbitMQ extension).
//!
//! An exchange or queue has at most one policy and one operator policy: of those that match, the one with the highest priority. What these two
//! define together is in [`Governing::definition`]; what that comes to beside a queue's own arguments is in `settings.rs`. A policy counts at once for
//! all that is there and for all that is declared later.

mod apply;
mod definition;
mod merge;

use super::change::{Change, Key, Kind};
use super::pattern::Pattern;
use super::queue_arguments::QueueType;
use super::{ShortString, Topology, TopologyError, term};
use std::sync::Arc;
use stoa_amqp::{Table, Value};

pub use apply::Reconfigured;

/// Who is meant to set a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// A policy, which whoever owns the virtual host sets (`policy`).
    User,
    /// An operator policy, which bounds what the former allow (`operator_policy`).
    Operator,
}

/// What a policy applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyTo {
    /// Exchanges and queues.
    All,
    /// Exchanges.
    Exchanges,
    /// Queues of all types.
    Queues,
    /// Classic queues.
    ClassicQueues,
    /// Quorum queues.
    QuorumQueues,
    /// Streams.
    Streams,
}

impl ApplyTo {
    const ALL: [Self; 6] = [
        Self::All,
        Self::Exchanges,
        Self::Queues,
        Self::ClassicQueues,
        Self::QuorumQueues,
        Self::Streams,
    ];

    /// As it is written in RabbitMQ's API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exchanges => "exchanges",
            Self::Queues => "queues",
            Self::ClassicQueues => "classic_queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Streams => "streams",
        }
    }

    fn of_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|to| to.name().as_bytes() == name)
    }
}

/// A policy. It never changes: another takes its place.
#[derive(Debug)]
pub struct Policy {
    /// Its name, unique in its virtual host among those of its kind.
    pub name: Box<str>,
    /// The virtual host that it is for.
    pub vhost: Arc<str>,
    /// The regular expression that names are held against; it need not match the whole of them.
    pub pattern: Box<str>,
    /// What it applies to.
    pub apply_to: ApplyTo,
    /// Of those that match the one with the highest counts; of equals the first by name.
    pub priority: i64,
    /// What it defines: arguments without the `x-` in front.
    pub definition: Table,
    matcher: Pattern,
}

impl Policy {
    /// Reads what a policy consists of: `pattern`, `definition`, `priority` (0 if it is missing) and `apply-to` (`all`).
    fn new(kind: PolicyKind, vhost: &Arc<str>, name: &str, terms: &Table) -> Result<Self, PolicyError> {
        let mut errors = Vec::new();
        let mut accept = |checked: Result<(), String>| errors.extend(checked.err());
        let priority = match terms.get("priority") {
            None => Some(0),
            Some(value) => value.as_i64(),
        };
        let given = |field: &str| terms.get(field).map_or_else(|| "undefined".to_owned(), term::text);
        accept(match terms.get("definition") {
            // It lies two levels deep in its record.
            Some(Value::Table(definition)) if definition.depth() + 2 > Table::DEPTH_MAX => Err("definition is nested too deep".to_owned()),
            Some(Value::Table(definition)) => definition::check(kind, definition),
            Some(other) => Err(format!("definition must be a dictionary: {}", term::text(other))),
            None => Err(format!("Key \"definition\" not found in {name}")),
        });
        let apply_to = match terms.get("apply-to") {
            None => Some(ApplyTo::All),
            Some(to) => to.as_bytes().and_then(ApplyTo::of_name),
        };
        let apply_to_text = match terms.get("apply-to") {
            Some(Value::LongString(text)) => String::from_utf8_lossy(text).into_owned(),
            Some(other) => term::text(other),
            None => String::new(),
        };
        accept(apply_to.map(drop).ok_or_else(|| {
            format!(
                "apply-to '{apply_to_text}' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'"
            )
        }));
        let pattern = terms.get("pattern").and_then(Value::as_str);
        let matcher = match pattern {
            Some(pattern) => Pattern::new(pattern).map_err(|error| format!("pattern should be regular expression but is invalid: {error}")),
            None => Err(format!("pattern should be a binary but was {}", given("pattern"))),
        };
        accept(matcher.as_ref().map(drop).map_err(Clone::clone));
        accept(
            priority
                .map(drop)
                .ok_or_else(|| format!("priority should be a number, actually was {}", given("priority"))),
        );
        match (pattern, matcher, apply_to, priority) {
            (Some(pattern), Ok(matcher), Some(apply_to), Some(priority)) if errors.is_empty() => Ok(Self {
                name: name.into(),
                vhost: vhost.clone(),
                pattern: pattern.into(),
                apply_to,
                priority,
                definition: terms.get("definition").and_then(Value::as_table).cloned().unwrap_or_default(),
                matcher,
            }),
            _ => Err(PolicyError::Invalid(errors)),
        }
    }

    fn record(&self, kind: PolicyKind) -> Change {
        let fields: Table = [
            ("pattern", Value::from(self.pattern.to_string())),
            ("apply-to", Value::from(self.apply_to.name())),
            ("priority", Value::from(self.priority)),
            ("definition", Value::from(self.definition.clone())),
        ]
        .into_iter()
        .collect();
        Change::put(policy_key(kind, &self.vhost, &self.name), &fields)
    }

    fn matches_exchange(&self, name: &ShortString) -> bool {
        matches!(self.apply_to, ApplyTo::All | ApplyTo::Exchanges) && self.matcher.matches(name.as_bytes())
    }

    /// As in RabbitMQ, a policy that defines something that queues of this type cannot do does not apply to them at all.
    fn matches_queue(&self, queue_type: QueueType, name: &ShortString) -> bool {
        let is_meant = match self.apply_to {
            ApplyTo::All | ApplyTo::Queues => true,
            ApplyTo::ClassicQueues => queue_type == QueueType::Classic,
            ApplyTo::QuorumQueues => queue_type == QueueType::Quorum,
            ApplyTo::Exchanges | ApplyTo::Streams => false,
        };
        is_meant && self.matcher.matches(name.as_bytes()) && definition::suits(&self.definition, queue_type)
    }
}

/// Why a policy is not set; the texts are RabbitMQ's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// There is no such virtual host.
    #[error(transparent)]
    NoVhost(#[from] TopologyError),
    /// The name is empty or longer than 255 octets.
    #[error("policy name '{0}' is not valid: a name is UTF-8 of 1 to 255 octets")]
    Name(Box<str>),
    /// Something of it will not do.
    #[error("Validation failed\n\n{}\n", .0.join("\n"))]
    Invalid(Vec<String>),
}

/// The policies that an exchange or a queue is under.
#[derive(Clone, Debug, Default)]
pub struct Governing {
    /// The policy.
    pub policy: Option<Arc<Policy>>,
    /// The operator policy.
    pub operator: Option<Arc<Policy>>,
}

impl Governing {
    /// What both define together; `None` if there is neither.
    #[must_use]
    pub fn definition(&self) -> Option<Table> {
        match (&self.policy, &self.operator) {
            (None, None) => None,
            (Some(only), None) | (None, Some(only)) => Some(only.definition.clone()),
            (Some(policy), Some(operator)) => Some(merge::merged(&policy.definition, &operator.definition)),
        }
    }

    /// Whether these are the very same policies.
    pub(super) fn is(&self, other: &Self) -> bool {
        let same = |a: &Option<Arc<Policy>>, b: &Option<Arc<Policy>>| a.as_ref().map(Arc::as_ptr) == b.as_ref().map(Arc::as_ptr);
        same(&self.policy, &other.policy) && same(&self.operator, &other.operator)
    }
}

/// The policies of a virtual host, each kind with those first that count first.
#[derive(Debug, Default)]
pub(super) struct Policies {
    user: Vec<Arc<Policy>>,
    operator: Vec<Arc<Policy>>,
}

impl Policies {
    fn of(&self, kind: PolicyKind) -> &Vec<Arc<Policy>> {
        match kind {
            PolicyKind::User => &self.user,
            PolicyKind::Operator => &self.operator,
        }
    }

    fn of_mut(&mut self, kind: PolicyKind) -> &mut Vec<Arc<Policy>> {
        match kind {
            PolicyKind::User => &mut self.user,
            PolicyKind::Operator => &mut self.operator,
        }
    }

    fn find(&self, kind: PolicyKind, name: &str) -> Option<&Arc<Policy>> {
        self.of(kind).iter().find(|policy| *policy.name == *name)
    }

    fn put(&mut self, kind: PolicyKind, policy: Policy) {
        self.remove(kind, &policy.name);
        let list = self.of_mut(kind);
        let at = list.partition_point(|other| (-other.priority, &other.name) < (-policy.priority, &policy.name));
        list.insert(at, Arc::new(policy));
    }

    fn remove(&mut self, kind: PolicyKind, name: &str) -> bool {
        let list = self.of_mut(kind);
        let before = list.len();
        list.retain(|policy| *policy.name != *name);
        list.len() != before
    }

    pub(super) fn is_empty(&self) -> bool {
        self.user.is_empty() && self.operator.is_empty()
    }

    fn governing(&self, matches: impl Fn(&Policy) -> bool) -> Governing {
        let first = |list: &[Arc<Policy>]| list.iter().find(|policy| matches(policy)).cloned();
        Governing {
            policy: first(&self.user),
            operator: first(&self.operator),
        }
    }

    pub(super) fn of_exchange(&self, name: &ShortString) -> Governing {
        self.governing(|policy| policy.matches_exchange(name))
    }

    pub(super) fn of_queue(&self, queue_type: QueueType, name: &ShortString) -> Governing {
        self.governing(|policy| policy.matches_queue(queue_type, name))
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Change> {
        let user = self.user.iter().map(|policy| policy.record(PolicyKind::User));
        user.chain(self.operator.iter().map(|policy| policy.record(PolicyKind::Operator)))
    }

    pub(super) fn invariants(&self) {
        for list in [&self.user, &self.operator] {
            let is_first = |a: &Arc<Policy>, b: &Arc<Policy>| (-a.priority, &a.name) < (-b.priority, &b.name);
            assert!(list.is_sorted_by(is_first), "policies lie in the order in which they count");
        }
    }
}

pub(super) fn policy_key(kind: PolicyKind, vhost: &str, name: &str) -> Key {
    let kind = match kind {
        PolicyKind::User => Kind::Policy,
        PolicyKind::Operator => Kind::OperatorPolicy,
    };
    Key::new(kind).part(vhost).part(name)
}

impl Topology {
    /// The policies of one kind, virtual host by virtual host, or those of one, those first that count first.
    pub fn policies<'t>(&'t self, kind: PolicyKind, vhost: Option<&'t str>) -> impl Iterator<Item = &'t Arc<Policy>> {
        let vhosts = self.vhosts.values().filter(move |own| vhost.is_none_or(|name| *own.name == *name));
        vhosts.flat_map(move |vhost| vhost.policies.of(kind))
    }

    /// A policy by its name.
    #[must_use]
    pub fn policy(&self, kind: PolicyKind, vhost: &str, name: &str) -> Option<Arc<Policy>> {
        self.vhosts.get(vhost)?.policies.find(kind, name).cloned()
    }
}

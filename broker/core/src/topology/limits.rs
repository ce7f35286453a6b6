//! What a virtual host or a user may have at most (RabbitMQ: `vhost-limits`, `user-limits`). Negative numbers are no limits.
//!
//! Queues are counted here; connections and channels are for whoever knows of them to count.

use super::change::{Change, Key, Kind, Record, RestoreError};
use super::{Topology, TopologyError, term};
use std::collections::BTreeMap;
use std::sync::Arc;
use stoa_amqp::{Table, Value};

/// Who is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitOf {
    /// A virtual host: `max-connections`, `max-queues`, and the rates of publishing.
    Vhost,
    /// A user: `max-connections`, `max-channels`, and the rates of publishing.
    User,
}

/// Connections at a time.
pub const MAX_CONNECTIONS: &str = "max-connections";
/// Queues at a time.
pub const MAX_QUEUES: &str = "max-queues";
/// Channels at a time, on all connections.
pub const MAX_CHANNELS: &str = "max-channels";

/// Messages published a second (an extension of Stoa's).
pub const MAX_PUBLISH_RATE: &str = "max-publish-rate";
/// Octets of bodies published a second (an extension of Stoa's).
pub const MAX_PUBLISH_BYTES_RATE: &str = "max-publish-bytes-rate";

impl LimitOf {
    fn names(self) -> [&'static str; 4] {
        match self {
            Self::Vhost => [MAX_CONNECTIONS, MAX_QUEUES, MAX_PUBLISH_RATE, MAX_PUBLISH_BYTES_RATE],
            Self::User => [MAX_CONNECTIONS, MAX_CHANNELS, MAX_PUBLISH_RATE, MAX_PUBLISH_BYTES_RATE],
        }
    }

    fn key(self, owner: &str) -> Key {
        let kind = match self {
            Self::Vhost => Kind::VhostLimits,
            Self::User => Kind::UserLimits,
        };
        Key::new(kind).part(owner)
    }

    /// What RabbitMQ says of a limit that will not do.
    fn check(self, name: &str, value: &Value) -> Result<(&'static str, i64), String> {
        let known = self.names().into_iter().find(|known| *known == name);
        let set = match self {
            Self::Vhost => "limits",
            Self::User => "user-limits",
        };
        let given: Table = [(name, value.clone())].into_iter().collect();
        let known = known.ok_or_else(|| format!("Unrecognised terms {} in {set}", term::pairs(&given)))?;
        let number = value.as_i64();
        let number = number.ok_or_else(|| format!("{known} should be a number, actually was {}", term::text(value)))?;
        Ok((known, number))
    }
}

/// The limits of one virtual host or user, as they were set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitSet(BTreeMap<&'static str, i64>);

impl LimitSet {
    /// What may be there at most; `None` if there is no limit.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(|limit| u64::try_from(*limit).ok())
    }

    /// The limits as they were set, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, i64)> {
        self.0.iter().map(|(name, limit)| (*name, *limit))
    }

    /// Whether none was set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the store must hold of it.
    pub(super) fn change(&self, of: LimitOf, owner: &str) -> Change {
        if self.is_empty() {
            return Change::delete(of.key(owner));
        }
        Change::put(of.key(owner), &self.iter().collect())
    }
}

/// Why a limit is not set; the texts are RabbitMQ's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// There is no such virtual host or user.
    #[error("there is no such {}", match .0 { LimitOf::Vhost => "vhost", LimitOf::User => "user" })]
    NoOwner(LimitOf),
    /// There is no such limit, or it is no number.
    #[error("{0}")]
    Invalid(String),
}

impl Topology {
    /// Sets one limit of a virtual host or user.
    ///
    /// # Errors
    /// If there is none of that name, or the limit is not known, or no integer.
    pub fn set_limit(&mut self, of: LimitOf, owner: &str, name: &str, value: &Value, changes: &mut Vec<Change>) -> Result<(), LimitError> {
        let limits = self.limits_mut(of, owner).ok_or(LimitError::NoOwner(of))?;
        let (name, limit) = of.check(name, value).map_err(|text| {
            LimitError::Invalid(match of {
                LimitOf::Vhost => format!("Validation failed\n\n{text}\n"),
                LimitOf::User => text,
            })
        })?;
        limits.0.insert(name, limit);
        changes.push(limits.change(of, owner));
        Ok(())
    }

    /// Takes a limit away. Returns false if there was none.
    pub fn clear_limit(&mut self, of: LimitOf, owner: &str, name: &str, changes: &mut Vec<Change>) -> bool {
        let Some(limits) = self.limits_mut(of, owner) else { return false };
        let was_there = limits.0.remove(name).is_some();
        if was_there {
            changes.push(limits.change(of, owner));
        }
        was_there
    }

    /// The limits of a virtual host or user; `None` if there is none of that name.
    #[must_use]
    pub fn limits(&self, of: LimitOf, owner: &str) -> Option<&LimitSet> {
        match of {
            LimitOf::Vhost => self.vhosts.get(owner).map(|vhost| &vhost.limits),
            LimitOf::User => self.users.get(owner).map(|user| &user.limits),
        }
    }

    /// All virtual hosts or users that have limits, in no particular order.
    pub fn all_limits(&self, of: LimitOf) -> impl Iterator<Item = (&Arc<str>, &LimitSet)> {
        let vhosts = self.vhosts.values().filter(move |_| of == LimitOf::Vhost);
        let users = self.users.values().filter(move |_| of == LimitOf::User);
        let all = vhosts
            .map(|vhost| (&vhost.name, &vhost.limits))
            .chain(users.map(|user| (&user.name, &user.limits)));
        all.filter(|(_, limits)| !limits.is_empty())
    }

    /// Whether one more queue may be declared in a virtual host.
    pub(super) fn check_queue_limit(&self, vhost: &str, queue: &[u8]) -> Result<(), TopologyError> {
        let vhost = self.vhost(vhost)?;
        match vhost.limits.get(MAX_QUEUES) {
            Some(limit) if vhost.queues.len() as u64 >= limit => Err(TopologyError::QueueLimit {
                queue: String::from_utf8_lossy(queue).into(),
                vhost: vhost.name.clone(),
                limit,
            }),
            _ => Ok(()),
        }
    }

    /// Takes in what the store has of limits.
    pub(super) fn restore_limits(&mut self, of: LimitOf, record: &mut Record<'_>) -> Result<(), RestoreError> {
        let owner = record.text()?;
        for (name, value) in record.fields() {
            let set = self.set_limit(of, owner, &name.as_str_lossy(), value, &mut Vec::new());
            set.map_err(|_| record.error("is of nobody who is there, or a limit that this Stoa does not know"))?;
        }
        Ok(())
    }

    fn limits_mut(&mut self, of: LimitOf, owner: &str) -> Option<&mut LimitSet> {
        match of {
            LimitOf::Vhost => self.vhosts.get_mut(owner).map(|vhost| &mut vhost.limits),
            LimitOf::User => self.users.get_mut(owner).map(|user| &mut user.limits),
        }
    }
}

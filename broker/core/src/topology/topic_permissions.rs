//! With which routing keys a user may publish to a topic exchange and bind to it (RabbitMQ: topic permissions).
//!
//! A user without topic permissions for an exchange may use any key. `{username}` and `{vhost}` in a pattern stand for these names; `{client_id}`
//! stands for itself, since AMQP clients have none.

use super::access::{AccessError, User};
use super::change::{Change, Key, Kind, Record, RestoreError};
use super::error::Permission;
use super::permissions::NamePattern;
use super::{Actor, ExchangeKind, Topology, TopologyError};
use std::sync::Arc;
use stoa_amqp::{ShortString, Table, Value};

/// The keys that a user may use with a topic exchange.
#[derive(Clone, Debug)]
pub struct TopicPermissions {
    /// The pattern of keys to publish with, as it was given.
    pub write: Box<str>,
    /// The pattern of keys to bind with, as it was given.
    pub read: Box<str>,
    may_write: NamePattern,
    may_read: NamePattern,
}

impl TopicPermissions {
    fn new(user: &str, vhost: &str, write: &str, read: &str) -> Result<Self, AccessError> {
        let expanded = |pattern: &str| {
            let pattern = pattern.replace("{username}", &regex::escape(user));
            let pattern = pattern.replace("{vhost}", &regex::escape(vhost));
            NamePattern::new(&pattern.replace("{client_id}", "\\{client_id\\}"))
        };
        Ok(Self {
            may_write: expanded(write)?,
            may_read: expanded(read)?,
            write: write.into(),
            read: read.into(),
        })
    }

    fn record(&self, user: &str, vhost: &str, exchange: &ShortString) -> Change {
        let fields: Table = [
            ("write", Value::from(self.write.to_string())),
            ("read", Value::from(self.read.to_string())),
        ]
        .into_iter()
        .collect();
        Change::put(key(user, vhost, exchange), &fields)
    }
}

fn key(user: &str, vhost: &str, exchange: &ShortString) -> Key {
    Key::new(Kind::TopicPermission).part(vhost).part(user).part(exchange)
}

/// What the store must hold of the topic permissions of a user, or of those in one virtual host.
pub(super) fn records<'u>(user: &'u User, vhost: Option<&'u str>) -> impl Iterator<Item = Change> + 'u {
    let all = user.topic_permissions.iter();
    let own = all.filter(move |((of, _), _)| vhost.is_none_or(|vhost| **of == *vhost));
    own.map(|((vhost, exchange), permissions)| permissions.record(&user.name, vhost, exchange))
}

/// What takes these records away.
pub(super) fn deletions<'u>(user: &'u User, vhost: Option<&'u str>) -> impl Iterator<Item = Change> + 'u {
    records(user, vhost).map(|record| Change { value: None, ..record })
}

impl Topology {
    /// Says with which keys a user may use a topic exchange, be it there or not.
    ///
    /// # Errors
    /// If there is no such user or virtual host, or a pattern is no regular expression.
    pub fn set_topic_permissions(
        &mut self,
        user: &str,
        vhost: &str,
        exchange: &ShortString,
        (write, read): (&str, &str),
        changes: &mut Vec<Change>,
    ) -> Result<(), AccessError> {
        let (vhost, _) = self.vhosts.get_key_value(vhost).ok_or_else(|| AccessError::NoVhost(vhost.into()))?;
        let user = self.users.get_mut(user).ok_or_else(|| AccessError::NoUser(user.into()))?;
        let permissions = TopicPermissions::new(&user.name, vhost, write, read)?;
        changes.push(permissions.record(&user.name, vhost, exchange));
        user.topic_permissions.insert((vhost.clone(), exchange.clone()), permissions);
        Ok(())
    }

    /// Takes topic permissions of a user in a virtual host away: for one exchange, or for all. Returns false if there were none.
    pub fn clear_topic_permissions(&mut self, user: &str, vhost: &str, exchange: Option<&ShortString>, changes: &mut Vec<Change>) -> bool {
        let Some(user) = self.users.get_mut(user) else { return false };
        let name = user.name.clone();
        let gone = user
            .topic_permissions
            .extract_if(.., |(of, own), _| **of == *vhost && exchange.is_none_or(|exchange| own == exchange));
        let before = changes.len();
        changes.extend(gone.map(|((vhost, exchange), _)| Change::delete(key(&name, &vhost, &exchange))));
        changes.len() != before
    }

    /// The topic permissions of a user: virtual host, exchange, patterns; in that order.
    pub fn topic_permissions(&self, user: &str) -> impl Iterator<Item = (&Arc<str>, &ShortString, &TopicPermissions)> {
        let all = self.users.get(user).into_iter().flat_map(|user| &user.topic_permissions);
        all.map(|((vhost, exchange), permissions)| (vhost, exchange, permissions))
    }

    /// Whether the user may publish to the exchange (write) or bind to it (read) with this routing key. What is no topic exchange does not ask.
    ///
    /// # Errors
    /// [`TopologyError::RefusedTopic`] if not.
    pub fn check_topic(&self, actor: &Actor<'_>, permission: Permission, exchange: &[u8], routing_key: &[u8]) -> Result<(), TopologyError> {
        let user = self.users.get(actor.user).filter(|user| !user.topic_permissions.is_empty());
        let found = user
            .and_then(|_| self.vhosts.get(actor.vhost))
            .and_then(|vhost| vhost.exchange(exchange));
        let (Some(user), Some(exchange)) = (user, found.filter(|exchange| exchange.kind == ExchangeKind::Topic)) else {
            return Ok(());
        };
        let permissions = user.topic_permissions.get(&(exchange.vhost.clone(), exchange.name.clone()));
        let allows = |permissions: &TopicPermissions| match permission {
            Permission::Read => permissions.may_read.matches(routing_key),
            _ => permissions.may_write.matches(routing_key),
        };
        if permissions.is_none_or(allows) {
            return Ok(());
        }
        Err(TopologyError::RefusedTopic {
            permission,
            routing_key: String::from_utf8_lossy(routing_key).into(),
            exchange: exchange.name.clone(),
            vhost: exchange.vhost.clone(),
            user: actor.user.into(),
        })
    }

    /// Takes in what the store has of topic permissions.
    pub(super) fn restore_topic_permissions(&mut self, record: &mut Record<'_>) -> Result<(), RestoreError> {
        let (vhost, user, exchange) = (record.text()?, record.text()?, record.name()?);
        let [write, read] = ["write", "read"].map(|field| record.string(field).unwrap_or_default());
        let set = self.set_topic_permissions(user, vhost, &exchange, (write, read), &mut Vec::new());
        set.map_err(|_| record.error("is of a user or virtual host that is not there, or has a pattern that is no regular expression"))
    }
}

//! What administrators change while the broker runs. A change counts at once, and is answered when it is durable.

use std::sync::Arc;

use stoa_amqp::{ShortString, Table, Value};
use stoa_core::topology::{AccessError, LimitError, LimitOf, LimitSet, Policy, PolicyError, PolicyKind, Reconfigured, TopicPermissions};

use crate::broker::Broker;

/// Why a change by an administrator was not made, or may not last.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdministrationError {
    /// The policy will not do.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The limit will not do.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The topic permissions will not do.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// It counts now, but the store has failed: a restart may undo it.
    #[error("the store has failed")]
    NotDurable,
}

/// With which routing keys a user may use a topic exchange.
#[derive(Clone, Debug)]
pub struct TopicPermission {
    /// The user.
    pub user: Arc<str>,
    /// The virtual host.
    pub vhost: Arc<str>,
    /// The exchange.
    pub exchange: ShortString,
    /// The patterns.
    pub permissions: TopicPermissions,
}

impl Broker {
    /// Sets a policy, with the fields of RabbitMQ's API as terms: `pattern`, `definition`, `priority`, `apply-to`. Gives whether it is new.
    ///
    /// # Errors
    /// If something of it will not do, or the store has failed.
    pub async fn set_policy(
        self: &Arc<Self>,
        kind: PolicyKind,
        vhost: &str,
        name: &str,
        terms: &Table,
    ) -> Result<bool, AdministrationError> {
        let is_new = {
            let change = self.change_topology(|topology, changes| {
                let is_new = topology.policy(kind, vhost, name).is_none();
                let reconfigured = topology.set_policy(kind, vhost, name, terms, changes)?;
                self.configure(&reconfigured);
                Ok::<_, PolicyError>(is_new)
            });
            change.outcome?
        };
        self.run_all();
        self.durable().await?;
        Ok(is_new)
    }

    /// Takes a policy away. Gives whether there was one.
    ///
    /// # Errors
    /// If the store has failed.
    pub async fn clear_policy(self: &Arc<Self>, kind: PolicyKind, vhost: &str, name: &str) -> Result<bool, AdministrationError> {
        let was_there = {
            let change = self.change_topology(|topology, changes| {
                let reconfigured = topology.clear_policy(kind, vhost, name, changes);
                reconfigured.map(|reconfigured| self.configure(&reconfigured)).is_some()
            });
            change.outcome
        };
        if was_there {
            self.run_all();
            self.durable().await?;
        }
        Ok(was_there)
    }

    /// Pauses a queue, or resumes it: while it is paused, nobody is given anything of it. Gives whether there is such a queue.
    ///
    /// # Errors
    /// If the store has failed.
    pub async fn pause_queue(self: &Arc<Self>, vhost: &str, name: &str, paused: bool) -> Result<bool, AdministrationError> {
        let is_there = {
            let change = self.change_topology(|topology, changes| {
                let reconfigured = topology.pause_queue(vhost, name.as_bytes(), paused, changes);
                reconfigured.map(|reconfigured| self.configure(&reconfigured)).is_some()
            });
            change.outcome
        };
        if is_there {
            self.run_all();
            self.durable().await?;
        }
        Ok(is_there)
    }

    /// The policies of one kind, of all virtual hosts or of one, in ascending order of priority, virtual host and name, as RabbitMQ lists them.
    #[must_use]
    pub fn policies(&self, kind: PolicyKind, vhost: Option<&str>) -> Vec<Arc<Policy>> {
        let site = self.topology.read();
        let mut policies: Vec<_> = site.topology.policies(kind, vhost).cloned().collect();
        policies.sort_by(|a, b| (a.priority, &a.vhost, &a.name).cmp(&(b.priority, &b.vhost, &b.name)));
        policies
    }

    /// A policy by its name.
    #[must_use]
    pub fn policy(&self, kind: PolicyKind, vhost: &str, name: &str) -> Option<Arc<Policy>> {
        self.topology.read().topology.policy(kind, vhost, name)
    }

    /// Sets one limit of a virtual host or user. What is there already stays; the limit counts for what comes.
    ///
    /// # Errors
    /// If there is none of that name, it is no such limit or no integer, or the store has failed.
    pub async fn set_limit(self: &Arc<Self>, of: LimitOf, owner: &str, name: &str, value: &Value) -> Result<(), AdministrationError> {
        self.change_topology(|topology, changes| topology.set_limit(of, owner, name, value, changes))
            .outcome?;
        self.durable().await
    }

    /// Takes a limit away. Gives whether there was one.
    ///
    /// # Errors
    /// If the store has failed.
    pub async fn clear_limit(self: &Arc<Self>, of: LimitOf, owner: &str, name: &str) -> Result<bool, AdministrationError> {
        let change = self.change_topology(|topology, changes| topology.clear_limit(of, owner, name, changes));
        let was_there = change.outcome;
        self.durable().await?;
        Ok(was_there)
    }

    /// The limits of one virtual host or user; `None` if there is none of that name.
    #[must_use]
    pub fn limits(&self, of: LimitOf, owner: &str) -> Option<LimitSet> {
        self.topology.read().topology.limits(of, owner).cloned()
    }

    /// All virtual hosts or users that have limits, by name.
    #[must_use]
    pub fn all_limits(&self, of: LimitOf) -> Vec<(Arc<str>, LimitSet)> {
        let site = self.topology.read();
        let all = site.topology.all_limits(of).map(|(owner, limits)| (owner.clone(), limits.clone()));
        let mut all: Vec<_> = all.collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Says with which routing keys a user may publish to a topic exchange and bind to it.
    ///
    /// # Errors
    /// If there is no such user or virtual host, a pattern is no regular expression, or the store has failed.
    pub async fn set_topic_permissions(
        self: &Arc<Self>,
        user: &str,
        vhost: &str,
        exchange: &ShortString,
        write_and_read: (&str, &str),
    ) -> Result<(), AdministrationError> {
        self.change_topology(|topology, changes| topology.set_topic_permissions(user, vhost, exchange, write_and_read, changes))
            .outcome?;
        self.durable().await
    }

    /// All topic permissions, by user, virtual host and exchange.
    #[must_use]
    pub fn topic_permissions(&self) -> Vec<TopicPermission> {
        let site = self.topology.read();
        let mut users: Vec<_> = site.topology.users().map(|user| user.name.clone()).collect();
        users.sort_unstable();
        let of_user = |user: &Arc<str>| {
            let all = site.topology.topic_permissions(user);
            let views = all.map(|(vhost, exchange, permissions)| TopicPermission {
                user: user.clone(),
                vhost: vhost.clone(),
                exchange: exchange.clone(),
                permissions: permissions.clone(),
            });
            views.collect::<Vec<_>>()
        };
        users.iter().flat_map(of_user).collect()
    }

    /// Takes the topic permissions of a user in a virtual host away, for one exchange or for all. Gives whether there were any.
    ///
    /// # Errors
    /// If the store has failed.
    pub async fn clear_topic_permissions(
        self: &Arc<Self>,
        user: &str,
        vhost: &str,
        exchange: Option<&ShortString>,
    ) -> Result<bool, AdministrationError> {
        let change = self.change_topology(|topology, changes| topology.clear_topic_permissions(user, vhost, exchange, changes));
        let were_there = change.outcome;
        self.durable().await?;
        Ok(were_there)
    }

    /// Tells shards what their queues are set to do now: to be called while the topology is locked, so that two changes reach them in
    /// their order.
    fn configure(&self, reconfigured: &Reconfigured) {
        for cell in &self.shards {
            let own = reconfigured.iter().filter(|(queue, _)| self.shard_index(*queue) == cell.index);
            let mut own = own.peekable();
            if own.peek().is_some() {
                let mut running = cell.lock();
                own.for_each(|(queue, settings)| running.shard.configure(*queue, settings.clone()));
            }
        }
    }

    /// What shards were told may give them something to do.
    fn run_all(self: &Arc<Self>) {
        self.shards.iter().for_each(|cell| cell.run_soon(self));
    }

    /// Waits until everything that has been changed so far is durable.
    async fn durable(&self) -> Result<(), AdministrationError> {
        self.commits.durable().await.map_err(|_| AdministrationError::NotDurable)
    }
}

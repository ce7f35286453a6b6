//! Users, permissions, virtual hosts and parameters, as administrators change and see them. A change counts at once, and is answered when it is durable.

use std::sync::Arc;

use stoa_amqp::{ReplyCode, Value};
use stoa_core::topology::{
    AccessError, Description, LimitOf, LimitSet, Parameter, PasswordHash, Permission, Permissions, Topology, TopologyError, User,
};

use crate::broker::Broker;
use crate::requests::Refusal;

/// The user that may log in from the broker's own machine only, whoever makes it (RabbitMQ: `loopback_users`).
const LOOPBACK_USER: &str = "guest";

/// A user, as administrators see one.
#[derive(Clone, Debug)]
pub struct UserView {
    /// The name.
    pub name: Arc<str>,
    /// What is kept of the password; none, and there is no login by password.
    pub password: Option<PasswordHash>,
    /// The tags.
    pub tags: Vec<Box<str>>,
    /// The limits.
    pub limits: LimitSet,
    /// Whether there are permissions in any virtual host.
    pub has_permissions: bool,
}

impl UserView {
    fn new(user: &User, topology: &Topology) -> Self {
        Self {
            name: user.name.clone(),
            password: user.password.clone(),
            tags: user.tags.clone(),
            limits: topology.limits(LimitOf::User, &user.name).cloned().unwrap_or_default(),
            has_permissions: user.all_permissions().next().is_some(),
        }
    }
}

/// What becomes of a user's password.
#[derive(Clone, Debug)]
pub enum NewPassword {
    /// It stays; a new user has none.
    Kept,
    /// There is none any more.
    Removed,
    /// It is this one, which is hashed with argon2id.
    Plain(String),
    /// It is the one of which this is the hash.
    Hashed(PasswordHash),
}

/// What a user may do in a virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionView {
    /// The user.
    pub user: Arc<str>,
    /// The virtual host.
    pub vhost: Arc<str>,
    /// The pattern of what may be declared and deleted.
    pub configure: String,
    /// The pattern of what may be published to and bound.
    pub write: String,
    /// The pattern of what may be consumed from and bound to.
    pub read: String,
}

impl PermissionView {
    fn new(user: &Arc<str>, vhost: &Arc<str>, permissions: &Permissions) -> Self {
        let pattern = |permission| permissions.pattern(permission).to_owned();
        Self {
            user: user.clone(),
            vhost: vhost.clone(),
            configure: pattern(Permission::Configure),
            write: pattern(Permission::Write),
            read: pattern(Permission::Read),
        }
    }
}

impl From<AccessError> for Refusal {
    fn from(error: AccessError) -> Self {
        Self::new(ReplyCode::PreconditionFailed, error.to_string())
    }
}

impl Broker {
    async fn lasting(&self) -> Result<(), Refusal> {
        self.commits.durable().await.map_err(|_| Refusal::not_durable())
    }

    /// All users, by name.
    #[must_use]
    pub fn users(&self) -> Vec<UserView> {
        let site = self.topology.read();
        let mut users: Vec<_> = site.topology.users().map(|user| UserView::new(user, &site.topology)).collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users
    }

    /// A user.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<UserView> {
        let site = self.topology.read();
        site.topology.user(name).map(|user| UserView::new(user, &site.topology))
    }

    /// Makes a user, or changes one. Gives whether it is new.
    ///
    /// # Errors
    /// If the name will not do, or the store has failed.
    pub async fn put_user(self: &Arc<Self>, name: &str, password: NewPassword, tags: Vec<Box<str>>) -> Result<bool, Refusal> {
        let password = match password {
            NewPassword::Plain(password) => NewPassword::Hashed(self.hash_password(password).await),
            other => other,
        };
        let is_new = {
            let change = self.change_topology(|topology, changes| {
                let before = topology.user(name);
                let is_new = before.is_none();
                let password = match password {
                    NewPassword::Kept => before.and_then(|user| user.password.clone()),
                    NewPassword::Hashed(hash) => Some(hash),
                    NewPassword::Removed | NewPassword::Plain(_) => None,
                };
                let mut user = User::new(name, password, tags);
                user.loopback_only = name == LOOPBACK_USER;
                topology.put_user(user, changes)?;
                Ok::<_, AccessError>(is_new)
            });
            change.outcome?
        };
        self.lasting().await?;
        Ok(is_new)
    }

    /// Deletes a user, and closes its connections. Gives whether there was one.
    ///
    /// # Errors
    /// If the store has failed.
    pub async fn delete_user(self: &Arc<Self>, name: &str) -> Result<bool, Refusal> {
        let was_there = self
            .change_topology(|topology, changes| topology.delete_user(name, changes))
            .outcome;
        if was_there {
            self.close_connections(&format!("user '{name}' was deleted"), |identity| identity.user == name);
            self.lasting().await?;
        }
        Ok(was_there)
    }

    /// All permissions, by user and virtual host.
    #[must_use]
    pub fn permissions(&self) -> Vec<PermissionView> {
        let site = self.topology.read();
        let of_user = |user: &User| {
            let all = user.all_permissions();
            all.map(|(vhost, permissions)| PermissionView::new(&user.name, vhost, permissions))
                .collect::<Vec<_>>()
        };
        let mut views: Vec<_> = site.topology.users().flat_map(of_user).collect();
        views.sort_by(|a, b| (&a.user, &a.vhost).cmp(&(&b.user, &b.vhost)));
        views
    }

    /// Says what a user may do in a virtual host. Gives whether nothing was said before.
    ///
    /// # Errors
    /// If there is no such user or virtual host, a pattern is no regular expression, or the store has failed.
    pub async fn set_permissions(self: &Arc<Self>, user: &str, vhost: &str, [configure, write, read]: [&str; 3]) -> Result<bool, Refusal> {
        let permissions = Permissions::new(configure, write, read)?;
        let is_new = {
            let change = self.change_topology(|topology, changes| {
                let is_new = topology.user(user).is_none_or(|user| user.permissions(vhost).is_none());
                topology.set_permissions(user, vhost, permissions, changes).map(|()| is_new)
            });
            change.outcome?
        };
        self.lasting().await?;
        Ok(is_new)
    }

    /// Takes away what a user may do in a virtual host. Gives whether that was anything.
    ///
    /// # Errors
    /// If the store has failed.
    pub async fn clear_permissions(self: &Arc<Self>, user: &str, vhost: &str) -> Result<bool, Refusal> {
        let change = self.change_topology(|topology, changes| topology.clear_permissions(user, vhost, changes));
        let were_there = change.outcome;
        self.lasting().await?;
        Ok(were_there)
    }

    /// What a virtual host is for; `None` if there is none of that name.
    #[must_use]
    pub fn vhost_description(&self, name: &str) -> Option<Description> {
        self.topology.read().topology.vhost_description(name).cloned()
    }

    /// Makes a virtual host, or says anew what one is for; `None` leaves that as it is. Whoever makes one may do everything in it. Gives whether it is new.
    ///
    /// # Errors
    /// If the name or the queue type will not do, or the store has failed.
    pub async fn put_vhost(self: &Arc<Self>, name: &str, description: Option<Description>, by: Option<&str>) -> Result<bool, Refusal> {
        let is_new = {
            let change = self.change_topology(|topology, changes| {
                let is_new = topology.add_vhost(name, changes)?;
                if let Some(description) = description
                    && let Err(error) = topology.describe_vhost(name, description, changes)
                {
                    if is_new {
                        topology.delete_vhost(name, changes);
                    }
                    return Err(error);
                }
                if let Some(user) = by.filter(|_| is_new) {
                    topology.set_permissions(user, name, Permissions::all(), changes).ok();
                }
                Ok::<_, TopologyError>(is_new)
            });
            change.outcome?
        };
        self.lasting().await?;
        Ok(is_new)
    }

    /// Deletes a virtual host with all that is in it, and closes its connections. Gives whether there was one.
    ///
    /// # Errors
    /// If the store has failed.
    pub async fn delete_vhost(self: &Arc<Self>, name: &str) -> Result<bool, Refusal> {
        if !self.has_vhost(name) {
            return Ok(false);
        }
        self.close_connections(&format!("vhost '{name}' is deleted"), |identity| identity.vhost == name);
        // Queue by queue, so that nobody waits for long. Until the last look nobody is kept from declaring more.
        loop {
            let queues: Vec<_> = self.topology.read().topology.queues(name).cloned().collect();
            for queue in queues {
                self.delete_queue_if(name, queue.name.as_bytes(), false, false).ok();
            }
            let change = self.change_topology(|topology, changes| {
                if topology.queues(name).next().is_some() {
                    return false;
                }
                topology.delete_vhost(name, changes);
                true
            });
            if change.outcome {
                break;
            }
        }
        self.lasting().await?;
        Ok(true)
    }

    /// All parameters of components, by virtual host, component and name.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut parameters: Vec<_> = self.topology.read().topology.parameters().collect();
        parameters.sort_by(|a, b| (&a.vhost, &a.component, &a.name).cmp(&(&b.vhost, &b.component, &b.name)));
        parameters
    }

    /// Sets a parameter of a component. Gives whether it is new.
    ///
    /// # Errors
    /// If the name will not do, there is no such virtual host, or the store has failed.
    pub async fn set_parameter(self: &Arc<Self>, vhost: &str, component: &str, name: &str, value: &Value) -> Result<bool, Refusal> {
        let is_new = {
            let change = self.change_topology(|topology, changes| topology.set_parameter(vhost, component, name, value, changes));
            change.outcome?
        };
        self.lasting().await?;
        Ok(is_new)
    }

    /// Takes a parameter of a component away. Gives whether there was one.
    ///
    /// # Errors
    /// If the store has failed.
    pub async fn clear_parameter(self: &Arc<Self>, vhost: &str, component: &str, name: &str) -> Result<bool, Refusal> {
        let change = self.change_topology(|topology, changes| topology.clear_parameter(vhost, component, name, changes));
        let was_there = change.outcome;
        self.lasting().await?;
        Ok(was_there)
    }

    /// The global parameters, by name.
    #[must_use]
    pub fn global_parameters(&self) -> Vec<(Box<str>, Value)> {
        let site = self.topology.read();
        site.topology
            .global_parameters()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Sets a global parameter. Gives whether it is new.
    ///
    /// # Errors
    /// If the name will not do, or the store has failed.
    pub async fn set_global_parameter(self: &Arc<Self>, name: &str, value: &Value) -> Result<bool, Refusal> {
        let is_new = {
            let change = self.change_topology(|topology, changes| topology.set_global_parameter(name, value, changes));
            change.outcome?
        };
        self.lasting().await?;
        Ok(is_new)
    }

    /// Takes a global parameter away. Gives whether there was one.
    ///
    /// # Errors
    /// If the store has failed.
    pub async fn clear_global_parameter(self: &Arc<Self>, name: &str) -> Result<bool, Refusal> {
        let change = self.change_topology(|topology, changes| topology.clear_global_parameter(name, changes));
        let was_there = change.outcome;
        self.lasting().await?;
        Ok(was_there)
    }

    /// What the cluster is called: the global parameter `cluster_name`, or `stoa`.
    #[must_use]
    pub fn cluster_name(&self) -> String {
        let site = self.topology.read();
        let name = site.topology.global_parameters().find(|(name, _)| &***name == "cluster_name");
        let name = name.and_then(|(_, value)| value.as_str().map(str::to_owned));
        name.unwrap_or_else(|| "stoa".to_owned())
    }
}

//! Users: who they are, and whether they may do what they ask for.

use super::change::{Change, Key, Kind};
use super::error::{Permission, Resource, ResourceKind, TopologyError};
use super::limits::{LimitOf, LimitSet};
use super::password::{Hashing, PasswordHash};
use super::permissions::{Permissions, without_permission};
use super::topic_permissions::{self, TopicPermissions};
use super::vhost::{self, tombstone};
use super::{Actor, Topology};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use stoa_amqp::{ShortString, Table, Value};

/// The user that is always there to begin with.
pub(super) const GUEST: &str = "guest";

/// Who has no name asks for the broker itself and needs no permissions. No user can be called so.
pub const SYSTEM: &str = "";

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: Arc<str>,
    /// What is kept of the password; none, and there is no login by password.
    pub password: Option<PasswordHash>,
    /// What the user may do beside messaging: `administrator`, `monitoring`, `policymaker`, `management`, or anything else.
    pub tags: Vec<Box<str>>,
    /// May log in from the broker's own machine only.
    pub loopback_only: bool,
    /// What the user may do, by virtual host.
    permissions: HashMap<Arc<str>, Permissions>,
    /// With which keys the user may use topic exchanges, by virtual host and exchange.
    pub(super) topic_permissions: BTreeMap<(Arc<str>, ShortString), TopicPermissions>,
    /// What the user may have at most.
    pub(super) limits: LimitSet,
}

impl User {
    /// A user who may not do anything yet.
    #[must_use]
    pub fn new(name: &str, password: Option<PasswordHash>, tags: Vec<Box<str>>) -> Self {
        Self {
            name: name.into(),
            password,
            tags,
            loopback_only: false,
            permissions: HashMap::new(),
            topic_permissions: BTreeMap::new(),
            limits: LimitSet::default(),
        }
    }

    pub(super) fn guest() -> Self {
        let password = PasswordHash::new(*b"stoa", GUEST);
        let mut guest = Self::new(GUEST, Some(password), vec!["administrator".into()]);
        guest.loopback_only = true;
        guest.permissions.insert(vhost::DEFAULT.into(), Permissions::all());
        guest
    }

    /// What the user may do in a virtual host, if anything.
    #[must_use]
    pub fn permissions(&self, vhost: &str) -> Option<&Permissions> {
        self.permissions.get(vhost)
    }

    /// What the user may do, by virtual host, in no particular order.
    pub fn all_permissions(&self) -> impl Iterator<Item = (&Arc<str>, &Permissions)> {
        self.permissions.iter()
    }

    /// What the store must hold of the user: nothing if it is as it was predeclared.
    pub(super) fn change(&self) -> Change {
        let guest = Self::guest();
        let own = |user: &Self| (user.name.clone(), user.password.clone(), user.tags.clone(), user.loopback_only);
        if own(self) == own(&guest) {
            Change::delete(user_key(GUEST))
        } else {
            self.record()
        }
    }

    fn record(&self) -> Change {
        let tags: Vec<Value> = self.tags.iter().map(|tag| Value::from(tag.to_string())).collect();
        let mut fields: Table = [("tags", Value::from(tags)), ("loopback-only", Value::from(self.loopback_only))]
            .into_iter()
            .collect();
        if let Some(password) = &self.password {
            let octets = bytes::Bytes::copy_from_slice(password.as_bytes());
            if password.hashing() == Hashing::Sha256 {
                fields.insert("password-sha256", octets);
            } else {
                fields.insert("hashing", Value::from(password.hashing().name()));
                fields.insert("password", octets);
            }
        }
        Change::put(user_key(&self.name), &fields)
    }
}

/// Why users or permissions cannot be changed as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// A user cannot have that name.
    #[error("user name '{0}' is not valid: a name is UTF-8 of 1 to 255 octets")]
    Name(Box<str>),
    /// There is no such user.
    #[error("user '{0}' does not exist")]
    NoUser(Box<str>),
    /// There is no such virtual host.
    #[error("vhost '{0}' does not exist")]
    NoVhost(Box<str>),
    /// The pattern is no regular expression.
    #[error("'{pattern}' is not a regular expression: {why}")]
    Pattern {
        /// The pattern.
        pattern: Box<str>,
        /// Why not.
        why: Box<str>,
    },
}

fn user_key(user: &str) -> Key {
    Key::new(Kind::User).part(user)
}

/// What is kept of a user who is deleted.
pub(super) fn without_user(user: &str) -> Change {
    if user == GUEST {
        Change::put(user_key(user), &tombstone())
    } else {
        Change::delete(user_key(user))
    }
}

fn refused(actor: &Actor<'_>, permission: Permission, resource: Resource) -> TopologyError {
    TopologyError::Refused {
        permission,
        resource: resource.for_access(),
        user: actor.user.into(),
    }
}

impl Topology {
    /// Whether that is the user's password, and the user may come from there. With argon2id that takes its time.
    #[must_use]
    pub fn authenticate(&self, user: &str, password: &str, loopback: bool) -> bool {
        self.users.get(user).is_some_and(|user| {
            let known = user.password.as_ref().is_some_and(|hash| hash.verify(password));
            known && (loopback || !user.loopback_only)
        })
    }

    /// Whether the user has any permissions in the virtual host.
    #[must_use]
    pub fn may_access_vhost(&self, user: &str, vhost: &str) -> bool {
        self.users.get(user).is_some_and(|user| user.permissions.contains_key(vhost)) && self.has_vhost(vhost)
    }

    /// Whether the user may declare and delete the queue.
    ///
    /// # Errors
    /// [`TopologyError::Refused`] if not.
    pub fn check_configure(&self, actor: &Actor<'_>, queue: &[u8]) -> Result<(), TopologyError> {
        self.check_named(actor, Permission::Configure, ResourceKind::Queue, queue)
    }

    /// Whether the user may publish to the exchange.
    ///
    /// # Errors
    /// [`TopologyError::Refused`] if not.
    pub fn check_write(&self, actor: &Actor<'_>, exchange: &[u8]) -> Result<(), TopologyError> {
        self.check_named(actor, Permission::Write, ResourceKind::Exchange, exchange)
    }

    /// Whether the user may consume from the queue, and purge it.
    ///
    /// # Errors
    /// [`TopologyError::Refused`] if not.
    pub fn check_read(&self, actor: &Actor<'_>, queue: &[u8]) -> Result<(), TopologyError> {
        self.check_named(actor, Permission::Read, ResourceKind::Queue, queue)
    }

    /// Whether the user may read what an exchange has: bind to it, or look at what it holds back.
    ///
    /// # Errors
    /// [`TopologyError::Refused`] if not.
    pub fn check_source(&self, actor: &Actor<'_>, exchange: &[u8]) -> Result<(), TopologyError> {
        self.check_named(actor, Permission::Read, ResourceKind::Exchange, exchange)
    }

    fn check_named(&self, actor: &Actor<'_>, permission: Permission, kind: ResourceKind, name: &[u8]) -> Result<(), TopologyError> {
        if self.allows(actor, permission, kind, name) {
            return Ok(());
        }
        let vhost = self.vhost(actor.vhost)?;
        Err(refused(actor, permission, Resource::new(kind, name, &vhost.name)))
    }

    pub(super) fn check(&self, actor: &Actor<'_>, permission: Permission, resource: &Resource) -> Result<(), TopologyError> {
        if self.allows(actor, permission, resource.kind(), resource.name()) {
            return Ok(());
        }
        Err(refused(actor, permission, resource.clone()))
    }

    /// Whether the user may do anything at all with it. If not, the error speaks of the permission to configure.
    pub(super) fn check_any(&self, actor: &Actor<'_>, resource: &Resource) -> Result<(), TopologyError> {
        let may = |permission| self.allows(actor, permission, resource.kind(), resource.name());
        if may(Permission::Read) || may(Permission::Write) {
            return Ok(());
        }
        self.check(actor, Permission::Configure, resource)
    }

    fn allows(&self, actor: &Actor<'_>, permission: Permission, kind: ResourceKind, name: &[u8]) -> bool {
        if actor.user == SYSTEM {
            return true;
        }
        // The default exchange has a name of its own here.
        let name = if kind == ResourceKind::Exchange && name.is_empty() {
            b"amq.default"
        } else {
            name
        };
        let permissions = self.users.get(actor.user).and_then(|user| user.permissions(actor.vhost));
        permissions.is_some_and(|permissions| permissions.allow(permission, name))
    }

    /// The users, in no particular order.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// The user of that name, if there is one.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// Adds a user, or changes all of one but permissions and limits.
    ///
    /// # Errors
    /// [`AccessError::Name`] if the name is empty or longer than 255 octets.
    pub fn put_user(&mut self, user: User, changes: &mut Vec<Change>) -> Result<(), AccessError> {
        if user.name.is_empty() || user.name.len() > 255 {
            return Err(AccessError::Name((&*user.name).into()));
        }
        changes.push(user.change());
        self.restore_user(user);
        Ok(())
    }

    /// Deletes a user with all permissions. Returns false if there is no such user.
    pub fn delete_user(&mut self, name: &str, changes: &mut Vec<Change>) -> bool {
        let Some(user) = self.users.remove(name) else { return false };
        changes.extend(topic_permissions::deletions(&user, None));
        if !user.limits.is_empty() {
            changes.push(LimitSet::default().change(LimitOf::User, name));
        }
        let mut vhosts: Vec<_> = user.permissions.keys().collect();
        vhosts.sort_unstable();
        changes.extend(vhosts.into_iter().map(|vhost| without_permission(vhost, name)));
        changes.push(without_user(name));
        true
    }

    /// Says what a user may do in a virtual host.
    ///
    /// # Errors
    /// If there is no such user or virtual host.
    pub fn set_permissions(
        &mut self,
        user: &str,
        vhost: &str,
        permissions: Permissions,
        changes: &mut Vec<Change>,
    ) -> Result<(), AccessError> {
        let (vhost, _) = self.vhosts.get_key_value(vhost).ok_or_else(|| AccessError::NoVhost(vhost.into()))?;
        let user = self.users.get_mut(user).ok_or_else(|| AccessError::NoUser(user.into()))?;
        changes.push(permissions.change(vhost, &user.name));
        user.permissions.insert(vhost.clone(), permissions);
        Ok(())
    }

    /// Takes away what a user may do in a virtual host. Returns false if that was nothing.
    pub fn clear_permissions(&mut self, user: &str, vhost: &str, changes: &mut Vec<Change>) -> bool {
        let Some(user) = self.users.get_mut(user) else { return false };
        let had_any = user.permissions.remove(vhost).is_some();
        if had_any {
            changes.push(without_permission(vhost, &user.name));
        }
        had_any
    }

    /// Takes away what all users may do in a virtual host. The order of the changes is the caller's to make.
    pub(super) fn clear_vhost_permissions(&mut self, vhost: &str, changes: &mut Vec<Change>) {
        for user in self.users.values_mut() {
            changes.extend(topic_permissions::deletions(user, Some(vhost)));
            user.topic_permissions.retain(|(of, _), _| **of != *vhost);
        }
        let had_any = self
            .users
            .values_mut()
            .filter_map(|user| user.permissions.remove(vhost).map(|_| &user.name));
        changes.extend(had_any.map(|user| without_permission(vhost, user)));
    }

    /// Takes in what the store has of a user.
    pub(super) fn restore_user(&mut self, user: User) {
        let old = self
            .users
            .remove(&user.name)
            .unwrap_or_else(|| User::new(&user.name, None, Vec::new()));
        let user = User {
            permissions: old.permissions,
            topic_permissions: old.topic_permissions,
            limits: old.limits,
            ..user
        };
        self.users.insert(user.name.clone(), user);
    }

    pub(super) fn restore_without_user(&mut self, name: &str) {
        self.users.remove(name);
    }

    /// Takes in what the store has of permissions.
    ///
    /// # Errors
    /// If they are somebody's who is not there, or for a virtual host that is not.
    pub(super) fn restore_permissions(&mut self, user: &str, vhost: &str, permissions: Option<Permissions>) -> Result<(), AccessError> {
        match permissions {
            Some(permissions) => self.set_permissions(user, vhost, permissions, &mut Vec::new()),
            None => {
                self.clear_permissions(user, vhost, &mut Vec::new());
                Ok(())
            }
        }
    }
}

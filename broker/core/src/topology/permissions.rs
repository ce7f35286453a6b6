//! What a user may do in a virtual host: configure, write and read, by patterns that names are held against.

use super::access::{AccessError, GUEST};
use super::change::{Change, Key, Kind};
use super::error::Permission;
use super::pattern::Pattern;
use super::vhost::{self, tombstone};
use stoa_amqp::{Table, Value};

/// What a user may do in a virtual host.
#[derive(Clone, Debug)]
pub struct Permissions {
    configure: NamePattern,
    write: NamePattern,
    read: NamePattern,
}

impl Permissions {
    /// Permissions by three patterns.
    ///
    /// # Errors
    /// [`AccessError::Pattern`] if one of them is no regular expression.
    pub fn new(configure: &str, write: &str, read: &str) -> Result<Self, AccessError> {
        Ok(Self {
            configure: NamePattern::new(configure)?,
            write: NamePattern::new(write)?,
            read: NamePattern::new(read)?,
        })
    }

    /// Everything may be done.
    #[must_use]
    pub fn all() -> Self {
        let everything = NamePattern {
            text: ".*".into(),
            matcher: Matcher::Everything,
        };
        Self {
            configure: everything.clone(),
            write: everything.clone(),
            read: everything,
        }
    }

    /// The pattern for a permission.
    #[must_use]
    pub fn pattern(&self, permission: Permission) -> &str {
        &self.get(permission).text
    }

    /// Whether that may be done with what has this name.
    pub(super) fn allow(&self, permission: Permission, name: &[u8]) -> bool {
        self.get(permission).matches(name)
    }

    fn get(&self, permission: Permission) -> &NamePattern {
        match permission {
            Permission::Configure => &self.configure,
            Permission::Write => &self.write,
            Permission::Read => &self.read,
        }
    }

    /// What the store must hold of them: nothing if they are as they were predeclared.
    pub(super) fn change(&self, vhost: &str, user: &str) -> Change {
        let matchers = [&self.configure, &self.write, &self.read].map(|pattern| &pattern.matcher);
        if (vhost, user) == (vhost::DEFAULT, GUEST) && matchers.into_iter().all(|matcher| matches!(matcher, Matcher::Everything)) {
            Change::delete(permission_key(vhost, user))
        } else {
            self.record(vhost, user)
        }
    }

    fn record(&self, vhost: &str, user: &str) -> Change {
        let text = |permission| Value::from(self.pattern(permission).to_owned());
        let fields: Table = [
            ("configure", text(Permission::Configure)),
            ("write", text(Permission::Write)),
            ("read", text(Permission::Read)),
        ]
        .into_iter()
        .collect();
        Change::put(permission_key(vhost, user), &fields)
    }
}

/// A regular expression that names are held against; it need not match the whole of them. The empty one matches the empty name alone.
#[derive(Clone, Debug)]
pub(super) struct NamePattern {
    text: Box<str>,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Nothing,
    Everything,
    Pattern(Pattern),
}

impl NamePattern {
    pub(super) fn new(text: &str) -> Result<Self, AccessError> {
        let matcher = match text {
            "" | "^$" => Matcher::Nothing,
            ".*" => Matcher::Everything,
            other => Matcher::Pattern(Pattern::new(other).map_err(|error| AccessError::Pattern {
                pattern: other.into(),
                why: error.into(),
            })?),
        };
        Ok(Self {
            text: text.into(),
            matcher,
        })
    }

    pub(super) fn matches(&self, name: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Nothing => name.is_empty(),
            Matcher::Everything => true,
            Matcher::Pattern(pattern) => pattern.matches(name),
        }
    }
}

fn permission_key(vhost: &str, user: &str) -> Key {
    Key::new(Kind::Permission).part(vhost).part(user)
}

/// What is kept of permissions that are taken away.
pub(super) fn without_permission(vhost: &str, user: &str) -> Change {
    if (vhost, user) == (vhost::DEFAULT, GUEST) {
        Change::put(permission_key(vhost, user), &tombstone())
    } else {
        Change::delete(permission_key(vhost, user))
    }
}

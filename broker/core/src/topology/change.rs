//! What of the topology outlives a restart, as keys and values of the store's meta family.
//!
//! ```text
//! key    'T'  kind u8  parts, each with its length in front as one octet
//!             1 ids         -
//!             2 vhost       name
//!             3 user        name
//!             4 permission  vhost, user
//!             5 exchange    vhost, name
//!             6 queue       vhost, name
//!             7 binding     vhost, source, 'q' or 'e' and destination, routing key; then, to the end of the key: the arguments, in order of
//!                           their names, as the fields of an AMQP table
//!             8 policy      vhost, name
//!             9 operator    vhost, name
//!            10 limits      vhost
//!            11 limits      user
//!            12 topics      vhost, user, exchange
//! value  version u8 = 1     the fields of an AMQP table, by name
//! ```
//! A reader ignores fields that it does not know and has a default for those that it misses; only what cannot be read so takes a new version. A kind
//! is never used again for something else (invariant 8). Records are written for what differs from a new topology: the predeclared exchanges
//! are never written; the predeclared virtual host, user and permission are only once they have changed, with the field `deleted` if they went.

use stoa_amqp::{ShortString, Table, Value};

/// The octet that every key of the topology begins with.
pub const KEY_PREFIX: u8 = b'T';

const VERSION: u8 = 1;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    Ids = 1,
    Vhost = 2,
    User = 3,
    Permission = 4,
    Exchange = 5,
    Queue = 6,
    Binding = 7,
    Policy = 8,
    OperatorPolicy = 9,
    VhostLimits = 10,
    UserLimits = 11,
    TopicPermission = 12,
    Parameter = 13,
    GlobalParameter = 14,
}

impl Kind {
    const ALL: [Self; 14] = [
        Self::Ids,
        Self::Vhost,
        Self::User,
        Self::Permission,
        Self::Exchange,
        Self::Queue,
        Self::Binding,
        Self::Policy,
        Self::OperatorPolicy,
        Self::VhostLimits,
        Self::UserLimits,
        Self::TopicPermission,
        Self::Parameter,
        Self::GlobalParameter,
    ];
}

/// A change that must outlive a restart: a key of the store's meta family, and its value from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Vec<u8>,
    /// The new value; `None` if the key is gone.
    pub value: Option<Vec<u8>>,
}

impl Change {
    pub(super) fn put(key: Key, fields: &Table) -> Self {
        let mut value = vec![VERSION];
        value.extend_from_slice(&fields.to_bytes());
        Self {
            key: key.0,
            value: Some(value),
        }
    }

    pub(super) fn delete(key: Key) -> Self {
        Self { key: key.0, value: None }
    }
}

/// A key in the making.
pub(super) struct Key(Vec<u8>);

impl Key {
    pub(super) fn new(kind: Kind) -> Self {
        Self(vec![KEY_PREFIX, kind as u8])
    }

    /// # Panics
    /// If the part is longer than 255 octets. Names are shorter.
    pub(super) fn part(self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.tagged(&[], part)
    }

    pub(super) fn tagged(mut self, tag: &[u8], part: &[u8]) -> Self {
        assert!(part.len() <= 255, "a part of a key of {} octets", part.len());
        self.0.extend_from_slice(tag);
        self.0.push(part.len() as u8);
        self.0.extend_from_slice(part);
        self
    }

    pub(super) fn rest(mut self, rest: &[u8]) -> Self {
        self.0.extend_from_slice(rest);
        self
    }
}

/// What was found in the store is not a topology that this Stoa can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topology record {key}: {what}; was this directory written by a newer Stoa?")]
pub struct RestoreError {
    /// The key, escaped.
    pub key: String,
    /// What is wrong with it.
    pub what: &'static str,
}

/// A record as it was found.
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    key: &'a [u8],
    rest: &'a [u8],
    fields: Table,
}

impl<'a> Record<'a> {
    pub(super) fn read(key: &'a [u8], value: &[u8]) -> Result<Self, RestoreError> {
        let fail = |what| RestoreError {
            key: key.escape_ascii().to_string(),
            what,
        };
        let (kind, rest) = match key {
            [KEY_PREFIX, kind, rest @ ..] => (*kind, rest),
            _ => return Err(fail("is no key of the topology")),
        };
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind);
        let kind = kind.ok_or_else(|| fail("is of an unknown kind"))?;
        let fields = match value {
            [VERSION, fields @ ..] => Table::decode(fields).map_err(|_| fail("has fields that cannot be read"))?,
            [_, ..] => return Err(fail("is of an unknown version")),
            [] => return Err(fail("is empty")),
        };
        Ok(Self { kind, key, rest, fields })
    }

    pub(super) fn error(&self, what: &'static str) -> RestoreError {
        RestoreError {
            key: self.key.escape_ascii().to_string(),
            what,
        }
    }

    pub(super) fn fields(&self) -> &Table {
        &self.fields
    }

    /// The next part of the key.
    pub(super) fn part(&mut self) -> Result<&'a [u8], RestoreError> {
        let parts = self
            .rest
            .split_first()
            .and_then(|(size, rest)| rest.split_at_checked((*size).into()));
        let (part, rest) = parts.ok_or_else(|| self.error("has a key that is cut short"))?;
        self.rest = rest;
        Ok(part)
    }

    pub(super) fn name(&mut self) -> Result<ShortString, RestoreError> {
        let part = self.part()?;
        ShortString::new(part).map_err(|_| self.error("has a name that is too long"))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, RestoreError> {
        let part = self.part()?;
        std::str::from_utf8(part).map_err(|_| self.error("has a name that is not UTF-8"))
    }

    pub(super) fn octet(&mut self) -> Result<u8, RestoreError> {
        let (octet, rest) = self.rest.split_first().ok_or_else(|| self.error("has a key that is cut short"))?;
        self.rest = rest;
        Ok(*octet)
    }

    /// What is left of the key.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn flag(&self, field: &str) -> bool {
        self.fields.get(field).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn number(&self, field: &str) -> Result<u64, RestoreError> {
        let number = self.fields.get(field).and_then(Value::as_i64);
        number.map(i64::cast_unsigned).ok_or_else(|| self.error("lacks a number"))
    }

    pub(super) fn string(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    pub(super) fn octets(&self, field: &str) -> Option<&[u8]> {
        self.fields.get(field).and_then(Value::as_bytes)
    }

    pub(super) fn list(&self, field: &str) -> &[Value] {
        self.fields.get(field).and_then(Value::as_array).unwrap_or_default()
    }

    pub(super) fn table(&self, field: &str) -> Table {
        self.fields.get(field).and_then(Value::as_table).cloned().unwrap_or_default()
    }
}
